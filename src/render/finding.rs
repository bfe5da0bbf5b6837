//! A mistake in full, with the lines it speaks of.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::Look;
use crate::diag::{Finding, Severity, Source};

/// Bytes that a label underlines: a line may be as long as its file.
const LABEL_BYTES_MAX: u32 = 400;

/// The finding in full, with the lines it speaks of.
pub fn show(finding: &Finding, source: &Source, look: &Look) -> String {
    let theme = if look.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(look.width).with_links(false);
    let mut out = String::new();
    let shown = Shown { finding, source };
    if handler.render_report(&mut out, &shown).is_err() {
        return finding.short(source) + "\n";
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// A finding together with its text, as miette takes it.
struct Shown<'a> {
    finding: &'a Finding,
    source: &'a Source,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.finding, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        if self.finding.help.is_empty() { None } else { Some(Box::new(&self.finding.help)) }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.finding.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.finding.labels.iter().enumerate().map(|(place, label)| {
            let text = (!label.text.is_empty()).then(|| label.text.clone());
            let at = (label.span.start as usize, label.span.end.saturating_sub(label.span.start).min(LABEL_BYTES_MAX) as usize);
            match place {
                0 => LabeledSpan::new_primary_with_span(text, at),
                _ => LabeledSpan::new_with_span(text, at),
            }
        })))
    }
}
