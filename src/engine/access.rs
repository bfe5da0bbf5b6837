//! User loads and stores, and MADV_POPULATE, which is faults without an access.

use super::{Cx, Progress, collapse, fault, tlb};
use crate::ir::Op;
use crate::observe::Seen;
use crate::state::{Fault, FaultKind, Pfn, PteFlags, Target};
use crate::trace::{Sink, What};
use crate::types::{Size, ValueId};

/// One page's load or store: through the pte where it permits, else into a fault and again.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let pte = cx.slot().pte;
    let hidden = collapse::hides(cx.st, cx.program, cx.proc(), cx.vpn());
    if let Op::Write { value, .. } = cx.op() {
        if !pte.may_write()
            && let Some(pfn) = tlb::kept(cx.st, cx.task, cx.vpn())
        {
            return store_through(cx, pfn, value);
        }
        if !pte.may_write() || hidden {
            return cx.fault_at(Fault::Start(FaultKind::Write));
        }
        cx.add_flags(PteFlags::YOUNG | PteFlags::DIRTY);
        tlb::fill(cx, pte.target);
        cx.st.store(pte.target, cx.word(), value);
        if let Some(pfn) = pte.target.pfn() {
            cx.emit("store", |_| What::Stored { frame: super::frame_number(pfn) });
        }
        return cx.commit_page(Seen::Nothing);
    }
    if !pte.may_read() || hidden {
        return cx.fault_at(Fault::Start(FaultKind::Read));
    }
    cx.add_flags(PteFlags::YOUNG);
    let seen = cx.read_words(pte.target);
    cx.commit_page(seen)
}

/// A store through a translation that the page table no longer has: it changes no entry, for its dirty bit is set already. Where
/// the page has been freed nobody can say what it hits, and here it hits nothing.
fn store_through<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>, value: ValueId) -> Progress {
    if !cx.st.folio(pfn).is_free() {
        cx.st.store(Target::Page(pfn), cx.word(), value);
        cx.emit("store through a stale TLB entry", |_| What::Stored { frame: super::frame_number(pfn) });
    }
    cx.commit_page(Seen::Nothing)
}

/// MADV_POPULATE_READ and _WRITE: faults until the page table would let an access through.
///
/// Source: mm/gup.c `faultin_page_range` (6.x), `populate_vma_page_range`.
pub(super) fn populate<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, write: bool) -> Progress {
    let slot = cx.slot();
    let (ready, kind) = match write {
        true => (slot.pte.may_write(), FaultKind::Write),
        false => (slot.pte.may_read(), FaultKind::Read),
    };
    match fault::permitted(cx, kind) {
        Err(failure) => {
            let proc = cx.proc();
            cx.read_unlock(proc);
            Progress::Failed(failure)
        }
        Ok(()) if ready => cx.commit_page(Seen::Nothing),
        Ok(()) => cx.fault_at(Fault::Start(kind)),
    }
}
