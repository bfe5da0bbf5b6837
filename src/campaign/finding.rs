//! What a program that went wrong shows: a violation with its signature, and a text that anybody can run.

use super::exec::{self, Look};
use crate::check::report::{Reading, Run, Verdict, Violation};
use crate::check::{Story, Under, judge};
use crate::generate::everything;
use crate::generate::{self, Manner};
use crate::ir::{Actor, Ending, Instr, Op, Outcome, Program, Scenario, Verb};
use crate::policy::Policy;
use crate::run::{End, Watch, World, drive};
use crate::types::{Large, Pc, ProcId, Size, Small, Span, Value, ValueId};

/// Who did it, as seen by the actor that shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Relation {
    /// It did it itself.
    Itself,
    Parent,
    Child,
    Sibling,
    Device,
    Kernel,
    /// Nobody stored what is seen, and no decision is to blame.
    Nobody,
}

/// What makes two violations the same bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Signature {
    /// `leak`, `lost`, `missed`, `breach`.
    pub what: &'static str,
    /// The invariant that broke, where it has a number: `I2`.
    pub invariant: Option<&'static str>,
    /// The deciding rule and its verdict: `("wp::decide_small", "reuse")`.
    pub rule: Option<(&'static str, &'static str)>,
    /// The verb of the operation that shows it.
    pub verb: Verb,
    /// Who did what it shows.
    pub by: Relation,
}

/// As a header has it: `leak I2 at peek, by its parent; wp::decide_small: reuse`.
impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)?;
        if let Some(invariant) = self.invariant {
            write!(f, " {invariant}")?;
        }
        write!(f, " at {}, by {}", self.verb, self.by)?;
        match self.rule {
            Some((rule, verdict)) => write!(f, "; {rule}: {verdict}"),
            None => Ok(()),
        }
    }
}

impl Signature {
    /// A name for a scenario that shows it: what happens in it, in kebab-case.
    pub fn name(&self) -> String {
        let verb = self.verb.keyword().replace([' ', '_'], "-");
        let whose = match self.by {
            Relation::Itself => "its-own".to_owned(),
            Relation::Nobody => "nobodys".to_owned(),
            by => format!("{by}s"),
        };
        let breaks = || self.invariant.unwrap_or("a-rule").to_lowercase();
        match self.what {
            "leak" => format!("{verb}-sees-{whose}-store"),
            "lost" => format!("{verb}-misses-{whose}-store"),
            "missed" => format!("{verb}-misses-its-event"),
            _ => format!("{verb}-breaks-{}", breaks()),
        }
    }
}

/// A program that went wrong, said so that `cowl run` shows the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub signature: Signature,
    pub scenario: Scenario,
    /// The first violation.
    pub violation: Violation,
    /// Of an event that did not come: the lines before it made userfaultfd owe it, as far as those who draw can tell.
    pub owed: bool,
}

/// Runs a program once more with all ears open; `None` where nothing is wrong with it.
///
/// The program comes back with what was not announced announced, and without the lines that had no chance to run.
pub fn examine(program: &Program, policy: &Policy) -> Option<Finding> {
    let found = judged(announced(program, policy), policy)?;
    // What is seen says who stored it only where no two stores are of one value.
    let told_apart = match found.violation.outcome {
        Outcome::Leak | Outcome::Lost => told_apart(&found.scenario.program),
        _ => None,
    };
    let clearer = told_apart.and_then(|program| judged(announced(&program, policy), policy));
    Some(clearer.filter(|clearer| clearer.violation.pc <= found.violation.pc).unwrap_or(found))
}

fn judged(program: Program, policy: &Policy) -> Option<Finding> {
    let scenario = scenario(program);
    let run = judge(&scenario, Under { policy, index: 0 }, Story::Untold);
    let violation = first(&run)?.clone();
    let signature = signature(&scenario.program, &run, &violation);
    let owed = violation.outcome == Outcome::Missed && generate::foresees_event(&scenario.program, violation.pc);
    Some(Finding { signature, scenario, violation, owed })
}

/// The program with a value of its own for each store; `None` where it has that, or there are not as many values.
fn told_apart(program: &Program) -> Option<Program> {
    let mut apart = program.clone();
    let mut taken = vec![ValueId(0)];
    for instr in &mut apart.code {
        let Some(value) = instr.op.stores() else { continue };
        if taken.contains(&value) {
            let fresh = (1..).map(Value::number).find(|fresh| !apart.values.contains(fresh))?;
            apart.values.push(fresh);
            let fresh = ValueId::at(apart.values.len() - 1);
            instr.op = match instr.op {
                Op::Dma { held, .. } => Op::Dma { held, value: fresh },
                op => op.with(op.area()?, fresh, op.takes().unwrap_or_default()),
            };
            taken.push(fresh);
        } else {
            taken.push(value);
        }
    }
    let more = program.values.len() < apart.values.len();
    (more && apart.exceeds::<Large>().is_none()).then_some(apart)
}

/// The violation that counts: the first that is one of a promise or a rule.
fn first(run: &Run) -> Option<&Violation> {
    match run.verdict {
        Verdict::Skip(_) => None,
        Verdict::Came(_) => run.violations.iter().find(|violation| {
            matches!(violation.outcome, Outcome::Leak | Outcome::Lost | Outcome::Missed | Outcome::Breach(_))
        }),
    }
}

/// A scenario without expectations, to be judged.
pub fn scenario(program: Program) -> Scenario {
    Scenario {
        name: "drawn".to_owned(),
        title: String::new(),
        origin: String::new(),
        kind: None,
        spans: vec![Span::default(); program.code.len()],
        program,
        asserts: Vec::new(),
        expects: Vec::new(),
        span: Span::default(),
    }
}

/// What makes a violation the same bug as another.
fn signature(program: &Program, run: &Run, violation: &Violation) -> Signature {
    let what = match violation.outcome {
        Outcome::Leak => "leak",
        Outcome::Lost => "lost",
        Outcome::Missed => "missed",
        _ => "breach",
    };
    let instr = &program.code[violation.pc.idx()];
    Signature {
        what,
        invariant: violation.invariant,
        rule: violation.decision.as_ref().map(|(_, decision)| (decision.rule, decision.verdict)),
        verb: instr.op.verb(),
        by: relation(program, instr, culprit(program, run, violation)),
    }
}

/// The instruction that did what is seen: of a reading the last store of a value seen, else what decided.
fn culprit(program: &Program, run: &Run, violation: &Violation) -> Option<Pc> {
    if let Outcome::Breach(_) | Outcome::Missed = violation.outcome {
        return violation.decision.as_ref().map(|(pc, _)| *pc);
    }
    let seen = run.observations.iter().rev().find(|seen| seen.pc == violation.pc)?;
    let shows = |op: Op| {
        let value = program.values[op.stores()?.idx()];
        let there = match &seen.value {
            Reading::Value(only) => *only == value,
            Reading::Mixed { rest, words } => *rest == value || words.iter().any(|(_, word)| *word == value),
            Reading::Bit(_) => false,
        };
        there.then_some(())
    };
    (0..violation.pc.idx()).rev().map(Pc::at).find(|pc| shows(program.code[pc.idx()].op).is_some())
}

fn relation(program: &Program, victim: &Instr, culprit: Option<Pc>) -> Relation {
    let Some(culprit) = culprit else { return Relation::Nobody };
    // A reference reads for its holder, whoever says `peek`.
    let holder = match victim.op {
        Op::Peek { held } => program.taker(held.name).and_then(|taker| program.tasks[taker.task.idx()].proc()),
        _ => program.tasks[victim.task.idx()].proc(),
    };
    let by = match program.tasks[program.code[culprit.idx()].task.idx()] {
        Actor::Device => return Relation::Device,
        Actor::Kernel(_) => return Relation::Kernel,
        Actor::Thread { proc, .. } => proc,
    };
    let parent = |of: ProcId| {
        let forks = program.code.iter().find(|instr| instr.op == Op::Fork { child: of })?;
        program.tasks[forks.task.idx()].proc()
    };
    match holder {
        None => Relation::Kernel,
        Some(me) if me == by => Relation::Itself,
        Some(me) if parent(me) == Some(by) => Relation::Parent,
        Some(me) if parent(by) == Some(me) => Relation::Child,
        Some(_) => Relation::Sibling,
    }
}

/// The program with its lines ending as they do under this policy, as far as that is no violation; lines that cannot start are
/// left out.
pub fn announced(program: &Program, policy: &Policy) -> Program {
    // What comes behind the first thing that is wrong may be anything, our own checks of it included.
    let small = program.exceeds::<Small>().is_none();
    let wrong = if small { exec::run(program, policy, Look::Operations, &mut ()).wrong } else { None };
    let mut ends = Ends { ends: vec![None; program.code.len()], last: wrong.map(|wrong| wrong.pc()) };
    match small {
        true => drive(&mut World::<Small, ()>::new(program, policy, ()), &mut ends),
        false => drive(&mut World::<Large, ()>::new(program, policy, ()), &mut ends),
    }
    let last = ends.ends.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let told = program.code.iter().zip(&ends.ends).take(last).filter_map(|(instr, end)| {
        let ending = match ((*end)?, instr.ending) {
            (End::Failed(failure), _) => Ending::Fails(failure),
            (End::Asleep(event), _) => Ending::Event(event),
            (End::Finished, owed @ Ending::Event(_)) => owed,
            (End::Finished | End::Stuck | End::Exhausted(_), _) => Ending::Succeeds,
        };
        Some(Instr { ending, ..*instr })
    });
    generate::again(program, told, &generate::whole(everything), Manner::Exactly)
}

/// How each line ended first, up to the last that is asked about.
struct Ends {
    ends: Vec<Option<End>>,
    last: Option<Pc>,
}

impl<B: Size> Watch<B, ()> for Ends {
    fn ended(&mut self, _: &World<'_, B, ()>, pc: Pc, end: End) -> std::ops::ControlFlow<()> {
        self.ends[pc.idx()].get_or_insert(end);
        match end {
            End::Stuck | End::Exhausted(_) => std::ops::ControlFlow::Break(()),
            _ if self.last == Some(pc) => std::ops::ControlFlow::Break(()),
            End::Finished | End::Failed(_) | End::Asleep(_) => std::ops::ControlFlow::Continue(()),
        }
    }
}
