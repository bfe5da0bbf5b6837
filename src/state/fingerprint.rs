//! One number for a state: what a search remembers of it.
//!
//! Every type is hashed as a whole or taken apart by a pattern that names all of its fields: a new field cannot be forgotten
//! here, it is a compile error.

use std::hash::{BuildHasher, Hash, Hasher};

use super::{At, Folio, LargeFolio, Mm, MmapLock, Page, Part, Pte, Slot, State, SwapSlot, Target, Task, Vma};
use crate::types::{Large, Number, Size, ValueId};

/// Mixes what a part is with which part it is, in two multiplications.
#[inline(always)]
fn mix(place: u64, value: u128) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write_u128(value);
    hasher.write_u64(place);
    hasher.finish()
}

/// Kinds of parts, in bits above their numbers.
mod kind {
    pub const SLOT: u64 = 1 << 32;
    pub const FRAME: u64 = 2 << 32;
    pub const TASK: u64 = 3 << 32;
    pub const MM: u64 = 4 << 32;
    pub const HELD: u64 = 5 << 32;
    pub const CACHE: u64 = 6 << 32;
    pub const LARGE: u64 = 7 << 32;
    pub const SWAP: u64 = 8 << 32;
    pub const TLB: u64 = 9 << 32;
    pub const ZERO: u64 = 10 << 32;
}

/// Puts the small parts that a value is made of side by side, and feeds a hasher 16 bytes at a time.
///
/// What a derived `Hash` writes can be understood in one way only, and so it can be with fewer bits of each variant's number.
struct Packer<'h, H> {
    hasher: &'h mut H,
    packed: u128,
    bits: u32,
}

impl<'h, H: Hasher> Packer<'h, H> {
    #[inline]
    fn put(hasher: &'h mut H, value: &impl Hash) {
        let mut packer = Self { hasher, packed: 0, bits: 0 };
        value.hash(&mut packer);
        packer.hasher.write_u128(packer.packed);
    }

    #[inline(always)] // In a row of calls the compiler then knows how many bits there are.
    fn push(&mut self, value: u64, bits: u32) {
        if 128 < self.bits + bits {
            self.hasher.write_u128(self.packed);
            (self.packed, self.bits) = (0, 0);
        }
        self.packed |= u128::from(value) << self.bits;
        self.bits += bits;
    }
}

impl<H: Hasher> Hasher for Packer<'_, H> {
    fn finish(&self) -> u64 {
        self.hasher.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.push((*byte).into(), 8));
    }

    #[inline(always)]
    fn write_u8(&mut self, value: u8) {
        self.push(value.into(), 8);
    }

    #[inline(always)]
    fn write_u16(&mut self, value: u16) {
        self.push(value.into(), 16);
    }

    #[inline(always)]
    fn write_isize(&mut self, variant: isize) {
        debug_assert!((0..256).contains(&variant), "cowl bug: what is hashed as isize is the number of a variant");
        self.push(variant as u64, 8);
    }
}

impl<B: Size> State<B> {
    /// 64 bits that equal states share. Of n different states some two share them with odds of about n² / 2⁶⁵.
    ///
    /// The same on every machine and in every run. It is the sum of what each part adds, so that after a step only what was
    /// touched need be looked at ([`State::fingerprint_after`]). What is unused equals its default ([`State`]) and adds nothing.
    pub fn fingerprint(&self) -> u64 {
        let tables = [
            sum(self.slots.as_ref().len(), |at| self.print_of(Part::Slot(at))),
            sum(self.folios.as_ref().len(), |at| self.print_of(Part::Frame(at))),
            sum(self.tasks.as_ref().len(), |at| self.print_of(Part::Task(at))),
            sum(self.mms.as_ref().len(), |at| self.print_of(Part::Mm(at))),
            self.print_of(Part::Held),
            self.print_of(Part::Rest),
        ];
        tables.into_iter().fold(0, u64::wrapping_add)
    }

    /// What a part adds to the fingerprint.
    #[inline]
    pub(super) fn print_of(&self, part: Part) -> u64 {
        match part {
            Part::Slot(at) => {
                let entry = &self.slots.as_ref()[at];
                if entry.vma.flags.is_empty() { 0 } else { mix(kind::SLOT | at as u64, slot(entry)) }
            }
            Part::Frame(at) => {
                let folio = &self.folios.as_ref()[at];
                let free = folio.is_free() && !folio.is_large();
                if free { 0 } else { mix(kind::FRAME | at as u64, frame::<B>(folio, &self.pages.as_ref()[at])) }
            }
            Part::Task(at) => {
                let task = &self.tasks.as_ref()[at];
                if is_idle(task) { 0 } else { packed(kind::TASK | at as u64, task) }
            }
            Part::Mm(at) => match mm(&self.mms.as_ref()[at]) {
                0 => 0,
                word => mix(kind::MM | at as u64, word.into()),
            },
            Part::Held => targets(kind::HELD, self.held.as_ref()),
            Part::Rest => self.print_of_rest(),
        }
    }

    fn print_of_rest(&self) -> u64 {
        // All fields are named, so that none can be forgotten here; those without a name are parts of their own.
        let Self {
            mms: _,
            slots: _,
            pages: _,
            folios: _,
            held: _,
            tasks: _,
            touched: _,
            cache,
            larges,
            swap,
            tlbs,
            has_tlbs: _,
            zero_refcount,
            zero_words,
        } = self;
        let (larges, swap, tlbs) = (larges.as_ref(), swap.as_ref(), tlbs.as_ref());
        let large = |at: usize| match larges[at] == LargeFolio::default() {
            true => 0,
            false => packed(kind::LARGE | at as u64, &larges[at]),
        };
        let slot = |at: usize| match swapped(&swap[at]) {
            0 => 0,
            slot => mix(kind::SWAP | at as u64, slot),
        };
        let tlb = |at: usize| if tlbs[at].is_none() { 0 } else { packed(kind::TLB | at as u64, &tlbs[at]) };
        let zero = u128::from(zero_refcount.get()) << 64 | u128::from(words(zero_words.as_ref()));
        let zero = if zero == 0 { 0 } else { mix(kind::ZERO, zero) };
        let tables =
            [targets(kind::CACHE, cache.as_ref()), sum(larges.len(), large), sum(swap.len(), slot), sum(tlbs.len(), tlb)];
        tables.into_iter().fold(zero, u64::wrapping_add)
    }
}

#[inline]
fn sum(len: usize, print: impl Fn(usize) -> u64) -> u64 {
    (0..len).map(print).fold(0, u64::wrapping_add)
}

#[inline]
fn targets<N: Number>(kind: u64, targets: &[Target<N>]) -> u64 {
    sum(targets.len(), |at| match target(targets[at]) {
        0 => 0,
        word => mix(kind | at as u64, word.into()),
    })
}

/// What a value of several kinds of parts adds.
#[inline]
fn packed(place: u64, value: &impl Hash) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    Packer::put(&mut hasher, value);
    hasher.write_u64(place);
    hasher.finish()
}

/// A task without an instruction; such tasks are all alike.
fn is_idle<N: Number>(task: &Task<N>) -> bool {
    debug_assert!(task.at != At::Idle || *task == Task::default(), "cowl bug: an idle task remembers something");
    task.at == At::Idle
}

/// Bits that a count or an id takes.
const fn bits<N: Number>() -> u32 {
    N::MAX.count_ones()
}

/// What a page holds.
#[inline]
fn words(values: &[ValueId]) -> u64 {
    const { assert!(size_of::<<Large as Size>::Words>() <= 8, "the words of a page want more than 64 bits") };
    values.iter().rev().fold(0, |word, value| word << 8 | u64::from(value.0))
}

#[inline]
fn frame<B: Size>(folio: &Folio<B::Number>, page: &Page<B>) -> u128 {
    let Folio { refcount, pincount, flags, order } = folio;
    let Page { words: values, mapcount, exclusive } = page;
    let bits = bits::<B::Number>();
    let counts = u64::from(refcount.get())
        | u64::from(pincount.get()) << bits
        | u64::from(flags.bits()) << (2 * bits)
        | u64::from(*order) << (2 * bits + 8);
    let mapped = u64::from(mapcount.get()) | u64::from(*exclusive) << bits;
    u128::from(counts | mapped << (2 * bits + 14)) << 64 | u128::from(words(values.as_ref()))
}

#[inline]
fn swapped<B: Size>(slot: &SwapSlot<B>) -> u128 {
    let SwapSlot { count, words: values, cached } = slot;
    u128::from(target(*cached) | u64::from(count.get()) << 20) << 64 | u128::from(words(values.as_ref()))
}

/// In 20 bits.
#[inline]
fn target<N: Number>(target: Target<N>) -> u64 {
    let (kind, number) = match target {
        Target::None => (0, 0),
        Target::Zero => (1, 0),
        Target::Page(pfn) => (2, pfn.0.get()),
        Target::Special(pfn) => (3, pfn.0.get()),
        Target::Swap(slot) => (4, slot.get()),
        Target::Migration(pfn) => (5, pfn.0.get()),
        Target::Guard => (6, 0),
    };
    kind | u64::from(number) << 4
}

#[inline]
fn slot<N: Number>(slot: &Slot<N>) -> u128 {
    let Slot { pte: Pte { target: to, flags }, vma: Vma { flags: vma_flags, cache, order } } = slot;
    let vma = u64::from(vma_flags.bits()) | u64::from(cache.get()) << 16 | u64::from(*order) << (16 + bits::<N>());
    u128::from(target(*to) | u64::from(flags.bits()) << 20) << 64 | u128::from(vma)
}

#[inline]
fn mm(mm: &Mm) -> u64 {
    let Mm { alive, exited, has_pinned, write_protect_seq, flush_pending, mmap_lock, ptl } = mm;
    let (kind, readers) = match mmap_lock {
        MmapLock::Read(readers) => (0, *readers),
        MmapLock::Write => (1, 0),
    };
    let (held, by) = ptl.map_or((0, 0), |task| (1, task.0));
    u64::from(*alive)
        | u64::from(*exited) << 8
        | u64::from(*has_pinned) << 16
        | u64::from(*write_protect_seq) << 24
        | u64::from(*flush_pending) << 32
        | kind << 40
        | u64::from(readers) << 41
        | held << 49
        | u64::from(by) << 50
}

#[cfg(test)]
mod tests {
    use super::super::{FolioFlags, PteFlags, VmaFlags};
    use super::*;
    use crate::ir::{Actor, FileDecl, FileKind, Program, RefDecl};
    use crate::types::{ProcId, Small, TaskId, Value, ValueId, Vpn};

    fn program() -> Program {
        Program {
            procs: vec!["p".to_owned(), "c".to_owned()],
            tasks: vec![Actor::Thread { proc: ProcId(0), thread: 1 }],
            files: vec![FileDecl { name: String::new(), kind: FileKind::File, len_pages: 1 }],
            refs: vec![RefDecl { name: "r".to_owned(), len: 1, first: 0 }],
            values: vec![Value::number(0), Value::number(1)],
            words: vec![0],
            pages: 2,
            ..Program::default()
        }
    }

    type Change = fn(&mut State<Small>);

    const CHANGES: &[Change] = &[
        |st| st.page_mut(crate::state::Pfn(0)).words = [ValueId(1), ValueId(0), ValueId(0), ValueId(0)],
        |st| st.page_mut(crate::state::Pfn(0)).words = [ValueId(0), ValueId(1), ValueId(0), ValueId(0)],
        |st| st.page_mut(crate::state::Pfn(0)).mapcount = 2,
        |st| st.page_mut(crate::state::Pfn(0)).exclusive = true,
        |st| st.folio_mut(crate::state::Pfn(0)).flags = FolioFlags::LRU_BATCH,
        |st| st.get(crate::state::Pfn(0)),
        |st| st.add_pins(crate::state::Pfn(0), 1),
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.target = Target::Zero,
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.target = Target::Page(crate::state::Pfn(0)),
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.flags = PteFlags::WRITE,
        |st| st.slot_mut(ProcId(0), Vpn(0)).vma.flags |= VmaFlags::WRITE,
        |st| st.slot_mut(ProcId(0), Vpn(0)).vma.cache = 1,
        |st| st.slot_mut(ProcId(1), Vpn(0)).vma.flags = VmaFlags::MAPPED,
        |st| st.set_cache(0, Target::Page(crate::state::Pfn(0))),
        |st| st.held_mut()[0] = Target::Page(crate::state::Pfn(0)),
        |st| st.mm_mut(ProcId(1)).alive = true,
        |st| st.mm_mut(ProcId(0)).has_pinned = true,
        |st| st.mm_mut(ProcId(0)).write_protect_seq = 1,
        |st| st.mm_mut(ProcId(0)).mmap_lock = MmapLock::Write,
        |st| st.mm_mut(ProcId(0)).mmap_lock = MmapLock::Read(1),
        |st| st.mm_mut(ProcId(0)).ptl = Some(TaskId(0)),
        |st| st.task_mut(TaskId(0)).at = At::Start,
        |st| st.task_mut(TaskId(1)).at = At::Start,
        |st| *st.task_mut(TaskId(0)) = Task { at: At::Start, page: 1, ..Task::default() },
        |st| st.add_zero_refs(1),
        |st| st.folio_mut(crate::state::Pfn(0)).flags = FolioFlags::KSM,
        |st| st.large_mut(crate::state::Pfn(0)).entire_mapcount = 1,
        |st| st.large_mut(crate::state::Pfn(0)).mapcount = 1,
        |st| st.large_mut(crate::state::Pfn(0)).owners[1].count = 1,
        |st| st.large_mut(crate::state::Pfn(0)).maybe_shared = true,
        |st| assert!(st.alloc_order(2).is_ok()),
        |st| st.slot_mut(ProcId(0), Vpn(0)).vma.order = 2,
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.target = Target::Special(crate::state::Pfn(0)),
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.target = Target::Swap(0),
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.target = Target::Migration(crate::state::Pfn(0)),
        |st| st.slot_mut(ProcId(0), Vpn(0)).pte.target = Target::Guard,
        |st| st.mm_mut(ProcId(0)).flush_pending = 1,
        |st| st.swap_mut()[0].count = 1,
        |st| st.swap_mut()[0].words = [ValueId(1), ValueId(0), ValueId(0), ValueId(0)],
        |st| st.swap_mut()[1].cached = Target::Page(crate::state::Pfn(0)),
        |st| st.set_tlb(TaskId(0), Some((Vpn(0), crate::state::Pfn(0)))),
        |st| st.store(Target::Zero, None, ValueId(1)),
    ];

    #[test]
    fn every_part_of_a_state_counts_in_its_fingerprint() {
        let mut base = State::<Small>::new(&program());
        base.alloc().expect("an empty state has free frames");
        base.slot_mut(ProcId(0), Vpn(0)).vma.flags = VmaFlags::MAPPED;
        let mut seen = vec![base.fingerprint()];
        for change in CHANGES {
            let mut other = base;
            change(&mut other);
            assert_ne!(other, base, "a change that changes nothing tests nothing");
            seen.push(other.fingerprint());
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all, "two different states share a fingerprint");
    }
}
