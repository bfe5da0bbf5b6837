//! What a scenario needs of the whole machine: swap, huge pages, settings of THP and KSM.
//!
//! It is changed only where the runner allows it, by the [guardian](guardian), and stays as it is for the next scenario that
//! needs the same.

mod guardian;
mod settings;
mod swap;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use guardian::Guardian;
pub(super) use settings::Change;
pub use swap::SWAP;

use super::plan::Plan;
use crate::ir::{Advice, Backing, MemKind, Op, SwapDevice};

const THP: &str = "/sys/kernel/mm/transparent_hugepage";
/// Which memory has THPs that a PMD maps, since sizes are settings of their own (6.8).
const PMD_SIZE: &str = "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled";
const KSM: &str = "/sys/kernel/mm/ksm";
/// Huge pages that are free where a scenario does not say how many, beyond those that its mappings can hold.
const HUGETLB_SPARE: u64 = 2;
/// How long the rings of a scenario that has ended may keep its pages: io_uring gives them back some time later.
const LEFT_OVERS: Duration = Duration::from_secs(2);

/// The machine's settings as the agent has changed them.
#[derive(Default)]
pub(super) struct System {
    guardian: Option<Guardian>,
    have: Vec<Change>,
}

impl System {
    /// Arranges what a scenario needs.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn arrange(&mut self, needs: Vec<Change>) -> Result<(), String> {
        let is_there = |need: &Change| match need {
            // Scenarios may have used it up, which is not undone.
            Change::Hugepages { log2, free } => settings::are_free(*log2, *free, LEFT_OVERS),
            Change::Write { .. } | Change::Swap { .. } | Change::Swapoff => true,
        };
        if needs.iter().all(|need| self.have.contains(need) && is_there(need)) {
            return Ok(());
        }
        self.restore()?;
        for need in &needs {
            self.change(need.clone()).map_err(|why| format!("{} cannot be arranged: {why}", need.what()))?;
        }
        self.have = needs;
        Ok(())
    }

    /// Makes a change at once.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn change(&mut self, change: Change) -> Result<(), String> {
        if change == Change::Swapoff {
            self.have.clear(); // The next scenario finds its swap again.
        }
        let guardian = match &mut self.guardian {
            Some(guardian) => guardian,
            none => none.insert(Guardian::start()?),
        };
        guardian.change(change)
    }

    /// Lets ksmd scan, or rest.
    ///
    /// # Errors
    /// Where there is none.
    pub fn ksmd(&mut self, runs: bool) -> Result<(), String> {
        self.change(write(format!("{KSM}/run"), u8::from(runs).to_string()))
    }

    /// Undoes everything.
    ///
    /// # Errors
    /// What could not be undone. The guardian is given up then, and a new one starts where it is needed.
    pub fn restore(&mut self) -> Result<(), String> {
        for change in std::mem::take(&mut self.have) {
            if let Change::Hugepages { log2, free } = change {
                // What is in use when the pool shrinks would stay in it as a surplus.
                settings::are_free(log2, free, LEFT_OVERS);
            }
        }
        let Some(guardian) = &mut self.guardian else { return Ok(()) };
        let done = guardian.restore();
        if done.is_err() {
            self.guardian = None;
        }
        done
    }
}

fn write(path: String, text: impl Into<String>) -> Change {
    Change::Write { path, text: text.into(), optional: false }
}

/// What a program needs that the machine does not have by itself.
pub(super) fn needs(plan: &Plan) -> Vec<Change> {
    let program = &plan.program;
    let mut needs = Vec::new();
    let swaps = |op| {
        let advice = matches!(op, Op::Madvise { advice: Advice::Pageout, .. });
        advice || matches!(op, Op::Pageout { .. } | Op::Swapin { .. } | Op::Swapoff)
    };
    if program.system.swap.is_some() || program.code.iter().any(|instr| swaps(instr.op)) {
        let (slots, device) = program.system.swap.map_or((None, SwapDevice::Disk), |(slots, device)| (Some(slots), device));
        needs.push(Change::Swap { zram: device == SwapDevice::Zram, slots });
    }
    let (mut huge, mut thp, mut shmem, mut mthp) = (BTreeMap::new(), false, false, None);
    for instr in &program.code {
        let Op::Mmap { area, backing, .. } = instr.op else { continue };
        match program.mems[area.mem.idx()].kind {
            MemKind::Pages => {}
            MemKind::Thp => (thp, shmem) = (true, shmem | matches!(backing, Backing::File(_))),
            MemKind::Mthp { order } => (thp, mthp) = (true, Some(order)),
            MemKind::Hugetlb { .. } => {
                *huge.entry(plan.huge(area).unwrap_or_default()).or_insert(0) +=
                    u64::from(area.len) * program.procs.len() as u64;
            }
        }
    }
    for (log2, pages) in huge {
        needs.push(Change::Hugepages { log2, free: program.system.hugetlb.map_or(pages + HUGETLB_SPARE, u64::from) });
    }
    if thp && settings::read(&format!("{THP}/enabled")).is_ok_and(|word| word == "never") {
        needs.push(write(format!("{THP}/enabled"), "madvise"));
    }
    if shmem {
        needs.push(write(format!("{THP}/shmem_enabled"), "advise"));
    }
    match mthp {
        Some(order) => needs.extend(one_size_of_folio(order)),
        // It may be so because a scenario before wanted another size.
        None if thp && settings::read(PMD_SIZE).is_ok_and(|word| word == "never") => {
            needs.push(write(PMD_SIZE.to_owned(), "inherit"))
        }
        None => {}
    }
    if program.code.iter().any(|instr| matches!(instr.op, Op::KsmMerge { .. })) {
        needs.push(write(format!("{KSM}/sleep_millisecs"), "0"));
        needs.push(write(format!("{KSM}/pages_to_scan"), "1000"));
        needs.push(write(format!("{KSM}/use_zero_pages"), "1")); // As in the model.
        // It passes over pages that were not merged a few times.
        needs.push(Change::Write { path: format!("{KSM}/smart_scan"), text: "0".to_owned(), optional: true });
    }
    needs
}

/// A fault takes the largest size that is enabled: it is to be this one.
fn one_size_of_folio(order: u8) -> Vec<Change> {
    let wanted = format!("hugepages-{}kB", 4u64 << order);
    let names = fs::read_dir(THP).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let path = |name: &str| format!("{THP}/{name}/enabled");
    // The smallest size is one of shared memory alone.
    let is_size = |name: &String| name.starts_with("hugepages-") && Path::new(&path(name)).exists();
    let mut sizes: Vec<String> = names.filter(|name| is_size(name) && *name != wanted).collect();
    sizes.sort();
    let others = sizes.iter().map(|name| write(path(name), "never"));
    others.chain([write(path(&wanted), "madvise")]).collect()
}
