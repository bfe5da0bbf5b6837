//! How values, outcomes, decisions and counts read. Every format says them alike.

use crate::check::report::{Expected, Met, PolicyResult, Race, Verdict};
use crate::ir::Outcome;
use crate::trace::Decision;

/// An outcome as its word and what stands behind it: `("breach", Some("I7"))`.
pub fn outcome(outcome: Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Leak => ("leak", None),
        Outcome::Lost => ("lost", None),
        Outcome::Missed => ("missed", None),
        Outcome::Breach(number) => ("breach", Some(format!("I{number}"))),
        Outcome::Event(event) => ("event", Some(event.to_string())),
        Outcome::Fails(failure) => ("fails", Some(failure.to_string())),
        Outcome::Copies(number) => ("copies", Some(number.to_string())),
    }
}

/// A verdict as its word and what stands behind it; of a skip that is the reason.
pub fn verdict(verdict: &Verdict) -> (&'static str, Option<String>) {
    match verdict {
        Verdict::Came(came) => outcome(*came),
        Verdict::Skip(reason) => ("skip", Some(reason.clone())),
    }
}

/// `leak`, `breach I7`, `skip`.
pub fn short_verdict(of: &Verdict) -> String {
    match verdict(of) {
        ("skip", _) | (_, None) => verdict(of).0.to_owned(),
        (word, Some(detail)) => format!("{word} {detail}"),
    }
}

/// `1 copy`, `2 copies`.
pub fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    let number = number.into();
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What all orders of a race come to: `in some orders lost, in others ok`.
pub fn race(race: Option<&Race>) -> Option<String> {
    let race = race?;
    let mut words: Vec<String> =
        race.endings.iter().map(|(ending, _)| ending.map_or("deadlock".to_owned(), |outcome| outcome.to_string())).collect();
    words.sort();
    let bound = race.bound.as_ref().map(|bound| format!(" (not all were tried: {bound})")).unwrap_or_default();
    Some(match &words[..] {
        [one] => format!("in every order {one}{bound}"),
        _ => format!("in some orders {}{bound}", words.join(", in others ")),
    })
}

/// Neighbours with the same key once, each with their number: a page of a THP seldom fares otherwise than the next.
pub fn runs<T, K: PartialEq>(items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<(T, usize)> {
    let mut runs: Vec<(T, usize)> = Vec::new();
    for item in items {
        match runs.last_mut() {
            Some((first, number)) if key(first) == key(&item) => *number += 1,
            _ => runs.push((item, 1)),
        }
    }
    runs
}

/// ` (512 times)` behind what is told once and was so more often.
pub fn times(number: usize) -> String {
    if number < 2 { String::new() } else { format!(" ({number} times)") }
}

/// A decision in a line: `reuse: last mapping (reuse_small = map_swap; mapcount 1, refcount 2)`.
pub fn decision(of: &Decision) -> String {
    decision_under(of, &[of.value])
}

/// As [`decision`], without the knob: `reuse: last mapping (mapcount 1, refcount 2)`.
pub fn decision_without_knob(of: &Decision) -> String {
    decision_under(&Decision { knob: "", ..of.clone() }, &[])
}

/// As [`decision`], where several values of the knob decide alike.
pub fn decision_under(of: &Decision, values: &[&str]) -> String {
    let reason = if of.reason.is_empty() { String::new() } else { format!(": {}", of.reason) };
    let grounds = grounds(of, values);
    match grounds.is_empty() {
        true => format!("{}{reason}", of.verdict),
        false => format!("{}{reason} ({grounds})", of.verdict),
    }
}

/// What a decision rests on: `reuse_small = map_swap; mapcount 1, refcount 2`. Empty where it rests on nothing.
fn grounds(decision: &Decision, values: &[&str]) -> String {
    let knob = if decision.knob.is_empty() { String::new() } else { format!("{} = {}", decision.knob, values.join(" | ")) };
    let operands: Vec<_> = decision.operands.iter().map(|(name, number)| format!("{name} {number}")).collect();
    match (knob.is_empty(), operands.is_empty()) {
        (true, _) => operands.join(", "),
        (false, true) => knob,
        (false, false) => format!("{knob}; {}", operands.join(", ")),
    }
}

/// What was expected of a policy, as one text: `leak`, `leak, copies 2`.
pub fn expected(result: &PolicyResult) -> String {
    result.expected.iter().map(|expected| expected.text.as_str()).collect::<Vec<_>>().join(", ")
}

/// What came instead of an expectation that is unmet: a number of copies where that was expected, else the outcome.
pub fn came(result: &PolicyResult, expected: &Expected) -> String {
    match expected.text.contains("copies") {
        true => cost(result),
        false => short_verdict(&result.run.verdict),
    }
}

/// `1 copy`, `2 copies, 1 gratuitous`.
pub fn cost(result: &PolicyResult) -> String {
    let copies = count(result.run.copies, "copy", "copies");
    match result.run.gratuitous {
        0 => copies,
        number => format!("{copies}, {number} gratuitous"),
    }
}

/// All expectations and assertions together: unmet where one is, else not judged where one is not, else met.
pub fn met(result: &PolicyResult) -> Met {
    let any = |met: Met| result.expected.iter().any(|expected| expected.met == met);
    if any(Met::No) || !result.run.unmet.is_empty() {
        Met::No
    } else if any(Met::NotJudged) || matches!(result.run.verdict, Verdict::Skip(_)) {
        Met::NotJudged
    } else {
        Met::Yes
    }
}
