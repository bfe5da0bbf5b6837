//! From tree to program: names, ranges, kinds of memory, expectations, and every mistake that shows before anything runs.
//!
//! Lowering does no I/O and never stops at a mistake: what is right is lowered, what is wrong is reported once, in the order of
//! the text. A mistake does not bring forth others: what a wrong line would have named is not reported as unknown.

mod assert;
mod book;
mod build;
mod check;
mod env;
mod error;
mod expect;
pub mod limits;
mod load;
mod near;
mod order;
mod read;
mod resolve;
mod scenario;
mod scene;
#[cfg(test)]
mod tests;
mod users;
mod world;

use std::collections::BTreeMap;

pub use error::{ItemError, LowerError, Mistake, NameError, OrderError, StatementError};
pub use load::Include;

use book::{Book, Read};
use error::{Errors, Place};

use crate::ir::Scenario;
use crate::policy::Policy;
use crate::syntax::ast::{File, ItemKind};
use crate::syntax::{SyntaxError, parse};
use crate::types::Span;

/// What a file says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lowered {
    /// Its scenarios without a mistake, one for each kind of memory, in their order.
    pub scenarios: Vec<Scenario>,
    /// The policies of the files used and of the file itself. Indexes of policies count the built-in ones first, then these.
    pub policies: Vec<UserPolicy>,
    /// The files used, by this one or by one another. [`Mistake::file`] counts the file itself first, then these.
    pub files: Vec<Included>,
    /// What is worth a look and no mistake.
    pub warnings: Vec<Mistake>,
}

/// A policy that a file defines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserPolicy {
    pub name: String,
    pub policy: Policy,
}

/// A used file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Included {
    /// What it is called in messages, and what it is known again by.
    pub name: String,
    pub text: String,
}

/// Makes programs of a file.
///
/// `name` is what the file is called; `mistakes` are those that [`parse`] found in it, for what they hide is not unknown.
/// `include` hands over the files that it uses.
///
/// # Errors
/// None as a whole: the mistakes are the second half of the answer, each once, in order of file and place.
pub fn lower(name: &str, file: &File, mistakes: &[SyntaxError], include: &mut Include) -> (Lowered, Vec<Mistake>) {
    let (mut errors, mut warnings) = (Errors::default(), Errors::default());
    if matches!(mistakes.last(), Some(SyntaxError::ManyMistakes { .. })) {
        return (Lowered::default(), Vec::new()); // Most of the file was not read: whatever could be said would mislead.
    }
    let used = load::load(name, file, include, &mut errors);
    let trees: Vec<(File, Vec<SyntaxError>)> = used.iter().map(|included| parse(&included.text)).collect();
    let mut files = vec![Read { file, mistakes }];
    for (idx, (file, mistakes)) in trees.iter().enumerate() {
        for mistake in mistakes {
            errors.report::<()>(Place { file: idx + 1, span: mistake.span() }, mistake.clone());
        }
        files.push(Read { file, mistakes });
    }
    let mut book = Book::new(&files, &mut errors);
    users::users(&mut book, &files, &mut errors);
    check::prepares(&book, &mut errors);
    let mut lines_left = limits::LINES_MAX;
    let mut scenarios = Vec::new();
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    for item in file.items() {
        let ItemKind::Scenario { name, over, body } = item.kind else { continue };
        if let Some(first) = names.insert(name.node, name.span) {
            let (first, at) = (Place { file: 0, span: first }, Place { file: 0, span: name.span });
            let (first, again, help) = (first.beside(at), at.label(), "choose another name for the second".to_owned());
            let (what, name) = ("the scenario", name.node.to_owned());
            errors.report::<()>(at, NameError::ItemTwice { what, name, help, first, again });
        }
        let item = scenario::Item { name, over, body, span: item.span, broken: item.broken };
        if errors.is_full() || lines_left == 0 {
            break;
        }
        scenarios.extend(scenario::scenario(&book, &item, &mut lines_left, &mut errors, &mut warnings));
    }
    let policies = book.users.iter().filter_map(|user| {
        let policy = user.policy?;
        Some(UserPolicy { name: user.name.to_owned(), policy })
    });
    let policies: Vec<UserPolicy> = policies.collect();
    let lowered = Lowered { scenarios, policies, warnings: warnings.finish(), files: Vec::new() };
    drop(book);
    drop(files);
    drop(trees);
    (Lowered { files: used, ..lowered }, errors.finish())
}
