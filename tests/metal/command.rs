//! `cowl kernel` as users meet it, as root and as anybody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const RACES: &str = "corpus/basics/two-writers-race.cow";

fn cowl(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowl"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn a_race_is_told_as_a_histogram_beside_what_was_promised() {
    let output = cowl(&format!("kernel run {RACES} --repeat 60 --seed 7 --format json")).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for line in out(&output).lines() {
        let told: serde_json::Value = serde_json::from_str(line).expect("JSON, a line each");
        let race = &told["race"];
        assert_eq!((&race["seed"], &race["rounds"]), (&7.into(), &60.into()), "{line}");
        let came = race["came"].as_array().expect("a histogram");
        assert_eq!(came.iter().filter_map(|came| came["rounds"].as_u64()).sum::<u64>(), 60);
        assert!(came.iter().all(|came| came["outcome"] == "ok"), "{line}");
    }
}

#[test]
fn racing_threads_come_in_either_order() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skip("races", "one CPU races with nobody");
    }
    let text = out(&cowl(&format!("kernel run {RACES} --scenario two-threads-write-one-page --repeat 2000"))
        .output()
        .expect("it starts"));
    assert!(text.contains("p: read buf 1") && text.contains("p: read buf 2"), "{text}");
}

#[test]
fn each_format_counts_the_same_scenarios() {
    let files = "corpus/basics/fork-separates-both-ways.cow corpus/basics/soft-dirty-tells-what-was-written.cow";
    let said = |format: &str| {
        let output = cowl(&format!("kernel compare {files} --format {format}")).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        out(&output)
    };
    let (json, ktap, junit) = (said("json").lines().count(), said("ktap"), said("junit"));
    assert_eq!(ktap.lines().filter(|line| line.starts_with("  ok ")).count(), json, "{ktap}");
    assert_eq!(junit.matches("<testcase ").count(), json, "{junit}");
}

#[test]
fn ctrl_c_ends_a_run_with_what_is_known() {
    let mut command = cowl(&format!("kernel run {RACES} --repeat 100000000 --format json"));
    let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&child), Signal::INT).expect("it can be told");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told: serde_json::Value = serde_json::from_str(out(&output).lines().next().expect("a line")).expect("JSON");
    assert!(told["race"]["rounds"].as_u64().is_some_and(|rounds| 0 < rounds), "{told}");
}

#[test]
fn fuzzing_compares_what_it_draws_and_finds_an_old_policy_different() {
    let folder = std::env::temp_dir().join(format!("cowl-fuzzed-{}", std::process::id()));
    let fuzz = |programs: u32, policy: &str| {
        let arguments = format!("kernel fuzz --programs {programs} --seed 5 {policy} --out {}", folder.display());
        cowl(&arguments).output().expect("it starts")
    };
    let same = fuzz(300, "");
    assert!(out(&same).contains("seed 5") && out(&same).contains("; 0 differences\n"), "{}", out(&same));
    assert_eq!(same.status.code(), Some(0), "{}", out(&same));
    if !is_root() {
        return skip("differences", "marks of pages are seen by root alone");
    }
    let other = fuzz(100, "--policy linux-5.9");
    assert_eq!(other.status.code(), Some(1), "{}", out(&other));
    let saved: Vec<_> = fs::read_dir(&folder).expect("it was made").flatten().map(|entry| entry.path()).collect();
    assert!(!saved.is_empty());
    let arguments = format!("kernel compare --policy linux-5.9 {}", saved[0].display());
    let again = cowl(&arguments).output().expect("it starts");
    assert!(out(&again).contains("1 differ"), "{}", out(&again));
    fs::remove_dir_all(folder).expect("removed");
}

/// The command where everybody may read and run it.
fn for_everybody() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cowl-for-everybody-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("cowl");
    fs::copy(env!("CARGO_BIN_EXE_cowl"), &program).expect("a copy");
    for path in [&folder, &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    program
}

/// What the command says to a user who is not root: nobody, where this is root.
fn as_anybody(program: &Path, arguments: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).current_dir("/tmp");
    if is_root() {
        command.uid(65534).gid(65534);
    }
    command.output().expect("it starts")
}

#[test]
fn an_ordinary_user_sees_contents_and_is_told_what_else_there_is() {
    let program = for_everybody();
    let folder = program.parent().expect("a folder").to_owned();
    let file = folder.join("fork.cow");
    let text = "scenario fork {\n    p: mmap buf 1 page\n    p: write buf 1\n    p: fork c\n    p: write buf 2\n    c: read buf == 1\n}\n";
    fs::write(&file, text).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("permissions");
    let probe = out(&as_anybody(&program, "kernel probe"));
    for (name, word) in [("value", "yes"), ("frame", "no"), ("exclusive", "no"), ("fork", "yes")] {
        let line = probe.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
        assert_eq!(line.split_whitespace().nth(1), Some(word), "{probe}");
    }
    let compared = as_anybody(&program, &format!("kernel compare {}", file.display()));
    assert_eq!(compared.status.code(), Some(0), "{compared:?}");
    let text = out(&compared);
    assert!(text.contains("0 differ") && text.contains("not seen:") && text.contains("exclusive"), "{text}");
    let swap = as_anybody(&program, "kernel probe --allow-system");
    let line = out(&swap).lines().find(|line| line.trim_start().starts_with("pageout ")).unwrap_or_default().to_owned();
    assert!(line.contains(" no "), "{line}");
    fs::remove_dir_all(folder).expect("removed");
}
