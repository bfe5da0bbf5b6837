//! The agent from the outside: a child process that is asked over a pipe, and made anew where it dies.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::wire::{Answer, Feature, Hello, Job, Ran, Request, Stop, Times, VERSION};

/// How an agent is started on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    pub program: PathBuf,
    pub args: Vec<OsString>,
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
        let mut child = Command::new(&start.program).args(&start.args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the agent has no pipes"));
        };
        let mut answers = BufReader::new(answers);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let hello: Hello = serde_json::from_str(&line).map_err(|_| io::Error::other("the agent does not greet"))?;
        if hello.version != VERSION {
            return Err(io::Error::other(format!("the agent speaks version {}, this is {VERSION}", hello.version)));
        }
        Ok(Self { start, child, requests, answers, hello })
    }

    /// Asks once.
    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        self.requests.write_all(&text)?;
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }

    /// Runs a scenario. Where the agent dies of it, that is the answer, and there is a new one.
    ///
    /// # Errors
    /// Where a new one cannot be started.
    pub fn run(&mut self, job: &Job) -> io::Result<Ran> {
        let why = match self.ask(&Request::Run(job.clone())) {
            Ok(Answer::Ran(ran)) => return Ok(ran),
            Ok(Answer::Refused(why)) => why,
            Ok(_) => "the agent answered something else".to_owned(),
            Err(error) => {
                let _ = self.child.kill();
                let ended = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                let new = Self::start(self.start.clone())?;
                let old = std::mem::replace(self, new);
                drop(old);
                format!("the agent is gone: {error}; {ended}")
            }
        };
        let stopped = Some(Stop::Crashed(why));
        Ok(Ran { id: job.id, lines: Vec::new(), stopped, unseen: Default::default(), times: Times::default() })
    }

    /// Nanoseconds of one round of bare fork and exit.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn bare(&mut self, rounds: u32) -> io::Result<u64> {
        match self.ask(&Request::Bare { rounds })? {
            Answer::Timed { ns } => Ok(ns / u64::from(rounds.max(1))),
            _ => Err(io::Error::other("the agent answered something else")),
        }
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
