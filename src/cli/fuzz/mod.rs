//! `cowl fuzz`: campaigns on this machine, saved as they go.

mod bank;
mod races;
mod report;
mod store;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueHint};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Stop;
use super::{Exit, Fail, Out, policies};
use crate::campaign::hunt::{Claim, Counts, Hunt, Plan, Shard, Turn};
use crate::generate::Settings;
use crate::generate::everything;
use store::Store;

/// Programs between two looks at the clock.
const TURNS: u64 = 256;
/// Programs of the longest statement count that a small world can run.
const STATEMENTS_MAX: usize = 200;

/// What to hunt, for how long, and where to keep it.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Fuzz {
    #[command(subcommand)]
    pub what: Option<FuzzCommand>,
    /// Stop after this many seconds; without it and without --programs, at ctrl-C
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Stop after this many programs, counted over all jobs
    #[arg(long, value_name = "N")]
    pub programs: Option<u64>,
    /// What all choices are made from
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The policy whose promises are held against it
    #[arg(long, short, default_value = "latest", value_name = "P")]
    pub policy: String,
    /// What is held against each program
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["races", "bank"], value_name = "CLAIM")]
    pub claim: Claim,
    /// Threads; each has its own sequence of programs
    #[arg(long, short, default_value_t = 1, value_name = "J")]
    pub jobs: u64,
    /// This machine's part of a campaign: `0/8` is the first of eight
    #[arg(long, default_value = "0/1", value_name = "I/N", value_parser = shard)]
    pub shard: (u64, u64),
    /// Statements of a program at most
    #[arg(long, default_value_t = crate::generate::STATEMENTS, value_name = "N")]
    pub statements: usize,
    /// Scenario files to begin with; their folders too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub seeds: Vec<PathBuf>,
    /// Where corpus, findings and progress are kept; a campaign that is there goes on
    #[arg(long, default_value = "cowl-fuzz", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Draw races: two threads and a few lines, of which every order is tried
    #[arg(long, conflicts_with_all = ["bank", "seeds"])]
    pub races: bool,
    /// Not a campaign but the bug bank: how long each planted and each old bug takes to be found; with NAME those that begin so
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub bank: Option<Option<String>>,
}

#[derive(Subcommand, Debug)]
pub enum FuzzCommand {
    /// Make one campaign of several: the programs that reach something new, and each finding once
    Merge {
        /// The folder that takes everything in
        #[arg(value_name = "INTO", value_hint = ValueHint::DirPath)]
        into: PathBuf,
        /// The folders of campaigns
        #[arg(required = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
        from: Vec<PathBuf>,
    },
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((nth, of)) if nth < of => Ok((nth, of)),
        _ => Err("write `0/8` for the first of eight shards, `7/8` for the last".to_owned()),
    }
}

/// Runs the command.
pub fn fuzz(args: &Fuzz, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    if let Some(FuzzCommand::Merge { into, from }) = &args.what {
        return store::merge(into, from, out, exit);
    }
    if args.jobs == 0 || args.statements == 0 || STATEMENTS_MAX < args.statements {
        let help = format!("write `--jobs 1` or more and `--statements` from 1 to {STATEMENTS_MAX}");
        return Err(Fail::usage("cowl::usage::fuzz", "a campaign needs a job and statements", help));
    }
    if args.races {
        return races::races(args, out, exit);
    }
    if args.bank.is_some() {
        return bank::bank(args, out, exit);
    }
    campaign(args, out, exit)
}

/// What the parts of a campaign share while they run.
struct Shared<'a> {
    args: &'a Fuzz,
    store: &'a Store,
    stop: &'a Stop,
    began: Instant,
    /// Of each job: its counts, features, rules hit and new kinds of violations.
    standing: Mutex<Vec<Standing>>,
}

#[derive(Clone, Default)]
struct Standing {
    counts: Counts,
    features: u32,
    rows: usize,
    news: usize,
    known: usize,
}

fn campaign(args: &Fuzz, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let named = policies::find(&args.policy)?;
    let store = Store::open(&args.dir).map_err(|error| unusable(&args.dir, &error))?;
    let seeds = store::seeds(&args.seeds, exit);
    let stop = Stop::listen();
    let jobs = args.jobs as usize;
    let standing = Mutex::new(vec![Standing::default(); jobs]);
    let shared = Shared { args, store: &store, stop: &stop, began: Instant::now(), standing };
    let (nth, of) = args.shard;
    let hunts = (0..args.jobs).map(|job| {
        let settings = Settings { statements: args.statements, ..Settings::new(everything).scaled() };
        let shard = Shard { nth: nth * args.jobs + job, of: of * args.jobs };
        let policy_name = if args.claim == Claim::Books { "any" } else { named.name }.to_owned();
        let plan = Plan { seed: args.seed, shard, policy_name, policy: named.policy, claim: args.claim, settings };
        let mut hunt = Hunt::new(plan);
        store.resume(&mut hunt);
        for program in &seeds {
            hunt.seed(program.clone());
        }
        hunt
    });
    // A panic is caught and told in the report; its own message would be told once for each step of its reduction.
    std::panic::set_hook(Box::new(|_| {}));
    let hunts: Vec<Hunt> = hunts.collect();
    let shared = &shared;
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> =
            hunts.into_iter().enumerate().map(|(job, hunt)| scope.spawn(move || work(shared, job, hunt))).collect();
        watch(shared, || workers.iter().all(|worker| worker.is_finished()));
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<Hunt>, std::io::Error>>()
    });
    drop(std::panic::take_hook());
    let mut done = done.map_err(|error| unusable(&args.dir, &error))?.into_iter();
    let Some(mut all) = done.next() else { return Ok(()) };
    done.for_each(|hunt| all.merge(hunt));
    out.text(&report::text(args, &all))?;
    exit.ran();
    if stop.asked() {
        exit.stopped();
    }
    if report::news(&all) || all.counts.operations == 0 {
        exit.unmet();
    }
    Ok(())
}

fn unusable(dir: &std::path::Path, error: &std::io::Error) -> Fail {
    let help = "give a folder that can be written with --dir";
    Fail::usage("cowl::usage::fuzz_dir", format!("`{}` cannot hold a campaign: {error}", dir.display()), help)
}

/// One job: turns, and everything new on disk at once.
fn work(shared: &Shared<'_>, job: usize, mut hunt: Hunt) -> Result<Hunt, std::io::Error> {
    let args = shared.args;
    let share = args.programs.map(|all| all / args.jobs + u64::from((job as u64) < all % args.jobs));
    let until = args.seconds.map(|seconds| shared.began + Duration::from_secs(seconds));
    let mut saved = Instant::now();
    let mut left = share.unwrap_or(u64::MAX);
    while 0 < left && !shared.stop.asked() && until.is_none_or(|until| Instant::now() < until) {
        for _ in 0..TURNS.min(left) {
            left -= 1;
            match hunt.turn() {
                Turn::Same => {}
                Turn::Kept => hunt.corpus.last().map_or(Ok(()), |program| shared.store.keep(program))?,
                Turn::Caught(signature) => shared.store.caught(&hunt.plan, &hunt.caught[&signature])?,
                Turn::Unbalanced(key) => shared.store.unbalanced(&hunt.plan, &hunt.unbalanced[&key])?,
                Turn::Crashed(key) => shared.store.crashed(&hunt.plan, &key, &hunt.crashes[&key])?,
            }
        }
        if let Ok(mut standing) = shared.standing.lock() {
            let news = hunt.news().count() + hunt.unbalanced.len();
            standing[job] = Standing {
                counts: hunt.counts,
                features: hunt.hits.features(),
                rows: report::rules(&hunt).0,
                news,
                known: hunt.caught.len() - hunt.news().count(),
            };
        }
        if Duration::from_secs(1) < saved.elapsed() {
            shared.store.progress(&hunt)?;
            saved = Instant::now();
        }
    }
    shared.store.progress(&hunt)?;
    Ok(hunt)
}

/// Says how far the jobs are until all are done.
fn watch(shared: &Shared<'_>, done: impl Fn() -> bool) {
    let bar = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
        false => ProgressBar::hidden(),
    };
    bar.set_style(
        ProgressStyle::with_template("{spinner} [{elapsed_precise}] {msg}").unwrap_or(ProgressStyle::default_spinner()),
    );
    while !done() {
        std::thread::sleep(Duration::from_millis(50));
        let Ok(standing) = shared.standing.lock().map(|standing| standing.clone()) else { break };
        let sum = |of: fn(&Standing) -> u64| standing.iter().map(of).sum::<u64>();
        let most = |of: fn(&Standing) -> u64| standing.iter().map(of).max().unwrap_or(0);
        let programs = sum(|one| one.counts.programs);
        bar.set_message(format!(
            "{programs} programs, {:.0}/s; {} of {} rules hit, {} features; {} new violations, {} known",
            programs as f64 / shared.began.elapsed().as_secs_f64().max(0.001),
            most(|one| one.rows as u64),
            crate::policy::KNOBS.len(),
            most(|one| one.features.into()),
            most(|one| one.news as u64),
            most(|one| one.known as u64),
        ));
        bar.tick();
    }
    bar.finish_and_clear();
}
