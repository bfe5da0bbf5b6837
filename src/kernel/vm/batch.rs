//! Many scenarios on many kernels: one boot for all that a kernel is asked, a few kernels at a time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Failed, Guest, Options};
use crate::kernel::wire::{Hello, Job, Ran, Stop};

/// A scenario to run on every kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    pub job: Job,
    /// Its races as races: what their delays come from, and how many rounds.
    pub race: Option<(u64, u32)>,
}

/// Rounds of a race that are asked for at once; each request has a time limit.
const ROUNDS_AT_ONCE: u32 = 25;

/// What a kernel came to.
#[derive(Debug, Default)]
pub struct Batch {
    /// What its agent greeted with; `None` where it did not come up.
    pub hello: Option<Hello>,
    /// One for each task, in their order, fewer where it failed: what came, each with in how many rounds.
    pub ran: Vec<Vec<(u32, Ran)>>,
    /// Until the agent's first line.
    pub booted: Duration,
    /// All of it, booting too.
    pub took: Duration,
    /// Why boots failed that were tried again.
    pub retried: Vec<String>,
    /// Why it ended before the last task.
    pub failed: Option<Failed>,
}

/// Runs all tasks on one kernel after another, `at_once` of them side by side; the results are in the order of the kernels.
///
/// `done` is told how many of all tasks on all kernels are done. Where `options.stop` is set, all kernels end with what they have.
pub fn on_each(
    kernels: &[PathBuf],
    tasks: &[Task],
    at_once: usize,
    options: &Options,
    done: &(dyn Fn(usize) + Sync),
) -> Vec<Batch> {
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Batch>> = kernels.iter().map(|_| Mutex::default()).collect();
    let taken = || {
        let place = next.fetch_add(1, Ordering::Relaxed);
        kernels.get(place).zip(results.get(place))
    };
    let work = || {
        while let Some((kernel, result)) = taken() {
            let told = || done(finished.fetch_add(1, Ordering::Relaxed) + 1);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = one(kernel, tasks, options, &told);
        }
    };
    // A machine ends with the thread that started it, so each is this thread's from its start to its end.
    thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, kernels.len().max(1)) {
            scope.spawn(work);
        }
    });
    results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn one(kernel: &Path, tasks: &[Task], options: &Options, told: &dyn Fn()) -> Batch {
    let (begun, mut batch) = (Instant::now(), Batch::default());
    let mut guest = match Guest::boot(kernel, options.clone()) {
        Err(failed) => return Batch { failed: Some(failed), took: begun.elapsed(), ..batch },
        Ok(guest) => guest,
    };
    for task in tasks {
        match run(&mut guest, task) {
            Ok(ran) => batch.ran.push(ran),
            Err(failed) => {
                batch.failed = Some(failed);
                break;
            }
        }
        told();
    }
    let Guest { hello, booted, retried, .. } = guest;
    Batch { hello: Some(hello), booted, retried, took: begun.elapsed(), ..batch }
}

fn run(guest: &mut Guest, task: &Task) -> Result<Vec<(u32, Ran)>, Failed> {
    let Some((seed, rounds)) = task.race else { return Ok(vec![(1, guest.run(&task.job)?)]) };
    let mut came: Vec<(u32, Ran)> = Vec::new();
    for first in (0..rounds).step_by(ROUNDS_AT_ONCE as usize) {
        came.extend(guest.race(&task.job, seed, first..rounds.min(first + ROUNDS_AT_ONCE))?);
        if came.iter().any(|(_, ran)| matches!(ran.stopped, Some(Stop::Skip(_) | Stop::Crashed(_)))) {
            break;
        }
    }
    Ok(came)
}
