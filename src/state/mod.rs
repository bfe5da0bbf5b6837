//! What the kernel would remember, and nothing it would not: no history, no source text, no names.
//!
//! Counts are stored where the kernel stores them, and the invariants recompute them. A pin is counted apart from other
//! references and shown with its bias, so the kernel's false "maybe pinned" at 1024 plain references cannot happen here.

mod fingerprint;
mod folio;
mod mm;
mod rename;
mod rmap;
mod swap;
mod task;
mod touched;

pub use folio::{Folio, FolioFlags, LargeFolio, Owner, PIN_BIAS, Page, Pfn, SwapSlot};
pub use mm::{Mm, MmapLock, Pte, PteFlags, Slot, Target, Vma, VmaFlags};
pub use task::{
    At, CollapseAt, Fault, FaultKind, ForkAt, Grab, GupAt, KsmAt, MigrateAt, MoveAt, ReclaimAt, ShareAt, Task, TaskFlags,
};

use crate::ir::Program;
use crate::types::{Number, ProcId, Size, Small, Table, TaskId, ValueId, Vpn, WordId};
use touched::{Part, Touched};

/// Everything that decides what happens next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State<B: Size> {
    mms: B::Procs<Mm>,
    /// Address spaces one after another, each of [`State::pages_per_mm`] pages.
    slots: B::Slots<Slot<B::Number>>,
    pages: B::Frames<Page<B>>,
    folios: B::Frames<Folio<B::Number>>,
    /// What the page cache has, file after file.
    cache: B::Cache<Target<B::Number>>,
    /// What named references hold, reference after reference.
    held: B::Held<Target<B::Number>>,
    tasks: B::Tasks<Task<B::Number>>,
    /// What large folios have beside [`Folio`], by their first frame.
    larges: B::Larges<LargeFolio<B::Number>>,
    swap: B::Swap<SwapSlot<B>>,
    /// The writable translation that each actor's CPU used last: a page of its address space and the frame behind it.
    tlbs: B::Tasks<Option<Translation<B::Number>>>,
    /// Whether they are kept: in some race one may be stale. The same in all states of a program.
    has_tlbs: bool,
    /// References to the zero page that are counted.
    zero_refcount: B::Number,
    /// What the zero page holds: zeros, unless something went badly wrong.
    zero_words: B::Words,
    /// What was lent out to be changed.
    touched: Touched,
}

const _: () = assert!(size_of::<State<Small>>() <= 512, "one explorer state must stay a cheap memcpy");

/// Frames for each entry of the table of large folios: the smallest large anonymous folio has four pages.
///
/// Source: mm/huge_memory.c, THP_ORDERS_ALL_ANON: orders from 2 on.
const FRAMES_PER_LARGE: usize = 4;

/// Frames that are looked at together for a free one.
const FRAMES_AT_A_TIME: usize = 16;

/// A page of an address space and the frame behind it.
type Translation<N> = (N, Pfn<N>);

/// All frames are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfFrames;

impl<B: Size> State<B> {
    /// The state before the first instruction: the first process exists and maps nothing.
    ///
    /// # Panics
    /// With `cowl bug:` where the program exceeds the size ([`Program::exceeds`]).
    pub fn new(program: &Program) -> Self {
        let slots = program.procs.len() * usize::from(program.pages);
        let held = program.held_pages();
        // Every slot maps a page of its own, every copy under way needs another; references and the swap cache keep pages alive.
        // Of a large folio all pages stay where one of them is in use.
        let copies = if program.has_large_folios() { 3 } else { 2 };
        let others = program.cache_pages() + held + program.tasks.len() + program.swap_slots() + 1;
        let frames = (copies * slots + others).min(B::FRAMES_MAX);
        let mut state = Self {
            mms: B::Procs::filled(program.procs.len()),
            slots: B::Slots::filled(slots),
            pages: B::Frames::filled(frames),
            folios: B::Frames::filled(frames),
            cache: B::Cache::filled(program.cache_pages()),
            held: B::Held::filled(held),
            tasks: B::Tasks::filled(program.tasks.len()),
            larges: B::Larges::filled(frames.div_ceil(FRAMES_PER_LARGE)),
            swap: B::Swap::filled(program.swap_slots().min(B::SWAP_MAX)),
            tlbs: B::Tasks::filled(program.tasks.len()),
            has_tlbs: program.flushes_late(),
            zero_refcount: B::Number::default(),
            zero_words: B::Words::default(),
            touched: Touched::default(),
        };
        state.mm_mut(ProcId(0)).alive = true;
        if let Some((slots, _)) = program.system.swap {
            // An array has its full length always; what the machine has not is as if taken away.
            state.swap.as_mut().iter_mut().skip(slots.into()).for_each(|slot| slot.cached = Target::Guard);
        }
        state
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let Self { mms, slots, pages, folios, cache, held, tasks, larges, swap, tlbs, .. } = self;
        let memory = mms.heap() + slots.heap() + pages.heap() + folios.heap() + larges.heap() + cache.heap();
        size_of::<Self>() + memory + held.heap() + tasks.heap() + swap.heap() + tlbs.heap()
    }

    /// Pages of one address space.
    pub fn pages_per_mm(&self) -> usize {
        self.slots.as_ref().len() / self.mms.as_ref().len().max(1)
    }

    /// The address space of a process.
    pub fn mm(&self, proc: ProcId) -> &Mm {
        &self.mms.as_ref()[proc.idx()]
    }

    pub fn mm_mut(&mut self, proc: ProcId) -> &mut Mm {
        self.touched.add(Part::Mm(proc.idx()));
        &mut self.mms.as_mut()[proc.idx()]
    }

    /// All address spaces, those of processes not there among them.
    pub fn mms(&self) -> &[Mm] {
        self.mms.as_ref()
    }

    /// One page of an address space.
    pub fn slot(&self, proc: ProcId, vpn: Vpn) -> &Slot<B::Number> {
        &self.slots.as_ref()[proc.idx() * self.pages_per_mm() + vpn.idx()]
    }

    pub fn slot_mut(&mut self, proc: ProcId, vpn: Vpn) -> &mut Slot<B::Number> {
        let at = proc.idx() * self.pages_per_mm() + vpn.idx();
        self.touched.add(Part::Slot(at));
        &mut self.slots.as_mut()[at]
    }

    /// Every page of every address space.
    pub fn slots(&self) -> impl Iterator<Item = (ProcId, Vpn, &Slot<B::Number>)> {
        let stride = self.pages_per_mm();
        let (mut proc, mut vpn) = (0, 0);
        // Counted along, for a division each would cost more than most who ask do with the answer.
        self.slots.as_ref().iter().map(move |slot| {
            let here = (ProcId::at(proc), Vpn::at(vpn), slot);
            vpn += 1;
            if vpn == stride {
                (proc, vpn) = (proc + 1, 0);
            }
            here
        })
    }

    /// The same by their places, for who looks at few of many closely; [`State::place`] says whose a page is.
    pub fn slots_by_place(&self) -> &[Slot<B::Number>] {
        self.slots.as_ref()
    }

    /// The address space and the page at a place of [`State::slots_by_place`].
    pub fn place(&self, at: usize) -> (ProcId, Vpn) {
        let stride = self.pages_per_mm();
        (ProcId::at(at / stride), Vpn::at(at % stride))
    }

    pub fn pte(&self, proc: ProcId, vpn: Vpn) -> Pte<B::Number> {
        self.slot(proc, vpn).pte
    }

    pub fn page(&self, pfn: Pfn<B::Number>) -> &Page<B> {
        &self.pages.as_ref()[pfn.idx()]
    }

    pub fn page_mut(&mut self, pfn: Pfn<B::Number>) -> &mut Page<B> {
        self.touched.add(Part::Frame(pfn.idx()));
        &mut self.pages.as_mut()[pfn.idx()]
    }

    /// The first page of the folio that a page is part of: `folio_page(page_folio(page), 0)`.
    pub fn head(&self, pfn: Pfn<B::Number>) -> Pfn<B::Number> {
        match self.folios.as_ref()[pfn.idx()].order {
            0 => pfn,
            order => Pfn::at(pfn.idx() >> order << order),
        }
    }

    /// The folio that a page is part of.
    pub fn folio(&self, pfn: Pfn<B::Number>) -> &Folio<B::Number> {
        &self.folios.as_ref()[self.head(pfn).idx()]
    }

    pub fn folio_mut(&mut self, pfn: Pfn<B::Number>) -> &mut Folio<B::Number> {
        let head = self.head(pfn);
        self.touched.add(Part::Frame(head.idx()));
        &mut self.folios.as_mut()[head.idx()]
    }

    /// Every frame with what stands at it, free ones and those of large folios past the first among them.
    pub fn folios(&self) -> impl ExactSizeIterator<Item = (Pfn<B::Number>, &Folio<B::Number>)> {
        self.folios.as_ref().iter().enumerate().map(|(at, folio)| (Pfn::at(at), folio))
    }

    /// The pages of the folio that a page is part of.
    pub fn folio_pages(&self, pfn: Pfn<B::Number>) -> impl ExactSizeIterator<Item = Pfn<B::Number>> + use<B> {
        let first = self.head(pfn).idx();
        (first..first + (1_usize << self.folio(pfn).order)).map(Pfn::at)
    }

    /// What a large folio has beside its [`Folio`].
    pub fn large(&self, pfn: Pfn<B::Number>) -> &LargeFolio<B::Number> {
        &self.larges.as_ref()[self.head(pfn).idx() / FRAMES_PER_LARGE]
    }

    pub fn large_mut(&mut self, pfn: Pfn<B::Number>) -> &mut LargeFolio<B::Number> {
        let at = self.head(pfn).idx() / FRAMES_PER_LARGE;
        self.touched.add(Part::Rest);
        &mut self.larges.as_mut()[at]
    }

    /// The slots of the swap device.
    pub fn swap(&self) -> &[SwapSlot<B>] {
        self.swap.as_ref()
    }

    pub fn swap_mut(&mut self) -> &mut [SwapSlot<B>] {
        self.touched.add(Part::Rest);
        self.swap.as_mut()
    }

    /// Whether CPUs keep translations.
    pub fn has_tlbs(&self) -> bool {
        self.has_tlbs
    }

    /// The writable translation that an actor's CPU used last.
    pub fn tlb(&self, task: TaskId) -> Option<(Vpn, Pfn<B::Number>)> {
        self.tlbs.as_ref()[task.idx()].map(|(vpn, pfn)| (Vpn::at(vpn.get() as usize), pfn))
    }

    pub fn set_tlb(&mut self, task: TaskId, entry: Option<(Vpn, Pfn<B::Number>)>) {
        self.touched.add(Part::Rest);
        self.tlbs.as_mut()[task.idx()] = entry.map(|(vpn, pfn)| (B::Number::new(vpn.0.into()), pfn));
    }

    /// What the page cache has at a place of the program's files.
    pub fn cache(&self, place: usize) -> Target<B::Number> {
        self.cache.as_ref()[place]
    }

    pub fn set_cache(&mut self, place: usize, target: Target<B::Number>) {
        self.touched.add(Part::Rest);
        self.cache.as_mut()[place] = target;
    }

    /// All of the page cache.
    pub fn cached(&self) -> &[Target<B::Number>] {
        self.cache.as_ref()
    }

    /// What all named references hold.
    pub fn held(&self) -> &[Target<B::Number>] {
        self.held.as_ref()
    }

    pub fn held_mut(&mut self) -> &mut [Target<B::Number>] {
        self.touched.add(Part::Held);
        self.held.as_mut()
    }

    pub fn task(&self, task: TaskId) -> &Task<B::Number> {
        &self.tasks.as_ref()[task.idx()]
    }

    pub fn task_mut(&mut self, task: TaskId) -> &mut Task<B::Number> {
        self.touched.add(Part::Task(task.idx()));
        &mut self.tasks.as_mut()[task.idx()]
    }

    /// All actors.
    pub fn tasks(&self) -> &[Task<B::Number>] {
        self.tasks.as_ref()
    }

    pub fn tasks_mut(&mut self) -> &mut [Task<B::Number>] {
        self.touched.add_all();
        self.tasks.as_mut()
    }

    /// Counted references to the zero page.
    pub fn zero_refcount(&self) -> u32 {
        self.zero_refcount.get()
    }

    pub fn add_zero_refs(&mut self, by: i32) {
        self.touched.add(Part::Rest);
        self.zero_refcount = self.zero_refcount.plus(by);
    }

    /// Takes a free frame: a folio of one page with one reference, its words all zero.
    ///
    /// # Errors
    /// [`OutOfFrames`] where none is free; the bound is [`Size::FRAMES_MAX`] or less.
    pub fn alloc(&mut self) -> Result<Pfn<B::Number>, OutOfFrames> {
        self.alloc_order(0)
    }

    /// Takes free frames in a row: a folio of 2^`order` pages with one reference, their words all zero.
    ///
    /// # Errors
    /// [`OutOfFrames`] where there is no such row; the bound is [`Size::FRAMES_MAX`] or less.
    pub fn alloc_order(&mut self, order: u8) -> Result<Pfn<B::Number>, OutOfFrames> {
        let pages = 1 << order;
        let free = self.free_row(pages).ok_or(OutOfFrames)?;
        self.touch_frames(free, pages);
        self.folios.as_mut()[free..free + pages].fill(Folio { order, ..Folio::default() });
        let pfn = Pfn::at(free);
        self.folio_mut(pfn).refcount = B::Number::new(1);
        Ok(pfn)
    }

    /// The first of `pages` free frames in a row, which is aligned as a folio of that size is.
    fn free_row(&self, pages: usize) -> Option<usize> {
        let folios = self.folios.as_ref();
        let mut first = self.first_free()? / pages * pages;
        while first + pages <= folios.len() {
            match folios[first..first + pages].iter().position(|folio| !folio.is_free() || folio.is_large()) {
                None => return Some(first),
                // Past the folio that is in the way, at the next place where one of this size may begin.
                Some(taken) => {
                    let taken = first + taken;
                    first = (taken + (1 << folios[taken].order)).next_multiple_of(pages);
                }
            }
        }
        None
    }

    /// The first free frame.
    fn first_free(&self) -> Option<usize> {
        let free = |folio: &Folio<B::Number>| folio.is_free() && !folio.is_large();
        // Some at a time, for most are taken where many are, and a row without a branch is gone through quickly.
        let folios = self.folios.as_ref();
        let row = folios.chunks(FRAMES_AT_A_TIME).position(|row| row.iter().fold(false, |some, folio| some | free(folio)))?;
        let first = row * FRAMES_AT_A_TIME;
        folios[first..].iter().position(free).map(|nth| first + nth)
    }

    /// Takes or drops several references; not the last.
    pub fn get_many(&mut self, pfn: Pfn<B::Number>, by: i32) {
        let folio = self.folio_mut(pfn);
        folio.refcount = folio.refcount.plus(by);
    }

    /// Takes a reference: `folio_get`.
    pub fn get(&mut self, pfn: Pfn<B::Number>) {
        let folio = self.folio_mut(pfn);
        folio.refcount = folio.refcount.plus(1);
    }

    /// Drops a reference, and with the last one the folio: `folio_put`.
    pub fn put(&mut self, pfn: Pfn<B::Number>) {
        let folio = self.folio_mut(pfn);
        folio.refcount = folio.refcount.plus(-1);
        self.free_if_unused(pfn);
    }

    /// Adds or drops a pin.
    pub fn add_pins(&mut self, pfn: Pfn<B::Number>, by: i32) {
        let folio = self.folio_mut(pfn);
        folio.pincount = folio.pincount.plus(by);
        self.free_if_unused(pfn);
    }

    fn touch_frames(&mut self, first: usize, frames: usize) {
        (first..first + frames).for_each(|frame| self.touched.add(Part::Frame(frame)));
    }

    fn free_if_unused(&mut self, pfn: Pfn<B::Number>) {
        if self.folio(pfn).is_free() {
            self.free(pfn);
        }
    }

    /// The folio's frames are free, whatever was counted.
    pub fn free(&mut self, pfn: Pfn<B::Number>) {
        if self.folio(pfn).is_large() {
            *self.large_mut(pfn) = LargeFolio::default();
        }
        let (first, pages) = (self.head(pfn).idx(), 1_usize << self.folio(pfn).order);
        self.touch_frames(first, pages);
        self.folios.as_mut()[first..first + pages].fill(Folio::default());
        self.pages.as_mut()[first..first + pages].fill(Page::default());
    }

    /// A large folio that no pte maps becomes folios of one page each, which keep the references that the caches have. The
    /// caller's own reference goes to `kept`; a page without any is to be mapped again or freed by the caller.
    ///
    /// Source: mm/huge_memory.c `__split_huge_page` (`__split_unmapped_folio` since 6.15).
    pub fn split(&mut self, kept: Pfn<B::Number>) {
        let (head, order) = (self.head(kept).idx(), self.folio(kept).order);
        let cached = self.is_swapcached(kept);
        let flags = self.folio(kept).flags;
        *self.large_mut(kept) = LargeFolio::default();
        self.touch_frames(head, 1 << order);
        for at in head..head + (1 << order) {
            let refs = u32::from(cached) + u32::from(at == kept.idx());
            self.folios.as_mut()[at] = Folio { refcount: B::Number::new(refs), flags, ..Folio::default() };
        }
    }

    /// Stores a value to a word of a page, or to all of its words; to nothing at all where there is no page.
    pub fn store(&mut self, target: Target<B::Number>, word: Option<WordId>, value: ValueId) {
        let words = match target {
            Target::Page(pfn) | Target::Special(pfn) | Target::Migration(pfn) => self.page_mut(pfn).words.as_mut(),
            Target::Zero => {
                self.touched.add(Part::Rest);
                self.zero_words.as_mut()
            }
            Target::Swap(slot) => self.swap_mut()[slot.get() as usize].words.as_mut(),
            Target::None | Target::Guard => return,
        };
        match word {
            None => words.fill(value),
            Some(word) => words[word.idx()] = value,
        }
    }

    /// What a page holds; zeros where there is none. Of a swap entry, what the page holds that a fault would bring.
    pub fn words(&self, target: Target<B::Number>) -> B::Words {
        match target {
            Target::Page(pfn) | Target::Special(pfn) | Target::Migration(pfn) => self.page(pfn).words,
            Target::Zero => self.zero_words,
            Target::Swap(slot) => {
                let slot = &self.swap()[slot.get() as usize];
                slot.cached.pfn().map_or(slot.words, |pfn| self.page(pfn).words)
            }
            Target::None | Target::Guard => B::Words::default(),
        }
    }
}
