//! Rows of words to lines of text: what lines up with what, and where a long list is broken.

use super::words::{Align, Bit, Statement};

/// Columns that a line should fit into.
pub const WIDTH_MAX: usize = 128;

/// Blanks before a line of a block, for each block around it.
pub(super) const INDENT: usize = 4;

/// Blanks before a comment behind something, at least.
const COMMENT_GAP: usize = 2;

/// Columns before a reason that others line up with; a longer list keeps its reason close.
const REASON_MAX: usize = 56;

/// A line to be.
#[derive(Clone, Debug)]
pub(super) enum Row<'a> {
    Blank,
    Comment {
        depth: usize,
        text: &'a str,
    },
    /// `}`
    Close {
        depth: usize,
        comment: Option<&'a str>,
    },
    Line {
        depth: usize,
        statement: Statement<'a>,
        comment: Option<&'a str>,
        /// It opens a block that has lines of its own.
        opens: bool,
    },
}

/// The rows as text.
pub(super) fn emit(rows: Vec<Row<'_>>) -> String {
    let rows = without_idle_blanks(rows);
    let pads = pads(&rows);
    let mut lines: Vec<Line<'_>> = rows.iter().zip(&pads).map(|(row, pad)| line(row, *pad)).collect();
    line_up_comments(&mut lines);
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.text);
        if let Some(comment) = line.comment {
            text.extend(std::iter::repeat_n(' ', line.gap));
            text.push_str(comment);
        }
        text.push('\n');
    }
    text
}

/// At most one empty line, and none at the edges of the file or of a block.
fn without_idle_blanks(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut kept: Vec<Row<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        let edge = match kept.last() {
            None | Some(Row::Blank | Row::Line { opens: true, .. }) => true,
            Some(Row::Comment { .. } | Row::Close { .. } | Row::Line { .. }) => false,
        };
        if matches!(row, Row::Blank) && edge {
            continue;
        }
        if matches!((&row, kept.last()), (Row::Close { .. }, Some(Row::Blank))) {
            kept.pop();
        }
        kept.push(row);
    }
    if let Some(Row::Blank) = kept.last() {
        kept.pop();
    }
    kept
}

/// The columns that a row is padded to.
#[derive(Clone, Copy, Default)]
struct Pad {
    /// Width of what stands first.
    lead: usize,
    /// Width of what stands before a reason, indent apart.
    reason: usize,
}

/// The paddings of each row. Rows line up with those of their sort in the same paragraph: up to an empty line or a block.
fn pads(rows: &[Row<'_>]) -> Vec<Pad> {
    let mut pads = vec![Pad::default(); rows.len()];
    let mut from = 0;
    while from < rows.len() {
        let depth = depth(&rows[from]);
        let len = rows[from..].iter().take_while(|row| depth.is_some() && self::depth(row) == depth).count();
        pad_paragraph(&rows[from..from + len], &mut pads[from..from + len]);
        from += len.max(1);
    }
    pads
}

/// Blocks around a row; `None` for a row that ends a paragraph.
fn depth(row: &Row<'_>) -> Option<usize> {
    match row {
        Row::Line { depth, opens: false, .. } | Row::Comment { depth, .. } => Some(*depth),
        Row::Line { opens: true, .. } | Row::Close { .. } | Row::Blank => None,
    }
}

fn pad_paragraph(rows: &[Row<'_>], pads: &mut [Pad]) {
    let statement = |at: usize| match &rows[at] {
        Row::Line { statement, .. } => Some(statement),
        Row::Blank | Row::Comment { .. } | Row::Close { .. } => None,
    };
    for align in [Align::Action, Align::Expect, Align::Assert, Align::Text, Align::Item, Align::Policy] {
        let member = |at: &usize| statement(*at).is_some_and(|statement| statement.align == align);
        let mut from = 0;
        while from < rows.len() {
            // Assertions are about the line before them, and line up with their neighbours only.
            let len = (from..rows.len()).take_while(|at| align != Align::Assert || member(at)).count();
            let lead =
                (from..from + len).filter(member).filter_map(statement).map(|s| s.lead.chars().count()).max().unwrap_or(0);
            let before = (from..from + len).filter(member).filter_map(statement).filter_map(|s| before_reason(s, lead));
            let reason = before.filter(|width| *width <= REASON_MAX).max().unwrap_or(0);
            (from..from + len).filter(member).for_each(|at| pads[at] = Pad { lead, reason });
            from += len.max(1);
        }
    }
}

/// Columns before a reason; `None` where there is none, or a list in more than one line.
fn before_reason(statement: &Statement<'_>, lead: usize) -> Option<usize> {
    let reason = statement.rest.iter().position(|bit| *bit == Bit::Reason)?;
    statement.is_flat().then(|| lead + 1 + entry_width(&statement.rest[..reason], false))
}

/// A line without the comment behind it.
struct Line<'a> {
    text: String,
    /// Blocks around it; `None` for a line that comments do not line up across.
    depth: Option<usize>,
    comment: Option<&'a str>,
    /// Blanks before the comment.
    gap: usize,
}

impl Line<'_> {
    fn width(&self) -> usize {
        self.text.rsplit('\n').next().unwrap_or_default().chars().count()
    }
}

fn line<'a>(row: &Row<'a>, pad: Pad) -> Line<'a> {
    let indent = |depth: usize| " ".repeat(depth * INDENT);
    match row {
        Row::Blank => Line { text: String::new(), depth: None, comment: None, gap: 0 },
        Row::Comment { depth, text } => Line { text: indent(*depth) + text, depth: None, comment: None, gap: 0 },
        Row::Close { depth, comment } => Line { text: indent(*depth) + "}", depth: None, comment: *comment, gap: COMMENT_GAP },
        Row::Line { depth, statement, comment, opens } => {
            let text = words(statement, *depth, pad);
            Line { text, depth: (!opens).then_some(*depth), comment: *comment, gap: COMMENT_GAP }
        }
    }
}

/// Comments behind neighbouring lines stand below each other.
fn line_up_comments(lines: &mut [Line<'_>]) {
    let mut from = 0;
    while from < lines.len() {
        let depth = lines[from].depth;
        let len = lines[from..].iter().take_while(|line| depth.is_some() && line.depth == depth).count();
        let run = &mut lines[from..from + len];
        let width = run.iter().filter(|line| line.comment.is_some()).map(Line::width).max().unwrap_or(0);
        for line in run.iter_mut().filter(|line| line.comment.is_some()) {
            line.gap = width + COMMENT_GAP - line.width();
        }
        from += len.max(1);
    }
}

/// The words of a statement, its lead padded, long lists broken.
fn words(statement: &Statement<'_>, depth: usize, pad: Pad) -> String {
    let mut text = " ".repeat(depth * INDENT);
    let mut list = (depth + 1) * INDENT;
    text.push_str(&statement.lead);
    if !statement.lead.is_empty() && !statement.rest.is_empty() {
        let blanks = pad.lead.saturating_sub(statement.lead.chars().count()) + 1;
        text.extend(std::iter::repeat_n(' ', blanks));
    }
    let column = |text: &str| text.rsplit('\n').next().unwrap_or_default().chars().count();
    let new_line = |text: &mut String, list: usize| {
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', list));
    };
    for (place, bit) in statement.rest.iter().enumerate() {
        match bit {
            Bit::Text(word) => text.push_str(word),
            Bit::Lead(word) => text.push_str(word),
            Bit::List => list = column(&text),
            Bit::Reason => {
                let target = if text.contains('\n') { 0 } else { depth * INDENT + pad.reason };
                let blanks = target.saturating_sub(column(&text)) + 1;
                text.extend(std::iter::repeat_n(' ', blanks));
            }
            Bit::Entry { broken } => {
                let commented = place.checked_sub(1).is_some_and(|at| matches!(statement.rest[at], Bit::Comment { .. }));
                if *broken || commented || WIDTH_MAX < column(&text) + 1 + entry_width(&statement.rest[place + 1..], true) {
                    new_line(&mut text, list);
                } else {
                    text.push(' ');
                }
            }
            Bit::Comment { text: comment, own_line } => {
                if *own_line {
                    new_line(&mut text, list);
                } else {
                    text.truncate(text.trim_end_matches(' ').len());
                    text.extend(std::iter::repeat_n(' ', COMMENT_GAP));
                }
                text.push_str(comment);
            }
        }
    }
    text
}

/// Columns of some bits; with `first`, up to the next place where a list may be broken.
fn entry_width(rest: &[Bit<'_>], first: bool) -> usize {
    let entry = rest.iter().take_while(|bit| !first || !matches!(bit, Bit::Entry { .. } | Bit::Comment { .. }));
    let width = |bit: &Bit<'_>| match bit {
        Bit::Text(text) => text.chars().count(),
        Bit::Lead(text) => text.chars().count(),
        Bit::Entry { .. } | Bit::Reason => 1,
        Bit::List | Bit::Comment { .. } => 0,
    };
    entry.map(width).sum()
}
