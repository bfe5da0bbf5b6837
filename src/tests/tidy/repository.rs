//! Files: their names, what they may not hold, and snapshots that belong to something.

use std::collections::BTreeMap;

use super::source::{read, repository_files};

/// Hosts that a file may point to: where the licences, the formats, the sources and the letters are.
const HOSTS: &[&str] = &[
    "apache.org",
    "crates.io",
    "doc.rust-lang.org",
    "docs.rs",
    "github.com",
    "json-schema.org",
    "keepachangelog.com",
    "kernel.org",
    "rust-lang.github.io",
    "rustsec.org",
    "semver.org",
    "testanything.org",
];

/// A file and its text.
type File<'a> = (&'a str, &'a str);

/// What only makes sense on somebody's machine. Built from halves, or this file would be found.
fn machine_words() -> [String; 7] {
    ["/ho|me/", "/ro|ot/", "/wo|rk/", "/Us|ers/", "/t|mp/", "local|host", "127.|0.0.1"].map(|word| word.replace('|', ""))
}

fn machine_names(files: &[File]) -> Vec<String> {
    let words = machine_words();
    let mut complaints = Vec::new();
    for (path, text) in files {
        for (line, text) in text.lines().enumerate() {
            let place = format!("{path}:{}", line + 1);
            complaints.extend(words.iter().filter(|word| text.contains(*word)).map(|word| format!("{place}: `{word}`")));
            complaints.extend(hosts(text).filter(|host| !known(host)).map(|host| format!("{place}: the host `{host}`")));
        }
    }
    complaints
}

/// The hosts of all addresses in a line.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").map(|(at, sign)| {
        let host = &line[at + sign.len()..];
        let end = host.find(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c)).unwrap_or(host.len());
        &host[..end]
    })
}

fn known(host: &str) -> bool {
    host.is_empty()
        || HOSTS.iter().any(|known| host == *known || host.strip_suffix(known).is_some_and(|sub| sub.ends_with('.')))
}

fn refused_names(paths: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(path);
        if ["util.rs", "utils.rs", "misc.rs", "common.rs", "helpers.rs"].contains(&name) {
            complaints.push(format!("{path}: a file is named for what is in it"));
        }
        if name.ends_with(".snap.new") || name.ends_with(".pending-snap") {
            complaints.push(format!("{path}: a snapshot waits for review; see `cargo insta review`"));
        }
        if name.ends_with(".cow") && !path.starts_with("tests/bad/") && !is_kebab(name.trim_end_matches(".cow")) {
            complaints.push(format!("{path}: scenario files have kebab-case names"));
        }
    }
    complaints
}

fn is_kebab(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.split('-').all(word)
}

/// Every snapshot under `snapshots/` names a file that is there, and every scenario file of the corpus has its snapshot.
fn lonely_snapshots(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut of_input: BTreeMap<&str, &str> = BTreeMap::new();
    let there = |path: &str| files.iter().any(|(other, _)| *other == path);
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".snap")) {
        let header = |key: &str| {
            let mut lines = text.lines().skip(1).take_while(|line| *line != "---");
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(|value| value.trim_matches('"'))
        };
        match (header("input_file"), header("source")) {
            (Some(input), _) if there(input) => {
                if let Some(other) = of_input.insert(input, path) {
                    complaints.push(format!("{path}: {other} is of {input} too"));
                }
            }
            (None, Some(source)) if there(source) => {}
            (input, source) => {
                let of = input.or(source).unwrap_or("nothing");
                complaints.push(format!("{path}: it is of {of}, which is not there"));
            }
        }
    }
    let scenarios = files.iter().map(|(path, _)| *path).filter(|path| path.starts_with("corpus/") && path.ends_with(".cow"));
    complaints.extend(scenarios.filter(|path| !of_input.contains_key(path)).map(|path| format!("{path}: it has no snapshot")));
    complaints
}

/// All files that are text, with it; the lock files name nothing but the registry.
fn with_texts(paths: &[String]) -> Vec<(&str, String)> {
    let people = paths.iter().filter(|path| !path.ends_with("Cargo.lock"));
    people.filter_map(|path| Some((path.as_str(), read(path)?))).collect()
}

fn borrowed<'a>(files: &'a [(&'a str, String)]) -> Vec<File<'a>> {
    files.iter().map(|(path, text)| (*path, text.as_str())).collect()
}

#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn no_file_knows_a_machine() {
    let paths = repository_files();
    none(machine_names(&borrowed(&with_texts(&paths))));
    let [home, ..] = machine_words();
    let elsewhere = ["https:", "//example.org/x"].concat();
    let sample = format!("see {home}me/x\nand {elsewhere} and https://lore.kernel.org/x");
    assert_eq!(machine_names(&[("a.md", &sample)]), [format!("a.md:1: `{home}`"), "a.md:2: the host `example.org`".into()]);
}

#[test]
fn files_are_named_for_what_is_in_them() {
    let paths = repository_files();
    none(refused_names(&paths.iter().map(String::as_str).collect::<Vec<_>>()));
    let bad = ["src/engine/util.rs", "snapshots/a.snap.new", "corpus/fork/Fork_Then.cow"];
    assert_eq!(refused_names(&bad).len(), bad.len());
    assert_eq!(refused_names(&["corpus/fork/fork-then-write-2.cow", "tests/bad/Odd_name.cow"]), <[String; 0]>::default());
}

#[test]
fn every_snapshot_is_of_something_and_every_scenario_has_one() {
    let paths = repository_files();
    none(lonely_snapshots(&borrowed(&with_texts(&paths))));
    let snap = |input: &str| format!("---\nsource: src/tests/corpus.rs\ninput_file: {input}\n---\ninput_file: x\n");
    let (a, b) = (snap("corpus/a.cow"), snap("corpus/b.cow"));
    let whole = [("src/tests/corpus.rs", ""), ("corpus/a.cow", ""), ("snapshots/a.snap", &*a)];
    assert_eq!(lonely_snapshots(&whole), <[String; 0]>::default());
    let gone = [("snapshots/b.snap", &*b)];
    assert_eq!(lonely_snapshots(&gone), ["snapshots/b.snap: it is of corpus/b.cow, which is not there"]);
    assert_eq!(lonely_snapshots(&[("corpus/a.cow", "")]), ["corpus/a.cow: it has no snapshot"]);
    let twice = [("corpus/a.cow", ""), ("snapshots/a.snap", &*a), ("snapshots/c.snap", &*a)];
    assert_eq!(lonely_snapshots(&twice), ["snapshots/c.snap: snapshots/a.snap is of corpus/a.cow too"]);
    let named = "---\nsource: src/x.rs\n---\n";
    assert_eq!(lonely_snapshots(&[("tests/snapshots/x.snap", named)]).len(), 1);
}

/// What a manifest depends on and the fuzz package's lock file does not know that the tool depends on.
fn unknown_to_the_fuzz_lock(manifest: &str, lock: &str) -> Vec<String> {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]"));
    let names = section.unwrap_or_default().lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim());
    let package = lock.split("[[package]]").find(|package| package.trim_start().starts_with("name = \"cowl\"\n"));
    let known: Vec<&str> = package.unwrap_or_default().split('"').collect();
    let is_known = |name: &str| known.iter().any(|word| *word == name || word.starts_with(&format!("{name} ")));
    let unknown = names.filter(|name| !name.starts_with('#') && !is_known(name));
    unknown.map(|name| format!("fuzz/Cargo.lock does not know `{name}`; run `cargo metadata` in fuzz/")).collect()
}

#[test]
fn the_fuzz_packages_lock_file_is_current() {
    let text = |path| read(path).unwrap_or_else(|| panic!("{path} is text"));
    none(unknown_to_the_fuzz_lock(&text("Cargo.toml"), &text("fuzz/Cargo.lock")));
    let manifest = "[package]\nname = \"cowl\"\n[dependencies]\nclap = { version = \"4\" }\nserde = \"1\"\n[dev-dependencies]\nx = \"1\"\n";
    let lock = "[[package]]\nname = \"cowl\"\nversion = \"0.1.0\"\ndependencies = [\n \"clap\",\n]\n";
    assert_eq!(unknown_to_the_fuzz_lock(manifest, lock).len(), 1);
}
