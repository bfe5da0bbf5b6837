//! All schedules, breadth first: so the first path to an outcome is a shortest one.

use std::collections::BTreeMap;

use super::expand::{Expand, Grown, NOBODY, Open, ROOM, Room};
use super::node::{Model, Node, Searched};
use super::report::{Bound, Ending, Found, Report};
use super::table::Table;
use crate::types::TaskId;

/// States whose successors are made before any of them is kept.
const STATES_AT_ONCE: usize = 1 << 14;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: None, switches: None, states: None, bytes: Some(4 << 30), naive: false, exact: false }
    }
}

impl Limits {
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
        };
        let node = model.start();
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
            let mut rooms = std::mem::take(&mut self.open).into_iter();
            while self.report.bound.is_none() && 0 < rooms.len() {
                let (mut batch, mut states) = (Vec::new(), 0);
                while states < STATES_AT_ONCE
                    && let Some(room) = rooms.next()
                {
                    states += room.len();
                    batch.push(room);
                }
                self.batch(batch, hands);
                let waiting = rooms.as_slice().iter().chain(&self.next).map(Vec::len).sum();
                let bytes = self.bytes(waiting);
                let progress = Progress { states: self.table.len(), waiting, depth, bytes };
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

    fn finish(mut self, depth: u32) -> Report {
        self.report.states = self.table.len() as u64;
        self.report.depth = depth;
        self.report.serial_orders = self.model.orders.len() as u64;
        self.report.exact = self.limits.exact;
        self.report.bytes_a_state = self.table.bytes() as f64 / self.table.len() as f64;
        self.report
    }

    fn bytes(&self, open: usize) -> usize {
        let exact = if self.limits.exact { self.table.len() } else { 0 };
        self.table.bytes() + (open + exact) * size_of::<Open<B>>()
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
        for (rooms, links) in hands.map(work.collect(), &numbered) {
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

/// Keeps of a room what is new, numbers it, and says how each was reached.
fn numbered<B: Searched>((room, is_new, first): (Room<B>, Vec<bool>, u32)) -> (Vec<Room<B>>, Vec<(u32, u8)>) {
    let mut links = Vec::with_capacity(is_new.len());
    let mut rooms = Vec::new();
    let mut new = room.into_iter().zip(is_new).filter(|(_, new)| *new).map(|(open, _)| open);
    loop {
        let mut kept = Vec::with_capacity(ROOM);
        for mut open in new.by_ref().take(ROOM) {
            links.push((open.number, open.last));
            open.number = first + links.len() as u32 - 1;
            kept.push(open);
        }
        if kept.is_empty() {
            return (rooms, links);
        }
        let full = kept.len() == ROOM;
        if !full {
            kept.shrink_to_fit();
        }
        rooms.push(kept);
        if !full {
            return (rooms, links);
        }
    }
}
