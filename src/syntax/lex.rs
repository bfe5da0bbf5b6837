//! The words and signs of a piece, for saying what is wrong with it. Reading a text without mistakes does not come here.

use super::cut;
use super::error::SyntaxError;
use crate::types::Span;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Word,
    Number,
    String,
    /// `:`, `->`, `==`, `..` and the like.
    Sign,
}

/// A word or a sign of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub sort: Sort,
    pub text: &'a str,
    pub span: Span,
    /// Blanks stand before it.
    pub apart: bool,
}

impl Token<'_> {
    pub fn is(&self, text: &str) -> bool {
        self.sort != Sort::String && self.text == text
    }
}

/// Signs, longer ones first.
const SIGNS: [&str; 17] = ["->", "==", "!=", "<=", ">=", "..", ":", "=", ",", "(", ")", "[", "]", "+", ".", "/", "<"];

/// Cuts a piece that begins at byte `base` into tokens.
///
/// # Errors
/// The first thing that is no token.
pub(super) fn tokens(piece: &str, base: u32) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
        let span = |len: usize| Span { start: base + at as u32, end: base + (at + len) as u32 };
        let skip = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        if 0 < skip {
            at += skip;
            continue;
        }
        if rest.starts_with('#') {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (sort, len) = token(rest, span(0).start)?;
        let apart = piece[..at].ends_with([' ', '\t', '\r', '\n']);
        tokens.push(Token { sort, text: &rest[..len], span: span(len), apart });
        at += len;
    }
    Ok(tokens)
}

/// The sort and the length of the token that a text begins with.
fn token(rest: &str, base: u32) -> Result<(Sort, usize), SyntaxError> {
    let span = |len: usize| Span { start: base, end: base + len as u32 };
    let first = rest.chars().next().unwrap_or_default();
    if first == '"' {
        return string(rest, base).map(|len| (Sort::String, len));
    }
    if first.is_ascii_alphabetic() {
        return Ok((Sort::Word, word_len(rest)));
    }
    if first.is_ascii_digit() {
        return number(rest, base).map(|len| (Sort::Number, len));
    }
    if let Some(found) = ["//", "/*", "--"].into_iter().find(|start| rest.starts_with(start)) {
        return Err(SyntaxError::Comment { found: found.into(), at: span(found.len()) });
    }
    match SIGNS.into_iter().find(|sign| rest.starts_with(sign) && *sign != "<") {
        Some(sign) => Ok((Sort::Sign, sign.len())),
        None if first == '_' || first == '-' => {
            let len = 1 + rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(rest.len() - 1);
            let help = "begin a name with a letter; letters, digits, `_` and `-` may follow".into();
            Err(SyntaxError::Name { found: rest[..len].into(), at: span(len), help })
        }
        None => Err(character(first, span(first.len_utf8()))),
    }
}

/// The length of the word that a text begins with: as the grammar has it.
fn word_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let follows = |at: usize, fits: fn(&u8) -> bool| bytes.get(at).is_some_and(fits);
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => at += 1,
            b'-' if follows(at + 1, u8::is_ascii_alphanumeric) => at += 2,
            b'.' if follows(at + 1, u8::is_ascii_digit) => at += 2,
            _ => break,
        }
    }
    at
}

fn number(text: &str, base: u32) -> Result<usize, SyntaxError> {
    let len = cut::first_word(text.as_bytes()).len();
    let run = &text[..text[..len].find(['.', '-']).unwrap_or(len)];
    let at = Span { start: base, end: base + run.len() as u32 };
    let wrong = |help: String| Err(SyntaxError::Number { found: run.into(), at, help });
    if let Some(hex) = run.strip_prefix("0x").or(run.strip_prefix("0X")) {
        return match hex {
            _ if run.starts_with("0X") => wrong(format!("write a small `x`: `0x{hex}`")),
            "" => wrong("write hexadecimal digits behind `0x`, as in `0xcf`".into()),
            _ if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(run.len()),
            _ => wrong("use the digits `0` to `9` and `a` to `f` behind `0x`".into()),
        };
    }
    match run.find(|c: char| !c.is_ascii_digit()) {
        None => Ok(run.len()),
        Some(digits) if run[digits..].starts_with('_') => wrong(format!("write the digits in one: `{}`", run.replace('_', ""))),
        Some(digits) => {
            let (number, word) = run.split_at(digits);
            wrong(format!("put a space behind the number: `{number} {word}`; or begin the name with a letter"))
        }
    }
}

fn string(text: &str, base: u32) -> Result<usize, SyntaxError> {
    let place = |from: usize, to: usize| Span { start: base + from as u32, end: base + to as u32 };
    let mut at = 1;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(escape) = rest.strip_prefix('\\') else {
            let c = rest.chars().next().unwrap_or_default();
            at += c.len_utf8();
            match c {
                '"' => return Ok(at),
                '\n' => break,
                _ => continue,
            }
        };
        let hex =
            escape.strip_prefix('x').and_then(|hex| hex.get(..2)).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match escape.chars().next() {
            Some('"' | '\\') => at += 2,
            Some('x') if hex => at += 4,
            Some(c) if c != '\n' => {
                let found = &rest[..1 + c.len_utf8()];
                return Err(SyntaxError::Escape { found: found.into(), at: place(at, at + found.len()) });
            }
            _ => break,
        }
    }
    let end = text.lines().next().unwrap_or_default().trim_end().len().max(1);
    Err(SyntaxError::StringWithoutEnd { open: place(0, 1), end: place(end, end) })
}

/// A letter that no token begins with, and what was probably meant.
fn character(found: char, at: Span) -> SyntaxError {
    let help = match found {
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => "write a straight quote: `\"`".into(),
        '\'' | '\u{2018}' | '\u{2019}' | '`' => "put text between double quotes: `\"old\"`".into(),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "write a plain `-`".into(),
        '\u{2026}' => "write two dots: `..`".into(),
        '\u{2192}' | '\u{21d2}' => "write `->`".into(),
        '\u{2260}' => "write `!=`".into(),
        '\u{2264}' => "write `<=`".into(),
        '\u{2265}' => "write `>=`".into(),
        '\u{a0}' | '\u{2002}'..='\u{200b}' | '\u{3000}' | '\u{feff}' => "replace it by a plain space".into(),
        '<' | '>' => "write `<=`, `>=`, `==` or `!=`; a name for a result stands behind `->`".into(),
        '!' => "write `!=` in a claim, `not` in an assertion".into(),
        '*' => "name the memory without it: a range is written `buf[0..4]`".into(),
        c if c.is_alphabetic() => "use the letters `a` to `z` in names; other letters may stand in strings and comments".into(),
        _ => "take it away; comments begin with `#`, text stands between double quotes".into(),
    };
    let found = if found.is_control() || found.is_whitespace() { found.escape_unicode().to_string() } else { found.into() };
    SyntaxError::Character { found, at, help }
}
