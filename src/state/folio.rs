use bitflags::bitflags;

use crate::types::{Number, Size};

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
    /// ptes that map it: `_mapcount` + 1.
    pub mapcount: B::Number,
    /// PG_anon_exclusive.
    pub exclusive: bool,
}

/// What belongs to a folio as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Folio<N> {
    /// References other than pins: mappings, gets, the page cache, transient ones.
    pub refcount: N,
    /// Pins.
    pub pincount: N,
    /// What it is and where it stands.
    pub flags: FolioFlags,
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
    }
}

impl<N: Number> Folio<N> {
    /// Nobody has a reference.
    pub fn is_free(&self) -> bool {
        self.refcount.get() == 0 && self.pincount.get() == 0
    }

    /// As `folio_ref_count` shows it: pins with their bias.
    pub fn ref_count(&self) -> u32 {
        self.refcount.get() + PIN_BIAS * self.pincount.get()
    }

    /// `folio_maybe_dma_pinned`, without its false positives.
    pub fn maybe_pinned(&self) -> bool {
        0 < self.pincount.get()
    }

    /// Whether it is anonymous.
    pub fn is_anon(&self) -> bool {
        self.flags.contains(FolioFlags::ANON)
    }
}
