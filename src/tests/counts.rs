//! States of searches, pinned: a lost interleaving, or one that is no other, shows as a number that changes.

use super::explore::{all, lowered, release};
use crate::explore::{Alone, Bound, Draw, Limits, Manner, Mode, Model, Shard, explore, explore_any};
use crate::ir::Scenario;
use crate::types::{Large, Small};

/// File under `corpus/`, scenario, policy, and its states: without a reduction, and with.
const COUNTS: &[(&str, &str, &str, u64, u64)] = &[
    ("gallery/continue-looks-like-a-broken-cow.cow", "continue-looks-like-a-broken-cow", "linux-5.19", 109, 54),
    ("gallery/dirty-cow.cow", "dirty-cow", "gunthorpe-2021", 114, 60),
    ("gallery/fork-detaches-a-dma-target.cow", "fork-detaches-a-direct-read", "linux-7.3", 510, 319),
    ("gallery/fork-while-a-pinned-page-migrates.cow", "fork-while-a-pinned-page-migrates", "linux-5.8", 115, 52),
    ("gallery/fork-while-a-pinned-page-migrates.cow", "fork-while-a-pinned-page-migrates", "linux-6.1-stable", 58, 27),
    ("gallery/gup-fast-against-fork-of-hugetlb.cow", "gup-fast-against-fork-of-hugetlb", "gunthorpe-2021", 162, 92),
    ("gallery/gup-fast-against-fork.cow", "gup-fast-against-fork", "linux-5.9", 120, 48),
    ("gallery/gup-fast-against-fork.cow", "gup-fast-against-fork", "linux-7.3", 119, 49),
    ("gallery/move-races-with-swap-in.cow", "move-races-with-swap-in", "linux-6.15", 38, 5),
    ("gallery/read-pin-while-the-exclusive-bit-goes.cow", "read-pin-while-the-exclusive-bit-goes", "linux-6.0", 607, 385),
    ("gallery/read-pin-while-the-exclusive-bit-goes.cow", "read-pin-while-the-exclusive-bit-goes", "gunthorpe-2021", 233, 141),
    ("claims/refcount-answers-am-i-the-owner.cow", "refcount-answers-am-i-the-owner", "andrea-2021", 151, 98),
    ("claims/refcount-answers-am-i-the-owner.cow", "refcount-answers-for-the-child-too", "andrea-2021", 85, 44),
];

fn of_corpus(file: &str, name: &str) -> Scenario {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(file);
    let text = std::fs::read_to_string(&path).expect("a file of the corpus");
    lowered(&text).into_iter().find(|scenario| scenario.name == name).expect("a scenario of the file")
}

#[test]
fn states_are_as_many_as_ever() {
    let mut differ = Vec::new();
    for (file, name, policy, naive, reduced) in COUNTS {
        let race = of_corpus(file, name);
        let limits = [Limits::NAIVE, Limits { naive: false, ..Limits::NAIVE }];
        let states = limits.map(|limits| {
            let release = release(policy);
            match race.program.exceeds::<Small>() {
                None => all(&race, &release, limits).states,
                Some(_) => explore(&Model::<Large>::new(&race.program, &release), limits, &Alone, &mut |_| None).states,
            }
        });
        if states != [*naive, *reduced] {
            differ.push(format!("{name} {policy}: {states:?}, not {:?}", [naive, reduced]));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Two stores of one step each, after faults are out of the way. All states of the search, by hand:
///
/// | | before the race | |
/// |---|---|---|
/// | 1 | nothing is mapped | |
/// | 2 | `buf` is mapped, nothing stands behind it | |
/// | 3 | the first store has begun, and must fault | |
/// | 4 | its fault has a zeroed page | |
/// | 5 | the page is mapped, and the store is to be tried again | |
/// | 6 | the page holds 1, and both threads are about to store | |
/// | | **in the race** | |
/// | 7 | `p` has stored 2 | `p/2` is to store |
/// | 8 | `p/2` has stored 3 | `p` is to store |
/// | 9 | both have, the page holds 3 | |
/// | 10 | both have, the page holds 2 | |
/// | | **the load** | |
/// | 11 | it has read 3 | |
/// | 12 | it has read 2 | |
#[test]
fn the_smallest_race_has_twelve_states() {
    let text = "scenario a {\n p: mmap buf 1 page\n p: write buf 1\n race {\n p: write buf 2\n p/2: write buf 3\n }\n p: read buf -> x\n}\n";
    let race = lowered(text).remove(0);
    let report = all(&race, &release("latest"), Limits::NAIVE);
    assert_eq!((report.states, report.endings.len(), report.endings[0].count), (12, 1, 2));
}

#[test]
fn parts_of_a_search_find_together_what_the_whole_finds() {
    let (race, policy) = (
        of_corpus("gallery/read-pin-while-the-exclusive-bit-goes.cow", "read-pin-while-the-exclusive-bit-goes"),
        release("linux-6.0"),
    );
    let text = "scenario a {\n p: mmap buf 2 pages\n p: write buf 1\n race {\n p: fork c\n p/2: pin buf rw fast -> nic\n p/3: write buf 2\n }\n p: peek nic == 2\n}\n";
    for race in [race, lowered(text).remove(0)] {
        let whole = all(&race, &policy, Limits::NAIVE);
        for of in [2, 3] {
            let parts = (0..of).map(|nth| all(&race, &policy, Limits { shard: Some(Shard { nth, of }), ..Limits::NAIVE }));
            let parts: Vec<_> = parts.collect();
            assert!(
                parts.iter().enumerate().all(|(nth, part)| part.bound == Some(Bound::Shard(Shard { nth: nth as u32, of })))
            );
            let mut endings: Vec<_> =
                parts.iter().flat_map(|part| part.endings.iter().map(|found| found.ending.to_string())).collect();
            endings.sort();
            endings.dedup();
            let mut expected: Vec<_> = whole.endings.iter().map(|found| found.ending.to_string()).collect();
            expected.sort();
            assert_eq!(endings, expected);
            assert!(whole.states <= parts.iter().map(|part| part.states).sum());
        }
    }
}

#[test]
fn schedules_drawn_from_a_seed_are_the_same_and_find_what_is_there() {
    let (race, policy) = (of_corpus("gallery/gup-fast-against-fork.cow", "gup-fast-against-fork"), release("linux-5.9"));
    for manner in [Manner::Uniform, Manner::Priorities { changes: 2 }] {
        let drawn = |seed| {
            explore_any(&race.program, &policy, Mode::Drawn(Draw { manner, seed, schedules: 500 }), &Alone, &mut |_| None)
                .report
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7).transitions, drawn(8).transitions);
        let report = drawn(7);
        assert_eq!(report.bound, Some(Bound::Schedules(500)));
        assert!(report.endings.iter().any(|found| found.ending.to_string() == "lost"), "{manner:?}: {report:?}");
        assert_eq!(report.endings.iter().map(|found| found.count).sum::<u64>(), 500);
        assert!(report.states <= all(&race, &policy, Limits::NAIVE).states);
    }
}

#[test]
fn the_memory_of_a_large_world_is_counted_whole() {
    let text = "scenario a {\n p: mmap buf 256 pages\n p: write buf[0] 1\n race {\n p: fork c\n p/2: write buf[0] 2\n }\n p: read buf[0] -> x\n}\n";
    let race = lowered(text).remove(0);
    let policy = release("latest");
    let model = Model::<Large>::new(&race.program, &policy);
    let least = 256 * 2 * size_of::<crate::state::Slot<u16>>();
    assert!(least < model.start().st.bytes());
    let report = explore(&model, Limits::default(), &Alone, &mut |progress| {
        assert!(progress.waiting * least <= progress.bytes, "{progress:?}");
        None
    });
    assert_eq!(report.bound, None);
    let stopped = explore(&model, Limits { bytes: Some(least), ..Limits::default() }, &Alone, &mut |_| None);
    assert!(matches!(stopped.bound, Some(Bound::Bytes(_))), "{:?}", stopped.bound);
}
