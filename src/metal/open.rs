//! Differences in what the model leaves open: from there on two stories cannot be held against each other.

use std::collections::BTreeSet;

use super::story::{AROUND, At, Difference, ZERO_PTES};
use crate::check::facts::name;
use crate::ir::{Advice, Area, Mem, MemKind, Op, Program, Prot};

/// Why a call of userfaultfd may fail in one of two ways.
pub(super) const TABLES: &str = "whether UFFDIO_MOVE misses the source or finds the destination taken: without a page table for the source, \
     which other mappings may have brought, it is told first (mm/userfaultfd.c, `move_pages`), and the model knows of no tables";

/// What 6.1 leaves as it is although it was asked not to.
const MERGED: &str = "merged pages that nobody may touch: 6.1 does not find them when it unmerges (mm/ksm.c, `break_ksm`, between \
     474098edac26 and 6.2), and the model does";

/// What a child has of its parent's.
const BITS: &str = "uffd-wp bits of a child's huge pages: before 6.4 fork hands them on although nobody watches the child's memory \
     (mm/hugetlb.c, `copy_hugetlb_page_range`, 5a2f8d22ace4), and the model does not";

/// What a fault finds in the swap cache.
const CACHED: &str = "which ptes a fault maps besides its own where the swap cache has the whole large folio: since 6.11 all of them \
     (mm/memory.c, `do_swap_page`), and the model one";

/// What mprotect leaves of ptes that it takes together.
const BATCH: &str = "soft-dirty bits of a large folio's pages after mprotect: since 6.17 it takes its ptes in batches, and one that is \
     dirty makes the first soft-dirty (mm/mprotect.c, `change_pte_range`; measured on 6.18.15), and the model takes each by itself";

/// Why the two may say different things after a line; `None` where they may not.
pub(super) fn why(program: &Program, difference: &Difference, before: &Before<'_>) -> Option<&'static str> {
    ending(program, difference, before).or_else(|| fact(program, difference))
}

/// The same where they differ in a fact of a page.
fn fact(program: &Program, difference: &Difference) -> Option<&'static str> {
    let (page, what) = difference.what.split_once(' ')?;
    let has = |area: Area| area.pages().any(|vpn| name(program, area.proc, vpn) == page);
    let is_large = |mem: &Mem| matches!(mem.kind, MemKind::Thp | MemKind::Mthp { .. });
    let (engine, kernel) = (&*difference.engine, &*difference.kernel);
    match (program.code.get(difference.pc.idx())?.op, what) {
        (Op::Madvise { advice: Advice::Unmergeable, .. } | Op::KsmUnmerge { .. }, "frame" | "kind" | "mapcount") => {
            let before = program.code[..difference.pc.idx()].iter().rev();
            let mut protections = before.filter_map(|instr| match instr.op {
                Op::Mprotect { area, prot } if has(area) => Some(prot),
                _ => None,
            });
            (protections.next() == Some(Prot::None)).then_some(MERGED)
        }
        (Op::Fork { child }, "uffd_wp") if (engine, kernel) == ("false", "true") => {
            let huge = program.mems.iter().filter(|mem| matches!(mem.kind, MemKind::Hugetlb { .. }));
            huge.into_iter().any(|mem| has(Area { proc: child, ..mem.area })).then_some(BITS)
        }
        (Op::Mprotect { .. }, "soft_dirty") if (engine, kernel) == ("false", "true") => {
            program.mems.iter().any(|mem| is_large(mem) && has(mem.area)).then_some(BATCH)
        }
        (Op::Read { .. } | Op::Write { .. }, "frame") if engine == "none" && kernel.starts_with("nothing of it") => {
            let swaps = |op| matches!(op, Op::Pageout { .. } | Op::Madvise { advice: Advice::Pageout, .. });
            let swapped = program.code[..difference.pc.idx()].iter().any(|instr| swaps(instr.op));
            (swapped && program.mems.iter().any(|mem| is_large(mem) && has(mem.area))).then_some(CACHED)
        }
        _ => None,
    }
}

/// What a story has left open before a line.
pub(super) struct Before<'a> {
    /// Pages of which nobody says whether they are the zero page or nothing.
    pub zero: &'a BTreeSet<At>,
    /// Pages of files that only the kernel has mapped.
    pub around: &'a BTreeSet<At>,
    /// The line's place in the story.
    pub line: usize,
}

/// The same where they differ in how the line ended.
fn ending(program: &Program, difference: &Difference, before: &Before<'_>) -> Option<&'static str> {
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
        told(text, (pc, "ended"), [engine, kernel], zero, around)
    }

    fn told(
        text: &str,
        (pc, what): (usize, &str),
        [engine, kernel]: [&str; 2],
        zero: &[&str],
        around: &[&str],
    ) -> Option<&'static str> {
        let mut nothing = |_: &str, path: &str| Err(path.to_owned());
        let report = analysis::run(Source::new("a.cow".to_owned(), text.to_owned()), &mut nothing, &Options::default());
        let program = &report.scenarios.first().expect("a scenario").scenario.program;
        let open = |pages: &[&str]| pages.iter().map(|page| (1, (*page).to_owned())).collect::<BTreeSet<At>>();
        let own = str::to_owned;
        let difference = Difference { pc: Pc::at(pc), what: own(what), engine: own(engine), kernel: own(kernel) };
        why(program, &difference, &Before { zero: &open(zero), around: &open(around), line: pc })
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

    #[test]
    fn what_nobody_may_touch_stays_merged_and_what_may_be_touched_does_not() {
        let text = |prot: &str| {
            format!(
                "scenario a {{\n p: mmap m 2 pages\n p: write m 1\n kernel: ksm_merge p.m[0] p.m[1]\n p: mprotect m {prot}\n p: \
                 madvise m unmergeable\n}}\n"
            )
        };
        let at = (4, "p.m[1] frame");
        assert_eq!(told(&text("none"), at, ["B", "A"], &[], &[]), Some(MERGED));
        assert_eq!(told(&text("ro"), at, ["B", "A"], &[], &[]), None);
        assert_eq!(told(&text("none"), (4, "p.m[1] value"), ["2", "1"], &[], &[]), None);
    }

    #[test]
    fn a_childs_huge_page_may_have_the_bit_and_no_other_page() {
        let text = |size: &str| {
            format!(
                "scenario a {{\n p: mmap m 1 {size}\n p: write m 1\n p: uffd register m wp\n p: uffd wp m\n p: fork c\n c: read m\n}}\n"
            )
        };
        let at = (4, "c.m[0] uffd_wp");
        assert_eq!(told(&text("hugetlb"), at, ["false", "true"], &[], &[]), Some(BITS));
        assert_eq!(told(&text("hugetlb"), at, ["true", "false"], &[], &[]), None);
        assert_eq!(told(&text("page"), at, ["false", "true"], &[], &[]), None);
    }

    #[test]
    fn the_rest_of_a_thp_may_come_back_from_the_swap_cache_with_one_page() {
        let text = |size: &str, away: &str| {
            format!("scenario a {{\n p: mmap m {size}\n p: write m 1\n kernel: {away} p.m\n p: write m[0] 2\n}}\n")
        };
        let (at, says) = ((3, "p.m[2] frame"), ["none", "nothing of it, but of instruction 3: p.m[2] value 1"]);
        assert_eq!(told(&text("1 thp", "pageout"), at, says, &[], &[]), Some(CACHED));
        assert_eq!(told(&text("4 pages", "pageout"), at, says, &[], &[]), None, "its pages are small");
        assert_eq!(told(&text("1 thp", "split_pmd"), at, says, &[], &[]), None, "nothing was swapped");
        assert_eq!(told(&text("1 thp", "pageout"), at, ["none", "B"], &[], &[]), None, "another page");
    }

    #[test]
    fn protection_of_a_large_folio_may_make_its_first_page_soft_dirty() {
        let text =
            |size: &str| format!("scenario a {{\n p: mmap m {size}\n p: write m 1\n p: mprotect m ro\n p: mprotect m rw\n}}\n");
        let at = (3, "p.m[0] soft_dirty");
        assert_eq!(told(&text("1 thp"), at, ["false", "true"], &[], &[]), Some(BATCH));
        assert_eq!(told(&text("1 thp"), at, ["true", "false"], &[], &[]), None);
        assert_eq!(told(&text("2 pages"), at, ["false", "true"], &[], &[]), None);
    }
}
