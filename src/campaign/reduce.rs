//! The reducer: the smallest program that still shows the same bug.
//!
//! Every candidate is judged by its signature, so a reduction never drifts to another bug; and a candidate is taken only where
//! it is smaller by [`weight`], so it ends. No single statement of the result can go: the pass that tries each is the last.

use super::exec::{self, Look};
use super::finding::{Finding, examine};
use crate::generate::everything;
use crate::generate::{self, Manner};
use crate::ir::{Actor, Area, Backing, Instr, MemKind, Op, Program, Prot, RefArea, Sharing, Speed};
use crate::policy::{KNOBS, Policy};
use crate::types::{PMD_ORDER, ProcId, Value, Vpn};

/// Reduces a program that went wrong under a policy; `None` where nothing is wrong with it.
///
/// Bounded: each round makes the program smaller. 24 statements take some hundred runs.
pub fn reduce(program: &Program, policy: &Policy) -> Option<Finding> {
    let first = examine(program, policy)?;
    Some(reduced(first, policy))
}

/// Reduces what was found, keeping its signature.
pub fn reduced(first: Finding, policy: &Policy) -> Finding {
    let mut best = first;
    loop {
        let before = weight(&best.scenario.program);
        cut(&mut best, policy);
        simplify(&mut best, policy);
        if weight(&best.scenario.program) == before {
            return best;
        }
    }
}

/// What a reduction makes smaller: statements first, then processes, pages, and what is not the default.
pub fn weight(program: &Program) -> (usize, usize, usize, u64) {
    let kinds = program.mems.iter().filter(|mem| mem.kind != MemKind::Pages).count() as u64;
    let odd = (kinds << 32) + program.code.iter().map(|instr| oddness(program, instr)).sum::<u64>();
    (program.code.len(), program.procs.len(), program.mems.iter().map(|mem| usize::from(mem.area.len)).sum(), odd)
}

/// How far a statement is from the plainest of its verb.
fn oddness(program: &Program, instr: &Instr) -> u64 {
    let second = matches!(program.tasks[instr.task.idx()], Actor::Thread { thread: 2.., .. });
    let word = crate::observe::word_of(instr.op).is_some();
    let value = instr.op.stores().map_or(0, |value| program.values[value.idx()].bits.min(1 << 20));
    let flags = match instr.op {
        Op::Get { speed, .. } => u64::from(speed == Speed::Slow),
        Op::Pin { longterm, speed, .. } => u64::from(longterm) + u64::from(speed == Speed::Slow),
        Op::Unpin { dirty, .. } => dirty.into(),
        Op::Mmap { backing, sharing, prot, .. } => {
            u64::from(backing != Backing::Anon) + u64::from(sharing == Sharing::Shared) + u64::from(prot != Prot::Rw)
        }
        _ => 0,
    };
    let len = instr.op.area().map_or(0, |area| u64::from(area.len));
    (u64::from(second) + u64::from(word) + flags + len) << 24 | value
}

/// Tries to leave out statements: many at once, then fewer, then one at a time until none can go.
fn cut(best: &mut Finding, policy: &Policy) {
    let mut size = best.scenario.program.code.len().div_ceil(2);
    while 0 < size {
        let mut at = 0;
        while at < best.scenario.program.code.len() {
            let program = &best.scenario.program;
            let kept = program.code.iter().enumerate().filter(|(pc, _)| !(at..at + size).contains(pc));
            let smaller = again(program, kept.map(|(_, instr)| *instr));
            if !keep(best, smaller, policy) {
                at += size;
            }
        }
        size /= 2;
    }
}

/// Takes a candidate that is smaller and shows the same; whether it did.
fn keep(best: &mut Finding, program: Program, policy: &Policy) -> bool {
    weight(&program) < weight(&best.scenario.program)
        && match same(&program, policy, best) {
            Some(found) if weight(&found.scenario.program) < weight(&best.scenario.program) => {
                *best = found;
                true
            }
            _ => false,
        }
}

/// What a program shows, where it is what another shows. An event that was owed has to be owed still: without the line that asks
/// for it nobody misses it.
fn same(program: &Program, policy: &Policy, as_in: &Finding) -> Option<Finding> {
    let small = program.exceeds::<crate::types::Small>().is_none();
    if small && exec::run(program, policy, Look::Steps, &mut ()).wrong.is_none() {
        return None; // Nothing is wrong at all: no need to look closely.
    }
    examine(program, policy).filter(|found| found.signature == as_in.signature && as_in.owed <= found.owed)
}

/// Leaves out statements as long as `shows` holds, until none can go.
pub fn cut_while(mut program: Program, shows: impl Fn(&Program) -> bool) -> Program {
    let mut at = program.code.len();
    while 0 < at {
        at -= 1;
        let kept: Vec<Instr> = program.code.iter().enumerate().filter(|(pc, _)| *pc != at).map(|(_, instr)| *instr).collect();
        let less = again(&program, kept);
        if less.code.len() < program.code.len() && shows(&less) {
            program = less;
            at = program.code.len();
        }
    }
    program
}

fn again(program: &Program, code: impl IntoIterator<Item = Instr>) -> Program {
    generate::again(program, code, &generate::whole(everything), Manner::Exactly)
}

/// Merges processes and pages, and makes operands plain.
fn simplify(best: &mut Finding, policy: &Policy) {
    for child in (1..best.scenario.program.procs.len()).rev().map(ProcId::at) {
        if child.idx() < best.scenario.program.procs.len() {
            keep(best, without_process(&best.scenario.program, child), policy);
        }
    }
    for mem in 0..best.scenario.program.mems.len() {
        if mem < best.scenario.program.mems.len() {
            keep(best, of_base_pages(&best.scenario.program, mem), policy);
        }
        if mem < best.scenario.program.mems.len() {
            keep(best, with_one_page(&best.scenario.program, mem), policy);
        }
    }
    let mut pc = 0;
    while pc < best.scenario.program.code.len() {
        for plain in PLAINER {
            let program = &best.scenario.program;
            let mut code = program.code.clone();
            let mut changed = program.clone();
            if plain(&mut changed, &mut code[pc]) {
                changed.code.clone_from(&code);
                keep(best, again(&changed, code), policy);
            }
            if best.scenario.program.code.len() <= pc {
                return;
            }
        }
        pc += 1;
    }
    let program = plain_values(&best.scenario.program);
    keep(best, program, policy);
}

/// Ways to make one statement plainer; each says whether it changed anything.
const PLAINER: &[fn(&mut Program, &mut Instr) -> bool] = &[
    |_, instr| reach(instr, |area| area.word = None, |held| held.word = None),
    |_, instr| reach(instr, |area| area.len = 1, |held| held.len = 1),
    |program, instr| {
        let Actor::Thread { proc, thread: 2.. } = program.tasks[instr.task.idx()] else { return false };
        let first = program.tasks.iter().position(|task| *task == Actor::Thread { proc, thread: 1 });
        first.map(|first| instr.task = crate::types::TaskId::at(first)).is_some()
    },
    |_, instr| match &mut instr.op {
        Op::Get { speed, .. } => std::mem::replace(speed, Speed::Fast) == Speed::Slow,
        Op::Pin { longterm, speed, .. } => std::mem::take(longterm) | (std::mem::replace(speed, Speed::Fast) == Speed::Slow),
        Op::Unpin { dirty, .. } => std::mem::take(dirty),
        Op::Mmap { prot, .. } => std::mem::replace(prot, Prot::Rw) != Prot::Rw,
        _ => false,
    },
    |_, instr| match &mut instr.op {
        Op::Mmap { backing, sharing, .. } if *backing != Backing::Anon => {
            (*backing, *sharing) = (Backing::Anon, Sharing::Private);
            true
        }
        Op::Pin { longterm, .. } => std::mem::take(longterm),
        _ => false,
    },
    |_, instr| match &mut instr.op {
        Op::Pin { speed, .. } => std::mem::replace(speed, Speed::Fast) == Speed::Slow,
        _ => false,
    },
];

/// Changes what a statement reaches; whether it did.
fn reach(instr: &mut Instr, memory: impl Fn(&mut Area), held: impl Fn(&mut RefArea)) -> bool {
    let before = instr.op;
    instr.op = match instr.op {
        Op::Peek { held: mut pages } => {
            held(&mut pages);
            Op::Peek { held: pages }
        }
        Op::Dma { held: mut pages, value } => {
            held(&mut pages);
            Op::Dma { held: pages, value }
        }
        Op::Mmap { .. } => before, // The size of a mapping is another question.
        op => match op.area() {
            Some(mut area) => {
                memory(&mut area);
                op.with(area, op.stores().unwrap_or_default(), op.takes().unwrap_or_default())
            }
            None => op,
        },
    };
    instr.op != before
}

/// What a process did, its parent does.
fn without_process(program: &Program, child: ProcId) -> Program {
    let forks = program.code.iter().find(|instr| instr.op == Op::Fork { child });
    let Some(parent) = forks.and_then(|instr| program.tasks[instr.task.idx()].proc()) else { return program.clone() };
    let mut merged = program.clone();
    for task in &mut merged.tasks {
        if let Actor::Thread { proc, .. } = task
            && *proc == child
        {
            *proc = parent;
        }
    }
    for instr in &mut merged.code {
        if let Some(area) = instr.op.area().filter(|area| area.proc == child) {
            let (value, name) = (instr.op.stores().unwrap_or_default(), instr.op.takes().unwrap_or_default());
            instr.op = instr.op.with(Area { proc: parent, ..area }, value, name);
        }
    }
    let code: Vec<Instr> = merged.code.iter().copied().filter(|instr| instr.op != Op::Fork { child }).collect();
    again(&merged, code)
}

/// A mapping of base pages, as many as it has of whatever it has.
fn of_base_pages(program: &Program, mem: usize) -> Program {
    let mut plainer = program.clone();
    plainer.mems[mem].kind = MemKind::Pages;
    if !plainer.mems.iter().any(|mem| mem.kind == MemKind::Thp) {
        plainer.pmd_order = PMD_ORDER;
    }
    let code = plainer.code.clone();
    again(&plainer, code)
}

/// A mapping of one page, with everything that was about any of its pages about that one.
fn with_one_page(program: &Program, mem: usize) -> Program {
    let whole = program.mems[mem].area;
    let mut smaller = program.clone();
    smaller.mems[mem].area.len = 1;
    for instr in &mut smaller.code {
        if let Some(area) = instr.op.area().filter(|area| area.mem == whole.mem) {
            let area = Area { start: Vpn(whole.start.0), len: 1, ..area };
            let (value, name) = (instr.op.stores().unwrap_or_default(), instr.op.takes().unwrap_or_default());
            instr.op = instr.op.with(area, value, name);
            if let Some(name) = instr.op.takes() {
                smaller.refs[name.idx()].len = 1;
            }
        }
    }
    for instr in &mut smaller.code {
        if let Op::Peek { held } | Op::Dma { held, .. } = &mut instr.op
            && smaller.refs[held.name.idx()].len == 1
        {
            (held.start, held.len) = (0, 1);
        }
    }
    let code = smaller.code.clone();
    again(&smaller, code)
}

/// Values numbered as they come: 1, 2, 3.
fn plain_values(program: &Program) -> Program {
    let mut plain = program.clone();
    plain.values.iter_mut().enumerate().for_each(|(at, value)| *value = Value::number(at as u64));
    let code = plain.code.clone();
    again(&plain, code)
}

/// Takes a policy's answers back to those of another, one by one, as long as the program shows the same.
///
/// What is left is what the bug needs.
pub fn reduced_policy(finding: &Finding, policy: &Policy, to: &Policy) -> Policy {
    let mut best = *policy;
    for knob in KNOBS.iter().filter(|knob| knob.get(policy) != knob.get(to)) {
        let mut nearer = best;
        knob.set(&mut nearer, knob.get(to));
        if nearer.coherent().is_ok() && same(&finding.scenario.program, &nearer, finding).is_some() {
            best = nearer;
        }
    }
    let complete = Policy { lacks: to.lacks, ..best };
    if same(&finding.scenario.program, &complete, finding).is_some() {
        best = complete;
    }
    for defect in policy.defects.iter() {
        let nearer = Policy { defects: best.defects.without(&[defect]), ..best };
        if same(&finding.scenario.program, &nearer, finding).is_some() {
            best = nearer;
        }
    }
    best
}
