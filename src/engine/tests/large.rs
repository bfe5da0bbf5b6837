//! The decisions about THPs and large folios, quantified over all facts of a small domain.

use super::super::huge::{PmdFacts, PmdVerdict, decide_fork, decide_pmd, decide_split_bit, decide_zero_write, mapped_at_once};
use super::super::large::{LargeFacts, decide_large, decide_mapcount};
use super::super::wp::Verdict;
use crate::ir::Area;
use crate::policy::*;
use crate::state::PteFlags;
use crate::types::{MemId, ProcId, Vpn};

const BITS: [bool; 2] = [false, true];

fn thps() -> impl Iterator<Item = PmdFacts> {
    (1..=3).flat_map(|mapcount| {
        (0..3).flat_map(move |more| BITS.map(|exclusive| PmdFacts { refcount: mapcount + more, mapcount, exclusive }))
    })
}

#[test]
fn a_thp_is_kept_on_what_its_time_took_for_proof_and_else_split_or_copied_whole() {
    use ReusePmd::*;
    for thp in thps() {
        for knob in [MapSwapCopyhuge, MapSwapSplit, Ref1, ExclOrRef1, DerivedBit] {
            let kept = match knob {
                MapSwapCopyhuge | MapSwapSplit => thp.mapcount == 1,
                Ref1 => thp.refcount == 1,
                ExclOrRef1 | DerivedBit => thp.exclusive || thp.refcount == 1,
            };
            let verdict = decide_pmd(knob, &thp);
            assert_eq!(matches!(verdict, PmdVerdict::Reuse(_)), kept, "{knob:?} {thp:?}");
            let whole = matches!(verdict, PmdVerdict::CopyHuge(_));
            assert_eq!(whole, !kept && knob == MapSwapCopyhuge, "{knob:?} {thp:?}");
        }
    }
}

fn pages() -> impl Iterator<Item = LargeFacts> {
    (1..=3).flat_map(|mapcount| {
        (0..4).flat_map(move |more| {
            (0..16u8).flat_map(move |bits| {
                let bit = move |nr: u8| bits & (1 << nr) != 0;
                (1..=mapcount).map(move |highest| LargeFacts {
                    refcount: mapcount + more,
                    highest,
                    mapcount,
                    maybe_shared: bit(0),
                    exclusive: bit(1),
                    in_lru_batch: bit(2) && 0 < more,
                    uncacheable: bit(3) && 0 < more,
                })
            })
        })
    })
}

#[test]
fn a_page_of_a_large_folio_is_kept_on_what_its_time_took_for_proof() {
    use ReuseLargePte::*;
    for page in pages() {
        let last_ref = page.refcount == 1;
        let alone = 1 < page.mapcount && !page.maybe_shared && page.refcount == page.mapcount;
        for (knob, kept) in [
            (MapSwap, page.highest == 1 && !page.uncacheable),
            (Ref1Folio, last_ref),
            (ExclOrRef1Folio, page.exclusive || last_ref),
            (ExclOnly, page.exclusive),
            (ExclOrMmowner, page.exclusive || alone),
            (DerivedBit, page.exclusive),
        ] {
            let verdict = decide_large(knob, &page);
            assert_eq!(matches!(verdict, Verdict::Reuse(_)), kept, "{knob:?} {page:?}");
            let drains = knob == ExclOrRef1Folio && !kept && page.in_lru_batch && page.refcount <= 3;
            assert_eq!(verdict == Verdict::Drain, drains, "{knob:?} {page:?}");
            let may_be_mine = match knob {
                MapSwap => page.highest == 1,
                ExclOrMmowner => !kept && !page.maybe_shared && 1 < page.mapcount,
                Ref1Folio | ExclOrRef1Folio | ExclOnly | DerivedBit => false,
            };
            assert_eq!(verdict == Verdict::Uncache, may_be_mine && page.uncacheable, "{knob:?} {page:?}");
        }
    }
}

#[test]
fn a_split_marks_the_pages_as_the_knob_says_and_a_pinned_thp_is_split_only_where_pins_are_looked_at() {
    for exclusive in BITS {
        for refcount in 1..4 {
            assert!(!decide_split_bit(ThpSplitBit::NoBit, exclusive, refcount));
            assert_eq!(decide_split_bit(ThpSplitBit::Propagate, exclusive, refcount), exclusive);
            assert_eq!(decide_split_bit(ThpSplitBit::RecomputeFromRefcount, exclusive, refcount), refcount == 1);
        }
        assert!(!decide_fork(ForkPinnedPmd::Share, exclusive));
        assert_eq!(decide_fork(ForkPinnedPmd::SplitThenPte, exclusive), exclusive);
    }
    assert!(!decide_zero_write(HugeZeroWrite::Split) && decide_zero_write(HugeZeroWrite::AllocThp));
}

#[test]
fn without_mapcounts_of_pages_the_mean_is_shown_and_never_nothing_for_what_is_mapped() {
    for own in 0..3 {
        assert_eq!(decide_mapcount(PageMapcount::PerPage, own, 9, 1, 4), own);
    }
    let mean = |folio, entire| decide_mapcount(PageMapcount::None, 7, folio, entire, 4);
    assert_eq!([mean(0, 0), mean(1, 0), mean(1, 1), mean(5, 1), mean(6, 0), mean(5, 0), mean(2, 2)], [0, 1, 1, 2, 2, 1, 2]);
}

#[test]
fn a_pmd_gives_what_the_range_has_of_it_and_a_pte_one_page() {
    let area = |start, len| Area { proc: ProcId(0), mem: MemId(0), start: Vpn(start), len, word: None };
    assert_eq!(mapped_at_once(area(1, 9), 0, PteFlags::empty(), 2), 1);
    assert_eq!([0, 3, 7].map(|page| mapped_at_once(area(1, 9), page, PteFlags::PMD, 2)), [3, 4, 2]);
}
