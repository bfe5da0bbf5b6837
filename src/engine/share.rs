//! Taking a page out of a page table while others may pin it without a lock: clear the pte, look for pins, clear the
//! exclusive bit, install what stands for the page. Reclaim, migration and KSM go this way, one pte after the other.
//!
//! Source: mm/rmap.c `try_to_unmap_one`, `try_to_migrate_one`; mm/ksm.c `write_protect_page`; include/linux/rmap.h
//! `folio_try_share_anon_rmap_pte`, whose comment orders these steps against mm/gup.c.

use super::{Cx, Progress, exclusive, ksm, migrate, reclaim, uffd, uffd_move};
use crate::ir::Op;
use crate::policy::Defect;
use crate::state::{At, FolioFlags, Pfn, Pte, PteFlags, ShareAt, Slot, Target};
use crate::trace::Sink;
use crate::types::{ProcId, Size, Vpn};

/// Who takes pages out of page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mover {
    Reclaim,
    Migration,
    Ksm,
}

fn mover(op: Op) -> Mover {
    match op {
        Op::Pageout { .. } | Op::Madvise { .. } => Mover::Reclaim,
        Op::Migrate { .. } => Mover::Migration,
        Op::KsmMerge { .. } => Mover::Ksm,
        other => panic!("cowl bug: {other:?} takes no page out of a page table"),
    }
}

/// The next pte that maps a page of the folio, as a place among all address spaces.
pub(super) fn next_mapping<B: Size, S: Sink>(cx: &Cx<'_, B, S>, folio: Pfn<B::Number>) -> Option<(ProcId, Vpn)> {
    let head = cx.st.head(folio);
    let maps = |pte: Pte<B::Number>| {
        !pte.flags.contains(uffd_move::MISFILED) && pte.target.pfn().is_some_and(|pfn| cx.st.head(pfn) == head)
    };
    cx.st.slots().find(|(_, _, slot)| maps(slot.pte)).map(|(proc, vpn, _)| (proc, vpn))
}

/// Takes the page-table lock and clears a pte. Its dirty bit goes to the folio.
pub(super) fn clear<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn) -> Progress {
    if !cx.try_lock_ptl(proc) {
        return Progress::Blocked;
    }
    let mut seen = std::mem::take(&mut cx.st.slot_mut(proc, vpn).pte);
    let page = seen.target.pfn().expect("cowl bug: a mover clears what maps no page");
    seen.flags.set(PteFlags::EXCLUSIVE, cx.st.folio(page).is_anon() && cx.st.is_exclusive(page));
    cx.me_mut().seen = seen;
    if seen.flags.contains(PteFlags::DIRTY) && !cx.policy.defects.has(Defect::UnmapForgetsDirty) {
        cx.st.folio_mut(page).flags.insert(FolioFlags::DIRTY);
    }
    let place = proc.idx() * cx.st.pages_per_mm() + vpn.idx();
    cx.goto(At::Share(u16::try_from(place).expect("cowl bug: a page past all address spaces"), ShareAt::Test))
}

/// One step with a cleared pte.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, place: u16, at: ShareAt) -> Progress {
    let (proc, vpn) =
        (ProcId::at(usize::from(place) / cx.st.pages_per_mm()), Vpn::at(usize::from(place) % cx.st.pages_per_mm()));
    let seen = cx.me().seen;
    let page = seen.target.pfn().expect("cowl bug: the caller cleared a pte");
    match at {
        ShareAt::Test => {
            let may = match mover(cx.op()) {
                Mover::Reclaim => reclaim::may_unmap(cx, proc, vpn, page),
                Mover::Migration => migrate::may_unmap(cx, proc, vpn, page),
                Mover::Ksm => ksm::may_protect(cx, proc, vpn, page),
            };
            if may || cx.policy.defects.has(Defect::UnmapSkipsPinCheck) {
                return cx.goto(At::Share(place, ShareAt::ClearBit));
            }
            let flags = seen.flags - PteFlags::EXCLUSIVE;
            end(cx, proc, vpn, Pte { flags, ..seen });
            match mover(cx.op()) {
                Mover::Reclaim => reclaim::keep(cx),
                Mover::Migration => migrate::give_up(cx),
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
            let (mut entry, next) = match mover(cx.op()) {
                Mover::Reclaim => reclaim::entry(cx, page, seen),
                Mover::Migration => migrate::entry(cx, page, seen),
                Mover::Ksm => ksm::protected(cx, proc, vpn, seen),
            };
            if !entry.is_present() {
                cx.st.remove_rmap_pte(proc, page);
                cx.st.put(page);
            }
            if entry.is_none() {
                entry.flags = uffd::left_behind(&Slot { pte: seen, vma: cx.st.slot(proc, vpn).vma });
            }
            end(cx, proc, vpn, entry);
            cx.goto(next)
        }
    }
}

/// Installs what the page table has from now on, and gives the lock back.
fn end<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, vpn: Vpn, pte: Pte<B::Number>) {
    cx.st.slot_mut(proc, vpn).pte = pte;
    cx.me_mut().seen = Pte { target: Target::None, ..Pte::default() };
    cx.unlock_ptl(proc);
}
