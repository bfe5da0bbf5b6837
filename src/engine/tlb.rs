//! Translations that CPUs keep: a store may go through one that the page table no longer has, until it is flushed.
//!
//! Each actor's CPU keeps the writable translation that its last store used, until it is flushed or another takes its place;
//! nothing else evicts it. They are kept only where a race has a line that changes entries first and flushes later
//! ([`crate::ir::Program::flushes_late`]): whoever else changes an entry flushes it in the same step, so that nobody can tell.

use super::{Cx, Progress, Ruling};
use crate::ir::Op;
use crate::policy::{Defect, UffdWpTlb};
use crate::state::{At, FaultKind, Pfn, State, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{ProcId, Size, TaskId, Vpn};

/// K31. Does a write fault flush the page first: in memory registered for write protection, while a flush of the mm is pending?
///
/// Source: mm/memory.c `do_wp_page` (6ce64428d620, 5.12).
pub fn decide_flush(knob: UffdWpTlb, registered: bool, pending: bool) -> bool {
    match knob {
        UffdWpTlb::Off => false,
        UffdWpTlb::On => registered && pending,
    }
}

/// The address space whose TLB entries the instruction flushes only when all of its range is done.
///
/// Source: mm/mprotect.c `change_protection` and mm/userfaultfd.c `uffd_wp_range` (`tlb_gather_mmu`, `tlb_finish_mmu`); fs/proc/task_mmu.c
/// `clear_refs_write` (`inc_tlb_flush_pending`). mremap flushes each table's entries under its lock, but for B15.
pub(super) fn flushed_at_end<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> Option<ProcId> {
    let op = cx.op();
    if let Op::UffdWp { area } | Op::Mprotect { area, .. } = op {
        return Some(area.proc);
    }
    if op == Op::ClearRefs {
        return Some(cx.actor());
    }
    if let (Op::Mremap { from, .. }, true) = (op, moves_before_flush(cx)) { Some(from.proc) } else { None }
}

/// mremap gives the page-table lock back before it flushes what it moved.
fn moves_before_flush<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    cx.policy.defects.has(Defect::B15)
}

/// A store went through an entry: the CPU keeps it.
pub(super) fn fill<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, target: Target<B::Number>) {
    if let (true, Target::Page(pfn)) = (cx.st.has_tlbs(), target) {
        let vpn = cx.vpn();
        cx.st.set_tlb(cx.task, Some((vpn, pfn)));
    }
}

/// The page that the CPU still takes for the one that the instruction is at.
pub(super) fn kept<B: Size>(st: &State<B>, task: TaskId, vpn: Vpn) -> Option<Pfn<B::Number>> {
    st.tlb(task).filter(|(of, _)| *of == vpn).map(|(_, pfn)| pfn)
}

/// Asks K31 at a write fault; recorded where a flush is pending.
pub(super) fn flush_before_copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) {
    let (proc, vpn, slot) = (cx.proc(), cx.vpn(), cx.slot());
    let registered = slot.vma.flags.contains(VmaFlags::UFFD_WP);
    if kind != FaultKind::Write || cx.st.mm(proc).flush_pending == 0 || !registered {
        return;
    }
    let knob = cx.policy.uffd_wp_tlb;
    let flushes = decide_flush(knob, registered, true);
    let (verdict, reason) = match flushes {
        true => ("flush", "other CPUs may still store to the page that may be copied"),
        false => ("leave", "a flush is pending, and what other CPUs store until then may not be copied"),
    };
    let (rule, knob, value) = ("tlb::decide_flush", "uffd_wp_tlb", knob.into());
    cx.decided(proc, vpn, slot.pte.target, Ruling { rule, knob, value, verdict, reason, operands: &[] });
    if flushes {
        each(cx, |_, of, at, _| of != proc || at != vpn);
    }
}

/// What a step does to TLBs: a late flush begins or ends, and every other change of an entry has flushed it.
pub(super) fn settle<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, starts: bool, progress: Progress) {
    if progress == Progress::Blocked {
        return;
    }
    let ends = matches!(progress, Progress::Finished | Progress::Failed(_) | Progress::Committed { done: true, .. });
    if let (Some(proc), true) = (flushed_at_end(cx), starts != ends) {
        let pending = &mut cx.st.mm_mut(proc).flush_pending;
        *pending = if starts { *pending + 1 } else { *pending - 1 };
    }
    each(cx, stays);
}

/// Whether nobody has flushed a translation: the entry is as it was, or a flush of what changed it is pending.
fn stays<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pfn: Pfn<B::Number>) -> bool {
    let pte = cx.st.pte(proc, vpn);
    let same = pte.target == Target::Page(pfn);
    (same && pte.may_write()) || (0 < cx.st.mm(proc).flush_pending && (same || is_moved_away(cx, proc, vpn)))
}

/// An mremap under way has taken the entry to another place, and has not flushed it.
fn is_moved_away<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> bool {
    let moves = |op: Op| matches!(op, Op::Mremap { from, .. } if from.proc == proc && from.pages().any(|page| page == vpn));
    let mut under_way = cx.st.tasks().iter().filter(|task| task.at != At::Idle);
    moves_before_flush(cx) && under_way.any(|task| moves(cx.program.code[task.pc.idx()].op))
}

/// Drops the translations that `keeps` does not keep.
fn each<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, keeps: impl Fn(&Cx<'_, B, S>, ProcId, Vpn, Pfn<B::Number>) -> bool) {
    for task in (0..cx.program.tasks.len()).map(TaskId::at) {
        let (Some((vpn, pfn)), Some(proc)) = (cx.st.tlb(task), cx.program.tasks[task.idx()].proc()) else { continue };
        if !keeps(cx, proc, vpn, pfn) {
            cx.st.set_tlb(task, None);
        }
    }
}
