//! The command line: arguments and files in, text and an exit code out. The only I/O besides real kernels.

mod args;
mod check;
mod corpus;
mod diff;
mod exit;
mod explain;
mod explore;
mod fmt;
mod fuzz;
pub(crate) mod input;
mod kernel;
mod kernel_fuzz;
mod matrix;
mod metal;
mod policies;
mod reduce;
mod report;
mod run;
mod terminal;
mod verbs;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
pub use exit::{Exit, Fail, Out};

use crate::diag::Source;
use crate::render::show;

/// Does what the arguments say, and answers with the exit code of `cowl --help`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    terminal::install_panic_hook();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let stdout = io::stdout();
    let look = terminal::look(&stdout, cli.color);
    let errors = terminal::look(&io::stderr(), cli.color);
    let mut lock = io::BufWriter::new(stdout.lock());
    let mut exit = Exit::default();
    let mut out = Out::new(&mut lock, look, errors);
    let done = dispatch(cli.command, &mut out, &mut exit).and_then(|()| out.flush());
    match done {
        Ok(()) | Err(Fail::Closed) => exit.code(),
        Err(Fail::Usage(finding)) => {
            let _ = write!(io::stderr(), "{}", show(&finding, &Source::default(), &errors));
            ExitCode::from(2)
        }
        Err(Fail::Write(error)) => {
            let _ = writeln!(io::stderr(), "cowl: cannot write the result: {error}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let look = out.look;
    match command {
        Command::Run(args) => return run::run(&args, out, exit),
        Command::Check(args) => return check::check(&args, out, exit),
        Command::Fmt(args) => return fmt::fmt(&args, out, exit),
        Command::Explain(args) => return explain::explain(&args, out, exit),
        Command::Corpus(args) => return corpus::corpus(&args, out, exit),
        Command::Diff(args) => return diff::diff(&args, out, exit),
        Command::Fuzz(args) => return fuzz::fuzz(&args, out, exit),
        Command::Reduce(args) => return reduce::reduce(&args, out, exit),
        Command::Explore(args) => return explore::explore(&args, out, exit),
        Command::Replay(args) => return explore::replay(&args, out, exit),
        Command::Kernel(args) => return kernel::kernel(&args, out, exit),
        Command::Policies(policies) => policies::policies(policies.what, &look, out)?,
        Command::Verbs { verbs } => verbs::verbs(&verbs, &look, out)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cowl", &mut script);
            out.text(&String::from_utf8_lossy(&script))?;
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Fail::Write)?;
            out.text(&String::from_utf8_lossy(&page))?;
        }
    }
    exit.ran();
    Ok(())
}
