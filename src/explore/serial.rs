//! Every serial order that explains what was seen so far.
//!
//! Operations that overlap may take effect in either order, whatever the engine calls their commit: a child whose fork copied
//! a page early need not have the store that came while fork went on. So beside each state of the engine stands the *set* of
//! ideal worlds that some serial order could have led to, each with the operations under way that have had their effect in
//! it already. An operation that shows something keeps the worlds that allow it; where none is left, no serial order that
//! respects each actor's own order and real time explains what was seen, and a promise is broken.
//!
//! Few such sets occur in a search, so each is kept once and has a number; what an event makes of a set is remembered.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};

use crate::check::{claim, verdict};
use crate::ideal::{EverHeld, Ideal, Promise};
use crate::ir::{Op, Outcome, Program};
use crate::observe::Seen;
use crate::types::{Pc, Size, TaskId};

/// An operation under way: whose, which, and its parts that have not been seen to take effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pending {
    pub task: TaskId,
    pub pc: Pc,
    pub part: u16,
}

/// An effect, as the engine tells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Effect {
    pub task: TaskId,
    pub pc: Pc,
    pub part: u16,
    pub seen: Seen,
}

/// One ideal world, and what operations under way have done in it ahead of being seen to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World<B: Size> {
    ideal: Ideal<B, EverHeld>,
    /// For each actor what the parts that it is ahead by may show, in their order.
    ahead: Vec<Vec<Promise>>,
}

/// A set of worlds, in order of their hashes.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Worlds<B: Size> {
    hash: u64,
    worlds: Vec<(u64, World<B>)>,
}

/// What an effect makes of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Explained {
    /// Some worlds allow it: their set.
    By(Set),
    /// None does: as what that counts.
    ByNone(Outcome),
}

/// One of the sets that a search has met.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Set {
    /// Its number here, by the order in which they were met.
    number: u32,
    /// A number that equal sets share in every run.
    pub hash: u64,
}

/// What one worker found lately, so that workers seldom meet at what they share.
#[derive(Clone, Debug, Default)]
pub struct Memo(Vec<Option<(u32, u64, Explained)>>);

impl Memo {
    /// Answers kept: a power of two.
    const ROOM: usize = 1 << 8;

    pub fn new() -> Self {
        Self(vec![None; Self::ROOM])
    }

    fn or_ask(&mut self, set: Set, event: u64, ask: impl FnOnce() -> Explained) -> Explained {
        if self.0.is_empty() {
            return ask();
        }
        let place = (event ^ u64::from(set.number).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> (64 - Self::ROOM.ilog2());
        let kept = &mut self.0[place as usize];
        match *kept {
            Some((number, known, explained)) if number == set.number && known == event => explained,
            _ => kept.insert((set.number, event, ask())).2,
        }
    }
}

/// All sets that a search has met.
pub struct Orders<'p, B: Size> {
    program: &'p Program,
    kept: RwLock<Kept<B>>,
}

struct Kept<B: Size> {
    sets: Vec<Arc<Worlds<B>>>,
    by_hash: BTreeMap<u64, u32>,
    known: BTreeMap<(u32, u64), Explained>,
    /// In all sets together.
    worlds: usize,
}

fn hash_of(value: impl std::hash::Hash) -> u64 {
    foldhash::fast::FixedState::with_seed(2).hash_one(value)
}

impl<'p, B: Size> Orders<'p, B> {
    /// Knows the set before the first instruction: number 0.
    pub fn new(program: &'p Program) -> Self {
        let world = World { ideal: Ideal::new(program), ahead: vec![Vec::new(); program.tasks.len()] };
        let first = worlds(vec![world]);
        let by_hash = BTreeMap::from([(first.hash, 0)]);
        Self { program, kept: RwLock::new(Kept { sets: vec![Arc::new(first)], by_hash, known: BTreeMap::new(), worlds: 1 }) }
    }

    /// The set before the first instruction.
    pub fn first(&self) -> Set {
        Set { number: 0, hash: self.kept.read().unwrap_or_else(PoisonError::into_inner).sets[0].hash }
    }

    /// Bytes that the sets take.
    pub fn bytes(&self) -> usize {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let one = kept.sets[0].worlds.first().map_or(0, |(_, world)| world.ideal.bytes() + 24 * world.ahead.len());
        kept.worlds * one + 64 * kept.known.len()
    }

    /// How many sets were met.
    pub fn len(&self) -> usize {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).sets.len()
    }

    /// An operation shows a part of its effect. `pending` are all operations under way, it among them, and `event` is a number
    /// that the same effect among the same operations has always.
    pub fn effect(
        &self,
        (set, memo): (Set, &mut Memo),
        event: u64,
        pending: impl Fn() -> Vec<Pending>,
        effect: &Effect,
    ) -> Explained {
        let ask = || {
            self.remembered(set, event, |worlds| {
                let pending = pending();
                let mut found =
                    Found { orders: self, pending: &pending, effect, met: BTreeMap::new(), kept: Vec::new(), unmet: None };
                worlds.worlds.iter().for_each(|(_, world)| found.from(world.clone()));
                match (found.kept.is_empty(), found.unmet) {
                    (true, outcome) => Err(outcome.unwrap_or(Outcome::Lost)),
                    (false, _) => Ok(found.kept),
                }
            })
        };
        memo.or_ask(set, event, ask)
    }

    /// An operation ended without having had any further effect: worlds in which it had are none.
    pub fn gave_up(&self, set: Set, task: TaskId) -> Explained {
        self.remembered(set, hash_of(("gave up", task)), |worlds| {
            let all = worlds.worlds.iter().map(|(_, world)| world.clone());
            let kept: Vec<_> = all.filter(|world| world.ahead[task.idx()].is_empty()).collect();
            if kept.is_empty() { Err(Outcome::Lost) } else { Ok(kept) }
        })
    }

    /// An actor was killed: what it was at had its effect or had it not.
    pub fn killed(&self, set: Set, task: TaskId) -> Explained {
        self.remembered(set, hash_of(("killed", task)), |worlds| {
            let all = worlds.worlds.iter().map(|(_, world)| world.clone());
            Ok(all.map(|mut world| (world.ahead[task.idx()].clear(), world).1).collect())
        })
    }

    fn remembered(&self, set: Set, event: u64, make: impl FnOnce(&Worlds<B>) -> Result<Vec<World<B>>, Outcome>) -> Explained {
        let from = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = kept.known.get(&(set.number, event)) {
                return *known;
            }
            kept.sets[set.number as usize].clone()
        };
        // Without the lock: should two workers do the same, they find the same.
        let made = make(&from).map(worlds);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let explained = match made {
            Err(outcome) => Explained::ByNone(outcome),
            Ok(next) => {
                let hash = next.hash;
                let number = kept.by_hash.get(&hash).copied().unwrap_or_else(|| {
                    let number = kept.sets.len() as u32;
                    kept.by_hash.insert(hash, number);
                    kept.worlds += next.worlds.len();
                    kept.sets.push(Arc::new(next));
                    number
                });
                Explained::By(Set { number, hash })
            }
        };
        kept.known.insert((set.number, event), explained);
        explained
    }
}

/// A set of worlds from a list with repetitions.
fn worlds<B: Size>(list: Vec<World<B>>) -> Worlds<B> {
    let mut worlds: Vec<_> = list.into_iter().map(|world| (hash_of(&world), world)).collect();
    worlds.sort_by_key(|(hash, _)| *hash);
    worlds.dedup_by_key(|(hash, _)| *hash);
    Worlds { hash: hash_of(worlds.iter().map(|(hash, _)| *hash).collect::<Vec<_>>()), worlds }
}

/// The search for the orders in which pending operations may have come before an effect.
struct Found<'a, 'p, B: Size> {
    orders: &'a Orders<'p, B>,
    pending: &'a [Pending],
    effect: &'a Effect,
    /// Worlds gone through, by hash.
    met: BTreeMap<u64, ()>,
    kept: Vec<World<B>>,
    /// As what it counts where no world allows it: a loss, if one of them ever held the value.
    unmet: Option<Outcome>,
}

impl<B: Size> Found<'_, '_, B> {
    fn from(&mut self, mut world: World<B>) {
        if self.met.insert(hash_of(&world), ()).is_some() {
            return;
        }
        let own = self.effect.task.idx();
        if !world.ahead[own].is_empty() {
            let promise = world.ahead[own].remove(0);
            match self.outcome(&world, &promise) {
                None => self.kept.push(world),
                Some(outcome) if self.unmet != Some(Outcome::Lost) => self.unmet = Some(outcome),
                Some(_) => {}
            }
            return;
        }
        for pending in self.pending {
            if let Some(next) = self.step(&world, pending) {
                self.from(next);
            }
        }
    }

    /// The world after the next part of an operation under way.
    fn step(&self, world: &World<B>, pending: &Pending) -> Option<World<B>> {
        let program = self.orders.program;
        let op = program.code[pending.pc.idx()].op;
        let by = world.ahead[pending.task.idx()].len() as u16;
        // A range of loads or stores is a loop in user space: the next begins when the one before it is over.
        let at_once = if matches!(op, Op::Read { .. } | Op::Write { .. }) { 1 } else { op.parts() - pending.part };
        if at_once <= by {
            return None;
        }
        let mut next = world.clone();
        let promise = next.ideal.apply(program, pending.pc, pending.part + by);
        next.ahead[pending.task.idx()].push(promise);
        Some(next)
    }

    fn outcome(&self, world: &World<B>, promise: &Promise) -> Option<Outcome> {
        let (program, Effect { pc, part, seen, .. }) = (self.orders.program, *self.effect);
        if promise.allows(seen) && !self.names_observations() {
            return verdict::of_reading(program, (pc, part), promise, seen, &[], || None);
        }
        // A claim about what was observed before holds in every serial order, so a world that allows all that was seen meets it.
        (!promise.allows(seen))
            .then(|| verdict::of_reading(program, (pc, part), promise, seen, &[], || world.ideal.ever_held(program, pc, part)))
            .flatten()
    }

    fn names_observations(&self) -> bool {
        let program = self.orders.program;
        let claim = program.code[self.effect.pc.idx()].claim;
        claim.is_some_and(|claim| claim::names_observations(&program.claims[claim.idx()]))
    }
}
