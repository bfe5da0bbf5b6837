//! `cowl fuzz`, `cowl reduce`, `cowl corpus`, `cowl diff`: what a campaign writes outlives whoever kills it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{LEAK, command, cowl, cowl_on, file, folder};

/// The names of the scenarios of a folder and of those in it.
fn scenarios(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            names.extend(scenarios(&path));
        } else if path.extension().is_some_and(|extension| extension == "cow") {
            names.insert(path.display().to_string());
        }
    }
    names
}

#[test]
fn a_campaign_that_is_killed_goes_on_where_it_was_and_loses_nothing() {
    let dir = folder("fuzz-killed");
    let mut child = command()
        .args(["fuzz", "--policy", "linux-5.7", "--seed", "3", "--jobs", "2", "--dir"])
        .arg(&dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built command starts");
    let began = Instant::now();
    let states = || {
        fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("state"))
            .count()
    };
    while (scenarios(&dir.join("findings")).len() < 3 || states() < 2) && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("SIGKILL is delivered");
    child.wait().expect("a killed process ends");
    let before = scenarios(&dir);
    assert!(scenarios(&dir.join("findings")).len() >= 3, "nothing was found in a minute");
    cowl_on("check", &dir.join("corpus"), "").ends(0); // Every file is there whole.
    cowl_on("check", &dir.join("findings"), "").ends(0);
    let programs = |state: &str| -> u64 {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let texts = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(state)).map(|entry| entry.path());
        texts.filter_map(|path| fs::read_to_string(path).ok()).map(|text| number(&text, "programs")).sum()
    };
    let done = programs("state");
    cowl_on("fuzz --policy linux-5.7 --seed 3 --jobs 2 --programs 200 --dir", &dir, "").ends(1).says("new: ");
    assert!(done + 200 <= programs("state"), "{done} programs before, {} after", programs("state"));
    assert!(before.is_subset(&scenarios(&dir)), "a file is gone");
}

/// A number of a JSON object by its key.
fn number(text: &str, key: &str) -> u64 {
    let rest = text.split(&format!("\"{key}\":")).nth(1).unwrap_or("0");
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

#[test]
fn the_same_seed_says_the_same_and_shards_differ() {
    let run = |name: &str, shard: &str| {
        let dir = folder(name);
        let said = cowl_on(&format!("fuzz --programs 300 --seed 9 --shard {shard} --dir"), &dir, "").ends(0);
        (said.out.replace(&dir.display().to_string(), "DIR"), scenarios(&dir).len())
    };
    assert_eq!(run("fuzz-one", "0/1"), run("fuzz-two", "0/1"));
    assert_ne!(run("fuzz-three", "1/2").0, run("fuzz-four", "0/2").0);
    let into = folder("fuzz-merged");
    let (three, four) = (into.with_file_name("fuzz-three"), into.with_file_name("fuzz-four"));
    let mut merge = command();
    let said = merge.args(["fuzz", "merge"]).arg(&into).arg(&three).arg(&four).output().expect("the built command starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(50 < scenarios(&into.join("corpus")).len());
    // Not under `target`, which may be another user's.
    let [no_such, nothing] = ["fuzz-no-such", "fuzz-nothing-there"].map(|name| into.with_file_name(name));
    let refused = command().args(["fuzz", "merge"]).arg(&no_such).arg(&nothing).output().expect("the built command starts");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds no campaign"));
    cowl("fuzz --shard 2/2").ends(2).complains("write `0/8`");
    cowl("fuzz --jobs 0").ends(2).complains("a campaign needs a job");
}

#[test]
fn a_scenario_is_reduced_to_what_its_bug_needs() {
    let more =
        LEAK.replace("    p: fork c\n", "    p: mmap other 2 pages\n    p: write other 5\n    p: fork c\n    c: read other\n");
    let said = cowl_on("reduce --policy linux-5.7", &file("reduced", more), "").ends(0);
    let said = said.says("# signature: leak I2 at peek, by parent; wp::decide_small: reuse").says("expect leak on linux-5.7");
    assert!(!said.out.contains("other") && !said.out.contains("m1"), "{}", said.out);
    cowl_on("check", &file("reduced-again", &said.out), "").ends(0);
    cowl_on("run", &file("reduced-run", &said.out), "").ends(0);
    cowl_on("reduce", &file("fine", LEAK), "").ends(2).complains("goes wrong under latest");
}

#[test]
fn a_program_is_the_same_after_its_bytes() {
    let into = folder("encoded");
    let text = file("to-encode", LEAK);
    let mut encode = command();
    let said = encode.args(["corpus", "from-text"]).arg(&text).arg("--into").arg(&into).output().expect("cowl starts");
    assert!(String::from_utf8_lossy(&said.stdout).starts_with("1 programs encoded"), "{said:?}");
    let shown = cowl_on("corpus to-text", &into.join("to-encode-0"), "").ends(0).says("# policy: linux-7.3");
    let again = shown.says("c: vmsplice m0 -> r0").says("p: write m0");
    let back = file("decoded", &again.out);
    let mut encode = command();
    encode.args(["corpus", "from-text"]).arg(&back).arg("--into").arg(&into).output().expect("cowl starts");
    assert_eq!(cowl_on("corpus to-text", &into.join("decoded-0"), "").ends(0).out, again.out);
    cowl_on("corpus to-text", &text, "").ends(2).complains("is no encoded program");
}

#[test]
fn two_policies_part_in_the_smallest_program_or_in_a_file() {
    cowl("diff linux-6.1 linux-6.2 --programs 20000").ends(0).says("linux-6.1 and linux-6.2 part at");
    cowl("diff linux-5.11 linux-5.12 --programs 100").ends(0).says("none up to").says("programs");
    cowl_on("diff linux-5.7 linux-5.9", &file("diff", LEAK), "").ends(0).says("linux-5.7: reuse").says("linux-5.9: copy");
}

#[test]
fn a_campaign_that_is_interrupted_saves_everything_and_says_so() {
    let dir = folder("fuzz-interrupted");
    let child = command()
        .args(["fuzz", "--policy", "linux-5.7", "--seed", "4", "--dir"])
        .arg(&dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built command starts");
    let began = Instant::now();
    while scenarios(&dir.join("findings")).is_empty() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|sent| sent.success()), "no signal was sent");
    let said = child.wait_with_output().expect("an interrupted campaign ends");
    let (code, text) = (said.status.code(), String::from_utf8_lossy(&said.stdout).into_owned());
    // What was found goes before that it was stopped: 1 before 3.
    assert!(code == Some(1) && text.contains("new: ") && text.contains("programs kept"), "{code:?}\n{text}");
    let state = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let state = state.filter_map(|path| fs::read_to_string(path).ok()).find(|text| text.contains("\"programs\""));
    let saved = state.map(|text| number(&text, "programs")).expect("progress is saved");
    assert!(text.contains(&format!("\n{saved} programs, ")), "{saved} are saved\n{text}");
    cowl_on("check", &dir.join("findings"), "").ends(0);
}
