//! Races of THPs, in all orders: in a small world, where a PMD maps four pages.

use crate::explore::race;
use crate::ir::{Outcome, Program};
use crate::lower::lower;
use crate::policy;
use crate::syntax::parse;

/// A scenario over `buf`, a THP of four pages that hold 1.
fn program(lines: &str) -> Program {
    let text = format!("scenario small {{\n p: mmap buf 1 mthp 2\n p: write buf 1\n{lines}\n}}\n");
    let (tree, mistakes) = parse(&text);
    let (lowered, more) = lower("small.cow", &tree, &mistakes, &mut |_, path| Err(format!("no file {path}")));
    assert!(mistakes.is_empty() && more.is_empty(), "{text}");
    let mut program = lowered.scenarios.into_iter().next().expect("a scenario").program;
    program.pmd_order = 2;
    program
}

/// Whether some orders, and whether all, come to an outcome.
fn comes(lines: &str, policy: &str, outcome: Outcome) -> (bool, bool) {
    let race = race(&program(lines), &policy::find(policy).expect("a built-in policy").policy);
    assert_eq!(race.bound, None, "{lines}: {} states", race.states);
    let (with, all) = race.reach(outcome);
    (0 < with, with == all)
}

const BY_PTES: &str = " p: mprotect buf[1] ro\n p: mprotect buf[1] rw\n";

#[test]
fn a_lockless_pin_of_a_page_that_is_collapsed_goes_stale_where_the_walk_looks_at_the_pte_alone() {
    let race = "race {\n kernel: collapse p.buf\n p: pin buf[0] rw fast -> nic\n }\n p: write buf[0] 2\n p: peek nic == 2\n";
    let lines = format!("{BY_PTES}{race}");
    for (release, stale) in [("linux-5.19", true), ("linux-6.0", true), ("linux-6.1", false), ("latest", false)] {
        assert_eq!(comes(&lines, release, Outcome::Lost), (stale, false), "{release}");
        assert_eq!(comes(&lines, release, Outcome::Ok), (true, !stale), "{release}");
    }
}

#[test]
fn movers_of_large_folios_are_never_seen_by_those_who_use_them_meanwhile() {
    let store = "p: write buf[0] 2\n";
    let after = " p: read buf[0] == 2\n p: read buf[1..] == 1\n";
    for mover in ["split_folio p.buf", "migrate p.buf", "pageout p.buf", "split_pmd p.buf", "collapse p.buf"] {
        for (before, release) in
            [("", "linux-5.8"), ("", "linux-5.19"), ("", "latest"), (BY_PTES, "linux-5.19"), (BY_PTES, "latest")]
        {
            let lines = format!("{before}race {{\n kernel: {mover}\n {store}}}\n{after}");
            assert_eq!(comes(&lines, release, Outcome::Ok), (true, true), "{release}: {lines}");
        }
    }
}

#[test]
fn a_child_never_sees_what_its_parent_stores_while_a_folio_is_split_or_moves() {
    for mover in ["kernel: split_folio p.buf", "kernel: migrate p.buf", "kernel: collapse p.buf", "p/2: mremap buf -> far"] {
        let lines = format!("{BY_PTES}race {{\n {mover}\n p: fork c\n }}\n");
        let lines = match mover {
            "p/2: mremap buf -> far" => format!("{lines} p: write far[0] 2\n p: read far[1] == 1\n"),
            _ => format!("{lines} p: write buf[0] 2\n c: read buf == 1\n"),
        };
        for release in ["linux-5.19", "latest"] {
            assert_eq!(comes(&lines, release, Outcome::Ok), (true, true), "{release}: {lines}");
        }
    }
}
