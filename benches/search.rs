//! All interleavings of fork, lockless pinning and stores, searched by Spin and by cowl in one run, and their ratios.
//!
//! `cargo bench --bench search`. The paths are written twice: in the engine, and as Promela in `benches/spin`. Spin and gcc
//! must be there (`apt install spin gcc`). Where cowl judges nothing and leaves nothing out, both must find the same states.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use cowl::explore::{Alone, Hands, Limits, Model, Report, explore};
use cowl::ir::Program;
use cowl::policy;
use cowl::types::Small;
use rustix::time::{ClockId, clock_gettime};

/// The model, and how much of it.
const PROMELA: &str = include_str!("spin/fork_pin_write.pml");
/// What `THREADS` stands for in it, and the same as a race.
const SIZES: &[(&str, u16, &str, &str)] = &[
    ("one pin", 1, "run pinner(0, 1, 0)", "p/2: pin buf[0] rw fast -> a"),
    ("one store", 1, "run writer(0, 1, 2)", "p/2: write buf 2"),
    (
        "two pages",
        2,
        "run pinner(0, 1, 0); run writer(0, 2, 2)",
        "p/2: pin buf[0] rw fast -> a\n p/2: pin buf[1] rw fast -> b\n p/3: write buf 2",
    ),
    (
        "four pages",
        4,
        "run pinner(0, 1, 0); run writer(0, 4, 2); run writer(1, 4, 3)",
        "p/2: pin buf[0] rw fast -> a\n p/2: pin buf[1] rw fast -> b\n p/3: write buf 2\n p/4: write buf[1..] 3",
    ),
];

/// What a search took.
#[derive(Clone, Copy)]
struct Took {
    states: u64,
    seconds: f64,
    bytes_a_state: f64,
}

fn main() {
    println!("{:<11} {:<28} {:>9} {:>9} {:>9} {:>13}", "size", "search", "states", "CPU s", "states/s", "bytes a state");
    for (name, pages, threads, race) in SIZES {
        let program = program(*pages, race);
        let before = states_before(*pages);
        let spin = [true, false].map(|whole| spin(*pages, threads, whole));
        let whole = cowl(&program, NAIVE, false, &Alone);
        let reduced = [false, true].map(|judges| cowl(&program, Limits { naive: false, ..NAIVE }, judges, &Alone));
        let rows = [("Spin -O2", spin[0]), ("Spin -O2, its reduction", spin[1]), ("cowl --naive, judging nothing", whole)];
        let rows = rows.into_iter().chain([("cowl, judging nothing", reduced[0]), ("cowl", reduced[1])]);
        rows.for_each(|(search, took)| row(name, search, took));
        // Spin has one state more: the one before `init` has started the processes.
        let alone = [spin[0].states - 1, whole.states - before + 1];
        println!("{name:<11} of the race alone: Spin {}, cowl {}", alone[0], alone[1]);
        assert_eq!(alone[0], alone[1], "the two models are not the same");
        if *pages == 4 {
            ratios(spin, whole, reduced);
            workers(&program);
        }
    }
}

const NAIVE: Limits = Limits::NAIVE;

fn row(name: &str, search: &str, took: Took) {
    let rate = took.states as f64 / took.seconds.max(1e-3) / 1e6;
    println!("{name:<11} {search:<28} {:>9} {:>9.2} {rate:>8.2}M {:>13.0}", took.states, took.seconds, took.bytes_a_state);
}

fn ratios(spin: [Took; 2], whole: Took, reduced: [Took; 2]) {
    let rate = |took: Took| took.states as f64 / took.seconds;
    let time = |took: Took| spin[1].seconds / took.seconds;
    println!(
        "CPU time of Spin with its reduction / of cowl: {:.1}; judging nothing: {:.1} (goal: 4)",
        time(reduced[1]),
        time(reduced[0])
    );
    println!("states a CPU-second of cowl --naive, judging nothing / of Spin: {:.2} (goal: 1.5)", rate(whole) / rate(spin[0]));
}

/// Wall time, since two workers take as much CPU time as one: two rounds of each, the best of each held against the other.
fn workers(program: &Program) {
    let wall = |hands: usize| {
        let start = std::time::Instant::now();
        cowl(program, NAIVE, false, &Workers(hands));
        start.elapsed().as_secs_f64()
    };
    let best = |hands| (0..2).map(|_| wall(hands)).fold(f64::MAX, f64::min);
    println!("wall time of one worker / of two: {:.2} (goal: 1.7)", best(1) / best(2));
}

/// A race of fork beside these lines, as in the Promela.
fn program(pages: u16, race: &str) -> Program {
    let text = format!("scenario s {{\n p: mmap buf {pages} pages\n p: write buf 1\n race {{\n p: fork c\n {race}\n }}\n}}\n");
    lowered(&text)
}

/// States of what comes before the race.
fn states_before(pages: u16) -> u64 {
    let text = format!("scenario s {{\n p: mmap buf {pages} pages\n p: write buf 1\n}}\n");
    cowl(&lowered(&text), NAIVE, false, &Alone).states
}

fn lowered(text: &str) -> Program {
    let (tree, mistakes) = cowl::syntax::parse(text);
    let (lowered, more) = cowl::lower::lower("race.cow", &tree, &mistakes, &mut |_, path| Err(format!("no file {path}")));
    assert!(mistakes.is_empty() && more.is_empty(), "the benchmark's own text is refused: {text}");
    lowered.scenarios.into_iter().next().expect("a scenario").program
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn cowl(program: &Program, limits: Limits, judges: bool, hands: &impl Hands) -> Took {
    let policy = policy::find("linux-5.11").expect("a built-in policy").policy;
    let model = Model::<Small>::new(program, &policy);
    let model = if judges { model } else { model.unjudged() };
    let start = cpu_seconds();
    let Report { states, bytes_a_state, bound, .. } = explore(&model, limits, hands, &mut |_| None);
    assert_eq!(bound, None);
    Took { states, seconds: cpu_seconds() - start, bytes_a_state }
}

/// As many workers as there are to be.
struct Workers(usize);

impl Hands for Workers {
    fn map<T: Send, R: Send>(&self, work: Vec<T>, make: &(dyn Fn(T) -> R + Sync)) -> Vec<R> {
        let queue = Mutex::new(work.into_iter().enumerate());
        let next = || queue.lock().expect("no worker panics").next();
        let some = || std::iter::from_fn(next).map(|(nth, piece)| (nth, make(piece))).collect::<Vec<_>>();
        let mut made: Vec<(usize, R)> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.0).map(|_| scope.spawn(some)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
        });
        made.sort_by_key(|(nth, _)| *nth);
        made.into_iter().map(|(_, result)| result).collect()
    }
}

/// Spin on the same, `whole` or with its partial-order reduction.
fn spin(pages: u16, threads: &str, whole: bool) -> Took {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spin");
    fs::create_dir_all(&dir).expect("a folder for Spin");
    fs::write(dir.join("model.pml"), PROMELA.replace("THREADS", threads)).expect("a model for Spin");
    run(&dir, "spin", &["-o2", &format!("-DPAGES={pages}"), "-a", "model.pml"]);
    let whole: &[&str] = if whole { &["-DNOREDUCE"] } else { &[] };
    run(&dir, "gcc", &[&["-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"], whole].concat());
    let start = children_cpu_seconds();
    let said = run(&dir, "./pan", &["-m1000000", "-w24"]);
    let seconds = children_cpu_seconds() - start;
    let number = |before: &str, after: &str| {
        let line = said.lines().find(|line| line.contains(before) && line.contains(after));
        let line = line.unwrap_or_else(|| panic!("Spin does not say `{before}{after}`: {said}"));
        let words = line.trim().trim_start_matches(before).trim();
        words.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
    };
    assert!(said.contains("errors: 0"), "{said}");
    let states = number("", "states, stored");
    let megabytes = number("", "equivalent memory usage for states");
    Took { states: states as u64, seconds, bytes_a_state: megabytes * 1e6 / states }
}

/// CPU time of all programs that were run and have ended, to a hundredth of a second.
fn children_cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").expect("a proc filesystem");
    let behind_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| behind_name.split_whitespace().nth(field - 3).and_then(|word| word.parse::<f64>().ok());
    (ticks(16).unwrap_or(0.0) + ticks(17).unwrap_or(0.0)) / 100.0
}

fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let program = if program == "./pan" { dir.join("pan").into_os_string() } else { program.into() };
    let ran = Command::new(&program).args(args).current_dir(dir).output();
    let ran = ran.unwrap_or_else(|error| panic!("{}: {error}; `apt install spin gcc`", program.display()));
    assert!(ran.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
