//! Migration: a folio's contents go to other frames, behind entries that make everybody wait who wants the page meanwhile.
//!
//! Compaction, NUMA balancing, memory hotplug and longterm pins ask for it. Whoever holds a reference stops it.

use super::{Cx, Progress, Ruling, exclusive, fault, share, transient};
use crate::observe::Seen;
use crate::policy::{Defect, MigrExcl};
use crate::state::{At, FolioFlags, Grab, MigrateAt, Pfn, Pte, PteFlags, Target, TaskFlags, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Number, ProcId, Size, Vpn};

/// K23. Which kind of migration entry stands for a pte: [`PteFlags::WRITE`], [`PteFlags::EXCLUSIVE`] or neither.
///
/// Source: mm/rmap.c `try_to_migrate_one` (5.19: readable-exclusive entries).
pub fn decide_entry(knob: MigrExcl, writable: bool, exclusive: bool) -> PteFlags {
    match (knob, writable, exclusive) {
        (MigrExcl::ReadWrite | MigrExcl::ReadExclWrite, true, _) => PteFlags::WRITE,
        (MigrExcl::ReadExclWrite, false, true) => PteFlags::EXCLUSIVE,
        (MigrExcl::ReadExclWrite, false, false) | (MigrExcl::ReadWrite, false, _) => PteFlags::empty(),
    }
}

/// May a folio be moved? Only if its references are those of the mover and of the caches it is in.
///
/// Source: mm/migrate.c `folio_migrate_mapping`, which freezes the count.
pub fn decide_move(refcount: u32, in_caches: u32) -> bool {
    refcount == 1 + in_caches
}

/// One step of `migrate`.
///
/// Source: mm/migrate.c `migrate_folio_unmap`, `migrate_folio_move`, `remove_migration_pte`; for a device mm/migrate_device.c
/// `migrate_vma_setup`. Memory of a device that CPUs reach (MEMORY_DEVICE_COHERENT) is other frames, no more.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    match cx.me().at {
        At::Share(place, at) => share::step(cx, place, at),
        At::Migrate(MigrateAt::Lock) => lock(cx),
        At::Migrate(MigrateAt::Unmap) => unmap(cx),
        At::Migrate(MigrateAt::Move) => move_folio(cx),
        At::Migrate(MigrateAt::Restore) => restore(cx),
        _ => isolate(cx),
    }
}

fn isolate<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if !cx.ptl_is_free(cx.proc()) {
        return Progress::Blocked;
    }
    transient::drain_batch(cx);
    match cx.slot().pte.target {
        Target::Page(page) if !cx.st.folio(page).flags.intersects(FolioFlags::DEVICE | FolioFlags::HUGETLB) => {
            cx.st.get(page);
            cx.me_mut().grab = (Target::Page(page), Grab::Get);
            cx.goto(At::Migrate(MigrateAt::Lock))
        }
        _ => cx.commit_page(Seen::Nothing),
    }
}

fn lock<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    if cx.is_locked_by_another(page) || cx.st.folio(page).flags.contains(FolioFlags::WRITEBACK) {
        return cx.put_back();
    }
    cx.me_mut().flags.insert(TaskFlags::LOCKS_FOLIO);
    cx.goto(At::Migrate(MigrateAt::Unmap))
}

fn unmap<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let page = cx.isolated();
    match share::next_mapping(cx, page) {
        Some((proc, vpn)) => share::clear(cx, proc, vpn),
        None => cx.goto(At::Migrate(MigrateAt::Move)),
    }
}

/// Whether the page whose pte is clear may leave the page table: where leaving takes the exclusive bit from it, it must not
/// be pinned.
///
/// Source: include/linux/rmap.h `folio_try_share_anon_rmap_pte` (5.19).
pub(super) fn may_unmap<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>) -> bool {
    let exclusive = cx.me().seen.flags.contains(PteFlags::EXCLUSIVE);
    let knob = cx.policy.wp_clears_excl;
    let shares = exclusive && exclusive::decide(knob, exclusive::Event::Unmapped) == exclusive::Change::Clear;
    let refuses = shares && cx.st.folio(page).maybe_pinned();
    if refuses {
        let operands = [("pincount", cx.st.folio(page).pincount.get()), ("exclusive", exclusive.into())];
        let reason = "it is pinned, so it cannot be made shared";
        let (rule, knob, value) = ("migrate::may_unmap", "wp_clears_excl", knob.into());
        let ruling = Ruling { rule, knob, value, verdict: "keep", reason, operands: &operands };
        cx.decided(proc, vpn, Target::Page(page), ruling);
    }
    !refuses
}

/// The migration entry that stands for a pte, and what comes next.
pub(super) fn entry<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    page: Pfn<B::Number>,
    seen: Pte<B::Number>,
) -> (Pte<B::Number>, At) {
    let marks = cx.policy.defects.has(Defect::MigrationMarksShared);
    let (writable, exclusive) = (seen.flags.contains(PteFlags::WRITE), seen.flags.contains(PteFlags::EXCLUSIVE) || marks);
    let by_pmd = seen.flags.contains(PteFlags::PMD);
    let lost = if by_pmd && cx.policy.defects.has(Defect::B36) { PteFlags::UFFD_WP } else { PteFlags::empty() };
    let kept = PteFlags::SOFT_DIRTY | PteFlags::UFFD_WP | PteFlags::YOUNG | PteFlags::DIRTY | PteFlags::PMD;
    let flags = (seen.flags & (kept - lost)) | decide_entry(cx.policy.migr_excl, writable, exclusive);
    (Pte { target: Target::Migration(page), flags }, At::Migrate(MigrateAt::Unmap))
}

/// What was unmapped so far is mapped again as it was.
pub(super) fn give_up<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    cx.goto(At::Migrate(MigrateAt::Restore))
}

/// References of the caches that the folio is in.
pub(super) fn in_caches<B: Size, S: Sink>(cx: &Cx<'_, B, S>, page: Pfn<B::Number>) -> u32 {
    let pages = || cx.st.folio_pages(page);
    let files = cx.st.cached().iter().filter(|target| pages().any(|page| **target == Target::Page(page))).count();
    let swap = if cx.st.is_swapcached(page) { pages().len() } else { 0 };
    (files + swap) as u32
}

/// Copies the folio, and puts the new one where the caches have the old one.
fn move_folio<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let old = cx.isolated();
    let (refcount, expected) = (cx.st.folio(old).ref_count(), in_caches(cx, old));
    if !decide_move(refcount, expected) {
        let (proc, vpn) = (cx.proc(), cx.vpn());
        let reason = "others have references";
        let (rule, operands) = ("migrate::decide_move", [("refcount", refcount), ("in_caches", expected)]);
        let ruling = Ruling { rule, knob: "", value: "", verdict: "keep", reason, operands: &operands };
        cx.decided(proc, vpn, Target::Page(old), ruling);
        return give_up(cx);
    }
    let Ok(new) = cx.alloc(cx.st.folio(old).order) else { return give_up(cx) };
    cx.st.folio_mut(new).flags = cx.st.folio(old).flags;
    let slots = cx.st.swap_slot_of(cx.st.head(old));
    for (nr, (from, to)) in cx.st.folio_pages(old).zip(cx.st.folio_pages(new)).enumerate() {
        let page = *cx.st.page(from);
        cx.st.page_mut(to).words = page.words;
        cx.st.page_mut(to).exclusive = page.exclusive;
        if let Some(first) = slots {
            cx.st.cache_swap(first + nr, to);
            cx.st.put(from);
        }
        for place in 0..cx.st.cached().len() {
            if cx.st.cache(place) == Target::Page(from) {
                cx.st.set_cache(place, Target::Page(to));
                cx.st.get(to);
                cx.st.put(from);
            }
        }
    }
    cx.me_mut().seen.target = Target::Page(new);
    cx.goto(At::Migrate(MigrateAt::Restore))
}

/// Makes the next migration entry a pte or PMD again.
fn restore<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (old, new) = (cx.isolated(), cx.me().seen.target.pfn());
    let head = cx.st.head(old);
    let names = |pte: Pte<B::Number>| matches!(pte.target, Target::Migration(pfn) if cx.st.head(pfn) == head);
    let next = cx.st.slots().find(|(_, _, slot)| names(slot.pte)).map(|(proc, vpn, slot)| (proc, vpn, *slot));
    let Some((proc, vpn, slot)) = next else {
        if let Target::Page(new) = std::mem::take(&mut cx.me_mut().seen).target {
            cx.st.put(new);
        }
        return cx.put_back();
    };
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    let Target::Migration(was) = slot.pte.target else { unreachable!("cowl bug: not a migration entry") };
    let page = new.map_or(was, |new| Pfn::at(new.idx() + was.idx() - head.idx()));
    map_again(cx, proc, vpn, page);
    Progress::Moved
}

/// An entry that stands for a page maps it again.
///
/// Source: mm/migrate.c `remove_migration_pte`; mm/huge_memory.c `remove_migration_pmd`.
pub(super) fn map_again<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>) {
    let slot = *cx.st.slot(proc, vpn);
    cx.st.get(page);
    if slot.pte.flags.contains(PteFlags::PMD) {
        cx.st.add_rmap_pmd(proc, page);
    } else {
        cx.st.add_rmap_pte(proc, page);
    }
    if slot.pte.flags.intersects(PteFlags::WRITE | PteFlags::EXCLUSIVE) && cx.st.folio(page).is_anon() {
        fault::mark_proven(cx, page);
    }
    let flags = restored(cx, slot.pte.flags, &slot.vma);
    cx.set_entry(proc, vpn, Pte { target: Target::Page(page), flags });
}

/// What an entry forgets on its way to another form. A PMD that becomes ptes forgets less: not the young bit.
pub(super) fn lost_flags<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> PteFlags {
    if cx.policy.defects.has(Defect::B22b) { PteFlags::YOUNG | PteFlags::DIRTY } else { PteFlags::empty() }
}

/// The bits of a pte that a migration entry becomes.
///
/// Source: mm/migrate.c `remove_migration_pte`; young and dirty since 2e3468778dbe (6.1). x86 sets the soft-dirty bit with the
/// dirty one (arch/x86/include/asm/pgtable.h `pte_mkdirty`), whatever clear_refs did to the entry.
fn restored<B: Size, S: Sink>(cx: &Cx<'_, B, S>, entry: PteFlags, vma: &Vma<B::Number>) -> PteFlags {
    let mut flags = entry - PteFlags::EXCLUSIVE;
    flags.remove(lost_flags(cx));
    if flags.contains(PteFlags::DIRTY) {
        flags.insert(PteFlags::SOFT_DIRTY);
    }
    if entry.contains(PteFlags::UFFD_WP) || !vma.flags.contains(VmaFlags::WRITE) {
        flags.remove(PteFlags::WRITE);
    }
    flags.remove(PteFlags::PROTNONE);
    flags | (fault::read_flags(vma) & PteFlags::PROTNONE)
}
