//! A kernel as somebody who runs scenarios: booted once for all of them, and again where one of them brings it down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failed, Machine, Options};
use crate::kernel::wire::{Answer, Hello, Job, Ran, Request, Stop, Times};

/// Machines that scenarios may bring down before the kernel is given up.
const MACHINES_MAX: u32 = 20;
/// Beyond a scenario's own limit, until its answer: emulation is slow, and a facts-laden answer is long.
const ANSWER: Duration = Duration::from_secs(60);

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
}

impl Guest {
    /// Boots a kernel.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn boot(kernel: &Path, options: Options) -> Result<Self, Failed> {
        let (machine, hello) = Machine::boot(kernel, &options)?;
        let booted = machine.booted;
        Ok(Self { kernel: kernel.to_owned(), options, machine: Some(machine), machines: 1, hello, booted })
    }

    /// Runs a scenario. Where the machine dies of it, that is the answer, and the next scenario finds a new machine.
    ///
    /// # Errors
    /// Where no new machine can be had, or too many of them died.
    pub fn run(&mut self, job: &Job) -> Result<Ran, Failed> {
        let request = Request::Run(job.clone());
        let within = Duration::from_millis(job.limits.time_ms.into()) + ANSWER;
        let why = match self.machine()?.ask(&request, within) {
            Ok(Answer::Ran(ran)) if ran.id == job.id => return Ok(ran),
            Ok(Answer::Refused(why)) => why,
            Ok(_) => "the agent answered something else".to_owned(),
            Err(failed) => {
                if !matches!(failed, Failed::Reborn { .. }) {
                    self.machine = None;
                }
                failed.to_string()
            }
        };
        let stopped = Some(Stop::Crashed(why));
        Ok(Ran { id: job.id, lines: Vec::new(), stopped, unseen: Default::default(), times: Times::default() })
    }

    fn machine(&mut self) -> Result<&mut Machine, Failed> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None if self.machines < MACHINES_MAX => {
                self.machines += 1;
                Machine::boot(&self.kernel, &self.options)?.0
            }
            None => return Err(Failed::Machines(MACHINES_MAX)),
        };
        Ok(self.machine.insert(machine))
    }
}
