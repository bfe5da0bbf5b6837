//! The agent: runs scenarios with real system calls, one after another, as a runner asks for them.
//!
//! For each scenario it forks a fresh process; what `fork` makes in the scenario comes from there. One thread carries out one
//! instruction at a time, so that a scenario does the same each time. All of it stays on one CPU, whose batches of pages are
//! emptied after each line.

mod director;
mod held;
mod look;
mod perform;
mod plan;
mod probe;
mod race;
mod stretch;
mod survey;
mod sys;
mod system;
mod uffd;
mod waiter;
mod worker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::process::{Signal, WaitOptions};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::thin::Thin;
use super::wire::{Answer, Feature, Hello, Job, Ran, Request, Times, VERSION};
use crate::ir::Program;
use look::{Frames, Sight};
use stretch::{ARENA, PAGE, Stretch};
pub(in crate::kernel) use sys::tie;
pub use system::SWAP;
use system::System;

/// What the agent keeps between scenarios.
struct Agent {
    device: OwnedFd,
    direct: Result<OwnedFd, String>,
    frames: Frames,
    sight: Sight,
    features: Vec<Feature>,
    /// Facts that cannot be seen, and why.
    unseen: BTreeMap<String, String>,
    scratch: Stretch,
    /// Counts those who are ready to race.
    meeting: &'static AtomicU32,
    /// The CPUs that may be raced on, and the one on which all else is done.
    cpus: Vec<usize>,
    home: usize,
    /// What it has changed of the machine.
    system: RefCell<System>,
}

/// Serves requests until there are no more.
///
/// # Errors
/// Where it cannot be set up, or requests or answers cannot be carried.
pub fn serve(requests: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    let mut agent = Agent::new()?;
    agent.probe(false);
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let hello = Hello {
        version: VERSION,
        release: text(uname.release()),
        machine: text(uname.machine()),
        probe: agent.features.clone(),
    };
    say(&mut answers, &hello)?;
    for line in requests.lines() {
        let answer = match serde_json::from_str(&line?) {
            Err(error) => Answer::Refused(error.to_string()),
            Ok(Request::Bye) => break,
            Ok(Request::Probe { system }) => {
                agent.probe(system);
                Answer::Probed(agent.features.clone())
            }
            Ok(Request::Run(job)) => Answer::Ran(Thin::of(director::run(&agent, &job, None))),
            Ok(Request::Race { job, seed, rounds }) => Answer::Raced(race(&agent, &job, seed, rounds)),
            Ok(Request::Bare { rounds }) => bare(rounds)?,
        };
        say(&mut answers, &answer)?;
    }
    Ok(())
}

fn say(to: &mut impl Write, what: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(what)?;
    text.push(b'\n');
    to.write_all(&text)?;
    to.flush()
}

/// Runs a scenario again and again, and puts together what came alike.
fn race(agent: &Agent, job: &Job, seed: u64, rounds: Range<u32>) -> Vec<(u32, Ran)> {
    let mut came: Vec<(u32, Ran)> = Vec::new();
    for round in rounds {
        let mut ran = director::run(agent, job, Some((seed, round)));
        ran.times = Times::default();
        ran.lines.iter_mut().for_each(|line| line.faults = None);
        let stops = ran.stopped.is_some();
        match came.iter_mut().find(|(_, other)| *other == ran) {
            Some((count, _)) => *count += 1,
            None => came.push((1, ran)),
        }
        if stops && came.len() == 1 {
            break; // It will not do better: it is skipped, or the first round failed.
        }
    }
    came
}

/// A loop of bare fork and exit: nothing that makes processes can be faster.
fn bare(rounds: u32) -> io::Result<Answer> {
    let start = Instant::now();
    for _ in 0..rounds {
        if sys::fork()? == sys::Fork::Child {
            sys::exit(0);
        }
        rustix::process::wait(WaitOptions::empty())?;
    }
    Ok(Answer::Timed { ns: start.elapsed().as_nanos() as u64 })
}

impl Agent {
    fn new() -> io::Result<Self> {
        // The runner's death is the agent's, whose scenarios are its children.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
        let (allowed, home) = (sched_getaffinity(None)?, sched_getcpu());
        let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let mut one = CpuSet::new();
        one.set(home);
        sched_setaffinity(None, &one)?;
        let scratch = Stretch::new(ARENA.end - PAGE, PAGE);
        sys::map(scratch, sys::Kind { prot: libc::PROT_READ | libc::PROT_WRITE, shared: false, file: None, huge: None })?;
        sys::advise(scratch, libc::MADV_DONTFORK)?;
        let device = memfd_create("cowl-device", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&device, PAGE as u64)?;
        let unseen = BTreeMap::new();
        let (frames, sight) = (Frames::open(), Sight::default());
        Ok(Self {
            device,
            direct: direct_file(),
            frames,
            sight,
            features: Vec::new(),
            unseen,
            scratch,
            meeting: sys::shared_counter()?,
            cpus,
            home,
            system: RefCell::default(),
        })
    }

    /// Empties this CPU's batches of pages, whose references would make the next line depend on chance.
    ///
    /// `madvise(MADV_COLD)` begins with lru_add_drain() in every release that has it (mm/madvise.c, `madvise_cold`, 5.4); it is
    /// given a page of the agent's own.
    fn drain(&self) {
        let _ = sys::advise(self.scratch, libc::MADV_COLD);
    }

    /// What a program needs and this kernel or this user cannot.
    fn lacking(&self, program: &Program) -> Option<String> {
        program.code.iter().find_map(|instr| {
            let name = probe::needs(instr.op)?;
            let feature = self.features.iter().find(|feature| !feature.sees && feature.name == name)?;
            feature.no.as_ref().map(|why| format!("`{name}`: {why}"))
        })
    }
}

/// Names what direct I/O is done on, in the environment; it is overwritten.
pub const DIRECT: &str = "COWL_DIRECT";

/// What can be read and written past the page cache: what the environment names, else a nameless file.
fn direct_file() -> Result<OwnedFd, String> {
    if let Some(path) = std::env::var_os(DIRECT) {
        let file = open(&path, OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty());
        return file.map_err(|error| format!("{} ({DIRECT}): {error}", path.display()));
    }
    nameless_file(OFlags::DIRECT)
}

/// Of statfs(2): a tmpfs, whose files are shared memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// The same where a file system makes none without a name.
fn removed_file(folder: &Path, more: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = folder.join(format!("cowl-nameless-{}", std::process::id()));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | more;
    let file = open(&path, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::unlink(&path)?;
    Ok(file)
}

/// A file of a disk without a name, a page long.
fn nameless_file(more: OFlags) -> Result<OwnedFd, String> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC | more;
    let folders = [std::env::temp_dir(), "/var/tmp".into(), ".".into()];
    let mut why = String::new();
    for folder in folders {
        if rustix::fs::statfs(&folder).is_ok_and(|system| system.f_type == TMPFS_MAGIC) {
            why = format!("{} is of memory, and of no disk", folder.display());
            continue;
        }
        let file = open(&folder, flags, Mode::RUSR | Mode::WUSR).or_else(|_| removed_file(&folder, more));
        match file.and_then(|file| rustix::fs::ftruncate(&file, PAGE as u64).map(|()| file)) {
            Ok(file) => return Ok(file),
            Err(error) => why = format!("no nameless file in {}: {error}", folder.display()),
        }
    }
    Err(why)
}
