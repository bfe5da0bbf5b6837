//! What the corpus expects of races, held against random orders of steps beside the search that tries them all.
//!
//! A random order can refute that something never comes, or always.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{CorpusFile, scenario_files};
use crate::check::invariants::Books;
use crate::check::lacks;
use crate::check::verdict::of_reading;
use crate::engine::Progress;
use crate::generate::scale::exactly_shrunk;
use crate::ideal::{EverHeld, Ideal};
use crate::ir::{Ending, Frequency, Outcome, Program, Scenario};
use crate::observe::Seen;
use crate::policy::{self, Policy};
use crate::run::World;
use crate::types::{Large, Pc, ProcId, TaskId};

/// Orders tried of each race under each policy.
const ORDERS: usize = 120;

/// xorshift64: the same orders on every machine.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }
}

/// A run in one order.
struct Run<'a> {
    world: World<'a, Large, ()>,
    ideal: Ideal<Large, EverHeld>,
    books: Books,
    /// The first to happen.
    outcome: Option<Outcome>,
}

impl<'a> Run<'a> {
    fn new(program: &'a Program, policy: &'a Policy) -> Self {
        let (world, ideal) = (World::new(program, policy, ()), Ideal::new(program));
        Self { world, ideal, books: Books::new(program, policy), outcome: None }
    }

    /// Runs lines, each actor's in their order, and the actors' steps as the dice fall.
    ///
    /// # Panics
    /// Where no actor can go on: no race of the corpus may end so.
    fn lines(&mut self, lines: impl Iterator<Item = Pc>, dice: &mut Dice) {
        let program = self.world.program;
        let mut queues: BTreeMap<TaskId, VecDeque<Pc>> = BTreeMap::new();
        lines.for_each(|pc| queues.entry(program.code[pc.idx()].task).or_default().push_back(pc));
        let mut under_way: BTreeSet<TaskId> = BTreeSet::new();
        while !queues.is_empty() {
            let mut tasks: Vec<TaskId> = queues.keys().copied().collect();
            let first = dice.roll(tasks.len());
            tasks.rotate_left(first);
            // An order that changes actors at every step hides what needs a long undisturbed stretch, and the other way round.
            let steps = 1 << dice.roll(6);
            let went = tasks.into_iter().any(|task| self.steps(task, steps, &mut queues, &mut under_way));
            assert!(went, "nobody can go on");
        }
    }

    /// Up to `steps` steps of one actor; whether it could make one.
    fn steps(
        &mut self,
        task: TaskId,
        steps: usize,
        queues: &mut BTreeMap<TaskId, VecDeque<Pc>>,
        under_way: &mut BTreeSet<TaskId>,
    ) -> bool {
        for made in 0..steps {
            let Some(pc) = queues.get(&task).and_then(|queue| queue.front().copied()) else { return true };
            if !under_way.contains(&task) && !self.is_born(task) {
                return 0 < made;
            }
            if under_way.insert(task) {
                self.world.start(pc);
            }
            let ended = match self.world.step(task) {
                Progress::Blocked => return 0 < made,
                Progress::Moved => false,
                Progress::Committed { page, len, seen, done } => {
                    (page..page + len).for_each(|page| self.committed(pc, page, seen));
                    done
                }
                Progress::Finished => true,
                Progress::Failed(failure) if self.world.program.code[pc.idx()].ending == Ending::Fails(failure) => true,
                end => panic!("no race of the corpus ends in {end:?}"),
            };
            if ended {
                under_way.remove(&task);
                let queue = queues.get_mut(&task).expect("the line came from it");
                queue.pop_front();
                if queue.is_empty() {
                    queues.remove(&task);
                }
            }
            self.judge_books();
        }
        true
    }

    /// Whether the actor's process is there: the first from the start, the others when `fork` has returned.
    fn is_born(&self, task: TaskId) -> bool {
        let proc = self.world.program.tasks[task.idx()].proc();
        proc.is_none_or(|proc| proc == ProcId(0) || self.world.st.mm(proc).alive)
    }

    fn committed(&mut self, pc: Pc, page: u16, seen: Seen) {
        let program = self.world.program;
        let promise = self.ideal.apply(program, pc, page);
        let ever = self.ideal.ever_held(program, pc, page);
        let outcome = of_reading(program, (pc, page), &promise, seen, &[], || ever);
        self.outcome = self.outcome.or(outcome);
    }

    fn judge_books(&mut self) {
        let locked = self.world.st.mms().iter().any(|mm| mm.ptl.is_some());
        if let (false, Some(broken)) = (locked, self.books.broken(&self.world.st)) {
            self.outcome = self.outcome.or(Some(Outcome::Breach(broken.rule.number)));
        }
    }
}

/// What a program comes to in one order.
fn outcome(program: &Program, policy: &Policy, dice: &mut Dice) -> Outcome {
    let mut run = Run::new(program, policy);
    let mut pc = 0;
    while let Some(instr) = program.code.get(pc) {
        let together = |other: &&crate::ir::Instr| instr.race.is_some() && other.race == instr.race;
        let len = program.code[pc..].iter().take_while(together).count().max(1);
        run.lines((pc..pc + len).map(Pc::at), dice);
        pc += len;
    }
    run.outcome.unwrap_or(Outcome::Ok)
}

/// A scenario with a race, its file, and the policies that there are for it.
type Race = (String, Scenario, Vec<(String, Policy)>);

/// Every scenario with a race, but those in which a thread sleeps until userfaultfd wakes it: here nobody wakes, the search does.
fn races() -> Vec<Race> {
    let mut races = Vec::new();
    for CorpusFile { path, lowered, .. } in scenario_files("corpus") {
        let has_race = |scenario: &Scenario| scenario.program.code.iter().any(|line| line.race.is_some());
        let sleeps = |scenario: &Scenario| scenario.program.code.iter().any(|line| matches!(line.ending, Ending::Event(_)));
        let raced = lowered.scenarios.into_iter().filter(|scenario| has_race(scenario) && !sleeps(scenario));
        let policies: Vec<_> = lowered.policies.iter().map(|user| (user.name.clone(), user.policy)).collect();
        races.extend(raced.map(|scenario| {
            // As the search takes them: PMDs of few pages where that says as much.
            let program = exactly_shrunk(&scenario.program);
            (path.clone(), Scenario { program, ..scenario }, policies.clone())
        }));
    }
    races
}

#[test]
fn expectations_of_races_hold_in_random_orders() {
    let races = races();
    assert!(8 <= races.len(), "the corpus has races");
    let mut complaints = Vec::new();
    for (path, scenario, own) in races {
        let builtin = policy::builtin().iter().map(|named| (named.name.to_owned(), named.policy));
        for (index, (name, policy)) in builtin.chain(own).enumerate() {
            if lacks(&scenario.program, &policy).is_some() {
                continue; // Skipped there, whatever is expected.
            }
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
            let outcomes: Vec<_> = (0..ORDERS).map(|_| outcome(&scenario.program, &policy, &mut dice)).collect();
            for expect in scenario.expects.iter().filter(|expect| expect.on.contains(&index)) {
                let came = outcomes.iter().filter(|outcome| **outcome == expect.outcome).count();
                let met = match expect.frequency {
                    Frequency::Always => came == ORDERS,
                    // That it comes at all may need an order that is rare: the search finds it.
                    Frequency::Sometimes => came < ORDERS,
                    Frequency::Never => came == 0,
                };
                if !met {
                    let (says, file) = (expect.frequency, path.rsplit('/').next().unwrap_or_default());
                    complaints.push(format!("{file}, {}: {says} {}: {came} of {ORDERS}", name, expect.outcome));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
