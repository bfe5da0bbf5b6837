//! A kernel as somebody who runs scenarios: booted once for all of them, and again where one of them brings it down.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failed, Machine, Options};
use crate::kernel::wire::{Answer, Hello, Job, Ran, Request, Stop, Times};

/// Machines that scenarios may bring down before the kernel is given up.
const MACHINES_MAX: u32 = 20;
/// Tries to boot a machine: under emulation on a busy machine a kernel now and then gives up while it starts.
const BOOTS_MAX: usize = 3;

/// A kernel in a virtual machine.
#[derive(Debug)]
pub struct Guest {
    kernel: PathBuf,
    options: Options,
    machine: Option<Machine>,
    machines: u32,
    /// What the agent greeted with, at the first boot.
    pub hello: Hello,
    /// How long the first boot took.
    pub booted: Duration,
    /// Why boots failed that were tried again.
    pub retried: Vec<String>,
}

impl Guest {
    /// Boots a kernel; where it does not come up, up to three times.
    ///
    /// # Errors
    /// As [`Machine::boot`] at the last try.
    pub fn boot(kernel: &Path, options: Options) -> Result<Self, Failed> {
        let mut retried = Vec::new();
        let (machine, hello) = boot(kernel, &options, &mut retried)?;
        let booted = machine.booted;
        Ok(Self { kernel: kernel.to_owned(), options, machine: Some(machine), machines: 1, hello, booted, retried })
    }

    /// Runs a scenario. Where the machine dies of it, that is the answer, and the next scenario finds a new machine.
    ///
    /// # Errors
    /// Where no new machine can be had, too many of them died, or somebody asked to stop.
    pub fn run(&mut self, job: &Job) -> Result<Ran, Failed> {
        Ok(match self.ask_about(job, &Request::Run(job.clone()))? {
            Ok(Answer::Ran(ran)) if ran.id() == job.id => ran.full(),
            Ok(_) => crashed(job, "the agent answered something else".to_owned()),
            Err(why) => crashed(job, why),
        })
    }

    /// Runs a scenario with races in these rounds: what came, each with how often.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn race(&mut self, job: &Job, seed: u64, rounds: Range<u32>) -> Result<Vec<(u32, Ran)>, Failed> {
        Ok(match self.ask_about(job, &Request::Race { job: job.clone(), seed, rounds })? {
            Ok(Answer::Raced(came)) => came,
            Ok(_) => vec![(1, crashed(job, "the agent answered something else".to_owned()))],
            Err(why) => vec![(1, crashed(job, why))],
        })
    }

    /// Asks about a scenario; where there is no answer, why.
    fn ask_about(&mut self, job: &Job, request: &Request) -> Result<Result<Answer, String>, Failed> {
        let within = Duration::from_millis(job.limits.time_ms.into()) + self.options.answer;
        match self.machine()?.ask(request, within) {
            Ok(Answer::Refused(why)) => Ok(Err(why)),
            Ok(answer) => Ok(Ok(answer)),
            Err(Failed::Stopped) => Err(Failed::Stopped),
            Err(failed) => {
                if !matches!(failed, Failed::Reborn { .. }) {
                    self.machine = None;
                }
                Ok(Err(failed.to_string()))
            }
        }
    }

    /// Has the agent try all that it can do, swap, huge pages and KSM too, and takes what came of it into its greeting.
    ///
    /// # Errors
    /// Where the machine does not answer.
    pub fn probe(&mut self) -> Result<(), Failed> {
        let within = self.options.answer;
        if let Answer::Probed(probe) = self.machine()?.ask(&Request::Probe { system: true }, within)? {
            self.hello.probe = probe;
        }
        Ok(())
    }

    /// The process that emulates the machine, where there is one.
    pub fn id(&self) -> Option<u32> {
        self.machine.as_ref().map(Machine::id)
    }

    fn machine(&mut self) -> Result<&mut Machine, Failed> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None if self.machines < MACHINES_MAX => {
                self.machines += 1;
                boot(&self.kernel, &self.options, &mut self.retried)?.0
            }
            None => return Err(Failed::Machines(MACHINES_MAX)),
        };
        Ok(self.machine.insert(machine))
    }
}

fn crashed(job: &Job, why: String) -> Ran {
    let stopped = Some(Stop::Crashed(why));
    Ran { id: job.id, lines: Vec::new(), stopped, unseen: Default::default(), times: Times::default() }
}

fn boot(kernel: &Path, options: &Options, retried: &mut Vec<String>) -> Result<(Machine, Hello), Failed> {
    let last = retried.len() + BOOTS_MAX - 1;
    loop {
        match Machine::boot(kernel, options) {
            Err(failed @ (Failed::Boot { .. } | Failed::Ended { .. })) if retried.len() < last => {
                retried.push(failed.to_string());
            }
            booted => return booted,
        }
    }
}
