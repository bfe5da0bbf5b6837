//! The bug bank: bugs that are there, and whether the hunt finds them. A bug it cannot find is a bug of the hunt.
//!
//! A row is an old release with what it is known for, or the newest release with one check left out
//! ([`crate::policy::Defect`]). A new defect that no release had is a row by itself.

use super::finding::{Finding, Relation};
use super::hunt::{Hunt, Plan, Shard, Turn};
use super::is_drawn;
use crate::generate::Settings;
use crate::ir::{MemKind, Op, Verb};
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
    /// The check that is left out.
    pub defect: Option<Defect>,
    /// Whether a finding is this bug and not another of its policy's.
    shows: fn(&Finding) -> bool,
}

/// What a hunt came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Programs run until it was found.
    pub executions: u64,
    /// Statements of the reduced scenario.
    pub statements: usize,
    pub signature: String,
}

const fn old(name: &'static str, base: &'static str, shows: fn(&Finding) -> bool) -> Entry {
    Entry { name, base, defect: None, shows }
}

/// Whether the program says a verb.
fn says(finding: &Finding, verb: Verb) -> bool {
    finding.scenario.program.code.iter().any(|instr| instr.op.verb() == verb)
}

/// Whether the program maps memory of a kind.
fn maps(finding: &Finding, kind: MemKind) -> bool {
    finding.scenario.program.mems.iter().any(|mem| mem.kind == kind)
}

fn is(finding: &Finding, what: &str, invariant: &str) -> bool {
    finding.signature.what == what && finding.signature.invariant == Some(invariant)
}

/// Whether a pin for reading is what it is about.
fn reads(finding: &Finding) -> bool {
    finding.scenario.program.code.iter().any(|instr| matches!(instr.op, Op::Pin { write: false, .. }))
}

/// What old releases and proposals are known for.
const OLD: &[Entry] = &[
    old("B1: a child's vmsplice reference sees its parent's store", "linux-5.7", |found| {
        is(found, "leak", "I2") && says(found, Verb::Vmsplice) && found.signature.by == Relation::Parent
    }),
    old("B1b: a parent's vmsplice reference sees its child's store", "linux-5.8", |found| {
        is(found, "leak", "I2") && says(found, Verb::Vmsplice) && found.signature.by == Relation::Child
    }),
    old("B6: fork detaches a DMA target", "linux-5.8", |found| {
        found.signature.invariant == Some("I3") && says(found, Verb::Fork)
    }),
    old("B9: clear_refs detaches a pin", "linux-5.9", |found| {
        found.signature.invariant == Some("I3") && says(found, Verb::ClearRefs)
    }),
    old("B10: mprotect detaches a pin", "linux-5.17", |found| {
        found.signature.invariant == Some("I3") && says(found, Verb::Mprotect)
    }),
    old("B12: a child's vmsplice reference to a THP sees its parent's store", "linux-5.9", |found| {
        is(found, "leak", "I2") && maps(found, MemKind::Thp) && found.signature.by == Relation::Parent
    }),
    old("B18b: swap-in keeps a page that a child's reference sees", "linux-5.12", |found| {
        is(found, "leak", "I2") && says(found, Verb::Pageout) && found.signature.by == Relation::Parent
    }),
    old("B27: fork detaches a pin of hugetlb memory", "linux-5.11", |found| {
        found.signature.invariant == Some("I3") && says(found, Verb::Fork) && maps(found, MemKind::Hugetlb { order: None })
    }),
    old("B11: uffd-wp detaches a pin", "linux-5.17", |found| {
        found.signature.invariant == Some("I3") && says(found, Verb::UffdWp)
    }),
    old("B24: a longterm read pin holds the zero page", "linux-6.1", |found| is(found, "lost", "I4") && reads(found)),
    old("S18: a read pin of a fork-shared page goes stale", "linux-5.12", |found| {
        is(found, "lost", "I4") && says(found, Verb::Fork)
    }),
    old("S19: a read pin after the child has gone", "linux-5.12", |found| is(found, "lost", "I4") && !says(found, Verb::Fork)),
    old("P1: a pinned page is not write-protected for uffd", "linus-2021", |found| found.signature.what == "missed"),
    old("P2: a get and a fork", "andrea-2021", |found| is(found, "leak", "I2") && says(found, Verb::Vmsplice)),
    old("P3: unshared at the pin, copied at the store", "hildenbrand-2021", |found| is(found, "lost", "I4")),
    old("P4: a read pin of a page without the bit", "gunthorpe-2021", |found| is(found, "lost", "I4")),
];

/// Every bug that the hunt has to find: those of old policies, and each defect that no kernel had in the newest release.
pub fn bank() -> Vec<Entry> {
    let invented = <Defect as strum::VariantArray>::VARIANTS.iter().copied();
    let invented = invented.filter(|defect| !defect.to_string().starts_with('B') && !RACING.contains(defect));
    let planted = |defect: Defect| Entry {
        name: policy::describe_defect(defect).trim().trim_end_matches('.'),
        base: policy::LATEST_NAME,
        defect: Some(defect),
        shows: |_| true,
    };
    OLD.iter().copied().chain(invented.map(planted)).collect()
}

/// The policy of a row.
pub fn policy(entry: &Entry) -> Policy {
    let base = policy::find(entry.base).expect("cowl bug: a row of the bank names no policy").policy;
    let planted = entry.defect.map_or(base.defects, |defect| base.defects.with(&[defect]));
    Policy { defects: planted, ..base }
}

/// Hunts one bug; `None` where `executions_max` programs did not show it.
pub fn hunted(entry: &Entry, seed: u64, statements: usize, executions_max: u64) -> Option<Found> {
    let settings = Settings { statements, ..Settings::new(is_drawn).scaled() };
    let shard = Shard { nth: 0, of: 1 };
    let plan = Plan { seed, shard, policy_name: entry.base.to_owned(), policy: policy(entry), settings, every: true };
    let mut hunt = Hunt::new(plan);
    for executions in 1..=executions_max {
        let Turn::Caught(signature) = hunt.turn() else { continue };
        let caught = &hunt.caught[&signature];
        if caught.known.is_none() && (entry.shows)(&caught.finding) {
            let statements = caught.finding.scenario.program.code.len();
            return Some(Found { executions, statements, signature: signature.to_string() });
        }
    }
    None
}

/// Defects that only show while two actors are under way at once: no order of whole lines does, so the search has them.
const RACING: &[Defect] = &[Defect::ForkKeepsMigrationKind];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bank_has_forty_bugs() {
        assert!(40 <= bank().len(), "{}", bank().len());
    }

    /// Gallery bugs that are found again from nothing within what a test may take, and the scenario that somebody wrote of each.
    /// B12, B18b and B27 take longer: `cowl fuzz --bank`.
    const AGAIN: &[(&str, &str)] = &[
        ("B1:", "corpus/gallery/vmsplice-child-sees-parents-later-write.cow"),
        ("B6:", "corpus/gallery/fork-detaches-a-dma-target.cow"),
        ("B9:", "corpus/gallery/clear-refs-detaches-a-pin.cow"),
        ("B10:", "corpus/gallery/mprotect-detaches-a-pin.cow"),
    ];

    #[test]
    fn gallery_bugs_are_found_again_from_nothing_in_no_more_statements_than_were_written_by_hand() {
        for (name, path) in AGAIN {
            let text = std::fs::read_to_string(path).expect("a scenario of the corpus");
            let (file, mistakes) = crate::syntax::parse(&text);
            let (lowered, _) = crate::lower::lower(path, &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
            let by_hand = lowered.scenarios[0].program.code.len();
            let entry = OLD.iter().find(|entry| entry.name.starts_with(name)).expect("a row of the bank");
            let found = hunted(entry, 1, 24, 100_000).unwrap_or_else(|| panic!("{name} is not found"));
            assert!(
                found.statements <= by_hand,
                "{name} {} statements, {by_hand} by hand: {}",
                found.statements,
                found.signature
            );
        }
    }

    /// The whole table is `cowl fuzz --bank`; here only that every row is found at all, within what a test may take.
    #[test]
    fn most_bugs_of_the_bank_are_found_within_few_programs() {
        let found = bank().iter().filter(|entry| hunted(entry, 1, 24, 1_000).is_some()).count();
        assert!(bank().len() / 2 < found, "{found} of {}", bank().len());
    }
}
