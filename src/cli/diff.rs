//! `cowl diff`: where two policies part, in a scenario or in the smallest program there is.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::terminal::Stop;
use super::{Exit, Fail, Out, policies, run};
use crate::analysis::Options;
use crate::campaign::smallest::smallest;
use crate::check::Story;
use crate::check::report::Step;
use crate::generate::scale::grown;
use crate::policy::Named;
use crate::printer;
use crate::render::words;
use crate::trace::Decision;

/// Which policies, and in what.
#[derive(Args, Debug)]
pub struct Diff {
    #[arg(value_name = "P")]
    pub from: String,
    #[arg(value_name = "Q")]
    pub to: String,
    /// Scenario files; without one, the smallest program that tells the policies apart
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Programs to try one by one, and then as many to draw
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    pub programs: u64,
}

/// Runs the command.
pub fn diff(args: &Diff, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let (from, to) = (policies::find(&args.from)?, policies::find(&args.to)?);
    if !args.files.is_empty() {
        return in_files(args, from, to, out, exit);
    }
    let stop = Stop::listen();
    let found = smallest(&from.policy, &to.policy, args.programs, &|| stop.asked());
    exit.ran();
    if stop.asked() {
        exit.stopped();
    }
    let Some((program, pc)) = found.parts else {
        return out.text(&format!(
            "none up to {} statements: {} and {} show user space the same in {} programs\n",
            found.complete, from.name, to.name, found.tried
        ));
    };
    let program = grown(&program);
    out.text(&printer::program(&program))?;
    out.text(&format!(
        "\n{} and {} part at `{}`: {} statements, after {} programs; none has fewer than {}\n",
        from.name,
        to.name,
        printer::statement(&program, &program.code[pc.idx()]),
        program.code.len(),
        found.tried,
        found.complete + 1,
    ))
}

/// The first decision in which two policies part, scenario by scenario.
fn in_files(args: &Diff, from: &Named, to: &Named, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let policies = [from.name.to_owned(), to.name.to_owned()];
    let options = Options { policies: &policies, story: Story::Whole, ..Options::default() };
    let files = run::files(&args.files, &options, false, out, exit)?;
    for file in files.iter().flatten() {
        for judged in &file.scenarios {
            let steps = |at: usize| judged.report.results.get(at).map_or(&[][..], |result| result.run.steps.as_slice());
            let (one, other) = (steps(0), steps(1));
            out.text(&format!("{}\n", judged.report.name))?;
            let parted = one.iter().zip(other).find_map(|(one, other)| parts(one, other).map(|parts| (one.pc, parts)));
            let Some((pc, (one, other))) = parted else {
                out.text("  no decision differs\n")?;
                continue;
            };
            let program = &judged.scenario.program;
            out.text(&format!("  {}\n", printer::statement(program, &program.code[pc.idx()])))?;
            out.text(&format!("    {}: {}\n    {}: {}\n", from.name, said(one), to.name, said(other)))?;
        }
    }
    Ok(())
}

/// The first decision that differs between two runs of a line; `None` on a side that makes none.
fn parts<'s>(one: &'s Step, other: &'s Step) -> Option<(Option<&'s Decision>, Option<&'s Decision>)> {
    let len = one.decisions.len().max(other.decisions.len());
    let same = |one: Option<&Decision>, other: Option<&Decision>| match (one, other) {
        (Some(one), Some(other)) => {
            (one.rule, one.verdict, one.vpn, one.proc) == (other.rule, other.verdict, other.vpn, other.proc)
        }
        (None, None) => true,
        _ => false,
    };
    (0..len).map(|at| (one.decisions.get(at), other.decisions.get(at))).find(|(one, other)| !same(*one, *other))
}

fn said(decision: Option<&Decision>) -> String {
    match decision {
        Some(of) => words::decision(of),
        None => "decides nothing there".to_owned(),
    }
}
