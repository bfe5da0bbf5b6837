//! Changes to programs: what a campaign tries near a program that reached something new.
//!
//! Every change is a list of statements, said again through a sketch: what no longer fits is renamed, made to fit, or left out.

use crate::generate::rows::ROWS;
use crate::generate::sketch::Sketch;
use crate::generate::{Dice, Manner, Renames, Settings, admit};
use crate::ir::{Area, Instr, Op, Program, Prot, Speed, UffdMode};

/// Changes at most to one program.
const CHANGES_MAX: u32 = 3;

/// A program near another, or between two: the same for the same choices.
pub fn mutated(program: &Program, other: &Program, dice: &mut dyn Dice, settings: &Settings) -> Program {
    let mut near = match dice.percent(20) {
        true => spliced(program, other, dice, settings),
        false => program.clone(),
    };
    for _ in 0..=dice.below(CHANGES_MAX) {
        near = changed(&near, dice, settings);
    }
    near
}

/// The beginning of one program and the end of another, cut between statements; names of the second become new.
fn spliced(head: &Program, tail: &Program, dice: &mut dyn Dice, settings: &Settings) -> Program {
    let cut = dice.below(head.code.len() as u32 + 1) as usize;
    let from = dice.below(tail.code.len() as u32 + 1) as usize;
    let mut sketch = Sketch::new(settings.limits, settings.wild_percent);
    said(&mut sketch, head, &head.code[..cut], Manner::Loosely, settings);
    said(&mut sketch, tail, &tail.code[from..], Manner::Loosely, settings);
    sketch.finish()
}

fn said(sketch: &mut Sketch, from: &Program, code: &[Instr], manner: Manner, settings: &Settings) {
    let mut renames = Renames::of(from, manner);
    for instr in code {
        if sketch.program().code.len() < settings.statements {
            admit(sketch, &mut renames, from, instr, settings.modelled);
        }
    }
}

/// One change.
fn changed(program: &Program, dice: &mut dyn Dice, settings: &Settings) -> Program {
    let mut code = program.code.clone();
    let at = dice.below(code.len() as u32) as usize;
    let mut draw = false;
    match dice.below(8) {
        0..=2 => draw = true,
        3 if !code.is_empty() => drop(code.remove(at)),
        4 if !code.is_empty() => {
            let moved = code.remove(at);
            code.insert(dice.below(code.len() as u32 + 1) as usize, moved);
        }
        5 if !code.is_empty() => code.insert(dice.below(code.len() as u32) as usize, code[at]),
        6 if !code.is_empty() => retarget(program, &mut code[at], dice),
        _ if !code.is_empty() => turn(&mut code[at], dice),
        _ => draw = true,
    }
    let mut sketch = Sketch::new(settings.limits, settings.wild_percent);
    let mut renames = Renames::of(program, Manner::Loosely);
    for (pc, instr) in code.iter().enumerate() {
        if draw && pc == at {
            drawn(&mut sketch, dice, settings);
        }
        if sketch.program().code.len() < settings.statements {
            admit(&mut sketch, &mut renames, program, instr, settings.modelled);
        }
    }
    if code.is_empty() {
        drawn(&mut sketch, dice, settings);
    }
    sketch.finish()
}

/// One statement that was not there, where there is room for it.
fn drawn(sketch: &mut Sketch, dice: &mut dyn Dice, settings: &Settings) {
    for _ in 0..8 {
        let row = &ROWS[dice.below(ROWS.len() as u32) as usize];
        let wanted = (row.possible)(sketch) && !settings.without.contains(&row.verb);
        let room = sketch.program().code.len() < settings.statements;
        if wanted && room && sketch.attempt(|sketch| (row.make)(sketch, dice), settings.modelled) {
            return;
        }
    }
}

/// The same about other memory, or by somebody else.
fn retarget(program: &Program, instr: &mut Instr, dice: &mut dyn Dice) {
    if let Some(area) = instr.op.area().filter(|_| dice.percent(60))
        && let Some(mem) = program.mems.get(dice.below(program.mems.len() as u32) as usize)
        && !matches!(instr.op, Op::Mmap { .. })
    {
        let start = mem.area.start.0 + dice.below(mem.area.len.into()) as u16;
        let len = 1 + dice.below(u32::from(mem.area.start.0 + mem.area.len - start)) as u16;
        let area = Area { mem: mem.area.mem, start: crate::types::Vpn(start), len, ..area };
        instr.op = instr.op.with(area, instr.op.stores().unwrap_or_default(), instr.op.takes().unwrap_or_default());
    } else {
        instr.task = crate::types::TaskId::at(dice.below(program.tasks.len() as u32) as usize);
    }
}

/// The same with another flag.
fn turn(instr: &mut Instr, dice: &mut dyn Dice) {
    let prots = [Prot::None, Prot::Ro, Prot::Rw];
    match &mut instr.op {
        Op::Mmap { prot, .. } | Op::Mprotect { prot, .. } => *prot = dice.pick(&prots).unwrap_or_default(),
        Op::Madvise { advice, .. } => {
            *advice = dice.pick(<crate::ir::Advice as strum::VariantArray>::VARIANTS).unwrap_or(*advice);
        }
        Op::Get { write, speed, .. } => {
            *write = dice.percent(50);
            *speed = dice.pick(&[Speed::Fast, Speed::Slow]).unwrap_or_default();
        }
        Op::Pin { write, longterm, speed, .. } => {
            *write = dice.percent(50);
            *longterm = dice.percent(50);
            *speed = dice.pick(&[Speed::Fast, Speed::Slow]).unwrap_or_default();
        }
        Op::Unpin { dirty, .. } => *dirty = !*dirty,
        Op::UffdRegister { mode, .. } => *mode = dice.pick(&[UffdMode::Wp, UffdMode::Missing]).unwrap_or(*mode),
        Op::Write { area, .. } | Op::Read { area } => area.word = None,
        _ => {}
    }
}
