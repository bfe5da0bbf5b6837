use bitflags::bitflags;

use super::{Pfn, Pte, Target};
use crate::types::{Pc, Vpn};

/// Where an actor's instruction stands. Idle tasks equal their default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Task<N> {
    /// The instruction.
    pub pc: Pc,
    /// Page of the instruction's range it is at.
    pub page: u16,
    /// Where the instruction stands.
    pub at: At,
    /// The page fault it is in.
    pub fault: Fault<N>,
    /// What it holds for itself for a moment, and how that is counted.
    pub grab: (Target<N>, Grab),
    /// The pte as a fast walk read it.
    pub seen: Pte<N>,
    pub flags: TaskFlags,
}

/// Where an instruction stands between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum At {
    /// No instruction under way.
    #[default]
    Idle,
    /// Nothing done yet.
    Start,
    /// At page `Task::page` of a range that is walked page by page.
    Walk,
    /// As `Walk`, between clearing a pte (whose target is in `Task::grab`) and dropping what it mapped.
    Zapped,
    /// Taking references.
    Gup(GupAt),
    /// The page is in `Task::grab`; the copy through it comes next.
    Through,
    /// Taking the folio in `Task::grab` out of a page table: the page of all address spaces, one after another. The page-table
    /// lock is held; the pte as it was is in `Task::seen`.
    Share(u16, ShareAt),
    /// Reclaiming the folio in `Task::grab`.
    Reclaim(ReclaimAt),
    /// Migrating the folio in `Task::grab`.
    Migrate(MigrateAt),
    /// Collapsing the PMD of the page that the instruction is at; what is to take its place is in `Task::grab`.
    Collapse(CollapseAt),
    /// Merging two pages, of which one may be in `Task::grab`.
    Ksm(KsmAt),
    /// Moving the folio in `Task::grab`, or the entry in `Task::seen`, to another place of the address space.
    Move(MoveAt),
    /// Copying page tables; the page of the address space.
    Fork(Vpn, ForkAt),
    /// Unmapping all; the page of the address space.
    Exit(Vpn),
    /// All done but the end.
    Finish,
}

/// Where taking a reference stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GupAt {
    /// About to read the sequence count.
    Begin,
    /// Fast, about to read the pte.
    ReadPte { seq: u8 },
    /// Fast, about to take a reference on what the pte said.
    Take { seq: u8 },
    /// Fast, about to read the pte again.
    Recheck { seq: u8 },
    /// Fast, about to test the exclusive bit.
    TestExclusive { seq: u8 },
    /// Fast, about to read the sequence count again.
    ReadSeq { seq: u8 },
    /// Slow, about to take mmap_lock, unless it is held already, and to look under the page-table lock.
    Slow,
}

/// Where copying one pte stands. In all but the first and `Alloc` the page-table lock is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ForkAt {
    /// About to take the page-table lock and decide.
    Decide,
    /// The page is shared: about to clear its exclusive bit and count the new mapping.
    Dup,
    /// About to write-protect the parent's pte.
    Wrprotect,
    /// About to set the child's pte.
    Install,
    /// The page is pinned: about to allocate its copy, without the lock.
    Alloc,
    /// About to take the lock again, copy and set the child's pte.
    Copy,
}

/// Where taking one pte out of a page table stands. Lockless walks may come between any two; see `GupAt`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ShareAt {
    /// The pte is clear: about to look for pins and other references.
    Test,
    /// Nothing forbids it: about to take the exclusive bit from the page.
    ClearBit,
    /// About to install what stands for the page from now on.
    Install,
}

/// Where reclaiming a folio stands. It is isolated: `Task::grab` holds a reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReclaimAt {
    /// About to lock it and to look whether it may go at all.
    Lock,
    /// About to give it a place on the swap device and in the swap cache.
    Add,
    /// About to look for the next pte that maps it.
    Unmap,
    /// No pte maps it: about to start writing it out, and to unlock it.
    Write,
    /// The device has it: about to end the writing.
    Written,
    /// It is clean: about to free it, if nobody else holds it.
    Remove,
}

/// Where migrating a folio stands. It is isolated: `Task::grab` holds a reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MigrateAt {
    /// About to lock it.
    Lock,
    /// About to look for the next pte that maps it.
    Unmap,
    /// No pte maps it: about to freeze its count and to move it, if nobody else holds it.
    Move,
    /// About to look for the next migration entry and to make it a pte again: of the folio in `Task::seen`, which the task
    /// holds too, or of the old one where there is none.
    Restore,
}

/// Where collapsing pages into a THP stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CollapseAt {
    /// About to allocate the THP, without a lock.
    Alloc,
    /// About to bring back the next page that is swapped out.
    Swapin,
    /// About to take mmap_lock for writing and the page-table lock, and to take the page table out of its PMD.
    Clear,
    /// Nobody reaches the ptes: about to look at them again and to lock their folios.
    Isolate,
    /// About to copy.
    Copy,
    /// About to drop the old pages and to map the THP.
    Install,
}

/// Where merging two pages stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KsmAt {
    /// About to look which of the two is to become, or to be replaced by, a merged page.
    Pick,
    /// About to lock one of them, the second where `second`, and to write-protect its pte.
    Lock { second: bool },
    /// It is write-protected and locked: about to make it a merged page, or to map the merged one in its place.
    Merge { second: bool },
    /// One of them could not be merged: about to give the second back as a page of its own, if it is merged with nobody.
    Break,
}

/// Where moving one entry to another place of its address space stands. mmap_lock is held for reading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MoveAt {
    /// The folio is held: about to lock it.
    Lock,
    /// It is locked: about to take the page-table lock and to clear the pte, which `Task::seen` remembers.
    Clear,
    /// The pte is clear, the page-table lock held: about to look for pins again and to set the pte at the new place.
    Install,
    /// A swap entry, whose page the task holds if the swap cache had it: about to move it under the page-table lock.
    Entry,
}

/// Why a fault was taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultKind {
    Read,
    Write,
    /// FAULT_FLAG_UNSHARE: give the page an owner, leave the pte read-only.
    Unshare,
}

/// Where a page fault stands. mmap_lock is held for reading in all but the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Fault<N> {
    #[default]
    None,
    /// About to take mmap_lock, unless the instruction holds it already, and to look at the pte.
    Start(FaultKind),
    /// Anonymous memory: a zeroed page was allocated, about to install it.
    InstallAnon { new: Pfn<N> },
    /// About to allocate and copy, without the page-table lock. A reference on the old page is held.
    Copying { kind: FaultKind, seen: Pte<N> },
    /// The copy is made, about to take the page-table lock again and clear the pte.
    Clearing { kind: FaultKind, seen: Pte<N>, new: Pfn<N> },
    /// The pte is clear and flushed, the page-table lock held; about to install the copy.
    Installing { kind: FaultKind, seen: Pte<N>, new: Pfn<N> },
    /// The page of a swap entry was found or read, and a reference taken on it: about to map it.
    SwapIn { kind: FaultKind, seen: Pte<N>, page: Pfn<N> },
    /// Of a THP, which the page-table lock keeps a PMD of, the mappings by ptes are counted: about to count those by PMDs.
    Summing { kind: FaultKind, ptes: N },
    /// About to drop the references on the old page.
    Putting { old: Target<N> },
}

/// How a reference is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Grab {
    #[default]
    Get,
    Pin,
    /// Not at all: a pin of the zero page.
    Uncounted,
}

bitflags! {
    /// What a task remembers beside its place.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct TaskFlags: u8 {
        /// userfaultfd stopped it.
        const ASLEEP = 1;
        /// A fault of this GUP call broke COW: FOLL_COW.
        const COW_BROKEN = 1 << 1;
        /// It holds mmap_lock for reading.
        const HOLDS_MMAP_READ = 1 << 2;
        /// The fault must not check the vma's permission to write: FOLL_FORCE, or a read that counts as a write.
        const FORCED = 1 << 3;
        /// It holds the lock of the folio in `Task::grab`.
        const LOCKS_FOLIO = 1 << 4;
        /// It is splitting the folio in `Task::grab`, and goes on with what it was about when that is over.
        const SPLITS_FOLIO = 1 << 5;
        /// With a defect: it has tested a page's count, and may keep the page.
        const TESTED = 1 << 6;
    }
}
