//! Mistakes in what a file says, each with a code, both places, and what to type instead.

mod item;
mod name;
mod order;
mod statement;

use std::collections::BTreeSet;

use miette::{Diagnostic, SourceSpan};

pub use item::ItemError;
pub use name::NameError;
pub use order::OrderError;
pub use statement::StatementError;

use super::limits::ERRORS_MAX;
use crate::syntax::SyntaxError;
use crate::types::Span;

/// A mistake that reading the text did not show.
#[derive(Clone, PartialEq, Debug, thiserror::Error, Diagnostic)]
pub enum LowerError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Statement(#[from] StatementError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Order(#[from] OrderError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Item(#[from] ItemError),
    /// A line of a used file that cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Syntax(#[from] SyntaxError),
}

/// A mistake and the file it is in.
#[derive(Clone, PartialEq, Debug)]
pub struct Mistake {
    /// Place among [`super::Lowered::files`]; 0 is the file itself, the others are those it uses.
    pub file: usize,
    /// Where the mistake is said to be; the labels of the error say more.
    pub span: Span,
    /// What is wrong.
    pub error: LowerError,
}

/// A range of a file's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    pub file: usize,
    pub span: Span,
}

impl Place {
    /// As a label.
    pub fn label(self) -> SourceSpan {
        (self.span.start as usize, (self.span.end - self.span.start) as usize).into()
    }

    /// As a second label beside one in `other`'s file; none where it stands in another file.
    pub fn beside(self, other: Place) -> Option<SourceSpan> {
        (self.file == other.file).then(|| self.label())
    }
}

/// Mistakes as they are found, each once: a `prepare` that runs twice shows its mistakes twice.
#[derive(Debug, Default)]
pub(super) struct Errors {
    found: Vec<Mistake>,
    seen: BTreeSet<(usize, u32, u32, String)>,
    reports: usize,
}

impl Errors {
    /// Takes one. Nothing comes of the line, so that `?` may leave it.
    pub fn report<T>(&mut self, at: Place, error: impl Into<LowerError>) -> Option<T> {
        let error = error.into();
        self.reports += 1;
        let code = error.code().map(|code| code.to_string()).unwrap_or_default();
        if self.seen.insert((at.file, at.span.start, at.span.end, code)) {
            self.found.push(Mistake { file: at.file, span: at.span, error });
        }
        None
    }

    /// How many were reported, those reported twice counted twice.
    pub fn reports(&self) -> usize {
        self.reports
    }

    /// Whether so many were found that the rest is not looked at.
    pub fn is_full(&self) -> bool {
        ERRORS_MAX <= self.found.len()
    }

    /// In order of place. Past the limit the last says that there may be more.
    pub fn finish(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|mistake| (mistake.file, mistake.span.start, mistake.span.end));
        if let Some(last) = self.found.get(ERRORS_MAX).map(|mistake| (mistake.file, mistake.span)) {
            let (file, span) = last;
            let at = Place { file, span };
            self.found.truncate(ERRORS_MAX);
            let error = ItemError::ManyMistakes { max: ERRORS_MAX, at: at.label() }.into();
            self.found.push(Mistake { file, span, error });
        }
        self.found
    }
}
