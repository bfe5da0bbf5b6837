//! `cowl explain`: the story of each scenario of a file under one policy.

use super::args::Explain;
use super::{Exit, Fail, Out, run};
use crate::analysis::Options;
use crate::check::Story;
use crate::render::explain;

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
            }
        }
    }
    Ok(())
}
