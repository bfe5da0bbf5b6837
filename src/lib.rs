//! cowl: a language, an engine and a fuzzer for copy-on-write in the Linux kernel.
#![deny(unsafe_code)]

extern crate alloc; // pest's derive names it when it is built without std.

pub mod types;

pub mod ir;
pub mod policy;
pub mod printer;
pub mod syntax;
pub mod trace;

pub mod observe;
pub mod state;

pub mod engine;
pub mod ideal;

pub mod generate;
pub mod lower;
pub mod run;

pub mod kernel;

pub mod check;
pub mod explore;

pub mod analysis;
pub mod diag;

pub mod render;

pub mod metal;

pub mod campaign;
pub mod cli;

#[cfg(test)]
mod tests;
