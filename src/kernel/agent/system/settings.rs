//! Settings of the whole machine as data: what to change, and how it becomes again what it was.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::swap;

/// A change of the machine, beyond the agent's own processes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::kernel::agent) enum Change {
    /// Writes a text to a file of sysfs or of /proc/sys.
    Write {
        path: String,
        text: String,
        /// A kernel without this file does not need it.
        optional: bool,
    },
    /// So many huge pages of this size (log2 of their bytes) are free.
    Hugepages { log2: u32, free: u64 },
    /// Swap of so many slots, before all other swap.
    Swap { zram: bool, slots: Option<u16> },
    /// The swap of [`Change::Swap`] is taken away again.
    Swapoff,
}

/// How something that was changed becomes again what it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::kernel::agent) enum Undo {
    /// Writes the old text back.
    Write { path: String, text: String },
    /// swapoff(2).
    Swapoff { path: String },
    /// Removes a file.
    Remove { path: String },
    /// Takes the zram device of this number away.
    Zram { number: u32 },
}

impl Change {
    /// What it is about, for people.
    pub fn what(&self) -> String {
        match self {
            Change::Write { path, .. } => path.clone(),
            Change::Hugepages { .. } => "the pool of huge pages".to_owned(),
            Change::Swap { .. } | Change::Swapoff => "swap".to_owned(),
        }
    }

    /// Makes the change; the journal is told beforehand what must be undone.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn apply(&self, journal: &mut Vec<Undo>) -> Result<(), String> {
        match self {
            Change::Write { path, optional: true, .. } if !Path::new(path).exists() => Ok(()),
            Change::Write { path, text, .. } => write(path, text, journal),
            Change::Hugepages { log2, free } => hugepages(*log2, *free, journal),
            Change::Swap { zram, slots } => swap::on(*zram, *slots, journal),
            Change::Swapoff => swap::off(journal),
        }
    }
}

impl Undo {
    /// Undoes the change. What is already undone is no failure.
    ///
    /// # Errors
    /// Why it cannot be undone.
    pub fn undo(&self) -> Result<(), String> {
        match self {
            Undo::Write { path, text } => fs::write(path, text).map_err(|error| format!("{path}: {error}")),
            Undo::Swapoff { path } => swap::swapoff(path),
            Undo::Remove { path } => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{path}: {error}")),
                _ => Ok(()),
            },
            Undo::Zram { number } => swap::remove_zram(*number),
        }
    }
}

/// Undoes everything, the last first, and says what could not be undone.
pub(super) fn undo_all(journal: &mut Vec<Undo>) -> Result<(), String> {
    let failed: Vec<String> = std::mem::take(journal).iter().rev().filter_map(|undo| undo.undo().err()).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// What a file says now: of a choice (`always [madvise] never`) the word that is chosen.
pub(super) fn read(path: &str) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word);
    Ok(chosen.unwrap_or(&text).trim().to_owned())
}

pub(super) fn write(path: &str, text: &str, journal: &mut Vec<Undo>) -> Result<(), String> {
    let with = |error: io::Error| format!("{path}: {error}");
    let old = read(path).map_err(with)?;
    if old == text {
        return Ok(());
    }
    let known = journal.iter().any(|undo| matches!(undo, Undo::Write { path: other, .. } if other == path));
    if !known {
        journal.push(Undo::Write { path: path.to_owned(), text: old });
    }
    fs::write(path, text).map_err(with)
}

/// A number that the kernel tells of its huge pages of a size (log2 of their bytes).
fn pool(log2: u32, name: &str) -> Result<u64, String> {
    let path = format!("{}/{name}", pool_folder(log2));
    let text = read(&path).map_err(|error| format!("{path}: {error}"))?;
    text.parse().map_err(|_| format!("{path} says `{text}`"))
}

fn pool_folder(log2: u32) -> String {
    format!("/sys/kernel/mm/hugepages/hugepages-{}kB", (1u64 << log2) >> 10)
}

/// Whether so many huge pages are free, or come to be within some time, and promised to nobody.
pub(super) fn are_free(log2: u32, wanted: u64, within: Duration) -> bool {
    let until = Instant::now() + within;
    // The number of promised ones falls below zero while a pinned page outlives its mapping.
    while pool(log2, "free_hugepages") != Ok(wanted) || pool(log2, "resv_hugepages") != Ok(0) {
        if until < Instant::now() {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

fn hugepages(log2: u32, free: u64, journal: &mut Vec<Undo>) -> Result<(), String> {
    let number = |name: &str| pool(log2, name);
    let unfree = number("nr_hugepages")?.saturating_sub(number("free_hugepages")?.saturating_sub(number("resv_hugepages")?));
    // Pages beyond the pool would come where a scenario says that there are none.
    write(&format!("{}/nr_overcommit_hugepages", pool_folder(log2)), "0", journal)?;
    write(&format!("{}/nr_hugepages", pool_folder(log2)), &(unfree + free).to_string(), journal)?;
    match number("free_hugepages")? {
        there if there < free => Err(format!("only {there} of {free} huge pages could be had: memory is in pieces")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("cowl-settings-{}-{name}", std::process::id()));
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    #[test]
    fn the_last_change_is_undone_first_and_the_first_value_is_the_one_restored() {
        let (a, b) = (file("a", "always [madvise] never\n"), file("b", "7\n"));
        let mut journal = Vec::new();
        for (path, text) in [(&a, "never"), (&b, "8"), (&a, "always"), (&b, "9")] {
            let change = Change::Write { path: path.clone(), text: text.to_owned(), optional: false };
            change.apply(&mut journal).expect("it can be written");
        }
        assert_eq!(journal.len(), 2, "{journal:?}");
        assert_eq!(fs::read_to_string(&a).expect("readable"), "always");
        undo_all(&mut journal).expect("both can be undone");
        assert_eq!([&a, &b].map(|path| fs::read_to_string(path).expect("readable")), ["madvise", "7"]);
        for path in [a, b] {
            Undo::Remove { path: path.clone() }.undo().expect("removed");
            Undo::Remove { path }.undo().expect("what is gone is no failure");
        }
    }

    #[test]
    fn a_file_that_is_not_there_fails_unless_it_is_optional() {
        let absent = |optional| Change::Write { path: "/proc/sys/vm/cowl_no_such".to_owned(), text: "1".to_owned(), optional };
        let mut journal = Vec::new();
        absent(true).apply(&mut journal).expect("not needed");
        absent(false).apply(&mut journal).expect_err("needed");
        assert!(journal.is_empty());
    }
}
