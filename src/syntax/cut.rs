//! Cuts a text at line ends, semicolons, braces and comments. Strings and lists that go on behind a comma are left whole.

use crate::types::Span;

/// What lies between two cuts, or the cut itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// A head or a statement, without blanks around it.
    Piece,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `;`
    Semicolon,
    /// `# …` up to the line end.
    Comment {
        /// Nothing stands before it on its line.
        first: bool,
    },
    /// The end of a line that has something on it.
    LineEnd,
    /// One or more empty lines.
    Blank,
}

/// Goes through a text once, from cut to cut.
#[derive(Clone)]
pub(super) struct Cutter<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Nothing but blanks since the line began.
    first: bool,
    /// A brace was opened on this line.
    opened: bool,
}

impl<'a> Cutter<'a> {
    /// A cutter that stands at `at`.
    pub fn new(text: &'a str, at: usize) -> Self {
        Self { bytes: text.as_bytes(), at, first: true, opened: false }
    }

    /// An opening brace is next on the line.
    pub fn at_brace(&self) -> bool {
        self.byte(self.skip_blanks(self.at)) == b'{'
    }

    /// The opening brace that is next on the line.
    pub fn take_brace(&mut self) -> Option<Span> {
        self.at_brace().then(|| self.next()).flatten().map(|(_, brace)| brace)
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b'\n')
    }

    fn is_blank(&self, at: usize) -> bool {
        match self.byte(at) {
            b' ' | b'\t' => at < self.bytes.len(),
            b'\r' => self.byte(at + 1) == b'\n',
            _ => false,
        }
    }

    fn skip_blanks(&self, mut at: usize) -> usize {
        while self.is_blank(at) {
            at += 1;
        }
        at
    }

    fn line_end(&self, from: usize) -> usize {
        self.bytes[from..].iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |len| from + len)
    }

    /// The end of what stands between two places, without the blanks before it.
    fn trim(&self, from: usize, mut to: usize) -> usize {
        while from < to && matches!(self.bytes[to - 1], b' ' | b'\t' | b'\r') {
            to -= 1;
        }
        to
    }

    /// The end of a string: behind its closing quote, or the line end where it has none. Then a brace at the line end still
    /// closes a block that the line opened.
    fn string_end(&self, open: usize) -> usize {
        let mut at = open + 1;
        while at < self.bytes.len() {
            match self.bytes[at] {
                b'"' => return at + 1,
                b'\n' => break,
                b'\\' if self.byte(at + 1) != b'\n' => at += 2,
                _ => at += 1,
            }
        }
        let end = self.trim(open, at.min(self.bytes.len()));
        if self.opened && self.bytes[end - 1] == b'}' { end - 1 } else { end }
    }

    /// The end of a piece. A list that ends its line with a comma goes on in the next.
    fn piece_end(&self, from: usize) -> usize {
        let mut at = from;
        let mut last = from;
        while at < self.bytes.len() {
            match self.bytes[at] {
                b';' | b'{' | b'}' => break,
                b'"' => {
                    at = self.string_end(at);
                    last = at;
                    continue;
                }
                b'#' | b'\n' if self.bytes[from..last].last() != Some(&b',') => break,
                b'#' | b'\n' => match self.goes_on(at) {
                    Some(next) => {
                        at = next;
                        continue;
                    }
                    None => break,
                },
                _ if self.is_blank(at) => {}
                _ => last = at + 1,
            }
            at += 1;
        }
        last
    }

    /// Where a list goes on that a line end or a comment interrupts; `None` where a new statement begins instead.
    fn goes_on(&self, mut at: usize) -> Option<usize> {
        loop {
            at = self.skip_blanks(at);
            match self.bytes.get(at)? {
                b'\n' => at += 1,
                b'#' => at = self.line_end(at),
                b'{' | b'}' | b';' => return None,
                _ => return (!begins_line(&self.bytes[at..])).then_some(at),
            }
        }
    }

    fn blank_lines(&mut self) {
        loop {
            let end = self.skip_blanks(self.at);
            if self.bytes.get(end) != Some(&b'\n') {
                return;
            }
            self.at = end + 1;
        }
    }
}

impl Iterator for Cutter<'_> {
    type Item = (Cut, Span);

    fn next(&mut self) -> Option<(Cut, Span)> {
        let from = self.skip_blanks(self.at);
        let first = self.first;
        self.first = false;
        let (cut, to) = match *self.bytes.get(from)? {
            b'\n' => {
                self.at = from + 1;
                (self.first, self.opened) = (true, false);
                if first {
                    self.blank_lines();
                }
                return Some((if first { Cut::Blank } else { Cut::LineEnd }, span(from, from)));
            }
            b'#' => (Cut::Comment { first }, self.line_end(from)),
            b'{' => (Cut::Open, from + 1),
            b'}' => (Cut::Close, from + 1),
            b';' => (Cut::Semicolon, from + 1),
            _ => (Cut::Piece, self.piece_end(from)),
        };
        self.at = to;
        self.opened |= cut == Cut::Open;
        let to = if matches!(cut, Cut::Comment { .. }) { self.trim(from, to) } else { to };
        Some((cut, span(from, to)))
    }
}

/// A span of two places; the reader refuses texts that a span cannot hold.
pub(super) fn span(start: usize, end: usize) -> Span {
    let place = |at: usize| u32::try_from(at).expect("cowl bug: a text past 4 GiB");
    Span { start: place(start), end: place(end) }
}

/// The word that a piece begins with; empty where it begins with none.
pub(super) fn first_word(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')));
    &bytes[..len.unwrap_or(bytes.len())]
}

/// Words that begin an item.
pub(super) const ITEMS: [&str; 4] = ["scenario", "prepare", "policy", "use"];

/// Words that begin a line which no actor begins.
pub(super) const LINES: [&str; 7] = ["title", "origin", "system", "expect", "assert", "use", "race"];

/// What the first sign behind the first word of a piece says that the piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// `word:` or `word/2:`
    Action,
    /// `word =`
    Setting,
    /// A word of [`ITEMS`] or [`LINES`] that is neither.
    Keyword,
    /// Anything else.
    Other,
}

/// Looks at the first word of a piece and at what follows it.
pub(super) fn shape(bytes: &[u8]) -> Shape {
    let word = first_word(bytes);
    let mut rest = bytes[word.len()..].trim_ascii_start();
    if let Some(thread) = rest.strip_prefix(b"/") {
        let digits = thread.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        rest = thread[digits..].trim_ascii_start();
    }
    match rest {
        _ if word.is_empty() => Shape::Other,
        [b':', ..] => Shape::Action,
        [b'=', b'=', ..] => Shape::Other,
        [b'=', ..] => Shape::Setting,
        _ if ITEMS.iter().chain(&LINES).any(|keyword| keyword.as_bytes() == word) => Shape::Keyword,
        _ => Shape::Other,
    }
}

/// A line that begins like this does not go on with the list before it.
fn begins_line(bytes: &[u8]) -> bool {
    let line = &bytes[..bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())];
    shape(line) != Shape::Other
}

/// An item begins here, also where a brace before it was never closed.
pub(super) fn begins_item(bytes: &[u8]) -> bool {
    let word = first_word(bytes);
    let rest = &bytes[word.len()..];
    match word {
        b"use" => rest.trim_ascii_start().starts_with(b"\""),
        b"scenario" | b"prepare" | b"policy" => {
            shape(bytes) == Shape::Keyword && rest.first().is_none_or(|byte| *byte == b' ' || *byte == b'\t')
        }
        _ => false,
    }
}
