//! The flat form of the tree: one node for each word, in the order of the text, with no pointer in it.

use super::ast::*;
use super::token;
use crate::types::Span;

/// What a word is. A line or an item is a node too, and stands before its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    // Items.
    Scenario,
    Prepare,
    PrepareList,
    Policy,
    UseFile,
    /// Behind an item: a mistake was reported in it.
    Broken,
    // Lines.
    Action,
    Race,
    Use,
    Title,
    Origin,
    System,
    Expect,
    Assert,
    Setting,
    // Words.
    Name,
    Param,
    Base,
    /// A kind of memory with its arguments; its name and they follow.
    Memory,
    Arg,
    Actor,
    Thread,
    Verb,
    /// An operand that is nothing but a word.
    Word,
    /// An operand with more to it; its parts follow.
    Address,
    Owner,
    One,
    Range,
    From,
    To,
    Plus,
    Value,
    Text,
    Compare,
    Arrow,
    Fails,
    Event,
    Frequency,
    Outcome,
    OnePolicy,
    PolicyRange,
    Not,
    Fact,
    Key,
    // Layout.
    Open,
    Close,
    /// A comment with a line of its own.
    Comment,
    /// A comment behind something.
    Behind,
    /// Empty lines.
    Blank,
    Semicolon,
}

impl Kind {
    pub(super) fn is_item(self) -> bool {
        (self as u8) < Kind::Broken as u8
    }

    pub(super) fn is_line(self) -> bool {
        Kind::Broken < self && self < Kind::Name
    }

    /// Its text counts. That of a kind of memory and of what is above a word may have blanks in it.
    #[cfg(test)]
    pub(super) fn is_word(self) -> bool {
        Kind::Setting < self && self < Kind::Open && self != Kind::Memory
    }

    pub(super) fn is_layout(self) -> bool {
        Kind::Close < self
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (*self as u8).partial_cmp(&(*other as u8))
    }
}

/// A word of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub span: Span,
}

const _: () = assert!(size_of::<Node>() == 12, "100 MB of text must fit into five times its size");

/// Some nodes and the text they are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Nodes<'a> {
    pub text: &'a str,
    pub nodes: &'a [Node],
}

impl<'a> Nodes<'a> {
    pub fn cut(self, from: usize, to: usize) -> Self {
        Self { text: self.text, nodes: &self.nodes[from..to] }
    }

    /// The text of a span.
    pub fn str(self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Nothing but blanks stands before it on its line.
    pub fn begins_line(self, span: Span) -> bool {
        let before = &self.text[..span.start as usize];
        before.trim_end_matches([' ', '\t']).ends_with('\n')
    }

    /// A line ends somewhere between two places.
    pub fn breaks(self, from: u32, to: u32) -> bool {
        self.text[from as usize..to as usize].contains('\n')
    }
}

/// The items of a file.
#[derive(Clone)]
pub struct Items<'a>(Cursor<'a>);

impl<'a> Items<'a> {
    pub(super) fn new(nodes: Nodes<'a>) -> Self {
        Self(Cursor { nodes, at: 0 })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let from = self.0.find(Kind::is_item)?;
        self.0.at += 1;
        let to = self.0.find(Kind::is_item).unwrap_or(self.0.nodes.nodes.len());
        Some(Cursor { nodes: self.0.nodes.cut(from, to), at: 0 }.item())
    }
}

/// The lines of a block.
#[derive(Clone)]
pub struct Lines<'a>(Cursor<'a>);

impl<'a> Lines<'a> {
    pub(super) fn new(nodes: Nodes<'a>) -> Self {
        Self(Cursor { nodes, at: 0 })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        self.0.find(Kind::is_line)?;
        Some(self.0.line())
    }
}

/// Reads nodes in order and makes of them what they stand for.
#[derive(Clone)]
struct Cursor<'a> {
    nodes: Nodes<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Goes on to the first node of a sort; `None` at the end.
    fn find(&mut self, sort: impl Fn(Kind) -> bool) -> Option<usize> {
        let found = self.nodes.nodes[self.at..].iter().position(|node| sort(node.kind));
        self.at = found.map_or(self.nodes.nodes.len(), |steps| self.at + steps);
        found.map(|_| self.at)
    }

    /// The kind of the next word. Comments within a list do not count.
    fn peek(&mut self) -> Option<Kind> {
        while self.nodes.nodes.get(self.at)?.kind.is_layout() {
            self.at += 1;
        }
        Some(self.nodes.nodes[self.at].kind)
    }

    /// The next word, if it is of this kind.
    fn take(&mut self, kind: Kind) -> Option<Word<'a>> {
        if self.peek() != Some(kind) {
            return None;
        }
        let node = self.nodes.nodes[self.at];
        self.at += 1;
        Some(Word { node: self.nodes.str(node.span), span: node.span })
    }

    /// The next word, which the grammar says is of this kind.
    fn must(&mut self, kind: Kind) -> Word<'a> {
        self.take(kind).unwrap_or_else(|| panic!("cowl bug: {:?} where {kind:?} must stand", self.peek()))
    }

    fn all<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Vec<T> {
        std::iter::from_fn(|| read(self)).collect()
    }

    fn item(mut self) -> Item<'a> {
        let Node { kind, span } = self.nodes.nodes[0];
        self.at = 1;
        let broken = self.nodes.nodes.iter().any(|node| node.kind == Kind::Broken);
        let kind = match kind {
            Kind::Scenario => {
                let name = self.must(Kind::Name);
                ItemKind::Scenario { name, over: self.kinds(), body: self.block() }
            }
            Kind::Prepare => {
                let name = self.must(Kind::Name);
                ItemKind::Prepare { name, params: self.all(|cursor| cursor.take(Kind::Param)), body: self.block() }
            }
            Kind::PrepareList => ItemKind::PrepareList { name: self.must(Kind::Name), kinds: self.kinds() },
            Kind::Policy => {
                let name = self.must(Kind::Name);
                ItemKind::Policy { name, base: self.must(Kind::Base), settings: self.block() }
            }
            Kind::UseFile => ItemKind::Use { path: self.text().expect("cowl bug: `use` without a path") },
            other => panic!("cowl bug: {other:?} is no item"),
        };
        Item { kind, span, broken }
    }

    /// The block that the next brace opens.
    fn block(&mut self) -> Block<'a> {
        let open = self.find(|kind| kind == Kind::Open).expect("cowl bug: a block without a brace");
        let mut depth = 0;
        let close = self.find_close(&mut depth);
        self.at = close + 1;
        let span = self.nodes.nodes[open].span.to(self.nodes.nodes[close].span);
        Block { nodes: self.nodes.cut(open + 1, close), span }
    }

    fn find_close(&mut self, depth: &mut i32) -> usize {
        let rest = &self.nodes.nodes[self.at..];
        let steps = rest.iter().position(|node| {
            *depth += i32::from(node.kind == Kind::Open) - i32::from(node.kind == Kind::Close);
            *depth == 0
        });
        self.at + steps.expect("cowl bug: a brace that nothing closes")
    }

    fn line(&mut self) -> Line<'a> {
        let Node { kind, span } = self.nodes.nodes[self.at];
        self.at += 1;
        let text = |cursor: &mut Self| cursor.text().expect("cowl bug: a line without its text");
        let kind = match kind {
            Kind::Action => LineKind::Action(self.action()),
            Kind::Race => LineKind::Race(self.block()),
            Kind::Use => LineKind::Use { name: self.must(Kind::Name), args: self.all(|cursor| cursor.bound(Kind::Arg)) },
            Kind::Title => LineKind::Title(text(self)),
            Kind::Origin => LineKind::Origin(text(self)),
            Kind::System => LineKind::System(self.all(Self::operand)),
            Kind::Expect => LineKind::Expect(self.expect()),
            Kind::Assert => LineKind::Assert(self.assert()),
            Kind::Setting => {
                LineKind::Setting { key: self.must(Kind::Key), values: self.all(|cursor| cursor.take(Kind::Word)) }
            }
            other => panic!("cowl bug: {other:?} is no line"),
        };
        Line { kind, span }
    }

    fn action(&mut self) -> Action<'a> {
        let actor = self.must(Kind::Actor);
        let thread = self.take(Kind::Thread).map(|word| word.map(token::number_of));
        Action {
            actor,
            thread,
            verb: self.must(Kind::Verb),
            operands: self.all(Self::operand),
            claim: self.claim(),
            target: self.take(Kind::Arrow).and_then(|_| self.address()),
            ending: match self.peek() {
                Some(Kind::Fails) => self.take(Kind::Fails).map(Ending::Fails),
                Some(Kind::Event) => self.take(Kind::Event).map(Ending::Event),
                _ => None,
            },
        }
    }

    fn expect(&mut self) -> Expect<'a> {
        Expect {
            frequency: self.take(Kind::Frequency),
            outcome: self.must(Kind::Outcome),
            detail: self.operand(),
            on: self.policies(),
            over: self.kinds(),
            reason: self.text(),
        }
    }

    fn assert(&mut self) -> Assert<'a> {
        Assert {
            subject: self.address().expect("cowl bug: an assertion about nothing"),
            not: self.take(Kind::Not).map(|word| word.span),
            word: self.take(Kind::Fact),
            with: self.address(),
            claim: self.claim(),
            on: self.policies(),
            over: self.kinds(),
        }
    }

    fn operand(&mut self) -> Option<Operand<'a>> {
        match self.take(Kind::Value) {
            Some(value) => Some(Operand::Value(value.map(token::value_of))),
            None => self.address().map(Operand::Address),
        }
    }

    fn address(&mut self) -> Option<Address<'a>> {
        if let Some(name) = self.take(Kind::Word) {
            return Some(Address { owner: None, name, index: None, offset: None, span: name.span });
        }
        let span = self.take(Kind::Address)?.span;
        Some(Address {
            owner: self.take(Kind::Owner),
            name: self.must(Kind::Name),
            index: match self.take(Kind::Range) {
                Some(range) => Some(Index::Range(self.bound(Kind::From), self.bound(Kind::To), range.span)),
                None => self.bound(Kind::One).map(Index::One),
            },
            offset: self.bound(Kind::Plus),
            span,
        })
    }

    fn bound(&mut self, kind: Kind) -> Option<Spanned<Bound<'a>>> {
        let word = self.take(kind)?;
        let number = word.node.starts_with(|c: char| c.is_ascii_digit());
        Some(word.map(|text| if number { Bound::Number(token::number_of(text)) } else { Bound::Word(text) }))
    }

    fn claim(&mut self) -> Option<Claim<'a>> {
        let comparison = self.take(Kind::Compare)?;
        let any_of = self.all(Self::operand);
        let span = any_of.iter().fold(comparison.span, |span, operand| span.to(operand.span()));
        Some(Claim { comparison, any_of, span })
    }

    fn policies(&mut self) -> Vec<PolicyRange<'a>> {
        self.all(|cursor| match cursor.take(Kind::OnePolicy) {
            Some(name) => Some(PolicyRange::One(name)),
            None => {
                let span = cursor.take(Kind::PolicyRange)?.span;
                Some(PolicyRange::Range(cursor.take(Kind::From), cursor.take(Kind::To), span))
            }
        })
    }

    fn kinds(&mut self) -> Vec<KindRef<'a>> {
        self.all(|cursor| {
            let span = cursor.take(Kind::Memory)?.span;
            Some(KindRef { name: cursor.must(Kind::Name), args: cursor.all(|cursor| cursor.bound(Kind::Arg)), span })
        })
    }

    fn text(&mut self) -> Option<Text<'a>> {
        Some(self.take(Kind::Text)?.map(token::text_of))
    }
}

impl<'a> Word<'a> {
    fn map<T>(self, make: impl FnOnce(&'a str) -> T) -> Spanned<T> {
        Spanned { node: make(self.node), span: self.span }
    }
}
