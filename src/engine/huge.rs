//! PMDs: entries that map a whole THP, or the huge zero page, and the ptes that they become.

use std::ops::Range;

use super::{Cx, Progress, Ruling, fault, file, migrate, wp};
use crate::ir::Area;
use crate::observe::Seen;
use crate::policy::{Defect, ForkPinnedPmd, HugeZeroWrite, Policy, ReusePmd, ThpSplitBit};
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Target, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Number, ProcId, Size, Vpn};
use wp::Why;

/// What a decision about a PMD-mapped THP is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PmdFacts {
    /// As `folio_ref_count` gives it.
    pub refcount: u32,
    /// The highest count of its pages, of mappings and swap entries together.
    pub mapcount: u32,
    /// Its first page is marked, which stands for all while a PMD maps it.
    pub exclusive: bool,
}

/// What a write fault does with a PMD-mapped THP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PmdVerdict {
    Reuse(Why),
    /// The PMD becomes ptes, and the fault goes on with one of them.
    Split(Why),
    /// All pages are copied to another THP.
    CopyHuge(Why),
}

/// K3. A write fault on a write-protected PMD of a THP: keep the THP, or go on with less of it?
///
/// Source: mm/huge_memory.c `do_huge_pmd_wp_page`; up to 5.17 it asks mm/swapfile.c `reuse_swap_page`.
#[rustfmt::skip]
pub fn decide_pmd(knob: ReusePmd, thp: &PmdFacts) -> PmdVerdict {
    use {PmdVerdict::*, ReusePmd::*, Why::*};
    match (knob, thp.exclusive, thp.mapcount == 1, thp.refcount == 1) {
        (MapSwapCopyhuge | MapSwapSplit, _, true,  _)      => Reuse(LastMapping),
        (MapSwapCopyhuge, _, false, _)                     => CopyHuge(OtherMappings),
        (MapSwapSplit, _, false, _)                        => Split(OtherMappings),
        (Ref1, _, _, true)                                 => Reuse(LastRef),
        (Ref1, _, _, false)                                => Split(OtherRefs),
        (ExclOrRef1 | DerivedBit, true, _, _)              => Reuse(Exclusive),
        (ExclOrRef1 | DerivedBit, false, _, true)          => Reuse(LastRef),
        (ExclOrRef1 | DerivedBit, false, _, false)         => Split(OtherRefs),
    }
}

/// D1. Does a write to the huge zero page get a THP at once?
///
/// Source: mm/huge_memory.c `do_huge_zero_wp_pmd` (6.13); before, `do_huge_pmd_wp_page` split it.
pub fn decide_zero_write(knob: HugeZeroWrite) -> bool {
    match knob {
        HugeZeroWrite::Split => false,
        HugeZeroWrite::AllocThp => true,
    }
}

/// K12. Does fork split a PMD whose THP K11 would not let it share?
///
/// Source: mm/huge_memory.c `copy_huge_pmd` (5.9).
pub fn decide_fork(knob: ForkPinnedPmd, needs_copy: bool) -> bool {
    match knob {
        ForkPinnedPmd::Share => false,
        ForkPinnedPmd::SplitThenPte => needs_copy,
    }
}

/// K24. Are the pages of a THP marked exclusive when its PMD becomes ptes? `exclusive` is the mark of the first page.
///
/// Source: mm/huge_memory.c `__split_huge_pmd_locked` (5.19); the answer by refcount is the mail of December 2021's.
pub fn decide_split_bit(knob: ThpSplitBit, exclusive: bool, refcount: u32) -> bool {
    match knob {
        ThpSplitBit::NoBit => false,
        ThpSplitBit::Propagate => exclusive,
        ThpSplitBit::RecomputeFromRefcount => refcount == 1,
    }
}

/// Whether what is marked exclusive stays so when a PMD becomes ptes, references or not: else a writable pte may lack the mark.
pub fn marks_survive_splits(policy: &Policy) -> bool {
    decide_split_bit(policy.thp_split_bit, true, 2)
}

/// Pages from `page` of a range on that one entry with these flags maps.
pub fn mapped_at_once(area: Area, page: u16, flags: PteFlags, pmd_order: u8) -> u16 {
    if !flags.contains(PteFlags::PMD) {
        return 1;
    }
    let inside = (area.start.0 + page) % (1 << pmd_order);
    ((1 << pmd_order) - inside).min(area.len - page)
}

impl<B: Size, S: Sink> Cx<'_, B, S> {
    /// The pages that the PMD of a page covers, whatever is mapped there.
    pub(super) fn pmd_pages(&self, vpn: Vpn) -> Range<u16> {
        let pages = 1 << self.program.pmd_order;
        let start = vpn.0 - vpn.0 % pages;
        start..start + pages
    }

    /// The pages that the entry of a page maps: those of its PMD, or only itself.
    pub(super) fn leaf(&self, proc: ProcId, vpn: Vpn) -> Range<u16> {
        if self.st.pte(proc, vpn).flags.contains(PteFlags::PMD) { self.pmd_pages(vpn) } else { vpn.0..vpn.0 + 1 }
    }

    /// Sets the flags of a page's entry: of its pte, or of the PMD that maps it.
    pub(super) fn set_flags(&mut self, proc: ProcId, vpn: Vpn, flags: PteFlags) {
        if self.st.pte(proc, vpn).flags != flags {
            for page in self.leaf(proc, vpn) {
                self.st.slot_mut(proc, Vpn(page)).pte.flags = flags;
            }
        }
    }

    /// Sets an entry: a pte, or, as its flags say, the PMD of the page, which maps one page behind the other.
    pub(super) fn set_entry(&mut self, proc: ProcId, vpn: Vpn, pte: Pte<B::Number>) {
        let pages = if pte.flags.contains(PteFlags::PMD) { self.pmd_pages(vpn) } else { vpn.0..vpn.0 + 1 };
        for (nr, page) in pages.enumerate() {
            self.st.slot_mut(proc, Vpn(page)).pte = Pte { target: pte.target.behind(nr), ..pte };
        }
    }

    /// Adds flags to the entry of the page that the instruction is at.
    pub(super) fn add_flags(&mut self, flags: PteFlags) {
        let (proc, vpn) = (self.proc(), self.vpn());
        self.set_flags(proc, vpn, self.st.pte(proc, vpn).flags | flags);
    }
}

/// The pages of a page's entry; a PMD that is not inside `pages` as a whole becomes ptes first.
///
/// Source: mm/huge_memory.c `vma_adjust_trans_huge`; mm/memory.c `zap_pmd_range`; mm/mprotect.c `change_pmd_range`.
pub(super) fn leaf_within<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pages: Range<u16>) -> Range<u16> {
    let leaf = cx.leaf(proc, vpn);
    if pages.start <= leaf.start && leaf.end <= pages.end {
        return leaf;
    }
    split_pmd(cx, proc, vpn);
    vpn.0..vpn.0 + 1
}

/// As [`leaf_within`], for what is left of its range from the page on that the instruction is at: somebody may have mapped a PMD
/// over pages that it is done with.
pub(super) fn leaf_here<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Range<u16> {
    let (area, vpn) = (cx.area(), cx.vpn());
    leaf_within(cx, area.proc, vpn, vpn.0..area.start.0 + area.len)
}

/// Whether a PMD maps the page that the instruction is at, and the range has all of it.
pub(super) fn is_whole_here<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    let (area, vpn) = (cx.area(), cx.vpn());
    let leaf = cx.leaf(area.proc, vpn);
    1 < leaf.len() && area.start.0 <= leaf.start && leaf.end <= area.start.0 + area.len
}

/// No PMD reaches over an end of a range whose vma becomes one of its own.
pub(super) fn split_at_ends<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, area: Area) {
    let pages = area.start.0..area.start.0 + area.len;
    for vpn in [pages.start, pages.end - 1] {
        leaf_within(cx, area.proc, Vpn(vpn), pages.clone());
    }
}

/// The bits of the ptes that a PMD becomes.
pub(super) fn kept_flags<B: Size, S: Sink>(cx: &Cx<'_, B, S>, flags: PteFlags) -> PteFlags {
    flags - PteFlags::PMD - (migrate::lost_flags(cx) & PteFlags::DIRTY)
}

/// A PMD becomes ptes, under the page-table lock. The mappings of other processes stay as they are.
///
/// Source: mm/huge_memory.c `__split_huge_pmd_locked`, `__split_huge_zero_page_pmd`.
pub(super) fn split_pmd<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) {
    let (pages, pte) = (cx.leaf(proc, vpn), cx.st.pte(proc, vpn));
    if !pte.flags.contains(PteFlags::PMD) {
        return;
    }
    let Some(head) = pte.target.pfn().map(|pfn| cx.st.head(pfn)) else {
        // Of the huge zero page, or a migration entry: neither is counted as a mapping.
        let kept = if pte.is_present() { PteFlags::UFFD_WP } else { PteFlags::PMD.complement() };
        for page in pages {
            cx.st.slot_mut(proc, Vpn(page)).pte.flags = pte.flags & kept;
        }
        return;
    };
    let exclusive = splits_into_exclusive(cx, proc, vpn, head);
    if pte.flags.contains(PteFlags::DIRTY) {
        cx.st.folio_mut(head).flags.insert(FolioFlags::DIRTY);
    }
    let defects = cx.policy.defects;
    if !defects.has(Defect::SplitForgetsReferences) {
        cx.st.get_many(head, pages.len() as i32 - 1);
    }
    if !defects.has(Defect::SplitForgetsMapcount) {
        for pfn in cx.st.folio_pages(head) {
            cx.st.add_rmap_pte(proc, pfn);
        }
    }
    cx.st.remove_rmap_pmd(proc, head);
    for pfn in cx.st.folio_pages(head) {
        let marked = exclusive && (pfn == head || !defects.has(Defect::SplitMarksFirstPage));
        cx.st.set_exclusive(pfn, marked);
    }
    let added = if defects.has(Defect::SplitMapsWritable) { PteFlags::WRITE } else { PteFlags::empty() };
    let flags = kept_flags(cx, pte.flags) | added;
    for page in pages {
        cx.st.slot_mut(proc, Vpn(page)).pte.flags = flags;
    }
}

/// `split_pmd`: page by page, what a PMD maps comes to be mapped by ptes.
///
/// Source: mm/huge_memory.c `__split_huge_pmd`.
pub(super) fn split<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    split_pmd(cx, proc, vpn);
    cx.commit_page(Seen::Nothing)
}

/// Asks K24; recorded where there is a bit at all.
fn splits_into_exclusive<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, head: Pfn<B::Number>) -> bool {
    let (exclusive, refcount, knob) = (cx.st.is_exclusive(head), cx.st.folio(head).ref_count(), cx.policy.thp_split_bit);
    let marked = decide_split_bit(knob, exclusive, refcount);
    if super::has_exclusive_bit(cx.policy) {
        let (verdict, reason) = match (marked, exclusive) {
            (true, _) => ("mark", "each of its ptes maps an exclusive page"),
            (false, true) => ("clear", "the THP has other references, so none of its pages is marked"),
            (false, false) => ("clear", "the THP was not marked"),
        };
        let operands = [("exclusive", exclusive.into()), ("refcount", refcount)];
        let (rule, knob, value) = ("huge::decide_split_bit", "thp_split_bit", knob.into());
        let ruling = Ruling { rule, knob, value, verdict, reason, operands: &operands };
        cx.decided(proc, vpn, Target::Page(head), ruling);
    }
    marked
}

/// log2 of the pages that a fault on nothing may bring: the mapping's, where the aligned range is its own and empty.
///
/// Source: mm/memory.c `create_huge_pmd`, `alloc_anon_folio` (6.8).
pub(super) fn order_of_fault<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> u8 {
    let (proc, vpn, vma) = (cx.proc(), cx.vpn(), cx.slot().vma);
    let pages = 1 << vma.order;
    let start = vpn.idx() / pages * pages;
    // Whether there is an `anon_vma` parts no memory: it comes with the first anonymous page.
    let alike = |flags: VmaFlags| flags | VmaFlags::ANON_VMA;
    let place = |at: usize| vma.cache_place().map(|place| place + at - vpn.idx());
    let same = |at: usize, other: Vma<B::Number>| {
        (alike(other.flags), other.order, other.cache_place()) == (alike(vma.flags), vma.order, place(at))
    };
    let fits = start + pages <= cx.st.pages_per_mm()
        && (start..start + pages)
            .map(|page| (page, cx.st.slot(proc, Vpn::at(page))))
            .all(|(page, slot)| same(page, slot.vma) && slot.pte == Pte::default());
    if fits { vma.order } else { 0 }
}

/// A read fault where a PMD fits and is empty: the huge zero page.
///
/// Source: mm/huge_memory.c `do_huge_pmd_anonymous_page`, `set_huge_zero_folio`.
pub(super) fn map_zero<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn, flags) = (cx.proc(), cx.vpn(), fault::read_flags(&cx.slot().vma));
    for page in cx.pmd_pages(vpn) {
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte { target: Target::Zero, flags: flags | PteFlags::PMD };
    }
    fault::done(cx)
}

/// A zeroed large folio is there: maps it by a PMD or by ptes, unless somebody else mapped something meanwhile.
///
/// Source: mm/huge_memory.c `map_anon_folio_pmd`; mm/memory.c `do_anonymous_page`; mm/rmap.c `folio_add_new_anon_rmap`.
pub(super) fn install_anon<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, new: Pfn<B::Number>) -> Progress {
    let (proc, vpn, order) = (cx.proc(), cx.vpn(), cx.st.folio(new).order);
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked; // A copy of one of these pages may be between clearing its pte and setting it.
    }
    let start = vpn.0 >> order << order;
    let pages = start..start + (1 << order);
    let by_pmd = order == cx.program.pmd_order;
    let free = |pte: Pte<B::Number>| pte.is_none() || (by_pmd && is_huge_zero(pte));
    if !pages.clone().all(|page| free(cx.st.pte(proc, Vpn(page)))) {
        cx.st.put(new);
        return fault::done(cx);
    }
    file::share_anon_vma(cx, proc, pages.clone());
    cx.st.folio_mut(new).flags = FolioFlags::ANON | FolioFlags::DIRTY;
    let mut flags = fault::written_flags(&cx.slot().vma);
    if by_pmd {
        cx.st.add_rmap_pmd(proc, new);
        fault::mark_proven(cx, new);
        flags |= PteFlags::PMD;
    } else {
        cx.st.get_many(new, pages.len() as i32 - 1);
        for pfn in cx.st.folio_pages(new) {
            cx.st.add_rmap_pte(proc, pfn);
            fault::mark_proven(cx, pfn);
        }
    }
    for (page, pfn) in pages.zip(cx.st.folio_pages(new)) {
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte { target: Target::Page(pfn), flags };
    }
    fault::done(cx)
}

fn is_huge_zero<N: Copy + PartialEq>(pte: Pte<N>) -> bool {
    matches!(pte.target, Target::Zero) && pte.flags.contains(PteFlags::PMD)
}

/// A write or unshare fault on a write-protected PMD.
///
/// Source: mm/huge_memory.c `do_huge_pmd_wp_page`.
pub(super) fn wp<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    let (proc, vpn, pte) = (cx.proc(), cx.vpn(), cx.slot().pte);
    let Some(pfn) = pte.target.pfn() else { return write_zero(cx) };
    if !cx.st.folio(pfn).is_anon() {
        split_pmd(cx, proc, vpn);
        return Progress::Moved; // Of the file's THP the one page is copied.
    }
    if sums_apart(cx) && cx.try_lock_ptl(proc) {
        let ptes = cx.st.highest_users(pfn) - cx.st.large(pfn).entire_mapcount.get();
        return cx.fault_at(Fault::Summing { kind, ptes: B::Number::new(ptes) });
    }
    let facts = facts(cx, pfn);
    keep_or_copy(cx, kind, pfn, &facts)
}

/// Whether others may split their PMDs of a THP while its mapcounts are summed.
///
/// Source: mm/huge_memory.c `page_trans_huge_mapcount` (c444eb564fb1).
fn sums_apart<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    cx.policy.defects.has(Defect::B5)
}

/// The second half of the sum: the PMDs, beside what the ptes were before.
pub(super) fn sum<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, ptes: u32) -> Progress {
    let proc = cx.proc();
    cx.unlock_ptl(proc);
    let pfn = cx.slot().pte.target.pfn().expect("cowl bug: the PMD changed under the page-table lock");
    cx.me_mut().fault = Fault::Start(kind);
    let mapcount = ptes + cx.st.large(pfn).entire_mapcount.get();
    let facts = PmdFacts { mapcount, ..facts(cx, pfn) };
    keep_or_copy(cx, kind, pfn, &facts)
}

fn keep_or_copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, pfn: Pfn<B::Number>, facts: &PmdFacts) -> Progress {
    let (proc, vpn, pte) = (cx.proc(), cx.vpn(), cx.slot().pte);
    match decide(cx, pfn, facts) {
        PmdVerdict::Reuse(_) => {
            fault::mark_proven(cx, pfn);
            wp::reuse(cx, kind)
        }
        PmdVerdict::CopyHuge(_) => {
            cx.st.get(pfn);
            cx.fault_at(Fault::Copying { kind, seen: pte })
        }
        PmdVerdict::Split(_) => {
            split_pmd(cx, proc, vpn);
            Progress::Moved // The fault looks at the pte next.
        }
    }
}

/// A write to the huge zero page.
fn write_zero<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn, knob) = (cx.proc(), cx.vpn(), cx.policy.huge_zero_write);
    let whole = decide_zero_write(knob);
    let (verdict, reason) = match whole {
        true => ("allocate", "a THP takes its place"),
        false => ("split", "the PMD becomes ptes of the zero page, and one of them is written to"),
    };
    let (rule, knob, value) = ("huge::decide_zero_write", "huge_zero_write", knob.into());
    cx.decided(proc, vpn, Target::Zero, Ruling { rule, knob, value, verdict, reason, operands: &[] });
    if whole && let Ok(new) = cx.alloc(cx.program.pmd_order) {
        return cx.fault_at(Fault::InstallAnon { new });
    }
    split_pmd(cx, proc, vpn);
    Progress::Moved
}

fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>, facts: &PmdFacts) -> PmdVerdict {
    let knob = cx.policy.reuse_pmd;
    let verdict = decide_pmd(knob, facts);
    let (said, why) = match verdict {
        PmdVerdict::Reuse(why) => ("reuse", why),
        PmdVerdict::Split(why) => ("split", why),
        PmdVerdict::CopyHuge(why) => ("copy", why),
    };
    let operands = [("mapcount", facts.mapcount), ("refcount", facts.refcount), ("exclusive", facts.exclusive.into())];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let (rule, knob, value) = ("huge::decide_pmd", "reuse_pmd", knob.into());
    let ruling = Ruling { rule, knob, value, verdict: said, reason: why.into(), operands: &operands };
    cx.decided(proc, vpn, Target::Page(pfn), ruling);
    verdict
}

fn facts<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pfn: Pfn<B::Number>) -> PmdFacts {
    PmdFacts { refcount: cx.st.folio(pfn).ref_count(), mapcount: cx.st.highest_users(pfn), exclusive: cx.st.is_exclusive(pfn) }
}

/// Maps a copied THP and takes the mapping from the old one.
///
/// Source: mm/huge_memory.c `do_huge_pmd_wp_page` up to 5.7.
pub(super) fn install_copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, old: Pfn<B::Number>, new: Pfn<B::Number>) {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let pages = cx.pmd_pages(vpn);
    for (page, (from, to)) in pages.clone().zip(cx.st.folio_pages(old).zip(cx.st.folio_pages(new))) {
        cx.copied(proc, Vpn(page), from, to, "copy_user_huge_page");
    }
    cx.st.folio_mut(new).flags = FolioFlags::ANON | FolioFlags::DIRTY;
    cx.st.add_rmap_pmd(proc, new);
    fault::mark_proven(cx, new);
    let flags = match kind {
        FaultKind::Write => fault::written_flags(&cx.slot().vma),
        FaultKind::Read | FaultKind::Unshare => fault::read_flags(&cx.slot().vma),
    };
    for (page, pfn) in pages.zip(cx.st.folio_pages(new)) {
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte { target: Target::Page(pfn), flags: flags | PteFlags::PMD };
    }
    cx.st.remove_rmap_pmd(proc, old);
}

/// No frames for a THP: the PMD becomes ptes instead, and the fault looks again.
///
/// Source: mm/huge_memory.c `do_huge_pmd_wp_page_fallback` (until 5.7).
pub(super) fn give_up_copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, seen: Pte<B::Number>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    split_pmd(cx, proc, vpn);
    if let Target::Page(old) = seen.target {
        cx.st.put(old);
    }
    cx.fault_at(Fault::Start(kind))
}

/// fork at a PMD whose THP the parent may have pinned: whether it is split rather than shared.
pub(super) fn fork_splits<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, needs_copy: bool) -> bool {
    let (target, knob) = (cx.st.pte(proc, vpn).target, cx.policy.fork_pinned_pmd);
    let splits = decide_fork(knob, needs_copy);
    let (verdict, reason) = match (splits, needs_copy) {
        (true, _) => ("split", "the parent has pinned the THP, and a PMD cannot be copied in part"),
        (false, true) => ("share", "pins are not looked at here"),
        (false, false) => ("share", "nothing keeps it from being shared"),
    };
    let (rule, knob, value) = ("huge::decide_fork", "fork_pinned_pmd", knob.into());
    let operands = [("needs_copy", needs_copy.into())];
    cx.decided(proc, vpn, target, Ruling { rule, knob, value, verdict, reason, operands: &operands });
    splits
}
