use bitflags::bitflags;

use super::Pfn;
use crate::types::{Number, TaskId};

/// What belongs to an address space as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mm {
    /// Its process exists.
    pub alive: bool,
    /// Its process has ended.
    pub exited: bool,
    /// MMF_HAS_PINNED: some pin was taken through it, ever.
    pub has_pinned: bool,
    /// `write_protect_seq`: odd while fork write-protects. Wraps.
    pub write_protect_seq: u8,
    /// `tlb_flush_pending`: protections were lowered whose TLB flush is still to come.
    pub flush_pending: u8,
    /// mmap_lock.
    pub mmap_lock: MmapLock,
    /// The page-table lock. One for all tables: the model does not tell them apart.
    pub ptl: Option<TaskId>,
}

/// Who holds mmap_lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MmapLock {
    Read(u8),
    Write,
}

impl Default for MmapLock {
    fn default() -> Self {
        MmapLock::Read(0)
    }
}

/// One page of an address space: its pte, and what its vma says.
///
/// A vma is kept page by page: splitting and merging vmas decides nothing that the model speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Slot<N> {
    pub pte: Pte<N>,
    pub vma: Vma<N>,
}

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pte<N> {
    pub target: Target<N>,
    pub flags: PteFlags,
}

/// What a pte, a reference or the page cache points to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Target<N> {
    #[default]
    None,
    /// The shared zero page: special, so neither mappings nor (in the model) contents are kept for it. With [`PteFlags::PMD`], the huge one.
    Zero,
    Page(Pfn<N>),
    /// A page behind a special pte: `vm_normal_page` knows none, and nothing counts the mapping.
    Special(Pfn<N>),
    /// A swap entry. Not present; [`PteFlags::EXCLUSIVE`] is its marker.
    Swap(N),
    /// A migration entry. Not present; with [`PteFlags::WRITE`] or [`PteFlags::EXCLUSIVE`] a writable or a read-exclusive one.
    Migration(Pfn<N>),
    /// A guard marker: an access fails.
    Guard,
}

impl<N: Number> Target<N> {
    /// What the entry `nr` places behind this one points to, where one PMD or one folio stands behind both.
    pub fn behind(self, nr: usize) -> Self {
        match self {
            Target::Page(pfn) => Target::Page(Pfn::at(pfn.idx() + nr)),
            Target::Migration(pfn) => Target::Migration(Pfn::at(pfn.idx() + nr)),
            Target::Swap(slot) => Target::Swap(N::new(slot.get() + nr as u32)),
            Target::None | Target::Zero | Target::Special(_) | Target::Guard => self,
        }
    }
}

impl<N: Copy> Target<N> {
    /// The page that is mapped, where there is one with a count of its own: `vm_normal_page`.
    pub fn pfn(self) -> Option<Pfn<N>> {
        if let Target::Page(pfn) = self { Some(pfn) } else { None }
    }
}

bitflags! {
    /// Bits of a present pte.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct PteFlags: u8 {
        const WRITE = 1;
        const DIRTY = 1 << 1;
        const YOUNG = 1 << 2;
        const SOFT_DIRTY = 1 << 3;
        const UFFD_WP = 1 << 4;
        /// No access for user space; the kernel's encoding of PROT_NONE.
        const PROTNONE = 1 << 5;
        /// Part of a PMD: all pages of the PMD carry it, and their other flags are equal.
        const PMD = 1 << 6;
        /// Of an entry that is not present: the page was anon-exclusive when it was taken out.
        const EXCLUSIVE = 1 << 7;
    }
}

bitflags! {
    /// What a vma says of one page.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct VmaFlags: u16 {
        /// There is a vma.
        const MAPPED = 1;
        const READ = 1 << 1;
        const WRITE = 1 << 2;
        const SHARED = 1 << 3;
        /// VM_SOFTDIRTY: everything counts as soft-dirty.
        const SOFTDIRTY = 1 << 4;
        const UFFD_WP = 1 << 5;
        const DONTCOPY = 1 << 6;
        const WIPEONFORK = 1 << 7;
        const UFFD_MISSING = 1 << 8;
        const UFFD_MINOR = 1 << 9;
        /// With [`VmaFlags::UFFD_WP`]: the kernel resolves write protection by itself.
        const UFFD_WP_ASYNC = 1 << 10;
        const MERGEABLE = 1 << 11;
        const HUGETLB = 1 << 12;
        /// VM_PFNMAP: its ptes are special.
        const PFNMAP = 1 << 13;
        /// A huge page is reserved for it: HPAGE_RESV_OWNER, and the page has not come yet.
        const RESERVED = 1 << 14;
        /// `anon_vma` is set: some page of the mapping was anonymous once.
        const ANON_VMA = 1 << 15;
        /// HPAGE_RESV_UNMAPPED: the owner of the reservation took back a page that this mapping borrowed, and what is missing in it
        /// stays so. The pool's memory is never [`VmaFlags::MERGEABLE`], so the two share a bit.
        const ROBBED = Self::HUGETLB.bits() | Self::MERGEABLE.bits();
    }
}

/// What a vma says of one page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Vma<N> {
    pub flags: VmaFlags,
    /// Place among the pages of all files, plus one; 0 for anonymous memory.
    pub cache: N,
    /// log2 of the pages that a fault brings at once, where the aligned range is there and empty.
    pub order: u8,
}

impl<N: Number> Vma<N> {
    /// Place among the pages of all files.
    pub fn cache_place(&self) -> Option<usize> {
        (self.cache.get() as usize).checked_sub(1)
    }

    /// Of huge pages from the pool.
    pub fn is_hugetlb(&self) -> bool {
        self.flags.contains(VmaFlags::HUGETLB)
    }

    /// `is_cow_mapping`: private, and could be made writable.
    pub fn is_cow(&self) -> bool {
        self.flags.contains(VmaFlags::MAPPED) && !self.flags.contains(VmaFlags::SHARED)
    }
}

impl<N: Copy + PartialEq> Pte<N> {
    /// Something is mapped there.
    pub fn is_present(&self) -> bool {
        matches!(self.target, Target::Zero | Target::Page(_) | Target::Special(_))
    }

    /// Nothing is there, not even an entry that is not present: `pte_none`.
    pub fn is_none(&self) -> bool {
        matches!(self.target, Target::None)
    }

    /// User space may load through it without a fault.
    pub fn may_read(&self) -> bool {
        self.is_present() && !self.flags.contains(PteFlags::PROTNONE)
    }

    /// User space may store through it without a fault.
    pub fn may_write(&self) -> bool {
        self.may_read() && self.flags.contains(PteFlags::WRITE)
    }
}
