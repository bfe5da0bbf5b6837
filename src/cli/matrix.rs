//! `cowl kernel run` and `cowl kernel compare` with `--kernel`: the same files on kernels in virtual machines.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::args::{KernelFormat, OnKernel};
use super::kernel::kernels;
use super::metal::{About, came, keep, nearest, of_one_kernel, raced};
use super::terminal::{Progress, Stop};
use super::{Exit, Fail, Out, input, report, run};
use crate::analysis::{self, FileReport, Judged, Options};
use crate::check::report::Verdict;
use crate::kernel::vm::{self, Batch, Failed, Task};
use crate::kernel::wire::Job;
use crate::metal::job;
use crate::metal::junit::junit;
use crate::metal::ledger::Row;
use crate::metal::matrix::{Came, Cell, Column, detail, ktap, text};
use crate::metal::race::{Histogram, has_races};

/// Rounds of a race where nobody says how many: under emulation each takes a tenth of a second.
const ROUNDS: u32 = 100;

/// Runs the commands.
pub fn on_kernels(args: &OnKernel, compare: bool, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let first = Options {
        policies: &[analysis::releases().pop().unwrap_or_default()],
        scenario: args.scenario.as_deref(),
        ..Options::default()
    };
    let kernels = kernels(&args.kernels)?;
    let mut engine = Exit::default(); // What the engine came to is `cowl run`'s to say.
    let files = run::files(&args.inputs.files, &first, false, out, &mut engine)?.unwrap_or_default();
    if files.iter().any(FileReport::failed) {
        exit.bad_input();
    }
    let task = |(id, (_, judged)): (usize, (&FileReport, &Judged))| Task {
        // A machine of our own is all ours.
        job: Job { system: true, ..job(id as u64, &judged.scenario, compare) },
        race: (!compare && has_races(&judged.scenario.program)).then_some((args.seed, args.repeat.unwrap_or(ROUNDS))),
    };
    let tasks: Vec<Task> = scenarios(&files).enumerate().map(task).collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let stop = Stop::listen();
    let batches = batches(&kernels, args.jobs, &tasks, &stop);
    if stop.asked() {
        exit.stopped();
    }
    let mut told = Told::default();
    for (kernel, batch) in kernels.iter().zip(batches) {
        told.kernel(args, compare, &files, kernel, batch, exit)?;
    }
    match args.format {
        KernelFormat::Text if !told.columns.is_empty() => out.text(&text(&told.columns, compare))?,
        KernelFormat::Text => {}
        KernelFormat::Json => out.text(&told.lines)?,
        KernelFormat::Ktap => out.text(&ktap(&told.columns))?,
        KernelFormat::Junit => out.text(&junit(&told.columns))?,
    }
    match &args.ledger {
        Some(path) => keep(path, told.rows),
        None => Ok(()),
    }
}

/// What the kernels answer, with a word of how far they are.
fn batches(kernels: &[PathBuf], at_once: u8, tasks: &[Task], stop: &Stop) -> Vec<Batch> {
    let options = vm::Options { stop: stop.flag(), ..vm::Options::default() };
    let progress = Mutex::new(Progress::before_the_result());
    let all = tasks.len() * kernels.len();
    let at = |done| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.at(done, all, "scenarios");
    };
    at(0);
    let batches = vm::on_each(kernels, tasks, at_once.into(), &options, &at);
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).clear();
    batches
}

/// All scenarios of all files, in order.
fn scenarios(files: &[FileReport]) -> impl Iterator<Item = (&FileReport, &Judged)> {
    files.iter().flat_map(|file| file.scenarios.iter().map(move |judged| (file, judged)))
}

/// What there is to say of all kernels.
#[derive(Default)]
struct Told {
    columns: Vec<Column>,
    /// For a ledger.
    rows: Vec<Row>,
    /// JSON, a line each.
    lines: String,
}

impl Told {
    /// What a kernel answered, held against the engine under its policy.
    fn kernel(
        &mut self,
        args: &OnKernel,
        compare: bool,
        files: &[FileReport],
        kernel: &Path,
        batch: Batch,
        exit: &mut Exit,
    ) -> Result<(), Fail> {
        let path = kernel.display();
        for why in &batch.retried {
            report::complain(&format!("{path}: booted again: {why}\n"));
        }
        let failed = match &batch.failed {
            Some(Failed::NoQemu) => {
                report::complain(&format!("SKIP {path}: {}\n", Failed::NoQemu));
                return Ok(());
            }
            // What is known of it is said; that it is not all, by the exit code.
            None | Some(Failed::Stopped) => None,
            Some(failed) => {
                match failed {
                    Failed::Kernel { .. } => exit.bad_input(),
                    _ => exit.unmet(),
                }
                self.lines += &format!("{}\n", serde_json::json!({ "kernel": path.to_string(), "failed": failed.to_string() }));
                Some(failed.to_string())
            }
        };
        let mut column = match &batch.hello {
            Some(hello) => self.column(args, compare, files, &hello.release, &batch, exit)?,
            None => Column { release: path.to_string(), ..Column::default() },
        };
        column.failed = failed.or_else(|| batch.hello.is_none().then(|| Failed::Stopped.to_string()));
        self.columns.push(column);
        Ok(())
    }

    fn column(
        &mut self,
        args: &OnKernel,
        compare: bool,
        files: &[FileReport],
        release: &str,
        batch: &Batch,
        exit: &mut Exit,
    ) -> Result<Column, Fail> {
        let policy = args.policy.clone().map_or_else(|| nearest(release), Ok)?;
        let names = [policy.clone()];
        let options = of_one_kernel(args, &names, release, compare);
        let again =
            |file: &FileReport| analysis::run(file.sources.first().cloned().unwrap_or_default(), &mut input::used, &options);
        let files: Vec<_> = files.iter().map(again).collect();
        if let Some(unknown) = analysis::unknown_policy(&files, &options) {
            return Err(Fail::Usage(Box::new(unknown)));
        }
        if args.times {
            let (booted, took, ran) = (batch.booted.as_secs_f64(), batch.took.as_secs_f64(), batch.ran.len());
            report::complain(&format!("{release}: booted in {booted:.1} s; {took:.1} s in all, {ran} scenarios\n"));
        }
        let mut cells = Vec::new();
        for ((file, judged), ran) in scenarios(&files).zip(&batch.ran) {
            let about = About { file, judged, release, policy: &policy, compare };
            let came = match (&ran[..], has_races(&judged.scenario.program) && !compare) {
                ([(_, ran)], false) => came(about, ran.clone()),
                _ => {
                    let mut histogram = Histogram::default();
                    histogram.add(&judged.scenario.program, ran.clone());
                    raced(about, histogram, args.seed)
                }
            };
            self.lines += &format!("{}\n", came.json());
            let cell = cell(&came);
            match cell.came {
                Came::Agrees => exit.ran(),
                Came::Differs | Came::Crash(_) => exit.unmet(),
                Came::Skip(_) => {}
            }
            cells.push(cell);
            self.rows.extend(came.row);
        }
        Ok(Column { release: release.to_owned(), policy, cells, failed: None })
    }
}

/// What a scenario came to, as a cell of a table.
pub(super) fn cell(of: &super::metal::Came<'_>) -> Cell {
    let difference = of.compared.difference.as_ref().map(|difference| detail(difference, &of.line(difference)));
    let unmet = of.unmet.iter().map(|expected| format!("unmet: expect {expected}, came {}", of.word()));
    let rounds = of.race.as_ref().filter(|_| !of.unmet.is_empty()).map(|(histogram, _)| histogram.lines().join("\n"));
    let details: Vec<_> = difference.into_iter().chain(unmet).chain(rounds).collect();
    let came = match (&of.run.verdict, of.crashed()) {
        (Verdict::Skip(why), true) => Came::Crash(why.clone()),
        (Verdict::Skip(why), false) => Came::Skip(why.clone()),
        (Verdict::Came(_), _) if details.is_empty() => Came::Agrees,
        (Verdict::Came(_), _) => Came::Differs,
    };
    let outcome = if matches!(of.run.verdict, Verdict::Came(_)) { of.word() } else { String::new() };
    let (entries, unspecified) = (of.compared.entries, of.compared.unspecified.clone());
    Cell { title: of.title(), outcome, came, details, entries, unspecified }
}
