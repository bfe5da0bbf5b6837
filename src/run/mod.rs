//! Runs a program on the engine, one line after another, and tells a watcher what happened.

use std::ops::ControlFlow;

use crate::engine::{self, Cx, Progress};
use crate::ir::{Ending, Program};
use crate::observe::Seen;
use crate::policy::Policy;
use crate::state::{At, State, TaskFlags};
use crate::trace::Sink;
use crate::types::{Event, Failure, Pc, Size, TaskId};

/// Steps that one instruction may take before the run is given up; only a bug or a livelock comes near.
pub const STEPS_MAX: u32 = 1_000_000;

/// A program under a policy, somewhere on its way.
pub struct World<'a, B: Size, S: Sink> {
    pub program: &'a Program,
    pub policy: &'a Policy,
    pub st: State<B>,
    pub sink: S,
}

/// How an instruction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Finished,
    Failed(Failure),
    /// userfaultfd stopped its thread. It ends once more when it is woken.
    Asleep(Event),
    /// It waits for something that no other actor will do.
    Stuck,
    /// A bound of the model was reached: its name.
    Exhausted(&'static str),
}

/// Is told what happens. By default it does not care.
pub trait Watch<B: Size, S: Sink> {
    /// An instruction is about to start.
    fn starting(&mut self, _world: &World<'_, B, S>, _pc: Pc) {}
    /// An instruction is left out: its thread sleeps, or its process was never started.
    fn skipped(&mut self, _world: &World<'_, B, S>, _pc: Pc) {}
    /// A step of an instruction was made.
    fn stepped(&mut self, _world: &World<'_, B, S>, _pc: Pc) {}
    /// An instruction took effect for some pages of its range.
    fn committed(&mut self, _world: &World<'_, B, S>, _pc: Pc, _page: u16, _len: u16, _seen: Seen) {}
    /// An instruction ended. A break ends the run.
    fn ended(&mut self, _world: &World<'_, B, S>, _pc: Pc, _end: End) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<B: Size, S: Sink> Watch<B, S> for () {}

impl<'a, B: Size, S: Sink> World<'a, B, S> {
    /// The world before the first instruction.
    pub fn new(program: &'a Program, policy: &'a Policy, sink: S) -> Self {
        Self { program, policy, st: State::new(program), sink }
    }

    fn cx(&mut self, task: TaskId) -> Cx<'_, B, S> {
        Cx::new(self.policy, self.program, &mut self.st, task, &mut self.sink)
    }

    /// Gives a task its next instruction.
    pub fn start(&mut self, pc: Pc) {
        let task = self.program.code[pc.idx()].task;
        engine::start(&mut self.cx(task), pc);
    }

    /// Makes one step of a task.
    pub fn step(&mut self, task: TaskId) -> Progress {
        engine::step(&mut self.cx(task))
    }
}

/// Runs all lines in their order. Those of a race run in the order they are written too, except that a line which has to
/// wait lets the others go first: one schedule of many, always the same.
///
/// A line whose thread userfaultfd has stopped, or whose process has not come to be, is left out; lowering lets neither through
/// where it can tell, but what was drawn may go another way than was foreseen. Bounded by [`STEPS_MAX`] steps an instruction.
pub fn drive<B: Size, S: Sink, W: Watch<B, S>>(world: &mut World<'_, B, S>, watch: &mut W) {
    let mut lines = Lines { waiting: Vec::new() };
    for pc in (0..world.program.code.len()).map(Pc::at) {
        if !can_start(world, pc) {
            watch.skipped(world, pc);
            continue;
        }
        watch.starting(world, pc);
        world.start(pc);
        let flow = match lines.line(world, watch, pc) {
            ControlFlow::Continue(()) => lines.wake(world, watch),
            stop => stop,
        };
        if flow.is_break() {
            return;
        }
    }
    for pc in std::mem::take(&mut lines.waiting) {
        if !is_asleep(world, pc) && watch.ended(world, pc, End::Stuck).is_break() {
            return;
        }
    }
}

/// The lines that started and did not end.
struct Lines {
    waiting: Vec<Pc>,
}

impl Lines {
    /// Runs a line as far as it goes.
    fn line<B: Size, S: Sink, W: Watch<B, S>>(
        &mut self,
        world: &mut World<'_, B, S>,
        watch: &mut W,
        pc: Pc,
    ) -> ControlFlow<()> {
        match run_line(world, watch, pc) {
            Some(end) => {
                if matches!(end, End::Asleep(_)) {
                    self.waiting.push(pc);
                }
                watch.ended(world, pc, end)
            }
            None if world.program.code[pc.idx()].race.is_some() => {
                self.waiting.push(pc);
                ControlFlow::Continue(())
            }
            None => watch.ended(world, pc, End::Stuck),
        }
    }

    /// Lets those go on that something has woken or given way to, until none can.
    fn wake<B: Size, S: Sink, W: Watch<B, S>>(&mut self, world: &mut World<'_, B, S>, watch: &mut W) -> ControlFlow<()> {
        loop {
            let mut moved = false;
            for pc in std::mem::take(&mut self.waiting) {
                if is_asleep(world, pc) {
                    self.waiting.push(pc);
                    continue;
                }
                if !is_under_way(world, pc) {
                    continue; // Its process is gone.
                }
                match run_line(world, watch, pc) {
                    Some(end) => {
                        moved = true;
                        if matches!(end, End::Asleep(_)) {
                            self.waiting.push(pc);
                        }
                        watch.ended(world, pc, end)?;
                    }
                    None => self.waiting.push(pc),
                }
            }
            if !moved {
                return ControlFlow::Continue(());
            }
        }
    }
}

fn can_start<B: Size, S: Sink>(world: &World<'_, B, S>, pc: Pc) -> bool {
    let task = world.program.code[pc.idx()].task;
    let idle = world.st.task(task).at == At::Idle && !is_asleep(world, pc);
    let racing = world.program.code[pc.idx()].race.is_some();
    let proc = world.program.tasks[task.idx()].proc();
    racing || (idle && proc.is_none_or(|proc| world.st.mm(proc).alive))
}

fn is_asleep<B: Size, S: Sink>(world: &World<'_, B, S>, pc: Pc) -> bool {
    world.st.task(world.program.code[pc.idx()].task).flags.contains(TaskFlags::ASLEEP)
}

fn is_under_way<B: Size, S: Sink>(world: &World<'_, B, S>, pc: Pc) -> bool {
    let task = world.st.task(world.program.code[pc.idx()].task);
    task.pc == pc && *task != Default::default()
}

/// Steps an instruction until it ends; `None` where it has to wait.
fn run_line<B: Size, S: Sink, W: Watch<B, S>>(world: &mut World<'_, B, S>, watch: &mut W, pc: Pc) -> Option<End> {
    let task = world.program.code[pc.idx()].task;
    for _ in 0..STEPS_MAX {
        let progress = world.step(task);
        watch.stepped(world, pc);
        match progress {
            Progress::Moved => {}
            Progress::Committed { page, len, seen, done } => {
                watch.committed(world, pc, page, len, seen);
                if done {
                    return Some(End::Finished);
                }
            }
            Progress::Finished => return Some(End::Finished),
            Progress::Failed(failure) => return Some(End::Failed(failure)),
            Progress::Asleep(event) => return Some(End::Asleep(event)),
            Progress::Exhausted(what) => return Some(End::Exhausted(what)),
            Progress::Blocked => return None,
        }
    }
    Some(End::Exhausted("steps of one instruction"))
}

/// Whether an instruction ended as its author announced.
pub fn as_announced(ending: Ending, end: End) -> bool {
    match (ending, end) {
        (Ending::Succeeds, End::Finished) => true,
        (Ending::Fails(announced), End::Failed(failure)) => announced == failure,
        (Ending::Event(announced), End::Asleep(event)) => announced == event,
        (Ending::Succeeds | Ending::Fails(_) | Ending::Event(_), _) => false,
    }
}
