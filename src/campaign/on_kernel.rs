//! Random programs on a kernel and in the engine: where the two say different things, the smallest program that shows it.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{announced, scenario};
use super::hunt::Shard;
use crate::check::report::Verdict;
use crate::check::{Story, Under, judge};
use crate::generate::everything;
use crate::generate::{self, Manner, Seeded, Settings};
use crate::ir::{Advice, Area, Ending, Instr, Op, Program, Scenario, Verb};
use crate::kernel::sayable::{is_gup_test, needs_leave, why_not};
use crate::kernel::wire::{Ran, Stop};
use crate::metal::judge::with_values;
use crate::metal::story::{Comparison, Difference, compare_runs};
use crate::policy::Policy;
use crate::printer;
use crate::types::{Failure, ProcId, Vpn};

/// Differences that are reduced; of more, only their number is told.
pub const REDUCED_MAX: usize = 32;

/// Whether an operation can be run in the engine, and on a kernel that may not be changed.
pub fn is_sayable(program: &Program, op: Op) -> bool {
    is_sayable_with_leave(program, op) && !needs_leave(program, op)
}

/// The same on a kernel whose settings may be changed.
pub fn is_sayable_with_leave(program: &Program, op: Op) -> bool {
    why_not(program, op).is_none() && !is_gup_test(op)
}

/// Why a program is not held against a kernel.
const HOLES: &str = "what userfaultfd does with a range of which a part is unmapped changed from release to release (since 6.4 it \
     goes on with the rest: mm/userfaultfd.c, `mwriteprotect_range`), and the model has one answer";

/// The same of mremap.
const SEVERAL: &str = "since 6.17 mremap moves a range of several mappings, or one with holes, as far as it goes (mm/mremap.c, \
     d23cb648e365), and the model has the older answer, EFAULT";

/// Whether the engine refuses to move a range for what it is made of.
fn moves_several(program: &Program) -> bool {
    program.code.iter().any(|instr| matches!(instr.op, Op::Mremap { .. }) && instr.ending == Ending::Fails(Failure::EFAULT))
}

/// Whether userfaultfd is asked about memory of which a part is unmapped, as far as the text says.
fn uffd_over_a_hole(program: &Program) -> bool {
    let mut mapped: BTreeSet<(ProcId, Vpn)> = BTreeSet::new();
    let mut kept: BTreeSet<(ProcId, Vpn)> = BTreeSet::new(); // By MADV_DONTFORK.
    for instr in &program.code {
        let pages = |area: Area| area.pages().map(move |page| (area.proc, page));
        match instr.op {
            Op::Mmap { area, .. } => mapped.extend(pages(area)),
            Op::Munmap { area } => mapped.retain(|page| !pages(area).any(|gone| gone == *page)),
            Op::Mremap { from, to } => {
                mapped.retain(|page| !pages(from).any(|gone| gone == *page));
                mapped.extend(pages(to));
            }
            Op::Madvise { area, advice: Advice::Dontfork } => kept.extend(pages(area)),
            Op::Madvise { area, advice: Advice::Dofork } => kept.retain(|page| !pages(area).any(|other| other == *page)),
            Op::Fork { child } => {
                let parent = program.tasks[instr.task.idx()].proc().unwrap_or_default();
                let inherited = mapped.iter().filter(|page| page.0 == parent && !kept.contains(page));
                let inherited: Vec<_> = inherited.map(|(_, page)| (child, *page)).collect();
                mapped.extend(inherited);
            }
            Op::UffdRegister { area, .. } | Op::UffdWp { area } | Op::UffdUnwp { area }
                if pages(area).any(|page| !mapped.contains(&page)) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// What is hunted, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shard: Shard,
    pub policy: Policy,
    pub settings: Settings,
}

/// Counts of a hunt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Programs that ran on the kernel and were compared.
    pub programs: u64,
    /// Entries of the two stories that were compared.
    pub entries: u64,
    /// Programs that did not run, or of which the engine says nothing, and why.
    pub skipped: BTreeMap<String, u64>,
    /// How many pages of how many lines are left open, and why.
    pub unspecified: BTreeMap<&'static str, u64>,
    /// Programs that differed, and did not when they ran again.
    pub unsteady: u64,
}

/// What makes two differences the same: the verb after which it shows, what it is about, and both sides, but for names of pages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub verb: Verb,
    pub what: String,
    pub engine: String,
    pub kernel: String,
}

/// A difference.
#[derive(Clone, PartialEq, Debug)]
pub struct Catch {
    /// The number of the program that showed it first, which with the seed makes it again.
    pub program: u64,
    pub scenario: Scenario,
    pub difference: Difference,
    /// How many programs showed it.
    pub times: u64,
}

/// A hunt under way.
#[derive(Clone, Debug)]
pub struct Hunt {
    plan: Plan,
    next: u64,
    pub tally: Tally,
    pub caught: BTreeMap<Key, Catch>,
}

/// What a kernel did with a scenario.
///
/// The error says why the kernel cannot be asked any more.
pub type OnKernel<'a> = dyn FnMut(&Scenario) -> Result<Ran, String> + 'a;

/// What came of one program.
enum Came {
    Compared(Comparison),
    Skipped(String),
    Differs(Difference),
}

impl Hunt {
    /// A hunt that has not begun.
    pub fn new(plan: Plan) -> Self {
        Self { plan, next: 0, tally: Tally::default(), caught: BTreeMap::new() }
    }

    /// Makes the next program, and holds the kernel against the engine; whether there is a new difference.
    ///
    /// # Errors
    /// Where the kernel cannot be asked any more.
    pub fn turn(&mut self, kernel: &mut OnKernel<'_>) -> Result<bool, String> {
        let Shard { nth, of } = self.plan.shard;
        let number = self.next * of + nth;
        self.next += 1;
        let program = generate::program(&mut Seeded::of(self.plan.seed, number), &self.plan.settings);
        let drawn = scenario(as_the_engine_says(&program, &self.plan.policy));
        match self.compare(&drawn, kernel)? {
            Came::Skipped(why) => *self.tally.skipped.entry(why).or_default() += 1,
            Came::Compared(compared) => self.count(&compared),
            Came::Differs(difference) => {
                self.tally.programs += 1;
                return self.differs(number, drawn, difference, kernel);
            }
        }
        Ok(false)
    }

    fn count(&mut self, compared: &Comparison) {
        self.tally.programs += 1;
        self.tally.entries += compared.entries as u64;
        for (why, pages) in &compared.unspecified {
            *self.tally.unspecified.entry(why).or_default() += *pages as u64;
        }
    }

    fn compare(&self, scenario: &Scenario, kernel: &mut OnKernel<'_>) -> Result<Came, String> {
        if scenario.program.code.is_empty() {
            return Ok(Came::Skipped("nothing is left of it".to_owned()));
        }
        if uffd_over_a_hole(&scenario.program) {
            return Ok(Came::Skipped(HOLES.to_owned()));
        }
        if moves_several(&scenario.program) {
            return Ok(Came::Skipped(SEVERAL.to_owned()));
        }
        let engine = judge(scenario, Under { policy: &self.plan.policy, index: 0 }, Story::Whole);
        if let Verdict::Skip(why) = engine.verdict {
            return Ok(Came::Skipped(format!("the engine: {why}")));
        }
        let ran = kernel(scenario)?;
        match &ran.stopped {
            Some(Stop::Skip(why)) => return Ok(Came::Skipped(why.clone())),
            Some(Stop::Crashed(why)) => {
                let pc = ran.lines.last().map_or(crate::types::Pc(0), |line| crate::types::Pc(line.pc));
                let (engine, kernel) = ("it goes on".to_owned(), why.clone());
                return Ok(Came::Differs(Difference { pc, what: "crash".to_owned(), engine, kernel }));
            }
            Some(Stop::Unannounced) | None => {}
        }
        let program = match with_values(&scenario.program, &ran) {
            Ok(program) => program,
            Err(why) => return Ok(Came::Skipped(why)),
        };
        let (compared, _) = compare_runs(&engine, &program, &ran);
        Ok(match compared.difference {
            Some(difference) => Came::Differs(difference),
            None => Came::Compared(compared),
        })
    }

    /// A program that differed: whether it does again, and what is left of it when nothing more can go.
    fn differs(
        &mut self,
        number: u64,
        drawn: Scenario,
        difference: Difference,
        kernel: &mut OnKernel<'_>,
    ) -> Result<bool, String> {
        let key = key(&drawn, &difference);
        if let Some(known) = self.caught.get_mut(&key) {
            known.times += 1;
            return Ok(false);
        }
        if self.shows(&drawn, &key, kernel)?.is_none() {
            self.tally.unsteady += 1;
            return Ok(false);
        }
        let (scenario, difference) = match self.caught.len() < REDUCED_MAX {
            true => self.reduced(drawn, difference, &key, kernel)?,
            false => (drawn, difference),
        };
        self.caught.insert(key, Catch { program: number, scenario, difference, times: 1 });
        Ok(true)
    }

    /// The difference, if a scenario shows this one.
    fn shows(&self, scenario: &Scenario, wanted: &Key, kernel: &mut OnKernel<'_>) -> Result<Option<Difference>, String> {
        Ok(match self.compare(scenario, kernel)? {
            Came::Differs(difference) if key(scenario, &difference) == *wanted => Some(difference),
            Came::Differs(_) | Came::Compared(_) | Came::Skipped(_) => None,
        })
    }

    /// Leaves out statements, many at once, then fewer, until none can go.
    fn reduced(
        &self,
        drawn: Scenario,
        difference: Difference,
        wanted: &Key,
        kernel: &mut OnKernel<'_>,
    ) -> Result<(Scenario, Difference), String> {
        let mut best = (drawn, difference);
        let mut size = best.0.program.code.len().div_ceil(2);
        while 0 < size {
            let (mut at, mut smaller) = (0, false);
            while at < best.0.program.code.len() {
                let candidate = scenario(as_the_engine_says(&without(&best.0.program, at, size), &self.plan.policy));
                let is_smaller = candidate.program.code.len() < best.0.program.code.len();
                match if is_smaller { self.shows(&candidate, wanted, kernel)? } else { None } {
                    Some(difference) => (best, smaller) = ((candidate, difference), true),
                    None => at += size,
                }
            }
            // What one statement needed may have gone after it was tried.
            size = if size == 1 && smaller { 1 } else { size / 2 };
        }
        Ok(best)
    }

    /// Takes over what another part of the hunt came to.
    pub fn merge(&mut self, other: Hunt) {
        let (mine, theirs) = (&mut self.tally, other.tally);
        mine.programs += theirs.programs;
        mine.entries += theirs.entries;
        mine.unsteady += theirs.unsteady;
        theirs.skipped.into_iter().for_each(|(why, count)| *mine.skipped.entry(why).or_default() += count);
        theirs.unspecified.into_iter().for_each(|(why, count)| *mine.unspecified.entry(why).or_default() += count);
        for (key, caught) in other.caught {
            match self.caught.get_mut(&key) {
                Some(known) => known.times += caught.times,
                None => drop(self.caught.insert(key, caught)),
            }
        }
    }
}

fn without(program: &Program, at: usize, size: usize) -> Program {
    let kept = program.code.iter().enumerate().filter(|(pc, _)| !(at..at + size).contains(pc));
    let kept: Vec<Instr> = kept.map(|(_, instr)| *instr).collect();
    generate::again(program, kept, &generate::whole(everything), Manner::Exactly)
}

/// The program with each line's ending as it is in the engine. An event that was drawn is no promise here.
fn as_the_engine_says(program: &Program, policy: &Policy) -> Program {
    let undemanding = |instr: &Instr| match instr.ending {
        Ending::Event(_) => Instr { ending: Ending::Succeeds, ..*instr },
        Ending::Succeeds | Ending::Fails(_) => *instr,
    };
    let code = program.code.iter().map(undemanding).collect();
    announced(&Program { code, ..program.clone() }, policy)
}

fn key(scenario: &Scenario, difference: &Difference) -> Key {
    let what =
        difference.what.split_once(' ').filter(|(page, _)| page.contains('.')).map_or(&*difference.what, |(_, what)| what);
    // Letters of frames and values depend on what else there is.
    let plain = |says: &str| match what {
        "frame" | "value" | "crash" => String::new(),
        _ if what.starts_with("reads") => String::new(),
        _ => says.split(", but of").next().unwrap_or_default().to_owned(),
    };
    let verb = scenario.program.code[difference.pc.idx()].op.verb();
    Key { verb, what: what.to_owned(), engine: plain(&difference.engine), kernel: plain(&difference.kernel) }
}

impl Key {
    /// A name for a file: what happens in it.
    pub fn name(&self) -> String {
        let text = format!("{}-{}-{}", self.verb.keyword(), self.what, self.kernel);
        let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        words.join("-").to_lowercase().chars().take(60).collect()
    }
}

impl Catch {
    /// A file that shows it by `cowl kernel compare`.
    pub fn text(&self, release: &str, policy: &str, seed: u64) -> String {
        let Difference { pc, what, engine, kernel } = &self.difference;
        let program = &self.scenario.program;
        let line = printer::statement(program, &program.code[pc.idx()]);
        format!(
            "# After `{line}`: {what}\n#   engine as {policy}: {engine}\n#   kernel {release}: {kernel}\n\
             # Found by `cowl kernel fuzz --seed {seed}`, program {}; shown by `cowl kernel compare`.\n{}",
            self.program,
            printer::program(program),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{Ended, Line, Times};
    use crate::policy;

    /// Nothing of any page.
    fn unseen() -> BTreeMap<String, String> {
        crate::metal::story::FACTS.iter().map(|fact| ((*fact).to_owned(), "not looked at".to_owned())).collect()
    }

    /// A kernel on which every store fails, and all else goes well unseen.
    fn broken(scenario: &Scenario) -> Result<Ran, String> {
        let mut lines = Vec::new();
        for (pc, instr) in scenario.program.code.iter().enumerate() {
            let fails = instr.op.verb() == Verb::Write;
            let ended = if fails { Ended::Fails("EIO".to_owned()) } else { Ended::Ok };
            lines.push(Line { pc: pc as u16, ended, done: 0, seen: Vec::new(), faults: None, facts: Vec::new() });
            if fails {
                break;
            }
        }
        let stopped = lines.last().is_some_and(|line| line.ended != Ended::Ok).then_some(Stop::Unannounced);
        Ok(Ran { id: 0, lines, stopped, unseen: unseen(), times: Times::default() })
    }

    fn hunt(seed: u64) -> Hunt {
        let policy = policy::find("linux-6.15").expect("a release").policy;
        let without = vec![Verb::Read, Verb::PeekMem, Verb::ProcessVmReadv, Verb::DirectWrite, Verb::Peek];
        let settings = Settings { without, ..Settings::new(is_sayable) };
        Hunt::new(Plan { seed, shard: Shard { nth: 0, of: 1 }, policy, settings })
    }

    #[test]
    fn a_difference_is_reduced_until_no_statement_can_go_and_counted_once() {
        let mut hunt = hunt(1);
        for _ in 0..60 {
            hunt.turn(&mut broken).expect("it answers");
        }
        let wanted = |key: &&Key| key.verb == Verb::Write && key.kernel == "fails EIO" && key.engine == "ok";
        let key = hunt.caught.keys().find(wanted).expect("a store that fails").clone();
        let caught = &hunt.caught[&key];
        assert!(
            caught.scenario.program.code.len() <= 3,
            "a fork, a mapping and a store:\n{}",
            caught.text("6.18", "linux-6.15", 1)
        );
        assert!(1 < caught.times);
        assert_eq!(key.name(), "write-ended-fails-eio");
    }

    #[test]
    fn the_same_seed_draws_the_same_programs_and_a_kernel_that_skips_is_no_difference() {
        let drawn = |seed| {
            let (mut texts, mut hunt) = (Vec::new(), hunt(seed));
            for _ in 0..20 {
                let mut skips = |scenario: &Scenario| {
                    texts.push(printer::program(&scenario.program));
                    let stopped = Some(Stop::Skip("not here".to_owned()));
                    Ok(Ran { id: 0, lines: Vec::new(), stopped, unseen: Default::default(), times: Times::default() })
                };
                hunt.turn(&mut skips).expect("it answers");
            }
            assert!(hunt.caught.is_empty() && hunt.tally.programs == 0);
            texts
        };
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
    }
}
