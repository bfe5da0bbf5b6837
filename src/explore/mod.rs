//! Every interleaving of a program's races: which outcomes some schedule leads to, and by which.
//!
//! The search calls [`crate::engine::step`] for every actor that could go on, in every state it meets, and remembers 64 bits
//! of each (`table`). It judges beside the engine's state all serial orders that explain what was seen (`serial`): a
//! promise is broken where none does.

mod blame;
mod expand;
mod node;
mod random;
mod reduce;
mod report;
pub mod schedule;
mod search;
mod serial;
mod table;
mod touch;

pub use blame::Blame;
pub use node::{Model, Node, Searched, Stepped};
pub use random::{Draw, Manner};
pub use reduce::Reduction;
pub use report::{Bound, Ending, Found, Report};
pub use search::{Alone, Hands, Limits, Progress, Shard};

use crate::ir::Program;
use crate::policy::Policy;
use crate::types::{Large, Small};

/// States of a race that `cowl run` tries, and the memory that it takes for them.
pub const RUN_STATES_MAX: u64 = 50_000;
const RUN_BYTES_MAX: usize = 1 << 30;

/// Tries every schedule of a program under a policy.
///
/// `stop` is asked now and then, and may end the search with a bound. The result is the same whoever the `hands` are.
///
/// # Panics
/// Only with `cowl bug:`; the program must have come from lowering and fit `B`.
pub fn explore<B: Searched>(
    model: &Model<'_, B>,
    limits: Limits,
    hands: &impl Hands,
    stop: &mut dyn FnMut(&Progress) -> Option<Bound>,
) -> Report {
    let mut report = search::Search::new(model, limits).run(hands, stop);
    let cut = report.endings.iter().any(|found| found.ending == Ending::CutShort);
    if let (true, None, Some(switches)) = (cut, report.bound, limits.switches) {
        report.bound = Some(Bound::Switches(switches));
    }
    report
}

/// A schedule of each ending, in names, with as few switches as leaving out turns gives.
#[derive(Clone, PartialEq, Debug)]
pub struct Named {
    pub report: Report,
    /// In the order of [`Report::endings`].
    pub schedules: Vec<String>,
}

/// What is to be done: all schedules, or some that are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    All(Limits),
    Drawn(Draw),
}

/// As [`explore`], in the smallest size that has room for the program, with a schedule by name for each ending; or as many
/// schedules drawn at random as are asked for.
///
/// # Panics
/// As [`explore`]; lowering bounds every program to [`Large`].
pub fn explore_any(
    program: &Program,
    policy: &Policy,
    mode: Mode,
    hands: &impl Hands,
    stop: &mut dyn FnMut(&Progress) -> Option<Bound>,
) -> Named {
    match program.exceeds::<Small>() {
        None => named(&Model::<Small>::new(program, policy), mode, hands, stop),
        Some(_) => named(&Model::<Large>::new(program, policy), mode, hands, stop),
    }
}

fn named<B: Searched>(
    model: &Model<'_, B>,
    mode: Mode,
    hands: &impl Hands,
    stop: &mut dyn FnMut(&Progress) -> Option<Bound>,
) -> Named {
    let (report, whole) = match mode {
        Mode::All(limits) => (explore(model, limits, hands, stop), !limits.reduces()),
        Mode::Drawn(draw) => (random::sample(model, draw, hands, stop), true),
    };
    let schedule = |found: &Found| {
        let steps = schedule::steps(model, whole, &found.path);
        schedule::shorten(model, schedule::of_steps(model, &steps), found.ending).text(model)
    };
    let schedules = report.endings.iter().map(schedule).collect();
    Named { report, schedules }
}

/// The schedule with the fewest switches that ends so, carried out; `None` where none of the first `states` states leads there.
///
/// # Panics
/// As [`explore`].
pub fn fewest(program: &Program, policy: &Policy, ending: Ending, states: u64) -> Option<(String, schedule::Replayed)> {
    match program.exceeds::<Small>() {
        None => fewest_of(&Model::<Small>::new(program, policy), ending, states),
        Some(_) => fewest_of(&Model::<Large>::new(program, policy), ending, states),
    }
}

fn fewest_of<B: Searched>(model: &Model<'_, B>, ending: Ending, states: u64) -> Option<(String, schedule::Replayed)> {
    let limits = Limits { states: Some(states), ..Limits::default() };
    let mut any = explore(model, limits, &Alone, &mut |_| None).endings.into_iter();
    let any = any.find(|found| found.ending == ending)?;
    let mut best = schedule::shorten(model, schedule::of_steps(model, &schedule::steps(model, false, &any.path)), ending);
    for switches in 0..best.switches() as u8 {
        let limits = Limits { switches: Some(switches), ..limits };
        let mut found = explore(model, limits, &Alone, &mut |_| None).endings.into_iter();
        if let Some(found) = found.find(|found| found.ending == ending) {
            let fewer = schedule::shorten(model, schedule::of_steps(model, &found.path), ending);
            if fewer.switches() <= best.switches() {
                best = fewer;
            }
            break;
        }
    }
    let replayed = schedule::replay(model, &best).ok()?;
    Some((best.text(model), replayed))
}

/// What is to blame for an ending that [`explore`] found with reductions.
///
/// # Panics
/// As [`explore`].
pub fn blame(program: &Program, policy: &Policy, found: &Found) -> Blame {
    match program.exceeds::<Small>() {
        None => blame::blame(&Model::<Small>::new(program, policy), found),
        Some(_) => blame::blame(&Model::<Large>::new(program, policy), found),
    }
}

/// Whether some order of the program's lines is open.
pub fn has_race(program: &Program) -> bool {
    program.code.iter().any(|instr| instr.race.is_some())
}

/// What `cowl run` says of a program's races: all orders, up to [`RUN_STATES_MAX`] states.
pub fn race(program: &Program, policy: &Policy) -> crate::check::report::Race {
    let limits = Limits { states: Some(RUN_STATES_MAX), bytes: Some(RUN_BYTES_MAX), ..Limits::default() };
    match program.exceeds::<Small>() {
        None => explore(&Model::<Small>::new(program, policy), limits, &Alone, &mut |_| None).race(),
        Some(_) => explore(&Model::<Large>::new(program, policy), limits, &Alone, &mut |_| None).race(),
    }
}
