//! A run as entries that can be compared, whoever made it.

use std::collections::{BTreeMap, BTreeSet};

use super::judge;
use super::open::{self, Before};
use crate::check::report::{PageFacts, Reading, Run, Step};
use crate::ir::{Ending, Program};
use crate::kernel::wire::{Ended, Fact, Facts, Line, Ran, Saw};
use crate::types::Pc;

/// Facts of a page that a kernel may be able to show, in the order in which they are told.
///
/// `ksm` is no fact of its own: without it a merged page is of the kind `anon`.
pub const FACTS: &[&str] =
    &["value", "frame", "kind", "ksm", "present", "swapped", "soft_dirty", "uffd_wp", "mapcount", "exclusive"];

/// Why a page of which the engine and a kernel may say different things is not held against them.
pub(super) const ZERO_PTES: &str = "whether fork hands on ptes of the zero page: a kernel leaves them to the next fault where nothing was \
     ever stored in the vma (mm/memory.c, `vma_needs_copy`), and the model does not know which vmas have merged meanwhile";

/// The same for pages of files.
pub(super) const AROUND: &str = "which ptes of a file a fault fills besides its own: a kernel maps what the page cache has around it \
     (mm/memory.c, `do_fault_around`), and the model does not";

/// Why what a kernel tells of some pages of a large folio is not held against the engine.
const TAILS: &str = "marks of pages of a large folio but the first: where ptes map them kpageflags tells the first one's of all \
     (fs/proc/page.c, `stable_page_flags`, 6.10), and before PAGEMAP_SCAN (6.7) nobody says what maps them";

/// Why a page that the engine says is not there is not held against a kernel on which it is.
const NO_KINDS: &str = "pages that are mapped on the kernel alone, where this user may not see of what kind they are: what a fault fills \
     besides its own pte is left open for the zero page and for pages of files";

/// Why what a kernel shows behind a special entry is not held against the engine.
const SPECIAL: &str = "what is behind an entry of no page of memory (B41): a kernel shows what happens to be there";

/// Why the facts after a line that woke others are not held against each other.
const WOKEN: &str = "pages after a line that wakes a thread: on a kernel it goes on at once, while they are looked at";

/// One thing that is so after a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The place of the line in the story; one that sleeps and wakes has two.
    pub line: usize,
    pub pc: Pc,
    /// The page that it is about: `p.buf[0]`.
    pub page: Option<String>,
    /// `ended`, `reads [0]`, `exclusive`.
    pub what: String,
    pub says: String,
}

/// Two stories held against each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Entries that were compared.
    pub entries: usize,
    /// How many pages of how many lines are left open, and why.
    pub unspecified: BTreeMap<&'static str, usize>,
    pub difference: Option<Difference>,
    /// It ends where the two differ in what is left open.
    pub cut: bool,
    /// Pages that are left open: those that may be the zero page or nothing, and those that a fault maps besides its own.
    zero: BTreeSet<At>,
    around: BTreeSet<At>,
}

/// Where two stories part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    pub pc: Pc,
    pub what: String,
    pub engine: String,
    pub kernel: String,
}

/// The facts that a run on a kernel could see.
pub fn visible(ran: &Ran) -> Vec<&'static str> {
    FACTS.iter().copied().filter(|fact| !ran.unseen.contains_key(*fact)).collect()
}

/// Whether the facts after a line can be told: not where it woke others, which go on at once on a kernel.
fn is_still(pcs: &[u16], line: usize) -> bool {
    pcs.get(line + 1).is_none_or(|next| pcs[line] < *next)
}

/// Pages that a kernel told of and that are left open because their line woke others.
fn woken(ran: &Ran) -> usize {
    let pcs: Vec<u16> = ran.lines.iter().map(|line| line.pc).collect();
    ran.lines.iter().enumerate().filter(|(line, _)| !is_still(&pcs, *line)).map(|(_, line)| line.facts.len()).sum()
}

/// Lines of a run up to the first that did not fail or sleep as announced: there a kernel stops, and the engine goes on.
fn as_announced(run: &Run, program: &Program) -> usize {
    let is_owed = |(line, step): &(usize, &Step)| {
        let instr = &program.code[step.pc.idx()];
        let slept = run.steps[..*line].iter().any(|before| before.pc == step.pc);
        step.ended == "ok" && instr.race.is_none() && instr.ending != Ending::Succeeds && !slept
    };
    run.steps.iter().enumerate().find(is_owed).map_or(run.steps.len(), |(line, _)| line + 1)
}

/// What the engine says.
pub fn of_engine(run: &Run, program: &Program, facts: &[&str]) -> Vec<Entry> {
    let mut told = Teller::default();
    let pcs: Vec<u16> = run.steps.iter().map(|step| step.pc.0).collect();
    let lines = run.steps.iter().enumerate().take(as_announced(run, program));
    for (line, Step { pc, ended, facts: pages, .. }) in lines {
        told.line(line, *pc);
        told.tell("ended", ended.clone());
        // A line that slept tells what it read when it is done.
        for observation in run.observations.iter().filter(|observation| observation.pc == *pc && ended == "ok") {
            told.tell(&format!("reads [{}]", observation.page), observation.value.to_string());
        }
        for (page, page_facts) in pages.iter().filter(|_| is_still(&pcs, line)) {
            told.facts(page, engine_facts(page_facts, facts.contains(&"ksm")), facts);
        }
    }
    told.entries
}

/// Collects entries.
#[derive(Default)]
struct Teller {
    line: usize,
    pc: Pc,
    entries: Vec<Entry>,
}

impl Teller {
    fn line(&mut self, line: usize, pc: Pc) {
        (self.line, self.pc) = (line, pc);
    }

    fn tell(&mut self, what: &str, says: String) {
        self.entries.push(Entry { line: self.line, pc: self.pc, page: None, what: what.to_owned(), says });
    }

    fn facts(&mut self, page: &str, says: Vec<(&'static str, String)>, wanted: &[&str]) {
        for (what, says) in says.into_iter().filter(|(fact, _)| wanted.contains(fact)) {
            let page = Some(page.to_owned());
            self.entries.push(Entry { line: self.line, pc: self.pc, page, what: what.to_owned(), says });
        }
    }
}

fn engine_facts(facts: &PageFacts, tells_ksm: bool) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if let Some(value) = facts.value.as_ref().filter(|_| facts.present) {
        told.push(("value", value.to_string()));
    }
    told.push(("frame", facts.frame.clone().unwrap_or_else(|| "none".to_owned())));
    told.push(("kind", if facts.kind == "ksm" && !tells_ksm { "anon" } else { facts.kind }.to_owned()));
    for (name, is) in
        [("present", facts.present), ("swapped", facts.swapped), ("soft_dirty", facts.soft_dirty), ("uffd_wp", facts.uffd_wp)]
    {
        told.push((name, is.to_string()));
    }
    told.push(("mapcount", facts.mapcount.to_string()));
    told.push(("exclusive", facts.exclusive.to_string()));
    told
}

/// What a kernel says. `program` is that of [`judge::with_values`].
pub fn of_kernel(program: &Program, ran: &Ran, facts: &[&str]) -> Vec<Entry> {
    let mut told = Teller::default();
    let pcs: Vec<u16> = ran.lines.iter().map(|line| line.pc).collect();
    for (nth, line) in ran.lines.iter().enumerate() {
        told.line(nth, Pc(line.pc));
        told.tell("ended", ended(line));
        for (page, saw) in line.seen.iter().enumerate().filter(|_| line.ended == Ended::Ok) {
            if let Some(reading) = Reading::of(program, judge::seen(program, saw)) {
                told.tell(&format!("reads [{page}]"), reading.to_string());
            }
        }
        for (page, page_facts) in line.facts.iter().filter(|_| is_still(&pcs, nth)) {
            told.facts(page, kernel_facts(program, page_facts), facts);
        }
    }
    told.entries
}

fn ended(line: &Line) -> String {
    match &line.ended {
        Ended::Ok => "ok".to_owned(),
        Ended::Fails(name) => format!("fails {name}"),
        Ended::Event(name) => format!("event {name}"),
    }
}

fn known<T>(fact: &Option<Fact<T>>) -> Option<&T> {
    match fact {
        Some(Fact::Observed(value) | Fact::Inferred(value)) => Some(value),
        Some(Fact::Unseen(_)) | None => None,
    }
}

fn kernel_facts(program: &Program, facts: &Facts) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    let value = known(&facts.value).and_then(|words| Reading::of(program, judge::seen(program, &Saw::Words(words.clone()))));
    told.extend(value.map(|value| ("value", value.to_string())));
    told.extend(known(&facts.frame).map(|frame| ("frame", frame.clone().unwrap_or_else(|| "none".to_owned()))));
    told.extend(known(&facts.kind).map(|kind| ("kind", kind.clone())));
    for (name, fact) in [
        ("present", &facts.present),
        ("swapped", &facts.swapped),
        ("soft_dirty", &facts.soft_dirty),
        ("uffd_wp", &facts.uffd_wp),
    ] {
        told.extend(known(fact).map(|is| (name, is.to_string())));
    }
    told.extend(known(&facts.mapcount).map(|count| ("mapcount", count.to_string())));
    told.extend(known(&facts.exclusive).map(|is| ("exclusive", is.to_string())));
    told
}

/// The kind that a story says a page to be after a line.
fn kinds(told: &[Entry]) -> BTreeMap<(usize, &str), &str> {
    let kinds = told.iter().filter(|entry| entry.what == "kind");
    kinds.filter_map(|entry| Some(((entry.line, entry.page.as_deref()?), entry.says.as_str()))).collect()
}

/// A page after a line.
pub type At = (usize, String);

/// Where the engine maps the zero page.
pub fn zero_pages(run: &Run) -> BTreeSet<At> {
    let lines = run.steps.iter().enumerate();
    let pages = lines.flat_map(|(line, step)| step.facts.iter().map(move |(page, facts)| (line, page, facts)));
    pages.filter(|(_, _, facts)| facts.kind == "zero").map(|(line, page, _)| (line, page.clone())).collect()
}

/// Where the engine has an entry of no page.
fn special_pages(engine: &[Entry]) -> BTreeSet<At> {
    let special = engine.iter().filter(|entry| entry.what == "kind" && ["special", "device"].contains(&&*entry.says));
    special.filter_map(|entry| Some((entry.line, entry.page.clone()?))).collect()
}

/// Pages after a line that are there on the kernel and not in the engine.
fn mapped_by_kernel_alone(engine: &[Entry], kernel: &[Entry]) -> BTreeSet<At> {
    let present = |told: &[Entry], says: &str| -> BTreeSet<At> {
        let told = told.iter().filter(|entry| entry.what == "present" && entry.says == says);
        told.filter_map(|entry| Some((entry.line, entry.page.clone()?))).collect()
    };
    present(kernel, "true").intersection(&present(engine, "false")).cloned().collect()
}

/// Pages after a line of which a kernel does not tell something that it tells of others.
fn untold(ran: &Ran) -> BTreeSet<(usize, &str, &str)> {
    let mut untold = BTreeSet::new();
    for (line, told) in ran.lines.iter().enumerate() {
        for (page, facts) in &told.facts {
            let of = [("exclusive", &facts.exclusive), ("swapped", &facts.swapped)];
            let unseen = of.into_iter().filter(|(_, fact)| matches!(fact, Some(Fact::Unseen(_))));
            untold.extend(unseen.map(|(what, _)| (line, page.as_str(), what)));
        }
    }
    untold
}

/// Holds a run of the engine and one of a kernel against each other in the facts that the kernel could see. `program` is that of
/// [`judge::with_values`]. With the comparison comes what the kernel said.
pub fn compare_runs(engine: &Run, program: &Program, ran: &Ran) -> (Comparison, Vec<Entry>) {
    let facts = visible(ran);
    let (mut ours, mut theirs) = (of_engine(engine, program, &facts), of_kernel(program, ran, &facts));
    let no_kinds = if facts.contains(&"kind") { BTreeSet::new() } else { mapped_by_kernel_alone(&ours, &theirs) };
    let is_told = |entry: &Entry| !entry.page.clone().is_some_and(|page| no_kinds.contains(&(entry.line, page)));
    ours.retain(is_told);
    theirs.retain(is_told);
    let special = special_pages(&ours);
    let is_memory = |entry: &Entry| !entry.page.clone().is_some_and(|page| special.contains(&(entry.line, page)));
    ours.retain(is_memory);
    theirs.retain(is_memory);
    let untold = untold(ran);
    ours.retain(|entry| !untold.contains(&(entry.line, entry.page.as_deref().unwrap_or_default(), entry.what.as_str())));
    let mut compared = compare(&ours, &theirs, &zero_pages(engine));
    if let Some(difference) = &compared.difference {
        let line = engine.steps.iter().position(|step| step.pc == difference.pc).unwrap_or_default();
        let before = Before { zero: &compared.zero, around: &compared.around, line };
        if let Some(why) = open::why(program, difference, &before) {
            compared.difference = None;
            compared.cut = true;
            *compared.unspecified.entry(why).or_default() += 1;
        }
    }
    if !no_kinds.is_empty() {
        compared.unspecified.insert(NO_KINDS, no_kinds.len());
    }
    if !special.is_empty() {
        compared.unspecified.insert(SPECIAL, special.len());
    }
    if !untold.is_empty() {
        compared.unspecified.insert(TAILS, untold.len());
    }
    let woken = woken(ran);
    if 0 < woken {
        compared.unspecified.insert(WOKEN, woken);
    }
    (compared, theirs)
}

/// Holds two stories against each other; `zero` is where the engine maps the zero page.
pub fn compare(engine: &[Entry], kernel: &[Entry], zero: &BTreeSet<At>) -> Comparison {
    let at = |entry: &Entry| entry.page.clone().map(|page| (entry.line, page));
    let absent = |told: &[Entry]| -> BTreeSet<At> {
        told.iter().filter(|entry| entry.what == "present" && entry.says == "false").filter_map(at).collect()
    };
    let (no_engine, no_kernel) = (absent(engine), absent(kernel));
    // The first process, whose pages are told first, inherited nothing.
    let process = |page: &str| page.split('.').next().map(str::to_owned);
    let first = kernel.iter().find_map(|entry| process(entry.page.as_deref()?));
    let is_inherited = |at: &At| process(&at.1) != first;
    let zero_in_kernel: BTreeSet<At> =
        kernel.iter().filter(|entry| entry.what == "kind" && entry.says == "zero").filter_map(at).collect();
    let handed_on = zero_in_kernel.intersection(&no_engine).filter(|at| is_inherited(at));
    let zero: BTreeSet<At> = no_kernel.intersection(zero).chain(handed_on).cloned().collect();
    let of_files = |told: &[Entry]| -> BTreeSet<At> {
        told.iter().filter(|entry| entry.what == "kind" && ["shmem", "file"].contains(&&*entry.says)).filter_map(at).collect()
    };
    let files = of_files(kernel);
    let around: BTreeSet<At> = no_engine.into_iter().filter(|at| files.contains(at)).collect();
    // From there on the page of a file is mapped once more than the engine says.
    let since = around.iter().map(|(line, _)| *line).min();
    let mapped_around = |entry: &Entry| {
        let counts = entry.what == "mapcount" && since.is_some_and(|since| since <= entry.line);
        counts && at(entry).is_some_and(|at| files.contains(&at))
    };
    let is_told = |entry: &&Entry| {
        let is_open = at(entry).is_some_and(|at| zero.contains(&at) || around.contains(&at));
        !is_open && !mapped_around(entry)
    };
    let engine: Vec<&Entry> = engine.iter().filter(is_told).collect();
    let kernel: Vec<Entry> = kernel.iter().filter(is_told).cloned().collect();
    let kernel = in_the_engines_letters(&engine, kernel);
    let unspecified = [(ZERO_PTES, zero.len()), (AROUND, around.len())].into_iter().filter(|(_, pages)| 0 < *pages);
    let difference = difference(&engine, &kernel.iter().collect::<Vec<_>>());
    let unspecified = unspecified.collect();
    Comparison { entries: kernel.len(), unspecified, difference, cut: false, zero, around }
}

/// Whether the engine tells the same story, and what was left open leaves it such that it can be told again from the engine alone:
/// a ledger keeps no other.
pub fn is_for_a_ledger(compared: &Comparison) -> bool {
    compared.difference.is_none()
        && !compared.cut
        && ![AROUND, SPECIAL].iter().any(|why| compared.unspecified.contains_key(why))
}

/// The facts of which a ledger keeps the story, and that story: without marks where those of some pages could not be told.
pub fn for_a_ledger<'f>(compared: &Comparison, facts: Vec<&'f str>, told: Vec<Entry>) -> (Vec<&'f str>, Vec<Entry>) {
    if !compared.unspecified.contains_key(TAILS) {
        return (facts, told);
    }
    let told = told.into_iter().filter(|entry| entry.what != "exclusive").collect();
    (facts.into_iter().filter(|fact| *fact != "exclusive").collect(), told)
}

/// Letters stand for frames in order of appearance, which is another where something is left open. Two frames are the same
/// where each letter of the one story always stands where one letter of the other does.
fn in_the_engines_letters(engine: &[&Entry], mut kernel: Vec<Entry>) -> Vec<Entry> {
    let (mut letters, mut taken) = (BTreeMap::<String, String>::new(), BTreeSet::<&str>::new());
    for (ours, theirs) in engine.iter().zip(&mut kernel) {
        if (ours.line, &ours.page, &ours.what) != (theirs.line, &theirs.page, &theirs.what) {
            break;
        }
        if theirs.what != "frame" || theirs.says == "none" || ours.says == "none" {
            continue;
        }
        if !letters.contains_key(&theirs.says) && taken.insert(&ours.says) {
            letters.insert(theirs.says.clone(), ours.says.clone());
        }
        if let Some(letter) = letters.get(&theirs.says) {
            theirs.says.clone_from(letter);
        }
    }
    kernel
}

/// The first entry in which two stories part.
fn difference(engine: &[&Entry], kernel: &[&Entry]) -> Option<Difference> {
    let at = engine.iter().zip(kernel).position(|(a, b)| a != b).unwrap_or(engine.len().min(kernel.len()));
    let (a, b) = (engine.get(at), kernel.get(at));
    let first = a.or(b)?;
    let name = |entry: &Entry| match &entry.page {
        Some(page) => format!("{page} {}", entry.what),
        None => entry.what.clone(),
    };
    let says = |entry: Option<&&Entry>| match entry {
        Some(entry) if (entry.line, name(entry)) == (first.line, name(first)) => entry.says.clone(),
        Some(entry) => format!("nothing of it, but of instruction {}: {} {}", entry.pc.0, name(entry), entry.says),
        None => "nothing any more".to_owned(),
    };
    Some(Difference { pc: first.pc, what: name(first), engine: says(a), kernel: says(b) })
}

/// A number for a story: FNV-1a over its lines. Of pages without anything of their own it says no more than that.
pub fn digest(told: &[Entry]) -> u64 {
    let kinds = kinds(told);
    let is_bare = |entry: &&Entry| {
        let kind = entry.page.as_deref().and_then(|page| kinds.get(&(entry.line, page)));
        !kind.is_some_and(|kind| ["zero", "none"].contains(kind))
    };
    let lines = told
        .iter()
        .filter(is_bare)
        .map(|entry| format!("{} {} {} {}\n", entry.pc.0, entry.page.as_deref().unwrap_or("-"), entry.what, entry.says));
    let bytes = lines.flat_map(String::into_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(says: &[(usize, &str, &str, &str)]) -> Vec<Entry> {
        let entry = |(line, page, what, says): &(usize, &str, &str, &str)| Entry {
            line: *line,
            pc: Pc(*line as u16),
            page: (!page.is_empty()).then(|| (*page).to_owned()),
            what: (*what).to_owned(),
            says: (*says).to_owned(),
        };
        says.iter().map(entry).collect()
    }

    #[test]
    fn the_first_entry_that_differs_is_told_with_both_sides() {
        let ours = story(&[(0, "", "ended", "ok"), (0, "p.buf[0]", "exclusive", "true"), (1, "", "ended", "ok")]);
        let theirs = story(&[(0, "", "ended", "ok"), (0, "p.buf[0]", "exclusive", "false"), (1, "", "ended", "fails EIO")]);
        let found = compare(&ours, &theirs, &BTreeSet::new()).difference.expect("they differ");
        assert_eq!((&*found.what, &*found.engine, &*found.kernel), ("p.buf[0] exclusive", "true", "false"));
        assert_eq!(compare(&ours, &ours, &BTreeSet::new()).difference, None);
        let found = compare(&ours, &ours[..2], &BTreeSet::new()).difference.expect("one ends early");
        assert_eq!((&*found.engine, &*found.kernel), ("ok", "nothing any more"));
        assert_ne!(digest(&ours), digest(&theirs));
    }

    #[test]
    fn frames_are_the_same_whatever_their_letters_but_never_two_for_one() {
        let told = |letters: [&'static str; 3]| {
            let lines = letters.iter().enumerate().map(|(line, letter)| (line, "p.buf[0]", "frame", *letter));
            story(&lines.collect::<Vec<_>>())
        };
        let same = |ours, theirs| compare(&told(ours), &told(theirs), &BTreeSet::new()).difference.is_none();
        assert!(same(["A", "B", "A"], ["C", "A", "C"]));
        assert!(!same(["A", "B", "A"], ["C", "A", "A"]));
        assert!(!same(["A", "A", "A"], ["A", "A", "B"]));
        assert!(!same(["A", "B", "B"], ["A", "A", "A"]));
    }

    #[test]
    fn what_a_fault_maps_around_itself_is_left_open_with_its_mapcounts() {
        let page = |present: &'static str, kind: &'static str, mapcount: &'static str| {
            let own = [(2, "c.buf[1]", "kind", kind), (2, "c.buf[1]", "present", present)];
            let other = [(2, "p.buf[1]", "kind", "shmem"), (2, "p.buf[1]", "mapcount", mapcount), (2, "", "ended", "ok")];
            story(&own.into_iter().chain(other).collect::<Vec<_>>())
        };
        let compared = compare(&page("false", "none", "1"), &page("true", "shmem", "2"), &BTreeSet::new());
        assert_eq!((&compared.difference, compared.entries), (&None, 2));
        assert!(!is_for_a_ledger(&compared));
        let compared = compare(&page("true", "shmem", "1"), &page("true", "shmem", "2"), &BTreeSet::new());
        assert!(compared.difference.is_some(), "nothing was mapped around: the count is another");
        assert!(!is_for_a_ledger(&compared), "what differs is no row");
    }

    #[test]
    fn an_open_question_is_counted_and_hides_nothing_else() {
        let page =
            |kind, present| vec![(2, "c.buf[0]", "kind", kind), (2, "c.buf[0]", "present", present), (2, "", "ended", "ok")];
        let (ours, theirs) = (story(&page("zero", "true")), story(&page("none", "false")));
        let zero = BTreeSet::from([(2, "c.buf[0]".to_owned())]);
        let compared = compare(&ours, &theirs, &zero);
        assert_eq!((compared.difference, compared.unspecified.len(), compared.entries), (None, 1, 1));
        assert_eq!(digest(&ours), digest(&theirs));
        let parents = story(&[(0, "p.buf[0]", "kind", "anon"), (0, "p.buf[0]", "present", "true")]);
        let behind = |told: &[Entry]| parents.iter().chain(told).cloned().collect::<Vec<_>>();
        let compared = compare(&behind(&theirs), &behind(&ours), &BTreeSet::new());
        assert_eq!((compared.difference, compared.unspecified.len()), (None, 1), "the other way round");
        assert!(compare(&theirs, &ours, &BTreeSet::new()).difference.is_some(), "the first process inherits nothing");
        let (ours, theirs) = (story(&page("anon", "true")), story(&page("none", "false")));
        assert!(compare(&ours, &theirs, &BTreeSet::new()).difference.is_some());
    }
}
