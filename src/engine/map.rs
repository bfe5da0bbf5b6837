//! Making mappings, and advice that only a vma remembers.

use super::{Cx, Progress, fault, huge, hugetlb, ksm};
use crate::ir::{Advice, Area, Backing, MemKind, Prot, Sharing};
use crate::state::{FolioFlags, MmapLock, Pte, PteFlags, Slot, State, Target, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, Vpn};

/// Whether some vma has the page.
pub(super) fn is_mapped<B: Size>(st: &State<B>, proc: ProcId, vpn: Vpn) -> bool {
    st.slot(proc, vpn).vma.flags.contains(VmaFlags::MAPPED)
}

/// What a protection lets a vma do.
pub(super) fn prot_flags(prot: Prot) -> VmaFlags {
    match prot {
        Prot::None => VmaFlags::empty(),
        Prot::Ro => VmaFlags::READ,
        Prot::Rw => VmaFlags::READ | VmaFlags::WRITE,
    }
}

/// mmap. A new mapping counts as soft-dirty as a whole.
///
/// Source: mm/vma.c `mmap_region` (mm/mmap.c before 6.12).
pub(super) fn mmap<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    area: Area,
    backing: Backing,
    sharing: Sharing,
    prot: Prot,
) -> Progress {
    if cx.st.mm(area.proc).mmap_lock != MmapLock::Read(0) {
        return Progress::Blocked;
    }
    let shared = if sharing == Sharing::Shared { VmaFlags::SHARED } else { VmaFlags::empty() };
    let huge = match cx.program.mems[area.mem.idx()].kind {
        MemKind::Hugetlb { .. } if sharing == Sharing::Shared => VmaFlags::HUGETLB,
        MemKind::Hugetlb { .. } => VmaFlags::HUGETLB | VmaFlags::RESERVED,
        MemKind::Pages | MemKind::Thp | MemKind::Mthp { .. } => VmaFlags::empty(),
    };
    if huge.contains(VmaFlags::HUGETLB) && !hugetlb::can_reserve(cx, area.len.into()) {
        return Progress::Failed(Failure::ENOMEM);
    }
    let first = match backing {
        Backing::File(file) => Some(cx.program.cache_start(file)),
        Backing::Anon | Backing::Special => None,
    };
    let order = match cx.program.mems[area.mem.idx()].kind {
        MemKind::Thp => cx.program.pmd_order,
        MemKind::Mthp { order } => order,
        MemKind::Pages | MemKind::Hugetlb { .. } => 0,
    };
    for (nr, vpn) in area.pages().enumerate() {
        let cache = first.map_or(0, |first| (first + nr + 1) as u32);
        let flags = VmaFlags::MAPPED | VmaFlags::SOFTDIRTY | shared | huge | prot_flags(prot);
        let vma = Vma { flags, cache: B::Number::new(cache), order };
        *cx.st.slot_mut(area.proc, vpn) = Slot { vma, ..Slot::default() };
        if backing == Backing::Special && !map_special(cx, area.proc, vpn) {
            return Progress::Exhausted("page frames");
        }
    }
    cx.commit_range()
}

/// A driver's page behind a special pte, mapped when the mapping is made. It is the driver's for good.
///
/// Source: mm/memory.c `remap_pfn_range`, which sets VM_PFNMAP.
fn map_special<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> bool {
    let Ok(page) = cx.alloc(0) else { return false };
    cx.st.folio_mut(page).flags.insert(FolioFlags::DEVICE);
    let slot = cx.st.slot_mut(proc, vpn);
    slot.vma.flags.insert(VmaFlags::PFNMAP);
    let by_page_prot = slot.vma.flags.contains(VmaFlags::SHARED | VmaFlags::WRITE);
    let write = if by_page_prot { PteFlags::WRITE } else { PteFlags::empty() };
    slot.pte = Pte { target: Target::Special(page), flags: fault::read_flags(&slot.vma) | write };
    true
}

/// MADV_DONTFORK, MADV_WIPEONFORK and their opposites.
///
/// Source: mm/madvise.c `madvise_vma_behavior`. WIPEONFORK is for private anonymous memory.
pub(super) fn advise_fork<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, advice: Advice) -> Progress {
    let area = cx.area();
    if cx.st.mm(area.proc).mmap_lock != MmapLock::Read(0) {
        return Progress::Blocked;
    }
    huge::split_at_ends(cx, area);
    for vpn in area.pages() {
        let vma = &mut cx.st.slot_mut(area.proc, vpn).vma;
        let anon = vma.is_cow() && vma.cache_place().is_none();
        match advice {
            _ if !vma.flags.contains(VmaFlags::MAPPED) => {} // The others are advised, then the call fails.
            Advice::Wipeonfork if !anon => return Progress::Failed(Failure::EINVAL),
            Advice::Wipeonfork => vma.flags.insert(VmaFlags::WIPEONFORK),
            Advice::Keeponfork => vma.flags.remove(VmaFlags::WIPEONFORK),
            Advice::Dontfork => vma.flags.insert(VmaFlags::DONTCOPY),
            _ => vma.flags.remove(VmaFlags::DONTCOPY),
        }
    }
    cx.commit_range()
}

/// MADV_HUGEPAGE and MADV_NOHUGEPAGE: whether later faults, and khugepaged, may bring large folios. Memory of a file and of
/// hugetlb has them or not, whatever is advised.
///
/// Source: mm/khugepaged.c `hugepage_madvise`; `hugetlb` refuses in mm/madvise.c (VM_NO_KHUGEPAGED).
pub(super) fn advise_huge<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, advice: Advice) -> Progress {
    let area = cx.area();
    if cx.st.mm(area.proc).mmap_lock != MmapLock::Read(0) {
        return Progress::Blocked;
    }
    let order = match (advice, cx.program.mems[area.mem.idx()].kind) {
        (Advice::Nohugepage, _) => 0,
        (_, MemKind::Mthp { order }) => order,
        (_, MemKind::Pages | MemKind::Thp | MemKind::Hugetlb { .. }) => cx.program.pmd_order,
    };
    huge::split_at_ends(cx, area);
    for vpn in area.pages() {
        let vma = &mut cx.st.slot_mut(area.proc, vpn).vma;
        match vma.flags.contains(VmaFlags::MAPPED) {
            true if vma.is_hugetlb() => return Progress::Failed(Failure::EINVAL),
            true if vma.cache_place().is_none() => vma.order = order,
            true | false => {}
        }
    }
    cx.commit_range()
}

/// MADV_MERGEABLE: ksmd may merge pages of private memory; of other memory the advice is ignored.
///
/// Source: mm/ksm.c `ksm_madvise`.
pub(super) fn advise_merge<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let area = cx.area();
    if cx.st.mm(area.proc).mmap_lock != MmapLock::Read(0) {
        return Progress::Blocked;
    }
    huge::split_at_ends(cx, area);
    for vpn in area.pages() {
        ksm::advise(cx, area.proc, vpn);
    }
    cx.commit_range()
}
