//! KSM: equal pages become one, which is copied again before anybody stores to it.

use super::wp::{PageFacts, Verdict, Why};
use super::{Cx, Progress, Ruling, exclusive, fault, huge, share, split, transient};
use crate::ir::{Area, Op};
use crate::observe::Seen;
use crate::policy::{Defect, KsmUnmergeFault, KsmUnmergeZero, KsmWp, ReuseKsm};
use crate::state::{At, Fault, FaultKind, FolioFlags, Grab, KsmAt, Pfn, Pte, PteFlags, Target, TaskFlags, VmaFlags};
use crate::trace::Sink;
use crate::types::{ProcId, Size, Vpn};

/// K6. May a write fault keep a merged page? One that is kept is merged no longer.
///
/// Source: mm/ksm.c `reuse_ksm_page` (5.1 to 5.8).
pub fn decide_reuse(knob: ReuseKsm, page: &PageFacts) -> Verdict {
    match knob {
        ReuseKsm::Ref1Frozen if page.refcount == 1 && page.mapcount == 1 && !page.locked => Verdict::Reuse(Why::LastRef),
        ReuseKsm::Ref1Frozen | ReuseKsm::Never => Verdict::Copy(Why::Merged),
    }
}

/// What is known of a page whose pte was cleared for merging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KsmFacts {
    pub refcount: u32,
    pub mapcount: u32,
    pub swapcached: bool,
    pub exclusive: bool,
    pub maybe_pinned: bool,
}

/// K25. May the page be write-protected for merging? Its references must be its mappings, the swap cache and ksmd.
///
/// Source: mm/ksm.c `write_protect_page`.
pub fn decide_protect(knob: KsmWp, page: &KsmFacts) -> bool {
    let known = page.mapcount + 1 + u32::from(page.swapcached) == page.refcount;
    match knob {
        KsmWp::Refcheck => known,
        KsmWp::RefcheckShare => known && !(page.exclusive && page.maybe_pinned),
    }
}

/// K26. Which fault gives a merged page back as a page of its own?
///
/// Source: mm/ksm.c `break_ksm` (6.2). A write fault that userfaultfd wants to see fails there with VM_FAULT_SIGBUS, which ends
/// the loop without an error (B29); so measured on 5.10.
pub fn decide_unmerge(knob: KsmUnmergeFault) -> FaultKind {
    match knob {
        KsmUnmergeFault::Write => FaultKind::Write,
        KsmUnmergeFault::Unshare => FaultKind::Unshare,
    }
}

/// D9. Is the pte of a zero page that ksmd places told from others, so that unmerging can give a page back?
///
/// Source: include/linux/ksm.h `is_ksm_zero_pte` (6.6): a pte of the zero page that is dirty.
pub fn decide_zero(knob: KsmUnmergeZero) -> bool {
    match knob {
        KsmUnmergeZero::Leave => false,
        KsmUnmergeZero::Unshare => true,
    }
}

/// The two pages that an instruction is at: the first's address, the second's.
fn pair<B: Size, S: Sink>(cx: &Cx<'_, B, S>, a: Area, b: Area) -> [(ProcId, Vpn); 2] {
    [a, b].map(|area| (area.proc, Vpn(area.start.0 + cx.me().page)))
}

/// The address of one of the two.
fn side<B: Size, S: Sink>(cx: &Cx<'_, B, S>, second: bool) -> (ProcId, Vpn) {
    let Op::KsmMerge { a, b } = cx.op() else { unreachable!("cowl bug: not a merge") };
    pair(cx, a, b)[usize::from(second)]
}

/// One step of `ksm_merge`, which also stands for the advice that makes the pages mergeable.
///
/// Source: mm/ksm.c `cmp_and_merge_page`, `try_to_merge_two_pages`, `try_to_merge_one_page`, `replace_page`.
pub(super) fn merge<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, a: Area, b: Area) -> Progress {
    match cx.me().at {
        At::Share(place, at) => share::step(cx, place, at),
        At::Ksm(KsmAt::Lock { second }) => lock(cx, second),
        At::Ksm(KsmAt::Merge { second }) => merge_side(cx, second),
        At::Ksm(KsmAt::Break) => break_second(cx),
        At::Ksm(KsmAt::Pick) => pick(cx),
        _ => {
            transient::drain_batch(cx);
            for area in [a, b] {
                huge::split_at_ends(cx, area);
            }
            for (proc, vpn) in pair(cx, a, b) {
                advise(cx, proc, vpn);
            }
            if let Some(large) = [false, true].into_iter().find_map(|second| large_candidate(cx, second)) {
                return split::begin(cx, large);
            }
            cx.goto(At::Ksm(KsmAt::Pick))
        }
    }
}

/// Lets ksmd merge a page, where its mapping is of private memory that is neither a driver's nor of the pool.
///
/// Source: mm/ksm.c `vma_ksm_compatible` (d7597f59d1d3; before, `ksm_madvise`).
pub(super) fn advise<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) {
    let vma = cx.st.slot(proc, vpn).vma;
    let drivers = vma.flags.contains(VmaFlags::PFNMAP) || cx.program.is_of_a_device(vma.cache_place());
    if vma.is_cow() && !drivers && !vma.is_hugetlb() {
        cx.st.slot_mut(proc, vpn).vma.flags.insert(VmaFlags::MERGEABLE);
    }
}

/// What one of the two maps, if ksmd cares for it: a small anonymous page in private memory.
fn candidate<B: Size, S: Sink>(cx: &Cx<'_, B, S>, second: bool) -> Option<Pfn<B::Number>> {
    let (proc, vpn) = side(cx, second);
    let slot = cx.st.slot(proc, vpn);
    let page = slot.pte.target.pfn().filter(|_| slot.vma.flags.contains(VmaFlags::MERGEABLE))?;
    let folio = cx.st.folio(page);
    (folio.is_anon() && !folio.is_large() && !folio.flags.intersects(FolioFlags::DEVICE | FolioFlags::HUGETLB)).then_some(page)
}

/// A page of a large folio that would be merged were it small: the folio is split first.
///
/// Source: mm/ksm.c `try_to_merge_one_page`.
fn large_candidate<B: Size, S: Sink>(cx: &Cx<'_, B, S>, second: bool) -> Option<Pfn<B::Number>> {
    let page_of = |second| {
        let (proc, vpn) = side(cx, second);
        cx.st.pte(proc, vpn).target.pfn()
    };
    let (page, other) = (page_of(second)?, page_of(!second)?);
    let (words, folio) = (cx.st.page(page).words, cx.st.folio(page));
    let wanted = page != other && (words == cx.st.page(other).words || words == B::Words::default());
    (wanted && folio.is_anon() && folio.is_large()).then_some(page)
}

/// What takes the place of a page: the zero page for zeros (`use_zero_pages` is on), else a merged one with the same contents.
fn replacement<B: Size, S: Sink>(cx: &Cx<'_, B, S>, second: bool) -> Option<Target<B::Number>> {
    let page = candidate(cx, second)?;
    let words = cx.st.page(page).words;
    if words == B::Words::default() {
        return Some(Target::Zero);
    }
    let other = candidate(cx, !second).filter(|other| *other != page && is_merged(cx, *other))?;
    (cx.st.page(other).words == words).then_some(Target::Page(other))
}

fn is_merged<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    cx.st.folio(page).flags.contains(FolioFlags::KSM)
}

/// Decides what is next: to replace one of them, to make the second a merged page, or nothing. ksmd comes to the second later,
/// finds the first equal, and keeps the one that it has just come to.
fn pick<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let by_page = |second| candidate(cx, second);
    let equal = match (by_page(false), by_page(true)) {
        (Some(a), Some(b)) => a != b && cx.st.page(a).words == cx.st.page(b).words && !is_merged(cx, a) && !is_merged(cx, b),
        _ => false,
    };
    let replaced = [false, true].into_iter().find(|second| {
        let unmerged = candidate(cx, *second).is_some_and(|page| !is_merged(cx, page));
        unmerged && replacement(cx, *second).is_some()
    });
    match replaced {
        Some(second) => cx.goto(At::Ksm(KsmAt::Lock { second })),
        None if equal => cx.goto(At::Ksm(KsmAt::Lock { second: true })),
        None => cx.commit_page(Seen::Nothing),
    }
}

/// Takes mmap_lock and the folio's lock, and clears the pte. What is read-only, clean and not exclusive, and in no
/// CPU's TLB, needs no clearing.
fn lock<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, second: bool) -> Progress {
    let (proc, vpn) = side(cx, second);
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    let Some(page) = candidate(cx, second).filter(|page| !cx.is_locked_by_another(*page)) else {
        return end(cx, second, false);
    };
    if !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    cx.st.get(page);
    let me = cx.me_mut();
    me.grab = (Target::Page(page), Grab::Get);
    me.flags.insert(TaskFlags::LOCKS_FOLIO);
    let flags = cx.st.pte(proc, vpn).flags;
    let flush_pending = 0 < cx.st.mm(proc).flush_pending;
    if flags.intersects(PteFlags::WRITE | PteFlags::DIRTY) || cx.st.is_exclusive(page) || flush_pending {
        return share::clear(cx, proc, vpn);
    }
    cx.goto(At::Ksm(KsmAt::Merge { second }))
}

/// Asks K25 about the page whose pte is clear; recorded.
pub(super) fn may_protect<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>) -> bool {
    let folio = cx.st.folio(page);
    let facts = KsmFacts {
        refcount: folio.ref_count(),
        mapcount: cx.st.mapcount(page),
        swapcached: cx.st.is_swapcached(page),
        exclusive: cx.me().seen.flags.contains(PteFlags::EXCLUSIVE),
        maybe_pinned: folio.maybe_pinned(),
    };
    let knob = cx.policy.ksm_wp;
    let may = decide_protect(knob, &facts);
    let (verdict, reason) = match may {
        true => ("protect", "nobody but page tables and the swap cache holds it"),
        false => ("keep", "others have references"),
    };
    let operands = [
        ("refcount", facts.refcount),
        ("mapcount", facts.mapcount),
        ("swapcached", facts.swapcached.into()),
        ("exclusive", facts.exclusive.into()),
    ];
    let (rule, value) = ("ksm::decide_protect", knob.into());
    let ruling = Ruling { rule, knob: "ksm_wp", value, verdict, reason, operands: &operands };
    cx.decided(proc, vpn, Target::Page(page), ruling);
    may
}

/// The pte as it is while its page is looked at: read-only and clean. And what comes next.
pub(super) fn protected<B: Size, S: Sink>(
    cx: &Cx<'_, B, S>,
    proc: ProcId,
    vpn: Vpn,
    seen: Pte<B::Number>,
) -> (Pte<B::Number>, At) {
    let second = side(cx, true) == (proc, vpn);
    let flags = seen.flags - (PteFlags::WRITE | PteFlags::DIRTY | PteFlags::EXCLUSIVE);
    (Pte { flags, ..seen }, At::Ksm(KsmAt::Merge { second }))
}

/// The page may not be protected, and is not merged.
pub(super) fn give_up<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> Progress {
    // By its address: both may map one page.
    let second = side(cx, true) == (proc, vpn);
    end(cx, second, false)
}

/// Maps the merged page in place of this one, or makes this one a merged page.
fn merge_side<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, second: bool) -> Progress {
    let ((proc, vpn), page) = (side(cx, second), cx.isolated());
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    let pte = cx.st.pte(proc, vpn);
    let same = pte.target == Target::Page(page) && !pte.flags.contains(PteFlags::WRITE);
    match replacement(cx, second) {
        Some(target) if same => {
            replace(cx, proc, vpn, page, target);
            end(cx, second, true)
        }
        None if same && second => {
            cx.st.folio_mut(page).flags.insert(FolioFlags::KSM | FolioFlags::DIRTY);
            if exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::Shared) == exclusive::Change::Clear {
                cx.st.set_exclusive(page, false); // A derived bit stayed when the pte was cleared.
            }
            let writable = cx.policy.defects.has(Defect::KsmLeavesWritable);
            cx.st.slot_mut(proc, vpn).pte.flags.set(PteFlags::WRITE, writable);
            end(cx, second, true)
        }
        _ => end(cx, second, false),
    }
}

/// The new pte is made from the vma alone: what uffd-wp and soft-dirty tracking had in the old one is gone. It is clean, unless
/// that is how the zero page is told from others.
fn replace<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>, target: Target<B::Number>) {
    if let Target::Page(merged) = target {
        cx.st.get(merged);
        cx.st.add_rmap_pte(proc, merged);
    }
    let told_apart = target == Target::Zero && decide_zero(cx.policy.ksm_unmerge_zero);
    let slot = cx.st.slot_mut(proc, vpn);
    slot.pte = Pte { target, flags: fault::read_flags(&slot.vma) };
    slot.pte.flags.set(PteFlags::DIRTY, told_apart);
    cx.st.remove_rmap_pte(proc, page);
    super::swap::drop_unmapped(cx, page);
    cx.st.put(page);
}

/// Gives the locks back. After success the other one is looked at.
fn end<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, second: bool, merged: bool) -> Progress {
    let (target, _) = std::mem::take(&mut cx.me_mut().grab);
    cx.me_mut().flags.remove(TaskFlags::LOCKS_FOLIO);
    if let Target::Page(page) = target {
        cx.st.put(page);
    }
    let (proc, _) = side(cx, second);
    cx.read_unlock(proc);
    cx.goto(At::Ksm(if merged { KsmAt::Pick } else { KsmAt::Break }))
}

/// Without a partner the second is given back, if nobody else has it merged.
///
/// Source: mm/ksm.c `break_cow`.
fn break_second<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = candidate(cx, true).filter(|page| is_merged(cx, *page) && cx.st.mapcount(*page) == 1);
    if page.is_some() {
        return unmerge(cx);
    }
    given_back(cx)
}

/// Gives merged pages back, page by page: `ksm_unmerge`, and MADV_UNMERGEABLE, which the kernel serves under mmap_lock held for
/// writing; no other thread can tell.
///
/// Source: mm/ksm.c `unmerge_ksm_pages`, `break_ksm`.
pub(super) fn unmerge<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let advised = matches!(cx.op(), Op::Madvise { .. });
    if advised {
        huge::split_at_ends(cx, cx.area());
    }
    let slot = cx.slot();
    let asked = !advised || slot.vma.flags.contains(VmaFlags::MERGEABLE);
    let placed = match slot.pte.target {
        Target::Page(page) => is_merged(cx, page),
        Target::Zero => slot.pte.flags.contains(PteFlags::DIRTY),
        Target::None | Target::Special(_) | Target::Swap(_) | Target::Migration(_) | Target::Guard => false,
    };
    if asked && placed {
        cx.me_mut().flags.insert(TaskFlags::FORCED);
        return cx.fault_at(Fault::Start(decide_unmerge(cx.policy.ksm_unmerge_fault)));
    }
    given_back(cx)
}

/// The fault that was to give a page back would have to wait for userfaultfd: it is given up, and the page stays merged. Only
/// the write faults of K26 get that far.
pub(super) fn leave_merged<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    cx.me_mut().fault = Fault::None;
    given_back(cx)
}

fn given_back<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if matches!(cx.op(), Op::Madvise { .. }) && !cx.slot().vma.is_hugetlb() {
        cx.slot_mut().vma.flags.remove(VmaFlags::MERGEABLE);
    }
    if cx.me().at == At::Ksm(KsmAt::Break) {
        let proc = cx.proc(); // The second page's, which the end of the instruction does not know.
        cx.read_unlock(proc);
    }
    cx.commit_page(Seen::Nothing)
}
