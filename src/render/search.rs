//! What `cowl explore` says: a line for the verdict, and one for each ending with a schedule that leads there.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use serde::{Deserialize, Serialize};

use super::Look;
use crate::analysis::Plan;
use crate::check::report::{self, Met};
use crate::explore::{Ending, Named};
use crate::ir::{Frequency, Outcome};

/// The number of the JSON that a search writes, as `docs/cowl-explore.schema.json` describes it.
const FORMAT: u32 = 1;

/// A scenario explored under a policy: what is printed, and what a shard writes down for `cowl explore merge`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explored {
    /// The number of this format, as `docs/cowl-explore.schema.json` describes it.
    pub format: u32,
    pub scenario: String,
    pub policy: String,
    /// The program, as a number.
    pub hash: String,
    /// The outcome that the verdict is about.
    pub of: String,
    /// `Always`, `Sometimes` or `Never`.
    pub verdict: String,
    /// Ways that come to it, and all.
    pub reach: (u64, u64),
    pub states: u64,
    pub steps: u64,
    /// Why something was left open.
    pub bound: Option<String>,
    /// The odds that two states were taken for one.
    pub collision: f64,
    pub ends: Vec<End>,
    pub expects: Vec<Expected>,
    /// Some expectation does not hold.
    pub unmet: bool,
}

/// How schedules end, and how many ways lead there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct End {
    pub ends: String,
    pub ways: u64,
    /// Such a schedule; empty where that is the order of the lines.
    pub schedule: String,
    /// What came of it is not known: a bound was in the way.
    pub open: bool,
}

/// An expectation that speaks of the policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Expected {
    pub frequency: String,
    pub outcome: String,
}

impl Explored {
    /// What a search came to.
    pub fn new(plan: &Plan, policy: &str, index: usize, named: &Named) -> Self {
        let scenario = &plan.scenario;
        let kind = scenario.kind.as_ref().map(|kind| format!("/{kind}")).unwrap_or_default();
        let hash = foldhash::fast::FixedState::with_seed(4).hash_one(&scenario.program);
        let expects = scenario.expects.iter().filter(|expect| expect.on.contains(&index));
        let expects: Vec<_> = expects.filter(|expect| !matches!(expect.outcome, Outcome::Copies(_))).collect();
        let known = |outcome: &Outcome| *outcome != Outcome::Ok;
        let came = named.report.endings.iter().filter_map(|found| match found.ending {
            Ending::Came(outcome) => Some(outcome),
            _ => None,
        });
        let spoken_of = expects.iter().map(|expect| expect.outcome).chain(came).find(known).unwrap_or(Outcome::Ok);
        let ends = named.report.endings.iter().zip(&named.schedules).map(|(found, schedule)| End {
            ends: found.ending.to_string(),
            ways: found.count,
            schedule: schedule.clone(),
            open: matches!(found.ending, Ending::Exhausted(_) | Ending::CutShort),
        });
        let expected = |frequency: Frequency, outcome: Outcome| Expected {
            frequency: verdict(frequency).to_owned(),
            outcome: outcome.to_string(),
        };
        let explored = Self {
            format: FORMAT,
            scenario: format!("{}{kind}", scenario.name),
            policy: policy.to_owned(),
            hash: format!("{hash:016x}"),
            of: spoken_of.to_string(),
            verdict: String::new(),
            reach: (0, 0),
            states: named.report.states,
            steps: named.report.transitions,
            bound: named.report.bounded().map(|bound| bound.to_string()),
            collision: named.report.odds(),
            ends: ends.collect(),
            expects: expects.iter().map(|expect| expected(expect.frequency, expect.outcome)).collect(),
            unmet: false,
        };
        explored.judged()
    }

    /// Counts the ends, and holds the expectations against them.
    fn judged(mut self) -> Self {
        let ways = |outcome: Option<&str>| -> u64 {
            let ends = self.ends.iter().filter(|end| !end.open && outcome.is_none_or(|outcome| outcome == end.ends));
            ends.map(|end| end.ways).sum()
        };
        let meets = |expect: &Expected| {
            let frequency = [Frequency::Always, Frequency::Sometimes, Frequency::Never];
            let frequency = frequency.into_iter().find(|frequency| verdict(*frequency) == expect.frequency);
            frequency.map(|frequency| report::meets(frequency, (ways(Some(&expect.outcome)), ways(None)), self.bound.is_some()))
        };
        let unmet = self.expects.iter().any(|expect| meets(expect) == Some(Met::No));
        let reach = (ways(Some(&self.of)), ways(None));
        (self.reach, self.unmet, self.verdict) = (reach, unmet, verdict(report::frequency(reach)).to_owned());
        self
    }

    /// Takes in what another part of the same search found.
    fn take_in(&mut self, other: Self) {
        self.states += other.states;
        self.steps += other.steps;
        self.collision += other.collision;
        for end in other.ends {
            match self.ends.iter_mut().find(|known| known.ends == end.ends) {
                None => self.ends.push(end),
                Some(known) => {
                    known.ways += end.ways;
                    if end.schedule.len() < known.schedule.len() {
                        known.schedule = end.schedule;
                    }
                }
            }
        }
    }
}

fn verdict(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Always => "Always",
        Frequency::Sometimes => "Sometimes",
        Frequency::Never => "Never",
    }
}

/// The verdict, and what leads to each ending.
pub fn text(explored: &Explored, look: &Look) -> String {
    let Explored { scenario, policy, hash, of, verdict, reach: (with, all), states, steps, bound, collision, ends, .. } =
        explored;
    let open = if bound.is_some() { " (bounded)" } else { "" };
    let unmet = if explored.unmet { " UNMET" } else { "" };
    let mut out = format!(
        "{scenario} {policy} {verdict}{open} of={} reach={with}/{all} states={states} steps={steps} bound={} \
         collision={collision:.0e} hash={hash}{unmet}\n",
        of.replace(' ', "-"),
        bound.as_deref().unwrap_or("none"),
    );
    for End { ends, ways, schedule, .. } in ends {
        let first = format!("  {ends:10} {ways:>6}  ");
        let schedule = if schedule.is_empty() { "(in the order of its lines)" } else { schedule };
        out.push_str(&look.wrap(schedule, &first, &" ".repeat(first.len())));
    }
    out
}

/// The same as one line of JSON.
///
/// # Panics
/// With `cowl bug:`; numbers and strings can be written.
pub fn json(explored: &Explored) -> String {
    serde_json::to_string(explored).expect("cowl bug: numbers and strings cannot be written") + "\n"
}

/// Joins what the shards of one search wrote, a line of JSON for each scenario and policy.
///
/// States and ways that several shards met are counted by each of them: the sums are upper bounds, the verdicts exact.
///
/// # Errors
/// What cannot be read, and which shards are missing or there twice.
pub fn merge(lines: &[(String, String)]) -> Result<Vec<Explored>, String> {
    let mut all: BTreeMap<(String, String, String), Vec<(String, Explored)>> = BTreeMap::new();
    for (place, line) in lines {
        let explored: Explored = serde_json::from_str(line).map_err(|error| format!("{place}: {error}"))?;
        if explored.format != FORMAT {
            return Err(format!("{place}: this is format {}, and not {FORMAT}", explored.format));
        }
        let key = (explored.scenario.clone(), explored.policy.clone(), explored.hash.clone());
        all.entry(key).or_default().push((place.clone(), explored));
    }
    all.into_iter().map(|((scenario, policy, _), parts)| joined(&format!("{scenario} {policy}"), parts)).collect()
}

fn joined(what: &str, parts: Vec<(String, Explored)>) -> Result<Explored, String> {
    let shard = |bound: &Option<String>| -> Option<(u32, u32)> {
        let (nth, of) = bound.as_ref()?.strip_prefix("shard:")?.split_once('/')?;
        Some((nth.parse().ok()?, of.parse().ok()?))
    };
    // A shard that stopped at a bound says that bound instead; the whole is bounded by it then.
    let of = parts.iter().find_map(|(_, part)| shard(&part.bound)).map_or(0, |(_, of)| of);
    let mut there = vec![0; of as usize];
    let (mut stopped, mut whole): (Option<String>, Option<Explored>) = (None, None);
    for (place, part) in parts {
        match shard(&part.bound) {
            Some((nth, other)) if other == of && nth < of => there[nth as usize] += 1,
            Some((nth, other)) => return Err(format!("{place}: {what}: shard {nth}/{other} beside those of {of}")),
            None => stopped = stopped.or_else(|| part.bound.clone()).or(Some(place)),
        }
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => whole.take_in(part),
        }
    }
    let list = |wanted: fn(u32) -> bool| {
        let some = there.iter().enumerate().filter(|(_, times)| wanted(**times)).map(|(nth, _)| format!("{nth}/{of}"));
        some.collect::<Vec<_>>().join(", ")
    };
    match (list(|times| 1 < times), list(|times| times == 0)) {
        (twice, _) if !twice.is_empty() => return Err(format!("{what}: shard {twice} is there more than once")),
        (_, missing) if !missing.is_empty() && stopped.is_none() => return Err(format!("{what}: shard {missing} is missing")),
        _ => {}
    }
    let mut whole = whole.ok_or_else(|| format!("{what}: no shard"))?;
    whole.bound = stopped;
    Ok(whole.judged())
}

/// One row of the book's table.
pub fn table_row(explored: &Explored, seconds: f64) -> String {
    let outcomes = explored.ends.iter().map(|end| format!("{} {}", end.ends, end.ways));
    let bound = explored.bound.as_ref().map(|bound| format!(" (bounded, {bound})")).unwrap_or_default();
    let seconds = if seconds < 1.0 { "< 1".to_owned() } else { format!("{seconds:.0}") };
    format!(
        "| `{}` | {} | {} | {} | {seconds} | {}{bound} |\n",
        explored.scenario,
        explored.policy,
        explored.states,
        explored.steps,
        outcomes.collect::<Vec<_>>().join(", ")
    )
}

/// The table, in the book's form.
pub fn table(rows: &[String]) -> String {
    format!("| scenario | policy | states | steps | seconds | ends |\n|---|---|---:|---:|---:|---|\n{}", rows.concat())
}
