//! The swap device and the swap cache: which page stands for which slot, and how many page-table entries name it.
//!
//! A slot is free when nothing names it and the cache has no page for it. One that swapoff took away has [`Target::Guard`]
//! in place of a page, and is never free again.

use super::{FolioFlags, Pfn, State, SwapSlot, Target};
use crate::types::{Number, Size};

impl<B: Size> State<B> {
    /// The slot that the swap cache has a page for.
    pub fn swap_slot_of(&self, pfn: Pfn<B::Number>) -> Option<usize> {
        let (head, folio) = (self.head(pfn), self.folio(pfn));
        // The swap cache has a reference; most pages have none but those of their mappings.
        if self.swap().is_empty() || folio.refcount.get() <= self.folio_mapcount(pfn) {
            return None;
        }
        let first = self.swap().iter().position(|slot| slot.cached == Target::Page(head))?;
        let slot = first + (pfn.idx() - head.idx()); // A folio has slots in a row.
        (self.swap().get(slot)?.cached == Target::Page(pfn)).then_some(slot)
    }

    /// Whether the folio of a page is in the swap cache: PG_swapcache. It is there as a whole, slot after slot.
    pub fn is_swapcached(&self, pfn: Pfn<B::Number>) -> bool {
        !self.swap().is_empty() && self.swap_slot_of(self.head(pfn)).is_some()
    }

    /// Page-table entries that name the slot of a page: `page_swapcount`, mm/swapfile.c.
    pub fn swap_count(&self, pfn: Pfn<B::Number>) -> u32 {
        self.swap_slot_of(pfn).map_or(0, |slot| self.swap()[slot].count.get())
    }

    /// More than half of a device of stated size is used: `vm_swap_full`, include/linux/swap.h.
    pub fn is_swap_full(&self) -> bool {
        let slots = self.swap().iter().filter(|slot| slot.cached != Target::Guard);
        let (all, free) = slots.fold((0, 0), |(all, free), slot| (all + 1, free + usize::from(slot.is_free())));
        2 * free < all
    }

    /// Gives the pages of a folio slots in a row and a reference from the swap cache each. Whether there was such a row.
    ///
    /// Source: mm/swap_state.c `add_to_swap`, which makes the folio dirty whatever its ptes say.
    pub fn add_to_swap(&mut self, pfn: Pfn<B::Number>) -> bool {
        let pages = self.folio_pages(pfn).len();
        let Some(first) = self.swap().windows(pages).position(|row| row.iter().all(SwapSlot::is_free)) else { return false };
        for (slot, page) in (first..).zip(self.folio_pages(pfn)) {
            self.swap_mut()[slot].cached = Target::Page(page);
            self.get(page);
        }
        self.folio_mut(pfn).flags.insert(FolioFlags::DIRTY);
        true
    }

    /// The swap cache has this page for a slot from now on, with a reference: `swap_cache_add_folio`.
    pub fn cache_swap(&mut self, slot: usize, pfn: Pfn<B::Number>) {
        self.swap_mut()[slot].cached = Target::Page(pfn);
        self.get(pfn);
    }

    /// Takes a folio out of the swap cache, and the references it held: `delete_from_swap_cache`.
    pub fn uncache_swap(&mut self, pfn: Pfn<B::Number>) {
        let Some(first) = self.swap_slot_of(self.head(pfn)) else { return };
        for (slot, page) in (first..).zip(self.folio_pages(pfn)) {
            self.swap_mut()[slot].cached = Target::None;
            self.free_swap_slot(slot);
            self.put(page);
        }
    }

    /// Mappings of a page and entries that name its slot, of that page of the folio which has the most.
    ///
    /// Source: mm/swapfile.c `page_trans_huge_map_swapcount` (until 5.17).
    pub fn highest_users(&self, pfn: Pfn<B::Number>) -> u32 {
        let entire = if self.folio(pfn).is_large() { self.large(pfn).entire_mapcount.get() } else { 0 };
        let (first, row) = (self.head(pfn).idx(), self.swap_row(pfn));
        let pages = &self.pages.as_ref()[first..first + self.folio_pages(pfn).len()];
        let mapped = pages.iter().map(|page| page.mapcount.get());
        let highest = match row {
            [] => mapped.max(),
            named => mapped.zip(named).map(|(maps, slot)| maps + slot.count.get()).max(),
        };
        entire + highest.unwrap_or_default()
    }

    /// The slots of a folio that is in the swap cache; none of one that is not.
    pub fn swap_row(&self, pfn: Pfn<B::Number>) -> &[SwapSlot<B>] {
        let first = self.swap_slot_of(self.head(pfn));
        first.map_or(&[], |first| &self.swap()[first..first + self.folio_pages(pfn).len()])
    }

    /// Whether a folio is in the swap cache, no entry names its slots and it is not being written.
    pub fn may_free_swap(&self, pfn: Pfn<B::Number>) -> bool {
        let row = self.swap_row(pfn);
        let named = || row.iter().any(|slot| slot.count.get() != 0);
        !row.is_empty() && !self.folio(pfn).flags.contains(FolioFlags::WRITEBACK) && !named()
    }

    /// Takes a folio out of the swap cache, if that may be. It is dirty then.
    ///
    /// Source: mm/swapfile.c `folio_free_swap` (`try_to_free_swap` before 5.19).
    pub fn try_free_swap(&mut self, pfn: Pfn<B::Number>) -> bool {
        let free = self.may_free_swap(pfn);
        if free {
            self.folio_mut(pfn).flags.insert(FolioFlags::DIRTY);
            self.uncache_swap(pfn);
        }
        free
    }

    /// Another page-table entry names a slot: `swap_duplicate`.
    pub fn dup_swap(&mut self, slot: usize) {
        let slot = &mut self.swap_mut()[slot];
        slot.count = slot.count.plus(1);
    }

    /// A page-table entry no longer names a slot: `swap_free`.
    pub fn put_swap(&mut self, slot: usize) {
        let entry = &mut self.swap_mut()[slot];
        entry.count = entry.count.plus(-1);
        self.free_swap_slot(slot);
    }

    fn free_swap_slot(&mut self, slot: usize) {
        let slot = &mut self.swap_mut()[slot];
        if slot.is_free() {
            *slot = SwapSlot::default();
        }
    }
}

impl<B: Size> SwapSlot<B> {
    /// Nothing names it, and the swap cache has no page for it.
    pub fn is_free(&self) -> bool {
        self.count.get() == 0 && self.cached == Target::None
    }
}
