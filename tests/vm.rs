//! A kernel boots in a virtual machine and does as it is asked, where this machine has qemu and a kernel for it.
//!
//! The kernel is the one that `COWL_TEST_KERNEL` names; without it the tests say so on standard error and pass. It has to be
//! asked for: under emulation the newest kernels sometimes panic before they start a first process.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cowl::kernel::vm::{self, Failed, Guest, Machine, Options};
use cowl::kernel::wire::{Job, Limits, Stop};

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
fn a_machine_that_does_not_come_up_in_time_is_told_with_its_console() {
    let Some(kernel) = kernel_or_skip() else { return };
    let failed = Machine::boot(&kernel, &Options { boot: Duration::from_millis(300), ..options() }).expect_err("far too short");
    assert!(matches!(failed, Failed::Boot { .. }), "{failed}");
}

#[test]
fn a_program_that_is_no_agent_ends_the_machine_and_says_so() {
    let Some(kernel) = kernel_or_skip() else { return };
    let failed = Machine::boot(&kernel, &Options { program: Some("/bin/true".into()), ..options() }).expect_err("no agent");
    let Failed::Ended { console } = &failed else { panic!("{failed}") };
    assert!(console.0.contains("panic"), "{failed}");
}

#[test]
fn what_is_no_kernel_is_refused_by_name() {
    let failed = Machine::boot(Path::new("Cargo.toml"), &options()).map(|_| ()).expect_err("no kernel");
    match failed {
        Failed::NoQemu => {}
        Failed::Kernel { path, .. } => assert_eq!(path, "Cargo.toml"),
        other => panic!("{other}"),
    }
}
