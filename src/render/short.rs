//! `--format short`: a line for each unmet expectation, as compilers write them.

use super::words;
use crate::analysis::{FileReport, Judged};
use crate::check::report::{Met, PolicyResult};
use crate::types::Span;

/// The lines of a file: `file:line:col: error[code]: text` for mistakes, `file:line:col: unmet[expect]: text` for the rest.
pub fn text(file: &FileReport, releases: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in &file.findings {
        lines.push(finding.short(&file.sources[finding.file]));
    }
    for judged in &file.scenarios {
        lines.extend(unmet(file, judged, releases));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A complaint: where, its code, what is said.
type Complaint = (Span, &'static str, String);

/// What is unmet in one scenario, policies that say the same together.
fn unmet(file: &FileReport, judged: &Judged, releases: &[String]) -> Vec<String> {
    let mut told: Vec<(Complaint, Vec<usize>)> = Vec::new();
    for (place, result) in judged.report.results.iter().enumerate() {
        for complaint in complaints(result) {
            match told.iter_mut().find(|(other, _)| *other == complaint) {
                Some((_, members)) => members.push(place),
                None => told.push((complaint, vec![place])),
            }
        }
    }
    told.sort_by_key(|((span, ..), members)| (span.start, members[0]));
    let names: Vec<_> = judged.report.results.iter().map(|result| result.policy.clone()).collect();
    let line = |((span, code, said), members): &(Complaint, Vec<usize>)| {
        let place = file.place(*span);
        let policies = super::compress(&names, members, releases);
        format!("{}:{}:{}: unmet[{code}]: {}: {said} under {policies}", file.path(), place.line, place.column, judged.title())
    };
    told.iter().map(line).collect()
}

fn complaints(result: &PolicyResult) -> Vec<Complaint> {
    let expected = result.expected.iter().filter(|expected| expected.met == Met::No).map(|expected| {
        (expected.span, "expect", format!("expected {}, came {}", expected.text, words::came(result, expected)))
    });
    let asserts = result.run.unmet.iter().map(|unmet| (unmet.span, "assert", unmet.message.clone()));
    expected.chain(asserts).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;

    #[test]
    fn each_unmet_expectation_has_one_line_with_its_place() {
        insta::assert_snapshot!(super::text(&fixture::mixed(), &fixture::releases()), @"vmsplice-child.cow:8:5: unmet[expect]: vmsplice-child: expected ok, came leak under linux-5.11");
    }
}
