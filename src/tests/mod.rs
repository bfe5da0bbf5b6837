//! Tests that look at the whole: the tree of sources, and later the corpus and the book.

mod matrix;
mod promises;
mod roundtrip;
mod tidy;
