//! The program: hands its arguments to [`cowl::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    cowl::cli::main(std::env::args_os())
}
