use super::words;
use crate::analysis::FileReport;
use crate::check::report::{Met, Verdict};

/// How many of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Scenarios, each kind of memory for itself.
    pub scenarios: u64,
    /// Scenarios times policies.
    pub runs: u64,
    /// Runs in which something is not as expected.
    pub unmet: u64,
    /// Runs that could not be.
    pub skipped: u64,
    /// Runs that say nothing of what is expected.
    pub not_judged: u64,
    /// Files with mistakes.
    pub wrong: u64,
}

impl Summary {
    /// Counts one more file.
    pub fn add(&mut self, file: &FileReport) {
        self.wrong += u64::from(!file.findings.is_empty());
        for judged in &file.scenarios {
            self.scenarios += 1;
            for result in &judged.report.results {
                self.runs += 1;
                match (words::met(result), &result.run.verdict) {
                    (Met::No, _) => self.unmet += 1,
                    (_, Verdict::Skip(_)) => self.skipped += 1,
                    (Met::NotJudged, _) => self.not_judged += 1,
                    (Met::Yes, _) => {}
                }
            }
        }
    }

    /// `72 scenarios, 1584 runs: all as expected`, in a line without its end.
    pub fn text(&self) -> String {
        let runs =
            format!("{}, {}", words::count(self.scenarios, "scenario", "scenarios"), words::count(self.runs, "run", "runs"));
        let parts = [(self.unmet, "UNMET"), (self.skipped, "skipped"), (self.not_judged, "not judged")];
        let mut parts: Vec<_> =
            parts.iter().filter(|(number, _)| 0 < *number).map(|(number, what)| format!("{number} {what}")).collect();
        let met = self.runs - self.unmet - self.skipped - self.not_judged;
        if 0 < met {
            parts.insert(0, if met == self.runs { "all as expected".to_owned() } else { format!("{met} as expected") });
        }
        if 0 < self.wrong {
            parts.push(format!("{} with mistakes", words::count(self.wrong, "file", "files")));
        }
        match parts.is_empty() {
            true => runs,
            false => format!("{runs}: {}", parts.join(", ")),
        }
    }
}
