//! `cowl explore` and `cowl replay`: all schedules of a race, and one of them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use super::args::{Explore, ExploreCommand, ExploreFormat, Random, Replay};
use super::report::{self, Told};
use super::terminal::{Searching, Stop};
use super::{Exit, Fail, Out, input};
use crate::analysis::{self, FileReport, Options, Plan};
use crate::explore::{self, Bound, Draw, Hands, Limits, Manner, Mode, Model, Progress, Searched, Shard, schedule};
use crate::generate::scale::exactly_shrunk;
use crate::policy::Policy;
use crate::render::lanes;
use crate::render::search::{self, Explored};
use crate::types::{Large, Small};

/// As many workers as there are to be.
pub struct Workers(pub usize);

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
    if let Some(ExploreCommand::Merge { files, format }) = &args.what {
        return merge(files, *format, out, exit);
    }
    let mode = mode(args)?;
    let options = Options { policies: &args.policy, scenario: args.scenario.as_deref(), ..Options::default() };
    let (stop, mut shown) = (Stop::listen(), Searching::new());
    let mut rows = Vec::new();
    let plans = plans(&args.files, &options, out, exit)?;
    let races: Vec<&Plan> =
        plans.iter().map(|(_, plan)| plan).filter(|plan| explore::has_race(&plan.scenario.program)).collect();
    if !plans.is_empty() && races.iter().all(|plan| plan.policies.is_empty()) {
        report::complain(match races.is_empty() {
            true => "nothing to explore: no scenario here has a `race { … }`, whose lines run at once\n",
            false => "nothing to explore: the policies asked for lack what the races need; `cowl run` says what\n",
        });
    }
    for plan in races {
        for (index, name, policy) in asked(plan, args.policy.is_empty()) {
            let (start, cpu) = (Instant::now(), cpu_seconds());
            let mut ask = |progress: &Progress| {
                shown.at(progress.states, progress.waiting, progress.bytes);
                let late = args.seconds.filter(|max| *max <= start.elapsed().as_secs());
                if stop.asked() { Some(Bound::Stopped) } else { late.map(Bound::Seconds) }
            };
            let named =
                explore::explore_any(&exactly_shrunk(&plan.scenario.program), policy, mode, &Workers(args.jobs), &mut ask);
            shown.clear();
            let explored = Explored::new(plan, name, *index, &named);
            tally(&explored, matches!(named.report.bounded(), None | Some(Bound::Shard(_))), exit);
            if args.table {
                rows.push(search::table_row(&explored, cpu_seconds() - cpu));
            } else {
                say(&explored, args.format, out)?;
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

/// CPU time of this process so far: what a search takes, whoever else uses the machine.
fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// What is to be searched: all schedules within bounds, or some that are drawn.
fn mode(args: &Explore) -> Result<Mode, Fail> {
    if args.jobs == 0 {
        return Err(Fail::usage("cowl::usage::explore", "a search needs a worker", "write `--jobs 1` or more"));
    }
    if let Some(random) = args.random {
        let manner = match random {
            Random::Uniform => Manner::Uniform,
            Random::Pct => Manner::Priorities { changes: args.changes },
        };
        return Ok(Mode::Drawn(Draw { manner, seed: args.seed, schedules: args.schedules }));
    }
    Ok(Mode::All(Limits {
        depth: args.depth,
        switches: args.switches,
        states: args.states,
        bytes: Some(args.memory.saturating_mul(1 << 20)),
        naive: args.naive,
        exact: args.exact,
        shard: args.shard.map(|(nth, of)| Shard { nth, of }),
    }))
}

/// Whether the expectations are met, and what that means for the exit code.
fn tally(explored: &Explored, whole: bool, exit: &mut Exit) {
    exit.ran();
    if explored.unmet {
        exit.unmet();
    }
    if !whole {
        exit.stopped();
    }
}

fn say(explored: &Explored, format: ExploreFormat, out: &mut Out<'_>) -> Result<(), Fail> {
    match format {
        ExploreFormat::Text => out.text(&search::text(explored, &out.look)),
        ExploreFormat::Json => out.text(&search::json(explored)),
    }
}

/// Runs `cowl explore merge`.
fn merge(files: &[PathBuf], format: ExploreFormat, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let mut lines = Vec::new();
    for file in files {
        let text = input::read(file).map_err(|refused| Fail::Usage(Box::new(refused.finding)))?;
        let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.extend(filled.map(|(nth, line)| (format!("{}:{}", file.display(), nth + 1), line.to_owned())));
    }
    let help = "give the output of `cowl explore --shard I/N --format json` of every shard, of one version and the same bounds";
    let all = search::merge(&lines).map_err(|error| Fail::usage("cowl::explore::merge", error, help))?;
    for explored in &all {
        tally(explored, explored.bound.is_none(), exit);
        say(explored, format, out)?;
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

/// The scenarios of all files; mistakes are told on the way.
fn plans(
    paths: &[PathBuf],
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
            let program = exactly_shrunk(&plan.scenario.program);
            let text = match program.exceeds::<Small>() {
                None => replayed::<Small>(args, &file, &plan, &Model::new(&program, policy), name, out)?,
                Some(_) => replayed::<Large>(args, &file, &plan, &Model::new(&program, policy), name, out)?,
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
    model: &Model<'_, B>,
    name: &str,
    out: &Out<'_>,
) -> Result<String, Fail> {
    let diverged = |diverged: schedule::Diverged| {
        Fail::usage(
            "cowl::replay::diverged",
            format!("{}: {diverged}", plan.scenario.name),
            "`cowl explore` prints the schedules that lead to each outcome under this policy",
        )
    };
    let turns = schedule::Schedule::read(&args.schedule, model).map_err(diverged)?;
    let replayed = schedule::replay(model, &turns).map_err(diverged)?;
    Ok(lanes::text(file, &plan.scenario, name, &replayed, &out.look))
}
