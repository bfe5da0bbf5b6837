//! What this program does as the first process of a virtual machine: makes it habitable, runs the agent, switches it off.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, WaitOptions};
use rustix::system::{RebootCommand, finit_module, reboot};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::initramfs::{MODULES, PROGRAM};
use crate::kernel::agent;

/// The agent of a machine is this program with these arguments.
const AGENT: &[&str] = &["kernel", "agent"];
/// An agent that dies is started again so many times: each death is the result of a scenario.
const AGENTS_MAX: u32 = 10_000;
/// An agent that dies faster than this without having been asked anything will not do better the next time.
const AT_ONCE: Duration = Duration::from_millis(50);
/// A disk in memory: pages under direct I/O are held until it is done, on tmpfs they are only copied.
const DISK: &str = "/dev/ram0";
/// The disk of qemu's making. Its driver is in every kernel and finds it while others start.
const SWAP: &str = "/dev/nvme0n1";
/// How eagerly memory is compacted in the background, which moves the pages that scenarios are about. Since 5.9.
const COMPACTION: &str = "/proc/sys/vm/compaction_proactiveness";
/// Until the disk is there.
const SWAP_WAIT: Duration = Duration::from_secs(2);
/// The serial port in every kernel.
const SERIAL: &str = "/dev/ttyS1";
/// Until the virtio port is there: its driver looks for it after the modules are loaded.
const VIRTIO_WAIT: Duration = Duration::from_millis(300);

/// File systems: what, where, whether a machine without it is of use.
const MOUNTS: &[(&str, &str, bool)] = &[
    ("proc", "/proc", true),
    ("sysfs", "/sys", true),
    ("devtmpfs", "/dev", true),
    ("tmpfs", "/tmp", true),
    ("ramfs", "/var/tmp", false), // Files that are no shared memory.
    ("debugfs", "/sys/kernel/debug", false),
];

/// Whether this process is the first of a machine, so that nothing else may be harmed by [`run`].
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Runs the machine from its first process on and switches it off. What goes wrong is said on the console.
///
/// # Errors
/// Only where the machine cannot be switched off.
pub fn run() -> io::Result<()> {
    if let Err(error) = serve() {
        say(&format!("the machine is of no use: {error}"));
    }
    // Give the last line time to leave the serial port.
    let _ = io::stdout().flush();
    Ok(reboot(RebootCommand::PowerOff)?)
}

fn serve() -> io::Result<()> {
    for (kind, place, needed) in MOUNTS {
        mount_one(kind, place).or_else(|error| if *needed { Err(error) } else { Ok(()) })?;
    }
    // Where there is no such setting, nothing is compacted ahead of time either.
    let _ = fs::write(COMPACTION, "0");
    for module in modules() {
        // One that another kernel needs, or whose device is missing, is no reason to stop.
        if let Err(error) = load(&module) {
            say(&format!("{}: {error}", module.display()));
        }
    }
    let port = port()?;
    if !is_there(SWAP, SWAP_WAIT) {
        say(&format!("there is no {SWAP} to swap to"));
    }
    for _ in 0..AGENTS_MAX {
        let begun = Instant::now();
        let status = agent(&port)?;
        if status.success() {
            return Ok(());
        }
        say(&format!("the agent ended: {status}"));
        if begun.elapsed() < AT_ONCE {
            return Err(io::Error::other("its agent does not run"));
        }
    }
    Err(io::Error::other(format!("{AGENTS_MAX} agents died (AGENTS_MAX)")))
}

fn mount_one(kind: &str, place: &str) -> io::Result<()> {
    fs::create_dir_all(place)?;
    mount(kind, place, kind, MountFlags::empty(), None).map_err(|error| with(error.into(), place))
}

fn with(error: io::Error, place: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}

/// The modules that came along, in the order of loading.
fn modules() -> Vec<PathBuf> {
    let entries = fs::read_dir(MODULES).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn load(module: &Path) -> io::Result<()> {
    let none = CString::default();
    Ok(finit_module(File::open(module)?, &none, 0)?)
}

/// The fastest port there is.
fn port() -> io::Result<File> {
    let until = Instant::now() + VIRTIO_WAIT;
    loop {
        if let Some(path) = virtio() {
            return open(&path);
        }
        if until < Instant::now() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let serial = open(Path::new(SERIAL))?;
    let mut modes = tcgetattr(&serial)?;
    modes.make_raw();
    tcsetattr(&serial, OptionalActions::Now, &modes)?;
    Ok(serial)
}

/// Waits for a file.
fn is_there(path: &str, within: Duration) -> bool {
    let until = Instant::now() + within;
    while !Path::new(path).exists() {
        if until < Instant::now() {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn virtio() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?.flatten();
    ports.map(|port| Path::new("/dev").join(port.file_name())).find(|path| path.exists())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| with(error, &path.display().to_string()))
}

/// Runs one agent to its end. Orphans come to the first process, so it waits for whoever ends.
fn agent(port: &File) -> io::Result<ExitStatus> {
    let mut command = Command::new(PROGRAM);
    command.args(AGENT).stdin(port.try_clone()?).stdout(port.try_clone()?);
    for (name, path) in [(agent::DIRECT, DISK), (agent::SWAP, SWAP)] {
        if Path::new(path).exists() {
            command.env(name, path);
        }
    }
    let agent = Pid::from_child(&command.spawn()?);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == agent => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells the console, which is kept for messages.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "cowl: {text}");
}
