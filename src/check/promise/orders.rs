//! Every order in which a scenario's lines may run, over the ideal world alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use crate::check::claim;
use crate::ideal::{Ideal, Promise};
use crate::ir::{Area, Ending, Instr, Op, Program};
use crate::types::{Pc, ProcId, Size, TaskId, Value};

/// A claim that does not hold for something that may be read.
#[derive(Clone, Debug)]
pub struct Unmet {
    /// The instruction that claims.
    pub pc: Pc,
    /// The page of its range.
    pub page: u16,
    /// Which of the words it reads; 0 for a bit.
    pub nth: usize,
    /// What may be read there.
    pub promise: Promise,
    /// The instructions that took effect before, in order.
    pub path: Vec<Pc>,
}

/// Claims that do not hold, the first way found for each; and whether all orders were tried.
#[derive(Clone, Debug)]
pub struct Found {
    pub unmet: Vec<Unmet>,
    /// False where the bound on states was reached.
    pub complete: bool,
}

/// Where an order stands.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Here<B: Size> {
    ideal: Ideal<B>,
    /// The lines being run: one, or those of a race; behind the last, none.
    lines: Range<usize>,
    /// For each of those lines whether it has had its turn.
    done: Vec<bool>,
    /// Instructions whose thread waits for userfaultfd.
    asleep: Vec<Pc>,
    /// For each page of each observation what it may be.
    observed: Vec<Promise>,
}

struct Search<'p, B: Size> {
    program: &'p Program,
    /// Orders yet to be tried, and how they were reached.
    open: Vec<(Here<B>, Vec<Pc>)>,
    /// States from which more than one order was tried, by hash.
    seen: BTreeMap<u64, Vec<Here<B>>>,
    states_left: usize,
    /// For each instruction whether its claim was found not to hold.
    known: Vec<bool>,
    found: Found,
}

/// Tries every order. Of a race, a line that may fail there ends the order: whether it takes effect is the policy's.
pub fn search<B: Size>(program: &Program, states_max: usize) -> Found {
    let mut start = Here {
        ideal: Ideal::new(program),
        lines: 0..0,
        done: Vec::new(),
        asleep: Vec::new(),
        observed: vec![Promise::Nothing; program.obs.iter().map(|decl| usize::from(decl.len)).sum()],
    };
    start.go_to(program, 0);
    let mut search = Search::<B> {
        program,
        open: vec![(start, Vec::new())],
        seen: BTreeMap::new(),
        states_left: states_max,
        known: vec![false; program.code.len()],
        found: Found { unmet: Vec::new(), complete: true },
    };
    while let Some((here, path)) = search.open.pop() {
        search.follow(here, path);
    }
    search.found.unmet.sort_by_key(|unmet| unmet.pc);
    search.found
}

impl<B: Size> Search<'_, B> {
    /// Goes on as long as there is one way only, and leaves all ways open where there are more.
    fn follow(&mut self, mut here: Here<B>, mut path: Vec<Pc>) {
        loop {
            match *here.runnable(self.program) {
                [] => return,
                [pc] => {
                    if !self.perform(&mut here, &mut path, pc) {
                        return;
                    }
                }
                ref several => {
                    if !self.visit(&here) {
                        return;
                    }
                    for pc in several.iter().rev() {
                        let (mut next, mut path) = (here.clone(), path.clone());
                        if self.perform(&mut next, &mut path, *pc) {
                            self.open.push((next, path));
                        }
                    }
                    return;
                }
            }
        }
    }

    /// Whether the state is new and there is room for it.
    fn visit(&mut self, here: &Here<B>) -> bool {
        let mut hasher = DefaultHasher::new();
        here.hash(&mut hasher);
        let alike = self.seen.entry(hasher.finish()).or_default();
        if alike.contains(here) {
            return false;
        }
        let Some(left) = self.states_left.checked_sub(1) else {
            self.found.complete = false;
            return false;
        };
        self.states_left = left;
        alike.push(here.clone());
        true
    }

    /// Gives an instruction its turn; false where nothing can be said of what comes behind it.
    fn perform(&mut self, here: &mut Here<B>, path: &mut Vec<Pc>, pc: Pc) -> bool {
        let instr = &self.program.code[pc.idx()];
        here.done[pc.idx() - here.lines.start] = true;
        let goes_on = match instr.ending {
            Ending::Fails(_) => instr.race.is_none(),
            Ending::Event(_) if instr.race.is_none() || here.has_waker(self.program, instr.op) => {
                here.asleep.push(pc);
                true
            }
            Ending::Event(_) | Ending::Succeeds => {
                self.apply(here, path, pc);
                self.wake(here, path, instr.op)
            }
        };
        if here.done.iter().all(|done| *done) {
            here.go_to(self.program, here.lines.end);
        }
        goes_on
    }

    /// Lets the threads go on that slept where `op` resolves; false where it cannot be said how far one had come.
    fn wake(&mut self, here: &mut Here<B>, path: &mut Vec<Pc>, op: Op) -> bool {
        let Some(resolved) = resolves(op) else { return true };
        for sleeper in std::mem::take(&mut here.asleep) {
            let area = self.program.code[sleeper.idx()].op.area();
            match area.map_or(Overlap::None, |area| overlap(resolved, area)) {
                Overlap::None => here.asleep.push(sleeper),
                Overlap::Part => return false,
                Overlap::Whole => self.apply(here, path, sleeper),
            }
        }
        true
    }

    fn apply(&mut self, here: &mut Here<B>, path: &mut Vec<Pc>, pc: Pc) {
        let program = self.program;
        let instr = &program.code[pc.idx()];
        for page in 0..instr.op.parts() {
            let promise = here.ideal.apply(program, pc, page);
            if let Some(obs) = instr.observe {
                here.observed[claim::observed_at(program, obs, page)] = promise;
            }
            if !self.known[pc.idx()]
                && let Some(nth) = unmet(program, pc, page, promise, &here.observed)
            {
                self.known[pc.idx()] = true;
                self.found.unmet.push(Unmet { pc, page, nth, promise, path: path.clone() });
            }
        }
        if let (Op::Exit, Some(proc)) = (instr.op, program.tasks[instr.task.idx()].proc()) {
            here.end(program, proc);
        }
        path.push(pc);
    }
}

impl<B: Size> Here<B> {
    /// Starts with the line at `start`, or with its race.
    fn go_to(&mut self, program: &Program, start: usize) {
        let race = program.code.get(start).and_then(|instr| instr.race);
        let len = match race {
            Some(_) => program.code[start..].iter().take_while(|instr| instr.race == race).count(),
            None => usize::from(start < program.code.len()),
        };
        self.lines = start..start + len;
        self.done.clear();
        self.done.resize(len, false);
    }

    /// The instructions that may have their turn now: of each actor that is awake, its next.
    fn runnable(&self, program: &Program) -> Vec<Pc> {
        let mut started: Vec<TaskId> = self.asleep.iter().map(|pc| program.code[pc.idx()].task).collect();
        let mut runnable = Vec::new();
        for pc in self.waiting().map(Pc::at) {
            let instr = &program.code[pc.idx()];
            if started.contains(&instr.task) {
                continue;
            }
            started.push(instr.task);
            let alone = self.lines.len() == 1;
            if alone || self.may_start(program, instr) {
                runnable.push(pc);
            }
        }
        runnable
    }

    /// The lines that other threads of a process which exits still had to do are gone with it.
    fn end(&mut self, program: &Program, proc: ProcId) {
        for line in self.lines.clone() {
            self.done[line - self.lines.start] |= program.tasks[program.code[line].task.idx()].proc() == Some(proc);
        }
    }

    /// The lines that have not had their turn.
    fn waiting(&self) -> impl Iterator<Item = usize> + Clone {
        self.lines.clone().filter(|line| !self.done[line - self.lines.start])
    }

    /// In a race, a process waits for its fork, and `wait` for the child's exit.
    fn may_start(&self, program: &Program, instr: &Instr) -> bool {
        let waiting = || self.waiting().map(|line| &program.code[line]);
        let is_forked =
            |child: ProcId| !waiting().any(|other| matches!(other.op, Op::Fork { child: forked } if forked == child));
        let may_end = |child: ProcId| {
            waiting().any(|other| matches!(other.op, Op::Exit) && program.tasks[other.task.idx()].proc() == Some(child))
        };
        let child_has_ended = match instr.op {
            Op::Wait { child } => is_forked(child) && !may_end(child),
            _ => true,
        };
        child_has_ended && program.tasks[instr.task.idx()].proc().is_none_or(is_forked)
    }

    /// Whether a line yet to come would wake a thread that sleeps in `op`.
    fn has_waker(&self, program: &Program, op: Op) -> bool {
        let wakes = |line: usize| {
            let resolved = resolves(program.code[line].op);
            resolved.zip(op.area()).is_some_and(|(resolved, area)| overlap(resolved, area) != Overlap::None)
        };
        self.waiting().any(wakes) || (self.lines.end..program.code.len()).any(wakes)
    }
}

/// Which of the words that `pc` reads need not meet its claim.
fn unmet(program: &Program, pc: Pc, page: u16, promise: Promise, observed: &[Promise]) -> Option<usize> {
    let claim = &program.claims[program.code[pc.idx()].claim?.idx()];
    let all = |nth: usize, test: &dyn Fn(Value) -> bool| may_be(program, promise, nth).into_iter().all(test);
    (0..words(promise)).find(|nth| {
        !all(*nth, &|value| {
            claim::met(program, claim, value, |obs, test| {
                let other = observed[claim::observed_at(program, obs, page)];
                let nth = claim::word_against(program, pc, *nth, words(other));
                may_be(program, other, nth).into_iter().all(test)
            })
        })
    })
}

/// How many words a promise is about; a bit counts as one.
fn words(promise: Promise) -> usize {
    match promise {
        Promise::Nothing => 0,
        Promise::Bit { .. } => 1,
        Promise::Exactly(words) => words.as_slice().len(),
        Promise::OneOf(allowed) => allowed.as_slice().len(),
    }
}

/// The values that a word may have; a bit's as numbers.
pub fn may_be(program: &Program, promise: Promise, nth: usize) -> Vec<Value> {
    let value = |id: crate::types::ValueId| program.values[id.idx()];
    match promise {
        Promise::Nothing => Vec::new(),
        Promise::Bit { must: true } => vec![Value::number(1)],
        Promise::Bit { must: false } => vec![Value::number(0), Value::number(1)],
        Promise::Exactly(words) => words.as_slice().get(nth).copied().map(value).into_iter().collect(),
        Promise::OneOf(allowed) => allowed.as_slice().get(nth).map(|set| set.iter().map(value).collect()).unwrap_or_default(),
    }
}

/// The memory that an instruction wakes sleepers of.
fn resolves(op: Op) -> Option<Area> {
    match op {
        Op::UffdUnwp { area } | Op::UffdCopy { area, .. } | Op::UffdZeropage { area } | Op::UffdContinue { area } => Some(area),
        Op::UffdMove { to, .. } => Some(to),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Overlap {
    None,
    Part,
    Whole,
}

/// How much of `inner` lies in `outer`.
fn overlap(outer: Area, inner: Area) -> Overlap {
    let end = |area: Area| area.start.0 + area.len;
    if outer.proc != inner.proc || end(outer) <= inner.start.0 || end(inner) <= outer.start.0 {
        Overlap::None
    } else if outer.start <= inner.start && end(inner) <= end(outer) {
        Overlap::Whole
    } else {
        Overlap::Part
    }
}
