//! Taking pages out of page tables: munmap, MADV_DONTNEED, exit.

use super::{Cx, Progress, gup, huge, swap, uffd};
use crate::observe::Seen;
use crate::policy::Defect;
use crate::state::{At, Grab, Pte, PteFlags, Slot, Target, Task, TaskFlags, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, TaskId, Vpn};

/// munmap, page by page: clear the pte, then drop what it mapped.
///
/// Source: mm/memory.c `zap_pte_range`; the TLB is flushed before the page can be freed.
pub(super) fn munmap<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    let at = cx.me().at;
    match at {
        At::Zapped => drop_zapped(cx),
        At::Start if !cx.try_write_lock(proc) => Progress::Blocked,
        At::Start => cx.goto(At::Walk),
        _ if !cx.ptl_is_free(proc) => Progress::Blocked,
        _ => {
            let (pages, pte) = (huge::leaf_here(cx), cx.slot().pte);
            for page in pages.clone() {
                *cx.st.slot_mut(proc, Vpn(page)) = Slot::default();
            }
            cleared(cx, pte, pages.len())
        }
    }
}

/// MADV_DONTNEED: as munmap, but the vma stays.
///
/// Source: mm/madvise.c `madvise_dontneed_single_vma`.
pub(super) fn dontneed<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    let at = cx.me().at;
    match at {
        At::Zapped => drop_zapped(cx),
        _ if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) => Progress::Blocked,
        _ => {
            if cx.policy.defects.has(Defect::DontneedKeepsPage) {
                return cx.commit_page(Seen::Nothing);
            }
            if cx.slot().vma.flags.contains(VmaFlags::PFNMAP) {
                cx.read_unlock(proc);
                return Progress::Failed(Failure::EINVAL);
            }
            if cx.slot().pte.target == Target::Guard {
                return cx.commit_page(Seen::Nothing); // Guards stay, but for munmap.
            }
            let (pages, pte) = (huge::leaf_here(cx), cx.slot().pte);
            for page in pages.clone() {
                let slot = cx.st.slot_mut(proc, Vpn(page));
                slot.pte = Pte { flags: uffd::left_behind(slot), ..Pte::default() };
            }
            cleared(cx, pte, pages.len())
        }
    }
}

/// The entry is clear: for user space it happened. What it mapped is dropped in a step of its own.
fn cleared<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pte: Pte<B::Number>, pages: usize) -> Progress {
    cx.me_mut().grab = (pte.target, Grab::Get);
    cx.me_mut().seen = pte;
    let committed = cx.commit_pages(pages as u16, Seen::Nothing);
    cx.goto(At::Zapped);
    committed
}

fn drop_zapped<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    cx.me_mut().grab = Default::default();
    let (proc, pte) = (cx.proc(), std::mem::take(&mut cx.me_mut().seen));
    drop_mapping(cx, proc, pte);
    let all = cx.me().page == cx.len();
    cx.goto(if all { At::Finish } else { At::Walk })
}

/// Takes what one entry maps away altogether: vma, entry, and what that maps. Says which page comes behind it.
pub(super) fn zap_slot<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> u16 {
    let (pages, pte) = (cx.leaf(proc, vpn), cx.st.pte(proc, vpn));
    for page in pages.clone() {
        *cx.st.slot_mut(proc, Vpn(page)) = Slot::default();
    }
    drop_mapping(cx, proc, pte);
    pages.end
}

/// A mapping of a page goes: its mapcount, then its reference.
///
/// Source: mm/rmap.c `folio_remove_rmap_pte`, `folio_remove_rmap_pmd`.
pub(super) fn drop_mapping<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, pte: Pte<B::Number>) {
    let pfn = match pte.target {
        Target::Page(pfn) => pfn,
        Target::Swap(entry) => return swap::drop_entry(cx, entry.get() as usize),
        // What a migration entry stands for holds no reference; the others are no pages.
        Target::None | Target::Zero | Target::Special(_) | Target::Migration(_) | Target::Guard => return,
    };
    let by_pmd = pte.flags.contains(PteFlags::PMD);
    if by_pmd {
        cx.st.remove_rmap_pmd(proc, pfn);
    }
    if !by_pmd && !cx.policy.defects.has(Defect::UnmapForgetsMapcount) {
        cx.st.remove_rmap_pte(proc, pfn);
    }
    if cx.policy.defects.has(Defect::UnmapForgetsReference) {
        return;
    }
    if cx.policy.defects.has(Defect::UnmapDropsPinnedPage) && cx.st.folio(pfn).maybe_pinned() {
        return cx.st.free(pfn);
    }
    swap::drop_unmapped(cx, pfn);
    cx.st.put(pfn);
}

/// exit: other threads are gone first, then all memory, then all references of the process.
///
/// Source: kernel/exit.c `do_exit`: `exit_mm` comes before `exit_files`.
pub(super) fn exit<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.actor();
    let at = cx.me().at;
    match at {
        At::Exit(vpn) if vpn.idx() < cx.st.pages_per_mm() => {
            if !cx.ptl_is_free(proc) {
                return Progress::Blocked;
            }
            let end = zap_slot(cx, proc, vpn);
            cx.goto(At::Exit(Vpn(end)))
        }
        At::Exit(_) => {
            gup::release_owned_by(cx, proc);
            cx.write_unlock(proc);
            let mm = cx.st.mm_mut(proc);
            mm.alive = false;
            mm.exited = true;
            cx.commit_whole()
        }
        _ if sibling_is_busy(cx, proc) || !cx.try_write_lock(proc) => Progress::Blocked,
        _ => {
            kill_sleepers(cx, proc);
            cx.goto(At::Exit(Vpn(0)))
        }
    }
}

/// Another thread of the process is in the middle of something; one that userfaultfd stopped can be killed.
fn sibling_is_busy<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId) -> bool {
    siblings(cx, proc).any(|task| {
        let task = cx.st.task(task);
        task.at != At::Idle && !task.flags.contains(TaskFlags::ASLEEP)
    })
}

fn kill_sleepers<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId) {
    let sleepers: Vec<TaskId> = siblings(cx, proc).filter(|task| cx.st.task(*task).flags.contains(TaskFlags::ASLEEP)).collect();
    for task in sleepers {
        *cx.st.task_mut(task) = Task::default();
    }
}

fn siblings<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId) -> impl Iterator<Item = TaskId> {
    let (me, program) = (cx.task, cx.program);
    (0..program.tasks.len()).map(TaskId::at).filter(move |task| *task != me && program.tasks[task.idx()].proc() == Some(proc))
}
