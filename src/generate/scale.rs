//! Huge pages in a small world: a program whose PMD maps four pages stands for the same program with a true THP.
//!
//! Of a mapping of one PMD, pages 0, 1 and 2 stand for themselves and page 3 for all the rest, so whatever part of it a statement
//! reaches, its counterpart reaches the same part. Campaigns keep and change programs in the small form; what people read is the
//! large one, which lowers from its print.

use crate::ir::{Area, Backing, MemKind, Op, Program, RefArea};
use crate::types::{PMD_ORDER, Vpn};

/// log2 of the pages of a PMD in a small world: the smallest that has a middle.
pub const SMALL_PMD_ORDER: u8 = 2;

/// Pages of a PMD in a small world.
pub const SMALL_PMD: u16 = 1 << SMALL_PMD_ORDER;

/// Pages of a true one.
const PMD: u16 = 1 << PMD_ORDER;

/// The program with PMDs of their true size; itself where it has no small ones.
pub fn grown(program: &Program) -> Program {
    match program.pmd_order {
        SMALL_PMD_ORDER => resized(program, PMD_ORDER, |len| if len == SMALL_PMD { PMD } else { len }),
        _ => program.clone(),
    }
}

/// The program with PMDs as a small world has them; itself where no mapping is of the size of a PMD.
pub fn shrunk(program: &Program) -> Program {
    let whole = |len: u16| len == PMD;
    let maps = |op: Op| matches!(op, Op::Mmap { area, .. } if whole(area.len) && area.start == Vpn(0));
    let makes = program.mems.iter().any(|mem| mem.kind == MemKind::Thp) || program.code.iter().any(|instr| maps(instr.op));
    match program.pmd_order == PMD_ORDER && makes {
        true => resized(program, SMALL_PMD_ORDER, |len| if whole(len) { SMALL_PMD } else { len }),
        false => program.clone(),
    }
}

/// The same where nothing is lost by it: nobody speaks of a page that stands for others. What is found out about the one is true of
/// the other.
pub fn exactly_shrunk(program: &Program) -> Program {
    let small = shrunk(program);
    if grown(&small) == *program { small } else { program.clone() }
}

/// Whether two parts can be taken page by page, also where the last of few pages stands for many.
pub fn pairs(program: &Program, a: Area, b: Area) -> bool {
    let grows = |area: Area| {
        let whole = program.mems[area.mem.idx()].area;
        whole.len == SMALL_PMD && area.start.0 + area.len == whole.start.0 + whole.len
    };
    a.len == b.len && (program.pmd_order != SMALL_PMD_ORDER || grows(a) == grows(b))
}

/// The program with mappings of other lengths; what is said about parts of them is said about the parts that stand for them.
fn resized(program: &Program, pmd_order: u8, len: impl Fn(u16) -> u16) -> Program {
    let mut new = program.clone();
    new.pmd_order = pmd_order;
    let (was, is) = (1 << program.pmd_order, 1 << pmd_order);
    let maps = |op: Op| if let Op::Mmap { area, .. } = op { Some(area) } else { None };
    let alone = program.code.iter().filter_map(|instr| maps(instr.op)).all(|area| area.len == was && area.start.0 % was == 0);
    // Names of parts come behind what they are parts of.
    for instr in &program.code {
        match instr.op {
            Op::Mmap { area, backing, .. } if alone => {
                let mapped = &mut new.mems[area.mem.idx()].area;
                (mapped.start, mapped.len) = (Vpn(area.start.0 / was * is), is);
                if let Backing::File(file) = backing {
                    new.files[file.idx()].len_pages = is;
                }
            }
            Op::Mmap { area, .. } if area.start == Vpn(0) => new.mems[area.mem.idx()].area.len = len(area.len),
            Op::Name { area, to } => {
                let part = part(program, &new, area);
                let named = &mut new.mems[to.idx()].area;
                (named.start, named.len) = (part.start, part.len);
            }
            // Beside a PMD's pages a small world has no room to move to, so what moves has its size.
            Op::Mremap { from, to } => new.mems[to.mem.idx()].area.len = part(program, &new, from).len,
            op => {
                if let (Some(name), Some(area)) = (op.takes(), op.area()) {
                    new.refs[name.idx()].len = part(program, &new, area).len;
                }
            }
        }
    }
    let mut first = 0;
    for decl in &mut new.refs {
        decl.first = first;
        first += decl.len;
    }
    for at in 0..new.code.len() {
        new.code[at].op = said_of(program, &new, program.code[at].op);
    }
    new.pages = new.mems.iter().map(|mem| mem.area.start.0 + mem.area.len).max().unwrap_or(0);
    new
}

/// An operation about the parts that stand for those it was about.
fn said_of(old: &Program, new: &Program, op: Op) -> Op {
    let part = |area: Area| part(old, new, area);
    match op {
        Op::Mremap { from, to } => Op::Mremap { from: part(from), to: Area { mem: to.mem, ..new.mems[to.mem.idx()].area } },
        Op::UffdMove { from, to } => Op::UffdMove { from: part(from), to: part(to) },
        Op::KsmMerge { a, b } => Op::KsmMerge { a: part(a), b: part(b) },
        Op::Peek { held } => Op::Peek { held: held_part(old, new, held) },
        Op::Dma { held, value } => Op::Dma { held: held_part(old, new, held), value },
        op => match op.area() {
            Some(area) => op.with(part(area), op.stores().unwrap_or_default(), op.takes().unwrap_or_default()),
            None => op,
        },
    }
}

/// The part of a mapping that stands for another part of it.
fn part(old: &Program, new: &Program, area: Area) -> Area {
    let (was, is) = (old.mems[area.mem.idx()].area, new.mems[area.mem.idx()].area);
    let (start, len) = within(area.start.0 - was.start.0, area.len, was.len, is.len);
    Area { start: Vpn(is.start.0 + start), len, ..area }
}

fn held_part(old: &Program, new: &Program, held: RefArea) -> RefArea {
    let (was, is) = (old.refs[held.name.idx()].len, new.refs[held.name.idx()].len);
    let (start, len) = within(held.start, held.len, was, is);
    RefArea { start, len, ..held }
}

/// A part of `was` pages as a part of `is`: the last of the fewer stands for all that are more.
fn within(start: u16, len: u16, was: u16, is: u16) -> (u16, u16) {
    let from = start.min(is - 1);
    let to = if start + len == was { is } else { (start + len).min(is - 1).max(from + 1) };
    (from, to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_and_shrink_back_and_neighbours_stay_neighbours() {
        let grow = |start, len| within(start, len, SMALL_PMD, PMD);
        assert_eq!(
            [grow(0, 4), grow(0, 1), grow(1, 2), grow(2, 2), grow(3, 1)],
            [(0, 512), (0, 1), (1, 2), (2, 510), (3, 509)]
        );
        for start in 0..4 {
            for len in 1..=4 - start {
                let (from, pages) = grow(start, len);
                assert_eq!(within(from, pages, PMD, SMALL_PMD), (start, len));
            }
        }
        assert_eq!(within(100, 5, PMD, SMALL_PMD), (3, 1));
    }
}
