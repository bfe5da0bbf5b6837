//! A race, from the side of a thread that takes part: waits until all are there, then acts after a delay of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity, sched_yield};
use serde::{Deserialize, Serialize};

use super::perform::perform;
use super::sys;
use super::worker::{Process, Reply, Side, answer, first_task, fork};
use crate::ir::{Ending, Op, Program};
use crate::types::{Failure, Pc, ProcId, TaskId};

/// Spins between two looks whether somebody else wants the CPU.
const SPINS: u32 = 1000;
/// How long it waits for the others: one that does not come is the director's to deal with.
const OTHERS: Duration = Duration::from_secs(2);
/// log2 of the longest delay in spins: longer than a fork takes.
const DELAY_LOG2: u64 = 15;

/// What a thread is told of a race.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Its instructions.
    pub pcs: Vec<u16>,
    /// The process whose memory each is about.
    pub pids: Vec<i32>,
    /// How many take part.
    pub racers: u32,
    /// The CPU it races on, and the one it lives on.
    pub cpu: usize,
    pub home: usize,
    /// What its delays come from.
    pub seed: u64,
}

/// An instruction that ended in a race.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Raced {
    pub pc: u16,
    /// Nanoseconds of the monotonic clock: which of two came first.
    pub at: u64,
    pub reply: Reply,
}

/// Takes part, and answers with all that came of it. Where a child is born meanwhile this is the child from then on.
pub(super) fn take_part(process: &mut Arc<Process>, task: &mut TaskId, part: Part) {
    let Part { mut pcs, mut pids, racers, cpu, home, seed } = part;
    run_on(cpu);
    let (mut delays, mut raced) = (Delays(seed), Vec::new());
    meet(process.inherited.meeting, racers);
    spin(delays.next());
    let mut at = 0;
    while let Some(pc) = pcs.get(at).copied() {
        let op = process.inherited.plan.program.code[usize::from(pc)].op;
        let reply = match op {
            Op::Fork { child } => match fork(process, child) {
                Side::Parent(reply) => reply,
                Side::Child(born) => {
                    *task = first_task(&born.inherited.plan, child);
                    answer(&born.inherited.ends[task.idx()], &Reply::done(0));
                    (pcs, pids) = childs(&born.inherited.plan.program, Pc(pc), *task);
                    (at, raced) = (0, Vec::new());
                    *process = born;
                    continue;
                }
            },
            Op::Exit => {
                // The last that is heard of it: the director waits for the end of the process.
                raced.push(Raced { pc, at: now(), reply: Reply::done(1) });
                let end = &process.inherited.ends[task.idx()];
                answer(end, &Reply { raced, ..Reply::done(0) });
                process.release_all();
                sys::exit(0)
            }
            _ => perform(process, Pc(pc), pids.get(at).copied().unwrap_or_default()),
        };
        let goes_on = goes_on(&process.inherited.plan.program, pc, &reply);
        raced.push(Raced { pc, at: now(), reply });
        if !goes_on {
            break;
        }
        at += 1;
        spin(delays.next() >> 2);
    }
    run_on(home);
    // A child without lines in the race has said that it is there, which is all.
    if !pcs.is_empty() {
        answer(&process.inherited.ends[task.idx()], &Reply { raced, ..Reply::done(0) });
    }
}

/// The instructions of a child in the race that it is born in.
fn childs(program: &Program, fork: Pc, task: TaskId) -> (Vec<u16>, Vec<i32>) {
    let race = program.code[fork.idx()].race;
    let is_its = |pc: &usize| program.code[*pc].race == race && program.code[*pc].task == task;
    let pcs: Vec<u16> = (fork.idx()..program.code.len()).filter(is_its).map(|pc| pc as u16).collect();
    let pids = vec![rustix::process::getpid().as_raw_nonzero().get(); pcs.len()];
    (pcs, pids)
}

/// What nothing announced ends an actor's part.
fn goes_on(program: &Program, pc: u16, reply: &Reply) -> bool {
    let announced = |failure: Failure| match program.code[usize::from(pc)].ending {
        Ending::Fails(wanted) => wanted == failure,
        Ending::Succeeds | Ending::Event(_) => false,
    };
    match &reply.failed {
        None => true,
        Some(failed) => failed.failure().is_some_and(announced),
    }
}

/// Waits until all who take part are there.
pub(super) fn meet(meeting: &AtomicU32, racers: u32) {
    meeting.fetch_add(1, Ordering::SeqCst);
    let begun = Instant::now();
    while meeting.load(Ordering::SeqCst) < racers {
        for _ in 0..SPINS {
            if racers <= meeting.load(Ordering::Relaxed) {
                return;
            }
            std::hint::spin_loop();
        }
        if OTHERS < begun.elapsed() {
            return;
        }
        sched_yield();
    }
}

pub(super) fn spin(times: u64) {
    for _ in 0..times {
        std::hint::spin_loop();
    }
}

fn run_on(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    let _ = sched_setaffinity(None, &cpus);
}

/// Nanoseconds of a clock that all processes share.
pub(super) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// Delays in spins, each from the one before: of all lengths up to the longest alike often, as many of them none.
pub(super) struct Delays(pub u64);

impl Delays {
    /// The next 64 bits; SplitMix64.
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn next(&mut self) -> u64 {
        let mixed = self.bits();
        let log2 = mixed % (2 * DELAY_LOG2);
        if log2 < DELAY_LOG2 { (mixed >> 32) % (1 << log2) } else { 0 }
    }
}

/// What the delays of one racer come from.
pub(super) fn seed_of(seed: u64, round: u32, racer: usize) -> u64 {
    Delays(seed ^ u64::from(round) << 20 ^ (racer as u64) << 56).bits()
}

/// Processes that a race brings forth, and in which of its instructions.
pub(super) fn born_in(program: &Program, pcs: std::ops::Range<usize>) -> Vec<(ProcId, Pc)> {
    pcs.filter_map(|pc| if let Op::Fork { child } = program.code[pc].op { Some((child, Pc::at(pc))) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_of_all_lengths_and_the_same_for_the_same_seed() {
        let drawn = |seed| {
            let mut delays = Delays(seed);
            (0..1000).map(|_| delays.next()).collect::<Vec<_>>()
        };
        let all = drawn(7);
        assert_eq!(all, drawn(7));
        assert_ne!(all, drawn(8));
        assert!(all.iter().all(|delay| *delay < 1 << DELAY_LOG2));
        for log2 in 2..14 {
            assert!(all.iter().any(|delay| (1 << (log2 - 1)..1 << log2).contains(delay)), "none of about 2^{log2}");
        }
        assert!(200 < all.iter().filter(|delay| **delay == 0).count());
    }

    #[test]
    fn each_racer_of_each_round_has_delays_of_its_own() {
        let mut seeds: Vec<u64> = (0..50).flat_map(|round| (0..4).map(move |racer| seed_of(1, round, racer))).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 200);
    }
}
