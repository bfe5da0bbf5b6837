//! Functions that judge: runs against promises, states against invariants, results against expectations.

pub mod report;

mod reading;
