//! What comes next, state by state: the work that workers share.

use super::node::{Model, Node, Searched, Stepped};
use super::reduce;
use super::report::Ending;
use super::search::Limits;
use super::table::Table;
use crate::ir::Outcome;
use crate::types::TaskId;

/// States that stand together in memory until their successors are made; one worker takes them at a time.
pub const ROOM: usize = 1 << 9;
/// Steps without a choice that are made in one go; only a livelock comes near.
const FORCED_MAX: u64 = 100_000;
/// No actor: the last that stepped, in the first state.
pub const NOBODY: u8 = u8::MAX;

/// A state whose successors are wanted.
pub struct Open<B: Searched> {
    /// Its number among the states kept; before it has one, that of the state it was reached from.
    pub number: u32,
    pub node: Node<B>,
    /// The actor that stepped last, and how often one was left that could have gone on.
    pub last: u8,
    pub switches: u8,
}

/// States that stand together.
pub type Room<B> = Vec<Open<B>>;

/// What came of the states of a room.
pub struct Grown<B: Searched> {
    /// States that were not known before, and the fingerprint of each.
    pub rooms: Vec<Room<B>>,
    pub fingerprints: Vec<u64>,
    /// Ways that ended: out of which state, by whose step, how.
    pub ends: Vec<(u32, Option<u8>, Ending)>,
    /// Steps made.
    pub steps: u64,
}

impl<B: Searched> Grown<B> {
    /// The first state of all.
    pub fn first(fingerprint: u64, open: Open<B>) -> Self {
        Self { rooms: vec![vec![open]], fingerprints: vec![fingerprint], ends: Vec::new(), steps: 0 }
    }
}

/// Makes successors.
#[derive(Clone, Copy)]
pub struct Expand<'a, 'p, B: Searched> {
    pub model: &'a Model<'p, B>,
    pub limits: &'a Limits,
    /// Where states are told apart by their fingerprints: those known before.
    pub known: Option<&'a Table>,
}

impl<B: Searched> Expand<'_, '_, B> {
    /// All that can come next of the states of a room.
    pub fn room(&self, room: &[Open<B>]) -> Grown<B> {
        let mut grown = Grown { rooms: Vec::new(), fingerprints: Vec::new(), ends: Vec::new(), steps: 0 };
        let mut new = Vec::with_capacity(ROOM);
        for open in room {
            if ROOM <= new.len() + self.model.program.tasks.len() {
                grown.rooms.push(std::mem::replace(&mut new, Vec::with_capacity(ROOM)));
            }
            self.successors(open, &mut grown, &mut new);
        }
        grown.rooms.push(new);
        grown
    }

    fn successors(&self, open: &Open<B>, grown: &mut Grown<B>, new: &mut Room<B>) {
        let (model, from) = (self.model, open.number);
        if let Some(outcome) = model.broken(&open.node) {
            return grown.ends.push((from, None, Ending::Came(outcome)));
        }
        if model.is_over(&open.node) {
            return grown.ends.push((from, None, Ending::Came(Outcome::Ok)));
        }
        let live = model.live(&open.node);
        let chosen = if self.limits.reduces() { reduce::chosen(model, &open.node, live) } else { live };
        let goes_on = self.limits.switches.is_some() && self.goes_on(open);
        let stepped = self.steps(open, chosen, goes_on, grown, new);
        let stepped = stepped || (chosen != live && self.steps(open, live - chosen, goes_on, grown, new));
        if !stepped {
            grown.ends.push((from, None, Ending::Deadlock));
        }
    }

    /// Whether the actor that stepped last can go on.
    fn goes_on(&self, open: &Open<B>) -> bool {
        let mut node = B::copied(&open.node);
        self.model.live(&node).any(|task| task.0 == open.last)
            && self.model.step(&mut node, TaskId(open.last), &mut ()) != Stepped::Not
    }

    /// Steps of these actors; whether one of them could make one.
    fn steps(&self, open: &Open<B>, tasks: super::node::Tasks, goes_on: bool, grown: &mut Grown<B>, new: &mut Room<B>) -> bool {
        let mut stepped = false;
        let reduced = self.limits.reduces();
        for task in tasks {
            let switches = open.switches + u8::from(goes_on && task.0 != open.last);
            new.push(Open { number: open.number, last: task.0, switches, node: B::copied(&open.node) });
            let Some(child) = new.last_mut() else { unreachable!("cowl bug: a state was just pushed") };
            let mut came = self.model.step(&mut child.node, task, &mut ());
            stepped |= came != Stepped::Not;
            if came != Stepped::Not && self.limits.switches.is_some_and(|max| max < switches) {
                grown.ends.push((open.number, Some(task.0), Ending::CutShort));
                new.pop();
                continue;
            }
            grown.steps += u64::from(came != Stepped::Not);
            if reduced {
                came = self.follow(&mut child.node, came, &mut grown.steps);
            }
            let end = |ending| (open.number, Some(task.0), ending);
            match came {
                Stepped::Not => {}
                Stepped::Came(outcome) => grown.ends.push(end(Ending::Came(outcome))),
                Stepped::Exhausted(what) => grown.ends.push(end(Ending::Exhausted(what))),
                Stepped::On => {
                    if reduced && self.model.renames {
                        child.node.st.renumber();
                    }
                    let fingerprint = self.fingerprint(child);
                    if self.known.is_none_or(|known| !known.contains(fingerprint)) {
                        grown.fingerprints.push(fingerprint);
                        continue;
                    }
                }
            }
            new.pop();
        }
        stepped
    }

    /// Goes on as long as one actor alone need be tried.
    fn follow(&self, node: &mut Node<B>, mut came: Stepped, steps: &mut u64) -> Stepped {
        let before = *steps;
        while came == Stepped::On {
            let Some(task) = reduce::forced(self.model, node) else { return came };
            match self.model.step(node, task, &mut ()) {
                Stepped::Not => return came, // It has to wait after all.
                then => came = then,
            }
            *steps += 1;
            if before + FORCED_MAX < *steps {
                return Stepped::Exhausted("steps without a choice");
            }
        }
        came
    }

    fn fingerprint(&self, open: &Open<B>) -> u64 {
        let own = self.model.fingerprint(&open.node);
        match self.limits.switches {
            None => own,
            Some(_) => own ^ (u64::from(open.last) << 8 | u64::from(open.switches)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }
}
