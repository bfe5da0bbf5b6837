//! Tables of the book that are made from the code's own.

use cowl::ir::{Gives, OPS, OpInfo, Slot};
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
