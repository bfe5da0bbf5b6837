//! What a number and a string mean. The grammar has accepted them; so these cannot fail on what it gives.

use std::borrow::Cow;

use crate::types::Value;

/// The number that a token says; `None` past 64 bits.
pub(super) fn number(token: &str) -> Option<u64> {
    match token.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => token.parse().ok(),
    }
}

/// The value that a token says; `None` for a number past 64 bits or a string of more than 8 bytes.
pub(super) fn value(token: &str) -> Option<Value> {
    if !token.starts_with('"') {
        return number(token).map(Value::number);
    }
    Value::text(&bytes(token))
}

/// The bytes of a string with its escapes resolved.
pub(super) fn bytes(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8);
    for piece in Pieces(inner(token)) {
        match piece {
            Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
    }
    bytes
}

/// [`number`] of a token of the tree.
pub(super) fn number_of(token: &str) -> u64 {
    number(token).expect("cowl bug: a number past 64 bits in the tree")
}

/// [`value`] of a token of the tree.
pub(super) fn value_of(token: &str) -> Value {
    value(token).expect("cowl bug: a value past 8 bytes in the tree")
}

/// Free text with its escapes resolved; `\xNN` is the character of that number.
pub(super) fn text_of(token: &str) -> Cow<'_, str> {
    let inner = inner(token);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    for piece in Pieces(inner) {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Byte(byte) => text.push(byte.into()),
        }
    }
    Cow::Owned(text)
}

/// What stands between the quotes.
fn inner(token: &str) -> &str {
    token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(token)
}

/// A part of a string.
enum Piece<'a> {
    Plain(&'a str),
    Byte(u8),
}

/// The parts of what stands between the quotes of a string.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.0;
        let Some(escape) = rest.strip_prefix('\\') else {
            let end = rest.find('\\').unwrap_or(rest.len());
            self.0 = &rest[end..];
            return (end != 0).then_some(Piece::Plain(&rest[..end]));
        };
        let hex = escape.strip_prefix('x').and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        // Text that the grammar refused comes here too: the path of a `use` that is kept for its place. What is no escape is itself.
        let len = if hex.is_some() { 3 } else { escape.chars().next()?.len_utf8() };
        self.0 = &escape[len..];
        Some(hex.map_or(Piece::Plain(&escape[..len]), Piece::Byte))
    }
}
