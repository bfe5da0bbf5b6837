//! What the engine is measured on.

use std::ops::ControlFlow;

use cowl::ir::Program;
use cowl::policy::{Policy, builtin};
use cowl::run::{End, Watch, World, drive};
use cowl::state::State;
use cowl::types::{Pc, Small};

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

/// The program of the benchmarks.
pub fn program() -> Program {
    let (file, mistakes) = cowl::syntax::parse(PROGRAM);
    let (lowered, wrong) = cowl::lower::lower("bench", &file, &mistakes, &mut |_, _| Err("nothing is included".into()));
    assert!(mistakes.is_empty() && wrong.is_empty(), "{wrong:?}");
    lowered.scenarios.into_iter().next().expect("the text has one scenario").program
}

/// A built-in policy.
pub fn policy(name: &str) -> Policy {
    builtin().iter().find(|named| named.name == name).expect("a built-in policy").policy
}

/// The state where most is going on.
pub fn busy(program: &Program, policy: &Policy) -> State<Small> {
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
