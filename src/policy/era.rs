//! What kernels and proposals answered. The only file that knows releases: each is written as a difference from another.
//!
//! Values: `semantics.md` 2.2 to 2.5. A release's documentation names the commits behind its difference.

use super::*;

/// The start of the story, written in full: the last release that asked for mapcounts only.
pub const V5_7: Policy = Policy {
    reuse_small: ReuseSmall::MapSwap,
    reuse_swapin: ReuseSwapin::MapSwap,
    reuse_pmd: ReusePmd::MapSwapCopyhuge,
    reuse_large_pte: ReuseLargePte::MapSwap,
    reuse_hugetlb: ReuseHugetlb::Mapcount1,
    reuse_ksm: ReuseKsm::Ref1Frozen,
    gup_ro: GupRo::Plain,
    gup_ro_lt_nonanon: GupRoLtNonanon::Allow,
    force_write: ForceWrite::CowDirty,
    pin_acct: PinAcct::BiasPincount,
    fork_pinned_pte: ForkPinnedPte::Share,
    fork_pinned_pmd: ForkPinnedPmd::Share,
    fork_pinned_hugetlb: ForkPinnedHugetlb::Share,
    fork_seq: ForkSeq::Off,
    gupfast_order: GupfastOrder::TlbIpi,
    clear_refs_pinned: ClearRefsPinned::Wp,
    clear_refs_lock: ClearRefsLock::MmapLockRead,
    wp_pinned: WpPinned::Wp,
    prot_upgrade: ProtUpgrade::SharedDirtyOnly,
    wp_clears_excl: WpClearsExcl::NoBit,
    swap_excl: SwapExcl::None,
    swapout_pinned: SwapoutPinned::LateRefcheck,
    migr_excl: MigrExcl::ReadWrite,
    thp_split_bit: ThpSplitBit::NoBit,
    ksm_wp: KsmWp::Refcheck,
    ksm_unmerge_fault: KsmUnmergeFault::Write,
    zero_pin: ZeroPin::Counted,
    vmsplice_ref: VmspliceRef::Get,
    dio_ref: DioRef::Get,
    numa_shared: NumaShared::Mapcount,
    uffd_wp_tlb: UffdWpTlb::Off,
    hugetlb_force_write: HugetlbForceWrite::AllowedUnsafe,
    page_mapcount: PageMapcount::PerPage,
    uffd_move: UffdMoveIoctl::Absent,
    huge_zero_write: HugeZeroWrite::Split,
    mremap_uffd_wp: MremapUffdWp::Keep,
    collapse_shared: CollapseShared::Einval,
    swapin_sync: SwapinSync::BypassCache,
    swapin_read_map: SwapinReadMap::Ro,
    swapin_drain: SwapinDrain::NoDrain,
    proc_mem_force: ProcMemForce::Allowed,
    ksm_unmerge_zero: KsmUnmergeZero::Leave,
    lacks: Lacks::of(&[
        Feature::Populate,
        Feature::UffdMinorHugetlb,
        Feature::UffdMinorShmem,
        Feature::HugetlbDontneed,
        Feature::UffdWpFile,
        Feature::UffdWpVmas,
        Feature::UffdWpAsync,
        Feature::Collapse,
        Feature::Guard,
    ]),
    defects: Defects::of(&[Defect::B5, Defect::B21, Defect::B22, Defect::B22b, Defect::B36]),
};

/// 17839856fd58 (K7 forces a COW break, K9 without FOLL_FORCE), 3917c80280c9 (K3 splits), c444eb564fb1 (B5).
pub const V5_8: Policy = Policy {
    reuse_pmd: ReusePmd::MapSwapSplit,
    gup_ro: GupRo::ForcedCow,
    force_write: ForceWrite::CowDirtyNoForce,
    defects: V5_7.defects.without(&[Defect::B5]),
    ..V5_7
};

/// 09854ba94c6a (K1 and with it K4 by count), 1a0cf26323c8 (K6), a308c71bf1e6 (K7 and K9 as before 5.8), 70e806e4e645 (K11),
/// d042035eaf5f (K12); B35 comes with K11. K2 and K3 stay: swap-in and THPs go by mapcount until 5.18.
pub const V5_9: Policy = Policy {
    reuse_small: ReuseSmall::Ref1,
    reuse_large_pte: ReuseLargePte::Ref1Folio,
    reuse_ksm: ReuseKsm::Never,
    gup_ro: GupRo::Plain,
    force_write: ForceWrite::CowDirty,
    fork_pinned_pte: ForkPinnedPte::CopyIfPinned,
    fork_pinned_pmd: ForkPinnedPmd::SplitThenPte,
    defects: V5_8.defects.with(&[Defect::B35]),
    ..V5_8
};

/// 57efa1fe5957 (K14), 9348b73c2e1b (K16), 29a951dfb3c3 (K17), feb889fb40fa (K22).
pub const V5_11: Policy = Policy {
    fork_seq: ForkSeq::On,
    clear_refs_pinned: ClearRefsPinned::Skip,
    clear_refs_lock: ClearRefsLock::MmapLockWrite,
    swapout_pinned: SwapoutPinned::SkipIfMaybePinned,
    ..V5_9
};

/// 4eae4efa2c29 (K13), 6ce64428d620 (K31).
pub const V5_12: Policy = Policy { fork_pinned_hugetlb: ForkPinnedHugetlb::Copy, uffd_wp_tlb: UffdWpTlb::On, ..V5_11 };

/// 80d47f5de5e3 (K30); minor faults on hugetlb came with 5.13, on shared memory with 5.14, MADV_POPULATE_* with 5.14.
pub const V5_17: Policy = Policy {
    numa_shared: NumaShared::PageCount,
    lacks: V5_12.lacks.without(&[Feature::Populate, Feature::UffdMinorHugetlb, Feature::UffdMinorShmem]),
    ..V5_12
};

/// d4c470970d45 and 53a05ad9f21d (K1, D6), c145e0b47c77 (K2), 3bff7e3f1f16 (K3); MADV_DONTNEED on hugetlb.
pub const V5_18: Policy = Policy {
    reuse_small: ReuseSmall::Ref1Drain,
    reuse_swapin: ReuseSwapin::Ref1,
    reuse_pmd: ReusePmd::Ref1,
    swapin_drain: SwapinDrain::Drain,
    lacks: V5_17.lacks.without(&[Feature::HugetlbDontneed]),
    ..V5_17
};

/// The exclusive bit: 6c287605fd56 (K1, K3, K4, K5, K11, K20, K22 to K25), 1493a1913e34 (K2, K21), c89357e27f20 and a7f226604170
/// (K7), 623a1ddfeb23 (K14 over hugetlb), fb3d824d1a46 (K11, B35); uffd-wp on files.
pub const V5_19: Policy = Policy {
    reuse_small: ReuseSmall::ExclOrRef1,
    reuse_swapin: ReuseSwapin::ExclOrRef1,
    reuse_pmd: ReusePmd::ExclOrRef1,
    reuse_large_pte: ReuseLargePte::ExclOrRef1Folio,
    reuse_hugetlb: ReuseHugetlb::Mapcount1Excl,
    gup_ro: GupRo::UnshareExcl,
    fork_pinned_pte: ForkPinnedPte::CopyIfExclPinned,
    fork_seq: ForkSeq::OnHugetlb,
    wp_clears_excl: WpClearsExcl::ForkUnmapKsm,
    swap_excl: SwapExcl::Marker,
    swapout_pinned: SwapoutPinned::UnmapFailsIfPinned,
    migr_excl: MigrExcl::ReadExclWrite,
    thp_split_bit: ThpSplitBit::Propagate,
    ksm_wp: KsmWp::RefcheckShare,
    lacks: V5_18.lacks.without(&[Feature::UffdWpFile]),
    defects: V5_18.defects.without(&[Defect::B35]),
    ..V5_18
};

/// 5535be309971 (K9), 64fe24a3e05e and 76aefad628aa (K19), fd35ca3d12cc (B22).
pub const V6_0: Policy = Policy {
    force_write: ForceWrite::AnonExcl,
    prot_upgrade: ProtUpgrade::ExclDirty,
    defects: V5_19.defects.without(&[Defect::B22]),
    ..V5_19
};

/// 088b8aa537c2 (K15), 70cbc3cc78a9 (B21), 0ccf7f168e17 and 2e3468778dbe (B22b); MADV_COLLAPSE.
pub const V6_1: Policy = Policy {
    gupfast_order: GupfastOrder::Barriers,
    lacks: V6_0.lacks.without(&[Feature::Collapse]),
    defects: V6_0.defects.without(&[Defect::B21, Defect::B22b]),
    ..V6_0
};

/// 8d6a0ac09a16 and 84209e87c696 (K8), the commit before 7ea7e333842e (K19), 6cce3314b928 (K26), f347454d0341 (K32); D5.
pub const V6_2: Policy = Policy {
    gup_ro_lt_nonanon: GupRoLtNonanon::Unshare,
    prot_upgrade: ProtUpgrade::Excl,
    ksm_unmerge_fault: KsmUnmergeFault::Unshare,
    hugetlb_force_write: HugetlbForceWrite::Rejected,
    swapin_read_map: SwapinReadMap::Writable,
    ..V6_1
};

/// c8070b787519 (K27), a7e689dd1c06 (K29), a1b92a3f14b9 and 8ac268436e6d (D8), 24bf08c4376b (B36, 6.3).
pub const V6_5: Policy = Policy {
    zero_pin: ZeroPin::NotCounted,
    dio_ref: DioRef::Pin,
    lacks: V6_2.lacks.without(&[Feature::UffdWpVmas]).with(&[Feature::PinFile]),
    defects: V6_2.defects.without(&[Defect::B36]),
    ..V6_2
};

/// adef440691ba (K34, and B31, B32, B41 with it); 79271476b336 (D9, 6.6); asynchronous write protection by userfaultfd (6.7).
pub const V6_8: Policy = Policy {
    uffd_move: UffdMoveIoctl::Present,
    ksm_unmerge_zero: KsmUnmergeZero::Unshare,
    lacks: V6_5.lacks.without(&[Feature::UffdWpAsync]),
    defects: V6_5.defects.with(&[Defect::B31, Defect::B32, Defect::B41]),
    ..V6_5
};

/// K4 stops keeping the last page of a large folio (6.10), K30 estimates (6.9).
pub const V6_12: Policy =
    Policy { reuse_large_pte: ReuseLargePte::ExclOnly, numa_shared: NumaShared::MaybeMappedShared, ..V6_8 };

/// 6af8cb80d3a9 and 1da190f4d0a6 (K4), 0cef0bb836e3 (D2, 6.13), D1 (6.13), guard regions (6.13); B30 comes.
pub const V6_15: Policy = Policy {
    reuse_large_pte: ReuseLargePte::ExclOrMmowner,
    huge_zero_write: HugeZeroWrite::AllocThp,
    mremap_uffd_wp: MremapUffdWp::Drop,
    lacks: V6_12.lacks.without(&[Feature::Guard]),
    defects: V6_12.defects.with(&[Defect::B30]),
    ..V6_12
};

/// Collapse without a writable pte (D3, 6.18); 0ea148a79918 (B31, 6.16).
pub const V6_18: Policy =
    Policy { collapse_shared: CollapseShared::Copy, defects: V6_15.defects.without(&[Defect::B31]), ..V6_15 };

/// The swap rework (K2, D4, D6), K32 by exclusiveness, D7; B30 and B41 fixed. What D8 lacks was measured on 7.3.4.
pub const V7_3: Policy = Policy {
    reuse_swapin: ReuseSwapin::ExclOnly,
    hugetlb_force_write: HugetlbForceWrite::ExclusiveOnly,
    swapin_sync: SwapinSync::ThroughCache,
    swapin_drain: SwapinDrain::NoDrain,
    proc_mem_force: ProcMemForce::AttachedTracer,
    lacks: V6_18.lacks.with(&[Feature::UffdDropWp]),
    defects: V6_18.defects.without(&[Defect::B30, Defect::B41]),
    ..V6_18
};

/// The newest release.
pub const LATEST: Policy = V7_3;

/// linux-5.10.y late in its life: 5.9 with K14, K16, K17, K22, K31 and the fixes of B21 and B35 taken back; K13 still shares.
///
/// `semantics.md` 2.2 does not name K31 here; `do_wp_page` of such a tree flushes (6ce64428d620 went to stable). B22 and B36 are
/// there: its `migrate_vma_collect_pmd` still flushes behind the lock, and its `set_pmd_migration_entry` does not look at uffd-wp.
pub const V5_10_STABLE: Policy = Policy {
    fork_seq: ForkSeq::On,
    clear_refs_pinned: ClearRefsPinned::Skip,
    clear_refs_lock: ClearRefsLock::MmapLockWrite,
    swapout_pinned: SwapoutPinned::SkipIfMaybePinned,
    uffd_wp_tlb: UffdWpTlb::On,
    defects: V5_9.defects.without(&[Defect::B21, Defect::B35]),
    ..V5_9
};

/// linux-6.1.y late in its life: 6.1 with K27, K32, D2 and the fix of B36 taken back. D2 was seen on 6.1.192.
pub const V6_1_STABLE: Policy = Policy {
    zero_pin: ZeroPin::NotCounted,
    hugetlb_force_write: HugetlbForceWrite::Rejected,
    mremap_uffd_wp: MremapUffdWp::Drop,
    defects: V6_1.defects.without(&[Defect::B36]),
    ..V6_1
};

/// Linus Torvalds, January 2021: the reference count answers K1, and a writable pinned page cannot be made read-only (K18).
pub const LINUS_2021: Policy = Policy { wp_pinned: WpPinned::Skip, ..V5_11 };

/// Andrea Arcangeli, January 2021, "restore full accuracy in COW page reuse": reverts 09854ba94c6a, be068f29034f (K1, K4) and
/// 1a0cf26323c8 (K6); clear_refs may then protect pinned pages (K16).
pub const ANDREA_2021: Policy = Policy {
    reuse_small: ReuseSmall::MapSwap,
    reuse_large_pte: ReuseLargePte::MapSwap,
    reuse_ksm: ReuseKsm::Ref1Frozen,
    clear_refs_pinned: ClearRefsPinned::Wp,
    ..V5_11
};

/// David Hildenbrand, 17 December 2021, "COW fixes part 1": taking a read-only reference unshares by mapcount (K7).
pub const HILDENBRAND_2021: Policy = Policy { gup_ro: GupRo::UnshareMapcount, ..V5_12 };

/// Jason Gunthorpe with Linus Torvalds, 19 December 2021: a bit derived from the refcount (K1 to K4), which fork alone takes away (K20)
/// and which splitting a THP computes anew (K24); clear_refs may protect pinned pages, since that leaves the bit (K16).
pub const GUNTHORPE_2021: Policy = Policy {
    reuse_small: ReuseSmall::DerivedBit,
    reuse_swapin: ReuseSwapin::DerivedBit,
    reuse_pmd: ReusePmd::DerivedBit,
    reuse_large_pte: ReuseLargePte::DerivedBit,
    clear_refs_pinned: ClearRefsPinned::Wp,
    wp_clears_excl: WpClearsExcl::ForkOnly,
    thp_split_bit: ThpSplitBit::RecomputeFromRefcount,
    ..V5_12
};

const fn release(name: &'static str, major: u16, minor: u16, policy: Policy) -> Named {
    Named { name, kind: Kind::Release(major, minor), policy, says: "" }
}

const fn stable(name: &'static str, policy: Policy, says: &'static str) -> Named {
    Named { name, kind: Kind::Stable, policy, says }
}

const fn proposal(name: &'static str, policy: Policy, says: &'static str) -> Named {
    Named { name, kind: Kind::Proposal, policy, says }
}

/// Every built-in policy: the releases, oldest first, then the stable trees, then the proposals.
#[rustfmt::skip]
pub(super) const BUILTIN: &[Named] = &[
    release("linux-5.7",  5, 7,  V5_7),
    release("linux-5.8",  5, 8,  V5_8),
    release("linux-5.9",  5, 9,  V5_9),
    release("linux-5.11", 5, 11, V5_11),
    release("linux-5.12", 5, 12, V5_12),
    release("linux-5.17", 5, 17, V5_17),
    release("linux-5.18", 5, 18, V5_18),
    release("linux-5.19", 5, 19, V5_19),
    release("linux-6.0",  6, 0,  V6_0),
    release("linux-6.1",  6, 1,  V6_1),
    release("linux-6.2",  6, 2,  V6_2),
    release("linux-6.5",  6, 5,  V6_5),
    release("linux-6.8",  6, 8,  V6_8),
    release("linux-6.12", 6, 12, V6_12),
    release("linux-6.15", 6, 15, V6_15),
    release("linux-6.18", 6, 18, V6_18),
    release("linux-7.3",  7, 3,  V7_3),
    stable("linux-5.10-stable", V5_10_STABLE, "linux-5.10.y late in its life"),
    stable("linux-6.1-stable", V6_1_STABLE, "linux-6.1.y late in its life"),
    proposal("linus-2021", LINUS_2021, "a pinned page cannot be made read-only"),
    proposal("andrea-2021", ANDREA_2021, "reuse by mapcount again"),
    proposal("hildenbrand-2021", HILDENBRAND_2021, "read-only references unshare by mapcount"),
    proposal("gunthorpe-2021", GUNTHORPE_2021, "an exclusive bit derived from the refcount"),
];

/// What point releases took back, of series whose stable tree is no policy of its own.
///
/// 6.12.117 was seen to have what it has; the exact point releases are not known.
#[rustfmt::skip]
pub(super) const POINTS: &[((u16, u16), u16, PointFix)] = &[
    ((6, 12), 117, |p| Policy {
        mremap_uffd_wp: MremapUffdWp::Drop, defects: p.defects.without(&[Defect::B31, Defect::B41]), ..p
    }),
    ((6, 18), 21, |p| Policy { defects: p.defects.without(&[Defect::B30, Defect::B41]), ..p }),
];
