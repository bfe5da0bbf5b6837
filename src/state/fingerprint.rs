//! One number for a state: what a search remembers of it.

use std::hash::{BuildHasher, Hash, Hasher};

use super::{Folio, LargeFolio, Mm, MmapLock, Page, Slot, State, SwapSlot, Target, Task};
use crate::types::{Number, Size};

/// Feeds a hasher 16 bytes at a time, which is what it does in one multiplication.
struct Feeder<H> {
    hasher: H,
    half: Option<u64>,
}

impl<H: Hasher> Feeder<H> {
    fn push(&mut self, word: u64) {
        match self.half.take() {
            None => self.half = Some(word),
            Some(half) => self.hasher.write_u128(u128::from(half) << 64 | u128::from(word)),
        }
    }

    /// Entries that differ from their default, behind a mask of which those are: most of a small state is unused.
    fn table<T: Copy + Default + PartialEq>(
        &mut self,
        entries: &[T],
        used: impl Fn(&T) -> bool,
        words: impl Fn(&mut Self, &T),
    ) {
        for chunk in entries.chunks(64) {
            let mask = chunk.iter().enumerate().fold(0, |mask, (at, entry)| mask | u64::from(used(entry)) << at);
            self.push(mask);
            chunk.iter().filter(|entry| used(entry)).for_each(|entry| words(self, entry));
        }
    }

    fn finish(mut self) -> u64 {
        if self.half.is_some() {
            self.push(0);
        }
        self.hasher.finish()
    }
}

impl<B: Size> State<B> {
    /// 64 bits that equal states share. Of n different states some two share them with odds of about n² / 2⁶⁵.
    ///
    /// The same on every machine and in every run.
    pub fn fingerprint(&self) -> u64 {
        let mut to = Feeder { hasher: foldhash::fast::FixedState::with_seed(0).build_hasher(), half: None };
        for (at, (folio, page)) in self.folios.as_ref().iter().zip(self.pages.as_ref()).enumerate() {
            if !folio.is_free() || folio.is_large() {
                to.push(frame::<B>(folio, page));
                to.push(page.words.as_ref().iter().fold(at as u64, |word, value| word.rotate_left(8) ^ u64::from(value.0)));
            }
        }
        to.push(u64::MAX); // Frames end here, wherever that is.
        to.table(self.slots.as_ref(), |slot| !slot.vma.flags.is_empty(), |to, entry| to.push(slot(entry)));
        to.table(self.cache.as_ref(), |target| *target != Target::None, |to, entry| to.push(target(*entry)));
        to.table(self.held.as_ref(), |target| *target != Target::None, |to, entry| to.push(target(*entry)));
        to.table(self.mms.as_ref(), |mm| *mm != Mm::default(), |to, entry| to.push(mm(entry)));
        to.table(self.tasks.as_ref(), |task| *task != Task::default(), |to, entry| to.push(hashed(entry)));
        to.table(self.larges.as_ref(), |large| *large != LargeFolio::default(), |to, entry| to.push(hashed(entry)));
        to.table(self.swap.as_ref(), |slot| *slot != SwapSlot::default(), |to, entry| to.push(hashed(entry)));
        to.table(self.tlbs.as_ref(), Option::is_some, |to, entry| to.push(hashed(entry)));
        to.push(u64::from(self.zero_refcount.get()));
        to.push(self.zero_words.as_ref().iter().fold(0, |word, value| word << 8 | u64::from(value.0)));
        to.finish()
    }
}

fn frame<B: Size>(folio: &Folio<B::Number>, page: &Page<B>) -> u64 {
    u64::from(folio.refcount.get())
        | u64::from(folio.pincount.get()) << 16
        | u64::from(page.mapcount.get()) << 32
        | u64::from(folio.flags.bits()) << 48
        | u64::from(page.exclusive) << 56
        | u64::from(folio.order) << 57
}

fn target<N: Number>(target: Target<N>) -> u64 {
    match target {
        Target::None => 0,
        Target::Zero => 1,
        Target::Guard => 2,
        Target::Page(pfn) => 8 + (u64::from(pfn.0.get()) << 2),
        Target::Special(pfn) => 9 + (u64::from(pfn.0.get()) << 2),
        Target::Swap(slot) => 10 + (u64::from(slot.get()) << 2),
        Target::Migration(pfn) => 11 + (u64::from(pfn.0.get()) << 2),
    }
}

fn slot<N: Number>(slot: &Slot<N>) -> u64 {
    target(slot.pte.target)
        | u64::from(slot.vma.order) << 20
        | u64::from(slot.pte.flags.bits()) << 24
        | u64::from(slot.vma.flags.bits()) << 32
        | u64::from(slot.vma.cache.get()) << 48
}

fn mm(mm: &Mm) -> u64 {
    let lock = match mm.mmap_lock {
        MmapLock::Read(readers) => u64::from(readers),
        MmapLock::Write => 256,
    };
    let ptl = mm.ptl.map_or(0, |task| 1 + u64::from(task.0));
    u64::from(mm.alive)
        | u64::from(mm.exited) << 1
        | u64::from(mm.has_pinned) << 2
        | u64::from(mm.write_protect_seq) << 8
        | lock << 16
        | u64::from(mm.flush_pending) << 48
        | ptl << 32
}

/// What few states have, as a task in the middle of something.
fn hashed(entry: &impl Hash) -> u64 {
    foldhash::fast::FixedState::with_seed(1).hash_one(entry)
}

#[cfg(test)]
mod tests {
    use super::super::{FolioFlags, PteFlags, VmaFlags};
    use super::*;
    use crate::ir::{Actor, FileDecl, Program, RefDecl};
    use crate::types::{ProcId, Small, TaskId, Value, ValueId, Vpn};

    fn program() -> Program {
        Program {
            procs: vec!["p".to_owned(), "c".to_owned()],
            tasks: vec![Actor::Thread { proc: ProcId(0), thread: 1 }],
            files: vec![FileDecl { name: String::new(), memfd: false, len_pages: 1 }],
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
        |st| st.task_mut(TaskId(0)).page = 1,
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
