//! `cowl explore` and `cowl replay`: all schedules of a race, and one of them.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::args::{Explore, Replay};
use super::report::{self, Told};
use super::terminal::{Searching, Stop};
use super::{Exit, Fail, Out, input};
use crate::analysis::{self, FileReport, Options, Plan};
use crate::check::report::Met;
use crate::explore::{self, Bound, Hands, Limits, Model, Named, Progress, Searched, schedule};
use crate::policy::Policy;
use crate::render::{lanes, search};
use crate::types::{Large, Small};

/// As many workers as there are to be.
struct Workers(usize);

impl Hands for Workers {
    fn map<T: Send, R: Send>(&self, work: Vec<T>, make: &(dyn Fn(T) -> R + Sync)) -> Vec<R> {
        if self.0 <= 1 || work.len() <= 1 {
            return work.into_iter().map(make).collect();
        }
        // Whoever is done takes what is next, and all is put into its order at the end.
        let (workers, queue) = (self.0.min(work.len()), Mutex::new(work.into_iter().enumerate()));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let some = || std::iter::from_fn(next).map(|(nth, piece)| (nth, make(piece))).collect::<Vec<_>>();
        let mut made: Vec<(usize, R)> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(some)).collect();
            let own = some();
            let others = others.into_iter().flat_map(|worker| worker.join().expect("cowl bug: a worker panicked"));
            own.into_iter().chain(others).collect()
        });
        made.sort_by_key(|(nth, _)| *nth);
        made.into_iter().map(|(_, result)| result).collect()
    }
}

/// Runs `cowl explore`.
pub fn explore(args: &Explore, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let limits = Limits {
        depth: args.depth,
        switches: args.switches,
        states: args.states,
        bytes: Some(args.memory.saturating_mul(1 << 20)),
        naive: args.naive,
        exact: args.exact,
    };
    let options = Options { policies: &args.policy, scenario: args.scenario.as_deref(), ..Options::default() };
    let (stop, mut shown) = (Stop::listen(), Searching::new());
    let mut rows = Vec::new();
    let plans = plans(&args.inputs.files, &options, out, exit)?;
    for (_, plan) in plans.iter().filter(|(_, plan)| explore::has_race(&plan.scenario.program)) {
        for (index, name, policy) in asked(plan, args.policy.is_empty()) {
            let start = Instant::now();
            let mut ask = |progress: &Progress| {
                shown.at(progress.states, progress.waiting, progress.bytes);
                let late = args.seconds.filter(|max| *max <= start.elapsed().as_secs());
                if stop.asked() { Some(Bound::Stopped) } else { late.map(Bound::Seconds) }
            };
            let named = explore::explore_any(&plan.scenario.program, policy, limits, &Workers(args.jobs), &mut ask);
            shown.clear();
            let row = search::Row { plan, policy: name, named: &named, met: tally(plan, *index, &named, exit) };
            if args.table {
                rows.push(search::table_row(&row, start.elapsed().as_secs_f64()));
            } else {
                out.text(&search::text(&row, &out.look))?;
            }
            if stop.asked() {
                return Ok(());
            }
        }
    }
    if args.table {
        out.text(&search::table(&rows))?;
    }
    Ok(())
}

/// The policies of a scenario: those asked for; where none is, one of each group that its expectations tell apart.
fn asked(plan: &Plan, each_group: bool) -> Vec<&(usize, String, Policy)> {
    let all = plan.policies.iter();
    if !each_group {
        return all.collect();
    }
    let known = |index: &usize| plan.policies.iter().any(|(other, ..)| other == index);
    let wanted: Vec<usize> = plan.scenario.expects.iter().filter_map(|expect| expect.on.iter().copied().rfind(known)).collect();
    all.filter(|(index, ..)| wanted.contains(index)).collect()
}

/// Whether the expectations are met, and what that means for the exit code.
fn tally(plan: &Plan, index: usize, named: &Named, exit: &mut Exit) -> Met {
    exit.ran();
    let race = named.report.race();
    let expects = plan.scenario.expects.iter().filter(|expect| expect.on.contains(&index));
    let met: Vec<Met> = expects
        .filter(|expect| !matches!(expect.outcome, crate::ir::Outcome::Copies(_)))
        .map(|expect| race.meets(expect.frequency, expect.outcome))
        .collect();
    if named.report.bounded().is_some() {
        exit.stopped();
    }
    match () {
        () if met.contains(&Met::No) => {
            exit.unmet();
            Met::No
        }
        () if met.contains(&Met::NotJudged) => Met::NotJudged,
        () => Met::Yes,
    }
}

/// The scenarios of all files; mistakes are told on the way.
fn plans(
    paths: &[std::path::PathBuf],
    options: &Options<'_>,
    out: &mut Out<'_>,
    exit: &mut Exit,
) -> Result<Vec<(FileReport, Plan)>, Fail> {
    let mut told = Told::default();
    let (mut files, mut plans) = (Vec::new(), Vec::new());
    for text in input::texts(paths) {
        let Some(text) = report::or_complain(text, false, &out.errors, exit) else { continue };
        let (report, found) = analysis::plan(text.source, &mut input::used, options);
        if !report.findings.is_empty() {
            report::complain(&told.findings(&report, false, &out.errors));
        }
        if report.failed() {
            exit.bad_input();
        }
        plans.extend(found.into_iter().map(|plan| (report.clone(), plan)));
        files.push(report);
    }
    if !files.iter().any(FileReport::failed)
        && let Some(unknown) = analysis::unknown_policy(&files, options).or_else(|| analysis::unknown_scenario(&files, options))
    {
        return Err(Fail::Usage(Box::new(unknown)));
    }
    Ok(plans)
}

/// Runs `cowl replay`.
pub fn replay(args: &Replay, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let policies = [args.policy.clone()];
    let options = Options { policies: &policies, scenario: args.scenario.as_deref(), ..Options::default() };
    for (file, plan) in plans(&args.inputs.files, &options, out, exit)? {
        for (_, name, policy) in &plan.policies {
            let text = match plan.scenario.program.exceeds::<Small>() {
                None => replayed::<Small>(args, &file, &plan, (name, policy), out)?,
                Some(_) => replayed::<Large>(args, &file, &plan, (name, policy), out)?,
            };
            out.text(&text)?;
            exit.ran();
        }
    }
    Ok(())
}

fn replayed<B: Searched>(
    args: &Replay,
    file: &FileReport,
    plan: &Plan,
    (name, policy): (&str, &Policy),
    out: &Out<'_>,
) -> Result<String, Fail> {
    let model = Model::<B>::new(&plan.scenario.program, policy);
    let diverged = |diverged: schedule::Diverged| {
        Fail::usage(
            "cowl::replay::diverged",
            format!("{}: {diverged}", plan.scenario.name),
            "`cowl explore` prints the schedules that lead to each outcome under this policy",
        )
    };
    let turns = schedule::Schedule::read(&args.schedule, &model).map_err(diverged)?;
    let replayed = schedule::replay(&model, &turns).map_err(diverged)?;
    Ok(lanes::text(file, plan, name, &replayed, &out.look))
}
