//! Defects: plain mistakes that releases had, by their number in the gallery of `semantics.md` 5, and mistakes no kernel made.
//!
//! To add one, add its line here and ask `policy.defects.has(Defect::NAME)` at the one place where it acts: its home.

use super::set::set;

set! {
    /// The defects a policy has.
    Defects of Defect {
        /// As B4, of the PMD of the huge zero page. Fixed by a8f97366452e, 4.15. Home: `engine::gup::touch_dirties`.
        #[strum(serialize = "B3")]
        B3,
        /// A read through a PMD makes it dirty, which K9 takes for a broken COW (CVE-2017-1000405). Fixed by a8f97366452e, 4.15. Home: `engine::gup::touch_dirties`.
        #[strum(serialize = "B4")]
        B4,
        /// The mapcounts of a THP are summed while its PMD is being split (CVE-2020-29368). Fixed by c444eb564fb1, 5.8. Home: `engine::huge::sums_apart`.
        #[strum(serialize = "B5")]
        B5,
        /// Fork write-protects the parent's pte before it knows whether it will share the page: release candidates of 5.9 only. Fixed by f3c64eda3e50, 5.9. Home: `engine::fork`.
        #[strum(serialize = "B7")]
        B7,
        /// mremap drops the page-table lock before it flushes the TLB (CVE-2018-18281). Fixed by eb66ae030829, 4.19. Home: `engine::tlb::moves_before_flush`.
        #[strum(serialize = "B15")]
        B15,
        /// Collapse does not make lockless pinning look again. Fixed by 70cbc3cc78a9, 6.1 and stable. Home: `engine::gup::recheck`.
        #[strum(serialize = "B21")]
        B21,
        /// Migration to a device loses the dirty bit of the pte. Fixed by fd35ca3d12cc, 6.0. Home: `engine::share::clear_locked`.
        #[strum(serialize = "B22")]
        B22,
        /// Splitting a PMD and migrating lose the dirty bit. Fixed by 0ccf7f168e17 and 2e3468778dbe, 6.1. Home: `engine::migrate::lost_flags`.
        #[strum(serialize = "B22b")]
        B22b,
        /// Reclaim of lazily freed pages restores a batch of ptes all writable (CVE-2026-31398). From 6.15, fixed in 7.0. Home: `engine::lazyfree::in_batches`.
        #[strum(serialize = "B30")]
        B30,
        /// UFFDIO_MOVE against the swapcache leaves a wrong reverse mapping. From 6.8, fixed by 0ea148a79918, 6.16. Home: `engine::uffd_move::move_entry`.
        #[strum(serialize = "B31")]
        B31,
        /// UFFDIO_MOVE drops the write protection of what it moves. From 6.8, not fixed in 7.3. Home: `engine::uffd_move::moved_flags`.
        #[strum(serialize = "B32")]
        B32,
        /// Fork copies a pinned page of a file as if it were anonymous. From 5.9 (the fix for 5.15.y, too, says that 70e806e4e645 brought it), fixed by fb3d824d1a46, 5.19, and in stable trees. Home: `engine::fork::must_copy`.
        #[strum(serialize = "B35")]
        B35,
        /// The uffd-wp bit is lost on migration entries of a THP. From 5.7, fixed by 24bf08c4376b, 6.3 and stable. Home: `engine::migrate::entry`.
        #[strum(serialize = "B36")]
        B36,
        /// UFFDIO_MOVE of the huge zero page makes a wrong PMD (CVE-2026-31397). From 6.8, fixed by 7.3. Home: `engine::uffd_move::move_zero`.
        #[strum(serialize = "B41")]
        B41,
        // What follows no kernel did: each is the canary of an invariant, and its home is where the engine asks for it.
        /// Fork does not look for pins: a pinned page is shared.
        ForkSkipsPinCheck,
        /// Fork leaves the exclusive bit on a page that it shares.
        ForkKeepsExclusive,
        /// Fork does not write-protect the parent's pte.
        ForkLeavesParentWritable,
        /// The early copy of fork write-protects the parent's pte.
        EarlyCopyWrprotectsParent,
        /// A copying write fault forgets to take back the mapcount of the old page.
        CopyForgetsMapcount,
        /// Releasing a pin of a small page takes back one reference instead of the bias.
        UnpinForgetsBias,
        /// An unshare fault drops the uffd-wp bit.
        UnshareDropsUffdWp,
        /// uffd-wp sets its bit and leaves the pte writable.
        WpKeepsUffdWritable,
        /// A write fault keeps a page that other processes map.
        ReuseShared,
        /// Unmapping frees a page that is still pinned.
        UnmapDropsPinnedPage,
        /// clear_refs clears the soft-dirty bit and leaves the pte writable.
        ClearRefsForgetsWp,
        /// Raising the protection makes a pte writable that soft-dirty tracking wants a fault for.
        SoftDirtyUpgradeIgnored,
        /// Fork leaves the exclusive marker on a swap entry that it copies.
        ForkKeepsSwapMarker,
        /// Fork leaves a migration entry that it copies writable or exclusive.
        ForkKeepsMigrationKind,
        /// A migration entry says of any page that it is exclusive.
        MigrationMarksShared,
        /// Reclaim drops a lazily freed page that was stored to since.
        LazyfreeIgnoresDirty,
        /// Merging leaves the pte of the merged page writable.
        KsmLeavesWritable,
        /// Unmapping a page for swap or migration forgets that its pte was dirty.
        UnmapForgetsDirty,
        /// The owner of a reservation is killed like any other when the pool is empty.
        HugetlbOwnerCannotSteal,
        /// A forced write goes through any read-only pte.
        ForceTakesAnyPage,
        /// A write fault maps the zero page writable.
        ZeroPageWritable,
        /// A write fault keeps a device's page whose refcount is one, though that counts no mapping.
        SpecialTestedByRefcount,
        /// Fork shares pages that MADV_WIPEONFORK wants wiped.
        ForkIgnoresWipe,
        /// Fork gives a page a second mapping and no second reference.
        ForkForgetsReference,
        /// Fork gives a page a second mapping and does not count it.
        ForkForgetsMapcount,
        /// Fork gives a large folio a second address space and leaves it said to have one.
        ForkForgetsOwner,
        /// Fork maps a shared page writable in the child.
        ForkLeavesChildWritable,
        /// The early copy of fork copies nothing.
        EarlyCopyForgetsContents,
        /// A write fault does not ask whether userfaultfd write-protects the page.
        WriteSkipsUffdEvent,
        /// A write fault keeps a page and does not mark it exclusive.
        ReuseForgetsExclusive,
        /// A copying write fault copies nothing.
        CopyForgetsContents,
        /// A copying write fault keeps a reference on the old page.
        CopyForgetsReference,
        /// An unshare fault drops the soft-dirty bit.
        UnshareDropsSoftDirty,
        /// An unshare fault maps its copy writable.
        UnshareMapsWritable,
        /// Pinning does not note that the process has pinned pages.
        PinForgetsHasPinned,
        /// Lockless pinning takes a shared page as it is.
        FastGupSkipsUnshare,
        /// Who takes a page out of a page table looks for pins before others can see that the pte is clear.
        UnmapForgetsBarrier,
        /// Lockless pinning looks at the exclusive bit when it first reads the pte, not after it has read it again.
        FastGupForgetsBarrier,
        /// GUP for writing takes a read-only pte as it is.
        SlowGupSkipsWriteTest,
        /// Releasing a get leaves its reference.
        PutForgetsReference,
        /// Raising the protection makes the pte of a shared page writable.
        UpgradeIgnoresExclusive,
        /// Raising the protection makes a pte writable that userfaultfd write-protects.
        UpgradeIgnoresUffdWp,
        /// uffd-wp write-protects the pte and leaves its bit out.
        WpForgetsUffdBit,
        /// Lifting uffd-wp makes the pte writable, whoever shares the page.
        UnwpMapsWritable,
        /// A forced write takes a shared page for the writer's own.
        ForceIgnoresExclusive,
        /// A forced write does not ask who wants to be told of it.
        ForceIgnoresTrackers,
        /// Unmapping does not count a mapping back.
        UnmapForgetsMapcount,
        /// Unmapping leaves the mapping's reference.
        UnmapForgetsReference,
        /// MADV_DONTNEED leaves the page where it is.
        DontneedKeepsPage,
        /// Draining an LRU batch leaves the batch's references.
        DrainForgetsReference,
        /// The first store to a page does not make it soft-dirty.
        FirstStoreForgetsSoftDirty,
        /// A write fault tests the count, drops its locks, and then keeps the page without another look.
        ReuseTestsWithoutLocks,
        /// Unmapping for swap or migration does not look for pins.
        UnmapSkipsPinCheck,
        /// Unmapping for swap or migration leaves the exclusive bit on the page.
        UnmapKeepsExclusive,
        /// A swap entry is never marked exclusive.
        SwapoutForgetsMarker,
        /// Splitting a PMD takes no references for the ptes.
        SplitForgetsReferences,
        /// Splitting a PMD counts no ptes on the pages.
        SplitForgetsMapcount,
        /// Splitting a PMD of an exclusive THP marks its first page alone.
        SplitMarksFirstPage,
        /// Splitting a PMD makes writable ptes of a read-only one.
        SplitMapsWritable,
    }
}
