//! Many scenarios on many kernels: one boot for all that a kernel is asked, a few kernels at a time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Failed, Guest, Options};
use crate::kernel::wire::{Hello, Job, Ran};

/// What a kernel came to.
#[derive(Debug)]
pub struct Batch {
    /// What its agent greeted with.
    pub hello: Hello,
    /// One for each job, in their order; fewer where somebody asked to stop.
    pub ran: Vec<Ran>,
    /// Until the agent's first line.
    pub booted: Duration,
    /// All of it, booting too.
    pub took: Duration,
}

/// Runs all jobs on one kernel after another, `at_once` of them side by side; the results are in the order of the kernels.
///
/// `stop` is asked between jobs; `done` is told how many of all jobs on all kernels are done.
pub fn on_each(
    kernels: &[PathBuf],
    jobs: &[Job],
    at_once: usize,
    stop: &(dyn Fn() -> bool + Sync),
    done: &(dyn Fn(usize) + Sync),
) -> Vec<Result<Batch, Failed>> {
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<Result<Batch, Failed>>>> = kernels.iter().map(|_| Mutex::new(None)).collect();
    let taken = || {
        let place = next.fetch_add(1, Ordering::Relaxed);
        kernels.get(place).zip(results.get(place))
    };
    let work = || {
        while let Some((kernel, result)) = taken() {
            let told = || done(finished.fetch_add(1, Ordering::Relaxed) + 1);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(one(kernel, jobs, stop, &told));
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, kernels.len().max(1)) {
            scope.spawn(work);
        }
    });
    results.into_iter().filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn one(kernel: &Path, jobs: &[Job], stop: &(dyn Fn() -> bool + Sync), told: &dyn Fn()) -> Result<Batch, Failed> {
    let begun = Instant::now();
    let mut guest = Guest::boot(kernel, Options::default())?;
    let mut ran = Vec::with_capacity(jobs.len());
    for job in jobs {
        if stop() {
            break;
        }
        ran.push(guest.run(job)?);
        told();
    }
    Ok(Batch { hello: guest.hello.clone(), ran, booted: guest.booted, took: begun.elapsed() })
}
