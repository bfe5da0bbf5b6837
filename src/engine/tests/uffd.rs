//! The decisions of userfaultfd's ioctls, quantified over all facts of a small domain.

use super::super::uffd_fill::{Fill, FillFacts, Filled, decide_fill, decide_flags};
use super::super::uffd_move::{decide_move, decide_present};
use super::BITS;
use crate::policy::UffdMoveIoctl;
use crate::state::{PteFlags, Vma, VmaFlags};
use crate::types::Failure;

const REQUESTS: [Fill; 3] = [Fill::Copy, Fill::Zeropage, Fill::Continue];

/// All there can be: a page cache has pages of files only, what is shared or huge has a file, and a marker is where nothing is.
fn memories() -> impl Iterator<Item = FillFacts> {
    (0_u32..128)
        .map(|bits| {
            let [registered, of_file, shared, hugetlb, cached, empty, marker] = std::array::from_fn(|i| bits & (1 << i) != 0);
            FillFacts { registered, of_file, shared, hugetlb, cached, empty, marker }
        })
        .filter(|memory| memory.of_file || !memory.shared && !memory.hugetlb && !memory.cached)
        .filter(|memory| memory.empty || !memory.marker)
}

fn registered() -> impl Iterator<Item = FillFacts> {
    memories().filter(|memory| memory.registered)
}

#[test]
fn what_is_not_registered_is_not_found_whatever_is_asked() {
    for (asks, memory) in REQUESTS.into_iter().flat_map(|asks| memories().map(move |memory| (asks, memory))) {
        let found = decide_fill(asks, &memory) != Err(Failure::ENOENT);
        assert_eq!(found, memory.registered, "{asks:?} {memory:?}");
    }
}

#[test]
fn a_request_that_memory_of_that_kind_cannot_meet_is_invalid_before_anything_else_is_looked_at() {
    for memory in registered() {
        let invalid = |asks| decide_fill(asks, &memory) == Err(Failure::EINVAL);
        assert!(!invalid(Fill::Copy), "{memory:?}");
        assert_eq!(invalid(Fill::Zeropage), memory.hugetlb, "{memory:?}");
        assert_eq!(invalid(Fill::Continue), !memory.of_file, "{memory:?}");
    }
}

#[test]
fn what_the_page_cache_has_is_continued_and_what_it_has_not_is_a_bad_address() {
    for memory in registered().filter(|memory| memory.of_file) {
        let expected = match (memory.cached, memory.empty) {
            (false, _) => Err(Failure::EFAULT),
            (true, false) => Err(Failure::EEXIST),
            (true, true) => Ok(Filled::Cached),
        };
        assert_eq!(decide_fill(Fill::Continue, &memory), expected, "{memory:?}");
    }
}

#[test]
fn a_new_page_wants_an_empty_place_and_in_shared_memory_an_empty_page_cache_too() {
    for (asks, private) in [(Fill::Copy, Filled::Anon), (Fill::Zeropage, Filled::Zero)] {
        for memory in registered().filter(|memory| asks == Fill::Copy || !memory.hugetlb) {
            let expected = match (memory.empty, memory.shared) {
                (false, _) => Err(Failure::EEXIST),
                (true, true) if memory.cached => Err(Failure::EEXIST),
                (true, true) => Ok(Filled::Cache),
                (true, false) if asks == Fill::Zeropage && memory.marker => Err(Failure::EEXIST),
                (true, false) => Ok(private),
            };
            assert_eq!(decide_fill(asks, &memory), expected, "{asks:?} {memory:?}");
        }
    }
}

#[test]
fn a_filled_page_may_be_stored_to_if_nobody_else_would_see_it_who_may_not() {
    let own = VmaFlags::MAPPED | VmaFlags::READ | VmaFlags::WRITE;
    for (filled, shared) in
        [Filled::Anon, Filled::Cache, Filled::Cached, Filled::Zero].into_iter().flat_map(|filled| BITS.map(|s| (filled, s)))
    {
        let flags = if shared { own | VmaFlags::SHARED } else { own };
        let got = decide_flags(filled, &Vma::<u16> { flags, ..Vma::default() });
        let stored = match filled {
            Filled::Zero => false,
            Filled::Cached => shared,
            Filled::Anon | Filled::Cache => true,
        };
        assert_eq!(got.contains(PteFlags::WRITE), stored, "{filled:?}, shared: {shared}");
        // B13 comes of the one that is dirty and not writable.
        assert_eq!(got.contains(PteFlags::DIRTY), filled != Filled::Zero, "{filled:?}, shared: {shared}");
        assert!(got.contains(PteFlags::YOUNG), "{filled:?}, shared: {shared}");
    }
}

#[test]
fn a_page_moves_if_it_is_the_process_s_own_and_no_device_is_at_it() {
    for (exclusive, maybe_pinned) in BITS.into_iter().flat_map(|exclusive| BITS.map(|pinned| (exclusive, pinned))) {
        let moves = decide_move(exclusive, maybe_pinned);
        assert_eq!(moves, (exclusive, maybe_pinned) == (true, false), "exclusive: {exclusive}, pinned: {maybe_pinned}");
    }
}

#[test]
fn moving_is_there_where_the_policy_has_it() {
    assert!(!decide_present(UffdMoveIoctl::Absent));
    assert!(decide_present(UffdMoveIoctl::Present));
}
