//! The agent from the outside: a child process that is asked over a pipe, and made anew where it dies.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::wire::{Answer, Feature, Hello, Job, Ran, Request, Stop, Times, VERSION};

/// Until an agent greets, or answers what is no scenario: it tries all that it can do.
const ANSWER: Duration = Duration::from_secs(60);
/// Beyond a scenario's own limit, until its answer: settings of the machine are changed and restored meanwhile.
const BEYOND: Duration = Duration::from_secs(20);

/// How an agent is started on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The CPU that it shares with the thread that starts it, counted from those that may be used; any where `None`.
    pub cpu: Option<usize>,
}

/// An agent on this machine.
pub struct Host {
    start: Start,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it greeted with.
    pub hello: Hello,
}

impl Host {
    /// Starts one.
    ///
    /// # Errors
    /// Where it cannot be started, or does not greet as this version does.
    pub fn start(start: Start) -> io::Result<Self> {
        if let Some(cpu) = start.cpu {
            stay_on(cpu);
        }
        // In a group of its own ctrl-C does not reach it: the runner says what becomes of the scenario under way.
        let mut command = Command::new(&start.program);
        command.args(&start.args).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the agent has no pipes"));
        };
        let mut answers = BufReader::new(answers);
        let line = line_within(&mut answers, ANSWER).inspect_err(|_| drop(child.kill()))?;
        let hello: Hello = serde_json::from_slice(&line).map_err(|_| io::Error::other("the agent does not greet"))?;
        if hello.version != VERSION {
            return Err(io::Error::other(format!("the agent speaks version {}, this is {VERSION}", hello.version)));
        }
        Ok(Self { start, child, requests, answers, hello })
    }

    /// Asks once.
    fn ask(&mut self, request: &Request, within: Duration) -> io::Result<Answer> {
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        self.requests.write_all(&text)?;
        Ok(serde_json::from_slice(&line_within(&mut self.answers, within)?)?)
    }

    /// Runs a scenario. Where the agent dies of it, or does not answer in time, that is the answer, and there is a new one.
    ///
    /// # Errors
    /// Where a new one cannot be started.
    pub fn run(&mut self, job: &Job) -> io::Result<Ran> {
        match self.ask_about(job, &Request::Run(job.clone()))? {
            Ok(Answer::Ran(ran)) => Ok(ran.full()),
            Ok(_) => Ok(crashed(job, "the agent answered something else".to_owned())),
            Err(why) => Ok(crashed(job, why)),
        }
    }

    /// Runs a scenario with races in these rounds: what came, each with how often.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn race(&mut self, job: &Job, seed: u64, rounds: Range<u32>) -> io::Result<Vec<(u32, Ran)>> {
        match self.ask_about(job, &Request::Race { job: job.clone(), seed, rounds })? {
            Ok(Answer::Raced(came)) => Ok(came),
            Ok(_) => Ok(vec![(1, crashed(job, "the agent answered something else".to_owned()))]),
            Err(why) => Ok(vec![(1, crashed(job, why))]),
        }
    }

    /// Asks about a scenario; where there is no answer, why, and there is a new agent.
    fn ask_about(&mut self, job: &Job, request: &Request) -> io::Result<Result<Answer, String>> {
        let within = Duration::from_millis(job.limits.time_ms.into()) + BEYOND;
        Ok(match self.ask(request, within) {
            Ok(Answer::Refused(why)) => Err(why),
            Ok(answer) => Ok(answer),
            Err(error) => {
                let _ = self.child.kill();
                let ended = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                let new = Self::start(self.start.clone())?;
                let old = std::mem::replace(self, new);
                drop(old);
                Err(format!("the agent is gone: {error}; {ended}"))
            }
        })
    }

    /// Nanoseconds of one round of bare fork and exit.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn bare(&mut self, rounds: u32) -> io::Result<u64> {
        match self.ask(&Request::Bare { rounds }, ANSWER)? {
            Answer::Timed { ns } => Ok(ns / u64::from(rounds.max(1))),
            _ => Err(io::Error::other("the agent answered something else")),
        }
    }

    /// Looks once more at what can be realised and seen; `system` with what changes settings of the machine.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn probe(&mut self, system: bool) -> io::Result<()> {
        match self.ask(&Request::Probe { system }, ANSWER)? {
            Answer::Probed(probe) => self.hello.probe = probe,
            _ => return Err(io::Error::other("the agent answered something else")),
        }
        Ok(())
    }

    /// The agent's process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What can be realised and seen.
    pub fn features(&self) -> &[Feature] {
        &self.hello.probe
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.ask_nothing();
        let _ = self.child.wait();
    }
}

impl Host {
    fn ask_nothing(&mut self) -> io::Result<()> {
        let mut text = serde_json::to_vec(&Request::Bye)?;
        text.push(b'\n');
        self.requests.write_all(&text)
    }
}

/// Keeps the calling thread, and what it starts, on one CPU: runner and agent take turns, so that neither has to be woken elsewhere.
#[cfg(target_os = "linux")]
fn stay_on(nth: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let Some(cpu) = cpus.get(nth % cpus.len().max(1)) else { return };
    let mut one = CpuSet::new();
    one.set(*cpu);
    let _ = sched_setaffinity(None, &one);
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: usize) {}

/// The answer for a scenario of which the agent has died.
fn crashed(job: &Job, why: String) -> Ran {
    let stopped = Some(Stop::Crashed(why));
    Ran { id: job.id, lines: Vec::new(), stopped, unseen: Default::default(), times: Times::default() }
}

/// A line of an agent.
///
/// # Errors
/// Where none comes in time, or none will ever come.
fn line_within(answers: &mut BufReader<ChildStdout>, within: Duration) -> io::Result<Vec<u8>> {
    let (until, mut line) = (Instant::now() + within, Vec::new());
    loop {
        if answers.buffer().is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::from_borrowed_fd(answers.get_ref().as_fd(), PollFlags::IN)], Some(&left)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
        let some = answers.fill_buf()?;
        let (len, ends) = match some.iter().position(|byte| *byte == b'\n') {
            _ if some.is_empty() => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Some(place) => (place + 1, true),
            None => (some.len(), false),
        };
        line.extend_from_slice(&some[..len]);
        answers.consume(len);
        if ends {
            return Ok(line);
        }
    }
}
