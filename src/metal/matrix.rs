//! Scenario by kernel, as text for people and in the kernel's test format.

use std::collections::BTreeMap;

use super::story::Difference;
use crate::render::ktap::plain;
use crate::render::words;

/// What all scenarios came to on one kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Column {
    /// `uname -r`; of a kernel that did not come up, its path.
    pub release: String,
    /// The policy that it was held against.
    pub policy: String,
    /// One for each scenario, in the same order in all columns; fewer where the run was stopped.
    pub cells: Vec<Cell>,
    /// Why it did not come up, or went for good.
    pub failed: Option<String>,
}

/// What a scenario came to on a kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// `corpus/a.cow: name over kind`.
    pub title: String,
    /// The outcome: `ok`, `lost`; empty where there is none.
    pub outcome: String,
    pub came: Came,
    /// What is not as expected: the difference, an expectation that is unmet.
    pub details: Vec<String>,
    /// Entries of the two stories that were compared.
    pub entries: usize,
    /// How many pages of how many lines are left open, and why.
    pub unspecified: BTreeMap<&'static str, usize>,
}

/// Whether a kernel did as it was expected to: by the engine where the two were compared, else by the scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Came {
    Agrees,
    Differs,
    /// It could not be run there, and why.
    Skip(String),
    /// The agent or the kernel died of it, or did not answer.
    Crash(String),
}

/// A difference as a detail of a cell; `line` is the statement after which it showed.
pub fn detail(difference: &Difference, line: &str) -> String {
    let Difference { what, engine, kernel, .. } = difference;
    format!("after `{line}`: {what}: engine {engine}, kernel {kernel}")
}

impl Came {
    fn word(&self) -> &'static str {
        match self {
            Came::Agrees => "agrees",
            Came::Differs => "differs",
            Came::Skip(_) => "skip",
            Came::Crash(_) => "crash",
        }
    }
}

impl Column {
    /// `5.10.0` of `5.10.0-46-cloud-amd64`.
    fn short(&self) -> &str {
        self.release.split(['-', '+']).next().unwrap_or_default()
    }

    fn count(&self, word: &str) -> usize {
        self.cells.iter().filter(|cell| cell.came.word() == word).count()
    }

    /// `5.10.0-46-cloud-amd64 as linux-5.10-stable: 3 agree, 0 differ, 1 skipped, 0 crashed`.
    fn total(&self, compared: bool) -> String {
        if let Some(why) = self.failed.as_ref().filter(|_| self.cells.is_empty()) {
            return format!("{}: {why}", self.release);
        }
        let [agree, differ, skipped, crashed] = ["agrees", "differs", "skip", "crash"].map(|word| self.count(word));
        let (release, policy) = (&self.release, &self.policy);
        let counts = format!("{skipped} skipped, {crashed} crashed");
        match compared {
            true => {
                let entries: usize = self.cells.iter().map(|cell| cell.entries).sum();
                format!("{release} as {policy}: {agree} agree, {differ} differ, {counts}; {entries} entries compared")
            }
            false => format!("{release} as {policy}: {agree} as expected, {differ} not, {counts}"),
        }
    }
}

/// A line for each scenario, a column for each kernel, the counts, then all that is not as expected and why others were skipped.
///
/// Where engine and kernel were compared a cell says whether they agree, else what the scenario came to.
pub fn text(columns: &[Column], compared: bool) -> String {
    let word = |cell: &Cell| match (&cell.came, compared) {
        (Came::Agrees, false) => cell.outcome.clone(),
        (Came::Differs, false) => format!("{}!", cell.outcome),
        (came, _) => came.word().to_owned(),
    };
    let titles: Vec<_> =
        columns.iter().map(|column| &column.cells).max_by_key(|cells| cells.len()).into_iter().flatten().collect();
    let wide = titles.iter().map(|cell| cell.title.chars().count()).max().unwrap_or(0);
    let width =
        |column: &Column| column.cells.iter().map(|cell| word(cell).len()).chain([column.short().len()]).max().unwrap_or(0);
    let mut out = String::new();
    let shown: Vec<&Column> = columns.iter().filter(|column| !column.cells.is_empty()).collect();
    let mut row = |title: &str, cells: Vec<(usize, String)>| {
        let cells: String = cells.iter().map(|(width, text)| format!("  {text:<width$}")).collect();
        out += format!("{title:<wide$}{cells}").trim_end();
        out += "\n";
    };
    if !shown.is_empty() {
        row("", shown.iter().map(|column| (width(column), column.short().to_owned())).collect());
    }
    for (place, title) in titles.iter().enumerate() {
        let cell = |column: &Column| (width(column), column.cells.get(place).map_or("-".to_owned(), word));
        row(&title.title, shown.iter().copied().map(cell).collect());
    }
    if !shown.is_empty() {
        out += "\n";
    }
    for column in columns {
        out += &format!("{}\n", column.total(compared));
        out += &told(column);
    }
    out
}

/// What of a kernel is not as expected, was left open or was skipped, and why.
fn told(column: &Column) -> String {
    let mut out = String::new();
    for cell in column.cells.iter().filter(|cell| matches!(cell.came, Came::Differs | Came::Crash(_))) {
        out += &format!("  {}: {}\n", cell.title, cell.came.word());
        let crash = if let Came::Crash(why) = &cell.came { Some(why) } else { None };
        let details = crash.into_iter().chain(&cell.details).flat_map(|text| text.lines());
        out.extend(details.map(|line| format!("    {line}\n")));
    }
    if let Some(why) = column.failed.as_ref().filter(|_| !column.cells.is_empty()) {
        out += &format!("  ended after {}: {why}\n", words::count(column.cells.len() as u64, "scenario", "scenarios"));
    }
    let (mut unspecified, mut skipped) = (BTreeMap::new(), BTreeMap::new());
    for cell in &column.cells {
        cell.unspecified.iter().for_each(|(why, count)| *unspecified.entry(*why).or_insert(0) += count);
        if let Came::Skip(why) = &cell.came {
            *skipped.entry(why).or_insert(0_u64) += 1;
        }
    }
    for (why, count) in unspecified {
        out += &format!("  {} unspecified: {why}\n", words::count(count as u64, "page", "pages"));
    }
    for (why, count) in skipped {
        out += &format!("  {} skipped: {why}\n", words::count(count, "scenario", "scenarios"));
    }
    out
}

/// The kernel's test format, version 1: a subtest for each kernel, a case for each scenario.
pub fn ktap(columns: &[Column]) -> String {
    let mut out = format!("KTAP version 1\n1..{}\n", columns.len());
    for (place, column) in columns.iter().enumerate() {
        let (number, release) = (place + 1, plain(&column.release));
        if !column.cells.is_empty() {
            out += &format!("  KTAP version 1\n  # Subtest: {release}\n  1..{}\n", column.cells.len());
            out.extend(column.cells.iter().enumerate().map(|(place, cell)| case(cell, place + 1)));
        }
        out.extend(column.failed.iter().flat_map(|why| why.lines()).map(|why| format!("# {}\n", plain(why))));
        let bad = column.failed.is_some() || 0 < column.count("differs") + column.count("crash");
        let none = column.cells.iter().all(|cell| matches!(cell.came, Came::Skip(_)));
        out += &match (bad, none) {
            (true, _) => format!("not ok {number} {release}\n"),
            (false, true) => format!("ok {number} {release} # SKIP nothing could run\n"),
            (false, false) => format!("ok {number} {release}\n"),
        };
    }
    out
}

fn case(cell: &Cell, number: usize) -> String {
    let (ok, directive, crash) = match &cell.came {
        Came::Agrees => ("ok", String::new(), None),
        Came::Skip(why) => ("ok", format!(" # SKIP {}", plain(why)), None),
        Came::Differs => ("not ok", String::new(), None),
        Came::Crash(why) => ("not ok", String::new(), Some(why)),
    };
    let details = crash.into_iter().chain(&cell.details).flat_map(|text| text.lines());
    let mut out: String = details.map(|line| format!("  # {}\n", plain(line))).collect();
    out += &format!("  {ok} {number} {}{directive}\n", plain(&cell.title));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> [Column; 3] {
        let cell = |title: &str, outcome: &str, came, details: &[&str]| Cell {
            title: title.to_owned(),
            outcome: outcome.to_owned(),
            came,
            details: details.iter().map(|line| (*line).to_owned()).collect(),
            entries: 40,
            unspecified: BTreeMap::from([("what the model leaves open", 2)]),
        };
        let column = |release: &str, policy: &str, cells| Column {
            release: release.to_owned(),
            policy: policy.to_owned(),
            cells,
            failed: None,
        };
        let old = vec![
            cell("a.cow: a", "lost", Came::Agrees, &[]),
            cell("a.cow: b over thp", "", Came::Skip("`mmap thp`: none".to_owned()), &[]),
        ];
        let new = vec![
            cell("a.cow: a", "ok", Came::Differs, &["after `p: fork c`: p.buf[0] mapcount: engine 1, kernel 2"]),
            cell("a.cow: b over thp", "", Came::Crash("the machine ended\n  Kernel panic - not syncing\n".to_owned()), &[]),
        ];
        [
            column("5.10.0-46-cloud-amd64", "linux-5.10-stable", old),
            column("6.18.15+deb13", "linux-6.15", new),
            Column { release: "/k/vmlinuz".to_owned(), failed: Some("it did not come up".to_owned()), ..Column::default() },
        ]
    }

    #[test]
    fn a_table_says_for_each_kernel_what_agrees_and_lists_what_does_not() {
        insta::assert_snapshot!(text(&columns(), true), @r"
                           5.10.0  6.18.15
        a.cow: a           agrees  differs
        a.cow: b over thp  skip    crash

        5.10.0-46-cloud-amd64 as linux-5.10-stable: 1 agree, 0 differ, 1 skipped, 0 crashed; 80 entries compared
          4 pages unspecified: what the model leaves open
          1 scenario skipped: `mmap thp`: none
        6.18.15+deb13 as linux-6.15: 0 agree, 1 differ, 0 skipped, 1 crashed; 80 entries compared
          a.cow: a: differs
            after `p: fork c`: p.buf[0] mapcount: engine 1, kernel 2
          a.cow: b over thp: crash
            the machine ended
              Kernel panic - not syncing
          4 pages unspecified: what the model leaves open
        /k/vmlinuz: it did not come up
        ");
    }

    #[test]
    fn without_an_engine_the_cells_are_outcomes_and_a_mark_is_for_the_unexpected() {
        let text = text(&columns(), false);
        assert!(text.contains("lost    ok!\n") || text.contains("lost    ok! "), "{text}");
    }

    #[test]
    fn in_the_test_format_only_differences_crashes_and_dead_kernels_fail() {
        insta::assert_snapshot!(ktap(&columns()), @r"
        KTAP version 1
        1..3
          KTAP version 1
          # Subtest: 5.10.0-46-cloud-amd64
          1..2
          ok 1 a.cow: a
          ok 2 a.cow: b over thp # SKIP `mmap thp`: none
        ok 1 5.10.0-46-cloud-amd64
          KTAP version 1
          # Subtest: 6.18.15+deb13
          1..2
          # after `p: fork c`: p.buf[0] mapcount: engine 1, kernel 2
          not ok 1 a.cow: a
          # the machine ended
          # Kernel panic - not syncing
          not ok 2 a.cow: b over thp
        not ok 2 6.18.15+deb13
        # it did not come up
        not ok 3 /k/vmlinuz
        ");
    }
}
