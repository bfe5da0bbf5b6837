//! Where a search stands: the engine's state, how far each actor's lines are, and what explains what was seen.

use std::hash::{BuildHasher, Hash, Hasher};

#[cfg(test)]
use super::reduce::Reduction;
use super::serial::{Effect, Explained, Memo, Orders, Pending, Set};
use super::touch::{self, Reach};
use crate::check::beside::Beside;
use crate::check::invariants::{Books, Broken};
use crate::engine::{self, Cx, Progress};
use crate::ir::{MemKind, Op, Outcome, Program};
use crate::policy::Policy;
use crate::run::{End, as_announced};
use crate::state::{At, State, Task, TaskFlags};
use crate::trace::Sink;
use crate::types::{Large, Pc, ProcId, Size, Small, Table, TaskId};

/// What a search is about.
pub struct Model<'p, B: Searched> {
    pub program: &'p Program,
    pub policy: &'p Policy,
    pub(super) orders: Orders<'p, B>,
    /// What a search leaves out unless it is to leave nothing out.
    #[cfg(test)]
    pub(super) reduction: Reduction,
    /// Frames may be renumbered: none stand together.
    pub(super) renames: bool,
    /// Nothing is held against rules and promises: what is left is which states there are.
    unjudged: bool,
    /// What is known of the program's operations beforehand, where all of them can be told apart.
    pub(super) reach: Option<Reach>,
    /// For each line whether the serial orders must be told of it: somebody may see what it did.
    watched: Vec<bool>,
    books: Books,
    beside: Beside<'p>,
    /// The first instruction of each block: a line, or a race; at the end the program's length.
    blocks: Vec<u16>,
    /// For each line the next of the same actor in the same block, plus one; 0 where there is none.
    next: Vec<u16>,
}

/// How far an actor is with its lines of a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Lane {
    /// The line that it starts next, plus one; 0 where none is left.
    next: u16,
    /// Parts of the line under way that took effect.
    part: u16,
    /// userfaultfd has stopped the line under way, as was announced.
    slept: bool,
}

/// A size of worlds that can be searched.
pub trait Searched: Size {
    /// The same state once more. A small one is copied as the bytes it is.
    fn copied(node: &Node<Self>) -> Node<Self>;
    /// The same, in place of another state.
    fn copy(from: &Node<Self>, to: &mut Node<Self>);
}

impl Copy for Node<Small> {}

impl Searched for Small {
    fn copied(node: &Node<Self>) -> Node<Self> {
        *node
    }

    fn copy(from: &Node<Self>, to: &mut Node<Self>) {
        *to = *from;
    }
}

impl Searched for Large {
    fn copied(node: &Node<Self>) -> Node<Self> {
        node.clone()
    }

    fn copy(from: &Node<Self>, to: &mut Node<Self>) {
        to.clone_from(from);
    }
}

/// One state of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node<B: Size> {
    pub st: State<B>,
    lanes: B::Tasks<Lane>,
    block: u16,
    /// The set of serial orders that explain what was seen.
    serial: Set,
}

impl<B: Searched> Node<B> {
    /// Makes this again what `before` is, of which it was a copy when nothing was touched yet.
    pub(super) fn restore(&mut self, before: &Self) {
        self.st.restore(&before.st);
        self.lanes.as_mut().copy_from_slice(before.lanes.as_ref());
        (self.block, self.serial) = (before.block, before.serial);
    }
}

/// Some of the actors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tasks(u64);

impl Tasks {
    pub fn insert(&mut self, task: TaskId) {
        self.0 |= 1 << task.0;
    }

    pub fn contains(self, task: TaskId) -> bool {
        self.0 >> task.0 & 1 == 1
    }

    /// How many they are.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }
}

impl std::ops::Sub for Tasks {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<TaskId> for Tasks {
    fn from_iter<T: IntoIterator<Item = TaskId>>(tasks: T) -> Self {
        let mut some = Self::default();
        tasks.into_iter().for_each(|task| some.insert(task));
        some
    }
}

impl Iterator for Tasks {
    type Item = TaskId;

    fn next(&mut self) -> Option<TaskId> {
        let first = TaskId(self.0.trailing_zeros() as u8);
        if self.0 == 0 {
            return None;
        }
        self.0 &= self.0 - 1;
        Some(first)
    }
}

/// What a step led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stepped {
    /// Another state.
    On,
    /// It cannot step now.
    Not,
    /// Something was not as promised: the path ends.
    Came(Outcome),
    /// A bound of the model was reached, and the path ends: its name.
    Exhausted(&'static str),
}

impl<'p, B: Searched> Model<'p, B> {
    /// # Panics
    /// With `cowl bug:` where the program exceeds `B` ([`Program::exceeds`]).
    pub fn new(program: &'p Program, policy: &'p Policy) -> Self {
        let mut blocks = Vec::new();
        for (pc, instr) in program.code.iter().enumerate() {
            let before = pc.checked_sub(1).and_then(|before| program.code[before].race);
            if instr.race.is_none() || instr.race != before {
                blocks.push(pc as u16);
            }
        }
        blocks.push(program.code.len() as u16);
        let renames = program.mems.iter().all(|mem| mem.kind == MemKind::Pages);
        let next = (0..program.code.len()).map(|pc| line_after(program, &blocks, pc)).collect();
        let watched = touch::watched(program);
        let (orders, books, beside) = (Orders::new(program), Books::new(program, policy), Beside::new(program));
        Self {
            program,
            policy,
            orders,
            #[cfg(test)]
            reduction: Reduction::Sound,
            reach: Reach::of(program),
            renames,
            unjudged: false,
            watched,
            books,
            beside,
            blocks,
            next,
        }
    }

    /// The same, with nothing held against rules and promises: for comparison with other searches.
    pub fn unjudged(self) -> Self {
        Self { unjudged: true, ..self }
    }

    /// The same, leaving out something else.
    #[cfg(test)]
    pub fn leaving_out(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The state before the first instruction.
    pub fn start(&self) -> Node<B> {
        let lanes = B::Tasks::filled(self.program.tasks.len());
        let mut node = Node { st: State::new(self.program), lanes, block: 0, serial: self.orders.first() };
        self.enter(&mut node);
        node
    }

    /// A number that equal states share, in every run.
    pub fn fingerprint(&self, node: &Node<B>) -> u64 {
        self.fingerprint_with(node, node.st.fingerprint())
    }

    /// The same, where the engine's state is known to have this fingerprint.
    pub(super) fn fingerprint_with(&self, node: &Node<B>, state: u64) -> u64 {
        let lane = |lane: &Lane| u64::from(lane.next) | u64::from(lane.part) << 16 | u64::from(lane.slept) << 32;
        let mut hasher = foldhash::fast::FixedState::with_seed(3).build_hasher();
        for pair in node.lanes.as_ref().chunks(2) {
            let second = pair.get(1).map_or(0, lane);
            hasher.write_u128(u128::from(second) << 64 | u128::from(lane(&pair[0])));
        }
        hasher.write_u128(u128::from(node.serial.hash) << 64 | u128::from(node.block));
        state ^ hasher.finish()
    }

    /// All lines are done.
    pub fn is_over(&self, node: &Node<B>) -> bool {
        usize::from(node.block) + 1 == self.blocks.len()
    }

    /// The actors that have something left to do and are not stopped.
    pub fn live(&self, node: &Node<B>) -> Tasks {
        let mut live = Tasks::default();
        for (at, (own, lane)) in node.st.tasks().iter().zip(node.lanes.as_ref()).enumerate().take(self.program.tasks.len()) {
            let task = TaskId::at(at);
            let has_line = own.at != At::Idle || (lane.next != 0 && self.is_born(node, task));
            if has_line && !own.flags.contains(TaskFlags::ASLEEP) {
                live.insert(task);
            }
        }
        live
    }

    /// The line that an actor is at or starts next.
    pub fn line(&self, node: &Node<B>, task: TaskId) -> Option<Pc> {
        match node.st.task(task) {
            own if own.at != At::Idle => Some(own.pc),
            _ => node.lanes.as_ref()[task.idx()].next.checked_sub(1).map(Pc),
        }
    }

    /// The line that an actor is at, if any, and those of the block that it has still to start.
    pub fn remaining<'n>(&'n self, node: &'n Node<B>, task: TaskId) -> impl Iterator<Item = Pc> + 'n {
        let own = node.st.task(task);
        let next = node.lanes.as_ref()[task.idx()].next.checked_sub(1).map(Pc);
        let later = std::iter::successors(next, |pc| self.next[pc.idx()].checked_sub(1).map(Pc));
        (own.at != At::Idle).then_some(own.pc).into_iter().chain(later)
    }

    /// Makes one step of an actor; where it cannot step, `node` is as before.
    pub fn step<S: Sink>(&self, node: &mut Node<B>, task: TaskId, sink: &mut S) -> Stepped {
        self.step_with(node, task, &mut Memo::default(), sink)
    }

    /// The same, by a worker who remembers what he found lately.
    pub(super) fn step_with<S: Sink>(&self, node: &mut Node<B>, task: TaskId, memo: &mut Memo, sink: &mut S) -> Stepped {
        let lane = node.lanes.as_ref()[task.idx()];
        let started = node.st.task(task).at == At::Idle;
        let pc = match started {
            true => Pc(lane.next - 1),
            false => node.st.task(task).pc,
        };
        if started {
            *node.st.task_mut(task) = Task { pc, at: At::Start, ..Task::default() };
        }
        let progress = engine::step(&mut Cx::new(self.policy, self.program, &mut node.st, task, sink));
        if progress == Progress::Blocked {
            if started {
                *node.st.task_mut(task) = Default::default();
            }
            return Stepped::Not;
        }
        if started {
            let next = self.next[pc.idx()];
            node.lanes.as_mut()[task.idx()] = Lane { next, part: 0, slept: false };
        }
        let stepped = self.progressed(node, (task, pc), progress, memo);
        let own = node.st.task(task);
        if stepped == Stepped::On && (own.at == At::Idle || own.flags.contains(TaskFlags::ASLEEP)) {
            self.after(node);
        }
        stepped
    }

    /// The first rule about states that does not hold.
    pub fn broken(&self, node: &Node<B>) -> Option<Outcome> {
        self.broken_rule(node).map(|broken| Outcome::Breach(broken.rule.number))
    }

    /// The same, and what shows it.
    pub(super) fn broken_rule(&self, node: &Node<B>) -> Option<Broken> {
        let section = self.unjudged || node.st.mms().iter().any(|mm| mm.ptl.is_some());
        if section { None } else { self.books.broken(&node.st) }
    }

    fn progressed(&self, node: &mut Node<B>, (task, pc): (TaskId, Pc), progress: Progress, memo: &mut Memo) -> Stepped {
        match progress {
            Progress::Moved | Progress::Blocked => Stepped::On,
            Progress::Committed { page, len, seen, done } => {
                for part in page..page + len {
                    let effect = Effect { task, pc, part, seen };
                    let mut explained = || {
                        let pending = || self.pending(node, task, pc).collect();
                        self.orders.effect((node.serial, &mut *memo), self.event(node, &effect), pending, &effect)
                    };
                    match if self.unjudged || !self.watched[pc.idx()] { Explained::By(node.serial) } else { explained() } {
                        Explained::By(serial) => node.serial = serial,
                        Explained::ByNone(outcome) => return Stepped::Came(outcome),
                    }
                    node.lanes.as_mut()[task.idx()].part = part + 1;
                }
                if done { self.ended(node, task, pc, End::Finished) } else { Stepped::On }
            }
            Progress::Finished => self.ended(node, task, pc, End::Finished),
            Progress::Failed(failure) => self.ended(node, task, pc, End::Failed(failure)),
            Progress::Asleep(event) => self.ended(node, task, pc, End::Asleep(event)),
            Progress::Exhausted(what) => Stepped::Exhausted(what),
        }
    }

    /// All operations under way, `task`'s among them, which may have ended in the engine with this very step.
    fn pending<'n>(&'n self, node: &'n Node<B>, task: TaskId, pc: Pc) -> impl Iterator<Item = Pending> + 'n {
        let tasks = (0..self.program.tasks.len()).map(TaskId::at);
        tasks.filter_map(move |at| {
            let own = node.st.task(at);
            let pc = if at == task { pc } else { own.pc };
            let pending = Pending { task: at, pc, part: node.lanes.as_ref()[at.idx()].part };
            let under_way = (at == task || own.at != At::Idle) && self.watched.get(pc.idx()) == Some(&true);
            (under_way && pending.part < self.program.code[pc.idx()].op.parts()).then_some(pending)
        })
    }

    /// A number that an effect among the same operations under way has always.
    fn event(&self, node: &Node<B>, effect: &Effect) -> u64 {
        let mut hasher = foldhash::fast::FixedState::with_seed(2).build_hasher();
        let word = |task: TaskId, pc: Pc, part: u16| u64::from(task.0) | u64::from(pc.0) << 16 | u64::from(part) << 32;
        for Pending { task, pc, part } in self.pending(node, effect.task, effect.pc) {
            hasher.write_u64(word(task, pc, part) | 1 << 63);
        }
        hasher.write_u64(word(effect.task, effect.pc, effect.part));
        effect.seen.hash(&mut hasher);
        hasher.finish()
    }

    fn ended(&self, node: &mut Node<B>, task: TaskId, pc: Pc, end: End) -> Stepped {
        let instr = &self.program.code[pc.idx()];
        let woken = end == End::Finished && node.lanes.as_ref()[task.idx()].slept;
        let permitted = instr.race.is_some() && end == End::Finished;
        if !(woken || permitted || as_announced(instr.ending, end)) {
            let unkept = self.beside.unannounced(pc, end);
            return Stepped::Came(unkept.map_or(Outcome::Missed, |unkept| unkept.outcome));
        }
        let explained = match end {
            End::Asleep(_) => {
                node.lanes.as_mut()[task.idx()].slept = true;
                Explained::By(node.serial)
            }
            End::Failed(_) if !self.unjudged => self.orders.gave_up(node.serial, task),
            _ => Explained::By(node.serial),
        };
        match explained {
            Explained::By(serial) => node.serial = serial,
            Explained::ByNone(outcome) => return Stepped::Came(outcome),
        }
        if let Op::Exit = instr.op {
            self.exited(node, task);
        }
        Stepped::On
    }

    /// The other threads of a process that exits are gone, with all they had still to do.
    fn exited(&self, node: &mut Node<B>, task: TaskId) {
        let proc = self.program.tasks[task.idx()].proc();
        for other in (0..self.program.tasks.len()).map(TaskId::at) {
            if self.program.tasks[other.idx()].proc() == proc {
                node.lanes.as_mut()[other.idx()] = Lane::default();
                if other != task
                    && let Explained::By(serial) = self.orders.killed(node.serial, other)
                {
                    node.serial = serial;
                }
            }
        }
    }

    /// Goes on to the next block when all lines of this one are done, and forgets what idle actors were at.
    fn after(&self, node: &mut Node<B>) {
        for (lane, task) in node.lanes.as_mut().iter_mut().zip(node.st.tasks()) {
            if task.at == At::Idle {
                (lane.part, lane.slept) = (0, false);
            }
        }
        while !self.is_over(node) && self.is_done(node) {
            node.block += 1;
            self.enter(node);
        }
    }

    /// Nothing of the block is left that could be done: what never came to be, or sleeps, is left out.
    fn is_done(&self, node: &Node<B>) -> bool {
        self.live(node) == Tasks::default()
    }

    fn enter(&self, node: &mut Node<B>) {
        node.lanes.as_mut().iter_mut().for_each(|lane| lane.next = 0);
        let block = usize::from(node.block);
        let Some(end) = self.blocks.get(block + 1) else { return };
        for line in (self.blocks[block]..*end).rev() {
            let task = self.program.code[usize::from(line)].task;
            node.lanes.as_mut()[task.idx()].next = line + 1;
        }
    }

    /// The first process is there from the start, the others when their fork has returned.
    fn is_born(&self, node: &Node<B>, task: TaskId) -> bool {
        let proc = self.program.tasks[task.idx()].proc();
        proc.is_none_or(|proc| (proc == ProcId(0) || node.st.mm(proc).alive) && !node.st.mm(proc).exited)
    }
}

/// The next line of the same actor in the same block, plus one.
fn line_after(program: &Program, blocks: &[u16], pc: usize) -> u16 {
    let task = program.code[pc].task;
    let end = blocks.iter().map(|block| usize::from(*block)).find(|block| pc < *block).unwrap_or(program.code.len());
    (pc + 1..end).find(|line| program.code[*line].task == task).map_or(0, |line| line as u16 + 1)
}
