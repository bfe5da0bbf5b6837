use std::fmt::Write as _;

use super::statement;
use crate::ir::{FileKind, Op, Operand, Program};
use crate::types::{TaskId, Vpn};

/// The program as it is run: its tables, then one instruction a line with the pages it acts on.
///
/// Made for people and for `diff`; it is not read back.
///
/// # Example
/// ```
/// use cowl::{lower::lower, printer::listing, syntax::parse};
/// let (file, _) = parse("scenario s { p: mmap buf 2 pages ; p: read buf[1] == 0 }");
/// let (lowered, _) = lower("s.cow", &file, &[], &mut |_, _| Err("no files".into()));
/// let text = listing(&lowered.scenarios[0].program);
/// assert!(text.ends_with("0001 p: read buf[1] == 0 ; pages 1..2\n"), "{text}");
/// ```
pub fn listing(program: &Program) -> String {
    let mut out = String::new();
    tables(program, &mut out).expect("cowl bug: writing to a string failed");
    for (pc, instr) in program.code.iter().enumerate() {
        let mut notes = Vec::new();
        if let Some(area) = instr.op.area() {
            notes.push(pages("pages", area.start.0, area.len));
        }
        if let Op::Mremap { to, .. } | Op::UffdMove { to, .. } = instr.op {
            notes.push(pages("to", to.start.0, to.len));
        }
        if let Op::KsmMerge { b, .. } = instr.op {
            notes.push(pages("with", b.start.0, b.len));
        }
        if let Op::Peek { held } | Op::Dma { held, .. } = instr.op {
            notes.push(pages("held", held.start, held.len));
        }
        if let Some(race) = instr.race {
            notes.push(format!("race {}", race.0));
        }
        if instr.setup {
            notes.push("setup".to_owned());
        }
        let notes = if notes.is_empty() { String::new() } else { format!(" ; {}", notes.join(", ")) };
        let _ = writeln!(out, "{pc:04} {}{notes}", statement(program, instr));
    }
    out
}

fn pages(word: &str, start: u16, len: u16) -> String {
    format!("{word} {start}..{}", start + len)
}

fn tables(program: &Program, out: &mut String) -> std::fmt::Result {
    writeln!(out, "pages {}", program.pages)?;
    if let Some(huge_pages) = program.system.hugetlb {
        writeln!(out, "system hugetlb {huge_pages}")?;
    }
    if let Some((slots, device)) = program.system.swap {
        writeln!(out, "system swap {slots} {device}")?;
    }
    for (id, name) in program.procs.iter().enumerate() {
        writeln!(out, "process {id} {name}")?;
    }
    for id in 0..program.tasks.len() {
        writeln!(out, "actor {id} {}", program.actor(TaskId::at(id)))?;
    }
    for (id, mem) in program.mems.iter().enumerate() {
        let Vpn(start) = mem.area.start;
        let owner = &program.procs[mem.area.proc.idx()];
        writeln!(out, "memory {id} {owner}.{} {}..{} {:?}", mem.name, start, start + mem.area.len, mem.kind)?;
    }
    for (id, file) in program.files.iter().enumerate() {
        let kind = match file.kind {
            FileKind::File => "",
            FileKind::Memfd => " memfd",
            FileKind::Device => " device",
        };
        let name = if file.name.is_empty() { "(nameless)" } else { &file.name };
        writeln!(out, "file {id} {name} {} pages{}", file.len_pages, kind)?;
    }
    for (id, held) in program.refs.iter().enumerate() {
        writeln!(out, "reference {id} {} {}..{}", held.name, held.first, held.first + held.len)?;
    }
    for (id, obs) in program.obs.iter().enumerate() {
        writeln!(out, "observation {id} {} {} pages", obs.name, obs.len)?;
    }
    for (id, value) in program.values.iter().enumerate() {
        writeln!(out, "value {id} {value}")?;
    }
    for (id, word) in program.words.iter().enumerate().skip(1) {
        writeln!(out, "word {id} +{word}")?;
    }
    for (id, claim) in program.claims.iter().enumerate() {
        let any_of = claim.any_of.iter().map(|operand| match operand {
            Operand::Value(value) => format!("value {}", value.0),
            Operand::Obs(obs) => format!("observation {}", obs.0),
        });
        writeln!(out, "claim {id} {} {}", claim.comparison, any_of.collect::<Vec<_>>().join(" or "))?;
    }
    Ok(())
}
