//! Ends of lines that depend on what the model leaves open: from there on two stories cannot be held against each other.

use std::collections::BTreeSet;

use super::story::{AROUND, At, Difference, ZERO_PTES};
use crate::check::facts::name;
use crate::ir::{Op, Program};

/// Why a call of userfaultfd may fail in one of two ways.
pub(super) const TABLES: &str = "whether UFFDIO_MOVE misses the source or finds the destination taken: without a page table for the source, \
     which other mappings may have brought, it is told first (mm/userfaultfd.c, `move_pages`), and the model knows of no tables";

/// What a story has left open before a line.
pub(super) struct Before<'a> {
    /// Pages of which nobody says whether they are the zero page or nothing.
    pub zero: &'a BTreeSet<At>,
    /// Pages of files that only the kernel has mapped.
    pub around: &'a BTreeSet<At>,
    /// The line's place in the story.
    pub line: usize,
}

/// Why the two may say different things of how a line ended; `None` where they may not.
pub(super) fn ending(program: &Program, difference: &Difference, before: &Before<'_>) -> Option<&'static str> {
    if difference.what != "ended" {
        return None;
    }
    let op = program.code.get(difference.pc.idx())?.op;
    let area = if let Op::UffdMove { to, .. } = op { to } else { op.area()? };
    let was = |open: &BTreeSet<At>| {
        area.pages()
            .map(|vpn| name(program, area.proc, vpn))
            .any(|page| open.iter().any(|at| at.0 < before.line && at.1 == page))
    };
    let says = |one: &str, other: &str| {
        let (engine, kernel) = (&*difference.engine, &*difference.kernel);
        (engine, kernel) == (one, other) || (engine, kernel) == (other, one)
    };
    match op {
        Op::UffdMove { .. } if says("fails ENOENT", "fails EEXIST") => Some(TABLES),
        Op::UffdCopy { .. } | Op::UffdZeropage { .. } | Op::UffdMove { .. }
            if says("ok", "fails EEXIST") && was(before.zero) =>
        {
            Some(ZERO_PTES)
        }
        Op::Read { .. } | Op::Write { .. } if says("ok", "event missing") && was(before.zero) => Some(ZERO_PTES),
        Op::Read { .. } | Op::Write { .. } if says("ok", "event minor") && was(before.around) => Some(AROUND),
        Op::UffdContinue { .. } if says("ok", "fails EEXIST") && was(before.around) => Some(AROUND),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{self, Options};
    use crate::diag::Source;
    use crate::types::Pc;

    fn reason(text: &str, pc: usize, engine: &str, kernel: &str, zero: &[&str], around: &[&str]) -> Option<&'static str> {
        let mut nothing = |_: &str, path: &str| Err(path.to_owned());
        let report = analysis::run(Source::new("a.cow".to_owned(), text.to_owned()), &mut nothing, &Options::default());
        let program = &report.scenarios.first().expect("a scenario").scenario.program;
        let open = |pages: &[&str]| pages.iter().map(|page| (1, (*page).to_owned())).collect::<BTreeSet<At>>();
        let own = str::to_owned;
        let difference = Difference { pc: Pc::at(pc), what: own("ended"), engine: own(engine), kernel: own(kernel) };
        ending(program, &difference, &Before { zero: &open(zero), around: &open(around), line: pc })
    }

    const FILL: &str = "scenario a {\n p: mmap m 2 pages\n p: uffd register m missing\n p: uffd copy m[1] 2\n}\n";
    const MOVE: &str = "scenario a {\n p: mmap m 1 page\n p: mmap n 1 page\n p: write m 1\n p: write n 1\n \
                        p: uffd register m missing\n p: uffd move n -> m fails EEXIST\n}\n";

    #[test]
    fn a_page_that_may_be_there_already_is_filled_or_not() {
        assert_eq!(reason(FILL, 2, "ok", "fails EEXIST", &["p.m[1]"], &[]), Some(ZERO_PTES));
        assert_eq!(reason(FILL, 2, "fails EEXIST", "ok", &["p.m[1]"], &[]), Some(ZERO_PTES));
        assert_eq!(reason(FILL, 2, "ok", "fails EEXIST", &["p.m[0]"], &["p.m[1]"]), None, "another page");
        assert_eq!(reason(FILL, 1, "ok", "fails EEXIST", &["p.m[1]"], &[]), None, "not known yet");
        assert_eq!(reason(FILL, 2, "ok", "fails ENOENT", &["p.m[1]"], &[]), None, "another failure");
    }

    #[test]
    fn a_move_without_a_source_onto_a_page_fails_either_way_and_no_third() {
        assert_eq!(reason(MOVE, 5, "fails EEXIST", "fails ENOENT", &[], &[]), Some(TABLES));
        assert_eq!(reason(MOVE, 5, "fails EEXIST", "fails EINVAL", &[], &[]), None);
        assert_eq!(reason(MOVE, 5, "fails EEXIST", "ok", &[], &[]), None);
    }
}
