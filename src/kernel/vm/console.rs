//! What a machine's console says: only its end is kept, for messages.

use std::io::{PipeReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Bytes that are kept.
const KEPT_MAX: usize = 16 << 10;
/// Lines that a message shows: a panic is told at the head of its trace.
const LINES_MAX: usize = 40;

/// A console that is being read.
#[derive(Debug)]
pub struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    /// Reads from now on, so that the machine never waits for a reader.
    pub fn listen(mut from: PipeReader) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut piece) {
                let mut kept = lock(&keep);
                kept.extend_from_slice(&piece[..len]);
                let more = kept.len().saturating_sub(KEPT_MAX);
                kept.drain(..more);
            }
        });
        Self(kept)
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&lock(&self.0)).replace('\r', "");
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| format!("  {}\n", plain(line))).collect()
    }
}

fn lock(kept: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line without what a terminal would obey.
fn plain(line: &str) -> String {
    line.chars().filter(|char| !char.is_control()).collect()
}
