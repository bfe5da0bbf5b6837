//! From program to text: canonical `.cow`, which parses and lowers to the same program, and a plain listing.

mod listing;

use std::fmt::Write as _;

pub use listing::listing;

use crate::ir::{
    Area, Assert, Backing, Ending, Expect, FileKind, Frequency, Instr, MemKind, Op, Operand, Outcome, Program, Prot, RefArea,
    Scenario, Sharing, Speed, Statement, SwapDevice, Verb,
};
use crate::types::{FileId, MemId, Pc, ProcId, RefId, ValueId, WordId};

/// A scenario as text.
///
/// `policies` are the names of all policies, in the order in which expectations count them. What a prepare did stands in a
/// prepare again, which is named for its place. The kind of memory that the scenario was made for is not written: its lines are.
pub fn scenario(scenario: &Scenario, policies: &[impl AsRef<str>]) -> String {
    let names = |on: &[usize]| on.iter().map(|policy| policies[*policy].as_ref()).collect::<Vec<_>>().join(", ");
    let mut out = Printer { program: &scenario.program, prepares: String::new(), body: String::new(), setups: 0 };
    for (word, text) in [("title", &scenario.title), ("origin", &scenario.origin)] {
        if !text.is_empty() {
            out.line(format_args!("{word} {}", quoted(text)));
        }
    }
    out.lines(&scenario.asserts, &names);
    for expect in scenario.expects.iter().filter(|expect| !expect.on.is_empty()) {
        out.line(format_args!("{}", expectation(expect, &names)));
    }
    format!("{}scenario {} {{\n{}}}\n", out.prepares, scenario.name, out.body)
}

/// A program as the text of a scenario called `program`, without expectations.
pub fn program(program: &Program) -> String {
    let mut out = Printer { program, prepares: String::new(), body: String::new(), setups: 0 };
    out.lines(&[], &|_| String::new());
    format!("{}scenario program {{\n{}}}\n", out.prepares, out.body)
}

/// An instruction as it is written in a scenario.
pub fn statement(program: &Program, instr: &Instr) -> String {
    let mut text = format!("{}: {}", program.actor(instr.task), operation(program, instr));
    if let Some(claim) = instr.claim {
        let claim = &program.claims[claim.idx()];
        let any_of: Vec<String> = claim
            .any_of
            .iter()
            .map(|operand| match operand {
                Operand::Value(value) => program.values[value.idx()].to_string(),
                Operand::Obs(obs) => program.obs[obs.idx()].name.clone(),
            })
            .collect();
        let _ = write!(text, " {} {}", claim.comparison, any_of.join(" or "));
    }
    if let Some(obs) = instr.observe {
        let _ = write!(text, " -> {}", program.obs[obs.idx()].name);
    }
    match instr.ending {
        Ending::Succeeds => {}
        Ending::Fails(failure) => {
            let _ = write!(text, " fails {failure}");
        }
        Ending::Event(event) => {
            let _ = write!(text, " event {event}");
        }
    }
    text
}

/// Text of the lines so far, apart for prepares and for the scenario itself.
struct Printer<'p> {
    program: &'p Program,
    prepares: String,
    body: String,
    setups: usize,
}

/// A line of a program: an instruction, a race, or an assertion.
enum Line<'s> {
    Instrs(&'s [Instr]),
    Assert(&'s Assert),
}

impl Printer<'_> {
    fn line(&mut self, text: std::fmt::Arguments) {
        let _ = writeln!(self.body, "    {text}");
    }

    /// The machine, then instructions and assertions in their order. What comes from prepares goes into prepares, a run into each.
    fn lines(&mut self, asserts: &[Assert], names: &dyn Fn(&[usize]) -> String) {
        if let Some(pages) = self.program.system.hugetlb {
            self.line(format_args!("system hugetlb {pages}"));
        }
        match self.program.system.swap {
            Some((slots, SwapDevice::Disk)) => self.line(format_args!("system swap {slots}")),
            Some((slots, device @ SwapDevice::Zram)) => self.line(format_args!("system swap {slots} {device}")),
            None => {}
        }
        let lines = in_order(self.program, asserts);
        for run in lines.chunk_by(|a, b| a.0 == b.0) {
            let mut text = String::new();
            for (_, line) in run {
                self.one(line, names, &mut text);
            }
            if run[0].0 {
                self.setups += 1;
                let (setup, first) = (self.setups, &self.program.procs[0]);
                let _ = write!(self.prepares, "prepare setup-{setup}({first}) {{\n{text}}}\n");
                self.line(format_args!("use setup-{setup}({first})"));
            } else {
                self.body.push_str(&text);
            }
        }
    }

    fn one(&self, line: &Line, names: &dyn Fn(&[usize]) -> String, text: &mut String) {
        match line {
            Line::Assert(assert) => {
                let on = assert.on.as_ref().map_or(String::new(), |on| format!(" on {}", names(on)));
                let _ = writeln!(text, "    assert {}{on}", says(self.program, &assert.says));
            }
            Line::Instrs(instrs) => {
                let indent = if instrs[0].race.is_some() { "        " } else { "    " };
                if instrs[0].race.is_some() {
                    text.push_str("    race {\n");
                }
                for instr in *instrs {
                    let _ = writeln!(text, "{indent}{}", statement(self.program, instr));
                }
                if instrs[0].race.is_some() {
                    text.push_str("    }\n");
                }
            }
        }
    }
}

/// Lines with whether they come from a prepare. A race is one line.
fn in_order<'s>(program: &'s Program, asserts: &'s [Assert]) -> Vec<(bool, Line<'s>)> {
    let mut lines = Vec::new();
    let mut asserts = asserts.iter().peekable();
    let mut pc = 0;
    let together = |a: &Instr, b: &Instr| a.race.is_some() && a.race == b.race;
    for instrs in program.code.chunk_by(together) {
        while let Some(assert) = asserts.next_if(|assert| assert.at <= Pc::at(pc)) {
            lines.push((assert.setup, Line::Assert(assert)));
        }
        lines.push((instrs[0].setup, Line::Instrs(instrs)));
        pc += instrs.len();
    }
    lines.extend(asserts.map(|assert| (assert.setup, Line::Assert(assert))));
    lines
}

fn expectation(expect: &Expect, names: &dyn Fn(&[usize]) -> String) -> String {
    let mut text = "expect".to_owned();
    if expect.frequency != Frequency::Always {
        let _ = write!(text, " {}", expect.frequency);
    }
    let _ = write!(text, " {} on {}", outcome(expect.outcome), names(&expect.on));
    if !expect.reason.is_empty() {
        let _ = write!(text, " {}", quoted(&expect.reason));
    }
    text
}

/// An outcome as expectations write it: `leak`, `breach I7`, `fails EINVAL`, `copies 2`.
pub fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".to_owned(),
        Outcome::Leak => "leak".to_owned(),
        Outcome::Lost => "lost".to_owned(),
        Outcome::Missed => "missed".to_owned(),
        Outcome::Breach(number) => format!("breach I{number}"),
        Outcome::Event(event) => format!("event {event}"),
        Outcome::Fails(failure) => format!("fails {failure}"),
        Outcome::Copies(copies) => format!("copies {copies}"),
    }
}

/// What an assertion says, as it is written behind `assert`.
pub fn says(program: &Program, says: &Statement) -> String {
    let not = |not: bool| if not { "not " } else { "" };
    match says {
        Statement::Fact { area, not: is_not, fact } => format!("{} {}{fact}", foreign(program, *area), not(*is_not)),
        Statement::Shares { area, not: is_not, with } => {
            format!("{} {}shares {}", foreign(program, *area), not(*is_not), foreign(program, *with))
        }
        Statement::Count { area, count, comparison, number } => {
            format!("{} {count} {comparison} {number}", foreign(program, *area))
        }
        Statement::Copies { comparison, number } => format!("copies {comparison} {number}"),
        Statement::Seen { obs, comparison, any_of } => {
            let any_of: Vec<String> = any_of.iter().map(|value| value.to_string()).collect();
            format!("{} {comparison} {}", program.obs[obs.idx()].name, any_of.join(" or "))
        }
    }
}

/// Text in quotes, with escapes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ if u32::from(c) < 256 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Memory with its process: `child.buf[0..4]+8`.
fn foreign(program: &Program, area: Area) -> String {
    format!("{}.{}", program.procs[area.proc.idx()], own(program, area))
}

/// Memory without its process.
fn own(program: &Program, area: Area) -> String {
    let mem = &program.mems[area.mem.idx()];
    let whole = (mem.area.len == area.len).then_some(());
    let index = area.start.0 - mem.area.start.0;
    format!("{}{}{}", mem.name, range(whole, index, area.len), plus(program, area.word))
}

fn held(program: &Program, held: RefArea) -> String {
    let decl = &program.refs[held.name.idx()];
    let whole = (decl.len == held.len).then_some(());
    format!("{}{}{}", decl.name, range(whole, held.start, held.len), plus(program, held.word))
}

fn range(whole: Option<()>, start: u16, len: u16) -> String {
    match (whole, len) {
        (Some(()), _) => String::new(),
        (None, 1) => format!("[{start}]"),
        (None, len) => format!("[{start}..{}]", start + len),
    }
}

fn plus(program: &Program, word: Option<WordId>) -> String {
    word.map_or(String::new(), |word| format!("+{}", program.words[word.idx()]))
}

/// Verb, operands and the name of what is made.
fn operation(program: &Program, instr: &Instr) -> String {
    let verb = verb(instr.op);
    let mine = program.tasks[instr.task.idx()].proc();
    let at = |area: Area| if mine == Some(area.proc) { own(program, area) } else { foreign(program, area) };
    let value = |value: ValueId| program.values[value.idx()];
    let proc = |proc: ProcId| &program.procs[proc.idx()];
    let mem = |mem: MemId| &program.mems[mem.idx()].name;
    let reference = |name: RefId| &program.refs[name.idx()].name;
    let access = |write: bool| if write { Prot::Rw } else { Prot::Ro };
    let speed = |speed: Speed| if speed == Speed::Slow { " slow" } else { "" };
    match instr.op {
        Op::Mmap { area, backing, sharing, prot } => format!("{verb} {}", mapping(program, area, backing, sharing, prot)),
        Op::Mremap { from, to } => format!("{verb} {} -> {}", at(from), mem(to.mem)),
        Op::Mprotect { area, prot } => format!("{verb} {} {prot}", at(area)),
        Op::Name { area, to } => format!("{verb} {} -> {}", at(area), mem(to)),
        Op::Madvise { area, advice } => format!("{verb} {} {advice}", at(area)),
        Op::UffdRegister { area, mode } => format!("{verb} {} {mode}", at(area)),
        Op::Write { area, value: v } | Op::Poke { area, value: v } | Op::ProcessVmWritev { area, value: v } => {
            format!("{verb} {} {}", at(area), value(v))
        }
        Op::DirectRead { area, value: v } | Op::UffdCopy { area, value: v } => format!("{verb} {} {}", at(area), value(v)),
        Op::Fork { child } | Op::Wait { child } => format!("{verb} {}", proc(child)),
        Op::Exit | Op::ClearRefs | Op::Swapoff | Op::Drain => verb.to_string(),
        Op::Vmsplice { area, name } | Op::Hold { area, name } => format!("{verb} {} -> {}", at(area), reference(name)),
        Op::Get { area, write, speed: way, name } => {
            format!("{verb} {} {}{} -> {}", at(area), access(write), speed(way), reference(name))
        }
        Op::Pin { area, write, longterm, speed: way, name } => {
            let longterm = if longterm { " longterm" } else { "" };
            format!("{verb} {} {}{longterm}{} -> {}", at(area), access(write), speed(way), reference(name))
        }
        Op::Put { name } | Op::Drop { name } => format!("{verb} {}", reference(name)),
        Op::Unpin { name, dirty } => format!("{verb} {}{}", reference(name), if dirty { " dirty" } else { "" }),
        Op::UffdMove { from, to } => format!("{verb} {} -> {}", at(from), at(to)),
        Op::Peek { held: area } => format!("{verb} {}", held(program, area)),
        Op::Dma { held: area, value: v } => format!("{verb} {} {}", held(program, area), value(v)),
        Op::KsmMerge { a, b } => format!("{verb} {} {}", at(a), at(b)),
        Op::Munmap { area } | Op::Read { area } | Op::SoftDirty { area } | Op::PeekMem { area } => {
            format!("{verb} {}", at(area))
        }
        Op::ProcessVmReadv { area } | Op::DirectWrite { area } | Op::UffdWp { area } | Op::UffdUnwp { area } => {
            format!("{verb} {}", at(area))
        }
        Op::UffdZeropage { area } | Op::UffdContinue { area } | Op::Pageout { area } | Op::Swapin { area } => {
            format!("{verb} {}", at(area))
        }
        Op::Migrate { area } | Op::KsmUnmerge { area } | Op::SplitPmd { area } | Op::SplitFolio { area } => {
            format!("{verb} {}", at(area))
        }
        Op::Collapse { area } | Op::NumaHint { area } | Op::LruAdd { area } => format!("{verb} {}", at(area)),
    }
}

/// What stands behind `mmap`. Defaults are left out.
fn mapping(program: &Program, area: Area, backing: Backing, sharing: Sharing, prot: Prot) -> String {
    let mem = &program.mems[area.mem.idx()];
    let mut text = format!("{} {}", mem.name, size(mem.kind, area.len, program.pmd_order));
    if sharing == Sharing::Shared {
        text.push_str(" shared");
    }
    match backing {
        Backing::Anon => {}
        Backing::File(FileId(_)) => text.push_str(&file(program, backing)),
        Backing::Special => text.push_str(" special"),
    }
    if prot != Prot::Rw {
        let _ = write!(text, " {prot}");
    }
    text
}

/// ` file F`, ` device`; nothing for the nameless file of shared anonymous memory.
fn file(program: &Program, backing: Backing) -> String {
    let Backing::File(file) = backing else { return String::new() };
    let decl = &program.files[file.idx()];
    let word: &str = decl.kind.into();
    match (decl.kind, decl.name.is_empty()) {
        (FileKind::Device, _) => format!(" {word}"),
        (FileKind::File | FileKind::Memfd, true) => String::new(),
        (FileKind::File | FileKind::Memfd, false) => format!(" {word} {}", decl.name),
    }
}

/// The size that `len` pages were asked for by.
fn size(kind: MemKind, len: u16, pmd_order: u8) -> String {
    match kind {
        MemKind::Pages if len == 1 => "1 page".to_owned(),
        MemKind::Pages => format!("{len} pages"),
        MemKind::Thp => format!("{} thp", len >> pmd_order),
        MemKind::Mthp { order } => format!("{} mthp {order}", len >> order),
        MemKind::Hugetlb { order: None } => format!("{len} hugetlb"),
        MemKind::Hugetlb { order: Some(order) } => format!("{len} hugetlb {order}"),
    }
}

/// The verb of an operation.
pub fn verb(op: Op) -> Verb {
    match op {
        Op::Mmap { .. } => Verb::Mmap,
        Op::Munmap { .. } => Verb::Munmap,
        Op::Mremap { .. } => Verb::Mremap,
        Op::Mprotect { .. } => Verb::Mprotect,
        Op::Name { .. } => Verb::Name,
        Op::Madvise { .. } => Verb::Madvise,
        Op::Write { .. } => Verb::Write,
        Op::Read { .. } => Verb::Read,
        Op::Fork { .. } => Verb::Fork,
        Op::Exit => Verb::Exit,
        Op::Wait { .. } => Verb::Wait,
        Op::ClearRefs => Verb::ClearRefs,
        Op::SoftDirty { .. } => Verb::SoftDirty,
        Op::Poke { .. } => Verb::Poke,
        Op::PeekMem { .. } => Verb::PeekMem,
        Op::ProcessVmWritev { .. } => Verb::ProcessVmWritev,
        Op::ProcessVmReadv { .. } => Verb::ProcessVmReadv,
        Op::DirectRead { .. } => Verb::DirectRead,
        Op::DirectWrite { .. } => Verb::DirectWrite,
        Op::Vmsplice { .. } => Verb::Vmsplice,
        Op::Get { .. } => Verb::Get,
        Op::Put { .. } => Verb::Put,
        Op::Pin { .. } => Verb::Pin,
        Op::Unpin { .. } => Verb::Unpin,
        Op::UffdRegister { .. } => Verb::UffdRegister,
        Op::UffdWp { .. } => Verb::UffdWp,
        Op::UffdUnwp { .. } => Verb::UffdUnwp,
        Op::UffdCopy { .. } => Verb::UffdCopy,
        Op::UffdZeropage { .. } => Verb::UffdZeropage,
        Op::UffdContinue { .. } => Verb::UffdContinue,
        Op::UffdMove { .. } => Verb::UffdMove,
        Op::Peek { .. } => Verb::Peek,
        Op::Dma { .. } => Verb::Dma,
        Op::Pageout { .. } => Verb::Pageout,
        Op::Swapin { .. } => Verb::Swapin,
        Op::Swapoff => Verb::Swapoff,
        Op::Migrate { .. } => Verb::Migrate,
        Op::KsmMerge { .. } => Verb::KsmMerge,
        Op::KsmUnmerge { .. } => Verb::KsmUnmerge,
        Op::SplitPmd { .. } => Verb::SplitPmd,
        Op::SplitFolio { .. } => Verb::SplitFolio,
        Op::Collapse { .. } => Verb::Collapse,
        Op::NumaHint { .. } => Verb::NumaHint,
        Op::Hold { .. } => Verb::Hold,
        Op::Drop { .. } => Verb::Drop,
        Op::LruAdd { .. } => Verb::LruAdd,
        Op::Drain => Verb::Drain,
    }
}
