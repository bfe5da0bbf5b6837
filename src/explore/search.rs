//! All schedules, breadth first: so the first path to an outcome is a shortest one.

use std::collections::BTreeMap;

use super::expand::{Expand, Grown, NOBODY, Open, ROOM, Room};
use super::node::{Model, Node, Searched};
use super::report::{Bound, Ending, Found, Report};
use super::table::Table;
use crate::types::TaskId;

/// States whose successors are made before any of them is kept, and the bytes that these states may take.
const STATES_AT_ONCE: usize = 1 << 14;
const BYTES_AT_ONCE: usize = 1 << 26;

/// Where a search stops, and what it may leave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Steps from the first state; with reductions, steps at which there was a choice.
    pub depth: Option<u32>,
    /// Times that an actor is left which could have gone on.
    pub switches: Option<u8>,
    /// States.
    pub states: Option<u64>,
    /// Bytes that states known and states waiting take together.
    pub bytes: Option<usize>,
    /// Every state is kept and none is left out.
    pub naive: bool,
    /// States are told apart by all they are, not by 64 bits of it.
    pub exact: bool,
    /// Only a part of all schedules.
    pub shard: Option<Shard>,
}

/// A part of all schedules: those behind every `of`th of the first ways to begin, from the `nth` on, which counts from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    pub nth: u32,
    pub of: u32,
}

impl Shard {
    /// Ways to begin for each part, so that parts of different sizes even out.
    const BEGINNINGS: u32 = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self { naive: false, bytes: Some(4 << 30), ..Self::NAIVE }
    }
}

impl Limits {
    /// Nothing is left out and nothing stops the search.
    pub const NAIVE: Self =
        Self { depth: None, switches: None, states: None, bytes: None, naive: true, exact: false, shard: None };

    /// Whether what makes no difference is left out. To count switches every step is wanted.
    pub(super) fn reduces(&self) -> bool {
        !self.naive && self.switches.is_none()
    }
}

/// Who does the work of a batch: one worker, or as many as there are.
pub trait Hands {
    /// Does all of it, and answers in its order.
    fn map<T: Send, R: Send>(&self, work: Vec<T>, make: &(dyn Fn(T) -> R + Sync)) -> Vec<R>;
}

/// One worker.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Hands for Alone {
    fn map<T: Send, R: Send>(&self, work: Vec<T>, make: &(dyn Fn(T) -> R + Sync)) -> Vec<R> {
        work.into_iter().map(make).collect()
    }
}

/// How far a search is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    pub states: usize,
    /// States whose successors are not known yet.
    pub waiting: usize,
    pub depth: u32,
    pub bytes: usize,
}

/// All schedules of one program under one policy.
pub struct Search<'m, 'p, B: Searched> {
    model: &'m Model<'p, B>,
    limits: Limits,
    table: Table,
    /// With `exact`: all states of a fingerprint.
    exact: BTreeMap<u64, Vec<Node<B>>>,
    open: Vec<Room<B>>,
    next: Vec<Room<B>>,
    report: Report,
    /// The part to search, until it is known where it begins.
    shard: Option<Shard>,
    /// States known that another part counts.
    elsewhere: usize,
    /// Bytes that one state takes until its successors are known.
    state_bytes: usize,
}

impl<'m, 'p, B: Searched> Search<'m, 'p, B> {
    pub fn new(model: &'m Model<'p, B>, limits: Limits) -> Self {
        let mut search = Self {
            model,
            limits,
            table: Table::new(),
            exact: BTreeMap::new(),
            open: Vec::new(),
            next: Vec::new(),
            report: Report::default(),
            shard: limits.shard,
            elsewhere: 0,
            state_bytes: 0,
        };
        let node = model.start();
        search.state_bytes = size_of::<Open<B>>() - size_of_val(&node.st) + node.st.bytes();
        let start = Open { number: 0, print: node.st.fingerprint(), node, last: NOBODY, switches: 0 };
        search.keep(vec![Grown::first(model.fingerprint(&start.node), start)], &Alone);
        std::mem::swap(&mut search.open, &mut search.next);
        search
    }

    /// Goes on until all is known, a bound is reached, or `stop` says so.
    pub fn run(mut self, hands: &impl Hands, stop: &mut dyn FnMut(&Progress) -> Option<Bound>) -> Report {
        let mut depth = 0;
        while !self.open.is_empty() && self.report.bound.is_none() {
            if self.limits.depth == Some(depth) {
                self.report.bound = Some(Bound::Depth(depth));
                break;
            }
            depth += 1;
            if let Some(shard) = self.shard.take_if(|shard| shard.of * Shard::BEGINNINGS <= waiting(&self.open) as u32) {
                self.part(shard);
            }
            let mut rooms = std::mem::take(&mut self.open).into_iter();
            while self.report.bound.is_none() && 0 < rooms.len() {
                let (mut batch, mut states) = (Vec::new(), 0);
                while states < STATES_AT_ONCE.min(BYTES_AT_ONCE / self.state_bytes)
                    && let Some(room) = rooms.next()
                {
                    states += room.len();
                    batch.push(room);
                }
                self.batch(batch, hands);
                let left = waiting(rooms.as_slice()) + waiting(&self.next);
                let bytes = self.bytes(left);
                let progress = Progress { states: self.table.len(), waiting: left, depth, bytes };
                if self.limits.bytes.is_some_and(|max| max < bytes) {
                    self.report.bound = Some(Bound::Bytes(bytes));
                }
                self.report.bound = self.report.bound.take().or_else(|| stop(&progress));
            }
            std::mem::swap(&mut self.open, &mut self.next);
            self.next.clear();
        }
        self.finish(depth)
    }

    /// Keeps of the ways to begin those of a part. What came before belongs to the first part alone.
    fn part(&mut self, shard: Shard) {
        let all = waiting(&self.open);
        let mut nth = 0;
        self.open.iter_mut().for_each(|room| {
            room.retain(|_| {
                nth = (nth + 1) % shard.of;
                (nth + shard.of - 1) % shard.of == shard.nth
            });
        });
        if 0 < shard.nth {
            (self.report.transitions, self.elsewhere) = (0, self.table.len() - waiting(&self.open));
            self.report.endings.clear();
        } else {
            self.elsewhere = all - waiting(&self.open);
        }
    }

    fn finish(mut self, depth: u32) -> Report {
        // Too few ways to begin for parts: the first has all.
        if self.shard.is_some_and(|shard| 0 < shard.nth) && self.report.bound.is_none() {
            self.report.endings.clear();
            (self.report.transitions, self.elsewhere) = (0, self.table.len());
        }
        self.report.bound = self.report.bound.or(self.limits.shard.map(Bound::Shard));
        self.report.states = (self.table.len() - self.elsewhere) as u64;
        self.report.depth = depth;
        self.report.serial_orders = self.model.orders.len() as u64;
        self.report.exact = self.limits.exact;
        self.report.bytes_a_state = self.table.bytes() as f64 / self.table.len() as f64;
        self.report
    }

    /// Bytes that all take which are known or wait, and what explains what was seen.
    fn bytes(&self, open: usize) -> usize {
        let exact = if self.limits.exact { self.table.len() } else { 0 };
        self.table.bytes() + (open + exact) * self.state_bytes + self.model.orders.bytes()
    }

    /// Looks up all that comes next, then keeps what is new, in the same order whoever did the work.
    fn batch(&mut self, rooms: Vec<Room<B>>, hands: &impl Hands) {
        let known = if self.limits.exact { None } else { Some(&self.table) };
        let expand = Expand { model: self.model, limits: &self.limits, known };
        let mut grown = hands.map(rooms, &|room: Room<B>| expand.room(&room));
        for grown in &mut grown {
            self.report.transitions += grown.steps;
            for (from, task, ending) in std::mem::take(&mut grown.ends) {
                self.end(from, task, ending);
            }
        }
        self.keep(grown, hands);
    }

    fn keep(&mut self, mut grown: Vec<Grown<B>>, hands: &impl Hands) {
        let found: usize = grown.iter().map(|grown| grown.fingerprints.len()).sum();
        let room = self.limits.states.map_or(usize::MAX, |max| (max as usize).saturating_sub(self.table.len()));
        let mut is_new = if self.limits.exact || room < found {
            self.one_by_one(&mut grown, room)
        } else {
            let fingerprints: Vec<&[u64]> = grown.iter().map(|grown| &*grown.fingerprints).collect();
            self.table.insert_all(&fingerprints, hands)
        }
        .into_iter();
        let mut number = self.table.len() as u32;
        let work = grown.into_iter().map(|Grown { room, .. }| {
            let is_new: Vec<bool> = is_new.by_ref().take(room.len()).collect();
            let first = number;
            number += is_new.iter().filter(|new| **new).count() as u32;
            (room, is_new, first)
        });
        let room = ROOM.min(BYTES_AT_ONCE / 8 / self.state_bytes).max(1);
        for (rooms, links) in hands.map(work.collect(), &|work| numbered(work, room)) {
            self.table.link_all(&links);
            self.next.extend(rooms);
        }
    }

    /// Which states are new, where each must be looked at by itself; behind a bound none is.
    fn one_by_one(&mut self, grown: &mut [Grown<B>], mut room: usize) -> Vec<bool> {
        let mut is_new = Vec::new();
        for grown in grown {
            for (open, fingerprint) in grown.room.iter().zip(&grown.fingerprints) {
                let other = if self.limits.exact { self.exact.get(fingerprint).map_or(0, Vec::len) } else { 0 };
                let known = match self.limits.exact {
                    true => self.exact.get(fingerprint).is_some_and(|nodes| nodes.contains(&open.node)),
                    false => self.table.contains(*fingerprint),
                };
                let new = !known && 0 < room;
                if new {
                    room -= 1;
                    // Another state of the same 64 bits has a place of its own.
                    let place = fingerprint.wrapping_add((other as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    self.table.insert_only(place);
                    if self.limits.exact {
                        self.exact.entry(*fingerprint).or_default().push(open.node.clone());
                    }
                } else if !known {
                    self.report.bound = self.report.bound.or(self.limits.states.map(Bound::States));
                }
                is_new.push(new);
            }
        }
        is_new
    }

    fn end(&mut self, from: u32, task: Option<u8>, ending: Ending) {
        let found = self.report.endings.iter_mut().find(|found| found.ending == ending);
        match found {
            Some(found) => found.count += 1,
            None => {
                let mut path = self.table.path(from);
                path.extend(task);
                self.report.endings.push(Found { ending, count: 1, path: path.into_iter().map(TaskId).collect() });
            }
        }
    }
}

/// States in rooms.
fn waiting<B: Searched>(rooms: &[Room<B>]) -> usize {
    rooms.iter().map(Vec::len).sum()
}

/// States found, which of them are new, and the number of the first of these.
type Numbering<B> = (Room<B>, Vec<bool>, u32);

/// Keeps of a room what is new, numbers it, and says how each was reached.
fn numbered<B: Searched>((mut room, is_new, first): Numbering<B>, size: usize) -> (Vec<Room<B>>, Vec<(u32, u8)>) {
    let mut links = Vec::with_capacity(is_new.len());
    let mut is_new = is_new.into_iter();
    room.retain_mut(|open| {
        let new = is_new.next() == Some(true);
        if new {
            links.push((open.number, open.last));
            open.number = first + links.len() as u32 - 1;
        }
        new
    });
    let mut rooms = Vec::new();
    while size < room.len() {
        let rest = room.split_off(size);
        rooms.push(std::mem::replace(&mut room, rest));
    }
    if room.len() < room.capacity() / 2 {
        room.shrink_to_fit();
    }
    if !room.is_empty() {
        rooms.push(room);
    }
    (rooms, links)
}
