//! Virtual machines: a kernel booted with this very program as its first process, which is asked as the agent of this machine is.

mod batch;
mod cache;
mod console;
mod guest;
mod initramfs;
mod link;
mod qemu;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod init;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::wire::{Answer, Hello, Request, VERSION};
pub use batch::{Batch, Task, on_each};
pub use cache::kernels;
use console::Console;
pub use guest::Guest;
use link::{Link, Silence};
use qemu::{Qemu, Started};

/// How a machine is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that becomes the machine's first process; this one where `None`.
    pub program: Option<PathBuf>,
    /// Its memory in mebibytes.
    pub memory_mib: u32,
    /// Its disk in mebibytes, of this machine's memory; it is there to be swapped to.
    pub disk_mib: u32,
    /// Until the agent's first line.
    pub boot: Duration,
    /// Beyond a scenario's own limit, until its answer: emulation is slow, and an answer with all facts is long.
    pub answer: Duration,
    /// Who sets it wants no more answers: the machine ends, and says [`Failed::Stopped`].
    pub stop: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            program: None,
            memory_mib: 2048,
            disk_mib: 72,
            boot: Duration::from_secs(120),
            answer: Duration::from_secs(60),
            stop: Arc::default(),
        }
    }
}

/// Why a machine cannot be had, or is none any more.
#[derive(Debug, Error)]
pub enum Failed {
    #[error("qemu-system-x86_64 is not installed")]
    NoQemu,
    #[error("{path}: {why}")]
    Kernel { path: String, why: String },
    #[error("what the machine starts from cannot be made: {0}")]
    Initramfs(io::Error),
    #[error("qemu cannot be run: {0}")]
    Run(io::Error),
    #[error("the kernel did not come up within {seconds} s{console}")]
    Boot { seconds: u64, console: Tail },
    #[error("no answer within {seconds} s{console}")]
    Silent { seconds: u64, console: Tail },
    #[error("the machine ended{console}")]
    Ended { console: Tail },
    #[error("the agent died and was started again{console}")]
    Reborn { console: Tail },
    #[error("{0} machines were brought down (MACHINES_MAX)")]
    Machines(u32),
    #[error("it was stopped")]
    Stopped,
    #[error("an answer cannot be read: {why}{console}")]
    Garbled { why: String, console: Tail },
}

/// The last lines of a machine's console, for a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail(pub String);

impl core::fmt::Display for Tail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0.is_empty() {
            true => write!(f, "; its console is empty"),
            false => write!(f, "; its console ends with\n{}", self.0),
        }
    }
}

/// A running machine. It ends with this value.
#[derive(Debug)]
pub struct Machine {
    // In this order: the machine ends before its port and console are taken away.
    qemu: Qemu,
    link: Link,
    console: Console,
    stop: Arc<AtomicBool>,
    /// How long it took to the agent's first line.
    pub booted: Duration,
}

/// The program that runs machines, if there is one.
pub fn qemu() -> Option<PathBuf> {
    qemu::find()
}

impl Machine {
    /// Boots a kernel and waits for the agent's first line.
    ///
    /// # Errors
    /// Where there is no such kernel, no qemu, or it does not come up in time: then with what it said last.
    pub fn boot(kernel: &Path, options: &Options) -> Result<(Self, Hello), Failed> {
        let begun = Instant::now();
        bootable(kernel)?;
        let program = qemu::find().ok_or(Failed::NoQemu)?;
        let itself = || std::env::current_exe().map_err(Failed::Initramfs);
        let agent = options.program.clone().map_or_else(itself, Ok)?;
        let archive = initramfs::build(&agent, kernel).map_err(Failed::Initramfs)?;
        let Started { qemu, ports, output } = Qemu::start(&program, kernel, &archive, options).map_err(Failed::Run)?;
        let console = Console::listen(output);
        let link = Link::listen(ports).map_err(Failed::Run)?;
        let mut machine = Self { qemu, link, console, stop: Arc::clone(&options.stop), booted: Duration::ZERO };
        let hello = machine.hello(options.boot)?;
        machine.booted = begun.elapsed();
        Ok((machine, hello))
    }

    /// The process that emulates it.
    pub fn id(&self) -> u32 {
        self.qemu.id()
    }

    fn hello(&mut self, within: Duration) -> Result<Hello, Failed> {
        let line = self.line(within).map_err(|failed| match failed {
            Failed::Silent { seconds, console } => Failed::Boot { seconds, console },
            failed => failed,
        })?;
        let hello: Hello = serde_json::from_str(&line).map_err(|error| self.garbled(&error, &line))?;
        match hello.version {
            VERSION => Ok(hello),
            other => Err(Failed::Garbled { why: format!("it speaks version {other}, not {VERSION}"), console: self.tail() }),
        }
    }

    /// Asks, and waits for the answer. After an error the machine is of no more use.
    ///
    /// # Errors
    /// Where none comes in time, the machine ends, or what comes is no answer.
    pub fn ask(&mut self, request: &Request, within: Duration) -> Result<Answer, Failed> {
        let mut line = serde_json::to_string(request).map_err(|error| self.garbled(&error, ""))?;
        line.push('\n');
        self.link.send(line.as_bytes()).map_err(|_| self.ended())?;
        let answer = self.line(within)?;
        if serde_json::from_str::<Hello>(&answer).is_ok() {
            return Err(Failed::Reborn { console: self.tail() });
        }
        serde_json::from_str(&answer).map_err(|error| self.garbled(&error, &answer))
    }

    fn line(&mut self, within: Duration) -> Result<String, Failed> {
        self.link.line(within, &self.stop).map_err(|silence| match silence {
            Silence::Stopped => Failed::Stopped,
            Silence::Ended => self.ended(),
            Silence::Late => Failed::Silent { seconds: within.as_secs(), console: self.tail() },
        })
    }

    fn ended(&mut self) -> Failed {
        self.qemu.wait(Duration::from_secs(1)); // What it says last arrives with its end.
        Failed::Ended { console: self.tail() }
    }

    fn garbled(&self, error: &serde_json::Error, line: &str) -> Failed {
        let begin: String = line.chars().take(80).collect();
        Failed::Garbled { why: format!("{error} in `{begin}`"), console: self.tail() }
    }

    fn tail(&self) -> Tail {
        Tail(self.console.tail())
    }
}

/// Whether a file is a kernel that qemu can boot: said here, since qemu would only say that nothing booted.
///
/// # Source
/// The setup header of the x86 boot protocol: 0xaa55 at 0x1fe, `HdrS` at 0x202.
fn bootable(kernel: &Path) -> Result<(), Failed> {
    let failed = |why: String| Failed::Kernel { path: kernel.display().to_string(), why };
    let mut begin = [0; 0x206];
    let read = std::fs::File::open(kernel).and_then(|mut file| io::Read::read_exact(&mut file, &mut begin));
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(failed(error.to_string())),
        Ok(()) if begin[0x1fe..0x200] == [0x55, 0xaa] && begin[0x202..0x206] == *b"HdrS" => Ok(()),
        _ => Err(failed("not a bootable x86 kernel: give a vmlinuz (bzImage)".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_kernel_is_refused_before_anything_starts() {
        for path in ["/no/such/file", "/dev/null", "/etc/passwd", "Cargo.toml"] {
            let failed = bootable(Path::new(path)).expect_err("no kernel");
            assert!(matches!(failed, Failed::Kernel { .. }), "{failed:?}");
        }
    }
}
