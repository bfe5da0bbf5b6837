//! `cowl fuzz --bank`: whether the hunt finds what is there to be found, and how long it takes.

use std::time::Instant;

use super::Fuzz;
use crate::campaign::bank::{EXECUTIONS_MAX, Found, SEEDS, bank as entries, hunted};
use crate::cli::terminal::{Progress, Stop};
use crate::cli::{Exit, Fail, Out};

/// Runs the bank and prints its table.
pub fn bank(args: &Fuzz, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let (stop, mut progress) = (Stop::listen(), Progress::new());
    out.text("| bug | under | executions | seconds | statements | found as |\n|---|---|---:|---:|---:|---|\n")?;
    let (entries, mut missing) = (entries(), 0);
    for (done, entry) in entries.iter().enumerate() {
        progress.at(done, entries.len(), "bugs");
        let mut found: Vec<(Found, f64)> = Vec::new();
        for seed in args.seed..args.seed + SEEDS {
            if stop.asked() {
                exit.stopped();
                progress.clear();
                return Ok(());
            }
            let began = Instant::now();
            if let Some(one) = hunted(entry, seed, args.statements, EXECUTIONS_MAX) {
                found.push((one, began.elapsed().as_secs_f64()));
            }
        }
        progress.clear();
        found.sort_by_key(|(one, _)| one.executions);
        let line = match found.get(found.len() / 2) {
            Some((median, seconds)) if found.len() as u64 == SEEDS => format!(
                "| {} | {} | {} | {seconds:.2} | {} | {} |\n",
                entry.name, entry.base, median.executions, median.statements, median.signature
            ),
            _ => {
                missing += 1;
                let of = found.len();
                format!(
                    "| {} | {} | not found in {EXECUTIONS_MAX} by {} of {SEEDS} seeds | | | |\n",
                    entry.name,
                    entry.base,
                    SEEDS - of as u64
                )
            }
        };
        out.text(&line)?;
        out.flush()?;
    }
    out.text(&format!("\n{} bugs, {} found; the median of {SEEDS} seeds\n", entries.len(), entries.len() - missing))?;
    exit.ran();
    if 0 < missing {
        exit.unmet();
    }
    Ok(())
}
