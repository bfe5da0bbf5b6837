//! Looks at pages from outside: pagemap, kpageflags, kpagecount, /proc/PID/mem.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, pread};

use super::plan::Plan;
use super::stretch::{PAGE, Stretch};
use super::survey::Glance;
use super::sys;
use crate::kernel::thin::letter;
use crate::kernel::wire::{Fact, Facts};
use crate::types::{FileId, PMD_ORDER, ProcId, Vpn};

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const UFFD_WP: u64 = 1 << 57;
const SOFT_DIRTY: u64 = 1 << 55;
const PFN: u64 = (1 << 55) - 1;

const KPF_WRITEBACK: u64 = 1 << 8;
const KPF_ANON: u64 = 1 << 12;
const KPF_SWAPCACHE: u64 = 1 << 13;
const KPF_SWAPBACKED: u64 = 1 << 14;
const KPF_COMPOUND_HEAD: u64 = 1 << 15;
const KPF_COMPOUND_TAIL: u64 = 1 << 16;
const KPF_HUGE: u64 = 1 << 17;
const KPF_KSM: u64 = 1 << 21;
const KPF_ZERO: u64 = 1 << 24;
/// On anonymous pages the bit that a kernel keeps as PG_anon_exclusive; no promise of an interface, so it is tried first.
const KPF_EXCLUSIVE: u64 = 1 << 34;

/// The number of a page in its THP.
const THP_MASK: u64 = (1 << PMD_ORDER) - 1;

/// What can be seen here; found out by the probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sight {
    pub frames: bool,
    pub flags: bool,
    pub counts: bool,
    pub exclusive: bool,
    /// The same of each page of a large folio; else the first page's mark is told of all.
    pub tails: bool,
    /// Some kernels say of every anonymous page that ksmd merged it.
    pub ksm: bool,
    pub soft_dirty: bool,
    pub uffd_wp: bool,
}

/// The files about page frames.
pub(super) struct Frames {
    flags: Option<OwnedFd>,
    counts: Option<OwnedFd>,
}

impl Frames {
    pub fn open() -> Self {
        let open = |path| open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        Self { flags: open("/proc/kpageflags"), counts: open("/proc/kpagecount") }
    }

    /// What a file says of so many frames, as far as it can be read.
    fn words(file: Option<&OwnedFd>, from: u64, len: usize) -> Vec<u64> {
        file.map(|file| read_words(file, from, len)).unwrap_or_default()
    }

    pub fn all_flags(&self, from: u64, len: usize) -> Vec<u64> {
        Self::words(self.flags.as_ref(), from, len)
    }

    pub fn all_counts(&self, from: u64, len: usize) -> Vec<u64> {
        Self::words(self.counts.as_ref(), from, len)
    }

    pub fn flags(&self, pfn: u64) -> Option<u64> {
        self.all_flags(pfn, 1).first().copied()
    }

    /// Whether the swap cache holds an anonymous page, which may come back as the page that it was.
    pub fn is_in_swap_cache(&self, pfn: u64) -> bool {
        let is = |flags: u64| flags & (KPF_ANON | KPF_SWAPCACHE) == KPF_ANON | KPF_SWAPCACHE;
        let Some(flags) = self.flags(pfn) else { return false };
        // Some kernels say it of the first page of a THP alone.
        let first = || self.flags(pfn & !THP_MASK).filter(|first| first & KPF_COMPOUND_HEAD != 0);
        is(flags) || is_tail(flags) && first().is_some_and(is)
    }

    /// Whether a page is being written to its disk.
    pub fn is_under_writeback(&self, pfn: u64) -> bool {
        self.flags(pfn).is_some_and(|flags| flags & KPF_WRITEBACK != 0)
    }

    pub fn count(&self, pfn: u64) -> Option<u64> {
        self.all_counts(pfn, 1).first().copied()
    }

    /// Whether a frame is the first of a folio of this order; `None` where flags cannot be read.
    pub fn is_folio_of(&self, pfn: u64, order: u32) -> Option<bool> {
        let last = pfn + (1 << order) - 1;
        let is = |pfn, flag| self.flags(pfn).map(|flags| flags & flag != 0);
        Some(is(pfn, KPF_COMPOUND_HEAD)? && is(last, KPF_COMPOUND_TAIL)? && !is(last + 1, KPF_COMPOUND_TAIL)?)
    }
}

/// Words of a file that is made of them, as far as they can be read.
fn read_words(file: &OwnedFd, from: u64, len: usize) -> Vec<u64> {
    let mut bytes = vec![0; len * 8];
    let read = pread(file, &mut bytes[..], from * 8).unwrap_or(0);
    bytes.truncate(read);
    bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

/// A process as it is seen from outside.
pub(super) struct Eye {
    pub proc: ProcId,
    pagemap: OwnedFd,
    memory: Option<OwnedFd>,
}

/// What pagemap says of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Entry(pub u64);

impl Entry {
    pub fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    /// Whether the page is on a swap device. Bit 62 also stands for entries of other kinds, whose number is past those of devices.
    ///
    /// Source: fs/proc/task_mmu.c `pte_to_pagemap_entry`; include/linux/swap.h, the kinds from MAX_SWAPFILES on.
    pub fn is_swapped(self) -> bool {
        const KIND: u64 = 0x1f;
        const DEVICES_MAX: u64 = 16;
        self.0 & SWAPPED != 0 && self.0 & KIND < DEVICES_MAX
    }

    pub fn soft_dirty(self) -> bool {
        self.0 & SOFT_DIRTY != 0
    }

    pub fn uffd_wp(self) -> bool {
        self.0 & UFFD_WP != 0
    }

    /// The frame, where the user may know it.
    pub fn pfn(self) -> Option<u64> {
        (self.is_present() && self.0 & PFN != 0).then_some(self.0 & PFN)
    }
}

impl Eye {
    /// # Errors
    /// Where the process is gone or its files may not be read.
    pub fn open(pid: i32, proc: ProcId) -> Result<Self, Errno> {
        let open = |name| open(format!("/proc/{pid}/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { proc, pagemap: open("pagemap")?, memory: open("mem").ok() })
    }

    pub fn entry(&self, plan: &Plan, vpn: Vpn) -> Entry {
        let mut entry = [0; 8];
        let _ = pread(&self.pagemap, &mut entry[..], (plan.page(self.proc, vpn).at() / PAGE * 8) as u64);
        Entry(u64::from_ne_bytes(entry))
    }

    /// What pagemap says of each page of a stretch.
    pub fn entries(&self, pages: Stretch) -> Vec<Entry> {
        let len = pages.len() / PAGE;
        let mut entries: Vec<Entry> =
            read_words(&self.pagemap, (pages.at() / PAGE) as u64, len).into_iter().map(Entry).collect();
        entries.resize(len, Entry::default());
        entries
    }

    /// Whether a PMD maps a page; `None` where the kernel does not say.
    pub fn is_pmd_mapped(&self, page: Stretch) -> Option<bool> {
        sys::is_pmd_mapped(self.pagemap.as_fd(), page).ok()
    }

    /// The contents of pages that are present, read without a fault and without a pin, up to the first that cannot be read.
    pub fn memory(&self, pages: Stretch) -> Vec<u8> {
        let mut bytes = vec![0; pages.len()];
        let read = self.memory.as_ref().and_then(|memory| pread(memory, &mut bytes[..], pages.at() as u64).ok());
        bytes.truncate(read.unwrap_or(0));
        bytes
    }
}

/// Letters for pages, in order of first appearance.
#[derive(Default)]
pub(super) struct Letters {
    /// The letter's number, and the file whose page it is: that stays while nothing maps it.
    of: BTreeMap<u64, (u32, Option<FileId>)>,
    given: u32,
}

impl Letters {
    fn letter(&mut self, pfn: u64, file: Option<FileId>) -> String {
        if self.of.get(&pfn).is_some_and(|(_, was_of)| *was_of != file) {
            self.of.remove(&pfn); // The file is gone, and its frame another page.
        }
        let given = &mut self.given;
        let (number, _) = *self.of.entry(pfn).or_insert_with(|| {
            *given += 1;
            (*given - 1, file)
        });
        letter(number)
    }

    /// Whether some page that has a letter is so.
    pub fn any_frame(&self, is: impl Fn(u64) -> bool) -> bool {
        self.of.keys().any(|pfn| is(*pfn))
    }

    /// Forgets pages that nothing refers to any more: their frames may come back as other pages.
    pub fn keep(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.of.retain(|pfn, (_, file)| file.is_some() || is_kept(*pfn));
    }
}

/// Whether the flags of a frame are those of a page of a large folio but the first; of a hugetlb page one stands for all.
pub(super) fn is_tail(flags: u64) -> bool {
    flags & KPF_COMPOUND_TAIL != 0 && flags & KPF_HUGE == 0
}

/// All that can be said of a page.
pub(super) fn facts(glance: Glance, mapped: Mapped, sight: Sight, letters: &mut Letters) -> (Facts, Option<u64>) {
    let Glance { entry, flags, count, .. } = glance;
    let marked = flags.map(|flags| marked(&glance, flags, sight.tails));
    let pfn = entry.pfn();
    let is_zero = flags.is_some_and(|flags| flags & KPF_ZERO != 0);
    let is_anon = flags.is_some_and(|flags| flags & KPF_ANON != 0);
    let page = pfn.filter(|_| !is_zero && sight.flags);
    let absent = !entry.is_present();
    let value = match glance.words {
        Some(words) => Fact::Observed(words),
        None if entry.is_present() && mapped.readable => Fact::Unseen("its memory could not be read".to_owned()),
        None => Fact::Unseen("a load would disturb it".to_owned()),
    };
    let kind = match flags {
        _ if absent => Some("none"),
        Some(_) if is_zero => Some("zero"),
        Some(flags) if is_anon && sight.ksm && flags & KPF_KSM != 0 => Some("ksm"),
        Some(_) if is_anon => Some("anon"),
        // hugetlb pages of a file are of memory too, and are not swapped.
        Some(flags) if flags & (KPF_SWAPBACKED | KPF_HUGE) != 0 => Some("shmem"),
        Some(_) => Some("file"),
        None => None,
    };
    let facts = Facts {
        value: Some(value),
        frame: (sight.frames || absent)
            .then(|| Fact::Observed(page.map(|pfn| letters.letter(pfn, mapped.file.filter(|_| !is_anon))))),
        kind: kind.map(|kind| Fact::Observed(kind.to_owned())),
        present: Some(Fact::Observed(entry.is_present())),
        swapped: Some(swapped(entry, mapped, sight)),
        writable: None,
        dirty: None,
        soft_dirty: sight.soft_dirty.then(|| Fact::Observed(entry.soft_dirty())),
        uffd_wp: sight.uffd_wp.then(|| Fact::Observed(entry.uffd_wp())),
        mapcount: match page {
            None if absent || is_zero => sight.counts.then_some(Fact::Observed(0)),
            None => None,
            Some(_) => count.map(|count| Fact::Observed(count as u32)),
        },
        refcount: None,
        pincount: None,
        exclusive: match marked {
            _ if absent => sight.exclusive.then_some(Fact::Observed(false)),
            Some(marked) if sight.exclusive => Some(match marked {
                Some(marked) => Fact::Observed(is_anon && marked),
                None => Fact::Unseen("marks of a large folio's pages cannot be told from that of the first".to_owned()),
            }),
            _ => None,
        },
    };
    (facts, page)
}

/// Whether the page is swapped out. A shared one leaves no entry then; what is left there is a marker of userfaultfd.
fn swapped(entry: Entry, mapped: Mapped, sight: Sight) -> Fact<bool> {
    match entry.is_swapped() && !mapped.shared {
        true if !sight.frames => Fact::Unseen("without root a marker looks like a page on a swap device".to_owned()),
        swapped => Fact::Observed(swapped),
    }
}

/// Whether an anonymous page is marked. Where a PMD maps it, the mark of the first page is that of all; `None` of the others
/// where ptes map them and `tails` cannot be seen, or where nobody says what maps them.
fn marked(glance: &Glance, flags: u64, tails: bool) -> Option<bool> {
    let is_marked = |flags: u64| flags & KPF_EXCLUSIVE != 0;
    match glance.pmd {
        _ if !is_tail(flags) => Some(is_marked(flags)),
        Some((true, head)) => head.map(is_marked),
        Some((false, _)) if tails => Some(is_marked(flags)),
        Some((false, _)) | None => None,
    }
}

/// Which processes' pages are mapped, as the operations that succeeded say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mapped {
    pub readable: bool,
    pub dontfork: bool,
    /// Of a file, or of memory that processes share.
    pub shared: bool,
    /// What stands behind it; shared anonymous memory has a file without a name.
    pub file: Option<FileId>,
}

/// A page of a process.
pub(super) type Place = (ProcId, Vpn);
