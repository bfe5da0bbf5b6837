//! What a program is: one flat list of plain instructions with every name resolved.
//!
//! All three worlds run this list. It knows nothing of source text: where an instruction stood is kept beside it
//! ([`Scenario::spans`]), so that two programs are equal when they mean the same.

mod op;
mod ops;
mod program;
mod scenario;

pub use op::{Advice, Area, Backing, Op, Prot, RefArea, Sharing, Speed, UffdMode};
pub use ops::{Gives, OPS, OpInfo, Slot, Verb, Who};
pub use program::{
    Actor, Claim, Comparison, Ending, FileDecl, FileKind, Instr, Mem, MemKind, ObsDecl, Operand, Program, RefDecl, SwapDevice,
    System,
};
pub use scenario::{Assert, Count, Expect, Fact, Frequency, Kind, Kinds, Outcome, Scenario, Statement};
