//! `cowl kernel fuzz`: random programs on the running kernel and in the engine.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};

use super::kernel::start_on;
use super::metal::nearest;
use super::terminal::{Progress, Stop};
use super::{Exit, Fail, Out, report};
use crate::campaign::hunt::Shard;
use crate::campaign::on_kernel::{Hunt, Plan, is_sayable, is_sayable_with_leave};
use crate::generate::Settings;
use crate::ir::{Scenario, Verb};
use crate::kernel::host::Host;
use crate::kernel::wire::{Feature, Job};
use crate::metal::job;
use crate::policy;

/// Between two looks at how far the threads are.
const STEP: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub struct KernelFuzz {
    /// How long; without this and `--programs`, until ctrl-C
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// How many programs, whatever they come to
    #[arg(long, value_name = "N")]
    pub programs: Option<u64>,
    /// What the programs are drawn from
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// The policy to compare with; the nearest to the running release if left out
    #[arg(long, short, value_name = "P")]
    pub policy: Option<String>,
    /// Where programs that differ are written to, as `.cow` files
    #[arg(long, short, value_name = "FOLDER", default_value = "cowl-fuzz/kernel", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// How many programs at once; one for each CPU if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: Option<u8>,
    /// Draw also what changes settings of the machine: swap, huge pages, KSM; they are restored
    #[arg(long)]
    pub allow_system: bool,
}

/// What all threads look at.
struct Shared<'a> {
    args: &'a KernelFuzz,
    stop: &'a Stop,
    begun: Instant,
    /// One of them cannot go on.
    broken: AtomicBool,
    programs: AtomicU64,
    entries: AtomicU64,
    skipped: AtomicU64,
}

impl Shared<'_> {
    fn goes_on(&self, turns: u64, of: u64) -> bool {
        let in_time = self.args.seconds.is_none_or(|seconds| self.begun.elapsed() < Duration::from_secs(seconds));
        let enough = self.args.programs.is_some_and(|programs| programs <= turns * of);
        in_time && !enough && !self.stop.asked() && !self.broken.load(Ordering::Relaxed)
    }

    fn text(&self) -> String {
        let (programs, seconds) = (self.programs.load(Ordering::Relaxed), self.begun.elapsed().as_secs_f64());
        let (entries, skipped) = (self.entries.load(Ordering::Relaxed), self.skipped.load(Ordering::Relaxed));
        let speed = programs as f64 / seconds;
        format!("{seconds:.0} s: {programs} programs ({speed:.0} a second), {entries} facts compared, {skipped} skipped")
    }
}

/// Runs the command.
pub fn fuzz(args: &KernelFuzz, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let hello = start_on(None)?.hello.clone();
    let name = args.policy.clone().map_or_else(|| nearest(&hello.release), Ok)?;
    let Some(named) = policy::find(&name) else {
        return Err(Fail::usage("cowl::policy::unknown", format!("there is no policy `{name}`"), "`cowl policies` lists them"));
    };
    let point = if args.policy.is_none() { policy::of_point(&hello.release) } else { None };
    let policy = point.map_or(named.policy, |fix| fix(named.policy));
    let settings = settings(&hello.probe, args.allow_system);
    out.text(&format!("{} as {name}, seed {}\n", hello.release, args.seed))?;
    out.flush()?;
    let stop = Stop::listen();
    let shared = Shared {
        args,
        stop: &stop,
        begun: Instant::now(),
        broken: AtomicBool::new(false),
        programs: AtomicU64::new(0),
        entries: AtomicU64::new(0),
        skipped: AtomicU64::new(0),
    };
    // One at a time may change the machine.
    let cpus = if args.allow_system { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    let jobs = args.jobs.map_or(cpus, usize::from) as u64;
    let plans =
        (0..jobs).map(|nth| Plan { seed: args.seed, shard: Shard { nth, of: jobs }, policy, settings: settings.clone() });
    let hunt = hunts(&shared, plans.collect()).map_err(Fail::Write)?;
    if stop.asked() {
        exit.stopped();
    }
    tell(&hunt, &shared, &hello.release, &name, out, exit)
}

/// What can be drawn: what this kernel and this user can do.
fn settings(features: &[Feature], system: bool) -> Settings {
    let lacks = |name: &str| features.iter().any(|feature| !feature.sees && feature.name == name && feature.no.is_some());
    let mut settings = Settings::new(if system { is_sayable_with_leave } else { is_sayable });
    let verbs: &[(&str, &[Verb])] = &[
        ("soft_dirty", &[Verb::ClearRefs, Verb::SoftDirty]),
        ("vmsplice", &[Verb::Vmsplice, Verb::Get]),
        ("pin rw longterm", &[Verb::Pin]),
        ("direct_read", &[Verb::DirectRead, Verb::DirectWrite]),
        ("uffd wp", &[Verb::UffdRegister, Verb::UffdWp, Verb::UffdUnwp]),
        ("uffd move", &[Verb::UffdMove]),
        ("madvise collapse", &[Verb::Collapse]),
    ];
    settings.without = verbs.iter().filter(|(name, _)| lacks(name)).flat_map(|(_, verbs)| verbs.iter().copied()).collect();
    if system {
        settings.without.push(Verb::Migrate); // Compaction of all memory, again and again, to no avail where there is one node.
    }
    settings
}

/// Hunts in as many threads as there are plans, each with an agent and a CPU of its own.
fn hunts(shared: &Shared<'_>, plans: Vec<Plan>) -> io::Result<Hunt> {
    let mut progress = Progress::before_the_result();
    thread::scope(|scope| {
        let work = |(nth, plan): (usize, Plan)| scope.spawn(move || one(shared, nth, plan));
        let threads: Vec<_> = plans.into_iter().enumerate().map(work).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(STEP);
            progress.say(&shared.text());
        }
        progress.clear();
        let mut all: Option<Hunt> = None;
        for thread in threads {
            let hunt = thread.join().map_err(|_| io::Error::other("a thread of the hunt died"))??;
            match &mut all {
                Some(all) => all.merge(hunt),
                none => *none = Some(hunt),
            }
        }
        all.ok_or_else(|| io::Error::other("nobody hunted"))
    })
}

fn one(shared: &Shared<'_>, nth: usize, plan: Plan) -> io::Result<Hunt> {
    let of = plan.shard.of;
    let mut host = start_on(Some(nth)).map_err(|_| io::Error::other("the agent cannot be started"))?;
    let (mut hunt, mut turns) = (Hunt::new(plan), 0);
    while shared.goes_on(turns, of) {
        let before = (hunt.tally.programs, hunt.tally.entries);
        let mut kernel = |scenario: &Scenario| on(&mut host, scenario, shared.args.allow_system);
        if let Err(error) = hunt.turn(&mut kernel) {
            shared.broken.store(true, Ordering::Relaxed);
            return Err(io::Error::other(error));
        }
        turns += 1;
        shared.programs.fetch_add(hunt.tally.programs - before.0, Ordering::Relaxed);
        shared.entries.fetch_add(hunt.tally.entries - before.1, Ordering::Relaxed);
        shared.skipped.fetch_add(u64::from(hunt.tally.programs == before.0), Ordering::Relaxed);
    }
    Ok(hunt)
}

fn on(host: &mut Host, scenario: &Scenario, system: bool) -> Result<crate::kernel::wire::Ran, String> {
    host.run(&Job { system, ..job(0, scenario, true) }).map_err(|error| error.to_string())
}

/// What came of it.
fn tell(hunt: &Hunt, shared: &Shared<'_>, release: &str, policy: &str, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let args = shared.args;
    for (nth, (key, caught)) in hunt.caught.iter().enumerate() {
        exit.unmet();
        let path = args.out.join(format!("{}-{nth}.cow", key.name()));
        let text = caught.text(release, policy, args.seed);
        match fs::create_dir_all(&args.out).and_then(|()| fs::write(&path, &text)) {
            Ok(()) => out.text(&format!("\n{} ({} times)\n{text}", path.display(), caught.times))?,
            Err(error) => {
                report::complain(&format!("{}: {error}\n", path.display()));
                out.text(&format!("\n{text}"))?;
            }
        }
    }
    if 0 < hunt.tally.programs {
        exit.ran();
    }
    out.text(&format!("{}; {} differences", shared.text(), hunt.caught.len()))?;
    if 0 < hunt.tally.unsteady {
        out.text(&format!("; {} differed once and not again", hunt.tally.unsteady))?;
    }
    out.text("\n")?;
    for (why, count) in &hunt.tally.unspecified {
        out.text(&format!("{count} pages unspecified: {why}\n"))?;
    }
    for (why, count) in &hunt.tally.skipped {
        out.text(&format!("{count} skipped: {why}\n"))?;
    }
    Ok(())
}
