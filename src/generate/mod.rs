//! Programs that nobody wrote: drawn statement by statement from a table of rows, each valid where it stands.
//!
//! A generator knows what has been said so far ([`sketch::Sketch`]) and never what came of it: it names neither the engine nor the
//! ideal world, so what it draws cannot lean on what either believes. What it makes is canonical: printed and lowered again
//! it is the same program. Each program draws a subset of the verbs (swarm testing), since what repairs a state — exit, munmap,
//! unpin — is what hides a bug that needs it broken.

mod admit;
mod dice;
pub mod rows;
pub mod scale;
pub mod sketch;
#[cfg(test)]
mod tests;

pub use admit::{Manner, Renames, admit, again, foresees_event, whole};
pub use dice::{Dice, Seeded};

use crate::ir::{Op, Program, Verb};
use crate::types::{PMD_ORDER, Size, Small};
use rows::{ROWS, Row};
use scale::SMALL_PMD_ORDER;
use sketch::Sketch;

/// How many statements a program has at most, unless a caller says otherwise.
pub const STATEMENTS: usize = 24;

/// Draws of one statement that come to nothing before the program ends early; the rows left may have nothing to say.
const DRAWS_MAX: usize = 64;

/// How many of each thing a program may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub procs: usize,
    pub pages: usize,
    pub actors: usize,
    pub refs: usize,
    pub held: usize,
    pub cache: usize,
    pub values: usize,
    pub words: usize,
}

impl Limits {
    /// What a world of this size can hold.
    pub const fn of<B: Size>() -> Self {
        Self {
            procs: B::PROCS_MAX,
            pages: B::PAGES_MAX,
            actors: B::TASKS_MAX,
            refs: B::REFS_MAX,
            held: B::HELD_MAX,
            cache: B::CACHE_MAX,
            values: B::VALUES_MAX,
            words: B::WORDS_MAX,
        }
    }
}

/// What programs are drawn.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Statements of a program at most; a program has at least a quarter of them where it can.
    pub statements: usize,
    /// Operands that are wrong on purpose, in a hundred: memory that is unmapped, protected or never touched.
    pub wild_percent: u32,
    /// Programs in a hundred whose PMDs map as few pages as a small world has, so that huge pages fit; they are read by
    /// [`scale::grown`].
    pub scaled_percent: u32,
    /// The chance of each row to be in a program's subset, in a hundred: one of these for each program. Mapping, storing, loading
    /// and forking always are.
    pub swarm_percent: [u32; 4],
    /// How large programs may get.
    pub limits: Limits,
    /// Whether an operation can be run; asked with the program that it would be added to.
    pub modelled: fn(&Program, Op) -> bool,
    /// Verbs that are never drawn.
    pub without: Vec<Verb>,
}

impl Settings {
    /// 24 statements, small worlds, one operand of fifty wild, no huge pages but those of the pool. `modelled` knows what
    /// can be run: [`everything`], or what a real kernel offers.
    pub fn new(modelled: fn(&Program, Op) -> bool) -> Self {
        Self {
            statements: STATEMENTS,
            wild_percent: 2,
            scaled_percent: 0,
            swarm_percent: [15, 30, 60, 60],
            limits: Limits::of::<Small>(),
            modelled,
            without: Vec::new(),
        }
    }

    /// The same, and a quarter of the programs has huge pages: what campaigns draw.
    pub fn scaled(self) -> Self {
        Self { scaled_percent: 25, ..self }
    }
}

/// Whether an operation can be run: in the engine any can.
pub fn everything(_: &Program, _: Op) -> bool {
    true
}

/// Draws a program: every name resolved, every statement possible where it stands, no claims.
///
/// The same choices give the same program as long as [`ROWS`] stays as it is; what is kept is the program, never the choices.
pub fn program(dice: &mut dyn Dice, settings: &Settings) -> Program {
    let small = dice.percent(settings.scaled_percent);
    let mut sketch = Sketch::new(settings.limits, settings.wild_percent, if small { SMALL_PMD_ORDER } else { PMD_ORDER });
    let len = settings.statements - dice.below((settings.statements * 3 / 4) as u32) as usize;
    let subset = subset(dice, settings);
    let mut draws_left = DRAWS_MAX;
    while sketch.program().code.len() < len && 0 < draws_left {
        let left = len - sketch.program().code.len();
        match statement(&mut sketch, dice, settings, &subset, left) {
            true => draws_left = DRAWS_MAX,
            false => draws_left -= 1,
        }
    }
    sketch.finish()
}

/// The rows that a program may use: each with its chance, so that programs differ in what cannot happen in them.
fn subset(dice: &mut dyn Dice, settings: &Settings) -> Vec<&'static Row> {
    let always = |verb| matches!(verb, Verb::Mmap | Verb::Write | Verb::Read | Verb::Fork);
    let percent = dice.pick(&settings.swarm_percent).unwrap_or(100);
    let chosen = |row: &&Row| {
        let lucky = dice.percent(percent);
        (always(row.verb) || lucky) && !settings.without.contains(&row.verb)
    };
    ROWS.iter().filter(chosen).collect()
}

/// Adds one statement; says whether it could.
fn statement(sketch: &mut Sketch, dice: &mut dyn Dice, settings: &Settings, subset: &[&Row], left: usize) -> bool {
    let offers = sketch.offers();
    let weight = |row: &Row| if offers.contains(row.needs) { row.weight(left) } else { 0 };
    let mut at = dice.below(subset.iter().map(|row| weight(row)).sum());
    for row in subset {
        let weight = weight(row);
        if at < weight {
            return sketch.attempt(|sketch| (row.make)(sketch, dice), settings.modelled);
        }
        at -= weight;
    }
    false
}
