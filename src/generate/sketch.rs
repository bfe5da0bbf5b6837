//! What a generator knows of the program so far: who lives, what is mapped, what is held. A light picture, not the engine's.

use bitflags::bitflags;

use super::scale::{SMALL_PMD, SMALL_PMD_ORDER};
use super::{Dice, Limits};
use crate::ir::{
    Actor, Advice, Area, Backing, Ending, FileDecl, FileKind, Instr, Mem, MemKind, Op, Program, Prot, RefArea, RefDecl,
    Sharing, System, UffdMode, Verb, Who,
};
use crate::types::{Event, FileId, MemId, PMD_ORDER, ProcId, RefId, TaskId, Value, ValueId, Vpn, WordId};

/// The names of processes, in their order.
const PROCS: &[&str] = &["p", "c", "d", "e", "g", "h", "i", "j", "k", "l", "n", "o", "q", "s", "t", "u"];

/// Byte offsets of the words that programs tell apart, in the order they come.
const OFFSETS: &[u16] = &[8, 512, 4088, 16, 1024, 2048, 3072];

/// Entries for which tables have room from the start: most programs need no more, and growing costs more than drawing.
const ROOM: usize = 6;

/// The chance that an operand is the memory that the statement before was about, in a hundred.
const AGAIN_PERCENT: u32 = 40;

/// A process.
#[derive(Clone, Hash, Debug, Default)]
pub struct Proc {
    pub parent: Option<ProcId>,
    pub exited: bool,
    pub waited: bool,
    /// Its memory by name.
    pub mems: Vec<MemId>,
    pub pages: Vec<Page>,
}

/// A page of an address space.
#[derive(Clone, Copy, Hash, Debug, Default)]
pub struct Page {
    pub unmapped: bool,
    pub prot: Prot,
    /// Anonymous, private, and stored to by this process since it was mapped or given up: userfaultfd finds a pte to protect.
    pub stored: bool,
    pub shared: bool,
    /// A child gets an empty page instead.
    pub wiped: bool,
    /// What it is registered for with userfaultfd.
    pub registered: Option<UffdMode>,
    /// Write-protected by userfaultfd, as far as can be known: the next store raises an event.
    pub protected: bool,
}

/// A reference.
#[derive(Clone, Copy, Hash, Debug)]
pub struct Held {
    /// Who holds it; the kernel where `None`.
    pub holder: Option<ProcId>,
    /// The verb that took it.
    pub by: Verb,
    pub write: bool,
    pub open: bool,
}

impl Held {
    /// The verb that lets go of it.
    pub fn released_by(&self) -> Verb {
        match self.by {
            Verb::Pin => Verb::Unpin,
            Verb::Hold => Verb::Drop,
            _ => Verb::Put,
        }
    }
}

bitflags! {
    /// What a sketch has that statements can be about.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Offers: u16 {
        /// Some living process has memory.
        const MEMORY = 1;
        /// One more page fits into some address space.
        const FREE_PAGE = 1 << 1;
        /// One more process fits.
        const FREE_PROC = 1 << 2;
        /// Somebody lives who was forked, or whose child lives.
        const CHILD = 1 << 3;
        /// Somebody was forked, has ended and was not waited for.
        const EXITED_CHILD = 1 << 4;
        /// One more reference fits, and there is memory to take it of.
        const FREE_REF = 1 << 5;
        /// A reference is held.
        const REFERENCE = 1 << 6;
        /// A reference that a device may store through.
        const WRITING = 1 << 7;
        const GET = 1 << 8;
        const PIN = 1 << 9;
        const HOLD = 1 << 10;
        /// Memory is registered with userfaultfd.
        const REGISTERED = 1 << 11;
    }
}

/// A statement that a row has made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub actor: Actor,
    pub op: Op,
    pub ending: Ending,
}

impl Made {
    /// A statement that is to succeed.
    pub fn new(actor: Actor, op: Op) -> Self {
        Self { actor, op, ending: Ending::Succeeds }
    }
}

/// The program so far, and what has become of what it named.
#[derive(Clone, Debug)]
pub struct Sketch {
    program: Program,
    limits: Limits,
    wild_percent: u32,
    pub procs: Vec<Proc>,
    pub refs: Vec<Held>,
    /// For each actor, the memory on which userfaultfd stopped it.
    asleep: Vec<Option<Area>>,
    /// The memory that was last said something about.
    last: Option<Area>,
}

impl Sketch {
    /// One process, nothing mapped.
    ///
    /// A PMD maps 2^`pmd_order` pages.
    pub fn new(limits: Limits, wild_percent: u32, pmd_order: u8) -> Self {
        let program = Program {
            procs: vec![PROCS[0].to_owned()],
            tasks: Vec::with_capacity(ROOM),
            mems: Vec::with_capacity(ROOM),
            refs: Vec::with_capacity(ROOM),
            values: roomy(Value::number(0)),
            words: vec![0],
            pmd_order,
            code: Vec::with_capacity(super::STATEMENTS),
            ..Program::default()
        };
        let limits = Limits { procs: limits.procs.min(PROCS.len()), ..limits };
        Self { program, limits, wild_percent, procs: vec![Proc::default()], refs: Vec::new(), asleep: Vec::new(), last: None }
    }

    /// The program so far.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Says what the machine has.
    pub fn on(mut self, system: System) -> Self {
        self.program.system = system;
        self
    }

    /// Gives the pool this many huge pages, where nobody has said how many.
    pub fn pool(&mut self, pages: u16) {
        self.program.system.hugetlb.get_or_insert(pages);
    }

    /// The program. Where nothing in it is of the size of a PMD, a PMD has its true one.
    pub fn finish(mut self) -> Program {
        let full = |mem: &Mem| mem.kind == MemKind::Thp || mem.area.len == SMALL_PMD;
        if self.program.pmd_order == SMALL_PMD_ORDER && !self.program.mems.iter().any(full) {
            self.program.pmd_order = PMD_ORDER;
        }
        if !self.program.mems.iter().any(|mem| matches!(mem.kind, MemKind::Hugetlb { .. })) {
            self.program.system.hugetlb = None;
        }
        self.program
    }

    /// Tries to add what `make` makes; says whether it could. Nothing changes where it could not.
    pub fn attempt(&mut self, make: impl FnOnce(&mut Self) -> Option<Made>, modelled: fn(&Program, Op) -> bool) -> bool {
        let before = self.mark();
        let added = make(self).is_some_and(|made| {
            let known = modelled(&self.program, made.op);
            known && self.add(made)
        });
        if !added {
            self.back_to(before);
        }
        added
    }

    /// Lengths of what a row may add to while it makes a statement.
    fn mark(&self) -> [usize; 5] {
        let program = &self.program;
        [program.mems.len(), program.values.len(), program.words.len(), program.files.len(), program.refs.len()]
    }

    fn back_to(&mut self, [mems, values, words, files, refs]: [usize; 5]) {
        self.program.mems.truncate(mems);
        self.program.values.truncate(values);
        self.program.words.truncate(words);
        self.program.files.truncate(files);
        self.program.refs.truncate(refs);
    }

    /// Adds a statement and notes what it changes; false where its actor is one too many.
    fn add(&mut self, made: Made) -> bool {
        let Some(task) = self.task(made.actor) else { return false };
        let Made { op, ending, .. } = made;
        self.last = op.area().or(self.last);
        self.program.code.push(Instr { task, op, claim: None, observe: None, ending, race: None, setup: false });
        match ending {
            Ending::Fails(_) => {
                if let Some(name) = op.takes() {
                    self.taken(made, name, false);
                }
            }
            Ending::Succeeds => self.change(made),
            // Its thread sleeps before the first page: nothing is stored until it is woken, and when that is nobody knows here.
            Ending::Event(_) => {
                self.asleep[task.idx()] = op.area();
            }
        }
        true
    }

    /// The number of an actor, given where it is new.
    fn task(&mut self, actor: Actor) -> Option<TaskId> {
        let known = self.program.tasks.iter().position(|other| *other == actor);
        let first = self.program.tasks.is_empty() && actor.proc().is_none();
        known.map(TaskId::at).or_else(|| {
            // A program is about processes: one of them is named first.
            (!first && self.program.tasks.len() < self.limits.actors).then(|| {
                self.program.tasks.push(actor);
                self.asleep.push(None);
                TaskId::at(self.program.tasks.len() - 1)
            })
        })
    }

    fn change(&mut self, made: Made) {
        match made.op {
            Op::Mmap { area, backing, sharing, prot } => {
                if let Backing::File(file) = backing {
                    let len = &mut self.program.files[file.idx()].len_pages;
                    *len = area.len.max(*len);
                }
                self.map(area, sharing, prot);
            }
            Op::Munmap { area } => self.each(area, |page| *page = Page { unmapped: true, ..Page::default() }),
            Op::Mremap { from, to } => {
                let moved = self.procs[from.proc.idx()].pages[from.start.idx()];
                self.map(to, Sharing::Private, moved.prot);
                self.each(from, |page| *page = Page { unmapped: true, ..Page::default() });
            }
            Op::Name { area, to } => self.procs[area.proc.idx()].mems.push(to),
            Op::Mprotect { area, prot } => self.each(area, |page| page.prot = prot),
            Op::Write { area, .. } => self.each(area, |page| page.stored = !page.shared),
            Op::Madvise { area, advice: advice @ (Advice::Wipeonfork | Advice::Keeponfork) } => {
                self.each(area, |page| page.wiped = advice == Advice::Wipeonfork);
            }
            Op::Madvise { area, .. } | Op::Pageout { area } | Op::Migrate { area } | Op::Collapse { area } => {
                self.each(area, |page| (page.stored, page.protected) = (false, false));
            }
            Op::Fork { child } => self.fork(made.actor.proc().unwrap_or_default(), child),
            Op::Exit => self.exit(made.actor.proc().unwrap_or_default()),
            Op::Wait { child } => self.procs[child.idx()].waited = true,
            Op::UffdRegister { area, mode } => {
                let waits = mode == UffdMode::Wp;
                self.each(area, |page| (page.registered, page.protected) = (Some(mode), page.protected && waits));
            }
            Op::UffdWp { area } => {
                self.each(area, |page| page.protected = page.stored && page.registered == Some(UffdMode::Wp))
            }
            Op::UffdUnwp { area } | Op::UffdCopy { area, .. } | Op::UffdZeropage { area } | Op::UffdContinue { area } => {
                self.each(area, |page| page.protected = false);
                self.wake(area);
            }
            Op::UffdMove { from, to } => {
                self.each(from, |page| (page.stored, page.protected) = (false, false));
                self.each(to, |page| (page.stored, page.protected) = (false, false));
                self.wake(to);
            }
            Op::Put { name } | Op::Unpin { name, .. } | Op::Drop { name } => self.refs[name.idx()].open = false,
            op => {
                if let Some(name) = op.takes() {
                    self.taken(made, name, true);
                }
            }
        }
    }

    fn map(&mut self, area: Area, sharing: Sharing, prot: Prot) {
        let proc = &mut self.procs[area.proc.idx()];
        let end = area.start.idx() + usize::from(area.len);
        let hole = Page { unmapped: true, ..Page::default() };
        proc.pages.resize(area.start.idx(), hole);
        proc.pages.resize(end, Page { prot, shared: sharing == Sharing::Shared, ..Page::default() });
        proc.mems.push(area.mem);
        self.program.pages = self.program.pages.max(end as u16);
    }

    fn fork(&mut self, parent: ProcId, child: ProcId) {
        self.program.procs.push(PROCS[child.idx()].to_owned());
        let of = &self.procs[parent.idx()];
        let handed_on = |page: &Page| Page { registered: None, protected: false, stored: page.stored && !page.wiped, ..*page };
        let pages = of.pages.iter().map(handed_on).collect();
        self.procs.push(Proc { parent: Some(parent), pages, mems: of.mems.clone(), ..Proc::default() });
    }

    fn exit(&mut self, proc: ProcId) {
        self.procs[proc.idx()].exited = true;
        self.refs.iter_mut().filter(|held| held.holder == Some(proc)).for_each(|held| held.open = false);
    }

    fn taken(&mut self, made: Made, name: RefId, open: bool) {
        let write = matches!(made.op, Op::Get { write: true, .. } | Op::Pin { write: true, .. });
        debug_assert!(name.idx() == self.refs.len(), "cowl bug: references are numbered as they are taken");
        self.refs.push(Held { holder: made.actor.proc(), by: made.op.verb(), write, open });
    }

    fn each(&mut self, area: Area, change: impl Fn(&mut Page)) {
        self.procs[area.proc.idx()].pages[area.start.idx()..][..usize::from(area.len)].iter_mut().for_each(change);
    }

    fn wake(&mut self, area: Area) {
        let meet =
            |on: &Area| on.proc == area.proc && on.start.0 < area.start.0 + area.len && area.start.0 < on.start.0 + on.len;
        self.asleep.iter_mut().filter(|sleep| sleep.as_ref().is_some_and(meet)).for_each(|sleep| *sleep = None);
    }

    /// One number for all that decides what can be said next; the program's own tables apart.
    pub fn outlook(&self) -> u64 {
        use std::hash::BuildHasher;
        foldhash::fast::FixedState::with_seed(0).hash_one((&self.procs, &self.refs, &self.asleep))
    }

    // What rows ask.

    /// Processes that live.
    pub fn living(&self) -> impl Iterator<Item = ProcId> + '_ {
        (0..self.procs.len()).filter(|at| !self.procs[*at].exited).map(ProcId::at)
    }

    /// A process that lives.
    pub fn proc(&self, dice: &mut dyn Dice) -> Option<ProcId> {
        let nth = dice.below(self.living().count() as u32);
        self.living().nth(nth as usize)
    }

    /// What there is to say something about.
    pub fn offers(&self) -> Offers {
        let mut offers = Offers::empty();
        let mut alive = 0;
        for proc in &self.procs {
            match proc.exited {
                true if !proc.waited && proc.parent.is_some() => offers |= Offers::EXITED_CHILD,
                true => {}
                false => {
                    alive += 1;
                    offers.set(Offers::MEMORY, offers.contains(Offers::MEMORY) || !proc.mems.is_empty());
                    offers.set(Offers::FREE_PAGE, offers.contains(Offers::FREE_PAGE) || proc.pages.len() < self.limits.pages);
                    let registered = proc.pages.iter().any(|page| page.registered.is_some() && !page.unmapped);
                    offers.set(Offers::REGISTERED, offers.contains(Offers::REGISTERED) || registered);
                }
            }
        }
        offers.set(Offers::CHILD, 1 < alive);
        offers.set(Offers::FREE_PROC, self.has_free_proc());
        let room = self.refs.len() < self.limits.refs && self.program.held_pages() < self.limits.held;
        offers.set(Offers::FREE_REF, room && offers.contains(Offers::MEMORY));
        for held in self.refs.iter().filter(|held| held.open) {
            offers |= Offers::REFERENCE | if held.write { Offers::WRITING } else { Offers::empty() };
            offers |= match held.released_by() {
                Verb::Unpin => Offers::PIN,
                Verb::Drop => Offers::HOLD,
                _ => Offers::GET,
            };
        }
        offers
    }

    /// Who acts for a process: its first thread, or the second while the first sleeps.
    pub fn thread(&self, proc: ProcId) -> Option<Actor> {
        [1, 2].map(|thread| Actor::Thread { proc, thread }).into_iter().find(|actor| self.can_act(*actor))
    }

    /// Whether an actor is awake, and there is room for it where it is new.
    pub fn can_act(&self, actor: Actor) -> bool {
        match self.program.tasks.iter().position(|other| *other == actor) {
            Some(at) => self.asleep[at].is_none(),
            None => self.program.tasks.len() < self.limits.actors,
        }
    }

    /// Whether one more process fits.
    pub fn has_free_proc(&self) -> bool {
        self.procs.len() < self.limits.procs
    }

    // What rows make.

    /// A new name for `len` pages behind all others of the process, aligned as their kind asks for; fewer where fewer fit.
    pub fn new_mem(&mut self, proc: ProcId, len: usize, kind: MemKind) -> Option<Area> {
        let align = match kind {
            MemKind::Thp => 1 << self.program.pmd_order,
            MemKind::Mthp { order } => 1 << order,
            MemKind::Pages | MemKind::Hugetlb { .. } => 1,
        };
        let start = self.procs[proc.idx()].pages.len().next_multiple_of(align);
        let len = len.min(self.limits.pages.checked_sub(start)?);
        if len == 0 {
            return None;
        }
        let mem = MemId::at(self.program.mems.len());
        let area = Area { proc, mem, start: Vpn(start as u16), len: len as u16, word: None };
        self.program.mems.push(Mem { name: name("m", mem.idx()), area, kind });
        Some(area)
    }

    /// A second name for memory that has one.
    pub fn new_name(&mut self, area: Area) -> MemId {
        let mem = MemId::at(self.program.mems.len());
        let kind = self.program.mems[area.mem.idx()].kind;
        self.program.mems.push(Mem { name: name("m", mem.idx()), area: Area { mem, word: None, ..area }, kind });
        mem
    }

    /// The nameless file behind shared memory, or a file by name, old or new.
    pub fn file(&mut self, dice: &mut dyn Dice, named: bool, len: u16) -> Option<FileId> {
        let known = self.program.files.iter().position(|file| named && !file.name.is_empty() && len <= file.len_pages);
        if let Some(known) = known.filter(|_| dice.percent(70)) {
            return Some(FileId::at(known));
        }
        self.new_file(FileKind::File, named, len)
    }

    /// A file that nobody has named yet, or a nameless one.
    pub fn new_file(&mut self, kind: FileKind, named: bool, len: u16) -> Option<FileId> {
        if self.limits.cache < self.program.cache_pages() + usize::from(len) {
            return None;
        }
        let file = FileId::at(self.program.files.len());
        let called = if named { name("f", file.idx()) } else { String::new() };
        self.program.files.push(FileDecl { name: called, kind, len_pages: len });
        Some(file)
    }

    /// A file that was named before; a mapping that reaches further makes it longer.
    pub fn old_file(&mut self, file: FileId, len: u16) -> Option<FileId> {
        let more = usize::from(len.saturating_sub(self.program.files[file.idx()].len_pages));
        (self.program.cache_pages() + more <= self.limits.cache).then_some(file)
    }

    /// Memory of a process: a whole mapping, a page or some pages of it, with `word` now and then one word of each page.
    ///
    /// Where the process has unmapped all of it, only a wild operand may name it; the second half says so.
    pub fn area(&mut self, dice: &mut dyn Dice, proc: ProcId, word: bool) -> Option<(Area, bool)> {
        let mems = &self.procs[proc.idx()].mems;
        // A bug is about one page: what was last talked about is talked about again.
        let again = if dice.percent(AGAIN_PERCENT) { self.last.filter(|last| mems.contains(&last.mem)) } else { None };
        let mem = again.map_or_else(|| dice.pick(mems), |last| Some(last.mem))?;
        let whole = self.program.mems[mem.idx()].area;
        let (mut start, mut len) = again.map_or((0, whole.len), |last| (last.start.0 - whole.start.0, last.len));
        if again.is_none() && 1 < whole.len && dice.percent(50) {
            start = dice.below(whole.len.into()) as u16;
            len = if dice.percent(70) { 1 } else { 1 + dice.below((whole.len - start).into()) as u16 };
        }
        let word = if word && dice.percent(10) { self.word(dice) } else { None };
        let area = Area { proc, mem, start: Vpn(whole.start.0 + start), len, word };
        let gone = self.pages(area).iter().all(|page| page.unmapped);
        (!gone || dice.percent(self.wild_percent * 5)).then_some((area, gone))
    }

    /// What is known of the pages of some memory.
    pub fn pages(&self, area: Area) -> &[Page] {
        &self.procs[area.proc.idx()].pages[area.start.idx()..][..usize::from(area.len)]
    }

    /// Whether this operand may be wrong on purpose.
    pub fn wild(&self, dice: &mut dyn Dice) -> bool {
        dice.percent(self.wild_percent)
    }

    fn word(&mut self, dice: &mut dyn Dice) -> Option<WordId> {
        let known = self.program.words.len();
        let room = known < self.limits.words && known <= OFFSETS.len();
        if room && (known == 1 || dice.percent(20)) {
            return self.old_word(OFFSETS[known - 1]);
        }
        (1 < known).then(|| WordId(1 + dice.below(known as u32 - 1) as u8))
    }

    /// A value: most often one that nobody has stored yet, so that what is seen says who stored it.
    pub fn value(&mut self, dice: &mut dyn Dice) -> ValueId {
        let known = self.program.values.len();
        let again = ValueId(dice.below(known as u32) as u8);
        if dice.percent(90) { self.fresh_value(again) } else { again }
    }

    /// A value as it is written, whether or not it was there.
    pub fn old_value(&mut self, value: Value) -> Option<ValueId> {
        let known = self.program.values.iter().position(|other| *other == value);
        known.map(ValueId::at).or_else(|| {
            (self.program.values.len() < self.limits.values).then(|| {
                self.program.values.push(value);
                ValueId::at(self.program.values.len() - 1)
            })
        })
    }

    /// A value that nobody has stored yet; where there are too many, one that is there.
    pub fn fresh_value(&mut self, instead: ValueId) -> ValueId {
        let known = self.program.values.len();
        let fresh = (known as u64..).map(Value::number).find(|value| !self.program.values.contains(value));
        match fresh.filter(|_| known < self.limits.values) {
            Some(fresh) => {
                self.program.values.push(fresh);
                ValueId::at(known)
            }
            None => ValueId::at(instead.idx() % known),
        }
    }

    /// The word at a byte offset, whether or not it was told apart before.
    pub fn old_word(&mut self, offset: u16) -> Option<WordId> {
        let known = self.program.words.iter().skip(1).position(|other| *other == offset);
        known.map(|at| WordId::at(at + 1)).or_else(|| {
            (self.program.words.len() < self.limits.words).then(|| {
                self.program.words.push(offset);
                WordId::at(self.program.words.len() - 1)
            })
        })
    }

    /// A new reference to that many pages.
    pub fn new_ref(&mut self, len: u16) -> Option<RefId> {
        let (name_idx, first) = (self.program.refs.len(), self.program.held_pages());
        if self.limits.refs <= name_idx || self.limits.held < first + usize::from(len) {
            return None;
        }
        self.program.refs.push(RefDecl { name: name("r", name_idx), len, first: first as u16 });
        Some(RefId::at(name_idx))
    }

    /// A reference that `test` likes, and its number.
    pub fn open(&self, dice: &mut dyn Dice, test: impl Fn(&Held) -> bool) -> Option<(RefId, Held)> {
        let liked = || self.refs.iter().enumerate().filter(|(_, held)| held.open && test(held));
        let nth = dice.below(liked().count() as u32) as usize;
        liked().nth(nth).map(|(at, held)| (RefId::at(at), *held))
    }

    /// Pages of a reference, now and then one word of each.
    pub fn held(&mut self, dice: &mut dyn Dice, reference: RefId) -> RefArea {
        let whole = self.program.refs[reference.idx()].len;
        let one = 1 < whole && dice.percent(50);
        let start = if one { dice.below(whole.into()) as u16 } else { 0 };
        let word = if dice.percent(10) { self.word(dice) } else { None };
        RefArea { name: reference, start, len: if one { 1 } else { whole }, word }
    }

    /// Who may say a verb about a process's memory.
    pub fn actor(&self, verb: Verb, proc: ProcId) -> Option<Actor> {
        match verb.info().who {
            Who::Process => self.thread(proc),
            Who::Kernel | Who::KernelOrDevice => self.can_act(Actor::Kernel(1)).then_some(Actor::Kernel(1)),
            Who::Device | Who::HolderOrDevice => self.can_act(Actor::Device).then_some(Actor::Device),
        }
    }

    /// Whether some of this memory is registered with userfaultfd for what a verb wants.
    pub fn is_registered(&self, verb: Verb, area: Area) -> bool {
        let protects = matches!(verb, Verb::UffdWp | Verb::UffdUnwp);
        let fits = |mode: UffdMode| !protects || matches!(mode, UffdMode::Wp | UffdMode::WpAsync);
        self.pages(area).iter().any(|page| page.registered.is_some_and(fits))
    }

    /// Whether a store to this memory by its owner is stopped by userfaultfd at its first page.
    pub fn is_stopped(&self, area: Area) -> bool {
        self.pages(area).first().is_some_and(|page| page.protected && page.prot == Prot::Rw && !page.unmapped)
    }

    /// The ending of a line that userfaultfd stops.
    pub const STOPPED: Ending = Ending::Event(Event::Wp);
}

/// A vector that begins with this.
fn roomy<T>(first: T) -> Vec<T> {
    let mut vector = Vec::with_capacity(2 * ROOM);
    vector.push(first);
    vector
}

/// `m0`, `m1`, …: names that cannot be anything else.
fn name(of: &str, at: usize) -> String {
    format!("{of}{at}")
}
