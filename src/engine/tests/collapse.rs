//! The decisions about splitting and collapsing, quantified over all facts of a small domain.

use super::super::collapse::{Refusal, ScanFacts, decide_scan};
use super::super::mremap::decide_uffd_wp;
use super::super::split::decide_split;
use crate::policy::{CollapseShared, MremapUffdWp};
use crate::types::Failure;

const PAGES: u32 = 8;

/// Nothing stands in its way.
const FINE: ScanFacts = ScanFacts {
    by_kernel: false,
    watched: false,
    pages: PAGES,
    empty: 0,
    swapped: 0,
    shared: 0,
    young: PAGES,
    writable: true,
    uffd_wp: false,
    held: false,
    locked: false,
};

fn refusal(knob: CollapseShared, ptes: ScanFacts) -> Option<Refusal> {
    decide_scan(knob, &ptes).err()
}

#[test]
fn a_folio_is_split_only_if_mappings_and_caches_explain_all_references_but_one() {
    for (refcount, mapcount, in_caches) in
        (0..6).flat_map(|refs| (0..3).flat_map(move |maps| [(refs, maps, 0), (refs, maps, 2)]))
    {
        assert_eq!(decide_split(refcount, mapcount, in_caches), refcount == mapcount + in_caches + 1);
    }
}

#[test]
fn a_moved_entry_keeps_the_bit_of_uffd_wp_where_nobody_takes_it_off() {
    assert!(decide_uffd_wp(MremapUffdWp::Keep) && !decide_uffd_wp(MremapUffdWp::Drop));
}

#[test]
fn each_obstacle_alone_keeps_pages_from_being_collapsed() {
    let obstacles = [
        (ScanFacts { uffd_wp: true, ..FINE }, Refusal::UffdWp, Failure::EINVAL),
        (ScanFacts { watched: true, empty: 1, ..FINE }, Refusal::Watched, Failure::EINVAL),
        (ScanFacts { empty: PAGES, ..FINE }, Refusal::Nothing, Failure::EINVAL),
        (ScanFacts { locked: true, ..FINE }, Refusal::Locked, Failure::EAGAIN),
        (ScanFacts { held: true, ..FINE }, Refusal::Held, Failure::EAGAIN),
    ];
    for knob in [CollapseShared::Einval, CollapseShared::Copy] {
        for (ptes, why, failure) in obstacles {
            for by_kernel in [false, true] {
                assert_eq!(refusal(knob, ScanFacts { by_kernel, ..ptes }), Some(why), "{ptes:?}");
            }
            assert_eq!(why.failure(), failure);
        }
        for by_kernel in [false, true] {
            assert_eq!(refusal(knob, ScanFacts { by_kernel, ..FINE }), None);
            assert_eq!(refusal(knob, ScanFacts { by_kernel, watched: true, ..FINE }), None);
            assert_eq!(refusal(knob, ScanFacts { by_kernel, empty: PAGES - 1, ..FINE }), None);
        }
    }
}

#[test]
fn without_a_writable_pte_pages_are_collapsed_by_those_who_copy_what_is_shared() {
    let shared = ScanFacts { writable: false, shared: PAGES, ..FINE };
    assert_eq!(refusal(CollapseShared::Einval, shared), Some(Refusal::ReadOnly));
    assert_eq!(refusal(CollapseShared::Copy, shared), None);
}

#[test]
fn khugepaged_has_limits_that_a_process_has_not() {
    let limits = [
        (ScanFacts { swapped: 1, ..FINE }, ScanFacts { swapped: 2, ..FINE }, Refusal::TooMuchSwapped),
        (ScanFacts { shared: 4, ..FINE }, ScanFacts { shared: 5, ..FINE }, Refusal::TooMuchShared),
        (ScanFacts { young: 1, ..FINE }, ScanFacts { young: 0, ..FINE }, Refusal::Unused),
        (ScanFacts { swapped: 1, young: 4, ..FINE }, ScanFacts { swapped: 1, young: 3, ..FINE }, Refusal::Unused),
    ];
    for knob in [CollapseShared::Einval, CollapseShared::Copy] {
        for (within, beyond, why) in limits {
            assert_eq!(refusal(knob, ScanFacts { by_kernel: true, ..within }), None, "{within:?}");
            assert_eq!(refusal(knob, ScanFacts { by_kernel: true, ..beyond }), Some(why), "{beyond:?}");
            assert_eq!(refusal(knob, beyond), None, "{beyond:?}");
        }
    }
}
