//! Races on a kernel: what came of many rounds, each judged by what was promised.
//!
//! In which order the lines of a race took effect no kernel tells. A round keeps its promises where it does so in some order that
//! leaves each actor's lines in theirs; the ideal world allows no more. Whether an outcome is one that the *engine* can reach is
//! for an exhaustive search to say: [`Came::text`] names it, whoever made it.

use std::ops::Range;

use super::judge::{judge, with_values};
use crate::check::report::{Race, Run, Verdict};
use crate::ir::{Ending, Expect, Frequency, Instr, Op, Outcome, Program, Scenario};
use crate::kernel::wire::{Ended, Line, Ran, Stop};
use crate::printer;
use crate::render::words;
use crate::types::Pc;

/// The most orders of a round's lines that are tried.
pub const ORDERS_MAX: usize = 4096;

/// What came of some rounds, all alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Came {
    pub rounds: u32,
    /// What was read, and what ended otherwise than well: `p: read buf "a"; c: read buf "b"`.
    pub text: String,
    pub ran: Ran,
    pub run: Run,
}

/// What came of all rounds, the most frequent first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    pub came: Vec<Came>,
}

/// Whether a program has races.
pub fn has_races(program: &Program) -> bool {
    program.code.iter().any(|instr| instr.race.is_some())
}

impl Histogram {
    /// Judges more rounds: what came, each with how often.
    pub fn add(&mut self, program: &Program, rounds: Vec<(u32, Ran)>) {
        for (count, mut ran) in rounds {
            let (program, why) = match with_values(program, &ran) {
                Ok(program) => (program, None),
                Err(why) => (program.clone(), Some(why)),
            };
            if let Some(why) = why {
                (ran.lines, ran.stopped) = (Vec::new(), Some(Stop::Crashed(why)));
            }
            let run = in_some_order(&program, &ran);
            let text = text(&program, &ran, &run);
            match self.came.iter_mut().find(|came| came.text == text && came.run.verdict == run.verdict) {
                Some(came) => came.rounds += count,
                None => self.came.push(Came { rounds: count, text, ran, run }),
            }
        }
        self.came.sort_by(|a, b| b.rounds.cmp(&a.rounds).then_with(|| a.text.cmp(&b.text)));
    }

    /// Rounds that came to something.
    pub fn rounds(&self) -> u32 {
        self.came.iter().map(|came| came.rounds).sum()
    }

    /// What stands for all of it: the first that went wrong, else the most frequent.
    pub fn worst(&self) -> Option<&Came> {
        let is_bad = |came: &&Came| came.run.verdict != Verdict::Came(Outcome::Ok);
        self.came.iter().find(is_bad).or(self.came.first())
    }

    /// Expectations about a policy that are refuted. Rounds refute `always` and `never`; `sometimes` they cannot.
    pub fn unmet(&self, scenario: &Scenario, policy: usize) -> Vec<String> {
        let judged = |came: &&Came| matches!(came.run.verdict, Verdict::Came(_));
        let all: u32 = self.came.iter().filter(judged).map(|came| came.rounds).sum();
        let is_refuted = |expect: &&Expect| {
            let of = |came: &&Came| came.run.verdict == Verdict::Came(expect.outcome);
            let count: u32 = self.came.iter().filter(of).map(|came| came.rounds).sum();
            match (expect.outcome, expect.frequency) {
                (Outcome::Copies(_) | Outcome::Breach(_), _) | (_, Frequency::Sometimes) => false,
                (_, Frequency::Always) => count < all,
                (_, Frequency::Never) => 0 < count,
            }
        };
        let about = scenario.expects.iter().filter(|expect| expect.on.contains(&policy)).filter(is_refuted);
        about.map(crate::check::verdict::text).collect()
    }

    /// Outcomes that no order of the engine comes to, where it has tried all of them: there the model is wrong.
    pub fn unreached(&self, engine: &Race) -> Vec<String> {
        let reached =
            |outcome: Outcome| engine.bound.is_some() || engine.endings.iter().any(|(ending, _)| *ending == Some(outcome));
        let unreached = self.came.iter().filter_map(|came| match came.run.verdict {
            Verdict::Came(outcome) if !reached(outcome) => Some((outcome, came)),
            Verdict::Came(_) | Verdict::Skip(_) => None,
        });
        unreached.map(|(outcome, came)| format!("{outcome} in {} rounds, and in no order of the engine", came.rounds)).collect()
    }

    /// A line for each outcome: how often, what it counts as, what was seen, and the promise that it breaks.
    pub fn lines(&self) -> Vec<String> {
        let width = self.came.iter().map(|came| came.rounds.to_string().len()).max().unwrap_or(0);
        let line = |came: &Came| {
            let verdict = words::short_verdict(&came.run.verdict);
            let broken = came.run.violations.first().map(|violation| format!("\n  {:width$}  {}", "", violation.message));
            format!("  {:width$}  {verdict}  {}{}", came.rounds, came.text, broken.unwrap_or_default())
        };
        self.came.iter().map(line).collect()
    }
}

/// What one outcome is known by.
fn text(program: &Program, ran: &Ran, run: &Run) -> String {
    let mut lines: Vec<(Pc, String)> = Vec::new();
    for line in &ran.lines {
        let instr = Instr { claim: None, observe: None, ending: Ending::Succeeds, ..program.code[usize::from(line.pc)] };
        let statement = || printer::statement(program, &instr);
        let pc = Pc(line.pc);
        match &line.ended {
            Ended::Fails(name) => lines.push((pc, format!("{} fails {name}", statement()))),
            Ended::Event(name) => lines.push((pc, format!("{} event {name}", statement()))),
            Ended::Ok => {
                let readings = run.observations.iter().filter(|observation| observation.pc == pc);
                let readings: Vec<String> = readings.map(|observation| observation.value.to_string()).collect();
                if !readings.is_empty() {
                    lines.push((pc, format!("{} {}", statement(), readings.join(", "))));
                }
            }
        }
    }
    lines.sort_by_key(|(pc, _)| *pc);
    let texts: Vec<String> = lines.into_iter().map(|(_, text)| text).collect();
    if texts.is_empty() { "nothing was read".to_owned() } else { texts.join("; ") }
}

/// Judges a round in the order in which it keeps its promises; where there is none, in the program's.
pub fn in_some_order(program: &Program, ran: &Ran) -> Run {
    let as_written = judge(program, ran);
    if as_written.violations.is_empty() {
        return as_written;
    }
    let mut orders = Orders { program, ran: Ran { lines: Vec::new(), ..ran.clone() }, left: ORDERS_MAX, kept: None };
    orders.extend(&ran.lines, 0);
    orders.kept.unwrap_or(as_written)
}

struct Orders<'a> {
    program: &'a Program,
    /// Lines in the order that is being tried.
    ran: Ran,
    left: usize,
    /// A run that keeps all promises.
    kept: Option<Run>,
}

impl Orders<'_> {
    /// Goes through the orders of all lines from `from` on, those of a race in any order.
    fn extend(&mut self, lines: &[Line], from: usize) {
        if from == lines.len() {
            self.left = self.left.saturating_sub(1);
            let run = judge(self.program, &self.ran);
            self.kept = run.violations.is_empty().then_some(run);
            return;
        }
        let group = group(self.program, lines, from);
        let mut done = vec![false; group.len()];
        self.race(lines, &group, &mut done);
    }

    fn race(&mut self, lines: &[Line], group: &Range<usize>, done: &mut [bool]) {
        if done.iter().all(|done| *done) {
            return self.extend(lines, group.end);
        }
        for nth in 0..done.len() {
            if self.kept.is_some() || self.left == 0 {
                return;
            }
            if !done[nth] && self.may_come(lines, group, done, nth) {
                done[nth] = true;
                self.ran.lines.push(lines[group.start + nth].clone());
                self.race(lines, group, done);
                self.ran.lines.pop();
                done[nth] = false;
            }
        }
    }

    /// An actor's lines stay in their order, and a child has none before it is born.
    fn may_come(&self, lines: &[Line], group: &Range<usize>, done: &[bool], nth: usize) -> bool {
        let instr = |nth: usize| &self.program.code[usize::from(lines[group.start + nth].pc)];
        let wanted = instr(nth);
        let proc = self.program.tasks[wanted.task.idx()].proc();
        let comes_first = |other: usize| {
            let earlier = other < nth && instr(other).task == wanted.task;
            earlier || matches!(instr(other).op, Op::Fork { child } if Some(child) == proc)
        };
        (0..done.len()).all(|other| other == nth || done[other] || !comes_first(other))
    }
}

/// The lines of the same race as the one at `from`, as far as they stand together; else that line alone.
fn group(program: &Program, lines: &[Line], from: usize) -> Range<usize> {
    let race = |line: &Line| program.code[usize::from(line.pc)].race;
    let len = match race(&lines[from]) {
        None => 1,
        first => lines[from..].iter().take_while(|line| race(line) == first).count(),
    };
    from..from + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{Saw, Times};
    use crate::lower::lower;
    use crate::syntax::parse;

    fn scenario(text: &str) -> Scenario {
        let text = format!("scenario race {{\n{text}\n}}\n");
        let (file, mistakes) = parse(&text);
        let (lowered, wrong) = lower("test", &file, &mistakes, &mut |_, _| Err(String::new()));
        assert!(mistakes.is_empty() && wrong.is_empty(), "{mistakes:?} {wrong:?}");
        lowered.scenarios.into_iter().next().expect("one scenario")
    }

    /// A round in which the lines that read see these values, in order.
    fn round(program: &Program, read: &[u64]) -> Ran {
        let mut read = read.iter();
        let line = |(pc, instr): (usize, &Instr)| {
            let seen = if instr.op.reads() { read.next().map(|value| Saw::Words(vec![*value])) } else { None };
            let (done, seen) = (1, seen.into_iter().collect());
            Line { pc: pc as u16, ended: Ended::Ok, done, seen, faults: None, facts: Vec::new() }
        };
        let lines = program.code.iter().enumerate().map(line).collect();
        Ran { id: 0, lines, stopped: None, unseen: Default::default(), times: Times::default() }
    }

    #[test]
    fn a_round_is_kept_where_some_order_allows_all_that_it_read() {
        let two_writers = scenario(
            "p: mmap buf 1 page\np: write buf 9\nrace {\np: write buf 1\np/2: write buf 2\np/3: read buf -> seen\n}\np: read buf == 1 or 2",
        );
        let program = &two_writers.program;
        let verdict = |read: &[u64]| {
            let ran = round(program, read);
            in_some_order(&with_values(program, &ran).expect("few values"), &ran).verdict
        };
        for read in [[9, 1], [9, 2], [1, 1], [1, 2], [2, 1], [2, 2]] {
            assert_eq!(verdict(&read), Verdict::Came(Outcome::Ok), "{read:?}");
        }
        assert_eq!(verdict(&[1, 9]), Verdict::Came(Outcome::Lost), "a store was lost");
        assert_eq!(verdict(&[7, 1]), Verdict::Came(Outcome::Leak), "nobody ever stored that");
    }

    #[test]
    fn rounds_are_counted_by_what_they_came_to_and_refute_what_they_can() {
        let race = scenario(
            "p: mmap buf 1 page\np: write buf 1\nrace {\np: fork c\np/2: write buf 2\n}\nc: read buf -> seen\n\
             expect never lost on all\nexpect sometimes leak on all",
        );
        let mut histogram = Histogram::default();
        let program = &race.program;
        histogram.add(program, vec![(3, round(program, &[1])), (5, round(program, &[2]))]);
        histogram.add(program, vec![(1, round(program, &[1]))]);
        assert_eq!(histogram.rounds(), 9);
        assert_eq!(histogram.lines(), ["  5  ok  c: read buf 2", "  4  ok  c: read buf 1"]);
        assert!(histogram.unmet(&race, 0).is_empty());
        histogram.add(program, vec![(1, round(program, &[0]))]);
        assert_eq!(histogram.worst().map(|came| came.rounds), Some(1));
        assert_eq!(histogram.unmet(&race, 0), ["never lost"]);
        let engine = Race { endings: vec![(Some(Outcome::Ok), 2)], states: 9, bound: None };
        assert_eq!(histogram.unreached(&engine), ["lost in 1 rounds, and in no order of the engine"]);
        let bounded = Race { bound: Some("states:9".to_owned()), ..engine };
        assert!(histogram.unreached(&bounded).is_empty(), "what was not tried may come");
    }
}
