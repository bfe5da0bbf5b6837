//! A scenario item: its head, its lines once for each kind, its expectations.

use super::book::{Book, Chosen};
use super::check;
use super::env::Env;
use super::error::{Errors, ItemError, Place};
use super::expect::{self, Around};
use super::limits::{EXPECTATIONS_MAX, KINDS_MAX, LINES_OF_A_SCENARIO, PAGES_MAX};
use super::near::Near;
use super::scene::Scene;
use crate::ir::{Scenario, SwapDevice, System};
use crate::syntax::ast::{Block, KindRef, LineKind, Operand, Text, Word};
use crate::types::Span;

/// A scenario as it stands in the text.
pub(super) struct Item<'a> {
    pub name: Word<'a>,
    pub over: Vec<KindRef<'a>>,
    pub body: Block<'a>,
    pub span: Span,
    pub broken: bool,
}

/// What stands in a scenario beside what happens.
#[derive(Default)]
struct Head<'a> {
    title: Option<(String, Place)>,
    origin: Option<(String, Place)>,
    system: System,
    hugetlb_at: Option<Place>,
    swap_at: Option<Place>,
    over_at: Option<Place>,
    /// Nothing is wrong with it.
    fine: bool,
    /// A `use` of it cannot be read: any name may be given there.
    blind: bool,
    expects: Vec<expect::Line<'a>>,
}

/// One scenario for each kind. Those with a mistake are left out.
pub(super) fn scenario<'a>(
    book: &Book<'a>,
    item: &Item<'a>,
    lines_left: &mut usize,
    errors: &mut Errors,
    warnings: &mut Errors,
) -> Vec<Scenario> {
    let before = errors.reports();
    let mut head = head(book, item, errors);
    let kinds = book.kinds(&item.over, 0, errors);
    match (item.over.first().zip(item.over.last()), head.over_at) {
        (Some((first, last)), None) if !head.blind => {
            let at = Place { file: 0, span: first.span.to(last.span) };
            errors.report::<()>(at, ItemError::OverWithoutUse { at: at.label() });
        }
        (None, Some(at)) if !item.broken || !book.may_say("over") => {
            errors.report::<()>(at, ItemError::UseWithoutOver { name: item.name.node.to_owned(), at: at.label() });
        }
        _ => {}
    }
    head.fine = errors.reports() == before;
    let chosen: Vec<Option<&Chosen>> = if item.over.is_empty() { vec![None] } else { kinds.iter().map(Some).collect() };
    if item.over.is_empty() || !kinds.is_empty() {
        race_of_one(item, warnings);
    }
    let mut runs = Vec::new();
    for kind in chosen.into_iter().take(KINDS_MAX) {
        let scenario = one(book, item, &head, &kinds, kind, lines_left, errors);
        if errors.reports() == before && !item.broken {
            runs.push(scenario);
        }
    }
    runs
}

fn one<'a>(
    book: &Book<'a>,
    item: &Item<'a>,
    head: &Head<'a>,
    kinds: &[Chosen<'a>],
    kind: Option<&Chosen<'a>>,
    lines_left: &mut usize,
    errors: &mut Errors,
) -> Scenario {
    let (fine, at) = (!item.broken, Place { file: 0, span: item.name.span });
    let before = errors.reports();
    let mut scene = Scene::new(book, errors, kinds, kind, lines_left);
    scene.spend(LINES_OF_A_SCENARIO, at);
    scene.world.blind = head.blind;
    scene.program.system = head.system;
    scene.block(item.body, &Env::scenario());
    let Scene { program, spans, asserts, .. } = scene;
    if program.procs.is_empty() && fine && head.fine && errors.reports() == before {
        errors.report::<()>(at, ItemError::Empty { name: item.name.node.to_owned(), at: at.label() });
    }
    let has_race = program.code.iter().any(|instr| instr.race.is_some()) || item.broken;
    let around = Around { book, kinds, kind: kind.map(|kind| &kind.kind), has_race, name: item.name.span };
    let expects = expect::expects(&around, &head.expects, errors);
    let text = |said: &Option<(String, Place)>| said.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
    Scenario {
        name: item.name.node.to_owned(),
        title: text(&head.title),
        origin: text(&head.origin),
        kind: kind.map(|kind| kind.kind.clone()),
        program,
        asserts,
        expects,
        span: item.name.span,
        spans,
    }
}

/// Reads what is not done by anybody, and checks what does not depend on the kind.
fn head<'a>(book: &Book<'a>, item: &Item<'a>, errors: &mut Errors) -> Head<'a> {
    let mut head = Head { blind: book.lacks_a_use(0, item.span), ..Head::default() };
    let env = Env::scenario();
    let mut began = false;
    for line in item.body.lines() {
        let at = env.place(line.span);
        match line.kind {
            LineKind::Title(text) => text_once(&mut head.title, "the title", &text, at, errors),
            LineKind::Origin(text) => text_once(&mut head.origin, "the origin", &text, at, errors),
            LineKind::System(_) if began => {
                let (line, item) = ("`system`", "the middle of a scenario");
                let help = "move it above the first line that does something";
                errors.report::<()>(at, ItemError::Misplaced { line, item, help, at: at.label() });
            }
            LineKind::System(words) => system(&mut head, &words, at, errors),
            LineKind::Expect(expect) if head.expects.len() < EXPECTATIONS_MAX => {
                head.expects.push(expect::Line { expect, at });
            }
            LineKind::Expect(_) => {
                let (what, has, max) = ("expectations in one scenario", "more".to_owned(), EXPECTATIONS_MAX);
                let help = "say more with fewer: ranges of releases, `all`";
                errors.report::<()>(at, ItemError::TooLarge { what, has, max, help, at: at.label() });
                break;
            }
            LineKind::Use { name, args } => {
                began = true;
                let fine = check::use_line(book, name, &args, at, &env, errors);
                if name.node == "over" && fine.is_some() {
                    match head.over_at {
                        Some(first) => {
                            let (first, again) = (first.beside(at), at.label());
                            errors.report::<()>(at, ItemError::UseOverTwice { first, again });
                        }
                        None => head.over_at = Some(at),
                    }
                }
            }
            LineKind::Action(_) | LineKind::Race(_) => began = true,
            LineKind::Assert(_) | LineKind::Setting { .. } => {}
        }
    }
    head
}

fn text_once(said: &mut Option<(String, Place)>, what: &'static str, text: &Text, at: Place, errors: &mut Errors) {
    match said {
        Some((_, first)) => {
            let (first, again) = (first.beside(at), at.label());
            errors.report::<()>(at, ItemError::HeadTwice { what, first, again });
        }
        None => *said = Some((text.node.to_string(), at)),
    }
}

/// `system hugetlb 2`, `system swap 8 [disk|zram]`
fn system(head: &mut Head, words: &[Operand], line: Place, errors: &mut Errors) {
    let word = |idx: usize| match words.get(idx) {
        Some(Operand::Address(address)) => address.as_word().map(|word| word.node),
        _ => None,
    };
    let number = |idx: usize| match words.get(idx) {
        Some(Operand::Value(value)) if !value.node.text && value.node.bits <= PAGES_MAX as u64 => {
            u16::try_from(value.node.bits).ok()
        }
        _ => None,
    };
    let mut refuse = |idx: usize, what: String, help: String| {
        let at = Place { file: line.file, span: words.get(idx).map_or(line.span, Operand::span) };
        errors.report::<()>(at, ItemError::Malformed { what, help, at: at.label() });
    };
    let device = match word(2) {
        Some(said) => said.parse::<SwapDevice>().ok(),
        None => Some(SwapDevice::default()),
    };
    let first = match (word(0), number(1)) {
        (Some("hugetlb"), Some(pages)) if words.len() == 2 => {
            head.system.hugetlb = Some(pages);
            head.hugetlb_at.replace(line)
        }
        (Some("swap"), Some(slots)) if words.len() <= 3 && device.is_some() => {
            head.system.swap = device.map(|device| (slots, device));
            head.swap_at.replace(line)
        }
        (Some("swap"), Some(_)) => {
            let help = Near::among(word(2).unwrap_or_default(), ["disk", "zram"]).or("");
            return refuse(2, "swap is on a `disk` or on `zram`".to_owned(), help);
        }
        (Some("hugetlb"), Some(_)) => {
            return refuse(2, "`system hugetlb` takes a number only".to_owned(), "drop it".to_owned());
        }
        (Some(said @ ("hugetlb" | "swap")), None) => {
            let what = format!("`system {said}` takes a number of pages, {PAGES_MAX} at most");
            return refuse(1, what, format!("write `system {said} 8`"));
        }
        (said, _) => {
            let help = Near::among(said.unwrap_or_default(), ["hugetlb", "swap"]).or("");
            return refuse(0, "`system` says how much `hugetlb` or `swap` there is".to_owned(), help);
        }
    };
    if let Some(first) = first {
        let (first, again) = (first.beside(line), line.label());
        errors.report::<()>(line, ItemError::HeadTwice { what: "this part of the machine", first, again });
    }
}

/// Warns of races in which nobody competes.
fn race_of_one(item: &Item, warnings: &mut Errors) {
    for line in item.body.lines() {
        let LineKind::Race(block) = line.kind else { continue };
        let mut actors: Vec<(&str, u64)> = Vec::new();
        for line in block.lines() {
            if let LineKind::Action(action) = line.kind {
                actors.push((action.actor.node, action.thread.map_or(1, |thread| thread.node)));
            }
        }
        actors.dedup();
        if actors.len() == 1 && !item.broken {
            let at = Place { file: 0, span: line.span };
            warnings.report::<()>(at, ItemError::RaceOfOne { at: at.label() });
        }
    }
}
