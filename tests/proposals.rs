//! `docs/proposals.md` says what the corpus says: it is made anew from every verdict, and must be what is committed.
//!
//! `docs/claims.tsv` holds the two mails' claims with their answers. Evidence is `scenario@policy=verdict`: the page is made
//! only where the scenario expects just that there and the expectation is met, and where its `origin` names the claim. With
//! `COWL_DOCS=overwrite` in the environment the page is brought up to date instead of compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

#[derive(Deserialize)]
struct Report {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    policy: String,
    outcome: String,
    expected: String,
    met: Option<bool>,
    copies: u32,
    gratuitous: u32,
    race: Option<Race>,
}

/// All orders of a race, as far as they were tried.
#[derive(Deserialize)]
struct Race {
    states: u64,
    bound: Option<String>,
}

/// A claim and its answer: a line of `docs/claims.tsv`.
struct Claim<'a> {
    id: &'a str,
    says: &'a str,
    answer: &'a str,
    why: &'a str,
    evidence: Vec<Evidence<'a>>,
}

#[derive(Clone, Copy)]
struct Evidence<'a> {
    scenario: &'a str,
    policy: &'a str,
    verdict: &'a str,
}

/// The proposals as policies, what was merged, and what it has become.
const PROPOSALS: &[(&str, &str)] = &[
    ("linus-2021", "January 2021: the refcount alone, and a pinned page cannot be made read-only"),
    ("andrea-2021", "January 2021: back to mapcounts"),
    ("hildenbrand-2021", "December 2021, part 1: unshare what is mapped more than once before it is referenced"),
    ("gunthorpe-2021", "December 2021: a bit derived from the refcount"),
    ("linux-5.19", "what was merged: a bit that is authoritative"),
    ("latest", "what became of it"),
];
const ANSWERS: &[&str] = &["holds", "holds only if", "fails", "open"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every verdict of the corpus, but for the tests of `selftest/cow`: those are thousands, and have a page of their own.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let inside = |folder: &str| {
            let entries = fs::read_dir(root().join(folder)).expect("a folder of the corpus");
            let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
            let mut paths: Vec<String> = names.map(|name| format!("{folder}/{name}")).collect();
            paths.sort();
            paths
        };
        let folders = inside("corpus").into_iter().chain(inside("corpus/selftest"));
        let told = folders.filter(|path| path != "corpus/selftest" && path != "corpus/selftest/cow" && !path.ends_with(".tsv"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cowl"));
        let command = command.arg("run").args(told).args(["--format", "json"]).current_dir(root());
        let output = command.output().expect("the built command runs");
        serde_json::from_slice(&output.stdout).expect("`cowl run --format json` writes a report")
    })
}

fn claims(text: &str) -> Vec<Claim<'_>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let read = lines.map(|line| {
        let [id, says, answer, why, evidence] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        assert!(ANSWERS.contains(&answer), "{id} is answered `{answer}`; one of {ANSWERS:?} is wanted");
        let evidence = evidence.split(' ').filter(|item| !item.is_empty() && *item != "-").map(read_evidence).collect();
        Claim { id, says, answer, why, evidence }
    });
    read.collect()
}

fn read_evidence(item: &str) -> Evidence<'_> {
    let read = item
        .split_once('@')
        .and_then(|(scenario, rest)| rest.split_once('=').map(|(policy, verdict)| Evidence { scenario, policy, verdict }));
    read.unwrap_or_else(|| panic!("`{item}` is not SCENARIO@POLICY=VERDICT"))
}

/// The result of a scenario under a policy, and its file. Where a scenario runs over kinds, all must agree.
fn found<'r>(report: &'r Report, wanted: Evidence<'_>) -> (&'r str, Vec<&'r Outcome>) {
    let policy = if wanted.policy == "latest" { newest(report) } else { wanted.policy };
    let mut path = "";
    let mut found = Vec::new();
    for file in &report.files {
        for scenario in file.scenarios.iter().filter(|scenario| scenario.name == wanted.scenario) {
            path = &file.path;
            found.extend(scenario.results.iter().filter(|result| result.policy == policy));
        }
    }
    assert!(!found.is_empty(), "no scenario `{}` runs under `{}`", wanted.scenario, wanted.policy);
    (path, found)
}

/// The newest release that results name.
fn newest(report: &Report) -> &str {
    let results = report.files.iter().flat_map(|file| &file.scenarios).flat_map(|scenario| &scenario.results);
    let releases = results.filter_map(|result| {
        let (major, minor) = result.policy.strip_prefix("linux-")?.split_once('.')?;
        Some(((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?), result.policy.as_str()))
    });
    releases.max().expect("the corpus ran under releases").1
}

/// Everything that a policy made of the corpus. Canaries are left out: they break on purpose.
#[derive(Default)]
struct Tally<'r> {
    outcomes: BTreeMap<&'r str, u32>,
    copies: u32,
    gratuitous: u32,
    bad: BTreeMap<&'r str, BTreeSet<(&'r str, &'r str)>>,
}

fn tally<'r>(report: &'r Report, policy: &str) -> Tally<'r> {
    let policy = if policy == "latest" { newest(report) } else { policy };
    let mut tally = Tally::default();
    for file in report.files.iter().filter(|file| !file.path.contains("canary")) {
        for scenario in &file.scenarios {
            for result in scenario.results.iter().filter(|result| result.policy == policy) {
                *tally.outcomes.entry(&result.outcome).or_default() += 1;
                tally.copies += result.copies;
                tally.gratuitous += result.gratuitous;
                if !matches!(result.outcome.as_str(), "ok" | "skip") {
                    tally.bad.entry(&result.outcome).or_default().insert((&scenario.name, &file.path));
                }
            }
        }
    }
    tally
}

fn link(name: &str, path: &str) -> String {
    format!("[{name}](../{path})")
}

fn page(report: &Report, claims: &[Claim<'_>]) -> String {
    let mut page = String::from(
        "# The proposals, judged\n\n\
         What each design of the mails of January and December 2021 makes of every scenario in `corpus/` (canaries apart,\n\
         and the tests of `selftest/cow`, which have [a page](src/selftest.md) of their own), and an answer to each claim.\n\
         This page is made from the verdicts by `COWL_DOCS=overwrite cargo test --test proposals`; a test keeps it current.\n\n\
         ## What each design costs\n\n\
         | policy | idea | ok | leak | lost | missed | other | pages copied | copied in vain |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (policy, idea) in PROPOSALS {
        let tally = tally(report, policy);
        let count = |outcome: &str| tally.outcomes.get(outcome).copied().unwrap_or_default();
        let other: u32 = ["breach", "event", "fails"].into_iter().map(count).sum();
        let [ok, leak, lost, missed] = ["ok", "leak", "lost", "missed"].map(count);
        let (copies, vain) = (tally.copies, tally.gratuitous);
        let _ = writeln!(page, "| `{policy}` | {idea} | {ok} | {leak} | {lost} | {missed} | {other} | {copies} | {vain} |");
    }
    page += "\nA design that copies always is safe and useless: read the columns together. A race counts with what `cowl run` tells of one order.\n";
    for (policy, _) in PROPOSALS {
        let _ = writeln!(page, "\n### What goes wrong under `{policy}`\n");
        let tally = tally(report, policy);
        for (outcome, scenarios) in &tally.bad {
            let links: Vec<String> = scenarios.iter().map(|(name, path)| link(name, path)).collect();
            let _ = writeln!(page, "- **{outcome}**: {}", links.join(", "));
        }
        if tally.bad.is_empty() {
            page += "Nothing in the corpus.\n";
        }
    }
    page += "\n## The claims\n";
    for claim in claims {
        let _ = writeln!(page, "\n### {}: {}\n\n**{}**: {}\n", claim.id, claim.says, claim.answer, claim.why);
        for evidence in &claim.evidence {
            let (path, results) = found(report, *evidence);
            for result in &results {
                let expected = result.expected.split(", copies").next().unwrap_or_default();
                assert_eq!(
                    expected,
                    evidence.verdict.replace('_', " "),
                    "{}: {}@{}",
                    claim.id,
                    evidence.scenario,
                    evidence.policy
                );
                assert_ne!(result.met, Some(false), "{}: {}@{}", claim.id, evidence.scenario, evidence.policy);
            }
            let verdict = evidence.verdict.replace('_', " ");
            let searched = results.iter().find_map(|result| result.race.as_ref()).map_or(String::new(), |race| {
                let bound = race.bound.as_ref().map_or("no bound".to_owned(), |bound| format!("bound {bound}"));
                format!(" ({} states, {bound})", race.states)
            });
            let _ = writeln!(page, "- {} under `{}`: {verdict}{searched}", link(evidence.scenario, path), evidence.policy);
        }
    }
    page
}

#[test]
fn the_page_on_the_proposals_is_what_the_corpus_says() {
    let text = fs::read_to_string(root().join("docs/claims.tsv")).expect("docs/claims.tsv is there");
    let made = page(report(), &claims(&text));
    let path = root().join("docs/proposals.md");
    if std::env::var_os("COWL_DOCS").is_some_and(|word| word == "overwrite") {
        fs::write(&path, &made).expect("docs/proposals.md can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/proposals.md is not current: run `COWL_DOCS=overwrite cargo test --test proposals`, and read the diff"
    );
}

#[test]
fn every_claim_is_answered_by_scenarios_that_name_it() {
    let text = fs::read_to_string(root().join("docs/claims.tsv")).expect("docs/claims.tsv is there");
    let claims = claims(&text);
    let ids: Vec<String> = (1..=9).map(|nr| format!("M{nr}")).chain((1..=13).map(|nr| format!("G{nr}"))).collect();
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), ids);
    let report = report();
    for claim in &claims {
        assert!(claim.answer == "open" || !claim.evidence.is_empty(), "{} is answered without evidence", claim.id);
        let named = claim.evidence.iter().any(|evidence| {
            let (path, _) = found(report, *evidence);
            let text = fs::read_to_string(root().join(path)).expect("a file of the corpus");
            let says = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == claim.id);
            text.lines().filter(|line| line.trim_start().starts_with("origin")).any(says)
        });
        assert!(claim.answer == "open" || named, "no scenario of {}'s evidence names it in its `origin`", claim.id);
    }
}
