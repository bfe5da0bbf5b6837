//! The design knobs K1 to K34: what was argued over, one enum a question, one variant an answer.
//!
//! `since` is the first mainline release that had an answer, `commits` brought it; stable trees may have had it earlier.
//! Numbers, values and commits: `semantics.md` 2.1. This is not where a release gets its values: that is `era`.

use super::choice::answer;

answer! {
    /// K1. May a write fault on a present small anonymous page keep the page? Home: `engine::wp::decide_small`.
    ReuseSmall {
        /// Yes if this is the last mapping, swap entries included. References do not count.
        MapSwap,
        /// Yes if this is the last mapping and the last reference of any kind.
        #[strum(props(since = "5.9", commits = "09854ba94c6a"))]
        Ref1,
        /// As `ref1`, after draining this CPU's LRU batch and dropping the swapcache.
        #[strum(props(since = "5.18", commits = "d4c470970d45, 53a05ad9f21d"))]
        Ref1Drain,
        /// Yes if the page is marked exclusive, whatever its counts; else as `ref1_drain`, and mark it.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        ExclOrRef1,
        /// Yes if the bit is set; else yes with count 1, seen under the page lock, and set the bit.
        #[strum(props(proposed = "gunthorpe-2021"))]
        DerivedBit,
    }
}

answer! {
    /// K2. When is a page that is swapped in the faulting process's own? Home: `engine::swap::decide_swapin`.
    ReuseSwapin {
        /// When this is its last mapping, swap entries included; also while K1 already counted references.
        MapSwap,
        /// When its count is 1 after the swap slot and perhaps the swapcache were dropped.
        #[strum(props(since = "5.18", commits = "c145e0b47c77"))]
        Ref1,
        /// When its swap entry was marked exclusive; else as `ref1`.
        #[strum(props(since = "5.19", commits = "1493a1913e34"))]
        ExclOrRef1,
        /// When its swap entry was marked exclusive or it is a private copy; the proof by count is left to the write fault. The first release with it is not verified; it lies after 6.18.
        #[strum(props(since = "7.3"))]
        ExclOnly,
        /// The bit is set if the count is 1 when the page is mapped.
        #[strum(props(proposed = "gunthorpe-2021"))]
        DerivedBit,
    }
}

answer! {
    /// K3. May a write fault on a PMD-mapped THP keep the folio? Home: `engine::huge::decide_pmd`.
    ReusePmd {
        /// As `map_swap`, over all its pages; if not, a whole THP is copied.
        MapSwapCopyhuge,
        /// As `map_swap`, over all its pages; if not, the PMD is split and one page copied.
        #[strum(props(since = "5.8", commits = "3917c80280c9"))]
        MapSwapSplit,
        /// Yes if the folio's count is 1; if not, the PMD is split and one page copied.
        #[strum(props(since = "5.18", commits = "3bff7e3f1f16"))]
        Ref1,
        /// Yes if the head page is marked exclusive; else as `ref1`, and mark it.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        ExclOrRef1,
        /// The bit is asked as K1 asks it, on the PMD.
        #[strum(props(proposed = "gunthorpe-2021"))]
        DerivedBit,
    }
}

answer! {
    /// K4. May a write fault on a pte of a large folio keep the page? Home: `engine::large::decide_large`.
    ReuseLargePte {
        /// If no page of the folio is mapped more than once, swap entries included.
        MapSwap,
        /// Yes if the folio's count is 1: this is its last mapping and nobody else holds any part of it.
        #[strum(props(since = "5.9", commits = "09854ba94c6a"))]
        Ref1Folio,
        /// Yes if this page is marked exclusive; else as `ref1_folio`.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        ExclOrRef1Folio,
        /// Yes if this page is marked exclusive, else never. By its date of 2024-03 the first release is 6.10 (not verified).
        #[strum(props(since = "6.10"))]
        ExclOnly,
        /// Yes if this page is marked exclusive, or all mappings of the folio are this mm's and it has no other reference.
        #[strum(props(since = "6.15", commits = "6af8cb80d3a9, 1da190f4d0a6"))]
        ExclOrMmowner,
        /// Yes if the bit of this page is set, else never (our reading of the mail).
        #[strum(props(proposed = "gunthorpe-2021"))]
        DerivedBit,
    }
}

answer! {
    /// K5. May a write fault on an anonymous hugetlb page keep it? Home: `engine::hugetlb::decide_reuse`.
    ReuseHugetlb {
        /// Yes if it is mapped once. References never count.
        Mapcount1,
        /// The same, and the page is then marked exclusive.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        Mapcount1Excl,
    }
}

answer! {
    /// K6. May a write fault keep a KSM page? Home: `engine::ksm::decide_reuse`.
    ReuseKsm {
        /// No: it is copied.
        Never,
        /// Yes if its count, frozen for the test, is 1.
        #[strum(props(since = "5.1", commits = "52d1e606ee73", removed = "1a0cf26323c8, 5.9"))]
        Ref1Frozen,
    }
}

answer! {
    /// K7. What does taking a read-only reference do with a read-only pte of a COW mapping? Home: `engine::read_only::decide_gup_ro`.
    GupRo {
        /// Takes the reference on the page that is there.
        Plain,
        /// Breaks COW first, as if for writing; gets and pins alike.
        #[strum(props(since = "5.8", commits = "17839856fd58", removed = "a308c71bf1e6, 5.9"))]
        ForcedCow,
        /// Gets and pins copy an anonymous page that is mapped more than once; the pte stays read-only.
        #[strum(props(proposed = "hildenbrand-2021"))]
        UnshareMapcount,
        /// Pins copy an anonymous page that is not marked exclusive, or mark it; gets take what is there.
        #[strum(props(since = "5.19", commits = "c89357e27f20, a7f226604170"))]
        UnshareExcl,
    }
}

answer! {
    /// K8. What does a read-only longterm pin do with the zero page or page cache in a COW mapping? Home: `engine::read_only::decide_gup_ro_lt_nonanon`.
    GupRoLtNonanon {
        /// Pins it.
        Allow,
        /// Replaces it by an anonymous page of the process's own first.
        #[strum(props(since = "6.2", commits = "8d6a0ac09a16, 84209e87c696"))]
        Unshare,
    }
}

answer! {
    /// K9. What lets a forced write (FOLL_FORCE) use a read-only pte? Home: `engine::force::decide_follow_write`.
    ForceWrite {
        /// Once the fault was served, the walk forgets that it is for writing: Dirty COW.
        #[strum(props(removed = ", 4.9"))]
        DropWriteFlag,
        /// The fault said that it broke COW, and the pte is dirty.
        #[strum(props(since = "4.9", commits = "19be0eaffa3a"))]
        CowDirty,
        /// The same, also without FOLL_FORCE: reads that force a copy (K7) need it.
        #[strum(props(since = "5.8", commits = "17839856fd58", removed = "a308c71bf1e6, 5.9"))]
        CowDirtyNoForce,
        /// The page is anonymous and exclusive, and neither soft-dirty tracking nor uffd-wp still wants a fault.
        #[strum(props(since = "6.0", commits = "5535be309971"))]
        AnonExcl,
    }
}

answer! {
    /// K10. How is a pin counted? Home: `engine::gup::decide_account`.
    PinAcct {
        /// As any reference: one.
        #[strum(props(removed = ", 5.7"))]
        GetOnly,
        /// By a bias of 1024 in the refcount, of a large folio as of a small one.
        #[strum(props(since = "5.7", commits = "eddb1c228f79, 3faa52c03f44", removed = ", 5.7"))]
        Bias,
        /// By the bias in small folios, by a count of their own in large ones.
        #[strum(props(since = "5.7", commits = "47e29d32afba"))]
        BiasPincount,
    }
}

answer! {
    /// K11. What does fork do with a pte of a page that may be pinned? Home: `engine::fork::decide_pinned`.
    ForkPinnedPte {
        /// Shares the page as any other.
        Share,
        /// Copies it for the child at once, if the process ever pinned anything and the page may be pinned.
        #[strum(props(since = "5.9", commits = "70e806e4e645"))]
        CopyIfPinned,
        /// The same, for pages marked exclusive only: no others can need it.
        #[strum(props(since = "5.19", commits = "fb3d824d1a46, 6c287605fd56"))]
        CopyIfExclPinned,
    }
}

answer! {
    /// K12. What does fork do with a PMD of a THP that may be pinned? Home: `engine::huge::decide_fork`.
    ForkPinnedPmd {
        /// Shares the THP as any other.
        Share,
        /// Splits the PMD and goes on with K11, pte by pte.
        #[strum(props(since = "5.9", commits = "d042035eaf5f"))]
        SplitThenPte,
    }
}

answer! {
    /// K13. What does fork do with a hugetlb page that may be pinned? Home: `engine::hugetlb::decide_fork_pinned`.
    ForkPinnedHugetlb {
        /// Shares it as any other.
        Share,
        /// Copies it for the child at once.
        #[strum(props(since = "5.12", commits = "4eae4efa2c29"))]
        Copy,
    }
}

answer! {
    /// K14. Does fork tell lockless pinning, by a sequence count, that it runs? Home: `engine::fork::decide_seq`.
    ForkSeq {
        /// No: a pin may land between fork's test for pins and its write protection.
        Off,
        /// Yes, while it copies page tables; hugetlb ranges are outside.
        #[strum(props(since = "5.11", commits = "57efa1fe5957"))]
        On,
        /// Yes, hugetlb ranges included.
        #[strum(props(since = "5.19", commits = "623a1ddfeb23"))]
        OnHugetlb,
    }
}

answer! {
    /// K15. What orders the clearing of the exclusive bit against lockless pinning? Home: `engine::gup::decide_order`.
    GupfastOrder {
        /// The interrupts of a TLB flush; nothing, where page tables are freed by RCU and flushes send none.
        TlbIpi,
        /// Memory barriers on both sides.
        #[strum(props(since = "6.1", commits = "088b8aa537c2"))]
        Barriers,
    }
}

answer! {
    /// K16. Does clear_refs write-protect a pte of a page that may be pinned? Home: `engine::prot::decide_clear_refs`.
    ClearRefsPinned {
        /// Yes.
        Wp,
        /// Not a writable one of a COW mapping. PMDs are protected in every release.
        #[strum(props(since = "5.11", commits = "9348b73c2e1b"))]
        Skip,
        /// Not one of a page that is mapped once: the first form of the test, in the mail of January 2021.
        #[strum(props(proposed = "Linus Torvalds, January 2021"))]
        SkipMapcount1,
    }
}

answer! {
    /// K17. How does clear_refs hold the mmap_lock? Home: `engine::prot::decide_clear_refs_lock`.
    ClearRefsLock {
        /// For reading: faults run beside it.
        MmapLockRead,
        /// For writing: faults wait.
        #[strum(props(since = "5.11", commits = "29a951dfb3c3"))]
        MmapLockWrite,
    }
}

answer! {
    /// K18. What do mprotect and uffd-wp do with a writable pte of a pinned page? Home: `engine::prot::decide_wp_pinned`.
    WpPinned {
        /// Write-protect it, as every kernel.
        Wp,
        /// Leave it writable; the call succeeds.
        #[strum(props(proposed = "linus-2021"))]
        Skip,
        /// Leave it writable; the call fails with EBUSY. The stricter reading of the same mail.
        #[strum(props(proposed = "Linus Torvalds, January 2021"))]
        Refuse,
    }
}

answer! {
    /// K19. When does raising the protection make a pte writable without a fault? Home: `engine::prot::decide_upgrade`.
    ProtUpgrade {
        /// In a shared mapping, if it is dirty.
        SharedDirtyOnly,
        /// Also in a private one, if its page is exclusive and the pte dirty.
        #[strum(props(since = "6.0", commits = "64fe24a3e05e, 76aefad628aa"))]
        ExclDirty,
        /// Also in a private one, if its page is exclusive, clean or not. The commit, "mm/mprotect: allow clean exclusive anon pages to
        /// be writable", stands next to 7ea7e333842e; its id is not verified.
        #[strum(props(since = "6.2"))]
        Excl,
    }
}

answer! {
    /// K20. What takes the exclusive bit from a page? Home: `engine::exclusive::decide`.
    WpClearsExcl {
        /// Nothing: there is no such bit.
        NoBit,
        /// Fork.
        #[strum(props(proposed = "gunthorpe-2021"))]
        ForkOnly,
        /// Fork, unmapping for swap or migration, KSM.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        ForkUnmapKsm,
    }
}

answer! {
    /// K21. Does a swap entry remember that its page was exclusive? Home: `engine::swap::decide_marker`.
    SwapExcl {
        /// No.
        None,
        /// Yes, by a marker bit. One architecture after the other, all by 6.3.
        #[strum(props(since = "5.19", commits = "1493a1913e34"))]
        Marker,
    }
}

answer! {
    /// K22. When does reclaim notice that a page is pinned? Home: `engine::reclaim::decide_pinned`.
    SwapoutPinned {
        /// After it was unmapped, when the refcount will not freeze; it faults in again.
        LateRefcheck,
        /// Before it goes to the swapcache.
        #[strum(props(since = "5.11", commits = "feb889fb40fa"))]
        SkipIfMaybePinned,
        /// There, and again at unmapping, which then fails.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        UnmapFailsIfPinned,
    }
}

answer! {
    /// K23. What does a migration entry remember? Home: `engine::migrate::decide_entry`.
    MigrExcl {
        /// Whether the pte was writable.
        ReadWrite,
        /// Also whether a read-only pte's page was exclusive.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        ReadExclWrite,
    }
}

answer! {
    /// K24. Which exclusive bits do the pages of a THP get when its PMD becomes ptes? Home: `engine::huge::decide_split_bit`.
    ThpSplitBit {
        /// None: there is no such bit.
        NoBit,
        /// The head page's, all of them.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        Propagate,
        /// One computed from the refcount under the page-table lock, all of them.
        #[strum(props(proposed = "gunthorpe-2021"))]
        RecomputeFromRefcount,
    }
}

answer! {
    /// K25. What must hold before KSM may write-protect a page for merging? Home: `engine::ksm::decide_protect`.
    KsmWp {
        /// No references but its mappings and the swapcache, seen after the pte was cleared and flushed.
        Refcheck,
        /// The same, and an exclusive page can be made shared: it is not pinned.
        #[strum(props(since = "5.19", commits = "6c287605fd56"))]
        RefcheckShare,
    }
}

answer! {
    /// K26. Which fault gives a KSM page back as a page of its own? Home: `engine::ksm::decide_unmerge`.
    KsmUnmergeFault {
        /// A write fault, which uffd-wp may stop.
        Write,
        /// An unshare fault.
        #[strum(props(since = "6.2", commits = "6cce3314b928"))]
        Unshare,
    }
}

answer! {
    /// K27. Does a pin of the shared zero page count? Home: `engine::gup::decide_zero_pin`.
    ZeroPin {
        /// Yes, like any pin.
        Counted,
        /// No.
        #[strum(props(since = "6.5", commits = "c8070b787519"))]
        NotCounted,
    }
}

answer! {
    /// K28. What does vmsplice hold? Home: `engine::gup::decide_vmsplice`.
    VmspliceRef {
        /// A get, as every release.
        Get,
        /// A longterm pin, as often proposed.
        #[strum(props(proposed = "the selftests' expected failures, and several threads"))]
        PinLongterm,
    }
}

answer! {
    /// K29. What does direct I/O hold? Home: `engine::gup::decide_dio`.
    DioRef {
        /// A get.
        Get,
        /// A pin.
        #[strum(props(since = "6.5", commits = "a7e689dd1c06"))]
        Pin,
    }
}

answer! {
    /// K30. Which pages of a COW mapping does NUMA hinting leave alone as shared? Home: `engine::numa::decide_hint`.
    NumaShared {
        /// Those not mapped exactly once.
        Mapcount,
        /// Those whose count is not 1.
        #[strum(props(since = "5.17", commits = "80d47f5de5e3"))]
        PageCount,
        /// Those that may be mapped by several mms, and those that may be pinned: one patch replaced the count by both. An estimate,
        /// from 6.15 on by the mm's share in the mappings.
        #[strum(props(since = "6.9"))]
        MaybeMappedShared,
    }
}

answer! {
    /// K31. Does a write fault under uffd-wp flush the TLB when a flush is pending? Home: `engine::tlb::decide_flush`.
    UffdWpTlb {
        /// No: another CPU may still write the page that is being copied.
        Off,
        /// Yes.
        #[strum(props(since = "5.12", commits = "6ce64428d620"))]
        On,
    }
}

answer! {
    /// K32. May a forced write go to a read-only hugetlb mapping? Home: `engine::hugetlb::decide_force_write`.
    HugetlbForceWrite {
        /// Yes, and nothing keeps the pte from becoming writable.
        AllowedUnsafe,
        /// No.
        #[strum(props(since = "6.2", commits = "f347454d0341"))]
        Rejected,
        /// Yes, on an exclusive page; the pte becomes writable only where the mapping is.
        #[strum(props(since = "7.3"))]
        ExclusiveOnly,
    }
}

answer! {
    /// K33. Is there a mapcount for each page of a large folio? Home: `engine::large::decide_mapcount`.
    PageMapcount {
        /// Yes.
        PerPage,
        /// No (CONFIG_NO_PAGE_MAPCOUNT: experimental, off by default).
        #[strum(props(proposed = "CONFIG_NO_PAGE_MAPCOUNT, e63ee43e3eda, 6.15"))]
        None,
    }
}

answer! {
    /// K34. Is there UFFDIO_MOVE? Home: `engine::uffd_move::decide_present`.
    UffdMoveIoctl {
        /// No.
        Absent,
        /// Yes.
        #[strum(props(since = "6.8", commits = "adef440691ba"))]
        Present,
    }
}
