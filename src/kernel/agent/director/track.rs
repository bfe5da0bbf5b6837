//! Keeps track of what is mapped, who is there and what is held, and looks at the pages of it all.

use std::collections::BTreeSet;

use super::{Director, Flow, Proc};
use crate::ir::{Advice, Area, Backing, MemKind, Op, Program, Prot, Sharing};
use crate::kernel::agent::look::{self, Mapped};
use crate::kernel::agent::survey::survey;
use crate::kernel::wire::{Facts, Stop};
use crate::types::{PMD_ORDER, Pc, ProcId, RefId, Vpn};

impl Director<'_> {
    /// An operation took effect.
    pub(super) fn took_effect(&mut self, op: Op, pid: Option<i32>, actor: Option<ProcId>) -> Flow {
        match op {
            Op::Mmap { area, prot, sharing, backing } => {
                let (readable, shared) = (prot != Prot::None, sharing == Sharing::Shared);
                let file = if let Backing::File(file) = backing { Some(file) } else { None };
                let mapped = Mapped { readable, dontfork: false, shared, file };
                self.mapped.extend(area.pages().map(|page| ((area.proc, page), mapped)));
                let kind = self.program().mems[area.mem.idx()].kind;
                if let Some(order) = order(kind) {
                    self.untouched.extend(area.pages().step_by(1 << order).map(|page| (area.proc, page)));
                }
            }
            Op::Mremap { from, to } => {
                for (page, other) in from.pages().zip(to.pages()) {
                    if let Some(mapped) = self.mapped.remove(&(from.proc, page)) {
                        self.mapped.insert((to.proc, other), mapped);
                    }
                }
            }
            Op::Munmap { area } => {
                for page in area.pages() {
                    self.mapped.remove(&(area.proc, page));
                }
            }
            Op::Mprotect { area, prot } => self.each(area, |mapped| mapped.readable = prot != Prot::None),
            Op::Madvise { area, advice: Advice::Dontfork } => self.each(area, |mapped| mapped.dontfork = true),
            Op::Madvise { area, advice: Advice::Dofork } => self.each(area, |mapped| mapped.dontfork = false),
            Op::Put { name } | Op::Unpin { name, .. } => drop(self.held.remove(&name)),
            Op::Fork { child } => {
                let parent = actor.unwrap_or_default();
                let inherited: Vec<_> = self.mapped.range((parent, Vpn(0))..=(parent, Vpn(u16::MAX))).collect();
                let inherited: Vec<_> = inherited
                    .iter()
                    .filter(|(_, mapped)| !mapped.dontfork)
                    .map(|((_, page), mapped)| ((child, *page), **mapped))
                    .collect();
                self.mapped.extend(inherited);
                return self.born(child, parent, pid.unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    /// A call over a hole has done its work up to there, or around it, when it fails.
    pub(super) fn took_effect_to_a_hole(&mut self, op: Op) {
        match op {
            Op::Mprotect { area, prot } => {
                for page in area.pages() {
                    let Some(mapped) = self.mapped.get_mut(&(area.proc, page)) else { return };
                    mapped.readable = prot != Prot::None;
                }
            }
            Op::Madvise { area, advice: advice @ (Advice::Dontfork | Advice::Dofork) } => {
                self.each(area, |mapped| mapped.dontfork = advice == Advice::Dontfork);
            }
            _ => {}
        }
    }

    fn each(&mut self, area: Area, change: impl Fn(&mut Mapped)) {
        for page in area.pages() {
            self.mapped.entry((area.proc, page)).and_modify(&change);
        }
    }

    /// A child is there once it says so: until then it may hold what its parent gives up.
    pub(super) fn born(&mut self, child: ProcId, parent: ProcId, pid: i32) -> Flow {
        let proc =
            Proc::new(pid, child, Some(parent)).map_err(|error| Stop::Crashed(format!("a child is gone at once: {error}")))?;
        self.procs[child.idx()] = Some(proc);
        let task = self.first(child);
        self.started.insert(task);
        self.wait(task, Pc(0)).map(drop)
    }

    /// The frames of a reference that was just taken live on while it does.
    pub(super) fn hold(&mut self, name: RefId, op: Op) {
        let Some(area) = op.area() else { return };
        let Some(eye) = self.procs[area.proc.idx()].as_ref().and_then(|proc| proc.eye.as_ref()) else { return };
        let frames = area.pages().filter_map(|page| eye.entry(&self.inherited.plan, page).pfn()).collect();
        self.held.insert(name, frames);
    }

    /// Every page of every mapping.
    pub(super) fn look(&mut self) -> Vec<(String, Facts)> {
        let (mut table, mut here) = (Vec::new(), BTreeSet::new());
        let mut letters = std::mem::take(&mut self.letters);
        let (plan, sight) = (&self.inherited.plan, self.agent.sight);
        for proc in (0..self.procs.len()).map(ProcId::at) {
            let Some(eye) = self.procs[proc.idx()].as_ref().and_then(|proc| proc.eye.as_ref()) else { continue };
            let pages = self.mapped.range((proc, Vpn(0))..=(proc, Vpn(u16::MAX)));
            let places: Vec<_> = pages.map(|((_, vpn), mapped)| (*vpn, *mapped)).collect();
            let glances = survey(eye, plan, &places, &self.agent.frames, sight);
            for ((vpn, mapped), glance) in places.into_iter().zip(glances) {
                let (facts, frame) = look::facts(glance, mapped, sight, &mut letters);
                here.extend(frame);
                table.push((name(self.program(), proc, vpn), facts));
            }
        }
        let held: BTreeSet<u64> = self.held.values().flatten().copied().collect();
        let frames = &self.agent.frames;
        letters.keep(|pfn| here.contains(&pfn) || held.contains(&pfn) || frames.is_in_swap_cache(pfn));
        self.letters = letters;
        table
    }

    /// Whether the kernel gave folios of the size that a mapping is about, now that they were touched for the first time.
    pub(super) fn look_at_sizes(&mut self, op: Op) -> Flow {
        if self.untouched.is_empty() || !matches!(op, Op::Write { .. } | Op::Madvise { advice: Advice::PopulateWrite, .. }) {
            return Ok(());
        }
        let Some(area) = op.area() else { return Ok(()) };
        let first = |page: Vpn| self.untouched.range(..=(area.proc, page)).next_back().copied();
        let touched: BTreeSet<_> = area.pages().filter_map(first).filter(|(proc, _)| *proc == area.proc).collect();
        for place in touched {
            self.untouched.remove(&place);
            let Some(eye) = self.procs[place.0.idx()].as_ref().and_then(|proc| proc.eye.as_ref()) else { continue };
            let program = self.program();
            let mem = program.mems.iter().find(|mem| mem.area.pages().any(|page| page == place.1));
            let Some(order) = mem.and_then(|mem| order(mem.kind)) else { continue };
            let is_large = if order == u32::from(PMD_ORDER) {
                eye.is_pmd_mapped(self.inherited.plan.page(place.0, place.1))
            } else {
                let pfn = eye.entry(&self.inherited.plan, place.1).pfn();
                pfn.and_then(|pfn| self.agent.frames.is_folio_of(pfn, order))
            };
            if is_large == Some(false) {
                return Err(Stop::Skip(format!("the kernel gave smaller pages where {} were asked for", 1 << order)));
            }
        }
        Ok(())
    }
}

/// log2 of the base pages of the folios that a mapping is about, where it is about large ones of a page table.
fn order(kind: MemKind) -> Option<u32> {
    match kind {
        MemKind::Thp => Some(PMD_ORDER.into()),
        MemKind::Mthp { order } => Some(order.into()),
        MemKind::Pages | MemKind::Hugetlb { .. } => None,
    }
}

/// `p.buf[0]`, by the first name that the page was given.
fn name(program: &Program, proc: ProcId, vpn: Vpn) -> String {
    let proc_name = &program.procs[proc.idx()];
    let has = |area: Area| area.start <= vpn && vpn.0 - area.start.0 < area.len;
    match program.mems.iter().find(|mem| has(mem.area)) {
        Some(mem) => format!("{proc_name}.{}[{}]", mem.name, vpn.0 - mem.area.start.0),
        None => format!("{proc_name}.{}", vpn.0),
    }
}
