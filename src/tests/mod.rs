//! Tests that look at the whole: the corpus, and the tree of sources.

mod canaries;
mod corpus;
mod explore;
mod ledger;
mod matrix;
mod mistakes;
mod promises;
mod races;
mod roundtrip;
mod tidy;
