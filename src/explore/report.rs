//! What a search found, as plain values.

use super::search::Shard;
use crate::check::report::Race;
use crate::ir::Outcome;
use crate::types::TaskId;

/// How a schedule may end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With this outcome, the first to happen.
    Came(Outcome),
    /// Nobody can go on, and not all lines are done.
    Deadlock,
    /// A bound of the model was reached: its name.
    Exhausted(&'static str),
    /// It needs more switches than were asked for.
    CutShort,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Came(outcome) => outcome.fmt(f),
            Ending::Deadlock => f.write_str("deadlock"),
            Ending::Exhausted(what) => write!(f, "not enough {what}"),
            Ending::CutShort => f.write_str("cut short"),
        }
    }
}

/// An ending, how many ways out of how many states lead to it, and a shortest schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub ending: Ending,
    pub count: u64,
    /// Who was chosen, at each choice.
    pub path: Vec<TaskId>,
}

/// Why a search stopped before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Steps.
    Depth(u32),
    /// Switches.
    Switches(u8),
    States(u64),
    /// Memory.
    Bytes(usize),
    Seconds(u64),
    /// A part was searched.
    Shard(Shard),
    /// Schedules, drawn at random.
    Schedules(u64),
    /// Somebody asked to stop.
    Stopped,
    /// A bound of the model: its name.
    Model(&'static str),
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::Depth(steps) => write!(f, "depth:{steps}"),
            Bound::Switches(switches) => write!(f, "switches:{switches}"),
            Bound::States(states) => write!(f, "states:{states}"),
            Bound::Bytes(bytes) => write!(f, "memory:{}M", bytes >> 20),
            Bound::Seconds(seconds) => write!(f, "seconds:{seconds}"),
            Bound::Schedules(schedules) => write!(f, "schedules:{schedules}"),
            Bound::Shard(Shard { nth, of }) => write!(f, "shard:{nth}/{of}"),
            Bound::Stopped => f.write_str("stopped"),
            Bound::Model(what) => write!(f, "{}", what.replace(' ', "-")),
        }
    }
}

/// What a search found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// States kept.
    pub states: u64,
    /// Steps made.
    pub transitions: u64,
    /// Choices of the longest of all shortest paths.
    pub depth: u32,
    /// Different sets of serial orders that explain what was seen.
    pub serial_orders: u64,
    /// In order of their shortest paths.
    pub endings: Vec<Found>,
    /// Why it stopped, where it did not come to its end.
    pub bound: Option<Bound>,
    /// States were told apart by all they are.
    pub exact: bool,
    /// Bytes that a state kept takes in the table.
    pub bytes_a_state: f64,
}

impl Report {
    /// What the search did not see for a bound.
    pub fn bounded(&self) -> Option<Bound> {
        let short = |found: &Found| match found.ending {
            Ending::Exhausted(what) => Some(Bound::Model(what)),
            _ => None,
        };
        self.bound.or_else(|| self.endings.iter().find_map(short))
    }

    /// What expectations are held against.
    pub fn race(&self) -> Race {
        let ended = self.endings.iter().filter_map(|found| match found.ending {
            Ending::Came(outcome) => Some((Some(outcome), found.count)),
            Ending::Deadlock => Some((None, found.count)),
            Ending::Exhausted(_) | Ending::CutShort => None,
        });
        Race { endings: ended.collect(), states: self.states, bound: self.bounded().map(|bound| bound.to_string()) }
    }

    /// The odds that two different states were taken for one: about n² / 2⁶⁵.
    pub fn odds(&self) -> f64 {
        if self.exact { 0.0 } else { (self.states as f64).powi(2) / 2_f64.powi(65) }
    }
}
