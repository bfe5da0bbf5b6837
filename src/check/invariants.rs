//! What must hold in every state, whatever the program: the kernel's books and the rules that ownership rests on.
//!
//! Each is judged after every step outside a page-table lock section. Its id, sentence and source stand in [`ALL`] once, and
//! a scenario in `corpus/canary/` breaks it under a policy no kernel had.

use super::swap::{Named, Standing};
use crate::engine;
use crate::ir::{Advice, Area, Op, Program};
use crate::policy::Policy;
use crate::state::{At, Fault, FolioFlags, Grab, GupAt, MigrateAt, Pfn, PteFlags, Slot, State, Target, Task, VmaFlags};
use crate::types::{Number, Pc, ProcId, Size, Table, TaskId, ValueId, Vpn};

/// A rule: about every state in [`ALL`], about what may be seen in [`super::PROMISED`].
#[derive(PartialEq, Eq, Debug)]
pub struct Invariant {
    /// Its number in the model's books: 7 for I7.
    pub number: u8,
    pub id: &'static str,
    /// The rule, in a sentence.
    pub says: &'static str,
    /// Where the kernel states or relies on it.
    pub source: &'static str,
}

const I6: Invariant = Invariant {
    number: 6,
    id: "I6",
    says: "a writable pte of an anonymous page is its only mapping, and the page is marked exclusive where there is a mark",
    source: "mm/memory.c do_swap_page and mm/rmap.c check it; every reuse decision relies on it",
};
const I7: Invariant = Invariant {
    number: 7,
    id: "I7",
    says: "an anon-exclusive page has at most one mapping",
    source: "include/linux/rmap.h folio_try_dup_anon_rmap_ptes: the mark goes before a second mapping comes",
};
const I8: Invariant = Invariant {
    number: 8,
    id: "I8",
    says: "an anonymous page that is pinned and mapped is marked exclusive, where pins ask for it",
    source: "mm/gup.c sanity_check_pinned_pages (b6a2619c60b4)",
};
const I9: Invariant = Invariant {
    number: 9,
    id: "I9",
    says: "refcount, mapcount and swap count are what mappings, entries, references and caches add up to, and the \
           reverse mapping finds every mapping",
    source: "include/linux/mm.h folio_put, folio_expected_ref_count; mm/rmap.c __folio_check_anon_rmap",
};
const I10: Invariant = Invariant {
    number: 10,
    id: "I10",
    says: "the zero page is never writable and holds zeros; a private mapping never maps a file's page writable",
    source: "mm/memory.c do_wp_page: vm_normal_page knows no zero page, so a write copies",
};
const I11: Invariant = Invariant {
    number: 11,
    id: "I11",
    says: "what a forced write reaches in a private mapping is an anonymous page that nobody else maps",
    source: "mm/gup.c can_follow_write_pte (5535be309971)",
};
const I12: Invariant = Invariant {
    number: 12,
    id: "I12",
    says: "a merged page is never writable, nor pinned where pins ask for a page of one's own",
    source: "mm/ksm.c write_protect_page; mm/gup.c gup_must_unshare (a7f226604170)",
};
const I13: Invariant = Invariant {
    number: 13,
    id: "I13",
    says: "no pte is writable while userfaultfd write-protects it",
    source: "include/linux/userfaultfd_k.h; mm/memory.c do_wp_page delivers the event",
};
const I14: Invariant = Invariant {
    number: 14,
    id: "I14",
    says: "no pte is writable while soft-dirty tracking waits for its first store",
    source: "Documentation/admin-guide/mm/soft-dirty.rst; mm/mprotect.c can_change_pte_writable",
};
const I15: Invariant = Invariant {
    number: 15,
    id: "I15",
    says: "a swap entry that is marked exclusive is the only one that names its slot",
    source: "mm/memory.c do_swap_page and copy_nonpresent_pte (1493a1913e34)",
};
const I18: Invariant = Invariant {
    number: 18,
    id: "I18",
    says: "no CPU keeps a writable translation to a page that its address space no longer maps there",
    source: "mm/mremap.c move_ptes (eb66ae030829); mm/memory.c wp_page_copy; mm/rmap.c try_to_unmap_one",
};
const I19: Invariant = Invariant {
    number: 19,
    id: "I19",
    says: "the pins of a folio are those that were taken and not given back",
    source: "mm/gup.c gup_put_folio; include/linux/mm.h GUP_PIN_COUNTING_BIAS",
};
const I20: Invariant = Invariant {
    number: 20,
    id: "I20",
    says: "when fork copies a pinned page for the child, the parent's pte stays as it was",
    source: "mm/memory.c copy_present_page (f3c64eda3e50)",
};
const I22: Invariant = Invariant {
    number: 22,
    id: "I22",
    says: "a migration entry that is writable or exclusive is the only one of its page, where there is an exclusive mark",
    source: "mm/rmap.c try_to_migrate_one; mm/memory.c copy_nonpresent_pte (6c287605fd56)",
};
const I23: Invariant = Invariant {
    number: 23,
    id: "I23",
    says: "a page that differs from its swap slot is dirty, by a pte or by its folio, or somebody holds it",
    source: "mm/rmap.c try_to_unmap_one; mm/vmscan.c __remove_mapping drops what is clean",
};
const I24: Invariant = Invariant {
    number: 24,
    id: "I24",
    says: "a large folio that no second address space is said to map is mapped by one alone",
    source: "mm/memory.c __wp_can_reuse_large_anon_folio (1da190f4d0a6); include/linux/rmap.h folio_add_return_large_mapcount",
};
const I25: Invariant = Invariant {
    number: 25,
    id: "I25",
    says: "who reserved a huge page never fails a store to it for want of one while others only borrow it",
    source: "mm/hugetlb.c hugetlb_wp, unmap_ref_private (04f2cbe35699)",
};
const I26: Invariant = Invariant {
    number: 26,
    id: "I26",
    says: "an unshare fault keeps the uffd-wp and soft-dirty bits and leaves the pte read-only",
    source: "mm/memory.c wp_page_copy with FAULT_FLAG_UNSHARE",
};

const I27: Invariant = Invariant {
    number: 27,
    id: "I27",
    says: "a lazily freed page is dropped only while it is clean and nobody else holds it",
    source: "mm/rmap.c try_to_unmap_one (6c8e2a256915)",
};

const I28: Invariant = Invariant {
    number: 28,
    id: "I28",
    says: "a special entry maps a driver's page, which nobody marks exclusive; in a private mapping it is read-only, and where \
           there is no struct page nobody pins it",
    source: "mm/memory.c vm_normal_page; mm/gup.c check_vma_flags",
};

/// Every rule that is judged on states; I25 on the state that a failed store leaves.
pub const ALL: &[Invariant] = &[I6, I7, I8, I9, I10, I11, I12, I13, I14, I15, I18, I19, I20, I22, I23, I24, I25, I26, I27, I28];

/// Rules that hold of any design, however wrong about who owns a page: counts add up, and zeros stay zeros.
pub const ACCOUNTS: [u8; 4] = [9, 10, 19, 28];

/// A rule that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    pub rule: &'static Invariant,
    /// The page of an address space that shows it.
    pub page: Option<(ProcId, Vpn)>,
    /// Its frame, where the frame's own counts show it.
    pub frame: Option<u32>,
}

impl Broken {
    pub(super) fn at(number: u8, proc: ProcId, vpn: Vpn) -> Option<Self> {
        Some(Self { rule: rule(number), page: Some((proc, vpn)), frame: None })
    }

    pub(super) fn of(number: u8, frame: usize) -> Option<Self> {
        Some(Self { rule: rule(number), page: None, frame: Some(frame as u32) })
    }
}

/// The rule of a number.
///
/// # Panics
/// With `cowl bug:` where [`ALL`] has none.
fn rule(number: u8) -> &'static Invariant {
    ALL.iter().find(|rule| rule.number == number).expect("cowl bug: a rule that is not listed")
}

/// What the mappings and references of a frame add up to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Count {
    refs: u16,
    pins: u16,
    maps: u16,
    /// PMDs that map the folio, at its first frame.
    entire: u16,
    /// Pins whose taking is over: what a fast walk holds before its last test may still be given back.
    kept_pins: u16,
    /// What is in the frame will be written to its swap slot: a pte says so, or somebody holds it and will.
    kept_dirty: bool,
}

impl Count {
    /// Nothing refers to the frame. One number of all, since the question is asked of every frame after every step.
    fn is_nothing(&self) -> bool {
        self.refs | self.pins | self.maps | self.entire | self.kept_pins == 0 && !self.kept_dirty
    }
}

/// What page tables, references and tasks add up to.
struct Sums<'c> {
    frames: &'c mut [Count],
    swap: &'c mut [Named],
    /// Some page-table entry is a migration entry.
    migrating: bool,
    /// A page that the reverse mapping does not find, and a special entry that no driver made: the rule that each breaks.
    astray: Option<(u8, ProcId, Vpn)>,
}

impl Sums<'_> {
    fn add<B: Size>(&mut self, st: &State<B>, target: Target<B::Number>, refs: u16, pins: u16, maps: u16) {
        if let Target::Page(pfn) = target {
            self.frames[pfn.idx()].maps += maps;
            let folio = &mut self.frames[st.head(pfn).idx()];
            folio.refs += refs;
            folio.pins += pins;
        }
    }

    /// A swap entry names a slot.
    fn names<N: Number>(&mut self, entry: N, exclusive: bool) {
        let slot = &mut self.swap[entry.get() as usize];
        slot.count += 1;
        slot.exclusive |= exclusive;
    }
}

/// Judges states of one program under one policy.
#[derive(Clone, Debug)]
pub struct Books {
    /// For each place of each named reference: how its page is counted, were it a page of its own, and who takes it.
    how: Vec<(Grab, TaskId, Pc)>,
    /// For each instruction the range that it writes by force.
    forced: Vec<Option<Area>>,
    /// For each instruction the range that it takes named references on.
    taken: Vec<Option<Area>>,
    /// For each actor its process.
    procs: Vec<Option<ProcId>>,
    pmd_order: u8,
    has_bit: bool,
    /// A writable pte proves that its page is marked: the mark is no mere shadow of a refcount.
    marks_writable: bool,
    pins_ask_for_bit: bool,
    has_large: bool,
    /// Only [`ACCOUNTS`] are asked about.
    accounts_only: bool,
}

impl Books {
    /// What there is to know beforehand.
    pub fn new(program: &Program, policy: &Policy) -> Self {
        let mut how = vec![(Grab::Get, TaskId(0), Pc(0)); program.held_pages()];
        for (pc, instr) in program.code.iter().enumerate() {
            if let Some(name) = instr.op.takes() {
                let decl = &program.refs[name.idx()];
                let places = usize::from(decl.first)..usize::from(decl.first + decl.len);
                how[places].fill((engine::counted_as(policy, instr.op), instr.task, Pc::at(pc)));
            }
        }
        let taken = program.code.iter().map(|instr| instr.op.takes().and(instr.op.area())).collect();
        let (has_bit, pins_ask_for_bit) = (engine::has_exclusive_bit(policy), engine::pins_ask_for_exclusive(policy));
        let by_force = |op| if let Op::Poke { area, .. } = op { Some(area) } else { None };
        let forced = program.code.iter().map(|instr| by_force(instr.op)).collect();
        let marks_writable = has_bit && engine::marks_survive_splits(policy);
        let (pmd_order, has_large) = (program.pmd_order, program.has_large_folios());
        let procs = program.tasks.iter().map(|task| task.proc()).collect();
        let accounts_only = false;
        Self { how, forced, taken, procs, pmd_order, has_bit, marks_writable, pins_ask_for_bit, has_large, accounts_only }
    }

    /// The same, asked about [`ACCOUNTS`] alone.
    pub fn of_accounts(self) -> Self {
        Self { accounts_only: true, ..self }
    }

    /// The first rule that does not hold, if any.
    pub fn broken<B: Size>(&self, st: &State<B>) -> Option<Broken> {
        let (mut counts, mut named) = (B::Frames::filled(st.folios().len()), B::Swap::filled(st.swap().len()));
        let mut sums = Sums { frames: counts.as_mut(), swap: named.as_mut(), migrating: false, astray: None };
        self.count(st, &mut sums);
        let Sums { migrating, astray, .. } = sums;
        if let Some((number, proc, vpn)) = astray {
            return Broken::at(number, proc, vpn);
        }
        if self.accounts_only {
            return self.frames(st, counts.as_ref()).or_else(|| self.slots(st, counts.as_ref()));
        }
        self.frames(st, counts.as_ref())
            .or_else(|| self.slots(st, counts.as_ref()))
            .or_else(|| super::swap::broken(st, named.as_ref(), |pfn| self.standing(st, counts.as_ref(), pfn)))
            .or_else(|| if migrating && self.has_bit { super::swap::migration(st) } else { None })
            .or_else(|| self.forced_write(st, counts.as_ref()))
            .or_else(|| if self.has_large { super::large::owners(st) } else { None })
            .or_else(|| if st.has_tlbs() { self.stale(st) } else { None })
    }

    /// I18.
    fn stale<B: Size>(&self, st: &State<B>) -> Option<Broken> {
        self.procs.iter().enumerate().find_map(|(at, proc)| {
            let (proc, (vpn, pfn)) = ((*proc)?, st.tlb(TaskId::at(at))?);
            if st.pte(proc, vpn).target == Target::Page(pfn) { None } else { Broken::at(18, proc, vpn) }
        })
    }

    /// What the page tables say of a page in the swap cache.
    fn standing<B: Size>(&self, st: &State<B>, counts: &[Count], page: Pfn<B::Number>) -> Standing {
        let count = &counts[page.idx()];
        match count.maps + counts[st.head(page).idx()].entire {
            _ if count.kept_dirty => Standing::Dirty,
            0 => Standing::Unmapped,
            _ => Standing::Clean,
        }
    }

    /// I11, where a forced write has its page in hand.
    fn forced_write<B: Size>(&self, st: &State<B>, counts: &[Count]) -> Option<Broken> {
        let in_hand = st.tasks().iter().filter(|task| task.at == At::Through);
        in_hand.into_iter().find_map(|task| {
            let area = self.forced[task.pc.idx()]?;
            let vpn = Vpn(area.start.0 + task.page);
            let private = |pfn: Pfn<B::Number>| {
                let maps = counts[pfn.idx()].maps + counts[st.head(pfn).idx()].entire;
                st.folio(pfn).is_anon() && maps <= 1
            };
            let fine = !st.slot(area.proc, vpn).vma.is_cow() || task.grab.0.pfn().is_some_and(private);
            if fine { None } else { Broken::at(11, area.proc, vpn) }
        })
    }

    /// Goes through the state once and adds up what refers to each frame and to each slot of the swap device.
    fn count<B: Size>(&self, st: &State<B>, sums: &mut Sums<'_>) {
        for (at, slot) in st.slots_by_place().iter().enumerate() {
            if slot.pte.is_none() {
                continue; // Most of a small world's pages.
            }
            let mut goes_astray = |rule| {
                let (proc, vpn) = st.place(at);
                sums.astray = Some((rule, proc, vpn));
            };
            if engine::is_misfiled(slot.pte) {
                goes_astray(9);
            }
            if let (Target::Page(pfn), true) = (slot.pte.target, slot.pte.flags.contains(PteFlags::DIRTY)) {
                sums.frames[pfn.idx()].kept_dirty = true;
            }
            match slot.pte.target {
                Target::Page(pfn) if slot.pte.flags.contains(PteFlags::PMD) => {
                    if st.head(pfn) == pfn {
                        sums.frames[pfn.idx()].entire += 1;
                        sums.frames[pfn.idx()].refs += 1;
                    }
                }
                Target::Page(_) => sums.add(st, slot.pte.target, 1, 0, 1),
                Target::Swap(entry) => sums.names(entry, slot.pte.flags.contains(PteFlags::EXCLUSIVE)),
                Target::Migration(_) => sums.migrating = true,
                Target::Special(page) if !is_drivers(st, page, slot) => goes_astray(28),
                Target::None | Target::Zero | Target::Special(_) | Target::Guard => {}
            }
        }
        st.cached().iter().for_each(|target| sums.add(st, *target, 1, 0, 0));
        st.swap().iter().for_each(|slot| sums.add(st, slot.cached, 1, 0, 0));
        for (target, (how, task, pc)) in st.held().iter().zip(&self.how) {
            let Target::Page(pfn) = target else { continue };
            let pinned = u16::from(*how == Grab::Pin);
            sums.add(st, *target, 1 - pinned, pinned, 0);
            let taker = st.task(*task);
            let taking = taker.pc == *pc && !matches!(taker.at, At::Idle);
            let frame = &mut sums.frames[pfn.idx()];
            frame.kept_pins += if taking { 0 } else { pinned };
            frame.kept_dirty = true;
        }
        st.tasks().iter().filter(|task| !matches!(task.at, At::Idle)).for_each(|task| self.in_hand(st, task, sums));
    }

    /// What a task refers to in the middle of its instruction.
    fn in_hand<B: Size>(&self, st: &State<B>, task: &Task<B::Number>, sums: &mut Sums<'_>) {
        let by_pmd = task.seen.flags.contains(PteFlags::PMD);
        let (zapped, pinned) = (u16::from(task.at == At::Zapped && !by_pmd), u16::from(task.grab.1 == Grab::Pin));
        let pages = self.grabbed(task);
        sums.add(st, task.grab.0, (1 - pinned) * pages, pinned * pages, zapped);
        if let (At::Zapped, Target::Swap(entry)) = (task.at, task.grab.0) {
            sums.names(entry, false);
        }
        if task.at == At::Migrate(MigrateAt::Restore) {
            sums.add(st, task.seen.target, 1, 0, 0);
        }
        match task.fault {
            Fault::None | Fault::Start(_) | Fault::Summing { .. } => {}
            Fault::InstallAnon { new } | Fault::SwapIn { page: new, .. } => sums.add(st, Target::Page(new), 1, 0, 0),
            Fault::Copying { seen, .. } => sums.add(st, seen.target, 1, 0, 0),
            Fault::Clearing { seen, new, .. } => {
                sums.add(st, seen.target, 1, 0, 0);
                sums.add(st, Target::Page(new), 1, 0, 0);
            }
            Fault::Installing { seen, new, .. } => {
                sums.add(st, seen.target, 2, 0, u16::from(!seen.flags.contains(PteFlags::PMD)));
                sums.add(st, Target::Page(new), 1, 0, 0);
            }
            Fault::Putting { old } => sums.add(st, old, 2, 0, 0),
        }
        let cleared = match task.fault {
            Fault::Installing { seen, .. } => seen,
            _ if task.at == At::Zapped => task.seen,
            _ => return,
        };
        if let (true, Some(pfn)) = (cleared.flags.contains(PteFlags::PMD), cleared.target.pfn()) {
            sums.frames[st.head(pfn).idx()].entire += 1;
        }
    }

    /// Pages that what a task holds for a moment stands for: a fast walk takes those of a PMD together.
    fn grabbed<N: Number>(&self, task: &Task<N>) -> u16 {
        let walks = matches!(task.at, At::Gup(GupAt::Recheck { .. } | GupAt::TestExclusive { .. }));
        match self.taken[task.pc.idx()] {
            Some(area) if walks => engine::mapped_at_once(area, task.page, task.seen.flags, self.pmd_order),
            _ => 1,
        }
    }

    fn frames<B: Size>(&self, st: &State<B>, counts: &[Count]) -> Option<Broken> {
        for ((pfn, folio), count) in st.folios().zip(counts) {
            if folio.is_unused() && count.is_nothing() && st.page(pfn).mapcount.get() == 0 {
                continue; // Free, and nothing refers to it: most are.
            }
            let batch = u32::from(folio.flags.contains(FolioFlags::LRU_BATCH));
            let driver = u32::from(folio.flags.contains(FolioFlags::DEVICE)); // Keeps its own reference.
            let refs = u32::from(count.refs) + batch + driver;
            if driver != 0 && st.page(pfn).exclusive {
                return Broken::of(28, pfn.idx());
            }
            if folio.pincount.get() != u32::from(count.pins) {
                return Broken::of(19, pfn.idx());
            }
            let kept = (folio.refcount.get(), st.page(pfn).mapcount.get());
            if kept != (refs, count.maps.into()) || !large_is_counted(st, pfn, counts) {
                return Broken::of(9, pfn.idx());
            }
            if self.accounts_only {
                continue;
            }
            let maps = count.maps + counts[st.head(pfn).idx()].entire;
            if st.page(pfn).exclusive && 1 < maps {
                return Broken::of(7, pfn.idx());
            }
            let pinned = st.folio(pfn).is_anon() && 0 < count.kept_pins && 0 < maps;
            if self.pins_ask_for_bit && pinned && st.folio(pfn).flags.contains(FolioFlags::KSM) {
                return Broken::of(12, pfn.idx());
            }
            if self.pins_ask_for_bit && pinned && !st.is_exclusive(pfn) {
                return Broken::of(8, pfn.idx());
            }
        }
        None
    }

    fn slots<B: Size>(&self, st: &State<B>, counts: &[Count]) -> Option<Broken> {
        if st.words(Target::Zero).as_ref().iter().any(|word| *word != ValueId(0)) {
            return Some(Broken { rule: rule(10), page: None, frame: None });
        }
        let writable = st.slots_by_place().iter().enumerate().filter(|(_, slot)| slot.pte.flags.contains(PteFlags::WRITE));
        writable.into_iter().find_map(|(at, slot)| {
            let (proc, vpn) = st.place(at);
            let broken = self.writable(st, counts, proc, vpn, slot)?;
            (!self.accounts_only || ACCOUNTS.contains(&broken.rule.number)).then_some(broken)
        })
    }

    fn writable<B: Size>(
        &self,
        st: &State<B>,
        counts: &[Count],
        proc: ProcId,
        vpn: Vpn,
        Slot { pte, vma }: &Slot<B::Number>,
    ) -> Option<Broken> {
        match pte.target {
            // Of an entry that is not present, the bit says what the page was.
            Target::None | Target::Special(_) | Target::Swap(_) | Target::Guard => return None,
            Target::Migration(_) => return None, // I22
            Target::Zero => return Broken::at(10, proc, vpn),
            Target::Page(pfn) => {
                if st.folio(pfn).flags.contains(FolioFlags::KSM) {
                    return Broken::at(12, proc, vpn);
                }
                let unmarked = self.marks_writable && !st.is_exclusive(pfn);
                let maps = counts[pfn.idx()].maps + counts[st.head(pfn).idx()].entire;
                match st.folio(pfn).is_anon() {
                    true if unmarked || 1 < maps => return Broken::at(6, proc, vpn),
                    false if vma.is_cow() => return Broken::at(10, proc, vpn),
                    true | false => {}
                }
            }
        }
        if pte.flags.contains(PteFlags::UFFD_WP) && vma.flags.contains(VmaFlags::UFFD_WP) {
            return Broken::at(13, proc, vpn);
        }
        let tracked = !vma.is_hugetlb(); // clear_refs walks around huge pages of the pool.
        if tracked && !pte.flags.contains(PteFlags::SOFT_DIRTY) && !vma.flags.contains(VmaFlags::SOFTDIRTY) {
            return Broken::at(14, proc, vpn);
        }
        None
    }

    /// I25, of the state that a store left which got a SIGBUS: the page that it failed at is the first that is not writable.
    pub fn refused<B: Size>(op: Op, st: &State<B>) -> Option<Broken> {
        let Op::Write { area, .. } = op else { return None };
        let at = area.pages().find(|vpn| !st.pte(area.proc, *vpn).flags.contains(PteFlags::WRITE))?;
        let (pte, vma) = (st.pte(area.proc, at), st.slot(area.proc, at).vma);
        let borrowed = pte.target.pfn().is_some_and(|pfn| st.folio(pfn).is_anon());
        let reserved = vma.flags.contains(VmaFlags::HUGETLB | VmaFlags::RESERVED);
        if borrowed && reserved { Broken::at(25, area.proc, at) } else { None }
    }

    /// What is to be asked about a whole instruction once it is done, of the state before it and the one after; `None` for most.
    pub fn about<B: Size>(op: Op) -> Option<LookBack<B>> {
        match op {
            Op::Fork { .. } => Some(fork_copied),
            Op::Pageout { .. } | Op::Madvise { advice: Advice::Pageout, .. } => Some(reclaimed),
            Op::Vmsplice { .. } | Op::Get { write: false, .. } | Op::Pin { write: false, .. } => Some(unshared),
            _ => None,
        }
    }
}

/// A rule about a whole instruction: the states before and after it.
pub type LookBack<B> = fn(&Program, Op, &State<B>, &State<B>) -> Option<Broken>;

/// I20: fork leaves the parent's pte alone where it copied the page.
fn fork_copied<B: Size>(program: &Program, op: Op, before: &State<B>, after: &State<B>) -> Option<Broken> {
    let Op::Fork { child } = op else { return None };
    let fork = program.code.iter().find(|instr| instr.op == op)?;
    let parent = program.tasks[fork.task.idx()].proc()?;
    after.slots().filter(|(proc, _, _)| *proc == parent).find_map(|(_, vpn, slot)| {
        let copied = is_copy(slot.pte.target, after.pte(child, vpn).target);
        let (was, is) = (before.pte(parent, vpn), slot.pte);
        // A PMD is split first: ptes map the same pages, and before 0ccf7f168e17 (6.1) the folio had its dirty bit.
        let by_split = if was.flags.contains(PteFlags::PMD) { PteFlags::PMD | PteFlags::DIRTY } else { PteFlags::empty() };
        let changed = (was.target, was.flags - by_split) != (is.target, is.flags - by_split);
        if copied && changed { Broken::at(20, parent, vpn) } else { None }
    })
}

/// I27: see `swap::dropped`.
fn reclaimed<B: Size>(_: &Program, op: Op, before: &State<B>, after: &State<B>) -> Option<Broken> {
    super::swap::dropped(op.area()?, before, after)
}

/// I26: an unshared page keeps what user space put on its pte.
fn unshared<B: Size>(_: &Program, op: Op, before: &State<B>, after: &State<B>) -> Option<Broken> {
    let area = op.area()?;
    area.pages().find_map(|vpn| {
        let (was, is) = (before.pte(area.proc, vpn), after.pte(area.proc, vpn));
        let kept = PteFlags::UFFD_WP | PteFlags::SOFT_DIRTY;
        let lost = (was.flags & kept) - is.flags;
        let unshared = is_copy(was.target, is.target) && !is.flags.contains(PteFlags::WRITE);
        if unshared && !lost.is_empty() { Broken::at(26, area.proc, vpn) } else { None }
    })
}

/// Whether a large folio's own counts are what its mappings add up to; asked at its first frame.
fn large_is_counted<B: Size>(st: &State<B>, pfn: Pfn<B::Number>, counts: &[Count]) -> bool {
    let folio = st.folio(pfn);
    if !folio.is_large() || st.head(pfn) != pfn {
        return true;
    }
    let (large, entire) = (st.large(pfn), u32::from(counts[pfn.idx()].entire));
    let ptes: u32 = st.folio_pages(pfn).map(|page| u32::from(counts[page.idx()].maps)).sum();
    let owned: u32 = large.owners.iter().map(|owner| owner.count.get()).sum();
    let all = ptes + entire;
    large.entire_mapcount.get() == entire && large.mapcount.get() == all && owned <= all
}

/// Whether a special entry is as a driver makes it: of its own page, which nobody pins where the entry is all there is of it
/// (VM_PFNMAP), and read-only in a private mapping, for a store there wants a copy.
fn is_drivers<B: Size>(st: &State<B>, page: Pfn<B::Number>, slot: &Slot<B::Number>) -> bool {
    let folio = st.folio(page);
    let taken = slot.vma.flags.contains(VmaFlags::PFNMAP) && folio.maybe_pinned();
    let stored = slot.vma.is_cow() && slot.pte.flags.contains(PteFlags::WRITE);
    folio.flags.contains(FolioFlags::DEVICE) && !taken && !stored
}

/// Whether both are pages, and two.
fn is_copy<N: Number>(old: Target<N>, new: Target<N>) -> bool {
    matches!((old, new), (Target::Page(Pfn(old)), Target::Page(Pfn(new))) if old != new)
}
