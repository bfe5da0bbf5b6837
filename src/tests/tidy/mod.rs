//! House rules as tests.
//!
//! A rule is a function from sources to complaints. Each is held against the repository, where it must find nothing, and
//! against a small bad sample, where it must find something: a check that cannot fail does not count.

mod knobs;
mod layers;
mod limits;
mod repository;
mod source;
mod words;

use source::{Source, repository_sources};

/// Holds a rule against every source of the repository.
fn keeps(rule: impl Fn(&[Source]) -> Vec<String>) {
    let complaints = rule(&repository_sources());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Holds a rule against one bad sample that stands at `path`: exactly these complaints must come.
#[track_caller]
fn finds(rule: impl Fn(&[Source]) -> Vec<String>, path: &str, text: &str, expected: &[&str]) {
    assert_eq!(rule(&[Source::new(path, text)]), expected, "{path}:\n{text}");
}
