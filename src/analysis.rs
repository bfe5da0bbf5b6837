//! The facade: text in, facts out. The command line, the editor and the browser ask here and nowhere deeper.

use crate::check::report::ScenarioReport;
use crate::diag::{Finding, Place, Source};
use crate::ir::Scenario;
use crate::trace::Decision;
use crate::types::{Pc, Span};

/// What one file came to.
#[derive(Clone, Debug, Default)]
pub struct FileReport {
    /// The file itself, then those it takes in by `use`.
    pub sources: Vec<Source>,
    /// Mistakes, in order of their places. Where there is one, nothing ran.
    pub findings: Vec<Finding>,
    /// Its scenarios, one entry for each kind of memory, in their order.
    pub scenarios: Vec<Judged>,
}

/// A scenario and what it came to under every policy asked for.
#[derive(Clone, Debug)]
pub struct Judged {
    pub scenario: Scenario,
    pub report: ScenarioReport,
    /// For each policy under which nothing went wrong: how it decided where another policy went wrong.
    pub contrasts: Vec<Option<(Pc, Decision)>>,
}

impl FileReport {
    /// The path as it was given.
    pub fn path(&self) -> &str {
        self.sources.first().map_or("", |source| &source.path)
    }

    /// Where an instruction, an expectation or an assertion stands. All stand in the file itself: what a used file gave stands
    /// where it is used.
    pub fn place(&self, span: Span) -> Place {
        self.sources.first().map_or(Place::default(), |source| source.place(span.start))
    }

    /// What is written there, on one line.
    pub fn statement(&self, span: Span) -> String {
        self.sources.first().map_or(String::new(), |source| source.statement(span))
    }
}

impl Judged {
    /// Where an instruction stands; past the last, where the scenario's name stands.
    pub fn span(&self, pc: Pc) -> Span {
        self.scenario.spans.get(pc.idx()).copied().unwrap_or(self.scenario.span)
    }

    /// `name`, `name over kind`.
    pub fn title(&self) -> String {
        match &self.report.kind {
            Some(kind) => format!("{} over {kind}", self.report.name),
            None => self.report.name.clone(),
        }
    }
}
