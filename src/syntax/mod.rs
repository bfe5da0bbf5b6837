//! From text to a tree that keeps every word's place and every comment.

pub mod ast;
mod cut;
mod error;
mod grammar;
mod lex;
mod mistake;
mod parse;
mod place;
mod token;
mod tree;

pub use error::SyntaxError;
pub use parse::{ERRORS_MAX, LINE_BYTES_MAX, parse};

#[cfg(test)]
mod tests;
