//! MADV_FREE: the process can do without what its pages hold, until it stores to them again.

use super::{Cx, Progress, huge, split, swap};
use crate::observe::Seen;
use crate::policy::Defect;
use crate::state::{FolioFlags, Pfn, Pte, PteFlags, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, Vpn};

/// One page. A page that others map, or that the swap cache will not give up, stays as it is.
///
/// Source: mm/madvise.c `madvise_free_pte_range`, `madvise_free_single_vma`; mm/swap.c `folio_mark_lazyfree`.
pub(super) fn free<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let slot = cx.slot();
    let is_anon = slot.vma.cache_place().is_none() && !slot.vma.is_hugetlb();
    if slot.vma.flags.contains(VmaFlags::MAPPED) && !is_anon {
        cx.read_unlock(proc);
        return Progress::Failed(Failure::EINVAL);
    }
    match slot.pte.target {
        Target::Swap(entry) => {
            cx.slot_mut().pte = Default::default();
            swap::drop_entry(cx, entry.get() as usize);
        }
        Target::Page(page) if must_split(cx, page) => return split::begin(cx, page),
        Target::Page(page) if may_free(cx, page) => {
            let (first, pages) = (cx.vpn().0, cx.pages_of_folio());
            for vpn in (first..first + pages).map(Vpn) {
                let flags = cx.st.pte(proc, vpn).flags - (PteFlags::DIRTY | PteFlags::YOUNG);
                cx.set_flags(proc, vpn, flags);
            }
            cx.st.folio_mut(page).flags.insert(FolioFlags::LAZYFREE);
            return cx.commit_pages(pages, Seen::Nothing);
        }
        _ => {}
    }
    cx.commit_page(Seen::Nothing)
}

/// Of a large folio only all can be freed lazily, where a PMD maps it or ptes are taken in batches: else it is split.
///
/// Source: mm/huge_memory.c `madvise_free_huge_pmd`; mm/madvise.c `madvise_free_pte_range`.
fn must_split<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let pages = cx.st.folio_pages(page).len();
    let whole = huge::is_whole_here(cx) || (usize::from(cx.pages_of_folio()) == pages && in_batches(cx));
    1 < pages && cx.st.mapcount(page) == 1 && !whole
}

/// Whether a lazily freed folio that ptes map is freed as a whole and reclaimed as a whole. Done right, nobody can tell it from
/// a folio that was split first; so only the policies do it that do it wrong.
///
/// Source: mm/rmap.c `try_to_unmap_one`, `folio_unmap_pte_batch` (6.15).
pub(super) fn in_batches<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    cx.policy.defects.has(Defect::B30)
}

/// Reclaim gives a batch of ptes back, of which it has cleared the first: all get what the first one was, but for the dirty bits.
pub(super) fn restore_batch<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, first: Pte<B::Number>) {
    let Some(page) = first.target.pfn().filter(|page| in_batches(cx) && !cx.st.is_swapcached(*page)) else { return };
    let behind = cx.st.folio_pages(page).filter(|next| page < *next).count();
    let last = (vpn.idx() + behind).min(cx.st.pages_per_mm() - 1);
    for next in vpn.idx() + 1..=last {
        let pte = cx.st.pte(proc, Vpn::at(next));
        if pte.target != first.target.behind(next - vpn.idx()) {
            return;
        }
        let dirty = pte.flags & PteFlags::DIRTY;
        cx.st.slot_mut(proc, Vpn::at(next)).pte.flags = (first.flags - PteFlags::DIRTY) | dirty;
    }
}

/// The page can be forgotten: it is clean then, and in no swap cache.
fn may_free<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let (flags, swapcached) = (cx.st.folio(page).flags, cx.st.is_swapcached(page));
    if swapcached || flags.contains(FolioFlags::DIRTY) {
        if cx.is_locked_by_another(page) || cx.st.mapcount(page) != 1 || (swapcached && !cx.st.try_free_swap(page)) {
            return false;
        }
        cx.st.folio_mut(page).flags.remove(FolioFlags::DIRTY);
    }
    flags.contains(FolioFlags::ANON) && (!cx.st.folio(page).is_large() || cx.st.mapcount(page) == 1)
}
