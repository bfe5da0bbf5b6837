//! The ideal world beside a run, whoever makes it: the engine or a real kernel.

use super::report::{Observation, Reading};
use super::{blame, claim, verdict};
use crate::ideal::{EverHeld, Ideal};
use crate::ir::{Ending, Outcome, Program};
use crate::observe::Seen;
use crate::run::End;
use crate::types::{Large, Pc};

/// A promise that was not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unkept {
    /// As what it counts.
    pub outcome: Outcome,
    /// The invariant that broke, where it has a number.
    pub invariant: Option<&'static str>,
    /// What happened, in a sentence.
    pub message: String,
}

/// The ideal world, told of each effect as it comes.
pub struct Beside<'a> {
    program: &'a Program,
    ideal: Ideal<Large, EverHeld>,
    committed: Vec<Pc>,
    /// What was seen by named observations, page by page: [`claim::observed_at`].
    observed: Vec<Seen>,
}

impl<'a> Beside<'a> {
    /// Before the first instruction.
    pub fn new(program: &'a Program) -> Self {
        let pages = program.obs.iter().map(|decl| usize::from(decl.len)).sum();
        Self { program, ideal: Ideal::new(program), committed: Vec::new(), observed: vec![Seen::Nothing; pages] }
    }

    /// Part `page` of an instruction took effect and saw this: what was read, and the promise it does not keep.
    pub fn seen(&mut self, pc: Pc, page: u16, seen: Seen) -> (Option<Observation>, Option<Unkept>) {
        let program = self.program;
        let promise = self.ideal.apply(program, pc, page);
        let Some(value) = Reading::of(program, seen) else { return (None, None) };
        let promised = Reading::promised(program, &promise);
        let ever = || self.ideal.ever_held(program, pc, page);
        let outcome = verdict::of_reading(program, (pc, page), &promise, seen, &self.observed, ever);
        let instr = &program.code[pc.idx()];
        let unkept = outcome.map(|outcome| {
            let parties = blame::Parties { program, pc, page, seen, committed: &self.committed };
            let message = match instr.claim.filter(|_| promise.allows(seen)) {
                Some(unmet) => format!("the claim `{}` is not met", claim::text(program, &program.claims[unmet.idx()])),
                None => blame::sentence(&parties, outcome, &value, &promised),
            };
            Unkept { outcome, invariant: blame::invariant(program, pc, outcome), message }
        });
        if let Some(name) = instr.observe {
            self.observed[claim::observed_at(program, name, page)] = seen;
        }
        (Some(Observation { pc, page, value, promised }), unkept)
    }

    /// An instruction took effect, as far as was told.
    pub fn commit(&mut self, pc: Pc) {
        if self.committed.last() != Some(&pc) {
            self.committed.push(pc);
        }
    }

    /// Instructions that took effect so far, in order.
    pub fn committed(&self) -> &[Pc] {
        &self.committed
    }

    /// What an ending comes to that nothing announced.
    pub fn unannounced(&self, pc: Pc, end: End) -> Option<Unkept> {
        let announced = match self.program.code[pc.idx()].ending {
            Ending::Succeeds => String::new(),
            Ending::Fails(failure) => format!("`fails {failure}`"),
            Ending::Event(event) => format!("`event {event}`"),
        };
        let (outcome, message) = match end {
            End::Finished => (Outcome::Missed, format!("{announced} was announced and did not come")),
            End::Failed(failure) => (Outcome::Fails(failure), format!("this fails with {failure}, which nothing announced")),
            End::Asleep(event) => {
                (Outcome::Event(event), format!("userfaultfd stops this thread ({event}), which nothing announced"))
            }
            End::Stuck | End::Exhausted(_) => return None,
        };
        Some(Unkept { outcome, invariant: blame::invariant(self.program, pc, outcome), message })
    }
}

/// Inside a race an announced ending is permitted, not demanded: plain success is as good.
pub fn is_permitted(program: &Program, pc: Pc, end: End) -> bool {
    program.code[pc.idx()].race.is_some() && end == End::Finished
}

/// How an ending reads: `ok`, `fails EBUSY`, `event wp`.
pub fn ended_text(end: End) -> String {
    match end {
        End::Finished => "ok".to_owned(),
        End::Failed(failure) => format!("fails {failure}"),
        End::Asleep(event) => format!("event {event}"),
        End::Stuck => "waits".to_owned(),
        End::Exhausted(what) => format!("not enough {what}"),
    }
}
