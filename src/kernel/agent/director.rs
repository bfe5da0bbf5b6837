//! Runs one scenario: makes its processes, tells them one instruction at a time, and looks at their pages in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::Agent;
use super::look::{self, At, Eye, Letters, Mapped, Place};
use super::plan::Plan;
use super::sys::{self, PAGE};
use super::waiter::{Came, Waiter, until_gone};
use super::worker::{Failed, Inherited, Order, Process, Reply, serve};
use crate::ir::{Advice, Ending, Op, Program, Prot};
use crate::kernel::wire::{Ended, Facts, Job, Line, Ran, Stop, Times};
use crate::types::{Failure, Pc, ProcId, RefId, TaskId, Vpn};

/// Why a scenario ends before its last line.
type Flow = Result<(), Stop>;

/// A process of the scenario.
struct Proc {
    pid: Pid,
    pidfd: OwnedFd,
    eye: Option<Eye>,
    parent: Option<ProcId>,
    alive: bool,
}

/// A thread that userfaultfd stopped.
#[derive(Clone, Copy)]
struct Asleep {
    pc: Pc,
    place: Option<Vpn>,
}

/// A scenario under way.
pub(super) struct Director<'a> {
    agent: &'a Agent,
    inherited: Arc<Inherited>,
    /// The director's end of each actor's connection.
    ends: Vec<OwnedFd>,
    procs: Vec<Option<Proc>>,
    uffds: Vec<Option<OwnedFd>>,
    started: BTreeSet<TaskId>,
    asleep: BTreeMap<TaskId, Asleep>,
    mapped: BTreeMap<Place, Mapped>,
    /// Frames that named references hold.
    held: BTreeMap<RefId, Vec<u64>>,
    letters: Letters,
    deadline: Instant,
    facts: bool,
    lines: Vec<Line>,
    times: Times,
}

/// Runs a scenario on this kernel.
pub(super) fn run(agent: &Agent, job: &Job) -> Ran {
    let start = Instant::now();
    let mut ran = Ran { id: job.id, lines: Vec::new(), stopped: None, unseen: agent.unseen.clone(), times: Times::default() };
    let plan = match Plan::read(&job.text) {
        Ok(plan) => plan,
        Err(why) => {
            ran.stopped = Some(Stop::Skip(format!("the agent cannot read it: {why}")));
            return ran;
        }
    };
    if let Some(why) = plan.unsayable().or_else(|| agent.lacking(&plan.program)) {
        ran.stopped = Some(Stop::Skip(why));
        return ran;
    }
    let read = nanos(start);
    match Director::start(agent, plan, job) {
        Err(error) => ran.stopped = Some(Stop::Crashed(format!("the first process could not be made: {error}"))),
        Ok(mut director) => {
            director.times.start = nanos(start) - read;
            ran.stopped = director.all().err();
            let end = Instant::now();
            director.end();
            ran.times = Times { read, end: nanos(end), ..director.times };
            ran.lines = std::mem::take(&mut director.lines);
        }
    }
    ran
}

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

impl<'a> Director<'a> {
    fn start(agent: &'a Agent, plan: Plan, job: &Job) -> io::Result<Self> {
        // One end more for each process: for the first thread of one that never acts.
        let (mut ends, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..plan.program.tasks.len() + plan.program.procs.len() {
            let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
            ends.push(ours);
            workers.push(theirs);
        }
        let (procs, tasks) = (plan.program.procs.len(), plan.program.tasks.len());
        let device = agent.device.try_clone()?;
        let direct = match &agent.direct {
            Ok(file) => Ok(file.try_clone()?),
            Err(why) => Err(why.clone()),
        };
        let mut inherited = Inherited { plan, ends: workers, device, direct };
        let first = first_task(&inherited.plan.program, ProcId(0)).unwrap_or(TaskId::at(tasks));
        let pid = match sys::fork()? {
            sys::Fork::Child => {
                drop(ends);
                prepare_worker(job.limits.memory_mib);
                serve(Process::new(Arc::new(inherited)), first)
            }
            sys::Fork::Parent(pid) => pid,
        };
        inherited.ends.clear(); // The workers' ends are theirs alone now.
        let mut director = Self {
            agent,
            inherited: Arc::new(inherited),
            ends,
            procs: (0..procs).map(|_| None).collect(),
            uffds: (0..procs).map(|_| None).collect(),
            started: BTreeSet::from([first]),
            asleep: BTreeMap::new(),
            mapped: BTreeMap::new(),
            held: BTreeMap::new(),
            letters: Letters::default(),
            deadline: Instant::now() + Duration::from_millis(job.limits.time_ms.into()),
            facts: job.facts,
            lines: Vec::new(),
            times: Times::default(),
        };
        director.procs[0] = Some(Proc::new(pid, None)?);
        Ok(director)
    }

    fn program(&self) -> &Program {
        &self.inherited.plan.program
    }

    fn all(&mut self) -> Flow {
        for pc in (0..self.program().code.len()).map(Pc::at) {
            self.line(pc)?;
            self.wake(pc)?;
        }
        Ok(())
    }

    /// Has one instruction carried out, as far as it goes.
    fn line(&mut self, pc: Pc) -> Flow {
        let instr = self.program().code[pc.idx()];
        let target = instr.op.area().map(|area| area.proc);
        let Some(actor) = self.inherited.plan.acting(pc.idx()) else {
            return self.ended(pc, Ended::Ok, Reply::done(instr.op.parts())); // `kernel: drain` is done after each line.
        };
        let task = self.thread(pc, actor)?;
        if instr.op == Op::Exit {
            return self.exit(pc, actor);
        }
        let pid = target.and_then(|proc| self.procs[proc.idx()].as_ref()).map_or(0, |proc| proc.pid.as_raw_nonzero().get());
        self.say(task, &Order::Do { pc: pc.0, pid })?;
        let came = self.wait(task, pc)?;
        self.came(task, pc, came)
    }

    /// The thread that carries out an instruction; made where it was not there.
    fn thread(&mut self, pc: Pc, actor: ProcId) -> Result<TaskId, Stop> {
        let program = self.program();
        let named = program.code[pc.idx()].task;
        let first = first_task(program, actor).unwrap_or(TaskId::at(program.tasks.len() + actor.idx()));
        let task = if program.tasks[named.idx()].proc() == Some(actor) { named } else { first };
        if self.asleep.contains_key(&task) {
            return Err(Stop::Skip("the thread that would do this is asleep".to_owned()));
        }
        if self.started.insert(task) {
            if self.asleep.contains_key(&first) {
                return Err(Stop::Skip("the thread that would start another is asleep".to_owned()));
            }
            self.say(first, &Order::Spawn { task: task.0 })?;
            match self.wait(first, pc)? {
                Came::Reply(Reply { failed: None, .. }) => {}
                _ => return Err(Stop::Crashed("a thread could not be started".to_owned())),
            }
        }
        Ok(task)
    }

    fn say(&mut self, task: TaskId, order: &Order) -> Flow {
        let text = serde_json::to_vec(order).map_err(|error| Stop::Crashed(error.to_string()))?;
        match send(&self.ends[task.idx()], &text, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(error) => Err(Stop::Crashed(format!("a process is gone: {error}"))),
        }
    }

    /// Waits until a thread answers, sleeps, or its process is gone.
    fn wait(&mut self, task: TaskId, pc: Pc) -> Result<Came, Stop> {
        let start = Instant::now();
        let proc = self.proc_of(task);
        let place = self.describe(pc);
        let Some(process) = &self.procs[proc.idx()] else { return Err(Stop::Crashed(format!("{place}: no such process"))) };
        let waiter =
            Waiter { end: &self.ends[task.idx()], pidfd: process.pidfd.as_fd(), uffds: &self.uffds, deadline: self.deadline };
        let (came, uffd) = waiter.wait().map_err(|why| Stop::Crashed(format!("{place}: {why}")))?;
        if uffd.is_some() {
            self.uffds[proc.idx()] = uffd;
        }
        let waited = nanos(start);
        let ns = if let Came::Reply(reply) = &came { reply.ns } else { 0 };
        self.times.ops += ns;
        self.times.messages += waited.saturating_sub(ns);
        match self.program().code[pc.idx()].op {
            Op::Fork { .. } => self.times.fork += ns,
            Op::Mmap { .. } => self.times.mmap += ns,
            _ => {}
        }
        Ok(came)
    }

    fn describe(&self, pc: Pc) -> String {
        let instr = &self.program().code[pc.idx()];
        format!("instruction {} (`{}`)", pc.0, instr.op.verb())
    }

    fn proc_of(&self, task: TaskId) -> ProcId {
        let program = self.program();
        match program.tasks.get(task.idx()) {
            Some(actor) => actor.proc().unwrap_or_default(),
            None => ProcId::at(task.idx() - program.tasks.len()),
        }
    }

    fn came(&mut self, task: TaskId, pc: Pc, came: Came) -> Flow {
        match came {
            Came::Reply(mut reply) => match reply.failed.take() {
                None => self.ended(pc, Ended::Ok, reply),
                Some(Failed::Skip(why)) => Err(Stop::Skip(why)),
                Some(Failed::Errno(number)) => self.failed(pc, number, reply),
                Some(Failed::Signal(number)) => {
                    let name = if number == libc::SIGBUS { "SIGBUS" } else { "SIGSEGV" };
                    self.ended(pc, Ended::Fails(name.to_owned()), reply)
                }
            },
            Came::Stopped { at } => {
                let place = self.inherited.plan.vpn(at);
                self.asleep.insert(task, Asleep { pc, place });
                let area = self.program().code[pc.idx()].op.area();
                let done = place.zip(area).map_or(0, |(page, area)| page.0.saturating_sub(area.start.0));
                self.ended(pc, Ended::Event("wp".to_owned()), Reply::done(done))
            }
        }
    }

    fn failed(&mut self, pc: Pc, number: i32, reply: Reply) -> Flow {
        let name = match number {
            libc::EFAULT => Failure::EFAULT,
            libc::EAGAIN => Failure::EAGAIN,
            libc::EBUSY => Failure::EBUSY,
            libc::EINVAL => Failure::EINVAL,
            libc::EIO => Failure::EIO,
            libc::ENOMEM => Failure::ENOMEM,
            libc::EEXIST => Failure::EEXIST,
            libc::ENOENT => Failure::ENOENT,
            libc::EPERM => Failure::EPERM,
            _ => {
                let error = io::Error::from_raw_os_error(number);
                return Err(Stop::Skip(format!("{} cannot be done here: {error}", self.describe(pc))));
            }
        };
        self.ended(pc, Ended::Fails(name.to_string()), reply)
    }

    fn exit(&mut self, pc: Pc, actor: ProcId) -> Flow {
        // Children would otherwise die with the thread that forked them.
        let children = (0..self.procs.len())
            .map(ProcId::at)
            .filter(|child| self.procs[child.idx()].as_ref().is_some_and(|proc| proc.alive && proc.parent == Some(actor)));
        for child in children.collect::<Vec<_>>() {
            let program = self.program();
            let task = first_task(program, child).unwrap_or(TaskId::at(program.tasks.len() + child.idx()));
            if !self.asleep.contains_key(&task) {
                self.say(task, &Order::Disarm)?;
                self.wait(task, pc)?;
            }
        }
        let task = self.program().code[pc.idx()].task;
        self.say(task, &Order::Do { pc: pc.0, pid: 0 })?;
        let place = self.describe(pc);
        let Some(proc) = &mut self.procs[actor.idx()] else { return Err(Stop::Crashed(format!("{place}: no such process"))) };
        proc.alive = false;
        proc.eye = None;
        if !until_gone(&proc.pidfd, self.deadline) {
            return Err(Stop::Crashed(format!("{place}: the process does not end")));
        }
        self.uffds[actor.idx()] = None;
        let procs: Vec<_> = self.program().tasks.iter().map(|actor| actor.proc()).collect();
        self.asleep.retain(|task, _| procs[task.idx()] != Some(actor));
        self.mapped.retain(|(proc, _), _| *proc != actor);
        let gone = |name: &RefId| self.holder(*name) == Some(actor);
        let gone: Vec<_> = self.held.keys().copied().filter(gone).collect();
        gone.iter().for_each(|name| drop(self.held.remove(name)));
        self.ended(pc, Ended::Ok, Reply::done(1))
    }

    fn holder(&self, name: RefId) -> Option<ProcId> {
        let program = self.program();
        program.taker(name).and_then(|taker| program.tasks[taker.task.idx()].proc())
    }

    /// Lets those finish that the line has woken.
    fn wake(&mut self, pc: Pc) -> Flow {
        let Op::UffdUnwp { area } = self.program().code[pc.idx()].op else { return Ok(()) };
        if !matches!(self.lines.last(), Some(Line { ended: Ended::Ok, .. })) {
            return Ok(());
        }
        let woken =
            self.asleep.iter().filter(|(_, asleep)| asleep.place.is_some_and(|place| area.pages().any(|page| page == place)));
        for (task, asleep) in woken.map(|(task, asleep)| (*task, *asleep)).collect::<Vec<_>>() {
            self.asleep.remove(&task);
            let came = self.wait(task, asleep.pc)?;
            self.came(task, asleep.pc, came)?;
        }
        Ok(())
    }

    /// Writes down how a line ended, and stops where nothing announced it.
    fn ended(&mut self, pc: Pc, ended: Ended, reply: Reply) -> Flow {
        let instr = self.program().code[pc.idx()];
        if ended == Ended::Ok {
            self.took_effect(instr.op, reply.pid, self.program().tasks[instr.task.idx()].proc())?;
        }
        let start = Instant::now();
        self.agent.drain();
        let facts = if self.facts { self.look() } else { Vec::new() };
        if let Some(name) = instr.op.takes() {
            self.hold(name, instr.op);
        }
        self.agent.drain(); // Looking marks pages as accessed, which may put them into a batch again.
        self.times.facts += nanos(start);
        let woken = self.lines.iter().any(|line| line.pc == pc.0);
        let announced = match (&ended, instr.ending) {
            (Ended::Ok, Ending::Succeeds) => true,
            (Ended::Ok, Ending::Event(_)) => woken,
            (Ended::Fails(name), Ending::Fails(failure)) => *name == failure.to_string(),
            (Ended::Event(name), Ending::Event(event)) => *name == event.to_string(),
            _ => false,
        };
        self.lines.push(Line { pc: pc.0, ended, done: reply.done, seen: reply.seen, faults: reply.faults, facts });
        if announced { Ok(()) } else { Err(Stop::Unannounced) }
    }

    /// Keeps track of what is mapped, who is there and what is held.
    fn took_effect(&mut self, op: Op, pid: Option<i32>, actor: Option<ProcId>) -> Flow {
        match op {
            Op::Mmap { area, prot, .. } => {
                let mapped = Mapped { readable: prot != Prot::None, dontfork: false };
                self.mapped.extend(area.pages().map(|page| ((area.proc, page), mapped)));
            }
            Op::Munmap { area } => {
                for page in area.pages() {
                    self.mapped.remove(&(area.proc, page));
                }
            }
            Op::Mprotect { area, prot } => self.each(area, |mapped| mapped.readable = prot != Prot::None),
            Op::Madvise { area, advice: Advice::Dontfork } => self.each(area, |mapped| mapped.dontfork = true),
            Op::Madvise { area, advice: Advice::Dofork } => self.each(area, |mapped| mapped.dontfork = false),
            Op::Put { name } | Op::Unpin { name, .. } => drop(self.held.remove(&name)),
            Op::Fork { child } => {
                let parent = actor.unwrap_or_default();
                let inherited: Vec<_> = self.mapped.range((parent, Vpn(0))..=(parent, Vpn(u16::MAX))).collect();
                let inherited: Vec<_> = inherited
                    .iter()
                    .filter(|(_, mapped)| !mapped.dontfork)
                    .map(|((_, page), mapped)| ((child, *page), **mapped))
                    .collect();
                self.mapped.extend(inherited);
                return self.born(child, parent, pid.unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    fn each(&mut self, area: crate::ir::Area, change: impl Fn(&mut Mapped)) {
        for page in area.pages() {
            self.mapped.entry((area.proc, page)).and_modify(&change);
        }
    }

    /// A child is there once it says so: until then it may hold what its parent gives up.
    fn born(&mut self, child: ProcId, parent: ProcId, pid: i32) -> Flow {
        let proc = Proc::new(pid, Some(parent)).map_err(|error| Stop::Crashed(format!("a child is gone at once: {error}")))?;
        self.procs[child.idx()] = Some(proc);
        let program = self.program();
        let task = first_task(program, child).unwrap_or(TaskId::at(program.tasks.len() + child.idx()));
        self.started.insert(task);
        self.wait(task, Pc(0)).map(drop)
    }

    /// The frames of a reference that was just taken live on while it does.
    fn hold(&mut self, name: RefId, op: Op) {
        let Some(area) = op.area() else { return };
        let Some(eye) = self.procs[area.proc.idx()].as_ref().and_then(|proc| proc.eye.as_ref()) else { return };
        let frames = area.pages().filter_map(|page| eye.entry(&self.inherited.plan, page).pfn()).collect();
        self.held.insert(name, frames);
    }

    /// Every page of every mapping.
    fn look(&mut self) -> Vec<(String, Facts)> {
        let (mut table, mut here) = (Vec::new(), BTreeSet::new());
        let mut letters = std::mem::take(&mut self.letters);
        for ((proc, vpn), mapped) in &self.mapped {
            let Some(eye) = self.procs[proc.idx()].as_ref().and_then(|proc| proc.eye.as_ref()) else { continue };
            let at = At { plan: &self.inherited.plan, eye, vpn: *vpn, readable: mapped.readable };
            let (facts, frame) = look::facts(&at, self.agent.sight, &self.agent.frames, &mut letters);
            here.extend(frame);
            table.push((name(self.program(), *proc, *vpn), facts));
        }
        let held: BTreeSet<u64> = self.held.values().flatten().copied().collect();
        letters.keep(|pfn| here.contains(&pfn) || held.contains(&pfn));
        self.letters = letters;
        table
    }

    /// Ends all processes.
    fn end(&mut self) {
        for proc in self.procs.iter().flatten() {
            let _ = rustix::process::pidfd_send_signal(&proc.pidfd, Signal::KILL);
        }
        // The children of those that are gone are this process's: it is their subreaper.
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::empty()) {}
    }
}

impl Proc {
    fn new(pid: i32, parent: Option<ProcId>) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { pid, pidfd, eye: Eye::open(pid.as_raw_nonzero().get()).ok(), parent, alive: true })
    }
}

/// What the first process does before anything else: it dies with the agent, and has bounds.
fn prepare_worker(memory_mib: u32) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let bytes = Some(u64::from(memory_mib) << 20);
    let _ = setrlimit(Resource::As, Rlimit { current: bytes, maximum: bytes });
    let none = Some(0);
    let _ = setrlimit(Resource::Core, Rlimit { current: none, maximum: none });
    if sys::catch_signals().is_err() {
        sys::exit(1);
    }
}

/// The actor that is a process's first thread.
fn first_task(program: &Program, proc: ProcId) -> Option<TaskId> {
    let is_first = |actor: &crate::ir::Actor| *actor == crate::ir::Actor::Thread { proc, thread: 1 };
    program.tasks.iter().position(is_first).map(TaskId::at)
}

/// `p.buf[0]`, by the first name that the page was given.
fn name(program: &Program, proc: ProcId, vpn: Vpn) -> String {
    let proc_name = &program.procs[proc.idx()];
    match program.mems.iter().find(|mem| mem.area.pages().any(|page| page == vpn)) {
        Some(mem) => format!("{proc_name}.{}[{}]", mem.name, vpn.0 - mem.area.start.0),
        None => format!("{proc_name}.{}", vpn.0),
    }
}

const _: () = assert!(PAGE == 4096, "what is read of pagemap counts pages of this size");
