use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// A name that is not there, or there twice.
#[derive(Clone, PartialEq, Debug, Error, Diagnostic)]
pub enum NameError {
    #[error("there is no process `{name}` here")]
    #[diagnostic(code(cowl::lower::unknown_process), help("{help}"))]
    UnknownProcess {
        name: String,
        help: String,
        #[label("not started before this line")]
        at: SourceSpan,
    },
    #[error("{nobody} memory named `{name}`")]
    #[diagnostic(code(cowl::lower::unknown_memory), help("{help}"))]
    UnknownMemory {
        name: String,
        /// "`p` has no", "no process has"
        nobody: String,
        help: String,
        #[label("not mapped before this line")]
        at: SourceSpan,
    },
    #[error("there is no reference `{name}` here")]
    #[diagnostic(code(cowl::lower::unknown_reference), help("{help}"))]
    UnknownReference {
        name: String,
        help: String,
        #[label("not taken before this line")]
        at: SourceSpan,
    },
    #[error("there is no observation `{name}` here")]
    #[diagnostic(code(cowl::lower::unknown_observation), help("{help}"))]
    UnknownObservation {
        name: String,
        help: String,
        #[label("nothing before this line was read into it")]
        at: SourceSpan,
    },
    #[error("`{name}` is {is}, and this place takes {wanted}")]
    #[diagnostic(code(cowl::lower::wrong_kind_of_name), help("{help}"))]
    WrongSort {
        name: String,
        is: &'static str,
        wanted: &'static str,
        help: String,
        #[label("given here")]
        first: Option<SourceSpan>,
        #[label("used here as {wanted}")]
        at: SourceSpan,
    },
    #[error("the name `{name}` is given twice")]
    #[diagnostic(code(cowl::lower::given_twice), help("choose another name for the second: a name stays given, whatever ends"))]
    GivenTwice {
        name: String,
        first_is: &'static str,
        again_is: &'static str,
        #[label("first given here, to {first_is}")]
        first: Option<SourceSpan>,
        #[label("and again here, to {again_is}")]
        again: SourceSpan,
    },
    #[error("`{name}` is a word of the language and cannot name {what}")]
    #[diagnostic(
        code(cowl::lower::reserved_word),
        help("choose another name; `kernel`, `device`, `over`, `copies`, `all` and `latest` are taken")
    )]
    Reserved {
        name: String,
        what: &'static str,
        #[label("reserved")]
        at: SourceSpan,
    },
    #[error("`{name}` may not be there yet: it comes from another line of the same race")]
    #[diagnostic(
        code(cowl::lower::made_in_this_race),
        help("move the line that makes `{name}` above the race, or this one behind it")
    )]
    MadeInThisRace {
        name: String,
        #[label("made here, by another actor of the race")]
        made: Option<SourceSpan>,
        #[label("this line may run first")]
        at: SourceSpan,
    },
    #[error("`{name}` is mapped as `{first_is}` and as `{again_is}`")]
    #[diagnostic(
        code(cowl::lower::file_or_memfd),
        help("write `{first_is} {name}` in both places, or give the two files two names")
    )]
    FileOrMemfd {
        name: String,
        first_is: &'static str,
        again_is: &'static str,
        #[label("`{first_is}` here")]
        first: Option<SourceSpan>,
        #[label("`{again_is}` here")]
        again: SourceSpan,
    },
    #[error("more than one process has mapped a `{name}` of its own")]
    #[diagnostic(code(cowl::lower::ambiguous_memory), help("say whose: {owners}"))]
    Ambiguous {
        name: String,
        owners: String,
        #[label("whose?")]
        at: SourceSpan,
    },
    #[error("there is no prepare `{name}`")]
    #[diagnostic(code(cowl::lower::unknown_prepare), help("{help}"))]
    UnknownPrepare {
        name: String,
        help: String,
        #[label("neither in this file nor in a file it uses")]
        at: SourceSpan,
    },
    #[error("{what} `{name}` is there twice")]
    #[diagnostic(code(cowl::lower::item_twice), help("{help}"))]
    ItemTwice {
        what: &'static str,
        name: String,
        help: String,
        #[label("first here")]
        first: Option<SourceSpan>,
        #[label("and again here")]
        again: SourceSpan,
    },
    #[error("`{name}` is a number here and a name is wanted")]
    #[diagnostic(code(cowl::lower::number_for_name), help("pass a name for `{name}` where the prepare is used, not {number}"))]
    NumberForName {
        name: String,
        number: u64,
        #[label("stands for {number}")]
        at: SourceSpan,
        #[label("given here")]
        given: Option<SourceSpan>,
    },
    #[error("`{name}` is a word and a number is wanted")]
    #[diagnostic(code(cowl::lower::name_for_number), help("{help}"))]
    NameForNumber {
        name: String,
        help: String,
        #[label("a number is wanted here")]
        at: SourceSpan,
        #[label("given here")]
        given: Option<SourceSpan>,
    },
}
