//! Changes to programs: what a campaign tries near a program that reached something new.
//!
//! Every change is a list of statements, said again through a sketch: what no longer fits is renamed, made to fit, or left out.

use std::borrow::Borrow;

use crate::generate::rows::ROWS;
use crate::generate::sketch::Sketch;
use crate::generate::{Dice, Manner, Renames, Settings, admit};
use crate::ir::{Area, Instr, Op, Program, Prot, Speed, UffdMode};

/// Changes at most to one program.
const CHANGES_MAX: u32 = 3;

/// A program near another, or between two: the same for the same choices. `other` is asked for where it is needed.
pub fn mutated<O: Borrow<Program>>(
    program: &Program,
    other: impl FnOnce(&mut dyn Dice) -> O,
    dice: &mut dyn Dice,
    settings: &Settings,
) -> Program {
    let spliced = dice.percent(20).then(|| other(dice));
    let of = [program, spliced.as_ref().map_or(program, Borrow::borrow)];
    let mut lines = Vec::with_capacity(program.code.len() + CHANGES_MAX as usize + 1);
    if spliced.is_some() {
        // The beginning of one program and the end of another, cut between statements; names of the second become new.
        let cut = dice.below(of[0].code.len() as u32 + 1) as usize;
        let from = dice.below(of[1].code.len() as u32 + 1) as usize;
        lines.extend(of[0].code[..cut].iter().map(|instr| Line::Said(0, *instr)));
        lines.extend(of[1].code[from..].iter().map(|instr| Line::Said(1, *instr)));
    } else {
        lines.extend(program.code.iter().map(|instr| Line::Said(0, *instr)));
    }
    for _ in 0..=dice.below(CHANGES_MAX) {
        change(&mut lines, of, dice);
    }
    let mut sketch = Sketch::new(settings.limits, settings.wild_percent, program.pmd_order).on(program.system);
    let mut renames = [0, 1].map(|which: usize| Renames::of(of[which], Manner::Loosely));
    for line in &lines {
        if sketch.program().code.len() == settings.statements {
            break;
        }
        match line {
            Line::Said(which, instr) => {
                admit(&mut sketch, &mut renames[*which], of[*which], instr, settings.modelled);
            }
            Line::Drawn => drawn(&mut sketch, dice, settings),
        }
    }
    if sketch.program().code.is_empty() {
        drawn(&mut sketch, dice, settings);
    }
    sketch.finish()
}

/// A line of a program that is made of others.
#[derive(Clone, Copy)]
enum Line {
    /// A statement of the first or the second of two programs.
    Said(usize, Instr),
    /// A statement that is still to be drawn.
    Drawn,
}

/// One change.
fn change(lines: &mut Vec<Line>, of: [&Program; 2], dice: &mut dyn Dice) {
    let at = dice.below(lines.len() as u32) as usize;
    match dice.below(8) {
        0..=2 => lines.insert(at, Line::Drawn),
        3 if !lines.is_empty() => drop(lines.remove(at)),
        4 if !lines.is_empty() => {
            let moved = lines.remove(at);
            lines.insert(dice.below(lines.len() as u32 + 1) as usize, moved);
        }
        5 if !lines.is_empty() => lines.insert(dice.below(lines.len() as u32) as usize, lines[at]),
        way => match lines.get_mut(at) {
            Some(Line::Said(which, instr)) if way == 6 => retarget(of[*which], instr, dice),
            Some(Line::Said(_, instr)) => turn(instr, dice),
            Some(Line::Drawn) => {}
            None => lines.push(Line::Drawn),
        },
    }
}

/// One statement that was not there.
fn drawn(sketch: &mut Sketch, dice: &mut dyn Dice, settings: &Settings) {
    let offers = sketch.offers();
    for _ in 0..8 {
        let row = &ROWS[dice.below(ROWS.len() as u32) as usize];
        let wanted = offers.contains(row.needs) && !settings.without.contains(&row.verb);
        if wanted && sketch.attempt(|sketch| (row.make)(sketch, dice), settings.modelled) {
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
