//! `--format ktap`: the kernel's test format, version 1: a subtest for each scenario, a case for each policy.

use super::words;
use crate::analysis::{FileReport, Judged};
use crate::check::report::{Met, PolicyResult, Verdict};

/// The whole output.
pub fn text(files: &[FileReport]) -> String {
    let judged: Vec<_> = files.iter().flat_map(|file| file.scenarios.iter().map(move |judged| (file, judged))).collect();
    let mut out = format!("KTAP version 1\n1..{}\n", judged.len());
    for (place, (file, judged)) in judged.iter().enumerate() {
        out.push_str(&subtest(file, judged, place + 1));
    }
    out
}

fn subtest(file: &FileReport, judged: &Judged, number: usize) -> String {
    let title = plain(&judged.title());
    let results = &judged.report.results;
    let mut out = format!("  KTAP version 1\n  # Subtest: {title}\n  1..{}\n", results.len());
    for (place, result) in results.iter().enumerate() {
        for line in diagnostics(file, result) {
            out.push_str(&format!("  # {}\n", plain(&line)));
        }
        let ok = if words::met(result) == Met::No { "not ok" } else { "ok" };
        let skip = skip(result).map(|reason| format!(" # SKIP {}", plain(&reason))).unwrap_or_default();
        out.push_str(&format!("  {ok} {} {}{skip}\n", place + 1, plain(&result.policy)));
    }
    let all_skipped = !results.is_empty() && results.iter().all(|result| skip(result).is_some());
    let ok = if results.iter().any(|result| words::met(result) == Met::No) { "not ok" } else { "ok" };
    let skip = if all_skipped { " # SKIP no policy could be judged" } else { "" };
    out.push_str(&format!("{ok} {number} {title}{skip}\n"));
    out
}

/// Why a case says nothing, if so.
fn skip(result: &PolicyResult) -> Option<String> {
    match (words::met(result), &result.run.verdict) {
        (Met::NotJudged, Verdict::Skip(reason)) => Some(reason.clone()),
        (Met::NotJudged, Verdict::Came(_)) => Some("one order of a race was run".to_owned()),
        (Met::Yes | Met::No, _) => None,
    }
}

/// What is unmet, and what went wrong on the way.
pub(super) fn diagnostics(file: &FileReport, result: &PolicyResult) -> Vec<String> {
    let at = |span| format!("{}:{}", file.path(), file.place(span).line);
    let mut lines = Vec::new();
    for expected in result.expected.iter().filter(|expected| expected.met == Met::No) {
        lines.push(format!("{}: expected {}, came {}", at(expected.span), expected.text, words::came(result, expected)));
    }
    for unmet in &result.run.unmet {
        lines.push(format!("{}: {}", at(unmet.span), unmet.message));
    }
    if !lines.is_empty() {
        lines.extend(result.run.violations.first().map(|violation| violation.message.clone()));
    }
    lines
}

/// On one line, without the sign that begins a directive.
pub fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('#', "no.")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;

    #[test]
    fn only_what_is_unmet_fails_and_what_says_nothing_is_skipped() {
        insta::assert_snapshot!(super::text(&[fixture::mixed()]), @r#"
        KTAP version 1
        1..1
          KTAP version 1
          # Subtest: vmsplice-child
          1..5
          ok 1 linux-5.7
          ok 2 linux-5.8
          ok 3 linux-5.9
          # vmsplice-child.cow:8: expected ok, came leak
          # `pipe` reads "new", which parent stored to memory that child does not share; "old" was promised
          not ok 4 linux-5.11
          ok 5 mine # SKIP it has no `vmsplice`
        not ok 1 vmsplice-child
        "#);
    }
}
