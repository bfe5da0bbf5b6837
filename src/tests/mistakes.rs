//! Whatever a file says, lowering ends, and what it reports lies in the text, in order, each once.

use std::path::Path;
use std::sync::LazyLock;

use miette::Diagnostic;
use proptest::prelude::*;

use crate::lower::{Included, Mistake, lower};
use crate::syntax::parse;

/// The texts of all scenarios there are, right and wrong.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut texts = Vec::new();
    for folder in ["corpus", "tests/bad"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut texts);
    }
    texts.sort();
    texts
});

fn collect(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, texts),
            false => texts.push(std::fs::read_to_string(&path).unwrap()),
        }
    }
}

/// Words and signs of a text, each with the white space behind it.
fn tokens(text: &str) -> Vec<&str> {
    text.split_inclusive(|c: char| c.is_whitespace() || ";:,[](){}.+=\"/".contains(c)).collect()
}

/// A text with some of its tokens dropped, doubled, swapped or taken from another text.
fn changed(text: &str, other: &str, changes: &[(u16, u16, u8)]) -> String {
    let mut tokens = tokens(text);
    let others = self::tokens(other);
    for (at, with, how) in changes {
        if tokens.is_empty() {
            break;
        }
        let at = usize::from(*at) % tokens.len();
        let (with, len) = (usize::from(*with), tokens.len());
        match how % 4 {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[with % len]),
            2 => tokens.swap(at, with % len),
            _ => tokens[at] = others.get(with % others.len().max(1)).copied().unwrap_or(""),
        }
    }
    tokens.concat()
}

/// Lowers a text; what it uses is `used`.
fn mistakes(text: &str, used: &str) -> Vec<Mistake> {
    let (file, unreadable) = parse(text);
    let mut include = |_: &str, path: &str| Ok(Included { name: path.to_owned(), text: used.to_owned() });
    let (lowered, found) = lower("a.cow", &file, &unreadable, &mut include);
    for mistake in &found {
        let text = if mistake.file == 0 { text } else { &lowered.files[mistake.file - 1].text };
        for label in mistake.error.labels().into_iter().flatten() {
            let (start, end) = (label.offset(), label.offset() + label.len());
            assert!(text.get(start..end).is_some(), "{mistake:?} points outside of\n{text}");
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_a_file_says_its_mistakes_lie_in_it_in_order_and_once(
        which in any::<(u16, u16)>(),
        changes in proptest::collection::vec(any::<(u16, u16, u8)>(), 0..12),
    ) {
        let text = &TEXTS[usize::from(which.0) % TEXTS.len()];
        let other = &TEXTS[usize::from(which.1) % TEXTS.len()];
        let text = changed(text, other, &changes);
        let found = mistakes(&text, other);
        let keys: Vec<_> = found.iter().map(|mistake| (mistake.file, mistake.span.start, mistake.span.end)).collect();
        prop_assert!(keys.is_sorted());
        let mut told: Vec<_> = found.iter().map(|mistake| {
            (mistake.file, mistake.span.start, mistake.span.end, mistake.error.code().map(|code| code.to_string()))
        }).collect();
        told.dedup();
        prop_assert_eq!(told.len(), found.len());
    }
}
