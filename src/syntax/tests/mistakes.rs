//! Which mistakes are found, where they are said to be, and that none hides another.

use miette::Diagnostic;

use crate::syntax::{ERRORS_MAX, LINE_BYTES_MAX, SyntaxError, parse};

/// The last part of each mistake's code, and the text it points at.
pub(super) fn found(text: &str) -> Vec<(String, &str)> {
    let (_, errors) = parse(text);
    let code = |error: &SyntaxError| {
        let code = error.code().expect("every mistake has a code").to_string();
        code.strip_prefix("cowl::syntax::").expect("codes begin with the layer").to_string()
    };
    errors.iter().map(|error| (code(error), &text[error.span().start as usize..error.span().end as usize])).collect()
}

fn check(table: &[(&str, &[(&str, &str)])]) {
    for (text, mistakes) in table {
        let found = found(text);
        let found: Vec<(&str, &str)> = found.iter().map(|(code, at)| (code.as_str(), *at)).collect();
        assert_eq!(found, *mistakes, "{text}");
        assert!(parse(text).1.iter().all(|error| error.help().is_some()), "a mistake without help: {text}");
    }
}

/// Checks lines of a scenario, each with one mistake.
fn check_lines(table: &[(&str, (&str, &str))]) {
    for (line, mistake) in table {
        check(&[(&format!("scenario a {{\n    {line}\n    p: read b\n}}\n"), &[*mistake])]);
    }
}

#[test]
fn letters_and_words() {
    check_lines(&[
        ("p: write b \u{201c}old\u{201d}", ("character", "\u{201c}")),
        ("p: write b 'old'", ("character", "'")),
        ("p: pin b \u{2013}> nic", ("character", "\u{2013}")),
        ("p: pin b \u{2192} nic", ("character", "\u{2192}")),
        ("p: write b\u{e4}r 1", ("character", "\u{e4}")),
        ("p: write b > 1", ("character", ">")),
        ("p: write b 1 // why", ("comment", "//")),
        ("/* p: write b 1", ("comment", "/*")),
        ("p: write b \"old", ("string_without_end", "\"")),
        ("p: write b \"old\\", ("string_without_end", "\"")),
        ("p: write b \"o\\ld\"", ("escape", "\\l")),
        ("p: write b \"o\\x1\"", ("escape", "\\x")),
        ("title \"a\\n\"", ("escape", "\\n")),
        ("p: write b \"ninebytes\"", ("long_value", "\"ninebytes\"")),
        (
            "p: write b \"\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\x09\"",
            ("long_value", "\"\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\x09\""),
        ),
        ("p: write b 18446744073709551616", ("large_number", "18446744073709551616")),
        ("p: write b[0x10000000000000000] 1", ("large_number", "0x10000000000000000")),
        ("p: write b 0x", ("number", "0x")),
        ("p: write b 0xfg", ("number", "0xfg")),
        ("p: write b 0XF", ("number", "0XF")),
        ("p: write b 1_000", ("number", "1_000")),
        ("p: mmap b 12abc", ("number", "12abc")),
        ("p: mmap _b 1 page", ("name", "_b")),
        ("p: mmap -b 1 page", ("name", "-b")),
        ("p: mmap b- 1 page", ("name", "-")),
    ]);
}

#[test]
fn addresses_and_claims() {
    check_lines(&[
        ("p: read b[3", ("open_bracket", "[")),
        ("p: read b[3 == 1", ("open_bracket", "[")),
        ("p: read b[]", ("index", "[]")),
        ("p: read b [3]", ("space_in_address", "b [3]")),
        ("p: read b[3 ]", ("space_in_address", "b[3 ]")),
        ("p: read b[0 .. 4]", ("space_in_address", "b[0 .. 4]")),
        ("p: read b + 8 == 1", ("space_in_address", "b + 8")),
        ("p: poke c. b 1", ("space_in_address", "c. b")),
        ("p: read b = 1", ("single_equals", "=")),
        ("assert p.b refcount = 1", ("single_equals", "=")),
        ("p: read b ==", ("nothing_behind", "==")),
        ("p: read b == 1 or", ("nothing_behind", "or")),
        ("p: pin b ->", ("nothing_behind", "->")),
        ("p: pin b -> fails EBUSY EBUSY", ("unexpected", "EBUSY")),
        ("p: read b == 1 -> x", ("unexpected", "->")),
        ("p: read b == 1 c", ("unexpected", "c")),
        ("p: uffd move a, b", ("unexpected", ",")),
    ]);
}

#[test]
fn lines() {
    check_lines(&[
        ("mmap b 1 page", ("missing_actor", "mmap")),
        (": mmap b 1 page", ("missing_actor", ":")),
        ("expct leak on all", ("missing_actor", "expct")),
        ("kernel pageout p.b", ("missing_colon", "kernel")),
        ("p/2 read b", ("missing_colon", "p/2")),
        ("p:", ("missing_verb", ":")),
        ("p/x: read b", ("thread", "x")),
        ("\"p\": read b", ("unexpected", "\"p\"")),
        ("title a text", ("missing_quotes", "a text")),
        ("origin", ("incomplete", "origin")),
        ("title \"a\" \"b\"", ("unexpected", "\"b\"")),
        ("expect", ("incomplete", "expect")),
        ("expect ok on", ("nothing_behind", "on")),
        ("expect ok on all,", ("dangling_comma", ",")),
        ("expect ok on a, over k", ("dangling_comma", ",")),
        ("expect ok on a b", ("unexpected", "b")),
        ("expect ok over k on all", ("unexpected", "on")),
        ("expect ok on linux-5.8 .. linux-5.9", ("unexpected", "..")),
        ("assert p.b", ("incomplete", "b")),
        ("system", ("incomplete", "system")),
        ("use over", ("incomplete", "over")),
        ("use over(", ("open_bracket", "(")),
        ("use", ("nothing_behind", "use")),
    ]);
}

#[test]
fn an_actor_that_acted_before_lacks_the_colon_only() {
    check(&[("scenario a {\n p: read b\n p read b\n}", &[("missing_colon", "p")])]);
}

#[test]
fn blocks() {
    check(&[
        ("scenario a {\n p: read b\n", &[("missing_close", "{")]),
        ("scenario a {\n p: read b\nscenario c {\n p: read b\n}\n", &[("missing_close", "{")]),
        ("scenario a {\n p: read b\nuse \"x\"\npolicy c = d { }\n", &[("missing_close", "{")]),
        ("scenario a {\n p: read b\n}\n}\n", &[("stray_close", "}")]),
        ("scenario a {\n}\np: read b\nexpect ok\n}\n", &[("outside", "p: read b")]),
        ("scenario a\n p: read b\n}\n", &[("missing_open", "scenario a")]),
        ("scenario a\n{\n p: read b\n}\n", &[("missing_open", "scenario a")]),
        ("scenario a {\n p: read b {\n }\n}\n", &[("stray_open", "{")]),
        ("scenario a {\n foo {\n p: read b\n }\n}\n", &[("stray_open", "foo")]),
        ("{\n p: read b\n}\n", &[("stray_open", "{")]),
        ("scenario a {\n rase {\n p: read b\n }\n}\n", &[("unexpected", "rase")]),
        ("scenario a {\n race\n p: read b\n }\n}\n", &[("missing_open", "race")]),
        ("scenario a {\n race {\n p: read b\n race {\n q: read b\n }\n }\n}\n", &[("nested_race", "race")]),
        ("scenario a {\n race {\n p: read b\n expect ok\n}\n", &[("place", "expect ok")]),
        ("scenario a {\n race {\n p: read b\n expect ok\n }\n}\n", &[("place", "expect ok")]),
        ("scenario a {\n p: read b\n} p: read b\n", &[("behind_close", "p: read b")]),
        ("scenario a {\n} scenario b {\n}\n", &[("behind_close", "scenario b")]),
        ("scenario a { p: write b \"x }\nscenario b { p: read b }\n", &[("string_without_end", "\"")]),
        ("policy a = b {\n p: read b\n}\n", &[("place", "p: read b")]),
        ("prepare a(p) {\n title \"x\"\n}\n", &[("place", "title \"x\"")]),
        ("scenario a {\n knob = value\n}\n", &[("place", "knob = value")]),
        ("policy a = b {\n knob\n}\n", &[("incomplete", "knob")]),
        ("policy a = b {\n knob = 3d\n}\n", &[("number", "3d")]),
    ]);
}

#[test]
fn items() {
    check(&[
        ("senario a {\n p: read b\n}\n", &[("item", "senario")]),
        ("polcy a = b {\n knob = value\n}\n", &[("item", "polcy")]),
        ("hello\nworld\n", &[("item", "hello"), ("item", "world")]),
        ("expect ok\n", &[("outside", "expect ok")]),
        ("scenario {\n p: read b\n q\n}\n", &[("nothing_behind", "scenario"), ("missing_actor", "q")]),
        ("scenario 3d {\n}\n", &[("number", "3d")]),
        ("scenario \"a\" {\n}\n", &[("name", "\"a\"")]),
        ("scenario a.b {\n}\n", &[("name", "a.")]),
        ("scenario a b {\n}\n", &[("unexpected", "b")]),
        ("scenario a over {\n}\n", &[("nothing_behind", "over")]),
        ("scenario a over b,\n p: read b\n}\n", &[("missing_open", "scenario a over b,"), ("dangling_comma", ",")]),
        ("prepare a {\n}\n", &[("incomplete", "a")]),
        ("prepare a() {\n}\n", &[("unexpected", ")")]),
        ("prepare a(p {\n}\n", &[("open_bracket", "(")]),
        ("prepare a =\n", &[("nothing_behind", "=")]),
        ("policy a {\n}\n", &[("incomplete", "a")]),
        ("policy a = {\n}\n", &[("nothing_behind", "=")]),
        ("use kinds.cow\n", &[("missing_quotes", "kinds.cow")]),
        ("use \"kinds.cow\n", &[("string_without_end", "\"")]),
        ("use\n", &[("incomplete", "use")]),
    ]);
}

#[test]
fn a_mistake_hides_no_other() {
    let text = "senario one {\n p: read b ==\n}\n}\nscenario 2 {\n q: write b 0x\n mmap b\n race {\n p; q: x }\n";
    let codes: Vec<String> = found(text).into_iter().map(|(code, _)| code).collect();
    assert_eq!(
        codes,
        ["item", "nothing_behind", "stray_close", "name", "missing_close", "number", "missing_actor", "missing_actor"]
    );
}

#[test]
fn what_stands_around_a_mistake_is_in_the_tree() {
    let text = "scenario a {\n p: x\n oops\n p: y\n}\nprepare b(p { p: x }\nscenario c { p: z }\n";
    let (file, errors) = parse(text);
    assert_eq!(errors.len(), 2);
    let items: Vec<_> = file.items().map(|item| (item.broken, format!("{:?}", item.kind).matches("verb").count())).collect();
    assert_eq!(items, [(true, 2), (true, 1), (false, 1)]);
}

#[test]
fn bounds_are_said_and_kept() {
    let many = parse(&"oops\n".repeat(10 * ERRORS_MAX)).1;
    assert_eq!(many.len(), ERRORS_MAX + 1);
    assert!(matches!(many.last(), Some(SyntaxError::ManyMistakes { .. })));
    let long = format!("scenario a {{\n p: x {}\n}}\n", "y ".repeat(LINE_BYTES_MAX / 2));
    assert!(matches!(parse(&long).1[..], [SyntaxError::LongLine { .. }]));
    // Depth costs nothing: no rule of the grammar calls itself, and no reader does.
    for deep in ["{", "race {", "scenario a {", "(", "[", "use a("] {
        assert!(parse(&deep.repeat(100_000)).1.len() <= ERRORS_MAX + 1);
    }
}
