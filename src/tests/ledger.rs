//! What real kernels were seen to do, in `corpus/ledger.tsv`, held against the engine: no kernel is needed for it.
//!
//! Stories of the kernel's COW selftest are long, of THPs in every form: of most of its rows only the outcome is looked at, which the
//! test of the corpus holds against the engine. `COWL_TEST_LEDGER=all` has all their stories told, in minutes (`--release`).

use std::collections::BTreeMap;

use super::scenario_files;
use crate::check::report::Verdict;
use crate::check::{Story, Under, judge};
use crate::ir::{Outcome, Scenario};
use crate::metal::ledger::{HEAD, Row};
use crate::metal::story;
use crate::policy;
use crate::render::words;

/// Rows of which most are only asked for their outcome.
const LONG: &str = "corpus/selftest/cow/";

/// The scenarios of the corpus by file, name and kind.
type Scenarios = BTreeMap<(String, String, String), Scenario>;

fn scenarios() -> Scenarios {
    let kind = |scenario: &Scenario| scenario.kind.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let files = scenario_files("corpus").into_iter();
    let all = files.flat_map(|file| {
        let path = file.path;
        file.lowered.scenarios.into_iter().map(move |it| ((path.clone(), it.name.clone(), kind(&it)), it))
    });
    all.collect()
}

/// The place of a row's policy among those that are built in.
fn place(row: &Row) -> usize {
    policy::builtin().iter().position(|named| named.name == row.policy).expect("a built-in policy")
}

/// What the engine makes of a row's scenario under the row's policy: the outcome and the digest of its story.
fn of_engine(scenario: &Scenario, row: &Row) -> Result<(String, String), String> {
    let index = place(row);
    let named = policy::builtin()[index].policy;
    let policy = policy::of_point(&row.release).map_or(named, |fix| fix(named));
    let run = judge(scenario, Under { policy: &policy, index }, Story::Whole);
    let facts: Vec<&str> = row.facts.split(',').collect();
    match &run.verdict {
        Verdict::Skip(why) => Err(format!("the engine skips it: {why}")),
        verdict => Ok((words::short_verdict(verdict), Row::digest_of(&story::of_engine(&run, &scenario.program, &facts)))),
    }
}

/// What the scenario expects under the row's policy.
fn expected(scenario: &Scenario, row: &Row) -> String {
    let speaks = scenario.expects.iter().find(|expect| expect.on.contains(&place(row)));
    speaks.map_or(Outcome::Ok, |expect| expect.outcome).to_string()
}

/// What is wrong with a row; `None` where it is as the engine says.
fn complaint(scenarios: &Scenarios, row: &Row, whole: bool) -> Option<String> {
    let Some(scenario) = scenarios.get(&(row.file.clone(), row.scenario.clone(), row.kind.clone())) else {
        return Some(format!("{row}\n  there is no such scenario"));
    };
    if !whole && row.file.starts_with(LONG) && !row.digest.ends_with("00") {
        let expected = expected(scenario, row);
        return (expected != row.outcome).then(|| format!("{row}\n  the scenario expects {expected}"));
    }
    match of_engine(scenario, row) {
        Ok(came) if came == (row.outcome.clone(), row.digest.clone()) => None,
        Ok((outcome, digest)) => Some(format!("{row}\n  the engine: {outcome} {digest}")),
        Err(why) => Some(format!("{row}\n  {why}")),
    }
}

#[test]
fn the_engine_does_what_kernels_were_seen_to_do() {
    let text = include_str!("../../corpus/ledger.tsv");
    let (whole, scenarios) = (std::env::var_os("COWL_TEST_LEDGER").is_some_and(|word| word == "all"), scenarios());
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEAD));
    let rows: Vec<Row> = lines.map(|line| Row::read(line).unwrap_or_else(|| panic!("not a row: {line}"))).collect();
    for row in &rows {
        assert_eq!(policy::of_kernel(&row.release).map(|named| named.name), Some(&*row.policy), "{row}");
    }
    let complaints: Vec<String> = rows.iter().filter_map(|row| complaint(&scenarios, row, whole)).collect();
    assert!(complaints.is_empty(), "{}\nsee `cowl kernel compare FILE` on that kernel", complaints.join("\n"));
    assert!(50 < rows.len(), "the ledger has lost its rows");
}

#[test]
fn a_row_that_another_policy_would_write_is_told() {
    let (text, scenarios) = (include_str!("../../corpus/ledger.tsv"), scenarios());
    let mut rows = text.lines().filter_map(Row::read).filter(|row| row.scenario == "vmsplice-child-sees-parents-later-write");
    let row = rows.next_back().expect("the ledger has the first bug of the gallery");
    let scenario = &scenarios[&(row.file.clone(), row.scenario.clone(), row.kind.clone())];
    assert_eq!(of_engine(scenario, &row), Ok((row.outcome.clone(), row.digest.clone())));
    let other = of_engine(scenario, &Row { policy: "linux-5.7".to_owned(), ..row.clone() }).expect("it runs");
    assert_ne!(other, (row.outcome.clone(), row.digest.clone()));
    assert_eq!(other.0, "leak");
    let wrong = Row { outcome: "lost".to_owned(), ..row };
    assert!(complaint(&scenarios, &wrong, false).is_some());
}

#[test]
fn a_long_row_with_another_outcome_is_told_without_its_story() {
    let (text, scenarios) = (include_str!("../../corpus/ledger.tsv"), scenarios());
    let mut rows = text.lines().filter_map(Row::read).filter(|row| row.file.starts_with(LONG) && !row.digest.ends_with("00"));
    let row = rows.next().expect("the ledger has the selftest");
    assert_eq!(complaint(&scenarios, &row, false), None);
    assert!(complaint(&scenarios, &Row { outcome: "lost".to_owned(), ..row.clone() }, false).is_some());
    assert!(complaint(&scenarios, &Row { scenario: "nothing".to_owned(), ..row }, false).is_some());
}
