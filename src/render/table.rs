//! The table of verdicts: a block for each scenario, a row for each group of policies that agree.

use std::borrow::Cow;

use super::look::{Look, Tone};
use super::ranges::compress;
use super::words;
use crate::analysis::{FileReport, Judged, Parting};
use crate::check::report::{Met, PolicyResult, Verdict, Violation};
use crate::trace::Decision;
use crate::types::{Pc, Span};

/// Violations of a row that are told; the rest are counted.
const VIOLATIONS_MAX: usize = 3;
/// Columns of a statement beside its explanation; a longer one has a line to itself.
const STATEMENT_COLUMNS_MAX: usize = 36;

/// A row: policies that came to the same, for the same reason.
struct Row<'a> {
    members: Vec<usize>,
    /// Any of them.
    result: &'a PolicyResult,
    why: Option<Why<'a>>,
}

/// The decision a row rests on, and every value of its knob under which it fell alike.
struct Why<'a> {
    pc: Pc,
    what: Cow<'a, Parting>,
    values: Vec<&'static str>,
}

/// The block of one scenario.
///
/// `alike` are further kinds of memory whose tables are the same.
pub fn block(file: &FileReport, judged: &Judged, alike: &[&Judged], releases: &[String], look: &Look) -> String {
    let mut out = heading(file, judged, alike, look);
    out.push_str(&body(file, judged, releases, look));
    out
}

/// The name, the place and the title.
fn heading(file: &FileReport, judged: &Judged, alike: &[&Judged], look: &Look) -> String {
    let place = format!("{}:{}", file.path(), file.place(judged.scenario.span).line);
    let kinds: Vec<_> = alike.iter().filter_map(|other| other.report.kind.clone()).collect();
    let kinds = kinds.iter().map(|kind| format!(", {kind}")).collect::<String>();
    let mut out = format!("{}{kinds}  {}\n", look.paint(Tone::Name, &judged.title()), look.paint(Tone::Dim, &place));
    let origin = if judged.report.origin.is_empty() { String::new() } else { format!("[{}]", judged.report.origin) };
    let about = [judged.report.title.as_str(), &origin].join(" ");
    if !about.trim().is_empty() {
        out.push_str(&look.wrap(about.trim(), "  ", "  "));
    }
    out
}

/// The rows of one scenario: equal for two kinds of memory when the same holds of both.
pub fn body(file: &FileReport, judged: &Judged, releases: &[String], look: &Look) -> String {
    let names: Vec<_> = judged.report.results.iter().map(|result| result.policy.clone()).collect();
    let rows = rows(judged);
    let cells: Vec<_> = rows.iter().map(|row| [verdict(row.result), mark(row.result), cost(row.result)]).collect();
    let width = |column: usize, least: usize| cells.iter().map(|cells| cells[column].len()).max().unwrap_or(0).max(least);
    let widths = [width(0, 6), width(1, 5), width(2, 8)];
    let details: Vec<_> = rows.iter().map(|row| details(file, judged, row)).collect();
    let columns = details.iter().flatten().map(Detail::columns).max().unwrap_or(0);
    let mut out = String::new();
    for ((row, cells), details) in rows.iter().zip(&cells).zip(&details) {
        let policies = compress(&names, &row.members, releases);
        let pad = |column: usize| format!("{:width$}", cells[column], width = widths[column]);
        let plain = format!("  {}  {}  {}  ", pad(0), pad(1), pad(2));
        let tones = tones(row.result);
        let head = format!("  {}  {}  {}  ", look.paint(tones[0], &pad(0)), look.paint(tones[1], &pad(1)), pad(2));
        let text = look.wrap(&policies, &plain, &" ".repeat(plain.len()));
        out.push_str(&text.replacen(&plain, &head, 1));
        for detail in details {
            out.push_str(&detail.show(columns, look));
        }
    }
    if judged.report.results.iter().any(|result| result.run.one_schedule && result.run.race.is_none()) {
        out.push_str(&look.wrap(
            "one order of the race was run; what holds of all orders is not judged",
            "  note: ",
            "        ",
        ));
    }
    out
}

/// Groups policies whose rows would read the same.
fn rows(judged: &Judged) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (place, result) in judged.report.results.iter().enumerate() {
        let why = why(judged, place, result);
        match rows.iter_mut().find(|row| same_result(row.result, result) && same_why(row.why.as_ref(), why.as_ref())) {
            Some(row) => {
                row.members.push(place);
                let new = why.into_iter().flat_map(|why| why.values);
                for value in new.collect::<Vec<_>>() {
                    let values = row.why.as_mut().map(|why| &mut why.values);
                    values.into_iter().filter(|values| !values.contains(&value)).for_each(|values| values.push(value));
                }
            }
            None => rows.push(Row { members: vec![place], result, why }),
        }
    }
    rows
}

fn why<'a>(judged: &'a Judged, place: usize, result: &'a PolicyResult) -> Option<Why<'a>> {
    let own = result.run.violations.first().and_then(|violation| violation.decision.as_ref());
    let (pc, what) = match (own, judged.contrasts.get(place)) {
        (Some((pc, decision)), _) => (*pc, Cow::Owned(Parting::Decided(decision.clone()))),
        (None, Some(Some(contrast))) => (contrast.pc, Cow::Borrowed(&contrast.what)),
        (None, _) => return None,
    };
    let values = if let Parting::Decided(decision) = &*what { vec![decision.value] } else { Vec::new() };
    Some(Why { pc, what, values })
}

fn same_why(a: Option<&Why<'_>>, b: Option<&Why<'_>>) -> bool {
    let alike = |a: &Decision, b: &Decision| Decision { value: b.value, ..telling(a) } == telling(b);
    match (a, b) {
        (Some(a), Some(b)) if a.pc == b.pc => match (&*a.what, &*b.what) {
            (Parting::Decided(a), Parting::Decided(b)) => alike(a, b),
            (a, b) => a == b,
        },
        (None, None) => true,
        (Some(_), _) | (None, Some(_)) => false,
    }
}

fn same_result(a: &PolicyResult, b: &PolicyResult) -> bool {
    let told = |violation: &Violation| (violation.outcome, violation.pc, violation.message.clone());
    let unmet = |result: &PolicyResult| -> Vec<(String, Span)> {
        result
            .expected
            .iter()
            .filter(|expected| expected.met == Met::No)
            .map(|expected| (expected.text.clone(), expected.span))
            .collect()
    };
    a.run.verdict == b.run.verdict
        && words::met(a) == words::met(b)
        && (a.run.copies, a.run.gratuitous) == (b.run.copies, b.run.gratuitous)
        && a.run.violations.iter().map(told).eq(b.run.violations.iter().map(told))
        && a.run.unmet == b.run.unmet
        && unmet(a) == unmet(b)
        && words::race(a.run.race.as_ref()) == words::race(b.run.race.as_ref())
}

fn verdict(result: &PolicyResult) -> String {
    words::short_verdict(&result.run.verdict)
}

fn mark(result: &PolicyResult) -> String {
    match (&result.run.verdict, words::met(result)) {
        (_, Met::No) => "UNMET",
        (Verdict::Skip(_), _) => "-",
        (_, Met::Yes) => "met",
        (_, Met::NotJudged) => "not judged",
    }
    .to_owned()
}

fn cost(result: &PolicyResult) -> String {
    match &result.run.verdict {
        Verdict::Skip(_) => String::new(),
        Verdict::Came(_) => words::cost(result),
    }
}

fn tones(result: &PolicyResult) -> [Tone; 2] {
    let verdict = match words::verdict(&result.run.verdict).0 {
        "ok" => Tone::Good,
        "skip" => Tone::Dim,
        _ => Tone::Bad,
    };
    let mark = match words::met(result) {
        Met::Yes => Tone::Plain,
        Met::No => Tone::Alarm,
        Met::NotJudged => Tone::Dim,
    };
    [verdict, mark]
}

/// A line below a row: a statement, and what is to be said of it.
struct Detail {
    line: String,
    statement: String,
    text: String,
    tone: Tone,
}

impl Detail {
    fn at(file: &FileReport, span: Span, text: String, tone: Tone) -> Self {
        Self { line: file.place(span).line.to_string(), statement: file.statement(span), text, tone }
    }

    /// Columns that its statement asks for.
    fn columns(&self) -> usize {
        Some(self.statement.chars().count()).filter(|columns| *columns <= STATEMENT_COLUMNS_MAX).unwrap_or(0)
    }

    fn show(&self, columns: usize, look: &Look) -> String {
        let line = format!("  {:>4} ", self.line);
        let blank = " ".repeat(line.len());
        if self.statement.is_empty() {
            return look.wrap_toned(&self.text, &line, &blank, self.tone);
        }
        if STATEMENT_COLUMNS_MAX < self.statement.chars().count() {
            let blank = format!("{blank}  ");
            return format!("{line}{}\n", self.statement) + &look.wrap_toned(&self.text, &blank, &blank, self.tone);
        }
        let statement = format!("{line}{:columns$}  ", self.statement);
        look.wrap_toned(&self.text, &statement, &format!("{blank}{:columns$}  ", ""), self.tone)
    }
}

/// The decision with those of its operands that say something: counts, and flags that are set. The rest is in the story.
fn telling(decision: &Decision) -> Decision {
    let says = |(name, number): &(&str, u32)| *number != 0 || name.ends_with("count");
    Decision { operands: decision.operands.iter().copied().filter(says).collect(), ..decision.clone() }
}

fn details(file: &FileReport, judged: &Judged, row: &Row<'_>) -> Vec<Detail> {
    let result = row.result;
    let mut details = Vec::new();
    if let Verdict::Skip(reason) = &result.run.verdict {
        details.push(Detail { line: String::new(), statement: String::new(), text: reason.clone(), tone: Tone::Dim });
    }
    if let Some(why) = &row.why {
        let text = match &*why.what {
            Parting::Decided(decision) => words::decision_under(&telling(decision), &why.values),
            Parting::NoFault => "no page fault".to_owned(),
            Parting::Nothing => "nothing is to be decided here".to_owned(),
        };
        details.push(Detail::at(file, judged.span(why.pc), text, Tone::Plain));
    }
    if let Some(text) = words::race(result.run.race.as_ref()) {
        details.push(Detail { line: String::new(), statement: String::new(), text, tone: Tone::Plain });
    }
    let told = words::runs(&result.run.violations, |violation| (violation.pc, violation.invariant, &violation.message));
    for (violation, number) in told.iter().take(VIOLATIONS_MAX) {
        let invariant = violation.invariant.map(|id| format!("{id}: ")).unwrap_or_default();
        let text = format!("{invariant}{}{}", violation.message, words::times(*number));
        details.push(Detail::at(file, judged.span(violation.pc), text, Tone::Plain));
    }
    let more: usize = told.iter().skip(VIOLATIONS_MAX).map(|(_, number)| number).sum();
    if 0 < more {
        let text = format!("and {more} more; `--format json` lists all");
        details.push(Detail { line: String::new(), statement: String::new(), text, tone: Tone::Dim });
    }
    for expected in result.expected.iter().filter(|expected| expected.met == Met::No) {
        let came = words::came(result, expected);
        let reason = if expected.reason.is_empty() { String::new() } else { format!(" \"{}\"", expected.reason) };
        let text = format!("UNMET: expected {}, came {came}{reason}", expected.text);
        details.push(Detail { statement: String::new(), ..Detail::at(file, expected.span, text, Tone::Alarm) });
    }
    for unmet in &result.run.unmet {
        details.push(Detail::at(file, unmet.span, format!("UNMET: {}", unmet.message), Tone::Alarm));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::super::{Look, fixture};
    use super::block;

    #[test]
    fn a_row_is_a_group_that_agrees_and_says_why() {
        let file = fixture::mixed();
        let text = block(&file, &file.scenarios[0], &[], &fixture::releases(), &Look::default());
        insta::assert_snapshot!(text, @r#"
        vmsplice-child  vmsplice-child.cow:2
          a child's vmsplice reference sees the parent's later write [CVE-2020-29374; B1]
          leak    met    0 copies  linux-5.7
             5 parent: write buf "new"    reuse: last mapping (reuse_small = map_swap; mapcount 1,
                                          refcount 2)
             6 child: peek pipe == "old"  I2: `pipe` reads "new", which parent stored to memory that child
                                          does not share; "old" was promised
          ok      met    1 copy    linux-5.8..linux-5.9
             5 parent: write buf "new"    copy: other references (reuse_small = ref1; mapcount 1,
                                          refcount 2)
          leak    UNMET  0 copies  linux-5.11
             5 parent: write buf "new"    reuse: last mapping (reuse_small = map_swap; mapcount 1,
                                          refcount 2)
             6 child: peek pipe == "old"  I2: `pipe` reads "new", which parent stored to memory that child
                                          does not share; "old" was promised
             8 UNMET: expected ok, came leak
          skip    -                mine
               it has no `vmsplice`
        "#);
    }
}
