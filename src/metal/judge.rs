//! Holds what a kernel was seen to do against what user space was promised.

use crate::check::beside::{Beside, Unkept, is_permitted};
use crate::check::report::{Expected, Run, Verdict, Violation};
use crate::check::verdict::expected;
use crate::ir::{Outcome, Program, Scenario};
use crate::kernel::wire::{Ended, Line, Ran, Saw, Stop};
use crate::observe::{Seen, Words};
use crate::run::{End, as_announced};
use crate::types::{Large, Pc, Size, Value, ValueId};

/// A program that has a number for every value that a kernel showed, also for those that it never stores. Of values that nobody
/// read, but that were found where pages were looked at, as many as there is room for: the rest are taken for the first.
///
/// # Errors
/// Where more values were read than a program may have.
pub fn with_values(program: &Program, ran: &Ran) -> Result<Program, String> {
    use crate::kernel::wire::Fact;
    let mut program = program.clone();
    let facts = ran.lines.iter().flat_map(|line| &line.facts).filter_map(|(_, facts)| match &facts.value {
        Some(Fact::Observed(words)) => Some(words),
        _ => None,
    });
    let seen = ran.lines.iter().flat_map(|line| &line.seen).filter_map(|saw| match saw {
        Saw::Words(words) => Some(words),
        Saw::Bit(_) => None,
    });
    let is_new = |program: &Program, word: u64| program.values.iter().all(|value| value.bits != word);
    for word in seen.flatten() {
        if is_new(&program, *word) {
            program.values.push(Value::number(*word));
        }
    }
    if Large::VALUES_MAX < program.values.len() {
        return Err(format!("it showed {} different values (VALUES_MAX is {})", program.values.len(), Large::VALUES_MAX));
    }
    for word in facts.flatten() {
        if program.values.len() < Large::VALUES_MAX && is_new(&program, *word) {
            program.values.push(Value::number(*word));
        }
    }
    Ok(program)
}

/// What was seen, in the numbers of a program.
pub fn seen(program: &Program, saw: &Saw) -> Seen {
    match saw {
        Saw::Bit(bit) => Seen::Bit(*bit),
        Saw::Words(words) => {
            let id = |word: &u64| ValueId::at(program.values.iter().position(|value| value.bits == *word).unwrap_or(0));
            Seen::Words(Words::from_slice(&words.iter().map(id).collect::<Vec<_>>()))
        }
    }
}

/// Judges a run on a kernel. `program` is that of [`with_values`].
///
/// What only the engine knows is left empty: copies, decisions, assertions about states.
pub fn judge(program: &Program, ran: &Ran) -> Run {
    let mut run = Run::of(program);
    let mut beside = Beside::new(program);
    let mut done = vec![0; program.code.len()];
    let mut ended: Vec<Pc> = Vec::new();
    for line in &ran.lines {
        let pc = Pc(line.pc);
        for page in done[pc.idx()]..line.done {
            let saw = line.seen.get(usize::from(page)).map_or(Seen::Nothing, |saw| seen(program, saw));
            let (observation, unkept) = beside.seen(pc, page, saw);
            run.observations.extend(observation);
            run.violations.extend(unkept.map(|unkept| violation(pc, unkept)));
        }
        done[pc.idx()] = line.done;
        if 0 < line.done {
            beside.commit(pc);
        }
        let Some(end) = end(line) else { continue };
        let woken = end == End::Finished && ended.contains(&pc);
        if !woken && !as_announced(program.code[pc.idx()].ending, end) && !is_permitted(program, pc, end) {
            run.violations.extend(beside.unannounced(pc, end).map(|unkept| violation(pc, unkept)));
        }
        ended.push(pc);
    }
    if let Some(first) = run.violations.first() {
        run.verdict = Verdict::Came(first.outcome);
    }
    if let Some(Stop::Skip(why) | Stop::Crashed(why)) = &ran.stopped {
        run.verdict = Verdict::Skip(why.clone());
    }
    run
}

/// The expectations of a scenario about a policy, held against a run on a kernel. How many pages were copied it cannot say.
pub fn expectations(scenario: &Scenario, policy: usize, run: &Run) -> Vec<Expected> {
    let about = |expect: &&crate::ir::Expect| expect.on.contains(&policy) && !matches!(expect.outcome, Outcome::Copies(_));
    // A state that breaks the books is seen from inside alone.
    let visible = |expect: &&crate::ir::Expect| !matches!(expect.outcome, Outcome::Breach(_));
    scenario.expects.iter().filter(about).filter(visible).map(|expect| expected(expect, run)).collect()
}

fn violation(pc: Pc, unkept: Unkept) -> Violation {
    Violation { outcome: unkept.outcome, invariant: unkept.invariant, pc, decision: None, message: unkept.message }
}

fn end(line: &Line) -> Option<End> {
    match &line.ended {
        Ended::Ok => Some(End::Finished),
        Ended::Fails(name) => name.parse().ok().map(End::Failed),
        Ended::Event(name) => name.parse().ok().map(End::Asleep),
    }
}
