//! What the engine cannot run yet. Later work deletes rows here and nowhere else.

use crate::ir::{Advice, Backing, MemKind, Op, Program};
use crate::types::Pc;

/// Everything of a program that is not modelled yet: the instruction, or `None` for what the machine is said to have, and what it is.
pub fn unmodelled(program: &Program) -> Vec<(Option<Pc>, &'static str)> {
    let mut found = Vec::new();
    for (idx, instr) in program.code.iter().enumerate() {
        if let Some(what) = operation(program, instr.op) {
            found.push((Some(Pc::at(idx)), what));
        }
    }
    found
}

/// Whether an operation of a program can be run.
pub fn is_modelled(program: &Program, op: Op) -> bool {
    operation(program, op).is_none()
}

fn operation(program: &Program, op: Op) -> Option<&'static str> {
    match op {
        Op::Mmap { area, backing, .. } => mapping(program.mems[area.mem.idx()].kind, backing),
        Op::Madvise { advice, .. } => madvise(advice),
        Op::SplitPmd { .. } | Op::SplitFolio { .. } | Op::Collapse { .. } => None,
        Op::Mremap { .. } | Op::Munmap { .. } | Op::Mprotect { .. } | Op::Name { .. } | Op::Write { .. } | Op::Read { .. } => {
            None
        }
        Op::Fork { .. } | Op::Exit | Op::Wait { .. } | Op::ClearRefs | Op::SoftDirty { .. } => None,
        Op::Poke { .. } | Op::PeekMem { .. } | Op::ProcessVmWritev { .. } | Op::ProcessVmReadv { .. } => None,
        Op::DirectRead { .. } | Op::DirectWrite { .. } | Op::Vmsplice { .. } | Op::Get { .. } | Op::Put { .. } => None,
        Op::Swapoff | Op::NumaHint { .. } => None,
        Op::Pageout { .. } | Op::Swapin { .. } | Op::Migrate { .. } | Op::KsmMerge { .. } | Op::KsmUnmerge { .. } => None,
        Op::UffdRegister { .. } | Op::UffdCopy { .. } | Op::UffdZeropage { .. } | Op::UffdContinue { .. } => None,
        Op::UffdMove { .. } => None,
        Op::Pin { .. } | Op::Unpin { .. } | Op::UffdWp { .. } | Op::UffdUnwp { .. } => None,
        Op::Peek { .. } | Op::Dma { .. } | Op::Hold { .. } | Op::Drop { .. } | Op::LruAdd { .. } | Op::Drain => None,
    }
}

fn mapping(kind: MemKind, backing: Backing) -> Option<&'static str> {
    match (kind, backing) {
        (MemKind::Thp | MemKind::Mthp { .. }, Backing::Anon) => None,
        (MemKind::Thp | MemKind::Mthp { .. }, _) => Some("a large folio that is not anonymous"),
        (MemKind::Hugetlb { .. } | MemKind::Pages, Backing::File(_) | Backing::Anon | Backing::Special) => None,
    }
}

fn madvise(advice: Advice) -> Option<&'static str> {
    match advice {
        Advice::Mergeable
        | Advice::Unmergeable
        | Advice::Free
        | Advice::Dontneed
        | Advice::Pageout
        | Advice::PopulateRead
        | Advice::PopulateWrite => None,
        Advice::Dontfork | Advice::Dofork | Advice::Wipeonfork | Advice::Keeponfork => None,
        Advice::Hugepage | Advice::Nohugepage | Advice::Collapse => None,
        Advice::GuardInstall | Advice::GuardRemove => None,
    }
}
