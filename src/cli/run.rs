//! `cowl run`: every scenario under every policy, and whether it came as expected.

use super::args::{Format, Run};
use super::report::{self, Told};
use super::terminal::{Progress, Stop};
use super::{Exit, Fail, Out, input};
use crate::analysis::{self, FileReport, Judged, Options};
use crate::check::Story;
use crate::check::report::{Met, Verdict};
use crate::render::{Summary, json, junit, ktap, short, table, words};

/// Runs the command.
pub fn run(args: &Run, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    if args.trace && args.format != Format::Json {
        let help = "add `--format json`, or tell the story of one scenario with `cowl explain`";
        return Err(Fail::usage("cowl::usage::trace", "--trace goes with --format json only", help));
    }
    let options = Options {
        policies: &args.policy,
        scenario: args.scenario.as_deref(),
        story: Story::whole_if(args.trace),
        contrasts: args.format == Format::Text,
        ..Options::default()
    };
    let Some(files) = files(&args.inputs.files, &options, args.format == Format::Short, out, exit)? else { return Ok(()) };
    let releases = analysis::releases();
    match args.format {
        Format::Text => tables(&files, &releases, args.quiet, out)?,
        Format::Json => out.text(&json::text(&files, args.trace))?,
        Format::Ktap => out.text(&ktap::text(&files))?,
        Format::Junit => out.text(&junit::text(&files))?,
        Format::Short => {
            for file in &files {
                out.text(&short::text(file, &releases))?;
            }
        }
    }
    Ok(())
}

/// Reads and runs all that was asked for; mistakes are told on the way, and counted in the exit code.
///
/// `None` where nothing is left to show.
pub fn files(
    paths: &[std::path::PathBuf],
    options: &Options<'_>,
    short: bool,
    out: &mut Out<'_>,
    exit: &mut Exit,
) -> Result<Option<Vec<FileReport>>, Fail> {
    let texts = input::texts(paths);
    let (stop, mut progress) = (Stop::listen(), Progress::new());
    let asked_to_stop = stop.flag();
    let options = &Options { stop: Some(&asked_to_stop), ..*options };
    let mut told = Told::default();
    let all = texts.len();
    let mut files = Vec::with_capacity(all);
    for (done, text) in texts.enumerate() {
        if stop.asked() {
            break;
        }
        progress.at(done, all, "files");
        if text.is_err() {
            progress.clear();
        }
        let Some(text) = report::or_complain(text, short, &out.errors, exit) else { continue };
        let mut report = analysis::run(text.source, &mut input::used, options);
        if !text.found && report.declared.is_empty() && !report.failed() {
            report.findings.push(input::no_scenario());
        }
        if !short && !report.findings.is_empty() {
            progress.clear();
            report::complain(&told.findings(&report, false, &out.errors));
        }
        tally(&report, exit);
        files.push(report);
    }
    progress.clear();
    if stop.asked() {
        exit.stopped();
        report::complain("cowl::input::stopped: stopped by ctrl-C; what is shown was known by then\n");
        return Ok((!files.is_empty()).then_some(files));
    }
    unknown_names(&files, options)?;
    Ok((!files.is_empty()).then_some(files))
}

/// What a file means for the exit code.
fn tally(file: &FileReport, exit: &mut Exit) {
    if file.failed() {
        exit.bad_input();
    }
    for result in file.scenarios.iter().flat_map(|judged| &judged.report.results) {
        if words::met(result) == Met::No {
            exit.unmet();
        }
        if !matches!(result.run.verdict, Verdict::Skip(_)) {
            exit.ran();
        }
    }
}

/// A policy or a scenario that no file knows.
fn unknown_names(files: &[FileReport], options: &Options<'_>) -> Result<(), Fail> {
    if files.iter().any(FileReport::failed) {
        return Ok(()); // What is asked for may stand where the mistake is.
    }
    if let Some(unknown) = analysis::unknown_policy(files, options) {
        return Err(Fail::Usage(Box::new(unknown)));
    }
    if let Some(unknown) = analysis::unknown_scenario(files, options) {
        return Err(Fail::Usage(Box::new(unknown)));
    }
    Ok(())
}

/// A block for each scenario; kinds of memory whose tables are the same share one.
fn tables(files: &[FileReport], releases: &[String], quiet: bool, out: &mut Out<'_>) -> Result<(), Fail> {
    let mut summary = Summary::default();
    for file in files {
        summary.add(file);
        for alike in alike(file, releases, out) {
            let unmet = |judged: &&Judged| judged.report.results.iter().any(|result| words::met(result) == Met::No);
            if !quiet || alike.iter().any(unmet) {
                out.text(&table::block(file, alike[0], &alike[1..], releases, &out.look))?;
                out.text("\n")?;
            }
        }
    }
    out.text(&format!("{}\n", summary.text()))
}

/// Scenarios one by one, but the kinds of one scenario that read the same together.
fn alike<'a>(file: &'a FileReport, releases: &[String], out: &Out<'_>) -> Vec<Vec<&'a Judged>> {
    let mut groups: Vec<(String, Vec<&Judged>)> = Vec::new();
    for judged in &file.scenarios {
        let body = table::body(file, judged, releases, &out.look);
        match groups.iter_mut().find(|(other, members)| *other == body && members[0].report.name == judged.report.name) {
            Some((_, members)) => members.push(judged),
            None => groups.push((body, vec![judged])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}
