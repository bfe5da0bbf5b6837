//! The agent on the running kernel: what it realises, what it leaves as it was, and what becomes of it when it is killed.
//!
//! Where this kernel or this user cannot do something the test says so on standard error and passes.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::Write;

use cowl::kernel::host::{Host, Start};
use cowl::kernel::wire::{Ended, Fact, Facts, Job, Limits, Ran, Saw, Stop};

mod command;
mod safety;
mod verbs;

/// An agent of the built command.
fn host() -> Host {
    let start = Start { program: env!("CARGO_BIN_EXE_cowl").into(), args: vec!["kernel".into(), "agent".into()], cpu: None };
    Host::start(start).expect("the built command is an agent")
}

/// A scenario of these lines.
fn job(lines: &str) -> Job {
    let text = format!("scenario test {{\n{lines}\n}}\n");
    Job { id: 1, name: "test".to_owned(), text, limits: Limits::default(), facts: true, system: true }
}

/// Says past the test harness why something was not tested.
fn skip(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP: {what}: {why}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs lines that must end as announced; `None`, said aloud, where they cannot be said here.
#[track_caller]
fn runs(host: &mut Host, what: &str, lines: &str) -> Option<Ran> {
    let ran = host.run(&job(lines)).expect("an agent is there");
    match &ran.stopped {
        None => Some(ran),
        Some(Stop::Skip(why)) => {
            skip(what, why);
            None
        }
        Some(Stop::Unannounced | Stop::Crashed(_)) => panic!("{what}: {:?} after {:?}", ran.stopped, ran.lines.last()),
    }
}

/// What is known of a page after a line.
fn facts<'a>(ran: &'a Ran, pc: u16, page: &str) -> &'a Facts {
    let line = ran.lines.iter().rev().find(|line| line.pc == pc).unwrap_or_else(|| panic!("no line {pc}"));
    let found = line.facts.iter().find(|(name, _)| name == page);
    &found.unwrap_or_else(|| panic!("no page {page} after line {pc}: {:?}", line.facts)).1
}

/// What a line read of its first page.
fn read(ran: &Ran, pc: u16) -> u64 {
    let line = ran.lines.iter().rev().find(|line| line.pc == pc).unwrap_or_else(|| panic!("no line {pc}"));
    assert_eq!(line.ended, Ended::Ok);
    match &line.seen[0] {
        Saw::Words(words) => words[0],
        Saw::Bit(bit) => u64::from(*bit),
    }
}

fn is<T: PartialEq>(fact: &Option<Fact<T>>, value: T) -> bool {
    matches!(fact, Some(Fact::Observed(seen)) if *seen == value)
}

/// One test at a time changes the machine: others hold its state against a moment at which nobody does.
static MACHINE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
