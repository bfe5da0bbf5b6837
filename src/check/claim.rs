//! Whether what was read meets a claim.

use crate::ir::{Claim, Operand, Program};
use crate::observe::{Seen, Words, word_of};
use crate::types::{ObsId, Pc, Value};

/// Whether a value meets a claim.
///
/// `all` is asked of each observation that the claim names: whether the test holds for all it may be; of one not made yet,
/// it says yes, for there is nothing to hold the value against.
pub fn met(program: &Program, claim: &Claim, value: Value, all: impl Fn(ObsId, &dyn Fn(Value) -> bool) -> bool) -> bool {
    claim.any_of.iter().any(|operand| match *operand {
        Operand::Value(id) => claim.comparison.holds(value, program.values[id.idx()]),
        Operand::Obs(obs) => all(obs, &|other| claim.comparison.holds(value, other)),
    })
}

/// Whether a claim is about what was observed before.
pub fn names_observations(claim: &Claim) -> bool {
    claim.any_of.iter().any(|operand| matches!(operand, Operand::Obs(_)))
}

/// The values of what was seen: of each word read, or the bit as a number.
pub fn values(program: &Program, seen: Seen) -> impl Iterator<Item = Value> {
    let (words, bit) = match seen {
        Seen::Nothing => (Words::default(), None),
        Seen::Words(words) => (words, None),
        Seen::Bit(bit) => (Words::default(), Some(Value::number(bit.into()))),
    };
    let values = (0..words.as_slice().len()).map(move |nth| program.values[words.as_slice()[nth].idx()]);
    values.chain(bit)
}

/// Which page of all pages that observations are of: the one that `obs` has of page `page` of what it observed.
///
/// An observation of one page stands for every page that it is held against.
pub fn observed_at(program: &Program, obs: ObsId, page: u16) -> usize {
    let before: usize = program.obs[..obs.idx()].iter().map(|decl| usize::from(decl.len)).sum();
    before + usize::from(page.min(program.obs[obs.idx()].len - 1))
}

/// Which of an observation's words (there are `len`) the `nth` word that `pc` reads is held against.
pub fn word_against(program: &Program, pc: Pc, nth: usize, len: usize) -> usize {
    match word_of(program.code[pc.idx()].op) {
        _ if len == 1 => 0,
        Some(word) => word.idx(),
        None => nth,
    }
}

/// Whether what `pc` read of page `page` meets its claim, given what was observed before (see [`observed_at`]).
///
/// True where it has none, or has read nothing.
pub fn holds(program: &Program, pc: Pc, page: u16, seen: Seen, observed: &[Seen]) -> bool {
    let Some(claim) = program.code[pc.idx()].claim else { return true };
    let claim = &program.claims[claim.idx()];
    values(program, seen).enumerate().all(|(nth, value)| {
        met(program, claim, value, |obs, test| {
            let other = observed.get(observed_at(program, obs, page)).copied().unwrap_or_default();
            let len = values(program, other).count();
            values(program, other).nth(word_against(program, pc, nth, len)).is_none_or(test)
        })
    })
}

/// A claim as it is written: `== "old" or 7`.
pub fn text(program: &Program, claim: &Claim) -> String {
    let operand = |operand: &Operand| match *operand {
        Operand::Value(value) => program.values[value.idx()].to_string(),
        Operand::Obs(obs) => program.obs[obs.idx()].name.clone(),
    };
    let any_of = claim.any_of.iter().map(operand).collect::<Vec<_>>();
    format!("{} {}", claim.comparison, any_of.join(" or "))
}
