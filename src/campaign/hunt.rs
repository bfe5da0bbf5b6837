//! A campaign: programs drawn and changed, run and judged, one after another, until somebody says stop.
//!
//! The sequence of programs depends on the seed, the shard and what the corpus held at the start, and on nothing else: no clock, no
//! thread. What is found is reduced at once and kept by its signature.

use std::collections::BTreeMap;

use super::books::{self, Unbalanced};
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

/// What programs are held against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Claim {
    /// What a policy promises: no leak, no loss, no event missed, no rule broken
    #[default]
    Promise,
    /// That counts add up, under any coherent policy: each program has one of its own
    Books,
}

/// What is hunted, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shard: Shard,
    pub policy_name: String,
    pub policy: Policy,
    pub claim: Claim,
    pub settings: Settings,
}

impl Claim {
    /// What the inner loop looks at.
    fn look(self) -> Look {
        match self {
            Claim::Promise => Look::Operations,
            Claim::Books => Look::Accounts,
        }
    }
}

impl Plan {
    /// The command that a program's number belongs to.
    pub fn command(&self) -> String {
        match self.claim {
            Claim::Promise => format!("cowl fuzz --policy {} --seed {}", self.policy_name, self.seed),
            Claim::Books => format!("cowl fuzz --claim books --seed {}", self.seed),
        }
    }
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
    /// Books that do not add up in a way that the campaign had not seen: the key.
    Unbalanced(String),
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
    /// Books that do not add up, by what does not.
    pub unbalanced: BTreeMap<String, Unbalanced>,
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
            unbalanced: BTreeMap::new(),
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
        let look = self.plan.claim.look();
        let ran = crash::caught(|| exec::run(&program, policy, look, hits));
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
        let policy = self.plan.policy;
        let (ran, keep) = crash::caught(|| self.run(&program, &policy)).ok()?;
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
        let policy = self.policy(number);
        match crash::caught(|| self.ran(&program, &policy, number)) {
            Ok(Turn::Kept) => {
                self.corpus.push(program);
                Turn::Kept
            }
            Ok(turn) => turn,
            Err(message) => {
                self.hits.take_fresh();
                // Behind a broken rule our own checks may fail too.
                if self.plan.claim == Claim::Books && crash::of(&program, &policy).is_none() {
                    return Turn::Same;
                }
                self.crashed(program, &policy, message, Some(number)).map_or(Turn::Same, Turn::Crashed)
            }
        }
    }

    /// The policy of a program: the campaign's, or of the books one that is drawn for it.
    fn policy(&self, number: u64) -> Policy {
        match self.plan.claim {
            Claim::Promise => self.plan.policy,
            Claim::Books => books::any_policy(&mut Seeded::of(!self.plan.seed, number)),
        }
    }

    /// Runs a program: what was new about what is wrong with it, or whether it is to be kept.
    fn ran(&mut self, program: &Program, policy: &Policy, number: u64) -> Turn {
        let (ran, keep) = self.run(program, policy);
        self.counts.wrong += u64::from(ran.wrong.is_some());
        match (ran.wrong, self.plan.claim) {
            (None, _) if keep => Turn::Kept,
            (None, _) => Turn::Same,
            (Some(wrong), Claim::Promise) => self.judge(program, number, wrong).map_or(Turn::Same, Turn::Caught),
            (Some(wrong), Claim::Books) => self.audit(program, policy, number, wrong).map_or(Turn::Same, Turn::Unbalanced),
        }
    }

    /// Runs a program: how, and whether it reached something new and nothing is wrong with it.
    fn run(&mut self, program: &Program, policy: &Policy) -> (Ran, bool) {
        let ran = exec::run(program, policy, self.plan.claim.look(), &mut self.hits);
        self.counts.operations += u64::from(ran.operations);
        self.counts.cut_short += u64::from(ran.cut_short);
        let fresh = 0 < self.hits.take_fresh();
        (ran, fresh && ran.wrong.is_none())
    }

    /// Notes a panic; its key where it is the first of its kind.
    fn crashed(&mut self, program: Program, policy: &Policy, message: String, number: Option<u64>) -> Option<String> {
        let key = crash::key(&message);
        if let Some(known) = self.crashes.get_mut(&key) {
            known.times += 1;
            return None;
        }
        let crash = crash::reduced(program, policy, message, number);
        self.crashes.insert(key.clone(), crash);
        Some(key)
    }

    /// Takes in a program that was caught before.
    pub fn catch_again(&mut self, program: &Program) {
        let policy = &self.plan.policy.clone();
        if let Some(message) = crash::of(program, policy) {
            self.crashed(program.clone(), policy, message, None);
        } else if let Some(finding) = examine(program, policy) {
            let known = known::of(&self.plan.policy_name, &finding);
            let caught = Catch { finding, program: None, times: 0, known };
            self.caught.entry(caught.finding.signature).or_insert(caught);
        }
    }

    /// Takes in books that did not add up before.
    pub fn audit_again(&mut self, program: &Program, policy: &Policy) {
        if let Ok(Some(found)) = crash::caught(|| books::unbalanced(program, policy)) {
            self.unbalanced.entry(found.key()).or_insert(Unbalanced { times: 0, ..found });
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

    /// Whether a program that went wrong is to be looked at closely: of each sort all at first, then one of many.
    fn is_looked_at(&mut self, program: &Program, wrong: Wrong) -> bool {
        let kind = match wrong {
            Wrong::Broken(_, broken) => broken.rule.number,
            Wrong::Unkept(..) => 100,
            Wrong::Missed(_) => 101,
        };
        let verb = program.code[wrong.pc().idx()].op.verb() as u8;
        let sort = self.sorts.entry((kind, verb, ingredients(program))).or_default();
        *sort += 1;
        *sort <= CLOSE_LOOKS || sort.is_multiple_of(LATER_LOOKS)
    }

    /// Makes books that do not add up small; the key where it is the first of its kind.
    fn audit(&mut self, program: &Program, policy: &Policy, number: u64, wrong: Wrong) -> Option<String> {
        if !self.is_looked_at(program, wrong) {
            return None;
        }
        let found = books::unbalanced(program, policy)?;
        if let Some(known) = self.unbalanced.get_mut(&found.key()) {
            known.times += 1;
            return None;
        }
        let found = books::reduced(Unbalanced { number: Some(number), ..found });
        let key = found.key();
        self.unbalanced.insert(key.clone(), found);
        Some(key)
    }

    /// Looks closely at a program that went wrong; the signature where it is the first of its kind.
    fn judge(&mut self, program: &Program, number: u64, wrong: Wrong) -> Option<Signature> {
        if !self.is_looked_at(program, wrong) {
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
        for (key, found) in other.unbalanced {
            match self.unbalanced.get_mut(&key) {
                Some(known) => known.times += found.times,
                None => drop(self.unbalanced.insert(key, found)),
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
