//! Claims against the ideal world alone, before anything runs: a claim must hold whatever the policy, in every order.

mod orders;
mod why;

use miette::{Diagnostic, LabeledSpan};

use crate::check::{claim, place};
use crate::ideal::Promise;
use crate::ir::{Op, Scenario};
use crate::types::{Large, Pc, Small, Span};

use orders::{Found, Unmet};

/// The most states of the ideal world, counted where orders part, that are visited for one scenario.
pub const STATES_MAX: usize = 20_000;

/// A claim that the ideal world contradicts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Diagnostic)]
#[error("the claim `{claim}` is not promised: {place} is {promised}")]
#[diagnostic(code(cowl::check::contradicted_claim), help("{help}"))]
pub struct ContradictedClaim {
    /// The instruction that claims.
    pub pc: Pc,
    /// The claim, as it is written.
    pub claim: String,
    /// What it reads.
    pub place: String,
    /// What may be read: `"old"`, `"old" or "new"`.
    pub promised: String,
    /// What to write instead.
    pub help: String,
    /// The claim first, then the stores that it is about.
    #[label(collection)]
    pub labels: Vec<LabeledSpan>,
}

/// A race with so many orders that not all were tried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Diagnostic)]
#[error("the claims of `{name}` were held against {STATES_MAX} states of its race, and there are more")]
#[diagnostic(
    code(cowl::check::too_many_orders),
    severity(Warning),
    help("a shorter race, or fewer actors in it, can be judged in every order")
)]
pub struct TooManyOrders {
    /// The scenario.
    pub name: String,
    /// Where its name stands.
    #[label]
    pub span: miette::SourceSpan,
}

/// The claims of a scenario that do not hold, and whether all its orders were tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradictions {
    /// In order of their places.
    pub claims: Vec<ContradictedClaim>,
    /// Where a race has so many orders that [`STATES_MAX`] states were visited without an end.
    pub incomplete: Option<TooManyOrders>,
}

/// Runs the ideal world over every order of a scenario's lines and tells the claims that do not hold in one of them.
///
/// Lines that end with `fails` have no effect; one that ends with `event` has it when a `uffd` line resolves its memory.
/// Of a program past every size, and of what comes behind a line of a race that only may fail, nothing is said.
pub fn contradictions(scenario: &Scenario) -> Contradictions {
    let program = &scenario.program;
    let found = match (program.exceeds::<Small>(), program.exceeds::<Large>()) {
        (None, _) => orders::search::<Small>(program, STATES_MAX),
        (Some(_), None) => orders::search::<Large>(program, STATES_MAX),
        (Some(_), Some(_)) => Found { unmet: Vec::new(), complete: true },
    };
    let too_many = || TooManyOrders { name: scenario.name.clone(), span: source_span(scenario.span) };
    Contradictions {
        claims: found.unmet.iter().map(|unmet| contradicted(scenario, unmet)).collect(),
        incomplete: (!found.complete).then(too_many),
    }
}

fn contradicted(scenario: &Scenario, unmet: &Unmet) -> ContradictedClaim {
    let program = &scenario.program;
    let instr = &program.code[unmet.pc.idx()];
    let claim = instr.claim.expect("cowl bug: only a claim can be contradicted");
    let mut values = orders::may_be(program, unmet.promise, unmet.nth);
    values.sort();
    let promised = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let help = match (unmet.promise, values.len()) {
        (Promise::Bit { must: false }, _) => "the kernel may set the bit at any time, only a 1 after a store is promised: \
             name what is seen by `-> NAME`, then `assert NAME == …`"
            .to_owned(),
        (_, 1) if program.code[..unmet.pc.idx()].iter().any(|instr| instr.race.is_some()) => {
            "so it is in one order of the race: claim what every order gives, as in `== 1 or 2`, or name what is seen by \
             `-> NAME`, then `assert NAME == …`"
                .to_owned()
        }
        (_, 1) => format!("write `== {promised}`, or name what is seen by `-> NAME`, then `assert NAME == …`"),
        _ => "only a load or a pin sees every store: name what is seen by `-> NAME`, then `assert NAME == …`".to_owned(),
    };
    let mut labels = vec![LabeledSpan::new_primary_with_span(
        Some(format!("here {promised} is promised")),
        source_span(scenario.spans[unmet.pc.idx()]),
    )];
    for (pc, text) in why::stores(program, unmet) {
        labels.push(LabeledSpan::new_with_span(Some(text), source_span(scenario.spans[pc.idx()])));
    }
    ContradictedClaim {
        pc: unmet.pc,
        claim: claim::text(program, &program.claims[claim.idx()]),
        place: match instr.op {
            Op::SoftDirty { .. } => {
                format!("the soft-dirty bit of `{}`", place::text(program, instr.op, unmet.page, unmet.nth))
            }
            _ => format!("`{}`", place::text(program, instr.op, unmet.page, unmet.nth)),
        },
        promised,
        help,
        labels,
    }
}

fn source_span(span: Span) -> miette::SourceSpan {
    (span.start as usize, (span.end - span.start) as usize).into()
}

#[cfg(test)]
mod tests;
