//! What a step touches, and what an actor may still touch: two steps that touch nothing in common change places.
//!
//! The unit is a *column*: the page of one number in all address spaces, with the frames behind it. A page keeps its number in
//! every process that fork gives it to, and what could join two columns (files, merging, swap, large folios) is refused by
//! [`Reach::of`]. Beside the columns stand the locks, the sequence count and "has pinned" of each address space, and time:
//! that an operation ended before another began may be held against it.
//!
//! What gives a lock back touches nothing of it: whoever wants it cannot step before. The page-table lock by itself makes no
//! two steps depend on each other: what is done under it is over before anybody else has it, nothing is waited for under it,
//! and so such a section changes places as a whole with whatever touches other columns.
//!
//! The translation that a CPU keeps belongs to its column: who changes the entry drops it, unless a flush is pending, and a
//! store elsewhere evicts it. A flush at the end of a line drops translations of the line's own columns alone: whatever
//! could leave one stale in another holds mmap_lock against it. clear_refs goes through all columns anyway.

use super::node::{Model, Node, Searched};
use crate::ir::{Advice, Area, Backing, Instr, MemKind, Op, Program};
use crate::state::{At, Fault, FaultKind, ForkAt, GupAt, MmapLock, State, Target, Task, TaskFlags, VmaFlags};
use crate::types::{Number, Pc, ProcId, RefId, TaskId, Vpn};

/// Columns with a bit of their own; past them two share one, which only makes more steps depend on each other.
const COLUMNS: u16 = 32;
/// Address spaces with bits of their own.
const SPACES: u8 = 6;

/// What of an address space there is a bit for.
#[derive(Clone, Copy)]
enum Part {
    /// Reading: shared; writing: alone.
    MmapLock,
    /// Reading: must be free; writing: is held beyond the step.
    PageTableLock,
    Sequence,
    HasPinned,
}

/// A set of columns and parts of address spaces.
type Bits = u64;

fn column(vpn: u16) -> Bits {
    1 << (vpn % COLUMNS)
}

fn columns(area: Area, from: u16) -> Bits {
    (area.start.0 + from..area.start.0 + area.len).map(column).fold(0, |all, one| all | one)
}

fn part(proc: ProcId, part: Part) -> Bits {
    1 << (COLUMNS as u32 + 4 * u32::from(proc.0 % SPACES) + part as u32)
}

/// All page-table locks: needed, but nothing depends on them alone.
const PAGE_TABLE_LOCKS: Bits = {
    let (mut all, mut space) = (0, 0);
    while space < SPACES {
        all |= 1 << (COLUMNS as u32 + 4 * space as u32 + Part::PageTableLock as u32);
        space += 1;
    }
    all
};

/// What is touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Touch {
    reads: Bits,
    writes: Bits,
    /// An operation begins, or is over, whose place in a serial order matters.
    invokes: bool,
    responds: bool,
}

impl Touch {
    /// All there is.
    const ALL: Self = Self { reads: Bits::MAX, writes: Bits::MAX, invokes: true, responds: true };

    fn or(self, other: Self) -> Self {
        Self {
            reads: self.reads | other.reads,
            writes: self.writes | other.writes,
            invokes: self.invokes | other.invokes,
            responds: self.responds | other.responds,
        }
    }

    /// Whether the order of the two may matter.
    pub fn conflicts(self, other: Self) -> bool {
        self.writes & (other.reads | other.writes) & !PAGE_TABLE_LOCKS != 0
            || self.reads & other.writes & !PAGE_TABLE_LOCKS != 0
            || (self.invokes && other.responds)
            || (self.responds && other.invokes)
    }
}

/// What is known of a program whose operations can be told apart by what they touch.
#[derive(Clone, Debug)]
pub struct Reach {
    /// For each line all that it may touch.
    lines: Vec<Touch>,
    /// For each line whether its place in a serial order matters: nobody can tell where a pin stands among loads and stores.
    ordered: Vec<bool>,
}

impl Reach {
    /// `None` where something of the program could join two columns.
    pub fn of(program: &Program) -> Option<Self> {
        let small = program.mems.iter().all(|mem| mem.kind == MemKind::Pages);
        if !small || !program.files.is_empty() || !program.code.iter().all(|instr| is_told_apart(instr.op)) {
            return None;
        }
        let unordered = |race| {
            let lines = program.code.iter().filter(|instr| instr.race == race);
            lines.into_iter().all(|instr| commutes_with_pins(instr.op))
        };
        let watched = watched(program);
        let told = |(instr, watched): (&Instr, bool)| watched && !(matches!(instr.op, Op::Pin { .. }) && unordered(instr.race));
        let ordered: Vec<bool> = program.code.iter().zip(watched).map(told).collect();
        let lines = (0..program.code.len()).map(|pc| line(program, Pc::at(pc), ordered[pc])).collect();
        Some(Self { lines, ordered })
    }
}

/// For each line whether somebody may see what it did: of what is done to pages that nobody looks at, no promise speaks.
pub fn watched(program: &Program) -> Vec<bool> {
    let pages = |op: Op| match op {
        Op::Peek { held } | Op::Dma { held, .. } => of_taken(program, held.name).writes,
        Op::Put { name } | Op::Drop { name } | Op::Unpin { name, .. } => of_taken(program, name).writes,
        _ => op.area().map_or(Bits::MAX, |area| columns(area, 0)),
    };
    let seen = program.code.iter().filter(|instr| instr.op.reads()).fold(0, |all, instr| all | pages(instr.op));
    let apart = program.files.is_empty() && program.code.iter().all(|instr| is_told_apart(instr.op));
    let only_here = |op: Op| {
        matches!(op, Op::Write { .. } | Op::Pin { .. } | Op::Get { .. } | Op::Vmsplice { .. } | Op::DirectRead { .. })
            || matches!(op, Op::Put { .. } | Op::Unpin { .. } | Op::Drop { .. } | Op::Dma { .. })
    };
    let is_watched = |op: Op| seen != 0 && (!apart || !only_here(op) || pages(op) & seen != 0);
    program.code.iter().map(|instr| is_watched(instr.op)).collect()
}

/// Operations that stay in their columns, or are known to go through all.
fn is_told_apart(op: Op) -> bool {
    use Op::*;
    let advice = |advice| {
        use Advice::*;
        matches!(advice, Dontneed | PopulateRead | PopulateWrite | Dontfork | Dofork | Wipeonfork | Keeponfork)
    };
    match op {
        Mmap { backing, .. } => backing == Backing::Anon,
        Madvise { advice: what, .. } => advice(what),
        Munmap { .. } | Mprotect { .. } | Fork { .. } | Exit | Wait { .. } | ClearRefs | Name { .. } => true,
        Read { .. } | Write { .. } | Vmsplice { .. } | Get { .. } | Pin { .. } | Put { .. } | Drop { .. } | Unpin { .. } => {
            true
        }
        Poke { .. } | PeekMem { .. } | ProcessVmReadv { .. } | ProcessVmWritev { .. } => true,
        Peek { .. } | Dma { .. } | DirectRead { .. } | DirectWrite { .. } => true,
        _ => false,
    }
}

/// A pin before or after them names the same page, and it shows nothing.
fn commutes_with_pins(op: Op) -> bool {
    matches!(op, Op::Read { .. } | Op::Write { .. } | Op::Fork { .. } | Op::Pin { .. })
}

/// All that a line may touch.
fn line(program: &Program, pc: Pc, ordered: bool) -> Touch {
    let op = program.code[pc.idx()].op;
    let time = Touch { invokes: ordered, responds: ordered, ..Touch::default() };
    let of_area = |area: Area| {
        let locks = part(area.proc, Part::PageTableLock);
        Touch { reads: part(area.proc, Part::MmapLock), writes: columns(area, 0) | locks, ..time }
    };
    match op {
        Op::Read { area } | Op::Write { area, .. } => of_area(area),
        Op::Pin { area, .. } | Op::Get { area, .. } => {
            let fast = Touch { reads: part(area.proc, Part::Sequence), writes: part(area.proc, Part::HasPinned), ..time };
            of_area(area).or(fast)
        }
        Op::Fork { .. } => match program.tasks[program.code[pc.idx()].task.idx()].proc() {
            Some(proc) => {
                let all = (0..program.pages).map(column).fold(0, |all, one| all | one);
                let locks = part(proc, Part::MmapLock) | part(proc, Part::PageTableLock) | part(proc, Part::Sequence);
                Touch { reads: part(proc, Part::HasPinned), writes: all | locks, ..time }
            }
            None => Touch::ALL,
        },
        Op::Peek { held } | Op::Dma { held, .. } => of_taken(program, held.name).or(time),
        Op::Put { name } | Op::Drop { name } | Op::Unpin { name, .. } => of_taken(program, name).or(time),
        _ => match (op.area(), program.tasks[program.code[pc.idx()].task.idx()].proc()) {
            // Whoever changes a mapping takes its lock for writing; asked for more than they do, the rest do no harm.
            (Some(area), Some(_)) => {
                let locks = part(area.proc, Part::MmapLock) | part(area.proc, Part::PageTableLock);
                let fast = part(area.proc, Part::Sequence) | part(area.proc, Part::HasPinned);
                Touch { reads: 0, writes: columns(area, 0) | locks | fast, ..time }
            }
            _ => Touch::ALL,
        },
    }
}

fn of_taken(program: &Program, name: RefId) -> Touch {
    let area = program.taker(name).and_then(|instr| instr.op.area());
    area.map_or(Touch::ALL, |area| Touch { writes: columns(area, 0), ..Touch::default() })
}

/// What the next step of an actor touches, and whether the locks among it are those that it needs, no more; `None` where it
/// has no next step.
pub fn next<B: Searched>(model: &Model<'_, B>, reach: &Reach, node: &Node<B>, task: TaskId) -> Option<(Touch, bool)> {
    let pc = model.line(node, task)?;
    let (op, own, st) = (model.program.code[pc.idx()].op, node.st.task(task), &node.st);
    let ordered = reach.ordered[pc.idx()];
    let begin = Touch { invokes: own.at == At::Idle && ordered, ..Touch::default() };
    let end = Touch { responds: ordered, ..Touch::default() };
    let touch = match (op, own.at) {
        _ if own.fault != Fault::None => of_fault(st, op.area()?, own, end),
        (Op::Read { area } | Op::Write { area, .. }, At::Idle | At::Start | At::Walk) => {
            let stores = matches!(op, Op::Write { .. });
            let (pte, at) = (st.pte(area.proc, Vpn(area.start.0 + own.page)), column(area.start.0 + own.page));
            let stale = stores && st.tlb(task).is_some_and(|(vpn, _)| vpn.0 == area.start.0 + own.page);
            match if stores { pte.may_write() || stale } else { pte.may_read() } {
                true => Touch { writes: at | if stores { translated(st, task) } else { 0 }, invokes: true, ..end },
                false => Touch { reads: at, ..Touch::default() },
            }
        }
        (Op::Pin { area, .. } | Op::Get { area, .. }, At::Idle | At::Start) => {
            let known = st.mm(area.proc).has_pinned; // It says nothing new then.
            Touch { writes: if known { 0 } else { part(area.proc, Part::HasPinned) }, ..Touch::default() }
        }
        (Op::Pin { area, .. } | Op::Get { area, .. }, At::Gup(at)) => of_gup(area, own, at, end),
        (Op::Fork { .. }, At::Idle | At::Start) => {
            let proc = model.program.tasks[task.idx()].proc()?;
            Touch { writes: part(proc, Part::MmapLock) | part(proc, Part::Sequence), ..Touch::default() }
        }
        (Op::Fork { .. }, At::Fork(vpn, at)) => of_fork(st, model.program.tasks[task.idx()].proc()?, vpn, at, end),
        _ => return Some((reach.lines[pc.idx()], false)),
    };
    Some((touch.or(begin), touch != Touch::ALL))
}

/// The column of the translation that an actor's CPU keeps.
fn translated<B: Searched>(st: &State<B>, task: TaskId) -> Bits {
    st.tlb(task).map_or(0, |(vpn, _)| column(vpn.0))
}

fn of_fault<B: Searched>(st: &State<B>, area: Area, own: &Task<B::Number>, end: Touch) -> Touch {
    let (vpn, ptl) = (Vpn(area.start.0 + own.page), part(area.proc, Part::PageTableLock));
    let at = column(vpn.0);
    match own.fault {
        Fault::None => Touch::default(),
        Fault::Start(kind) => {
            let held = own.flags.contains(TaskFlags::HOLDS_MMAP_READ);
            let mmap = if held { 0 } else { part(area.proc, Part::MmapLock) };
            let needed = if kind == FaultKind::Write { VmaFlags::WRITE } else { VmaFlags::READ };
            let fails = !st.slot(area.proc, vpn).vma.flags.contains(needed);
            Touch { reads: mmap | ptl, writes: at, responds: fails && end.responds, ..Touch::default() }
        }
        Fault::InstallAnon { .. } => Touch { reads: ptl, writes: at, ..Touch::default() },
        Fault::Copying { .. } => Touch { reads: at, ..Touch::default() },
        Fault::Clearing { .. } => Touch { writes: ptl | at, ..Touch::default() },
        Fault::Installing { .. } | Fault::Putting { .. } => Touch { writes: at, ..Touch::default() },
        Fault::SwapIn { .. } | Fault::Summing { .. } => Touch::ALL,
    }
}

fn of_gup<N: Number>(area: Area, own: &Task<N>, at: GupAt, end: Touch) -> Touch {
    let column = column(area.start.0 + own.page.min(area.len - 1));
    let sequence = part(area.proc, Part::Sequence);
    match at {
        GupAt::Begin => Touch { reads: sequence, ..Touch::default() },
        GupAt::ReadPte { .. } => Touch { reads: column, ..Touch::default() },
        GupAt::Take { .. } | GupAt::Recheck { .. } | GupAt::TestExclusive { .. } => {
            Touch { writes: column, ..Touch::default() }
        }
        // Where a fork came between, all that was taken is given back.
        GupAt::ReadSeq { .. } => Touch { reads: sequence, writes: columns(area, 0), ..end },
        GupAt::Slow => {
            let held = own.flags.contains(TaskFlags::HOLDS_MMAP_READ);
            let mmap = if held { 0 } else { part(area.proc, Part::MmapLock) };
            Touch { reads: mmap | part(area.proc, Part::PageTableLock), writes: column, ..end }
        }
    }
}

fn of_fork<B: Searched>(st: &State<B>, proc: ProcId, vpn: Vpn, at: ForkAt, end: Touch) -> Touch {
    let (ptl, pinned) = (part(proc, Part::PageTableLock), part(proc, Part::HasPinned));
    let writes = match at {
        _ if vpn.idx() == st.pages_per_mm() => {
            return Touch { writes: part(proc, Part::Sequence), ..end };
        }
        // Pages with nothing to copy are passed over in one step.
        ForkAt::Decide => (vpn.idx()..st.pages_per_mm()).map(|vpn| column(vpn as u16)).fold(0, |all, one| all | one) | ptl,
        ForkAt::Dup | ForkAt::Wrprotect | ForkAt::Install => column(vpn.0),
        ForkAt::Alloc => 0,
        ForkAt::Copy => column(vpn.0) | ptl,
    };
    Touch { reads: pinned, writes, ..Touch::default() }
}

/// Whether a lock that the next step needs is taken.
pub fn is_blocked<B: Searched>(node: &Node<B>, touch: Touch) -> bool {
    if touch == Touch::ALL {
        return false;
    }
    node.st.mms().iter().enumerate().any(|(at, mm)| {
        let proc = ProcId::at(at);
        let (mmap, ptl) = (part(proc, Part::MmapLock), part(proc, Part::PageTableLock));
        let reads = touch.reads & mmap != 0 && mm.mmap_lock == MmapLock::Write;
        let writes = touch.writes & mmap != 0 && mm.mmap_lock != MmapLock::Read(0);
        reads || writes || ((touch.reads | touch.writes) & ptl != 0 && mm.ptl.is_some())
    })
}

/// The actor that holds the page-table lock which a blocked step needs.
pub fn holder<B: Searched>(node: &Node<B>, touch: Touch) -> Option<TaskId> {
    let needs = |at: usize| (touch.reads | touch.writes) & part(ProcId::at(at), Part::PageTableLock) != 0;
    node.st.mms().iter().enumerate().filter(|(at, _)| needs(*at)).find_map(|(_, mm)| mm.ptl)
}

/// All that an actor may touch from now on, while the one that forks `standing` does not move.
pub fn future<B: Searched>(
    model: &Model<'_, B>,
    reach: &Reach,
    node: &Node<B>,
    task: TaskId,
    standing: Option<ProcId>,
) -> Touch {
    let mut all = Touch::default();
    let own = node.st.task(task);
    let stores = |pc: Pc| matches!(model.program.code[pc.idx()].op, Op::Write { .. });
    if node.st.tlb(task).is_some() && model.remaining(node, task).any(stores) {
        all.writes = translated(&node.st, task);
    }
    for pc in model.remaining(node, task) {
        let under_way = own.at != At::Idle && own.pc == pc;
        let op = model.program.code[pc.idx()].op;
        let page = if under_way { own.page } else { 0 };
        let behind = standing.filter(|proc| op.area().is_some_and(|area| area.proc == *proc));
        match (op, behind) {
            (Op::Read { area } | Op::Write { area, .. }, Some(_)) => {
                let stores = matches!(op, Op::Write { .. });
                match (under_way && own.fault != Fault::None, until_a_fault(node, area, page, stores)) {
                    (true, _) => return all,
                    (false, (touched, true)) => return all.or(Touch { invokes: true, responds: true, ..touched }),
                    (false, (touched, false)) => all = all.or(Touch { invokes: true, responds: true, ..touched }),
                }
            }
            (Op::Pin { area, write, .. }, Some(proc)) if !reach.ordered[pc.idx()] => {
                if under_way && (own.fault != Fault::None || own.at == At::Gup(GupAt::Slow)) {
                    return all;
                }
                // What it has in hand it gives back or keeps, whatever the pte says by now.
                let in_hand =
                    u16::from(under_way && own.grab.0 != Target::None || matches!(own.at, At::Gup(GupAt::Take { .. })));
                let (touched, stops) = until_a_fault(node, area, page + in_hand, write);
                let fast = Touch {
                    reads: part(proc, Part::Sequence),
                    writes: part(proc, Part::HasPinned) | columns(area, 0) & !columns(area, page + in_hand),
                    ..Touch::default()
                };
                all = all.or(touched).or(fast);
                if stops {
                    return all;
                }
            }
            _ if under_way => all = all.or(rest(model.program, reach, pc, own)),
            _ => all = all.or(reach.lines[pc.idx()]),
        }
    }
    all
}

/// The columns that an access comes to before it must fault, and whether it must.
fn until_a_fault<B: Searched>(node: &Node<B>, area: Area, from: u16, stores: bool) -> (Touch, bool) {
    let mut touched = Touch::default();
    for vpn in area.start.0 + from..area.start.0 + area.len {
        let pte = node.st.pte(area.proc, Vpn(vpn));
        if !(if stores { pte.may_write() } else { pte.may_read() }) {
            touched.reads |= column(vpn);
            return (touched, true);
        }
        touched.writes |= column(vpn);
    }
    (touched, false)
}

/// What is left of a line under way.
fn rest<N: Number>(program: &Program, reach: &Reach, pc: Pc, own: &Task<N>) -> Touch {
    let (op, all) = (program.code[pc.idx()].op, reach.lines[pc.idx()]);
    match (op, own.at) {
        (Op::Read { area } | Op::Write { area, .. }, _) => {
            let gone = columns(area, 0) & !columns(area, own.page);
            Touch { reads: all.reads, writes: all.writes & !gone, ..all }
        }
        (Op::Fork { .. }, At::Fork(vpn, _)) => {
            let gone = (0..vpn.0).map(column).fold(0, |all, one| all | one);
            let ahead = (vpn.0..program.pages).map(column).fold(0, |all, one| all | one);
            Touch { reads: all.reads & !(gone & !ahead), writes: all.writes & !(gone & !ahead), invokes: false, responds: true }
        }
        (Op::Pin { .. }, _) => all,
        _ => Touch { invokes: false, ..all },
    }
}
