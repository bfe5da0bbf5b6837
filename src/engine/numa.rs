//! NUMA balancing: pages are made inaccessible for a moment, to learn from the fault who uses them.

use super::{Cx, Progress, Ruling, fault, huge, prot};
use crate::observe::Seen;
use crate::policy::NumaShared;
use crate::state::{FolioFlags, PteFlags, Slot, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{Number, Size};

/// What is known of a page of a COW mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HintFacts {
    pub mapcount: u32,
    pub refcount: u32,
    /// As far as the folio knows: several address spaces map it.
    pub maybe_shared: bool,
    pub maybe_pinned: bool,
}

/// K30. Does NUMA hinting leave a page of a COW mapping alone?
///
/// Source: mm/mprotect.c `change_pte_range` (80d47f5de5e3, 5.17), `prot_numa_skip` (6.9: `folio_maybe_dma_pinned` beside it).
pub fn decide_hint(knob: NumaShared, page: &HintFacts) -> bool {
    match knob {
        NumaShared::Mapcount => page.mapcount != 1,
        NumaShared::PageCount => page.refcount != 1,
        NumaShared::MaybeMappedShared => page.maybe_shared || page.maybe_pinned,
    }
}

/// One page of `numa_hint`. The write bit stays in the entry: it is not looked at while the entry forbids all access, and says
/// afterwards what it said before (`pte_savedwrite` up to 6.1; since then K19 finds it again).
///
/// Source: mm/mprotect.c `change_pte_range` with MM_CP_PROT_NUMA.
pub(super) fn hint<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let Slot { pte, vma } = cx.slot();
    let accessible = vma.flags.intersects(VmaFlags::READ | VmaFlags::WRITE);
    let page = pte.target.pfn().filter(|page| accessible && !cx.st.folio(*page).flags.contains(FolioFlags::KSM));
    let Some(page) = page else { return cx.commit_page(Seen::Nothing) };
    let pages = huge::leaf_here(cx).len() as u16;
    let mapcount = cx.st.mapcount(page);
    let owners = cx.st.folio(page).is_large() && cx.st.large(page).maybe_shared;
    let folio = cx.st.folio(page);
    let facts = HintFacts {
        mapcount,
        refcount: folio.ref_count(),
        maybe_shared: if folio.is_large() { owners } else { 1 < mapcount },
        maybe_pinned: folio.maybe_pinned(),
    };
    let knob = cx.policy.numa_shared;
    let leaves = vma.is_cow() && decide_hint(knob, &facts);
    let (verdict, reason) = match leaves {
        true => ("skip", "it looks shared or in use"),
        false => ("hint", "its next use is to be seen"),
    };
    let operands = [("mapcount", facts.mapcount), ("refcount", facts.refcount), ("pinned", facts.maybe_pinned.into())];
    let (vpn, rule, value) = (cx.vpn(), "numa::decide_hint", knob.into());
    let ruling = Ruling { rule, knob: "numa_shared", value, verdict, reason, operands: &operands };
    cx.decided(proc, vpn, Target::Page(page), ruling);
    if !leaves {
        cx.add_flags(PteFlags::PROTNONE);
    }
    cx.commit_pages(pages, Seen::Nothing)
}

/// Whether an entry forbids access only to have its next use seen.
pub(super) fn is_hint<N: Number>(slot: &Slot<N>) -> bool {
    let protnone = slot.pte.is_present() && slot.pte.flags.contains(PteFlags::PROTNONE);
    protnone && slot.vma.flags.intersects(VmaFlags::READ | VmaFlags::WRITE)
}

/// The next use: the entry is as before, or writable where K19 finds that it may be. Whether the page moves is another matter.
///
/// Source: mm/memory.c `do_numa_page`.
pub(super) fn restore<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let flags = (cx.slot().pte.flags - PteFlags::PROTNONE) | PteFlags::YOUNG;
    cx.set_flags(proc, vpn, flags);
    if !flags.contains(PteFlags::WRITE) {
        prot::upgrade(cx, proc, vpn, true);
    }
    fault::done(cx)
}
