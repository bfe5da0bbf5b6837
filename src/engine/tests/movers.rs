//! The decisions about pages that leave page tables and come back, quantified over all facts of a small domain.

use crate::engine::exclusive::{Change, Event, decide as decide_exclusive};
use crate::engine::ksm::{KsmFacts, decide_protect, decide_reuse, decide_unmerge, decide_zero};
use crate::engine::migrate::{decide_entry, decide_move};
use crate::engine::numa::{HintFacts, decide_hint};
use crate::engine::reclaim::{Stage, decide_discard, decide_pinned};
use crate::engine::swap::{SwapinFacts, decide_bypass, decide_drain, decide_marker, decide_read_map, decide_swapin};
use crate::engine::tlb::decide_flush;
use crate::engine::wp::{PageFacts, Verdict, decide_small};
use crate::policy::*;
use crate::state::{FaultKind, PteFlags};

const BITS: [bool; 2] = [false, true];

/// Pages that a fault has in hand: its own reference, the swap cache's, and up to two more.
fn swapins() -> impl Iterator<Item = SwapinFacts> {
    (0..=255u8).flat_map(|bits| {
        let bit = move |nr: u8| bits >> nr & 1 != 0;
        [0, 1, 2].into_iter().flat_map(move |more| {
            (1..=3).map(move |users| SwapinFacts {
                write: bit(0),
                marked: bit(1),
                fresh: bit(2),
                ksm: bit(3),
                swapcached: bit(4),
                last_entry: bit(5),
                eager: bit(6),
                unstable: bit(7),
                refcount: 1 + u32::from(bit(4)) + more,
                pages: 1,
                users,
            })
        })
    })
}

#[test]
fn a_swapped_in_page_is_the_process_s_own_by_the_proof_that_the_policy_asks_for() {
    use ReuseSwapin::*;
    for page in swapins() {
        let own = |knob| decide_swapin(knob, &page).own;
        let (alone, plain) = (page.refcount == 1, !page.ksm);
        let last = |knob| alone || (decide_swapin(knob, &page).uncache && page.refcount == 2);
        assert_eq!(own(MapSwap), page.write && plain && page.users == 1 && !page.unstable, "{page:?}");
        assert_eq!(own(Ref1), plain && (page.fresh || last(Ref1)), "{page:?}");
        assert_eq!(own(ExclOrRef1), plain && (page.fresh || page.marked || last(ExclOrRef1)), "{page:?}");
        assert_eq!(own(ExclOnly), plain && (page.fresh || page.marked), "{page:?}");
        assert_eq!(own(DerivedBit), plain && alone, "{page:?}");
    }
}

#[test]
fn a_page_leaves_the_swap_cache_with_its_last_entry_and_for_a_reason() {
    use ReuseSwapin::*;
    for page in swapins() {
        let could = page.swapcached && page.last_entry;
        let alone = page.write && !page.ksm && page.refcount == 2;
        for knob in [Ref1, ExclOrRef1, ExclOnly] {
            assert_eq!(decide_swapin(knob, &page).uncache, could && (page.eager || alone), "{knob:?} {page:?}");
        }
        assert_eq!(decide_swapin(DerivedBit, &page).uncache, could && page.eager, "{page:?}");
        let map_swap = decide_swapin(MapSwap, &page);
        assert_eq!(map_swap.uncache, could && (page.eager || map_swap.own), "{page:?}");
    }
}

#[test]
fn details_of_swapping_in_have_two_answers_each() {
    for (synchronous, entries) in BITS.into_iter().flat_map(|sync| (1..=3).map(move |entries| (sync, entries))) {
        assert_eq!(decide_bypass(SwapinSync::BypassCache, synchronous, entries), synchronous && entries == 1);
        assert!(!decide_bypass(SwapinSync::ThroughCache, synchronous, entries));
    }
    for page in swapins() {
        assert_eq!(decide_drain(SwapinDrain::Drain, &page), page.write && !page.fresh && !page.ksm, "{page:?}");
        assert!(!decide_drain(SwapinDrain::NoDrain, &page));
    }
    assert!(decide_read_map(SwapinReadMap::Writable) && !decide_read_map(SwapinReadMap::Ro));
    for exclusive in BITS {
        assert_eq!(decide_marker(SwapExcl::Marker, exclusive), exclusive);
        assert!(!decide_marker(SwapExcl::None, exclusive));
    }
}

#[test]
fn reclaim_asks_for_pins_when_the_policy_says() {
    use SwapoutPinned::*;
    let stages = [Stage::Isolated, Stage::Unmapping { exclusive: true }, Stage::Unmapping { exclusive: false }];
    for stage in stages {
        let asks = |knob| decide_pinned(knob, stage, true);
        assert!(!asks(LateRefcheck));
        assert_eq!(asks(SkipIfMaybePinned), stage == Stage::Isolated);
        assert_eq!(asks(UnmapFailsIfPinned), stage != Stage::Unmapping { exclusive: false });
        for knob in [LateRefcheck, SkipIfMaybePinned, UnmapFailsIfPinned] {
            assert!(!decide_pinned(knob, stage, false), "nobody has pinned it");
        }
    }
}

#[test]
fn what_others_hold_is_neither_dropped_nor_moved() {
    for (refcount, known) in (0..5).flat_map(|refcount| (0..3).map(move |known| (refcount, known))) {
        for dirty in BITS {
            assert_eq!(decide_discard(dirty, refcount, known), !dirty && refcount == known + 1);
        }
        assert_eq!(decide_move(refcount, known), refcount == known + 1);
    }
}

#[test]
fn migration_entries_are_writable_or_exclusive_or_neither() {
    for (writable, exclusive) in BITS.into_iter().flat_map(|writable| BITS.map(|exclusive| (writable, exclusive))) {
        let old = decide_entry(MigrExcl::ReadWrite, writable, exclusive);
        let new = decide_entry(MigrExcl::ReadExclWrite, writable, exclusive);
        assert_eq!((old == PteFlags::WRITE, new == PteFlags::WRITE), (writable, writable));
        assert!(!old.contains(PteFlags::EXCLUSIVE));
        assert_eq!(new == PteFlags::EXCLUSIVE, exclusive && !writable);
    }
}

#[test]
fn merging_wants_every_reference_explained_and_nobody_s_pin() {
    for (refcount, mapcount) in (0..6).flat_map(|refcount| (0..4).map(move |mapcount| (refcount, mapcount))) {
        for bits in 0..8u8 {
            let [swapcached, exclusive, maybe_pinned] = [0, 1, 2].map(|nr| bits >> nr & 1 != 0);
            let page = KsmFacts { refcount, mapcount, swapcached, exclusive, maybe_pinned };
            let explained = refcount == mapcount + 1 + u32::from(swapcached);
            assert_eq!(decide_protect(KsmWp::Refcheck, &page), explained, "{page:?}");
            let shares = explained && !(exclusive && maybe_pinned);
            assert_eq!(decide_protect(KsmWp::RefcheckShare, &page), shares, "{page:?}");
        }
    }
    assert_eq!(decide_unmerge(KsmUnmergeFault::Write), FaultKind::Write);
    assert_eq!(decide_unmerge(KsmUnmergeFault::Unshare), FaultKind::Unshare);
    assert!(decide_zero(KsmUnmergeZero::Unshare) && !decide_zero(KsmUnmergeZero::Leave));
}

/// Pages of the swap cache and of others, in every state of writing and locking.
fn cached_pages() -> impl Iterator<Item = PageFacts> {
    (0..64u8).flat_map(|bits| {
        let bit = move |nr: u8| bits >> nr & 1 != 0;
        (0..3).flat_map(move |more| {
            (0..2).map(move |swapcount| PageFacts {
                refcount: 1 + u32::from(bit(0)) + u32::from(bit(1)) + more,
                mapcount: 1,
                exclusive: bit(5),
                in_lru_batch: bit(1),
                swapcached: bit(0),
                swapcount: if bit(0) { swapcount } else { 0 },
                writeback: bit(0) && bit(2),
                stable_writes: bit(3),
                locked: bit(4),
            })
        })
    })
}

#[test]
fn a_merged_page_is_kept_by_nobody_or_with_its_one_reference() {
    for page in cached_pages() {
        assert!(matches!(decide_reuse(ReuseKsm::Never, &page), Verdict::Copy(_)), "{page:?}");
        let kept = matches!(decide_reuse(ReuseKsm::Ref1Frozen, &page), Verdict::Reuse(_));
        assert_eq!(kept, page.refcount == 1 && !page.locked, "{page:?}");
    }
}

#[test]
fn who_counts_references_asks_the_swap_cache_to_let_go_where_it_can() {
    use ReuseSmall::*;
    for page in cached_pages().filter(|page| !page.exclusive) {
        let others = page.refcount - 1 - u32::from(page.swapcached) - u32::from(page.in_lru_batch);
        let asks = page.refcount < 4 && !page.in_lru_batch && others == 0 && !page.locked;
        let lets_go = page.swapcached && page.swapcount == 0 && !page.writeback;
        for knob in [Ref1Drain, ExclOrRef1] {
            let verdict = decide_small(knob, &page);
            assert_eq!(verdict == Verdict::Uncache, asks && lets_go, "{knob:?} {page:?}");
            assert_eq!(matches!(verdict, Verdict::Reuse(_)), asks && !page.swapcached, "{knob:?} {page:?}");
        }
        let copies = matches!(decide_small(Ref1, &page), Verdict::Copy(_));
        assert_eq!(copies, page.locked || page.refcount != 1, "{page:?}");
    }
}

#[test]
fn who_counts_mappings_waits_for_the_lock_and_spares_what_is_being_written() {
    for page in cached_pages() {
        let unstable = page.writeback && page.stable_writes;
        let expected = match (page.locked, page.swapcount, page.swapcached, page.writeback) {
            (true, _, _, _) => "wait",
            (false, 1.., _, _) => "copy",
            (false, 0, true, false) => "uncache",
            (false, 0, _, _) if unstable => "copy",
            (false, 0, _, _) => "reuse",
        };
        let came = match decide_small(ReuseSmall::MapSwap, &page) {
            Verdict::Reuse(_) => "reuse",
            Verdict::Copy(_) => "copy",
            Verdict::Uncache => "uncache",
            Verdict::Wait => "wait",
            Verdict::Drain => "drain",
        };
        assert_eq!(came, expected, "{page:?}");
    }
}

#[test]
fn a_mark_goes_where_a_page_leaves_and_a_derived_one_when_it_comes_back() {
    use WpClearsExcl::*;
    let answers = |knob| [Event::Unmapped, Event::SwappedIn].map(|event| decide_exclusive(knob, event));
    assert_eq!(answers(NoBit), [Change::Keep, Change::Keep]);
    assert_eq!(answers(ForkOnly), [Change::Keep, Change::Clear]);
    assert_eq!(answers(ForkUnmapKsm), [Change::Clear, Change::Keep]);
}

#[test]
fn numa_hinting_leaves_alone_what_looks_shared() {
    use NumaShared::*;
    for (mapcount, refcount) in (1..4).flat_map(|mapcount| (1..5).map(move |refcount| (mapcount, refcount))) {
        for (maybe_shared, maybe_pinned) in BITS.into_iter().flat_map(|shared| BITS.map(|pinned| (shared, pinned))) {
            let page = HintFacts { mapcount, refcount, maybe_shared, maybe_pinned };
            assert_eq!(decide_hint(Mapcount, &page), mapcount != 1);
            assert_eq!(decide_hint(PageCount, &page), refcount != 1);
            assert_eq!(decide_hint(MaybeMappedShared, &page), maybe_shared || maybe_pinned);
        }
    }
}

#[test]
fn a_write_fault_flushes_first_only_under_k31_where_write_protection_waits_for_its_flush() {
    for (registered, pending) in BITS.into_iter().flat_map(|registered| BITS.map(|pending| (registered, pending))) {
        assert!(!decide_flush(UffdWpTlb::Off, registered, pending));
        assert_eq!(decide_flush(UffdWpTlb::On, registered, pending), [registered, pending] == [true, true]);
    }
}
