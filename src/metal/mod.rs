//! Real kernels held against promises and against the engine: answers come in, verdicts go out.
//!
//! What a kernel was seen to do is judged beside the ideal world exactly as the engine is, and told in the same words as the
//! engine's story, so that the two are compared entry by entry.

pub mod judge;
pub mod junit;
pub mod ledger;
pub mod matrix;
mod open;
pub mod race;
pub mod story;

use crate::ir::Scenario;
use crate::kernel::wire::{Job, Limits};
use crate::printer;

/// The request to run a scenario.
pub fn job(id: u64, scenario: &Scenario, facts: bool) -> Job {
    Job {
        id,
        name: scenario.name.clone(),
        text: printer::program(&scenario.program),
        limits: Limits::default(),
        facts,
        system: false,
    }
}
