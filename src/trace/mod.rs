//! What happened on the way: events, recorded or compiled away.
//!
//! Nothing the engine reads is here, and nothing of history is in the state.

use crate::types::{Pc, ProcId, TaskId, Vpn};

/// Something the engine did, in the order it did it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The instruction it belongs to.
    pub pc: Pc,
    /// The actor.
    pub task: TaskId,
    /// Where the actor's operation stood: `gup_fast:recheck`.
    pub site: &'static str,
    /// What.
    pub what: What,
}

/// What an [`Event`] was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A page fault.
    Fault { proc: ProcId, vpn: Vpn },
    /// A rule was asked.
    Decision(Decision),
    /// The contents of `from` went to `to`, a page of `proc`'s. `gratuitous` where nobody could have missed the copy.
    Copied { proc: ProcId, vpn: Vpn, from: u32, to: u32, gratuitous: bool },
    /// Pages moved into frames that were free: these from `frame` on.
    Allocated { frame: u32, pages: u32 },
    /// `frame` was stored to, by address or through a reference.
    Stored { frame: u32 },
}

/// A decision: which rule, on what operands, with which verdict and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The function that decided: `wp::decide_small`.
    pub rule: &'static str,
    /// The knob it asked, by its name; empty where the rule is the same under every policy.
    pub knob: &'static str,
    /// The knob's value, as policies spell it.
    pub value: &'static str,
    /// What it came to: `copy`.
    pub verdict: &'static str,
    /// Why, in words: `it has other references`.
    pub reason: &'static str,
    /// Whose address space, and which page of it.
    pub proc: ProcId,
    pub vpn: Vpn,
    /// The frame it was about; `None` where there is none, as for the zero page.
    pub frame: Option<u32>,
    /// The facts it was decided on: `("refcount", 2)`.
    pub operands: Vec<(&'static str, u32)>,
}

/// A row of a rule: the knob's answer and what was decided, without the facts it was decided on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Row {
    pub rule: &'static str,
    pub knob: &'static str,
    pub value: &'static str,
    pub verdict: &'static str,
    pub reason: &'static str,
}

/// Takes events. The unit type drops them, and with them the cost of making them.
pub trait Sink {
    /// Takes one event; `make` is not called where nobody listens.
    fn event(&mut self, make: impl FnOnce() -> Event);

    /// Takes the words of a decision, for those who count which rows of which rule are ever reached and need no event.
    fn row(&mut self, _row: Row) {}
}

impl Sink for () {
    fn event(&mut self, _: impl FnOnce() -> Event) {}
}

/// All events of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    pub events: Vec<Event>,
}

impl Sink for Trace {
    fn event(&mut self, make: impl FnOnce() -> Event) {
        self.events.push(make());
    }
}
