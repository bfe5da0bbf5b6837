//! `cowl fmt`: canonical layout, in place.

use std::fs;
use std::path::Path;

use super::args::Fmt;
use super::report::{self, Told};
use super::{Exit, Fail, Out, input};
use crate::analysis;

/// Runs the command.
pub fn fmt(args: &Fmt, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let mut told = Told::default();
    for text in input::texts(&args.inputs.files) {
        let Some(text) = report::or_complain(text, false, &out.errors, exit) else { continue };
        exit.ran();
        match analysis::format(text.source) {
            Err(report) => {
                report::complain(&told.findings(&report, false, &out.errors));
                exit.bad_input();
            }
            Ok((before, after)) => one(&text.path, &before, &after, args.check, out, exit)?,
        }
    }
    Ok(())
}

/// A file whose layout is known: lists it, prints it, or rewrites it where it changes.
fn one(path: &Path, before: &str, after: &str, check: bool, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    if check {
        if before != after {
            exit.unmet();
            out.text(&format!("{}\n", input::name(path)))?;
        }
        return Ok(());
    }
    if path == Path::new(input::STDIN) {
        return out.text(after);
    }
    if before != after
        && let Err(error) = fs::write(path, after)
    {
        report::complain(&report::refused(&input::unwritable(path, &error), false, &out.errors));
        exit.bad_input();
    }
    Ok(())
}
