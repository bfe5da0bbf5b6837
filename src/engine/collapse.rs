//! Collapse: the pages that ptes map become one THP, by khugepaged or because a process asks (MADV_COLLAPSE).

use std::ops::Range;

use strum::IntoStaticStr;

use super::{Cx, Progress, Ruling, fault, file, map, migrate, swap, transient};
use crate::ir::{Op, Program};
use crate::observe::Seen;
use crate::policy::CollapseShared;
use crate::state::{
    At, CollapseAt, FaultKind, FolioFlags, Grab, MmapLock, Pfn, Pte, PteFlags, State, Target, Task, TaskFlags, Vma, VmaFlags,
};
use crate::trace::Sink;
use crate::types::{Failure, Number, ProcId, Size, TaskId, Vpn};

/// What is known of the ptes that are to become a THP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScanFacts {
    /// khugepaged asks, not the process.
    pub by_kernel: bool,
    /// userfaultfd is to be told of some fault in the range.
    pub watched: bool,
    /// Ptes, all together.
    pub pages: u32,
    /// Ptes of nothing and of the zero page.
    pub empty: u32,
    pub swapped: u32,
    /// Ptes of pages that somebody else maps too.
    pub shared: u32,
    /// Ptes that were used lately.
    pub young: u32,
    /// Some pte is writable.
    pub writable: bool,
    /// Some pte is write-protected by userfaultfd.
    pub uffd_wp: bool,
    /// Some page has references that its mappings and the swap cache do not explain.
    pub held: bool,
    /// Somebody else has the lock of some page.
    pub locked: bool,
}

/// Why ptes are left as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
pub enum Refusal {
    #[strum(serialize = "nothing is mapped")]
    Nothing,
    #[strum(serialize = "userfaultfd write-protects a page")]
    UffdWp,
    #[strum(serialize = "userfaultfd is to be told of pages that are missing")]
    Watched,
    #[strum(serialize = "too many pages are swapped out")]
    TooMuchSwapped,
    #[strum(serialize = "too many pages are shared")]
    TooMuchShared,
    #[strum(serialize = "a page has other references")]
    Held,
    #[strum(serialize = "somebody else has the lock of a page")]
    Locked,
    #[strum(serialize = "no pte is writable")]
    ReadOnly,
    #[strum(serialize = "no page was used lately")]
    Unused,
}

impl Refusal {
    /// How MADV_COLLAPSE says it: `madvise_collapse_errno`, mm/khugepaged.c.
    pub fn failure(self) -> Failure {
        match self {
            Refusal::Held | Refusal::Locked => Failure::EAGAIN,
            _ => Failure::EINVAL,
        }
    }
}

/// D3. May these ptes become a THP? Until 6.17 one of them must be writable, so what fork has shared as a whole stays as it is.
///
/// khugepaged has limits: an eighth of the pages may be swapped out and half of them shared.
/// Source: mm/khugepaged.c `hpage_collapse_scan_pmd`, `__collapse_huge_page_isolate`.
pub fn decide_scan(knob: CollapseShared, ptes: &ScanFacts) -> Result<(), Refusal> {
    let wants_writable = match knob {
        CollapseShared::Einval => true,
        CollapseShared::Copy => false,
    };
    let used = if 0 < ptes.swapped { ptes.pages / 2 <= ptes.young } else { 0 < ptes.young };
    match ptes {
        ScanFacts { uffd_wp: true, .. } => Err(Refusal::UffdWp),
        ScanFacts { watched: true, empty: 1.., .. } => Err(Refusal::Watched),
        ScanFacts { empty, pages, .. } if empty == pages => Err(Refusal::Nothing),
        ScanFacts { by_kernel: true, swapped, pages, .. } if pages / 8 < *swapped => Err(Refusal::TooMuchSwapped),
        ScanFacts { by_kernel: true, shared, pages, .. } if pages / 2 < *shared => Err(Refusal::TooMuchShared),
        ScanFacts { locked: true, .. } => Err(Refusal::Locked),
        ScanFacts { held: true, .. } => Err(Refusal::Held),
        ScanFacts { writable: false, .. } if wants_writable => Err(Refusal::ReadOnly),
        ScanFacts { by_kernel: true, .. } if !used => Err(Refusal::Unused),
        _ => Ok(()),
    }
}

/// One step of collapsing the PMD of the page that the instruction is at.
///
/// Source: mm/khugepaged.c `collapse_huge_page`, `madvise_collapse`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    match cx.me().at {
        At::Collapse(CollapseAt::Alloc) => alloc(cx),
        At::Collapse(CollapseAt::Swapin) => swap_in(cx),
        At::Collapse(CollapseAt::Clear) => clear(cx),
        At::Collapse(CollapseAt::Isolate) => isolate(cx),
        At::Collapse(CollapseAt::Copy) => copy(cx),
        At::Collapse(CollapseAt::Install) => install(cx),
        _ => scan(cx),
    }
}

/// Whether the ptes of a page are out of reach: some collapse has taken their table from its PMD, and holds its lock.
pub(super) fn hides<B: Size>(st: &State<B>, program: &Program, proc: ProcId, vpn: Vpn) -> bool {
    let holder = st.mm(proc).ptl.map(|task| st.task(task));
    holder.is_some_and(|task| matches!(task.at, At::Collapse(_)) && table_of(program, task).contains(&vpn.0))
}

/// Whether a task has locked the folio because it is collapsing one of its pages.
pub(super) fn locks<B: Size>(st: &State<B>, program: &Program, task: TaskId, head: Pfn<B::Number>) -> bool {
    let task = st.task(task);
    let (At::Collapse(CollapseAt::Copy | CollapseAt::Install), Some(area)) = (task.at, program.code[task.pc.idx()].op.area())
    else {
        return false;
    };
    let maps = |page| st.pte(area.proc, Vpn(page)).target.pfn().is_some_and(|pfn| st.head(pfn) == head);
    table_of(program, task).any(maps)
}

/// The pages that a task collapses.
fn table_of<N: Number>(program: &Program, task: &Task<N>) -> Range<u16> {
    let start = program.code[task.pc.idx()].op.area().map_or(0, |area| area.start.0 + task.page);
    start & !((1 << program.pmd_order) - 1)..(start | ((1 << program.pmd_order) - 1)) + 1
}

fn by_kernel<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    matches!(cx.op(), Op::Collapse { .. })
}

/// The PMD that a page of the range is to have, if it may have one at all: private anonymous memory that is advised to, all of
/// one mapping.
fn candidate<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> Option<Range<u16>> {
    let (proc, vpn, vma) = (cx.proc(), cx.vpn(), cx.slot().vma);
    let pages = cx.pmd_pages(vpn);
    let alike = |other: Vma<B::Number>| {
        let flags = |vma: Vma<B::Number>| vma.flags | VmaFlags::ANON_VMA;
        other.cache == vma.cache && other.order == vma.order && flags(other) == flags(vma)
    };
    let eligible = vma.is_cow() && vma.cache_place().is_none() && 0 < vma.order && !vma.flags.contains(VmaFlags::PFNMAP);
    let inside = usize::from(pages.end) <= cx.st.pages_per_mm();
    let one = || pages.clone().all(|page| alike(cx.st.slot(proc, Vpn(page)).vma));
    (eligible && inside && one()).then_some(pages)
}

/// Whether the mapping of a page is as large as to have a PMD of its own somewhere.
///
/// Source: mm/huge_memory.c `__thp_vma_allowable_orders`.
fn has_room<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let Some(mapped) = cx.program.mems.iter().map(|mem| mem.area).find(|area| area.has(vpn)) else { return false };
    let is_mapped = |page: &u16| map::is_mapped(cx.st, proc, Vpn(*page));
    let first = (mapped.start.0..=vpn.0).rev().take_while(is_mapped).last().unwrap_or(vpn.0);
    let last = (vpn.0..mapped.start.0 + mapped.len).take_while(is_mapped).last().unwrap_or(vpn.0);
    let pages = 1 << cx.program.pmd_order;
    u32::from(first).next_multiple_of(pages) + pages <= u32::from(last) + 1
}

/// Goes on behind this PMD.
fn next<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let left = cx.pmd_pages(cx.vpn()).end - cx.vpn().0;
    let pages = left.min(cx.len() - cx.me().page);
    cx.commit_pages(pages, Seen::Nothing)
}

/// This PMD is left as it is: khugepaged goes on, the process is told. What was allocated goes, and all locks.
fn refuse<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, failure: Failure) -> Progress {
    let proc = cx.proc();
    if cx.st.mm(proc).ptl == Some(cx.task) {
        cx.unlock_ptl(proc);
        cx.write_unlock(proc);
    }
    if let Target::Page(new) = std::mem::take(&mut cx.me_mut().grab).0 {
        cx.st.put(new);
    }
    cx.read_unlock(proc);
    if by_kernel(cx) { next(cx) } else { Progress::Failed(failure) }
}

/// Looks at all ptes, and says whether they are worth it. A PMD is what was asked for; a process gets none that its range does
/// not cover.
fn scan<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    if by_kernel(cx) || cx.me().at == At::Start {
        transient::drain_batch(cx);
    }
    if !by_kernel(cx) && !map::is_mapped(cx.st, proc, cx.vpn()) {
        return cx.commit_page(Seen::Nothing); // Other mappings of the range come first, then the call fails with ENOMEM.
    }
    let (area, pages) = (cx.area(), cx.pmd_pages(cx.vpn()));
    let covered = area.start.0 <= pages.start && pages.end <= area.start.0 + area.len;
    let eligible = cx.slot().vma.order != 0;
    if cx.slot().pte.flags.contains(PteFlags::PMD) || (!by_kernel(cx) && eligible && !covered) {
        return if cx.slot().pte.flags.contains(PteFlags::PMD) || has_room(cx) {
            next(cx)
        } else {
            refuse(cx, Failure::EINVAL)
        };
    }
    let Some(pages) = candidate(cx) else { return refuse(cx, Failure::EINVAL) };
    if let Err(refusal) = decide(cx, &pages, "scan") {
        return refuse(cx, refusal.failure());
    }
    cx.read_unlock(proc);
    cx.goto(At::Collapse(CollapseAt::Alloc))
}

fn facts<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pages: &Range<u16>) -> ScanFacts {
    let proc = cx.proc();
    let watched = VmaFlags::UFFD_WP | VmaFlags::UFFD_MISSING | VmaFlags::UFFD_MINOR;
    let watched = cx.slot().vma.flags.intersects(watched);
    let mut facts = ScanFacts { by_kernel: by_kernel(cx), watched, pages: pages.len() as u32, ..ScanFacts::default() };
    for page in pages.clone() {
        let pte = cx.st.pte(proc, Vpn(page));
        facts.uffd_wp |= pte.flags.contains(PteFlags::UFFD_WP);
        match pte.target {
            Target::None | Target::Zero | Target::Guard | Target::Special(_) => facts.empty += 1,
            Target::Swap(_) | Target::Migration(_) => facts.swapped += 1,
            Target::Page(pfn) => {
                let folio = cx.st.folio(pfn);
                facts.shared += u32::from(1 < cx.st.mapcount(pfn));
                facts.young += u32::from(pte.flags.contains(PteFlags::YOUNG));
                facts.writable |= pte.flags.contains(PteFlags::WRITE);
                let expected = || cx.st.folio_mapcount(pfn) + migrate::in_caches(cx, pfn);
                facts.held |= folio.ref_count() != cx.st.folio_mapcount(pfn) && folio.ref_count() != expected();
                facts.locked |= cx.is_locked_by_another(pfn) || folio.flags.contains(FolioFlags::WRITEBACK);
            }
        }
    }
    facts
}

/// Asks D3; recorded.
fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pages: &Range<u16>, site: &'static str) -> Result<(), Refusal> {
    let (facts, knob) = (facts(cx, pages), cx.policy.collapse_shared);
    let decided = decide_scan(knob, &facts);
    let (verdict, reason) = match decided {
        Ok(()) if site == "scan" => ("collapse", "nothing forbids it"),
        Ok(()) => ("collapse", "still nothing forbids it"),
        Err(refusal) => ("leave", refusal.into()),
    };
    let operands = [
        ("empty", facts.empty),
        ("swapped", facts.swapped),
        ("shared", facts.shared),
        ("writable", facts.writable.into()),
        ("held", facts.held.into()),
    ];
    let (proc, vpn, target) = (cx.proc(), cx.vpn(), cx.slot().pte.target);
    let (rule, knob, value) = ("collapse::decide_scan", "collapse_shared", knob.into());
    cx.decided(proc, vpn, target, Ruling { rule, knob, value, verdict, reason, operands: &operands });
    decided
}

/// Allocates the THP, with no lock.
fn alloc<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let Ok(new) = cx.alloc(cx.program.pmd_order) else { return refuse(cx, Failure::ENOMEM) };
    cx.me_mut().grab = (Target::Page(new), Grab::Get);
    cx.goto(At::Collapse(CollapseAt::Swapin))
}

/// Brings back what is swapped out, page by page. mmap_lock is held for reading meanwhile.
///
/// Source: mm/khugepaged.c `__collapse_huge_page_swapin`.
fn swap_in<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, area) = (cx.proc(), cx.area());
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let Some(pages) = candidate(cx) else { return refuse(cx, Failure::EINVAL) };
    // A fault is of a page of the instruction's range.
    let mine = pages.start.max(area.start.0)..pages.end.min(area.start.0 + area.len);
    let swapped = mine.clone().find(|page| matches!(cx.st.pte(proc, Vpn(*page)).target, Target::Swap(_)));
    match swapped {
        Some(page) => {
            cx.me_mut().page = page - area.start.0;
            let seen = cx.slot().pte;
            swap::find(cx, FaultKind::Read, seen)
        }
        None => {
            cx.me_mut().page = mine.start - area.start.0;
            cx.read_unlock(proc);
            cx.goto(At::Collapse(CollapseAt::Clear))
        }
    }
}

/// With all locks, takes the page table out of its PMD: nobody reaches its ptes from now on.
///
/// Source: mm/khugepaged.c `collapse_huge_page`, `pmdp_collapse_flush`.
fn clear<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if cx.st.mm(proc).mmap_lock != MmapLock::Read(0) || !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    if candidate(cx).is_none() || cx.slot().pte.flags.contains(PteFlags::PMD) {
        return refuse(cx, Failure::EINVAL);
    }
    cx.try_write_lock(proc);
    cx.try_lock_ptl(proc);
    cx.goto(At::Collapse(CollapseAt::Isolate))
}

/// Looks again, and locks all folios.
fn isolate<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let pages = cx.pmd_pages(cx.vpn());
    let gone = pages.clone().any(|page| {
        let target = cx.st.pte(cx.proc(), Vpn(page)).target;
        matches!(target, Target::Swap(_) | Target::Migration(_) | Target::Guard)
    });
    match decide(cx, &pages, "isolate") {
        Ok(()) if gone => refuse(cx, Failure::EINVAL),
        Ok(()) => cx.goto(At::Collapse(CollapseAt::Copy)),
        Err(refusal) => refuse(cx, refusal.failure()),
    }
}

/// Copies what the pages hold. Nobody can store to them by address now; who found one before may still pin it.
fn copy<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, pages, new) = (cx.proc(), cx.pmd_pages(cx.vpn()), cx.isolated());
    for (page, to) in pages.zip(cx.st.folio_pages(new)) {
        let target = cx.st.pte(proc, Vpn(page)).target;
        cx.st.page_mut(to).words = cx.st.words(target);
        // What nobody else maps has only moved, as by migration.
        if let Target::Page(from) = target
            && 1 < cx.st.mapcount(from)
        {
            cx.copied(proc, Vpn(page), from, to, "__collapse_huge_page_copy");
        }
    }
    cx.goto(At::Collapse(CollapseAt::Install))
}

/// The old pages lose their mappings, and a PMD maps the THP.
fn install<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn, new) = (cx.proc(), cx.vpn(), cx.isolated());
    let pages = cx.pmd_pages(vpn);
    for page in pages.clone() {
        if let Target::Page(old) = std::mem::take(&mut cx.st.slot_mut(proc, Vpn(page)).pte).target {
            cx.st.remove_rmap_pte(proc, old);
            swap::drop_unmapped(cx, old);
            cx.st.put(old);
        }
    }
    file::prepare_anon_vma(cx, proc, vpn);
    file::share_anon_vma(cx, proc, pages.clone());
    cx.me_mut().grab = Default::default();
    cx.st.folio_mut(new).flags = FolioFlags::ANON | FolioFlags::DIRTY;
    cx.st.add_rmap_pmd(proc, new);
    fault::mark_proven(cx, new);
    let flags = fault::written_flags(&cx.slot().vma) | PteFlags::PMD;
    cx.set_entry(proc, Vpn(pages.start), Pte { target: Target::Page(new), flags });
    cx.unlock_ptl(proc);
    cx.write_unlock(proc);
    debug_assert!(!cx.me().flags.contains(TaskFlags::HOLDS_MMAP_READ), "cowl bug: collapse holds mmap_lock twice");
    next(cx)
}
