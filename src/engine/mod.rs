//! The kernel's paths, in the kernel's vocabulary, one file a path.
//!
//! In each file pure `decide_*` functions take facts and one knob and return a verdict with its reason; the steps around
//! them only move counts and bits. What a path does between two points where another CPU may get in is one step, and
//! [`step`] is the only way to make one.

mod access;
mod collapse;
mod exclusive;
mod fault;
mod file;
mod force;
mod fork;
mod guard;
mod gup;
mod huge;
mod hugetlb;
mod ksm;
mod large;
mod lazyfree;
mod map;
mod migrate;
mod mremap;
mod numa;
mod prot;
mod read_only;
mod reclaim;
mod share;
mod split;
mod step;
mod swap;
mod swapoff;
#[cfg(test)]
mod tests;
mod through;
mod tlb;
mod transient;
mod uffd;
mod uffd_fill;
mod uffd_move;
mod wp;
mod zap;

pub use exclusive::has_exclusive_bit;
pub use gup::counted_as;
pub use huge::{mapped_at_once, marks_survive_splits};
pub use large::mapcount;
pub use read_only::pins_ask_for_exclusive;
pub use step::{lacking, start, step};
pub use uffd_move::is_misfiled;

use crate::ir::{Area, Op, Program};
use crate::observe::{Seen, Words};
use crate::policy::Policy;
use crate::state::{At, Fault, KsmAt, MmapLock, OutOfFrames, Pfn, Slot, State, Target, Task, TaskFlags};
use crate::trace::{Decision, Event, Row, Sink, What};
use crate::types::{Event as UffdEvent, Failure, Number, ProcId, Size, TaskId, Vpn, WordId};

/// What one step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// On to the next place; nothing that user space could see.
    Moved,
    /// The instruction took effect for these pages of its range, and showed this. Where it is `done`, nothing more comes.
    Committed { page: u16, len: u16, seen: Seen, done: bool },
    /// The instruction is done.
    Finished,
    /// The instruction is done and failed.
    Failed(Failure),
    /// A lock is taken, or something awaited has not happened; nothing changed.
    Blocked,
    /// userfaultfd stopped the thread.
    Asleep(UffdEvent),
    /// A bound of the model is reached: its name. The run can say nothing more.
    Exhausted(&'static str),
}

/// All that a step needs: who steps, in which state, under which policy.
pub struct Cx<'a, B: Size, S: Sink> {
    policy: &'a Policy,
    program: &'a Program,
    st: &'a mut State<B>,
    task: TaskId,
    sink: &'a mut S,
    /// The task's instruction, and its range where it has one; found once a step.
    op: Op,
    area: Option<Area>,
}

/// A decision as a path states it; [`Cx::decided`] adds where and when.
struct Ruling<'r> {
    rule: &'static str,
    knob: &'static str,
    value: &'static str,
    verdict: &'static str,
    reason: &'static str,
    operands: &'r [(&'static str, u32)],
}

impl<'a, B: Size, S: Sink> Cx<'a, B, S> {
    /// A step of this task, on this state.
    pub fn new(policy: &'a Policy, program: &'a Program, st: &'a mut State<B>, task: TaskId, sink: &'a mut S) -> Self {
        let op = program.code.get(st.task(task).pc.idx()).map_or(Op::Drain, |instr| instr.op);
        // ksmd gives up the second of two pages by a fault at its address.
        let gives_up = st.task(task).at == At::Ksm(KsmAt::Break);
        let area = if let (Op::KsmMerge { b, .. }, true) = (op, gives_up) { Some(b) } else { op.area() };
        Self { policy, program, st, task, sink, op, area }
    }

    fn me(&self) -> &Task<B::Number> {
        self.st.task(self.task)
    }

    fn me_mut(&mut self) -> &mut Task<B::Number> {
        self.st.task_mut(self.task)
    }

    fn op(&self) -> Op {
        self.op
    }

    /// The range of the instruction.
    ///
    /// # Panics
    /// With `cowl bug:` where it has none; only paths that walk a range ask.
    fn area(&self) -> Area {
        self.area.expect("cowl bug: a path that walks a range was given an instruction without one")
    }

    /// The process that acts.
    ///
    /// # Panics
    /// With `cowl bug:` for `kernel` and `device`; lowering gives them no such instruction.
    fn actor(&self) -> ProcId {
        self.program.tasks[self.task.idx()].proc().expect("cowl bug: a process's path was entered by no process")
    }

    /// The address space that the instruction is about.
    fn proc(&self) -> ProcId {
        self.area().proc
    }

    /// The page that the instruction is at.
    fn vpn(&self) -> Vpn {
        Vpn(self.area().start.0 + self.me().page)
    }

    fn word(&self) -> Option<WordId> {
        crate::observe::word_of(self.op())
    }

    fn slot(&self) -> Slot<B::Number> {
        *self.st.slot(self.proc(), self.vpn())
    }

    fn slot_mut(&mut self) -> &mut Slot<B::Number> {
        let (proc, vpn) = (self.proc(), self.vpn());
        self.st.slot_mut(proc, vpn)
    }

    fn goto(&mut self, at: At) -> Progress {
        self.me_mut().at = at;
        Progress::Moved
    }

    fn fault_at(&mut self, fault: Fault<B::Number>) -> Progress {
        self.me_mut().fault = fault;
        Progress::Moved
    }

    /// Pages of the instruction's range.
    fn len(&self) -> u16 {
        if let Op::Peek { held } | Op::Dma { held, .. } = self.op() { held.len } else { self.area().len }
    }

    /// Commits the current page and goes to the next, or to the end.
    fn commit_page(&mut self, seen: Seen) -> Progress {
        self.commit_pages(1, seen)
    }

    /// Commits the current page and those behind it that one entry maps, all of which showed the same.
    fn commit_pages(&mut self, len: u16, seen: Seen) -> Progress {
        let page = self.me().page;
        let at = if page + len == self.len() { At::Finish } else { At::Walk };
        let me = self.me_mut();
        me.page += len;
        me.at = at;
        Progress::Committed { page, len, seen, done: false }
    }

    /// Takes free frames for a folio of 2^`order` pages.
    fn alloc(&mut self, order: u8) -> Result<Pfn<B::Number>, OutOfFrames> {
        let new = self.st.alloc_order(order)?;
        self.emit("alloc", |_| What::Allocated { frame: frame_number(new), pages: 1 << order });
        Ok(new)
    }

    /// Commits all pages of a range at once.
    fn commit_range(&mut self) -> Progress {
        self.me_mut().at = At::Finish;
        Progress::Committed { page: 0, len: self.len(), seen: Seen::Nothing, done: false }
    }

    /// Commits an instruction that has no range.
    fn commit_whole(&mut self) -> Progress {
        self.me_mut().at = At::Finish;
        Progress::Committed { page: 0, len: 1, seen: Seen::Nothing, done: false }
    }

    /// The words that the instruction reads of a page.
    fn read_words(&self, target: Target<B::Number>) -> Seen {
        let words = self.st.words(target);
        Seen::Words(Words::read(&words.as_ref()[..self.program.words.len().max(1)], self.word()))
    }

    // Locks. Each function that takes one says whether it could, and changes nothing where it could not.

    fn try_read_lock(&mut self, proc: ProcId) -> bool {
        if self.me().flags.contains(TaskFlags::HOLDS_MMAP_READ) {
            return true;
        }
        let MmapLock::Read(readers) = self.st.mm(proc).mmap_lock else { return false };
        self.st.mm_mut(proc).mmap_lock = MmapLock::Read(readers + 1);
        self.me_mut().flags.insert(TaskFlags::HOLDS_MMAP_READ);
        true
    }

    /// Gives the lock back, if it is held.
    fn read_unlock(&mut self, proc: ProcId) {
        if self.me().flags.contains(TaskFlags::HOLDS_MMAP_READ) {
            let MmapLock::Read(readers) = self.st.mm(proc).mmap_lock else {
                unreachable!("cowl bug: a reader beside a writer")
            };
            self.st.mm_mut(proc).mmap_lock = MmapLock::Read(readers - 1);
            self.me_mut().flags.remove(TaskFlags::HOLDS_MMAP_READ);
        }
    }

    fn try_write_lock(&mut self, proc: ProcId) -> bool {
        if self.st.mm(proc).mmap_lock != MmapLock::Read(0) {
            return false;
        }
        self.st.mm_mut(proc).mmap_lock = MmapLock::Write;
        true
    }

    fn write_unlock(&mut self, proc: ProcId) {
        self.st.mm_mut(proc).mmap_lock = MmapLock::Read(0);
    }

    fn try_lock_ptl(&mut self, proc: ProcId) -> bool {
        let free = self.ptl_is_free(proc);
        if free {
            self.st.mm_mut(proc).ptl = Some(self.task);
        }
        free
    }

    /// Another task holds the lock of a page's folio.
    fn is_locked_by_another(&self, pfn: Pfn<B::Number>) -> bool {
        let (me, head) = (self.task.idx(), self.st.head(pfn));
        self.st.tasks().iter().enumerate().any(|(at, task)| {
            let locked = task.flags.contains(TaskFlags::LOCKS_FOLIO).then(|| task.grab.0.pfn()).flatten();
            let collapses = || collapse::locks(self.st, self.program, TaskId::at(at), head);
            at != me && (locked.is_some_and(|pfn| self.st.head(pfn) == head) || collapses())
        })
    }

    /// The folio that the task has isolated.
    ///
    /// # Panics
    /// With `cowl bug:` where it has none.
    fn isolated(&self) -> Pfn<B::Number> {
        self.me().grab.0.pfn().expect("cowl bug: a mover without a folio")
    }

    /// Ends a mover's work on a page: unlocks the folio that it isolated, if it did, and gives it back.
    ///
    /// Source: mm/vmscan.c `folio_putback_lru`.
    fn put_back(&mut self) -> Progress {
        let (target, _) = std::mem::take(&mut self.me_mut().grab);
        self.me_mut().flags.remove(TaskFlags::LOCKS_FOLIO);
        let pages = self.pages_of_folio();
        if let Target::Page(page) = target {
            self.st.put(page);
        }
        self.commit_pages(pages, Seen::Nothing)
    }

    /// Pages from the present one on, of the instruction's range, behind which one folio stands: what moves it has seen to all.
    fn pages_of_folio(&self) -> u16 {
        let (proc, vpn, first) = (self.proc(), self.vpn(), self.slot().pte.target);
        let page = match first {
            Target::Page(page) | Target::Migration(page) => Some(page),
            Target::Swap(slot) => self.st.swap()[slot.get() as usize].cached.pfn(),
            Target::None | Target::Zero | Target::Special(_) | Target::Guard => None,
        };
        let Some(page) = page.filter(|page| self.st.folio(*page).is_large()) else { return 1 };
        let left = self.st.folio_pages(page).filter(|next| page <= *next).count().min(usize::from(self.len() - self.me().page));
        (0..left).take_while(|nr| self.st.pte(proc, Vpn::at(vpn.idx() + nr)).target == first.behind(*nr)).count() as u16
    }

    fn unlock_ptl(&mut self, proc: ProcId) {
        self.st.mm_mut(proc).ptl = None;
    }

    /// For steps that take the page-table lock and give it back within themselves.
    fn ptl_is_free(&self, proc: ProcId) -> bool {
        self.st.mm(proc).ptl.is_none()
    }

    // What is recorded.

    fn emit(&mut self, site: &'static str, what: impl FnOnce(&State<B>) -> What) {
        let (pc, task, st) = (self.me().pc, self.task, &*self.st);
        self.sink.event(|| Event { pc, task, site, what: what(st) });
    }

    /// Records a decision about a page of a process's memory.
    fn decided(&mut self, proc: ProcId, vpn: Vpn, target: Target<B::Number>, ruling: Ruling<'_>) {
        let Ruling { rule, knob, value, verdict, reason, .. } = ruling;
        self.sink.row(Row { rule, knob, value, verdict, reason });
        self.emit(ruling.rule, |_| {
            What::Decision(Decision {
                rule: ruling.rule,
                knob: ruling.knob,
                value: ruling.value,
                verdict: ruling.verdict,
                reason: ruling.reason,
                proc,
                vpn,
                frame: target.pfn().map(frame_number),
                operands: ruling.operands.to_vec(),
            })
        });
    }

    /// Records that a page was copied. `gratuitous` is found from the state as it was before the old page lost its mapping.
    fn copied(&mut self, proc: ProcId, vpn: Vpn, from: Pfn<B::Number>, to: Pfn<B::Number>, site: &'static str) {
        let program = self.program;
        self.emit(site, |st| What::Copied {
            proc,
            vpn,
            from: frame_number(from),
            to: frame_number(to),
            gratuitous: is_gratuitous(program, st, from),
        });
    }
}

/// The number that events name a frame by.
fn frame_number<N: Number>(pfn: Pfn<N>) -> u32 {
    pfn.0.get()
}

/// Whether nobody could have missed the copy of a page: one mapping, and no get or pin that a program asked for (I17).
fn is_gratuitous<B: Size>(program: &Program, st: &State<B>, pfn: Pfn<B::Number>) -> bool {
    let (users, folio) = (st.mapcount(pfn) + st.swap_count(pfn), st.folio(pfn));
    // The fault that copies has a reference too; who has none beside it and the mappings need not be looked for.
    let alone = folio.pincount.get() == 0 && folio.refcount.get() <= st.folio_mapcount(pfn) + 1;
    let asked_for = program.code.iter().map(|instr| instr.op).filter(|op| !matches!(op, Op::Hold { .. }));
    let mut held = asked_for.filter_map(Op::takes).flat_map(|name| {
        let decl = &program.refs[name.idx()];
        &st.held()[usize::from(decl.first)..usize::from(decl.first + decl.len)]
    });
    users <= 1 && folio.is_anon() && (alone || !held.any(|target| *target == Target::Page(pfn)))
}
