//! The bug bank: bugs that are there, and whether the hunt finds them. A bug it cannot find is a bug of the hunt.
//!
//! A row is an old release or a proposal with something it is known for, or the newest release with one check left out
//! ([`crate::policy::Defect`]). A new defect that no release had is a row by itself.

use super::exec::{self, Look, Wrong};
use super::finding::{Finding, Relation, examine};
use super::hunt::{Claim, Hunt, Plan, Shard};
use super::{crash, reduce};
use crate::generate::Settings;
use crate::generate::everything;
use crate::ir::{MemKind, Op, Program, Verb};
use crate::policy::{self, Defect, Policy};

/// Seeds that each row is hunted with.
pub const SEEDS: u64 = 5;

/// Programs after which a hunt gives up.
pub const EXECUTIONS_MAX: u64 = 2_000_000;

/// A bug that is there.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its number in the gallery, or the name of the defect.
    pub name: &'static str,
    /// The policy that has it, or that the defect is planted in.
    pub base: &'static str,
    shows: Shows,
}

/// How a program is told to show a bug, and not another of the same policy's.
#[derive(Clone, Copy)]
enum Shows {
    /// By what is broken, and what the reduced program says.
    Known(Marks),
    /// It goes wrong with the check left out and not with the check.
    Planted(Defect),
}

/// What a reduced program that shows a bug of an old policy looks like.
#[derive(Clone, Copy)]
struct Marks {
    /// `leak`, `lost`, `missed`.
    what: &'static str,
    invariant: Option<&'static str>,
    by: Option<Relation>,
    /// The rule that decided.
    rule: Option<&'static str>,
    says: &'static [Verb],
    never: &'static [Verb],
    maps: MemKind,
    /// A pin for reading is what it is about.
    reads: bool,
}

/// What a hunt came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Programs run until it was found.
    pub executions: u64,
    /// The reduced scenario.
    pub finding: Finding,
}

const LEAK: Marks = Marks {
    what: "leak",
    invariant: Some("I2"),
    by: None,
    rule: None,
    says: &[],
    never: &[],
    maps: MemKind::Pages,
    reads: false,
};
const LOST: Marks = Marks { what: "lost", invariant: Some("I3"), ..LEAK };
const STALE: Marks = Marks { what: "lost", invariant: Some("I4"), reads: true, ..LEAK };
const MISSED: Marks = Marks { what: "missed", invariant: None, ..LEAK };

const fn old(name: &'static str, base: &'static str, marks: Marks) -> Entry {
    Entry { name, base, shows: Shows::Known(marks) }
}

/// What old releases and proposals are known for.
const OLD: &[Entry] = &{
    use Relation::{Child, Parent};
    use Verb::{ClearRefs, Fork, Mprotect, Pageout, UffdWp, Vmsplice};
    let huge = MemKind::Hugetlb { order: None };
    [
        old(
            "B1: a child's vmsplice reference sees its parent's store",
            "linux-5.7",
            Marks { by: Some(Parent), says: &[Vmsplice], ..LEAK },
        ),
        old(
            "B1b: a parent's vmsplice reference sees its child's store",
            "linux-5.8",
            Marks { by: Some(Child), says: &[Vmsplice], ..LEAK },
        ),
        old("B6: fork detaches a DMA target", "linux-5.8", Marks { says: &[Fork], ..LOST }),
        old("B9: clear_refs detaches a pin", "linux-5.9", Marks { says: &[ClearRefs], ..LOST }),
        old("B10: mprotect detaches a pin", "linux-5.17", Marks { says: &[Mprotect], ..LOST }),
        old("B11: uffd-wp detaches a pin", "linux-5.17", Marks { says: &[UffdWp], ..LOST }),
        old(
            "B12: a child's vmsplice reference to a THP sees its parent's store",
            "linux-5.9",
            Marks { by: Some(Parent), rule: Some("huge::decide_pmd"), maps: MemKind::Thp, ..LEAK },
        ),
        old(
            "B18b: swap-in keeps a page that a child's reference sees",
            "linux-5.12",
            Marks { by: Some(Parent), rule: Some("swap::decide_swapin"), says: &[Pageout], ..LEAK },
        ),
        old("B27: fork detaches a pin of hugetlb memory", "linux-5.11", Marks { says: &[Fork], maps: huge, ..LOST }),
        old("B24: a longterm read pin holds the zero page", "linux-6.1", STALE),
        old("S18: a read pin of a fork-shared page goes stale", "linux-5.12", Marks { says: &[Fork], ..STALE }),
        old(
            "S12: a read pin goes stale by mprotect, without a fork",
            "linux-5.12",
            Marks { says: &[Mprotect], never: &[Fork], ..STALE },
        ),
        old("P1: a pinned page is not write-protected for uffd", "linus-2021", MISSED),
        old("P2: a reference taken before fork sees the child's store", "andrea-2021", Marks { says: &[Vmsplice], ..LEAK }),
        old("P3: unshared at the pin, copied at the store", "hildenbrand-2021", STALE),
        old("P4: a read pin of a page without the bit", "gunthorpe-2021", STALE),
    ]
};

/// Every bug that the hunt has to find: those of old policies, and each defect that no kernel had in the newest release.
pub fn bank() -> Vec<Entry> {
    let invented = <Defect as strum::VariantArray>::VARIANTS.iter().copied();
    let invented = invented.filter(|defect| !defect.to_string().starts_with('B') && !RACING.contains(defect));
    let planted = |defect: Defect| Entry {
        name: policy::describe_defect(defect).trim().trim_end_matches('.'),
        base: planted_in(defect),
        shows: Shows::Planted(defect),
    };
    OLD.iter().copied().chain(invented.map(planted)).collect()
}

/// The policy that a check is left out of: the newest release, or the last in which what it guards can be reached.
fn planted_in(defect: Defect) -> &'static str {
    match defect {
        // From 7.3 on, a write through /proc/PID/mem to read-only memory fails before the check (D7).
        Defect::ForceIgnoresExclusive | Defect::ForceIgnoresTrackers => "linux-6.12",
        _ => policy::LATEST_NAME,
    }
}

impl Marks {
    /// Whether a program has what is asked for beside the violation itself.
    fn are_said(&self, program: &Program) -> bool {
        let says = |verb: &Verb| program.code.iter().any(|instr| instr.op.verb() == *verb);
        let reads = |op: Op| matches!(op, Op::Pin { write: false, .. });
        self.says.iter().all(says)
            && (self.maps == MemKind::Pages || program.mems.iter().any(|mem| mem.kind == self.maps))
            && (!self.reads || program.code.iter().any(|instr| reads(instr.op)))
    }

    fn are_on(&self, finding: &Finding) -> bool {
        let signature = &finding.signature;
        signature.what == self.what
            && (self.invariant.is_none() || signature.invariant == self.invariant)
            && (self.rule.is_none() || signature.rule.map(|(rule, _)| rule) == self.rule)
            && (self.by.is_none() || Some(signature.by) == self.by)
    }
}

impl Entry {
    /// The policy that has it.
    ///
    /// # Panics
    /// With `cowl bug:` where the row names no policy.
    pub fn policy(&self) -> Policy {
        let base = self.base();
        match self.shows {
            Shows::Known(_) => base,
            Shows::Planted(defect) => Policy { defects: base.defects.with(&[defect]), ..base },
        }
    }

    /// The check that is left out, where it is one.
    pub fn defect(&self) -> Option<Defect> {
        match self.shows {
            Shows::Known(_) => None,
            Shows::Planted(defect) => Some(defect),
        }
    }

    fn base(&self) -> Policy {
        policy::find(self.base).expect("cowl bug: a row of the bank names no policy").policy
    }

    /// Whether a program that went wrong may show this bug.
    fn suspects(&self, program: &Program, wrong: Wrong) -> bool {
        match self.shows {
            Shows::Known(marks) => marks.are_said(program),
            Shows::Planted(_) => {
                let without = exec::run(program, &self.base(), Look::Operations, &mut ());
                without.wrong.is_none_or(|other| wrong.pc() < other.pc())
            }
        }
    }

    /// The program reduced, if it shows this bug.
    fn shown(&self, program: &Program, wrong: Wrong) -> Option<Finding> {
        if !self.suspects(program, wrong) {
            return None;
        }
        let policy = self.policy();
        let found = examine(program, &policy)?;
        match self.shows {
            Shows::Known(marks) => {
                let small = if marks.are_on(&found) { reduce::reduced(found, &policy) } else { return None };
                let says_none = |verb: &Verb| small.scenario.program.code.iter().all(|instr| instr.op.verb() != *verb);
                (marks.are_said(&small.scenario.program) && marks.never.iter().all(says_none)).then_some(small)
            }
            Shows::Planted(_) => {
                let small = reduce::reduced(found, &policy);
                examine(&small.scenario.program, &self.base()).is_none().then_some(small)
            }
        }
    }
}

/// Hunts one bug from an empty corpus; `None` where `executions_max` programs did not show it, or somebody said stop.
pub fn hunted(entry: &Entry, seed: u64, statements: usize, executions_max: u64, stop: &dyn Fn() -> bool) -> Option<Found> {
    let settings = Settings { statements, ..Settings::new(everything).scaled() };
    let shard = Shard { nth: 0, of: 1 };
    let plan =
        Plan { seed, shard, policy_name: entry.base.to_owned(), policy: entry.policy(), claim: Claim::Promise, settings };
    let mut hunt = Hunt::new(plan);
    for executions in 1..=executions_max {
        if executions % 1024 == 0 && stop() {
            return None;
        }
        let Some((program, wrong)) = hunt.shot() else { continue };
        // Behind what is wrong our own checks may fail too, so a panic is no finding here.
        if let Ok(Some(finding)) = crash::caught(|| entry.shown(&program, wrong)) {
            return Some(Found { executions, finding });
        }
    }
    None
}

/// Defects that only show while two actors are under way at once: no order of whole lines does. `cowl fuzz --races` and the
/// canaries are about them.
const RACING: &[Defect] = &[
    Defect::ForkKeepsMigrationKind,
    Defect::UnmapForgetsBarrier,
    Defect::FastGupForgetsBarrier,
    Defect::ReuseTestsWithoutLocks,
];

/// Defects that the committed table has no figures for, and why: debts of the search.
pub const OPEN: &[(Defect, &str)] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    /// `tools/bug-bank` writes it; a defect or an old bug that is added is hunted before it is committed.
    #[test]
    fn the_committed_table_has_every_bug_and_each_is_found_but_for_those_that_are_open() {
        let table = include_str!("../../docs/bug-bank.md");
        for entry in bank() {
            if let Some((_, why)) = OPEN.iter().find(|(defect, _)| entry.defect() == Some(*defect)) {
                assert!(table.contains(&format!("| {} | {} | {why} |", entry.name, entry.base)), "{}", entry.name);
                continue;
            }
            let head = format!("| {} | {} | ", entry.name, entry.base);
            let row = table.lines().find_map(|line| line.strip_prefix(&head));
            let row = row.unwrap_or_else(|| panic!("docs/bug-bank.md has no row for `{}`: run tools/bug-bank", entry.name));
            let executions = row.split(" |").next().and_then(|executions| executions.parse::<u64>().ok());
            assert!(executions.is_some_and(|executions| executions <= EXECUTIONS_MAX), "{}: {row}", entry.name);
        }
    }

    #[test]
    fn the_bank_has_forty_bugs() {
        assert!(40 <= bank().len(), "{}", bank().len());
    }

    /// Gallery bugs that are found again from nothing within what a test may take, and the scenario that somebody wrote of each.
    const AGAIN: &[(&str, &str)] = &[
        ("B1:", "corpus/gallery/vmsplice-child-sees-parents-later-write.cow"),
        ("B6:", "corpus/gallery/fork-detaches-a-dma-target.cow"),
        ("B9:", "corpus/gallery/clear-refs-detaches-a-pin.cow"),
        ("B10:", "corpus/gallery/mprotect-detaches-a-pin.cow"),
    ];

    /// Those that take longer: what the committed table says of them.
    const AGAIN_IN_TIME: &[(&str, &str)] = &[
        ("B12:", "corpus/gallery/vmsplice-of-a-thp-sees-later-write.cow"),
        ("B18b:", "corpus/gallery/swap-in-keeps-a-page-with-a-get.cow"),
        ("B27:", "corpus/gallery/fork-detaches-a-hugetlb-pin.cow"),
    ];

    /// How many statements somebody needed.
    fn by_hand(path: &str) -> usize {
        let text = std::fs::read_to_string(path).expect("a scenario of the corpus");
        let (file, mistakes) = crate::syntax::parse(&text);
        let (lowered, _) = crate::lower::lower(path, &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
        lowered.scenarios[0].program.code.len()
    }

    #[test]
    fn the_table_needs_no_more_statements_for_gallery_bugs_than_were_written_by_hand() {
        let table = include_str!("../../docs/bug-bank.md");
        for (name, path) in AGAIN.iter().chain(AGAIN_IN_TIME) {
            let row = table.lines().find(|line| line.starts_with(&format!("| {name}"))).expect("a row of the table");
            let statements = row.split(" | ").nth(4).and_then(|cell| cell.parse::<usize>().ok()).expect("a number");
            assert!(statements <= by_hand(path), "{name} {statements} statements, {} by hand", by_hand(path));
        }
    }

    #[test]
    fn gallery_bugs_are_found_again_from_nothing_in_no_more_statements_than_were_written_by_hand() {
        for (name, path) in AGAIN {
            let by_hand = by_hand(path);
            let entry = OLD.iter().find(|entry| entry.name.starts_with(name)).expect("a row of the bank");
            let found = hunted(entry, 1, 24, 200_000, &|| false).unwrap_or_else(|| panic!("{name} is not found"));
            let statements = found.finding.scenario.program.code.len();
            assert!(statements <= by_hand, "{name} {statements} statements, {by_hand} by hand: {}", found.finding.signature);
        }
    }

    /// The whole table is `cowl fuzz --bank`; here only that every row is found at all, within what a test may take.
    #[test]
    fn most_bugs_of_the_bank_are_found_within_few_programs() {
        let found = bank().iter().filter(|entry| hunted(entry, 1, 24, 1_000, &|| false).is_some()).count();
        assert!(bank().len() / 2 < found, "{found} of {}", bank().len());
    }
}
