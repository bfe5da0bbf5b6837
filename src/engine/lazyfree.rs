//! MADV_FREE: the process can do without what its pages hold, until it stores to them again.

use super::{Cx, Progress, huge, split, swap};
use crate::observe::Seen;
use crate::state::{FolioFlags, Pfn, PteFlags, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, Size};

/// One page. A page that others map, or that the swap cache will not give up, stays as it is.
///
/// Source: mm/madvise.c `madvise_free_pte_range`, `madvise_free_single_vma`; mm/swap.c `folio_mark_lazyfree`.
pub(super) fn free<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let slot = cx.slot();
    if slot.vma.flags.contains(VmaFlags::MAPPED) && slot.vma.cache_place().is_some() {
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
            let flags = cx.slot().pte.flags - (PteFlags::DIRTY | PteFlags::YOUNG);
            cx.set_flags(proc, cx.vpn(), flags);
            cx.st.folio_mut(page).flags.insert(FolioFlags::LAZYFREE);
            let pages = cx.pages_of_folio();
            return cx.commit_pages(pages, Seen::Nothing);
        }
        _ => {}
    }
    cx.commit_page(Seen::Nothing)
}

/// Of a large folio only all can be freed lazily, and only where a PMD maps it: else it is split.
///
/// Source: mm/huge_memory.c `madvise_free_huge_pmd`.
fn must_split<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    cx.st.folio(page).is_large() && cx.st.mapcount(page) == 1 && !huge::is_whole_here(cx)
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
