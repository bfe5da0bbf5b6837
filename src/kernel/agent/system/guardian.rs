//! The guardian: a process apart that makes all changes of the machine, and undoes them when its agent is gone, however it went.
//!
//! It is no child of the agent and in a session of its own, so that neither the death of the runner nor ctrl-C reaches it. As
//! long as the agent or a process of a scenario lives its socket is open; when it closes, everything is undone.

use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, setsid, waitpid};
use serde::{Deserialize, Serialize};

use super::settings::{Change, Undo, undo_all};
use crate::kernel::agent::sys;

/// The longest message in bytes.
const MESSAGE_MAX: usize = 32 << 10;
/// How long one guardian waits for another to be done: swapoff reads everything back.
const OTHER: Duration = Duration::from_secs(30);
/// A name that one guardian has at a time; it goes with its process and leaves nothing in any folder.
const NAME: &str = "cowl-guardian";
/// What ends other processes.
const DEAF_TO: &[i32] = &[libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE, libc::SIGTSTP];

#[derive(Serialize, Deserialize)]
enum Ask {
    Change(Change),
    Restore,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    failed: Option<String>,
    journal: Vec<Undo>,
}

/// The guardian, from its agent's side.
pub(super) struct Guardian {
    socket: OwnedFd,
    /// What is changed: should the guardian be killed, the agent undoes it.
    journal: Vec<Undo>,
}

impl Guardian {
    /// Starts one.
    ///
    /// # Errors
    /// Where it cannot be started, or another one has changed the machine and does not end.
    pub fn start() -> Result<Self, String> {
        let text = |error: io::Error| format!("the guardian of the machine's settings cannot be started: {error}");
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| text(error.into()))?;
        // An orphan goes to the next subreaper: not to the agent, which waits for all of its children after each scenario.
        set_child_subreaper(None).map_err(|error| text(error.into()))?;
        let child = match sys::fork().map_err(text)? {
            sys::Fork::Parent(pid) => pid,
            sys::Fork::Child => {
                drop(ours);
                if matches!(sys::fork(), Ok(sys::Fork::Child)) {
                    guard(&theirs);
                }
                sys::exit(0)
            }
        };
        let _ = waitpid(Pid::from_raw(child), WaitOptions::empty());
        set_child_subreaper(Pid::from_raw(1)).map_err(|error| text(error.into()))?;
        drop(theirs);
        let mut guardian = Self { socket: ours, journal: Vec::new() };
        guardian.answer()?; // That it is the only one.
        Ok(guardian)
    }

    /// Has a change made.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn change(&mut self, change: Change) -> Result<(), String> {
        self.ask(&Ask::Change(change))
    }

    /// Has everything undone.
    ///
    /// # Errors
    /// What could not be undone.
    pub fn restore(&mut self) -> Result<(), String> {
        if self.journal.is_empty() {
            return Ok(());
        }
        let journal = self.journal.clone();
        match self.ask(&Ask::Restore) {
            Err(why) if self.journal == journal => {
                // It did not even answer: it is gone, and nobody else will do it.
                undo_all(&mut self.journal).map_err(|more| format!("{why}; {more}"))
            }
            done => done,
        }
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), String> {
        let text = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
        send(&self.socket, &text, SendFlags::NOSIGNAL).map_err(gone)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<(), String> {
        let mut room = vec![0; MESSAGE_MAX];
        let (len, _) = recv(&self.socket, &mut room[..], RecvFlags::empty()).map_err(gone)?;
        let answer: Answer = serde_json::from_slice(&room[..len]).map_err(gone)?;
        self.journal = answer.journal;
        answer.failed.map_or(Ok(()), Err)
    }
}

fn gone(error: impl std::fmt::Display) -> String {
    format!("the guardian of the machine's settings is gone: {error}")
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Err(why) = self.restore() {
            eprintln!("cowl: not restored: {why}");
        }
    }
}

/// What the guardian does until its agent is gone. Does not return.
fn guard(socket: &OwnedFd) -> ! {
    let _ = setsid();
    let _ = sys::ignore_signals(DEAF_TO);
    // The runner waits for the end of what it reads from its agent: that must not be kept open here.
    if let Ok(null) = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
    }
    let mut journal = Vec::new();
    let only = match alone() {
        Ok(only) => only,
        Err(why) => {
            reply(socket, Err(why), &journal);
            sys::exit(1)
        }
    };
    reply(socket, Ok(()), &journal);
    let mut room = vec![0; MESSAGE_MAX];
    loop {
        let ask = match recv(socket, &mut room[..], RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok((len, _)) if 0 < len => serde_json::from_slice(&room[..len]),
            _ => break,
        };
        let done = match ask {
            Ok(Ask::Change(change)) => change.apply(&mut journal),
            Ok(Ask::Restore) => undo_all(&mut journal),
            Err(error) => Err(error.to_string()),
        };
        reply(socket, done, &journal);
    }
    if let Err(why) = undo_all(&mut journal) {
        eprintln!("cowl: not restored: {why}");
    }
    drop(only);
    sys::exit(0)
}

fn reply(socket: &OwnedFd, done: Result<(), String>, journal: &[Undo]) {
    let answer = Answer { failed: done.err(), journal: journal.to_vec() };
    if let Ok(text) = serde_json::to_vec(&answer) {
        let _ = send(socket, &text, SendFlags::NOSIGNAL);
    }
}

/// Waits until no other guardian is at work.
fn alone() -> Result<UnixListener, String> {
    let name = SocketAddr::from_abstract_name(NAME).map_err(|error| error.to_string())?;
    let until = Instant::now() + OTHER;
    loop {
        match UnixListener::bind_addr(&name) {
            Ok(only) => return Ok(only),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(format!("another cowl has changed the settings of this machine and still runs: {error}")),
        }
    }
}
