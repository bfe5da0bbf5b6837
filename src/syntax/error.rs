//! What can be wrong with a text, in the words of its author.

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use crate::types::Span;

impl From<Span> for SourceSpan {
    fn from(span: Span) -> Self {
        SourceSpan::new((span.start as usize).into(), (span.end - span.start) as usize)
    }
}

/// A mistake in a text.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum SyntaxError {
    // ---- Letters and words
    #[error("`{found}` has no meaning here")]
    #[diagnostic(code(cowl::syntax::character))]
    Character {
        found: String,
        #[label("this")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("this string has no end")]
    #[diagnostic(code(cowl::syntax::string_without_end), help("close it with `\"` on the same line"))]
    StringWithoutEnd {
        #[label("it begins here")]
        open: Span,
        #[label("and the line ends here")]
        end: Span,
    },
    #[error("`{found}` is no escape")]
    #[diagnostic(
        code(cowl::syntax::escape),
        help("write `\\\\` for a backslash, `\\\"` for a quote, `\\x` and two hexadecimal digits for any other byte")
    )]
    Escape {
        found: String,
        #[label("in this string")]
        at: Span,
    },
    #[error("a value of {len} bytes")]
    #[diagnostic(code(cowl::syntax::long_value), help("shorten it to 8 bytes, which is what a word of memory holds"))]
    LongValue {
        len: usize,
        #[label("{len} bytes")]
        at: Span,
    },
    #[error("a number past 64 bits")]
    #[diagnostic(code(cowl::syntax::large_number), help("write at most 18446744073709551615, or `0xffffffffffffffff`"))]
    LargeNumber {
        #[label("does not fit")]
        at: Span,
    },
    #[error("`{found}` is neither a number nor a word")]
    #[diagnostic(code(cowl::syntax::number))]
    Number {
        found: String,
        #[label("this")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("`{found}` is no name")]
    #[diagnostic(code(cowl::syntax::name))]
    Name {
        found: String,
        #[label("this")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("`{found}` does not begin a comment")]
    #[diagnostic(code(cowl::syntax::comment), help("begin the comment with `#`"))]
    Comment {
        found: String,
        #[label("this")]
        at: Span,
    },

    // ---- Addresses and claims
    #[error("a space inside an address")]
    #[diagnostic(code(cowl::syntax::space_in_address), help("write the address without spaces: `{tight}`"))]
    SpaceInAddress {
        tight: String,
        #[label("one address")]
        at: Span,
    },
    #[error("a bracket that nothing closes")]
    #[diagnostic(code(cowl::syntax::open_bracket), help("write `{close}` behind what the bracket holds"))]
    OpenBracket {
        close: &'static str,
        #[label("opened here")]
        open: Span,
        #[label("`{close}` is missing")]
        end: Span,
    },
    #[error("this says which pages of nothing")]
    #[diagnostic(
        code(cowl::syntax::index),
        help("write the page, `[3]`, or the pages, `[0..4]`, where either end may be left out: `[4..]`")
    )]
    Index {
        #[label("no page and no range")]
        at: Span,
    },
    #[error("`=` where a claim needs `==`")]
    #[diagnostic(code(cowl::syntax::single_equals), help("write `==`"))]
    SingleEquals {
        #[label("one `=`")]
        at: Span,
    },
    #[error("nothing stands behind `{word}`")]
    #[diagnostic(code(cowl::syntax::nothing_behind))]
    NothingBehind {
        word: String,
        #[label("what comes next is missing")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("a list that ends in a comma")]
    #[diagnostic(code(cowl::syntax::dangling_comma), help("write what comes next, or take the comma away"))]
    DanglingComma {
        #[label("nothing follows")]
        at: Span,
    },

    // ---- Lines
    #[error("nobody does this")]
    #[diagnostic(code(cowl::syntax::missing_actor))]
    MissingActor {
        #[label("no `actor:` stands before it")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("no colon behind the actor `{actor}`")]
    #[diagnostic(code(cowl::syntax::missing_colon), help("write `{actor}: {rest}`"))]
    MissingColon {
        actor: String,
        rest: String,
        #[label("`:` is missing behind this")]
        at: Span,
    },
    #[error("`{actor}` does nothing")]
    #[diagnostic(code(cowl::syntax::missing_verb), help("write what it does behind the colon, as in `{actor}: read buf`"))]
    MissingVerb {
        actor: String,
        #[label("no statement behind the colon")]
        at: Span,
    },
    #[error("`{found}` is not the number of a thread")]
    #[diagnostic(code(cowl::syntax::thread), help("write a number behind the slash: `{actor}/2`"))]
    Thread {
        found: String,
        actor: String,
        #[label("this")]
        at: Span,
    },
    #[error("`{word}` takes a text in quotes")]
    #[diagnostic(code(cowl::syntax::missing_quotes), help("write it in quotes: `{word} \"{text}\"`"))]
    MissingQuotes {
        word: String,
        text: String,
        #[label("no quotes")]
        at: Span,
    },
    #[error("`{found}` cannot stand here")]
    #[diagnostic(code(cowl::syntax::unexpected))]
    Unexpected {
        found: String,
        #[label("not here")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("this line ends too early")]
    #[diagnostic(code(cowl::syntax::incomplete))]
    Incomplete {
        #[label("more must follow")]
        at: Span,
        #[help]
        help: String,
    },

    // ---- Blocks and items
    #[error("`{word}` opens no block")]
    #[diagnostic(code(cowl::syntax::missing_open), help("end this line with `{{`"))]
    MissingOpen {
        word: String,
        #[label("`{{` is missing at the end of this")]
        at: Span,
    },
    #[error("a block that nothing closes")]
    #[diagnostic(code(cowl::syntax::missing_close), help("close the block with `}}` before this place"))]
    MissingClose {
        #[label("opened here")]
        open: Span,
        #[label("still open here")]
        end: Span,
    },
    #[error("a `}}` that closes nothing")]
    #[diagnostic(code(cowl::syntax::stray_close), help("take it away, or open a block before it"))]
    StrayClose {
        #[label("no block is open here")]
        at: Span,
    },
    #[error("a block where none can stand")]
    #[diagnostic(
        code(cowl::syntax::stray_open),
        help("begin a block with `scenario NAME`, `prepare NAME(ACTOR)`, `policy NAME = BASE` or, inside a scenario, `race`")
    )]
    StrayOpen {
        #[label("opens no scenario, prepare, policy or race")]
        at: Span,
    },
    #[error("text behind `}}`")]
    #[diagnostic(code(cowl::syntax::behind_close), help("put it on a line of its own"))]
    BehindClose {
        #[label("this follows on the same line")]
        at: Span,
        #[label("the block ends here")]
        close: Span,
    },
    #[error("`{word}` begins no item")]
    #[diagnostic(code(cowl::syntax::item))]
    Item {
        word: String,
        #[label("not an item")]
        at: Span,
        #[help]
        help: String,
    },
    #[error("a statement outside of any block")]
    #[diagnostic(code(cowl::syntax::outside), help("put it between the braces of a `scenario` or a `prepare`"))]
    Outside {
        #[label("no block is open here")]
        at: Span,
    },
    #[error("a race inside a race")]
    #[diagnostic(
        code(cowl::syntax::nested_race),
        help("put its lines into the outer race: actors in a race run at once anyway")
    )]
    NestedRace {
        #[label("this race")]
        at: Span,
        #[label("stands in this one")]
        outer: Span,
    },
    #[error("{what} cannot stand in a {place}")]
    #[diagnostic(code(cowl::syntax::place))]
    Place {
        what: String,
        place: &'static str,
        #[label("not here")]
        at: Span,
        #[label("in this {place}")]
        block: Span,
        #[help]
        help: String,
    },

    // ---- Bounds
    #[error("a line of more than {max} bytes")]
    #[diagnostic(code(cowl::syntax::long_line), help("break it into lines"))]
    LongLine {
        max: usize,
        #[label("begins here")]
        at: Span,
    },
    #[error("a text of more than 4 GiB")]
    #[diagnostic(code(cowl::syntax::long_text), help("cut it into files"))]
    LongText {
        #[label("begins here")]
        at: Span,
    },
    #[error("{max} mistakes; what follows was not read")]
    #[diagnostic(code(cowl::syntax::many_mistakes), help("mend these first"))]
    ManyMistakes {
        max: usize,
        #[label("not read from here on")]
        at: Span,
    },
}

impl SyntaxError {
    /// Where the mistake stands: the first place it names, in bytes of the text.
    pub fn span(&self) -> Span {
        let first = self.labels().and_then(|mut labels| labels.next());
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        first.map_or(Span::default(), |label| Span { start: place(label.offset()), end: place(label.offset() + label.len()) })
    }
}
