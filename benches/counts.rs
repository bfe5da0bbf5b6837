//! The same as `engine`, in instructions: these do not depend on who else uses the machine.
//!
//! `cargo bench --bench counts`, with valgrind and `cargo install gungraun-runner`.

mod programs;

use std::hint::black_box;

use cowl::check::invariants::{Books, Broken};
use cowl::ir::Program;
use cowl::policy::Policy;
use cowl::run::{World, drive};
use cowl::state::State;
use cowl::types::Small;
use gungraun::{library_benchmark, library_benchmark_group, main};
use programs::{busy, policy, program};

fn world(name: &str) -> (Program, Policy) {
    (program(), policy(name))
}

fn judged(name: &str) -> (Books, State<Small>) {
    let (program, policy) = world(name);
    (Books::new(&program, &policy), busy(&program, &policy))
}

// 24 operations.
#[library_benchmark]
#[bench::before_refcounts(setup = world, args = ("linux-5.7"))]
#[bench::refcounts(setup = world, args = ("linux-5.9"))]
#[bench::exclusive_bit(setup = world, args = ("linux-7.3"))]
fn operations((program, policy): (Program, Policy)) -> State<Small> {
    let mut world = World::<Small, ()>::new(&program, &policy, ());
    drive(&mut world, &mut ());
    world.st
}

#[library_benchmark]
#[bench::busy(setup = judged, args = ("linux-7.3"))]
fn invariants((books, state): (Books, State<Small>)) -> Option<Broken> {
    black_box(&books).broken(black_box(&state))
}

#[library_benchmark]
#[bench::busy(setup = judged, args = ("linux-7.3"))]
fn copy_and_fingerprint((_, state): (Books, State<Small>)) -> u64 {
    let copy = black_box(*black_box(&state));
    copy.fingerprint()
}

library_benchmark_group!(name = engine; benchmarks = operations, invariants, copy_and_fingerprint);
main!(library_benchmark_groups = engine);
