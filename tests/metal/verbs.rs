//! Each verb does on the kernel what it says.

use super::*;

#[test]
fn a_page_swapped_out_is_seen_so_and_comes_back_with_its_contents() {
    let _alone = alone();
    let mut host = host();
    for device in ["disk", "zram"] {
        let lines = format!(
            "system swap 64 {device}\np: mmap b 2 pages\np: write b 7\nkernel: pageout p.b\np: read b[0] == 7\n\
             kernel: swapin p.b\np: read b == 7"
        );
        let Some(ran) = runs(&mut host, "swap", &lines) else { continue };
        for page in ["p.b[0]", "p.b[1]"] {
            assert!(is(&facts(&ran, 2, page).swapped, true), "{device}: {:?}", facts(&ran, 2, page));
        }
        assert!(is(&facts(&ran, 3, "p.b[0]").present, true) && is(&facts(&ran, 3, "p.b[1]").present, false));
        assert_eq!(read(&ran, 5), 7);
    }
}

#[test]
fn swapoff_reads_everything_back_and_the_next_scenario_has_swap_again() {
    let _alone = alone();
    let mut host = host();
    for _ in 0..2 {
        let lines = "p: mmap b 1 page\np: write b 7\nkernel: pageout p.b\nkernel: swapoff\np: read b == 7";
        let Some(ran) = runs(&mut host, "swapoff", lines) else { return };
        assert!(is(&facts(&ran, 2, "p.b[0]").swapped, true));
        assert!(is(&facts(&ran, 3, "p.b[0]").swapped, false) && is(&facts(&ran, 3, "p.b[0]").present, true));
    }
}

#[test]
fn equal_pages_are_merged_and_given_back() {
    let _alone = alone();
    let lines = "p: mmap b 2 pages\np: write b 7\nkernel: ksm_merge p.b[0] p.b[1]\np: write b[0] 8\nkernel: ksm_unmerge p.b[1]\n\
                 p: read b[1] == 7";
    let Some(ran) = runs(&mut host(), "ksm", lines) else { return };
    let frame = |pc, page| facts(&ran, pc, page).frame.clone();
    assert_ne!(frame(1, "p.b[0]"), frame(1, "p.b[1]"));
    assert_eq!(frame(2, "p.b[0]"), frame(2, "p.b[1]"));
    assert_ne!(frame(3, "p.b[0]"), frame(3, "p.b[1]"));
    assert!(!is(&facts(&ran, 4, "p.b[1]").kind, "ksm".to_owned()));
}

#[test]
fn a_thp_is_one_folio_until_it_is_split() {
    let lines = "p: mmap b 1 thp\np: write b 7\nkernel: split_pmd p.b\np: read b == 7\nkernel: split_folio p.b\np: read b == 7\n\
                 kernel: collapse p.b\np: read b == 7";
    let Some(ran) = runs(&mut host(), "thp", lines) else { return };
    assert_eq!(ran.lines[1].facts.len(), 512);
    if is_root() {
        let frames = |pc: u16, of: &str| facts(&ran, pc, of).frame.clone();
        for page in ["p.b[0]", "p.b[511]"] {
            assert_eq!(frames(2, page), frames(4, page), "splitting moves nothing");
            assert_ne!(frames(4, page), frames(6, page), "collapsing copies");
        }
        // Of the other pages of a folio that ptes map a kernel may tell no marks.
        assert!(is(&facts(&ran, 2, "p.b[0]").exclusive, true), "a split PMD hands its mark on");
        assert!(!is(&facts(&ran, 2, "p.b[511]").exclusive, false), "to all of them");
    }
}

#[test]
fn a_large_folio_below_the_size_of_a_pmd_is_given_where_it_is_asked_for() {
    let _alone = alone();
    let lines = "p: mmap b 2 mthp 4\np: write b 7\np: fork c\nc: write b[3] 8\np: read b == 7\nc: read b[4..] == 7";
    let Some(ran) = runs(&mut host(), "mthp", lines) else { return };
    assert_eq!(ran.lines[1].facts.len(), 32);
}

#[test]
fn a_write_to_a_shared_hugetlb_page_copies_it_and_an_empty_pool_fails() {
    let _alone = alone();
    let mut host = host();
    let lines = "p: mmap b 1 hugetlb\np: write b 7\np: fork c\nc: write b 8\np: read b == 7\nc: read b == 8";
    let Some(ran) = runs(&mut host, "hugetlb", lines) else { return };
    assert!(is(&facts(&ran, 2, "p.b[0]").mapcount, 2) && is(&facts(&ran, 3, "p.b[0]").mapcount, 1));
    assert_ne!(facts(&ran, 3, "p.b[0]").frame, facts(&ran, 3, "c.b[0]").frame);
    let lines = "system hugetlb 1\np: mmap b 1 hugetlb\np: write b 7\np: fork c\nc: write b 8 fails SIGBUS\np: read b == 7";
    runs(&mut host, "hugetlb", lines);
}

#[test]
fn userfaultfd_fills_pages_and_wakes_who_waits_for_them() {
    let mut host = host();
    let copy = "p: mmap b 3 pages\np: uffd register b missing\np/2: read b[0] == 7 event missing\np: uffd copy b[0] 7\n\
                p: uffd zeropage b[1]\np: uffd copy b[1] 1 fails EEXIST\np: read b[0..2]";
    if let Some(ran) = runs(&mut host, "uffd copy", copy) {
        assert_eq!(read(&ran, 2), 7);
    }
    let minor = "p: mmap a 1 page shared memfd F\np: mmap b 1 page shared memfd F\np: write a 7\np: uffd register b minor\n\
                 p/2: read b == 7 event minor\np: uffd continue b\np: write b 8\np: read a == 8";
    if let Some(ran) = runs(&mut host, "uffd minor", minor) {
        assert_eq!(read(&ran, 4), 7);
    }
    let moved =
        "p: mmap a 1 page\np: mmap b 1 page\np: write a 7\np: uffd register b missing\np: uffd move a -> b\np: read b == 7";
    if let Some(ran) = runs(&mut host, "uffd move", moved).filter(|_| is_root()) {
        assert_eq!(facts(&ran, 2, "p.a[0]").frame, facts(&ran, 4, "p.b[0]").frame, "the page itself goes");
    }
    let unwaited = "p: mmap b 1 page\np: write b 1\np: uffd register b wp_async\np: uffd wp b\np: write b 2\np: read b == 2";
    runs(&mut host, "uffd wp_async", unwaited);
}

#[test]
fn memory_of_files_is_shared_or_copied_as_its_mapping_says() {
    let mut host = host();
    for kind in ["memfd F", "file F"] {
        let lines = format!(
            "p: mmap a 1 page shared {kind}\np: mmap b 1 page private {kind}\np: write a 7\np: read b == 7\np: write b 8\n\
             p: read a == 7\np: write a 9\np: read b == 8"
        );
        let Some(ran) = runs(&mut host, kind, &lines) else { continue };
        let expected = if kind.starts_with("memfd") { "shmem" } else { "file" };
        if is_root() {
            assert!(is(&facts(&ran, 3, "p.b[0]").kind, expected.to_owned()), "{:?}", facts(&ran, 3, "p.b[0]"));
            assert!(is(&facts(&ran, 4, "p.b[0]").kind, "anon".to_owned()));
        }
    }
}

#[test]
fn a_moved_mapping_keeps_its_page_and_a_guarded_one_cannot_be_touched() {
    let mut host = host();
    let lines = "p: mmap a 2 pages\np: write a 7\np: mremap a[1] -> far\np: read far == 7\np: read a[0] == 7";
    if let Some(ran) = runs(&mut host, "mremap", lines) {
        let (before, after) = (&facts(&ran, 1, "p.a[1]").frame, &facts(&ran, 2, "p.far[0]").frame);
        assert!(!is_root() || before == after);
    }
    let lines = "p: mmap a 1 page\np: write a 7\np: madvise a guard_install\np: read a fails SIGSEGV\np: madvise a guard_remove\n\
                 p: read a == 0";
    runs(&mut host, "guard", lines);
}
