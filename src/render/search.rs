//! What `cowl explore` says: a line for the verdict, and one for each ending with a schedule that leads there.

use std::hash::BuildHasher;

use super::Look;
use crate::analysis::Plan;
use crate::check::report::Met;
use crate::explore::{Ending, Named};
use crate::ir::{Frequency, Outcome};

/// A scenario explored under a policy.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub plan: &'a Plan,
    pub policy: &'a str,
    pub named: &'a Named,
    pub met: Met,
}

/// The outcome that the verdict speaks of: what is expected besides `ok`, else what came besides it.
fn wanted(row: &Row<'_>) -> Outcome {
    let known = |outcome: &Outcome| !matches!(outcome, Outcome::Ok | Outcome::Copies(_));
    let index = row.plan.policies.iter().find(|(_, name, _)| name == row.policy).map(|(index, ..)| *index);
    let expects = row.plan.scenario.expects.iter().filter(|expect| index.is_some_and(|index| expect.on.contains(&index)));
    let expected = expects.map(|expect| expect.outcome).find(|outcome| known(outcome));
    let came = row.named.report.endings.iter().find_map(|found| match found.ending {
        Ending::Came(outcome) if known(&outcome) => Some(outcome),
        _ => None,
    });
    expected.or(came).unwrap_or(Outcome::Ok)
}

fn title(row: &Row<'_>) -> String {
    let kind = row.plan.scenario.kind.as_ref().map(|kind| format!("/{kind}"));
    format!("{}{}", row.plan.scenario.name, kind.unwrap_or_default())
}

fn verdict(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Always => "Always",
        Frequency::Sometimes => "Sometimes",
        Frequency::Never => "Never",
    }
}

/// The verdict, and what leads to each ending.
pub fn text(row: &Row<'_>, look: &Look) -> String {
    let (report, race, outcome) = (&row.named.report, row.named.report.race(), wanted(row));
    let (with, all) = race.reach(outcome);
    let bound = race.bound.clone().unwrap_or_else(|| "none".to_owned());
    let hash = foldhash::fast::FixedState::with_seed(4).hash_one(&row.plan.scenario.program);
    let open = if race.bound.is_some() { " (bounded)" } else { "" };
    let unmet = if row.met == Met::No { " UNMET" } else { "" };
    let mut out = format!(
        "{} {} {}{open} of={} reach={with}/{all} states={} steps={} bound={bound} collision={:.0e} hash={hash:016x}{unmet}\n",
        title(row),
        row.policy,
        verdict(race.frequency(outcome)),
        outcome.to_string().replace(' ', "-"),
        report.states,
        report.transitions,
        report.odds(),
    );
    for (found, schedule) in report.endings.iter().zip(&row.named.schedules) {
        let first = format!("  {:10} {:>6}  ", found.ending.to_string(), found.count);
        let schedule = if schedule.is_empty() { "(in the order of its lines)" } else { schedule };
        out.push_str(&look.wrap(schedule, &first, &" ".repeat(first.len())));
    }
    out
}

/// One row of the book's table.
pub fn table_row(row: &Row<'_>, seconds: f64) -> String {
    let (report, race) = (&row.named.report, row.named.report.race());
    let outcomes = report.endings.iter().map(|found| format!("{} {}", found.ending, found.count));
    let bound = race.bound.map(|bound| format!(" (bounded, {bound})")).unwrap_or_default();
    let seconds = if seconds < 1.0 { "< 1".to_owned() } else { format!("{seconds:.0}") };
    format!(
        "| `{}` | {} | {} | {} | {seconds} | {}{bound} |\n",
        title(row),
        row.policy,
        report.states,
        report.transitions,
        outcomes.collect::<Vec<_>>().join(", ")
    )
}

/// The table, in the book's form.
pub fn table(rows: &[String]) -> String {
    format!("| scenario | policy | states | steps | seconds | ends |\n|---|---|---:|---:|---:|---|\n{}", rows.concat())
}
