//! Faults on memory of the page cache: shared mappings, and private ones until the first store.

use super::{Cx, Progress, fault, uffd};
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Target, Vma, VmaFlags};
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
    map(cx, proc, vpn, pfn, kind);
    fault::done(cx)
}

/// The file's page in the page cache; a zeroed one is put there where there is none. `None` where no frame is free. What a device
/// has of its own stands there too, though a kernel finds it past the page cache.
///
/// Source: mm/filemap.c `filemap_fault`, mm/shmem.c `shmem_get_folio_gfp`, fs/dax.c `dax_iomap_pte_fault`.
pub(super) fn cache_page<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, place: usize) -> Option<Pfn<B::Number>> {
    if let Target::Page(pfn) | Target::Special(pfn) = cx.st.cache(place) {
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

/// A store to a private mapping: the copy is made while the file's page is locked, and installed like a new anonymous page.
fn copy_for_store<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, from: Pfn<B::Number>) -> Progress {
    let Ok(new) = cx.alloc(0) else { return Progress::Exhausted("page frames") };
    cx.st.page_mut(new).words = cx.st.page(from).words;
    let (proc, vpn) = (cx.proc(), cx.vpn());
    cx.copied(proc, vpn, from, new, "do_cow_fault");
    cx.fault_at(Fault::InstallAnon { new })
}

/// Maps a page of the page cache. Private memory gets it read-only.
///
/// Source: mm/memory.c `set_pte_range`. `vm_page_prot` of a shared mapping has the write bit, unless soft-dirty tracking
/// wants to be told of the first store; a uffd-wp marker hands its bit on.
pub(super) fn map<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pfn: Pfn<B::Number>, kind: FaultKind) {
    let slot = *cx.st.slot(proc, vpn);
    let all = VmaFlags::SHARED | VmaFlags::WRITE | VmaFlags::SOFTDIRTY;
    let flags = match kind {
        FaultKind::Write => fault::written_flags(&slot.vma),
        FaultKind::Read | FaultKind::Unshare if slot.vma.flags.contains(all) => PteFlags::YOUNG | PteFlags::WRITE,
        FaultKind::Read | FaultKind::Unshare => fault::read_flags(&slot.vma),
    };
    // The page of a device has a struct page that counts references, but no mappings: `vm_normal_page` does not know it.
    let target = match cx.st.folio(pfn).flags.contains(FolioFlags::DEVICE) {
        true => Target::Special(pfn),
        false => Target::Page(pfn),
    };
    if let Target::Page(pfn) = target {
        cx.st.get(pfn);
        cx.st.add_rmap_pte(proc, pfn);
    }
    cx.st.slot_mut(proc, vpn).pte = Pte { target, flags: uffd::with_marker(&slot, flags) };
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
