//! Mistakes as text, capped: a file of garbage must not bury the one beside it.

use std::io::{self, Write};

use super::Exit;
use super::input::{Asked, Refused};
use crate::analysis::FileReport;
use crate::diag::{Finding, Severity, Source};
use crate::render::{Look, show, words};

/// Mistakes of one file that are shown; the rest are counted.
pub const SHOWN_MAX: usize = 100;

/// Tells something that is not the result. Where nobody listens, nobody minds.
pub fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A text that was asked for; `None` where there is none, which is told and counted in the exit code.
pub fn or_complain(text: Result<Asked, Box<Refused>>, short: bool, look: &Look, exit: &mut Exit) -> Option<Asked> {
    text.map_err(|none| {
        complain(&refused(&none, short, look));
        exit.bad_input();
    })
    .ok()
}

/// A path that gave no text.
pub fn refused(refused: &Refused, short: bool, look: &Look) -> String {
    one(&refused.finding, &Source::new(&refused.path, ""), short, look)
}

/// A mistake in full or on a line. Without a place it names its file.
fn one(finding: &Finding, source: &Source, short: bool, look: &Look) -> String {
    match (short, finding.labels.is_empty()) {
        (true, _) => finding.short(source) + "\n",
        (false, false) => show(finding, source, look) + "\n",
        (false, true) => {
            let message = format!("{}: {}", source.path, finding.message);
            show(&Finding { message, ..finding.clone() }, source, look) + "\n"
        }
    }
}

/// What was told so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Told {
    files: u64,
    scenarios: u64,
    errors: u64,
    warnings: u64,
}

impl Told {
    /// A path that gave no text: a file with a mistake.
    pub fn refused(&mut self, refused: &Refused, short: bool, look: &Look) -> String {
        self.files += 1;
        self.errors += 1;
        self::refused(refused, short, look)
    }

    /// The mistakes of a file, in full or a line each.
    pub fn findings(&mut self, file: &FileReport, short: bool, look: &Look) -> String {
        self.files += 1;
        self.scenarios += file.scenarios.len() as u64;
        let mut out = String::new();
        for finding in &file.findings {
            match finding.severity {
                Severity::Error => self.errors += 1,
                Severity::Warning | Severity::Advice => self.warnings += 1,
            }
        }
        for finding in file.findings.iter().take(SHOWN_MAX) {
            out.push_str(&one(finding, &file.sources[finding.file], short, look));
        }
        if let Some(more) = file.findings.len().checked_sub(SHOWN_MAX).filter(|more| 0 < *more) {
            let more = words::count(more as u64, "more mistake", "more mistakes");
            out.push_str(&format!("{}: {more} in this file; {SHOWN_MAX} are shown (SHOWN_MAX)\n", file.path()));
        }
        out
    }

    /// What was looked at and found, in a line.
    pub fn summary(&self) -> String {
        let looked =
            format!("{}, {}", words::count(self.files, "file", "files"), words::count(self.scenarios, "scenario", "scenarios"));
        let warnings = match self.warnings {
            0 => String::new(),
            number => format!(", {}", words::count(number, "warning", "warnings")),
        };
        match self.errors {
            0 => format!("{looked}: no mistakes{warnings}\n"),
            number => format!("{looked}: {}{warnings}\n", words::count(number, "mistake", "mistakes")),
        }
    }
}
