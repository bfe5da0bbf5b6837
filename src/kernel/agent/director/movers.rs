//! What the kernel does by itself, made to happen now.

use std::fs;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use super::{Director, Flow};
use crate::ir::{Area, MemKind, Op};
use crate::kernel::agent::held::debug_file;
use crate::kernel::agent::look::{Entry, is_tail};
use crate::kernel::agent::stretch::{PAGE, Stretch};
use crate::kernel::agent::sys;
use crate::kernel::agent::system::Change;
use crate::kernel::agent::waiter::Came;
use crate::kernel::agent::worker::{Order, Reply};
use crate::kernel::wire::{Ended, Stop};
use crate::types::{PMD_ORDER, Pc, ProcId, Vpn};

/// `MADV_COLLAPSE` of 6.1.
const MADV_COLLAPSE: i32 = 25;
/// Base pages that a PMD maps.
const PMD_PAGES: usize = 1 << PMD_ORDER;
/// How often all memory is compacted until a page moves.
const COMPACTIONS: u32 = 3;
/// Between two looks at what is being written.
const WRITEBACK_STEP: Duration = Duration::from_micros(200);
/// Between two looks at what ksmd does.
const KSM_STEP: Duration = Duration::from_millis(2);
/// How long ksmd may take for a few passes over a few pages.
const KSM_STEPS_MAX: u32 = 1000;

/// Why a scenario cannot go on here.
fn skip(why: impl Into<String>) -> Stop {
    Stop::Skip(why.into())
}

impl Director<'_> {
    /// Has the kernel move pages. It tries, leaves what it may not move, and never fails.
    pub(super) fn move_pages(&mut self, pc: Pc) -> Flow {
        self.mover(pc)?;
        let parts = self.program().code[pc.idx()].op.parts();
        self.ended(pc, Ended::Ok, Reply::done(parts))
    }

    /// The same without a look at what came of it.
    pub(super) fn mover(&mut self, pc: Pc) -> Flow {
        let op = self.program().code[pc.idx()].op;
        match op {
            Op::Drain => {} // Done after each line.
            Op::Pageout { area } => self.pageout(area)?,
            Op::Swapin { area } => self.advise_process(area, libc::MADV_WILLNEED)?,
            Op::Collapse { area } => self.advise_process(area, MADV_COLLAPSE)?,
            Op::Swapoff => self.agent.system.borrow_mut().change(Change::Swapoff).map_err(skip)?,
            Op::Migrate { area } => self.migrate(area)?,
            Op::KsmMerge { a, b } => self.ksm_merge(a, b, pc)?,
            Op::KsmUnmerge { area } => {
                self.try_advise(area.proc, self.inherited.plan.stretch(area), libc::MADV_UNMERGEABLE, pc)?
            }
            Op::SplitPmd { area } => self.split_pmd(area, pc)?,
            Op::SplitFolio { area } => self.split_folio(area)?,
            op => return Err(skip(format!("`{}` is not realised", op.verb()))),
        }
        Ok(())
    }

    /// Advice from outside. What it fails with is what the kernel leaves as it is.
    fn advise_process(&self, area: Area, advice: i32) -> Flow {
        let Some(proc) = &self.procs[area.proc.idx()] else { return Ok(()) };
        match sys::advise_process(proc.pidfd.as_fd(), self.inherited.plan.stretch(area), advice) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Err(skip("the kernel has no process_madvise(2)")),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(skip("process_madvise(2) needs CAP_SYS_NICE")),
            _ => Ok(()),
        }
    }

    /// Advice from inside, by the first thread of the process.
    fn advise(&mut self, proc: ProcId, at: Stretch, advice: i32, pc: Pc) -> Flow {
        match self.inside(proc, at, advice, pc)? {
            true => Ok(()),
            false => Err(skip(format!("advice {advice} is refused"))),
        }
    }

    /// The same where what it fails with is what the kernel leaves as it is.
    fn try_advise(&mut self, proc: ProcId, at: Stretch, advice: i32, pc: Pc) -> Flow {
        self.inside(proc, at, advice, pc).map(drop)
    }

    /// Whether advice was taken.
    fn inside(&mut self, proc: ProcId, at: Stretch, advice: i32, pc: Pc) -> Result<bool, Stop> {
        let task = self.first(proc);
        if self.asleep.contains_key(&task) {
            return Err(skip("the thread that would do this is asleep"));
        }
        self.say(task, &Order::Advise { at: at.at(), len: at.len(), advice })?;
        Ok(matches!(self.wait(task, pc)?, Came::Reply(Reply { failed: None, .. })))
    }

    /// MADV_PAGEOUT passes over what others map too (mm/madvise.c, `madvise_cold_or_pageout_pte_range`).
    fn pageout(&mut self, area: Area) -> Flow {
        let area = self.whole_folios(area);
        if self.is_shared(area) {
            return Err(skip(
                "reclaim of a page that several page tables map cannot be asked for: MADV_PAGEOUT passes over it",
            ));
        }
        let is_out = |page| self.entry(area.proc, page).is_some_and(Entry::is_swapped);
        if area.pages().any(is_out) && self.letters.any_frame(|pfn| self.agent.frames.is_in_swap_cache(pfn)) {
            return Err(skip("what only the swap cache holds is reclaimed when the kernel likes: advice passes over it"));
        }
        let pages = self.pfns(area);
        self.advise_process(area, libc::MADV_PAGEOUT)?;
        self.let_writeback_end(&pages);
        Ok(())
    }

    /// Pages on their way to the swap device are there before the next line: until then their slots are not given back and they
    /// are not reclaimed again (mm/vmscan.c, `shrink_folio_list`), which no scenario asks about.
    pub(super) fn let_writeback_end(&self, pages: &[Option<u64>]) {
        let is_busy = || pages.iter().flatten().any(|pfn| self.agent.frames.is_under_writeback(*pfn));
        while is_busy() && Instant::now() < self.deadline {
            thread::sleep(WRITEBACK_STEP);
        }
    }

    /// Whether a page of an area is mapped more than once, as far as can be seen.
    fn is_shared(&self, area: Area) -> bool {
        let counts = area.pages().filter_map(|page| self.pfn(area.proc, page)).filter_map(|pfn| self.agent.frames.count(pfn));
        counts.into_iter().any(|count| 1 < count)
    }

    fn entry(&self, proc: ProcId, page: Vpn) -> Option<Entry> {
        let eye = self.procs[proc.idx()].as_ref()?.eye.as_ref()?;
        Some(eye.entry(&self.inherited.plan, page))
    }

    fn pfn(&self, proc: ProcId, page: Vpn) -> Option<u64> {
        self.entry(proc, page)?.pfn()
    }

    pub(super) fn pfns(&self, area: Area) -> Vec<Option<u64>> {
        area.pages().map(|page| self.pfn(area.proc, page)).collect()
    }

    /// To another node where there is one, else wherever compaction puts it.
    fn migrate(&mut self, area: Area) -> Flow {
        let before = self.pfns(area);
        if before.iter().all(Option::is_none) {
            return Ok(());
        }
        let Some(proc) = &self.procs[area.proc.idx()] else { return Ok(()) };
        let pid = proc.pid.as_raw_nonzero().get();
        if let Some(nodes) = nodes().filter(|nodes| 1 < nodes.len()) {
            for (vpn, before) in area.pages().zip(before) {
                if self.pfn(area.proc, vpn) != before {
                    continue; // It went with the first page of its folio, and would go back.
                }
                let page = self.inherited.plan.page(area.proc, vpn);
                let here = sys::move_page(pid, page, None).ok();
                let other = nodes.iter().copied().find(|node| Some(*node) != here);
                let _ = sys::move_page(pid, page, other);
            }
            return Ok(());
        }
        if !self.system {
            return Err(skip("with one node a page moves by compaction of all memory alone, which --allow-system permits"));
        }
        for _ in 0..COMPACTIONS {
            fs::write("/proc/sys/vm/compact_memory", "1").map_err(|error| skip(format!("compaction: {error}")))?;
            if self.pfns(area).iter().zip(&before).all(|(now, before)| now != before) {
                return Ok(());
            }
        }
        Err(skip("compaction left the page where it was"))
    }

    /// Two passes of ksmd find what does not change, one more merges it.
    fn ksm_merge(&mut self, a: Area, b: Area, pc: Pc) -> Flow {
        for area in [a, b] {
            self.advise(area.proc, self.inherited.plan.stretch(area), libc::MADV_MERGEABLE, pc)?;
        }
        self.agent.system.borrow_mut().ksmd(true).map_err(skip)?;
        let is_merged = |director: &Self| {
            let (a, b) = (director.pfns(a), director.pfns(b));
            a == b && a.iter().all(Option::is_some)
        };
        let scans = || fs::read_to_string("/sys/kernel/mm/ksm/full_scans").ok()?.trim().parse::<u64>().ok();
        let begun = scans();
        for _ in 0..KSM_STEPS_MAX {
            // What differs, or is pinned, is left alone however often it is looked at.
            let passed = scans().zip(begun).is_some_and(|(now, begun)| begun + 4 < now);
            if is_merged(self) || passed {
                break;
            }
            thread::sleep(KSM_STEP);
        }
        self.agent.system.borrow_mut().ksmd(false).map_err(skip)
    }

    /// A boundary of two vmas within a PMD splits it and nothing else (mm/huge_memory.c, `vma_adjust_trans_huge`).
    fn split_pmd(&mut self, area: Area, pc: Pc) -> Flow {
        let set = self.mapped.get(&(area.proc, area.start)).is_some_and(|mapped| mapped.dontfork);
        let (first, second) =
            if set { (libc::MADV_DOFORK, libc::MADV_DONTFORK) } else { (libc::MADV_DONTFORK, libc::MADV_DOFORK) };
        let all = self.inherited.plan.stretch(area);
        for at in (all.at()..all.at() + all.len()).step_by(PMD_PAGES * PAGE) {
            let page = Stretch::new(at, PAGE);
            self.advise(area.proc, page, first, pc)?;
            self.advise(area.proc, page, second, pc)?;
        }
        Ok(())
    }

    /// Advice about part of a large folio splits it (mm/madvise.c, `madvise_cold_or_pageout_pte_range`), but not where others map
    /// it too: that is asked of debugfs, in a mount that nobody else sees.
    fn split_folio(&mut self, area: Area) -> Flow {
        if !self.is_shared(area) {
            for page in area.pages().step_by(self.folio_pages(area)) {
                self.advise_process(Area { start: page, len: 1, ..area }, libc::MADV_COLD)?;
            }
            return Ok(());
        }
        let Some(proc) = &self.procs[area.proc.idx()] else { return Ok(()) };
        let file = debug_file("split_huge_pages").map_err(|error| {
            skip(format!("a folio that others map too is split by split_huge_pages of debugfs alone: {error}"))
        })?;
        let at = self.inherited.plan.stretch(area);
        let text = format!("{},{:#x},{:#x},0", proc.pid.as_raw_nonzero(), at.at(), at.at() + at.len());
        let _ = rustix::io::write(&file, text.as_bytes()); // It says how many were split, or fails: both show in the facts.
        Ok(())
    }

    /// An area with the rest of the THPs that it begins and ends in, where a PMD maps them: reclaim takes these as a whole, and
    /// advice about a part splits them.
    fn whole_folios(&self, area: Area) -> Area {
        let mem = self.program().mems[area.mem.idx()].area;
        let place = |page: u16| self.inherited.plan.page(area.proc, Vpn(page));
        // The page goes on with what is mapped before it, and advice must not begin between the two.
        let goes_on = |page: u16| {
            let eye = self.procs[area.proc.idx()].as_ref().and_then(|proc| proc.eye.as_ref());
            let flags = self.pfn(area.proc, Vpn(page)).and_then(|pfn| self.agent.frames.flags(pfn));
            let by_pmd = eye.and_then(|eye| eye.is_pmd_mapped(place(page)));
            flags.is_some_and(is_tail) && by_pmd != Some(false)
        };
        let (mut first, mut end) = (area.start.0, area.start.0 + area.len);
        while mem.start.0 < first && goes_on(first) {
            first -= 1;
        }
        while end < mem.start.0 + mem.len && goes_on(end) {
            end += 1;
        }
        Area { start: Vpn(first), len: end - first, ..area }
    }

    /// Base pages of the folios that a mapping is about.
    fn folio_pages(&self, area: Area) -> usize {
        match self.program().mems[area.mem.idx()].kind {
            MemKind::Mthp { order } => 1 << order,
            MemKind::Pages | MemKind::Thp | MemKind::Hugetlb { .. } => PMD_PAGES,
        }
    }
}

/// The nodes that have memory.
fn nodes() -> Option<Vec<i32>> {
    let text = fs::read_to_string("/sys/devices/system/node/has_memory").ok()?;
    let ranges = text.trim().split(',').map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some(from.parse::<i32>().ok()?..=to.parse::<i32>().ok()?)
    });
    Some(ranges.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}
