//! What other programs read: held against a schema, and read back by parsers that are not ours.

use serde_json::Value;
use tap_parser::{DirectiveKind, TapParser, TapStatement};

use super::{LEAK, UNMET, cowl, cowl_on, file, root};

/// The mistakes of a document by the schema of `cowl run`.
fn against_schema(document: &Value) -> Result<(), String> {
    against("docs/cowl-run.schema.json", document)
}

/// The mistakes of a document by a schema in the repository.
fn against(schema: &str, document: &Value) -> Result<(), String> {
    let schema = std::fs::read_to_string(root().join(schema)).expect("the schema is there");
    let validator = jsonschema::draft202012::new(&json(&schema)).map_err(|error| error.to_string())?;
    validator.validate(document).map_err(|error| format!("{} at {}", error, error.instance_path()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn json_of_the_corpus_is_as_the_schema_says_with_and_without_steps() {
    let all = "corpus/basics corpus/canary corpus/claims corpus/gallery corpus/matrix corpus/regress";
    for arguments in [format!("run {all} --format json"), "run corpus/claims --format json --trace".to_owned()] {
        let document = json(&cowl(&arguments).out);
        against_schema(&document).unwrap_or_else(|error| panic!("{arguments}: {error}"));
        let scenarios =
            document["files"].as_array().expect("files").iter().map(|file| file["scenarios"].as_array().map_or(0, Vec::len));
        assert!(10 < scenarios.sum::<usize>(), "{arguments}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_output_of_this_format() {
    let document = json(&cowl_on("run --format json --trace -p linux-5.7", &file("schema", LEAK), "").ends(0).out);
    against_schema(&document).expect("it is an output");
    let result = "/files/0/scenarios/0/results/0";
    for (place, value) in [
        ("/format".to_owned(), json("2")),
        (format!("{result}/outcome"), json("\"fine\"")),
        (format!("{result}/met"), json("\"yes\"")),
        (format!("{result}/copies"), json("-1")),
        (format!("{result}/detail"), json("\"a leak has none\"")),
        (format!("{result}/violations/0/line"), json("0")),
        (format!("{result}/steps/0/facts/p.buf[0]/frame"), json("\"a\"")),
    ] {
        let mut wrong = document.clone();
        *wrong.pointer_mut(&place).unwrap_or_else(|| panic!("no {place} in {document}")) = value;
        assert!(against_schema(&wrong).is_err(), "{place} may be anything");
    }
    let mut wrong = document.clone();
    wrong["files"][0]["more"] = json("1");
    assert!(against_schema(&wrong).is_err(), "keys nobody knows are let through");
}

const EXPLORE: &str = "docs/cowl-explore.schema.json";

#[test]
fn each_line_of_a_search_is_as_its_schema_says_whatever_stopped_it() {
    let all = "explore corpus/gallery corpus/claims corpus/canary --format json";
    let mut bounds = std::collections::BTreeSet::new();
    for more in
        ["", "--states 20", "--depth 5", "--switches 1", "--random pct --schedules 9", "--exact --shard 1/3", "--memory 0"]
    {
        for line in cowl(&format!("{all} {more}")).out.lines() {
            let document = json(line);
            against(EXPLORE, &document).unwrap_or_else(|error| panic!("{more}: {error}: {line}"));
            bounds.extend(document["bound"].as_str().map(|bound| bound.split(':').next().unwrap_or_default().to_owned()));
        }
    }
    assert_eq!(bounds.into_iter().collect::<Vec<_>>().join(" "), "depth memory schedules shard states switches");
}

#[test]
fn the_schema_of_a_search_refuses_what_is_no_output_of_it() {
    let document = json(cowl("explore corpus/gallery/gup-fast-against-fork.cow -p linux-5.9 --format json").out.trim());
    against(EXPLORE, &document).expect("it is an output");
    for (place, value) in [
        ("/format", "2"),
        ("/verdict", "\"Perhaps\""),
        ("/of", "\"fine\""),
        ("/reach", "[1]"),
        ("/bound", "\"12\""),
        ("/states", "-1"),
        ("/ends/0/ways", "\"2\""),
        ("/expects/0/outcome", "\"\""),
    ] {
        let mut wrong = document.clone();
        *wrong.pointer_mut(place).unwrap_or_else(|| panic!("no {place} in {document}")) = json(value);
        assert!(against(EXPLORE, &wrong).is_err(), "{place} may be anything");
    }
    let mut wrong = document.clone();
    wrong["more"] = json("1");
    assert!(against(EXPLORE, &wrong).is_err(), "keys nobody knows are let through");
}

#[test]
fn json_tells_outcome_cost_violation_and_what_was_read() {
    let document = json(&cowl_on("run --format json -p linux-5.7,linux-5.9", &file("json", LEAK), "").ends(0).out);
    let results = &document["files"][0]["scenarios"][0]["results"];
    assert_eq!(results[0]["policy"], "linux-5.7");
    assert_eq!(results[0]["outcome"], "leak");
    assert_eq!(results[0]["expected"], "leak");
    assert_eq!(results[0]["met"], true);
    assert_eq!(results[0]["violations"][0]["line"], 8);
    assert_eq!(results[0]["violations"][0]["knob"], "reuse_small = map_swap");
    assert_eq!(results[0]["observations"][0], json(r#"{"line": 8, "value": "new", "promised": ["old"]}"#));
    assert_eq!((&results[1]["outcome"], &results[1]["copies"]), (&json("\"ok\""), &json("1")));
    assert_eq!(results[1]["violations"], json("[]"));
    assert!(results[0].get("steps").is_none());
}

#[test]
fn a_step_has_the_facts_of_every_page() {
    let document = json(&cowl_on("run --format json --trace -p linux-5.7", &file("steps", LEAK), "").ends(0).out);
    let steps = &document["files"][0]["scenarios"][0]["results"][0]["steps"];
    assert_eq!(steps.as_array().map(Vec::len), Some(7));
    assert_eq!((&steps[2]["actor"], &steps[2]["ended"]), (&json("\"p\""), &json("\"ok\"")));
    let shared = &steps[2]["facts"]["c.buf[0]"];
    assert_eq!(*shared, steps[2]["facts"]["p.buf[0]"], "both map the same page after fork");
    assert_eq!((&shared["frame"], &shared["mapcount"], &shared["writable"]), (&json("\"A\""), &json("2"), &json("false")));
    assert_eq!(steps[5]["decisions"][0]["rule"], "wp::decide_small");
}

/// KTAP is TAP with another first line, which each subtest has too, and subtests indented by two columns instead of four, with
/// their name among them instead of before them.
fn as_tap(ktap: &str) -> String {
    let line = |line: &str| {
        let text = line.trim_start_matches(' ');
        let depth = (line.len() - text.len()) / 2 - usize::from(text.starts_with("# Subtest: "));
        format!("{}{}\n", "    ".repeat(depth), text.replace("KTAP version 1", "TAP version 14"))
    };
    ktap.lines().filter(|line| *line != "  KTAP version 1").map(line).collect()
}

#[test]
fn ktap_is_read_back_by_a_parser_that_is_not_ours() {
    let folder = file("ktap", LEAK).with_file_name("");
    std::fs::write(folder.join("unmet.cow"), UNMET).expect("files");
    let skipped = "scenario skipped {\n    p: mmap buf 1 page\n    p: madvise buf populate_write\n    p: read buf == 0\n}\n";
    std::fs::write(folder.join("skipped.cow"), skipped).expect("files");
    let said = cowl_on("run --format ktap -p linux-5.7,latest", &folder, "").ends(1);
    assert!(said.out.starts_with("KTAP version 1\n1..3\n"), "{}", said.out);
    assert_eq!(said.out.matches("\n  KTAP version 1\n  # Subtest: ").count(), 3, "{}", said.out);
    let tap = as_tap(&said.out);
    let statements = TapParser::new().parse(&tap).unwrap_or_else(|error| panic!("{error}: {tap}"));
    let subtests: Vec<_> = statements
        .iter()
        .filter_map(|statement| match statement {
            TapStatement::Subtest(subtest) => Some((subtest.ending.desc, subtest.ending.result, points(&subtest.statements))),
            _ => None,
        })
        .collect();
    assert_eq!(
        subtests,
        [
            (Some("leak"), true, vec![(Some("linux-5.7"), true, false), (Some("linux-7.3"), true, false)]),
            (Some("skipped"), true, vec![(Some("linux-5.7"), true, true), (Some("linux-7.3"), true, false)]),
            (Some("unmet"), false, vec![(Some("linux-5.7"), false, false), (Some("linux-7.3"), false, false)]),
        ]
    );
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn ktap_of_a_real_kernel_is_read_back_too_and_a_kernel_is_a_subtest() {
    let folder = file("ktap-of-a-kernel", LEAK).with_file_name("");
    std::fs::write(folder.join("unmet.cow"), UNMET).expect("files");
    let held = "scenario skipped {\n    p: mmap buf 1 page\n    p: write buf 1\n    kernel: hold p.buf -> r\n}\n";
    std::fs::write(folder.join("skipped.cow"), held).expect("files");
    let said = cowl_on("kernel run --format ktap", &folder, "").ends(1);
    let tap = as_tap(&said.out);
    let statements = TapParser::new().parse(&tap).unwrap_or_else(|error| panic!("{error}: {tap}"));
    let [TapStatement::Plan(plan), TapStatement::Subtest(kernel)] = &statements[..] else { panic!("{statements:?}") };
    assert_eq!((plan.count, kernel.ending.result), (1, false), "{tap}");
    let cases = points(&kernel.statements).into_iter().map(|(_, result, skipped)| (result, skipped)).collect::<Vec<_>>();
    assert_eq!(cases, [(true, false), (true, true), (false, false)], "{tap}");
}

/// Name, result, and whether it was skipped.
fn points<'a>(statements: &[TapStatement<'a>]) -> Vec<(Option<&'a str>, bool, bool)> {
    let point = |statement: &TapStatement<'a>| match statement {
        TapStatement::TestPoint(test) => {
            let skipped = test.directive.as_ref().is_some_and(|directive| directive.kind == DirectiveKind::Skip);
            Some((test.desc, test.result, skipped))
        }
        _ => None,
    };
    statements.iter().filter_map(point).collect()
}

#[test]
fn junit_is_well_formed_and_counts_its_failures() {
    use quick_xml::Reader;
    use quick_xml::events::Event;
    let out = cowl_on("run --format junit -p linux-5.7,latest", &file("junit", UNMET), "").ends(1).out;
    let (mut reader, mut failures, mut cases) = (Reader::from_str(&out), 0, 0);
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {out}")) {
            Event::Start(tag) | Event::Empty(tag) => {
                failures += usize::from(tag.name().as_ref() == "failure");
                cases += usize::from(tag.name().as_ref() == "testcase");
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((cases, failures), (2, 2), "{out}");
    assert!(out.contains("failures=\"2\""), "{out}");
}

#[test]
fn short_has_a_line_for_each_unmet_expectation() {
    let said = cowl_on("run --format short", &file("short", UNMET), "").ends(1);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("short.cow:5:5: unmet[expect]: unmet: expected leak, came ok under all"), "{lines:?}");
}
