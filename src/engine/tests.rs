//! The decisions, quantified over all facts of a small domain. Each property is said without looking at the table that it tests.

mod collapse;
mod large;
mod movers;
mod uffd;

use super::exclusive::{Change, Event, decide as decide_exclusive};
use super::force::{ForceFacts, decide_follow_write};
use super::fork::{ForkFacts, decide_pinned, decide_seq};
use super::gup::{decide_account, decide_dio, decide_order, decide_proc_mem, decide_vmsplice, decide_zero_pin};
use super::hugetlb::{Force, HugePageFacts, decide_force_write, decide_fork_pinned, decide_reuse};
use super::prot::{
    UpgradeFacts, WpFacts, WpVerdict, decide_clear_refs, decide_clear_refs_lock, decide_upgrade, decide_wp_pinned,
};
use super::read_only::{Answer, RoFacts, decide_gup_ro, decide_gup_ro_lt_nonanon};
use super::wp::{PageFacts, Verdict, decide_small};
use crate::policy::*;
use crate::state::Grab;

const BITS: [bool; 2] = [false, true];

/// All facts of pages with few users, and of pinned ones. A page has a reference for each mapping and one for a batch.
fn pages() -> impl Iterator<Item = PageFacts> {
    (0..=3).flat_map(|mapcount| {
        BITS.into_iter().flat_map(move |in_lru_batch| {
            let least = mapcount + u32::from(in_lru_batch);
            [0, 1, 2, 3, 1024].into_iter().flat_map(move |more| {
                BITS.map(|exclusive| PageFacts {
                    refcount: least + more,
                    mapcount,
                    exclusive,
                    in_lru_batch,
                    ..PageFacts::default()
                })
            })
        })
    })
}

fn is_sole(page: &PageFacts) -> bool {
    page.refcount == 1 && page.mapcount == 1
}

#[test]
fn a_page_with_one_reference_is_never_copied() {
    use ReuseSmall::*;
    for knob in [MapSwap, Ref1, Ref1Drain, ExclOrRef1, DerivedBit] {
        for page in pages().filter(is_sole) {
            assert!(matches!(decide_small(knob, &page), Verdict::Reuse(_)), "{knob:?} {page:?}");
        }
    }
}

#[test]
fn an_unmarked_page_with_other_references_is_kept_by_counting_mappings_only() {
    use ReuseSmall::*;
    for page in pages().filter(|page| !is_sole(page) && !page.exclusive) {
        for knob in [Ref1, Ref1Drain, ExclOrRef1, DerivedBit] {
            assert!(!matches!(decide_small(knob, &page), Verdict::Reuse(_)), "{knob:?} {page:?}");
        }
        assert_eq!(matches!(decide_small(MapSwap, &page), Verdict::Reuse(_)), page.mapcount <= 1, "{page:?}");
    }
}

#[test]
fn a_mark_is_looked_at_by_those_who_have_one_and_then_nothing_else_is() {
    use ReuseSmall::*;
    for page in pages() {
        let (marked, unmarked) = (PageFacts { exclusive: true, ..page }, PageFacts { exclusive: false, ..page });
        for knob in [ExclOrRef1, DerivedBit] {
            assert!(matches!(decide_small(knob, &marked), Verdict::Reuse(_)), "{knob:?} {page:?}");
        }
        for knob in [MapSwap, Ref1, Ref1Drain] {
            assert_eq!(decide_small(knob, &marked), decide_small(knob, &unmarked), "{knob:?} {page:?}");
        }
    }
}

#[test]
fn the_lru_batch_is_drained_where_it_may_be_the_only_other_reference_and_by_those_who_drain() {
    use ReuseSmall::*;
    for page in pages().filter(|page| !page.exclusive && !is_sole(page)) {
        let explained = page.in_lru_batch && page.refcount <= 3;
        for knob in [Ref1Drain, ExclOrRef1] {
            assert_eq!(decide_small(knob, &page) == Verdict::Drain, explained, "{knob:?} {page:?}");
        }
        for knob in [MapSwap, Ref1, DerivedBit] {
            assert_ne!(decide_small(knob, &page), Verdict::Drain, "{knob:?} {page:?}");
        }
    }
}

fn ro_facts() -> impl Iterator<Item = RoFacts> {
    (0..32u8).flat_map(|bits| {
        (0..=3).map(move |mapcount| RoFacts {
            pin: bits & 1 != 0,
            longterm: bits & 2 != 0,
            anon: bits & 4 != 0,
            exclusive: bits & 8 != 0,
            ksm: bits & 16 != 0,
            mapcount,
        })
    })
}

#[test]
fn what_a_read_only_reference_asks_for_first() {
    for page in ro_facts() {
        let owned = page.exclusive || !page.anon;
        assert_eq!(decide_gup_ro(GupRo::Plain, &page), Answer::Take, "{page:?}");
        assert_eq!(decide_gup_ro(GupRo::ForcedCow, &page), Answer::AsWrite, "{page:?}");
        assert_eq!(decide_gup_ro(GupRo::UnshareExcl, &page) == Answer::Unshare, page.pin && !owned, "{page:?}");
        let mapped_twice = page.anon && 2 <= page.mapcount && !page.ksm;
        assert_eq!(decide_gup_ro(GupRo::UnshareMapcount, &page) == Answer::Unshare, mapped_twice, "{page:?}");
        for knob in [GupRo::UnshareExcl, GupRo::UnshareMapcount] {
            assert_ne!(decide_gup_ro(knob, &page), Answer::AsWrite, "{page:?}");
        }
    }
}

#[test]
fn only_longterm_pins_unshare_what_is_not_anonymous() {
    for page in ro_facts() {
        let asks = decide_gup_ro_lt_nonanon(GupRoLtNonanon::Unshare, &page) == Answer::Unshare;
        assert_eq!(asks, page.pin && page.longterm && !page.anon, "{page:?}");
        assert_eq!(decide_gup_ro_lt_nonanon(GupRoLtNonanon::Allow, &page), Answer::Take, "{page:?}");
    }
}

#[test]
fn fork_copies_for_pins_as_far_as_it_looks_for_them() {
    for bits in 0..16u8 {
        let bit = |nr: u8| bits & (1 << nr) != 0;
        let page = ForkFacts { has_pinned: bit(0), maybe_pinned: bit(1), exclusive: bit(2), anon: bit(3) };
        assert!(!decide_pinned(ForkPinnedPte::Share, &page), "{page:?}");
        let pinned_here = page.anon && page.has_pinned && page.maybe_pinned;
        assert_eq!(decide_pinned(ForkPinnedPte::CopyIfPinned, &page), pinned_here, "{page:?}");
        assert_eq!(decide_pinned(ForkPinnedPte::CopyIfExclPinned, &page), pinned_here && page.exclusive, "{page:?}");
    }
}

#[test]
fn a_forced_write_follows_a_read_only_pte_on_what_its_time_took_for_proof() {
    for bits in 0..32u8 {
        let bit = |nr: u8| bits & (1 << nr) != 0;
        let pte =
            ForceFacts { forced: bit(0), cow_broken: bit(1), dirty: bit(2), anon_exclusive: bit(3), fault_wanted: bit(4) };
        assert_eq!(decide_follow_write(ForceWrite::DropWriteFlag, &pte), pte.cow_broken, "{pte:?}");
        let dirty = pte.cow_broken && pte.dirty;
        assert_eq!(decide_follow_write(ForceWrite::CowDirtyNoForce, &pte), dirty, "{pte:?}");
        assert_eq!(decide_follow_write(ForceWrite::CowDirty, &pte), dirty && pte.forced, "{pte:?}");
        let owned = pte.forced && pte.anon_exclusive && !pte.fault_wanted;
        assert_eq!(decide_follow_write(ForceWrite::AnonExcl, &pte), owned, "{pte:?}");
    }
}

fn wp_facts() -> impl Iterator<Item = WpFacts> {
    (0..16u8).flat_map(|bits| {
        let bit = move |nr: u8| bits & (1 << nr) != 0;
        (0..=2).map(move |mapcount| WpFacts { writable: bit(0), cow: bit(1), pinned: bit(2), pmd: bit(3), mapcount })
    })
}

#[test]
fn only_a_pinned_page_of_private_memory_escapes_write_protection() {
    for pte in wp_facts() {
        let pinned = pte.pinned && pte.cow;
        assert_eq!(decide_clear_refs(ClearRefsPinned::Wp, &pte), WpVerdict::Wp);
        let by_pte = pinned && !pte.pmd;
        assert_eq!(decide_clear_refs(ClearRefsPinned::Skip, &pte) == WpVerdict::Skip, by_pte && pte.writable, "{pte:?}");
        let once = by_pte && pte.mapcount == 1;
        assert_eq!(decide_clear_refs(ClearRefsPinned::SkipMapcount1, &pte) == WpVerdict::Skip, once, "{pte:?}");
        let writable = pinned && pte.writable;
        assert_eq!(decide_wp_pinned(WpPinned::Wp, &pte), WpVerdict::Wp, "{pte:?}");
        let skip = if writable { WpVerdict::Skip } else { WpVerdict::Wp };
        assert_eq!(decide_wp_pinned(WpPinned::Skip, &pte), skip, "{pte:?}");
        let refuse = if writable { WpVerdict::Refuse } else { WpVerdict::Wp };
        assert_eq!(decide_wp_pinned(WpPinned::Refuse, &pte), refuse, "{pte:?}");
    }
}

#[test]
fn a_pte_becomes_writable_without_a_fault_only_on_proof() {
    use ProtUpgrade::*;
    for bits in 0..32u8 {
        let bit = |nr: u8| bits & (1 << nr) != 0;
        let pte = UpgradeFacts { shared: bit(0), dirty: bit(1), anon_exclusive: bit(2), unwp: bit(3), pmd: bit(4) };
        for knob in [SharedDirtyOnly, ExclDirty] {
            assert!(!(pte.unwp && decide_upgrade(knob, &pte)), "{knob:?} {pte:?}");
        }
        for knob in [SharedDirtyOnly, ExclDirty, Excl] {
            let proof = if pte.shared { pte.dirty } else { pte.anon_exclusive };
            assert!(proof || !decide_upgrade(knob, &pte), "{knob:?} {pte:?}");
        }
        if !pte.unwp {
            let (shared, private) = (pte.shared && pte.dirty, !pte.shared && pte.anon_exclusive);
            assert_eq!(decide_upgrade(SharedDirtyOnly, &pte), shared, "{pte:?}");
            assert_eq!(decide_upgrade(ExclDirty, &pte), shared || (private && pte.dirty && !pte.pmd), "{pte:?}");
            assert_eq!(decide_upgrade(Excl, &pte), shared || private, "{pte:?}");
        } else {
            let proof = if pte.shared { pte.dirty } else { pte.anon_exclusive };
            assert_eq!(decide_upgrade(Excl, &pte), proof, "{pte:?}");
        }
    }
}

#[test]
fn references_are_taken_and_counted_as_the_knobs_say() {
    assert!(!decide_vmsplice(VmspliceRef::Get) && decide_vmsplice(VmspliceRef::PinLongterm));
    assert!(!decide_dio(DioRef::Get) && decide_dio(DioRef::Pin));
    assert!(decide_proc_mem(ProcMemForce::Allowed) && !decide_proc_mem(ProcMemForce::AttachedTracer));
    assert_eq!([crate::policy::GupfastOrder::TlbIpi, crate::policy::GupfastOrder::Barriers].map(decide_order), [false, true]);
    assert_eq!(decide_account(PinAcct::GetOnly), Grab::Get);
    assert_eq!([PinAcct::Bias, PinAcct::BiasPincount].map(decide_account), [Grab::Pin; 2]);
    assert_eq!([ZeroPin::Counted, ZeroPin::NotCounted].map(decide_zero_pin), [Grab::Get, Grab::Uncounted]);
    assert!(!decide_clear_refs_lock(ClearRefsLock::MmapLockRead) && decide_clear_refs_lock(ClearRefsLock::MmapLockWrite));
}

#[test]
fn a_policy_without_a_bit_never_touches_it_and_the_others_set_it_alone_and_clear_it_for_two() {
    for event in [Event::Proven, Event::Shared] {
        assert_eq!(decide_exclusive(WpClearsExcl::NoBit, event), Change::Keep);
    }
    for knob in [WpClearsExcl::ForkOnly, WpClearsExcl::ForkUnmapKsm] {
        assert_eq!(decide_exclusive(knob, Event::Proven), Change::Set);
        assert_eq!(decide_exclusive(knob, Event::Shared), Change::Clear);
    }
}

#[test]
fn a_huge_page_of_the_pool_is_kept_by_its_last_mapping_alone_and_copied_at_fork_for_its_pins_alone() {
    for knob in [ReuseHugetlb::Mapcount1, ReuseHugetlb::Mapcount1Excl] {
        for (anon, mapcount) in BITS.into_iter().flat_map(|anon| (1..=3).map(move |mapcount| (anon, mapcount))) {
            assert_eq!(decide_reuse(knob, &HugePageFacts { anon, mapcount }), anon && mapcount == 1);
        }
    }
    for pinned in BITS {
        assert!(!decide_fork_pinned(ForkPinnedHugetlb::Share, pinned));
        assert_eq!(decide_fork_pinned(ForkPinnedHugetlb::Copy, pinned), pinned);
    }
}

#[test]
fn the_sequence_count_speaks_of_huge_pages_where_it_says_so() {
    for hugetlb in BITS {
        assert!(!decide_seq(ForkSeq::Off, hugetlb) && decide_seq(ForkSeq::OnHugetlb, hugetlb));
        assert_eq!(decide_seq(ForkSeq::On, hugetlb), !hugetlb);
    }
}

#[test]
fn a_forced_write_to_huge_pages_is_unsafe_refused_or_like_any_other() {
    use HugetlbForceWrite::*;
    let said = [AllowedUnsafe, Rejected, ExclusiveOnly].map(decide_force_write);
    assert_eq!(said, [Force::Unsafe, Force::Refuse, Force::AsSmall]);
}
