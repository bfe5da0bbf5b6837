//! The gallery is whole: every bug of `corpus/gallery.tsv` has its scenario, and comes where it should and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::scenario_files;
use crate::ir::{Frequency, Outcome, Scenario};
use crate::policy::{Defect, KNOBS};

/// B1 to B41, and those beside one that have a letter.
const BUGS: u32 = 41;
const BESIDE: &[&str] = &["B1b", "B16b", "B18b", "B22b"];

struct Row {
    bug: String,
    kind: String,
    by: Vec<String>,
    files: Vec<String>,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/gallery.tsv");
    let text = std::fs::read_to_string(path).expect("the table of the gallery");
    let words = |cell: &str| cell.split(' ').map(str::to_owned).collect();
    let row = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [bug, kind, by, files] => Row { bug: bug.to_owned(), kind: kind.to_owned(), by: words(by), files: words(files) },
        ref other => panic!("not a row: {other:?}"),
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// The scenarios of the gallery and the matrix by their file, as the table names it.
fn scenarios() -> BTreeMap<String, Vec<Scenario>> {
    let folder = |folder: &str, before: &str| {
        let named = |path: &str| {
            let (_, name) = path.rsplit_once('/').expect("a path below the repository");
            format!("{before}{}", name.trim_end_matches(".cow"))
        };
        let files = scenario_files(folder).into_iter().map(|file| (named(&file.path), file.lowered.scenarios));
        files.collect::<Vec<_>>()
    };
    folder("corpus/gallery", "").into_iter().chain(folder("corpus/matrix", "../matrix/")).collect()
}

/// The bugs that an origin names.
fn bugs_of(scenario: &Scenario) -> BTreeSet<String> {
    let origin = scenario.origin.as_str();
    let words = origin.split(|letter: char| !letter.is_ascii_alphanumeric());
    let is_bug = |word: &&str| word.starts_with('B') && word[1..].starts_with(|letter: char| letter.is_ascii_digit());
    words.filter(is_bug).map(str::to_owned).collect()
}

#[test]
fn every_bug_of_the_list_has_a_row() {
    let listed: BTreeSet<String> = rows().into_iter().map(|row| row.bug).collect();
    let numbered = (1..=BUGS).map(|number| format!("B{number}"));
    let all: BTreeSet<String> = numbered.chain(BESIDE.iter().map(|bug| (*bug).to_owned())).collect();
    assert_eq!(listed, all);
}

#[test]
fn what_expresses_a_bug_is_a_value_of_a_knob_or_a_defect() {
    for row in rows() {
        for by in &row.by {
            let known = match by.split_once('=') {
                Some((knob, value)) => {
                    KNOBS.iter().any(|known| known.name == knob && known.values().iter().any(|known| known.name == value))
                }
                None => by.parse::<Defect>().is_ok(),
            };
            assert!(known, "{}: `{by}` is neither a value of a knob nor a defect", row.bug);
        }
    }
}

#[test]
fn every_bug_has_a_scenario_where_it_comes_and_where_it_does_not() {
    let scenarios = scenarios();
    for Row { bug, kind, files, .. } in rows() {
        for file in files {
            let all = scenarios.get(&file).unwrap_or_else(|| panic!("{bug}: there is no file {file}"));
            let of_bug: Vec<_> = all.iter().filter(|scenario| bugs_of(scenario).contains(&bug)).collect();
            assert!(!of_bug.is_empty(), "{file}: no origin names {bug}");
            let expects = || of_bug.iter().flat_map(|scenario| &scenario.expects).filter(|expect| !expect.on.is_empty());
            let says = |frequency, bad: bool| {
                expects().any(|expect| expect.frequency == frequency && (expect.outcome != Outcome::Ok) == bad)
            };
            let fits = match kind.as_str() {
                "race" => says(Frequency::Sometimes, true) && says(Frequency::Never, true),
                "fixed" => {
                    let bad = says(Frequency::Always, true) || says(Frequency::Sometimes, true);
                    bad && (says(Frequency::Always, false) || says(Frequency::Never, true))
                }
                "open" => says(Frequency::Always, true),
                "cost" | "control" => says(Frequency::Always, false),
                other => panic!("{bug}: a row is not `{other}`"),
            };
            assert!(fits, "{file}: its expectations do not show that {bug} is `{kind}`");
        }
    }
}

#[test]
fn every_bug_that_a_scenario_of_the_gallery_names_is_in_the_table() {
    let listed: BTreeSet<(String, String)> =
        rows().iter().flat_map(|row| row.files.iter().map(|file| (row.bug.clone(), file.clone()))).collect();
    for (file, scenarios) in scenarios().into_iter().filter(|(file, _)| !file.starts_with("../")) {
        for bug in scenarios.iter().flat_map(bugs_of) {
            assert!(listed.contains(&(bug.clone(), file.clone())), "{file} names {bug}, and the table does not name it there");
        }
    }
}
