//! hugetlb: pages of a pool, with reservations and an owner who may take them back. One frame stands for a whole huge page.

use super::fault::{self, written_flags};
use super::wp::{Verdict, Why};
use super::{Cx, Progress, Ruling, uffd};
use crate::policy::{Defect, ForkPinnedHugetlb, HugetlbForceWrite, ReuseHugetlb};
use crate::state::{FaultKind, FolioFlags, Pfn, Pte, PteFlags, Slot, State, Target, TaskFlags, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{ProcId, Size, Vpn};

/// What a decision about a huge page is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HugePageFacts {
    /// Anonymous; otherwise it is the file's.
    pub anon: bool,
    pub mapcount: u32,
}

/// K5. A write fault on a present, write-protected huge page: keep it? Nobody asks for references.
///
/// Source: mm/hugetlb.c, `hugetlb_wp` (`hugetlb_cow` before 6.0).
pub fn decide_reuse(knob: ReuseHugetlb, page: &HugePageFacts) -> bool {
    match knob {
        ReuseHugetlb::Mapcount1 | ReuseHugetlb::Mapcount1Excl => page.anon && page.mapcount == 1,
    }
}

/// K13. Must fork copy a huge page at once, because sharing it would take it from whoever pinned it?
///
/// Source: mm/hugetlb.c, `copy_hugetlb_page_range` (5.12).
pub fn decide_fork_pinned(knob: ForkPinnedHugetlb, pinned: bool) -> bool {
    match knob {
        ForkPinnedHugetlb::Share => false,
        ForkPinnedHugetlb::Copy => pinned,
    }
}

/// What FOLL_FORCE comes to on huge pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Force {
    /// The write fault makes the pte writable, whatever the mapping permits.
    Unsafe,
    /// GUP refuses.
    Refuse,
    /// As for small pages.
    AsSmall,
}

/// K32. May FOLL_FORCE write to a read-only private mapping of huge pages?
///
/// Source: mm/gup.c `check_vma_flags` (6.2), mm/hugetlb.c `hugetlb_wp`.
pub fn decide_force_write(knob: HugetlbForceWrite) -> Force {
    match knob {
        HugetlbForceWrite::AllowedUnsafe => Force::Unsafe,
        HugetlbForceWrite::Rejected => Force::Refuse,
        HugetlbForceWrite::ExclusiveOnly => Force::AsSmall,
    }
}

/// Huge pages that nobody has: the pool is empty for whom none of them is reserved.
struct Pool {
    free: usize,
    reserved: usize,
}

/// Why no huge page is to be had.
pub(super) enum Lack {
    /// The pool is empty, or what is left is reserved for others.
    Pool,
    /// The model's own bound: its page frames.
    Frames,
}

impl Pool {
    /// The pool as the state implies it; `size` is what the machine has, as many as there are frames where nothing is said.
    fn of<B: Size>(st: &State<B>, size: Option<u16>) -> Self {
        let used = st.folios().filter(|(_, folio)| !folio.is_free() && folio.flags.contains(FolioFlags::HUGETLB)).count();
        let size = size.map_or(usize::MAX / 2, usize::from);
        let private =
            st.slots().filter(|(_, _, slot)| slot.pte.is_none() && slot.vma.flags.contains(VmaFlags::RESERVED)).count();
        let of_file = |place: usize| {
            let shares = |slot: &Slot<_>| is_shared_huge(slot) && slot.vma.cache_place() == Some(place);
            st.slots().any(|(_, _, slot)| shares(slot))
        };
        let shared =
            st.cached().iter().enumerate().filter(|(place, cached)| **cached == Target::None && of_file(*place)).count();
        Self { free: size.saturating_sub(used), reserved: private + shared }
    }
}

fn is_shared_huge<N: crate::types::Number>(slot: &Slot<N>) -> bool {
    slot.vma.flags.contains(VmaFlags::HUGETLB | VmaFlags::SHARED)
}

/// Whether a mapping of `pages` more huge pages can be promised all of them.
///
/// Source: mm/hugetlb.c `hugetlb_reserve_pages`, `hugetlb_acct_memory`.
pub(super) fn can_reserve<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pages: usize) -> bool {
    let pool = Pool::of(cx.st, cx.program.system.hugetlb);
    pool.reserved + pages <= pool.free
}

/// Takes a zeroed huge page; one of those that are reserved only for whom they are.
///
/// Source: mm/hugetlb.c `alloc_hugetlb_folio`, `dequeue_hugetlb_folio_vma`.
pub(super) fn alloc<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, from_reserve: bool) -> Result<Pfn<B::Number>, Lack> {
    let pool = Pool::of(cx.st, cx.program.system.hugetlb);
    let there = if from_reserve { pool.free } else { pool.free.saturating_sub(pool.reserved) };
    if there == 0 {
        return Err(Lack::Pool);
    }
    let new = cx.alloc(0).map_err(|_| Lack::Frames)?;
    cx.st.folio_mut(new).flags.insert(FolioFlags::HUGETLB);
    Ok(new)
}

/// A page that is not there yet: the file's, or a new one. A private mapping gets a page of its own even by a read.
///
/// Source: mm/hugetlb.c `hugetlb_no_page`.
pub(super) fn fault_missing<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    let vma = cx.slot().vma;
    if vma.flags.contains(VmaFlags::ROBBED) {
        let failure = fault::bus_error(cx.op());
        return fault::fail(cx, failure);
    }
    let cached = vma.cache_place().is_some_and(|place| cx.st.cache(place).pfn().is_some());
    if let Some(event) = uffd::event_of(&vma, cached) {
        return fault::userfault(cx, event);
    }
    install_missing(cx, kind)
}

fn install_missing<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    let (proc, slot) = (cx.proc(), cx.slot());
    let (vma, shared) = (slot.vma, slot.vma.flags.contains(VmaFlags::SHARED));
    if let Some(pfn) = vma.cache_place().and_then(|place| cx.st.cache(place).pfn()) {
        cx.st.get(pfn);
        cx.st.add_rmap_pte(proc, pfn);
        let flags = if shared { written_flags(&vma) } else { fault::read_flags(&vma) };
        cx.slot_mut().pte = Pte { target: Target::Page(pfn), flags: uffd::with_marker(&slot, flags) };
        return fault::done(cx);
    }
    let new = match alloc(cx, shared || vma.flags.contains(VmaFlags::RESERVED)) {
        Ok(new) => new,
        Err(Lack::Frames) => return Progress::Exhausted("page frames"),
        Err(Lack::Pool) => {
            let failure = fault::bus_error(cx.op());
            return fault::fail(cx, failure);
        }
    };
    if let (true, Some(place)) = (shared, vma.cache_place()) {
        cx.st.set_cache(place, Target::Page(new));
        return install_missing(cx, kind);
    }
    fault::map_new_anon(cx, proc, new);
    let flags = if kind == FaultKind::Write { written_flags(&vma) } else { fault::read_flags(&vma) };
    cx.slot_mut().pte = Pte { target: Target::Page(new), flags: uffd::with_marker(&slot, flags) };
    fault::done(cx)
}

/// Keep or copy; recorded.
pub(super) fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>) -> Verdict {
    let facts = HugePageFacts { anon: cx.st.folio(pfn).is_anon(), mapcount: cx.st.mapcount(pfn) };
    let knob = cx.policy.reuse_hugetlb;
    let (verdict, said, why) = match decide_reuse(knob, &facts) {
        true => (Verdict::Reuse(Why::LastMapping), "reuse", Why::LastMapping),
        false => (Verdict::Copy(Why::OtherMappings), "copy", Why::OtherMappings),
    };
    let operands = [("mapcount", facts.mapcount), ("refcount", cx.st.folio(pfn).ref_count()), ("anon", facts.anon.into())];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let ruling = Ruling {
        rule: "hugetlb::decide_reuse",
        knob: "reuse_hugetlb",
        value: knob.into(),
        verdict: said,
        reason: why.into(),
        operands: &operands,
    };
    cx.decided(proc, vpn, Target::Page(pfn), ruling);
    verdict
}

/// Allocates for a copy. With the pool empty the owner of the reservation takes the page from all who only borrow it, and
/// the fault is taken again; others are killed.
///
/// Source: mm/hugetlb.c `hugetlb_wp`, `unmap_ref_private`.
pub(super) fn alloc_copy<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
) -> Result<Pfn<B::Number>, Progress> {
    match alloc(cx, false) {
        Ok(new) => return Ok(new),
        Err(Lack::Frames) => return Err(Progress::Exhausted("page frames")),
        Err(Lack::Pool) => {}
    }
    let Target::Page(old) = seen.target else { unreachable!("cowl bug: a huge page is copied from nothing") };
    let owner = cx.slot().vma.flags.contains(VmaFlags::RESERVED) && cx.st.folio(old).is_anon();
    if !owner || cx.policy.defects.has(Defect::HugetlbOwnerCannotSteal) {
        cx.st.put(old);
        let failure = fault::bus_error(cx.op());
        return Err(fault::fail(cx, failure));
    }
    let me = cx.proc();
    let maps = |slot: &Slot<B::Number>| slot.pte.target == Target::Page(old);
    let borrowed: Vec<(ProcId, Vpn)> =
        cx.st.slots().filter(|(proc, _, slot)| *proc != me && maps(slot)).map(|(proc, vpn, _)| (proc, vpn)).collect();
    for (proc, vpn) in borrowed {
        cx.st.slot_mut(proc, vpn).pte = Pte::default();
        cx.st.remove_rmap_pte(proc, old);
        cx.st.put(old);
        rob(cx, proc, vpn);
    }
    cx.st.put(old);
    Err(cx.fault_at(crate::state::Fault::Start(kind)))
}

/// Marks all of a mapping of which the owner took a page: a zeroed page in its place would look like lost data.
///
/// Source: mm/hugetlb.c `__unmap_hugepage_range`, `hugetlb_no_page` (04f2cbe35699).
fn rob<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) {
    let kept = |vma: Vma<B::Number>| vma.flags - (VmaFlags::ANON_VMA | VmaFlags::MERGEABLE);
    let of = kept(cx.st.slot(proc, vpn).vma);
    let alike = |cx: &Cx<'_, B, S>, at: u16| kept(cx.st.slot(proc, Vpn(at)).vma) == of;
    let (mut start, mut end) = (vpn.0, vpn.0 + 1);
    while 0 < start && alike(cx, start - 1) {
        start -= 1;
    }
    while end < cx.program.pages && alike(cx, end) {
        end += 1;
    }
    (start..end).for_each(|at| cx.st.slot_mut(proc, Vpn(at)).vma.flags.insert(VmaFlags::ROBBED));
}

/// Allocates for fork's early copy, which has no claim to what is reserved.
///
/// Source: mm/hugetlb.c `copy_hugetlb_page_range`.
pub(super) fn alloc_for_fork<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Result<Pfn<B::Number>, Lack> {
    alloc(cx, false)
}

/// Whether fork copies a huge page for the child at once; recorded.
pub(super) fn must_copy_at_fork<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pfn: Pfn<B::Number>) -> bool {
    let (has_pinned, pincount) = (cx.st.mm(proc).has_pinned, cx.st.folio(pfn).pincount);
    let pinned = has_pinned && cx.st.folio(pfn).maybe_pinned() && cx.st.folio(pfn).is_anon();
    let knob = cx.policy.fork_pinned_hugetlb;
    let copy = decide_fork_pinned(knob, pinned);
    let (verdict, reason) = match (copy, pinned) {
        (true, _) => ("copy", "the parent has pinned it"),
        (false, true) => ("share", "its pins are not looked at"),
        (false, false) => ("share", "nobody has pinned it"),
    };
    let operands = [("has_pinned", has_pinned.into()), ("pincount", crate::types::Number::get(pincount))];
    let ruling = Ruling {
        rule: "hugetlb::decide_fork_pinned",
        knob: "fork_pinned_hugetlb",
        value: knob.into(),
        verdict,
        reason,
        operands: &operands,
    };
    cx.decided(proc, vpn, Target::Page(pfn), ruling);
    copy
}

/// Whether the task may not force a write into huge pages.
pub(super) fn refuses_force<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    decide_force_write(cx.policy.hugetlb_force_write) == Force::Refuse
}

/// The bits that a write fault gives the pte of a huge page.
pub(super) fn flags_after_write<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> PteFlags {
    let forced = cx.me().flags.contains(TaskFlags::FORCED);
    let flags = written_flags(&cx.slot().vma);
    if forced && decide_force_write(cx.policy.hugetlb_force_write) == Force::Unsafe { flags | PteFlags::WRITE } else { flags }
}
