//! `cowl kernel run` and `cowl kernel compare` with `--kernel`: the same files on kernels in virtual machines.

use std::sync::Mutex;

use super::args::{KernelFormat, OnKernel};
use super::metal::{About, came, keep, nearest};
use super::terminal::{Progress, Stop};
use super::{Exit, Fail, Out, input, report, run};
use crate::analysis::{self, FileReport, Judged, Options};
use crate::check::report::Verdict;
use crate::kernel::vm::{self, Batch, Failed};
use crate::kernel::wire::Job;
use crate::metal::job;
use crate::metal::ledger::Row;
use crate::metal::matrix::{Came, Cell, Column, detail, ktap, text};

/// Runs the commands.
pub fn on_kernels(args: &OnKernel, compare: bool, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let first = Options {
        policies: &[analysis::releases().pop().unwrap_or_default()],
        scenario: args.scenario.as_deref(),
        ..Options::default()
    };
    let mut engine = Exit::default(); // What the engine came to is `cowl run`'s to say.
    let files = run::files(&args.inputs.files, &first, false, out, &mut engine)?.unwrap_or_default();
    if files.iter().any(FileReport::failed) {
        exit.bad_input();
    }
    let jobs: Vec<Job> = scenarios(&files)
        .enumerate()
        // A machine of our own is all ours.
        .map(|(id, (_, judged))| Job { system: true, ..job(id as u64, &judged.scenario, compare) })
        .collect();
    let (stop, progress) = (Stop::listen(), Mutex::new(Progress::new()));
    let all = jobs.len() * args.kernels.len();
    let batches = vm::on_each(&args.kernels, &jobs, args.jobs.into(), &|| stop.asked(), &|done| {
        if let Ok(mut progress) = progress.lock() {
            progress.at(done, all, "scenarios");
        }
    });
    if let Ok(mut progress) = progress.lock() {
        progress.clear();
    }
    if stop.asked() {
        exit.stopped();
    }
    let (mut columns, mut rows, mut lines) = (Vec::new(), Vec::new(), String::new());
    for (kernel, batch) in args.kernels.iter().zip(batches) {
        match batch {
            Err(Failed::NoQemu) => report::complain(&format!("SKIP {}: {}\n", kernel.display(), Failed::NoQemu)),
            Err(failed) => {
                exit.unmet();
                let column =
                    Column { release: kernel.display().to_string(), failed: Some(failed.to_string()), ..Column::default() };
                columns.push(column);
            }
            Ok(batch) => {
                let (column, seen) = column(args, compare, &files, batch, exit, &mut lines)?;
                columns.push(column);
                rows.extend(seen);
            }
        }
    }
    match args.format {
        KernelFormat::Text if !columns.is_empty() => out.text(&text(&columns, compare))?,
        KernelFormat::Text => {}
        KernelFormat::Json => out.text(&lines)?,
        KernelFormat::Ktap => out.text(&ktap(&columns))?,
    }
    match &args.ledger {
        Some(path) => keep(path, rows),
        None => Ok(()),
    }
}

/// All scenarios of all files, in order.
fn scenarios(files: &[FileReport]) -> impl Iterator<Item = (&FileReport, &Judged)> {
    files.iter().flat_map(|file| file.scenarios.iter().map(move |judged| (file, judged)))
}

/// What a kernel answered, held against the engine under its policy, and rows for a ledger; JSON goes to `lines`.
fn column(
    args: &OnKernel,
    compare: bool,
    files: &[FileReport],
    batch: Batch,
    exit: &mut Exit,
    lines: &mut String,
) -> Result<(Column, Vec<Row>), Fail> {
    let release = batch.hello.release;
    let policy = args.policy.clone().map_or_else(|| nearest(&release), Ok)?;
    let names = [policy.clone()];
    let options = Options { policies: &names, scenario: args.scenario.as_deref(), steps: compare, contrasts: false };
    let again =
        |file: &FileReport| analysis::run(file.sources.first().cloned().unwrap_or_default(), &mut input::used, &options);
    let files: Vec<_> = files.iter().map(again).collect();
    if let Some(unknown) = analysis::unknown_policy(&files, &options) {
        return Err(Fail::Usage(Box::new(unknown)));
    }
    if args.times {
        let (booted, took) = (batch.booted.as_secs_f64(), batch.took.as_secs_f64());
        report::complain(&format!("{release}: booted in {booted:.1} s; {took:.1} s in all, {} scenarios\n", batch.ran.len()));
    }
    let (mut cells, mut rows) = (Vec::new(), Vec::new());
    for ((file, judged), ran) in scenarios(&files).zip(batch.ran) {
        let came = came(About { file, judged, release: &release, policy: &policy, compare }, ran);
        if args.format == KernelFormat::Json {
            let mut told = came.json();
            told["kernel"] = release.clone().into();
            told["policy"] = policy.clone().into();
            *lines += &format!("{told}\n");
        }
        let cell = cell(&came);
        match cell.came {
            Came::Agrees => exit.ran(),
            Came::Differs | Came::Crash(_) => exit.unmet(),
            Came::Skip(_) => {}
        }
        cells.push(cell);
        rows.extend(came.row);
    }
    Ok((Column { release, policy, cells, failed: None }, rows))
}

fn cell(of: &super::metal::Came<'_>) -> Cell {
    let difference = of.compared.difference.as_ref().map(|difference| detail(difference, &of.line(difference)));
    let unmet = of.unmet.iter().map(|expected| format!("unmet: expect {expected}, came {}", of.word()));
    let details: Vec<_> = difference.into_iter().chain(unmet).collect();
    let came = match (&of.run.verdict, of.crashed()) {
        (Verdict::Skip(why), true) => Came::Crash(why.clone()),
        (Verdict::Skip(why), false) => Came::Skip(why.clone()),
        (Verdict::Came(_), _) if details.is_empty() => Came::Agrees,
        (Verdict::Came(_), _) => Came::Differs,
    };
    let outcome = if matches!(of.run.verdict, Verdict::Came(_)) { of.word() } else { String::new() };
    Cell { title: of.title(), outcome, came, details }
}
