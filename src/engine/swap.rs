//! Swap entries: what a fault makes of one, and what becomes of the slot and of the swap cache.

use strum::IntoStaticStr;

use super::{Cx, Progress, Ruling, exclusive, fault, prot, transient, uffd_move, wp};
use crate::ir::SwapDevice;
use crate::policy::{ReuseSwapin, SwapExcl, SwapinDrain, SwapinReadMap, SwapinSync};
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{Number, ProcId, Size, Vpn};

/// What is known of a page that is about to be mapped in place of a swap entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwapinFacts {
    /// A write fault asks for it.
    pub write: bool,
    /// The entry carries the exclusive marker, and no writing under way forbids to believe it.
    pub marked: bool,
    /// Nobody else can know the page: it was read past the swap cache, or copied for this fault.
    pub fresh: bool,
    pub ksm: bool,
    /// As `folio_ref_count` gives it, the fault's own reference and the swap cache's among them.
    pub refcount: u32,
    /// Pages of its folio; for each the swap cache has a reference.
    pub pages: u32,
    /// Mappings, and entries that name its slot, this one among them.
    pub users: u32,
    pub swapcached: bool,
    /// This is the last entry, and the page is not being written: the swap cache could let it go.
    pub last_entry: bool,
    /// The swap cache is to let go whatever it can: swap is nearly full, or the device is as fast as the cache.
    pub eager: bool,
    /// The page is being written to a device that must not see it change.
    pub unstable: bool,
}

/// What a swap-in does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swapin {
    /// The page is the faulting process's own.
    pub own: bool,
    /// It leaves the swap cache.
    pub uncache: bool,
    pub why: SwapinWhy,
}

/// Why a page that was swapped in is the process's own, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
pub enum SwapinWhy {
    #[strum(serialize = "its entry is marked exclusive")]
    Marked,
    #[strum(serialize = "nobody else can know the page")]
    Fresh,
    #[strum(serialize = "no other mapping and no other entry names it")]
    LastUser,
    #[strum(serialize = "others map it, or entries name it")]
    OtherUsers,
    #[strum(serialize = "it is the last reference")]
    LastRef,
    #[strum(serialize = "others have references")]
    OtherRefs,
    #[strum(serialize = "only a write fault asks")]
    Reading,
    #[strum(serialize = "its entry is not marked exclusive")]
    Unmarked,
    #[strum(serialize = "it is merged")]
    Merged,
}

/// K2. Is a page that is swapped in the faulting process's own? And does it leave the swap cache?
///
/// Source: mm/memory.c `do_swap_page`, `should_try_to_free_swap` (5.18); mm/swapfile.c `reuse_swap_page` (to 5.17).
pub fn decide_swapin(knob: ReuseSwapin, page: &SwapinFacts) -> Swapin {
    use SwapinWhy::*;
    let alone = page.write && !page.ksm && page.refcount == 1 + page.pages;
    let uncache = page.swapcached && page.last_entry && (page.eager || alone);
    let last_ref = page.refcount == if uncache { 1 + page.pages } else { 1 };
    let (own, uncache, why) = match knob {
        ReuseSwapin::MapSwap | ReuseSwapin::DerivedBit if page.ksm => (false, uncache && page.eager, Merged),
        ReuseSwapin::MapSwap if !page.write => (false, uncache && page.eager, Reading),
        ReuseSwapin::MapSwap if page.users <= 1 && !page.unstable => (true, page.swapcached && page.last_entry, LastUser),
        ReuseSwapin::MapSwap => (false, uncache && page.eager, OtherUsers),
        ReuseSwapin::DerivedBit if page.refcount == 1 => (true, uncache && page.eager, LastRef),
        ReuseSwapin::DerivedBit => (false, uncache && page.eager, OtherRefs),
        ReuseSwapin::Ref1 | ReuseSwapin::ExclOrRef1 | ReuseSwapin::ExclOnly if page.ksm => (false, uncache, Merged),
        ReuseSwapin::Ref1 | ReuseSwapin::ExclOrRef1 | ReuseSwapin::ExclOnly if page.fresh => (true, uncache, Fresh),
        ReuseSwapin::ExclOrRef1 | ReuseSwapin::ExclOnly if page.marked => (true, uncache, Marked),
        ReuseSwapin::ExclOnly => (false, uncache, Unmarked),
        ReuseSwapin::Ref1 | ReuseSwapin::ExclOrRef1 if last_ref => (true, uncache, LastRef),
        ReuseSwapin::Ref1 | ReuseSwapin::ExclOrRef1 => (false, uncache, OtherRefs),
    };
    Swapin { own, uncache, why }
}

/// K21. Does a swap entry get a marker, given whether its page was exclusive?
///
/// Source: mm/rmap.c `try_to_unmap_one`, `pte_swp_mkexclusive` (5.19).
pub fn decide_marker(knob: SwapExcl, exclusive: bool) -> bool {
    match knob {
        SwapExcl::None => false,
        SwapExcl::Marker => exclusive,
    }
}

/// D4. Is a page read past the swap cache, from a synchronous device and with one entry?
///
/// Source: mm/memory.c `do_swap_page`, SWP_SYNCHRONOUS_IO.
pub fn decide_bypass(knob: SwapinSync, synchronous: bool, entries: u32) -> bool {
    match knob {
        SwapinSync::BypassCache => synchronous && entries == 1,
        SwapinSync::ThroughCache => false,
    }
}

/// D5. Does a read fault map an exclusive page writable?
///
/// Source: mm/memory.c `do_swap_page` (6.2).
pub fn decide_read_map(knob: SwapinReadMap) -> bool {
    match knob {
        SwapinReadMap::Ro => false,
        SwapinReadMap::Writable => true,
    }
}

/// D6. Is this CPU's LRU batch drained before the references of a page in it are counted?
///
/// Source: mm/memory.c `do_swap_page` (5.18).
pub fn decide_drain(knob: SwapinDrain, page: &SwapinFacts) -> bool {
    match knob {
        SwapinDrain::NoDrain => false,
        SwapinDrain::Drain => page.write && !page.fresh && !page.ksm,
    }
}

/// Whether writing to the swap device is over when the call returns; such a device also needs stable pages.
pub(super) fn is_synchronous<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    matches!(cx.program.system.swap, Some((_, SwapDevice::Zram)))
}

/// `vm_swap_full`: a device whose size nobody stated is large enough.
pub(super) fn is_full<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    cx.program.system.swap.is_some() && cx.st.is_swap_full()
}

/// Finds the page of a swap entry in the swap cache, or reads it. mmap_lock is held for reading.
pub(super) fn find<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, seen: Pte<B::Number>) -> Progress {
    let entry = entry_of(seen);
    if let Some(page) = cx.st.swap()[entry].cached.pfn() {
        cx.st.get(page);
        return cx.fault_at(Fault::SwapIn { kind, seen, page });
    }
    let bypass = decide_bypass(cx.policy.swapin_sync, is_synchronous(cx), cx.st.swap()[entry].count.get());
    match read(cx, entry, bypass) {
        Some(page) => cx.fault_at(Fault::SwapIn { kind, seen, page }),
        None => Progress::Exhausted("page frames"),
    }
}

/// The slot that an entry names.
///
/// # Panics
/// With `cowl bug:` for what is no swap entry.
fn entry_of<N: Number>(pte: Pte<N>) -> usize {
    let Target::Swap(entry) = pte.target else { unreachable!("cowl bug: not a swap entry") };
    entry.get() as usize
}

/// Reads a slot into a page of its own, with a reference for the caller; `None` where no frame is free.
pub(super) fn read<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, entry: usize, bypass: bool) -> Option<Pfn<B::Number>> {
    let page = cx.alloc(0).ok()?;
    cx.st.page_mut(page).words = cx.st.swap()[entry].words;
    cx.st.folio_mut(page).flags = FolioFlags::ANON;
    uffd_move::file_anew(cx, entry);
    if !bypass {
        cx.st.cache_swap(entry, page);
    }
    Some(page)
}

/// Takes the folio's lock and the page-table lock and maps the page, if the entry is still what it was. A write fault that
/// did not get a writable pte goes on as one on a page that is there.
///
/// Source: mm/memory.c `do_swap_page`.
pub(super) fn map<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    page: Pfn<B::Number>,
) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || cx.is_locked_by_another(page) {
        return Progress::Blocked;
    }
    if cx.slot().pte != seen {
        cx.st.put(page);
        return fault::done(cx);
    }
    let Some((page, copied)) = fitting(cx, proc, cx.vpn(), page) else { return Progress::Exhausted("page frames") };
    let swapin = decide(cx, kind, seen, page, copied);
    if swapin.uncache {
        cx.st.folio_mut(page).flags.insert(FolioFlags::DIRTY);
        cx.st.uncache_swap(page);
    }
    cx.st.put_swap(entry_of(seen));
    install(cx, proc, kind, seen, page, swapin.own);
    if kind == FaultKind::Write && !(swapin.own && cx.slot().pte.flags.contains(PteFlags::DIRTY)) {
        return wp::look(cx, kind);
    }
    fault::done(cx)
}

/// The page to map: the one found, or a copy where it belongs to another place of the address space, as a merged page may
/// after it was swapped out. Whether it is a copy.
///
/// Source: mm/ksm.c `ksm_might_need_to_copy`. The model knows no index, so it compares the addresses where mappings began.
pub(super) fn fitting<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    proc: ProcId,
    vpn: Vpn,
    page: Pfn<B::Number>,
) -> Option<(Pfn<B::Number>, bool)> {
    let origin = |proc, vpn| cx.program.mapped_first(proc, vpn);
    let elsewhere = |(of, at, slot): (ProcId, _, &crate::state::Slot<_>)| {
        slot.pte.target == Target::Page(page) && origin(of, at) != origin(proc, vpn)
    };
    // Where each mapping of it is a fork's of the same place, as most often, nobody has to be looked for.
    let maps_here = |of: &ProcId| cx.st.pte(*of, vpn).target == Target::Page(page) && origin(*of, vpn) == origin(proc, vpn);
    let unmoved = (0..cx.program.procs.len()).map(ProcId::at).filter(maps_here).count() == cx.st.mapcount(page) as usize;
    if cx.st.folio(page).flags.contains(FolioFlags::KSM) || unmoved || !cx.st.slots().any(elsewhere) {
        return Some((page, false));
    }
    let copy = cx.alloc(0).ok()?;
    cx.st.page_mut(copy).words = cx.st.page(page).words;
    cx.st.folio_mut(copy).flags = FolioFlags::ANON;
    cx.copied(proc, vpn, page, copy, "ksm_might_need_to_copy");
    cx.st.put(page);
    Some((copy, true))
}

fn facts<B: Size, S: Sink>(
    cx: &Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    page: Pfn<B::Number>,
    copied: bool,
) -> SwapinFacts {
    let (folio, entry) = (cx.st.folio(page), cx.st.swap()[entry_of(seen)].count.get());
    let writeback = folio.flags.contains(FolioFlags::WRITEBACK);
    let swapcached = cx.st.is_swapcached(page);
    let others: u32 = cx.st.swap_row(page).iter().map(|slot| slot.count.get()).sum();
    let sync_is_eager = !decide_bypass(cx.policy.swapin_sync, true, 1) && is_synchronous(cx);
    SwapinFacts {
        write: kind == FaultKind::Write,
        marked: seen.flags.contains(PteFlags::EXCLUSIVE) && !(writeback && is_synchronous(cx)),
        fresh: copied || !swapcached,
        ksm: folio.flags.contains(FolioFlags::KSM),
        refcount: folio.ref_count(),
        pages: cx.st.folio_pages(page).len() as u32,
        users: if swapcached { cx.st.highest_users(page) } else { cx.st.mapcount(page) + entry },
        swapcached,
        last_entry: others <= 1 && !writeback,
        eager: is_full(cx) || sync_is_eager,
        unstable: writeback && is_synchronous(cx),
    }
}

/// Asks D6 and K2 about a page; recorded.
fn decide<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    kind: FaultKind,
    seen: Pte<B::Number>,
    page: Pfn<B::Number>,
    copied: bool,
) -> Swapin {
    let in_batch = cx.st.folio(page).flags.contains(FolioFlags::LRU_BATCH);
    if in_batch && decide_drain(cx.policy.swapin_drain, &facts(cx, kind, seen, page, copied)) {
        transient::drain_batch(cx);
    }
    let (facts, knob) = (facts(cx, kind, seen, page, copied), cx.policy.reuse_swapin);
    let swapin = decide_swapin(knob, &facts);
    let operands = [
        ("write", facts.write.into()),
        ("marked", facts.marked.into()),
        ("refcount", facts.refcount),
        ("users", facts.users),
        ("swapcached", facts.swapcached.into()),
    ];
    let ruling = Ruling {
        rule: "swap::decide_swapin",
        knob: "reuse_swapin",
        value: knob.into(),
        verdict: if swapin.own { "reuse" } else { "share" },
        reason: swapin.why.into(),
        operands: &operands,
    };
    let (proc, vpn) = (cx.proc(), cx.vpn());
    cx.decided(proc, vpn, Target::Page(page), ruling);
    swapin
}

/// Maps the page in place of its entry; the fault's reference becomes the mapping's.
fn install<B: Size, S: Sink>(
    cx: &mut Cx<'_, B, S>,
    proc: ProcId,
    kind: FaultKind,
    seen: Pte<B::Number>,
    page: Pfn<B::Number>,
    own: bool,
) {
    cx.st.add_rmap_pte(proc, page);
    if exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::SwappedIn) == exclusive::Change::Clear {
        cx.st.set_exclusive(page, false);
    }
    if own {
        fault::mark_proven(cx, page);
    }
    let mut kept = seen.flags & (PteFlags::SOFT_DIRTY | PteFlags::UFFD_WP);
    kept.set(uffd_move::MISFILED, seen.flags.contains(uffd_move::MISFILED_ENTRY));
    let slot = cx.slot_mut();
    slot.pte = Pte { target: Target::Page(page), flags: fault::read_flags(&slot.vma) | kept };
    if !own || kept.contains(PteFlags::UFFD_WP) {
        return;
    }
    let (slot, read_map) = (*slot, decide_read_map(cx.policy.swapin_read_map));
    if kind == FaultKind::Write {
        cx.slot_mut().pte.flags |= fault::written_flags(&slot.vma);
        wp::broke_cow(cx);
    } else if read_map && slot.vma.flags.contains(VmaFlags::WRITE) && !prot::wants_fault(&slot) {
        cx.slot_mut().pte.flags.insert(PteFlags::WRITE);
    }
}

/// A swap entry is gone from a page table. With the last of them the page in the swap cache goes too, unless it is in use.
///
/// Source: mm/swapfile.c `free_swap_and_cache`.
pub(super) fn drop_entry<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, entry: usize) {
    let cached = cx.st.swap()[entry].cached.pfn();
    cx.st.put_swap(entry);
    if let Some(page) = cached {
        drop_unmapped(cx, page);
    }
}

/// A page that nothing maps any more leaves the swap cache, if no entry names it and nobody has its lock.
///
/// Source: mm/swap_state.c `free_swap_cache`.
pub(super) fn drop_unmapped<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, page: Pfn<B::Number>) {
    if !cx.st.swap().is_empty() && cx.st.folio_mapcount(page) == 0 && !cx.is_locked_by_another(page) {
        cx.st.try_free_swap(page);
    }
}

/// Reads the pages behind swap entries into the swap cache; maps nothing.
///
/// Source: mm/madvise.c `swapin_walk_pmd_entry`; mm/swap_state.c `read_swap_cache_async`.
pub(super) fn swapin<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let pte = cx.slot().pte;
    if let Target::Swap(entry) = pte.target
        && cx.st.swap()[entry.get() as usize].cached == Target::None
    {
        let Some(page) = read(cx, entry.get() as usize, false) else { return Progress::Exhausted("page frames") };
        cx.st.put(page); // The swap cache keeps it.
    }
    cx.commit_page(crate::observe::Seen::Nothing)
}
