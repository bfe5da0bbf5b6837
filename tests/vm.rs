//! A kernel boots in a virtual machine and does as it is asked, where this machine has qemu and a kernel for it.
//!
//! The kernel is the one that `COWL_TEST_KERNEL` names; without it the tests say so on standard error and pass. Under emulation
//! each boot takes some ten seconds, so machines are booted one at a time and shared by what can share them.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cowl::kernel::vm::{self, Failed, Guest, Machine, Options};
use cowl::kernel::wire::{Job, Limits, Stop};
use rustix::process::{Pid, Signal, kill_process};

/// A kernel to boot, or why there is none.
fn kernel() -> Result<PathBuf, String> {
    if vm::qemu().is_none() {
        return Err("qemu-system-x86_64 is not installed".to_owned());
    }
    if let Some(path) = std::env::var_os("COWL_TEST_KERNEL") {
        return Ok(path.into());
    }
    Err("COWL_TEST_KERNEL does not name a vmlinuz; tools/fetch-kernels gets some".to_owned())
}

/// As [`kernel`]; where there is none, says so past the test harness.
fn kernel_or_skip() -> Option<PathBuf> {
    kernel().map_err(|why| writeln!(std::io::stderr(), "SKIP: no virtual machine: {why}")).ok()
}

/// Held by whoever has a machine.
static ONE: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(id: u32, signal: Signal) {
    let pid = Pid::from_raw(id as i32).expect("an id");
    kill_process(pid, signal).expect("it is there to be signalled");
}

/// The state and the parent of a process, as /proc says; `None` where it is gone.
fn status(id: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

fn is_gone(id: u32) -> bool {
    status(id).is_none_or(|(state, _)| "ZX".contains(state))
}

/// Waits until something is so, for a minute.
fn until<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match is() {
            Some(found) => return found,
            None if end < Instant::now() => panic!("it did not come to pass: {what}"),
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The machine that a runner started: of its children that which was executed as qemu.
fn machine_of(runner: u32) -> Option<u32> {
    let ids = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_runner = ids.filter(|id| status(*id).is_some_and(|(_, parent)| parent == runner));
    let is_qemu = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("qemu"));
    of_runner.into_iter().find(is_qemu)
}

/// `cowl kernel run` of the whole corpus on a kernel, as far as its machine is there.
fn runner(kernel: &Path) -> (Child, u32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowl"));
    command.args(["kernel", "run", "--kernel"]).arg(kernel).arg("corpus").current_dir(env!("CARGO_MANIFEST_DIR"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the built command starts");
    let machine = until("a machine starts", || machine_of(child.id()));
    (child, machine)
}

fn options() -> Options {
    Options { program: Some(env!("CARGO_BIN_EXE_cowl").into()), ..Options::default() }
}

fn job(id: u64, text: &str) -> Job {
    Job { id, name: "test".to_owned(), text: text.to_owned(), limits: Limits::default(), facts: true, system: true }
}

const FORK: &str = "scenario fork {\n    p: mmap buf 1 page\n    p: write buf 1\n    p: fork c\n    p: write buf 2\n    \
                    c: read buf == 1\n}\n";

#[test]
fn one_boot_answers_many_requests_in_their_order() {
    let Some(kernel) = kernel_or_skip() else { return };
    let _one = one_at_a_time();
    let mut guest = Guest::boot(&kernel, options()).unwrap_or_else(|error| panic!("{error}"));
    assert!(guest.booted < Duration::from_secs(60), "it took {} s to boot", guest.booted.as_secs());
    assert!(guest.hello.release.starts_with(|char: char| char.is_ascii_digit()), "{}", guest.hello.release);
    for id in 0..3 {
        let ran = guest.run(&job(id, FORK)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((ran.id, ran.stopped, ran.lines.len()), (id, None, 5));
    }
    let ran = guest.run(&job(9, "scenario {")).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(ran.stopped, Some(Stop::Skip(_) | Stop::Crashed(_))), "{ran:?}");
}

#[test]
fn a_machine_that_dies_or_hangs_is_a_result_with_its_console_and_the_next_scenario_finds_another() {
    let Some(kernel) = kernel_or_skip() else { return };
    let _one = one_at_a_time();
    let options = Options { answer: Duration::from_secs(2), ..options() };
    let mut guest = Guest::boot(&kernel, options).unwrap_or_else(|error| panic!("{error}"));
    let crash = |guest: &mut Guest, signal| {
        send(guest.id().expect("a machine"), signal);
        let short = Limits { time_ms: 1000, ..Limits::default() };
        let ran = guest.run(&Job { limits: short, ..job(1, FORK) }).unwrap_or_else(|error| panic!("{error}"));
        let Some(Stop::Crashed(why)) = ran.stopped else { panic!("{ran:?}") };
        why
    };
    let why = crash(&mut guest, Signal::STOP);
    assert!(why.contains("no answer within 3 s; its console"), "{why}");
    let ran = guest.run(&job(2, FORK)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((ran.id, ran.stopped), (2, None));
    let why = crash(&mut guest, Signal::KILL);
    assert!(why.contains("the machine ended; its console"), "{why}");
}

#[test]
fn a_machine_ends_with_its_runner_even_where_that_is_killed() {
    let Some(kernel) = kernel_or_skip() else { return };
    let _one = one_at_a_time();
    let (mut runner, machine) = runner(&kernel);
    assert!(!is_gone(machine));
    runner.kill().expect("it is there to be killed");
    until("the machine ends", || is_gone(machine).then_some(()));
    runner.wait().expect("it was killed");
}

#[test]
fn ctrl_c_stops_the_machine_tells_what_is_known_and_ends_with_3() {
    let Some(kernel) = kernel_or_skip() else { return };
    let _one = one_at_a_time();
    let (runner, machine) = runner(&kernel);
    send(runner.id(), Signal::INT);
    let output = runner.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("it was stopped"), "{output:?}");
    assert!(is_gone(machine));
}

#[test]
fn a_machine_that_does_not_come_up_in_time_is_told_with_its_console() {
    let Some(kernel) = kernel_or_skip() else { return };
    let _one = one_at_a_time();
    let failed = Machine::boot(&kernel, &Options { boot: Duration::from_millis(300), ..options() }).expect_err("far too short");
    assert!(matches!(failed, Failed::Boot { .. }), "{failed}");
}

#[test]
fn a_program_that_is_no_agent_ends_the_machine_and_says_so() {
    let Some(kernel) = kernel_or_skip() else { return };
    let _one = one_at_a_time();
    let failed = Machine::boot(&kernel, &Options { program: Some("/bin/true".into()), ..options() }).expect_err("no agent");
    let Failed::Ended { console } = &failed else { panic!("{failed}") };
    assert!(console.0.contains("panic"), "{failed}");
}

#[test]
fn what_is_no_kernel_is_refused_by_name() {
    let failed = Machine::boot(Path::new("Cargo.toml"), &options()).map(|_| ()).expect_err("no kernel");
    assert!(matches!(&failed, Failed::Kernel { path, .. } if path == "Cargo.toml"), "{failed}");
}
