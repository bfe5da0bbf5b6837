//! Text of what was found out: for people, and for the programs that read it after them.

pub mod explain;
mod finding;
#[cfg(test)]
mod fixture;
pub mod json;
pub mod junit;
pub mod ktap;
pub mod lanes;
mod look;
pub mod policies;
mod ranges;
pub mod search;
pub mod short;
mod summary;
pub mod table;
pub mod words;

pub use finding::show;
pub use look::{Look, Tone};
pub use ranges::compress;
pub use summary::Summary;
