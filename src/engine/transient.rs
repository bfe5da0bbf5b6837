//! References that no process asked for: speculative ones and those of the LRU-add batches.

use super::{Cx, Progress};
use crate::ir::Op;
use crate::policy::Defect;
use crate::state::{FolioFlags, State, Target};
use crate::trace::Sink;
use crate::types::{RefId, Size};

/// Takes a reference on each page that is mapped right now; faults nothing in.
///
/// Source: include/linux/page_ref.h `folio_try_get`, as page-cache look-up, compaction and memory failure use it.
pub(super) fn hold<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, name: RefId) -> Progress {
    let (area, first) = (cx.area(), cx.program.refs[name.idx()].first);
    for (nr, vpn) in area.pages().enumerate() {
        if let Target::Page(pfn) = cx.st.pte(area.proc, vpn).target {
            cx.st.get(pfn);
            cx.st.held_mut()[usize::from(first) + nr] = Target::Page(pfn);
        }
    }
    cx.commit_range()
}

/// Puts mapped pages into the LRU-add batch of the CPU that the processes run on, as a fresh page is after its fault.
///
/// Source: mm/swap.c `folio_add_lru`.
pub(super) fn lru_add<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let area = cx.area();
    for vpn in area.pages() {
        if let Target::Page(pfn) = cx.st.pte(area.proc, vpn).target
            && !cx.st.folio(pfn).flags.contains(FolioFlags::LRU_BATCH)
        {
            cx.st.get(pfn);
            cx.st.folio_mut(pfn).flags.insert(FolioFlags::LRU_BATCH);
        }
    }
    cx.commit_range()
}

/// Drains all batches.
///
/// Source: mm/swap.c `lru_add_drain_all`.
pub(super) fn drain<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    drain_batch(cx);
    cx.commit_whole()
}

/// Drains this CPU's batch. The model has one batch: that of the CPU on which the scenario's processes run.
///
/// Source: mm/swap.c `lru_add_drain`.
pub(super) fn drain_batch<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) {
    if !cx.program.code.iter().any(|instr| matches!(instr.op, Op::LruAdd { .. })) {
        return; // Nothing ever stands in it.
    }
    let next = |st: &State<B>| st.folios().find(|(_, folio)| folio.flags.contains(FolioFlags::LRU_BATCH)).map(|(pfn, _)| pfn);
    while let Some(pfn) = next(cx.st) {
        cx.st.folio_mut(pfn).flags.remove(FolioFlags::LRU_BATCH);
        if !cx.policy.defects.has(Defect::DrainForgetsReference) {
            cx.st.put(pfn);
        }
    }
}
