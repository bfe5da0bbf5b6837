//! Runs one scenario: makes its processes, tells them one instruction at a time, and looks at their pages in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, OFlags, ftruncate, memfd_create};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

mod movers;
mod race;
mod track;

use super::Agent;
use super::look::{Eye, Letters, Mapped, Place};
use super::plan::{Plan, is_kernels};
use super::stretch::PAGE;
use super::sys;
use super::system;
use super::waiter::{Came, Waiter, until_gone};
use super::worker::{Failed, Inherited, MESSAGE_MAX, Order, Process, Reply, of_errno, serve};
use crate::ir::{Advice, Area, Backing, Ending, FileDecl, FileKind, Op, Program};
use crate::kernel::wire::{Ended, Job, Line, Ran, Stop, Times};
use crate::types::{Pc, ProcId, RefId, TaskId, Vpn};

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
    /// First pages of large folios that nobody has touched yet, whose size is looked at when somebody does.
    untouched: BTreeSet<Place>,
    /// It may touch what does not belong to its own processes.
    system: bool,
    /// Races are run as such; else their lines one after another.
    races: bool,
    /// What the delays of a race come from, and how often it was run before.
    seed: u64,
    round: u32,
    /// Threads of actors that are no process, and where they live.
    lodgers: BTreeMap<TaskId, ProcId>,
    room: Vec<u8>,
    deadline: Instant,
    facts: bool,
    lines: Vec<Line>,
    times: Times,
}

/// Runs a scenario on this kernel.
///
/// The lines of a race run one after another, unless `race` gives what the delays of its actors come from and the round.
pub(super) fn run(agent: &Agent, job: &Job, race: Option<(u64, u32)>) -> Ran {
    let start = Instant::now();
    let mut ran = Ran { id: job.id, lines: Vec::new(), stopped: None, unseen: agent.unseen.clone(), times: Times::default() };
    let plan = match Plan::read(&job.text) {
        Ok(plan) => plan,
        Err(why) => {
            ran.stopped = Some(Stop::Skip(format!("the agent cannot read it: {why}")));
            return ran;
        }
    };
    let read = nanos(start);
    if let Err(why) = can_run(agent, &plan, job) {
        ran.stopped = Some(Stop::Skip(why));
        return ran;
    }
    let arranged = nanos(start);
    let files = match files(&plan) {
        Ok(files) => files,
        Err(why) => {
            ran.stopped = Some(Stop::Skip(why));
            return ran;
        }
    };
    match Director::start(agent, plan, files, job, race) {
        Err(error) => ran.stopped = Some(Stop::Crashed(format!("the first process could not be made: {error}"))),
        Ok(mut director) => {
            director.times.start = nanos(start) - arranged;
            ran.stopped = director.all().err();
            let end = Instant::now();
            director.end();
            ran.times = Times { read, arrange: arranged - read, end: nanos(end), ..director.times };
            ran.lines = std::mem::take(&mut director.lines);
        }
    }
    ran
}

/// Arranges what the scenario needs of the machine.
fn can_run(agent: &Agent, plan: &Plan, job: &Job) -> Result<(), String> {
    if let Some(why) = plan.unsayable().or_else(|| agent.lacking(&plan.program)) {
        return Err(why);
    }
    let needs = system::needs(plan);
    if needs.is_empty() {
        return Ok(());
    }
    if !job.system {
        let mut what: Vec<String> = needs.iter().map(system::Change::what).collect();
        what.dedup();
        return Err(format!("it changes {}, which --allow-system permits", what.join(", ")));
    }
    agent.system.borrow_mut().arrange(needs)
}

/// The files of a program that have a name: nameless ones of a disk, or of memory.
fn files(plan: &Plan) -> Result<Vec<Option<OwnedFd>>, String> {
    let program = &plan.program;
    let file = |(nth, decl): (usize, &FileDecl)| {
        if decl.name.is_empty() {
            return Ok(None);
        }
        let maps = |op| match op {
            Op::Mmap { area, backing: Backing::File(id), .. } if id.idx() == nth => plan.huge(area),
            _ => None,
        };
        let huge = program.code.iter().find_map(|instr| maps(instr.op));
        let file = match (decl.kind, huge) {
            (FileKind::File | FileKind::Device, _) => Ok(super::nameless_file(OFlags::empty())?),
            (FileKind::Memfd, None) => memfd_create("cowl", MemfdFlags::CLOEXEC),
            (FileKind::Memfd, Some(log2)) => {
                let size = MemfdFlags::from_bits_retain(log2 << libc::MFD_HUGE_SHIFT);
                memfd_create("cowl", MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB | size)
            }
        };
        let log2 = huge.unwrap_or(PAGE.trailing_zeros());
        let sized = file.and_then(|file| ftruncate(&file, u64::from(decl.len_pages) << log2).map(|()| file));
        sized.map(Some).map_err(|error| format!("a file cannot be made: {error}"))
    };
    program.files.iter().enumerate().map(file).collect()
}

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

impl<'a> Director<'a> {
    fn start(
        agent: &'a Agent,
        plan: Plan,
        files: Vec<Option<OwnedFd>>,
        job: &Job,
        race: Option<(u64, u32)>,
    ) -> io::Result<Self> {
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
        let (meeting, cpus, home) = (agent.meeting, agent.cpus.clone(), agent.home);
        let mut inherited = Inherited { plan, ends: workers, device, direct, files, meeting, cpus, home };
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
            untouched: BTreeSet::new(),
            system: job.system,
            races: race.is_some(),
            seed: race.map_or(0, |(seed, _)| seed),
            round: race.map_or(0, |(_, round)| round),
            lodgers: BTreeMap::new(),
            room: vec![0; MESSAGE_MAX],
            deadline: Instant::now() + Duration::from_millis(job.limits.time_ms.into()),
            facts: job.facts,
            lines: Vec::new(),
            times: Times::default(),
        };
        director.procs[0] = Some(Proc::new(pid, ProcId(0), None)?);
        Ok(director)
    }

    fn program(&self) -> &Program {
        &self.inherited.plan.program
    }

    fn all(&mut self) -> Flow {
        let (mut next, len) = (0, self.program().code.len());
        while next < len {
            let race = self.program().code[next].race.filter(|_| self.races);
            if let Some(race) = race {
                let members = self.program().code[next..].iter().take_while(|instr| instr.race == Some(race)).count();
                self.race(next..next + members)?;
                next += members;
                continue;
            }
            self.line(Pc::at(next))?;
            self.wake(Pc::at(next))?;
            next += 1;
        }
        Ok(())
    }

    /// Has one instruction carried out, as far as it goes.
    fn line(&mut self, pc: Pc) -> Flow {
        let instr = self.program().code[pc.idx()];
        if is_kernels(self.program(), pc.idx()) {
            return self.move_pages(pc);
        }
        let Some(actor) = self.inherited.plan.acting(pc.idx()) else {
            return Err(Stop::Skip("the device has nothing to act on".to_owned()));
        };
        let task = self.thread(pc, actor)?;
        if instr.op == Op::Exit {
            return self.exit(pc, actor);
        }
        let pid = self.pid_of_target(pc);
        let written = match instr.op {
            Op::Madvise { area, advice: Advice::Pageout } => self.pfns(area),
            _ => Vec::new(),
        };
        self.say(task, &Order::Do { pc: pc.0, pid })?;
        let came = self.wait(task, pc)?;
        self.let_writeback_end(&written);
        self.came(task, pc, came)
    }

    /// The process whose memory an instruction is about.
    fn pid_of_target(&self, pc: Pc) -> i32 {
        let target = self.program().code[pc.idx()].op.area().map(|area| area.proc);
        target.and_then(|proc| self.procs[proc.idx()].as_ref()).map_or(0, |proc| proc.pid.as_raw_nonzero().get())
    }

    /// The thread that carries out an instruction; made where it was not there.
    fn thread(&mut self, pc: Pc, actor: ProcId) -> Result<TaskId, Stop> {
        let program = self.program();
        let named = program.code[pc.idx()].task;
        let first = self.first(actor);
        let task = if program.tasks[named.idx()].proc() == Some(actor) { named } else { first };
        if self.asleep.contains_key(&task) {
            return Err(Stop::Skip("the thread that would do this is asleep".to_owned()));
        }
        if self.started.insert(task) {
            self.spawn(task, first, pc)?;
        }
        Ok(task)
    }

    /// Has the first thread of a process start another.
    fn spawn(&mut self, task: TaskId, first: TaskId, pc: Pc) -> Flow {
        if self.asleep.contains_key(&first) {
            return Err(Stop::Skip("the thread that would start another is asleep".to_owned()));
        }
        self.say(first, &Order::Spawn { task: task.0 })?;
        match self.wait(first, pc)? {
            Came::Reply(Reply { failed: None, .. }) => Ok(()),
            _ => Err(Stop::Crashed("a thread could not be started".to_owned())),
        }
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
        let (end, pidfd) = (&self.ends[task.idx()], process.pidfd.as_fd());
        let mut waiter = Waiter { end, pidfd, uffds: &self.uffds, deadline: self.deadline, room: &mut self.room };
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
            Some(actor) => actor.proc().or(self.lodgers.get(&task).copied()).unwrap_or_default(),
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
            Came::Stopped { at, event } => {
                let place = self.inherited.plan.vpn(self.proc_of(task), at);
                self.asleep.insert(task, Asleep { pc, place });
                let area = self.program().code[pc.idx()].op.area();
                let done = place.zip(area).map_or(0, |(page, area)| page.0.saturating_sub(area.start.0));
                self.ended(pc, Ended::Event(event.to_string()), Reply::done(done))
            }
        }
    }

    fn failed(&mut self, pc: Pc, number: i32, reply: Reply) -> Flow {
        let Some(name) = of_errno(number) else {
            let error = io::Error::from_raw_os_error(number);
            return Err(Stop::Skip(format!("{} cannot be done here: {error}", self.describe(pc))));
        };
        self.ended(pc, Ended::Fails(name.to_string()), reply)
    }

    /// The children of a process that are there.
    fn children(&self, actor: ProcId) -> Vec<ProcId> {
        let is_child =
            |child: &ProcId| self.procs[child.idx()].as_ref().is_some_and(|proc| proc.alive && proc.parent == Some(actor));
        (0..self.procs.len()).map(ProcId::at).filter(is_child).collect()
    }

    fn exit(&mut self, pc: Pc, actor: ProcId) -> Flow {
        // Children would otherwise die with the thread that forked them.
        let children = self.children(actor);
        if children.iter().any(|child| self.asleep.contains_key(&self.first(*child))) {
            return Err(Stop::Skip("the parent of a thread that is asleep exits, and would take it along".to_owned()));
        }
        self.tell_all(&children, pc, &Order::Disarm)?;
        let task = self.program().code[pc.idx()].task;
        self.say(task, &Order::Do { pc: pc.0, pid: 0 })?;
        let place = self.describe(pc);
        let Some(proc) = &self.procs[actor.idx()] else { return Err(Stop::Crashed(format!("{place}: no such process"))) };
        if !until_gone(&proc.pidfd, self.deadline) {
            return Err(Stop::Crashed(format!("{place}: the process does not end")));
        }
        self.gone(actor, &children, pc)?;
        self.ended(pc, Ended::Ok, Reply::done(1))
    }

    /// A process is gone, and all that was its own.
    fn gone(&mut self, actor: ProcId, children: &[ProcId], pc: Pc) -> Flow {
        self.tell_all(children, pc, &Order::Arm)?;
        if let Some(proc) = &mut self.procs[actor.idx()] {
            proc.alive = false;
            proc.eye = None;
        }
        self.uffds[actor.idx()] = None;
        let procs: Vec<_> = self.program().tasks.iter().map(|actor| actor.proc()).collect();
        self.asleep.retain(|task, _| procs[task.idx()] != Some(actor));
        self.mapped.retain(|(proc, _), _| *proc != actor);
        let gone = |name: &RefId| self.holder(*name) == Some(actor);
        let gone: Vec<_> = self.held.keys().copied().filter(gone).collect();
        gone.iter().for_each(|name| drop(self.held.remove(name)));
        Ok(())
    }

    /// Tells the first threads of processes; one that sleeps cannot be told.
    fn tell_all(&mut self, procs: &[ProcId], pc: Pc, order: &Order) -> Flow {
        for proc in procs {
            let task = self.first(*proc);
            if !self.asleep.contains_key(&task) {
                self.say(task, order)?;
                self.wait(task, pc)?;
            }
        }
        Ok(())
    }

    /// Where the first thread of a process listens.
    fn first(&self, proc: ProcId) -> TaskId {
        let program = self.program();
        first_task(program, proc).unwrap_or(TaskId::at(program.tasks.len() + proc.idx()))
    }

    fn holder(&self, name: RefId) -> Option<ProcId> {
        let program = self.program();
        program.taker(name).and_then(|taker| program.tasks[taker.task.idx()].proc())
    }

    /// The pages whose sleepers an operation wakes.
    fn resolves(op: Op) -> Option<Area> {
        match op {
            Op::UffdUnwp { area } | Op::UffdCopy { area, .. } | Op::UffdZeropage { area } | Op::UffdContinue { area } => {
                Some(area)
            }
            Op::UffdMove { to, .. } => Some(to),
            _ => None,
        }
    }

    /// Lets those finish that the line has woken.
    fn wake(&mut self, pc: Pc) -> Flow {
        let Some(area) = Self::resolves(self.program().code[pc.idx()].op) else { return Ok(()) };
        if !matches!(self.lines.last(), Some(Line { ended: Ended::Ok, .. })) {
            return Ok(());
        }
        let is_woken = |place: Vpn, task: TaskId| area.pages().any(|page| page == place) && self.proc_of(task) == area.proc;
        let woken = self.asleep.iter().filter(|(task, asleep)| asleep.place.is_some_and(|place| is_woken(place, **task)));
        for (task, asleep) in woken.map(|(task, asleep)| (*task, *asleep)).collect::<Vec<_>>() {
            self.asleep.remove(&task);
            let mut came = self.wait(task, asleep.pc)?;
            if let Came::Reply(reply) = &mut came
                && let Some(raced) = reply.raced.pop()
            {
                if !reply.raced.is_empty() || raced.pc != asleep.pc.0 {
                    return Err(Stop::Skip("a thread that goes on in a race when it wakes behind it".to_owned()));
                }
                *reply = raced.reply; // It fell asleep in a race.
            }
            self.came(task, asleep.pc, came)?;
        }
        Ok(())
    }

    /// Writes down how a line ended, and stops where nothing announced it.
    fn ended(&mut self, pc: Pc, ended: Ended, reply: Reply) -> Flow {
        let instr = self.program().code[pc.idx()];
        // Advice is taken where it can be, also by a call that fails.
        if ended == Ended::Ok || matches!(instr.op, Op::Madvise { .. }) && 0 < reply.done {
            self.took_effect(instr.op, reply.pid, self.program().tasks[instr.task.idx()].proc())?;
            self.look_at_sizes(instr.op)?;
        } else if ended == Ended::Fails("ENOMEM".to_owned()) {
            self.took_effect_to_a_hole(instr.op);
        }
        let start = Instant::now();
        self.agent.drain();
        let facts = if self.facts { self.look() } else { Vec::new() };
        if let Some(name) = instr.op.takes().filter(|_| ended == Ended::Ok) {
            self.hold(name, instr.op);
        }
        self.agent.drain(); // Looking marks pages as accessed, which may put them into a batch again.
        self.times.facts += nanos(start);
        let woken = self.lines.iter().any(|line| line.pc == pc.0);
        let announced = match (&ended, instr.ending) {
            (Ended::Ok, Ending::Succeeds) => true,
            (Ended::Ok, Ending::Fails(_) | Ending::Event(_)) if instr.race.is_some() => true, // There it only permits.
            (Ended::Ok, Ending::Event(_)) => woken,
            (Ended::Fails(name), Ending::Fails(failure)) => *name == failure.to_string(),
            (Ended::Event(name), Ending::Event(event)) => *name == event.to_string(),
            _ => false,
        };
        self.lines.push(Line { pc: pc.0, ended, done: reply.done, seen: reply.seen, faults: reply.faults, facts });
        if announced { Ok(()) } else { Err(Stop::Unannounced) }
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
    fn new(pid: i32, proc: ProcId, parent: Option<ProcId>) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { pid, pidfd, eye: Eye::open(pid.as_raw_nonzero().get(), proc).ok(), parent, alive: true })
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

const _: () = assert!(PAGE == 4096, "what is read of pagemap counts pages of this size");
