//! Races that nobody wrote: two threads, a few lines, and every order tried; and races made small.

use std::collections::BTreeSet;

use crate::explore::{self, Alone, Blame, Ending, Limits, Mode, Named};
use crate::generate::everything;
use crate::generate::{self, Dice, Settings};
use crate::ir::{Actor, Expect, Op, Outcome, Program, Scenario, Verb};
use crate::lower::lower;
use crate::policy::Policy;
use crate::printer;
use crate::syntax::parse;
use crate::types::{RaceId, TaskId};

/// Lines of a race that is drawn, at most.
const LINES_MAX: usize = 4;
/// Lines of a program that a race is drawn into.
const STATEMENTS: usize = 12;
/// States that are tried of a race that was drawn.
pub const STATES_MAX: u64 = 50_000;

/// What a race of a campaign came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Came {
    /// The lines cannot be told as a race, or go wrong without one.
    NoRace,
    /// In every order all is as promised.
    Well { states: u64 },
    /// Not all orders were tried, and none that was tried goes wrong.
    Open { states: u64 },
    /// Some order goes wrong, and none in which every line ends before the next begins.
    Wrong(Box<Small>),
}

/// A race made small.
#[derive(Clone, PartialEq, Debug)]
pub struct Small {
    /// How it ends, the invariant that broke, the decision that let it happen, and the verbs of the race.
    pub signature: String,
    pub ending: Ending,
    /// The scenario, as a file.
    pub text: String,
    /// A schedule with the fewest switches that ends so.
    pub schedule: String,
    pub states: u64,
    pub known: Option<&'static str>,
}

/// Settings under which races are drawn: short programs of base pages, each operand right.
pub fn settings() -> Settings {
    Settings { statements: STATEMENTS, wild_percent: 0, ..Settings::new(everything) }
}

/// Draws a program some of whose lines run at once; `None` where none of its lines can.
pub fn draw(dice: &mut dyn Dice, settings: &Settings) -> Option<Program> {
    let mut program = generate::program(dice, settings);
    let len = 2 + dice.below(LINES_MAX as u32 - 1) as usize;
    let first = dice.below(program.code.len().checked_sub(len)? as u32 + 1) as usize;
    let lines = first..first + len;
    let own = program.code[first].task;
    let proc = program.tasks[own.idx()].proc()?;
    let other = Actor::Thread { proc, thread: 2 };
    let known = program.tasks.iter().position(|actor| *actor == other);
    let other = TaskId::at(known.unwrap_or(program.tasks.len()));
    if known.is_none() {
        program.tasks.push(Actor::Thread { proc, thread: 2 });
    }
    for instr in &mut program.code[lines.clone()] {
        instr.race = Some(RaceId(0));
        let threads = instr.task == own && !matches!(instr.op, Op::Exit);
        if threads && dice.percent(50) {
            instr.task = other;
        }
    }
    let actors: BTreeSet<_> = program.code[lines].iter().map(|instr| instr.task).collect();
    (1 < actors.len() && program.exceeds::<crate::types::Small>().is_none()).then_some(program)
}

/// Tries every order of a race that was drawn, and makes it small where one goes wrong.
pub fn examine(program: &Program, (called, policy): (&str, &Policy), name: &str) -> Came {
    let Some(scenario) = read(&printer::program(program)) else { return Came::NoRace };
    let program = &scenario.program;
    if goes_wrong_calmly(program, policy) {
        return Came::NoRace; // It goes wrong whatever runs at once, as other campaigns find out.
    }
    let found = search(program, policy, Limits { states: Some(STATES_MAX), ..Limits::default() });
    let states = found.report.states;
    match found.report.endings.iter().find(|found| is_harm(found.ending)) {
        Some(found) => Came::Wrong(Box::new(reduce(&scenario, (called, policy), (found.ending, states), name))),
        None if found.report.bounded().is_some() => Came::Open { states },
        None => Came::Well { states },
    }
}

/// The first ending of a scenario's races that is not as promised, and the states that the search met.
pub fn wrong(scenario: &Scenario, policy: &Policy) -> Option<(Ending, u64)> {
    let limits = Limits { states: Some(STATES_MAX), ..Limits::default() };
    let report = search(&scenario.program, policy, limits).report;
    report.endings.iter().map(|found| found.ending).find(|ending| is_wrong(*ending)).map(|ending| (ending, report.states))
}

fn is_wrong(ending: Ending) -> bool {
    match ending {
        Ending::Came(outcome) => outcome != Outcome::Ok,
        Ending::Deadlock => true,
        Ending::Exhausted(_) | Ending::CutShort => false,
    }
}

/// What nobody may see, whatever runs at once. That a call fails is no such thing: another thread may take its memory away.
fn is_harm(ending: Ending) -> bool {
    matches!(ending, Ending::Came(Outcome::Leak | Outcome::Lost | Outcome::Breach(_)) | Ending::Deadlock)
}

/// Some order goes wrong in which every line ends before another begins.
fn goes_wrong_calmly(program: &Program, policy: &Policy) -> bool {
    let calm = Limits { switches: Some(0), states: Some(STATES_MAX), ..Limits::default() };
    search(program, policy, calm).report.endings.iter().any(|found| is_wrong(found.ending))
}

fn search(program: &Program, policy: &Policy, limits: Limits) -> Named {
    explore::explore_any(program, policy, Mode::All(limits), &Alone, &mut |_| None)
}

fn read(text: &str) -> Option<Scenario> {
    let (tree, mistakes) = parse(text);
    let (lowered, errors) = lower("race.cow", &tree, &mistakes, &mut |_, path| Err(format!("no file {path}")));
    let sound = mistakes.is_empty() && errors.is_empty();
    let scenario = lowered.scenarios.into_iter().next().filter(|_| sound)?;
    let program = &scenario.program;
    program.code.iter().all(|instr| everything(program, instr.op)).then_some(scenario)
}

/// Leaves out lines as long as some order ends in the same way with the same to blame, and finds the schedule with the fewest switches.
pub fn reduce(scenario: &Scenario, (called, policy): (&str, &Policy), (ending, states): (Ending, u64), name: &str) -> Small {
    let bare = Scenario { asserts: Vec::new(), expects: Vec::new(), title: String::new(), ..scenario.clone() };
    let bare = Scenario { origin: String::new(), name: name.to_owned(), ..bare };
    let mut lines: Vec<String> = printer::scenario(&bare, &[""; 0]).lines().map(str::to_owned).collect();
    let wanted = Wrong::new(&scenario.program, policy, ending);
    // What only a race shows must not become what lines show that never meet.
    let calm = goes_wrong_calmly(&scenario.program, policy);
    let (mut at, mut best, mut states) = (lines.len(), bare, states);
    while 0 < at {
        at -= 1;
        let kept = lines.iter().enumerate().filter(|(nth, _)| *nth != at).map(|(_, line)| line.clone());
        let fewer: Vec<String> = kept.collect();
        let Some(candidate) = read(&(fewer.join("\n") + "\n")) else { continue };
        let same = calm || !goes_wrong_calmly(&candidate.program, policy);
        let less = same && candidate.program.code.len() < best.program.code.len() && explore::has_race(&candidate.program);
        if less && let Some(found) = Wrong::new(&candidate.program, policy, ending).filter(|found| found.is_as(&wanted)) {
            (lines, best, states, at) = (fewer, candidate, found.states, lines.len() - 1);
        }
    }
    told(&best, (called, policy), (ending, wanted.map_or_else(Blame::default, |wrong| wrong.blame)), states)
}

/// A race that ends in a way, and what is to blame.
struct Wrong {
    blame: Blame,
    states: u64,
}

impl Wrong {
    fn new(program: &Program, policy: &Policy, ending: Ending) -> Option<Self> {
        let report = search(program, policy, Limits { states: Some(STATES_MAX), ..Limits::default() }).report;
        let found = report.endings.iter().find(|found| found.ending == ending)?;
        Some(Self { blame: explore::blame(program, policy, found), states: report.states })
    }

    fn is_as(&self, wanted: &Option<Self>) -> bool {
        wanted.as_ref().is_none_or(|wanted| wanted.blame == self.blame)
    }
}

fn told(scenario: &Scenario, (called, policy): (&str, &Policy), (ending, blame): (Ending, Blame), states: u64) -> Small {
    let schedule = explore::fewest(&scenario.program, policy, ending, STATES_MAX).map_or(String::new(), |(text, _)| text);
    let racing = scenario.program.code.iter().filter(|instr| instr.race.is_some());
    let verbs: BTreeSet<&str> = racing.map(|instr| instr.op.verb().keyword()).collect();
    let verbs = verbs.into_iter().collect::<Vec<_>>().join("+");
    let expects = match ending {
        Ending::Came(outcome) => vec![Expect {
            outcome,
            frequency: explore::race(&scenario.program, policy).frequency(outcome),
            on: vec![0],
            reason: String::new(),
            span: scenario.span,
        }],
        _ => Vec::new(),
    };
    let text = printer::scenario(&Scenario { expects, ..scenario.clone() }, &[called]);
    let signature = format!("{ending}{blame}; in a race of {verbs}");
    Small { signature, ending, text, schedule, states, known: known(&scenario.program, ending) }
}

/// What every release is known for.
fn known(program: &Program, ending: Ending) -> Option<&'static str> {
    let has = |verb: Verb| program.code.iter().any(|instr| instr.op.verb() == verb);
    let gets = [Verb::Get, Verb::Vmsplice, Verb::DirectRead, Verb::DirectWrite, Verb::Hold].into_iter().any(has);
    match () {
        () if ending == Ending::Came(Outcome::Breach(14)) && has(Verb::Pin) && has(Verb::ClearRefs) => {
            Some("I14: clear_refs skips a pinned page whose pte became writable without a store")
        }
        () if gets => Some("I5: what holds a get keeps no promise across fork, copy or reclaim"),
        () if has(Verb::Fork) && has(Verb::Pin) => Some("I16: fork copies a pinned page early, before other pages (B34)"),
        () => None,
    }
}
