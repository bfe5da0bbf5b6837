//! One operation, all invariants, one copy with its fingerprint: on the small state, in nanoseconds and allocations.
//!
//! `cargo bench --bench engine`

use std::ops::ControlFlow;

use cowl::check::invariants::Books;
use cowl::ideal::Ideal;
use cowl::ir::Program;
use cowl::observe::Seen;
use cowl::policy::{Policy, builtin};
use cowl::run::{End, Watch, World, drive};
use cowl::state::State;
use cowl::types::{Pc, Small};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// Two processes, four pages, pins, gets, forks and protection changes: 24 operations.
const PROGRAM: &str = r#"
scenario many-things {
    p: mmap a 2 pages ; p: mmap b 2 pages
    p: write a 1 ; p: read a ; p: write b[0] 2 ; p: read b[1]
    p: pin a[0] rw -> nic ; p: fork c ; p: write a 3 ; c: read a
    c: vmsplice b[0] -> pipe ; c: munmap b ; p: write b[0] 4 ; c: peek pipe
    p: mprotect a ro ; p: mprotect a rw ; p: write a[0] 5 ; p: read a[0]
    p: clear_refs ; p: write a 6 ; p: unpin nic ; c: write a[1] 7
    c: exit ; p: write a 8
}
"#;

fn program() -> Program {
    let (file, mistakes) = cowl::syntax::parse(PROGRAM);
    let (lowered, wrong) = cowl::lower::lower("bench", &file, &mistakes, &mut |_, _| Err("nothing is included".into()));
    assert!(mistakes.is_empty() && wrong.is_empty(), "{wrong:?}");
    lowered.scenarios.into_iter().next().expect("the text has one scenario").program
}

fn policies() -> impl Iterator<Item = &'static str> {
    ["linux-5.7", "linux-5.9", "linux-7.3"].into_iter()
}

fn policy(name: &str) -> Policy {
    builtin().iter().find(|named| named.name == name).expect("a built-in policy").policy
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

/// The state where most is going on.
fn busy(program: &Program, policy: &Policy) -> State<Small> {
    struct Until(usize);
    impl Watch<Small, ()> for Until {
        fn ended(&mut self, _: &World<'_, Small, ()>, pc: Pc, _: End) -> ControlFlow<()> {
            if pc.idx() == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut world = World::<Small, ()>::new(program, policy, ());
    drive(&mut world, &mut Until(19));
    world.st
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
