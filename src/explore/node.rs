//! Where a search stands: the engine's state, how far each actor's lines are, and what explains what was seen.

use std::hash::BuildHasher;

use super::reduce::Reduction;
use super::serial::{Effect, Explained, Orders, Pending};
use crate::check::beside::Beside;
use crate::check::invariants::Books;
use crate::engine::{self, Cx, Progress};
use crate::ir::{Op, Outcome, Program};
use crate::policy::Policy;
use crate::run::{End, as_announced};
use crate::state::{At, State, TaskFlags};
use crate::trace::Sink;
use crate::types::{Pc, ProcId, Size, Table, TaskId};

/// What a search is about.
pub struct Model<'p, B: Size> {
    pub program: &'p Program,
    pub policy: &'p Policy,
    pub(super) orders: Orders<'p, B>,
    /// What a search leaves out unless it is to leave nothing out.
    pub(super) reduction: Reduction,
    books: Books,
    beside: Beside<'p>,
    /// The first instruction of each block: a line, or a race; at the end the program's length.
    blocks: Vec<u16>,
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

/// One state of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node<B: Size> {
    pub st: State<B>,
    lanes: B::Tasks<Lane>,
    block: u16,
    /// The set of serial orders: its number in [`Orders`].
    serial: u32,
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

impl<'p, B: Size> Model<'p, B> {
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
        let (orders, books, beside) = (Orders::new(program), Books::new(program, policy), Beside::new(program));
        Self { program, policy, orders, reduction: Reduction::Sound, books, beside, blocks }
    }

    /// The same, leaving out something else.
    #[cfg(test)]
    pub fn leaving_out(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The state before the first instruction.
    pub fn start(&self) -> Node<B> {
        let lanes = B::Tasks::filled(self.program.tasks.len());
        let mut node = Node { st: State::new(self.program), lanes, block: 0, serial: 0 };
        self.enter(&mut node);
        node
    }

    /// A number that equal states share, in every run.
    pub fn fingerprint(&self, node: &Node<B>) -> u64 {
        let rest = (&node.lanes, node.block, self.orders.hash(node.serial));
        node.st.fingerprint() ^ foldhash::fast::FixedState::with_seed(3).hash_one(rest)
    }

    /// All lines are done.
    pub fn is_over(&self, node: &Node<B>) -> bool {
        usize::from(node.block) + 1 == self.blocks.len()
    }

    /// The actors that have something left to do.
    pub fn live<'n>(&'n self, node: &'n Node<B>) -> impl Iterator<Item = TaskId> + 'n {
        (0..self.program.tasks.len()).map(TaskId::at).filter(|task| {
            let (own, lane) = (node.st.task(*task), node.lanes.as_ref()[task.idx()]);
            !own.flags.contains(TaskFlags::ASLEEP) && (own.at != At::Idle || (lane.next != 0 && self.is_born(node, *task)))
        })
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
        let later = std::iter::successors(next, |pc| self.line_after(node, *pc).checked_sub(1).map(Pc));
        (own.at != At::Idle).then_some(own.pc).into_iter().chain(later)
    }

    /// Makes one step of an actor; where it cannot step, `node` is as before.
    pub fn step<S: Sink>(&self, node: &mut Node<B>, task: TaskId, sink: &mut S) -> Stepped {
        let lane = node.lanes.as_ref()[task.idx()];
        let started = node.st.task(task).at == At::Idle;
        let pc = match started {
            true => Pc(lane.next - 1),
            false => node.st.task(task).pc,
        };
        let mut cx = Cx::new(self.policy, self.program, &mut node.st, task, sink);
        if started {
            engine::start(&mut cx, pc);
            cx = Cx::new(self.policy, self.program, &mut node.st, task, sink);
        }
        let progress = engine::step(&mut cx);
        if progress == Progress::Blocked {
            if started {
                *node.st.task_mut(task) = Default::default();
            }
            return Stepped::Not;
        }
        if started {
            let next = self.line_after(node, pc);
            node.lanes.as_mut()[task.idx()] = Lane { next, part: 0, slept: false };
        }
        let stepped = self.progressed(node, task, pc, progress);
        if stepped == Stepped::On {
            self.after(node);
        }
        stepped
    }

    /// The first rule about states that does not hold.
    pub fn broken(&self, node: &Node<B>) -> Option<Outcome> {
        let section = node.st.mms().iter().any(|mm| mm.ptl.is_some());
        let broken = if section { None } else { self.books.broken(&node.st) };
        broken.map(|broken| Outcome::Breach(broken.rule.number))
    }

    fn progressed(&self, node: &mut Node<B>, task: TaskId, pc: Pc, progress: Progress) -> Stepped {
        match progress {
            Progress::Moved | Progress::Blocked => Stepped::On,
            Progress::Committed { page, len, seen, done } => {
                for part in page..page + len {
                    let effect = Effect { task, pc, part, seen };
                    match self.orders.effect(node.serial, &self.pending(node, task, pc), &effect) {
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
    fn pending(&self, node: &Node<B>, task: TaskId, pc: Pc) -> Vec<Pending> {
        let under_way = |at: &TaskId| *at == task || node.st.task(*at).at != At::Idle;
        (0..self.program.tasks.len())
            .map(TaskId::at)
            .filter(under_way)
            .map(|at| {
                let pc = if at == task { pc } else { node.st.task(at).pc };
                Pending { task: at, pc, part: node.lanes.as_ref()[at.idx()].part }
            })
            .filter(|pending| pending.part < self.program.code[pending.pc.idx()].op.parts())
            .collect()
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
            End::Failed(_) => self.orders.gave_up(node.serial, task),
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
        self.live(node).next().is_none()
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

    /// The next line of the same actor in the same block, plus one.
    fn line_after(&self, node: &Node<B>, pc: Pc) -> u16 {
        let task = self.program.code[pc.idx()].task;
        let end = self.blocks[usize::from(node.block) + 1];
        let next = (pc.0 + 1..end).find(|line| self.program.code[usize::from(*line)].task == task);
        next.map_or(0, |line| line + 1)
    }

    /// The first process is there from the start, the others when their fork has returned.
    fn is_born(&self, node: &Node<B>, task: TaskId) -> bool {
        let proc = self.program.tasks[task.idx()].proc();
        proc.is_none_or(|proc| (proc == ProcId(0) || node.st.mm(proc).alive) && !node.st.mm(proc).exited)
    }
}
