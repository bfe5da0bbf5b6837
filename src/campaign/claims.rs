//! The bodies of the fuzz targets: each takes bytes and panics where a claim is broken.
//!
//! A target under `fuzz/` hands its bytes over and nothing else. The tests here feed the same functions the corpus, the wrong
//! files, damaged copies of both, and noise, so that `cargo test` runs every body on a stable compiler.

use crate::ir::{Assert, Expect, Scenario};
use crate::lower::{Lowered, lower};
use crate::policy;
use crate::printer;
use crate::syntax::ast::{Action, Address, Block, ItemKind, LineKind, Operand, Word};
use crate::syntax::{self, SyntaxError};
use crate::types::Span;

/// Whatever the bytes, parsing ends, its places lie in the text, and its words are what stands there.
///
/// # Panics
/// With `claim parse:` where that is not so.
pub fn parse(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, errors) = syntax::parse(&text);
    let mut last = 0;
    for item in file.items() {
        inside(&text, item.span);
        assert!(last <= item.span.start, "claim parse: an item at {:?} begins before the one in front of it ends", item.span);
        assert!(!(item.broken && errors.is_empty()), "claim parse: a broken item at {:?} and no mistake", item.span);
        last = item.span.end;
        if let ItemKind::Scenario { name, body, .. } | ItemKind::Prepare { name, body, .. } = &item.kind {
            stands_there(&text, *name);
            lines(&text, *body);
        }
    }
    for error in &errors {
        inside(&text, error.span());
    }
    let places: Vec<u32> = errors.iter().map(|error| error.span().start).collect();
    assert!(places.is_sorted(), "claim parse: mistakes are not told in the order of the text: {places:?}");
    assert!(once(&errors), "claim parse: a mistake is told twice: {errors:?}");
}

/// Whether no mistake is there twice. Equal ones stand beside each other, since they stand at the same place.
fn once(errors: &[SyntaxError]) -> bool {
    errors.windows(2).all(|pair| pair[0] != pair[1])
}

fn lines(text: &str, block: Block<'_>) {
    inside(text, block.span);
    for line in block.lines() {
        inside(text, line.span);
        match line.kind {
            LineKind::Action(of) => action(text, &of),
            LineKind::Race(inner) => lines(text, inner),
            LineKind::Use { name, .. } => stands_there(text, name),
            LineKind::Expect(of) => stands_there(text, of.outcome),
            LineKind::Assert(of) => address(text, &of.subject),
            LineKind::Setting { key, .. } => stands_there(text, key),
            LineKind::Title(of) | LineKind::Origin(of) => inside(text, of.span),
            LineKind::System(words) => words.iter().for_each(|word| inside(text, word.span())),
        }
    }
}

fn action(text: &str, action: &Action<'_>) {
    stands_there(text, action.actor);
    stands_there(text, action.verb);
    action.target.iter().for_each(|target| address(text, target));
    let claimed = action.claim.iter().flat_map(|claim| &claim.any_of);
    for operand in action.operands.iter().chain(claimed) {
        match operand {
            Operand::Address(of) => address(text, of),
            Operand::Value(value) => inside(text, value.span),
        }
    }
}

fn address(text: &str, address: &Address<'_>) {
    inside(text, address.span);
    stands_there(text, address.name);
    address.owner.iter().for_each(|owner| stands_there(text, *owner));
}

fn inside(text: &str, span: Span) {
    let there = text.get(span.start as usize..span.end as usize);
    assert!(there.is_some(), "claim parse: {span:?} is no place in a text of {} bytes", text.len());
}

/// A verb of two words stands there with whatever blanks are between them.
fn stands_there(text: &str, word: Word<'_>) {
    inside(text, word.span);
    let there = &text[word.span.start as usize..word.span.end as usize];
    assert!(there == word.node, "claim parse: {:?} stands where the tree has {:?}", there, word.node);
}

/// What parses has one layout, which means the same; and what a program prints means that program.
///
/// # Panics
/// With `claim roundtrip:` where that is not so.
pub fn roundtrip(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, mistakes) = syntax::parse(&text);
    if !mistakes.is_empty() {
        return;
    }
    let laid_out = syntax::format(&file);
    let (again, mistakes) = syntax::parse(&laid_out);
    assert!(mistakes.is_empty(), "claim roundtrip: the layout does not parse: {mistakes:?}\n{text}\nbecame\n{laid_out}");
    let twice = syntax::format(&again);
    assert!(twice == laid_out, "claim roundtrip: the layout is not one:\n{laid_out}\nbecame\n{twice}");
    let (Some(before), Some(after)) = (lowered(&text), lowered(&laid_out)) else { return };
    same("the layout", &before.scenarios, &after.scenarios, &laid_out);
    let names: Vec<String> = policy::builtin().iter().map(|named| named.name.to_owned()).collect();
    for scenario in &before.scenarios {
        let known = before.policies.is_empty(); // A user's policies are not part of what is printed.
        let printed = if known { printer::scenario(scenario, &names) } else { printer::program(&scenario.program) };
        let read = lowered(&printed).unwrap_or_else(|| panic!("claim roundtrip: what was printed has mistakes:\n{printed}"));
        let program = read.scenarios.first().map(|scenario| &scenario.program);
        assert!(program == Some(&scenario.program), "claim roundtrip: another program than was printed:\n{printed}");
        if known {
            same("the print", std::slice::from_ref(scenario), &read.scenarios, &printed);
        }
    }
}

/// A text's scenarios; `None` where it has mistakes or needs other files.
fn lowered(text: &str) -> Option<Lowered> {
    let (file, mistakes) = syntax::parse(text);
    let (lowered, errors) = lower("claim.cow", &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
    (mistakes.is_empty() && errors.is_empty()).then_some(lowered)
}

/// Whether scenarios mean the same, wherever their words stand.
fn same(what: &str, before: &[Scenario], after: &[Scenario], text: &str) {
    let asserts = |of: &Assert| (of.at, of.says.clone(), of.on.clone(), of.setup);
    let expects = |of: &Expect| (of.frequency, of.outcome, of.on.clone(), of.reason.clone());
    let meaning = |of: &Scenario| {
        let asserts: Vec<_> = of.asserts.iter().map(asserts).collect();
        let expects: Vec<_> = of.expects.iter().filter(|expect| !expect.on.is_empty()).map(expects).collect();
        (of.name.clone(), of.title.clone(), of.origin.clone(), of.program.clone(), asserts, expects)
    };
    let equal = before.iter().map(meaning).eq(after.iter().map(meaning));
    assert!(equal, "claim roundtrip: {what} means something else:\n{text}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Damaged copies made of each file.
    const COPIES: u64 = 12;

    /// Small seeded numbers, the same on every machine.
    struct Dice(u64);

    impl Dice {
        /// A number below `end`.
        ///
        /// Source: the SplitMix64 generator.
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as usize % end.max(1)
        }
    }

    /// Every `.cow` file of the repository, right and wrong.
    fn files() -> Vec<PathBuf> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("a readable folder").path();
                if path.is_dir() {
                    walk(&path, files);
                } else if path.extension().is_some_and(|extension| extension == "cow") {
                    files.push(path);
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        walk(&root.join("corpus"), &mut files);
        walk(&root.join("tests/bad"), &mut files);
        files.sort();
        assert!(40 < files.len(), "the corpus is not where it was");
        files
    }

    /// A copy with a few bytes or lines changed, taken out, doubled or exchanged.
    fn damaged(text: &[u8], dice: &mut Dice) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        for _ in 0..=dice.below(4) {
            let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
            let Some(line) = lines.get(a).filter(|line| !line.is_empty()) else { continue };
            let at = dice.below(line.len());
            match dice.below(7) {
                0 => lines.swap(a, b),
                1 => drop(lines.remove(a)),
                2 => lines.insert(b, lines[a].clone()),
                3 => lines[a].truncate(at),
                4 => lines[a][at] = dice.below(256) as u8,
                5 => lines[a].insert(at, br#"{}[]().,:;=-> "#[dice.below(14)]),
                _ => drop(lines[a].remove(at)),
            }
        }
        lines.concat()
    }

    /// Holds a claim against all files, damaged copies of them, and noise.
    fn holds(claim: fn(&[u8])) {
        for path in files() {
            let text = fs::read(&path).expect("a readable file");
            claim(&text);
            let mut dice = Dice(text.len() as u64);
            for _ in 0..COPIES {
                claim(&damaged(&text, &mut dice));
            }
        }
        let mut dice = Dice(1);
        for len in 0..300 {
            let noise: Vec<u8> = (0..len).map(|_| dice.below(256) as u8).collect();
            claim(&noise);
        }
    }

    #[test]
    fn whatever_the_bytes_parsing_ends_with_places_in_the_text() {
        holds(super::parse);
    }

    #[test]
    fn what_parses_has_one_layout_and_what_is_printed_means_the_same() {
        holds(super::roundtrip);
    }

    #[test]
    #[should_panic = "claim roundtrip"]
    fn a_layout_that_means_something_else_is_noticed() {
        let lowered = |text| super::lowered(text).expect("no mistake").scenarios;
        let (one, two) = ("scenario s { p: mmap a 1 page }", "scenario s { p: mmap a 2 pages }");
        super::same("the layout", &lowered(one), &lowered(two), two);
    }

    #[test]
    #[should_panic = "claim parse"]
    fn a_place_outside_the_text_is_noticed() {
        super::inside("abc", crate::types::Span { start: 2, end: 4 });
    }

    #[test]
    #[should_panic = "claim parse"]
    fn a_word_that_does_not_stand_there_is_noticed() {
        let span = crate::types::Span { start: 0, end: 1 };
        super::stands_there("abc", crate::syntax::ast::Spanned { node: "b", span });
    }

    #[test]
    fn a_mistake_told_twice_is_noticed() {
        let (_, errors) = crate::syntax::parse("scenario s {\n p: write ? 1\n}\n");
        assert!(!errors.is_empty());
        assert!(super::once(&errors) && !super::once(&[errors.clone(), errors].concat()));
    }
}
