//! Taking a page out of a page table while others may pin it without a lock: clear the pte, look for pins, clear the
//! exclusive bit, install what stands for the page. Reclaim, migration and KSM go this way, one pte after the other.
//!
//! Source: mm/rmap.c `try_to_unmap_one`, `try_to_migrate_one`; mm/ksm.c `write_protect_page`; include/linux/rmap.h
//! `folio_try_share_anon_rmap_pte`, whose comment orders these steps against mm/gup.c.

use super::{Cx, Progress, exclusive, huge, ksm, lazyfree, migrate, reclaim, uffd, uffd_move};
use crate::ir::{Actor, Op};
use crate::policy::Defect;
use crate::state::{At, FolioFlags, Pfn, Pte, PteFlags, ShareAt, Slot, Target, TaskFlags};
use crate::trace::Sink;
use crate::types::{ProcId, Size, Vpn};

/// Who takes pages out of page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mover {
    Reclaim,
    Migration,
    /// Splitting a folio, which stands behind migration entries meanwhile.
    Split,
    Ksm,
}

fn mover<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> Mover {
    match cx.op() {
        _ if cx.me().flags.contains(TaskFlags::SPLITS_FOLIO) => Mover::Split,
        Op::Pageout { .. } | Op::Madvise { .. } => Mover::Reclaim,
        Op::Migrate { .. } => Mover::Migration,
        Op::KsmMerge { .. } => Mover::Ksm,
        other => panic!("cowl bug: {other:?} takes no page out of a page table"),
    }
}

/// The next entry that maps a page of the folio, as a place among all address spaces.
pub(super) fn next_mapping<B: Size, S: Sink>(cx: &Cx<'_, B, S>, folio: Pfn<B::Number>) -> Option<(ProcId, Vpn)> {
    let head = cx.st.head(folio);
    let maps = |pte: Pte<B::Number>| {
        !pte.flags.contains(uffd_move::MISFILED) && pte.target.pfn().is_some_and(|pfn| cx.st.head(pfn) == head)
    };
    let (proc, vpn, pages) = (cx.proc(), cx.vpn(), cx.st.folio_pages(folio).len());
    if pages == 1 && cx.st.mapcount(folio) == 0 && !cx.st.folio(folio).flags.contains(FolioFlags::DEVICE) {
        return None;
    }
    // Most are where the mover is, those of a large folio one behind the other.
    let near = (vpn.idx() + 1).saturating_sub(pages)..(vpn.idx() + pages).min(cx.st.pages_per_mm());
    let nearby = near.map(Vpn::at).find(|vpn| maps(cx.st.pte(proc, *vpn))).map(|vpn| (proc, vpn));
    nearby.or_else(|| cx.st.slots().find(|(_, _, slot)| maps(slot.pte)).map(|(proc, vpn, _)| (proc, vpn)))
}

/// Takes the page-table lock and clears an entry. Its dirty bit goes to the folio. A PMD only migration takes as it is; for
/// others it becomes ptes first (TTU_SPLIT_HUGE_PMD).
pub(super) fn clear<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> Progress {
    if !cx.try_lock_ptl(proc) {
        return Progress::Blocked;
    }
    if mover(cx) != Mover::Migration {
        huge::split_pmd(cx, proc, vpn);
    }
    clear_locked(cx, proc, vpn)
}

fn clear_locked<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> Progress {
    let leaf = cx.leaf(proc, vpn);
    let vpn = Vpn(leaf.start);
    let mut seen = cx.st.pte(proc, vpn);
    for page in leaf {
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte::default();
    }
    let page = seen.target.pfn().expect("cowl bug: a mover clears what maps no page");
    seen.flags.set(PteFlags::EXCLUSIVE, cx.st.folio(page).is_anon() && cx.st.is_exclusive(page));
    cx.me_mut().seen = seen;
    if loses_dirty(cx) {
        seen.flags.remove(PteFlags::DIRTY);
    }
    if seen.flags.contains(PteFlags::DIRTY) && !cx.policy.defects.has(Defect::UnmapForgetsDirty) {
        cx.st.folio_mut(page).flags.insert(FolioFlags::DIRTY);
    }
    let place = proc.idx() * cx.st.pages_per_mm() + vpn.idx();
    cx.goto(At::Share(u16::try_from(place).expect("cowl bug: a page past all address spaces"), ShareAt::Test))
}

/// A driver that takes pages to its device's memory goes a way of its own.
///
/// Source: mm/migrate_device.c `migrate_vma_collect_pmd`.
fn loses_dirty<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    cx.program.tasks[cx.task.idx()] == Actor::Device && cx.policy.defects.has(Defect::B22)
}

/// One step with a cleared pte.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, place: u16, at: ShareAt) -> Progress {
    let (proc, vpn) =
        (ProcId::at(usize::from(place) / cx.st.pages_per_mm()), Vpn::at(usize::from(place) % cx.st.pages_per_mm()));
    let seen = cx.me().seen;
    let page = seen.target.pfn().expect("cowl bug: the caller cleared a pte");
    match at {
        ShareAt::Test => {
            let may = match mover(cx) {
                Mover::Reclaim => reclaim::may_unmap(cx, proc, vpn, page),
                Mover::Migration | Mover::Split => migrate::may_unmap(cx, proc, vpn, page),
                Mover::Ksm => ksm::may_protect(cx, proc, vpn, page),
            };
            if may || cx.policy.defects.has(Defect::UnmapSkipsPinCheck) {
                return cx.goto(At::Share(place, ShareAt::ClearBit));
            }
            let restored = Pte { flags: seen.flags - PteFlags::EXCLUSIVE, ..seen };
            if mover(cx) == Mover::Reclaim {
                lazyfree::restore_batch(cx, proc, vpn, restored);
            }
            end(cx, proc, vpn, restored);
            match mover(cx) {
                Mover::Reclaim => reclaim::keep(cx),
                Mover::Migration | Mover::Split => migrate::give_up(cx),
                Mover::Ksm => ksm::give_up(cx, proc, vpn),
            }
        }
        ShareAt::ClearBit => {
            let change = exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::Unmapped);
            let keeps = cx.policy.defects.has(Defect::UnmapKeepsExclusive);
            if seen.flags.contains(PteFlags::EXCLUSIVE) && change == exclusive::Change::Clear && !keeps {
                cx.st.set_exclusive(page, false);
            }
            cx.goto(At::Share(place, ShareAt::Install))
        }
        ShareAt::Install => {
            let (mut entry, next) = match mover(cx) {
                Mover::Reclaim => reclaim::entry(cx, page, seen),
                Mover::Migration | Mover::Split => migrate::entry(cx, page, seen),
                Mover::Ksm => ksm::protected(cx, proc, vpn, seen),
            };
            if !entry.is_present() {
                if seen.flags.contains(PteFlags::PMD) {
                    cx.st.remove_rmap_pmd(proc, page);
                } else {
                    cx.st.remove_rmap_pte(proc, page);
                }
                cx.st.put(page);
            }
            if entry.is_none() {
                entry.flags = uffd::left_behind(&Slot { pte: seen, vma: cx.st.slot(proc, vpn).vma });
            }
            end(cx, proc, vpn, entry);
            match next_page(cx, proc, vpn, page) {
                // Of one folio in one table all ptes are taken out under one lock.
                Some(vpn) if !entry.is_present() && cx.try_lock_ptl(proc) => clear_locked(cx, proc, vpn),
                _ => cx.goto(next),
            }
        }
    }
}

/// Where the page behind this one of its large folio is mapped, if that is by the next pte.
///
/// Source: mm/page_vma_mapped.c `page_vma_mapped_walk`.
fn next_page<B: Size, S: Sink>(cx: &Cx<'_, B, S>, proc: ProcId, vpn: Vpn, page: Pfn<B::Number>) -> Option<Vpn> {
    let next = Vpn(vpn.0 + 1);
    if !cx.st.folio(page).is_large() || next.idx() == cx.st.pages_per_mm() {
        return None;
    }
    let target = cx.st.pte(proc, next).target;
    (target == Target::Page(page).behind(1) && cx.st.head(page) == cx.st.head(target.pfn()?)).then_some(next)
}

/// Installs what the page table has from now on, and gives the lock back.
fn end<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pte: Pte<B::Number>) {
    cx.set_entry(proc, vpn, pte);
    cx.me_mut().seen = Pte { target: Target::None, ..Pte::default() };
    cx.unlock_ptl(proc);
}
