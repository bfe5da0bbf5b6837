use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// A mistake in an item, an expectation, an assertion, a policy or a used file; or something too large.
#[derive(Clone, PartialEq, Debug, Error, Diagnostic)]
pub enum ItemError {
    #[error("{line} does not belong into {item}")]
    #[diagnostic(code(cowl::lower::misplaced_line), help("{help}"))]
    Misplaced {
        line: &'static str,
        item: &'static str,
        help: &'static str,
        #[label("move this")]
        at: SourceSpan,
    },
    #[error("{what} is given twice")]
    #[diagnostic(code(cowl::lower::head_twice), help("leave only one of the two"))]
    HeadTwice {
        what: &'static str,
        #[label("first here")]
        first: Option<SourceSpan>,
        #[label("and again here")]
        again: SourceSpan,
    },
    #[error("in the scenario `{name}` nothing happens")]
    #[diagnostic(code(cowl::lower::empty_scenario), help("write what a process does, as in: p: mmap buf 1 page"))]
    Empty {
        name: String,
        #[label("no process does anything")]
        at: SourceSpan,
    },
    #[error("the scenario is over kinds of memory and never makes any")]
    #[diagnostic(code(cowl::lower::over_without_use), help("write `use over(PROCESS)` where the memory is to be made"))]
    OverWithoutUse {
        #[label("these kinds")]
        at: SourceSpan,
    },
    #[error("`use over` in a scenario that is over nothing")]
    #[diagnostic(code(cowl::lower::use_without_over), help("write the kinds behind its name: scenario {name} over KIND, KIND"))]
    UseWithoutOver {
        name: String,
        #[label("which kinds?")]
        at: SourceSpan,
    },
    #[error("`use over` stands twice")]
    #[diagnostic(code(cowl::lower::use_over_twice), help("drop one of the two: a scenario makes its memory once"))]
    UseOverTwice {
        #[label("first here")]
        first: Option<SourceSpan>,
        #[label("and again here")]
        again: SourceSpan,
    },
    #[error("`{name}` takes {wants}, and {has} given here")]
    #[diagnostic(code(cowl::lower::wrong_number_of_arguments), help("write `{help}`"))]
    Arguments {
        name: String,
        wants: String,
        has: String,
        help: String,
        #[label("{has} given")]
        at: SourceSpan,
        #[label("declared here")]
        declared: Option<SourceSpan>,
    },
    #[error("`{name}` is a list of prepares and cannot be used by itself")]
    #[diagnostic(code(cowl::lower::list_used), help("write `scenario NAME over {name}` and in it `use over(PROCESS)`"))]
    ListUsed {
        name: String,
        #[label("used here")]
        at: SourceSpan,
        #[label("a list")]
        declared: Option<SourceSpan>,
    },
    #[error("the prepare `{name}` uses itself: {chain}")]
    #[diagnostic(code(cowl::lower::recursive_prepare), help("take one of them out of the chain"))]
    Recursive {
        name: String,
        chain: String,
        #[label("closes the circle")]
        at: SourceSpan,
    },
    #[error("there is no {what} `{word}`")]
    #[diagnostic(code(cowl::lower::unknown_item_word), help("{help}"))]
    UnknownWord {
        what: &'static str,
        word: String,
        help: String,
        #[label("not known")]
        at: SourceSpan,
    },
    #[error("there is no policy `{word}`")]
    #[diagnostic(code(cowl::lower::unknown_policy), help("{help}"))]
    UnknownPolicy {
        word: String,
        help: String,
        #[label("no such policy")]
        at: SourceSpan,
    },
    #[error("the name `{name}` is taken: that policy is built in")]
    #[diagnostic(code(cowl::lower::built_in_policy), help("choose another name, as in `policy my-{name} = {name}`"))]
    BuiltIn {
        name: String,
        #[label("built in")]
        at: SourceSpan,
    },
    #[error("{message}")]
    #[diagnostic(code(cowl::lower::policy_range), help("{help}"))]
    PolicyRange {
        message: String,
        help: String,
        #[label("takes in no policy there is")]
        at: SourceSpan,
    },
    #[error("two expectations contradict each other about {policies}")]
    #[diagnostic(code(cowl::lower::contradiction), help("{help}"))]
    Contradiction {
        policies: String,
        first_says: String,
        again_says: String,
        help: String,
        #[label("`{first_says}` here")]
        first: Option<SourceSpan>,
        #[label("`{again_says}` here")]
        again: SourceSpan,
    },
    #[error("`sometimes` speaks of the orders of a race, and there is none")]
    #[diagnostic(
        code(cowl::lower::sometimes_without_race),
        help("drop `sometimes`, or put the lines that compete into `race {{ … }}`")
    )]
    SometimesWithoutRace {
        #[label("can never be met: there is one order")]
        at: SourceSpan,
    },
    #[error("`{kind}` takes in no kind of this scenario")]
    #[diagnostic(code(cowl::lower::unknown_kind), help("{help}"))]
    UnknownKind {
        kind: String,
        help: String,
        #[label("not among the kinds behind `over`")]
        at: SourceSpan,
    },
    #[error("{what}")]
    #[diagnostic(code(cowl::lower::malformed_line), help("{help}"))]
    Malformed {
        what: String,
        help: String,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("{what}: {has}, and {max} is the limit")]
    #[diagnostic(code(cowl::lower::too_large), help("{help}"))]
    TooLarge {
        what: &'static str,
        has: String,
        max: usize,
        help: &'static str,
        #[label("past the limit of {max} here")]
        at: SourceSpan,
    },
    #[error("{max} mistakes; there may be more")]
    #[diagnostic(code(cowl::lower::many_mistakes), help("mend these first"))]
    ManyMistakes {
        max: usize,
        #[label("not looked at from here on")]
        at: SourceSpan,
    },
    #[error("the file `{path}` cannot be used: {why}")]
    #[diagnostic(code(cowl::lower::unreadable_file), help("name a `.cow` file by its path from the folder of this file"))]
    UnreadableFile {
        path: String,
        why: String,
        #[label("used here")]
        at: SourceSpan,
    },
    #[error("files use one another in a circle: {chain}")]
    #[diagnostic(code(cowl::lower::use_cycle), help("drop one `use` of the chain"))]
    UseCycle {
        chain: String,
        #[label("closes the circle")]
        at: SourceSpan,
    },
    #[error("policies are written as differences from one another in a circle: {chain}")]
    #[diagnostic(code(cowl::lower::policy_circle), help("write one of them as a difference from a built-in policy"))]
    PolicyCircle {
        chain: String,
        #[label("closes the circle")]
        at: SourceSpan,
    },
    #[error("{message}")]
    #[diagnostic(code(cowl::lower::setting), help("{help}"))]
    Setting {
        message: String,
        help: String,
        #[label("in this setting")]
        at: SourceSpan,
    },
    #[error("a race of one actor")]
    #[diagnostic(
        severity(Warning),
        code(cowl::lower::race_of_one),
        help("let another actor run beside it, or drop `race`: one actor's lines keep their order")
    )]
    RaceOfOne {
        #[label("nobody competes here")]
        at: SourceSpan,
    },
}
