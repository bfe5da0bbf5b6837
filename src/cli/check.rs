//! `cowl check`: mistakes, all of them, and nothing else.

use super::args::{Check, CheckFormat, Emit};
use super::report::Told;
use super::{Exit, Fail, Out, input};
use crate::analysis::{self, FileReport, Judged};
use crate::printer::listing;

/// Runs the command.
pub fn check(args: &Check, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let short = args.format == CheckFormat::Short;
    let mut told = Told::default();
    for text in input::texts(&args.inputs.files) {
        let source = match text {
            Ok(text) => text.source,
            Err(refused) => {
                out.text(&told.refused(&refused, short, &out.look))?;
                exit.bad_input();
                continue;
            }
        };
        let report = analysis::check(source, &mut input::used);
        out.text(&told.findings(&report, short, &out.look))?;
        if report.failed() {
            exit.bad_input();
        } else if args.emit == Some(Emit::Ir) {
            out.text(&listings(&report))?;
        }
        exit.ran();
    }
    if !short && args.emit.is_none() {
        out.text(&told.summary())?;
    }
    Ok(())
}

/// What each scenario means to the machine.
fn listings(report: &FileReport) -> String {
    let listing = |judged: &Judged| format!("# {}\n{}\n", judged.title(), listing(&judged.scenario.program));
    report.scenarios.iter().map(listing).collect()
}
