//! Text of what was found out: for people, and for the programs that read it after them.

mod finding;
#[cfg(test)]
mod fixture;
mod look;
mod ranges;
pub mod table;
pub mod words;

pub use finding::show;
pub use look::{Look, Tone};
pub use ranges::compress;
