//! Functions that judge: runs against promises, states against invariants, results against expectations.

pub mod claim;
pub mod place;
pub mod promise;
pub mod report;

mod reading;
