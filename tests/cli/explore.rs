//! `cowl explore` and what goes with it: exit codes, parts and their merge, schedules that can be pasted, races made small.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Said, command, cowl, cowl_on, file, folder};

/// A race that goes wrong until the sequence count, in few orders.
const RACE: &str = "scenario gup-fast {
    p: mmap buf 2 pages
    p: write buf 1
    p: read buf[1] == 1
    race {
        p:   fork c
        p/2: pin buf[0] rw fast -> nic
    }
    p: write buf[0] 2
    p: peek nic == 2
    expect sometimes lost on ..linux-5.10
    expect never lost     on linux-5.11..
}
";

fn race(name: &str) -> PathBuf {
    file(name, RACE)
}

/// Runs `cowl replay` of a schedule.
fn replay(path: &Path, schedule: &str) -> Said {
    let output = command().args(["replay", "--policy", "linux-5.9", "--schedule", schedule]).arg(path).output();
    Said::new(output.expect("the built command starts"))
}

#[test]
fn a_bound_is_said_and_has_an_exit_code_of_its_own() {
    let path = race("explore-bounds");
    let run = |more: &str| cowl_on("explore --policy linux-5.11", &path, more);
    let whole = run("").ends(0).says("Never of=lost").says("bound=none");
    assert!(!whole.out.contains("bounded"), "{}", whole.out);
    for more in ["--states 5", "--depth 2", "--switches 0", "--random pct"] {
        run(more).ends(3).says("(bounded)");
    }
    run("--exact --naive --jobs 2").ends(0);
    run("--shard 3/3").ends(2).complains("write `0/8` for the first of eight shards");
}

#[test]
fn where_there_is_nothing_to_explore_it_is_said_why() {
    let calm = file("explore-calm", "scenario a {\n    p: mmap buf 1 page\n}\n");
    cowl_on("explore", &calm, "").ends(4).complains("no scenario here has a `race");
    let race = "corpus/gallery/move-races-with-swap-in.cow";
    cowl(&format!("explore {race} --policy linux-5.9")).ends(4).complains("lack what the races need");
}

#[test]
fn parts_are_joined_and_a_missing_one_is_named() {
    let (path, folder) = (race("explore-shards"), folder("explore-parts"));
    let part = |nth: usize| {
        let said = cowl_on("explore --policy linux-5.9 --naive --format json", &path, &format!("--shard {nth}/3")).ends(0);
        let part = folder.join(format!("part-{nth}.json"));
        fs::write(&part, said.out).expect("the target folder takes files");
        part.display().to_string()
    };
    let [a, b, c] = [0, 1, 2].map(part);
    cowl(&format!("explore merge {a} {b} {c}")).ends(0).says("gup-fast linux-5.9 Sometimes of=lost");
    cowl(&format!("explore merge {a} {c}")).ends(2).complains("shard 1/3 is missing");
    cowl(&format!("explore merge {a} {b} {c} {b}")).ends(2).complains("shard 1/3 is there more than once");
}

#[test]
fn a_schedule_that_is_printed_can_be_replayed_and_a_wrong_one_says_where_it_parts() {
    let path = race("explore-replay");
    let found = cowl_on("explore --policy linux-5.9 --format json", &path, "").ends(0);
    let found: serde_json::Value = serde_json::from_str(&found.out).expect("a line of JSON");
    for end in found["ends"].as_array().expect("a list") {
        let word = |key: &str| end[key].as_str().expect("a word").to_owned();
        replay(&path, &word("schedule")).ends(0).says(&format!("gup-fast under linux-5.9: {}", word("ends")));
    }
    replay(&path, "p at fork:nowhere; p/2 ends").ends(2).complains("turn 1").complains("first step that differs");
}

#[test]
fn a_race_is_made_small_and_its_lanes_are_shown() {
    let path = race("explore-reduce");
    let small = cowl_on("reduce --policy linux-5.9", &path, "").ends(0);
    let small = small
        .says("# signature: lost I3, wp::decide_small: copy; in a race of fork+pin")
        .says("# schedule:")
        .says("expect sometimes lost on linux-5.9");
    assert!(!small.out.contains("read buf[1]") && small.out.contains("race {"), "{}", small.out);
    cowl_on("explain --policy linux-5.9", &path, "").ends(0).says("In other orders").says("gup_fast:recheck");
}

#[test]
fn races_are_drawn_from_a_seed() {
    let dir = folder("fuzz-races");
    let run = |jobs: u8| {
        let asked = format!("fuzz --races --policy linux-5.9 --programs 100 --seed 3 --jobs {jobs} --dir {}", dir.display());
        cowl(&asked).says("100 programs, ")
    };
    assert_eq!(run(1).out, run(2).out, "the result is the same for any number of jobs");
}
