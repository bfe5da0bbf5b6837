//! Who did it: from what was seen back to the store it came from and the decision that let it happen.

use super::invariants::Invariant;
use super::report::Reading;
use crate::ir::{Actor, Area, Ending, Instr, Op, Outcome, Program};
use crate::observe::Seen;
use crate::state::{Pfn, State};
use crate::trace::{Decision, Event, What};
use crate::types::{self, Pc, ProcId, Size, TaskId, ValueId, Vpn};

const I1: Invariant = Invariant {
    number: 1,
    id: "I1",
    says: "a store to private memory is never read in the memory of another process",
    source: "fork(2), mmap(2) MAP_PRIVATE",
};
const I2: Invariant = Invariant {
    number: 2,
    id: "I2",
    says: "through a reference nobody reads what another process than its taker stored to private memory",
    source: "CVE-2020-29374; mm/memory.c do_wp_page (09854ba94c6a)",
};
const I3: Invariant = Invariant {
    number: 3,
    id: "I3",
    says: "a pin for writing and the memory that it was taken of show each other's stores, until that memory is unmapped",
    source: "Documentation/core-api/pin_user_pages.rst; mm/gup.c try_grab_folio",
};
const I4: Invariant = Invariant {
    number: 4,
    id: "I4",
    says: "a pin for reading shows what is stored to the memory later, until that memory is unmapped",
    source: "mm/gup.c gup_must_unshare (a7f226604170)",
};
const I5: Invariant = Invariant {
    number: 5,
    id: "I5",
    says: "a get shows a value that its page has held in its taker's memory since it was taken; more is not promised",
    source: "mm/gup.c get_user_pages",
};

/// The rules about what may be seen. They are judged by holding each observation against the ideal world.
pub const PROMISED: &[Invariant] = &[I1, I2, I3, I4, I5];

/// The events of a run in their order, found by the page that they are about.
#[derive(Default)]
pub(super) struct History {
    events: Vec<Event>,
    /// For each page the decisions about it.
    decided: Vec<Vec<u32>>,
    /// For each page its last copy, where it was copied or is one.
    copied: Vec<Option<u32>>,
}

impl History {
    /// What happened next; its frames are pages already.
    pub fn push(&mut self, event: Event) {
        let at = self.events.len() as u32;
        match event.what {
            What::Decision(Decision { frame: Some(page), .. }) => place(&mut self.decided, page).push(at),
            What::Copied { from, to, .. } => [from, to].into_iter().for_each(|page| *place(&mut self.copied, page) = Some(at)),
            _ => {}
        }
        self.events.push(event);
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Decisions about a page, last first.
    fn about(&self, page: u32) -> impl Iterator<Item = (Pc, &Decision)> {
        let places = self.decided.get(page as usize).into_iter().flatten().rev();
        places.filter_map(|at| decided(&self.events[*at as usize]))
    }

    /// The page that the last copy from or to a page was made of.
    fn copied_from(&self, page: u32) -> Option<u32> {
        let at = (*self.copied.get(page as usize)?)?;
        if let What::Copied { from, .. } = self.events[at as usize].what { Some(from) } else { None }
    }
}

/// The entry of a page, which may be new.
fn place<T: Default>(table: &mut Vec<T>, page: u32) -> &mut T {
    let at = page as usize;
    if table.len() <= at {
        table.resize_with(at + 1, T::default);
    }
    &mut table[at]
}

fn decided(event: &Event) -> Option<(Pc, &Decision)> {
    if let What::Decision(decision) = &event.what { Some((event.pc, decision)) } else { None }
}

/// An observation that broke a promise.
pub(super) struct Parties<'a> {
    pub program: &'a Program,
    pub pc: Pc,
    pub page: u16,
    pub seen: Seen,
    /// Instructions that took effect so far, in order.
    pub committed: &'a [Pc],
}

/// The invariant that an outcome at an instruction belongs to.
pub fn invariant(program: &Program, pc: Pc, outcome: Outcome) -> Option<&'static str> {
    let Instr { op, ending, .. } = program.code[pc.idx()];
    match (outcome, op) {
        (Outcome::Leak, Op::Peek { .. }) => Some(I2.id),
        (Outcome::Leak, _) => Some(I1.id),
        (Outcome::Lost, Op::Peek { held }) => coherence(program.taker(held.name).map(|instr| instr.op)),
        (Outcome::Lost, _) => coherence(last_dma(program, pc)),
        (Outcome::Missed, Op::SoftDirty { .. }) => Some("I14"),
        (Outcome::Missed, _) if ending == Ending::Event(types::Event::Wp) => Some("I13"),
        (Outcome::Missed | Outcome::Event(_) | Outcome::Fails(_), _) => None,
        (Outcome::Ok | Outcome::Breach(_) | Outcome::Copies(_), _) => None,
    }
}

/// What coherence a reference was promised; `None` where there is no reference.
fn coherence(taker: Option<Op>) -> Option<&'static str> {
    match taker? {
        Op::Pin { write: true, .. } => Some(I3.id),
        Op::Pin { write: false, .. } => Some(I4.id),
        _ => Some(I5.id),
    }
}

/// The reference that a device last wrote through before an instruction.
fn last_dma(program: &Program, pc: Pc) -> Option<Op> {
    program.code[..pc.idx()].iter().rev().find_map(|instr| match instr.op {
        Op::Dma { held, .. } => program.taker(held.name).map(|taker| taker.op),
        _ => None,
    })
}

/// The frame that an instruction has just read from.
pub(super) fn frame_shown<B: Size>(program: &Program, st: &State<B>, pc: Pc, page: u16) -> Option<Pfn<B::Number>> {
    let op = program.code[pc.idx()].op;
    match op {
        Op::Peek { held } => {
            let first = program.refs[held.name.idx()].first;
            st.held()[usize::from(first + held.start + page)].pfn()
        }
        _ => op.area().and_then(|area| st.pte(area.proc, Vpn(area.start.0 + page)).target.pfn()),
    }
}

/// The decision that let it happen: for a leak the last that kept or gave away the page shown, for a loss the last that
/// parted the page shown from its twin. Where no such decision is about the page, the last about the address.
pub(super) fn decision<'e>(
    history: &'e History,
    parties: &Parties<'_>,
    outcome: Outcome,
    shown: Option<u32>,
) -> Option<(Pc, &'e Decision)> {
    let about = |verdicts: &'static [&'static str], page: u32| {
        history.about(page).find(move |(_, decision)| verdicts.contains(&decision.verdict))
    };
    let by_page = match (outcome, shown) {
        (Outcome::Leak, Some(frame)) => about(&["reuse"], frame)
            .or_else(|| about(&["share"], frame))
            .or_else(|| about(&["take", "wp", "skip", "follow"], frame)),
        (Outcome::Lost, Some(frame)) => {
            let twin = history.copied_from(frame);
            twin.and_then(|from| about(&["copy", "unshare"], from)).or_else(|| about(&["take"], frame))
        }
        _ => None,
    };
    let (proc, vpn) = address(parties)?;
    let mut decisions = history.events.iter().rev().filter_map(decided);
    by_page.or_else(|| decisions.find(|(_, decision)| decision.proc == proc && decision.vpn == vpn))
}

/// The last decision of an instruction.
pub(super) fn last_decision(events: &[Event], pc: Pc) -> Option<(Pc, &Decision)> {
    events.iter().rev().find_map(|event| match &event.what {
        What::Decision(decision) if event.pc == pc => Some((pc, decision)),
        _ => None,
    })
}

/// The last decision about a page of an instruction's range: what stopped nothing was decided before it came.
pub(super) fn last_decision_about(events: &[Event], area: Area) -> Option<(Pc, &Decision)> {
    events.iter().rev().find_map(|event| match &event.what {
        What::Decision(decision) if decision.proc == area.proc && area.has(decision.vpn) => Some((event.pc, decision)),
        _ => None,
    })
}

/// The address that an observation is about: its own, or the one that the reference was taken at.
fn address(parties: &Parties<'_>) -> Option<(ProcId, Vpn)> {
    let at = |area: Area, page: u16| (area.proc, Vpn(area.start.0 + page));
    match parties.program.code[parties.pc.idx()].op {
        Op::Peek { held } => {
            let area = parties.program.taker(held.name)?.op.area()?;
            Some(at(area, held.start + parties.page))
        }
        op => op.area().map(|area| at(area, parties.page)),
    }
}

/// What happened, with both parties.
pub(super) fn sentence(parties: &Parties<'_>, outcome: Outcome, value: &Reading, promised: &[Reading]) -> String {
    let instr = &parties.program.code[parties.pc.idx()];
    let who = party(parties.program, instr.task);
    let through = match instr.op {
        Op::Peek { held } => format!(" through {}", parties.program.refs[held.name.idx()].name),
        Op::SoftDirty { .. } => " as its soft-dirty bit".to_owned(),
        _ => String::new(),
    };
    let promised = Reading::any_of(promised);
    let from = match (outcome, last_store(parties)) {
        (Outcome::Leak, Some(by)) => format!(", which {by} stored to a page of its own"),
        (Outcome::Lost, Some(by)) => format!(", which is what {by} stored"),
        _ => String::new(),
    };
    format!("{who} reads {value}{through}{from}; promised was {promised}")
}

/// Who last stored one of the values seen.
fn last_store(parties: &Parties<'_>) -> Option<String> {
    let Seen::Words(words) = parties.seen else { return None };
    let program = parties.program;
    let by = parties
        .committed
        .iter()
        .rev()
        .find(|pc| stored(program.code[pc.idx()].op).is_some_and(|value| words.as_slice().contains(&value)))?;
    Some(party(program, program.code[by.idx()].task))
}

/// The value that an operation stores.
fn stored(op: Op) -> Option<ValueId> {
    match op {
        Op::Write { value, .. } | Op::Poke { value, .. } | Op::ProcessVmWritev { value, .. } => Some(value),
        Op::DirectRead { value, .. } | Op::Dma { value, .. } | Op::UffdCopy { value, .. } => Some(value),
        _ => None,
    }
}

/// An actor in a sentence.
fn party(program: &Program, task: TaskId) -> String {
    match program.tasks[task.idx()] {
        Actor::Thread { .. } => program.actor(task),
        Actor::Kernel(_) => "the kernel".to_owned(),
        Actor::Device => "the device".to_owned(),
    }
}
