//! Users' policies, and what lists of policies mean.

use super::book::{Book, Read, User};
use super::error::{Errors, ItemError, NameError, Place};
use super::limits::POLICIES_MAX;
use crate::policy::nearest;
use crate::policy::{self, Named, Policy};
use crate::syntax::ast::{ItemKind, LineKind, PolicyRange, Word};
use crate::types::Span;

/// A `policy` item as it stands in the text.
struct Item<'a> {
    name: Word<'a>,
    base: Word<'a>,
    file: usize,
    settings: Vec<(Word<'a>, Vec<Word<'a>>)>,
    broken: bool,
    built: Built,
}

#[derive(Clone, Copy)]
enum Built {
    Not,
    /// Being built: meeting it again is a circle.
    Now,
    Done(Option<Policy>),
}

/// The policies of all files, those of used files first.
pub(super) fn users<'a>(book: &mut Book<'a>, files: &[Read<'a>], errors: &mut Errors) {
    let mut items: Vec<Item<'a>> = Vec::new();
    for idx in (1..files.len()).chain([0]) {
        for item in files[idx].file.items() {
            let ItemKind::Policy { name, base, settings } = item.kind else { continue };
            let at = Place { file: idx, span: name.span };
            let first = items.iter().find(|other| other.name.node == name.node);
            if policy::is_taken(name.node) {
                errors.report::<()>(at, ItemError::BuiltIn { name: name.node.to_owned(), at: at.label() });
                continue;
            }
            if let Some(first) = first {
                let first = Place { file: first.file, span: first.name.span }.beside(at);
                let help = "rename or drop one of the two; a used file's policies count too".to_owned();
                let (what, name) = ("the policy", name.node.to_owned());
                errors.report::<()>(at, NameError::ItemTwice { what, name, help, first, again: at.label() });
                continue;
            }
            if POLICIES_MAX <= items.len() {
                let (what, has, max) = ("policies in one file", (items.len() + 1).to_string(), POLICIES_MAX);
                let help = "make several files of it";
                errors.report::<()>(at, ItemError::TooLarge { what, has, max, help, at: at.label() });
                break;
            }
            let settings = settings.lines().filter_map(|line| match line.kind {
                LineKind::Setting { key, values } => Some((key, values)),
                _ => None,
            });
            let settings = settings.collect();
            items.push(Item { name, base, file: idx, settings, broken: item.broken, built: Built::Not });
        }
    }
    for idx in 0..items.len() {
        build(book, &mut items, idx, errors);
        let Built::Done(policy) = items[idx].built else { continue };
        book.users.push(User { name: items[idx].name.node, policy });
    }
}

/// Builds a policy, before it those it is written as a difference from.
fn build(book: &Book, items: &mut [Item], idx: usize, errors: &mut Errors) {
    let mut chain = Vec::new();
    let mut next = Some(idx);
    while let Some(idx) = next.filter(|idx| matches!(items[*idx].built, Built::Not)) {
        items[idx].built = Built::Now;
        chain.push(idx);
        let base = items[idx].base.node;
        next = items.iter().position(|item| item.name.node == base && policy::find(base).is_none());
    }
    for idx in chain.into_iter().rev() {
        let base = base(book, items, idx, errors);
        items[idx].built = Built::Done(settings(&items[idx], base, errors));
    }
}

/// The policy that this one is a difference from.
fn base(book: &Book, items: &[Item], idx: usize, errors: &mut Errors) -> Option<Policy> {
    let (word, file) = (items[idx].base, items[idx].file);
    if let Some(named) = policy::find(word.node) {
        return Some(named.policy);
    }
    let at = Place { file, span: word.span };
    let Some(other) = items.iter().find(|item| item.name.node == word.node) else {
        return unknown(book, items.iter().map(|item| item.name.node), word.node, at, errors);
    };
    match other.built {
        Built::Done(policy) => policy,
        Built::Not | Built::Now => {
            let chain = format!("{} → {}", items[idx].name.node, word.node);
            errors.report(at, ItemError::PolicyCircle { chain, at: at.label() })
        }
    }
}

fn settings(item: &Item, base: Option<Policy>, errors: &mut Errors) -> Option<Policy> {
    let words = item.settings.iter().map(|(key, values)| (key.node, values.iter().map(|value| value.node).collect()));
    let place = |setting: usize, value: Option<usize>| {
        let (key, values) = &item.settings[setting];
        Place { file: item.file, span: value.and_then(|value| values.get(value)).unwrap_or(key).span }
    };
    let stand_in = policy::find(policy::LATEST_NAME)?.policy;
    match policy::build(&base.unwrap_or(stand_in), words) {
        Ok(built) => base.map(|_| built).filter(|_| !item.broken),
        Err(mistakes) => {
            let coherence = |mistake: &policy::Mistake| matches!(mistake.what, policy::What::Incoherent { .. });
            for mistake in mistakes.into_iter().filter(|mistake| base.is_some() || !coherence(mistake)) {
                let at = place(mistake.setting, mistake.value);
                let (message, help) = (mistake.what.to_string(), mistake.what.help());
                errors.report::<()>(at, ItemError::Setting { message, help, at: at.label() });
            }
            None
        }
    }
}

fn unknown<'w, T>(book: &Book, users: impl Iterator<Item = &'w str>, word: &str, at: Place, errors: &mut Errors) -> Option<T> {
    if book.may_say(word) {
        return None;
    }
    let release = policy::range(None, Some(word)).ok().and_then(|before| before.last().map(|last| last.name));
    let known = policy::builtin().iter().map(|named| named.name).chain([policy::LATEST_NAME]).chain(users);
    let help = match (release, nearest(word, known)) {
        (Some(last), _) => format!("write `{last}`, the last built-in release before it"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => "`cowl policies` lists those there are".to_owned(),
    };
    errors.report(at, ItemError::UnknownPolicy { word: word.to_owned(), help, at: at.label() })
}

/// Policies that a line speaks of.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    /// By name or range, as indexes, without repetition, lowest first.
    pub named: Vec<usize>,
    /// `all`, or no policy at all.
    pub all: bool,
}

/// What stands behind `on`. `None` where one of it means nothing.
pub(super) fn spoken(book: &Book, on: &[PolicyRange], file: usize, errors: &mut Errors) -> Option<Spoken> {
    let mut spoken = Spoken { named: Vec::new(), all: on.is_empty() };
    let mut fine = true;
    for range in on {
        match range {
            PolicyRange::One(word) if word.node == "all" => spoken.all = true,
            PolicyRange::One(word) => match one(book, *word, Place { file, span: word.span }, errors) {
                Some(index) => spoken.named.push(index),
                None => fine = false,
            },
            PolicyRange::Range(from, to, span) => {
                let (from, to) = (from.map(|from| from.node), to.map(|to| to.node));
                match policy::range(from, to) {
                    Ok(found) => spoken.named.extend(found.into_iter().filter_map(index_of)),
                    Err(error) => {
                        fine = false;
                        out_of_range(error, *span, file, errors);
                    }
                }
            }
        }
    }
    spoken.named.sort_unstable();
    spoken.named.dedup();
    fine.then_some(spoken)
}

fn out_of_range(error: policy::RangeError, span: Span, file: usize, errors: &mut Errors) {
    let at = Place { file, span };
    let (message, help) = (error.to_string(), error.help());
    errors.report::<()>(at, ItemError::PolicyRange { message, help, at: at.label() });
}

fn one(book: &Book, word: Word, at: Place, errors: &mut Errors) -> Option<usize> {
    if let Some(named) = policy::find(word.node) {
        return index_of(named);
    }
    match book.users.iter().position(|user| user.name == word.node) {
        Some(user) => Some(policy::builtin().len() + user),
        None => unknown(book, book.users.iter().map(|user| user.name), word.node, at, errors),
    }
}

fn index_of(named: &Named) -> Option<usize> {
    policy::builtin().iter().position(|other| other.name == named.name)
}

/// The name of a policy by its index.
pub(super) fn name_of<'b>(book: &'b Book, index: usize) -> &'b str {
    let builtin = policy::builtin();
    match builtin.get(index) {
        Some(named) => named.name,
        None => book.users[index - builtin.len()].name,
    }
}
