//! All orders of races: what the corpus expects of them, what reductions may not change, and that what is found can be replayed.

use crate::explore::{Alone, Ending, Hands, Limits, Model, Reduction, Report, explore, schedule};
use crate::ir::Scenario;
use crate::lower::lower;
use crate::policy::{self, Policy};
use crate::syntax::parse;
use crate::types::Small;

fn scenario(text: &str) -> Scenario {
    lowered(text).into_iter().next().expect("a scenario")
}

/// The scenarios of a text without mistakes.
pub fn lowered(text: &str) -> Vec<Scenario> {
    let (tree, mistakes) = parse(text);
    let (lowered, more) = lower("race.cow", &tree, &mistakes, &mut |_, path| Err(format!("no file {path}")));
    assert!(
        mistakes.is_empty() && more.is_empty(),
        "{text}\n{mistakes:?} {:?}",
        more.iter().map(|m| m.error.to_string()).collect::<Vec<_>>()
    );
    lowered.scenarios
}

pub fn all(scenario: &Scenario, policy: &Policy, limits: Limits) -> Report {
    explore(&Model::<Small>::new(&scenario.program, policy), limits, &Alone, &mut |_| None)
}

pub fn release(name: &str) -> Policy {
    policy::find(name).expect("a built-in policy").policy
}

/// Which endings there are, in an order of their own.
fn endings(report: &Report) -> Vec<String> {
    let mut endings: Vec<_> = report.endings.iter().map(|found| found.ending.to_string()).collect();
    endings.sort();
    endings
}

const NAIVE: Limits = Limits::NAIVE;
const REDUCED: Limits = Limits { naive: false, ..NAIVE };

const GUP_FAST: &str = "scenario a {\n p: mmap buf 1 page\n p: write buf 1\n race {\n p: fork c\n p/2: pin buf rw fast -> nic\n }\n p: write buf 2\n p: peek nic == 2\n expect never breach I7\n}\n";

#[test]
fn a_fast_pin_is_overtaken_by_fork_until_the_sequence_count() {
    let race = scenario(GUP_FAST);
    let outcomes = ["linux-5.8", "linux-5.9", "linux-5.11", "latest"].map(|name| endings(&all(&race, &release(name), REDUCED)));
    assert_eq!(outcomes.map(|outcomes| outcomes.join(" ")), ["lost ok", "lost ok", "ok", "ok"]);
}

#[test]
fn every_ending_has_a_schedule_that_leads_there_by_name() {
    for policy in ["linux-5.7", "linux-5.9", "latest"].map(release) {
        let race = scenario(GUP_FAST);
        for limits in [NAIVE, REDUCED] {
            let model = Model::<Small>::new(&race.program, &policy);
            for found in explore(&model, limits, &Alone, &mut |_| None).endings {
                let steps = schedule::steps(&model, limits.naive, &found.path);
                let named = schedule::of_steps(&model, &steps);
                let short = schedule::shorten(&model, named.clone(), found.ending);
                assert!(short.switches() <= named.switches());
                for named in [named, short] {
                    let read = schedule::Schedule::read(&named.text(&model), &model).expect("what is printed can be read");
                    assert_eq!(read, named);
                    let replayed = schedule::replay(&model, &read).expect("what was found can be replayed");
                    assert_eq!(replayed.ending, found.ending, "{}", named.text(&model));
                }
            }
        }
    }
}

#[test]
fn a_schedule_that_cannot_be_followed_names_the_first_step_that_differs() {
    let race = scenario(GUP_FAST);
    let policy = release("latest");
    let model = Model::<Small>::new(&race.program, &policy);
    let told = |text: &str| {
        let read = schedule::Schedule::read(text, &model);
        read.and_then(|turns| schedule::replay(&model, &turns)).expect_err("it must diverge").to_string()
    };
    assert!(told("q ends").contains("no actor of that name"));
    assert!(told("p until").contains("cannot be read"));
    let lost = "p at fork:dup; p/2 at gup_fast:nowhere";
    let old = release("linux-5.9");
    let model = Model::<Small>::new(&race.program, &old);
    let read = schedule::Schedule::read(lost, &model);
    let told_of_an_end = read.and_then(|turns| schedule::replay(&model, &turns)).expect_err("it must diverge").to_string();
    assert!(told_of_an_end.contains("behind the last line of `p/2`"), "{told_of_an_end}");
    assert!(
        told("p/2 at gup_fast:nowhere; p ends").contains("does not come there"),
        "{}",
        told("p/2 at gup_fast:nowhere; p ends")
    );
}

/// Threads, two at a time, and all results put together in the order of the work.
struct Pair;

impl Hands for Pair {
    fn map<T: Send, R: Send>(&self, work: Vec<T>, make: &(dyn Fn(T) -> R + Sync)) -> Vec<R> {
        let mut work = work.into_iter();
        let mut results = Vec::new();
        while let Some(first) = work.next() {
            let second = work.next();
            std::thread::scope(|scope| {
                let other = second.map(|second| scope.spawn(move || make(second)));
                results.push(make(first));
                results.extend(other.map(|other| other.join().expect("a worker ends")));
            });
        }
        results
    }
}

#[test]
fn the_result_is_the_same_for_any_number_of_workers_and_without_fingerprints() {
    let (race, policy) = (scenario(GUP_FAST), release("linux-5.9"));
    for limits in [NAIVE, REDUCED] {
        let one = all(&race, &policy, limits);
        let model = Model::<Small>::new(&race.program, &policy);
        assert_eq!(explore(&model, limits, &Pair, &mut |_| None), one);
        let exact = all(&race, &policy, Limits { exact: true, ..limits });
        assert_eq!((exact.states, exact.transitions, exact.endings), (one.states, one.transitions, one.endings));
    }
}

#[test]
fn a_bound_is_said_and_settles_only_what_was_seen() {
    use crate::check::report::Met;
    use crate::ir::{Frequency, Outcome};
    let (race, policy) = (scenario(GUP_FAST), release("linux-5.9"));
    let whole = all(&race, &policy, NAIVE).states;
    for limits in [
        Limits { states: Some(whole - 1), ..NAIVE },
        Limits { depth: Some(5), ..NAIVE },
        Limits { bytes: Some(1), ..NAIVE },
        Limits { switches: Some(0), ..NAIVE },
    ] {
        let report = all(&race, &policy, limits);
        assert!(report.bounded().is_some(), "{limits:?}");
        assert_ne!(report.race().meets(Frequency::Never, Outcome::Breach(7)), Met::Yes, "{limits:?}");
    }
    assert_eq!(all(&race, &policy, Limits { states: Some(whole), ..NAIVE }).bounded(), None);
}

/// xorshift64: the same races on every machine.
struct Dice(u64);

impl Dice {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        of[(self.0 >> 33) as usize % of.len()]
    }
}

/// A race of two or three lines that cannot be wrong whatever stands beside them.
fn any_race(dice: &mut Dice) -> String {
    let before = dice.pick(&[
        "",
        "p/2: write buf 2 ; ",
        "p/2: write buf[0] 2 ; ",
        "p: fork d ; ",
        "p: pin buf[0] rw -> old ; ",
        "p: get buf[0] ro -> old ; ",
    ]);
    let first =
        dice.pick(&["fork c", "madvise buf[0] dontneed", "write buf[1] 4", "clear_refs", "write buf 5", "mprotect buf[0] ro"]);
    let second = dice.pick(&[
        "pin buf[0] rw fast -> new fails EFAULT",
        "pin buf[0] ro -> new fails EFAULT",
        "get buf ro -> new fails EFAULT",
        "write buf[1] 6",
        "write buf[0] 7 fails SIGSEGV",
        "direct_read buf[0] 8 fails EFAULT",
        "read buf[1] -> seen",
    ]);
    let taken = first == "fork c" && second.contains("-> new");
    let second = if taken { second.trim_end_matches(" fails EFAULT") } else { second };
    let after = if taken { " ; p: write buf[0] 3 ; p: peek new[0] -> got" } else { "" };
    let third = dice.pick(&["", "p/2: write buf[1] 9 ; "]);
    format!(
        "scenario a {{\n p: mmap buf 2 pages ; p: write buf 1\n {before}\n race {{\n p: {first} ; p/2: {second} ; {third}\n }}\n p: read buf[1] -> last{after}\n}}\n"
    )
}

/// How many of so many races end otherwise than without a reduction.
fn disagreements(reduction: Reduction, races: usize) -> usize {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let policies = ["linux-5.7", "linux-5.9", "linux-5.11", "latest"].map(release);
    let mut differ = 0;
    for nth in 0..races {
        let text = any_race(&mut dice);
        let (race, policy) = (scenario(&text), &policies[nth % policies.len()]);
        let naive = all(&race, policy, NAIVE);
        let model = Model::<Small>::new(&race.program, policy).leaving_out(reduction);
        let reduced = explore(&model, REDUCED, &Alone, &mut |_| None);
        if endings(&naive) != endings(&reduced) {
            assert_eq!(reduction, Reduction::TooMuch, "{text}: {:?}, reduced {:?}", endings(&naive), endings(&reduced));
            differ += 1;
        }
        assert!(!reduced.endings.iter().any(|found| found.ending == Ending::Deadlock), "{text}");
    }
    differ
}

#[test]
fn the_reduced_search_ends_as_the_naive_one_does_in_500_races() {
    assert_eq!(disagreements(Reduction::Sound, 500), 0);
}

#[test]
fn a_reduction_that_leaves_out_too_much_is_found_out() {
    assert!(0 < disagreements(Reduction::TooMuch, 200));
}

/// All races of a folder of the corpus, with a policy of each group that their expectations tell apart.
fn races_of(folder: &str) -> Vec<(Scenario, Vec<Policy>)> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let mut races = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a file that can be read");
        let (tree, mistakes) = parse(&text);
        let (lowered, _) = lower("race.cow", &tree, &mistakes, &mut |_, path| Err(format!("no file {path}")));
        for scenario in lowered.scenarios.into_iter().filter(|scenario| crate::explore::has_race(&scenario.program)) {
            let groups: std::collections::BTreeSet<usize> =
                scenario.expects.iter().filter_map(|expect| expect.on.iter().copied().min()).collect();
            let policies = policy::builtin().iter().enumerate().filter(|(at, _)| groups.contains(at));
            races.push((scenario.clone(), policies.map(|(_, named)| named.policy).collect()));
        }
    }
    races
}

#[test]
fn the_reduced_search_ends_as_the_naive_one_does_in_the_races_of_the_corpus() {
    let mut tried = 0;
    for (race, policies) in ["gallery", "claims", "canary"].into_iter().flat_map(races_of) {
        if race.program.exceeds::<Small>().is_some() {
            continue;
        }
        for policy in policies {
            let naive = all(&race, &policy, Limits { states: Some(20_000), ..NAIVE });
            let reduced = all(&race, &policy, REDUCED);
            if naive.bound.is_none() {
                assert_eq!(endings(&naive), endings(&reduced), "{}", race.name);
                assert!(reduced.states <= naive.states, "{}: {} of {}", race.name, reduced.states, naive.states);
                tried += 1;
            }
        }
    }
    assert!(20 < tried, "{tried} races are too few to say anything");
}
