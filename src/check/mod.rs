//! Functions that judge: runs against promises, states against invariants, results against expectations.

pub mod beside;
pub mod claim;
pub mod facts;
pub mod invariants;
pub mod place;
pub mod promise;
pub mod report;
mod swap;
pub mod verdict;

mod assert;
mod blame;
mod frames;
mod judge;
mod large;
mod reading;

pub use blame::{PROMISED, invariant};
pub use frames::{letter, letter_number};
pub use judge::{Story, Under, judge, lacks};
