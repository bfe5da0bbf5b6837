//! However a run ends, the machine is as it was.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::*;

/// What a scenario can change of the machine.
fn machine() -> Vec<(String, String)> {
    let mut files = vec!["/proc/swaps".to_owned(), "/proc/sys/vm/nr_hugepages".to_owned()];
    files.extend(["run", "sleep_millisecs", "pages_to_scan", "smart_scan"].map(|name| format!("/sys/kernel/mm/ksm/{name}")));
    let thp = "/sys/kernel/mm/transparent_hugepage";
    files.extend([format!("{thp}/enabled"), format!("{thp}/hugepages-64kB/enabled")]);
    let mut said: Vec<_> = files.into_iter().map(|path| (fs::read_to_string(&path).unwrap_or_default(), path)).collect();
    let mut devices: Vec<_> =
        fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    devices.sort();
    said.push((format!("{devices:?}"), "/sys/block".to_owned()));
    said.into_iter().map(|(text, path)| (path, text)).collect()
}

/// Waits for something that comes soon.
#[track_caller]
fn soon(what: &str, mut came: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !came() {
        assert!(Instant::now() < until, "{what} did not come");
        sleep(Duration::from_millis(5));
    }
}

/// The processes that descend from one.
fn descendants(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<i32> =
            children.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

/// Lines that take some seconds, behind a fork.
fn long(lines: &str) -> String {
    format!("{lines}\np: fork c\n{}", "c: read b\n".repeat(9_900))
}

/// `cowl kernel compare --allow-system` on a scenario of these lines that goes on for some seconds, and its file.
fn runner_in_the_middle(lines: &str) -> (Child, PathBuf) {
    let path = std::env::temp_dir().join(format!("cowl-long-{}.cow", std::process::id()));
    fs::write(&path, format!("scenario long {{\n{}\n}}\n", long(lines))).expect("a file");
    let runner = Command::new(env!("CARGO_BIN_EXE_cowl"))
        .args(["kernel", "compare", "--allow-system"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the built command starts");
    (runner, path)
}

/// Kills the runner once `changed` is so, and holds the machine against what it was.
fn killed_in_the_middle(lines: &str, changed: impl Fn() -> bool) {
    let before = machine();
    let (mut runner, file) = runner_in_the_middle(lines);
    soon("the change", changed);
    // The agent, and two processes of the scenario.
    let pid = i32::try_from(runner.id()).expect("a process id");
    soon("the processes of the scenario", || 3 <= descendants(pid).len());
    let theirs = descendants(pid);
    assert!(runner.try_wait().expect("it is our child").is_none(), "it was to be killed amid the scenario");
    runner.kill().expect("it can be killed");
    runner.wait().expect("it ends");
    fs::remove_file(file).expect("removed");
    soon("the end of its processes", || theirs.iter().all(|pid| is_gone(*pid)));
    soon("the machine as it was", || machine() == before);
}

fn is_gone(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    zombie || Pid::from_raw(pid).is_none_or(|pid| test_kill_process(pid).is_err())
}

/// Whether this user and kernel can change what `lines` need; says why not.
fn can(what: &str, lines: &str) -> bool {
    runs(&mut host(), what, lines).is_some()
}

#[test]
fn killing_the_runner_amid_a_scenario_with_swap_leaves_nothing() {
    let _alone = alone();
    for device in ["disk", "zram"] {
        let lines = format!("system swap 64 {device}\np: mmap b 1 page\np: write b 1\nkernel: pageout p.b");
        if can("swap", &lines) {
            let name = if device == "zram" { "zram" } else { "cowl-swap" };
            killed_in_the_middle(&lines, || fs::read_to_string("/proc/swaps").is_ok_and(|text| text.contains(name)));
        }
    }
}

#[test]
fn killing_the_runner_amid_a_scenario_with_huge_pages_leaves_nothing() {
    let _alone = alone();
    let lines = "p: mmap b 3 hugetlb\np: write b 1";
    let pool = || fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    let before = pool();
    if can("hugetlb", lines) {
        killed_in_the_middle(lines, || pool() != before);
    }
}

#[test]
fn killing_the_runner_amid_a_scenario_with_ksm_leaves_nothing() {
    let _alone = alone();
    let lines = "p: mmap b 2 pages\np: write b 1\nkernel: ksm_merge p.b[0] p.b[1]";
    let pace = || fs::read_to_string("/sys/kernel/mm/ksm/sleep_millisecs").unwrap_or_default();
    let before = pace();
    if can("ksm", lines) {
        killed_in_the_middle(lines, || pace() != before);
    }
}

/// The guardian of an agent: nobody's child and a session of its own.
fn guardian() -> Option<Pid> {
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_it = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let session = fields.get(3).and_then(|field| field.parse::<i32>().ok());
        stat.contains("(cowl)") && session == Some(*pid) && !is_gone(*pid)
    };
    processes.into_iter().find(is_it).and_then(Pid::from_raw)
}

#[test]
fn an_agent_whose_guardian_is_killed_restores_the_machine_itself() {
    let _alone = alone();
    let before = machine();
    let mut host = host();
    if runs(&mut host, "hugetlb", "p: mmap b 1 hugetlb\np: write b 1").is_none() {
        return;
    }
    assert_ne!(machine(), before, "settings stay for the next scenario");
    kill_process(guardian().expect("there is one"), Signal::KILL).expect("it can be killed");
    drop(host);
    assert_eq!(machine(), before);
}

#[test]
fn a_run_that_ends_restores_the_machine_before_it_is_over() {
    let _alone = alone();
    let before = machine();
    let mut host = host();
    runs(&mut host, "swap", "p: mmap b 1 page\np: write b 1\nkernel: pageout p.b");
    runs(&mut host, "mthp", "p: mmap b 1 mthp 4\np: write b 1");
    drop(host);
    assert_eq!(machine(), before);
}

#[test]
fn without_leave_nothing_is_changed_and_the_reason_says_how_to_give_it() {
    let _alone = alone();
    let before = machine();
    let mut host = host();
    for lines in ["kernel: pageout p.b", "p: mmap h 1 hugetlb", "kernel: ksm_merge p.b[0] p.b[1]"] {
        let ran = host
            .run(&Job { system: false, ..job(&format!("p: mmap b 2 pages\np: write b 1\n{lines}")) })
            .expect("an agent is there");
        assert!(matches!(&ran.stopped, Some(Stop::Skip(why)) if why.contains("--allow-system")), "{:?}", ran.stopped);
        assert!(ran.lines.is_empty());
    }
    assert_eq!(machine(), before);
}

/// Does something to a descendant of the agent, once it has so many.
fn amid(host: &Host, wanted: usize, act: impl FnOnce(Vec<i32>) + Send + 'static) -> std::thread::JoinHandle<()> {
    let agent = host.pid();
    std::thread::spawn(move || {
        soon("the processes of the scenario", || wanted <= descendants(agent).len());
        act(descendants(agent));
    })
}

#[test]
fn a_process_that_hangs_ends_the_scenario_at_its_limit_and_the_next_one_runs() {
    let mut host = host();
    let stops = amid(&host, 2, |pids| {
        let pid = Pid::from_raw(pids[1]).expect("a process id");
        kill_process(pid, Signal::STOP).expect("it can be stopped");
    });
    let limits = Limits { time_ms: 1000, ..Limits::default() };
    let ran = host.run(&Job { limits, facts: false, ..job(&long("p: mmap b 1 page")) }).expect("an agent is there");
    stops.join().expect("it stopped a process");
    assert!(matches!(&ran.stopped, Some(Stop::Crashed(why)) if why.contains("no answer in time")), "{:?}", ran.stopped);
    assert!(!ran.lines.is_empty(), "what is known is told");
    runs(&mut host, "the next", "p: mmap b 1 page\np: write b 1");
}

#[test]
fn a_process_that_dies_is_a_result_with_the_line_it_died_in() {
    let mut host = host();
    let kills = amid(&host, 2, |pids| {
        let pid = Pid::from_raw(pids[1]).expect("a process id");
        kill_process(pid, Signal::KILL).expect("it can be killed");
    });
    let ran = host.run(&Job { facts: false, ..job(&long("p: mmap b 1 page")) }).expect("an agent is there");
    kills.join().expect("it killed a process");
    // It may have died while the child was still being born.
    let in_a_line = |why: &str| why.contains("(`read`)") || why.contains("(`fork`)");
    assert!(matches!(&ran.stopped, Some(Stop::Crashed(why)) if in_a_line(why)), "{:?}", ran.stopped);
    runs(&mut host, "the next", "p: mmap b 1 page\np: write b 1");
}

#[test]
fn an_agent_that_is_killed_is_a_result_and_the_next_scenario_finds_a_new_one() {
    let mut host = host();
    let agent = Pid::from_raw(host.pid()).expect("a process id");
    let kills = amid(&host, 2, move |_| kill_process(agent, Signal::KILL).expect("it can be killed"));
    let ran = host.run(&Job { facts: false, ..job(&long("p: mmap b 1 page")) }).expect("there is a new agent");
    kills.join().expect("it killed the agent");
    assert!(matches!(&ran.stopped, Some(Stop::Crashed(why)) if why.contains("signal: 9")), "{:?}", ran.stopped);
    runs(&mut host, "the next", "p: mmap b 1 page\np: write b 1");
}

#[test]
fn a_process_that_takes_too_much_memory_fails_alone() {
    let limits = Limits { memory_mib: 64, ..Limits::default() };
    let mut host = host();
    let ran = host.run(&Job { limits, ..job("p: mmap b 20 thp fails ENOMEM") });
    let ran = ran.expect("an agent is there");
    assert!(matches!(ran.stopped, None | Some(Stop::Skip(_))), "{:?}", ran.stopped);
}
