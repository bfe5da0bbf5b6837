//! The oracle matrix: every decided cell of `corpus/matrix.tsv` against what the engine makes of its scenario.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::check::report::{Reading, Run, Verdict};
use crate::check::{Story, Under, judge};
use crate::ir::{Outcome, Scenario};
use crate::lower::lower;
use crate::policy;
use crate::syntax::parse;
use crate::types::Value;

/// A column of the table and the policies that it speaks of.
type Column<'a> = (&'a str, Vec<&'a str>);

/// The table as it is written.
struct Matrix<'a> {
    columns: Vec<Column<'a>>,
    rows: Vec<Row<'a>>,
}

/// A row: what each column makes of a scenario.
struct Row<'a> {
    id: &'a str,
    /// Empty where the row cannot be said yet.
    file: &'a str,
    bad: &'a str,
    cells: Vec<&'a str>,
}

impl<'a> Matrix<'a> {
    /// # Panics
    /// Where a line has not as many cells as the head has columns.
    fn read(text: &'a str) -> Self {
        let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
        let columns: Vec<Column> = lines
            .by_ref()
            .map_while(|cells| match cells[..] {
                ["column", name, policies] => Some((name, policies.split(' ').collect())),
                ["id", "file", "bad", ..] => None,
                ref other => panic!("neither a column nor the head of the table: {other:?}"),
            })
            .collect();
        let rows = lines.map(|cells| {
            assert_eq!(cells.len(), columns.len() + 4, "a cell for each column: {cells:?}");
            Row { id: cells[0], file: cells[1], bad: cells[2], cells: cells[3..cells.len() - 1].to_vec() }
        });
        let rows = rows.collect();
        Self { columns, rows }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn table() -> String {
    fs::read_to_string(folder().join("matrix.tsv")).expect("corpus/matrix.tsv can be read")
}

/// The one scenario of a file of `corpus/matrix/`.
fn scenario(file: &str) -> Scenario {
    let text = fs::read_to_string(folder().join("matrix").join(file)).expect("a file that the table names can be read");
    let (tree, mistakes) = parse(&text);
    let (lowered, found) = lower(file, &tree, &mistakes, &mut |_, path| Err(format!("no file {path}")));
    assert!(mistakes.is_empty() && found.is_empty(), "{file}: {mistakes:?} {found:?}");
    let [scenario] = <[Scenario; 1]>::try_from(lowered.scenarios).expect("a file of the matrix has one scenario");
    scenario
}

/// What a cell says against what a run came to; `None` where the cell is undecided.
fn agrees(row: &Row, cell: &str, run: &Run) -> Option<bool> {
    let came = |outcome: fn(&Outcome) -> bool| matches!(&run.verdict, Verdict::Came(came) if outcome(came));
    let ok = came(|came| *came == Outcome::Ok) && run.unmet.is_empty();
    let read = |value: u64| matches!(&run.observations[..], [.., last] if last.value == Reading::Value(Value::number(value)));
    match (cell, row.bad) {
        ("choice" | "-", _) => None,
        (cell, _) if cell.ends_with('*') => None,
        ("o", "value") => Some(ok && read(2)),
        ("b", "value") => Some(ok && read(1)),
        ("o", _) => Some(ok),
        ("b", "leak") => Some(came(|came| *came == Outcome::Leak)),
        ("b", "lost") => Some(came(|came| *came == Outcome::Lost)),
        ("b", "event") => Some(came(|came| matches!(came, Outcome::Event(_)))),
        ("r", "copies") => Some(ok && run.copies == 0),
        ("c", "copies") => Some(ok && run.copies == 1),
        other => panic!("{}: no such cell: {other:?}", row.id),
    }
}

/// The cells of a row that are not as the table says, and how many were held against it.
fn disagreements(columns: &[Column], row: &Row) -> (Vec<String>, usize) {
    let scenario = scenario(row.file);
    let (mut complaints, mut held) = (Vec::new(), 0);
    for ((column, policies), cell) in columns.iter().zip(&row.cells) {
        for name in policies {
            let index = policy::builtin().iter().position(|named| named.name == *name);
            let index = index.unwrap_or_else(|| panic!("column {column} speaks of `{name}`, and there is no such policy"));
            let run = judge(&scenario, Under { policy: &policy::builtin()[index].policy, index }, Story::Untold);
            match agrees(row, cell, &run) {
                Some(true) => held += 1,
                Some(false) => complaints.push(format!(
                    "{} under {name}: the table says {cell} ({}), the run {:?} with {} copies",
                    row.id, row.bad, run.verdict, run.copies
                )),
                None => {}
            }
        }
    }
    (complaints, held)
}

#[test]
fn every_decided_cell_is_what_the_engine_does() {
    let table = table();
    let matrix = Matrix::read(&table);
    let said = matrix.rows.iter().filter(|row| !row.file.is_empty());
    let (complaints, held): (Vec<_>, Vec<_>) = said.map(|row| disagreements(&matrix.columns, row)).unzip();
    let complaints = complaints.concat();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert_eq!(held.len(), 32, "rows that are written");
    assert_eq!(held.iter().sum::<usize>(), 32 * 23 - 9, "all cells of these rows but the nine undecided ones");
}

#[test]
fn the_columns_speak_of_every_policy_once() {
    let table = table();
    let mut named: Vec<_> = Matrix::read(&table).columns.into_iter().flat_map(|(_, policies)| policies).collect();
    let mut all: Vec<_> = policy::builtin().iter().map(|named| named.name).collect();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all);
}

#[test]
fn no_row_is_left_out_unseen() {
    let table = table();
    let matrix = Matrix::read(&table);
    let ids: Vec<_> = matrix.rows.iter().map(|row| row.id.to_owned()).collect();
    assert_eq!(ids, (1..=32).map(|nr| format!("S{nr}")).collect::<Vec<_>>());

    let unsaid: Vec<_> = matrix.rows.iter().filter(|row| row.file.is_empty()).map(|row| row.id).collect();
    assert!(unsaid.is_empty(), "rows without a scenario: {unsaid:?}");

    let files: BTreeSet<_> = matrix.rows.iter().map(|row| row.file.to_owned()).filter(|file| !file.is_empty()).collect();
    let entries = fs::read_dir(folder().join("matrix")).expect("corpus/matrix can be read");
    let there = entries.map(|entry| entry.expect("an entry can be read").file_name().into_string().expect("a plain name"));
    assert_eq!(files, there.collect(), "the table and corpus/matrix/ name the same files");
}

#[test]
fn a_row_names_its_number_in_its_scenario() {
    let table = table();
    for row in Matrix::read(&table).rows.iter().filter(|row| !row.file.is_empty()) {
        let origin = scenario(row.file).origin;
        let mut words = origin.split(|letter: char| !letter.is_alphanumeric());
        assert!(words.any(|word| word == row.id), "{}: its origin does not name {}: {origin}", row.file, row.id);
    }
}

#[test]
fn a_wrong_cell_is_noticed() {
    let table = table();
    let matrix = Matrix::read(&table);
    for row in matrix.rows.iter().filter(|row| !row.file.is_empty()) {
        let cells = row.cells.iter().map(|cell| match *cell {
            "b" => "o",
            "o" => "b",
            "c" => "r",
            "r" => "c",
            undecided => undecided,
        });
        let wrong = Row { cells: cells.collect(), ..*row };
        let (complaints, held) = disagreements(&matrix.columns, &wrong);
        assert!(held == 0 && 18 < complaints.len(), "{}: {held} cells hold though each says the opposite", row.id);
    }
}
