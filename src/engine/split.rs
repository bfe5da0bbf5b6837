//! Splitting a large folio into folios of one page: behind migration entries, and only where nobody else holds it.

use super::{Cx, Progress, Ruling, migrate, share, transient};
use crate::ir::Op;
use crate::observe::Seen;
use crate::state::{At, FolioFlags, Grab, MigrateAt, Pfn, Slot, Target, TaskFlags};
use crate::trace::Sink;
use crate::types::{ProcId, Size, Vpn};

/// May a large folio be split? Only if its references are its mappings, the caches that it is in, and who splits it.
///
/// Source: mm/huge_memory.c `can_split_folio` (`can_split_huge_page` before 5.18), `folio_ref_freeze`.
pub fn decide_split(refcount: u32, mapcount: u32, in_caches: u32) -> bool {
    refcount == mapcount + in_caches + 1
}

/// `split_folio`: page by page of its range, the folios that stand behind it.
///
/// Source: mm/huge_memory.c `split_huge_pages_pid`, `split_folio_to_list`.
pub(super) fn folio<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if !cx.ptl_is_free(cx.proc()) {
        return Progress::Blocked;
    }
    transient::drain_batch(cx);
    match cx.slot().pte.target {
        Target::Page(page) if is_splittable(cx, page) => begin(cx, page),
        _ => cx.commit_page(Seen::Nothing),
    }
}

fn is_splittable<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let folio = cx.st.folio(page);
    folio.is_large() && folio.is_anon() && !folio.flags.intersects(FolioFlags::DEVICE | FolioFlags::HUGETLB)
}

/// Starts to split a folio: whatever the instruction is about, it goes on with [`At::Walk`] when the folio is split, and with
/// the next page when it could not be. A folio that the task has isolated already is its own from now on.
pub(super) fn begin<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, page: Pfn<B::Number>) -> Progress {
    if cx.me().grab.0 != Target::Page(page) {
        cx.st.get(page);
    }
    let locked = cx.is_locked_by_another(page);
    let me = cx.me_mut();
    me.grab = (Target::Page(page), Grab::Get);
    me.flags.set(TaskFlags::LOCKS_FOLIO, !locked);
    if locked || !may_split(cx, page) {
        return cx.put_back();
    }
    cx.me_mut().flags.insert(TaskFlags::SPLITS_FOLIO);
    cx.goto(At::Migrate(MigrateAt::Unmap))
}

/// Whether a folio could be split at once: nobody else has its lock, or a reference that its mappings and the caches do not explain.
pub(super) fn is_possible<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let (refcount, mapcount) = (cx.st.folio(page).ref_count(), cx.st.folio_mapcount(page));
    !cx.is_locked_by_another(page) && decide_split(refcount + 1, mapcount, migrate::in_caches(cx, page))
}

/// One step of splitting.
///
/// Source: mm/huge_memory.c `unmap_folio`, `__split_huge_page`, `remap_page`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    match cx.me().at {
        At::Share(place, at) => share::step(cx, place, at),
        At::Migrate(MigrateAt::Move | MigrateAt::Restore) if cx.st.mms().iter().any(|mm| mm.ptl.is_some()) => Progress::Blocked,
        At::Migrate(MigrateAt::Move) => split(cx),
        At::Migrate(MigrateAt::Restore) => map_all_again(cx),
        _ => {
            let page = cx.isolated();
            match share::next_mapping(cx, page) {
                Some((proc, vpn)) => share::clear(cx, proc, vpn),
                None => cx.goto(At::Migrate(MigrateAt::Move)),
            }
        }
    }
}

/// Asks whether the folio may be split; recorded where it may not.
fn may_split<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, page: Pfn<B::Number>) -> bool {
    let (refcount, mapcount) = (cx.st.folio(page).ref_count(), cx.st.folio_mapcount(page));
    let in_caches = migrate::in_caches(cx, page);
    let may = decide_split(refcount, mapcount, in_caches);
    if !may {
        let (proc, vpn) = (cx.proc(), cx.vpn());
        let operands = [("refcount", refcount), ("mapcount", mapcount), ("in_caches", in_caches)];
        let (rule, verdict, reason) = ("split::decide_split", "keep", "others have references");
        let ruling = Ruling { rule, knob: "", value: "", verdict, reason, operands: &operands };
        cx.decided(proc, vpn, Target::Page(page), ruling);
    }
    may
}

/// The folio becomes small ones, and all entries that stand for them map them again: all at once, for who meets an entry
/// waits for the last of them anyway.
fn split<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let kept = cx.isolated();
    if !may_split(cx, kept) {
        return map_all_again(cx);
    }
    let pages: Vec<_> = cx.st.folio_pages(kept).collect();
    cx.st.split(kept);
    for (proc, vpn, page) in entries(cx, &pages) {
        migrate::map_again(cx, proc, vpn, page);
    }
    for page in pages {
        if cx.st.folio_mapcount(page) == 0 {
            cx.st.set_exclusive(page, false);
        }
        if cx.st.folio(page).is_free() {
            cx.st.free(page);
        }
    }
    ended(cx, true)
}

/// The entries that stand for some of these pages.
fn entries<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pages: &[Pfn<B::Number>]) -> Vec<(ProcId, Vpn, Pfn<B::Number>)> {
    let (first, last) = (pages[0], pages[pages.len() - 1]);
    let named = |slot: &Slot<B::Number>| match slot.pte.target {
        Target::Migration(page) if first <= page && page <= last => Some(page),
        _ => None,
    };
    cx.st.slots().filter_map(|(proc, vpn, slot)| named(slot).map(|page| (proc, vpn, page))).collect()
}

/// The folio stays as it is: what was unmapped of it is mapped again.
fn map_all_again<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let pages: Vec<_> = cx.st.folio_pages(cx.isolated()).collect();
    for (proc, vpn, page) in entries(cx, &pages) {
        migrate::map_again(cx, proc, vpn, page);
    }
    ended(cx, false)
}

/// Whether an instruction that could not split a folio looks at the page again instead of leaving it: mm/userfaultfd.c `move_pages`
/// until it can.
fn tries_again(op: Op) -> bool {
    matches!(op, Op::UffdMove { .. })
}

/// The lock and the reference are given back, and the instruction goes on.
fn ended<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, done: bool) -> Progress {
    cx.me_mut().flags.remove(TaskFlags::SPLITS_FOLIO);
    if !done && !tries_again(cx.op()) {
        return cx.put_back();
    }
    let (target, _) = std::mem::take(&mut cx.me_mut().grab);
    cx.me_mut().flags.remove(TaskFlags::LOCKS_FOLIO);
    if let Target::Page(page) = target {
        cx.st.put(page);
    }
    cx.goto(At::Walk)
}
