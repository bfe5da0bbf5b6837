//! userfaultfd: which memory is registered for what, write protection, and who sleeps.

use std::ops::Range;

use super::prot::{self, WpVerdict};
use super::{Cx, Progress, fault, huge};
use crate::ir::UffdMode;
use crate::observe::Seen;
use crate::policy::{Defect, Feature, Policy};
use crate::state::{At, FaultKind, MmapLock, PteFlags, Slot, Target, TaskFlags, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Event, Failure, Number, ProcId, Size, TaskId, Vpn};

/// All that a registration may say of a vma.
pub(super) const MODES: VmaFlags =
    VmaFlags::UFFD_WP.union(VmaFlags::UFFD_WP_ASYNC).union(VmaFlags::UFFD_MISSING).union(VmaFlags::UFFD_MINOR);

fn flags_of(mode: UffdMode) -> VmaFlags {
    match mode {
        UffdMode::Wp => VmaFlags::UFFD_WP,
        UffdMode::WpAsync => VmaFlags::UFFD_WP | VmaFlags::UFFD_WP_ASYNC,
        UffdMode::Missing => VmaFlags::UFFD_MISSING,
        UffdMode::Minor => VmaFlags::UFFD_MINOR,
    }
}

/// UFFDIO_REGISTER. Memory that was registered for something else is so no more: the new mode takes the place of the old, unless
/// the old says as much already. One descriptor asks for asynchronous write protection, another for all the rest, and neither
/// takes what the other has.
///
/// Source: mm/userfaultfd.c `userfaultfd_register_range`, fs/userfaultfd.c `userfaultfd_register`.
pub(super) fn register<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, mode: UffdMode) -> Progress {
    let area = cx.area();
    if cx.st.mm(area.proc).mmap_lock != MmapLock::Read(0) {
        return Progress::Blocked;
    }
    let slots = || area.pages().map(|vpn| cx.st.slot(area.proc, vpn));
    let refused = if !slots().all(|slot| can_register(cx, &slot.vma, mode)) {
        Some(Failure::EINVAL)
    } else if slots().any(|slot| is_anothers(&slot.vma, mode) || drops_wp(cx.policy, &slot.vma, mode)) {
        Some(Failure::EBUSY)
    } else {
        None
    };
    if let Some(failure) = refused {
        return Progress::Failed(failure);
    }
    huge::split_at_ends(cx, area);
    for vpn in area.pages() {
        let flags = &mut cx.st.slot_mut(area.proc, vpn).vma.flags;
        if !flags.contains(flags_of(mode)) {
            *flags = (*flags - MODES) | flags_of(mode);
        }
    }
    cx.commit_range()
}

/// D8. Whether a registration would end write protection that a policy does not let end so: measured on 7.3.4.
fn drops_wp<N: Number>(policy: &Policy, vma: &Vma<N>, mode: UffdMode) -> bool {
    let dropped = vma.flags.contains(VmaFlags::UFFD_WP) && !flags_of(mode).contains(VmaFlags::UFFD_WP);
    dropped && policy.lacks.has(Feature::UffdDropWp)
}

/// Of anonymous memory, of files of shmem and of hugetlb, not of those of a disk; minor faults are of files alone. Asynchronous
/// write protection by itself is for any memory.
///
/// Source: mm/userfaultfd.c `vma_can_userfault` (fs/userfaultfd.c before 6.x).
fn can_register<B: Size, S: Sink>(cx: &Cx<'_, B, S>, vma: &Vma<B::Number>, mode: UffdMode) -> bool {
    let mapped = vma.flags.contains(VmaFlags::MAPPED);
    let of_memory = !cx.program.is_of_a_disk(vma.cache_place()) && !vma.flags.contains(VmaFlags::PFNMAP);
    match mode {
        UffdMode::WpAsync => mapped,
        UffdMode::Wp | UffdMode::Missing => mapped && of_memory,
        UffdMode::Minor => mapped && of_memory && vma.cache_place().is_some(),
    }
}

fn is_anothers<N: Number>(vma: &Vma<N>, mode: UffdMode) -> bool {
    let asynchronous = vma.flags.contains(VmaFlags::UFFD_WP_ASYNC);
    vma.flags.intersects(MODES) && asynchronous != (mode == UffdMode::WpAsync)
}

/// Whether write protection by userfaultfd stands in the way of a store.
///
/// Source: include/linux/userfaultfd_k.h `userfaultfd_pte_wp`.
pub(super) fn is_protected<N: Number>(slot: &Slot<N>) -> bool {
    slot.pte.flags.contains(PteFlags::UFFD_WP) && slot.vma.flags.contains(VmaFlags::UFFD_WP)
}

/// Whether a page that is not there can be write-protected: then a marker stands for it. Of anonymous memory that is wanted with
/// asynchronous protection alone (UFFD_FEATURE_WP_UNPOPULATED, 6.4).
///
/// Source: include/linux/userfaultfd_k.h `userfaultfd_wp_use_markers`.
fn takes_markers<N: Number>(vma: &Vma<N>) -> bool {
    vma.cache_place().is_some() || vma.is_hugetlb() || vma.flags.contains(VmaFlags::UFFD_WP_ASYNC)
}

/// What is left of an entry that MADV_DONTNEED clears, or that reclaim takes a file's page from: the marker of write protection.
///
/// Source: mm/memory.c `zap_install_uffd_wp_if_needed`; mm/rmap.c `pte_install_uffd_wp_if_needed`.
pub(super) fn left_behind<N: Number>(slot: &Slot<N>) -> PteFlags {
    let of_file = slot.vma.cache_place().is_some() || slot.vma.is_hugetlb();
    if of_file && is_protected(slot) { PteFlags::UFFD_WP } else { PteFlags::empty() }
}

/// The bits of a new entry, which takes over the protection that a marker stood for.
///
/// Source: mm/memory.c `vmf_orig_pte_uffd_wp`.
pub(super) fn with_marker<N: Number>(slot: &Slot<N>, flags: PteFlags) -> PteFlags {
    if is_protected(slot) { (flags - PteFlags::WRITE) | PteFlags::UFFD_WP } else { flags }
}

/// The event that a fault on nothing raises, given what the page cache has.
///
/// Source: mm/memory.c `do_anonymous_page`, mm/shmem.c `shmem_get_folio_gfp`, mm/hugetlb.c `hugetlb_no_page`.
pub(super) fn event_of<N: Number>(vma: &Vma<N>, cached: bool) -> Option<Event> {
    match cached {
        true => vma.flags.contains(VmaFlags::UFFD_MINOR).then_some(Event::Minor),
        false => vma.flags.contains(VmaFlags::UFFD_MISSING).then_some(Event::Missing),
    }
}

/// A store to what userfaultfd write-protects: its thread sleeps, or the kernel lifts the protection by itself. Of what a PMD
/// maps it lifts that of one page only. `None` where nothing keeps the fault from going on.
///
/// Source: mm/memory.c `do_wp_page`, `wp_huge_pmd`; asynchronously since 6.7.
pub(super) fn stop_store<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Option<Progress> {
    let slot = cx.slot();
    if kind != FaultKind::Write || !is_protected(&slot) || cx.policy.defects.has(Defect::WriteSkipsUffdEvent) {
        return None;
    }
    if !slot.vma.flags.contains(VmaFlags::UFFD_WP_ASYNC) {
        return Some(fault::userfault(cx, Event::Wp));
    }
    if slot.pte.flags.contains(PteFlags::PMD) {
        let (proc, vpn) = (cx.proc(), cx.vpn());
        huge::split_pmd(cx, proc, vpn);
        return Some(Progress::Moved); // The fault looks at the pte next.
    }
    cx.slot_mut().pte.flags.remove(PteFlags::UFFD_WP);
    None
}

/// UFFDIO_WRITEPROTECT, page by page under mmap_lock held for reading.
///
/// Source: mm/userfaultfd.c `mwriteprotect_range`; mm/mprotect.c `change_pte_range`.
pub(super) fn wp<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let refused = if !may_protect(cx) {
        Some(Failure::ENOENT)
    } else if cx.me().at == At::Start && prot::any_refuses(cx) {
        Some(Failure::EBUSY)
    } else {
        None
    };
    if let Some(failure) = refused {
        cx.read_unlock(proc);
        return Progress::Failed(failure);
    }
    let pages = huge::leaf_here(cx).len() as u16;
    // An entry of a page that is not there carries the bit, and hands it on.
    if cx.slot().pte.target == Target::Guard {
        // Guards have no such bit: `change_pte_range` passes over them.
    } else if cx.slot().pte.is_none() {
        if takes_markers(&cx.slot().vma) {
            cx.slot_mut().pte.flags.insert(PteFlags::UFFD_WP);
        }
    } else if prot::wp_verdict(cx, proc, vpn) == WpVerdict::Wp {
        let keep = cx.policy.defects.has(Defect::WpKeepsUffdWritable);
        let forgets = cx.policy.defects.has(Defect::WpForgetsUffdBit);
        if let Target::Migration(pfn) = cx.slot().pte.target {
            prot::protect_entry(cx, proc, vpn, pfn);
        }
        let lost = if keep { PteFlags::empty() } else { PteFlags::WRITE };
        let mut flags = cx.slot().pte.flags - lost;
        flags.set(PteFlags::UFFD_WP, !forgets);
        cx.set_flags(proc, vpn, flags);
    }
    cx.commit_pages(pages, Seen::Nothing)
}

/// Whether userfaultfd may change the protection of the page at hand. A release that knows no ranges of several vmas looks at all
/// of them first (D8).
///
/// Source: mm/userfaultfd.c `mwriteprotect_range` (a1b92a3f14b9, 6.4).
fn may_protect<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    let area = cx.area();
    let vma = |vpn: Vpn| cx.st.slot(area.proc, vpn).vma.flags - (VmaFlags::ANON_VMA | VmaFlags::RESERVED);
    let whole = cx.me().at == At::Start && cx.policy.lacks.has(Feature::UffdWpVmas);
    let is_one = || area.pages().all(|vpn| vma(vpn) == vma(area.start));
    cx.slot().vma.flags.contains(VmaFlags::MAPPED | VmaFlags::UFFD_WP) && (!whole || is_one())
}

/// UFFDIO_WRITEPROTECT without the bit: the pte may become writable at once. Sleepers wake when the whole range is done; a call
/// that fails wakes nobody.
///
/// Source: fs/userfaultfd.c `userfaultfd_writeprotect`, `wake_userfault` behind it.
pub(super) fn unwp<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    if !may_protect(cx) {
        cx.read_unlock(proc);
        return Progress::Failed(Failure::ENOENT);
    }
    let pages = huge::leaf_here(cx);
    let flags = cx.slot().pte.flags;
    if flags.contains(PteFlags::UFFD_WP) {
        cx.set_flags(proc, vpn, flags - PteFlags::UFFD_WP);
        if cx.slot().pte.is_present() && !flags.contains(PteFlags::WRITE) {
            prot::upgrade(cx, proc, vpn, true);
        }
        if cx.policy.defects.has(Defect::UnwpMapsWritable) && cx.slot().pte.is_present() {
            cx.slot_mut().pte.flags.insert(PteFlags::WRITE);
        }
    }
    let area = cx.area();
    if pages.end == area.start.0 + area.len {
        wake(cx, proc, &(area.start.0..pages.end));
    }
    cx.commit_pages(pages.len() as u16, Seen::Nothing)
}

/// Wakes the threads that sleep on one of these pages.
pub(super) fn wake<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, pages: &Range<u16>) {
    for task in (0..cx.program.tasks.len()).map(TaskId::at) {
        let sleeper = cx.st.task(task);
        if !sleeper.flags.contains(TaskFlags::ASLEEP) {
            continue;
        }
        let area = cx.program.code[sleeper.pc.idx()].op.area();
        if area.is_some_and(|area| area.proc == proc && pages.contains(&(area.start.0 + sleeper.page))) {
            cx.st.task_mut(task).flags.remove(TaskFlags::ASLEEP);
        }
    }
}
