//! Campaigns: what must hold whatever the input, the hunt for what does not, and the smallest program that shows it.

pub mod bank;
pub mod bodies;
pub mod claims;
pub mod cover;
pub mod crash;
pub mod encode;
pub mod exec;
pub mod finding;
pub mod hunt;
pub mod known;
pub mod mutate;
pub mod on_kernel;
pub mod reduce;
pub mod smallest;
pub mod tell;

use crate::ir::{Advice, Op, Program};
use crate::lower::is_modelled;

/// What campaigns draw: what the engine can run; where folios may be large, no mover of pages, since it does not move them whole yet.
pub fn is_drawn(program: &Program, op: Op) -> bool {
    let moves = matches!(
        op,
        Op::Pageout { .. }
            | Op::Swapin { .. }
            | Op::Migrate { .. }
            | Op::KsmMerge { .. }
            | Op::KsmUnmerge { .. }
            | Op::NumaHint { .. }
            | Op::Madvise { advice: Advice::Pageout | Advice::Free | Advice::Unmergeable, .. }
    );
    is_modelled(program, op) && !(moves && program.has_large_folios())
}

#[cfg(test)]
mod tests;
