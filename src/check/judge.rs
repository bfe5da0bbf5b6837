//! Runs a scenario under a policy beside the ideal world and says what it came to.

use std::ops::ControlFlow;

use super::assert::{self, Seens};
use super::beside::{Beside, Unkept, ended_text, is_permitted};
use super::blame::{self, History};
use super::facts;
use super::frames::Frames;
use super::invariants::{Books, Broken};
use super::report::{Run, Step, UnmetAssert, Verdict, Violation};
use crate::engine;
use crate::ir::{Ending, Outcome, Program, Scenario};
use crate::observe::Seen;
use crate::policy::Policy;
use crate::run::{End, Watch, World, as_announced, drive};
use crate::state::State;
use crate::trace::{Trace, What};
use crate::types::{Failure, Large, Pc};

/// Pages of all address spaces up to which the books are gone through after every step. Those of a larger world are after every
/// step of a race, at the end of a line, and else as often as leaves a step's share of it small.
const AUDITED_PAGES_MAX: usize = 32;

/// A policy and its place among those that lowering was given.
#[derive(Clone, Copy)]
pub struct Under<'a> {
    pub policy: &'a Policy,
    pub index: usize,
}

/// How much of its story a run tells in [`Run::steps`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Story {
    #[default]
    Untold,
    /// What was decided, line by line.
    Decisions,
    /// As [`Story::Decisions`], and the facts that the last line left.
    End,
    /// What was decided and the facts, line by line.
    Whole,
}

impl Story {
    /// The whole story or none.
    pub fn whole_if(wanted: bool) -> Self {
        if wanted { Story::Whole } else { Story::Untold }
    }
}

/// Runs a scenario under a policy, and tells as much of the story as is wanted.
///
/// Races run one deterministic schedule ([`crate::run::drive`]), and the run says so.
///
/// # Panics
/// Only with `cowl bug:`; the scenario must have come from lowering, which bounds it to [`Large`].
pub fn judge(scenario: &Scenario, under: Under<'_>, story: Story) -> Run {
    let program = &scenario.program;
    let mut judge = Judge::new(scenario, under, story);
    if let Some(feature) = lacks(program, under.policy) {
        judge.run.verdict = Verdict::Skip(format!("this policy lacks {feature}"));
        return judge.run;
    }
    let mut world = World::<Large, Trace>::new(program, under.policy, Trace::default());
    drive(&mut world, &mut judge);
    if judge.run.verdict == Verdict::Came(Outcome::Ok) && !judge.cut_short {
        judge.asserts(&world, Pc::at(program.code.len()));
    }
    if story == Story::End
        && let Some(last) = judge.run.steps.last_mut()
    {
        last.facts = facts::table(program, &world.st, |pfn| judge.frames.letter(pfn));
    }
    judge.finish()
}

/// What the program needs and the policy lacks, unless the line announces that it fails.
pub fn lacks(program: &Program, policy: &Policy) -> Option<String> {
    let missing = program
        .code
        .iter()
        .find(|instr| instr.ending == Ending::Succeeds && engine::lacking(policy, program, instr.op).is_some())?;
    engine::lacking(policy, program, missing.op).map(|feature| feature.replace('_', " "))
}

/// Watches a run.
struct Judge<'a> {
    scenario: &'a Scenario,
    under: Under<'a>,
    story: Story,
    beside: Beside<'a>,
    frames: Frames,
    /// Events renamed so far; those of the current line start at `line_start`.
    renamed: usize,
    line_start: usize,
    history: History,
    seens: Seens,
    next_assert: usize,
    /// Lines that userfaultfd stopped as announced.
    slept: Vec<Pc>,
    books: Books,
    /// Steps since the books were gone through.
    unaudited: usize,
    /// The state when the present line started.
    before: Option<State<Large>>,
    /// Rules found broken; each is told once.
    told: Vec<&'static str>,
    cut_short: bool,
    run: Run,
}

impl<'a> Judge<'a> {
    fn new(scenario: &'a Scenario, under: Under<'a>, story: Story) -> Self {
        let program = &scenario.program;
        Self {
            scenario,
            under,
            story,
            beside: Beside::new(program),
            frames: Frames::default(),
            renamed: 0,
            line_start: 0,
            history: History::default(),
            seens: Seens::default(),
            next_assert: 0,
            slept: Vec::new(),
            books: Books::new(program, under.policy),
            unaudited: 0,
            before: None,
            told: Vec::new(),
            cut_short: false,
            run: Run::of(program),
        }
    }

    fn program(&self) -> &'a Program {
        &self.scenario.program
    }

    fn violation(&mut self, violation: Violation) {
        if self.run.verdict == Verdict::Came(Outcome::Ok) {
            self.run.verdict = Verdict::Came(violation.outcome);
        }
        self.run.violations.push(violation);
    }

    /// Judges the assertions that stand before an instruction.
    fn asserts(&mut self, world: &World<'_, Large, Trace>, pc: Pc) {
        let asserts = &self.scenario.asserts;
        while let Some(assert) = asserts.get(self.next_assert).filter(|assert| assert.at <= pc) {
            self.next_assert += 1;
            if assert.on.as_ref().is_some_and(|on| !on.contains(&self.under.index)) {
                continue;
            }
            let moment = assert::Moment { program: self.program(), st: &world.st, seens: &self.seens, copies: self.run.copies };
            if let Some(message) = assert::unmet(&moment, &assert.says) {
                self.run.unmet.push(UnmetAssert { span: assert.span, message });
            }
        }
    }

    /// Holds what was seen of one page against the promise.
    fn seen(&mut self, world: &World<'_, Large, Trace>, pc: Pc, page: u16, seen: Seen) {
        let program = self.program();
        let (observation, unkept) = self.beside.seen(pc, page, seen);
        let Some(observation) = observation else { return };
        if let Some(name) = program.code[pc.idx()].observe {
            self.seens.push(name, observation.value.clone());
        }
        if let Some(Unkept { outcome, invariant, message }) = unkept {
            let parties = blame::Parties { program, pc, page, seen, committed: self.beside.committed() };
            let shown = blame::frame_shown(program, &world.st, pc, page).and_then(|pfn| self.frames.page(pfn));
            let decision =
                blame::decision(&self.history, &parties, outcome, shown).map(|(pc, decision)| (pc, decision.clone()));
            self.violation(Violation { outcome, invariant, pc, decision, message });
        }
        self.run.observations.push(observation);
    }

    /// Counts copies and gives letters to the pages that the line left in page tables.
    fn close_line(&mut self, world: &World<'_, Large, Trace>, pc: Pc, ended: String) {
        self.frames.give_letters(&world.st);
        let setup = self.program().code[pc.idx()].setup;
        for event in &self.history.events()[self.line_start..] {
            match &event.what {
                What::Copied { gratuitous, .. } if !setup => {
                    self.run.copies += 1;
                    self.run.gratuitous += u32::from(*gratuitous);
                }
                _ => {}
            }
        }
        if self.story != Story::Untold {
            let line = &self.history.events()[self.line_start..];
            let decisions = line.iter().filter_map(|event| match &event.what {
                What::Decision(decision) => Some(decision.clone()),
                _ => None,
            });
            let step = Step {
                pc,
                ended,
                faults: line.iter().filter(|event| matches!(event.what, What::Fault { .. })).count() as u32,
                decisions: decisions.collect(),
                facts: match self.story {
                    Story::Whole => facts::table(self.program(), &world.st, |pfn| self.frames.letter(pfn)),
                    Story::Untold | Story::Decisions | Story::End => Vec::new(),
                },
            };
            self.run.steps.push(step);
        }
        self.line_start = self.history.events().len();
    }

    fn end_violation(&mut self, pc: Pc, end: End) {
        let Some(Unkept { outcome, invariant, message }) = self.beside.unannounced(pc, end) else { return };
        let own = blame::last_decision(self.history.events(), pc);
        let area = self.program().code[pc.idx()].op.area();
        let before = || area.and_then(|area| blame::last_decision_about(self.history.events(), area));
        let decision = if outcome == Outcome::Missed { own.or_else(before) } else { own };
        let decision = decision.map(|(pc, decision)| (pc, decision.clone()));
        self.violation(Violation { outcome, invariant, pc, decision, message });
    }

    /// Holds the state against the rules, unless that was done or somebody is in the middle of a page-table lock section.
    fn audit(&mut self, world: &World<'_, Large, Trace>, pc: Pc) {
        let section = world.st.mms().iter().any(|mm| mm.ptl.is_some());
        if section || self.unaudited == 0 {
            return;
        }
        self.unaudited = 0;
        if let Some(broken) = self.books.broken(&world.st) {
            self.breach(world, pc, broken);
        }
    }

    /// A rule does not hold: told once, with the decision last made about the page that shows it.
    fn breach(&mut self, world: &World<'_, Large, Trace>, pc: Pc, broken: Broken) {
        if self.told.contains(&broken.rule.id) {
            return;
        }
        self.told.push(broken.rule.id);
        let program = self.program();
        let (proc, vpn) = match (broken.page, broken.frame) {
            (Some(page), _) => page,
            (None, frame) => {
                let maps =
                    |target: Option<crate::state::Pfn<u16>>| target.map(|pfn| pfn.idx() as u32) == frame && frame.is_some();
                let mapped =
                    world.st.slots().find(|(_, _, slot)| maps(slot.pte.target.pfn())).map(|(proc, vpn, _)| (proc, vpn));
                mapped.or_else(|| program.code[pc.idx()].op.area().map(|area| (area.proc, area.start))).unwrap_or_default()
            }
        };
        let about = self.history.events().iter().rev().find_map(|event| match &event.what {
            What::Decision(decision) if (decision.proc, decision.vpn) == (proc, vpn) => Some((event.pc, decision.clone())),
            _ => None,
        });
        let facts = facts::of(program, &world.st, proc, vpn, |_| None);
        let message = format!(
            "{}; {} is {}, {}exclusive, mapcount {}, refcount {}, pincount {}",
            broken.rule.says,
            facts::name(program, proc, vpn),
            if facts.writable { "writable" } else { "read-only" },
            if facts.exclusive { "" } else { "not " },
            facts.mapcount,
            facts.refcount,
            facts.pincount,
        );
        let outcome = Outcome::Breach(broken.rule.number);
        self.violation(Violation { outcome, invariant: Some(broken.rule.id), pc, decision: about, message });
    }

    fn finish(mut self) -> Run {
        let number = |decision: &mut crate::trace::Decision, frames: &mut Frames| {
            decision.frame = decision.frame.map(|page| frames.number(page));
        };
        for step in &mut self.run.steps {
            step.decisions.iter_mut().for_each(|decision| number(decision, &mut self.frames));
        }
        for violation in &mut self.run.violations {
            if let Some((_, decision)) = &mut violation.decision {
                number(decision, &mut self.frames);
            }
        }
        self.run
    }
}

impl Watch<Large, Trace> for Judge<'_> {
    fn starting(&mut self, world: &World<'_, Large, Trace>, pc: Pc) {
        self.asserts(world, pc);
        self.before = Books::about::<Large>(self.program().code[pc.idx()].op).map(|_| world.st.clone());
    }

    fn stepped(&mut self, world: &World<'_, Large, Trace>, pc: Pc) {
        for event in &world.sink.events[self.renamed..] {
            let mut event = event.clone();
            self.frames.rename(&mut event);
            self.history.push(event);
        }
        self.renamed = world.sink.events.len();
        // Outside a race nobody gets in between two steps, so what is seen and what is left is all that must be judged.
        let program = self.program();
        let pages = program.procs.len() * usize::from(program.pages);
        self.unaudited += 1;
        if program.code[pc.idx()].race.is_some() || pages <= AUDITED_PAGES_MAX.max(self.unaudited) {
            self.audit(world, pc);
        }
    }

    fn committed(&mut self, world: &World<'_, Large, Trace>, pc: Pc, page: u16, len: u16, seen: Seen) {
        if page == 0 && seen != Seen::Nothing {
            self.audit(world, pc);
        }
        for page in page..page + len {
            self.seen(world, pc, page, seen);
        }
        self.beside.commit(pc);
    }

    fn ended(&mut self, world: &World<'_, Large, Trace>, pc: Pc, end: End) -> ControlFlow<()> {
        let program = self.program();
        let instr = &program.code[pc.idx()];
        let woken = end == End::Finished && self.slept.contains(&pc);
        if end == End::Failed(Failure::SIGBUS)
            && let Some(broken) = Books::refused(instr.op, &world.st)
        {
            self.breach(world, pc, broken);
        }
        let expected = woken || as_announced(instr.ending, end) || is_permitted(program, pc, end);
        if !expected {
            self.end_violation(pc, end);
        }
        self.audit(world, pc);
        if let (Some(before), Some(rule)) = (self.before.take(), Books::about(instr.op))
            && let Some(broken) = rule(program, instr.op, &before, &world.st)
        {
            self.breach(world, pc, broken);
        }
        self.close_line(world, pc, ended_text(end));
        match end {
            End::Asleep(_) => self.slept.push(pc),
            End::Exhausted(what) => self.run.verdict = Verdict::Skip(format!("the model has not enough {what}")),
            End::Stuck => {
                self.run.verdict = Verdict::Skip("in the one schedule that was run, this waits for ever".to_owned());
            }
            End::Finished | End::Failed(_) => {}
        }
        let goes_on = end == End::Finished || (expected && matches!(end, End::Failed(_) | End::Asleep(_)));
        self.cut_short = !goes_on;
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
