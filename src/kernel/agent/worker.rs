//! A process of a scenario: waits for orders, carries them out, answers.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, send, sendmsg};
use serde::{Deserialize, Serialize};

use super::held::Held;
use super::perform::perform;
use super::plan::Plan;
use super::race::{Part, Raced, take_part};
use super::stretch::Stretch;
use super::sys;
use crate::ir::{Actor, Op, UffdMode};
use crate::kernel::wire::Saw;
use crate::types::{Failure, Pc, ProcId, RefId, TaskId};

/// The longest order or answer in bytes.
pub(super) const MESSAGE_MAX: usize = 120 << 10;

/// What the director tells a thread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Carries out an instruction; `pid` is the process whose memory it is about.
    Do { pc: u16, pid: i32 },
    /// Takes part in a race.
    Race(Part),
    /// Starts another thread of the process.
    Spawn { task: u8 },
    /// The parent is about to exit: its death is no reason to die.
    Disarm,
    /// The parent is gone, and the agent stands in its place: its death is a reason.
    Arm,
    /// Gives the kernel advice about the process's own memory: what the kernel does by itself needs it.
    Advise { at: usize, len: usize, advice: i32 },
}

/// What a thread answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Pages, or other parts of the instruction, that took effect.
    pub done: u16,
    pub seen: Vec<Saw>,
    /// The errno or signal that ended it.
    pub failed: Option<Failed>,
    /// Minor faults meanwhile.
    pub faults: Option<u32>,
    /// Nanoseconds it took.
    pub ns: u64,
    /// The child that was forked.
    pub pid: Option<i32>,
    /// Of a race, each instruction that ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raced: Vec<Raced>,
}

/// How an instruction failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Failed {
    Errno(i32),
    Signal(i32),
    /// It cannot be said here, and why.
    Skip(String),
}

impl Failed {
    /// As a scenario names it, if it can.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Failed::Errno(number) => of_errno(*number),
            Failed::Signal(libc::SIGBUS) => Some(Failure::SIGBUS),
            Failed::Signal(_) => Some(Failure::SIGSEGV),
            Failed::Skip(_) => None,
        }
    }
}

/// As a scenario names an errno, if it can.
pub(super) fn of_errno(number: i32) -> Option<Failure> {
    Some(match number {
        libc::EFAULT => Failure::EFAULT,
        libc::EAGAIN => Failure::EAGAIN,
        libc::EBUSY => Failure::EBUSY,
        libc::EINVAL => Failure::EINVAL,
        libc::EIO => Failure::EIO,
        libc::ENOMEM => Failure::ENOMEM,
        libc::EEXIST => Failure::EEXIST,
        libc::ENOENT => Failure::ENOENT,
        libc::EPERM => Failure::EPERM,
        libc::EOPNOTSUPP => Failure::EOPNOTSUPP,
        _ => return None,
    })
}

impl Reply {
    pub fn done(parts: u16) -> Self {
        Self { done: parts, seen: Vec::new(), failed: None, faults: None, ns: 0, pid: None, raced: Vec::new() }
    }

    pub fn failed(done: u16, failed: Failed) -> Self {
        Self { failed: Some(failed), ..Self::done(done) }
    }
}

/// What all processes of a scenario share from the start: made before the first, handed on by fork.
pub(super) struct Inherited {
    pub plan: Plan,
    /// For each actor the worker's end of its connection.
    pub ends: Vec<OwnedFd>,
    /// What the device reads from and writes to.
    pub device: OwnedFd,
    /// A file of a real disk, opened for direct I/O; where there is none, why.
    pub direct: Result<OwnedFd, String>,
    /// The files of the program that have a name.
    pub files: Vec<Option<OwnedFd>>,
    /// Counts those who are ready to race.
    pub meeting: &'static AtomicU32,
    /// The CPUs that may be raced on, and the one on which all else is done.
    pub cpus: Vec<usize>,
    pub home: usize,
}

/// The userfaultfds of a process: one whose threads sleep, and one whose protection the kernel lifts by itself.
#[derive(Default)]
pub(super) struct Uffds {
    waited: Option<OwnedFd>,
    unwaited: Option<OwnedFd>,
}

impl Uffds {
    pub fn of(&mut self, mode: UffdMode) -> &mut Option<OwnedFd> {
        match mode {
            UffdMode::Wp | UffdMode::Missing | UffdMode::Minor => &mut self.waited,
            UffdMode::WpAsync => &mut self.unwaited,
        }
    }
}

/// What the threads of one process share.
pub(super) struct Process {
    pub inherited: Arc<Inherited>,
    held: Mutex<BTreeMap<RefId, Held>>,
    children: Mutex<BTreeMap<ProcId, i32>>,
    uffds: Mutex<Uffds>,
}

impl Process {
    pub fn new(inherited: Arc<Inherited>) -> Arc<Self> {
        Arc::new(Self { inherited, held: Mutex::default(), children: Mutex::default(), uffds: Mutex::default() })
    }

    pub fn held(&self) -> MutexGuard<'_, BTreeMap<RefId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all references up: an exiting process loses its memory first, and rings would give up their pins only some time
    /// later.
    pub fn release_all(&self) {
        for (_, held) in std::mem::take(&mut *self.held()) {
            let _ = held.release();
        }
    }

    pub fn children(&self) -> MutexGuard<'_, BTreeMap<ProcId, i32>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn uffds(&self) -> MutexGuard<'_, Uffds> {
        self.uffds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one actor until the director is gone. Does not return.
pub(super) fn serve(mut process: Arc<Process>, mut task: TaskId) -> ! {
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        let inherited = Arc::clone(&process.inherited);
        let end = &inherited.ends[task.idx()];
        let Ok((len, _)) = recv(end, &mut buffer[..], RecvFlags::empty()) else { sys::exit(1) };
        let Ok(order) = serde_json::from_slice::<Order>(&buffer[..len]) else { sys::exit(1) };
        match order {
            Order::Disarm | Order::Arm => {
                let signal = (order == Order::Arm).then_some(rustix::process::Signal::KILL);
                let _ = rustix::process::set_parent_process_death_signal(signal);
                answer(end, &Reply::done(0));
            }
            Order::Advise { at, len, advice } => match sys::advise(Stretch::new(at, len), advice) {
                Ok(()) => answer(end, &Reply::done(0)),
                Err(error) => answer(end, &failed(&error)),
            },
            Order::Race(part) => take_part(&mut process, &mut task, part),
            Order::Spawn { task } => {
                let process = Arc::clone(&process);
                match std::thread::Builder::new().stack_size(256 << 10).spawn(move || serve(process, TaskId(task))) {
                    Ok(_) => answer(end, &Reply::done(0)),
                    Err(error) => answer(end, &failed(&error)),
                }
            }
            Order::Do { pc, pid } => match inherited.plan.program.code[usize::from(pc)].op {
                Op::Fork { child } => match fork(&process, child) {
                    Side::Child(born) => {
                        task = first_task(&inherited.plan, child);
                        process = born;
                        answer(&inherited.ends[task.idx()], &Reply::done(0));
                    }
                    Side::Parent(reply) => answer(end, &reply),
                },
                Op::Exit => {
                    process.release_all();
                    sys::exit(0)
                }
                _ => {
                    let (faults, start) = (sys::minor_faults(), Instant::now());
                    let mut reply = perform(&process, Pc(pc), pid);
                    reply.ns = start.elapsed().as_nanos() as u64;
                    reply.faults = faults.zip(sys::minor_faults()).map(|(before, after)| (after - before) as u32);
                    answer(end, &reply);
                }
            },
        }
    }
}

/// The actor that is a process's first thread; one that never acts has none, and its process then waits where nobody asks.
pub(super) fn first_task(plan: &Plan, proc: ProcId) -> TaskId {
    let is_first = |actor: &Actor| *actor == Actor::Thread { proc, thread: 1 };
    TaskId::at(plan.program.tasks.iter().position(is_first).unwrap_or(plan.program.tasks.len() + proc.idx()))
}

/// Which side of a fork this is.
pub(super) enum Side {
    Child(Arc<Process>),
    Parent(Reply),
}

pub(super) fn fork(process: &Arc<Process>, child: ProcId) -> Side {
    let start = Instant::now();
    // Held across the fork: of the threads of a race the child inherits their locks, and nobody who would give them back.
    let (mut held, mut children, mut uffds) = (process.held(), process.children(), process.uffds());
    match sys::fork() {
        Err(error) => Side::Parent(failed(&error)),
        Ok(sys::Fork::Parent(pid)) => {
            let ns = start.elapsed().as_nanos() as u64;
            children.insert(child, pid);
            Side::Parent(Reply { pid: Some(pid), ns, ..Reply::done(1) })
        }
        Ok(sys::Fork::Child) => {
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            // References belong to the process that took them: here their descriptors are closed, and nothing is unpinned. The
            // memory of a ring is not inherited (MADV_DONTFORK), only its descriptor is.
            held.clear();
            *uffds = Uffds::default();
            Side::Child(Process::new(Arc::clone(&process.inherited)))
        }
    }
}

/// The reply to a call that failed.
pub(super) fn failed(error: &std::io::Error) -> Reply {
    Reply::failed(0, Failed::Errno(error.raw_os_error().unwrap_or(0)))
}

pub(super) fn answer(end: &OwnedFd, reply: &Reply) {
    let Ok(text) = serde_json::to_vec(reply) else { sys::exit(1) };
    if send(end, &text, SendFlags::empty()).is_err() {
        sys::exit(1);
    }
}

/// Hands the director a userfaultfd: it must see who stops there.
pub(super) fn hand_over(process: &Process, task: TaskId, fd: &OwnedFd) -> std::io::Result<()> {
    use std::os::fd::AsFd;
    let fds = [fd.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let text = [std::io::IoSlice::new(b"uffd")];
    sendmsg(&process.inherited.ends[task.idx()], &text, &mut ancillary, SendFlags::empty())?;
    Ok(())
}
