use std::io::{self, Write};
use std::process::ExitCode;

use crate::diag::Finding;
use crate::render::Look;

/// What the exit code is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exit {
    ran: bool,
    unmet: bool,
    bad_input: bool,
    stopped: bool,
}

impl Exit {
    /// Something could be done.
    pub fn ran(&mut self) {
        self.ran = true;
    }

    /// Something is not as expected.
    pub fn unmet(&mut self) {
        self.unmet = true;
    }

    /// A text has mistakes, or there is none.
    pub fn bad_input(&mut self) {
        self.bad_input = true;
    }

    /// Somebody asked to stop.
    pub fn stopped(&mut self) {
        self.stopped = true;
    }

    /// 2 goes before 1, 1 before 3, 3 before 4.
    pub fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    fn number(self) -> u8 {
        match (self.bad_input, self.unmet, self.stopped, self.ran) {
            (true, ..) => 2,
            (_, true, ..) => 1,
            (_, _, true, _) => 3,
            (_, _, _, false) => 4,
            (_, _, _, true) => 0,
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Fail {
    /// Nobody reads the result any more: no reason to complain.
    Closed,
    /// The result cannot be written.
    Write(io::Error),
    /// It makes no sense to go on, and why; with exit code 2.
    Usage(Box<Finding>),
}

impl Fail {
    /// A mistake on the command line.
    pub fn usage(code: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Fail::Usage(Box::new(Finding::error(code, message, help)))
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Fail::Closed,
            _ => Fail::Write(error),
        }
    }
}

/// Where results go.
pub struct Out<'a> {
    to: &'a mut dyn Write,
    /// How results may look.
    pub look: Look,
    /// How all else may look, on standard error.
    pub errors: Look,
}

impl<'a> Out<'a> {
    pub fn new(to: &'a mut dyn Write, look: Look, errors: Look) -> Self {
        Self { to, look, errors }
    }

    /// Writes a piece of the result.
    ///
    /// # Errors
    /// Where nobody reads it, or it cannot be written.
    pub fn text(&mut self, text: &str) -> Result<(), Fail> {
        Ok(self.to.write_all(text.as_bytes())?)
    }

    /// What was written so far is out.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn flush(&mut self) -> Result<(), Fail> {
        Ok(self.to.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn bad_input_goes_before_unmet_goes_before_stopped_goes_before_nothing_ran() {
        let number = |bad_input, unmet, stopped, ran| Exit { ran, unmet, bad_input, stopped }.number();
        for (rest, expected) in [(true, 2), (false, 2)] {
            assert_eq!(number(true, rest, rest, rest), expected);
        }
        assert_eq!([number(false, true, true, false), number(false, true, false, true)], [1, 1]);
        assert_eq!([number(false, false, true, false), number(false, false, true, true)], [3, 3]);
        assert_eq!([number(false, false, false, false), number(false, false, false, true)], [4, 0]);
    }
}
