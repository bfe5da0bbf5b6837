use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::types::Span;

/// Bytes between two entries of a line index.
const BLOCK_BYTES: usize = 1 << 14;
/// Bytes that are shown in one piece; of more only what lies around the place, for a line may be as long as its file.
const SHOWN_BYTES_MAX: usize = 4096;
/// Bytes shown on either side then.
const CONTEXT_BYTES: usize = 160;

/// A text and the name people know it by, with a line index that stays small however large the text is.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The path as it was given; `-` for standard input.
    pub path: String,
    /// The text.
    pub text: String,
    /// Line ends before each [`BLOCK_BYTES`] of the text.
    lines_before: Vec<u32>,
}

/// Where something stands, as people count: from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl Source {
    /// A text under a name.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut lines = 0;
        let mut lines_before = Vec::with_capacity(text.len() / BLOCK_BYTES + 1);
        for block in text.as_bytes().chunks(BLOCK_BYTES) {
            lines_before.push(lines);
            lines += count_lines(block);
        }
        Self { path: path.into(), text, lines_before }
    }

    /// Where the byte `at` stands; past the end, where the end stands.
    ///
    /// # Example
    /// ```
    /// use cowl::diag::{Place, Source};
    /// let source = Source::new("a.cow", "one\ntwo\n");
    /// assert_eq!(source.place(5), Place { line: 2, column: 2 });
    /// ```
    pub fn place(&self, at: u32) -> Place {
        let at = self.floor(at as usize);
        let start = self.line_start(at);
        let column = self.text[start..at].chars().count() + 1;
        Place { line: self.lines_to(at) + 1, column: u32::try_from(column).unwrap_or(u32::MAX) }
    }

    /// The text of a span, on one line: runs of white space and line ends are one space.
    pub fn statement(&self, span: Span) -> String {
        let (start, end) = (self.floor(span.start as usize), self.floor(span.end as usize));
        self.text[start..end.max(start)].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Line ends before a byte.
    fn lines_to(&self, at: usize) -> u32 {
        let block = at / BLOCK_BYTES;
        match self.lines_before.get(block) {
            Some(before) => before + count_lines(&self.text.as_bytes()[block * BLOCK_BYTES..at]),
            None => self.lines_before.last().map_or(0, |before| {
                before + count_lines(&self.text.as_bytes()[(self.lines_before.len() - 1) * BLOCK_BYTES..at])
            }),
        }
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end)
    }

    /// The first byte of the character that `at` lies in.
    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

fn count_lines(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// What miette shows of a text: whole lines, but of a very long line only what lies around the place.
impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let from = self.floor(span.offset());
        let to = self.floor(span.offset().saturating_add(span.len())).max(from);
        let mut start = self.line_start(from);
        let mut end = self.line_end(to);
        for _ in 0..context_lines_before {
            start = if start == 0 { 0 } else { self.line_start(start - 1) };
        }
        for _ in 0..context_lines_after {
            end = if end == self.text.len() { end } else { self.line_end(end + 1) };
        }
        if SHOWN_BYTES_MAX < end - start {
            let to = to.min(from + SHOWN_BYTES_MAX / 2);
            start = start.max(self.floor(from.saturating_sub(CONTEXT_BYTES)));
            end = end.min(self.floor(to + CONTEXT_BYTES));
        }
        let shown = SourceSpan::from((start, end - start));
        let (line, column) = (self.lines_to(start), self.place(u32::try_from(from).unwrap_or(u32::MAX)).column - 1);
        let lines = count_lines(&self.text.as_bytes()[start..end]) + 1;
        Ok(Box::new(MietteSpanContents::new_named(
            self.path.clone(),
            &self.text.as_bytes()[start..end],
            shown,
            line as usize,
            if context_lines_before == 0 { column as usize } else { 0 },
            lines as usize,
        )))
    }
}
