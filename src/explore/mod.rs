//! Every interleaving of a program's races: which outcomes some schedule leads to, and by which.
//!
//! The search calls [`crate::engine::step`] for every actor that could go on, in every state it meets, and remembers 64 bits
//! of each (`table`). It judges beside the engine's state all serial orders that explain what was seen (`serial`): a
//! promise is broken where none does.

mod expand;
mod node;
mod reduce;
mod report;
pub mod schedule;
mod search;
mod serial;
mod table;
mod touch;

pub use node::{Model, Node, Searched, Stepped};
pub use reduce::Reduction;
pub use report::{Bound, Ending, Found, Report};
pub use search::{Alone, Hands, Limits, Progress};

use crate::ir::Program;
use crate::policy::Policy;
use crate::types::{Large, Small};

/// States of a race that `cowl run` tries.
pub const RUN_STATES_MAX: u64 = 50_000;

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

/// As [`explore`], in the smallest size that has room for the program, with a schedule by name for each ending.
///
/// # Panics
/// As [`explore`]; lowering bounds every program to [`Large`].
pub fn explore_any(
    program: &Program,
    policy: &Policy,
    limits: Limits,
    hands: &impl Hands,
    stop: &mut dyn FnMut(&Progress) -> Option<Bound>,
) -> Named {
    match program.exceeds::<Small>() {
        None => named(&Model::<Small>::new(program, policy), limits, hands, stop),
        Some(_) => named(&Model::<Large>::new(program, policy), limits, hands, stop),
    }
}

fn named<B: Searched>(
    model: &Model<'_, B>,
    limits: Limits,
    hands: &impl Hands,
    stop: &mut dyn FnMut(&Progress) -> Option<Bound>,
) -> Named {
    let report = explore(model, limits, hands, stop);
    let whole = limits.naive || limits.switches.is_some();
    let schedule = |found: &Found| {
        let steps = schedule::steps(model, whole, &found.path);
        schedule::shorten(model, schedule::of_steps(model, &steps), found.ending).text(model)
    };
    let schedules = report.endings.iter().map(schedule).collect();
    Named { report, schedules }
}

/// Whether some order of the program's lines is open.
pub fn has_race(program: &Program) -> bool {
    program.code.iter().any(|instr| instr.race.is_some())
}

/// What `cowl run` says of a program's races: all orders, up to [`RUN_STATES_MAX`] states.
pub fn race(program: &Program, policy: &Policy) -> crate::check::report::Race {
    let limits = Limits { states: Some(RUN_STATES_MAX), ..Limits::default() };
    match program.exceeds::<Small>() {
        None => explore(&Model::<Small>::new(program, policy), limits, &Alone, &mut |_| None).race(),
        Some(_) => explore(&Model::<Large>::new(program, policy), limits, &Alone, &mut |_| None).race(),
    }
}
