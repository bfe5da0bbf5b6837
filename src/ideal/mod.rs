//! Memory as user space was promised it: every mapped page is a page of its own, and fork copies them all at once.
//!
//! No folio, no pte and no policy may be named here. The ideal world is told of each page's part of an operation when it
//! takes effect ([`Ideal::apply`]) and answers with what that part may show ([`Promise`]). A reference holds *pages*, not
//! addresses. A page is kept where it is mapped; without a mapping, where the first of its references is. So two worlds
//! that are the same are equal as values.
//!
//! Promises that are not obvious, and whose they are:
//! - MADV_FREE: old or zero, word by word, until the next store (madvise(2)).
//! - A private page of a file that was never stored to may follow the file or not (mmap(2) leaves it open): any value the
//!   file's page has held. The first store makes a page of its own.
//! - A get is never promised later stores (`semantics.md` I5): any value its page has held since. The same for a short
//!   read-only pin of a page never stored to, which may be the zero page or the file's (I4).
//! - The soft-dirty bit is 1 where memory was mapped or a CPU stored since the last clear_refs; else the kernel may set it.
//!   Where page tables are given up (DONTNEED, FREE, reclaim or another mapping size for shared memory), a store's goes.
//!   hugetlb memory does not track stores at all (mm/mmap.c `vma_wants_writenotify`).
//! - Shared memory of special ptes or devices has no file that could be named, so nothing is promised of it.

mod page;
mod promise;

use crate::ir::{Advice, Area, Backing, MemKind, Op, Program, RefArea, Sharing};
use crate::observe::Words;
use crate::types::{Number, Pc, ProcId, RefId, Sets, Size, Small, Table, ValueId, ValueSet, WordId};

use page::{At, Cached, Kept, Mapped, Page, Slot, Taken};
pub use page::{EverHeld, Note};
pub use promise::{Allowed, Promise};

/// The promised world. With [`EverHeld`] as `N` each page also knows what it ever held, to explain a violation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ideal<B: Size, N: Note = ()> {
    /// Every page of every address space, process by process.
    slots: B::Slots<Slot<B, N>>,
    /// The pages of all files.
    cache: B::Cache<Cached<B, N>>,
    /// Which page each place of each reference holds.
    held: B::Held<At<B::Number>>,
    /// What else is known of those places.
    kept: B::Held<Kept<B, N>>,
    refs: B::Refs<Taken>,
}

impl<B: Size, N: Note> Ideal<B, N> {
    /// The world before the first instruction: no process has memory, files hold zeros.
    ///
    /// # Panics
    /// With `cowl bug:` where the program exceeds `B`; [`Program::exceeds`] is to be asked first.
    pub fn new(program: &Program) -> Self {
        let mut ideal = Self {
            slots: B::Slots::filled(program.procs.len() * usize::from(program.pages)),
            cache: B::Cache::filled(program.cache_pages()),
            held: B::Held::filled(program.held_pages()),
            kept: B::Held::filled(program.held_pages()),
            refs: B::Refs::filled(program.refs.len()),
        };
        for cached in &mut ideal.cache.as_mut()[..program.cache_pages()] {
            cached.page = Page::fresh(program, None);
            cached.page.untouched = false;
        }
        for instr in &program.code {
            if let Op::Mmap { area, backing: Backing::File(file), sharing: Sharing::Private, .. } = instr.op {
                let start = program.cache_start(file);
                for cached in &mut ideal.cache.as_mut()[start..start + usize::from(area.len)] {
                    (0..program.words.len()).for_each(|word| cached.ever.insert(word, ValueId(0)));
                }
            }
        }
        ideal
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let Self { slots, cache, held, kept, refs } = self;
        size_of::<Self>() + slots.heap() + cache.heap() + held.heap() + kept.heap() + refs.heap()
    }

    /// Performs what instruction `pc` does to page `page` of its range, and says what it may show.
    ///
    /// The pages of a range come in order; an instruction without a range is one part with `page` 0. Of instructions that
    /// fail, nothing is to be told.
    ///
    /// # Panics
    /// With `cowl bug:` where `pc` or `page` lies outside the program.
    pub fn apply(&mut self, program: &Program, pc: Pc, page: u16) -> Promise {
        use Op::*;
        let instr = &program.code[pc.idx()];
        let proc = program.tasks[instr.task.idx()].proc();
        let actor = || proc.expect("cowl bug: lowering gives this verb to processes only");
        let slot = |area: Area| slot(program, area.proc, area.start.idx() + usize::from(page));
        match instr.op {
            Mmap { area, backing, sharing, .. } => self.map(program, slot(area), backing, sharing, page),
            Munmap { area } => self.unmap(slot(area)),
            Mremap { from, to } => self.remap(slot(from), slot(to)),
            Madvise { area, advice } => self.advise(program, slot(area), advice),
            Write { area, value } | Poke { area, value } | ProcessVmWritev { area, value } | UffdCopy { area, value } => {
                self.store(program, slot(area), area.word, value);
                self.slots.as_mut()[slot(area)].stored = true;
            }
            // The device stores, so the soft-dirty bit is nobody's promise; but the memory is made ready as for a CPU's store.
            DirectRead { area, value } => self.store(program, slot(area), area.word, value),
            UffdZeropage { area } => {
                self.store(program, slot(area), None, ValueId(0));
                let here = &mut self.slots.as_mut()[slot(area)];
                here.page.untouched = here.mapped == Mapped::Private;
            }
            UffdMove { from, to } => self.move_page(program, slot(from), slot(to)),
            Read { area } | PeekMem { area } | ProcessVmReadv { area } | DirectWrite { area } => {
                return self.load(program, self.place(slot(area)), area.word);
            }
            SoftDirty { area } => {
                let slot = &self.slots.as_ref()[slot(area)];
                let tracked = !matches!(program.mems[area.mem.idx()].kind, MemKind::Hugetlb { .. });
                return Promise::Bit { must: slot.new || (slot.stored && tracked) };
            }
            ClearRefs => {
                for slot in self.slots_of(program, actor()) {
                    (slot.new, slot.stored) = (false, false);
                }
            }
            Fork { child } => self.fork(program, actor(), child),
            Exit => self.exit(program, actor()),
            Vmsplice { area, name } | Hold { area, name } => self.take(program, proc, name, page, slot(area), true),
            Get { area, write, name, .. } => {
                self.ready(program, slot(area), write);
                self.take(program, proc, name, page, slot(area), true);
            }
            Pin { area, write, longterm, name, .. } => {
                self.ready(program, slot(area), write);
                let untouched = self.slots.as_ref()[slot(area)].page.untouched;
                self.take(program, proc, name, page, slot(area), untouched && !write && !longterm);
            }
            Put { name } | Unpin { name, .. } | Drop { name } => self.release(program, name),
            Peek { held } => return self.peek(program, place(program, held, page), held.word),
            Dma { held, value } => self.put_words(program, self.held.as_ref()[place(program, held, page)], held.word, value),
            Pageout { area } | Collapse { area } | SplitPmd { area } | SplitFolio { area } => self.lose_tracks(slot(area)),
            // What they change is no part of what was promised; movers may not be seen at all.
            Mprotect { .. } | Name { .. } | Wait { .. } | UffdRegister { .. } | UffdWp { .. } | UffdUnwp { .. } => {}
            UffdContinue { .. } | Swapin { .. } | Swapoff | Migrate { .. } | KsmMerge { .. } | KsmUnmerge { .. } => {}
            NumaHint { .. } | LruAdd { .. } | Drain => {}
        }
        Promise::Nothing
    }

    // Memory by address.

    fn map(&mut self, program: &Program, slot: usize, backing: Backing, sharing: Sharing, page: u16) {
        self.unmap(slot);
        let file = match backing {
            Backing::File(file) => Some(program.cache_start(file) + usize::from(page)),
            Backing::Anon | Backing::Special => None,
        };
        let (mapped, page) = match (sharing, file) {
            (Sharing::Private, None) => (Mapped::Private, Page::fresh(program, None)),
            (Sharing::Private, Some(file)) => (Mapped::Private, Page::fresh(program, Some((file, &self.cache.as_ref()[file])))),
            (Sharing::Shared, Some(file)) => (Mapped::Shared(number(file)), Page::default()),
            (Sharing::Shared, None) => (Mapped::Unnamed, Page::default()),
        };
        self.slots.as_mut()[slot] = Slot { mapped, page, new: true, ..Slot::default() };
    }

    fn unmap(&mut self, slot: usize) {
        self.vacate(slot);
        self.slots.as_mut()[slot] = Slot::default();
    }

    fn remap(&mut self, from: usize, to: usize) {
        self.unmap(to);
        self.slots.as_mut()[to] = self.slots.as_ref()[from];
        self.follow(At::Slot(number(from)), At::Slot(number(to)));
        self.slots.as_mut()[from] = Slot::default();
    }

    /// The page alone goes; both mappings stay.
    fn move_page(&mut self, program: &Program, from: usize, to: usize) {
        self.vacate(to);
        self.slots.as_mut()[to].page = self.slots.as_ref()[from].page;
        self.follow(At::Slot(number(from)), At::Slot(number(to)));
        self.renew(program, from);
    }

    fn advise(&mut self, program: &Program, slot: usize, advice: Advice) {
        use Advice::*;
        let here = &mut self.slots.as_mut()[slot];
        match advice {
            Dontneed | GuardInstall => {
                self.vacate(slot);
                self.renew(program, slot);
            }
            Free => {
                here.stored = false;
                if here.mapped == Mapped::Private {
                    here.page.unsure = page::all_words(program);
                    here.page.untouched = true;
                }
            }
            PopulateWrite => self.ready(program, slot, true),
            Pageout | Collapse => self.lose_tracks(slot),
            Dontfork => here.dontfork = true,
            Dofork => here.dontfork = false,
            Wipeonfork => here.wipeonfork = true,
            Keeponfork => here.wipeonfork = false,
            PopulateRead | Hugepage | Nohugepage | Mergeable | Unmergeable | GuardRemove => {}
        }
    }

    /// After its page has gone, a private mapping starts anew, with zeros or what its file holds; a shared one loses nothing.
    fn renew(&mut self, program: &Program, slot: usize) {
        let here = &mut self.slots.as_mut()[slot];
        here.stored = false;
        if here.mapped == Mapped::Private {
            let file = here.page.file.map(|file| file.get() as usize);
            here.page = Page::fresh(program, file.map(|file| (file, &self.cache.as_ref()[file])));
        }
    }

    /// A store's soft-dirty bit is kept in page tables, which shared memory can do without.
    fn lose_tracks(&mut self, slot: usize) {
        let mapped = self.slots.as_ref()[slot].mapped;
        if let Mapped::Shared(_) = mapped {
            self.slots.as_mut().iter_mut().filter(|slot| slot.mapped == mapped).for_each(|slot| slot.stored = false);
        }
    }

    fn fork(&mut self, program: &Program, parent: ProcId, child: ProcId) {
        for page in 0..usize::from(program.pages) {
            let mut copy = self.slots.as_ref()[slot(program, parent, page)];
            if copy.dontfork {
                continue;
            }
            if copy.wipeonfork {
                copy.page = Page::fresh(program, None);
            }
            copy.stored &= copy.mapped == Mapped::Private && !copy.wipeonfork;
            self.slots.as_mut()[slot(program, child, page)] = copy;
        }
    }

    fn exit(&mut self, program: &Program, proc: ProcId) {
        for name in (0..program.refs.len()).map(RefId::at) {
            if self.refs.as_ref()[name.idx()] == Taken::By(proc) {
                self.release(program, name);
            }
        }
        (0..usize::from(program.pages)).for_each(|page| self.unmap(slot(program, proc, page)));
    }

    // References.

    fn take(&mut self, program: &Program, by: Option<ProcId>, name: RefId, page: u16, slot: usize, loose: bool) {
        let at = self.place(slot);
        let mut since = B::Sets::default();
        if loose && let Promise::OneOf(allowed) = self.load(program, at, None).spread() {
            for (word, values) in allowed.as_slice().iter().enumerate() {
                values.iter().for_each(|value| since.insert(word, value));
            }
        }
        let place = usize::from(program.refs[name.idx()].first + page);
        self.held.as_mut()[place] = at;
        self.kept.as_mut()[place] = Kept { page: Page::default(), since };
        self.refs.as_mut()[name.idx()] = by.map_or(Taken::ByNobody, Taken::By);
    }

    fn release(&mut self, program: &Program, name: RefId) {
        let decl = &program.refs[name.idx()];
        for place in usize::from(decl.first)..usize::from(decl.first + decl.len) {
            let at = std::mem::take(&mut self.held.as_mut()[place]);
            let kept = std::mem::take(&mut self.kept.as_mut()[place]);
            if at == At::Held(number(place)) {
                self.hand_over(at, kept.page);
            }
        }
        self.refs.as_mut()[name.idx()] = Taken::Not;
    }

    fn peek(&self, program: &Program, place: usize, word: Option<WordId>) -> Promise {
        let (at, kept) = (self.held.as_ref()[place], &self.kept.as_ref()[place]);
        let promise = self.load(program, at, word);
        if !kept.loose() {
            return promise;
        }
        // The reference may be one to the file's page, and so see what comes to the file.
        let file = self.page(at).and_then(|page| page.file).map(|file| &self.cache.as_ref()[file.get() as usize].ever);
        let also = |word| kept.since.of(word).union(file.map_or(ValueSet::default(), |ever| ever.of(word)));
        promise.or(|nth| also(word.map_or(nth, WordId::idx)))
    }

    // Pages.

    /// Gives a page without a mapping to the first of the references that hold it; without one, it is gone.
    fn hand_over(&mut self, from: At<B::Number>, page: Page<B, N>) {
        if let Some(first) = self.held.as_ref().iter().position(|at| *at == from) {
            self.kept.as_mut()[first].page = page;
            self.follow(from, At::Held(number(first)));
        }
    }

    /// The references to the page at `from` go with it.
    fn follow(&mut self, from: At<B::Number>, to: At<B::Number>) {
        self.held.as_mut().iter_mut().filter(|at| **at == from).for_each(|at| *at = to);
    }

    /// Takes the private page out of a mapping.
    fn vacate(&mut self, slot: usize) {
        let here = self.slots.as_ref()[slot];
        if here.mapped == Mapped::Private {
            self.hand_over(At::Slot(number(slot)), here.page);
        }
    }

    fn place(&self, slot: usize) -> At<B::Number> {
        match self.slots.as_ref()[slot].mapped {
            Mapped::Not | Mapped::Unnamed => At::Nowhere,
            Mapped::Private => At::Slot(number(slot)),
            Mapped::Shared(file) => At::Cache(file),
        }
    }

    fn page(&self, at: At<B::Number>) -> Option<&Page<B, N>> {
        match at {
            At::Nowhere => None,
            At::Slot(slot) => Some(&self.slots.as_ref()[slot.get() as usize].page),
            At::Cache(file) => Some(&self.cache.as_ref()[file.get() as usize].page),
            At::Held(place) => Some(&self.kept.as_ref()[place.get() as usize].page),
        }
    }

    fn page_mut(&mut self, at: At<B::Number>) -> Option<&mut Page<B, N>> {
        match at {
            At::Nowhere => None,
            At::Slot(slot) => Some(&mut self.slots.as_mut()[slot.get() as usize].page),
            At::Cache(file) => Some(&mut self.cache.as_mut()[file.get() as usize].page),
            At::Held(place) => Some(&mut self.kept.as_mut()[place.get() as usize].page),
        }
    }

    fn load(&self, program: &Program, at: At<B::Number>, word: Option<WordId>) -> Promise {
        let Some(page) = self.page(at) else { return Promise::Nothing };
        let promise = Promise::Exactly(Words::read(&page.words.as_ref()[..program.words.len()], word));
        if page.unsure == 0 {
            return promise;
        }
        promise.or(|nth| {
            let word = word.map_or(nth, WordId::idx);
            match page.file.filter(|_| page.unsure & page::bit(word) != 0) {
                Some(file) => self.cache.as_ref()[file.get() as usize].ever.of(word),
                None if page.unsure & page::bit(word) != 0 => ValueSet::one(ValueId(0)),
                None => ValueSet::default(),
            }
        })
    }

    /// A store by address, by whomever.
    fn store(&mut self, program: &Program, slot: usize, word: Option<WordId>, value: ValueId) {
        self.ready(program, slot, true);
        let here = &mut self.slots.as_mut()[slot];
        here.page.unsure &= !word.map_or(page::all_words(program), |word| page::bit(word.idx()));
        self.put_words(program, self.place(slot), word, value);
    }

    /// Makes memory ready for a store: a private page that was never stored to becomes a page of its own.
    fn ready(&mut self, program: &Program, slot: usize, write: bool) {
        let page = &mut self.slots.as_mut()[slot].page;
        if write && page.untouched {
            page.untouched = false;
            // It is sure where the file's page has always held one value; where the file was changed, either may be in it.
            if let Some(file) = page.file {
                let ever = &self.cache.as_ref()[file.get() as usize].ever;
                (0..program.words.len())
                    .filter(|word| ever.of(*word).len() == 1)
                    .for_each(|word| page.unsure &= !page::bit(word));
            }
        }
    }

    fn put_words(&mut self, program: &Program, at: At<B::Number>, word: Option<WordId>, value: ValueId) {
        let words = word.map_or(0..program.words.len(), |word| word.idx()..word.idx() + 1);
        let Some(page) = self.page_mut(at) else { return };
        for word in words.clone() {
            page.words.as_mut()[word] = value;
            page.note.holds(word, value);
        }
        if let At::Cache(file) = at {
            let cached = &mut self.cache.as_mut()[file.get() as usize];
            if cached.viewed() {
                words.clone().for_each(|word| cached.ever.insert(word, value));
            }
        }
        for (_, kept) in self.held.as_ref().iter().zip(self.kept.as_mut()).filter(|(held, kept)| **held == at && kept.loose()) {
            words.clone().for_each(|word| kept.since.insert(word, value));
        }
    }

    fn slots_of(&mut self, program: &Program, proc: ProcId) -> &mut [Slot<B, N>] {
        let start = slot(program, proc, 0);
        &mut self.slots.as_mut()[start..start + usize::from(program.pages)]
    }
}

impl<B: Size> Ideal<B, EverHeld> {
    /// What the page that an instruction reads ever held, its forebears' before a fork included; `None` where it reads none.
    pub fn ever_held(&self, program: &Program, pc: Pc, page: u16) -> Option<EverHeld> {
        let op = program.code[pc.idx()].op;
        let at = if let Op::Peek { held } = op {
            self.held.as_ref()[place(program, held, page)]
        } else {
            self.place(op.area().map(|area| slot(program, area.proc, area.start.idx() + usize::from(page)))?)
        };
        let page = self.page(at)?;
        let mut ever = page.note;
        if let Some(file) = page.file {
            let file = &self.cache.as_ref()[file.get() as usize].ever;
            ever.0.iter_mut().enumerate().take(program.words.len()).for_each(|(word, set)| *set = set.union(file.of(word)));
        }
        Some(ever)
    }
}

fn slot(program: &Program, proc: ProcId, page: usize) -> usize {
    proc.idx() * usize::from(program.pages) + page
}

fn place(program: &Program, held: RefArea, page: u16) -> usize {
    usize::from(program.refs[held.name.idx()].first + held.start + page)
}

fn number<I: Number>(idx: usize) -> I {
    I::new(u32::try_from(idx).expect("cowl bug: a page past what any size has"))
}

const _: () = assert!(size_of::<Ideal<Small>>() <= 512, "a search copies one of these at every step");

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
