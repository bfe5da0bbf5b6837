//! A campaign: programs drawn and changed, run and judged, one after another, until somebody says stop.
//!
//! The sequence of programs depends on the seed, the shard and what the corpus held at the start, and on nothing else: no clock, no
//! thread. What is found is reduced at once and kept by its signature.

use std::collections::BTreeMap;

use super::cover::Hits;
use super::crash::{self, Crash};
use super::exec::{self, Look, Ran, Wrong};
use super::finding::{Finding, Signature, examine};
use super::{known, mutate, reduce};
use crate::generate::{self, Dice, Seeded, Settings};
use crate::ir::{Backing, MemKind, Op, Program};
use crate::policy::Policy;
use crate::types::Small;

/// Programs of one sort of failure that are looked at closely before only every so many is.
const CLOSE_LOOKS: u64 = 300;

/// Past [`CLOSE_LOOKS`], one in this many is looked at closely.
const LATER_LOOKS: u64 = 64;

/// What a program is made of beside base pages and page tables, in bits: what is wrong with it is often due to that, and one sort of
/// failure that comes by the thousand must not hide another.
fn ingredients(program: &Program) -> u16 {
    let kinds = program.mems.iter().map(|mem| match mem.kind {
        MemKind::Pages => 0,
        MemKind::Thp => 1,
        MemKind::Mthp { .. } => 1 << 1,
        MemKind::Hugetlb { .. } => 1 << 2,
    });
    let ops = program.code.iter().map(|instr| match instr.op {
        Op::Pageout { .. } => 1 << 3,
        Op::KsmMerge { .. } => 1 << 4,
        Op::Migrate { .. } => 1 << 5,
        Op::UffdWp { .. } => 1 << 6,
        Op::ClearRefs => 1 << 7,
        Op::Mmap { backing: Backing::File(_), .. } => 1 << 8,
        Op::Dma { .. } => 1 << 9,
        Op::Vmsplice { .. } => 1 << 10,
        _ => 0,
    });
    kinds.chain(ops).fold(0, |all, one| all | one)
}

/// A part of a campaign: the `nth` of `of` sequences of programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    pub nth: u64,
    pub of: u64,
}

/// What is hunted, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shard: Shard,
    pub policy_name: String,
    pub policy: Policy,
    pub settings: Settings,
}

/// A violation that a campaign came upon.
#[derive(Clone, PartialEq, Debug)]
pub struct Catch {
    pub finding: Finding,
    /// The number of the program in its campaign, which with the seed makes it again; `None` where it was found before.
    pub program: Option<u64>,
    /// How many programs showed it, as far as was looked.
    pub times: u64,
    /// What it is known as; `None` where it is new.
    pub known: Option<&'static str>,
}

/// What one turn came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Turn {
    /// Nothing new.
    Same,
    /// The program reached something that no other had, and was kept.
    Kept,
    /// A violation that the campaign had not seen.
    Caught(Signature),
    /// A panic that the campaign had not seen: its key.
    Crashed(String),
}

/// Counts of a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub programs: u64,
    pub operations: u64,
    /// Programs of which something was wrong.
    pub wrong: u64,
    /// Programs that a bound of the model cut short.
    pub cut_short: u64,
}

/// A campaign under way.
#[derive(Clone, Debug)]
pub struct Hunt {
    pub plan: Plan,
    /// The next program's number.
    pub next: u64,
    pub hits: Hits,
    /// Programs that reached something first.
    pub corpus: Vec<Program>,
    pub caught: BTreeMap<Signature, Catch>,
    /// Programs that the inner loop refused and the judge did not: a bug of this crate.
    pub unexplained: Vec<Program>,
    /// Programs at which this crate itself gave up, by what it said.
    pub crashes: BTreeMap<String, Crash>,
    pub counts: Counts,
    /// How often what was wrong in which way.
    sorts: BTreeMap<(u8, u8, u16), u64>,
}

impl Hunt {
    /// A campaign that has not begun.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            next: 0,
            hits: Hits::default(),
            corpus: Vec::new(),
            caught: BTreeMap::new(),
            unexplained: Vec::new(),
            crashes: BTreeMap::new(),
            counts: Counts::default(),
            sorts: BTreeMap::new(),
        }
    }

    /// Takes in a program from elsewhere, if it reaches something new; what it shows is not judged.
    pub fn seed(&mut self, program: Program) -> bool {
        if program.exceeds::<Small>().is_some() || program.code.is_empty() {
            return false;
        }
        let (policy, hits) = (&self.plan.policy, &mut self.hits);
        let ran = crash::caught(|| exec::run(&program, policy, Look::Operations, hits));
        let fresh = 0 < self.hits.take_fresh();
        if fresh && ran.is_ok() {
            self.corpus.push(program);
        }
        fresh && ran.is_ok()
    }

    /// Makes the next program, runs it and judges it.
    pub fn turn(&mut self) -> Turn {
        let (program, number) = self.draw();
        self.take(program, number)
    }

    /// Makes the next program and runs it; where something is wrong with it, the program and what, for somebody else to judge.
    pub(super) fn shot(&mut self) -> Option<(Program, Wrong)> {
        let (program, _) = self.draw();
        let (ran, keep) = crash::caught(|| self.run(&program)).ok()?;
        match ran.wrong {
            Some(wrong) => Some((program, wrong)),
            None => {
                if keep {
                    self.corpus.push(program);
                }
                None
            }
        }
    }

    /// The next program and its number.
    fn draw(&mut self) -> (Program, u64) {
        let Shard { nth, of } = self.plan.shard;
        let number = self.next * of + nth;
        let mut dice = Seeded::of(self.plan.seed, number);
        self.next += 1;
        (self.program(&mut dice), number)
    }

    /// Runs a program and judges it. A panic on the way is a finding like any other, and the campaign goes on.
    pub(super) fn take(&mut self, program: Program, number: u64) -> Turn {
        self.counts.programs += 1;
        match crash::caught(|| self.ran(&program, number)) {
            Ok((Some(signature), _)) => Turn::Caught(signature),
            Ok((None, true)) => {
                self.corpus.push(program);
                Turn::Kept
            }
            Ok((None, false)) => Turn::Same,
            Err(message) => {
                self.hits.take_fresh();
                self.crashed(program, message, Some(number)).map_or(Turn::Same, Turn::Crashed)
            }
        }
    }

    /// Runs a program: what was new about what is wrong with it, and whether it is to be kept.
    fn ran(&mut self, program: &Program, number: u64) -> (Option<Signature>, bool) {
        let (ran, keep) = self.run(program);
        let caught = ran.wrong.and_then(|wrong| {
            self.counts.wrong += 1;
            self.judge(program, number, wrong)
        });
        (caught, keep)
    }

    /// Runs a program: how, and whether it reached something new and nothing is wrong with it.
    fn run(&mut self, program: &Program) -> (Ran, bool) {
        let ran = exec::run(program, &self.plan.policy, Look::Operations, &mut self.hits);
        self.counts.operations += u64::from(ran.operations);
        self.counts.cut_short += u64::from(ran.cut_short);
        let fresh = 0 < self.hits.take_fresh();
        (ran, fresh && ran.wrong.is_none())
    }

    /// Notes a panic; its key where it is the first of its kind.
    fn crashed(&mut self, program: Program, message: String, number: Option<u64>) -> Option<String> {
        let key = crash::key(&message);
        if let Some(known) = self.crashes.get_mut(&key) {
            known.times += 1;
            return None;
        }
        let crash = crash::reduced(program, &self.plan.policy, message, number);
        self.crashes.insert(key.clone(), crash);
        Some(key)
    }

    /// Takes in a program that was caught before.
    pub fn catch_again(&mut self, program: &Program) {
        let policy = &self.plan.policy;
        if let Some(message) = crash::of(program, policy) {
            self.crashed(program.clone(), message, None);
        } else if let Some(finding) = examine(program, policy) {
            let known = known::of(&self.plan.policy_name, &finding);
            let caught = Catch { finding, program: None, times: 0, known };
            self.caught.entry(caught.finding.signature).or_insert(caught);
        }
    }

    fn program(&self, dice: &mut Seeded) -> Program {
        let settings = &self.plan.settings;
        let pick = |dice: &mut dyn Dice| dice.below(self.corpus.len() as u32) as usize;
        if dice.percent(50)
            && let Some(one) = self.corpus.get(pick(dice))
        {
            return mutate::mutated(one, |dice| &self.corpus[pick(dice)], dice, settings);
        }
        generate::program(dice, settings)
    }

    /// Looks closely at a program that went wrong; the signature where it is the first of its kind.
    fn judge(&mut self, program: &Program, number: u64, wrong: Wrong) -> Option<Signature> {
        let kind = match wrong {
            Wrong::Broken(_, broken) => broken.rule.number,
            Wrong::Unkept(..) => 100,
            Wrong::Missed(_) => 101,
        };
        let verb = program.code[wrong.pc().idx()].op.verb() as u8;
        let sort = self.sorts.entry((kind, verb, ingredients(program))).or_default();
        *sort += 1;
        if CLOSE_LOOKS < *sort && !sort.is_multiple_of(LATER_LOOKS) {
            return None;
        }
        let policy = self.plan.policy;
        // Of an event that is not owed once the lines that did not run are left out, nobody can say that it was missed.
        let missed = matches!(wrong, Wrong::Missed(_));
        let Some(finding) = examine(program, &policy).filter(|found| !missed || found.owed) else {
            self.unexplained.push(program.clone());
            return None;
        };
        if let Some(known) = self.caught.get_mut(&finding.signature) {
            known.times += 1;
            return None;
        }
        let signature = finding.signature;
        let finding = reduce::reduced(finding, &policy);
        let known = known::of(&self.plan.policy_name, &finding);
        self.caught.insert(signature, Catch { finding, program: Some(number), times: 1, known });
        Some(signature)
    }

    /// What was caught and is not known.
    pub fn news(&self) -> impl Iterator<Item = &Catch> {
        self.caught.values().filter(|caught| caught.known.is_none())
    }

    /// Takes over what another campaign of the same plan came to.
    pub fn merge(&mut self, other: Hunt) {
        self.hits.merge(&other.hits);
        self.corpus.extend(other.corpus);
        self.unexplained.extend(other.unexplained);
        for (key, crash) in other.crashes {
            match self.crashes.get_mut(&key) {
                Some(known) => known.times += crash.times,
                None => drop(self.crashes.insert(key, crash)),
            }
        }
        let (mine, theirs) = (&mut self.counts, other.counts);
        mine.programs += theirs.programs;
        mine.operations += theirs.operations;
        mine.wrong += theirs.wrong;
        mine.cut_short += theirs.cut_short;
        for (signature, caught) in other.caught {
            match self.caught.get_mut(&signature) {
                Some(known) => known.times += caught.times,
                None => drop(self.caught.insert(signature, caught)),
            }
        }
    }
}
