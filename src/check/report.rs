//! What a run came to, as plain values; [`crate::render`] makes text of them.

use crate::ir::{Frequency, Outcome, Program};
use crate::policy::Policy;
use crate::trace::Decision;
use crate::types::{Pc, Span, Value};

/// A scenario (for one kind of memory) under every policy asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioReport {
    pub name: String,
    /// The kind of memory, as written behind `over`.
    pub kind: Option<String>,
    pub title: String,
    pub origin: String,
    /// One entry for each policy asked for, in their order.
    pub results: Vec<PolicyResult>,
}

/// A scenario under one policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyResult {
    pub policy: String,
    /// What that name stands for.
    pub under: Policy,
    pub run: Run,
    /// The expectations that speak of this policy.
    pub expected: Vec<Expected>,
}

/// An expectation held against a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// As it would be written: `leak`, `never lost`, `copies 2`.
    pub text: String,
    pub met: Met,
    /// What the author gave as reason; empty where absent.
    pub reason: String,
    /// Where the expectation stands.
    pub span: Span,
}

/// Whether an expectation is met.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Met {
    Yes,
    No,
    /// It speaks of all orders of a race, and one schedule was run; or the run was skipped.
    NotJudged,
}

/// One run of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub verdict: Verdict,
    /// All that went wrong, in order; the first is the verdict.
    pub violations: Vec<Violation>,
    /// Assertions that do not hold.
    pub unmet: Vec<UnmetAssert>,
    /// Pages copied, `prepare` apart.
    pub copies: u32,
    /// Copies among them that nobody could have missed.
    pub gratuitous: u32,
    /// What was read, in order.
    pub observations: Vec<Observation>,
    /// The story, where it was asked for.
    pub steps: Vec<Step>,
    /// The program has races and one deterministic schedule of them was run.
    pub one_schedule: bool,
    /// What all orders of its races come to, where they were tried.
    pub race: Option<Race>,
}

/// What all orders of a program's races come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Race {
    /// How orders may end, and how many ways lead there: an outcome, or `None` where nobody can go on.
    pub endings: Vec<(Option<Outcome>, u64)>,
    /// Different states on the way.
    pub states: u64,
    /// The bound at which the search stopped; `None` where all orders were tried.
    pub bound: Option<String>,
}

impl Race {
    /// Ends with an outcome, and all ends.
    pub fn reach(&self, outcome: Outcome) -> (u64, u64) {
        let with = self.endings.iter().filter(|(ending, _)| *ending == Some(outcome)).map(|(_, count)| count);
        (with.sum(), self.endings.iter().map(|(_, count)| count).sum())
    }

    /// How many of the orders tried come to this.
    pub fn frequency(&self, outcome: Outcome) -> Frequency {
        frequency(self.reach(outcome))
    }

    /// Whether an expectation about all orders is met; a bound may leave that open.
    pub fn meets(&self, frequency: Frequency, outcome: Outcome) -> Met {
        meets(frequency, self.reach(outcome), self.bound.is_some())
    }
}

/// What `with` ways of `all` are.
pub fn frequency((with, all): (u64, u64)) -> Frequency {
    match with {
        0 => Frequency::Never,
        _ if with == all => Frequency::Always,
        _ => Frequency::Sometimes,
    }
}

/// Whether an expectation is met where `with` ways of `all` come to its outcome; others may be `open`.
pub fn meets(frequency: Frequency, (with, all): (u64, u64), open: bool) -> Met {
    match frequency {
        Frequency::Never if 0 < with => Met::No,
        Frequency::Always if with < all => Met::No,
        Frequency::Sometimes if 0 < with && with < all => Met::Yes,
        _ if open || all == 0 => Met::NotJudged,
        Frequency::Never | Frequency::Always => Met::Yes,
        Frequency::Sometimes => Met::No,
    }
}

impl Run {
    /// A run of which nothing was told yet.
    pub fn of(program: &Program) -> Self {
        Self {
            verdict: Verdict::Came(Outcome::Ok),
            violations: Vec::new(),
            unmet: Vec::new(),
            copies: 0,
            gratuitous: 0,
            observations: Vec::new(),
            steps: Vec::new(),
            one_schedule: program.code.iter().any(|instr| instr.race.is_some()),
            race: None,
        }
    }
}

/// The outcome, or why there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Came(Outcome),
    /// It cannot be said there, and why.
    Skip(String),
}

/// Something that went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// As what it counts.
    pub outcome: Outcome,
    /// The invariant that broke, where it has a number: `I2`.
    pub invariant: Option<&'static str>,
    /// The instruction that showed it.
    pub pc: Pc,
    /// The decision that let it happen and the instruction it belongs to, where one can be named.
    pub decision: Option<(Pc, Decision)>,
    /// What happened, with both parties, in a sentence.
    pub message: String,
}

/// An assertion that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnmetAssert {
    pub span: Span,
    /// What is the case instead, in a sentence.
    pub message: String,
}

/// What one instruction read from one page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    pub pc: Pc,
    /// Which page of the instruction's range.
    pub page: u16,
    /// The value; of a page whose words differ, word by word with their offsets.
    pub value: Reading,
    /// What the ideal world allows, lowest first; one of them is promised.
    pub promised: Vec<Reading>,
}

/// What a page, or a word of it, was read as.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reading {
    /// All words read hold this.
    Value(Value),
    /// The words of the page differ: the nameless rest, then each named word that differs from it, by its byte offset.
    Mixed { rest: Value, words: Vec<(u16, Value)> },
    /// A bit: `soft_dirty`.
    Bit(bool),
}

/// One instruction of a traced run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub pc: Pc,
    /// `ok`, `fails EBUSY`, `event wp`, `sleeps`.
    pub ended: String,
    /// Page faults on the way.
    pub faults: u32,
    pub decisions: Vec<Decision>,
    /// After the instruction, every page of every mapping, in order of process and page: (`p.buf[0]`, facts).
    pub facts: Vec<(String, PageFacts)>,
}

/// What is true of one mapped page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageFacts {
    /// What a load would give; `None` where it would fault for good.
    pub value: Option<Reading>,
    /// The frame, as a letter in order of first appearance (`A`, `B`, … `Z`, `AA`); `None` where there is none.
    pub frame: Option<String>,
    /// `none`, `anon`, `zero`, `shmem`, `file`, …
    pub kind: &'static str,
    pub present: bool,
    pub swapped: bool,
    pub writable: bool,
    pub dirty: bool,
    pub soft_dirty: bool,
    pub uffd_wp: bool,
    /// Mapped by a PMD, with the rest of its THP or of the huge zero page.
    pub pmd_mapped: bool,
    pub mapcount: u32,
    /// As the kernel counts: a pin of a small folio adds 1024.
    pub refcount: u32,
    pub pincount: u32,
    pub exclusive: bool,
}
