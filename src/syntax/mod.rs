//! From text to a tree that keeps every word's place and every comment.

pub mod ast;
mod token;
mod tree;
