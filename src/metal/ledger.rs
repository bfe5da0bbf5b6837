//! What kernels were seen to do, a row for each scenario and kernel, kept in `corpus/ledger.tsv`.

use super::story::{Entry, digest};

/// The first line of the file.
pub const HEAD: &str = "release\tdate\tfile\tscenario\tkind\tpolicy\toutcome\tfacts\tdigest";

/// A row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Row {
    /// `uname -r`.
    pub release: String,
    /// The day it was seen, as `2026-11-22`.
    pub date: String,
    /// The scenario file, from the repository's root.
    pub file: String,
    pub scenario: String,
    /// The kind of memory; `-` where there is none.
    pub kind: String,
    /// The policy that it was compared with.
    pub policy: String,
    /// `ok`, `leak`.
    pub outcome: String,
    /// The facts that could be seen, with commas.
    pub facts: String,
    /// [`digest`] of the story told in these facts, in hexadecimal digits.
    pub digest: String,
}

impl Row {
    /// The digest as it stands in a row.
    pub fn digest_of(told: &[Entry]) -> String {
        format!("{:016x}", digest(told))
    }

    /// A line of the file; `None` where it has another number of columns.
    pub fn read(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [release, date, file, scenario, kind, policy, outcome, facts, digest] = columns.try_into().ok()?;
        let own = str::to_owned;
        Some(Self {
            release: own(release),
            date: own(date),
            file: own(file),
            scenario: own(scenario),
            kind: own(kind),
            policy: own(policy),
            outcome: own(outcome),
            facts: own(facts),
            digest: own(digest),
        })
    }
}

/// As it stands in the file.
impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { release, date, file, scenario, kind, policy, outcome, facts, digest } = self;
        write!(f, "{release}\t{date}\t{file}\t{scenario}\t{kind}\t{policy}\t{outcome}\t{facts}\t{digest}")
    }
}
