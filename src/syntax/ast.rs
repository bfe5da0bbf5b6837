//! The syntax tree: what was written, word for word, with its place. It knows no verb and resolves no name.
//!
//! A [`File`] keeps the tree flat (`tree.rs`: 12 bytes a word); the types here are made from it when they are asked for, an item
//! and a line at a time, so that reading 100 MB of text does not take a gigabyte. They borrow from the text.

use std::borrow::Cow;

use super::tree::{Items, Lines, Node, Nodes};
use crate::types::{Span, Value};

/// A thing and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Spanned<T> {
    pub node: T,
    pub span: Span,
}

/// A word and where it stands.
pub type Word<'a> = Spanned<&'a str>;

/// Free text: `title`, `origin`, a reason, a path. The quotes are not part of it, escapes are resolved; the span has the quotes.
pub type Text<'a> = Spanned<Cow<'a, str>>;

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct File<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: Vec<Node>,
}

impl<'a> File<'a> {
    /// The text it was read from; every span is a range of its bytes.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its items in order, each made when it is reached.
    pub fn items(&self) -> Items<'_> {
        Items::new(self.all())
    }

    pub(super) fn all(&self) -> Nodes<'_> {
        Nodes { text: self.text, nodes: &self.nodes }
    }
}

/// A top-level item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item<'a> {
    pub kind: ItemKind<'a>,
    /// From its first word to its closing brace.
    pub span: Span,
    /// A mistake was reported in it, so that lines may be missing: its name counts, what it says does not.
    pub broken: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ItemKind<'a> {
    /// `scenario NAME [over KINDS] { … }`
    Scenario { name: Word<'a>, over: Vec<KindRef<'a>>, body: Block<'a> },
    /// `prepare NAME(ACTOR, …) { … }`
    Prepare { name: Word<'a>, params: Vec<Word<'a>>, body: Block<'a> },
    /// `prepare NAME = KINDS`
    PrepareList { name: Word<'a>, kinds: Vec<KindRef<'a>> },
    /// `policy NAME = BASE { … }`
    Policy { name: Word<'a>, base: Word<'a>, settings: Block<'a> },
    /// `use "path"`
    Use { path: Text<'a> },
}

/// `A`, `B(4)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KindRef<'a> {
    pub name: Word<'a>,
    pub args: Vec<Spanned<Bound<'a>>>,
    pub span: Span,
}

/// A number, or a word that a `prepare` replaces by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound<'a> {
    Number(u64),
    Word(&'a str),
}

/// The lines between braces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    pub(super) nodes: Nodes<'a>,
    /// From brace to brace.
    pub span: Span,
}

impl<'a> Block<'a> {
    /// Its lines in order, each made when it is reached.
    pub fn lines(self) -> Lines<'a> {
        Lines::new(self.nodes)
    }
}

impl std::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lines()).finish()
    }
}

/// One line, or one of several between semicolons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    pub kind: LineKind<'a>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineKind<'a> {
    /// `actor: verb …`
    Action(Action<'a>),
    /// `race { … }`
    Race(Block<'a>),
    /// `use NAME(ACTOR, …)`, also `use over(ACTOR)`
    Use { name: Word<'a>, args: Vec<Spanned<Bound<'a>>> },
    /// `title "…"`
    Title(Text<'a>),
    /// `origin "…"`
    Origin(Text<'a>),
    /// `system hugetlb 2`, `system swap 8 zram`: the words behind `system`
    System(Vec<Operand<'a>>),
    /// `expect …`
    Expect(Expect<'a>),
    /// `assert …`
    Assert(Assert<'a>),
    /// `knob = value`, `defect = B15, B21`, in a policy
    Setting { key: Word<'a>, values: Vec<Word<'a>> },
}

/// `parent/2: write buf[1]+8 "new" -> x fails EBUSY`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Action<'a> {
    pub actor: Word<'a>,
    pub thread: Option<Spanned<u64>>,
    pub verb: Word<'a>,
    pub operands: Vec<Operand<'a>>,
    pub claim: Option<Claim<'a>>,
    /// The address behind `->`.
    pub target: Option<Address<'a>>,
    pub ending: Option<Ending<'a>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand<'a> {
    /// A word, or an address with an owner, brackets or an offset. A plain word is an address without any of them.
    Address(Address<'a>),
    Value(Spanned<Value>),
}

impl Operand<'_> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Operand::Address(address) => address.span,
            Operand::Value(value) => value.span,
        }
    }
}

/// `child.buf[0..4]+8`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address<'a> {
    pub owner: Option<Word<'a>>,
    pub name: Word<'a>,
    pub index: Option<Index<'a>>,
    /// The byte behind `+`.
    pub offset: Option<Spanned<Bound<'a>>>,
    pub span: Span,
}

impl<'a> Address<'a> {
    /// The word, where it is nothing but a word.
    pub fn as_word(&self) -> Option<Word<'a>> {
        let plain = self.owner.is_none() && self.index.is_none() && self.offset.is_none();
        plain.then_some(self.name)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Index<'a> {
    /// `[3]`
    One(Spanned<Bound<'a>>),
    /// `[0..4]`, half open; either end may be left out
    Range(Option<Spanned<Bound<'a>>>, Option<Spanned<Bound<'a>>>, Span),
}

/// `== V or V`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim<'a> {
    /// `==`, `!=`, `<=` or `>=`
    pub comparison: Word<'a>,
    pub any_of: Vec<Operand<'a>>,
    pub span: Span,
}

/// `fails EBUSY`, `event wp`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending<'a> {
    Fails(Word<'a>),
    Event(Word<'a>),
}

/// `expect [always|sometimes|never] OUTCOME [on POLICIES] [over KINDS] ["reason"]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expect<'a> {
    pub frequency: Option<Word<'a>>,
    pub outcome: Word<'a>,
    /// `I7`, `wp`, `EINVAL`, a number of copies.
    pub detail: Option<Operand<'a>>,
    pub on: Vec<PolicyRange<'a>>,
    pub over: Vec<KindRef<'a>>,
    pub reason: Option<Text<'a>>,
}

/// `all`, `linux-5.9`, `linux-5.9..linux-5.17`, open at either end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicyRange<'a> {
    One(Word<'a>),
    Range(Option<Word<'a>>, Option<Word<'a>>, Span),
}

/// `assert SUBJECT [not] FACT | shares A | refcount == 2 …`, with `on`, `over`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assert<'a> {
    /// An address, `copies`, or an observation.
    pub subject: Address<'a>,
    pub not: Option<Span>,
    /// The fact, `shares`, `refcount` or `mapcount`.
    pub word: Option<Word<'a>>,
    /// The memory behind `shares`.
    pub with: Option<Address<'a>>,
    pub claim: Option<Claim<'a>>,
    pub on: Vec<PolicyRange<'a>>,
    pub over: Vec<KindRef<'a>>,
}
