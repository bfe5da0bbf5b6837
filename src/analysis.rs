//! The facade: text in, facts out. The command line, the editor and the browser ask here and nowhere deeper.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::check::promise::contradictions;
use crate::check::report::{PolicyResult, Run, ScenarioReport, Verdict};
use crate::check::verdict::expected;
use crate::check::{Story, Under, judge};
use crate::diag::{Finding, Place, Severity, Source};
use crate::explore;
use crate::generate::scale::exactly_shrunk;
use crate::ir::Scenario;
use crate::lower::{Include, Included, Lowered, lower};
use crate::policy::{self, Kind, Policy, RangeError, nearest};
use crate::syntax::ast::ItemKind;
use crate::syntax::{self, parse};
use crate::trace::Decision;
use crate::types::{Pc, Span};

/// Pages of an address space up to which a run is told a second time to say how others decided: a story of large memory is long.
const CONTRAST_PAGES_MAX: u16 = 64;

/// What one file came to.
#[derive(Clone, Debug, Default)]
pub struct FileReport {
    /// The file itself, then those it takes in by `use`.
    pub sources: Vec<Source>,
    /// Mistakes and warnings, in order of file and place. Where there is a mistake, nothing ran.
    pub findings: Vec<Finding>,
    /// The names of all scenarios that it declares.
    pub declared: Vec<String>,
    /// The names of all policies it knows: the built-in ones, then those it defines or takes in.
    pub policies: Vec<String>,
    /// Its scenarios, one entry for each kind of memory, in their order; of those that were not asked for, none.
    pub scenarios: Vec<Judged>,
}

/// A scenario and what it came to under every policy asked for.
#[derive(Clone, Debug)]
pub struct Judged {
    pub scenario: Scenario,
    pub report: ScenarioReport,
    /// For each policy whose run names no decision itself: where it parted from one that ended otherwise.
    pub contrasts: Vec<Option<Contrast>>,
}

/// Where two runs of a scenario parted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contrast {
    /// The instruction.
    pub pc: Pc,
    pub what: Parting,
}

/// How two runs parted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parting {
    /// This was decided here and not in the other run.
    Decided(Decision),
    /// The other run took a page fault here.
    NoFault,
    /// The other run had something to decide here.
    Nothing,
}

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Names and ranges of policies; empty for all. A file runs under those it knows: see [`unknown_policy`].
    pub policies: &'a [String],
    /// One scenario; all where `None`.
    pub scenario: Option<&'a str>,
    /// How much of the story of each run is told.
    pub story: Story,
    /// What a kernel's point release makes of the policies.
    pub point: Option<policy::PointFix>,
    /// With the decisions that kept others from going wrong.
    pub contrasts: bool,
    /// Looked at before each run: once it is set no more are made, and what is known by then is the result.
    pub stop: Option<&'a AtomicBool>,
}

impl Options<'_> {
    /// Whether somebody asked to stop.
    pub fn stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

impl FileReport {
    /// The path as it was given.
    pub fn path(&self) -> &str {
        self.sources.first().map_or("", |source| &source.path)
    }

    /// Whether it has a mistake.
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Where an instruction, an expectation or an assertion stands. All stand in the file itself: what a used file gave stands
    /// where it is used.
    pub fn place(&self, span: Span) -> Place {
        self.sources.first().map_or(Place::default(), |source| source.place(span.start))
    }

    /// What is written there, on one line.
    pub fn statement(&self, span: Span) -> String {
        self.sources.first().map_or(String::new(), |source| source.statement(span))
    }
}

impl Judged {
    /// Where an instruction stands; past the last, where the scenario's name stands.
    pub fn span(&self, pc: Pc) -> Span {
        self.scenario.spans.get(pc.idx()).copied().unwrap_or(self.scenario.span)
    }

    /// `name`, `name over kind`.
    pub fn title(&self) -> String {
        match &self.report.kind {
            Some(kind) => format!("{} over {kind}", self.report.name),
            None => self.report.name.clone(),
        }
    }
}

/// The mistakes of a file; its scenarios are there, and nothing ran.
pub fn check(source: Source, include: &mut Include) -> FileReport {
    let (mut report, lowered) = read(source, include);
    report.scenarios = lowered.scenarios.into_iter().map(|scenario| unjudged(scenario, Vec::new())).collect();
    report
}

/// Runs the scenarios of a file under the policies asked for. Where it has a mistake nothing runs.
pub fn run(source: Source, include: &mut Include, options: &Options<'_>) -> FileReport {
    let (mut report, lowered) = read(source, include);
    if report.failed() {
        return report;
    }
    let users = lowered.policies.iter().map(|user| (user.name.as_str(), user.policy));
    let all: Vec<_> = policy::builtin().iter().map(|named| (named.name, named.policy)).chain(users).collect();
    let asked = match places(options.policies, &report.policies) {
        Ok(places) => places,
        Err(_) => return report, // Said by `unknown_policy`.
    };
    let fixed = |(name, policy)| (name, options.point.map_or(policy, |fix| fix(policy)));
    let all: Vec<_> = all.into_iter().map(fixed).collect();
    for scenario in lowered.scenarios {
        if options.scenario.is_none_or(|name| name == scenario.name) && !asked.is_empty() && !options.stopped() {
            report.scenarios.push(judged(scenario, &all, &asked, options));
        }
    }
    report
}

/// The scenarios of a file, and for each the policies asked for whose runs are not skipped. Nothing runs.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    /// Their places among all policies the file knows, and their names.
    pub policies: Vec<(usize, String, Policy)>,
}

/// What is to be explored of a file: see [`Plan`]. Where it has a mistake, nothing.
pub fn plan(source: Source, include: &mut Include, options: &Options<'_>) -> (FileReport, Vec<Plan>) {
    let (report, lowered) = read(source, include);
    if report.failed() {
        return (report, Vec::new());
    }
    let users = lowered.policies.iter().map(|user| (user.name.clone(), user.policy));
    let all: Vec<_> = policy::builtin().iter().map(|named| (named.name.to_owned(), named.policy)).chain(users).collect();
    let asked = places(options.policies, &report.policies).unwrap_or_default(); // Said by `unknown_policy`.
    let wanted = lowered.scenarios.into_iter().filter(|scenario| options.scenario.is_none_or(|name| name == scenario.name));
    let plans = wanted.map(|scenario| {
        let runs = |policy: &Policy| crate::check::lacks(&scenario.program, policy).is_none();
        let policies = asked.iter().map(|place| (*place, all[*place].0.clone(), all[*place].1));
        Plan { policies: policies.filter(|(_, _, policy)| runs(policy)).collect(), scenario }
    });
    (report, plans.collect())
}

/// The text in canonical layout, behind the text as it was.
///
/// # Errors
/// Where the text cannot be read: its mistakes.
pub fn format(source: Source) -> Result<(String, String), FileReport> {
    let (file, mistakes) = parse(&source.text);
    if mistakes.is_empty() {
        let after = syntax::format(&file);
        return Ok((source.text, after));
    }
    let findings = mistakes.iter().map(|mistake| Finding::from_diagnostic(0, mistake)).collect();
    Err(FileReport { sources: vec![source], findings, ..FileReport::default() })
}

/// The names of all releases, oldest first: what ranges are made of.
pub fn releases() -> Vec<String> {
    let releases = policy::builtin().iter().filter(|named| matches!(named.kind, Kind::Release(..)));
    releases.map(|named| named.name.to_owned()).collect()
}

/// The mistake in the policies asked for, if no file knows one of them.
pub fn unknown_policy(files: &[FileReport], options: &Options<'_>) -> Option<Finding> {
    let known: BTreeSet<&str> = files.iter().flat_map(|file| file.policies.iter().map(String::as_str)).collect();
    let builtin = policy::builtin().iter().map(|named| named.name);
    let known: Vec<&str> = builtin.clone().chain(known.into_iter().filter(|name| policy::find(name).is_none())).collect();
    options.policies.iter().find_map(|word| match split(word) {
        Asked::All => None,
        Asked::One(name) if known.contains(&name) || policy::find(name).is_some() => None,
        Asked::One(name) => {
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`cowl policies` lists those there are; a file's own are known in it alone".to_owned(),
            };
            Some(Finding::error("cowl::policy::unknown", format!("there is no policy `{name}`"), help))
        }
        Asked::Range(from, to) => {
            let error = policy::range(from, to).err()?;
            Some(Finding::error("cowl::policy::range", error.to_string(), error.help()))
        }
    })
}

/// The mistake in the scenario asked for, if no file declares it.
pub fn unknown_scenario(files: &[FileReport], options: &Options<'_>) -> Option<Finding> {
    let wanted = options.scenario?;
    let declared: BTreeSet<&str> = files.iter().flat_map(|file| file.declared.iter().map(String::as_str)).collect();
    if declared.contains(wanted) {
        return None;
    }
    let help = match (nearest(wanted, declared.iter().copied()), declared.len()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, 1..=8) => {
            format!("there are {}", declared.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
        (None, _) => String::new(),
    };
    Some(Finding::error("cowl::input::unknown_scenario", format!("there is no scenario `{wanted}`"), help))
}

/// Reads a text as far as it can be read, and lists what is wrong with it.
fn read(source: Source, include: &mut Include) -> (FileReport, Lowered) {
    let (file, syntax) = parse(&source.text);
    let (mut lowered, mistakes) = lower(&source.path, &file, &syntax, include);
    let mut findings: Vec<_> = syntax.iter().map(|mistake| Finding::from_diagnostic(0, mistake)).collect();
    findings.extend(mistakes.iter().map(|mistake| Finding::from_diagnostic(mistake.file, &mistake.error)));
    findings.extend(lowered.warnings.iter().map(|mistake| Finding::from_diagnostic(mistake.file, &mistake.error).warning()));
    for scenario in &lowered.scenarios {
        let found = contradictions(scenario);
        findings.extend(found.claims.iter().map(|claim| Finding::from_diagnostic(0, claim)));
        findings.extend(found.incomplete.iter().map(|race| Finding::from_diagnostic(0, race)));
    }
    findings.sort_by_key(|finding| (finding.file, finding.labels.first().map_or(0, |label| label.span.start)));
    findings.dedup(); // A claim may be contradicted for each kind of memory.
    let names = file.items().filter_map(|item| match item.kind {
        ItemKind::Scenario { name, .. } => Some(name.node.to_owned()),
        _ => None,
    });
    let declared = names.collect();
    let builtin = policy::builtin().iter().map(|named| named.name.to_owned());
    let policies = builtin.chain(lowered.policies.iter().map(|user| user.name.clone())).collect();
    let used = std::mem::take(&mut lowered.files);
    let sources = [source].into_iter().chain(used.into_iter().map(|Included { name, text }| Source::new(name, text)));
    (FileReport { sources: sources.collect(), findings, declared, policies, scenarios: Vec::new() }, lowered)
}

fn unjudged(scenario: Scenario, results: Vec<PolicyResult>) -> Judged {
    let report = ScenarioReport {
        name: scenario.name.clone(),
        kind: scenario.kind.as_ref().map(ToString::to_string),
        title: scenario.title.clone(),
        origin: scenario.origin.clone(),
        results,
    };
    Judged { contrasts: vec![None; report.results.len()], scenario, report }
}

fn judged(scenario: Scenario, all: &[(&str, Policy)], asked: &[usize], options: &Options<'_>) -> Judged {
    let first_at_least = |(place, _): &(usize, &usize)| *place == 0 || !options.stopped();
    let results = asked.iter().enumerate().take_while(first_at_least).map(|(_, index)| {
        let (name, policy) = &all[*index];
        let mut run = judge(&scenario, Under { policy, index: *index }, options.story);
        if run.one_schedule && !matches!(run.verdict, Verdict::Skip(_)) {
            run.race = Some(explore::race(&exactly_shrunk(&scenario.program), policy));
        }
        let spoken_of = scenario.expects.iter().filter(|expect| expect.on.contains(index));
        let expected = spoken_of.map(|expect| expected(expect, &run)).collect();
        PolicyResult { policy: (*name).to_owned(), under: *policy, run, expected }
    });
    let results = results.collect();
    let mut judged = unjudged(scenario, results);
    if options.contrasts && !options.stopped() {
        contrasts(&mut judged, all, asked);
    }
    judged
}

/// Where runs whose end names no decision parted from one that ended otherwise: those that went well from the first that went
/// wrong by a decision, those that went wrong from the first that went well.
fn contrasts(judged: &mut Judged, all: &[(&str, Policy)], asked: &[usize]) {
    if CONTRAST_PAGES_MAX < judged.scenario.program.pages {
        return;
    }
    let told =
        |place: usize| judge(&judged.scenario, Under { policy: &all[asked[place]].1, index: asked[place] }, Story::Decisions);
    let first = |wanted: fn(&Run) -> bool| judged.report.results.iter().position(|result| wanted(&result.run)).map(told);
    let went_wrong = |run: &Run| !run.violations.is_empty();
    let (Some(wrong), Some(well)) = (first(names_decision).or_else(|| first(went_wrong)), first(went_well)) else { return };
    let parted = |(place, result): (usize, &PolicyResult)| match &result.run {
        run if went_well(run) => parting(&told(place), &wrong),
        run if went_wrong(run) && !names_decision(run) => {
            parting(&told(place), &well).filter(|contrast| matches!(contrast.what, Parting::Decided(_)))
        }
        _ => None,
    };
    judged.contrasts = judged.report.results.iter().enumerate().map(parted).collect();
}

fn went_well(run: &Run) -> bool {
    run.violations.is_empty() && matches!(run.verdict, Verdict::Came(_))
}

fn names_decision(run: &Run) -> bool {
    run.violations.first().is_some_and(|violation| violation.decision.is_some())
}

/// The first decision of `here` that `there` made otherwise: another rule was asked, or the same one said something else.
fn parting(here: &Run, there: &Run) -> Option<Contrast> {
    let alike = |a: &Decision, b: &Decision| (a.rule, a.verdict) == (b.rule, b.verdict);
    here.steps.iter().zip(&there.steps).find_map(|(here, there)| {
        let mut others = there.decisions.iter();
        let other = here.decisions.iter().find(|decision| !others.next().is_some_and(|other| alike(decision, other)));
        let what = match other {
            Some(decision) => Parting::Decided(decision.clone()),
            None if there.decisions.len() <= here.decisions.len() => return None,
            None if here.faults < there.faults => Parting::NoFault,
            None => Parting::Nothing,
        };
        Some(Contrast { pc: here.pc, what })
    })
}

/// A name or a range, as it was asked for.
enum Asked<'a> {
    All,
    One(&'a str),
    Range(Option<&'a str>, Option<&'a str>),
}

fn split(word: &str) -> Asked<'_> {
    let end = |word: &'_ str| !word.is_empty();
    match (word.trim(), word.trim().split_once("..")) {
        ("all", _) => Asked::All,
        (_, Some((from, to))) => Asked::Range(Some(from).filter(|word| end(word)), Some(to).filter(|word| end(word))),
        (name, None) => Asked::One(name),
    }
}

/// The places among `known` of the policies asked for, in their order there; all where none is asked for.
///
/// # Errors
/// Where a range means nothing. A name that is not known is passed over.
fn places(asked: &[String], known: &[String]) -> Result<Vec<usize>, RangeError> {
    if asked.is_empty() {
        return Ok((0..known.len()).collect());
    }
    let mut places = BTreeSet::new();
    for word in asked {
        match split(word) {
            Asked::All => places.extend(0..known.len()),
            Asked::One(name) => {
                let name = policy::find(name).map_or(name, |named| named.name); // `latest`.
                places.extend(known.iter().position(|known| known == name));
            }
            Asked::Range(from, to) => {
                let range = policy::range(from, to)?;
                places.extend(range.iter().filter_map(|named| known.iter().position(|known| known == named.name)));
            }
        }
    }
    Ok(places.into_iter().collect())
}
