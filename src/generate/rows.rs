//! What can be drawn: a row for each verb, with when it is possible, how it is made, and how often.
//!
//! A new verb is a row here and nothing else. Whether it can be run is not asked here: [`super::Settings::modelled`] refuses
//! what it makes as long as it cannot.

use super::Dice;
use super::scale::{SMALL_PMD, SMALL_PMD_ORDER, pairs};
use super::sketch::{Made, Offers, Sketch};
use crate::ir::{Actor, Advice, Area, Backing, Ending, FileKind, Mem, MemKind, Op, Prot, Sharing, Speed, UffdMode, Verb, Who};
use crate::types::{Failure, ProcId};

/// A verb that can be drawn.
pub struct Row {
    pub verb: Verb,
    /// What has to be there to say it about.
    pub needs: Offers,
    /// Makes a statement; `None` where the choices made led nowhere.
    pub make: fn(&mut Sketch, &mut dyn Dice) -> Option<Made>,
    /// How often, against the other rows.
    weight: u32,
    /// The same for the last statements of a program, which are to see what the others did.
    last: u32,
}

/// How many statements at a program's end are to see what the others did.
const LAST: usize = 5;

impl Row {
    /// How often it is to be drawn with this many statements to go.
    pub fn weight(&self, left: usize) -> u32 {
        if left <= LAST { self.last } else { self.weight }
    }
}

/// Every row, in the order of [`crate::ir::OPS`].
pub const ROWS: &[Row] = &[
    Row { verb: Verb::Mmap, needs: Offers::FREE_PAGE, make: mmap, weight: 30, last: 2 },
    Row { verb: Verb::Munmap, needs: Offers::MEMORY, make: munmap, weight: 8, last: 4 },
    Row { verb: Verb::Mremap, needs: Offers::MEMORY, make: mremap, weight: 6, last: 2 },
    Row { verb: Verb::Mprotect, needs: Offers::MEMORY, make: mprotect, weight: 14, last: 6 },
    Row { verb: Verb::Name, needs: Offers::MEMORY, make: name, weight: 1, last: 0 },
    Row { verb: Verb::Madvise, needs: Offers::MEMORY, make: madvise, weight: 14, last: 4 },
    Row { verb: Verb::Write, needs: Offers::MEMORY, make: write, weight: 60, last: 50 },
    Row { verb: Verb::Read, needs: Offers::MEMORY, make: read, weight: 20, last: 60 },
    Row { verb: Verb::Fork, needs: Offers::FREE_PROC, make: fork, weight: 25, last: 2 },
    Row { verb: Verb::Exit, needs: Offers::CHILD, make: exit, weight: 7, last: 2 },
    Row { verb: Verb::Wait, needs: Offers::EXITED_CHILD, make: wait, weight: 20, last: 4 },
    Row { verb: Verb::ClearRefs, needs: Offers::MEMORY, make: clear_refs, weight: 8, last: 4 },
    Row { verb: Verb::SoftDirty, needs: Offers::MEMORY, make: soft_dirty, weight: 6, last: 12 },
    Row { verb: Verb::Poke, needs: Offers::MEMORY, make: poke, weight: 6, last: 6 },
    Row { verb: Verb::PeekMem, needs: Offers::MEMORY, make: peek_mem, weight: 4, last: 6 },
    Row { verb: Verb::ProcessVmWritev, needs: Offers::MEMORY, make: process_vm_writev, weight: 4, last: 4 },
    Row { verb: Verb::ProcessVmReadv, needs: Offers::MEMORY, make: process_vm_readv, weight: 4, last: 4 },
    Row { verb: Verb::DirectRead, needs: Offers::MEMORY, make: direct_read, weight: 4, last: 4 },
    Row { verb: Verb::DirectWrite, needs: Offers::MEMORY, make: direct_write, weight: 4, last: 4 },
    Row { verb: Verb::Vmsplice, needs: Offers::FREE_REF, make: vmsplice, weight: 14, last: 2 },
    Row { verb: Verb::Get, needs: Offers::FREE_REF, make: get, weight: 10, last: 2 },
    Row { verb: Verb::Put, needs: Offers::GET, make: put, weight: 3, last: 2 },
    Row { verb: Verb::Pin, needs: Offers::FREE_REF, make: pin, weight: 25, last: 4 },
    Row { verb: Verb::Unpin, needs: Offers::PIN, make: unpin, weight: 5, last: 4 },
    Row { verb: Verb::UffdRegister, needs: Offers::MEMORY, make: uffd_register, weight: 10, last: 1 },
    Row { verb: Verb::UffdWp, needs: Offers::REGISTERED, make: uffd_wp, weight: 30, last: 4 },
    Row { verb: Verb::UffdUnwp, needs: Offers::REGISTERED, make: uffd_unwp, weight: 20, last: 8 },
    Row { verb: Verb::UffdCopy, needs: Offers::REGISTERED, make: uffd_copy, weight: 8, last: 4 },
    Row { verb: Verb::UffdZeropage, needs: Offers::REGISTERED, make: uffd_zeropage, weight: 4, last: 2 },
    Row { verb: Verb::UffdContinue, needs: Offers::REGISTERED, make: uffd_continue, weight: 4, last: 2 },
    Row { verb: Verb::UffdMove, needs: Offers::MEMORY, make: uffd_move, weight: 6, last: 2 },
    Row { verb: Verb::Peek, needs: Offers::REFERENCE, make: peek, weight: 10, last: 60 },
    Row { verb: Verb::Dma, needs: Offers::WRITING, make: dma, weight: 20, last: 10 },
    Row { verb: Verb::Pageout, needs: Offers::MEMORY, make: pageout, weight: 10, last: 3 },
    Row { verb: Verb::Swapin, needs: Offers::MEMORY, make: swapin, weight: 5, last: 2 },
    Row { verb: Verb::Swapoff, needs: Offers::MEMORY, make: swapoff, weight: 1, last: 1 },
    Row { verb: Verb::Migrate, needs: Offers::MEMORY, make: migrate, weight: 6, last: 2 },
    Row { verb: Verb::KsmMerge, needs: Offers::MEMORY, make: ksm_merge, weight: 8, last: 2 },
    Row { verb: Verb::KsmUnmerge, needs: Offers::MEMORY, make: ksm_unmerge, weight: 3, last: 1 },
    Row { verb: Verb::SplitPmd, needs: Offers::MEMORY, make: split_pmd, weight: 5, last: 1 },
    Row { verb: Verb::SplitFolio, needs: Offers::MEMORY, make: split_folio, weight: 5, last: 1 },
    Row { verb: Verb::Collapse, needs: Offers::MEMORY, make: collapse, weight: 3, last: 1 },
    Row { verb: Verb::NumaHint, needs: Offers::MEMORY, make: numa_hint, weight: 4, last: 1 },
    Row { verb: Verb::Hold, needs: Offers::FREE_REF, make: hold, weight: 4, last: 1 },
    Row { verb: Verb::Drop, needs: Offers::HOLD, make: drop_hold, weight: 3, last: 1 },
    Row { verb: Verb::LruAdd, needs: Offers::MEMORY, make: lru_add, weight: 3, last: 1 },
    Row { verb: Verb::Drain, needs: Offers::MEMORY, make: drain, weight: 2, last: 1 },
];

// How. Memory first.

fn mmap(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    let actor = sketch.thread(proc)?;
    if !sketch.program().mems.is_empty() && dice.percent(60) {
        return None; // Where there is less memory, more happens to each page of it.
    }
    let prot = if dice.percent(90) { Prot::Rw } else { dice.pick(&[Prot::None, Prot::Ro])? };
    let pages = 1 + dice.below(3) as usize / 2 + dice.below(2) as usize;
    let (kind, len) = match (sketch.program().pmd_order == SMALL_PMD_ORDER, dice.below(20)) {
        (true, 0..13) => (MemKind::Thp, SMALL_PMD.into()),
        (true, _) => (MemKind::Pages, SMALL_PMD.into()),
        (false, 0) => (MemKind::Mthp { order: 2 }, 4),
        (false, 1) => (MemKind::Hugetlb { order: None }, pages.min(2)),
        (false, _) => (MemKind::Pages, pages),
    };
    let area = sketch.new_mem(proc, len, kind)?;
    let whole = usize::from(area.len) == len;
    if !whole && !matches!(kind, MemKind::Pages | MemKind::Hugetlb { .. }) {
        return None; // There is no part of a large folio.
    }
    if matches!(kind, MemKind::Hugetlb { .. }) {
        let pages = area.len + dice.below(2) as u16; // What is borrowed is soon wanted back.
        if dice.percent(40) && pooled(sketch) == area.len {
            sketch.pool(pages);
        }
        has_pool(sketch)?;
    }
    let filed = matches!(kind, MemKind::Pages) && sketch.program().pmd_order != SMALL_PMD_ORDER;
    let (sharing, backing) = match dice.below(48) {
        0..=3 if filed => (Sharing::Shared, Backing::File(sketch.file(dice, false, area.len)?)),
        4..=7 if filed => (Sharing::Private, Backing::File(sketch.file(dice, true, area.len)?)),
        8..=11 if filed => (Sharing::Shared, Backing::File(sketch.file(dice, true, area.len)?)),
        12 if filed => (Sharing::Private, Backing::File(sketch.new_file(FileKind::Device, false, area.len)?)),
        13 if filed => (Sharing::Shared, Backing::File(sketch.new_file(FileKind::Device, false, area.len)?)),
        14 if filed => (Sharing::Private, Backing::Special),
        _ => (Sharing::Private, Backing::Anon),
    };
    Some(Made::new(actor, Op::Mmap { area, backing, sharing, prot }))
}

/// Huge pages of the pool that are named so far.
fn pooled(sketch: &Sketch) -> u16 {
    let huge = |mem: &&Mem| matches!(mem.kind, MemKind::Hugetlb { .. });
    sketch.program().mems.iter().filter(huge).map(|mem| mem.area.len).sum()
}

/// Something, where the pool has as many huge pages as are named: it keeps some for each mapping.
pub(super) fn has_pool(sketch: &Sketch) -> Option<()> {
    sketch.program().system.hugetlb.is_none_or(|pages| pooled(sketch) <= pages).then_some(())
}

/// A statement about a process's own memory, or for the kernel anybody's.
fn about(sketch: &mut Sketch, dice: &mut dyn Dice, verb: Verb, op: impl FnOnce(Area) -> Op) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    let actor = sketch.actor(verb, proc)?;
    by(sketch, dice, (actor, proc), verb, op)
}

/// A statement of an actor about a process's memory.
fn by(
    sketch: &mut Sketch,
    dice: &mut dyn Dice,
    (actor, proc): (Actor, ProcId),
    verb: Verb,
    op: impl FnOnce(Area) -> Op,
) -> Option<Made> {
    let (area, gone) = sketch.area(dice, proc, takes_words(verb))?;
    let ending = if gone { of_nothing(verb)? } else { Ending::Succeeds };
    Some(Made { actor, op: op(area), ending })
}

/// Whether one word of each page can be meant.
fn takes_words(verb: Verb) -> bool {
    use Verb::*;
    matches!(verb, Write | Read | Poke | PeekMem | ProcessVmWritev | ProcessVmReadv | DirectRead | DirectWrite)
}

/// How a statement about memory that is all unmapped fails; `None` for what cannot be said then.
pub(super) fn of_nothing(verb: Verb) -> Option<Ending> {
    match verb {
        Verb::Munmap | Verb::Mremap | Verb::Name => None,
        _ if matches!(verb.info().who, Who::Kernel | Who::KernelOrDevice) => None,
        Verb::Write | Verb::Read => Some(Ending::Fails(Failure::SIGSEGV)),
        Verb::Mprotect | Verb::Madvise => Some(Ending::Fails(Failure::ENOMEM)),
        _ => Some(Ending::Fails(Failure::EFAULT)),
    }
}

fn munmap(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::Munmap, |area| Op::Munmap { area })
}

fn mremap(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    let actor = sketch.thread(proc)?;
    let (from, gone) = sketch.area(dice, proc, false)?;
    let kind = sketch.program().mems[from.mem.idx()].kind;
    let to = sketch.new_mem(proc, from.len.into(), kind)?;
    (!gone && to.len == from.len).then_some(Made::new(actor, Op::Mremap { from, to }))
}

fn mprotect(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let prot = dice.pick(&[Prot::Ro, Prot::Ro, Prot::Rw, Prot::Rw, Prot::Rw, Prot::None])?;
    about(sketch, dice, Verb::Mprotect, |area| Op::Mprotect { area, prot })
}

fn name(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    let actor = sketch.thread(proc)?;
    let (area, gone) = sketch.area(dice, proc, false)?;
    let to = sketch.new_name(area);
    (!gone).then_some(Made::new(actor, Op::Name { area, to }))
}

fn madvise(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let advice = dice.pick(<Advice as strum::VariantArray>::VARIANTS)?;
    about(sketch, dice, Verb::Madvise, |area| Op::Madvise { area, advice })
}

fn write(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let value = sketch.value(dice);
    let proc = sketch.proc(dice)?;
    let (area, gone) = sketch.area(dice, proc, true)?;
    let stopped = sketch.is_stopped(area);
    let second = Actor::Thread { proc, thread: 2 };
    let actor = if stopped && sketch.can_act(second) { second } else { sketch.thread(proc)? };
    let ending = match (gone, stopped) {
        (true, _) => of_nothing(Verb::Write)?,
        (false, true) => Sketch::STOPPED,
        (false, false) => Ending::Succeeds,
    };
    Some(Made { actor, op: Op::Write { area, value }, ending })
}

fn read(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::Read, |area| Op::Read { area })
}

// Processes.

fn fork(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let parent = sketch.proc(dice)?;
    let child = ProcId::at(sketch.procs.len());
    if sketch.procs[parent.idx()].mems.is_empty() {
        return None; // Nothing would be shared.
    }
    Some(Made::new(sketch.thread(parent)?, Op::Fork { child }))
}

fn exit(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    Some(Made::new(sketch.thread(proc)?, Op::Exit))
}

fn wait(sketch: &mut Sketch, _: &mut dyn Dice) -> Option<Made> {
    let waits = |sketch: &Sketch| {
        let mut ended = sketch.procs.iter().enumerate().filter(|(_, proc)| proc.exited && !proc.waited);
        ended.find_map(|(at, proc)| Some((ProcId::at(at), proc.parent?)))
    };
    let (child, parent) = waits(sketch)?;
    (!sketch.procs[parent.idx()].exited).then_some(Made::new(sketch.thread(parent)?, Op::Wait { child }))
}

fn clear_refs(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    Some(Made::new(sketch.thread(proc)?, Op::ClearRefs))
}

fn soft_dirty(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::SoftDirty, |area| Op::SoftDirty { area })
}

// Through others.

/// A statement about memory that may be another process's.
fn across(sketch: &mut Sketch, dice: &mut dyn Dice, verb: Verb, op: impl FnOnce(Area) -> Op) -> Option<Made> {
    let (actor, proc) = (sketch.proc(dice)?, sketch.proc(dice)?);
    let actor = sketch.thread(actor)?;
    by(sketch, dice, (actor, proc), verb, op)
}

fn poke(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let value = sketch.value(dice);
    across(sketch, dice, Verb::Poke, |area| Op::Poke { area, value })
}

fn peek_mem(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    across(sketch, dice, Verb::PeekMem, |area| Op::PeekMem { area })
}

fn process_vm_writev(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let value = sketch.value(dice);
    across(sketch, dice, Verb::ProcessVmWritev, |area| Op::ProcessVmWritev { area, value })
}

fn process_vm_readv(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    across(sketch, dice, Verb::ProcessVmReadv, |area| Op::ProcessVmReadv { area })
}

fn direct_read(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let value = sketch.value(dice);
    about(sketch, dice, Verb::DirectRead, |area| Op::DirectRead { area, value })
}

fn direct_write(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::DirectWrite, |area| Op::DirectWrite { area })
}

// References.

/// A statement that takes a reference.
fn take(
    sketch: &mut Sketch,
    dice: &mut dyn Dice,
    verb: Verb,
    op: impl FnOnce(Area, crate::types::RefId) -> Op,
) -> Option<Made> {
    let proc = sketch.proc(dice)?;
    let actor = sketch.actor(verb, proc)?;
    let (area, gone) = sketch.area(dice, proc, false)?;
    let ending = if gone { of_nothing(verb)? } else { Ending::Succeeds };
    let name = sketch.new_ref(area.len)?;
    Some(Made { actor, op: op(area, name), ending })
}

fn speed(dice: &mut dyn Dice) -> Speed {
    if dice.percent(75) { Speed::Fast } else { Speed::Slow }
}

fn vmsplice(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    take(sketch, dice, Verb::Vmsplice, |area, name| Op::Vmsplice { area, name })
}

fn get(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let (write, speed) = (dice.percent(40), speed(dice));
    take(sketch, dice, Verb::Get, |area, name| Op::Get { area, write, speed, name })
}

fn pin(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let (write, longterm, speed) = (dice.percent(50), dice.percent(40), speed(dice));
    take(sketch, dice, Verb::Pin, |area, name| Op::Pin { area, write, longterm, speed, name })
}

/// A statement by which a reference's holder lets go of it.
fn release(
    sketch: &mut Sketch,
    dice: &mut dyn Dice,
    by: fn(Verb) -> bool,
    op: impl FnOnce(crate::types::RefId) -> Op,
) -> Option<Made> {
    let (name, held) = sketch.open(dice, |held| by(held.by))?;
    let actor = match held.holder {
        Some(holder) => sketch.thread(holder)?,
        None => sketch.actor(Verb::Drop, ProcId(0))?,
    };
    Some(Made::new(actor, op(name)))
}

fn put(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    release(sketch, dice, |by| matches!(by, Verb::Vmsplice | Verb::Get), |name| Op::Put { name })
}

fn unpin(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let dirty = dice.percent(30);
    release(sketch, dice, |by| by == Verb::Pin, |name| Op::Unpin { name, dirty })
}

fn drop_hold(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    release(sketch, dice, |by| by == Verb::Hold, |name| Op::Drop { name })
}

fn peek(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let (name, held) = sketch.open(dice, |_| true)?;
    let holder = held.holder.and_then(|holder| sketch.thread(holder)).filter(|_| dice.percent(80));
    let actor = holder.or_else(|| sketch.actor(Verb::Dma, ProcId(0)))?;
    Some(Made::new(actor, Op::Peek { held: sketch.held(dice, name) }))
}

fn dma(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let (name, _) = sketch.open(dice, |held| held.write)?;
    let actor = sketch.actor(Verb::Dma, ProcId(0))?;
    let value = sketch.value(dice);
    Some(Made::new(actor, Op::Dma { held: sketch.held(dice, name), value }))
}

// userfaultfd.

fn uffd_register(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let mode = dice.pick(&[UffdMode::Wp, UffdMode::Wp, UffdMode::Wp, UffdMode::WpAsync, UffdMode::Missing, UffdMode::Minor])?;
    about(sketch, dice, Verb::UffdRegister, |area| Op::UffdRegister { area, mode })
}

/// A statement about memory that is registered; now and then, announced to fail, about memory that is not.
fn registered(sketch: &mut Sketch, dice: &mut dyn Dice, verb: Verb, op: impl FnOnce(Area) -> Op) -> Option<Made> {
    let mut made = about(sketch, dice, verb, op)?;
    let is = made.op.area().is_some_and(|area| sketch.is_registered(verb, area));
    if !is && made.ending == Ending::Succeeds {
        if !sketch.wild(dice) {
            return None;
        }
        made.ending = Ending::Fails(Failure::ENOENT);
    }
    Some(made)
}

fn uffd_wp(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    registered(sketch, dice, Verb::UffdWp, |area| Op::UffdWp { area })
}

fn uffd_unwp(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    registered(sketch, dice, Verb::UffdUnwp, |area| Op::UffdUnwp { area })
}

fn uffd_copy(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    let value = sketch.value(dice);
    registered(sketch, dice, Verb::UffdCopy, |area| Op::UffdCopy { area, value })
}

fn uffd_zeropage(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    registered(sketch, dice, Verb::UffdZeropage, |area| Op::UffdZeropage { area })
}

fn uffd_continue(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    registered(sketch, dice, Verb::UffdContinue, |area| Op::UffdContinue { area })
}

fn uffd_move(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    pair(sketch, dice, Verb::UffdMove, |from, to| Op::UffdMove { from, to })
}

/// A statement about two pieces of memory, equally long and not the same.
fn pair(sketch: &mut Sketch, dice: &mut dyn Dice, verb: Verb, op: impl FnOnce(Area, Area) -> Op) -> Option<Made> {
    let (proc, other) = (sketch.proc(dice)?, sketch.proc(dice)?);
    let kernel = matches!(verb.info().who, Who::Kernel | Who::KernelOrDevice);
    let other = if kernel { other } else { proc };
    let actor = sketch.actor(verb, proc)?;
    let ((a, gone), (b, also_gone)) = (sketch.area(dice, proc, false)?, sketch.area(dice, other, false)?);
    let same = pairs(sketch.program(), a, b) && (a.proc, a.start) != (b.proc, b.start);
    (same && !gone && !also_gone).then_some(Made::new(actor, op(a, b)))
}

// The kernel by itself.

fn pageout(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::Pageout, |area| Op::Pageout { area })
}

fn swapin(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::Swapin, |area| Op::Swapin { area })
}

fn swapoff(sketch: &mut Sketch, _: &mut dyn Dice) -> Option<Made> {
    Some(Made::new(sketch.actor(Verb::Swapoff, ProcId(0))?, Op::Swapoff))
}

fn migrate(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::Migrate, |area| Op::Migrate { area })
}

fn ksm_merge(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    pair(sketch, dice, Verb::KsmMerge, |a, b| Op::KsmMerge { a, b })
}

fn ksm_unmerge(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::KsmUnmerge, |area| Op::KsmUnmerge { area })
}

fn split_pmd(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::SplitPmd, |area| Op::SplitPmd { area })
}

fn split_folio(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::SplitFolio, |area| Op::SplitFolio { area })
}

fn collapse(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::Collapse, |area| Op::Collapse { area })
}

fn numa_hint(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::NumaHint, |area| Op::NumaHint { area })
}

fn hold(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    take(sketch, dice, Verb::Hold, |area, name| Op::Hold { area, name })
}

fn lru_add(sketch: &mut Sketch, dice: &mut dyn Dice) -> Option<Made> {
    about(sketch, dice, Verb::LruAdd, |area| Op::LruAdd { area })
}

fn drain(sketch: &mut Sketch, _: &mut dyn Dice) -> Option<Made> {
    Some(Made::new(sketch.actor(Verb::Drain, ProcId(0))?, Op::Drain))
}
