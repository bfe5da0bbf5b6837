use super::sample::*;
use super::*;
use crate::observe::Seen;
use crate::types::{FileId, Large, TaskId};

/// What each instruction of a program may show.
fn run<B: Size>(code: &[(TaskId, Op)]) -> (Vec<Promise>, Ideal<B>) {
    let program = program(code);
    let mut ideal = Ideal::new(&program);
    let promises = (0..code.len()).map(|pc| ideal.apply(&program, Pc::at(pc), 0)).collect();
    (promises, ideal)
}

/// What the last instruction of a program may show.
fn last(code: &[(TaskId, Op)]) -> Promise {
    *run::<Small>(code).0.last().expect("a program with instructions")
}

fn page(value: u8) -> Seen {
    Seen::Words(Words::from_slice(&[ValueId(value); 2]))
}

/// The values that each word of the last reading may have.
#[track_caller]
fn shows(code: &[(TaskId, Op)], allowed: [&[u8]; 2]) {
    let promised = last(code).allowed().expect("a reading");
    let sets = promised.as_slice().iter().map(|set| set.iter().map(|value| value.0).collect::<Vec<_>>());
    assert_eq!(sets.collect::<Vec<_>>(), allowed, "{code:#?}");
}

/// Every sequence of `len` of these operations behind `start`.
fn every(start: &[(TaskId, Op)], alphabet: &[(TaskId, Op)], len: u32, mut check: impl FnMut(&[(TaskId, Op)])) {
    let mut code = start.to_vec();
    for mut number in 0..alphabet.len().pow(len) {
        code.truncate(start.len());
        for _ in 0..len {
            code.push(alphabet[number % alphabet.len()]);
            number /= alphabet.len();
        }
        check(&code);
    }
}

/// P stores 1 before it forks C, and 2 afterwards; C stores 3; A is P's reference, B is C's.
fn after_fork() -> Vec<(TaskId, Op)> {
    vec![
        write(P, 2),
        write(C, 3),
        read(P),
        read(C),
        pin(P, true, true, A),
        vmsplice(C, B),
        peek(A),
        peek(B),
        unmap(P),
        unmap(C),
        advise(P, Advice::Dontneed),
        advise(C, Advice::Free),
        unpin(P, A),
        (task(C), Op::Exit),
    ]
}

#[test]
fn a_store_is_never_seen_by_another_process() {
    every(&[anon(P), write(P, 1), fork()], &after_fork(), 4, |code| {
        for ((_, op), promise) in code.iter().zip(run::<Small>(code).0) {
            let others = match *op {
                Op::Read { area } => {
                    if area.proc == P {
                        3
                    } else {
                        2
                    }
                }
                Op::Peek { held } => {
                    if held.name == A {
                        3
                    } else {
                        2
                    }
                }
                _ => continue,
            };
            assert!(promise == Promise::Nothing || !promise.allows(page(others)), "{code:#?}");
        }
    });
}

#[test]
fn a_pin_sees_every_store_through_the_address_until_its_page_leaves_it() {
    let alphabet = [
        write(P, 2),
        write(P, 3),
        dma(A, 4),
        read(P),
        peek(A),
        unmap(P),
        advise(P, Advice::Dontneed),
        fork(),
        write(C, 5),
        unmap(C),
    ];
    for pin in [pin(P, true, false, A), pin(P, true, true, A), pin(P, false, true, A)] {
        every(&[anon(P), pin], &alphabet, 4, |code| {
            let (mut memory, mut pinned) = (Some(0), 0);
            let mut together = true;
            for ((_, op), promise) in code.iter().zip(run::<Small>(code).0) {
                match *op {
                    Op::Write { area, value } if area.proc == P => {
                        memory = memory.map(|_| value.0);
                        pinned = if together { value.0 } else { pinned };
                    }
                    Op::Dma { value, .. } => {
                        pinned = value.0;
                        memory = if together { Some(value.0) } else { memory };
                    }
                    Op::Munmap { area } if area.proc == P => (memory, together) = (None, false),
                    Op::Madvise { .. } => (memory, together) = (memory.map(|_| 0), false),
                    Op::Read { .. } => assert_eq!(promise, memory.map_or(Promise::Nothing, exactly), "{code:#?}"),
                    Op::Peek { .. } => assert_eq!(promise, exactly(pinned), "{code:#?}"),
                    _ => {}
                }
            }
        });
    }
}

fn exactly(value: u8) -> Promise {
    Promise::Exactly(Words::from_slice(&[ValueId(value); 2]))
}

#[test]
fn fork_is_eager() {
    let alphabet = [
        write(P, 2),
        write_word(P, 3),
        unmap(P),
        advise(P, Advice::Dontneed),
        advise(P, Advice::Free),
        pin(P, true, true, A),
        dma(A, 4),
        (task(P), Op::Exit),
    ];
    every(&[], &alphabet, 3, |before| {
        let start = [&[anon(P)], before].concat();
        let then = last(&[&start[..], &[read(P)]].concat());
        every(&[], &alphabet, 2, |after| {
            let child = last(&[&start[..], &[fork()], after, &[read(C)]].concat());
            assert_eq!(child, then, "{before:#?} fork {after:#?}");
        });
    });
}

#[test]
fn both_sizes_promise_the_same_and_nothing_is_left_of_what_has_gone() {
    every(&[anon(P), write(P, 1), fork()], &after_fork(), 3, |code| {
        assert_eq!(run::<Small>(code).0, run::<Large>(code).0, "{code:#?}");
        let ends = [(task(P), Op::Exit), (task(C), Op::Exit)];
        let code = [code, &ends].concat();
        assert_eq!(run::<Small>(&code).1, Ideal::new(&program(&code)), "{code:#?}");
    });
}

#[test]
fn a_world_is_equal_to_one_reached_in_another_order() {
    let reached = |middle: &[(TaskId, Op)]| run::<Small>(&[&[anon(P), write(P, 1)], middle, &[unmap(P)]].concat()).1;
    let (first, second) = (pin(P, true, true, A), pin(P, true, true, B));
    assert_eq!(reached(&[first, second]), reached(&[second, first]));
    let (with, without) = (reached(&[first, second, unpin(P, A)]), reached(&[second]));
    assert_eq!(with, without);
}

#[test]
fn two_references_to_a_page_without_a_mapping_are_one_page() {
    let start = [anon(P), write(P, 1), pin(P, true, true, A), pin(P, true, true, B), unmap(P)];
    shows(&[&start[..], &[dma(B, 5), peek(A)]].concat(), [&[5], &[5]]);
    shows(&[&start[..], &[dma(A, 5), unpin(P, A), peek(B)]].concat(), [&[5], &[5]]);
}

#[test]
fn a_get_may_show_what_its_page_has_held_since() {
    let start = [anon(P), write(P, 1), write(P, 2), vmsplice(P, A), write_word(P, 3)];
    shows(&[&start[..], &[peek(A)]].concat(), [&[2], &[2, 3]]);
    shows(&[&start[..], &[fork(), write(C, 5), peek(A)]].concat(), [&[2], &[2, 3]]);
    shows(&[&start[..], &[dma(A, 6), read(P)]].concat(), [&[6], &[6]]);
    shows(&[&start[..], &[unmap(P), dma(A, 6), peek(A)]].concat(), [&[2, 6], &[2, 3, 6]]);
}

#[test]
fn a_short_read_only_pin_of_a_page_never_stored_to_is_no_more_than_a_get() {
    let short = pin(P, false, false, A);
    shows(&[anon(P), short, write(P, 1), peek(A)], [&[0, 1], &[0, 1]]);
    shows(&[anon(P), pin(P, false, true, A), write(P, 1), peek(A)], [&[1], &[1]]);
    shows(&[anon(P), write(P, 1), fork(), short, write(P, 2), peek(A)], [&[2], &[2]]);
}

#[test]
fn freed_memory_is_old_or_zero_until_the_next_store() {
    let start = [anon(P), write(P, 1), advise(P, Advice::Free)];
    shows(&[&start[..], &[read(P)]].concat(), [&[0, 1], &[0, 1]]);
    shows(&[&start[..], &[write_word(P, 2), read(P)]].concat(), [&[0, 1], &[2]]);
    shows(&[&start[..], &[write(P, 2), read(P)]].concat(), [&[2], &[2]]);
}

#[test]
fn a_private_page_of_a_file_may_follow_the_file_until_it_is_stored_to() {
    let file = Backing::File(FileId(0));
    let start = [map(P, file, Sharing::Private), map(C, file, Sharing::Shared), write(C, 1)];
    shows(&[&start[..], &[read(P)]].concat(), [&[0, 1], &[0, 1]]);
    shows(&[&start[..], &[write_word(P, 2), write(C, 3), read(C)]].concat(), [&[3], &[3]]);
    shows(&[&start[..], &[write(P, 2), write(C, 3), read(P)]].concat(), [&[2], &[2]]);
    shows(&[&start[..2], &[write_word(P, 2), write(C, 3), read(P)]].concat(), [&[0], &[2]]);
    shows(&[&start[..], &[write(P, 2), advise(P, Advice::Dontneed), read(P)]].concat(), [&[0, 1], &[0, 1]]);
    shows(&[&start[..2], &[pin(P, false, true, A), write(P, 2), write(C, 3), peek(A)]].concat(), [&[2], &[2]]);
    shows(&[&start[..2], &[vmsplice(P, A), write(P, 2), write(C, 3), peek(A)]].concat(), [&[0, 2, 3], &[0, 2, 3]]);
}

#[test]
fn shared_memory_is_one_page_for_all_and_dontneed_loses_nothing_of_it() {
    let start = [map(P, Backing::File(FileId(0)), Sharing::Shared), fork(), write(C, 3)];
    shows(&[&start[..], &[advise(P, Advice::Dontneed), read(P)]].concat(), [&[3], &[3]]);
    shows(&[&start[..], &[pin(P, true, true, A), unmap(P), write(C, 4), peek(A)]].concat(), [&[4], &[4]]);
}

#[test]
fn a_moved_page_takes_its_references_along() {
    let second = Op::Mmap { area: at(P, 1), backing: Backing::Anon, sharing: Sharing::Private, prot: crate::ir::Prot::Rw };
    let start = [anon(P), (task(P), second), write(P, 1), pin(P, true, true, A)];
    let mremap = (task(P), Op::Mremap { from: at(P, 0), to: at(P, 1) });
    let uffd_move = (task(P), Op::UffdMove { from: at(P, 0), to: at(P, 1) });
    for moved in [mremap, uffd_move] {
        let read_there = (task(P), Op::Read { area: at(P, 1) });
        shows(&[&start[..], &[moved, dma(A, 4), read_there]].concat(), [&[4], &[4]]);
    }
    shows(&[&start[..], &[uffd_move, read(P)]].concat(), [&[0], &[0]]);
    assert_eq!(last(&[&start[..], &[mremap, read(P)]].concat()), Promise::Nothing);
}

#[test]
fn fork_heeds_advice() {
    assert_eq!(last(&[anon(P), write(P, 1), advise(P, Advice::Dontfork), fork(), read(C)]), Promise::Nothing);
    let wipe = [anon(P), write(P, 1), advise(P, Advice::Wipeonfork)];
    shows(&[&wipe[..], &[fork(), read(C)]].concat(), [&[0], &[0]]);
    shows(&[&wipe[..], &[advise(P, Advice::Keeponfork), fork(), read(C)]].concat(), [&[1], &[1]]);
}

#[test]
fn soft_dirty_is_promised_after_a_mapping_and_after_a_cpus_store() {
    let must = |middle: &[(TaskId, Op)]| last(&[&[anon(P)], middle, &[soft_dirty(P)]].concat());
    let clear = (task(P), Op::ClearRefs);
    assert_eq!(must(&[]), Promise::Bit { must: true });
    assert_eq!(must(&[clear]), Promise::Bit { must: false });
    assert_eq!(must(&[clear, write(P, 1)]), Promise::Bit { must: true });
    assert_eq!(must(&[clear, (task(C), Op::Poke { area: at(P, 0), value: ValueId(1) })]), Promise::Bit { must: true });
    assert_eq!(must(&[pin(P, true, true, A), clear, dma(A, 1)]), Promise::Bit { must: false });
    assert_eq!(must(&[clear, write(P, 1), advise(P, Advice::Dontneed)]), Promise::Bit { must: false });
    assert_eq!(must(&[fork(), (task(C), Op::ClearRefs)]), Promise::Bit { must: true });
    let child = last(&[anon(P), clear, write(P, 1), fork(), soft_dirty(C)]);
    assert_eq!(child, Promise::Bit { must: true });
}

#[test]
fn a_note_says_what_the_page_of_a_reader_ever_held() {
    let code = [anon(P), write(P, 1), fork(), write(P, 2), write(C, 3), read(C), advise(C, Advice::Dontneed), read(C)];
    let program = program(&code);
    let mut ideal = Ideal::<Large, EverHeld>::new(&program);
    let held = (0..code.len()).map(|pc| {
        ideal.apply(&program, Pc::at(pc), 0);
        ideal.ever_held(&program, Pc::at(pc), 0).map(|ever| ever.0[0].iter().map(|value| value.0).collect::<Vec<_>>())
    });
    let held = held.collect::<Vec<_>>();
    assert_eq!((&held[5], &held[7]), (&Some(vec![0, 1, 3]), &Some(vec![0])));
}
