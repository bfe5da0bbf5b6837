//! UFFDIO_MOVE: pages go from one place of an address space to another, without a copy.
//!
//! Source: mm/userfaultfd.c `move_pages`, `move_pages_pte` and its helpers; mm/huge_memory.c `move_pages_huge_pmd` (6.8).

use super::{Cx, Progress, Ruling, file, huge, split, uffd};
use crate::ir::Op;
use crate::observe::Seen;
use crate::policy::{Defect, UffdMoveIoctl};
use crate::state::{At, Grab, MoveAt, Pfn, Pte, PteFlags, Slot, Target, TaskFlags, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, Vpn};

/// K34. Is there such a call at all?
///
/// Source: adef440691ba (6.8).
pub fn decide_present(knob: UffdMoveIoctl) -> bool {
    match knob {
        UffdMoveIoctl::Absent => false,
        UffdMoveIoctl::Present => true,
    }
}

/// May a page be moved? It must be the process's own, and no device may be at it.
///
/// Source: mm/userfaultfd.c `move_present_ptes`; a merged page is never marked exclusive.
pub fn decide_move(exclusive: bool, maybe_pinned: bool) -> bool {
    exclusive && !maybe_pinned
}

/// Why a move between two mappings is refused: both are private, anonymous, writable and alike, and the second is registered.
///
/// Source: mm/userfaultfd.c `validate_move_areas`.
fn refused<N: Number>(from: &Vma<N>, to: &Vma<N>) -> Option<Failure> {
    let access = VmaFlags::READ | VmaFlags::WRITE;
    let movable = |vma: &Vma<N>| {
        vma.is_cow() && vma.cache_place().is_none() && !vma.flags.intersects(VmaFlags::HUGETLB | VmaFlags::PFNMAP)
    };
    if !from.flags.contains(VmaFlags::MAPPED) || !to.flags.contains(VmaFlags::MAPPED) {
        return Some(Failure::ENOENT);
    }
    let alike = from.flags & access == to.flags & access && from.flags.contains(VmaFlags::WRITE);
    let fine = alike && movable(from) && movable(to) && to.flags.intersects(uffd::MODES);
    if fine { None } else { Some(Failure::EINVAL) }
}

/// One step.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    match cx.me().at {
        At::Move(MoveAt::Lock) => lock(cx),
        At::Move(MoveAt::Clear) => clear(cx),
        At::Move(MoveAt::Install) => install(cx),
        At::Move(MoveAt::Entry) => move_entry(cx),
        _ => look(cx),
    }
}

/// Where the page goes.
fn goal<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> Vpn {
    let Op::UffdMove { to, .. } = cx.op() else { unreachable!("cowl bug: only `uffd move` has two places") };
    Vpn(to.start.0 + cx.me().page)
}

/// Gives back what the task holds, and fails; with EAGAIN where something was moved before.
fn fail<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, failure: Failure) -> Progress {
    let proc = cx.proc();
    release(cx);
    cx.read_unlock(proc);
    Progress::Failed(if cx.me().page == 0 { failure } else { Failure::EAGAIN })
}

/// Unlocks the folio and drops the reference to it.
fn release<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) {
    cx.me_mut().flags.remove(TaskFlags::LOCKS_FOLIO);
    cx.me_mut().seen = Pte::default();
    if let Target::Page(page) = std::mem::take(&mut cx.me_mut().grab).0 {
        cx.st.put(page);
    }
}

fn look<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, from, to) = (cx.proc(), cx.vpn(), goal(cx));
    let held = cx.me().flags.contains(TaskFlags::HOLDS_MMAP_READ);
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    match look_locked(cx, from, to) {
        Progress::Blocked if !held => Progress::Moved, // mmap_lock is held from now on.
        progress => progress,
    }
}

fn look_locked<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, from: Vpn, to: Vpn) -> Progress {
    let proc = cx.proc();
    let (Slot { pte, vma }, goal) = (cx.slot(), *cx.st.slot(proc, to));
    if let Some(failure) = refused(&vma, &goal.vma) {
        return fail(cx, failure);
    }
    if goal.pte != Pte::default() {
        return fail(cx, Failure::EEXIST);
    }
    if pte.flags.contains(PteFlags::PMD) && !moves_whole(cx) {
        huge::split_pmd(cx, proc, from);
        return cx.goto(At::Walk);
    }
    match pte.target {
        Target::None => fail(cx, Failure::ENOENT),
        Target::Special(_) | Target::Guard => fail(cx, Failure::EFAULT),
        Target::Migration(_) => Progress::Blocked,
        Target::Zero => move_zero(cx, pte),
        Target::Page(page) => {
            if !may_move(cx, page) {
                return fail(cx, Failure::EBUSY);
            }
            if cx.st.folio(page).is_large() && !pte.flags.contains(PteFlags::PMD) {
                // A page goes alone. While somebody holds its folio the call tries again and again.
                return if split::is_possible(cx, page) { split::begin(cx, page) } else { Progress::Blocked };
            }
            hold(cx, pte, Some(page));
            cx.goto(At::Move(MoveAt::Lock))
        }
        Target::Swap(_) if !pte.flags.contains(PteFlags::EXCLUSIVE) => fail(cx, Failure::EBUSY),
        Target::Swap(entry) => {
            let cached = cx.st.swap()[entry.get() as usize].cached.pfn();
            hold(cx, pte, cached);
            cx.goto(At::Move(MoveAt::Entry))
        }
    }
}

fn hold<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pte: Pte<B::Number>, page: Option<Pfn<B::Number>>) {
    cx.me_mut().seen = pte;
    if let Some(page) = page {
        cx.st.get(page);
        cx.me_mut().grab = (Target::Page(page), Grab::Get);
    }
}

/// Whether the PMD here goes as one: it is in the range as a whole, and its new place has room for one.
fn moves_whole<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    let (area, from, to) = (cx.area(), cx.pmd_pages(cx.vpn()), goal(cx));
    let inside = area.start.0 <= from.start && from.end <= area.start.0 + area.len;
    let room = cx.pmd_pages(to);
    let empty = room.clone().all(|page| cx.st.pte(area.proc, Vpn(page)) == Pte::default());
    inside && from.start == cx.vpn().0 && room.start == to.0 && empty
}

/// Asks whether a page may go; recorded.
fn may_move<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let (exclusive, pinned) = (cx.st.is_exclusive(page), cx.st.folio(page).maybe_pinned());
    let moves = decide_move(exclusive, pinned);
    let (verdict, reason) = match (moves, pinned) {
        (true, _) => ("move", "the page is the process's own"),
        (false, true) => ("refuse", "the page is pinned"),
        (false, false) => ("refuse", "nothing proves that the page is the process's own"),
    };
    let operands = [("exclusive", exclusive.into()), ("pinned", pinned.into())];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let ruling = Ruling { rule: "uffd_move::decide_move", knob: "", value: "", verdict, reason, operands: &operands };
    cx.decided(proc, vpn, Target::Page(page), ruling);
    moves
}

/// The flags at the new place: protection by userfaultfd stays where the new place is registered for it.
fn moved_flags<B: Size, S: Sink>(cx: &Cx<'_, B, S>, flags: PteFlags, tracks: PteFlags) -> PteFlags {
    let vma = cx.st.slot(cx.proc(), goal(cx)).vma;
    if cx.policy.defects.has(Defect::B32) {
        let write = if tracks.is_empty() { PteFlags::empty() } else { PteFlags::WRITE };
        return (flags - PteFlags::UFFD_WP) | write | tracks;
    }
    let kept = if vma.flags.contains(VmaFlags::UFFD_WP) { flags } else { flags - PteFlags::UFFD_WP };
    kept | tracks
}

/// The zero page has no users, so it goes at once.
fn move_zero<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pte: Pte<B::Number>) -> Progress {
    let whole = pte.flags.contains(PteFlags::PMD);
    // A PMD made of a page that is not there: it names some frame, and nothing says that the frame has no counts.
    let wrong = whole && cx.policy.defects.has(Defect::B41);
    let flags = moved_flags(cx, pte.flags, PteFlags::empty());
    let target = if wrong { Target::Special(Pfn::default()) } else { Target::Zero };
    put(cx, Pte { target, flags }, pte)
}

fn lock<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if cx.is_locked_by_another(cx.isolated()) {
        return Progress::Blocked;
    }
    cx.me_mut().flags.insert(TaskFlags::LOCKS_FOLIO);
    cx.goto(At::Move(MoveAt::Clear))
}

/// Nothing changed at either place since the first look.
fn is_as_seen<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    cx.slot().pte == cx.me().seen && cx.st.pte(cx.proc(), goal(cx)) == Pte::default()
}

/// The entry goes under the page-table lock, if the page is still the process's own. A lockless walk may come behind it.
fn clear<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    if !is_as_seen(cx) {
        release(cx);
        return cx.goto(At::Walk);
    }
    let page = cx.isolated();
    if !may_move(cx, page) {
        return fail(cx, Failure::EBUSY);
    }
    cx.try_lock_ptl(proc);
    set(cx, proc, cx.leaf(proc, vpn), Pte::default());
    cx.goto(At::Move(MoveAt::Install))
}

fn set<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, pages: std::ops::Range<u16>, pte: Pte<B::Number>) {
    for (nth, page) in pages.enumerate() {
        let target = match pte.target {
            Target::Page(first) => Target::Page(Pfn::at(first.idx() + nth)),
            other => other,
        };
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte { target, ..pte };
    }
}

/// Looks for pins once more, now that no walk finds the page, and installs it.
fn install<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn, seen) = (cx.proc(), cx.vpn(), cx.me().seen);
    let page = cx.isolated();
    cx.unlock_ptl(proc);
    if !may_move(cx, page) {
        let pages = if seen.flags.contains(PteFlags::PMD) { cx.pmd_pages(vpn) } else { vpn.0..vpn.0 + 1 };
        set(cx, proc, pages, seen);
        return fail(cx, Failure::EBUSY);
    }
    release(cx);
    let flags = moved_flags(cx, seen.flags - MISFILED, PteFlags::DIRTY | PteFlags::SOFT_DIRTY);
    put(cx, Pte { flags, ..seen }, seen)
}

/// A swap entry: it goes with its marker. If the swap cache has the page, that is told its new place, under its lock.
fn move_entry<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, seen) = (cx.proc(), cx.me().seen);
    let found = cx.me().grab.0.pfn();
    if !cx.ptl_is_free(proc) || found.is_some_and(|page| cx.is_locked_by_another(page)) {
        return Progress::Blocked;
    }
    let Target::Swap(entry) = seen.target else { unreachable!("cowl bug: only swap entries go this way") };
    let cached = cx.st.swap()[entry.get() as usize].cached.pfn();
    let looks_again = !cx.policy.defects.has(Defect::B31);
    if !is_as_seen(cx) || (looks_again && cached != found) {
        release(cx);
        return cx.goto(At::Walk);
    }
    release(cx);
    let mut flags = seen.flags | PteFlags::SOFT_DIRTY;
    flags.set(MISFILED_ENTRY, cached.is_some() && cached != found);
    put(cx, Pte { flags, ..seen }, seen)
}

/// Of a swap entry: the page that the swap cache has for it is filed under another address.
pub(super) const MISFILED_ENTRY: PteFlags = PteFlags::YOUNG;

/// Of a present pte: the page is filed under another address, so that the reverse mapping does not find it.
pub(super) const MISFILED: PteFlags = PteFlags::EXCLUSIVE;

/// Whether a page is mapped where the reverse mapping does not look for it.
pub fn is_misfiled<N: Copy + PartialEq>(pte: Pte<N>) -> bool {
    pte.is_present() && pte.flags.contains(MISFILED)
}

/// A page that is read from the swap device is filed where the fault finds its entry.
pub(super) fn file_anew<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, entry: usize) {
    if !cx.program.code.iter().any(|instr| matches!(instr.op, Op::UffdMove { .. })) {
        return; // Only a move leaves a page behind that is filed elsewhere.
    }
    let names = |pte: Pte<B::Number>| {
        let of_slot = matches!(pte.target, Target::Swap(slot) if slot.get() as usize == entry);
        of_slot && pte.flags.contains(MISFILED_ENTRY)
    };
    let wrong = cx.st.slots().find(|(_, _, slot)| names(slot.pte)).map(|(proc, vpn, _)| (proc, vpn));
    if let Some((proc, vpn)) = wrong {
        cx.st.slot_mut(proc, vpn).pte.flags.remove(MISFILED_ENTRY);
    }
}

/// The old place is empty, the new one has the entry.
fn put<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pte: Pte<B::Number>, was: Pte<B::Number>) -> Progress {
    let (proc, from, to) = (cx.proc(), cx.vpn(), goal(cx));
    let whole = was.flags.contains(PteFlags::PMD);
    let (from, room) = if whole { (cx.pmd_pages(from), cx.pmd_pages(to)) } else { (from.0..from.0 + 1, to.0..to.0 + 1) };
    file::prepare_anon_vma(cx, proc, to);
    set(cx, proc, from, Pte::default());
    set(cx, proc, room.clone(), pte);
    uffd::wake(cx, proc, &room);
    cx.commit_pages(room.len() as u16, Seen::Nothing)
}
