//! Where a line stands and what the words of its `prepare` stand for.

use super::error::{Errors, NameError, Place};
use super::near::Near;
use crate::syntax::ast::{Bound, Spanned, Word};
use crate::types::Span;

/// A name as it is meant, and where it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub text: &'a str,
    pub at: Place,
}

/// What a parameter stands for, and where that was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arg<'a> {
    pub value: Bound<'a>,
    pub at: Place,
}

/// Around a line: its file, and the parameters of the `prepare` it is in.
#[derive(Clone, Debug, Default)]
pub(super) struct Env<'a> {
    /// The file the line stands in.
    pub file: usize,
    /// The line that runs it, in the scenario's own file; the line itself where `None`.
    pub used_at: Option<Span>,
    /// It comes from a `prepare`.
    pub setup: bool,
    params: Vec<(&'a str, Option<Arg<'a>>)>,
}

impl<'a> Env<'a> {
    /// Lines of a scenario of the file itself.
    pub fn scenario() -> Self {
        Self::default()
    }

    /// Lines of a prepare that is run.
    pub fn prepare(file: usize, used_at: Span, params: &[Word<'a>], args: Vec<Arg<'a>>) -> Self {
        let params = params.iter().map(|param| param.node).zip(args.into_iter().map(Some)).collect();
        Self { file, used_at: Some(used_at), setup: true, params }
    }

    /// Lines of a prepare that is only looked at: its parameters may come to be anything.
    pub fn open(file: usize, params: &[Word<'a>]) -> Self {
        Self { file, used_at: None, setup: true, params: params.iter().map(|param| (param.node, None)).collect() }
    }

    /// A span of this file.
    pub fn place(&self, span: Span) -> Place {
        Place { file: self.file, span }
    }

    /// Where an instruction or an assertion is said to stand: in the scenario's own file.
    pub fn shown(&self, span: Span) -> Span {
        match self.used_at {
            Some(used_at) if self.file != 0 => used_at,
            _ => span,
        }
    }

    /// Whether the word is a parameter.
    pub fn is_param(&self, word: &str) -> bool {
        self.params.iter().any(|(param, _)| *param == word)
    }

    /// What the word stands for, if it is a parameter that stands for something.
    pub fn arg(&self, word: &str) -> Option<Arg<'a>> {
        self.params.iter().find(|(param, _)| *param == word)?.1
    }

    /// The name that a word means.
    pub fn name(&self, word: Word<'a>, errors: &mut Errors) -> Option<Name<'a>> {
        let at = self.place(word.span);
        match self.arg(word.node) {
            Some(Arg { value: Bound::Number(number), at: given }) => {
                let name = word.node.to_owned();
                errors.report(at, NameError::NumberForName { name, number, at: at.label(), given: given.beside(at) })
            }
            Some(Arg { value: Bound::Word(text), .. }) => Some(Name { text, at }),
            None => Some(Name { text: word.node, at }),
        }
    }

    /// The number that a bound means.
    pub fn number(&self, bound: Spanned<Bound<'a>>, errors: &mut Errors) -> Option<u64> {
        let word = match bound.node {
            Bound::Number(number) => return Some(number),
            Bound::Word(word) => word,
        };
        let at = self.place(bound.span);
        match self.arg(word) {
            Some(Arg { value: Bound::Number(number), .. }) => Some(number),
            Some(Arg { value: Bound::Word(given_word), at: given }) => {
                let name = word.to_owned();
                let help = format!("pass a number for `{word}` where the prepare is used, not `{given_word}`");
                errors.report(at, NameError::NameForNumber { name, help, at: at.label(), given: given.beside(at) })
            }
            None => {
                let params = self.params.iter().map(|(param, _)| *param);
                let help = match Near::among(word, params).nearest() {
                    Some(param) => format!("did you mean `{param}`?"),
                    None => "write a number, or a parameter of the prepare".to_owned(),
                };
                errors.report(at, NameError::NameForNumber { name: word.to_owned(), help, at: at.label(), given: None })
            }
        }
    }

    /// What an argument of a nested `use` stands for.
    pub fn pass(&self, bound: Spanned<Bound<'a>>) -> Arg<'a> {
        let here = Arg { value: bound.node, at: self.place(bound.span) };
        match bound.node {
            Bound::Number(_) => here,
            Bound::Word(word) => self.arg(word).unwrap_or(here),
        }
    }
}
