//! Schedules drawn at random, for races too big to try all of: uniformly, or by priorities that change a few times.
//!
//! By priorities (PCT) the actor with the highest goes on until it cannot; at a few steps drawn beforehand it falls behind all
//! others. A wrong ending that needs c such changes comes with odds of at least 1/(n·kᶜ) a schedule, for n actors and k steps.
//!
//! Source: Burckhardt, Kothari, Musuvathi, Nagarakatte: A randomized scheduler with probabilistic guarantees of finding bugs
//! (ASPLOS 2010).

use super::node::{Model, Node, Searched, Stepped, Tasks};
use super::report::{Bound, Ending, Found, Report};
use super::search::{Hands, Progress};
use super::serial::Memo;
use super::table::Table;
use crate::ir::Outcome;
use crate::types::TaskId;

/// Schedules that one worker draws at a time.
const AT_ONCE: u64 = 64;
/// Pieces of work that are given out together.
const PIECES: u64 = 32;
/// Steps of one schedule; only a livelock comes near.
const STEPS_MAX: usize = 100_000;

/// How the next actor is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Each that can go on is as likely.
    Uniform,
    /// The one of the highest priority; so many times it loses it.
    Priorities { changes: u8 },
}

/// Schedules to be drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    pub manner: Manner,
    /// What all choices are made from.
    pub seed: u64,
    pub schedules: u64,
}

/// SplitMix64: one sequence for each seed, the same on every machine.
struct Dice(u64);

impl Dice {
    fn of(seed: u64, nth: u64) -> Self {
        let mut dice = Self(seed ^ nth.wrapping_mul(0xd134_2543_de82_ef95));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(end)) >> 64) as u64
    }
}

/// Who goes first.
enum Order {
    Uniform,
    /// Of each actor, higher first, and the steps at which the one that goes on falls behind all.
    Priorities {
        of: Vec<u64>,
        changes: Vec<u64>,
        lowest: u64,
    },
}

impl Order {
    fn draw(manner: Manner, actors: usize, steps: u64, dice: &mut Dice) -> Self {
        let Manner::Priorities { changes } = manner else { return Order::Uniform };
        let lowest = u64::from(changes);
        let mut of: Vec<u64> = (0..actors as u64).map(|nth| lowest + 1 + nth).collect();
        for at in (1..actors).rev() {
            of.swap(at, dice.below(at as u64 + 1) as usize);
        }
        let changes = (0..changes).map(|_| dice.below(steps.max(1))).collect();
        Order::Priorities { of, changes, lowest }
    }

    fn next(&self, able: Tasks, dice: &mut Dice) -> Option<TaskId> {
        match self {
            Order::Uniform => able.into_iter().nth(dice.below(u64::from(able.len()).max(1)) as usize),
            Order::Priorities { of, .. } => able.into_iter().max_by_key(|task| of[task.idx()]),
        }
    }

    fn stepped(&mut self, task: TaskId, step: u64) {
        if let Order::Priorities { of, changes, lowest } = self {
            for _ in changes.iter().filter(|at| **at == step) {
                of[task.idx()] = *lowest;
                *lowest = lowest.saturating_sub(1);
            }
        }
    }
}

/// What some schedules came to.
#[derive(Default)]
struct Drawn {
    /// Each ending, how many, and who stepped in the first of them.
    endings: Vec<(Ending, u64, Vec<TaskId>)>,
    fingerprints: Vec<u64>,
    steps: u64,
    longest: usize,
}

/// Draws schedules and judges each as a search would.
///
/// What was not drawn is unknown, so the report always has a bound.
pub fn sample<B: Searched>(
    model: &Model<'_, B>,
    draw: Draw,
    hands: &impl Hands,
    stop: &mut dyn FnMut(&Progress) -> Option<Bound>,
) -> Report {
    let (mut report, mut table) = (Report::default(), Table::new());
    let steps = one(model, Order::Uniform, &mut Dice::of(draw.seed, 0), &mut Memo::new(), &mut Vec::new()).1.len() as u64;
    let mut nth = 0;
    while nth < draw.schedules && report.bound.is_none() {
        let end = (nth + AT_ONCE * PIECES).min(draw.schedules);
        let pieces: Vec<_> = (nth..end).step_by(AT_ONCE as usize).map(|from| (from, (from + AT_ONCE).min(end))).collect();
        nth = end;
        for drawn in hands.map(pieces, &|(from, end)| some(model, draw, (from, end), steps)) {
            report.transitions += drawn.steps;
            report.depth = report.depth.max(drawn.longest as u32);
            let new = drawn.fingerprints.iter().filter(|print| table.insert_only(**print)).count();
            table.link_all(&vec![(0, 0); new]);
            for (ending, count, path) in drawn.endings {
                match report.endings.iter_mut().find(|found| found.ending == ending) {
                    Some(found) => found.count += count,
                    None => report.endings.push(Found { ending, count, path }),
                }
            }
        }
        let progress = Progress { states: table.len(), waiting: 0, depth: report.depth, bytes: table.bytes() };
        report.bound = stop(&progress);
    }
    report.states = table.len() as u64;
    report.serial_orders = model.orders.len() as u64;
    report.bound = report.bound.or(Some(Bound::Schedules(nth)));
    report
}

fn some<B: Searched>(model: &Model<'_, B>, draw: Draw, (from, end): (u64, u64), steps: u64) -> Drawn {
    let (mut drawn, mut memo) = (Drawn::default(), Memo::new());
    for nth in from..end {
        let mut dice = Dice::of(draw.seed, nth);
        let order = Order::draw(draw.manner, model.program.tasks.len(), steps, &mut dice);
        let (ending, path) = one(model, order, &mut dice, &mut memo, &mut drawn.fingerprints);
        drawn.steps += path.len() as u64;
        drawn.longest = drawn.longest.max(path.len());
        match drawn.endings.iter_mut().find(|(known, ..)| *known == ending) {
            Some((_, count, _)) => *count += 1,
            None => drawn.endings.push((ending, 1, path)),
        }
    }
    drawn.fingerprints.sort_unstable();
    drawn.fingerprints.dedup();
    drawn
}

/// One schedule: how it ended, and who stepped.
fn one<B: Searched>(
    model: &Model<'_, B>,
    mut order: Order,
    dice: &mut Dice,
    memo: &mut Memo,
    fingerprints: &mut Vec<u64>,
) -> (Ending, Vec<TaskId>) {
    let (mut node, mut path): (Node<B>, _) = (model.start(), Vec::new());
    loop {
        fingerprints.push(model.fingerprint(&node));
        if let Some(outcome) = model.broken(&node) {
            return (Ending::Came(outcome), path);
        }
        if model.is_over(&node) {
            return (Ending::Came(Outcome::Ok), path);
        }
        if path.len() == STEPS_MAX {
            return (Ending::Exhausted("steps"), path);
        }
        let mut able = model.live(&node);
        let came = loop {
            let Some(task) = order.next(able, dice) else { return (Ending::Deadlock, path) };
            match model.step_with(&mut node, task, memo, &mut ()) {
                Stepped::Not => able = able - [task].into_iter().collect(),
                came => {
                    order.stepped(task, path.len() as u64);
                    path.push(task);
                    break came;
                }
            }
        };
        match came {
            Stepped::Came(outcome) => return (Ending::Came(outcome), path),
            Stepped::Exhausted(what) => return (Ending::Exhausted(what), path),
            Stepped::On | Stepped::Not => {}
        }
    }
}
