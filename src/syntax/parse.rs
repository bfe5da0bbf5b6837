//! Reads a text cut by cut: keeps track of the blocks, gives each piece to the grammar, and goes on behind every mistake.

use pest::Parser;
use pest::error::InputLocation;

use super::ast::File;
use super::cut::{self, Cut, Cutter, Shape};
use super::error::SyntaxError;
use super::grammar::{CowParser, Rule, kind_of};
use super::mistake::{self, Refused};
use super::place::{self, Place};
use super::token;
use super::tree::{Kind, Node};
use crate::types::Span;

/// Mistakes that are reported before the rest of a text is left unread.
pub const ERRORS_MAX: usize = 1000;

/// Bytes of one statement. Text in quotes and lists count, comments behind it do not.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads a text.
///
/// What is not understood is left out of the tree and reported, each mistake once, in the order of the text; what stands around
/// it is read all the same. An item with a mistake in it is marked [`broken`](super::ast::Item::broken). A byte order mark is
/// skipped. An empty text is an empty file.
///
/// # Errors
/// None as a whole: the mistakes are the second half of the answer, at most [`ERRORS_MAX`] and one that says so.
pub fn parse(text: &str) -> (File<'_>, Vec<SyntaxError>) {
    if u32::try_from(text.len()).is_err() {
        return (File::default(), vec![SyntaxError::LongText { at: Span::default() }]);
    }
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader {
        text,
        cutter: Cutter::new(text, start),
        nodes: Vec::new(),
        errors: Vec::new(),
        blocks: Vec::new(),
        item: None,
        after: After::Nothing,
    };
    reader.read();
    let mut errors = reader.errors;
    errors.sort_by_cached_key(|error| error.span().start);
    (File { text, nodes: reader.nodes }, errors)
}

/// A block that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    place: Place,
    brace: Span,
    /// Its place in the tree; none for a brace that should not be there.
    node: Option<usize>,
    /// A mistake already said that its end is missing.
    told: bool,
}

/// An item that is being read.
#[derive(Clone, Copy, Debug)]
struct Started {
    /// Its first node.
    node: usize,
    /// How many mistakes were known before it.
    errors: usize,
    /// It has no name, so it cannot be in the tree.
    nameless: bool,
}

/// What the line has so far, where that matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Nothing,
    /// A closing brace; only a comment, a semicolon or another closing brace may follow.
    Close(Span),
    /// A head without a brace was reported; a brace on the next line is its brace.
    MissingOpen,
    /// A statement outside of any block was reported; one report is enough for those that follow it.
    Outside,
}

struct Reader<'a> {
    text: &'a str,
    cutter: Cutter<'a>,
    nodes: Vec<Node>,
    errors: Vec<SyntaxError>,
    blocks: Vec<Open>,
    item: Option<Started>,
    after: After,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        while let Some((cut, span)) = self.cutter.next() {
            if ERRORS_MAX <= self.errors.len() {
                self.errors.truncate(ERRORS_MAX);
                self.errors.push(SyntaxError::ManyMistakes { max: ERRORS_MAX, at: span });
                return self.close_all(span, true);
            }
            match cut {
                Cut::Piece => self.piece(span),
                Cut::Open => self.open(span),
                Cut::Close => self.close(span),
                Cut::Semicolon => {
                    self.push(Kind::Semicolon, span);
                    self.line_ends();
                }
                Cut::Comment { first } => self.push(if first { Kind::Comment } else { Kind::Behind }, span),
                Cut::LineEnd => self.line_ends(),
                Cut::Blank => self.push(Kind::Blank, span),
            }
        }
        let end = self.text.trim_end().len();
        self.close_all(cut::span(end, end), false);
    }

    fn push(&mut self, kind: Kind, span: Span) {
        self.nodes.push(Node { kind, span });
    }

    fn str(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn line_ends(&mut self) {
        if let After::Close(_) = self.after {
            self.after = After::Nothing;
        }
    }

    fn piece(&mut self, span: Span) {
        if let After::Close(close) = self.after {
            self.errors.push(SyntaxError::BehindClose { at: span, close });
            // If it stands outside of any block, that is the same mistake.
            self.after = if self.blocks.is_empty() { After::Outside } else { After::Nothing };
        }
        let bytes = self.str(span).as_bytes();
        if cut::begins_item(bytes) {
            self.close_all(cut::span(span.start as usize, span.start as usize + cut::first_word(bytes).len()), false);
        }
        match self.blocks.last() {
            None => self.top(span),
            Some(_) => self.line(span),
        }
    }

    // ---- Items

    fn top(&mut self, span: Span) {
        let text = self.str(span);
        let word = cut::first_word(text.as_bytes());
        let keyword = if cut::shape(text.as_bytes()) == Shape::Keyword { word } else { b"" };
        match keyword {
            // A bad head keeps its first word, so it still opens its block.
            b"scenario" => self.head(span, Rule::scenario, Place::Scenario),
            b"policy" => self.head(span, Rule::policy, Place::Policy),
            b"prepare" if mistake::is_list(text) && !self.cutter.at_brace() => self.simple_item(span, Rule::prepare_list),
            b"prepare" => self.head(span, Rule::prepare, Place::Prepare),
            b"use" if !text.contains('(') => self.simple_item(span, Rule::use_file),
            _ => self.no_item(span),
        }
    }

    fn start_item(&mut self) {
        self.after = After::Nothing;
        self.item = Some(Started { node: self.nodes.len(), errors: self.errors.len(), nameless: false });
    }

    /// The item that was started cannot be in the tree.
    fn drop_item(&mut self) {
        if let Some(item) = &mut self.item {
            item.nameless = true;
        }
    }

    /// The head of an item with a block.
    fn head(&mut self, span: Span, rule: Rule, place: Place) {
        self.start_item();
        if !self.run(rule, span) {
            self.broken_head(span, rule);
        }
        self.expect_open(span, place);
    }

    /// Puts an item into the tree whose head was not understood, if it has a name that others may use.
    fn broken_head(&mut self, span: Span, rule: Rule) {
        let Some(name) = mistake::name_in_head(self.str(span), span.start) else {
            return self.drop_item();
        };
        self.push(kind_of(rule).expect("cowl bug: a head is in the tree"), span);
        self.push(Kind::Name, name);
        if rule == Rule::policy {
            self.push(Kind::Base, Span { start: name.end, end: name.end });
        }
    }

    /// An item without a block.
    fn simple_item(&mut self, span: Span, rule: Rule) {
        self.start_item();
        if !self.run(rule, span) {
            let keyword = cut::first_word(self.str(span).as_bytes()).len() as u32;
            match rule {
                Rule::use_file => {
                    self.push(Kind::UseFile, span);
                    self.push(Kind::Text, Span { start: span.start + keyword, end: span.end });
                }
                _ => self.broken_head(span, rule),
            }
        }
        self.end_item(span);
    }

    /// A piece outside of any block that begins no item.
    fn no_item(&mut self, span: Span) {
        let text = self.str(span);
        let opens = self.cutter.at_brace();
        let shape = cut::shape(text.as_bytes());
        if !opens && (shape != Shape::Other || self.after == After::Outside) {
            if self.after != After::Outside {
                self.errors.push(SyntaxError::Outside { at: span });
                self.after = After::Outside;
            }
            // One report for a stretch of such lines; what else is wrong with each of them is said as well.
            let keep = self.nodes.len();
            self.run(place::rule_of(text).unwrap_or(Rule::action), span);
            self.nodes.truncate(keep);
            return;
        }
        self.errors.push(mistake::no_item(text, span));
        if opens {
            self.start_item();
            self.drop_item();
            self.expect_open(span, place::meant(text));
        }
    }

    fn end_item(&mut self, end: Span) {
        let Some(item) = self.item.take() else { return };
        if item.nameless {
            self.nodes.truncate(item.node);
            return;
        }
        self.nodes[item.node].span.end = end.end;
        if item.errors < self.errors.len() {
            self.push(Kind::Broken, end);
        }
    }

    // ---- Blocks

    /// Opens the block of a head with the brace that follows it, or without one.
    fn expect_open(&mut self, head: Span, place: Place) {
        let brace = match self.cutter.take_brace() {
            Some(brace) => brace,
            None => {
                let word = String::from_utf8_lossy(cut::first_word(self.str(head).as_bytes())).into_owned();
                self.errors.push(SyntaxError::MissingOpen { word, at: head });
                self.after = After::MissingOpen;
                Span { start: head.end, end: head.end }
            }
        };
        self.blocks.push(Open { place, brace, node: Some(self.nodes.len()), told: false });
        self.push(Kind::Open, brace);
    }

    /// A brace that no head took.
    fn open(&mut self, brace: Span) {
        if self.after == After::MissingOpen {
            self.after = After::Nothing;
            return;
        }
        self.errors.push(SyntaxError::StrayOpen { at: brace });
        if self.item.is_none() {
            self.start_item();
            self.drop_item();
        }
        let place = self.blocks.last().map_or(Place::Stray, |block| block.place);
        self.blocks.push(Open { place, brace, node: None, told: true });
    }

    fn close(&mut self, brace: Span) {
        let outside = self.after == After::Outside;
        self.after = After::Close(brace);
        match self.blocks.pop() {
            Some(block) => {
                if block.node.is_some() {
                    self.push(Kind::Close, brace);
                }
                if block.place == Place::Race {
                    self.end_race(block, brace);
                }
                match self.blocks.last_mut() {
                    Some(outer) => outer.told |= block.told,
                    None => self.end_item(brace),
                }
            }
            // Behind lines that stand outside, this is the brace of the block that was closed too early.
            None if outside => {}
            None => self.errors.push(SyntaxError::StrayClose { at: brace }),
        }
    }

    fn end_race(&mut self, block: Open, brace: Span) {
        if let Some(open) = block.node {
            self.nodes[open - 1].span.end = brace.end;
        }
    }

    /// Closes what is still open, because an item begins or the text ends.
    fn close_all(&mut self, here: Span, silent: bool) {
        let mut told = silent;
        while let Some(block) = self.blocks.pop() {
            told |= block.told;
            if !told {
                self.errors.push(SyntaxError::MissingClose { open: block.brace, end: here });
            }
            let last = Span { start: here.start, end: here.start };
            if block.node.is_some() {
                self.push(Kind::Close, last);
            }
            if block.place == Place::Race {
                self.end_race(block, last);
            }
            if self.blocks.is_empty() {
                self.end_item(last);
            }
        }
        self.after = After::Nothing;
    }

    // ---- Lines

    fn line(&mut self, span: Span) {
        self.after = After::Nothing;
        let Some(block) = self.blocks.last().copied() else { return };
        let text = self.str(span);
        let rule = place::rule_of(text).unwrap_or(if block.place == Place::Policy { Rule::setting } else { Rule::action });
        if rule != Rule::race && self.cutter.at_brace() && cut::shape(text.as_bytes()) == Shape::Other {
            return self.stray_block(span, block.place);
        }
        if let Some((what, help)) = place::misplaced(rule, block.place) {
            let place = block.place.name();
            self.errors.push(SyntaxError::Place { what, place, at: span, block: block.brace, help });
            if let (Some(open), Place::Race) = (self.blocks.last_mut(), block.place) {
                // Most likely the brace that ends the race is missing; one report is enough.
                open.told = true;
            }
        }
        match rule {
            Rule::race => self.race(span, block),
            _ => {
                self.run(rule, span);
            }
        }
    }

    /// A head inside a block that opens nothing known.
    fn stray_block(&mut self, span: Span, place: Place) {
        let near = place::is_near(self.str(span), "race");
        self.errors.push(if near { mistake::meant_race(self.str(span), span) } else { SyntaxError::StrayOpen { at: span } });
        let brace = self.cutter.take_brace().unwrap_or(span);
        self.blocks.push(Open { place, brace, node: None, told: false });
    }

    fn race(&mut self, span: Span, block: Open) {
        let keep = self.nodes.len();
        let fine = self.run(Rule::race, span);
        if block.place == Place::Race {
            self.errors.push(SyntaxError::NestedRace { at: span, outer: block.brace });
            self.nodes.truncate(keep);
        } else if !fine {
            self.push(Kind::Race, span);
        }
        self.expect_open(span, Place::Race);
        if block.place == Place::Race {
            self.nodes.pop();
            if let Some(open) = self.blocks.last_mut() {
                open.node = None;
            }
        }
    }

    /// Gives a piece to the grammar: its words go into the tree, or its mistake to the others.
    fn run(&mut self, rule: Rule, span: Span) -> bool {
        let text = self.str(span);
        if LINE_BYTES_MAX < text.len() {
            let at = Span { start: span.start, end: span.start };
            self.errors.push(SyntaxError::LongLine { max: LINE_BYTES_MAX, at });
            return false;
        }
        let keep = self.nodes.len();
        let known = self.errors.len();
        match CowParser::parse(rule, text) {
            Ok(pairs) => pairs.flatten().for_each(|pair| {
                let Some(kind) = kind_of(pair.as_rule()) else { return };
                let place = pair.as_span();
                let at = Span { start: span.start + place.start() as u32, end: span.start + place.end() as u32 };
                self.errors.extend(token_mistake(kind, place.as_str(), at));
                self.nodes.push(Node { kind, span: at });
            }),
            Err(error) => {
                let reached = match error.location {
                    InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
                };
                let (base, nodes) = (span.start, self.nodes.as_slice());
                self.errors.push(mistake::of(&Refused { rule, piece: text, base, reached, nodes, text: self.text }));
            }
        }
        if known < self.errors.len() {
            self.nodes.truncate(keep);
        }
        known == self.errors.len()
    }
}

/// What the grammar cannot see: that a token says more than fits.
fn token_mistake(kind: Kind, text: &str, at: Span) -> Option<SyntaxError> {
    let digit = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    match kind {
        Kind::Thread | Kind::Arg | Kind::One | Kind::From | Kind::To | Kind::Plus | Kind::Value if digit => {
            token::number(text).is_none().then_some(SyntaxError::LargeNumber { at })
        }
        Kind::Value => {
            let len = token::bytes(text).len();
            (8 < len).then_some(SyntaxError::LongValue { len, at })
        }
        _ => None,
    }
}
