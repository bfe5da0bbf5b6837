use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// A line that comes at the wrong time.
#[derive(Clone, PartialEq, Debug, Error, Diagnostic)]
pub enum OrderError {
    #[error("`{name}` is used after it was unmapped")]
    #[diagnostic(code(cowl::lower::use_after_munmap), help("{help}"))]
    AfterMunmap {
        name: String,
        help: String,
        #[label("unmapped here")]
        gone: Option<SourceSpan>,
        #[label("used here")]
        at: SourceSpan,
    },
    #[error("`{process}` has exited")]
    #[diagnostic(code(cowl::lower::use_after_exit), help("move this line above the `exit`"))]
    AfterExit {
        process: String,
        #[label("exits here")]
        exit: Option<SourceSpan>,
        #[label("needs it alive")]
        at: SourceSpan,
    },
    #[error("`{process}` never started: its `fork` fails")]
    #[diagnostic(code(cowl::lower::fork_failed), help("drop `fails` from the `fork`, or drop this line"))]
    NeverStarted {
        process: String,
        #[label("fails here")]
        fork: Option<SourceSpan>,
        #[label("needs it alive")]
        at: SourceSpan,
    },
    #[error("nothing holds `{name}`: the line that takes it fails")]
    #[diagnostic(code(cowl::lower::taking_failed), help("drop `fails` from the line that takes it, or drop this line"))]
    NeverTaken {
        name: String,
        #[label("fails here")]
        taken: Option<SourceSpan>,
        #[label("needs it")]
        at: SourceSpan,
    },
    #[error("pin `{name}` is released twice")]
    #[diagnostic(code(cowl::lower::double_unpin), help("take out one `unpin`, or pin again in between under another name"))]
    DoubleUnpin {
        name: String,
        #[label("first released here")]
        first: Option<SourceSpan>,
        #[label("and again here")]
        again: SourceSpan,
    },
    #[error("reference `{name}` is dropped twice")]
    #[diagnostic(
        code(cowl::lower::double_put),
        help("take out one `{verb}`, or take another reference in between under another name")
    )]
    DoublePut {
        name: String,
        verb: &'static str,
        #[label("first dropped here")]
        first: Option<SourceSpan>,
        #[label("and again here")]
        again: SourceSpan,
    },
    #[error("`{name}` is used after it was released")]
    #[diagnostic(code(cowl::lower::use_after_release), help("move this line above the release"))]
    AfterRelease {
        name: String,
        #[label("released here")]
        gone: Option<SourceSpan>,
        #[label("used here")]
        at: SourceSpan,
    },
    #[error("`{name}` is {is}, and `{verb}` releases {takes}")]
    #[diagnostic(code(cowl::lower::wrong_release), help("write `{right} {name}`{by}"))]
    WrongRelease {
        name: String,
        is: &'static str,
        verb: &'static str,
        takes: &'static str,
        right: &'static str,
        by: String,
        #[label("taken here")]
        taken: Option<SourceSpan>,
        #[label("released here")]
        at: SourceSpan,
    },
    #[error("`{process}` does not hold `{name}`")]
    #[diagnostic(code(cowl::lower::not_the_holder), help("{help}"))]
    NotTheHolder {
        process: String,
        name: String,
        holder: String,
        help: String,
        #[label("taken here, by `{holder}`")]
        taken: Option<SourceSpan>,
        #[label("not by `{process}`")]
        at: SourceSpan,
    },
    #[error("the device cannot write through `{name}`: it is {is}")]
    #[diagnostic(code(cowl::lower::read_only_dma), help("{help}"))]
    ReadOnlyDma {
        name: String,
        is: &'static str,
        help: String,
        #[label("taken here")]
        taken: Option<SourceSpan>,
        #[label("written here")]
        at: SourceSpan,
    },
    #[error("`{actor}` sleeps and cannot do this")]
    #[diagnostic(code(cowl::lower::sleeping_thread), help("{help}"))]
    Sleeping {
        actor: String,
        help: String,
        #[label("stopped by userfaultfd here")]
        since: Option<SourceSpan>,
        #[label("still asleep here")]
        at: SourceSpan,
    },
    #[error("`{name}` is not registered with userfaultfd")]
    #[diagnostic(code(cowl::lower::not_registered), help("write `{actor}: uffd register {name} {mode}` above this line"))]
    NotRegistered {
        name: String,
        actor: String,
        mode: &'static str,
        #[label("needs a registered range")]
        at: SourceSpan,
    },
    #[error("`{parent}` would wait for ever: `{child}` does not exit before")]
    #[diagnostic(code(cowl::lower::endless_wait), help("write `{child}: exit` above this line"))]
    EndlessWait {
        parent: String,
        child: String,
        #[label("started here")]
        fork: Option<SourceSpan>,
        #[label("waits here")]
        at: SourceSpan,
    },
    #[error("`{child}` is no child of `{process}`")]
    #[diagnostic(code(cowl::lower::wait_for_another), help("{help}"))]
    NotAChild {
        process: String,
        child: String,
        help: String,
        #[label("started here")]
        fork: Option<SourceSpan>,
        #[label("waited for here")]
        at: SourceSpan,
    },
    #[error("`{child}` is waited for twice")]
    #[diagnostic(code(cowl::lower::double_wait), help("drop one `wait {child}`"))]
    DoubleWait {
        child: String,
        #[label("first here")]
        first: Option<SourceSpan>,
        #[label("and again here")]
        again: SourceSpan,
    },
    #[error("`{verb}` never fails and is never stopped")]
    #[diagnostic(code(cowl::lower::never_fails), help("drop the ending"))]
    NeverFails {
        verb: &'static str,
        #[label("cannot happen")]
        at: SourceSpan,
    },
}
