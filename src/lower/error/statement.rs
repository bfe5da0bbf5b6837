use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// A statement that says something no statement can say.
#[derive(Clone, PartialEq, Debug, Error, Diagnostic)]
pub enum StatementError {
    #[error("there is no verb `{verb}`")]
    #[diagnostic(code(cowl::lower::unknown_verb), help("{help}"))]
    UnknownVerb {
        verb: String,
        help: String,
        #[label("not a verb of the language")]
        at: SourceSpan,
    },
    #[error("`{verb}` needs a second word")]
    #[diagnostic(code(cowl::lower::second_word), help("write {help}"))]
    SecondWord {
        verb: String,
        help: String,
        #[label("which of them?")]
        at: SourceSpan,
    },
    #[error("`{verb}` knows no word `{word}`")]
    #[diagnostic(code(cowl::lower::unknown_option), help("did you mean `{near}`?"))]
    UnknownOption {
        verb: &'static str,
        word: String,
        near: &'static str,
        #[label("not known")]
        at: SourceSpan,
    },
    #[error("`{verb}` is said by {who}, not by {said_by}")]
    #[diagnostic(code(cowl::lower::wrong_actor), help("{help}"))]
    WrongActor {
        verb: &'static str,
        who: String,
        said_by: String,
        help: String,
        #[label("this actor cannot say it")]
        actor: SourceSpan,
        #[label("said by {who}")]
        verb_at: SourceSpan,
    },
    #[error("`{verb}` lacks {wanted}")]
    #[diagnostic(code(cowl::lower::missing_operand), help("{help}"))]
    MissingOperand {
        verb: &'static str,
        wanted: String,
        help: String,
        #[label("{wanted} must follow")]
        at: SourceSpan,
    },
    #[error("this is where `{verb}` takes {wanted}")]
    #[diagnostic(code(cowl::lower::wrong_operand), help("{help}"))]
    WrongOperand {
        verb: &'static str,
        wanted: String,
        help: String,
        #[label("not {wanted}")]
        at: SourceSpan,
    },
    #[error("`{verb}` takes nothing more")]
    #[diagnostic(code(cowl::lower::needless_operand), help("{help}"))]
    NeedlessOperand {
        verb: &'static str,
        help: String,
        #[label("not taken")]
        at: SourceSpan,
    },
    #[error("two of `{verb}`'s optional words exclude each other")]
    #[diagnostic(code(cowl::lower::option_twice), help("leave only one of the two"))]
    OptionTwice {
        verb: &'static str,
        #[label("this one")]
        first: SourceSpan,
        #[label("and this one")]
        again: SourceSpan,
    },
    #[error("`{verb}` reads nothing that a claim could be about")]
    #[diagnostic(code(cowl::lower::claim_without_reading), help("{help}"))]
    ClaimWithoutReading {
        verb: &'static str,
        help: String,
        #[label("claim on a line that does not read")]
        at: SourceSpan,
        #[label("this verb")]
        verb_at: SourceSpan,
    },
    #[error("`{verb}` must give what it makes a name")]
    #[diagnostic(code(cowl::lower::missing_arrow), help("end the line with `-> NAME`, as in: {example}"))]
    MissingArrow {
        verb: &'static str,
        example: &'static str,
        #[label("`-> NAME` must follow")]
        at: SourceSpan,
    },
    #[error("`{verb}` makes nothing that could be named")]
    #[diagnostic(code(cowl::lower::needless_arrow), help("drop `-> {name}`"))]
    NeedlessArrow {
        verb: &'static str,
        name: String,
        #[label("nothing comes out here")]
        at: SourceSpan,
        #[label("this verb")]
        verb_at: SourceSpan,
    },
    #[error("a new name is one plain word")]
    #[diagnostic(code(cowl::lower::plain_name), help("write `{name}`"))]
    PlainName {
        name: String,
        #[label("a name is given here, not memory reached")]
        at: SourceSpan,
    },
    #[error("`{verb}` reaches only the memory of `{process}` itself")]
    #[diagnostic(code(cowl::lower::foreign_memory), help("{help}"))]
    ForeignMemory {
        verb: &'static str,
        process: String,
        help: String,
        #[label("memory of another process")]
        at: SourceSpan,
        #[label("this verb")]
        verb_at: SourceSpan,
    },
    #[error("whose `{name}`? {actor} has no memory of its own")]
    #[diagnostic(code(cowl::lower::whose_memory), help("{help}"))]
    WhoseMemory {
        name: String,
        actor: &'static str,
        help: String,
        #[label("says no process")]
        at: SourceSpan,
    },
    #[error("{what} `{word}` is not known")]
    #[diagnostic(code(cowl::lower::unknown_word), help("{help}"))]
    UnknownWord {
        what: &'static str,
        word: String,
        help: String,
        #[label("not known")]
        at: SourceSpan,
    },
    #[error("{what} is {number}, and {limit}")]
    #[diagnostic(code(cowl::lower::number_out_of_range), help("{help}"))]
    OutOfRange {
        what: &'static str,
        number: u64,
        limit: String,
        help: String,
        #[label("{limit}")]
        at: SourceSpan,
    },
    #[error("`{word}` memory has small pages only")]
    #[diagnostic(code(cowl::lower::drivers_pages_are_small), help("write `N pages {word}`"))]
    DriversPagesAreSmall {
        word: String,
        #[label("a driver maps it page by page")]
        at: SourceSpan,
    },
    #[error("the device has no threads")]
    #[diagnostic(code(cowl::lower::thread_of_device), help("write `device` alone"))]
    ThreadOfDevice {
        #[label("not a thread")]
        at: SourceSpan,
    },
    #[error("`{name}` has {len} {unit}, and the last of them is `{name}[{last}]`")]
    #[diagnostic(code(cowl::lower::past_the_end), help("{help}"))]
    PastTheEnd {
        name: String,
        len: u16,
        last: u16,
        unit: &'static str,
        help: String,
        #[label("{len} {unit} here")]
        made: Option<SourceSpan>,
        #[label("past the end")]
        at: SourceSpan,
    },
    #[error("this range of pages {problem}")]
    #[diagnostic(code(cowl::lower::empty_range), help("{help}"))]
    EmptyRange {
        problem: &'static str,
        help: String,
        #[label("takes in no page: the second number is the first page that is not meant")]
        at: SourceSpan,
    },
    #[error("the byte {offset} is not the start of an 8-byte word")]
    #[diagnostic(code(cowl::lower::unaligned_word), help("write {help}"))]
    UnalignedWord {
        offset: u64,
        help: String,
        #[label("not a multiple of 8")]
        at: SourceSpan,
    },
    #[error("the byte {offset} lies past the page")]
    #[diagnostic(
        code(cowl::lower::word_past_the_page),
        help("write an offset from `+0` to `+4088`, and the page as an index: `{page}`")
    )]
    WordPastThePage {
        offset: u64,
        page: String,
        #[label("a page has 4096 bytes")]
        at: SourceSpan,
    },
    #[error("`{verb}` works on whole pages")]
    #[diagnostic(code(cowl::lower::whole_pages), help("drop `+{offset}`"))]
    WholePages {
        verb: &'static str,
        offset: String,
        #[label("one word of a page")]
        at: SourceSpan,
        #[label("this verb")]
        verb_at: SourceSpan,
    },
    #[error("{reads} page{} read here, and `{name}` observed {observed}", if *reads == 1 { " is" } else { "s are" })]
    #[diagnostic(code(cowl::lower::length_mismatch), help("{help}"))]
    LengthMismatch {
        name: String,
        reads: u16,
        observed: u16,
        help: String,
        #[label("observed here")]
        made: Option<SourceSpan>,
        #[label("compared here")]
        at: SourceSpan,
    },
    #[error("two ranges that are taken pairwise have {first_len} and {second_len} pages")]
    #[diagnostic(code(cowl::lower::unequal_ranges), help("make both as long"))]
    UnequalRanges {
        first_len: u16,
        second_len: u16,
        #[label("{first_len} here")]
        first: SourceSpan,
        #[label("{second_len} here")]
        second: SourceSpan,
    },
    #[error("`soft_dirty` reads a bit")]
    #[diagnostic(code(cowl::lower::not_a_bit), help("claim `== 0` or `== 1`"))]
    NotABit {
        #[label("neither 0 nor 1")]
        at: SourceSpan,
    },
}
