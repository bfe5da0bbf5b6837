//! What real kernels were seen to do, in `corpus/ledger.tsv`, held against the engine: no kernel is needed for it.

use std::path::Path;

use crate::analysis::{self, Options};
use crate::check::Story;
use crate::check::report::Verdict;
use crate::diag::Source;
use crate::lower::Included;
use crate::metal::ledger::{HEAD, Row};
use crate::metal::story;
use crate::policy;
use crate::render::words;

fn included(from: &str, path: &str) -> Result<Included, String> {
    let name = Path::new(from).with_file_name(path).display().to_string();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).map_err(|error| error.to_string())?;
    Ok(Included { name, text })
}

/// What the engine makes of a row's scenario under the row's policy: the outcome and the digest of its story.
fn of_engine(row: &Row) -> Result<(String, String), String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&row.file));
    let text = text.map_err(|error| error.to_string())?;
    let policies = [row.policy.clone()];
    let options = Options {
        policies: &policies,
        scenario: Some(&row.scenario),
        story: Story::Whole,
        point: policy::of_point(&row.release),
        ..Options::default()
    };
    let report = analysis::run(Source::new(row.file.clone(), text), &mut included, &options);
    let kind = (row.kind != "-").then(|| row.kind.clone());
    let judged = report.scenarios.iter().find(|judged| judged.report.kind == kind).ok_or("there is no such scenario")?;
    let run = &judged.report.results.first().ok_or("there is no such policy")?.run;
    let facts: Vec<&str> = row.facts.split(',').collect();
    match &run.verdict {
        Verdict::Skip(why) => Err(format!("the engine skips it: {why}")),
        verdict => {
            Ok((words::short_verdict(verdict), Row::digest_of(&story::of_engine(run, &judged.scenario.program, &facts))))
        }
    }
}

#[test]
fn the_engine_does_what_kernels_were_seen_to_do() {
    let text = include_str!("../../corpus/ledger.tsv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEAD));
    let mut rows = 0;
    let mut complaints = Vec::new();
    for line in lines {
        let row = Row::read(line).unwrap_or_else(|| panic!("not a row: {line}"));
        rows += 1;
        assert_eq!(policy::of_kernel(&row.release).map(|named| named.name), Some(&*row.policy), "{line}");
        match of_engine(&row) {
            Ok(came) if came == (row.outcome.clone(), row.digest.clone()) => {}
            Ok((outcome, digest)) => complaints.push(format!("{row}\n  the engine: {outcome} {digest}")),
            Err(why) => complaints.push(format!("{row}\n  {why}")),
        }
    }
    assert!(complaints.is_empty(), "{}\nsee `cowl kernel compare FILE` on that kernel", complaints.join("\n"));
    assert!(50 < rows, "the ledger has lost its rows");
}

#[test]
fn a_row_that_another_policy_would_write_is_told() {
    let text = include_str!("../../corpus/ledger.tsv");
    let mut rows = text.lines().filter_map(Row::read).filter(|row| row.scenario == "vmsplice-child-sees-parents-later-write");
    let row = rows.next_back().expect("the ledger has the first bug of the gallery");
    assert_eq!(of_engine(&row), Ok((row.outcome.clone(), row.digest.clone())));
    let other = of_engine(&Row { policy: "linux-5.7".to_owned(), ..row.clone() }).expect("it runs");
    assert_ne!(other, (row.outcome.clone(), row.digest.clone()));
    assert_eq!(other.0, "leak");
}
