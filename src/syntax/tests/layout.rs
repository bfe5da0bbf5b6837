//! What `cowl fmt` does to a text, and what it never does.

use super::examples::ALL;
use crate::syntax::ast::File;
use crate::syntax::tree::Kind;
use crate::syntax::{format, parse};

/// The tree without places and layout.
fn outline<'a>(file: &'a File<'_>) -> Vec<(Kind, &'a str)> {
    let words = file.all().nodes.iter().filter(|node| !node.kind.is_layout());
    words.map(|node| (node.kind, if node.kind.is_word() { file.all().str(node.span) } else { "" })).collect()
}

/// The comments in order.
fn comments<'a>(file: &'a File<'_>) -> Vec<&'a str> {
    let comments = file.all().nodes.iter().filter(|node| matches!(node.kind, Kind::Comment | Kind::Behind));
    comments.map(|node| file.all().str(node.span)).collect()
}

/// Lays a text out, and checks what must hold of every text without mistakes.
pub(super) fn laid_out(text: &str) -> String {
    let (file, errors) = parse(text);
    assert_eq!(errors, [], "{text}");
    let laid = format(&file);
    let (again, errors) = parse(&laid);
    assert_eq!(errors, [], "laid out as\n{laid}");
    assert_eq!(outline(&again), outline(&file), "another tree:\n{laid}");
    assert_eq!(comments(&again), comments(&file), "other comments:\n{laid}");
    assert_eq!(format(&again), laid, "laying out twice is not laying out once");
    laid
}

#[test]
fn laying_out_keeps_the_tree_and_the_comments_of_the_corpus_and_is_idempotent() {
    for text in ALL {
        laid_out(text);
    }
    insta::glob!("../../../corpus", "**/*.cow", |path| {
        laid_out(&std::fs::read_to_string(path).expect("a file of the corpus can be read"));
    });
}

#[test]
fn the_examples_of_the_language_page_are_laid_out_but_for_blanks() {
    let words = |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    for text in ALL {
        assert_eq!(words(&laid_out(text)), words(text));
    }
    // The page leaves more room before some comments, and does not line up the actors of its last example.
    let changed = ALL.iter().filter(|text| laid_out(text) != **text).count();
    assert_eq!(changed, 2);
}

#[test]
fn each_layout_rule_holds() {
    let table = [
        // Indent, blanks and line ends.
        ("scenario a{\r\n\tp:mmap   buf 1 page\r\n\r\n\r\n}\r\n", "scenario a {\n    p: mmap buf 1 page\n}\n"),
        ("\u{feff}# only\n\n\n# comments\n\n", "# only\n\n# comments\n"),
        ("", ""),
        ("scenario a {\n}\nscenario b { }", "scenario a {\n}\nscenario b { }\n"),
        // Signs.
        ("scenario a {\np:read buf==1 or \"x\"\n}", "scenario a {\n    p: read buf == 1 or \"x\"\n}\n"),
        ("scenario a {\np : get b ro->r fails EBUSY\n}", "scenario a {\n    p: get b ro -> r fails EBUSY\n}\n"),
        ("policy a=b{x=y,z}\n", "policy a = b { x = y, z }\n"),
        ("prepare a(p,n){use b( p ,4)}\n", "prepare a(p, n) { use b(p, 4) }\n"),
        ("prepare a=b(1),c\n", "prepare a = b(1), c\n"),
        ("use\"x.cow\"# y\n", "use \"x.cow\"  # y\n"),
        // Below each other.
        ("scenario a {\np: x\nchild/2: y\n\nq: z\n}", "scenario a {\n    p:       x\n    child/2: y\n\n    q: z\n}\n"),
        (
            "scenario a {\nexpect ok on all \"x\"\nexpect never lost on b over c \"y\"\n}",
            "scenario a {\n    expect ok         on all      \"x\"\n    expect never lost on b over c \"y\"\n}\n",
        ),
        ("prepare a(p) { p: x }\nprepare bcd(p) {p: x}\n", "prepare a(p)   { p: x }\nprepare bcd(p) { p: x }\n"),
        // Semicolons join where the author joined.
        ("scenario a {\np: x;p: y\np: z ;\n}", "scenario a {\n    p: x ; p: y\n    p: z\n}\n"),
        ("scenario a { race { p: x ; q: y } ; p: z }", "scenario a {\n    race { p: x ; q: y }\n    p: z\n}\n"),
        // Comments.
        (
            "scenario a { # one\np: x # two\n# three\nq: longer # four\n} # five",
            "scenario a {  # one\n    p: x  # two\n    # three\n    q: longer  # four\n}  # five\n",
        ),
        (
            "scenario a {\nexpect ok on b, # why\n# and\nc,\n\nd over e\n}",
            "scenario a {\n    expect ok on b,  # why\n                 # and\n                 c,\n                 d over e\n}\n",
        ),
    ];
    for (text, laid) in table {
        assert_eq!(laid_out(text), laid, "{text}");
    }
}

#[test]
fn a_long_line_is_broken_behind_a_comma_and_a_long_block_into_lines() {
    let long = (0..12).map(|n| format!("linux-5.{n}-or-so")).collect::<Vec<_>>().join(", ");
    let laid = laid_out(&format!("scenario a {{ p: x ; expect ok on {long} }}"));
    assert_eq!(laid.lines().next(), Some("scenario a {"));
    assert!(laid.lines().all(|line| line.len() <= crate::syntax::WIDTH_MAX), "{laid}");
    // A joined line is not broken: once broken it could not be joined again.
    let joined = format!("expect ok on {} ; p: write b 1", ["linux-5.8"; 8].join(", "));
    assert_eq!(laid_out(&format!("scenario a {{\n{joined}\nexpect never copies 2 on all\n}}")).lines().count(), 4);
    let statements = ["p: write buf 1"; 12].join(" ; ");
    assert_eq!(laid_out(&format!("scenario a {{\n{statements}\n}}")).lines().count(), 14);
}
