//! Write faults on write-protected ptes: reuse or copy. Also the copy of an unshare fault.

use strum::IntoStaticStr;

use super::{Cx, Progress, Ruling, fault};
use crate::policy::{Defect, ReuseSmall};
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Target, TaskFlags, VmaFlags};
use crate::trace::Sink;
use crate::types::{Event, Size};

/// What a decision about a small anonymous page is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageFacts {
    /// As `folio_ref_count` gives it: a pin counts 1024.
    pub refcount: u32,
    pub mapcount: u32,
    pub exclusive: bool,
    /// It stands in this CPU's LRU-add batch, which holds one of its references.
    pub in_lru_batch: bool,
}

/// Keep the page, copy it, or find out more first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Reuse(Why),
    Copy(Why),
    /// Drain this CPU's LRU-add batch and decide again.
    Drain,
}

/// Why a page was kept or copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
pub enum Why {
    #[strum(serialize = "it is the last mapping")]
    LastMapping,
    #[strum(serialize = "others map it")]
    OtherMappings,
    #[strum(serialize = "it is the last reference")]
    LastRef,
    #[strum(serialize = "others have references")]
    OtherRefs,
    #[strum(serialize = "it is marked exclusive")]
    Exclusive,
    #[strum(serialize = "a defect keeps every page")]
    Defect,
}

/// K1. A write fault on a present, write-protected small anonymous page: keep it or copy it?
///
/// Source: mm/memory.c, `do_wp_page` and (since 6.7) `wp_can_reuse_anon_folio`. More than three references cannot be
/// explained by the page table, the swap cache and one LRU batch, so such a page is copied without a drain.
#[rustfmt::skip]
pub fn decide_small(knob: ReuseSmall, page: &PageFacts) -> Verdict {
    use {ReuseSmall::*, Verdict::*, Why::*};
    let last_ref = page.refcount == 1 && page.mapcount == 1;
    let may_drain = page.in_lru_batch && page.refcount <= 3;
    match (knob, page.exclusive, last_ref, may_drain) {
        (MapSwap, _, _, _) if page.mapcount == 1        => Reuse(LastMapping),
        (MapSwap, _, _, _)                              => Copy(OtherMappings),
        (Ref1, _, true,  _)                             => Reuse(LastRef),
        (Ref1, _, false, _)                             => Copy(OtherRefs),
        (ExclOrRef1 | DerivedBit, true, _, _)           => Reuse(Exclusive),
        (Ref1Drain, _, true, _)                         => Reuse(LastRef),
        (Ref1Drain, _, false, true)                     => Drain,
        (Ref1Drain, _, false, false)                    => Copy(OtherRefs),
        (ExclOrRef1, false, true, _)                    => Reuse(LastRef),
        (ExclOrRef1, false, false, true)                => Drain,
        (ExclOrRef1, false, false, false)               => Copy(OtherRefs),
        (DerivedBit, false, true, _)                    => Reuse(LastRef),
        (DerivedBit, false, false, _)                   => Copy(OtherRefs),
    }
}

/// Looks at a write-protected pte under the page-table lock and decides.
///
/// Source: mm/memory.c `do_wp_page`.
pub(super) fn look<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    let slot = cx.slot();
    let watched = slot.pte.flags.contains(PteFlags::UFFD_WP) && slot.vma.flags.contains(VmaFlags::UFFD_WP);
    if kind == FaultKind::Write && watched {
        let proc = cx.proc();
        cx.read_unlock(proc);
        let me = cx.me_mut();
        me.fault = Fault::None;
        me.flags.insert(TaskFlags::ASLEEP);
        return Progress::Asleep(Event::Wp);
    }
    match slot.pte.target {
        _ if slot.vma.flags.contains(VmaFlags::SHARED) => reuse(cx, kind),
        Target::Zero if kind == FaultKind::Write && cx.policy.defects.has(Defect::ZeroPageWritable) => reuse(cx, kind),
        Target::Zero | Target::Special(_) => cx.fault_at(Fault::Copying { kind, seen: slot.pte }),
        Target::None | Target::Swap(_) | Target::Migration(_) | Target::Guard => unreachable!("cowl bug: no page is there"),
        Target::Page(pfn) => match decide(cx, pfn) {
            Verdict::Reuse(_) => {
                fault::mark_proven(cx, pfn);
                reuse(cx, kind)
            }
            Verdict::Copy(_) => {
                cx.st.get(pfn);
                cx.fault_at(Fault::Copying { kind, seen: slot.pte })
            }
            Verdict::Drain => {
                super::transient::drain_batch(cx);
                Progress::Moved
            }
        },
    }
}

fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>) -> Verdict {
    let facts = facts(cx, pfn);
    let knob = cx.policy.reuse_small;
    let verdict = match cx.policy.defects.has(Defect::ReuseShared) {
        true => Verdict::Reuse(Why::Defect),
        false => decide_small(knob, &facts),
    };
    let (said, reason) = match verdict {
        Verdict::Reuse(why) => ("reuse", why.into()),
        Verdict::Copy(why) => ("copy", why.into()),
        Verdict::Drain => ("drain", "it stands in this CPU's LRU batch"),
    };
    let operands = [
        ("mapcount", facts.mapcount),
        ("refcount", facts.refcount),
        ("exclusive", facts.exclusive.into()),
        ("lru_batch", facts.in_lru_batch.into()),
    ];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let ruling = Ruling {
        rule: "wp::decide_small",
        knob: "reuse_small",
        value: knob.into(),
        verdict: said,
        reason,
        operands: &operands,
    };
    cx.decided(proc, vpn, Target::Page(pfn), ruling);
    verdict
}

/// What the state says of a page.
pub(super) fn facts<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pfn: Pfn<B::Number>) -> PageFacts {
    let folio = cx.st.folio(pfn);
    PageFacts {
        refcount: folio.ref_count(),
        mapcount: cx.st.mapcount(pfn),
        exclusive: cx.st.is_exclusive(pfn),
        in_lru_batch: folio.flags.contains(FolioFlags::LRU_BATCH),
    }
}

/// Keeps the page. After an unshare fault the pte stays as it is; without VM_WRITE it becomes dirty and stays read-only.
fn reuse<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    if kind == FaultKind::Write {
        let flags = fault::written_flags(&cx.slot().vma);
        cx.slot_mut().pte.flags |= flags;
        broke_cow(cx);
    }
    fault::done(cx)
}

/// Remembers what FOLL_COW stands for: a forced write fault ended without a writable pte.
fn broke_cow<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) {
    if !cx.slot().vma.flags.contains(VmaFlags::WRITE) {
        cx.me_mut().flags.insert(TaskFlags::COW_BROKEN);
    }
}

/// Allocates and copies, with no lock on the page table: who else holds the old page may still store to it.
///
/// Source: mm/memory.c `wp_page_copy`, as are the steps below.
pub(super) fn copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, seen: Pte<B::Number>) -> Progress {
    let Ok(new) = cx.st.alloc() else { return Progress::Exhausted("page frames") };
    cx.st.page_mut(new).words = cx.st.words(seen.target);
    cx.fault_at(Fault::Clearing { kind, seen, new })
}

/// Takes the lock again; clears and flushes the pte if it is what it was.
pub(super) fn clear<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    new: Pfn<B::Number>,
) -> Progress {
    let proc = cx.proc();
    if !cx.try_lock_ptl(proc) {
        return Progress::Blocked;
    }
    if cx.slot().pte != seen {
        cx.unlock_ptl(proc);
        cx.st.put(new);
        if let Target::Page(old) = seen.target {
            cx.st.put(old);
        }
        return fault::done(cx);
    }
    cx.slot_mut().pte = Pte::default();
    cx.fault_at(Fault::Installing { kind, seen, new })
}

/// Maps the copy and takes the mapping from the old page, in this order.
pub(super) fn install<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    new: Pfn<B::Number>,
) -> Progress {
    let (proc, vpn, vma) = (cx.proc(), cx.vpn(), cx.slot().vma);
    if let Target::Page(old) = seen.target {
        cx.copied(proc, vpn, old, new, "wp_page_copy");
    }
    fault::map_new_anon(cx, proc, new);
    let flags = match kind {
        FaultKind::Write => fault::written_flags(&vma),
        FaultKind::Read | FaultKind::Unshare if cx.policy.defects.has(Defect::UnshareDropsUffdWp) => {
            PteFlags::YOUNG | (seen.flags & PteFlags::SOFT_DIRTY)
        }
        FaultKind::Read | FaultKind::Unshare => PteFlags::YOUNG | (seen.flags & (PteFlags::SOFT_DIRTY | PteFlags::UFFD_WP)),
    };
    cx.slot_mut().pte = Pte { target: Target::Page(new), flags };
    if let Target::Page(old) = seen.target
        && !cx.policy.defects.has(Defect::CopyForgetsMapcount)
    {
        cx.st.remove_rmap_pte(proc, old);
    }
    if kind == FaultKind::Write {
        broke_cow(cx);
    }
    cx.unlock_ptl(proc);
    cx.fault_at(Fault::Putting { old: seen.target })
}

/// Drops the fault's reference on the old page and the one of its mapping.
pub(super) fn put_old<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, old: Target<B::Number>) -> Progress {
    if let Target::Page(old) = old {
        cx.st.put(old);
        cx.st.put(old);
    }
    fault::done(cx)
}
