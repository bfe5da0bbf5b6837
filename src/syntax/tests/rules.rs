//! The grammar's own examples.

use pest::Parser;

use crate::syntax::grammar::{CowParser, Rule, kind_of};

const GRAMMAR: &str = include_str!("../../../grammar/cow.pest");

/// Each rule with the comment above it.
fn examples() -> Vec<(&'static str, &'static str)> {
    let lines: Vec<&str> = GRAMMAR.lines().collect();
    let rule = |at: usize| lines[at].split_once(" = ").map(|(name, _)| (name, at));
    let rules = (0..lines.len()).filter(|at| !lines[*at].starts_with("//")).filter_map(rule);
    rules.map(|(name, at)| (name, lines[at - 1].strip_prefix("// ").unwrap_or_default())).collect()
}

/// Rules that look at what follows, so that their example needs a tail: a word, a dot.
fn tail(rule: Rule) -> &'static str {
    match rule {
        Rule::owner => ".b",
        Rule::from => "..",
        _ => "",
    }
}

#[test]
fn each_rule_has_an_example_and_accepts_it() {
    let examples = examples();
    let all: Vec<&Rule> = Rule::all_rules().iter().filter(|rule| **rule != Rule::EOI).collect();
    assert_eq!(examples.len(), all.len());
    for rule in all {
        let name = format!("{rule:?}");
        let (_, example) = examples.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no rule `{name}`"));
        assert!(!example.is_empty(), "`{name}` has no example");
        let example = if *rule == Rule::b { " " } else { example };
        let text = format!("{example}{}", tail(*rule));
        let pairs = CowParser::parse(*rule, &text).unwrap_or_else(|error| panic!("`{name}` refuses its example:\n{error}"));
        // A silent rule has no pair of its own; its example is judged by the rules that use it.
        for pair in pairs.filter(|pair| pair.as_rule() == *rule) {
            assert_eq!(pair.as_str(), example, "`{name}` takes a part of its example only");
        }
    }
}

#[test]
fn tokens_are_cut_where_the_language_page_says() {
    let accepts = |rule: Rule, text: &str| match CowParser::parse(rule, text) {
        Ok(mut pairs) => pairs.next().is_some_and(|pair| pair.as_str() == text),
        Err(_) => false,
    };
    for word in ["a", "linux-5.9", "a_b-c2", "B15", "EBUSY", "x-1.2.3", "a_"] {
        assert!(accepts(Rule::verb, word), "{word}");
    }
    for no_word in ["", "1a", "_a", "-a", "a-", "a--b", "a.b", "a.", "\u{e4}", "a b"] {
        assert!(!accepts(Rule::verb, no_word), "{no_word}");
    }
    for value in ["0", "00", "0xcF", "\"\"", "\"a\\\"\\\\\\x00\"", "\"\u{e4} #;{}\""] {
        assert!(accepts(Rule::value, value), "{value}");
    }
    for no_value in ["", "0x", "0xg", "1a", "1_", "-1", "\"", "\"a", "\"\\n\"", "\"\\x0\"", "a"] {
        assert!(!accepts(Rule::value, no_value), "{no_value}");
    }
    for address in ["b", "b[3]", "b[n]", "b[..]", "b[0..]", "b[..n]", "b[n..4]+8", "c.b+n", "c.b[1]"] {
        assert!(accepts(Rule::address, address), "{address}");
    }
    for no_address in ["b[]", "b[3", "b[3] ", "b [3]", "b+", ".b", "a.b.c", "b[0...4]", "b[0 ..4]", "b[-1]"] {
        assert!(!accepts(Rule::address, no_address), "{no_address}");
    }
    for range in ["..a", "a..", "linux-5.9..linux-5.17"] {
        assert!(accepts(Rule::policy_range, range), "{range}");
    }
    for no_range in ["..", "a", "a...b", "a .. b"] {
        assert!(!accepts(Rule::policy_range, no_range), "{no_range}");
    }
}

#[test]
fn every_kind_of_node_but_braces_and_layout_comes_from_a_rule() {
    let made: Vec<_> = Rule::all_rules().iter().filter_map(|rule| kind_of(*rule)).map(|kind| kind as u8).collect();
    let (first, last) = (crate::syntax::tree::Kind::Scenario as u8, crate::syntax::tree::Kind::Key as u8);
    let broken = crate::syntax::tree::Kind::Broken as u8;
    assert!((first..=last).all(|kind| kind == broken || made.contains(&kind)));
}
