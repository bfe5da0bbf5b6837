//! From text to a tree that keeps every word's place and every comment.

pub mod ast;
mod cut;
mod error;
mod format;
mod grammar;
mod layout;
mod lex;
mod mistake;
mod parse;
mod place;
mod token;
mod tree;
mod words;

pub use error::SyntaxError;
pub use format::format;
pub use layout::WIDTH_MAX;
pub use parse::{ERRORS_MAX, LINE_BYTES_MAX, parse};

#[cfg(test)]
mod tests;
