//! What holds of any text whatever.

use miette::Diagnostic;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::examples::ALL;
use super::layout::laid_out;
use crate::syntax::{ERRORS_MAX, format, parse};
use crate::types::Span;

/// Bits of text that mean something somewhere.
const BITS: [&str; 64] = [
    "scenario ",
    "prepare ",
    "policy ",
    "use ",
    "race ",
    "title ",
    "origin ",
    "system ",
    "expect ",
    "assert ",
    "over ",
    "on ",
    "{",
    "}",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ":",
    ",",
    "=",
    "==",
    "!=",
    "->",
    "..",
    "+",
    ".",
    "/",
    "-",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\t",
    " ",
    " ",
    "# why",
    "\"old\"",
    "\"",
    "\\",
    "0x",
    "12",
    "0xcf",
    "p",
    "child",
    "p: write b 1",
    "a.b[0..4]+8",
    "linux-5.9..",
    "all",
    "not ",
    "shares ",
    "copies 2",
    " or ",
    "never ",
    "fails EBUSY",
    "event wp",
    "\u{feff}",
    "\u{e4}",
    "\u{201c}",
    "_",
    "//",
];

/// No text makes these fail.
fn check(text: &str) {
    let (file, errors) = parse(text);
    let fits = |from: usize, to: usize| text.get(from..to).is_some();
    let in_text = |span: Span| fits(span.start as usize, span.end as usize);
    assert!(errors.len() <= ERRORS_MAX + 1);
    for error in &errors {
        assert!(in_text(error.span()), "{error:?}");
        for label in error.labels().into_iter().flatten() {
            assert!(fits(label.offset(), label.offset() + label.len()), "{error:?}");
        }
        assert!(error.code().is_some() && error.help().is_some(), "{error:?}");
    }
    assert!(file.all().nodes.iter().all(|node| in_text(node.span)), "{file:?}");
    // Making the tree's types visits every word; a number or a value that does not fit would panic.
    let items: Vec<_> = file.items().map(|item| (item.broken, format!("{item:?}"))).collect();
    match errors.is_empty() {
        true => {
            assert!(items.iter().all(|(broken, _)| !broken));
            laid_out(text);
        }
        // Its caller must not ask; it must not panic all the same.
        false => drop(format(&file)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_soup_of_words_is_read(bits in vec(select(&BITS[..]), 0..40)) {
        check(&bits.concat());
    }

    #[test]
    fn any_damaged_example_is_read(example in select(&ALL[..]), cuts in vec((any::<Index>(), 0..4usize, select(&BITS[..])), 1..4)) {
        let mut text = example.to_string();
        for (at, cut, bit) in cuts {
            let from = at.index(text.len());
            let to = (from + cut).min(text.len());
            if text.is_char_boundary(from) && text.is_char_boundary(to) {
                text.replace_range(from..to, bit);
            }
        }
        check(&text);
    }

    #[test]
    fn any_lines_that_are_fine_are_laid_out(lines in vec(select(&LINES[..]), 0..12), one_line: bool) {
        let text = match one_line {
            true => format!("scenario a {{ {} }}\n", lines.join(" ; ").replace('\n', "")),
            false => format!("scenario a {{\n{}\n}}\n", lines.join("\n")),
        };
        check(&text);
    }
}

/// Lines without mistakes, where they stand alone in a scenario.
const LINES: [&str; 16] = [
    "p: write b 1",
    "child/2: read b[0..4]+8 == \"old\" or 7 fails EBUSY",
    "  p : pin b rw->nic",
    "",
    "\n",
    "race { p: x ; q: y }",
    "race {\np: x\n\nq/2: yy\n}",
    "title \"a\"",
    "origin \"b; c\"",
    "expect ok on all \"why\"",
    "expect never copies 2 on ..linux-5.7,\n my-split over k(1 , n), l",
    "expect sometimes lost on linux-5.9..linux-5.17, linux-5.10-stable, linus-2021, andrea-2021, gunthorpe-2021 over base-page \"a long one\"",
    "assert p.b not shares c.b on linux-5.8..",
    "assert copies==1",
    "use over(p)",
    "system swap 8 zram",
];

#[test]
fn a_text_with_a_mistake_in_every_line_stops_at_the_bound() {
    check(&"p: read b ==\n".repeat(ERRORS_MAX * 2));
    check(&"\u{201c}\n".repeat(ERRORS_MAX * 2));
}

#[test]
fn a_refused_path_with_a_letter_behind_a_backslash_is_read() {
    check("use \\\u{feff}");
}
