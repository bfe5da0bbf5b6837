//! Expectations: what they say, and which policies and kinds they say it about.

use std::collections::BTreeSet;

use super::book::{Book, Chosen};
use super::error::{Errors, ItemError, Place};
use super::near::{Near, one_of};
use super::users::{name_of, spoken};
use crate::ir::{Expect, Frequency, Kind, Outcome};
use crate::policy;
use crate::policy::nearest;
use crate::syntax::ast::{self, KindRef, Operand};
use crate::types::{Event, Failure, Span};
use strum::VariantNames;

/// The words an expectation begins with.
const OUTCOMES: [&str; 8] = ["ok", "leak", "lost", "missed", "breach", "event", "fails", "copies"];

/// A line of a scenario.
pub(super) struct Line<'a> {
    pub expect: ast::Expect<'a>,
    pub at: Place,
}

/// Around the expectations of a scenario for one kind.
pub(super) struct Around<'b, 'a> {
    pub book: &'b Book<'a>,
    pub kinds: &'b [Chosen<'a>],
    pub kind: Option<&'b Kind>,
    pub has_race: bool,
    /// Where the scenario's name stands: the default expectation is said there.
    pub name: Span,
}

/// A line that has been read: what it says and, still apart, about which policies.
struct Said {
    expect: Expect,
    all: bool,
    at: Place,
    text: String,
}

/// All expectations of a scenario for one kind, the default among them. Empty where one of them means nothing.
pub(super) fn expects(around: &Around, lines: &[Line], errors: &mut Errors) -> Vec<Expect> {
    let mut said: Vec<Said> = lines.iter().filter_map(|line| one(around, line, errors)).collect();
    for copies in [false, true] {
        let track: Vec<usize> = (0..said.len()).filter(|idx| is_copies(&said[*idx].expect) == copies).collect();
        share_out(around.book, &mut said, &track);
        contradictions(around.book, &said, &track, errors);
    }
    let mut expects: Vec<Expect> = said.into_iter().map(|said| said.expect).collect();
    let named: BTreeSet<usize> =
        expects.iter().filter(|expect| !is_copies(expect)).flat_map(|expect| expect.on.iter().copied()).collect();
    let on: Vec<usize> = every(around.book).filter(|policy| !named.contains(policy)).collect();
    if !on.is_empty() {
        let (frequency, outcome, reason, span) = (Frequency::Always, Outcome::Ok, String::new(), around.name);
        expects.push(Expect { frequency, outcome, on, reason, span });
    }
    expects
}

fn is_copies(expect: &Expect) -> bool {
    matches!(expect.outcome, Outcome::Copies(_))
}

/// Every policy by its index.
fn every(book: &Book) -> std::ops::Range<usize> {
    0..policy::builtin().len() + book.users.len()
}

/// Gives the lines with `all` what no other line names.
fn share_out(book: &Book, said: &mut [Said], track: &[usize]) {
    let named: BTreeSet<usize> = track.iter().flat_map(|idx| said[*idx].expect.on.iter().copied()).collect();
    let rest: Vec<usize> = every(book).filter(|policy| !named.contains(policy)).collect();
    for idx in track {
        if said[*idx].all {
            said[*idx].expect.on.extend(&rest);
            said[*idx].expect.on.sort_unstable();
        }
    }
}

/// Reports lines that cannot both be met.
fn contradictions(book: &Book, said: &[Said], track: &[usize], errors: &mut Errors) {
    for (place, later) in track.iter().enumerate() {
        let later = &said[*later];
        for earlier in &track[..place] {
            let earlier = &said[*earlier];
            if agree(&earlier.expect, &later.expect) {
                continue;
            }
            let both = later.expect.on.iter().filter(|policy| earlier.expect.on.contains(policy));
            let both: Vec<&str> = both.map(|policy| name_of(book, *policy)).collect();
            if both.is_empty() {
                continue;
            }
            let policies = match both.as_slice() {
                [first, second, third, rest @ ..] if !rest.is_empty() => {
                    format!("`{first}`, `{second}`, `{third}` and {} more", rest.len())
                }
                few => one_of(few).replace(" or ", " and "),
            };
            let help = "let each policy stand in one of the two lines; `all` is what no other line names".to_owned();
            let (first_says, again_says) = (earlier.text.clone(), later.text.clone());
            let (first, at) = (earlier.at.beside(later.at), later.at);
            let error = ItemError::Contradiction { policies, first_says, again_says, help, first, again: at.label() };
            errors.report::<()>(at, error);
            break;
        }
    }
}

/// Whether one run, or the orders of one race, can meet both.
fn agree(a: &Expect, b: &Expect) -> bool {
    use Frequency::*;
    match (a.outcome == b.outcome, a.frequency, b.frequency) {
        (true, a, b) => a == b,
        (false, Always, Always | Sometimes) | (false, Sometimes, Always) => false,
        (false, Always | Sometimes, Never) | (false, Never, _) | (false, Sometimes, Sometimes) => true,
    }
}

fn one(around: &Around, line: &Line, errors: &mut Errors) -> Option<Said> {
    let expect = &line.expect;
    let frequency = frequency(around, line, errors);
    let outcome = outcome(around.book, expect, line.at, errors);
    let spoken = spoken(around.book, &expect.on, line.at.file, errors);
    let over = over(around.book, &expect.over, around.kinds, around.kind, line.at.file, errors);
    let (frequency, outcome, spoken, over) = (frequency?, outcome?, spoken?, over?);
    if !over {
        return None; // It speaks of other kinds.
    }
    let words = expect.frequency.iter().chain([&expect.outcome]).map(|word| word.node);
    let detail = expect.detail.as_ref().map(|detail| around.book.text(Place { file: line.at.file, span: detail.span() }));
    let text = words.chain(detail).collect::<Vec<_>>().join(" ");
    let reason = expect.reason.as_ref().map(|reason| reason.node.to_string()).unwrap_or_default();
    let made = Expect { frequency, outcome, on: spoken.named, reason, span: line.at.span };
    Some(Said { expect: made, all: spoken.all, at: line.at, text })
}

fn frequency(around: &Around, line: &Line, errors: &mut Errors) -> Option<Frequency> {
    let Some(word) = line.expect.frequency else { return Some(Frequency::Always) };
    let at = Place { file: line.at.file, span: word.span };
    match word.node.parse() {
        Ok(Frequency::Sometimes) if !around.has_race => errors.report(at, ItemError::SometimesWithoutRace { at: at.label() }),
        Ok(frequency) => Some(frequency),
        Err(_) => {
            let help = Near::among(word.node, Frequency::VARIANTS.iter().copied()).or("");
            let word = word.node.to_owned();
            errors.report(at, ItemError::UnknownWord { what: "frequency", word, help, at: at.label() })
        }
    }
}

fn outcome(book: &Book, expect: &ast::Expect, line: Place, errors: &mut Errors) -> Option<Outcome> {
    let word = expect.outcome;
    let at = Place { file: line.file, span: word.span };
    let plain = match word.node {
        "ok" => Outcome::Ok,
        "leak" => Outcome::Leak,
        "lost" => Outcome::Lost,
        "missed" => Outcome::Missed,
        "breach" | "event" | "fails" | "copies" => return detailed(book, expect, at, errors),
        said => {
            let help = Near::among(said, OUTCOMES).or("");
            let word = said.to_owned();
            return errors.report(at, ItemError::UnknownWord { what: "outcome", word, help, at: at.label() });
        }
    };
    if let Some(detail) = &expect.detail {
        let at = Place { file: line.file, span: detail.span() };
        let what = format!("`{}` takes no detail", word.node);
        let help = format!("write `expect {}` and, behind `on`, the policies", word.node);
        return errors.report(at, ItemError::Malformed { what, help, at: at.label() });
    }
    Some(plain)
}

fn detailed(book: &Book, expect: &ast::Expect, at: Place, errors: &mut Errors) -> Option<Outcome> {
    let outcome = expect.outcome.node;
    let (wanted, example) = match outcome {
        "breach" => ("the number of an invariant", "breach I7".to_owned()),
        "event" => ("an event", format!("event {}", one_of(Event::VARIANTS).replace('`', ""))),
        "fails" => ("a failure", "fails EINVAL".to_owned()),
        _ => ("a number of pages", "copies 2".to_owned()),
    };
    let Some(detail) = &expect.detail else {
        let (what, help) = (format!("`{outcome}` needs {wanted}"), format!("write `expect {example}`"));
        return errors.report(at, ItemError::Malformed { what, help, at: at.label() });
    };
    let at = Place { file: at.file, span: detail.span() };
    let (word, number) = match detail {
        Operand::Address(address) => (address.as_word().map_or("", |word| word.node), None),
        Operand::Value(value) => ("", (!value.node.text).then_some(value.node.bits)),
    };
    let found = match outcome {
        "breach" => word.strip_prefix('I').and_then(|number| number.parse().ok()).map(Outcome::Breach),
        "event" => word.parse().ok().map(Outcome::Event),
        "fails" => word.parse().ok().map(Outcome::Fails),
        _ => number.and_then(|number| u16::try_from(number).ok()).map(Outcome::Copies),
    };
    if found.is_some() {
        return found;
    }
    let known = match outcome {
        "event" => Event::VARIANTS,
        "fails" => Failure::VARIANTS,
        _ => &[],
    };
    let help = match (nearest(word, known.iter().copied()), known) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => format!("write `expect {example}`"),
        (None, known) => format!("write {}", one_of(known)),
    };
    let said = book.text(at);
    errors.report(at, ItemError::Malformed { what: format!("`{said}` is not {wanted}"), help, at: at.label() })
}

/// Whether a line narrowed to kinds speaks of this one; `None` where it names a kind that the scenario has not.
pub(super) fn over(
    book: &Book,
    over: &[KindRef],
    kinds: &[Chosen],
    kind: Option<&Kind>,
    file: usize,
    errors: &mut Errors,
) -> Option<bool> {
    let mut takes_in = over.is_empty();
    let mut fine = true;
    for said in over {
        let meant = meant(book, said, file, kinds);
        if meant.is_empty() && book.may_say(said.name.node) {
            fine = false;
            continue;
        }
        if meant.is_empty() {
            fine = false;
            let at = Place { file, span: said.span };
            let names = kinds.iter().map(|kind| kind.name);
            let help = match kinds {
                [] => "drop `over …`: this scenario is over nothing".to_owned(),
                _ => Near::among(said.name.node, names).or("write one of the kinds behind the scenario's `over`"),
            };
            let kind = book.text(at).to_owned();
            errors.report::<()>(at, ItemError::UnknownKind { kind, help, at: at.label() });
        }
        takes_in |= meant.iter().any(|meant| Some(*meant) == kind);
    }
    fine.then_some(takes_in)
}

/// The kinds of the scenario that a name, with or without arguments, stands for.
fn meant<'k>(book: &Book, said: &KindRef, file: usize, kinds: &'k [Chosen]) -> Vec<&'k Kind> {
    let lines = book.prepares.get(said.name.node).is_some_and(|prepare| matches!(prepare.body, super::book::Body::List(_)));
    if lines {
        let listed = book.kinds(std::slice::from_ref(said), file, &mut Errors::default());
        return kinds.iter().map(|kind| &kind.kind).filter(|kind| listed.iter().any(|other| other.kind == **kind)).collect();
    }
    let args: Vec<String> = said.args.iter().map(|arg| super::book::written(arg.node)).collect();
    let same = |kind: &&Kind| kind.name == said.name.node && (args.is_empty() || kind.args == args);
    kinds.iter().map(|kind| &kind.kind).filter(same).collect()
}
