//! Looks at items by themselves: prepares that may never run, `use` lines, lists.

use std::collections::BTreeSet;

use super::book::{Body, Book, Prepare, counted, counted_are};
use super::env::Env;
use super::error::{Errors, ItemError, NameError, Place};
use super::read;
use crate::syntax::ast::{Block, Bound, KindRef, LineKind, Spanned, Word};

/// Names of a chain that are shown.
const CHAIN_SHOWN_MAX: usize = 8;

/// Every prepare: its parameters, the shape of its lines, that none uses itself.
pub(super) fn prepares<'a>(book: &Book<'a>, errors: &mut Errors) {
    for prepare in book.prepares.values() {
        match &prepare.body {
            Body::Lines { params, block } => {
                parameters(prepare.at, params, errors);
                let env = Env::open(prepare.at.file, params);
                lines(book, *block, &env, errors);
            }
            Body::List(kinds) => list(book, prepare, kinds, errors),
        }
    }
    circles(book, errors);
}

fn parameters<'a>(at: Place, params: &[Word<'a>], errors: &mut Errors) {
    for (idx, param) in params.iter().enumerate() {
        let place = Place { file: at.file, span: param.span };
        if let Some(first) = params[..idx].iter().find(|other| other.node == param.node) {
            let first = Place { file: at.file, span: first.span }.beside(place);
            let (what, help) = ("the parameter", "choose another name for the second".to_owned());
            let again = place.label();
            errors.report::<()>(place, NameError::ItemTwice { what, name: param.node.to_owned(), help, first, again });
        }
        if super::resolve::RESERVED.contains(&param.node) {
            let name = param.node.to_owned();
            errors.report::<()>(place, NameError::Reserved { name, what: "a parameter", at: place.label() });
        }
    }
}

/// The shape of lines whose parameters may come to be anything.
fn lines<'a>(book: &Book<'a>, block: Block<'a>, env: &Env<'a>, errors: &mut Errors) {
    for line in block.lines() {
        match line.kind {
            LineKind::Action(action) => {
                read::statement(&action, env, errors);
            }
            LineKind::Race(block) => lines(book, block, env, errors),
            LineKind::Use { name, args } => {
                use_line(book, name, &args, env.place(line.span), env, errors);
            }
            // What can be wrong with an assertion needs names; the rest does not stand in a prepare.
            LineKind::Assert(_) | LineKind::Title(_) | LineKind::Origin(_) => {}
            LineKind::System(_) | LineKind::Expect(_) | LineKind::Setting { .. } => {}
        }
    }
}

/// That a `use` names a prepare and gives it what it takes.
pub(super) fn use_line<'a>(
    book: &Book<'a>,
    name: Word<'a>,
    args: &[Spanned<Bound<'a>>],
    at: Place,
    env: &Env<'a>,
    errors: &mut Errors,
) -> Option<()> {
    if name.node == "over" {
        if env.setup {
            let (line, item) = ("`use over`", "a prepare");
            let help = "write it in the scenario: only a scenario is over kinds of memory";
            return errors.report(at, ItemError::Misplaced { line, item, help, at: at.label() });
        }
        return arguments(name.node, &["PROCESS"], args.len(), at, None, errors);
    }
    let known = book.prepare(name, env.place(name.span), errors)?;
    let prepare = &book.prepares[known];
    match &prepare.body {
        Body::Lines { params, .. } => {
            let params: Vec<&str> = params.iter().map(|param| param.node).collect();
            arguments(name.node, &params, args.len(), at, Some(prepare.at), errors)
        }
        Body::List(_) => {
            let (name, at) = (name.node.to_owned(), env.place(name.span));
            let declared = prepare.at.beside(at);
            errors.report(at, ItemError::ListUsed { name, at: at.label(), declared })
        }
    }
}

fn arguments(name: &str, params: &[&str], has: usize, at: Place, declared: Option<Place>, errors: &mut Errors) -> Option<()> {
    if params.len() == has {
        return Some(());
    }
    let help = format!("use {name}({})", params.join(", "));
    let (wants, has) = (counted(params.len(), "argument"), counted_are(has));
    let declared = declared.and_then(|declared| declared.beside(at));
    errors.report(at, ItemError::Arguments { name: name.to_owned(), wants, has, help, at: at.label(), declared })
}

/// That a list names prepares and gives them what they take.
fn list<'a>(book: &Book<'a>, prepare: &Prepare<'a>, kinds: &[KindRef<'a>], errors: &mut Errors) {
    for kind in kinds {
        book.kind(kind, prepare.at.file, errors);
    }
}

/// Names that a prepare uses, and where.
fn uses<'a>(book: &Book<'a>, name: &str) -> Vec<(&'a str, Place)> {
    let Some(prepare) = book.prepares.get(name) else { return Vec::new() };
    let file = prepare.at.file;
    match &prepare.body {
        Body::Lines { block, .. } => {
            let uses = block.lines().filter_map(|line| match line.kind {
                LineKind::Use { name, .. } => Some((name.node, Place { file, span: line.span })),
                _ => None,
            });
            uses.collect()
        }
        Body::List(kinds) => kinds.iter().map(|kind| (kind.name.node, Place { file, span: kind.span })).collect(),
    }
}

/// Reports prepares that come to use themselves, each circle at a line that closes it.
fn circles<'a>(book: &Book<'a>, errors: &mut Errors) {
    let mut done: BTreeSet<&'a str> = BTreeSet::new();
    for start in book.prepares.keys().copied() {
        // A walk in depth: the names on `chain` use one another in a row.
        let mut chain: Vec<(&'a str, std::vec::IntoIter<(&'a str, Place)>)> = Vec::new();
        let mut on_chain: BTreeSet<&'a str> = BTreeSet::new();
        let mut next = Some((start, Place::default()));
        while let Some((name, at)) = next {
            if on_chain.contains(name) {
                let names: Vec<&str> = chain.iter().map(|(name, _)| *name).skip_while(|other| *other != name).collect();
                let chain = format!("{} → {name}", shortened(&names));
                errors.report::<()>(at, ItemError::Recursive { name: name.to_owned(), chain, at: at.label() });
            } else if done.insert(name) {
                chain.push((name, uses(book, name).into_iter()));
                on_chain.insert(name);
            }
            next = None;
            while let Some((name, uses)) = chain.last_mut() {
                next = uses.next();
                if next.is_some() {
                    break;
                }
                on_chain.remove(name);
                chain.pop();
            }
        }
    }
}

/// Names in a row, the middle of a long row left out.
fn shortened(names: &[&str]) -> String {
    match names {
        [first, second, .., last] if CHAIN_SHOWN_MAX < names.len() => format!("{first} → {second} → … → {last}"),
        names => names.join(" → "),
    }
}
