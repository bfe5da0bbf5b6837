//! `cowl fuzz --bank`: whether the hunt finds what is there to be found, and how long it takes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Fuzz;
use crate::campaign::bank::{EXECUTIONS_MAX, Entry, Found, SEEDS, bank as entries, hunted};
use crate::cli::terminal::{Progress, Stop};
use crate::cli::{Exit, Fail, Out};

/// What one seed came to, and the seconds it took.
type Shot = (Option<Found>, f64);

/// Runs the bank and prints its table: a row as soon as it and those before it are done.
pub fn bank(args: &Fuzz, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let wanted = args.bank.as_ref().and_then(Option::as_deref).unwrap_or_default();
    let rows: Vec<Entry> = entries().into_iter().filter(|entry| entry.name.starts_with(wanted)).collect();
    if rows.is_empty() {
        let help = "`cowl fuzz --bank` without a name hunts all; the first column of docs/bug-bank.md has the names";
        return Err(Fail::usage("cowl::usage::fuzz_bank", format!("no row of the bank begins with `{wanted}`"), help));
    }
    let (stop, next) = (Stop::listen(), AtomicUsize::new(0));
    let shots: Mutex<Vec<Vec<Shot>>> = Mutex::new(vec![Vec::new(); rows.len()]);
    out.text("| bug | under | executions | seconds | statements | found as |\n|---|---|---:|---:|---:|---|\n")?;
    let mut missing = 0;
    std::panic::set_hook(Box::new(|_| {})); // What a planted bug does to our own checks is caught.
    let told = std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| hunt(args, &rows, &next, &shots, &stop));
        }
        tell(&rows, &shots, &stop, out, &mut missing)
    });
    drop(std::panic::take_hook());
    let told = told?;
    if told < rows.len() {
        exit.stopped();
        return Ok(());
    }
    out.text(&format!("\n{} bugs, {} found; the median of {SEEDS} seeds\n", rows.len(), rows.len() - missing))?;
    exit.ran();
    if 0 < missing {
        exit.unmet();
    }
    Ok(())
}

/// One thread: row after row, seed after seed, as long as there are any.
fn hunt(args: &Fuzz, rows: &[Entry], next: &AtomicUsize, shots: &Mutex<Vec<Vec<Shot>>>, stop: &Stop) {
    loop {
        let (row, seed) = {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            (nth / SEEDS as usize, args.seed + nth as u64 % SEEDS)
        };
        let Some(entry) = rows.get(row).filter(|_| !stop.asked()) else { return };
        let began = Instant::now();
        let found = hunted(entry, seed, args.statements, EXECUTIONS_MAX, &|| stop.asked());
        if let Ok(mut shots) = shots.lock() {
            shots[row].push((found, began.elapsed().as_secs_f64()));
        }
    }
}

/// Prints the rows in their order; how many it has printed.
fn tell(
    rows: &[Entry],
    shots: &Mutex<Vec<Vec<Shot>>>,
    stop: &Stop,
    out: &mut Out<'_>,
    missing: &mut usize,
) -> Result<usize, Fail> {
    let mut progress = Progress::new();
    for (nth, entry) in rows.iter().enumerate() {
        let mut done = loop {
            if stop.asked() {
                progress.clear();
                return Ok(nth);
            }
            match shots.lock().map(|shots| shots[nth].clone()) {
                Ok(done) if done.len() as u64 == SEEDS => break done,
                Ok(_) => progress.at(nth, rows.len(), "bugs"),
                Err(_) => return Ok(nth),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        progress.clear();
        done.sort_by_key(|(found, _)| found.as_ref().map_or(u64::MAX, |found| found.executions));
        *missing += usize::from(done.iter().any(|(found, _)| found.is_none()));
        out.text(&line(entry, &done))?;
        out.flush()?;
    }
    Ok(rows.len())
}

/// A row of the table, from what the seeds came to, the quickest first.
fn line(entry: &Entry, done: &[Shot]) -> String {
    let missed = done.iter().filter(|(found, _)| found.is_none()).count();
    match &done[done.len() / 2] {
        (Some(found), seconds) if missed == 0 => format!(
            "| {} | {} | {} | {seconds:.2} | {} | {} |\n",
            entry.name,
            entry.base,
            found.executions,
            found.finding.scenario.program.code.len(),
            found.finding.signature,
        ),
        _ => {
            format!("| {} | {} | not found in {EXECUTIONS_MAX} by {missed} of {SEEDS} seeds | | | |\n", entry.name, entry.base)
        }
    }
}
