//! Tests that look at the whole: the corpus, and the tree of sources.

mod canaries;
mod corpus;
mod counts;
mod explore;
mod gallery;
mod large;
mod ledger;
mod matrix;
mod mistakes;
mod promises;
mod races;
mod roundtrip;
mod selftest;
mod tidy;

use std::path::Path;

use crate::cli::input;
use crate::lower::{Lowered, lower};
use crate::syntax::parse;

/// A file of the corpus: its path below the repository, its text, and what it comes to.
struct CorpusFile {
    path: String,
    text: String,
    lowered: Lowered,
}

/// All files of a folder of the repository, in the order of their paths; none has a mistake.
fn scenario_files(folder: &str) -> Vec<CorpusFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let asked = input::texts(&[root.join(folder)]).map(|text| text.expect("a file of the repository"));
    let file = |asked: input::Asked| {
        let (tree, mistakes) = parse(&asked.source.text);
        let (lowered, mistakes) = lower(&asked.source.path, &tree, &mistakes, &mut input::used);
        let path = asked.path.strip_prefix(root).expect("it lies there").display().to_string();
        assert!(mistakes.is_empty(), "{path}: {:?}", mistakes[0]);
        CorpusFile { path, text: asked.source.text, lowered }
    };
    asked.map(file).collect()
}
