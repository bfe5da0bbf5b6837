//! The claim about the books: whatever the program and whatever coherent answers a policy gives, counts add up at every step.
//!
//! A design may be wrong about who owns a page; that does not excuse a count. So promises are not looked at here, and each program has
//! a policy of its own, drawn like the program.

use super::exec::{self, Cover, Look, Wrong};
use super::{crash, reduce};
use crate::check::invariants::Invariant;
use crate::generate::Dice;
use crate::ir::{Program, Verb};
use crate::policy::{self, KNOBS, Policy};
use crate::types::Pc;

/// Answers of a policy that are changed, one of these for each policy.
const CHANGES: [usize; 4] = [0, 2, 6, KNOBS.len()];

/// Books that do not add up: the smallest program and the policy nearest to the newest release that show it.
#[derive(Clone, PartialEq, Debug)]
pub struct Unbalanced {
    pub program: Program,
    pub policy: Policy,
    pub rule: &'static Invariant,
    /// The instruction after which, or in which, the rule does not hold.
    pub pc: Pc,
    /// The number of the program in its campaign; `None` where it was found before.
    pub number: Option<u64>,
    /// How many programs showed it, as far as was looked.
    pub times: u64,
}

impl Unbalanced {
    /// What makes two of them the same: `I9 at write`.
    pub fn key(&self) -> String {
        key(&self.program, self.rule, self.pc)
    }
}

fn key(program: &Program, rule: &Invariant, pc: Pc) -> String {
    format!("{} at {}", rule.id, program.code[pc.idx()].op.verb())
}

/// A built-in policy with answers changed: always one that is coherent.
pub fn any_policy(dice: &mut dyn Dice) -> Policy {
    let all = policy::builtin();
    let mut policy = all[dice.below(all.len() as u32) as usize].policy;
    for _ in 0..dice.pick(&CHANGES).unwrap_or(0) {
        let knob = &KNOBS[dice.below(KNOBS.len() as u32) as usize];
        let before = knob.get(&policy);
        knob.set(&mut policy, dice.below(knob.count() as u32) as usize);
        if policy.coherent().is_err() {
            knob.set(&mut policy, before);
        }
    }
    policy
}

/// Runs a program to its end, or to where a count does not add up.
pub fn run<C: Cover>(program: &Program, policy: &Policy, cover: &mut C) -> exec::Ran {
    exec::run(program, policy, Look::Accounts, cover)
}

/// What is wrong with the books of a program, if anything.
pub fn unbalanced(program: &Program, policy: &Policy) -> Option<Unbalanced> {
    match run(program, policy, &mut ()).wrong? {
        Wrong::Broken(pc, broken) => {
            Some(Unbalanced { program: program.clone(), policy: *policy, rule: broken.rule, pc, number: None, times: 1 })
        }
        Wrong::Unkept(..) | Wrong::Missed(_) => None,
    }
}

/// The same with every statement left out that it does not need, and every answer taken back to the newest release's that it does not
/// need either.
pub fn reduced(found: Unbalanced) -> Unbalanced {
    let key = found.key();
    let (number, times) = (found.number, found.times);
    let of = |program: &Program, policy: &Policy| {
        let found = crash::caught(|| unbalanced(program, policy)).ok().flatten();
        found.filter(|found| found.key() == key)
    };
    let mut policy = found.policy;
    let mut program = reduce::cut_while(found.program.clone(), |program| of(program, &policy).is_some());
    if let Some(latest) = policy::find(policy::LATEST_NAME) {
        policy = nearest(&policy, &latest.policy, |policy| of(&program, policy).is_some());
        program = reduce::cut_while(program, |program| of(program, &policy).is_some());
    }
    let small = of(&program, &policy).unwrap_or(found);
    Unbalanced { number, times, ..small }
}

/// A policy with its answers taken back to another's one by one, as long as `shows` holds.
fn nearest(policy: &Policy, to: &Policy, shows: impl Fn(&Policy) -> bool) -> Policy {
    let mut best = *policy;
    let mut take = |nearer: Policy| {
        if nearer.coherent().is_ok() && shows(&nearer) {
            best = nearer;
        }
        best
    };
    let mut now = take(*to);
    now = take(Policy { lacks: to.lacks, ..now });
    for defect in to.defects.iter() {
        now = take(Policy { defects: now.defects.with(&[defect]), ..now });
    }
    for defect in policy.defects.iter().filter(|defect| !to.defects.has(*defect)) {
        now = take(Policy { defects: now.defects.without(&[defect]), ..now });
    }
    for knob in KNOBS {
        let mut nearer = now;
        knob.set(&mut nearer, knob.get(to));
        now = take(nearer);
    }
    now
}

/// Where the verb is that a key is about; for the names of files.
pub fn verb(found: &Unbalanced) -> Verb {
    found.program.code[found.pc.idx()].op.verb()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::tests::hunt;
    use crate::generate::Seeded;
    use crate::policy::{Defect, Defects};

    #[test]
    fn every_policy_that_is_drawn_is_coherent_and_they_differ() {
        let drawn: Vec<Policy> = (0..300).map(|nth| any_policy(&mut Seeded::of(3, nth))).collect();
        assert!(drawn.iter().all(|policy| policy.coherent().is_ok()));
        let far = |policy: &&Policy| policy::builtin().iter().all(|named| 4 < policy::diff(&named.policy, policy).len());
        assert!(60 < drawn.iter().filter(far).count());
    }

    #[test]
    fn books_add_up_under_any_policy() {
        let mut hunt = hunt("any", policy::find(policy::LATEST_NAME).expect("the newest").policy, 1);
        hunt.plan.claim = crate::campaign::hunt::Claim::Books;
        (0..3_000).for_each(|_| drop(hunt.turn()));
        let found = hunt.unbalanced.keys().chain(hunt.crashes.keys()).next();
        assert_eq!(found, None);
        assert!(40_000 < hunt.counts.operations && hunt.counts.cut_short < 60, "{:?}", hunt.counts);
    }

    #[test]
    fn a_count_that_is_forgotten_is_found_and_the_policy_is_taken_back_to_that() {
        let latest = policy::find(policy::LATEST_NAME).expect("the newest").policy;
        let settings = crate::generate::Settings::new(crate::generate::everything);
        let found = (0..2_000).find_map(|nth| {
            let mut dice = Seeded::of(5, nth);
            let defects = Defects::of(&[Defect::CopyForgetsMapcount]);
            let policy = Policy { defects, ..any_policy(&mut dice) };
            unbalanced(&crate::generate::program(&mut dice, &settings), &policy)
        });
        let small = reduced(found.expect("it is forgotten at every copy"));
        assert_eq!(small.key(), "I9 at write");
        assert!(small.program.code.len() <= 4, "{}", small.program.code.len());
        let differs = policy::diff(&latest, &small.policy);
        assert!(differs.len() == 1 && differs[0].name() == "defect", "{differs:?}");
    }
}
