//! `cowl explain`: the story of each scenario of a file under one policy.

use super::args::Explain;
use super::{Exit, Fail, Out, run};
use crate::analysis::{FileReport, Judged, Options};
use crate::check::Story;
use crate::check::report::PolicyResult;
use crate::explore::{self, Ending};
use crate::ir::Outcome;
use crate::render::{explain, lanes};

/// Runs the command.
pub fn explain(args: &Explain, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let policies = [args.policy.clone()];
    let options =
        Options { policies: &policies, scenario: args.scenario.as_deref(), story: Story::Whole, ..Options::default() };
    let files = run::files(&args.inputs.files, &options, false, out, exit)?;
    let mut first = true;
    for file in files.iter().flatten() {
        for judged in &file.scenarios {
            for result in &judged.report.results {
                if !std::mem::take(&mut first) {
                    out.text("\n\n")?;
                }
                out.text(&explain::text(file, judged, result, &out.look))?;
                out.text(&other_order(file, judged, result, out).unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

/// Of a race, an order that ends otherwise than the one whose story was told, with as few switches as can be.
fn other_order(file: &FileReport, judged: &Judged, result: &PolicyResult, out: &Out<'_>) -> Option<String> {
    let race = result.run.race.as_ref()?;
    let wrong = race.endings.iter().find(|(outcome, _)| *outcome != Some(Outcome::Ok))?.0;
    let ending = wrong.map_or(Ending::Deadlock, Ending::Came);
    let (with, all) = wrong.map_or((0, 0), |outcome| race.reach(outcome));
    let of = if 0 < all { format!("{with} of {all} ways come to {ending}") } else { format!("some ways come to {ending}") };
    let (schedule, replayed) = explore::fewest(&judged.scenario.program, &result.under, ending, explore::RUN_STATES_MAX)?;
    let lanes = lanes::text(file, &judged.scenario, &result.policy, &replayed, &out.look);
    let schedule = if schedule.is_empty() { "(in the order of its lines)".to_owned() } else { schedule };
    let said = out.look.wrap(&schedule, "  schedule: ", "    ");
    Some(format!("\nIn other orders {of}; with the fewest switches:\n{said}{lanes}"))
}
