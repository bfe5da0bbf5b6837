use bitflags::bitflags;

use super::Target;
use crate::types::{Number, ProcId, Size};

/// What a pin adds to the refcount of a small folio: GUP_PIN_COUNTING_BIAS, include/linux/mm.h.
pub const PIN_BIAS: u32 = 1024;

/// A page frame, and the folio of which it is the first page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Pfn<N>(pub N);

impl<N: Number> Pfn<N> {
    /// The frame at an array place.
    pub fn at(idx: usize) -> Self {
        Self(N::new(u32::try_from(idx).expect("cowl bug: a frame number past 32 bits")))
    }

    /// The frame as an array place.
    pub fn idx(self) -> usize {
        self.0.get() as usize
    }
}

/// What belongs to one base page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Page<B: Size> {
    /// Contents, a value for each word that the program tells apart.
    pub words: B::Words,
    /// ptes that map it: `_mapcount` + 1. PMDs are counted in [`LargeFolio::entire_mapcount`].
    pub mapcount: B::Number,
    /// PG_anon_exclusive.
    pub exclusive: bool,
}

/// What belongs to a folio as a whole. It stands at the folio's first frame; the other frames keep nothing but the order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Folio<N> {
    /// References other than pins: mappings, gets, the page cache, transient ones.
    pub refcount: N,
    /// Pins.
    pub pincount: N,
    /// What it is and where it stands.
    pub flags: FolioFlags,
    /// log2 of its pages. Folios are naturally aligned, so the first frame follows from it.
    pub order: u8,
}

/// What a folio of several pages has beside that.
///
/// Source: include/linux/mm_types.h, `struct folio` past its first page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LargeFolio<N> {
    /// PMDs that map it: `_entire_mapcount` + 1.
    pub entire_mapcount: N,
    /// Mappings of all its pages, each PMD counted once: `_large_mapcount` + 1.
    pub mapcount: N,
    /// `_mm_id` and `_mm_id_mapcount`: up to two address spaces and how often each maps it. A free entry counts 0.
    pub owners: [Owner<N>; 2],
    /// FOLIO_MM_IDS_SHARED_BITNUM: an address space without an entry may map it.
    pub maybe_shared: bool,
}

/// An address space that maps a large folio.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Owner<N> {
    pub proc: ProcId,
    pub count: N,
}

/// A slot of the swap device, and what the swap cache has for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SwapSlot<B: Size> {
    /// Page-table entries that name it: the swap map.
    pub count: B::Number,
    /// What was written to it last.
    pub words: B::Words,
    /// The page that the swap cache has for it; [`Target::Guard`] where swapoff took the slot away.
    pub cached: Target<B::Number>,
}

bitflags! {
    /// Flags of a folio.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct FolioFlags: u8 {
        /// Anonymous; otherwise of the page cache.
        const ANON = 1;
        /// Newer than its copy on disk.
        const DIRTY = 1 << 1;
        /// Stands in the LRU-add batch of the CPU that the scenario's processes run on: not on the LRU, one more reference.
        const LRU_BATCH = 1 << 2;
        /// MADV_FREE: reclaim may drop it while it is clean; the opposite of PG_swapbacked.
        const LAZYFREE = 1 << 3;
        /// Merged by ksmd.
        const KSM = 1 << 4;
        /// On its way to the swap device.
        const WRITEBACK = 1 << 5;
        /// ZONE_DEVICE: its refcount does not count its mappings.
        const DEVICE = 1 << 6;
        /// Of the hugetlb pool: one frame of the model stands for the whole huge page.
        const HUGETLB = 1 << 7;
    }
}

impl<N: Number> Folio<N> {
    /// Nobody has a reference.
    pub fn is_free(&self) -> bool {
        self.refcount.get() == 0 && self.pincount.get() == 0
    }

    /// Nothing is noted of it: free, and no part of a larger one.
    pub fn is_unused(&self) -> bool {
        self.is_free() && self.order == 0 && self.flags.is_empty()
    }

    /// As `folio_ref_count` shows it: a pin counts one where pins have a count of their own, else the bias.
    pub fn ref_count(&self) -> u32 {
        let each = if self.is_large() || self.flags.contains(FolioFlags::HUGETLB) { 1 } else { PIN_BIAS };
        self.refcount.get() + each * self.pincount.get()
    }

    /// `folio_maybe_dma_pinned`, without its false positives.
    pub fn maybe_pinned(&self) -> bool {
        0 < self.pincount.get()
    }

    /// Whether it has more than one page.
    pub fn is_large(&self) -> bool {
        0 < self.order
    }

    /// Whether it is anonymous.
    pub fn is_anon(&self) -> bool {
        self.flags.contains(FolioFlags::ANON)
    }
}
