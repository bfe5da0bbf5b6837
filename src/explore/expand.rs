//! What comes next, state by state: the work that workers share.

use super::node::{Model, Node, Searched, Stepped, Tasks};
use super::reduce;
use super::report::Ending;
use super::search::Limits;
use super::serial::Memo;
use super::table::Table;
use crate::ir::Outcome;
use crate::types::TaskId;

/// States that stand together in memory until their successors are made; one worker takes them at a time.
pub const ROOM: usize = 1 << 9;
/// Of a room, states whose successors are looked up together: so many stay near a processor.
const AT_ONCE: usize = 1 << 6;
/// Successors that are remembered while a room is gone through.
const LATELY: usize = 1 << 11;
/// Steps without a choice that are made in one go; only a livelock comes near.
const FORCED_MAX: u64 = 100_000;
/// No actor: the last that stepped, in the first state.
pub const NOBODY: u8 = u8::MAX;

/// A state whose successors are wanted.
pub struct Open<B: Searched> {
    /// Its number among the states kept; before it has one, that of the state it was reached from.
    pub number: u32,
    pub node: Node<B>,
    /// The fingerprint of the engine's state.
    pub print: u64,
    /// The actor that stepped last, and how often one was left that could have gone on.
    pub last: u8,
    pub switches: u8,
}

impl<B: Searched> Clone for Open<B> {
    fn clone(&self) -> Self {
        Self { node: B::copied(&self.node), ..*self }
    }
}

/// States that stand together.
pub type Room<B> = Vec<Open<B>>;

/// What came of the states of a room.
pub struct Grown<B: Searched> {
    /// States that were not known before, and the fingerprint of each.
    pub room: Room<B>,
    pub fingerprints: Vec<u64>,
    /// Ways that ended: out of which state, by whose step, how.
    pub ends: Vec<(u32, Option<u8>, Ending)>,
    /// Steps made.
    pub steps: u64,
}

impl<B: Searched> Grown<B> {
    /// The first state of all.
    pub fn first(fingerprint: u64, open: Open<B>) -> Self {
        Self { room: vec![open], fingerprints: vec![fingerprint], ends: Vec::new(), steps: 0 }
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

/// What a worker has in hand.
struct Work<B: Searched> {
    grown: Grown<B>,
    /// The state that steps are made in; it is made its parent again after each.
    now: Node<B>,
    /// Successors that are not looked up yet: as many as there are fingerprints, in front of places that are used again.
    new: Room<B>,
    prints: Vec<u64>,
    /// Fingerprints of successors of this room, each in its own place.
    lately: Vec<u64>,
    memo: Memo,
}

/// A step about to be made: whose, out of which state, and what it makes of the switches so far.
struct Way<'a, B: Searched> {
    from: &'a Open<B>,
    task: TaskId,
    switches: u8,
}

impl<B: Searched> Expand<'_, '_, B> {
    /// All that can come next of the states of a room.
    pub fn room(&self, room: &[Open<B>]) -> Grown<B> {
        let grown = Grown { room: Vec::with_capacity(room.len()), fingerprints: Vec::new(), ends: Vec::new(), steps: 0 };
        let Some(first) = room.first() else { return grown };
        let (now, lately) = (B::copied(&first.node), vec![0; LATELY]);
        let mut work = Work { grown, now, new: Vec::new(), prints: Vec::new(), lately, memo: Memo::new() };
        for some in room.chunks(AT_ONCE) {
            some.iter().for_each(|open| self.successors(open, &mut work));
            self.look_up(&mut work);
        }
        work.grown
    }

    /// Keeps what is not known. To ask for many at once costs little more than for one: the answers are far away in memory.
    fn look_up(&self, work: &mut Work<B>) {
        let known = match self.known {
            None => vec![false; work.prints.len()],
            Some(table) => table.contain(&work.prints),
        };
        for ((open, print), _) in work.new.iter().zip(work.prints.drain(..)).zip(known).filter(|(_, known)| !known) {
            work.grown.room.push(open.clone());
            work.grown.fingerprints.push(print);
        }
    }

    fn successors(&self, open: &Open<B>, work: &mut Work<B>) {
        let (model, from) = (self.model, open.number);
        if let Some(outcome) = model.broken(&open.node) {
            return work.grown.ends.push((from, None, Ending::Came(outcome)));
        }
        if model.is_over(&open.node) {
            return work.grown.ends.push((from, None, Ending::Came(Outcome::Ok)));
        }
        let live = model.live(&open.node);
        let chosen = if self.limits.reduces() { reduce::chosen(model, &open.node, live) } else { live };
        let goes_on = self.limits.switches.is_some() && self.goes_on(open);
        B::copy(&open.node, &mut work.now);
        work.now.st.forget_touched();
        let stepped = self.steps(open, chosen, goes_on, work);
        let stepped = stepped || (chosen != live && self.steps(open, live - chosen, goes_on, work));
        if !stepped {
            work.grown.ends.push((from, None, Ending::Deadlock));
        }
    }

    /// Whether the actor that stepped last can go on.
    fn goes_on(&self, open: &Open<B>) -> bool {
        let mut node = B::copied(&open.node);
        self.model.live(&node).any(|task| task.0 == open.last)
            && self.model.step(&mut node, TaskId(open.last), &mut ()) != Stepped::Not
    }

    /// Steps of these actors; whether one of them could make one.
    fn steps(&self, open: &Open<B>, tasks: Tasks, goes_on: bool, work: &mut Work<B>) -> bool {
        let mut stepped = false;
        for task in tasks {
            let switches = open.switches + u8::from(goes_on && task.0 != open.last);
            stepped |= self.step(&Way { from: open, task, switches }, work);
            work.now.restore(&open.node);
        }
        stepped
    }

    /// One step, and those behind it that are no choice; whether it could be made.
    fn step(&self, way: &Way<'_, B>, work: &mut Work<B>) -> bool {
        let (model, from, task) = (self.model, way.from, way.task);
        let mut came = model.step_with(&mut work.now, task, &mut work.memo, &mut ());
        if came == Stepped::Not {
            return false;
        }
        let end = |ending| (from.number, Some(task.0), ending);
        if self.limits.switches.is_some_and(|max| max < way.switches) {
            work.grown.ends.push(end(Ending::CutShort));
            return true;
        }
        work.grown.steps += 1;
        if self.limits.reduces() {
            came = self.follow(came, work);
        }
        match came {
            Stepped::On => self.reached(way, work),
            Stepped::Came(outcome) => work.grown.ends.push(end(Ending::Came(outcome))),
            Stepped::Exhausted(what) => work.grown.ends.push(end(Ending::Exhausted(what))),
            Stepped::Not => {}
        }
        true
    }

    /// Keeps the state in hand until it is looked up, unless it came up lately.
    fn reached(&self, way: &Way<'_, B>, work: &mut Work<B>) {
        if self.limits.reduces() && self.model.renames {
            work.now.st.renumber();
        }
        let print = work.now.st.fingerprint_after(&way.from.node.st, way.from.print);
        debug_assert_eq!(print, work.now.st.fingerprint(), "cowl bug: a part was touched that nobody knows of");
        let fingerprint = self.fingerprint(&work.now, print, (way.task.0, way.switches));
        if self.known.is_some() {
            let place = &mut work.lately[fingerprint as usize % LATELY];
            if *place == fingerprint {
                return;
            }
            *place = fingerprint;
        }
        match work.new.get_mut(work.prints.len()) {
            Some(place) => {
                B::copy(&work.now, &mut place.node);
                (place.number, place.print, place.last, place.switches) = (way.from.number, print, way.task.0, way.switches);
            }
            None => {
                let node = B::copied(&work.now);
                work.new.push(Open { number: way.from.number, node, print, last: way.task.0, switches: way.switches });
            }
        }
        work.prints.push(fingerprint);
    }

    /// Goes on as long as one actor alone need be tried.
    fn follow(&self, mut came: Stepped, work: &mut Work<B>) -> Stepped {
        let before = work.grown.steps;
        while came == Stepped::On {
            let Some(task) = reduce::forced(self.model, &work.now) else { return came };
            match self.model.step_with(&mut work.now, task, &mut work.memo, &mut ()) {
                Stepped::Not => return came, // It has to wait after all.
                then => came = then,
            }
            work.grown.steps += 1;
            if before + FORCED_MAX < work.grown.steps {
                return Stepped::Exhausted("steps without a choice");
            }
        }
        came
    }

    fn fingerprint(&self, node: &Node<B>, print: u64, (last, switches): (u8, u8)) -> u64 {
        let own = self.model.fingerprint_with(node, print);
        match self.limits.switches {
            None => own,
            Some(_) => own ^ (u64::from(last) << 8 | u64::from(switches)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }
}
