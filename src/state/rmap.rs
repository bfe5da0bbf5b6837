//! The reverse mapping: how mappings are counted on the page, on its folio and on the address space.
//!
//! A mapping holds a reference, which the caller takes before it is counted and drops after it is not.

use super::{Owner, Pfn, State};
use crate::types::{Number, ProcId, Size};

impl<B: Size> State<B> {
    /// A pte of an address space maps the page: `folio_add_anon_rmap_pte`, `folio_add_file_rmap_pte`, mm/rmap.c.
    pub fn add_rmap_pte(&mut self, proc: ProcId, pfn: Pfn<B::Number>) {
        let page = self.page_mut(pfn);
        page.mapcount = page.mapcount.plus(1);
        self.add_owner(proc, pfn, 1);
    }

    /// A pte of an address space no longer maps the page: `folio_remove_rmap_pte`, mm/rmap.c.
    pub fn remove_rmap_pte(&mut self, proc: ProcId, pfn: Pfn<B::Number>) {
        let page = self.page_mut(pfn);
        page.mapcount = page.mapcount.plus(-1);
        self.add_owner(proc, pfn, -1);
    }

    /// A PMD of an address space maps the whole folio: `folio_add_anon_rmap_pmd`, mm/rmap.c.
    pub fn add_rmap_pmd(&mut self, proc: ProcId, pfn: Pfn<B::Number>) {
        let large = self.large_mut(pfn);
        large.entire_mapcount = large.entire_mapcount.plus(1);
        self.add_owner(proc, pfn, 1);
    }

    /// A PMD of an address space no longer maps the folio: `folio_remove_rmap_pmd`, mm/rmap.c.
    pub fn remove_rmap_pmd(&mut self, proc: ProcId, pfn: Pfn<B::Number>) {
        let large = self.large_mut(pfn);
        large.entire_mapcount = large.entire_mapcount.plus(-1);
        self.add_owner(proc, pfn, -1);
    }

    /// Mappings of one page, by ptes and by PMDs: `folio_precise_page_mapcount`, fs/proc/internal.h.
    pub fn mapcount(&self, pfn: Pfn<B::Number>) -> u32 {
        let entire = if self.folio(pfn).is_large() { self.large(pfn).entire_mapcount.get() } else { 0 };
        self.page(pfn).mapcount.get() + entire
    }

    /// Mappings of all pages of a folio, each PMD counted once: `folio_mapcount`, include/linux/mm.h.
    pub fn folio_mapcount(&self, pfn: Pfn<B::Number>) -> u32 {
        if self.folio(pfn).is_large() { self.large(pfn).mapcount.get() } else { self.page(pfn).mapcount.get() }
    }

    /// Whether the page is marked anon-exclusive. While a PMD maps the folio, its first page carries the mark for all.
    pub fn is_exclusive(&self, pfn: Pfn<B::Number>) -> bool {
        self.page(self.marked(pfn)).exclusive
    }

    pub fn set_exclusive(&mut self, pfn: Pfn<B::Number>, exclusive: bool) {
        let marked = self.marked(pfn);
        self.page_mut(marked).exclusive = exclusive;
    }

    /// The page that carries the mark of a page: PageAnonExclusive, include/linux/page-flags.h.
    fn marked(&self, pfn: Pfn<B::Number>) -> Pfn<B::Number> {
        let by_pmd = self.folio(pfn).is_large() && 0 < self.large(pfn).entire_mapcount.get();
        if by_pmd { self.head(pfn) } else { pfn }
    }

    /// Counts a mapping of a large folio on the address space. One that finds no entry free is remembered only as "maybe".
    ///
    /// Source: include/linux/rmap.h `folio_add_return_large_mapcount`, `folio_sub_return_large_mapcount` (6.15).
    fn add_owner(&mut self, proc: ProcId, pfn: Pfn<B::Number>, by: i32) {
        if !self.folio(pfn).is_large() {
            return;
        }
        let large = self.large_mut(pfn);
        large.mapcount = large.mapcount.plus(by);
        let mine = large.owners.iter_mut().find(|owner| owner.proc == proc && owner.count.get() != 0);
        if let Some(owner) = mine {
            let count = owner.count.plus(by);
            *owner = if count.get() == 0 { Owner::default() } else { Owner { proc, count } };
        } else if let Some(free) = large.owners.iter_mut().find(|owner| owner.count.get() == 0 && 0 < by) {
            *free = Owner { proc, count: B::Number::default().plus(by) };
        }
        large.maybe_shared = large.owners.iter().all(|owner| owner.count != large.mapcount);
    }
}
