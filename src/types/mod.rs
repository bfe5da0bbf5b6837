//! Words every layer shares: ids, values, failures, flags, bounds. No behaviour lives here.

mod failure;
mod ids;
mod size;
mod value;

pub use failure::{Event, Failure};
pub use ids::*;
pub use size::{Large, Number, PMD_ORDER, Sets, Size, Small, Table};
pub use value::{Value, ValueSet};

/// A range of bytes of a source text: where a word, a statement or a mistake stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest range that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}
