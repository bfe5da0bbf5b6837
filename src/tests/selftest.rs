//! What the engine predicts of the kernel's own COW selftest: `docs/src/selftest.md`, made from the scenarios' expectations, which
//! the corpus test holds against every run.
//!
//! With `COWL_DOCS=overwrite` in the environment the page is brought up to date instead of compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::scenario_files;
use crate::check::lacks;
use crate::ir::{Outcome, Scenario};
use crate::metal::ledger::Row;
use crate::policy::{self, Kind, LATEST_NAME};
use crate::render::compress;

/// What stands before a test's name in its scenario's `origin`.
const ORIGIN: &str = "selftests/mm/cow.c: ";

/// Policies that have a table: the stable trees that real kernels are compared with, a release before swap was reworked, the newest.
const POLICIES: &[&str] = &["linux-5.10-stable", "linux-6.1-stable", "linux-6.12", LATEST_NAME];

/// The kinds of anonymous memory as columns: `prepare`, how the page calls it.
const KINDS: &[(&str, &str)] = &[
    ("base-page", "base page"),
    ("swapped-base-page", "swapped"),
    ("thp", "THP"),
    ("swapped-thp", "swapped"),
    ("pte-mapped-thp", "PTE-mapped THP"),
    ("swapped-pte-mapped-thp", "swapped"),
    ("single-pte-of-thp", "single PTE of THP"),
    ("single-pte-of-swapped-thp", "swapped"),
    ("partially-mremapped-thp", "partially mremapped THP"),
    ("partially-shared-thp", "partially shared THP"),
    ("hugetlb", "hugetlb"),
];

/// What is expected of one test under every policy, kind by kind.
struct Test {
    name: String,
    kinds: Vec<(String, Vec<String>)>,
}

/// All tests of the selftest, in the order of their files.
fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    for file in scenario_files("corpus/selftest/cow") {
        for scenario in &file.lowered.scenarios {
            let origin = scenario.origin.strip_prefix(ORIGIN).expect("a scenario says which test it is");
            let name = origin.split(';').next().unwrap_or_default().to_owned();
            let kind = scenario.kind.as_ref().map_or_else(|| "pte-mapped-thp".to_owned(), ToString::to_string);
            let verdicts = (kind, policy::builtin().iter().enumerate().map(|(at, _)| expected(scenario, at)).collect());
            match tests.iter_mut().find(|test| test.name == name) {
                Some(test) => test.kinds.push(verdicts),
                None => tests.push(Test { name, kinds: vec![verdicts] }),
            }
        }
    }
    tests
}

/// What a policy is expected to make of a scenario; `-` where it lacks something.
fn expected(scenario: &Scenario, policy: usize) -> String {
    if lacks(&scenario.program, &policy::builtin()[policy].policy).is_some() {
        return "-".to_owned();
    }
    let speaks = scenario.expects.iter().find(|expect| expect.on.contains(&policy));
    let outcome = speaks.map_or(Outcome::Ok, |expect| expect.outcome);
    assert!(!matches!(outcome, Outcome::Copies(_)), "the page tells outcomes");
    outcome.to_string()
}

fn place(name: &str) -> usize {
    let name = policy::find(name).expect("a built-in policy").name;
    policy::builtin().iter().position(|named| named.name == name).expect("it is built in")
}

/// A test under one policy: a row of its table.
fn row(test: &Test, policy: usize) -> String {
    let verdict =
        |kind: &str| test.kinds.iter().find(|(of, _)| of == kind).map_or("", |(_, verdicts)| verdicts[policy].as_str());
    let bold = |verdict: &str| if matches!(verdict, "ok" | "-" | "") { verdict.to_owned() } else { format!("**{verdict}**") };
    let cells: String = KINDS.iter().map(|(kind, _)| format!(" {} |", bold(verdict(kind)))).collect();
    format!("| {} |{cells}\n", test.name)
}

/// The policies under which a test goes wrong, for the kinds that fare alike.
fn groups(test: &Test) -> BTreeMap<String, Vec<&str>> {
    let names: Vec<String> = policy::builtin().iter().map(|named| named.name.to_owned()).collect();
    let releases = policy::builtin().iter().filter(|named| matches!(named.kind, Kind::Release(..)));
    let releases: Vec<String> = releases.map(|named| named.name.to_owned()).collect();
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (kind, verdicts) in test.kinds.iter().filter(|(kind, _)| !kind.contains('(')) {
        let mut by_verdict: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        verdicts.iter().enumerate().for_each(|(at, verdict)| by_verdict.entry(verdict).or_default().push(at));
        let wrong = by_verdict.iter().filter(|(verdict, _)| !matches!(**verdict, "ok" | "-"));
        let told: Vec<_> = wrong.map(|(verdict, on)| format!("{verdict} on {}", compress(&names, on, &releases))).collect();
        groups.entry(told.join("; ")).or_default().push(kind);
    }
    groups
}

fn page(tests: &[Test]) -> String {
    let mut page = String::from(
        "# The kernel's COW selftest, predicted\n\n\
         `corpus/selftest/cow` says every test of `tools/testing/selftests/mm/cow.c` over every kind of memory that it runs over, under the\n\
         names that both have there. This page is what the scenarios expect, and every run of the corpus holds them to it.\n\n\
         A *leak* or *lost* is a `not ok` of the original, a `-` its SKIP. The orders below a PMD (mTHP) have no columns of their own: in each\n\
         form they fare as the THP does, which a test checks; they exist on kernels from 6.8 on. The tests of hugetlb memory with `vmsplice` are\n\
         marked as expected failures in the original. R/O pins need CONFIG_GUP_TEST and a kernel from 6.2 on to be run there.\n\n\
         Of what the other selftests do, `corpus/selftest` has what is about whose page it is: unmerging, write protection and pins of\n\
         `ksm_functional_tests`, all of `mkdirty`, `soft-dirty`, `gup_longterm`, and the tests of `uffd-unit-tests` that share or move pages.\n\
         Left out are the switches of KSM (`test_prctl`, which no page shows), what userfaultfd offers and tells (`register-ioctls`, `sigbus`,\n\
         `events`, `poison`), and large folios of the page cache (`minor-collapse`).\n",
    );
    let heads: String = KINDS.iter().map(|(_, head)| format!(" {head} |")).collect();
    let anonymous = |test: &&Test| test.kinds.iter().any(|(kind, _)| KINDS.iter().any(|(known, _)| kind == known));
    for name in POLICIES {
        let policy = place(name);
        let _ =
            write!(page, "\n## {}\n\n| test |{heads}\n|---|{}\n", policy::builtin()[policy].name, "---|".repeat(KINDS.len()));
        tests.iter().filter(anonymous).for_each(|test| page += &row(test, policy));
    }
    page += &seen();
    page += "\n## Under which policies each goes wrong\n";
    for test in tests {
        let _ = write!(page, "\n{}\n\n", test.name);
        for (wrong, kinds) in groups(test) {
            let wrong = if wrong.is_empty() { "nowhere" } else { &wrong };
            let _ = writeln!(page, "- {}: {wrong}", kinds.join(", "));
        }
    }
    page
}

/// What kernels were seen to do with the same cases. That each is what the engine says, the test of the ledger checks.
fn seen() -> String {
    let rows: Vec<Row> = include_str!("../../corpus/ledger.tsv").lines().filter_map(Row::read).collect();
    let rows: Vec<&Row> = rows.iter().filter(|row| row.file.starts_with("corpus/selftest/cow/")).collect();
    let mut kernels: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| kernels.entry(&row.release).or_default().push(row));
    let mut page = String::from(
        "\n## On real kernels\n\n\
         Cases that were run on kernels with swap and huge pages on, and agreed in the outcome and in every fact that the kernel shows\n\
         (`corpus/ledger.tsv`). What cannot be run there is mostly R/O pins, which want gup_test, and before 6.8 folios smaller than a THP.\n\n\
         | kernel | cases | ok | leak | lost | fails |\n|---|---|---|---|---|---|\n",
    );
    for (release, rows) in &kernels {
        let count = |outcome: &str| rows.iter().filter(|row| row.outcome.starts_with(outcome)).count();
        let [ok, leak, lost, fails] = ["ok", "leak", "lost", "fails"].map(count);
        let _ = writeln!(page, "| {release} | {} | {ok} | {leak} | {lost} | {fails} |", rows.len());
    }
    page += "\nThose that went wrong:\n\n";
    for (release, rows) in &kernels {
        let mut wrong: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.outcome != "ok") {
            wrong.entry((&row.scenario, &row.outcome)).or_default().push(&row.kind);
        }
        for ((test, outcome), kinds) in wrong {
            let kinds = if kinds == ["-"] { String::new() } else { format!(" over {}", kinds.join(", ")) };
            let _ = writeln!(page, "- {release}: {outcome}: {test}{kinds}");
        }
    }
    page
}

#[test]
fn the_page_on_the_selftest_is_what_its_scenarios_expect() {
    let made = page(&tests());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/selftest.md");
    if std::env::var_os("COWL_DOCS").is_some_and(|word| word == "overwrite") {
        std::fs::write(&path, &made).expect("docs/src/selftest.md can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/src/selftest.md is not current: run `COWL_DOCS=overwrite cargo test selftest`, and read the diff"
    );
}

#[test]
fn a_large_folio_of_any_order_fares_as_the_thp_in_the_same_form() {
    for test in tests() {
        for (kind, verdicts) in test.kinds.iter().filter(|(kind, _)| kind.contains('(')) {
            let form = kind.split('(').next().unwrap_or_default();
            let (thp, of_thp) = test.kinds.iter().find(|(other, _)| *other == format!("{form}-thp")).expect("a form of a THP");
            assert_eq!(verdicts, of_thp, "{}: {kind} and {thp}", test.name);
        }
    }
}

#[test]
fn from_6_1_on_only_gets_of_hugetlb_pages_leak() {
    let tests = tests();
    let tests = tests.iter().filter(|test| !test.name.contains("longterm"));
    for test in tests {
        for (kind, verdicts) in &test.kinds {
            let excused = test.name.contains("vmsplice") && kind == "hugetlb";
            let fails_to_collapse = test.name.contains("fully shared");
            let from = place("linux-6.1")..=place("latest");
            let wrong = verdicts[from].iter().any(|verdict| !matches!(verdict.as_str(), "ok" | "-"));
            assert_eq!(wrong, excused || fails_to_collapse, "{} over {kind}: {verdicts:?}", test.name);
        }
    }
}
