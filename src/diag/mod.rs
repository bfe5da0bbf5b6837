//! Mistakes and their places, as plain values.

mod finding;
mod source;

pub use finding::{Finding, Label, Severity};
pub use source::{Place, Source};
