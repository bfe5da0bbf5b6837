//! `--format json`, format 1: what other programs read. `docs/cowl-run.schema.json` describes it and a test holds it to that.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words;
use crate::analysis::{FileReport, Judged};
use crate::check::report::{Met, Observation, PageFacts, PolicyResult, Race, Reading, Step, Violation};
use crate::ir::Outcome;
use crate::trace::Decision;
use crate::types::{Pc, Value};

/// The number of this format: it goes up when a reader of the one before would be misled.
pub const FORMAT: u32 = 1;

/// The whole output.
#[derive(Serialize, Debug)]
pub struct Document<'a> {
    format: u32,
    files: Vec<FileDto<'a>>,
}

#[derive(Serialize, Debug)]
struct FileDto<'a> {
    path: &'a str,
    scenarios: Vec<ScenarioDto<'a>>,
}

#[derive(Serialize, Debug)]
struct ScenarioDto<'a> {
    name: &'a str,
    over: Option<&'a str>,
    results: Vec<ResultDto<'a>>,
}

#[derive(Serialize, Debug)]
struct ResultDto<'a> {
    policy: &'a str,
    outcome: &'static str,
    detail: Option<String>,
    expected: String,
    met: Option<bool>,
    copies: u32,
    gratuitous: u32,
    violations: Vec<ViolationDto<'a>>,
    observations: Vec<ObservationDto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    race: Option<RaceDto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepDto<'a>>>,
}

#[derive(Serialize, Debug)]
struct RaceDto {
    verdict: BTreeMap<String, &'static str>,
    outcomes: BTreeMap<String, u64>,
    states: u64,
    bound: Option<String>,
}

#[derive(Serialize, Debug)]
struct ViolationDto<'a> {
    invariant: Option<&'static str>,
    decision: Option<String>,
    knob: Option<String>,
    line: u32,
    column: u32,
    message: &'a str,
}

#[derive(Serialize, Debug)]
struct ObservationDto {
    line: u32,
    value: ReadingDto,
    promised: Vec<ReadingDto>,
}

#[derive(Serialize, Debug)]
struct StepDto<'a> {
    line: u32,
    actor: String,
    ended: &'a str,
    faults: u32,
    decisions: Vec<DecisionDto>,
    facts: FactsDto<'a>,
}

#[derive(Serialize, Debug)]
struct DecisionDto {
    rule: &'static str,
    verdict: &'static str,
    reason: &'static str,
}

/// Pages in the order of the report, as one object.
#[derive(Debug)]
struct FactsDto<'a>(&'a [(String, PageFacts)]);

impl Serialize for FactsDto<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(page, facts)| (page, PageDto::new(facts))))
    }
}

#[derive(Serialize, Debug)]
struct PageDto<'a> {
    value: Option<ReadingDto>,
    frame: Option<&'a str>,
    kind: &'static str,
    present: bool,
    swapped: bool,
    writable: bool,
    dirty: bool,
    soft_dirty: bool,
    uffd_wp: bool,
    pmd_mapped: bool,
    mapcount: u32,
    refcount: u32,
    pincount: u32,
    exclusive: bool,
}

/// A value: a number, or a string as a scenario writes it, without the quotes. Of a page whose words differ, each by its offset.
#[derive(Serialize, Debug)]
#[serde(untagged)]
enum ReadingDto {
    Number(u64),
    Text(String),
    Mixed { rest: Box<ReadingDto>, words: BTreeMap<String, ReadingDto> },
}

/// The document of these files, with the story of each run where `trace` asks for it and the runs have kept it.
///
/// # Example
/// ```
/// assert_eq!(cowl::render::json::text(&[], false), "{\"format\":1,\"files\":[]}\n");
/// ```
pub fn text(files: &[FileReport], trace: bool) -> String {
    let document = Document { format: FORMAT, files: files.iter().map(|file| FileDto::new(file, trace)).collect() };
    serde_json::to_string(&document).expect("cowl bug: a document of numbers and strings cannot fail") + "\n"
}

impl RaceDto {
    fn new(race: &Race) -> Self {
        let word = |ending: Option<Outcome>| ending.map_or("deadlock".to_owned(), |outcome| outcome.to_string());
        let all: u64 = race.endings.iter().map(|(_, count)| count).sum();
        let often = |count: u64| if count == all { "always" } else { "sometimes" };
        Self {
            verdict: race.endings.iter().map(|(ending, count)| (word(*ending), often(*count))).collect(),
            outcomes: race.endings.iter().map(|(ending, count)| (word(*ending), *count)).collect(),
            states: race.states,
            bound: race.bound.clone(),
        }
    }
}

impl<'a> FileDto<'a> {
    fn new(file: &'a FileReport, trace: bool) -> Self {
        let scenarios = file.scenarios.iter().map(|judged| ScenarioDto {
            name: &judged.report.name,
            over: judged.report.kind.as_deref(),
            results: judged.report.results.iter().map(|result| ResultDto::new(file, judged, result, trace)).collect(),
        });
        Self { path: file.path(), scenarios: scenarios.collect() }
    }
}

impl<'a> ResultDto<'a> {
    fn new(file: &'a FileReport, judged: &'a Judged, result: &'a PolicyResult, trace: bool) -> Self {
        let run = &result.run;
        let (outcome, detail) = words::verdict(&run.verdict);
        Self {
            policy: &result.policy,
            outcome,
            detail,
            expected: words::expected(result),
            met: match words::met(result) {
                Met::Yes => Some(true),
                Met::No => Some(false),
                Met::NotJudged => None,
            },
            copies: run.copies,
            gratuitous: run.gratuitous,
            violations: run.violations.iter().map(|violation| ViolationDto::new(file, judged, violation)).collect(),
            observations: run.observations.iter().map(|observation| ObservationDto::new(file, judged, observation)).collect(),
            race: run.race.as_ref().map(RaceDto::new),
            steps: trace.then(|| run.steps.iter().map(|step| StepDto::new(file, judged, step)).collect()),
        }
    }
}

impl<'a> ViolationDto<'a> {
    fn new(file: &FileReport, judged: &Judged, violation: &'a Violation) -> Self {
        let place = file.place(judged.span(violation.pc));
        let knob = |(_, of): &(Pc, Decision)| (!of.knob.is_empty()).then(|| format!("{} = {}", of.knob, of.value));
        let said = |(pc, decision): &(Pc, Decision)| {
            format!("line {}: {}: {}", line(file, judged, *pc), decision.rule, words::decision_without_knob(decision))
        };
        Self {
            invariant: violation.invariant,
            decision: violation.decision.as_ref().map(said),
            knob: violation.decision.as_ref().and_then(knob),
            line: place.line,
            column: place.column,
            message: &violation.message,
        }
    }
}

impl ObservationDto {
    fn new(file: &FileReport, judged: &Judged, observation: &Observation) -> Self {
        Self {
            line: line(file, judged, observation.pc),
            value: ReadingDto::new(&observation.value),
            promised: observation.promised.iter().map(ReadingDto::new).collect(),
        }
    }
}

impl<'a> StepDto<'a> {
    fn new(file: &FileReport, judged: &Judged, step: &'a Step) -> Self {
        let program = &judged.scenario.program;
        let task = program.code[step.pc.idx()].task;
        Self {
            line: line(file, judged, step.pc),
            actor: program.actor(task),
            ended: &step.ended,
            faults: step.faults,
            decisions: step.decisions.iter().map(DecisionDto::new).collect(),
            facts: FactsDto(&step.facts),
        }
    }
}

impl DecisionDto {
    fn new(decision: &Decision) -> Self {
        Self { rule: decision.rule, verdict: decision.verdict, reason: decision.reason }
    }
}

impl<'a> PageDto<'a> {
    fn new(facts: &'a PageFacts) -> Self {
        Self {
            value: facts.value.as_ref().map(ReadingDto::new),
            frame: facts.frame.as_deref(),
            kind: facts.kind,
            present: facts.present,
            swapped: facts.swapped,
            writable: facts.writable,
            dirty: facts.dirty,
            soft_dirty: facts.soft_dirty,
            uffd_wp: facts.uffd_wp,
            pmd_mapped: facts.pmd_mapped,
            mapcount: facts.mapcount,
            refcount: facts.refcount,
            pincount: facts.pincount,
            exclusive: facts.exclusive,
        }
    }
}

impl ReadingDto {
    fn new(reading: &Reading) -> Self {
        match reading {
            Reading::Value(value) => Self::of(value),
            Reading::Bit(bit) => ReadingDto::Number((*bit).into()),
            Reading::Mixed { rest, words } => ReadingDto::Mixed {
                rest: Box::new(Self::of(rest)),
                words: words.iter().map(|(offset, value)| (offset.to_string(), Self::of(value))).collect(),
            },
        }
    }

    fn of(value: &Value) -> Self {
        match value.text {
            false => ReadingDto::Number(value.bits),
            true => {
                let written = value.to_string();
                let inside = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                ReadingDto::Text(inside.unwrap_or(&written).to_owned())
            }
        }
    }
}

/// The line an instruction stands on.
fn line(file: &FileReport, judged: &Judged, pc: Pc) -> u32 {
    file.place(judged.span(pc)).line
}

#[cfg(test)]
mod tests {
    use super::super::fixture;

    #[test]
    fn every_run_is_told_with_its_verdict_cost_and_violations() {
        insta::assert_snapshot!(super::text(&[fixture::mixed()], false), @r#"{"format":1,"files":[{"path":"vmsplice-child.cow","scenarios":[{"name":"vmsplice-child","over":null,"results":[{"policy":"linux-5.7","outcome":"leak","detail":null,"expected":"leak","met":true,"copies":0,"gratuitous":0,"violations":[{"invariant":"I2","decision":"line 5: wp::decide_small: reuse: last mapping (mapcount 1, refcount 2)","knob":"reuse_small = map_swap","line":6,"column":5,"message":"`pipe` reads \"new\", which parent stored to memory that child does not share; \"old\" was promised"}],"observations":[{"line":6,"value":"new","promised":["old"]}]},{"policy":"linux-5.8","outcome":"ok","detail":null,"expected":"ok","met":true,"copies":1,"gratuitous":0,"violations":[],"observations":[{"line":6,"value":"old","promised":["old"]}]},{"policy":"linux-5.9","outcome":"ok","detail":null,"expected":"ok","met":true,"copies":1,"gratuitous":0,"violations":[],"observations":[{"line":6,"value":"old","promised":["old"]}]},{"policy":"linux-5.11","outcome":"leak","detail":null,"expected":"ok","met":false,"copies":0,"gratuitous":0,"violations":[{"invariant":"I2","decision":"line 5: wp::decide_small: reuse: last mapping (mapcount 1, refcount 2)","knob":"reuse_small = map_swap","line":6,"column":5,"message":"`pipe` reads \"new\", which parent stored to memory that child does not share; \"old\" was promised"}],"observations":[{"line":6,"value":"new","promised":["old"]}]},{"policy":"mine","outcome":"skip","detail":"it has no `vmsplice`","expected":"ok","met":null,"copies":0,"gratuitous":0,"violations":[],"observations":[]}]}]}]}"#);
    }
}
