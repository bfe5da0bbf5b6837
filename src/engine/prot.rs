//! Write-protection that is no sharing: mprotect, clear_refs, and what uffd-wp has in common with them. Counts and the exclusive
//! bit stay as they are.

use super::{Cx, Progress, Ruling, huge, map, migrate, uffd};
use crate::ir::Prot;
use crate::observe::Seen;
use crate::policy::{ClearRefsLock, ClearRefsPinned, Defect, ProtUpgrade, WpPinned};
use crate::state::{At, MmapLock, Pfn, Pte, PteFlags, Slot, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, Vpn};

/// What is known of a pte that is to be write-protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WpFacts {
    pub writable: bool,
    /// It is a PMD.
    pub pmd: bool,
    /// Private memory: a COW mapping.
    pub cow: bool,
    /// Through this mm a pin was taken, and the page looks pinned.
    pub pinned: bool,
    pub mapcount: u32,
}

/// What is done about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WpVerdict {
    Wp,
    Skip,
    Refuse,
}

/// K16. Does clear_refs write-protect a pte whose page is pinned? A PMD it always does.
///
/// Source: fs/proc/task_mmu.c `pte_is_pinned`, `clear_soft_dirty` (5.11), `clear_soft_dirty_pmd`.
pub fn decide_clear_refs(knob: ClearRefsPinned, pte: &WpFacts) -> WpVerdict {
    let skip = match knob {
        ClearRefsPinned::Wp => false,
        ClearRefsPinned::Skip => pte.writable && pte.cow && pte.pinned,
        ClearRefsPinned::SkipMapcount1 => pte.cow && pte.pinned && pte.mapcount == 1,
    };
    if skip && !pte.pmd { WpVerdict::Skip } else { WpVerdict::Wp }
}

/// K17. Which way does clear_refs hold mmap_lock: for writing?
///
/// Source: fs/proc/task_mmu.c `clear_refs_write` (5.11).
pub fn decide_clear_refs_lock(knob: ClearRefsLock) -> bool {
    match knob {
        ClearRefsLock::MmapLockRead => false,
        ClearRefsLock::MmapLockWrite => true,
    }
}

/// K18. Do mprotect and uffd-wp write-protect a pte whose page is pinned?
///
/// Source: no kernel asks; mm/mprotect.c `change_pte_range`. The other answers are the January mail's.
pub fn decide_wp_pinned(knob: WpPinned, pte: &WpFacts) -> WpVerdict {
    match knob {
        WpPinned::Skip if pte.writable && pte.cow && pte.pinned => WpVerdict::Skip,
        WpPinned::Refuse if pte.writable && pte.cow && pte.pinned => WpVerdict::Refuse,
        WpPinned::Wp | WpPinned::Skip | WpPinned::Refuse => WpVerdict::Wp,
    }
}

/// What is known of a pte whose protection was raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpgradeFacts {
    pub shared: bool,
    pub dirty: bool,
    /// Anonymous and marked exclusive.
    pub anon_exclusive: bool,
    /// It was raised by lifting uffd-wp, or after a NUMA hint, rather than by mprotect.
    pub unwp: bool,
    /// It is a PMD.
    pub pmd: bool,
}

/// K19. May a pte become writable without a fault? A PMD may from 6.2 on.
///
/// Source: mm/mprotect.c `can_change_pte_writable` (6.0, `can_change_private_pte_writable` since 6.2); mm/huge_memory.c
/// `can_change_pmd_writable` (6.2).
#[rustfmt::skip]
pub fn decide_upgrade(knob: ProtUpgrade, pte: &UpgradeFacts) -> bool {
    match (knob, pte.shared) {
        (ProtUpgrade::SharedDirtyOnly, true)  => pte.dirty && !pte.unwp,
        (ProtUpgrade::SharedDirtyOnly, false) => false,
        (ProtUpgrade::ExclDirty, true)        => pte.dirty && !pte.unwp,
        (ProtUpgrade::ExclDirty, false)       => pte.anon_exclusive && pte.dirty && !pte.unwp && !pte.pmd,
        (ProtUpgrade::Excl, true)             => pte.dirty,
        (ProtUpgrade::Excl, false)            => pte.anon_exclusive,
    }
}

fn wp_facts<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> WpFacts {
    let slot = cx.st.slot(proc, vpn);
    let page = slot.pte.target.pfn();
    WpFacts {
        writable: slot.pte.flags.contains(PteFlags::WRITE),
        pmd: slot.pte.flags.contains(PteFlags::PMD),
        cow: slot.vma.is_cow(),
        pinned: cx.st.mm(proc).has_pinned && page.is_some_and(|pfn| cx.st.folio(pfn).maybe_pinned()),
        mapcount: page.map_or(0, |pfn| cx.st.mapcount(pfn)),
    }
}

/// What K18 says of a page.
fn would_wp<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> WpVerdict {
    decide_wp_pinned(cx.policy.wp_pinned, &wp_facts(cx, proc, vpn))
}

/// Asks K18 about a page; recorded where the page is pinned.
pub(super) fn wp_verdict<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> WpVerdict {
    let (facts, knob, verdict) = (wp_facts(cx, proc, vpn), cx.policy.wp_pinned, would_wp(cx, proc, vpn));
    record(cx, proc, vpn, &facts, ("prot::decide_wp_pinned", "wp_pinned", knob.into(), verdict));
    verdict
}

fn record<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    proc: ProcId,
    vpn: Vpn,
    facts: &WpFacts,
    (rule, knob, value, verdict): (&'static str, &'static str, &'static str, WpVerdict),
) {
    if !facts.pinned {
        return;
    }
    let reason = match verdict {
        WpVerdict::Wp => "the pte is write-protected though its page is pinned",
        WpVerdict::Skip => "the page is pinned, so the pte stays writable",
        WpVerdict::Refuse => "the page is pinned, so the call is refused",
    };
    let operands = [("writable", facts.writable.into()), ("mapcount", facts.mapcount)];
    let target = cx.st.pte(proc, vpn).target;
    cx.decided(proc, vpn, target, Ruling { rule, knob, value, verdict: verdict.into(), reason, operands: &operands });
}

/// Whether some page of the range refuses to be write-protected; the first is recorded.
pub(super) fn any_refuses<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> bool {
    let area = cx.area();
    let refuses = area.pages().find(|vpn| would_wp(cx, area.proc, *vpn) == WpVerdict::Refuse);
    refuses.is_some_and(|vpn| wp_verdict(cx, area.proc, vpn) == WpVerdict::Refuse)
}

/// mprotect, page by page under mmap_lock held for writing.
///
/// Source: mm/mprotect.c `mprotect_fixup`, `change_pte_range`.
pub(super) fn mprotect<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, prot: Prot) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if cx.me().at == At::Start {
        if cx.st.mm(proc).mmap_lock != MmapLock::Read(0) {
            return Progress::Blocked;
        }
        if prot != Prot::Rw && any_refuses(cx) {
            return Progress::Failed(Failure::EBUSY);
        }
        cx.try_write_lock(proc);
        return cx.goto(At::Walk);
    }
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    if !map::is_mapped(cx.st, proc, vpn) {
        cx.write_unlock(proc);
        return Progress::Failed(Failure::ENOMEM);
    }
    let pages = change_protection(cx, proc, vpn, prot);
    cx.commit_pages(pages, Seen::Nothing)
}

/// Changes the vma of the pages that one entry maps, and the entry; says how many they are.
fn change_protection<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, prot: Prot) -> u16 {
    let old = cx.st.slot(proc, vpn).vma.flags;
    let new = (old - (VmaFlags::READ | VmaFlags::WRITE)) | map::prot_flags(prot);
    if new == old {
        return 1; // mprotect_fixup has nothing to do.
    }
    let leaf = huge::leaf_here(cx);
    let pages = leaf.len() as u16;
    // Raising asks too: a private pte is write-protected there as well, before it may be upgraded.
    let keep_writable = wp_verdict(cx, proc, vpn) == WpVerdict::Skip;
    for page in leaf {
        cx.st.slot_mut(proc, Vpn(page)).vma.flags = new;
    }
    if let Target::Migration(pfn) = cx.st.pte(proc, vpn).target {
        protect_entry(cx, proc, vpn, pfn);
        return pages;
    }
    let pte = cx.st.pte(proc, vpn);
    if !pte.is_present() || keep_writable {
        return pages;
    }
    let protnone = if prot == Prot::None { PteFlags::PROTNONE } else { PteFlags::empty() };
    cx.set_flags(proc, vpn, (pte.flags - (PteFlags::WRITE | PteFlags::PROTNONE)) | protnone);
    if prot == Prot::Rw {
        upgrade(cx, proc, vpn, false);
    }
    pages
}

/// Makes a pte writable without a fault, where the policy and the trackers of stores let it.
pub(super) fn upgrade<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, unwp: bool) {
    let slot = *cx.st.slot(proc, vpn);
    let shared = slot.vma.flags.contains(VmaFlags::SHARED);
    let facts = UpgradeFacts {
        shared,
        dirty: slot.pte.flags.contains(PteFlags::DIRTY),
        anon_exclusive: slot.pte.target.pfn().is_some_and(|pfn| cx.st.folio(pfn).is_anon() && cx.st.is_exclusive(pfn)),
        unwp,
        pmd: slot.pte.flags.contains(PteFlags::PMD),
    };
    let soft_dirty_wants_fault = soft_dirty_wants_fault(&slot);
    let uffd_wants_fault = uffd::is_protected(&slot) && !cx.policy.defects.has(Defect::UpgradeIgnoresUffdWp);
    let fault_wanted = uffd_wants_fault || (soft_dirty_wants_fault && !cx.policy.defects.has(Defect::SoftDirtyUpgradeIgnored));
    // vm_page_prot of a shared mapping whose stores nobody tracks has the write bit: no upgrade is needed there.
    let by_page_prot = shared && !soft_dirty_wants_fault && slot.pte.target != Target::Zero;
    let private_huge = slot.vma.is_hugetlb() && !shared; // hugetlb_change_protection upgrades nothing.
    let may = slot.vma.flags.contains(VmaFlags::WRITE) && !fault_wanted && !private_huge;
    if may && (by_page_prot || upgrades(cx, proc, vpn, &facts)) {
        cx.set_flags(proc, vpn, slot.pte.flags | PteFlags::WRITE);
    }
}

/// A writable migration entry becomes one for reading, which may still say that its page is exclusive.
///
/// Source: mm/mprotect.c `change_pte_range`.
pub(super) fn protect_entry<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pfn: Pfn<B::Number>) {
    let anon = cx.st.folio(pfn).is_anon();
    let flags = cx.st.pte(proc, vpn).flags;
    if flags.contains(PteFlags::WRITE) {
        let kind = migrate::decide_entry(cx.policy.migr_excl, false, anon);
        cx.set_flags(proc, vpn, (flags - PteFlags::WRITE) | kind);
    }
}

fn soft_dirty_wants_fault<N: Number>(slot: &Slot<N>) -> bool {
    !slot.vma.flags.contains(VmaFlags::SOFTDIRTY) && !slot.pte.flags.contains(PteFlags::SOFT_DIRTY)
}

/// Whether uffd-wp or soft-dirty tracking is still to be told of the next store.
pub(super) fn wants_fault<N: Number>(slot: &Slot<N>) -> bool {
    uffd::is_protected(slot) || soft_dirty_wants_fault(slot)
}

/// Asks K19 about a page; recorded where there is one.
fn upgrades<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, facts: &UpgradeFacts) -> bool {
    let (target, knob) = (cx.st.pte(proc, vpn).target, cx.policy.prot_upgrade);
    let upgrades = decide_upgrade(knob, facts) || cx.policy.defects.has(Defect::UpgradeIgnoresExclusive);
    if target.pfn().is_some() {
        let (verdict, reason) = match upgrades {
            true => ("upgrade", "nothing is left for a write fault to decide"),
            false => ("leave", "a write fault is to decide"),
        };
        let operands =
            [("exclusive", facts.anon_exclusive.into()), ("dirty", facts.dirty.into()), ("shared", facts.shared.into())];
        let (rule, knob, value) = ("prot::decide_upgrade", "prot_upgrade", knob.into());
        cx.decided(proc, vpn, target, Ruling { rule, knob, value, verdict, reason, operands: &operands });
    }
    upgrades
}

/// Writing 4 to /proc/PID/clear_refs: page by page over the whole address space.
///
/// Source: fs/proc/task_mmu.c `clear_refs_write`, `clear_refs_pte_range`.
pub(super) fn clear_refs<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.actor();
    let exclusively = decide_clear_refs_lock(cx.policy.clear_refs_lock);
    if cx.me().at == At::Start {
        let locked = if exclusively { cx.try_write_lock(proc) } else { cx.try_read_lock(proc) };
        return if locked { cx.goto(At::Walk) } else { Progress::Blocked };
    }
    let vpn = Vpn(cx.me().page);
    if vpn.idx() < cx.st.pages_per_mm() {
        if !cx.ptl_is_free(proc) {
            return Progress::Blocked;
        }
        cx.me_mut().page = cx.leaf(proc, vpn).end;
        clear_soft_dirty(cx, proc, vpn);
        return Progress::Moved;
    }
    if exclusively {
        cx.write_unlock(proc);
    } else {
        cx.read_unlock(proc);
    }
    cx.commit_whole()
}

fn clear_soft_dirty<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) {
    for page in cx.leaf(proc, vpn) {
        cx.st.slot_mut(proc, Vpn(page)).vma.flags.remove(VmaFlags::SOFTDIRTY);
    }
    let Pte { target, flags } = cx.st.pte(proc, vpn);
    let huge = cx.st.slot(proc, vpn).vma.is_hugetlb(); // clear_refs walks around them.
    if target == Target::None || huge {
        return;
    }
    let (facts, knob) = (wp_facts(cx, proc, vpn), cx.policy.clear_refs_pinned);
    let verdict = decide_clear_refs(knob, &facts);
    record(cx, proc, vpn, &facts, ("prot::decide_clear_refs", "clear_refs_pinned", knob.into(), verdict));
    if verdict == WpVerdict::Wp {
        let keep = cx.policy.defects.has(Defect::ClearRefsForgetsWp);
        // A migration entry keeps its kind: it comes back writable, and the next store goes unnoticed.
        let keep = keep || matches!(target, Target::Migration(_));
        let lost = if keep { PteFlags::empty() } else { PteFlags::WRITE };
        cx.set_flags(proc, vpn, flags - (lost | PteFlags::SOFT_DIRTY));
    }
}

/// Bit 55 of pagemap.
///
/// Source: fs/proc/task_mmu.c `pte_to_pagemap_entry`.
pub(super) fn soft_dirty<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if !cx.ptl_is_free(cx.proc()) {
        return Progress::Blocked;
    }
    let slot = cx.slot();
    let by_pte = slot.pte.flags.contains(PteFlags::SOFT_DIRTY) && !slot.vma.is_hugetlb();
    let bit = slot.vma.flags.contains(VmaFlags::SOFTDIRTY) || by_pte;
    cx.commit_page(Seen::Bit(bit))
}
