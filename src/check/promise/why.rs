//! Why the ideal world says otherwise than a claim: the stores that the author may have had in mind.

use super::orders::{Unmet, may_be};
use crate::check::place;
use crate::ir::{Advice, Area, Comparison, Instr, Op, Operand, Program};
use crate::types::{Pc, ValueId};

/// The store of what is promised, and the store of what was claimed instead with the reason why it does not count.
pub fn stores(program: &Program, unmet: &Unmet) -> Vec<(Pc, String)> {
    let instr = &program.code[unmet.pc.idx()];
    let reader = place::memory(program, instr.op);
    let ours = |area: Option<Area>| area.is_some() && area.map(|area| area.proc) == reader.map(|area| area.proc);
    let last = |values: &[ValueId]| {
        let stores = |pc: &&Pc| program.code[pc.idx()].op.stores().is_some_and(|value| values.contains(&value));
        let of_reader = |pc: &&Pc| ours(place::memory(program, program.code[pc.idx()].op));
        let mut found = unmet.path.iter().filter(stores);
        let own = found.clone().rfind(of_reader);
        own.or_else(|| found.next_back()).copied()
    };
    let mut labels = Vec::new();
    let promised = may_be(program, unmet.promise, unmet.nth);
    let promised_ids = ids(program, |value| promised.contains(&value));
    if let (1, Some(pc)) = (promised.len(), last(&promised_ids)) {
        labels.push((pc, format!("{} is stored here", promised[0])));
    }
    let Some(pc) = last(&claimed(program, instr)) else { return labels };
    let store = &program.code[pc.idx()];
    let value = store.op.stores().map(|value| program.values[value.idx()]).unwrap_or_default();
    if labels.iter().all(|(other, _)| *other != pc)
        && let Some(why) = no_store_of_readers(program, unmet, pc).or_else(|| given_up(program, unmet, pc))
    {
        labels.push((pc, format!("{value} is stored here by `{}`, {why}", program.actor(store.task))));
    }
    labels
}

/// The values that an `==` names.
fn claimed(program: &Program, instr: &Instr) -> Vec<ValueId> {
    let Some(claim) = instr.claim.map(|claim| &program.claims[claim.idx()]) else { return Vec::new() };
    let value = |operand: &Operand| match *operand {
        Operand::Value(value) => Some(value),
        Operand::Obs(_) => None,
    };
    match claim.comparison {
        Comparison::Eq => claim.any_of.iter().filter_map(value).collect(),
        Comparison::Ne | Comparison::Le | Comparison::Ge => Vec::new(),
    }
}

fn ids(program: &Program, wanted: impl Fn(crate::types::Value) -> bool) -> Vec<ValueId> {
    (0..program.values.len()).map(ValueId::at).filter(|id| wanted(program.values[id.idx()])).collect()
}

/// The store went to another process's page.
fn no_store_of_readers(program: &Program, unmet: &Unmet, store: Pc) -> Option<String> {
    let reader = place::memory(program, program.code[unmet.pc.idx()].op)?;
    let stored = place::memory(program, program.code[store.idx()].op)?;
    let owner = &program.procs[stored.proc.idx()];
    (stored.proc != reader.proc).then(|| format!("to the page of `{owner}`: fork gave each process pages of its own"))
}

/// The page that the reader sees and the page of the address parted.
fn given_up(program: &Program, unmet: &Unmet, store: Pc) -> Option<String> {
    let reader = &program.code[unmet.pc.idx()];
    let place_of = |pc: Pc| unmet.path.iter().position(|other| *other == pc);
    let store_at = place_of(store)?;
    let after = |from: usize, to: usize| unmet.path.get(from..to).unwrap_or_default();
    let parts = |pc: &&Pc| {
        let op = program.code[pc.idx()].op;
        let gives_up = matches!(op, Op::Munmap { .. } | Op::Madvise { advice: Advice::Dontneed | Advice::GuardInstall, .. });
        let memory = place::memory(program, reader.op);
        gives_up && op.area().zip(memory).is_some_and(|(area, memory)| place::meet(area, memory))
    };
    let line = |pc: &Pc| format!("`{}`", place::verb(program.code[pc.idx()].op));
    match reader.op {
        Op::Peek { held } => {
            let taken = unmet.path.iter().position(|pc| program.code[pc.idx()].op.takes() == Some(held.name))?;
            if store_at < taken {
                return Some(format!("before `{}` was taken", program.refs[held.name.idx()].name));
            }
            let by = after(taken, store_at).iter().find(parts)?;
            Some(format!(
                "to another page: {} took the one that `{}` holds from its address",
                line(by),
                program.refs[held.name.idx()].name
            ))
        }
        _ => {
            let by = after(store_at, unmet.path.len()).iter().rev().find(parts)?;
            Some(format!("and given up by {}", line(by)))
        }
    }
}
