//! What must hold in every state of the swap device, and of the entries of pages that are not there.

use super::invariants::Broken;
use crate::ir::Area;
use crate::state::{At, FolioFlags, Pfn, PteFlags, State, Target, Task};
use crate::types::{Number, Size};

/// What page-table entries, and those just taken out of a page table, say of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Named {
    pub count: u16,
    /// One of them is marked exclusive.
    pub exclusive: bool,
}

/// What page tables and references say of a page in the swap cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// A pte says that it was stored to, or somebody holds it and will say so.
    Dirty,
    Clean,
    /// Nobody maps it.
    Unmapped,
}

/// The first rule about swap that does not hold, if any.
pub(super) fn broken<B: Size>(st: &State<B>, named: &[Named], standing: impl Fn(Pfn<B::Number>) -> Standing) -> Option<Broken> {
    let used = |slot: &usize| {
        let entry = &st.swap()[*slot];
        entry.count.get() != 0 || named[*slot].count != 0 || entry.cached.pfn().is_some()
    };
    (0..st.swap().len()).filter(used).find_map(|slot| counted(st, slot, named[slot]).or_else(|| clean(st, slot, &standing)))
}

/// I22: what is migrated as one process's own stays so until it is there again.
pub(super) fn migration<B: Size>(st: &State<B>) -> Option<Broken> {
    let names = |target: Target<B::Number>, of: Pfn<B::Number>| matches!(target, Target::Migration(pfn) | Target::Page(pfn) if pfn == of);
    st.slots().find_map(|(proc, vpn, slot)| {
        let Target::Migration(pfn) = slot.pte.target else { return None };
        let own = slot.pte.flags.intersects(PteFlags::WRITE | PteFlags::EXCLUSIVE);
        let anon = st.folio(pfn).is_anon();
        let shared = own && anon && 1 < st.slots().filter(|(_, _, other)| names(other.pte.target, pfn)).count();
        if shared { Broken::at(22, proc, vpn) } else { None }
    })
}

/// I9 and I15: the slot is named as often as it is counted, and once where an entry is marked exclusive.
fn counted<B: Size>(st: &State<B>, slot: usize, named: Named) -> Option<Broken> {
    let count = st.swap()[slot].count.get();
    if count == u32::from(named.count) && !(named.exclusive && 1 < count) {
        return None;
    }
    let names = |target: Target<B::Number>| matches!(target, Target::Swap(entry) if entry.get() as usize == slot);
    let entries = || st.slots().filter(|(_, _, page)| names(page.pte.target));
    let marked = entries().find(|(_, _, page)| page.pte.flags.contains(PteFlags::EXCLUSIVE));
    let (rule, shows) = if count == u32::from(named.count) { (15, marked) } else { (9, entries().next()) };
    let (proc, vpn) = shows.map(|(proc, vpn, _)| (proc, vpn)).unwrap_or_default();
    Broken::at(rule, proc, vpn)
}

/// I23: what the page in the swap cache has and the slot has not will be written out. What nobody maps and no entry names may
/// differ: zapping a page of a large folio leaves it there, and nobody can see it again.
fn clean<B: Size>(st: &State<B>, slot: usize, standing: impl Fn(Pfn<B::Number>) -> Standing) -> Option<Broken> {
    let entry = &st.swap()[slot];
    let page = entry.cached.pfn()?;
    if st.page(page).words == entry.words || st.folio(page).flags.intersects(FolioFlags::DIRTY | FolioFlags::WRITEBACK) {
        return None;
    }
    let safe = match standing(page) {
        Standing::Dirty => true,
        Standing::Unmapped => entry.count.get() == 0,
        Standing::Clean => false,
    };
    if safe || is_in_hand(st, page) { None } else { Broken::of(23, page.idx()) }
}

/// Somebody who may store to the page has it in hand, and is to say so when he lets go.
fn is_in_hand<B: Size>(st: &State<B>, page: Pfn<B::Number>) -> bool {
    let moves = |at: At| matches!(at, At::Reclaim(_) | At::Migrate(_) | At::Ksm(_) | At::Share(..));
    let holds = |task: &Task<B::Number>| task.grab.0 == Target::Page(page) && !moves(task.at);
    st.tasks().iter().any(holds)
}

/// I27: a page that reclaim has dropped was lazily freed, not stored to since, and nobody's beside the page table.
pub(super) fn dropped<B: Size>(area: Area, before: &State<B>, after: &State<B>) -> Option<Broken> {
    area.pages().find_map(|vpn| {
        let (was, is) = (before.pte(area.proc, vpn), after.pte(area.proc, vpn));
        let page = was.target.pfn().filter(|page| is.is_none() && before.folio(*page).is_anon())?;
        let folio = before.folio(page).flags;
        let dirty = was.flags.contains(PteFlags::DIRTY) || folio.contains(FolioFlags::DIRTY);
        let wrong = dirty || !folio.contains(FolioFlags::LAZYFREE) || before.held().contains(&Target::Page(page));
        if wrong { Broken::at(27, area.proc, vpn) } else { None }
    })
}
