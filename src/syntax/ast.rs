//! The syntax tree: what was written, word for word, with its place. It knows no verb and resolves no name.

use crate::types::{Span, Value};

/// A thing and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    pub node: T,
    pub span: Span,
}

/// A word and where it stands.
pub type Word = Spanned<String>;

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct File {
    pub items: Vec<Item>,
    /// Comments behind the last item.
    pub trailing: Vec<Trivia>,
}

/// Lines that mean nothing to the program and are kept by `cowl fmt`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trivia {
    /// One or more empty lines.
    Blank,
    /// `# …`, without the line end.
    Comment(Spanned<String>),
}

/// A top-level item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Comments and empty lines before it.
    pub leading: Vec<Trivia>,
    pub span: Span,
    pub kind: ItemKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// `scenario NAME [over KINDS] { … }`
    Scenario { name: Word, over: Vec<KindRef>, body: Block },
    /// `prepare NAME(ACTOR, …) { … }`
    Prepare { name: Word, params: Vec<Word>, body: Block },
    /// `prepare NAME = KINDS`
    PrepareList { name: Word, kinds: Vec<KindRef>, comment: Option<Spanned<String>> },
    /// `policy NAME = BASE { … }`
    Policy { name: Word, base: Word, settings: Block },
    /// `use "path"`
    Use { path: Spanned<String>, comment: Option<Spanned<String>> },
}

/// `A`, `B(4)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KindRef {
    pub name: Word,
    pub args: Vec<Spanned<Bound>>,
    pub span: Span,
}

/// A number, or a word that a `prepare` replaces by one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bound {
    Number(u64),
    Word(String),
}

/// The lines between braces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block {
    pub lines: Vec<Line>,
    /// Comments behind the last line.
    pub trailing: Vec<Trivia>,
    /// A comment behind the opening brace.
    pub open_comment: Option<Spanned<String>>,
    /// A comment behind the closing brace.
    pub close_comment: Option<Spanned<String>>,
}

/// One line, or one of several between semicolons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub leading: Vec<Trivia>,
    /// A semicolon joins it to the line before it.
    pub joined: bool,
    pub kind: LineKind,
    pub span: Span,
    /// A comment behind it.
    pub comment: Option<Spanned<String>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineKind {
    /// `actor: verb …`
    Action(Action),
    /// `race { … }`
    Race(Block),
    /// `use NAME(ACTOR, …)`, also `use over(ACTOR)`
    Use { name: Word, args: Vec<Spanned<Bound>> },
    /// `title "…"`
    Title(Spanned<String>),
    /// `origin "…"`
    Origin(Spanned<String>),
    /// `system hugetlb 2`, `system swap 8 zram`: the words behind `system`
    System(Vec<Operand>),
    /// `expect …`
    Expect(Expect),
    /// `assert …`
    Assert(Assert),
    /// `knob = value`, `defect = B15, B21`, in a policy
    Setting { key: Word, values: Vec<Word> },
}

/// `parent/2: write buf[1]+8 "new" -> x fails EBUSY`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Action {
    pub actor: Word,
    pub thread: Option<Spanned<u64>>,
    pub verb: Word,
    pub operands: Vec<Operand>,
    pub claim: Option<Claim>,
    /// The address behind `->`.
    pub target: Option<Address>,
    pub ending: Option<Ending>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A word, or an address with an owner, brackets or an offset. A plain word is an address without any of them.
    Address(Address),
    Value(Spanned<Value>),
}

/// `child.buf[0..4]+8`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub owner: Option<Word>,
    pub name: Word,
    pub index: Option<Index>,
    /// The byte behind `+`.
    pub offset: Option<Spanned<Bound>>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Index {
    /// `[3]`
    One(Spanned<Bound>),
    /// `[0..4]`, half open; either end may be left out
    Range(Option<Spanned<Bound>>, Option<Spanned<Bound>>, Span),
}

/// `== V or V`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// `==`, `!=`, `<=` or `>=`
    pub comparison: Spanned<String>,
    pub any_of: Vec<Operand>,
    pub span: Span,
}

/// `fails EBUSY`, `event wp`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    Fails(Word),
    Event(Word),
}

/// `expect [always|sometimes|never] OUTCOME [on POLICIES] [over KINDS] ["reason"]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expect {
    pub frequency: Option<Word>,
    pub outcome: Word,
    /// `I7`, `wp`, `EINVAL`, a number of copies.
    pub detail: Option<Operand>,
    pub on: Vec<PolicyRange>,
    pub over: Vec<KindRef>,
    pub reason: Option<Spanned<String>>,
}

/// `all`, `linux-5.9`, `linux-5.9..linux-5.17`, open at either end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicyRange {
    One(Word),
    Range(Option<Word>, Option<Word>, Span),
}

/// `assert SUBJECT [not] FACT | shares A | refcount == 2 …`, with `on`, `over`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assert {
    /// An address, `copies`, or an observation.
    pub subject: Address,
    pub not: Option<Span>,
    /// The fact, `shares`, `refcount` or `mapcount`.
    pub word: Option<Word>,
    /// The memory behind `shares`.
    pub with: Option<Address>,
    pub claim: Option<Claim>,
    pub on: Vec<PolicyRange>,
    pub over: Vec<KindRef>,
}
