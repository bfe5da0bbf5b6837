//! Schedules by name: who runs until where.
//!
//! `parent at fork:dup; parent/2 ends` lets the first thread of the parent run until its next step is the one named
//! `fork:dup`, then the second until its lines of the race are done. Where only one actor can go on it does, and no word is
//! lost about it. Names are those of places in a kernel path, so a schedule survives changes elsewhere in the file.

use super::node::{Model, Node, Searched, Stepped};
use super::reduce;
use super::report::Ending;
use crate::ir::Outcome;
use crate::state::{At, Fault, GupAt};
use crate::types::{Pc, TaskId};

/// Steps of one replay; only a livelock comes near.
const STEPS_MAX: usize = 200_000;

/// Who runs, and until where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    pub task: TaskId,
    /// The place it is to stand at, and at which of its arrivals there; `None`: until it has nothing left to do.
    pub until: Option<(String, u32)>,
}

/// The turns of a schedule, in order. Behind the last, whoever comes first goes on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule(pub Vec<Turn>);

/// One step of a replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    pub task: TaskId,
    pub pc: Pc,
    /// Where it stood.
    pub site: String,
    /// Others could have gone on instead.
    pub choice: bool,
}

/// A schedule carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replayed {
    pub steps: Vec<Made>,
    pub ending: Ending,
}

/// Why a schedule cannot be carried out, or cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Diverged {
    #[error("turn {turn} says `{says}`, and the scenario has no actor of that name")]
    Actor { turn: usize, says: String },
    #[error("turn {turn}, `{says}`, cannot be read: write `ACTOR at PLACE`, `ACTOR at PLACE #2` or `ACTOR ends`")]
    Unreadable { turn: usize, says: String },
    #[error("turn {turn}, `{says}`: `{actor}` does not come there; the first step that differs is {instead}")]
    Elsewhere { turn: usize, says: String, actor: String, instead: String },
}

impl Schedule {
    /// As text that [`Schedule::read`] reads.
    pub fn text<B: Searched>(&self, model: &Model<'_, B>) -> String {
        let turns = self.0.iter().map(|turn| turn_text(model, turn));
        turns.collect::<Vec<_>>().join("; ")
    }

    /// Reads a schedule.
    ///
    /// # Errors
    /// Where a turn cannot be read, or names nobody.
    pub fn read<B: Searched>(text: &str, model: &Model<'_, B>) -> Result<Self, Diverged> {
        let pieces = text.split([';', '\n']).map(str::trim).filter(|piece| !piece.is_empty());
        let turns = pieces.enumerate().map(|(nth, says)| {
            let (turn, says) = (nth + 1, says.to_owned());
            let words: Vec<&str> = says.split_whitespace().collect();
            let (actor, until) = match words[..] {
                [actor, "ends"] => (actor, None),
                [actor, "at", site] => (actor, Some((site.to_owned(), 1))),
                [actor, "at", site, nth] => match nth.trim_start_matches('#').parse() {
                    Ok(nth) => (actor, Some((site.to_owned(), nth))),
                    Err(_) => return Err(Diverged::Unreadable { turn, says }),
                },
                _ => return Err(Diverged::Unreadable { turn, says }),
            };
            let task = (0..model.program.tasks.len()).map(TaskId::at).find(|task| model.program.actor(*task) == actor);
            task.map(|task| Turn { task, until }).ok_or(Diverged::Actor { turn, says: says.clone() })
        });
        turns.collect::<Result<_, _>>().map(Schedule)
    }

    /// Times that an actor is left for another.
    pub fn switches(&self) -> usize {
        self.0.len().saturating_sub(1)
    }
}

fn turn_text<B: Searched>(model: &Model<'_, B>, turn: &Turn) -> String {
    let actor = model.program.actor(turn.task);
    match &turn.until {
        None => format!("{actor} ends"),
        Some((site, 1)) => format!("{actor} at {site}"),
        Some((site, nth)) => format!("{actor} at {site} #{nth}"),
    }
}

/// The name of an actor's next step: the verb of a line not started, else the kernel path and the place in it.
pub fn site<B: Searched>(model: &Model<'_, B>, node: &Node<B>, task: TaskId) -> Option<String> {
    let pc = model.line(node, task)?;
    let verb = model.program.code[pc.idx()].op.verb().keyword().replace(' ', "_");
    let own = node.st.task(task);
    let (path, place) = match (own.fault, own.at) {
        (Fault::None, At::Idle | At::Start) => return Some(verb),
        (Fault::None, At::Gup(GupAt::Slow)) => return Some("gup_slow".to_owned()),
        (Fault::None, At::Gup(at)) => ("gup_fast".to_owned(), innermost(&format!("{at:?}"))),
        (Fault::None, at) => (verb, innermost(&format!("{at:?}"))),
        (fault, _) => ("fault".to_owned(), innermost(&format!("{fault:?}"))),
    };
    Some(format!("{path}:{place}"))
}

/// The last name of a kind in a value's text, in small letters: `Fork(Vpn(0), Dup)` is at `dup`.
fn innermost(text: &str) -> String {
    let outer = text.split([' ', '{']).next().unwrap_or_default();
    let name = match text.starts_with("Fork")
        || text.starts_with("Share")
        || text.starts_with("Reclaim")
        || text.starts_with("Migrate")
    {
        true => text.trim_end_matches(')').rsplit(['(', ' ']).next().unwrap_or(outer),
        false => outer.split('(').next().unwrap_or(outer),
    };
    let mut small = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !small.is_empty() {
            small.push('_');
        }
        small.extend(letter.to_lowercase());
    }
    small
}

/// The steps of a path that a search found, one by one.
pub fn steps<B: Searched>(model: &Model<'_, B>, naive: bool, path: &[TaskId]) -> Vec<TaskId> {
    let (mut node, mut steps) = (model.start(), Vec::new());
    for task in path {
        let mut came = model.step(&mut node, *task, &mut ());
        steps.push(*task);
        while !naive && came == Stepped::On {
            let Some(forced) = reduce::forced(model, &node) else { break };
            match model.step(&mut node, forced, &mut ()) {
                Stepped::Not => break,
                then => came = then,
            }
            steps.push(forced);
        }
    }
    steps
}

/// The schedule of steps that were made.
pub fn of_steps<B: Searched>(model: &Model<'_, B>, steps: &[TaskId]) -> Schedule {
    let mut node = model.start();
    let mut turns: Vec<Turn> = Vec::new();
    let mut arrivals: Vec<String> = Vec::new();
    for task in steps {
        let choice = 1 < movable(model, &node).len();
        if choice && turns.last().is_none_or(|turn| turn.task != *task) {
            close(model, &node, &mut turns, &arrivals);
            turns.push(Turn { task: *task, until: None });
            arrivals.clear();
        }
        model.step(&mut node, *task, &mut ());
        if turns.last().is_some_and(|turn| turn.task == *task) {
            arrivals.extend(site(model, &node, *task));
        }
    }
    Schedule(turns)
}

/// Names the place where the last turn ended.
fn close<B: Searched>(model: &Model<'_, B>, node: &Node<B>, turns: &mut [Turn], arrivals: &[String]) {
    if let Some(turn) = turns.last_mut()
        && let Some(site) = site(model, node, turn.task)
    {
        let nth = arrivals.iter().filter(|other| **other == site).count() as u32;
        turn.until = Some((site, nth.max(1)));
    }
}

fn movable<B: Searched>(model: &Model<'_, B>, node: &Node<B>) -> Vec<TaskId> {
    let can = |task: &TaskId| model.step(&mut node.clone(), *task, &mut ()) != Stepped::Not;
    model.live(node).filter(can).collect()
}

/// Carries a schedule out.
///
/// # Errors
/// Where an actor does not come to the place that its turn names.
pub fn replay<B: Searched>(model: &Model<'_, B>, schedule: &Schedule) -> Result<Replayed, Diverged> {
    let mut node = model.start();
    let mut replayed = Replayed { steps: Vec::new(), ending: Ending::Came(Outcome::Ok) };
    let (mut turn, mut begun, mut arrivals) = (0, false, 0);
    while !model.is_over(&node) {
        if let Some(outcome) = model.broken(&node) {
            replayed.ending = Ending::Came(outcome);
            break;
        }
        let movable = movable(model, &node);
        if movable.is_empty() || replayed.steps.len() == STEPS_MAX {
            replayed.ending = if movable.is_empty() { Ending::Deadlock } else { Ending::Exhausted("steps") };
            break;
        }
        let choice = 1 < movable.len();
        if choice && begun && schedule.0.get(turn).is_some_and(|now| is_over(model, &node, now, arrivals)) {
            (turn, begun, arrivals) = (turn + 1, false, 0);
        }
        let task = match schedule.0.get(turn).filter(|_| choice) {
            Some(now) if movable.contains(&now.task) => {
                begun = true;
                now.task
            }
            Some(now) => return Err(elsewhere(model, &node, turn, now)),
            None => movable[0],
        };
        let pc = model.line(&node, task).expect("cowl bug: an actor without a line stepped");
        let at = site(model, &node, task).unwrap_or_default();
        let came = model.step(&mut node, task, &mut ());
        replayed.steps.push(Made { task, pc, site: at, choice });
        if begun && schedule.0.get(turn).is_some_and(|now| now.task == task && stands(model, &node, now)) {
            arrivals += 1;
        }
        match came {
            Stepped::On | Stepped::Not => {}
            Stepped::Came(outcome) => replayed.ending = Ending::Came(outcome),
            Stepped::Exhausted(what) => replayed.ending = Ending::Exhausted(what),
        }
        if came != Stepped::On {
            break;
        }
    }
    // However it ended: a turn that began and did not come to its place was not followed.
    let missed = |now: &&Turn| begun && now.until.as_ref().is_some_and(|(_, nth)| arrivals < *nth);
    match schedule.0.get(turn).filter(missed) {
        Some(now) => Err(elsewhere(model, &node, turn, now)),
        None => Ok(replayed),
    }
}

/// The actor of a turn stands where the turn ends.
fn stands<B: Searched>(model: &Model<'_, B>, node: &Node<B>, turn: &Turn) -> bool {
    match &turn.until {
        None => !model.live(node).any(|task| task == turn.task),
        Some((wanted, _)) => site(model, node, turn.task).as_ref() == Some(wanted),
    }
}

fn is_over<B: Searched>(model: &Model<'_, B>, node: &Node<B>, turn: &Turn, arrivals: u32) -> bool {
    stands(model, node, turn) && turn.until.as_ref().is_none_or(|(_, nth)| *nth <= arrivals)
}

fn elsewhere<B: Searched>(model: &Model<'_, B>, node: &Node<B>, turn: usize, now: &Turn) -> Diverged {
    let actor = model.program.actor(now.task);
    let instead = match site(model, node, now.task) {
        Some(site) if model.live(node).any(|task| task == now.task) => format!("`{actor} at {site}`, where it has to wait"),
        Some(_) | None => format!("behind the last line of `{actor}`"),
    };
    Diverged::Elsewhere { turn: turn + 1, says: turn_text(model, now), actor, instead }
}

/// The same ending with fewer switches, as far as leaving out turns leads there.
pub fn shorten<B: Searched>(model: &Model<'_, B>, schedule: Schedule, ending: Ending) -> Schedule {
    let mut best = schedule;
    let mut at = 0;
    while at < best.0.len() {
        let mut shorter = best.clone();
        shorter.0.remove(at);
        let mut joined: Vec<Turn> = Vec::new();
        for turn in shorter.0 {
            match joined.last_mut() {
                Some(last) if last.task == turn.task => last.until = turn.until,
                _ => joined.push(turn),
            }
        }
        let shorter = Schedule(joined);
        match replay(model, &shorter) {
            Ok(replayed) if replayed.ending == ending && shorter.0.len() < best.0.len() => {
                let steps: Vec<_> = replayed.steps.iter().map(|made| made.task).collect();
                let named = of_steps(model, &steps);
                if best.0.len() <= named.0.len() {
                    at += 1;
                    continue;
                }
                (best, at) = (named, 0);
            }
            _ => at += 1,
        }
    }
    best
}
