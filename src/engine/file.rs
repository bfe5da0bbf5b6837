//! Faults on memory of the page cache: shared mappings, and private ones until the first store.

use super::{Cx, Progress, fault, huge, uffd};
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Slot, Target, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Number, ProcId, Size, Vpn};

/// A fault on a page of a file that is not mapped: a store to a private mapping gets a copy, all else the file's page.
///
/// Source: mm/memory.c `do_read_fault`, `do_cow_fault`, `do_shared_fault`; mm/shmem.c `shmem_fault`.
pub(super) fn fault<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, vma: Vma<B::Number>, kind: FaultKind) -> Progress {
    let place = vma.cache_place().expect("cowl bug: the caller looked");
    if let Some(event) = uffd::event_of(&vma, cx.st.cache(place).pfn().is_some()) {
        return fault::userfault(cx, event);
    }
    let Some(pfn) = cache_page(cx, place) else { return Progress::Exhausted("page frames") };
    if kind == FaultKind::Write && vma.is_cow() {
        return copy_for_store(cx, pfn);
    }
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if is_mapped_by_pmd(cx, pfn) {
        map_pmd(cx, pfn, kind);
    } else {
        map(cx, proc, vpn, pfn, kind);
    }
    fault::done(cx)
}

/// Whether a PMD can map the file's page: a THP stands where one would be, and nothing is mapped there yet.
///
/// Source: mm/memory.c `do_set_pmd`.
fn is_mapped_by_pmd<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pfn: Pfn<B::Number>) -> bool {
    let order = cx.program.pmd_order;
    let inside = pfn.idx() - cx.st.head(pfn).idx();
    let is_thp = cx.st.folio(pfn).order == order && order != 0;
    is_thp && cx.vpn().idx() % (1 << order) == inside && huge::order_of_fault(cx) == order
}

/// Maps a THP of the page cache.
fn map_pmd<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>, kind: FaultKind) {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let flags = flags_of(&cx.slot(), kind) | PteFlags::PMD;
    let head = cx.st.head(pfn);
    cx.st.get(head);
    cx.st.add_rmap_pmd(proc, head);
    let first = Vpn(cx.pmd_pages(vpn).start);
    cx.set_entry(proc, first, Pte { target: Target::Page(head), flags });
}

/// The bits of an entry that maps a page of the page cache. Private memory gets it read-only.
///
/// `vm_page_prot` of a shared mapping has the write bit, unless soft-dirty tracking wants to be told of the first store; a uffd-wp
/// marker hands its bit on.
fn flags_of<N: Number>(slot: &Slot<N>, kind: FaultKind) -> PteFlags {
    let all = VmaFlags::SHARED | VmaFlags::WRITE | VmaFlags::SOFTDIRTY;
    let flags = match kind {
        FaultKind::Write => fault::written_flags(&slot.vma),
        FaultKind::Read | FaultKind::Unshare if slot.vma.flags.contains(all) => PteFlags::YOUNG | PteFlags::WRITE,
        FaultKind::Read | FaultKind::Unshare => fault::read_flags(&slot.vma),
    };
    uffd::with_marker(slot, flags)
}

/// The file's page in the page cache; a zeroed one is put there where there is none. `None` where no frame is free. What a device
/// has of its own stands there too, though a kernel finds it past the page cache.
///
/// Source: mm/filemap.c `filemap_fault`, mm/shmem.c `shmem_get_folio_gfp`, fs/dax.c `dax_iomap_pte_fault`.
pub(super) fn cache_page<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, place: usize) -> Option<Pfn<B::Number>> {
    if let Target::Page(pfn) | Target::Special(pfn) = cx.st.cache(place) {
        return Some(pfn);
    }
    if let Some(pfn) = cache_folio(cx, place) {
        return Some(pfn);
    }
    let pfn = cx.alloc(0).ok()?;
    if cx.program.is_of_a_device(Some(place)) {
        cx.st.folio_mut(pfn).flags.insert(FolioFlags::DEVICE);
        cx.st.set_cache(place, Target::Special(pfn));
    } else {
        cx.st.set_cache(place, Target::Page(pfn));
    }
    Some(pfn)
}

/// A large folio for the file, where the mapping wants one and the page cache has nothing in its range. The page cache has a
/// reference for each of its pages.
///
/// Source: mm/shmem.c `shmem_alloc_and_add_folio`.
fn cache_folio<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, place: usize) -> Option<Pfn<B::Number>> {
    let (vma, vpn) = (cx.slot().vma, cx.vpn().idx());
    let pages = 1_usize << vma.order;
    let inside = vpn % pages;
    let start = place.checked_sub(inside).filter(|_| vma.order != 0 && vma.cache_place() == Some(place))?;
    let mapped = |at: usize| cx.st.slot(cx.proc(), Vpn::at(vpn - inside + at)).vma.cache_place() == Some(start + at);
    let fits = vpn - inside + pages <= cx.st.pages_per_mm() && (0..pages).all(mapped);
    if !fits || (start..start + pages).any(|at| cx.st.cache(at) != Target::None) {
        return None;
    }
    let head = cx.alloc(vma.order).ok()?;
    cx.st.get_many(head, pages as i32 - 1);
    for at in 0..pages {
        cx.st.set_cache(start + at, Target::Page(head).behind(at));
    }
    cx.st.cache(place).pfn()
}

/// A store to a private mapping: the copy is made while the file's page is locked, and installed like a new anonymous page.
fn copy_for_store<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, from: Pfn<B::Number>) -> Progress {
    let Ok(new) = cx.alloc(0) else { return Progress::Exhausted("page frames") };
    cx.st.page_mut(new).words = cx.st.page(from).words;
    let (proc, vpn) = (cx.proc(), cx.vpn());
    cx.copied(proc, vpn, from, new, "do_cow_fault");
    cx.fault_at(Fault::InstallAnon { new })
}

/// Maps a page of the page cache.
///
/// Source: mm/memory.c `set_pte_range`.
pub(super) fn map<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pfn: Pfn<B::Number>, kind: FaultKind) {
    let flags = flags_of(cx.st.slot(proc, vpn), kind);
    // The page of a device has a struct page that counts references, but no mappings: `vm_normal_page` does not know it.
    let target = match cx.st.folio(pfn).flags.contains(FolioFlags::DEVICE) {
        true => Target::Special(pfn),
        false => Target::Page(pfn),
    };
    if let Target::Page(pfn) = target {
        cx.st.get(pfn);
        cx.st.add_rmap_pte(proc, pfn);
    }
    cx.st.slot_mut(proc, vpn).pte = Pte { target, flags };
}

/// The mapping gets its `anon_vma`, before its first anonymous page comes; fork copies page tables of no other.
///
/// A vma is kept page by page, so this is for all pages of the same mapping that have the same flags.
/// Source: mm/rmap.c `__anon_vma_prepare`.
pub(super) fn prepare_anon_vma<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) {
    let here = cx.st.slot(proc, vpn).vma;
    if here.flags.contains(VmaFlags::ANON_VMA) {
        return;
    }
    let same = |vma: &Vma<B::Number>, next: usize| {
        let follows = |cache: B::Number, with: B::Number| cache.get().checked_sub(with.get()).map(|by| by as usize);
        let in_file = here.cache.get() == 0 || follows(vma.cache.max(here.cache), vma.cache.min(here.cache)) == Some(next);
        vma.flags == here.flags && (vma.cache.get() == 0) == (here.cache.get() == 0) && in_file
    };
    let mapped = cx.program.mems.iter().map(|mem| mem.area).find(|area| area.has(vpn));
    let Some(area) = mapped else { return };
    let (below, above) = (area.start.0..vpn.0, vpn.0 + 1..area.start.0 + area.len);
    let joins = |cx: &Cx<'_, B, S>, page: u16| same(&cx.st.slot(proc, Vpn(page)).vma, page.abs_diff(vpn.0).into());
    let first = below.rev().take_while(|page| joins(cx, *page)).last().unwrap_or(vpn.0);
    let last = above.take_while(|page| joins(cx, *page)).last().unwrap_or(vpn.0);
    for page in first..=last {
        cx.st.slot_mut(proc, Vpn(page)).vma.flags.insert(VmaFlags::ANON_VMA);
    }
}

/// What one PMD maps is of one vma: where some of its pages had their `anon_vma` before they were of one, all have it.
///
/// Source: mm/vma.c `dup_anon_vma`, by which a merged vma has that of either.
pub(super) fn share_anon_vma<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, pages: std::ops::Range<u16>) {
    for page in pages {
        cx.st.slot_mut(proc, Vpn(page)).vma.flags.insert(VmaFlags::ANON_VMA);
    }
}
