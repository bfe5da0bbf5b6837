//! Lays a file out: `cowl fmt`.
//!
//! Four blanks for each block; one statement a line, unless the author joined some with `;` and they fit; a block stays in one
//! line if it was and fits. In neighbouring lines verbs, the policies of expectations, texts, the braces of one-line items and
//! the comments behind stand below each other. At most one empty line, and none behind an opening or before a closing brace.
//! What the author broke behind a comma stays broken. Numbers, strings and comments are left as they are.

use super::ast::File;
use super::layout::{self, INDENT, Row, WIDTH_MAX};
use super::tree::{Kind, Nodes};
use super::words::{Align, Bit, Statement};

/// The canonical layout of a file without mistakes.
///
/// It reads back to the same tree, and laying it out again changes nothing. A file with mistakes has lines that are not in the
/// tree and would be lost: the caller refuses it.
pub fn format(file: &File<'_>) -> String {
    let mut rows = Rows { all: file.all(), rows: Vec::new() };
    rows.block(0, file.all().nodes.len(), 0);
    layout::emit(rows.rows)
}

/// Makes rows of nodes.
struct Rows<'a> {
    all: Nodes<'a>,
    rows: Vec<Row<'a>>,
}

impl<'a> Rows<'a> {
    /// Makes rows of the nodes between two places.
    fn block(&mut self, from: usize, to: usize, depth: usize) {
        let mut at = from;
        while at < to {
            let node = self.all.nodes[at];
            at = match node.kind {
                Kind::Blank => {
                    self.rows.push(Row::Blank);
                    at + 1
                }
                Kind::Comment => {
                    self.rows.push(Row::Comment { depth, text: self.all.str(node.span) });
                    at + 1
                }
                Kind::Behind => {
                    self.comment_behind(depth, self.all.str(node.span));
                    at + 1
                }
                kind if kind.is_item() || kind.is_line() => self.statements(at, depth),
                _ => at + 1,
            };
        }
    }

    fn comment_behind(&mut self, depth: usize, text: &'a str) {
        match self.rows.last_mut() {
            Some(Row::Line { comment, .. } | Row::Close { comment, .. }) if comment.is_none() => *comment = Some(text),
            _ => self.rows.push(Row::Comment { depth, text }),
        }
    }

    /// The end of the words of a statement or a head.
    fn statement_end(&self, at: usize) -> usize {
        let line = self.all.nodes[at];
        let rest = &self.all.nodes[at + 1..];
        let end = rest.iter().position(|node| match node.kind {
            Kind::Open | Kind::Close | Kind::Broken | Kind::Comment | Kind::Blank | Kind::Semicolon => true,
            // A comment within a list is a part of the statement, one behind it is not.
            Kind::Behind => line.span.end <= node.span.start,
            kind => kind.is_item() || kind.is_line(),
        });
        at + 1 + end.unwrap_or(rest.len())
    }

    fn close_of(&self, open: usize) -> usize {
        let mut depth = 0;
        let steps = self.all.nodes[open..].iter().position(|node| {
            depth += i32::from(node.kind == Kind::Open) - i32::from(node.kind == Kind::Close);
            depth == 0
        });
        open + steps.unwrap_or(self.all.nodes.len() - open - 1)
    }

    /// A head with its block, or statements that semicolons join.
    fn statements(&mut self, at: usize, depth: usize) -> usize {
        let end = self.statement_end(at);
        if self.all.nodes.get(end).is_some_and(|node| node.kind == Kind::Open) {
            return self.with_block(at, end, depth);
        }
        let (joined, end) = self.joined(at);
        let flat = self.flat(&joined).filter(|flat| depth * INDENT + flat.width() <= WIDTH_MAX);
        let statements = match flat {
            Some(flat) => vec![flat],
            None => joined,
        };
        for statement in statements {
            self.rows.push(Row::Line { depth, statement, comment: None, opens: false });
        }
        end
    }

    /// The statements of a line, and where the nodes behind it begin. A block has lines of its own.
    fn joined(&self, mut at: usize) -> (Vec<Statement<'a>>, usize) {
        let mut statements = Vec::new();
        loop {
            let end = self.statement_end(at);
            statements.push(Statement::new(self.all.cut(at, end)));
            let rest = &self.all.nodes[end..];
            let next = end + rest.iter().take_while(|node| node.kind == Kind::Semicolon).count();
            let Some(node) = self.all.nodes.get(next) else { return (statements, end) };
            let same_line = next != end && !self.all.breaks(self.all.nodes[at].span.end, node.span.start);
            if !same_line || !node.kind.is_line() || node.kind == Kind::Race {
                return (statements, end);
            }
            at = next;
        }
    }

    /// Several statements as one line; `None` where one of them is broken.
    fn flat(&self, statements: &[Statement<'a>]) -> Option<Statement<'a>> {
        if !statements.iter().all(Statement::is_flat) {
            return None;
        }
        let (first, others) = statements.split_first()?;
        let mut flat = first.clone();
        for other in others {
            flat.rest.push(Bit::Text(if flat.rest.is_empty() { "; " } else { " ; " }));
            flat.append(other);
        }
        Some(flat)
    }

    fn with_block(&mut self, at: usize, open: usize, depth: usize) -> usize {
        let mut head = Statement::new(self.all.cut(at, open));
        let close = self.close_of(open);
        let (from, to) = (self.all.nodes[open].span, self.all.nodes[close].span);
        let was_one = head.is_flat() && !self.all.breaks(from.start, to.end);
        let one = was_one.then(|| self.one_line(&head, open, close)).flatten();
        if let Some(statement) = one.filter(|one| depth * INDENT + one.width() <= WIDTH_MAX) {
            self.rows.push(Row::Line { depth, statement, comment: None, opens: false });
            return close + 1;
        }
        head.align = Align::Nothing;
        head.rest.push(Bit::Text(if head.rest.is_empty() { "{" } else { " {" }));
        self.rows.push(Row::Line { depth, statement: head, comment: None, opens: true });
        self.block(open + 1, close, depth + 1);
        self.rows.push(Row::Close { depth, comment: None });
        close + 1
    }

    /// A head with its block behind it; `None` where a block in it has lines of its own.
    fn one_line(&self, head: &Statement<'a>, open: usize, close: usize) -> Option<Statement<'a>> {
        let mut line = match head.align {
            Align::Policy => head.clone(),
            align => Statement { align, lead: head.to_text(), rest: Vec::new() },
        };
        line.rest.push(Bit::Text(if line.rest.is_empty() { "{ " } else { " { " }));
        let first = (open + 1..close).find(|at| self.all.nodes[*at].kind.is_line());
        if let Some(first) = first {
            let (statements, end) = self.joined(first);
            if self.all.nodes[end..close].iter().any(|node| node.kind != Kind::Semicolon) {
                return None;
            }
            line.append(&self.flat(&statements)?);
            line.rest.push(Bit::Text(" "));
        }
        line.rest.push(Bit::Text("}"));
        Some(line)
    }
}
