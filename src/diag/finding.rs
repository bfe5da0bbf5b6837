use miette::Diagnostic;

use super::{Place, Source};
use crate::types::Span;

/// Something wrong with a text, as a plain value: what every front door shows in its own way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Place of its text among those of the report; 0 is the file itself, the others are those it uses.
    pub file: usize,
    /// `cowl::lower::double_unpin`
    pub code: String,
    pub severity: Severity,
    pub message: String,
    /// What to type instead; empty where nobody knows.
    pub help: String,
    /// Places it speaks of; the first is where it is.
    pub labels: Vec<Label>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
    Advice,
}

/// A place and what is to be said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    pub span: Span,
    /// Empty where the place says all.
    pub text: String,
}

/// Characters of a message: it may quote a word as long as its file.
const MESSAGE_CHARS_MAX: usize = 400;

/// The text, or its beginning and a sign that there is more.
fn clip(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Finding {
    /// The plain value of a diagnostic; labels keep their order but for the primary one, which comes first.
    pub fn from_diagnostic(file: usize, diagnostic: &dyn Diagnostic) -> Self {
        let mut labels: Vec<_> = diagnostic.labels().into_iter().flatten().collect();
        labels.sort_by_key(|label| !label.primary());
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            file,
            code: diagnostic.code().map(|code| code.to_string()).unwrap_or_default(),
            severity: match diagnostic.severity() {
                None | Some(miette::Severity::Error) => Severity::Error,
                Some(miette::Severity::Warning) => Severity::Warning,
                Some(miette::Severity::Advice) => Severity::Advice,
            },
            message: clip(diagnostic.to_string()),
            help: diagnostic.help().map(|help| clip(help.to_string())).unwrap_or_default(),
            labels: labels
                .iter()
                .map(|label| Label {
                    span: Span { start: byte(label.offset()), end: byte(label.offset() + label.len()) },
                    text: clip(label.label().unwrap_or_default().to_owned()),
                })
                .collect(),
        }
    }

    /// A mistake without a place.
    pub fn error(code: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: 0,
            code: code.to_owned(),
            severity: Severity::Error,
            message: message.into(),
            help: help.into(),
            labels: Vec::new(),
        }
    }

    /// The same, at a place.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// The same, as a warning.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Where it is; the start of the text where it has no place.
    pub fn place(&self, source: &Source) -> Place {
        source.place(self.labels.first().map_or(0, |label| label.span.start))
    }

    /// `file:line:col: error[code]: message`, on one line.
    pub fn short(&self, source: &Source) -> String {
        let Place { line, column } = self.place(source);
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = if self.labels.is_empty() { String::new() } else { format!(":{line}:{column}") };
        format!("{}{place}: {}[{}]: {message}", source.path, self.severity, self.code)
    }
}
