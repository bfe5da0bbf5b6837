//! Every scenario of the corpus under every policy: a snapshot a file, with the table of verdicts and the final states.
//!
//! The claim is in the scenario (`expect …`), the detail in the snapshot. A snapshot cannot bless an expectation that is not
//! met: the test fails before it looks at the snapshot.

use std::cell::RefCell;
use std::path::Path;

use crate::analysis::{self, Judged, Options};
use crate::check::Story;
use crate::check::report::{Met, PageFacts, PolicyResult, Reading};
use crate::check::{letter, letter_number};
use crate::diag::Source;
use crate::lower::Included;
use crate::render::{Look, compress, table, words};

/// Kinds of memory of one name that are all told of in a snapshot.
const KINDS_TOLD_MAX: usize = 3;

/// Files of which each scenario runs over some fifty kinds of memory, half of them with 512 pages: 15,000 runs, which a build
/// without optimization takes minutes for. `.ci/run` has them too.
const LONG: &[&str] = &["cow/basic-cow.cow", "cow/iouring.cow", "cow/vmsplice.cow", "cow/read-only-pins.cow"];

#[test]
fn every_scenario_holds_and_comes_to_what_its_snapshot_says() {
    hold("**/*.cow", |path| !LONG.iter().any(|long| path.ends_with(long)));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "minutes in a debug build: cargo test --release --lib over_every_kind")]
fn the_selftest_holds_over_every_kind_of_memory() {
    hold("selftest/cow/*.cow", |path| LONG.iter().any(|long| path.ends_with(long)));
}

/// Holds the files of the corpus that are wanted against their expectations and snapshots.
fn hold(files: &str, wanted: fn(&Path) -> bool) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let refused = RefCell::new(Vec::new());
    settings.bind(|| {
        insta::glob!("../../corpus", files, |path| match wanted(path).then(|| snapshot(path)) {
            Some(Ok(text)) => named().bind(|| insta::assert_snapshot!(snapshot_name(path), text)),
            Some(Err(why)) => refused.borrow_mut().extend(why),
            None => {}
        });
    });
    let refused = refused.into_inner();
    assert!(refused.is_empty(), "\nno snapshot can bless this:\n{}\n", refused.join("\n"));
}

/// The settings without what `glob!` puts behind a snapshot's name: the name says it all.
fn named() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.remove_snapshot_suffix();
    settings
}

/// `corpus/fork/a-b.cow` has the snapshot `fork__a-b.snap`.
fn snapshot_name(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    // The last, for the repository itself may lie in a folder of that name.
    let below = parts.iter().rposition(|part| part == "corpus").map_or(0, |corpus| corpus + 1);
    parts[below..].join("__").trim_end_matches(".cow").to_owned()
}

/// What one file came to.
///
/// # Errors
/// Mistakes in the file, and expectations and assertions that are not met.
fn snapshot(path: &Path) -> Result<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| error.to_string());
    let source = Source::new(name.clone(), read(path).map_err(|error| vec![format!("{name}: {error}")])?);
    let mut include = |from: &str, used: &str| {
        let name = Path::new(from).with_file_name(used);
        Ok(Included { text: read(&root.join(&name))?, name: name.to_string_lossy().into_owned() })
    };
    let options = Options { story: Story::End, contrasts: true, ..Options::default() };
    let file = analysis::run(source, &mut include, &options);
    let mistakes = file.findings.iter().map(|finding| format!("{name}: {}", finding.message));
    let unmet = file.scenarios.iter().flat_map(unmet).map(|text| format!("{name}: {text}"));
    let refused: Vec<String> = mistakes.chain(unmet).collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let releases = analysis::releases();
    let block = |alike: &Vec<&Judged>| {
        let (judged, others) = alike.split_first().expect("cowl bug: nobody is alike");
        let table = table::body(&file, judged, &releases, &Look::default());
        let others: String =
            others.iter().filter_map(|other| other.report.kind.clone()).map(|kind| format!(", {kind}")).collect();
        format!("{}{others}\n{table}{}", judged.title(), states(judged, &releases))
    };
    match file.scenarios.is_empty() {
        true => Ok("it has no scenario of its own; others take it in".to_owned()),
        false => Ok(alike(&file.scenarios).iter().map(block).collect::<Vec<_>>().join("\n")),
    }
}

/// The scenarios, each by itself; but one `prepare` with so many numbers that nobody would read them all tells of the first, where
/// the others end alike.
fn alike(scenarios: &[Judged]) -> Vec<Vec<&Judged>> {
    let family = |judged: &Judged| judged.report.kind.as_ref().and_then(|kind| Some(kind.split_once('(')?.0.to_owned()));
    let verdicts = |judged: &Judged| judged.report.results.iter().map(|result| result.run.verdict.clone()).collect::<Vec<_>>();
    let same = |a: &Judged, b: &Judged| {
        let of_one = family(a).is_some() && family(a) == family(b) && a.report.name == b.report.name;
        of_one && verdicts(a) == verdicts(b)
    };
    let mut groups: Vec<Vec<&Judged>> = Vec::new();
    for judged in scenarios {
        let many = KINDS_TOLD_MAX < scenarios.iter().filter(|other| same(judged, other)).count();
        match groups.iter_mut().find(|group| many && same(group[0], judged)) {
            Some(group) => group.push(judged),
            None => groups.push(vec![judged]),
        }
    }
    groups
}

fn unmet(judged: &Judged) -> Vec<String> {
    let told = |result: &PolicyResult| {
        let verdict = words::short_verdict(&result.run.verdict);
        let place = format!("{} under {} came to {verdict}", judged.title(), result.policy);
        let expected = result.expected.iter().filter(|expected| expected.met == Met::No).map(|expected| expected.text.clone());
        let asserted = result.run.unmet.iter().map(|unmet| unmet.message.clone());
        expected.chain(asserted).map(|text| format!("{place}: {text}")).collect::<Vec<_>>()
    };
    judged.report.results.iter().flat_map(told).collect()
}

/// What is true of each page of each mapping, in order of process and page.
type Facts = [(String, PageFacts)];

/// The last state of every run, policies with equal ones together.
fn states(judged: &Judged, releases: &[String]) -> String {
    let names: Vec<String> = judged.report.results.iter().map(|result| result.policy.clone()).collect();
    let mut groups: Vec<(Vec<usize>, &Facts)> = Vec::new();
    for (place, result) in judged.report.results.iter().enumerate() {
        let Some(step) = result.run.steps.last() else { continue };
        match groups.iter_mut().find(|(_, facts)| *facts == step.facts) {
            Some((members, _)) => members.push(place),
            None => groups.push((vec![place], &step.facts)),
        }
    }
    let group = |(members, facts): &(Vec<usize>, &Facts)| {
        let widths = facts.iter().fold([0, 0], |[a, b], (name, facts)| [a.max(name.len()), b.max(value(facts).len())]);
        let pages = runs(facts).into_iter().map(|(name, facts)| page(&name, &facts, widths));
        let nothing = if facts.is_empty() { ": nothing is mapped" } else { "" };
        format!("  ends {}{nothing}\n{}", compress(&names, members, releases), pages.collect::<String>())
    };
    groups.iter().map(group).collect()
}

/// Neighbouring pages of a mapping that are alike, in frames in a row, as one: `p.buf[0..512]  A..SR`.
fn runs(facts: &Facts) -> Vec<(String, PageFacts)> {
    let place = |name: &str| {
        let (name, number) = name.strip_suffix(']')?.split_once('[')?;
        Some((name.to_owned(), number.parse::<u32>().ok()?))
    };
    let frame = |facts: &PageFacts| facts.frame.as_deref().map(letter_number);
    let follows = |first: &(String, PageFacts), nth: u32, next: &(String, PageFacts)| {
        let frames = frame(&first.1).map(|frame| frame + nth) == frame(&next.1);
        let alike = PageFacts { frame: None, ..first.1.clone() } == PageFacts { frame: None, ..next.1.clone() };
        let names = place(&first.0).map(|(name, number)| (name, number + nth)) == place(&next.0);
        frames && alike && names && place(&next.0).is_some()
    };
    let mut told: Vec<(usize, u32)> = Vec::new();
    for (at, next) in facts.iter().enumerate() {
        match told.last_mut() {
            Some((first, pages)) if follows(&facts[*first], *pages, next) => *pages += 1,
            _ => told.push((at, 1)),
        }
    }
    let named = |(first, pages): (usize, u32)| {
        let (name, facts) = facts[first].clone();
        match (pages, place(&name)) {
            (1, _) | (_, None) => (name, facts),
            (pages, Some((name, start))) => {
                let until = |first: &str| format!("{first}..{}", letter(letter_number(first) + pages - 1));
                let frame = facts.frame.as_deref().map(until);
                (format!("{name}[{start}..{}]", start + pages), PageFacts { frame, ..facts })
            }
        }
    };
    told.into_iter().map(named).collect()
}

/// `p.buf[0]  A  "new"  anon present mapcount=1`: what is not mentioned is not so, or 0.
fn page(name: &str, facts: &PageFacts, [names, values]: [usize; 2]) -> String {
    let flags = [
        (facts.present, "present"),
        (facts.swapped, "swapped"),
        (facts.writable, "writable"),
        (facts.dirty, "dirty"),
        (facts.soft_dirty, "soft_dirty"),
        (facts.uffd_wp, "uffd_wp"),
        (facts.pmd_mapped, "pmd_mapped"),
        (facts.exclusive, "exclusive"),
    ];
    let flags = flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| format!(" {flag}"));
    let counts = [("mapcount", facts.mapcount), ("refcount", facts.refcount), ("pincount", facts.pincount)];
    let counts = counts.into_iter().filter(|(_, count)| *count != 0).map(|(name, count)| format!(" {name}={count}"));
    let frame = facts.frame.as_deref().unwrap_or("-");
    let value = value(facts);
    let facts = [facts.kind.to_owned(), flags.collect(), counts.collect()].concat();
    format!("    {name:names$}  {frame:2} {value:values$}  {facts}\n")
}

fn value(facts: &PageFacts) -> String {
    facts.value.as_ref().map_or("(faults)".into(), Reading::to_string)
}

#[test]
fn a_page_reads_as_a_line() {
    let facts = PageFacts {
        value: None,
        frame: Some("A".into()),
        kind: "anon",
        present: true,
        swapped: false,
        writable: false,
        dirty: true,
        soft_dirty: false,
        uffd_wp: false,
        pmd_mapped: false,
        mapcount: 2,
        refcount: 1026,
        pincount: 0,
        exclusive: false,
    };
    let line = "    p.a[0]  A  (faults)  anon present dirty mapcount=2 refcount=1026\n";
    assert_eq!(page("p.a[0]", &facts, [6, 8]), line);
}

#[test]
fn a_snapshot_is_named_for_its_file() {
    assert_eq!(snapshot_name(Path::new("/corpus/x/corpus/fork/a-b.cow")), "fork__a-b");
}
