//! One program under one policy, judged as it goes: the ideal world beside it, and the books after every operation.
//!
//! This is the inner loop of every campaign, so it says only where the first thing went wrong; [`super::finding`] runs the
//! program once more and says what, and why.

use std::ops::ControlFlow;

use crate::check::invariants::{Books, Broken};
use crate::ideal::Ideal;
use crate::ir::{Ending, Instr, Op, Program};
use crate::observe::Seen;
use crate::policy::Policy;
use crate::run::{End, Watch, World, drive};
use crate::state::State;
use crate::trace::{Event, Row, Sink};
use crate::types::{Failure, Pc, Small};

/// Where a program went wrong first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A rule about states does not hold after this instruction.
    Broken(Pc, Broken),
    /// What was seen of this page is not what was promised.
    Unkept(Pc, u16),
    /// An announced event did not come.
    Missed(Pc),
}

impl Wrong {
    /// The instruction that showed it.
    pub fn pc(&self) -> Pc {
        match self {
            Wrong::Broken(pc, _) | Wrong::Unkept(pc, _) | Wrong::Missed(pc) => *pc,
        }
    }
}

/// When the books are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// After every operation.
    Operations,
    /// After every step outside a page-table lock section.
    Steps,
    /// As [`Look::Steps`], but only at what holds of any design ([`crate::check::invariants::ACCOUNTS`]): promises may break, and the run goes on.
    Accounts,
}

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ran {
    pub wrong: Option<Wrong>,
    /// Operations that ran to an end.
    pub operations: u32,
    /// A bound of the model was reached, or a line waits for ever: nothing more can be said.
    pub cut_short: bool,
}

/// Is told what was hit on the way. The unit type does not care.
pub trait Cover: Sink {
    /// Whether it cares.
    const CARES: bool = true;
    /// An operation ended so, with the page that it was about looking like this.
    fn transition(&mut self, op: Op, end: End, page: u32);
}

impl Cover for () {
    const CARES: bool = false;
    fn transition(&mut self, _: Op, _: End, _: u32) {}
}

/// A sink that is lent for one run.
struct Lent<'c, C>(&'c mut C);

impl<C: Cover> Sink for Lent<'_, C> {
    fn event(&mut self, make: impl FnOnce() -> Event) {
        self.0.event(make);
    }

    fn row(&mut self, row: Row) {
        self.0.row(row);
    }
}

/// Runs a program to its end or to the first thing that is wrong.
///
/// # Panics
/// With `cowl bug:` where the program does not fit a small world.
pub fn run<C: Cover>(program: &Program, policy: &Policy, look: Look, cover: &mut C) -> Ran {
    let mut world = World::<Small, Lent<'_, C>>::new(program, policy, Lent(cover));
    let mut checker = Checker {
        program,
        ideal: Ideal::new(program),
        books: if look == Look::Accounts { Books::new(program, policy).of_accounts() } else { Books::new(program, policy) },
        look,
        before: None,
        slept: Vec::new(),
        as_foreseen: true,
        transitions: Vec::new(),
        ran: Ran { wrong: None, operations: 0, cut_short: false },
    };
    drive(&mut world, &mut checker);
    checker.transitions.iter().for_each(|(op, end, page)| cover.transition(*op, *end, *page));
    checker.ran
}

struct Checker<'p> {
    program: &'p Program,
    ideal: Ideal<Small>,
    books: Books,
    look: Look,
    /// The state before an instruction that a rule compares with the state after it.
    before: Option<State<Small>>,
    slept: Vec<Pc>,
    /// Every line so far ended as it was announced, so that what is announced next is owed.
    as_foreseen: bool,
    transitions: Vec<(Op, End, u32)>,
    ran: Ran,
}

impl Checker<'_> {
    fn instr(&self, pc: Pc) -> &Instr {
        &self.program.code[pc.idx()]
    }

    fn is_wrong(&mut self, wrong: Wrong) {
        self.ran.wrong.get_or_insert(wrong);
    }

    fn books<S: Sink>(&mut self, world: &World<'_, Small, S>, pc: Pc) {
        if self.ran.wrong.is_none()
            && let Some(broken) = self.books.broken(&world.st)
        {
            self.is_wrong(Wrong::Broken(pc, broken));
        }
    }

    fn as_announced(&mut self, pc: Pc, end: End) {
        let woken = end == End::Finished && self.slept.contains(&pc);
        if !woken && !crate::run::as_announced(self.instr(pc).ending, end) {
            let owed = self.as_foreseen && self.look != Look::Accounts;
            if owed && end == End::Finished && matches!(self.instr(pc).ending, Ending::Event(_)) {
                self.is_wrong(Wrong::Missed(pc));
            }
            self.as_foreseen = false;
        }
        if matches!(end, End::Asleep(_)) {
            self.slept.push(pc);
        }
    }
}

impl<C: Cover> Watch<Small, Lent<'_, C>> for Checker<'_> {
    fn starting(&mut self, world: &World<'_, Small, Lent<'_, C>>, pc: Pc) {
        if self.look != Look::Accounts {
            self.before = Books::about::<Small>(self.instr(pc).op).map(|_| world.st);
        }
    }

    fn skipped(&mut self, _: &World<'_, Small, Lent<'_, C>>, _: Pc) {
        self.as_foreseen = false;
    }

    fn stepped(&mut self, world: &World<'_, Small, Lent<'_, C>>, pc: Pc) {
        if self.look != Look::Operations && world.st.mms().iter().all(|mm| mm.ptl.is_none()) {
            self.books(world, pc);
        }
    }

    fn committed(&mut self, _: &World<'_, Small, Lent<'_, C>>, pc: Pc, page: u16, len: u16, seen: Seen) {
        if self.look == Look::Accounts {
            return;
        }
        for page in page..page + len {
            if !self.ideal.apply(self.program, pc, page).allows(seen) {
                self.is_wrong(Wrong::Unkept(pc, page));
            }
        }
    }

    fn ended(&mut self, world: &World<'_, Small, Lent<'_, C>>, pc: Pc, end: End) -> ControlFlow<()> {
        if let End::Stuck | End::Exhausted(_) = end {
            self.ran.cut_short = true;
            return ControlFlow::Break(());
        }
        self.ran.operations += 1;
        if C::CARES {
            let op = self.instr(pc).op;
            let page = op.area().map_or(0, |area| super::cover::look(&world.st, area.proc, area.start));
            self.transitions.push((op, end, page));
        }
        self.books(world, pc);
        if end == End::Failed(Failure::SIGBUS)
            && self.look != Look::Accounts
            && let Some(broken) = Books::refused(self.instr(pc).op, &world.st)
        {
            self.is_wrong(Wrong::Broken(pc, broken));
        }
        if let (Some(before), Some(rule)) = (self.before.take(), Books::about(self.instr(pc).op))
            && let Some(broken) = rule(self.program, self.instr(pc).op, &before, &world.st)
        {
            self.is_wrong(Wrong::Broken(pc, broken));
        }
        self.as_announced(pc, end);
        if self.ran.wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
