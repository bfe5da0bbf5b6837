//! Tables of the book that are made from the code's own.

use std::collections::{BTreeMap, BTreeSet};

use cowl::ir::{Gives, OPS, OpInfo, Slot};
use cowl::metal::ledger::Row;
use cowl::types::{Large, Size, Small};

/// A page with everything between `<!-- generated: NAME -->` and `<!-- end -->` made anew.
pub fn renew(page: &str) -> String {
    const OPEN: &str = "<!-- generated: ";
    const CLOSE: &str = "<!-- end -->";
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find(OPEN) {
        let name = rest[at + OPEN.len()..].split(' ').next().unwrap_or_default();
        let end = at + rest[at..].find(CLOSE).unwrap_or_else(|| panic!("the table `{name}` has no end"));
        out += &format!("{}{OPEN}{name} -->\n\n{}\n", &rest[..at], table(name));
        rest = &rest[end..];
    }
    out + rest
}

fn table(name: &str) -> String {
    match name {
        "verbs" => verbs(),
        "sizes" => sizes(),
        "ledger" => ledger(),
        "selftests" => selftests(),
        _ => panic!("there is no table `{name}`"),
    }
}

/// In a cell, `|` would begin the next one.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn verbs() -> String {
    let mut out = String::from("| who | statement | what it does | example |\n|---|---|---|---|\n");
    for info in OPS {
        let who = info.who.to_string();
        let (statement, doc) = (cell(&statement(info)), cell(info.doc));
        out += &format!("| {who} | `{statement}` | {doc} | `{}` |\n", cell(info.example));
    }
    out
}

fn statement(info: &OpInfo) -> String {
    let mut words = vec![info.verb.keyword().to_owned()];
    words.extend(info.slots.iter().map(|slot| match slot {
        Slot::NewMem => "NAME".into(),
        Slot::Size => "SIZE".into(),
        Slot::Own | Slot::Any => "A".into(),
        Slot::Value => "V".into(),
        Slot::NewProc | Slot::Child => "CHILD".into(),
        Slot::Ref | Slot::RefArea => "REF".into(),
        Slot::OneOf(words) if words.len() <= 4 => words.join("|"),
        Slot::OneOf(_) => "ADVICE".into(),
        Slot::Maybe(words) => format!("[{}]", words.join("|")),
        Slot::Backing => "[anon|file F|memfd F|special|device]".into(),
    }));
    words.push(match info.gives {
        Gives::Nothing => String::new(),
        Gives::Reading => "[== V]".into(),
        Gives::Reference => "-> REF".into(),
        Gives::Memory => "-> NAME".into(),
        Gives::Target => "-> A".into(),
    });
    words.join(" ").trim_end().to_owned()
}

fn sizes() -> String {
    fn row<B: Size>(name: &str) -> String {
        let bounds =
            [B::PROCS_MAX, B::PAGES_MAX, B::FRAMES_MAX, B::CACHE_MAX, B::REFS_MAX, B::HELD_MAX, B::TASKS_MAX, B::WORDS_MAX];
        format!("| {name} | {} |\n", bounds.map(|bound| bound.to_string()).join(" | "))
    }
    let names = "| world | processes | pages of one address space | page frames | pages of files | references | pages held by references | actors | words of a page told apart |";
    format!("{names}\n|---|{}\n{}{}", "---|".repeat(8), row::<Large>("large"), row::<Small>("small"))
}

fn rows() -> Vec<Row> {
    include_str!("../../corpus/ledger.tsv").lines().skip(1).filter_map(Row::read).collect()
}

/// Kernels of the ledger, oldest first.
fn kernels(rows: &[Row]) -> Vec<String> {
    let number = |release: &str| -> Vec<u32> {
        release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).take(3).collect()
    };
    let all: BTreeSet<(Vec<u32>, String)> = rows.iter().map(|row| (number(&row.release), row.release.clone())).collect();
    all.into_iter().map(|(_, release)| release).collect()
}

/// How many scenarios ran on each kernel and agreed.
fn ledger() -> String {
    let rows = rows();
    let mut out = String::from("| kernel | as | scenarios | gallery | matrix | selftests |\n|---|---|---|---|---|---|\n");
    for kernel in kernels(&rows) {
        let here: Vec<&Row> = rows.iter().filter(|row| row.release == kernel).collect();
        let of = |folder: &str| here.iter().filter(|row| row.file.starts_with(folder)).count();
        let policy = here.first().map_or("", |row| &*row.policy);
        let parts = ["corpus/gallery/", "corpus/matrix/", "corpus/selftest/"].map(|folder| of(folder).to_string());
        out += &format!("| {kernel} | {policy} | {} | {} |\n", here.len(), parts.join(" | "));
    }
    out
}

/// The cases of the kernel's selftests that did not come to `ok` on some kernel, and how many came to `ok` on all that ran them.
fn selftests() -> String {
    let (rows, mut cases) = (rows(), BTreeMap::<String, BTreeMap<String, String>>::new());
    for row in rows.iter().filter(|row| row.file.starts_with("corpus/selftest/")) {
        let file = row.file.trim_start_matches("corpus/selftest/").trim_end_matches(".cow");
        let over = if row.kind == "-" { String::new() } else { format!(" over {}", row.kind) };
        let case = cases.entry(format!("{file}: {}{over}", row.scenario)).or_default();
        case.insert(row.release.clone(), row.outcome.clone());
    }
    let kernels = kernels(&rows);
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.split('-').next().unwrap_or_default()).collect();
    let mut out = format!("| case | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    let all = cases.len();
    cases.retain(|_, outcomes| outcomes.values().any(|outcome| outcome != "ok"));
    for (case, outcomes) in &cases {
        let cells = kernels.iter().map(|kernel| outcomes.get(kernel).map_or("", String::as_str));
        out += &format!("| {case} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    format!("{out}\nAll other cases ({} of {all}) came to `ok` on every kernel that ran them.\n", all - cases.len())
}
