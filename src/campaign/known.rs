//! What policies are known to break: data, so that a campaign tells a new violation from one that everybody knows.

use super::finding::{Finding, Signature};
use crate::ir::{Advice, MemKind, Op, Program};

/// A breach that a policy is known for.
pub struct Known {
    /// The policies that have it.
    pub on: On,
    /// Whether a finding, reduced until no statement can go, shows it.
    pub shows: fn(&Signature, &Program) -> bool,
    /// What it is, and where it is written down.
    pub says: &'static str,
}

/// Policies by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// Every policy there is: it lies outside what the knobs decide.
    All,
    /// These.
    These(&'static [&'static str]),
}

/// Every known breach of the newest release. What older policies break is what the gallery and the bug bank are about.
pub const KNOWN: &[Known] = &[
    Known {
        on: On::All,
        shows: |_, program| program.code.iter().any(|instr| is_store_through_a_get(program, instr.op)),
        says: "I5: a device writes through a get, which promises nothing after a fork or a copy (S8, S11)",
    },
    Known {
        on: On::These(&["linux-6.2", "linux-6.5", "linux-6.8", "linux-6.12", "linux-6.15", "linux-6.18", "linux-7.3"]),
        shows: |signature, program| {
            let pins = program.code.iter().any(|instr| matches!(instr.op, Op::Pin { .. }));
            let clears = program.code.iter().any(|instr| instr.op == Op::ClearRefs);
            signature.invariant == Some("I14") && pins && clears
        },
        says: "I14: clear_refs skips a pinned page that mprotect made writable; corpus/regress has the scenario",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let merges = program.code.iter().any(|instr| matches!(instr.op, Op::KsmMerge { .. }));
            signature.invariant == Some("I14") && merges
        },
        says: "I14: merging makes a page's pte anew and drops its soft-dirty bit (mm/ksm.c replace_page); corpus/regress has the scenario",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let huge = program.mems.iter().any(|mem| matches!(mem.kind, MemKind::Hugetlb { .. }));
            signature.invariant == Some("I2") && signature.rule == Some(("hugetlb::decide_reuse", "reuse")) && huge
        },
        says: "I2: a write fault keeps a page of the pool that others hold references on (B14; no fix)",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let merges = program.code.iter().any(|instr| matches!(instr.op, Op::KsmMerge { .. }));
            signature.what == "missed" && signature.invariant == Some("I13") && merges
        },
        says: "I13: merging drops userfaultfd's write protection with the old pte (mm/ksm.c replace_page)",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let merges = program.code.iter().any(|instr| matches!(instr.op, Op::KsmMerge { .. }));
            let short = |op: Op| matches!(op, Op::Pin { write: false, longterm: false, .. });
            signature.invariant == Some("I4") && merges && program.code.iter().any(|instr| short(instr.op))
        },
        says: "I4: a short read-only pin takes the zero page that merging left; only long-term pins ask for a page of one's own",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let frees = program.code.iter().any(|instr| matches!(instr.op, Op::Madvise { advice: Advice::Free, .. }));
            let unshares = program.code.iter().any(|instr| {
                let pins =
                    matches!(instr.op, Op::Pin { write: false, .. } | Op::ProcessVmReadv { .. } | Op::DirectWrite { .. });
                pins || matches!(instr.op, Op::KsmUnmerge { .. } | Op::Madvise { advice: Advice::Unmergeable, .. })
            });
            let forks = program.code.iter().any(|instr| matches!(instr.op, Op::Fork { .. }));
            signature.what == "lost" && signature.invariant.is_none() && frees && unshares && forks
        },
        says: "MADV_FREE of an unshared, clean page that fork shares loses the other process's data \
               (mm/madvise.c madvise_free_pte_range; measured on 6.18); corpus/regress has the scenario",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let forks = program.code.iter().filter(|instr| matches!(instr.op, Op::Fork { .. })).count();
            signature.what == "lost" && signature.invariant.is_none() && program.system.hugetlb.is_some() && 1 < forks
        },
        says: "a page of the pool that its owner took back is missing in the child, and a grandchild finds zeros there: the mark \
               that kills the child is not handed on (mm/hugetlb.c; in the model, not tried on a kernel)",
    },
    Known {
        on: On::All,
        shows: |signature, program| {
            let registers = program.code.iter().filter(|instr| matches!(instr.op, Op::UffdRegister { .. })).count();
            signature.invariant == Some("I13") && 1 < registers
        },
        says: "I13: memory registered anew for another mode keeps its uffd-wp bits (in the model; not tried on a kernel)",
    },
];

fn is_store_through_a_get(program: &Program, op: Op) -> bool {
    let Op::Dma { held, .. } = op else { return false };
    program.taker(held.name).is_some_and(|taker| matches!(taker.op, Op::Get { .. }))
}

/// What a finding is known as under a policy; `None` where nobody has seen it before.
pub fn of(policy: &str, finding: &Finding) -> Option<&'static str> {
    let shows = |known: &&Known| (known.shows)(&finding.signature, &finding.scenario.program);
    let on = |known: &&Known| match known.on {
        On::All => true,
        On::These(names) => names.contains(&policy),
    };
    KNOWN.iter().filter(on).find(shows).map(|known| known.says)
}
