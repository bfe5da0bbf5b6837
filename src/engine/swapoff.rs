//! swapoff: every page comes back from the device, to every page table that has an entry for it.

use super::{Cx, Progress, exclusive, fault, swap};
use crate::state::{FolioFlags, MmapLock, Pfn, Pte, PteFlags, Slot, Target};
use crate::trace::Sink;
use crate::types::{Number, ProcId, Size, Vpn};

/// One step: the next entry becomes a pte, or, when there is none, the next page leaves the swap cache, or the device goes.
///
/// Source: mm/swapfile.c `try_to_unuse`, `unuse_pte`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let entry = cx.st.slots().find_map(|(proc, vpn, slot)| match slot.pte.target {
        Target::Swap(entry) => Some((proc, vpn, *slot, entry.get() as usize)),
        _ => None,
    });
    if let Some((proc, vpn, slot, entry)) = entry {
        return unuse(cx, proc, vpn, slot, entry);
    }
    if let Some(page) = cx.st.swap().iter().find_map(|slot| slot.cached.pfn()) {
        return if may_touch(cx, page) && cx.st.try_free_swap(page) { Progress::Moved } else { Progress::Blocked };
    }
    cx.st.swap_mut().iter_mut().for_each(|slot| slot.cached = Target::Guard);
    cx.commit_whole()
}

/// Whether a page is neither locked nor being written, which swapoff waits for.
fn may_touch<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    !cx.is_locked_by_another(page) && !cx.st.folio(page).flags.contains(FolioFlags::WRITEBACK)
}

/// The page is mapped read-only and old; it is the process's own where the entry says so, or where it is a copy.
fn unuse<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    proc: ProcId,
    vpn: Vpn,
    Slot { pte, .. }: Slot<B::Number>,
    entry: usize,
) -> Progress {
    let cached = cx.st.swap()[entry].cached.pfn();
    let written = cx.st.mm(proc).mmap_lock == MmapLock::Write;
    if written || !cx.ptl_is_free(proc) || cached.is_some_and(|page| !may_touch(cx, page)) {
        return Progress::Blocked;
    }
    let page = match cached {
        Some(page) => {
            cx.st.get(page);
            page
        }
        None => match swap::read(cx, entry, false) {
            Some(page) => page,
            None => return Progress::Exhausted("page frames"),
        },
    };
    let Some((page, copied)) = swap::fitting(cx, proc, vpn, page) else { return Progress::Exhausted("page frames") };
    cx.st.put_swap(entry);
    cx.st.add_rmap_pte(proc, page);
    if exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::SwappedIn) == exclusive::Change::Clear {
        cx.st.set_exclusive(page, false);
    }
    if copied || pte.flags.contains(PteFlags::EXCLUSIVE) {
        fault::mark_proven(cx, page);
    }
    let flags = pte.flags & (PteFlags::SOFT_DIRTY | PteFlags::UFFD_WP);
    cx.st.slot_mut(proc, vpn).pte = Pte { target: Target::Page(page), flags };
    Progress::Moved
}
