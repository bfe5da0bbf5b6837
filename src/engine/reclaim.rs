//! Reclaim: swapping anonymous pages out, dropping lazily freed ones. It tries, and leaves what it may not take.

use super::{Cx, Progress, Ruling, huge, lazyfree, share, split, swap, transient};
use crate::ir::Op;
use crate::observe::Seen;
use crate::policy::{Defect, SwapoutPinned};
use crate::state::{At, FolioFlags, Grab, Pfn, Pte, PteFlags, ReclaimAt, Target, TaskFlags, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, Vpn};

/// When reclaim asks for pins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before the page goes to the swap cache.
    Isolated,
    /// Its pte is clear, and it was exclusive or not.
    Unmapping { exclusive: bool },
}

/// K22. Does reclaim leave a page that may be pinned alone, at this stage?
///
/// Source: mm/vmscan.c `shrink_folio_list` (5.11); include/linux/rmap.h `folio_try_share_anon_rmap_pte` (5.19).
pub fn decide_pinned(knob: SwapoutPinned, stage: Stage, maybe_pinned: bool) -> bool {
    let asks = match knob {
        SwapoutPinned::LateRefcheck => false,
        SwapoutPinned::SkipIfMaybePinned => stage == Stage::Isolated,
        SwapoutPinned::UnmapFailsIfPinned => stage != Stage::Unmapping { exclusive: false },
    };
    asks && maybe_pinned
}

/// May a lazily freed page be dropped with its contents? Only if nobody stored to it since, and nobody else holds it.
///
/// Source: mm/rmap.c `try_to_unmap_one` (references since 6c8e2a256915, 5.18 and stable).
pub fn decide_discard(dirty: bool, refcount: u32, mapcount: u32) -> bool {
    !dirty && refcount == 1 + mapcount
}

/// One step of `pageout` or MADV_PAGEOUT.
///
/// Source: mm/vmscan.c `shrink_folio_list`, `pageout`, `__remove_mapping`; mm/madvise.c `madvise_cold_or_pageout_pte_range`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    match cx.me().at {
        At::Share(place, at) => share::step(cx, place, at),
        At::Reclaim(ReclaimAt::Lock) => lock(cx),
        At::Reclaim(ReclaimAt::Add) => add(cx),
        At::Reclaim(ReclaimAt::Unmap) => unmap(cx),
        At::Reclaim(ReclaimAt::Write) => write(cx),
        At::Reclaim(ReclaimAt::Written) => written(cx),
        At::Reclaim(ReclaimAt::Remove) => remove(cx),
        _ => isolate(cx),
    }
}

/// Takes the page off the LRU. What sits in an LRU-add batch is not on it yet, so the batch is drained first. A process that
/// asks leaves pages alone that others map (12e967fd8e4e, 5.6).
fn isolate<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let by_process = matches!(cx.op(), Op::Madvise { .. });
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || (by_process && !cx.try_read_lock(proc)) {
        return Progress::Blocked;
    }
    if by_process && refuses_advice(cx.slot().vma.flags) {
        cx.read_unlock(proc);
        return Progress::Failed(Failure::EINVAL);
    }
    transient::drain_batch(cx);
    let page = match cx.slot().pte.target {
        Target::Page(page) => page,
        Target::Swap(entry) => match cx.st.swap()[entry.get() as usize].cached.pfn() {
            Some(page) if !by_process && cx.st.folio_mapcount(page) == 0 => page,
            _ => return cx.commit_page(Seen::Nothing),
        },
        Target::None | Target::Zero | Target::Special(_) | Target::Migration(_) | Target::Guard => {
            return cx.commit_page(Seen::Nothing);
        }
    };
    let unmovable = cx.st.folio(page).flags.intersects(FolioFlags::DEVICE | FolioFlags::HUGETLB);
    // A file's THP stays whole: what split it would tell nobody anything.
    let unmovable = unmovable || (cx.st.folio(page).is_large() && !cx.st.folio(page).is_anon());
    if unmovable || (by_process && cx.st.mapcount(page) != 1) {
        return cx.commit_page(Seen::Nothing);
    }
    cx.st.get(page);
    cx.me_mut().grab = (Target::Page(page), Grab::Get);
    cx.goto(At::Reclaim(ReclaimAt::Lock))
}

/// Memory that is on no LRU list is not advised about.
///
/// Source: mm/madvise.c `can_madv_lru_vma`, `madvise_pageout` (5.4).
fn refuses_advice(vma: VmaFlags) -> bool {
    vma.intersects(VmaFlags::HUGETLB | VmaFlags::PFNMAP)
}

/// Locks the folio, unless somebody else has, and asks whether it may go at all.
fn lock<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    let flags = cx.st.folio(page).flags;
    if cx.is_locked_by_another(page) || flags.contains(FolioFlags::WRITEBACK) {
        return keep(cx);
    }
    cx.me_mut().flags.insert(TaskFlags::LOCKS_FOLIO);
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if leaves_pinned(cx, proc, vpn, page, Stage::Isolated) {
        return keep(cx);
    }
    if must_split(cx, page) {
        return split::begin(cx, page);
    }
    let needs_slot = flags.contains(FolioFlags::ANON) && !flags.contains(FolioFlags::LAZYFREE) && !cx.st.is_swapcached(page);
    cx.goto(At::Reclaim(if needs_slot { ReclaimAt::Add } else { ReclaimAt::Unmap }))
}

/// Whether a large folio is to be split before it goes: one that ptes map, one that was freed lazily, and one of which a
/// process named a part.
///
/// Source: mm/vmscan.c `shrink_folio_list`; mm/madvise.c `madvise_cold_or_pageout_pte_range`. Since 6.8 reclaim takes folios
/// that ptes map as a whole too, which nobody can see.
fn must_split<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let (folio, by_process) = (cx.st.folio(page), matches!(cx.op(), Op::Madvise { .. }));
    let by_pmd = folio.is_large() && 0 < cx.st.large(page).entire_mapcount.get();
    let lazy = folio.flags.contains(FolioFlags::LAZYFREE);
    let by_ptes = !(by_pmd || lazy && lazyfree::in_batches(cx));
    let part = by_process && !huge::is_whole_here(cx);
    folio.is_large() && 0 < cx.st.folio_mapcount(page) && (by_ptes || (by_pmd && lazy) || part)
}

/// Asks K22 about a page; recorded where it is pinned.
fn leaves_pinned<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>, stage: Stage) -> bool {
    let (knob, maybe_pinned) = (cx.policy.swapout_pinned, cx.st.folio(page).maybe_pinned());
    let leaves = decide_pinned(knob, stage, maybe_pinned);
    if maybe_pinned {
        let (verdict, reason) = match (leaves, stage) {
            (true, Stage::Isolated) => ("keep", "it is pinned, so it does not go to swap"),
            (true, Stage::Unmapping { .. }) => ("keep", "it is pinned, so it cannot be made shared"),
            (false, _) => ("unmap", "its pins are looked at when it is to be freed"),
        };
        let operands = [("pincount", cx.st.folio(page).pincount.get()), ("exclusive", cx.st.is_exclusive(page).into())];
        let (rule, knob_name, value) = ("reclaim::decide_pinned", "swapout_pinned", knob.into());
        let ruling = Ruling { rule, knob: knob_name, value, verdict, reason, operands: &operands };
        cx.decided(proc, vpn, Target::Page(page), ruling);
    }
    leaves
}

/// Without a free slot the page stays where it is; without enough of them in a row a large folio is split.
fn add<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    match cx.st.add_to_swap(page) {
        true => cx.goto(At::Reclaim(ReclaimAt::Unmap)),
        false if cx.st.folio(page).is_large() => split::begin(cx, page),
        false => keep(cx),
    }
}

fn unmap<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    if let Some((proc, vpn)) = share::next_mapping(cx, page) {
        return share::clear(cx, proc, vpn);
    }
    let flags = cx.st.folio(page).flags;
    match flags.contains(FolioFlags::ANON) {
        true if flags.contains(FolioFlags::LAZYFREE) => cx.put_back(),
        true if flags.contains(FolioFlags::DIRTY) => cx.goto(At::Reclaim(ReclaimAt::Write)),
        true => cx.goto(At::Reclaim(ReclaimAt::Remove)),
        // Of the page cache; where it would be written to is no part of the model, so it stays there.
        false => cx.put_back(),
    }
}

/// Whether the page whose pte is clear may leave the page table.
pub(super) fn may_unmap<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>) -> bool {
    let flags = cx.st.folio(page).flags;
    if flags.contains(FolioFlags::LAZYFREE) && !cx.st.is_swapcached(page) {
        let dirty = flags.contains(FolioFlags::DIRTY) && !cx.policy.defects.has(Defect::LazyfreeIgnoresDirty);
        if dirty {
            cx.st.folio_mut(page).flags.remove(FolioFlags::LAZYFREE);
        }
        return is_discarded(cx, proc, vpn, page, dirty);
    }
    let exclusive = cx.me().seen.flags.contains(PteFlags::EXCLUSIVE);
    !leaves_pinned(cx, proc, vpn, page, Stage::Unmapping { exclusive })
}

/// Asks whether a lazily freed page goes with its contents, and records the answer.
fn is_discarded<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>, dirty: bool) -> bool {
    let (refcount, mapcount) = (cx.st.folio(page).ref_count(), cx.st.folio_mapcount(page));
    let discard = decide_discard(dirty, refcount, mapcount);
    let (verdict, reason) = match (discard, dirty) {
        (true, _) => ("discard", "it was freed lazily, and nobody is known to have stored to it since"),
        (false, true) => ("keep", "it was stored to since it was freed lazily"),
        (false, false) => ("keep", "others have references"),
    };
    let operands = [("dirty", dirty.into()), ("refcount", refcount), ("mapcount", mapcount)];
    let ruling = Ruling { rule: "reclaim::decide_discard", knob: "", value: "", verdict, reason, operands: &operands };
    cx.decided(proc, vpn, Target::Page(page), ruling);
    discard
}

/// What stands in the page table for a page that reclaim takes out of it, and what comes next.
pub(super) fn entry<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    page: Pfn<B::Number>,
    seen: Pte<B::Number>,
) -> (Pte<B::Number>, At) {
    let next = At::Reclaim(ReclaimAt::Unmap);
    let Some(slot) = cx.st.swap_slot_of(page) else { return (Pte::default(), next) };
    cx.st.dup_swap(slot);
    let mut flags = seen.flags & (PteFlags::SOFT_DIRTY | PteFlags::UFFD_WP);
    let marked = swap::decide_marker(cx.policy.swap_excl, seen.flags.contains(PteFlags::EXCLUSIVE));
    flags.set(PteFlags::EXCLUSIVE, marked && !cx.policy.defects.has(Defect::SwapoutForgetsMarker));
    (Pte { target: Target::Swap(B::Number::new(slot as u32)), flags }, next)
}

/// Nobody but the swap cache and reclaim itself holds the folio.
fn is_freeable<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    cx.st.folio(page).ref_count() == 1 + cx.st.folio_pages(page).len() as u32
}

/// Starts to write the page to its slot. A page that others hold is not worth it: it could not be freed then.
///
/// Source: mm/vmscan.c `is_page_cache_freeable`.
fn write<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    if !is_freeable(cx, page) {
        return keep(cx);
    }
    let flags = &mut cx.st.folio_mut(page).flags;
    flags.remove(FolioFlags::DIRTY);
    flags.insert(FolioFlags::WRITEBACK);
    cx.me_mut().flags.remove(TaskFlags::LOCKS_FOLIO);
    cx.goto(At::Reclaim(ReclaimAt::Written))
}

/// The slot holds what the page held. On a disk that takes so long that the page is left in the swap cache meanwhile.
fn written<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    for page in cx.st.folio_pages(page) {
        if let Some(slot) = cx.st.swap_slot_of(page) {
            cx.st.swap_mut()[slot].words = cx.st.page(page).words;
        }
    }
    cx.st.folio_mut(page).flags.remove(FolioFlags::WRITEBACK);
    if swap::is_synchronous(cx) { cx.goto(At::Reclaim(ReclaimAt::Remove)) } else { cx.put_back() }
}

/// Takes a clean page out of the swap cache, if nobody else holds it.
///
/// Source: mm/vmscan.c `__remove_mapping`, which freezes the count.
fn remove<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    let clean = !cx.st.folio(page).flags.intersects(FolioFlags::DIRTY | FolioFlags::WRITEBACK);
    if clean && is_freeable(cx, page) && !cx.is_locked_by_another(page) && cx.st.is_swapcached(page) {
        cx.st.uncache_swap(page);
        return cx.put_back();
    }
    keep(cx)
}

/// The page cannot go now. It leaves the swap cache again where swap is nearly full.
pub(super) fn keep<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    if swap::is_full(cx) && cx.me().flags.contains(TaskFlags::LOCKS_FOLIO) {
        cx.st.try_free_swap(page);
    }
    cx.put_back()
}
