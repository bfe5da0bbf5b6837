//! `cowl explain`: one run as a story: after each line only what changed, and why each decision fell as it did.

use std::collections::{BTreeMap, BTreeSet};

use super::look::{Look, Tone};
use super::words;
use crate::analysis::{FileReport, Judged};
use crate::check::report::{Met, Observation, PageFacts, PolicyResult, Reading, Step, Verdict, Violation};
use crate::trace::Decision;
use crate::types::{Pc, Span};

/// Columns before what is said below a line.
const INDENT: &str = "       ";

/// Decisions of a line that fell alike, up to which each is told.
const ALIKE_MAX: usize = 4;

/// The story of a scenario under one policy, which must have been run with its steps.
pub fn text(file: &FileReport, judged: &Judged, result: &PolicyResult, look: &Look) -> String {
    let mut out = heading(file, judged, result, look);
    let mut before: &[(String, PageFacts)] = &[];
    for step in &result.run.steps {
        let setup = judged.scenario.program.code.get(step.pc.idx()).is_some_and(|instr| instr.setup);
        out.push_str(&line(file, judged, step, setup, look));
        out.push_str(&decisions(&step.decisions, look));
        for (pages, change) in together(changes(before, &step.facts)) {
            let first = format!("{INDENT}{pages}  ");
            out.push_str(&look.wrap(&change, &first, &format!("{INDENT}  ")));
        }
        out.push_str(&readings(&result.run.observations, step.pc, look));
        let here = result.run.violations.iter().filter(|violation| violation.pc == step.pc);
        for (violation, number) in words::runs(here, |violation| (violation.invariant, &violation.message)) {
            out.push_str(&violated(file, judged, violation, number, look));
        }
        before = &step.facts;
    }
    out.push_str(&ending(file, result, look));
    out
}

fn heading(file: &FileReport, judged: &Judged, result: &PolicyResult, look: &Look) -> String {
    let came = words::short_verdict(&result.run.verdict);
    let name = look.paint(Tone::Name, &judged.title());
    let place = format!("{}:{}", file.path(), file.place(judged.scenario.span).line);
    let mut out = format!("{name} under {}: {came}  {}\n", result.policy, look.paint(Tone::Dim, &place));
    let origin = if judged.report.origin.is_empty() { String::new() } else { format!("[{}]", judged.report.origin) };
    let about = format!("{} {origin}", judged.report.title);
    if !about.trim().is_empty() {
        out.push_str(&look.wrap(about.trim(), "  ", "  "));
    }
    out.push('\n');
    out
}

/// Why each fell as it did. Of many that say the same, on one page after the other, the first is told.
fn decisions(decisions: &[Decision], look: &Look) -> String {
    let alike = |decision: &Decision| (decision.rule, decision.value, decision.verdict, decision.reason);
    let mut numbers = BTreeMap::new();
    decisions.iter().for_each(|decision| *numbers.entry(alike(decision)).or_insert(0) += 1);
    let mut told = BTreeSet::new();
    let mut out = String::new();
    for decision in decisions {
        let more = match numbers[&alike(decision)] {
            ..=ALIKE_MAX => String::new(),
            number if told.insert(alike(decision)) => format!("; {} more alike", number - 1),
            _ => continue,
        };
        let text = words::decision(decision) + &more;
        let name = format!("{INDENT}{}: ", decision.rule);
        let shown = look.wrap(&text, &name, &format!("{INDENT}  "));
        out.push_str(&shown.replacen(decision.rule, &look.paint(Tone::Dim, decision.rule), 1));
    }
    out
}

/// The statement, and how it ended where it did not simply do what it says.
fn line(file: &FileReport, judged: &Judged, step: &Step, setup: bool, look: &Look) -> String {
    let span = judged.span(step.pc);
    let number = look.paint(Tone::Dim, &format!("{:>4}", file.place(span).line));
    let statement = statement(file, judged, span, step.pc, setup);
    let faults = (0 < step.faults).then(|| words::count(step.faults, "fault", "faults"));
    let ended = (step.ended != "ok").then(|| step.ended.clone());
    let notes: Vec<_> = [ended, faults].into_iter().flatten().collect();
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    format!("{number}  {}{}\n", look.paint(Tone::Name, &statement), look.paint(Tone::Dim, &notes))
}

/// The line as written; of a `prepare`, whose actors are parameters, with the actor it has here.
fn statement(file: &FileReport, judged: &Judged, span: Span, pc: Pc, setup: bool) -> String {
    let written = file.statement(span);
    let program = &judged.scenario.program;
    match (setup, program.code.get(pc.idx())) {
        (true, Some(instr)) => format!("[{}] {written}", program.actor(instr.task)),
        _ => written,
    }
}

/// What changed between two lists of pages, page by page, those that are gone last.
fn changes(before: &[(String, PageFacts)], after: &[(String, PageFacts)]) -> Vec<(String, String)> {
    let was: BTreeMap<_, _> = before.iter().map(|(page, facts)| (page.as_str(), facts)).collect();
    let is: BTreeSet<_> = after.iter().map(|(page, _)| page.as_str()).collect();
    let mut changes = Vec::new();
    for (page, facts) in after {
        match was.get(page.as_str()) {
            Some(before) if *before == facts => {}
            Some(before) => changes.push((page.clone(), change(before, facts))),
            None => changes.push((page.clone(), format!("mapped: {}", describe(facts)))),
        }
    }
    let gone = before.iter().filter(|(page, _)| !is.contains(page.as_str()));
    changes.extend(gone.map(|(page, _)| (page.clone(), "gone".to_owned())));
    changes
}

/// Neighbouring pages of one mapping that changed alike are told once: `p.buf[0..512]`, in frames `A..SR`.
fn together(changes: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut told: Vec<(String, u64, u64, String, String)> = Vec::new();
    for (page, change) in changes {
        let parts = page.strip_suffix(']').and_then(|page| page.split_once('['));
        let place = parts.and_then(|(name, number)| Some((name.to_owned(), number.parse::<u64>().ok()?)));
        let Some((name, number)) = place else {
            told.push((page, 0, 0, change.clone(), change));
            continue;
        };
        match told.last_mut() {
            Some((last, start, end, said, until))
                if *last == name && *end == number && frames_later(said, number - *start) == frames_later(&change, 0) =>
            {
                *end += 1;
                *until = change;
            }
            _ => told.push((name, number, number + 1, change.clone(), change)),
        }
    }
    let named = |(name, start, end, change, until): (String, u64, u64, String, String)| match end - start {
        0 => (name, change),
        1 => (format!("{name}[{start}]"), change),
        _ => (format!("{name}[{start}..{end}]"), run(&change, &until)),
    };
    told.into_iter().map(named).collect()
}

/// A word of a change: text, or the letters of a frame and what follows them.
#[derive(PartialEq, Eq)]
enum Word<'a> {
    Text(&'a str),
    Frame(u64, &'a str),
}

/// The words of a text; of frames those that come so much later. A frame is a word of capitals, `A` or `A:`.
fn frames_later(text: &str, by: u64) -> Vec<Word<'_>> {
    let word = |word| match frame(word) {
        Some((letters, colon)) => Word::Frame(u64::from(crate::check::letter_number(letters)) + by, colon),
        None => Word::Text(word),
    };
    text.split(' ').map(word).collect()
}

fn frame(word: &str) -> Option<(&str, &str)> {
    let letters = word.trim_end_matches(':');
    let is_frame = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_uppercase());
    is_frame.then(|| word.split_at(letters.len()))
}

/// Two texts that differ in frames only, as one: `A..SR`.
fn run(first: &str, last: &str) -> String {
    let both = first.split(' ').zip(last.split(' '));
    let word = |(a, b): (&str, &str)| match frame(a).zip(frame(b)) {
        Some(((a, colon), (b, _))) if a != b => format!("{a}..{b}{colon}"),
        _ => a.to_owned(),
    };
    both.map(word).collect::<Vec<_>>().join(" ")
}

/// All that is true of a page and worth saying.
fn describe(facts: &PageFacts) -> String {
    let Some(frame) = &facts.frame else {
        return match facts.swapped {
            true => format!("swapped out{}", if facts.exclusive { ", exclusive" } else { "" }),
            false => "no page".to_owned(),
        };
    };
    let value = facts.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    let flags = flags(facts);
    let flags: Vec<_> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| format!(", {name}")).collect();
    let access = if facts.writable { "rw" } else { "ro" };
    let pins = if facts.pincount == 0 { String::new() } else { format!(", pincount {}", facts.pincount) };
    let counts = format!("mapcount {}, refcount {}{pins}", facts.mapcount, facts.refcount);
    format!("{frame}{value} ({} {access}{}; {counts})", facts.kind, flags.concat())
}

fn flags(facts: &PageFacts) -> [(&'static str, bool); 6] {
    [
        ("exclusive", facts.exclusive),
        ("dirty", facts.dirty),
        ("soft_dirty", facts.soft_dirty),
        ("uffd_wp", facts.uffd_wp),
        ("pmd_mapped", facts.pmd_mapped),
        ("not present", !facts.present),
    ]
}

/// What changed on a page. Another frame is another page: it is described anew.
fn change(before: &PageFacts, after: &PageFacts) -> String {
    if before.frame != after.frame || before.kind != after.kind {
        let old = before.frame.clone().unwrap_or_else(|| if before.swapped { "swapped out".into() } else { "no page".into() });
        return format!("{old} -> {}", describe(after));
    }
    let mut parts = Vec::new();
    if before.value != after.value {
        let said = |facts: &PageFacts| facts.value.as_ref().map_or("nothing".to_owned(), Reading::to_string);
        parts.push(format!("{} -> {}", said(before), said(after)));
    }
    if before.writable != after.writable {
        parts.push(if after.writable { "ro -> rw" } else { "rw -> ro" }.to_owned());
    }
    if before.swapped != after.swapped {
        parts.push(if after.swapped { "swapped out" } else { "swapped in" }.to_owned());
    }
    for ((name, was), (_, is)) in flags(before).into_iter().zip(flags(after)) {
        match (name, was, is) {
            (_, was, is) if was == is => {}
            ("exclusive", _, false) => parts.push("exclusive -> shared".to_owned()),
            ("not present", true, _) => parts.push("present".to_owned()),
            (name, _, true) => parts.push(name.to_owned()),
            (name, _, false) => parts.push(format!("no longer {name}")),
        }
    }
    for (name, was, is) in [
        ("mapcount", before.mapcount, after.mapcount),
        ("refcount", before.refcount, after.refcount),
        ("pincount", before.pincount, after.pincount),
    ] {
        if was != is {
            parts.push(format!("{name} {was} -> {is}"));
        }
    }
    let frame = after.frame.as_ref().map(|frame| format!("{frame}: ")).unwrap_or_default();
    format!("{frame}{}", parts.join(", "))
}

/// What the line read, and what was promised where that is something else.
fn readings(observations: &[Observation], pc: Pc, look: &Look) -> String {
    let mut out = String::new();
    let here = observations.iter().filter(|seen| seen.pc == pc);
    for (seen, number) in words::runs(here, |seen| (&seen.value, &seen.promised)) {
        let kept = seen.promised.contains(&seen.value);
        let page = match (seen.page, number) {
            (0, 1) => String::new(),
            (page, 1) => format!("page {page}: "),
            (page, number) => format!("pages {page}..{}: ", usize::from(page) + number),
        };
        let promised = if kept { String::new() } else { format!("; promised was {}", Reading::any_of(&seen.promised)) };
        let tone = if kept { Tone::Good } else { Tone::Bad };
        out.push_str(&look.wrap_toned(&format!("{page}reads {}{promised}", seen.value), INDENT, INDENT, tone));
    }
    out
}

fn violated(file: &FileReport, judged: &Judged, violation: &Violation, number: usize, look: &Look) -> String {
    let (word, detail) = words::outcome(violation.outcome);
    let invariant = violation.invariant.filter(|id| Some(*id) != detail.as_deref()).map(|id| format!(" ({id})"));
    let detail = detail.map(|detail| format!(" {detail}")).unwrap_or_default();
    let text = format!("{word}{detail}{}: {}", invariant.unwrap_or_default(), violation.message) + &words::times(number);
    let mut out = look.wrap_toned(&text, &format!("    !! {}", ""), INDENT, Tone::Alarm);
    if let Some((pc, decision)) = &violation.decision {
        let line = file.place(judged.span(*pc)).line;
        out.push_str(&look.wrap(
            &format!("let happen by line {line}: {}", words::decision(decision)),
            INDENT,
            &format!("{INDENT}  "),
        ));
    }
    out
}

/// The verdict, its cost, and what was expected.
fn ending(file: &FileReport, result: &PolicyResult, look: &Look) -> String {
    let mut out = "\n".to_owned();
    if let Verdict::Skip(reason) = &result.run.verdict {
        out.push_str(&look.wrap(&format!("skipped: {reason}"), "", "  "));
        return out;
    }
    let cost = words::cost(result);
    out.push_str(&look.wrap(&format!("{}, {cost}", words::short_verdict(&result.run.verdict)), "", "  "));
    for expected in &result.expected {
        let place = format!("{}:{}", file.path(), file.place(expected.span).line);
        let (tone, said) = match expected.met {
            Met::Yes => (Tone::Good, "as expected"),
            Met::No => (Tone::Alarm, "UNMET: expected"),
            Met::NotJudged => (Tone::Dim, "not judged: expected"),
        };
        out.push_str(&look.wrap_toned(
            &format!("{said}: {} ({place})", expected.text).replace("expected: ", "expected "),
            "",
            "  ",
            tone,
        ));
    }
    for unmet in &result.run.unmet {
        let place = format!("{}:{}", file.path(), file.place(unmet.span).line);
        out.push_str(&look.wrap_toned(&format!("UNMET: {} ({place})", unmet.message), "", "  ", Tone::Alarm));
    }
    if let Some(race) = words::race(result.run.race.as_ref()) {
        out.push_str(&look.wrap(&format!("note: this is one order of the race; {race}"), "", "  "));
    } else if result.run.one_schedule {
        out.push_str(&look.wrap("note: one order of the race was run", "", "  "));
    }
    out
}
