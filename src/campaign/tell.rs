//! What was caught, as a scenario file: what it shows, where it came from, and what every built-in policy makes of it.

use std::fmt::Write as _;

use super::books::Unbalanced;
use super::crash::Crash;
use super::finding::Finding;
use super::hunt::{Catch, Plan};
use crate::check::report::Verdict;
use crate::check::{Story, Under, judge};
use crate::generate::scale::grown;
use crate::ir::{Frequency, Outcome, Scenario};
use crate::policy::{self, Policy};
use crate::printer;
use crate::types::Span;

/// A caught finding, ready to be named and put under `corpus/regress/`.
pub fn caught(plan: &Plan, caught: &Catch) -> String {
    let from = match caught.program {
        Some(program) => {
            format!("found by `{}` as program {program}", plan.command())
        }
        None => format!("found before under {}", plan.policy_name),
    };
    let known = caught.known.map_or(String::new(), |known| format!("# known: {known}\n"));
    format!("# {from}\n{known}{}", finding(&caught.finding, &plan.policy_name))
}

/// A panic, as a scenario that causes it.
pub fn crash(plan: &Plan, crash: &Crash) -> String {
    let first = crash.message.lines().next().unwrap_or_default();
    let number = crash.number.map_or(String::new(), |number| format!(" as program {number}"));
    let program = printer::program(&grown(&crash.program));
    format!("# found by `{}`{number}\n# panic: {first}\n{program}", plan.command())
}

/// Books that do not add up, as a scenario with the policy under which they do not.
pub fn unbalanced(plan: &Plan, found: &Unbalanced) -> String {
    let program = &grown(&found.program);
    let number = found.number.map_or(String::new(), |number| format!(" as program {number}"));
    let line = printer::statement(program, &program.code[found.pc.idx()]);
    let latest = policy::find(policy::LATEST_NAME).map_or(found.policy, |named| named.policy);
    format!(
        "# found by `{}`{number}\n# {}: {}\n# first divergent step: `{line}`\npolicy found = {} {{\n{}}}\n{}",
        plan.command(),
        found.rule.id,
        found.rule.says,
        policy::LATEST_NAME,
        settings(&latest, &found.policy),
        printer::program(program),
    )
}

/// The lines of a policy that is written as a difference.
pub fn settings(from: &Policy, to: &Policy) -> String {
    let knobs = policy::KNOBS.iter().filter(|knob| knob.get(from) != knob.get(to));
    let mut text: String = knobs.map(|knob| format!("    {} = {}\n", knob.name, knob.value(to).name)).collect();
    if from.defects != to.defects {
        text.push_str(&format!("    {} = {}\n", policy::DEFECT, to.defects));
    }
    text
}

/// A finding under a policy: header, lines, and an expectation for each built-in policy that is as it is today.
pub fn finding(found: &Finding, under: &str) -> String {
    let program = &grown(&found.scenario.program);
    let instr = &program.code[found.violation.pc.idx()];
    let mut text = format!("# policy: {under}\n# signature: {}\n", found.signature);
    let _ = writeln!(text, "# first divergent step: `{}`", printer::statement(program, instr));
    let _ = writeln!(text, "# {}", found.violation.message.replace('\n', " "));
    let name = found.signature.name();
    let scenario = Scenario { name, origin: "found by fuzzing".to_owned(), program: program.clone(), ..found.scenario.clone() };
    let names: Vec<&str> = policy::builtin().iter().map(|named| named.name).collect();
    let expects = expectations(&scenario);
    // What most come to is what the others are held against.
    let most = expects.iter().max_by_key(|expect| expect.on.len());
    let most = most.map(|expect| expect.on.iter().map(|policy| names[*policy]).collect::<Vec<_>>().join(", "));
    let said = printer::scenario(&Scenario { expects, ..scenario }, &names);
    text.push_str(&match most {
        Some(most) => said.replace(&format!(" on {most}\n"), " on all\n"),
        None => said,
    });
    text
}

/// What each built-in policy comes to, policies that come to the same together.
fn expectations(scenario: &Scenario) -> Vec<crate::ir::Expect> {
    let mut groups: Vec<(Outcome, Vec<usize>)> = Vec::new();
    for (index, named) in policy::builtin().iter().enumerate() {
        let Verdict::Came(outcome) = judge(scenario, Under { policy: &named.policy, index }, Story::Untold).verdict else {
            continue;
        };
        match groups.iter_mut().find(|(other, _)| *other == outcome) {
            Some((_, on)) => on.push(index),
            None => groups.push((outcome, vec![index])),
        }
    }
    let expect = |(outcome, on)| crate::ir::Expect {
        frequency: Frequency::Always,
        outcome,
        on,
        reason: String::new(),
        span: Span::default(),
    };
    groups.into_iter().map(expect).collect()
}
