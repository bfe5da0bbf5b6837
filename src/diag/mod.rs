//! Mistakes and their places, as plain values and as text.

mod finding;
mod source;

pub use finding::{Finding, Label, Severity, show};
pub use source::{Place, Source};
