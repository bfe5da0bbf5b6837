//! What was caught, as a scenario file: what it shows, where it came from, and what every built-in policy makes of it.

use std::fmt::Write as _;

use super::crash::Crash;
use super::finding::Finding;
use super::hunt::{Catch, Plan};
use crate::check::report::Verdict;
use crate::check::{Story, Under, judge};
use crate::generate::scale::grown;
use crate::ir::{Frequency, Outcome, Scenario};
use crate::policy;
use crate::printer;
use crate::types::Span;

/// A caught finding, ready to be named and put under `corpus/regress/`.
pub fn caught(plan: &Plan, caught: &Catch) -> String {
    let from = match caught.program {
        Some(program) => {
            format!("found by `cowl fuzz --policy {} --seed {}` as program {program}", plan.policy_name, plan.seed)
        }
        None => format!("found before under {}", plan.policy_name),
    };
    let known = caught.known.map_or(String::new(), |known| format!("# known: {known}\n"));
    format!("# {from}\n{known}{}", finding(&caught.finding, &plan.policy_name))
}

/// A panic, as a scenario that causes it.
pub fn crash(plan: &Plan, crash: &Crash) -> String {
    let first = crash.message.lines().next().unwrap_or_default();
    let from = crash.number.map_or(String::new(), |number| format!(" --seed {} as program {number}", plan.seed));
    let program = printer::program(&grown(&crash.program));
    format!("# found by `cowl fuzz --policy {}{from}`\n# panic: {first}\n{program}", plan.policy_name)
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
