//! fork: copying page tables, page by page, under write_protect_seq.

use super::{Cx, Progress, Ruling, exclusive, fault, huge, hugetlb, uffd, zap};
use crate::policy::{Defect, ForkPinnedPte, ForkSeq, Policy};
use crate::state::{At, ForkAt, Grab, Pfn, Pte, PteFlags, Slot, Target, Task, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, Vpn};

/// What a decision about a page is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForkFacts {
    /// Anonymous, or taken for it.
    pub anon: bool,
    /// Some pin was taken through this mm, ever: MMF_HAS_PINNED.
    pub has_pinned: bool,
    pub maybe_pinned: bool,
    pub exclusive: bool,
}

/// K11. Must fork copy an anonymous page at once (no other), because sharing it would take it from whoever pinned it?
///
/// Source: mm/memory.c `copy_present_page`, `page_needs_cow_for_dma` (5.9); include/linux/rmap.h
/// `folio_try_dup_anon_rmap_pte` (5.19: only exclusive pages can be pinned by this mm).
#[rustfmt::skip]
pub fn decide_pinned(knob: ForkPinnedPte, page: &ForkFacts) -> bool {
    match knob {
        ForkPinnedPte::Share            => false,
        ForkPinnedPte::CopyIfPinned     => page.anon && page.has_pinned && page.maybe_pinned,
        ForkPinnedPte::CopyIfExclPinned => page.anon && page.exclusive && page.has_pinned && page.maybe_pinned,
    }
}

/// K14. Does fork's write_protect_seq tell lockless pinning of such a page that it runs?
///
/// Source: mm/memory.c `copy_page_range` (5.11), mm/hugetlb.c `copy_hugetlb_page_range` (5.19).
pub fn decide_seq(knob: ForkSeq, hugetlb: bool) -> bool {
    match knob {
        ForkSeq::Off => false,
        ForkSeq::On => !hugetlb,
        ForkSeq::OnHugetlb => true,
    }
}

/// One step of fork.
///
/// Source: kernel/fork.c `dup_mmap` (mm/mmap.c since 6.17); mm/memory.c `copy_page_range`, `copy_present_ptes`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, child: ProcId) -> Progress {
    let parent = cx.actor();
    let at = cx.me().at;
    match at {
        At::Fork(vpn, _) if vpn.idx() == cx.st.pages_per_mm() => finish(cx, parent, child),
        At::Fork(vpn, at) => {
            let pair = Pair { parent, child, vpn };
            match at {
                ForkAt::Decide => decide(cx, pair),
                ForkAt::Dup => dup(cx, pair),
                ForkAt::Wrprotect => wrprotect(cx, pair),
                ForkAt::Install => install(cx, pair),
                ForkAt::Alloc => alloc(cx, pair),
                ForkAt::Copy => copy(cx, pair),
            }
        }
        _ if !cx.try_write_lock(parent) => Progress::Blocked,
        _ => {
            announce(cx, parent);
            go_to(cx, parent, Vpn(0))
        }
    }
}

/// Whether the parent's pte is write-protected before it is known whether the page will be shared, and made writable again
/// where it is to be copied. No barrier stood between that store and the look for pins: a lockless walk may have seen neither.
///
/// Source: mm/memory.c `copy_present_page` (70e806e4e645, until f3c64eda3e50, both before 5.9).
fn protects_first(policy: &Policy) -> bool {
    policy.defects.has(Defect::B7)
}

/// Whether a lockless walk that reads this pte of a process again may still see it as it was, writable: see [`protects_first`].
pub(super) fn hides_protection<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId, vpn: Vpn, seen: Pte<B::Number>) -> bool {
    let protected = Pte { flags: seen.flags - PteFlags::WRITE, ..seen };
    let shares = |at: ForkAt| matches!(at, ForkAt::Dup | ForkAt::Wrprotect | ForkAt::Install);
    let under_way = |task: &Task<B::Number>| matches!(task.at, At::Fork(page, at) if page == vpn && shares(at));
    protects_first(cx.policy)
        && cx.st.pte(proc, vpn) == protected
        && cx.st.mm(proc).ptl.is_some_and(|holder| under_way(cx.st.task(holder)))
}

/// A page of the parent and where it goes.
#[derive(Clone, Copy)]
struct Pair {
    parent: ProcId,
    child: ProcId,
    vpn: Vpn,
}

impl Pair {
    fn at(self, at: ForkAt) -> At {
        At::Fork(self.vpn, at)
    }
}

/// On to the first page from here on that is mapped: fork goes from vma to vma, and none can come or go under its lock.
fn go_to<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, parent: ProcId, from: Vpn) -> Progress {
    let end = cx.st.pages_per_mm();
    let is_mapped = |vpn: &usize| cx.st.slot(parent, Vpn::at(*vpn)).vma.flags.contains(VmaFlags::MAPPED);
    let vpn = (from.idx()..end).find(is_mapped).unwrap_or(end);
    cx.goto(At::Fork(Vpn::at(vpn), ForkAt::Decide))
}

fn announce<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, parent: ProcId) {
    if decide_seq(cx.policy.fork_seq, false) {
        let mm = cx.st.mm_mut(parent);
        mm.write_protect_seq = mm.write_protect_seq.wrapping_add(1);
    }
}

fn finish<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, parent: ProcId, child: ProcId) -> Progress {
    announce(cx, parent);
    cx.write_unlock(parent);
    cx.st.mm_mut(child).alive = true;
    cx.commit_whole()
}

/// Copies what the vma says; then goes the way that the pte asks for, skipping pages with nothing to copy.
fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, mut pair: Pair) -> Progress {
    // Under the lock, for a mover may have cleared a pte that it will set again.
    if !cx.ptl_is_free(pair.parent) {
        return Progress::Blocked;
    }
    while pair.vpn.idx() < cx.st.pages_per_mm() && copy_without_page(cx, pair) {
        pair.vpn = Vpn(pair.vpn.0 + 1);
    }
    if pair.vpn.idx() == cx.st.pages_per_mm() {
        return cx.goto(pair.at(ForkAt::Decide));
    }
    cx.try_lock_ptl(pair.parent);
    let copies = must_copy(cx, pair);
    if protects_first(cx.policy) && !copies {
        cx.st.slot_mut(pair.parent, pair.vpn).pte.flags.remove(PteFlags::WRITE);
    }
    let by_pmd = cx.st.pte(pair.parent, pair.vpn).flags.contains(PteFlags::PMD);
    if by_pmd && !huge::fork_splits(cx, pair.parent, pair.vpn, copies) {
        return cx.goto(pair.at(ForkAt::Dup));
    }
    if by_pmd {
        huge::split_pmd(cx, pair.parent, pair.vpn);
        cx.unlock_ptl(pair.parent);
        return cx.goto(pair.at(ForkAt::Decide));
    }
    if copies {
        cx.unlock_ptl(pair.parent);
        cx.goto(pair.at(ForkAt::Alloc))
    } else {
        cx.goto(pair.at(ForkAt::Dup))
    }
}

/// Copies the vma's word on a page, and its pte where that takes no page of its own. Whether nothing is left to do.
fn copy_without_page<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> bool {
    let Slot { pte, vma } = *cx.st.slot(pair.parent, pair.vpn);
    if !vma.flags.contains(VmaFlags::MAPPED) || vma.flags.contains(VmaFlags::DONTCOPY) {
        return true;
    }
    let wiped = vma.flags.contains(VmaFlags::WIPEONFORK) && !cx.policy.defects.has(Defect::ForkIgnoresWipe);
    let lost = if wiped { VmaFlags::ANON_VMA } else { VmaFlags::empty() };
    let child = cx.st.slot_mut(pair.child, pair.vpn);
    *child = Slot { vma: Vma { flags: child_vma(vma).flags - lost, ..vma }, ..Slot::default() };
    // Without an anonymous page, all is found in the page cache again, or is zero: `vma_needs_copy`.
    let needs_copy = vma.flags.contains(VmaFlags::PFNMAP) || (vma.is_cow() && vma.flags.contains(VmaFlags::ANON_VMA));
    // Guarding gives shared memory an `anon_vma`, too. Its pages are found again by faults, its guards are not.
    let needs_copy = needs_copy || pte.target == Target::Guard;
    if wiped || !needs_copy {
        return true;
    }
    match pte.target {
        Target::Page(_) => false,
        Target::Zero | Target::Special(_) => {
            child.pte = Pte { flags: child_flags(pte.flags), ..pte };
            true
        }
        Target::Swap(entry) => {
            dup_swap_entry(cx, pair, entry.get() as usize);
            true
        }
        Target::Migration(pfn) => {
            dup_migration_entry(cx, pair, pfn);
            true
        }
        Target::Guard => {
            child.pte = pte;
            true
        }
        Target::None => true,
    }
}

/// Both have a swap entry from now on, and neither is marked exclusive.
///
/// Source: mm/memory.c `copy_nonpresent_pte`.
fn dup_swap_entry<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair, entry: usize) {
    cx.st.dup_swap(entry);
    let keep = cx.policy.defects.has(Defect::ForkKeepsSwapMarker);
    let parent = &mut cx.st.slot_mut(pair.parent, pair.vpn).pte;
    let target = parent.target;
    if !keep {
        parent.flags.remove(PteFlags::EXCLUSIVE);
    }
    let flags = parent.flags - PteFlags::UFFD_WP;
    cx.st.slot_mut(pair.child, pair.vpn).pte = Pte { target, flags };
}

/// Both have a migration entry from now on, and neither may write or is marked exclusive. Pins are not looked at: with an
/// exclusive bit, a pinned page cannot stand behind such an entry.
///
/// Source: mm/memory.c `copy_nonpresent_pte`.
fn dup_migration_entry<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair, pfn: Pfn<B::Number>) {
    if exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::Shared) == exclusive::Change::Clear {
        cx.st.set_exclusive(pfn, false);
    }
    let keep = cx.policy.defects.has(Defect::ForkKeepsMigrationKind);
    let parent = &mut cx.st.slot_mut(pair.parent, pair.vpn).pte;
    let target = parent.target;
    if !keep {
        parent.flags.remove(PteFlags::WRITE | PteFlags::EXCLUSIVE);
    }
    let flags = parent.flags - PteFlags::UFFD_WP;
    cx.st.slot_mut(pair.child, pair.vpn).pte = Pte { target, flags };
}

/// userfaultfd registrations stay with the parent: no scenario asks for fork events.
fn child_vma<N: Number>(parent: Vma<N>) -> Vma<N> {
    // What a mapping of the pool reserves, or was robbed of, is its own.
    let own = if parent.is_hugetlb() { VmaFlags::RESERVED | VmaFlags::MERGEABLE } else { VmaFlags::RESERVED };
    Vma { flags: parent.flags - (uffd::MODES | own), ..parent }
}

fn child_flags(parent: PteFlags) -> PteFlags {
    parent - (PteFlags::WRITE | PteFlags::YOUNG | PteFlags::UFFD_WP)
}

fn page_of<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pair: Pair) -> Pfn<B::Number> {
    cx.st.pte(pair.parent, pair.vpn).target.pfn().expect("cowl bug: the pte changed under the page-table lock")
}

fn must_copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> bool {
    let pfn = page_of(cx, pair);
    if cx.st.slot(pair.parent, pair.vpn).vma.is_hugetlb() {
        return hugetlb::must_copy_at_fork(cx, pair.parent, pair.vpn, pfn);
    }
    let facts = ForkFacts {
        anon: cx.st.folio(pfn).is_anon() || cx.policy.defects.has(Defect::B35),
        has_pinned: cx.st.mm(pair.parent).has_pinned,
        maybe_pinned: cx.st.folio(pfn).maybe_pinned(),
        exclusive: cx.st.is_exclusive(pfn),
    };
    let knob = cx.policy.fork_pinned_pte;
    let copy = decide_pinned(knob, &facts) && !cx.policy.defects.has(Defect::ForkSkipsPinCheck);
    let (verdict, reason) = match (copy, facts.maybe_pinned) {
        (true, _) => ("copy", "the parent has pinned it"),
        (false, true) => ("share", "its pins are not looked at"),
        (false, false) => ("share", "nobody has pinned it"),
    };
    let operands = [
        ("anon", facts.anon.into()),
        ("has_pinned", facts.has_pinned.into()),
        ("pincount", cx.st.folio(pfn).pincount.get()),
        ("exclusive", facts.exclusive.into()),
    ];
    let ruling = Ruling {
        rule: "fork::decide_pinned",
        knob: "fork_pinned_pte",
        value: knob.into(),
        verdict,
        reason,
        operands: &operands,
    };
    cx.decided(pair.parent, pair.vpn, Target::Page(pfn), ruling);
    copy
}

/// The page gets a second mapping: first the mark goes, then the counts come.
fn dup<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> Progress {
    let pfn = page_of(cx, pair);
    let change = exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::Shared);
    if change == exclusive::Change::Clear && !cx.policy.defects.has(Defect::ForkKeepsExclusive) {
        cx.st.set_exclusive(pfn, false);
    }
    if !cx.policy.defects.has(Defect::ForkForgetsReference) {
        cx.st.get(pfn);
    }
    let by_pmd = cx.st.pte(pair.parent, pair.vpn).flags.contains(PteFlags::PMD);
    if by_pmd {
        cx.st.add_rmap_pmd(pair.child, pfn);
    }
    if !by_pmd && !cx.policy.defects.has(Defect::ForkForgetsMapcount) {
        cx.st.add_rmap_pte(pair.child, pfn);
    }
    if cx.st.folio(pfn).is_large() && cx.policy.defects.has(Defect::ForkForgetsOwner) {
        cx.st.large_mut(pfn).maybe_shared = false;
    }
    cx.goto(pair.at(ForkAt::Wrprotect))
}

fn wrprotect<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> Progress {
    if !cx.policy.defects.has(Defect::ForkLeavesParentWritable) {
        let flags = cx.st.pte(pair.parent, pair.vpn).flags - PteFlags::WRITE;
        cx.set_flags(pair.parent, pair.vpn, flags);
    }
    cx.goto(pair.at(ForkAt::Install))
}

fn install<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> Progress {
    let kept = if cx.policy.defects.has(Defect::ForkLeavesChildWritable) { PteFlags::WRITE } else { PteFlags::empty() };
    let pages = cx.leaf(pair.parent, pair.vpn);
    for vpn in pages.clone().map(Vpn) {
        let Slot { pte, vma } = *cx.st.slot(pair.parent, vpn);
        let pte = Pte { flags: child_flags(pte.flags) | kept, ..pte };
        *cx.st.slot_mut(pair.child, vpn) = Slot { pte, vma: child_vma(vma) };
    }
    cx.unlock_ptl(pair.parent);
    go_to(cx, pair.parent, Vpn(pair.vpn.0 + pages.len() as u16))
}

fn alloc<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> Progress {
    let new = if cx.st.slot(pair.parent, pair.vpn).vma.is_hugetlb() {
        match hugetlb::alloc_for_fork(cx) {
            Ok(new) => new,
            Err(hugetlb::Lack::Pool) => return give_up(cx, pair),
            Err(hugetlb::Lack::Frames) => return Progress::Exhausted("page frames"),
        }
    } else {
        match cx.alloc(0) {
            Ok(new) => new,
            Err(_) => return Progress::Exhausted("page frames"),
        }
    };
    cx.me_mut().grab = (Target::Page(new), Grab::Get);
    cx.goto(pair.at(ForkAt::Copy))
}

/// fork fails for want of memory: what the child has so far goes.
///
/// Source: kernel/fork.c `dup_mmap`, `copy_mm`.
fn give_up<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> Progress {
    for vpn in (0..cx.st.pages_per_mm()).map(Vpn::at) {
        zap::zap_slot(cx, pair.child, vpn);
    }
    announce(cx, pair.parent);
    cx.write_unlock(pair.parent);
    Progress::Failed(Failure::ENOMEM)
}

/// The same pte is looked at again, since the lock was dropped; then the copy is made and mapped. The parent's pte stays.
fn copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pair: Pair) -> Progress {
    if !cx.try_lock_ptl(pair.parent) {
        return Progress::Blocked;
    }
    let (Target::Page(new), _) = std::mem::take(&mut cx.me_mut().grab) else { unreachable!("cowl bug: no page was allocated") };
    if !cx.st.pte(pair.parent, pair.vpn).is_present() || !must_copy(cx, pair) {
        cx.st.put(new);
        cx.unlock_ptl(pair.parent);
        return cx.goto(pair.at(ForkAt::Decide));
    }
    let old = page_of(cx, pair);
    if !cx.policy.defects.has(Defect::EarlyCopyForgetsContents) {
        cx.st.page_mut(new).words = cx.st.page(old).words;
    }
    cx.copied(pair.parent, pair.vpn, old, new, "copy_present_page");
    fault::map_new_anon(cx, pair.child, new);
    let vma = cx.st.slot(pair.child, pair.vpn).vma;
    cx.st.slot_mut(pair.child, pair.vpn).pte = Pte { target: Target::Page(new), flags: fault::written_flags(&vma) };
    let parent = &mut cx.st.slot_mut(pair.parent, pair.vpn).pte.flags;
    if cx.policy.defects.has(Defect::EarlyCopyWrprotectsParent) {
        parent.remove(PteFlags::WRITE);
    }
    cx.unlock_ptl(pair.parent);
    go_to(cx, pair.parent, Vpn(pair.vpn.0 + 1))
}
