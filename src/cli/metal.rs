//! `cowl kernel run` and `cowl kernel compare`: files in, a kernel and the engine side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::args::{KernelFormat, OnKernel};
use super::kernel::start;
use super::terminal::Stop;
use super::{Exit, Fail, Out, matrix, run};
use crate::analysis::{FileReport, Judged, Options};
use crate::check::Story;
use crate::check::report::{Met, Run, Verdict};
use crate::kernel::host::Host;
use crate::kernel::wire::{self, Job, Ran, Times};
use crate::metal::junit::junit;
use crate::metal::ledger::{HEAD, Row};
use crate::metal::matrix::{Column, ktap};
use crate::metal::race::{Histogram, has_races};
use crate::metal::story::{self, Comparison, Difference};
use crate::metal::{job, judge};
use crate::policy;
use crate::render::words;

/// Rounds of a race where nobody says how many.
const ROUNDS: u32 = 1000;
/// Rounds of a race between two looks whether somebody wants to stop.
const ROUNDS_AT_ONCE: u32 = 50;

/// A scenario and what it is held against.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub file: &'a FileReport,
    /// With the engine's run under the policy as its first result.
    pub judged: &'a Judged,
    /// `uname -r`.
    pub release: &'a str,
    pub policy: &'a str,
    pub compare: bool,
}

/// What one scenario came to on the kernel.
pub(super) struct Came<'a> {
    about: About<'a>,
    pub run: Run,
    ran: Ran,
    /// Expectations that are unmet.
    pub unmet: Vec<String>,
    pub compared: Comparison,
    pub row: Option<Row>,
    /// What came of all rounds of a race, and what their delays came from.
    pub race: Option<(Histogram, u64)>,
}

/// All of them.
#[derive(Default)]
struct Totals {
    ran: u64,
    skipped: BTreeMap<String, u64>,
    unmet: u64,
    differ: u64,
    crashed: u64,
    entries: usize,
    unspecified: BTreeMap<&'static str, usize>,
    /// Facts that this kernel or this user cannot see, and why.
    unseen: BTreeMap<String, String>,
    times: Times,
}

/// Runs the commands; `compare` holds the engine's story against the kernel's.
pub fn on_kernel(args: &OnKernel, compare: bool, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    if !args.kernels.is_empty() {
        return matrix::on_kernels(args, compare, out, exit);
    }
    let mut host = start()?;
    let policy = match &args.policy {
        Some(name) => name.clone(),
        None => nearest(&host.hello.release)?,
    };
    let names = [policy.clone()];
    let options = of_one_kernel(args, &names, &host.hello.release, compare);
    let mut engine = Exit::default(); // What the engine came to is `cowl run`'s to say.
    let files = run::files(&args.inputs.files, &options, false, out, &mut engine)?.unwrap_or_default();
    if files.iter().any(FileReport::failed) {
        exit.bad_input();
    }
    if args.format == KernelFormat::Text {
        out.text(&format!("{} as {policy}\n", host.hello.release))?;
    }
    let (stop, start, mut totals, mut rows) = (Stop::listen(), Instant::now(), Totals::default(), Vec::new());
    let (mut cells, release) = (Vec::new(), host.hello.release.clone());
    for file in &files {
        for judged in &file.scenarios {
            if stop.asked() {
                exit.stopped();
                break;
            }
            let about = About { file, judged, release: &release, policy: &policy, compare };
            let came = one(&mut host, about, args, &stop)?;
            totals.add(&came);
            match args.format {
                KernelFormat::Ktap | KernelFormat::Junit => cells.push(matrix::cell(&came)),
                KernelFormat::Text => tell(&came, compare, out)?,
                KernelFormat::Json => out.text(&format!("{}\n", came.json()))?,
            }
            rows.extend(came.row);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    totals.exit(exit);
    let columns = [Column { release: release.clone(), policy: policy.clone(), cells, failed: None }];
    match args.format {
        KernelFormat::Ktap => out.text(&ktap(&columns))?,
        KernelFormat::Junit => out.text(&junit(&columns))?,
        KernelFormat::Text | KernelFormat::Json => {}
    }
    if args.format == KernelFormat::Text {
        out.text(&totals.text(compare))?;
        if args.times {
            let bare = host.bare(1000).map_err(Fail::Write)?;
            out.text(&totals.times_text(seconds, bare))?;
        }
    }
    if let Some(path) = &args.ledger {
        keep(path, rows)?;
    }
    Ok(())
}

/// What the engine is asked about one kernel.
pub(super) fn of_one_kernel<'a>(args: &'a OnKernel, policies: &'a [String], release: &str, compare: bool) -> Options<'a> {
    // Whoever names a policy means it as it is.
    let point = if args.policy.is_none() { policy::of_point(release) } else { None };
    Options { policies, scenario: args.scenario.as_deref(), story: Story::whole_if(compare), point, ..Options::default() }
}

/// Runs one scenario, a race in many rounds. Where it is compared it runs before that in the one order whose story the engine
/// tells; what comes of the rounds must be among what all orders of the engine come to.
fn one<'a>(host: &mut Host, about: About<'a>, args: &OnKernel, stop: &Stop) -> Result<Came<'a>, Fail> {
    let scenario = &about.judged.scenario;
    let job = Job { system: args.allow_system, ..job(0, scenario, about.compare) };
    if !has_races(&scenario.program) {
        return Ok(came(about, host.run(&job).map_err(Fail::Write)?));
    }
    if !about.compare {
        return rounds(host, about, args, stop);
    }
    let one = came(about, host.run(&job).map_err(Fail::Write)?);
    if !matches!(one.run.verdict, Verdict::Came(_)) {
        return Ok(one);
    }
    let all = rounds(host, about, args, stop)?;
    let unmet = one.unmet.into_iter().chain(all.unmet).collect();
    Ok(Came { unmet, race: all.race, ..one })
}

/// Runs a race in many rounds.
fn rounds<'a>(host: &mut Host, about: About<'a>, args: &OnKernel, stop: &Stop) -> Result<Came<'a>, Fail> {
    let scenario = &about.judged.scenario;
    let job = Job { system: args.allow_system, ..job(0, scenario, false) };
    let repeat = args.repeat.unwrap_or(ROUNDS);
    let mut histogram = Histogram::default();
    let mut rounds = 0;
    while rounds < repeat && !stop.asked() {
        let next = repeat.min(rounds + ROUNDS_AT_ONCE);
        let answers = host.race(&job, args.seed, rounds..next).map_err(Fail::Write)?;
        let stopped = answers.iter().any(|(_, ran)| matches!(ran.stopped, Some(wire::Stop::Skip(_) | wire::Stop::Crashed(_))));
        histogram.add(&scenario.program, answers);
        if stopped {
            break;
        }
        rounds = next;
    }
    Ok(raced(about, histogram, args.seed))
}

/// What all rounds of a race came to.
pub(super) fn raced(about: About<'_>, histogram: Histogram, seed: u64) -> Came<'_> {
    let Some(worst) = histogram.worst() else {
        let stopped = Some(wire::Stop::Skip("stopped before its first round".to_owned()));
        return came(about, Ran { id: 0, lines: Vec::new(), stopped, unseen: BTreeMap::new(), times: Times::default() });
    };
    let place = about.file.policies.iter().position(|name| name == about.policy);
    let mut unmet = place.map(|place| histogram.unmet(&about.judged.scenario, place)).unwrap_or_default();
    let engine = about.judged.report.results.first().and_then(|result| result.run.race.as_ref());
    unmet.extend(engine.map(|engine| histogram.unreached(engine)).unwrap_or_default());
    let (run, ran) = (worst.run.clone(), worst.ran.clone());
    Came { about, run, ran, unmet, compared: Comparison::default(), row: None, race: Some((histogram, seed)) }
}

/// The policy nearest to a running release.
pub(super) fn nearest(release: &str) -> Result<String, Fail> {
    policy::of_kernel(release).map(|named| named.name.to_owned()).ok_or_else(|| {
        let message = format!("no policy is near to the running release {release}");
        Fail::usage("cowl::kernel::policy", message, "name one with --policy")
    })
}

/// Judges what a kernel answered.
pub(super) fn came(about: About<'_>, mut ran: Ran) -> Came<'_> {
    let About { file, judged, release, policy, compare } = about;
    let scenario = &judged.scenario;
    let program = judge::with_values(&scenario.program, &ran).unwrap_or_else(|why| {
        ran.lines.clear();
        ran.stopped = Some(wire::Stop::Crashed(why));
        scenario.program.clone()
    });
    let run = judge::judge(&program, &ran);
    let place = file.policies.iter().position(|name| name == policy);
    let expected = place.map(|place| judge::expectations(scenario, place, &run)).unwrap_or_default();
    let unmet = expected.iter().filter(|expected| expected.met == Met::No).map(|expected| expected.text.clone()).collect();
    let mut came = Came { about, run, ran, unmet, compared: Comparison::default(), row: None, race: None };
    let engine = judged.report.results.first().map(|result| &result.run).filter(|_| compare);
    if let (Some(Verdict::Skip(why)), Verdict::Came(_)) = (engine.map(|engine| &engine.verdict), &came.run.verdict) {
        came.run.verdict = Verdict::Skip(format!("the engine has nothing to compare with: {why}"));
    }
    if let (Some(engine), Verdict::Came(_)) = (engine, &came.run.verdict) {
        let facts = story::visible(&came.ran);
        let (compared, theirs) = story::compare_runs(engine, &program, &came.ran);
        came.compared = compared;
        let (facts, theirs) = story::for_a_ledger(&came.compared, facts, theirs);
        // A ledger keeps what was seen as root: without kinds of pages a story cannot be told again.
        came.row = (facts.contains(&"kind") && story::is_for_a_ledger(&came.compared)).then(|| Row {
            release: release.to_owned(),
            date: today(),
            file: file.path().to_owned(),
            scenario: scenario.name.clone(),
            kind: judged.report.kind.clone().unwrap_or_else(|| "-".to_owned()),
            policy: policy.to_owned(),
            outcome: words::short_verdict(&came.run.verdict),
            facts: facts.join(","),
            digest: Row::digest_of(&theirs),
        });
    }
    came
}

impl Came<'_> {
    /// `corpus/a.cow: name over kind`.
    pub fn title(&self) -> String {
        format!("{}: {}", self.about.file.path(), self.about.judged.title())
    }

    /// The outcome, or why there is none.
    pub fn word(&self) -> String {
        match (&self.run.verdict, self.crashed()) {
            (Verdict::Skip(why), true) => format!("crashed: {why}"),
            (Verdict::Skip(why), false) => format!("SKIP {why}"),
            (verdict, _) => words::short_verdict(verdict),
        }
    }

    /// The statement after which a difference showed.
    pub fn line(&self, difference: &Difference) -> String {
        self.about.file.statement(self.about.judged.span(difference.pc))
    }

    /// All of it for other programs.
    pub fn json(&self) -> serde_json::Value {
        let difference = self.compared.difference.as_ref().map(|difference| {
            let (Difference { pc, what, engine, kernel }, line) = (difference, self.line(difference));
            serde_json::json!({ "pc": pc.0, "line": line, "what": what, "engine": engine, "kernel": kernel })
        });
        let About { file, judged, release, policy, .. } = self.about;
        let race = self.race.as_ref().map(|(histogram, seed)| {
            let came = histogram.came.iter().map(|came| {
                let outcome = words::short_verdict(&came.run.verdict);
                serde_json::json!({ "rounds": came.rounds, "outcome": outcome, "seen": came.text })
            });
            serde_json::json!({ "seed": seed, "rounds": histogram.rounds(), "came": came.collect::<Vec<_>>() })
        });
        serde_json::json!({
            "race": race,
            "kernel": release, "policy": policy, "file": file.path(), "scenario": judged.title(), "outcome": self.word(), "unmet": self.unmet,
            "compared": self.compared.entries, "unspecified": self.compared.unspecified, "difference": difference, "run": self.ran,
        })
    }

    pub fn crashed(&self) -> bool {
        matches!(self.ran.stopped, Some(wire::Stop::Crashed(_)))
    }

    pub fn skipped(&self) -> Option<&str> {
        match &self.run.verdict {
            Verdict::Skip(why) if !self.crashed() => Some(why),
            _ => None,
        }
    }
}

fn tell(came: &Came<'_>, compare: bool, out: &mut Out<'_>) -> Result<(), Fail> {
    let (title, word) = (came.title(), came.word());
    let mut text = String::new();
    if !compare || came.compared.difference.is_some() || !came.unmet.is_empty() || !matches!(came.run.verdict, Verdict::Came(_))
    {
        text += &match &came.race {
            Some((histogram, seed)) if came.skipped().is_none() => {
                format!("{title}: {} rounds, seed {seed}\n{}\n", histogram.rounds(), histogram.lines().join("\n"))
            }
            _ => format!("{title}: {word}\n"),
        };
    }
    for expected in &came.unmet {
        text += &format!("  unmet: expect {expected}\n");
    }
    if let Some(violation) = came.run.violations.first().filter(|_| !came.unmet.is_empty() && came.race.is_none()) {
        text += &format!("  {}\n", violation.message);
    }
    if let Some(difference) = &came.compared.difference {
        let Difference { what, engine, kernel, .. } = difference;
        text += &format!("  after `{}`: {what}\n    engine: {engine}\n    kernel: {kernel}\n", came.line(difference));
    }
    out.text(&text)
}

impl Totals {
    fn add(&mut self, came: &Came<'_>) {
        match came.skipped() {
            Some(why) => *self.skipped.entry(why.to_owned()).or_default() += 1,
            None => self.ran += 1,
        }
        self.crashed += u64::from(came.crashed());
        self.unmet += u64::from(!came.unmet.is_empty());
        self.differ += u64::from(came.compared.difference.is_some());
        self.entries += came.compared.entries;
        for (why, count) in &came.compared.unspecified {
            *self.unspecified.entry(why).or_default() += count;
        }
        self.unseen.extend(came.ran.unseen.clone());
        let (sum, more) = (&mut self.times, &came.ran.times);
        for (sum, more) in [
            (&mut sum.read, more.read),
            (&mut sum.arrange, more.arrange),
            (&mut sum.start, more.start),
            (&mut sum.ops, more.ops),
            (&mut sum.fork, more.fork),
            (&mut sum.mmap, more.mmap),
            (&mut sum.messages, more.messages),
            (&mut sum.facts, more.facts),
            (&mut sum.end, more.end),
        ] {
            *sum += more;
        }
    }

    fn exit(&self, exit: &mut Exit) {
        if 0 < self.unmet + self.differ + self.crashed {
            exit.unmet();
        }
        if 0 < self.ran {
            exit.ran();
        }
    }

    fn text(&self, compare: bool) -> String {
        let mut text = format!("{} ran, {} unmet, {} crashed", self.ran, self.unmet, self.crashed);
        if compare {
            text += &format!(", {} differ; {} entries compared", self.differ, self.entries);
        }
        text += "\n";
        for (why, count) in &self.unspecified {
            text += &format!("{count} pages unspecified: {why}\n");
        }
        for (why, count) in &self.skipped {
            text += &format!("{count} skipped: {why}\n");
        }
        let unseen: BTreeSet<&String> = self.unseen.values().filter(|_| compare).collect();
        for why in unseen {
            let facts: Vec<&str> = self.unseen.iter().filter(|(_, other)| *other == why).map(|(fact, _)| &**fact).collect();
            text += &format!("not seen: {} ({why})\n", facts.join(", "));
        }
        text
    }

    fn times_text(&self, seconds: f64, bare: u64) -> String {
        let runs = (self.ran).max(1);
        let each = |ns: u64| ns / runs / 1000;
        let Times { read, arrange, start, ops, fork, mmap, messages, facts, end } = self.times;
        format!(
            "{:.0} scenarios a second; a bare fork and exit takes {} us\n\
             us a scenario: reading {}, arranging {}, first process {}, operations {} (fork {}, mmap {}), messages {}, facts {}, ending {}\n",
            self.ran as f64 / seconds,
            bare / 1000,
            each(read),
            each(arrange),
            each(start),
            each(ops),
            each(fork),
            each(mmap),
            each(messages),
            each(facts),
            each(end),
        )
    }
}

/// Puts rows into a ledger in place of older ones about the same.
pub(super) fn keep(path: &std::path::Path, rows: Vec<Row>) -> Result<(), Fail> {
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let key = |row: &Row| (row.file.clone(), row.scenario.clone(), row.kind.clone(), row.release.clone());
    let old = old.lines().filter_map(Row::read).filter(|row| row.release != "release");
    let all: BTreeMap<_, _> = old.chain(rows).map(|row| (key(&row), row)).collect();
    let text = all.values().map(|row| format!("{row}\n")).collect::<String>();
    std::fs::write(path, format!("{HEAD}\n{text}")).map_err(Fail::Write)
}

/// The date in UTC: days since 1970 as the proleptic Gregorian calendar counts them.
fn today() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while u64::from(leap(year)) + 365 <= left {
        left -= u64::from(leap(year)) + 365;
        year += 1;
    }
    let months = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while months[month] <= left {
        left -= months[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, left + 1)
}
