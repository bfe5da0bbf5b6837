//! One operation, all invariants, one copy with its fingerprint: on the small state, in nanoseconds and allocations.
//!
//! `cargo bench --bench engine`

mod programs;

use std::ops::ControlFlow;

use cowl::check::invariants::Books;
use cowl::ideal::Ideal;
use cowl::ir::Program;
use cowl::observe::Seen;
use cowl::run::{End, Watch, World, drive};
use cowl::types::{Pc, Small};
use divan::Bencher;
use divan::counter::ItemsCount;
use programs::{busy, policy, program};

fn main() {
    divan::main();
}

fn policies() -> impl Iterator<Item = &'static str> {
    ["linux-5.7", "linux-5.9", "linux-7.3"].into_iter()
}

#[divan::bench(args = policies())]
fn operation(bencher: Bencher, name: &str) {
    let (program, policy) = (program(), policy(name));
    bencher.counter(ItemsCount::new(program.code.len())).bench(|| {
        let mut world = World::<Small, ()>::new(&program, &policy, ());
        drive(&mut world, &mut ());
        world.st
    });
}

#[divan::bench(args = policies())]
fn invariants(bencher: Bencher, name: &str) {
    let (program, policy) = (program(), policy(name));
    let (state, books) = (busy(&program, &policy), Books::new(&program, &policy));
    bencher.bench(|| books.broken(divan::black_box(&state)));
}

#[divan::bench]
fn copy_and_fingerprint(bencher: Bencher) {
    let (program, policy) = (program(), policy("linux-7.3"));
    let state = busy(&program, &policy);
    bencher.bench(|| {
        let copy = divan::black_box(*divan::black_box(&state));
        copy.fingerprint()
    });
}

/// The ideal world beside the engine, as fuzzing runs them.
#[divan::bench(args = policies())]
fn checked_operation(bencher: Bencher, name: &str) {
    struct Both<'a>(&'a Program, Ideal<Small>, Books, u32);
    impl Watch<Small, ()> for Both<'_> {
        fn committed(&mut self, _: &World<'_, Small, ()>, pc: Pc, page: u16, len: u16, seen: Seen) {
            for page in page..page + len {
                self.3 += u32::from(!self.1.apply(self.0, pc, page).allows(seen));
            }
        }
        fn ended(&mut self, world: &World<'_, Small, ()>, _: Pc, _: End) -> ControlFlow<()> {
            self.3 += u32::from(self.2.broken(&world.st).is_some());
            ControlFlow::Continue(())
        }
    }
    let (program, policy) = (program(), policy(name));
    bencher.counter(ItemsCount::new(program.code.len())).bench(|| {
        let mut world = World::<Small, ()>::new(&program, &policy, ());
        let mut both = Both(&program, Ideal::new(&program), Books::new(&program, &policy), 0);
        drive(&mut world, &mut both);
        both.3
    });
}
