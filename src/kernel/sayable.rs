//! What can be said to a real kernel at all, whichever it is.

use crate::ir::{Actor, Backing, FileKind, Instr, MemKind, Op, Program, Sharing, Speed};

/// Whether an operation is realised by the kernel's own test of pins: user space has no other pin that only reads.
pub fn is_gup_test(op: Op) -> bool {
    matches!(op, Op::Pin { write: false, longterm: true, .. } | Op::Pin { longterm: true, speed: Speed::Slow, .. })
}

/// Why an instruction cannot be carried out on any kernel; `None` where it can on some.
pub fn why_not_by(program: &Program, instr: &Instr) -> Option<&'static str> {
    let migrates = matches!(instr.op, Op::Migrate { .. }) && program.tasks[instr.task.idx()] == Actor::Device;
    if migrates { Some("memory migrates to a device that has some, and a driver") } else { why_not(program, instr.op) }
}

/// Why an operation cannot be said to any kernel; `None` where some can.
pub fn why_not(program: &Program, op: Op) -> Option<&'static str> {
    Some(match op {
        Op::DirectRead { area, .. } if area.word.is_some() => "a disk does not read single words",
        Op::Mmap { area, backing, sharing, .. } => mapping(program, program.mems[area.mem.idx()].kind, backing, sharing)?,
        Op::Get { write: true, .. } => "no system call holds a writable get",
        Op::Get { speed: Speed::Slow, .. } => "no system call takes a get the slow way alone",
        Op::Pin { longterm: true, .. } => return None,
        Op::Pin { .. } => "no system call holds a short pin",
        Op::Dma { held, .. } => match program.taker(held.name).map(|taker| taker.op) {
            Some(op @ Op::Pin { .. }) if !is_gup_test(op) => return None,
            Some(Op::Pin { .. }) => "no device writes through a pin of the kernel's gup_test",
            _ => "no device writes through a get",
        },
        Op::Hold { .. } | Op::Drop { .. } => "a transient reference cannot be held from outside",
        Op::LruAdd { .. } => "LRU batches are emptied after each line, to be deterministic",
        Op::NumaHint { .. } => "NUMA balancing comes when it likes, and needs two nodes",
        _ => return None,
    })
}

fn mapping(program: &Program, kind: MemKind, backing: Backing, sharing: Sharing) -> Option<&'static str> {
    let named = |file: crate::types::FileId| !program.files[file.idx()].name.is_empty();
    match (kind, backing) {
        (_, Backing::Special) => Some("no file maps special ptes without a driver of its own"),
        (_, Backing::File(file)) if program.files[file.idx()].kind == FileKind::Device => {
            Some("ZONE_DEVICE pages need a device that has memory")
        }
        (MemKind::Mthp { .. }, Backing::File(_)) => {
            Some("large folios of files below the size of a PMD come when the kernel likes")
        }
        (MemKind::Thp, Backing::File(file)) if named(file) && program.files[file.idx()].kind != FileKind::Memfd => {
            Some("huge pages of files of a disk come when the kernel likes")
        }
        (MemKind::Hugetlb { .. }, Backing::File(file)) if named(file) && program.files[file.idx()].kind != FileKind::Memfd => {
            Some("hugetlb memory is of no file but a memfd's")
        }
        (MemKind::Thp | MemKind::Hugetlb { .. } | MemKind::Pages, Backing::File(_)) => None,
        (MemKind::Pages | MemKind::Thp | MemKind::Mthp { .. } | MemKind::Hugetlb { .. }, Backing::Anon) => {
            debug_assert!(sharing == Sharing::Private, "cowl bug: shared anonymous memory has a nameless file");
            None
        }
    }
}

/// Whether an operation needs settings of the machine changed, or moves pages of others.
pub fn needs_leave(program: &Program, op: Op) -> bool {
    use crate::ir::Advice;
    match op {
        Op::Mmap { area, .. } => {
            matches!(program.mems[area.mem.idx()].kind, MemKind::Mthp { .. } | MemKind::Hugetlb { .. })
        }
        Op::Madvise { advice, .. } => advice == Advice::Pageout,
        Op::Pageout { .. } | Op::Swapin { .. } | Op::Swapoff | Op::Migrate { .. } | Op::KsmMerge { .. } => true,
        _ => false,
    }
}
