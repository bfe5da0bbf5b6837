//! Every rule is seen to fail: a scenario in `corpus/canary/` breaks it under a policy that no kernel had.

use std::collections::BTreeSet;

use strum::VariantArray;

use super::scenario_files;
use crate::campaign::bank::bank;
use crate::check::invariants::ALL;
use crate::check::report::Verdict;
use crate::check::{Story, Under, judge};
use crate::ir::Outcome;
use crate::lower::Lowered;
use crate::policy::{self, Defect};

fn canaries() -> Vec<Lowered> {
    scenario_files("corpus/canary").into_iter().map(|file| file.lowered).collect()
}

/// The rules that canaries break under policies of their own: numbers of breaches that came.
fn broken(canaries: &[Lowered]) -> BTreeSet<u8> {
    let mut numbers = BTreeSet::new();
    for canary in canaries {
        for (place, user) in canary.policies.iter().enumerate() {
            let under = Under { policy: &user.policy, index: policy::builtin().len() + place };
            for scenario in &canary.scenarios {
                if let Verdict::Came(Outcome::Breach(number)) = judge(scenario, under, Story::Untold).verdict {
                    numbers.insert(number);
                }
            }
        }
    }
    numbers
}

#[test]
fn every_rule_about_states_has_a_canary_that_breaks_it() {
    let rules: BTreeSet<u8> = ALL.iter().map(|rule| rule.number).collect();
    assert_eq!(broken(&canaries()), rules);
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
