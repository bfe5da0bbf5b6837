//! `--format junit`: the XML that CI systems show: a suite for each scenario, a case for each policy.

use quick_xml::escape::escape;

use super::words;
use crate::analysis::{FileReport, Judged};
use crate::check::report::{Met, PolicyResult, Verdict};

/// The whole output. It tells no times: they would make two equal runs differ.
pub fn text(files: &[FileReport]) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"cowl\">\n".to_owned();
    for file in files {
        for judged in &file.scenarios {
            out.push_str(&suite(file, judged));
        }
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(file: &FileReport, judged: &Judged) -> String {
    let results = &judged.report.results;
    let number = |wanted: Met| results.iter().filter(|result| words::met(result) == wanted).count();
    let mut out = format!(
        "  <testsuite name=\"{}\" file=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
        escape(judged.title()),
        escape(file.path()),
        results.len(),
        number(Met::No),
        number(Met::NotJudged),
    );
    for result in results {
        out.push_str(&case(file, judged, result));
    }
    out.push_str("  </testsuite>\n");
    out
}

fn case(file: &FileReport, judged: &Judged, result: &PolicyResult) -> String {
    let title = judged.title();
    let head = format!("    <testcase name=\"{}\" classname=\"{}\"", escape(&result.policy), escape(&title));
    let came = words::short_verdict(&result.run.verdict);
    match (words::met(result), &result.run.verdict) {
        (Met::Yes, _) => format!("{head}/>\n"),
        (Met::NotJudged, Verdict::Skip(reason)) => {
            format!("{head}>\n      <skipped message=\"{}\"/>\n    </testcase>\n", escape(reason))
        }
        (Met::NotJudged, Verdict::Came(_)) => {
            format!("{head}>\n      <skipped message=\"one order of a race was run; it came to {came}\"/>\n    </testcase>\n")
        }
        (Met::No, _) => {
            let message = format!("expected {}, came {came}", words::expected(result));
            let lines = super::ktap::diagnostics(file, result).join("\n");
            let (message, lines) = (escape(message), escape(lines));
            format!("{head}>\n      <failure message=\"{message}\">{lines}</failure>\n    </testcase>\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;

    #[test]
    fn unmet_expectations_are_failures_and_the_rest_passes_or_is_skipped() {
        insta::assert_snapshot!(super::text(&[fixture::mixed()]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="cowl">
          <testsuite name="vmsplice-child" file="vmsplice-child.cow" tests="5" failures="1" skipped="1">
            <testcase name="linux-5.7" classname="vmsplice-child"/>
            <testcase name="linux-5.8" classname="vmsplice-child"/>
            <testcase name="linux-5.9" classname="vmsplice-child"/>
            <testcase name="linux-5.11" classname="vmsplice-child">
              <failure message="expected ok, came leak">vmsplice-child.cow:8: expected ok, came leak
        `pipe` reads &quot;new&quot;, which parent stored to memory that child does not share; &quot;old&quot; was promised</failure>
            </testcase>
            <testcase name="mine" classname="vmsplice-child">
              <skipped message="it has no `vmsplice`"/>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
