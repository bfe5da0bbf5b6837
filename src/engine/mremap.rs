//! mremap: page tables' entries go to another place of the address space, and the mapping with them.

use super::{Cx, Progress, Ruling, huge, map, uffd, zap};
use crate::ir::Area;
use crate::observe::Seen;
use crate::policy::MremapUffdWp;
use crate::state::{At, Pte, PteFlags, Slot, Target, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Size, Vpn};

/// D2. Does an entry keep the bit of uffd-wp at its new place, which is not registered?
///
/// Source: mm/mremap.c `move_ptes`, mm/huge_memory.c `move_huge_pmd` (0cef0bb836e3, 6.13).
pub fn decide_uffd_wp(knob: MremapUffdWp) -> bool {
    match knob {
        MremapUffdWp::Keep => true,
        MremapUffdWp::Drop => false,
    }
}

/// One step of mremap under mmap_lock held for writing: a pte moves, or a PMD where both places begin alike. What lies at the
/// new place is unmapped before.
///
/// Source: mm/mremap.c `vma_to_resize`, `mremap_to`, `move_page_tables`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, from: Area, to: Area) -> Progress {
    let proc = from.proc;
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    if cx.me().at == At::Start {
        if !cx.try_write_lock(proc) {
            return Progress::Blocked;
        }
        if let Some(failure) = refused(cx, from, to) {
            cx.write_unlock(proc);
            return Progress::Failed(failure);
        }
        huge::split_at_ends(cx, to);
        for vpn in to.pages() {
            zap::zap_slot(cx, proc, vpn);
        }
        huge::split_at_ends(cx, from);
        return cx.goto(At::Walk);
    }
    let pages = move_entry(cx, to);
    cx.commit_pages(pages, Seen::Nothing)
}

/// Why nothing moves: the places overlap, or the old one is not all of one mapping.
fn refused<B: Size, S: Sink>(cx: &Cx<'_, B, S>, from: Area, to: Area) -> Option<Failure> {
    let apart = from.start.0 + from.len <= to.start.0 || to.start.0 + to.len <= from.start.0;
    let first = cx.st.slot(from.proc, from.start).vma;
    let alike = |vma: Vma<B::Number>| {
        let flags = |vma: Vma<B::Number>| vma.flags | VmaFlags::ANON_VMA | VmaFlags::RESERVED;
        flags(vma) == flags(first) && vma.order == first.order
    };
    let one = from.pages().all(|vpn| map::is_mapped(cx.st, from.proc, vpn) && alike(cx.st.slot(from.proc, vpn).vma));
    match (apart, one) {
        (false, _) => Some(Failure::EINVAL),
        (true, false) => Some(Failure::EFAULT),
        (true, true) => None,
    }
}

/// Moves what maps the page that the instruction is at; says how many pages that is. Counts and the exclusive mark know nothing
/// of addresses. What moves is soft-dirty.
fn move_entry<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, to: Area) -> u16 {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let place = to.start.0 + cx.me().page;
    let leaf = cx.leaf(proc, vpn);
    if 1 < leaf.len() && !usize::from(place).is_multiple_of(leaf.len()) {
        huge::split_pmd(cx, proc, vpn);
    }
    let watched = cx.st.slot(proc, vpn).vma.flags.intersects(uffd::MODES);
    let marked = cx.st.pte(proc, vpn).flags.contains(PteFlags::UFFD_WP);
    let drops = watched && marked && drops_uffd_wp(cx);
    let pages = cx.leaf(proc, vpn);
    for (nr, page) in (0..).zip(pages.clone()) {
        let Slot { mut pte, mut vma } = std::mem::take(cx.st.slot_mut(proc, Vpn(page)));
        if !matches!(pte.target, Target::None | Target::Guard) {
            pte.flags.insert(PteFlags::SOFT_DIRTY);
        }
        if drops {
            pte.flags.remove(PteFlags::UFFD_WP);
        }
        if pte.is_none() {
            pte = Pte::default();
        }
        vma.flags.remove(uffd::MODES);
        *cx.st.slot_mut(proc, Vpn(place + nr)) = Slot { pte, vma };
    }
    pages.len() as u16
}

/// Asks D2; recorded.
fn drops_uffd_wp<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> bool {
    let (proc, vpn, knob) = (cx.proc(), cx.vpn(), cx.policy.mremap_uffd_wp);
    let keeps = decide_uffd_wp(knob);
    let (verdict, reason) = match keeps {
        true => ("keep", "the bit moves with the entry"),
        false => ("drop", "userfaultfd does not know the new place"),
    };
    let (rule, knob, value) = ("mremap::decide_uffd_wp", "mremap_uffd_wp", knob.into());
    let target = cx.slot().pte.target;
    cx.decided(proc, vpn, target, Ruling { rule, knob, value, verdict, reason, operands: &[] });
    !keeps
}
