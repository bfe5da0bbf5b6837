//! Write faults on write-protected ptes: reuse or copy. Also the copy of an unshare fault.

use strum::IntoStaticStr;

use super::{Cx, Progress, Ruling, fault, huge, hugetlb, ksm, large, swap, tlb, transient, uffd};
use crate::policy::{Defect, ReuseSmall};
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Target, TaskFlags, VmaFlags};
use crate::trace::Sink;
use crate::types::{Size, Vpn};

/// What a decision about a small anonymous page is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageFacts {
    /// As `folio_ref_count` gives it: a pin counts 1024.
    pub refcount: u32,
    pub mapcount: u32,
    pub exclusive: bool,
    /// It stands in this CPU's LRU-add batch, which holds one of its references.
    pub in_lru_batch: bool,
    /// It is in the swap cache, which holds one of its references.
    pub swapcached: bool,
    /// Entries that name its swap slot.
    pub swapcount: u32,
    /// It is being written to the swap device.
    pub writeback: bool,
    /// The device must not see it change meanwhile.
    pub stable_writes: bool,
    /// Somebody else has its lock.
    pub locked: bool,
}

/// Keep the page, copy it, or find out more first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Reuse(Why),
    Copy(Why),
    /// Drain this CPU's LRU-add batch and decide again.
    Drain,
    /// Take it out of the swap cache and decide again.
    Uncache,
    /// Wait for its lock and decide again.
    Wait,
}

/// Why a page was kept or copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
pub enum Why {
    #[strum(serialize = "it is the last mapping")]
    LastMapping,
    #[strum(serialize = "others map it")]
    OtherMappings,
    #[strum(serialize = "it is the last reference")]
    LastRef,
    #[strum(serialize = "others have references")]
    OtherRefs,
    #[strum(serialize = "it is marked exclusive")]
    Exclusive,
    #[strum(serialize = "it is merged")]
    Merged,
    #[strum(serialize = "somebody else has its lock")]
    Locked,
    #[strum(serialize = "it is being written to a device that must not see it change")]
    Writeback,
    #[strum(serialize = "nothing marks it exclusive")]
    NotExclusive,
    #[strum(serialize = "all mappings of its folio are the writer's, and nobody else has a reference")]
    OneOwner,
    #[strum(serialize = "it is the last page of its folio that is mapped")]
    LastPage,
    #[strum(serialize = "a defect keeps every page")]
    Defect,
}

impl Verdict {
    /// The verdict and its reason, as a decision says them.
    pub(super) fn said(self) -> (&'static str, &'static str) {
        match self {
            Verdict::Reuse(why) => ("reuse", why.into()),
            Verdict::Copy(why) => ("copy", why.into()),
            Verdict::Drain => ("drain", "it stands in this CPU's LRU batch"),
            Verdict::Uncache => ("uncache", "only the swap cache holds it beside the page table"),
            Verdict::Wait => ("wait", "somebody else has its lock"),
        }
    }
}

/// K1. A write fault on a present, write-protected small anonymous page: keep it or copy it?
///
/// Source: mm/memory.c, `do_wp_page` and (since 6.7) `wp_can_reuse_anon_folio`; mm/swapfile.c `reuse_swap_page` (to 5.17).
#[rustfmt::skip]
pub fn decide_small(knob: ReuseSmall, page: &PageFacts) -> Verdict {
    use {ReuseSmall::*, Verdict::*, Why::*};
    let last_ref = page.refcount == 1 && page.mapcount == 1;
    match (knob, page.exclusive, last_ref) {
        (ExclOrRef1 | DerivedBit, true, _)          => Reuse(Exclusive),
        (MapSwap, _, _)                             => by_mappings(page),
        (Ref1Drain, _, _) | (ExclOrRef1, false, _)  => by_references(page),
        (Ref1, _, true)  | (DerivedBit, false, true) if page.locked => Copy(Locked),
        (Ref1, _, true)  | (DerivedBit, false, true)  => Reuse(LastRef),
        (Ref1, _, false) | (DerivedBit, false, false) => Copy(OtherRefs),
    }
}

/// The swap cache counts as nobody, and gives up what is kept, unless the page is just being written.
fn by_mappings(page: &PageFacts) -> Verdict {
    match page.mapcount + page.swapcount {
        _ if page.locked => Verdict::Wait,
        2.. => Verdict::Copy(Why::OtherMappings),
        _ if !page.swapcached => Verdict::Reuse(Why::LastMapping),
        _ if !page.writeback => Verdict::Uncache,
        _ if page.stable_writes => Verdict::Copy(Why::Writeback),
        _ => Verdict::Reuse(Why::LastMapping),
    }
}

/// The LRU batch and the swap cache may be the only other ones who hold the page: then they are asked to let go. More than
/// three references cannot be explained by the page table, the swap cache and one batch.
fn by_references(page: &PageFacts) -> Verdict {
    match page.refcount {
        4.. => Verdict::Copy(Why::OtherRefs),
        _ if page.in_lru_batch => Verdict::Drain,
        count if 1 + u32::from(page.swapcached) < count => Verdict::Copy(Why::OtherRefs),
        _ if page.locked => Verdict::Copy(Why::Locked),
        _ if page.swapcached && page.swapcount == 0 && !page.writeback => Verdict::Uncache,
        1 if page.mapcount == 1 => Verdict::Reuse(Why::LastRef),
        _ => Verdict::Copy(Why::OtherRefs),
    }
}

/// Looks at a write-protected pte under the page-table lock and decides.
///
/// Source: mm/memory.c `do_wp_page`.
pub(super) fn look<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    if let Some(stopped) = uffd::stop_store(cx, kind) {
        return stopped;
    }
    tlb::flush_before_copy(cx, kind);
    let slot = cx.slot();
    match slot.pte.target {
        _ if slot.vma.flags.contains(VmaFlags::SHARED) => reuse(cx, kind),
        _ if slot.pte.flags.contains(PteFlags::PMD) => huge::wp(cx, kind),
        Target::Zero if kind == FaultKind::Write && cx.policy.defects.has(Defect::ZeroPageWritable) => reuse(cx, kind),
        Target::Special(pfn) if counts_as_last(cx, kind, pfn) => reuse(cx, kind),
        Target::Zero | Target::Special(_) => cx.fault_at(Fault::Copying { kind, seen: slot.pte }),
        Target::None | Target::Swap(_) | Target::Migration(_) | Target::Guard => unreachable!("cowl bug: no page is there"),
        Target::Page(pfn) if !cx.st.folio(pfn).is_anon() => {
            cx.st.get(pfn);
            cx.fault_at(Fault::Copying { kind, seen: slot.pte })
        }
        Target::Page(_) if cx.policy.defects.has(Defect::ReuseTestsWithoutLocks) && test_only(cx) => {
            let proc = cx.proc();
            cx.read_unlock(proc);
            cx.fault_at(Fault::Start(kind))
        }
        Target::Page(pfn) => match decide(cx, pfn) {
            Verdict::Reuse(_) => {
                cx.st.folio_mut(pfn).flags.remove(FolioFlags::KSM);
                if !cx.policy.defects.has(Defect::ReuseForgetsExclusive) {
                    fault::mark_proven(cx, pfn);
                }
                reuse(cx, kind)
            }
            Verdict::Copy(_) => {
                cx.st.get(pfn);
                cx.fault_at(Fault::Copying { kind, seen: slot.pte })
            }
            Verdict::Drain => {
                transient::drain_batch(cx);
                look(cx, kind)
            }
            Verdict::Uncache => {
                cx.st.folio_mut(pfn).flags.insert(FolioFlags::DIRTY);
                cx.st.uncache_swap(pfn);
                look(cx, kind)
            }
            Verdict::Wait => Progress::Blocked,
        },
    }
}

/// A look that finds the page the task's own, and nothing more; whether it was one.
fn test_only<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> bool {
    let tested = cx.me().flags.contains(TaskFlags::TESTED);
    let small = cx.slot().pte.target.pfn().filter(|pfn| !cx.st.folio(*pfn).is_large() && cx.st.folio(*pfn).is_anon());
    let only = !tested && small.is_some_and(|pfn| matches!(decide(cx, pfn), Verdict::Reuse(_)));
    if only {
        cx.me_mut().flags.insert(TaskFlags::TESTED);
    }
    only
}

fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>) -> Verdict {
    if cx.me().flags.contains(TaskFlags::TESTED) {
        cx.me_mut().flags.remove(TaskFlags::TESTED);
        return Verdict::Reuse(Why::Defect);
    }
    if cx.slot().vma.is_hugetlb() {
        return hugetlb::decide(cx, pfn);
    }
    if cx.st.folio(pfn).is_large() {
        return large::decide(cx, pfn);
    }
    let facts = facts(cx, pfn);
    let (small, merged) = (cx.policy.reuse_small, cx.policy.reuse_ksm);
    let (verdict, rule, knob, value) = match cx.st.folio(pfn).flags.contains(FolioFlags::KSM) {
        _ if cx.policy.defects.has(Defect::ReuseShared) => {
            (Verdict::Reuse(Why::Defect), "wp::decide_small", "reuse_small", small.into())
        }
        true => (ksm::decide_reuse(merged, &facts), "ksm::decide_reuse", "reuse_ksm", merged.into()),
        false => (decide_small(small, &facts), "wp::decide_small", "reuse_small", small.into()),
    };
    if verdict == Verdict::Wait {
        return verdict;
    }
    let (said, reason) = verdict.said();
    let operands = [
        ("mapcount", facts.mapcount),
        ("refcount", facts.refcount),
        ("exclusive", facts.exclusive.into()),
        ("lru_batch", facts.in_lru_batch.into()),
        ("swapcached", facts.swapcached.into()),
    ];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let ruling = Ruling { rule, knob, value, verdict: said, reason, operands: &operands };
    cx.decided(proc, vpn, Target::Page(pfn), ruling);
    verdict
}

/// What no policy may ask: does the refcount of a page behind a special entry say that nobody else uses it? It counts no mapping.
fn counts_as_last<B: Size, S: Sink>(cx: &Cx<'_, B, S>, kind: FaultKind, pfn: Pfn<B::Number>) -> bool {
    let asks = cx.policy.defects.has(Defect::SpecialTestedByRefcount);
    asks && kind == FaultKind::Write && cx.st.folio(pfn).ref_count() == 1
}

/// What the state says of a page.
pub(super) fn facts<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pfn: Pfn<B::Number>) -> PageFacts {
    let (folio, swapcached) = (cx.st.folio(pfn), cx.st.is_swapcached(pfn));
    PageFacts {
        refcount: folio.ref_count(),
        mapcount: cx.st.mapcount(pfn),
        exclusive: cx.st.is_exclusive(pfn),
        in_lru_batch: folio.flags.contains(FolioFlags::LRU_BATCH),
        swapcached,
        swapcount: if swapcached { cx.st.swap_count(pfn) } else { 0 },
        writeback: folio.flags.contains(FolioFlags::WRITEBACK),
        stable_writes: swap::is_synchronous(cx),
        locked: cx.is_locked_by_another(pfn),
    }
}

/// Keeps the page. After an unshare fault the pte stays as it is; without VM_WRITE it becomes dirty and stays read-only.
pub(super) fn reuse<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    if kind == FaultKind::Write {
        let flags = flags_after_write(cx);
        cx.add_flags(flags);
        broke_cow(cx);
    }
    fault::done(cx)
}

/// The bits that the pte gets when its write fault is over.
fn flags_after_write<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> PteFlags {
    let vma = cx.slot().vma;
    if vma.is_hugetlb() { hugetlb::flags_after_write(cx) } else { fault::written_flags(&vma) }
}

/// The bits that the pte gets after an unshare fault: nobody stored, and both trackers of stores keep what they had.
fn flags_after_unshare<B: Size, S: Sink>(cx: &Cx<'_, B, S>, seen: Pte<B::Number>) -> PteFlags {
    let defects = cx.policy.defects;
    let mut flags = fault::read_flags(&cx.slot().vma) | (seen.flags & (PteFlags::SOFT_DIRTY | PteFlags::UFFD_WP));
    if defects.has(Defect::UnshareDropsUffdWp) {
        flags.remove(PteFlags::UFFD_WP);
    }
    if defects.has(Defect::UnshareDropsSoftDirty) {
        flags.remove(PteFlags::SOFT_DIRTY);
    }
    if defects.has(Defect::UnshareMapsWritable) {
        flags.insert(PteFlags::WRITE);
    }
    flags
}

/// Remembers what FOLL_COW stands for: a forced write fault ended without a writable pte.
pub(super) fn broke_cow<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) {
    if !cx.slot().vma.flags.contains(VmaFlags::WRITE) {
        cx.me_mut().flags.insert(TaskFlags::COW_BROKEN);
    }
}

/// Allocates and copies, with no lock on the page table: who else holds the old page may still store to it.
///
/// Source: mm/memory.c `wp_page_copy`, as are the steps below.
pub(super) fn copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, seen: Pte<B::Number>) -> Progress {
    let order = if seen.flags.contains(PteFlags::PMD) { cx.program.pmd_order } else { 0 };
    let new = if cx.slot().vma.is_hugetlb() {
        match hugetlb::alloc_copy(cx, kind, seen) {
            Ok(new) => new,
            Err(progress) => return progress,
        }
    } else {
        match cx.alloc(order) {
            Ok(new) => new,
            Err(_) if 0 < order => return huge::give_up_copy(cx, kind, seen),
            Err(_) => return Progress::Exhausted("page frames"),
        }
    };
    match seen.target {
        _ if cx.policy.defects.has(Defect::CopyForgetsContents) => {}
        Target::Page(old) if 0 < order => {
            for (from, to) in cx.st.folio_pages(old).zip(cx.st.folio_pages(new)) {
                cx.st.page_mut(to).words = cx.st.page(from).words;
            }
        }
        target => cx.st.page_mut(new).words = cx.st.words(target),
    }
    cx.fault_at(Fault::Clearing { kind, seen, new })
}

/// Takes the lock again; clears and flushes the pte if it is what it was.
pub(super) fn clear<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    new: Pfn<B::Number>,
) -> Progress {
    let proc = cx.proc();
    if !cx.try_lock_ptl(proc) {
        return Progress::Blocked;
    }
    if cx.slot().pte != seen {
        cx.unlock_ptl(proc);
        cx.st.put(new);
        if let Target::Page(old) = seen.target {
            cx.st.put(old);
        }
        return fault::done(cx);
    }
    for page in cx.leaf(proc, cx.vpn()) {
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte::default();
    }
    cx.fault_at(Fault::Installing { kind, seen, new })
}

/// Maps the copy and takes the mapping from the old page, in this order.
pub(super) fn install<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    new: Pfn<B::Number>,
) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if let (true, Target::Page(old)) = (seen.flags.contains(PteFlags::PMD), seen.target) {
        huge::install_copy(cx, kind, old, new);
        return installed(cx, kind, seen);
    }
    if let Target::Page(old) | Target::Special(old) = seen.target {
        cx.copied(proc, vpn, old, new, "wp_page_copy");
    }
    fault::map_new_anon(cx, proc, new);
    let flags = match kind {
        FaultKind::Write => flags_after_write(cx),
        FaultKind::Read | FaultKind::Unshare => flags_after_unshare(cx, seen),
    };
    cx.slot_mut().pte = Pte { target: Target::Page(new), flags };
    if let Target::Page(old) = seen.target
        && !cx.policy.defects.has(Defect::CopyForgetsMapcount)
    {
        cx.st.remove_rmap_pte(proc, old);
    }
    installed(cx, kind, seen)
}

fn installed<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, seen: Pte<B::Number>) -> Progress {
    if kind == FaultKind::Write {
        broke_cow(cx);
    }
    let proc = cx.proc();
    cx.unlock_ptl(proc);
    cx.fault_at(Fault::Putting { old: seen.target })
}

/// Drops the fault's reference on the old page and the one of its mapping.
pub(super) fn put_old<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, old: Target<B::Number>) -> Progress {
    if let Target::Page(old) = old {
        swap::drop_unmapped(cx, old);
        if !cx.policy.defects.has(Defect::CopyForgetsReference) {
            cx.st.put(old);
        }
        cx.st.put(old);
    }
    fault::done(cx)
}
