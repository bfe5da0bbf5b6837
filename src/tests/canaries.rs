//! Every rule is seen to fail: a scenario in `corpus/canary/` breaks it under a policy that no kernel had. Which, stands in
//! `docs/src/invariants.md`, made here; with `COWL_DOCS=overwrite` in the environment it is brought up to date instead of compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use strum::VariantArray;

use super::scenario_files;
use crate::campaign::bank::bank;
use crate::check::invariants::{ALL, Invariant};
use crate::check::{PROMISED, Story, Under, judge};
use crate::ir::Outcome;
use crate::policy::{self, Defect};

/// The rules that canaries break under policies of their own: by their ids, the names of the scenarios.
fn broken() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for file in scenario_files("corpus/canary") {
        for (place, user) in file.lowered.policies.iter().enumerate() {
            let under = Under { policy: &user.policy, index: policy::builtin().len() + place };
            for scenario in &file.lowered.scenarios {
                let run = judge(scenario, under, Story::Untold);
                let orders = run.race.iter().flat_map(|race| &race.endings).filter_map(|(ending, _)| *ending);
                let breaches =
                    orders.filter_map(|ending| if let Outcome::Breach(number) = ending { rule(number) } else { None });
                for id in run.violations.iter().filter_map(|violation| violation.invariant).chain(breaches) {
                    found.entry(id).or_default().insert(scenario.name.clone());
                }
            }
        }
    }
    found
}

fn rule(number: u8) -> Option<&'static str> {
    ALL.iter().find(|rule| rule.number == number).map(|rule| rule.id)
}

fn page(broken: &BTreeMap<&str, BTreeSet<String>>) -> String {
    let mut out = String::from(HEAD);
    let mut table = |title: &str, rules: &[Invariant]| {
        let _ = write!(out, "\n## {title}\n\n| rule | what holds | the kernel's side | seen to fail by |\n|---|---|---|---|\n");
        for rule in rules {
            let canaries: Vec<_> = broken.get(rule.id).into_iter().flatten().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(out, "| {} | {} | {} | {} |", rule.id, rule.says, rule.source, canaries.join(", "));
        }
    };
    table("What may be seen", PROMISED);
    table("Every state", ALL);
    out + TAIL
}

const HEAD: &str = "# Invariants

Each rule has a number, which verdicts and findings name. It is seen to fail: the scenarios of `corpus/canary` beside it break it
under policies that no kernel had, and a test asks for at least one.

The rules about what may be seen are judged by holding every observation against the ideal world, and show as `leak` or `lost`. The
rules about states are judged after every step of every actor outside a page-table lock section, and show as `breach`.
";

const TAIL: &str = "
## Judged in other ways

| rule | what holds | how it is judged |
|---|---|---|
| I16 | after fork the child has what one instant of the parent had | a `race` and an observation: `fork-tears-the-snapshot-of-pinned-memory` |
| I17 | who alone has a page does not copy it | the cost: `expect copies 0`; canary `refcount-alone-copies-for-nothing` |
| I29 | who retries comes to an end | the search: an order without an end is told by its bound, one in which nobody can go on as a deadlock |

I21, that longterm pins stay out of movable zones, is not judged: the model has no zones.
";

#[test]
fn every_rule_has_a_canary_that_breaks_it() {
    let broken = broken();
    let rules: BTreeSet<_> = PROMISED.iter().chain(ALL).map(|rule| rule.id).collect();
    assert_eq!(broken.keys().copied().collect::<BTreeSet<_>>(), rules);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/invariants.md");
    let made = page(&broken);
    if std::env::var_os("COWL_DOCS").is_some_and(|word| word == "overwrite") {
        std::fs::write(&path, &made).expect("docs/src/invariants.md can be written");
    }
    let current = std::fs::read_to_string(&path).is_ok_and(|kept| kept == made);
    assert!(current, "docs/src/invariants.md is not current: run `COWL_DOCS=overwrite cargo test canaries`, and read the diff");
}

/// A scenario shows what a defect does; the bug bank only that the hunt finds it.
#[test]
fn every_defect_that_no_kernel_had_is_in_some_scenario_or_in_the_bug_bank() {
    let scenarios = scenario_files("corpus");
    let invented = Defect::VARIANTS.iter().filter(|defect| !defect.to_string().starts_with('B'));
    let used =
        |defect: &Defect| scenarios.iter().flat_map(|file| &file.lowered.policies).any(|user| user.policy.defects.has(*defect));
    let banked = |defect: &Defect| bank().iter().any(|entry| entry.defect() == Some(*defect));
    let unused: Vec<_> = invented.filter(|defect| !used(defect) && !banked(defect)).collect();
    assert!(unused.is_empty(), "neither a scenario nor the bank has {unused:?}");
}
