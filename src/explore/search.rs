//! All schedules, breadth first: so the first path to an outcome is a shortest one.

use std::collections::BTreeMap;

use super::node::{Model, Node, Stepped};
use super::reduce;
use super::report::{Bound, Ending, Found, Report};
use super::table::Table;
use crate::types::{Size, TaskId};

/// States whose successors are made before any of them is looked up.
const BATCH: usize = 1 << 13;
/// States of a batch that one worker takes at a time.
const SHARE: usize = 1 << 9;
/// Steps without a choice that are made in one go; only a livelock comes near.
const FORCED_MAX: u32 = 100_000;

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

/// A state whose successors are wanted.
#[derive(Clone)]
struct Open<B: Size> {
    number: u32,
    node: Node<B>,
    /// The actor that stepped last, and how often one was left that could have gone on.
    last: u8,
    switches: u8,
}

/// A step out of a state, or a few where there was no choice.
pub(super) struct Child<B: Size> {
    pub task: TaskId,
    pub steps: u32,
    pub node: Node<B>,
    pub came: Stepped,
}

/// What a worker found out about a state.
enum Fate<B: Size> {
    Child { fingerprint: u64, open: Open<B> },
    End { from: u32, task: Option<u8>, ending: Ending },
    Steps(u64),
}

/// No actor: the last that stepped, in the first state.
const NOBODY: u8 = u8::MAX;

pub struct Search<'m, 'p, B: Size> {
    model: &'m Model<'p, B>,
    limits: Limits,
    table: Table,
    /// With `exact`: all states of a fingerprint.
    exact: BTreeMap<u64, Vec<Node<B>>>,
    open: Vec<Open<B>>,
    next: Vec<Open<B>>,
    report: Report,
}

impl<'m, 'p, B: Size> Search<'m, 'p, B> {
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
        search.keep(model.fingerprint(&model.start()), Open { number: 0, node: model.start(), last: NOBODY, switches: 0 }, 0);
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
            let open = std::mem::take(&mut self.open);
            for batch in open.chunks(BATCH) {
                self.batch(batch, hands);
                let bytes = self.bytes(open.len());
                let waiting = open.len() + self.next.len();
                let progress = Progress { states: self.table.len(), waiting, depth, bytes };
                if self.limits.bytes.is_some_and(|max| max < bytes) {
                    self.report.bound = Some(Bound::Bytes(bytes));
                }
                self.report.bound = self.report.bound.take().or_else(|| stop(&progress));
                if self.report.bound.is_some() {
                    break;
                }
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
        self.table.bytes() + (open + self.next.len() + exact) * size_of::<Open<B>>()
    }

    fn batch(&mut self, batch: &[Open<B>], hands: &impl Hands) {
        let shares: Vec<&[Open<B>]> = batch.chunks(SHARE).collect();
        let this = &*self;
        let fates = hands.map(shares, &|share| share.iter().flat_map(|open| this.successors(open)).collect::<Vec<_>>());
        for fate in fates.into_iter().flatten() {
            match fate {
                Fate::Steps(steps) => self.report.transitions += steps,
                Fate::End { from, task, ending } => self.end(from, task, ending),
                Fate::Child { fingerprint, open } => {
                    if self.limits.states.is_some_and(|max| max <= self.table.len() as u64)
                        && !self.knows(fingerprint, &open.node)
                    {
                        self.report.bound = Some(Bound::States(self.table.len() as u64));
                        return;
                    }
                    let task = open.last;
                    self.keep(fingerprint, open, task);
                }
            }
        }
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

    fn knows(&self, fingerprint: u64, node: &Node<B>) -> bool {
        match self.limits.exact {
            true => self.exact.get(&fingerprint).is_some_and(|nodes| nodes.contains(node)),
            false => self.table.contains(fingerprint),
        }
    }

    fn keep(&mut self, fingerprint: u64, mut open: Open<B>, task: u8) {
        let mut fingerprint = fingerprint;
        if self.limits.exact {
            let nodes = self.exact.entry(fingerprint).or_default();
            if nodes.contains(&open.node) {
                return;
            }
            // Another state of the same 64 bits has a place of its own.
            fingerprint = fingerprint.wrapping_add((nodes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            nodes.push(open.node.clone());
        }
        if let Some(number) = self.table.insert(fingerprint, open.number, task) {
            open.number = number;
            self.next.push(open);
        }
    }

    fn fingerprint(&self, open: &Open<B>) -> u64 {
        let own = self.model.fingerprint(&open.node);
        match self.limits.switches {
            None => own,
            Some(_) => own ^ (u64::from(open.last) << 8 | u64::from(open.switches)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// All that can come next.
    fn successors(&self, open: &Open<B>) -> Vec<Fate<B>> {
        let (model, from) = (self.model, open.number);
        let end = |task: Option<TaskId>, ending| Fate::End { from, task: task.map(|task| task.0), ending };
        if let Some(outcome) = model.broken(&open.node) {
            return vec![end(None, Ending::Came(outcome))];
        }
        if model.is_over(&open.node) {
            return vec![end(None, Ending::Came(crate::ir::Outcome::Ok))];
        }
        let reduced = !self.limits.naive && self.limits.switches.is_none();
        let children = children(model, &open.node, reduced);
        if children.is_empty() {
            return vec![end(None, Ending::Deadlock)];
        }
        let goes_on = children.iter().any(|child| child.task.0 == open.last);
        let mut fates = vec![Fate::Steps(children.iter().map(|child| u64::from(child.steps)).sum())];
        for Child { task, node, came, .. } in children {
            let switches = open.switches + u8::from(goes_on && task.0 != open.last && open.last != NOBODY);
            if self.limits.switches.is_some_and(|max| max < switches) {
                fates.push(end(Some(task), Ending::CutShort));
                continue;
            }
            match came {
                Stepped::Came(outcome) => fates.push(end(Some(task), Ending::Came(outcome))),
                Stepped::Exhausted(what) => fates.push(end(Some(task), Ending::Exhausted(what))),
                Stepped::Not => fates.push(end(Some(task), Ending::Deadlock)),
                Stepped::On => {
                    let open = Open { number: from, node, last: task.0, switches };
                    let fingerprint = self.fingerprint(&open);
                    if self.limits.exact || !self.table.contains(fingerprint) {
                        fates.push(Fate::Child { fingerprint, open });
                    }
                }
            }
        }
        fates
    }
}

/// The states one choice away. `reduced` leaves out what makes no difference.
pub(super) fn children<B: Size>(model: &Model<'_, B>, node: &Node<B>, reduced: bool) -> Vec<Child<B>> {
    let alone = if reduced { reduce::alone(model, node) } else { None };
    let mut children = Vec::new();
    for task in model.live(node).filter(|task| alone.is_none_or(|alone| alone == *task)) {
        let mut next = node.clone();
        let came = model.step(&mut next, task, &mut ());
        if came != Stepped::Not {
            children.push(Child { task, steps: 1, node: next, came });
        }
    }
    if alone.is_some() && children.is_empty() {
        return self::children(model, node, false); // It has to wait after all.
    }
    if reduced {
        children.iter_mut().for_each(|child| follow(model, child));
    }
    children
}

/// Goes on as long as there is no choice.
fn follow<B: Size>(model: &Model<'_, B>, child: &mut Child<B>) {
    while child.came == Stepped::On {
        let Some((_, next, came)) = forced(model, &child.node) else { return };
        if child.steps == FORCED_MAX {
            child.came = Stepped::Exhausted("steps without a choice");
            return;
        }
        (child.node, child.came) = (next, came);
        child.steps += 1;
    }
}

/// The next step, where there is no choice: one actor can go on, or one alone need be tried.
///
/// A state that breaks a rule has none: it is an end.
pub(super) fn forced<B: Size>(model: &Model<'_, B>, node: &Node<B>) -> Option<(TaskId, Node<B>, Stepped)> {
    let alone = reduce::alone(model, node).map(|alone| moves(model, node, Some(alone))).unwrap_or_default();
    let mut moves = if alone.is_empty() { moves(model, node, None) } else { alone };
    if moves.len() != 1 || model.is_over(node) || model.broken(node).is_some() {
        return None;
    }
    moves.pop()
}

/// What can come next; where it is much, the first two.
fn moves<B: Size>(model: &Model<'_, B>, node: &Node<B>, only: Option<TaskId>) -> Vec<(TaskId, Node<B>, Stepped)> {
    let mut moves = Vec::new();
    for task in model.live(node).filter(|task| only.is_none_or(|only| only == *task)) {
        let mut next = node.clone();
        match model.step(&mut next, task, &mut ()) {
            Stepped::Not => {}
            came => moves.push((task, next, came)),
        }
        if 1 < moves.len() {
            break;
        }
    }
    moves
}
