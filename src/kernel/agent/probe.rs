//! What this kernel and this user can realise and see: tried, not looked up.

use super::Agent;
use super::director;
use super::look::Sight;
use crate::ir::{Advice, Op, UffdMode};
use crate::kernel::sayable::is_gup_test;
use crate::kernel::wire::{Fact, Facts, Feature, Job, Limits, Ran, Stop};

/// An operation, how it is realised, and lines that must end well where it can be.
struct Trial {
    name: &'static str,
    how: &'static str,
    lines: &'static str,
}

/// What changes settings of the machine is tried only where that is asked for. These map their own memory.
const SYSTEM_TRIALS: &[Trial] = &[
    Trial {
        name: "pageout",
        how: "MADV_PAGEOUT by process_madvise(2), to a swap file or a disk of its own",
        lines: "p: mmap b 1 page\np: write b 1\nkernel: pageout p.b\np: read b == 1\nkernel: swapoff",
    },
    Trial {
        name: "pageout zram",
        how: "the same, to a zram device of its own",
        lines: "system swap 64 zram\np: mmap b 1 page\np: write b 1\nkernel: pageout p.b\np: read b == 1",
    },
    Trial { name: "mmap hugetlb", how: "MAP_HUGETLB", lines: "p: mmap b 1 hugetlb\np: write b 1\np: read b == 1" },
    Trial { name: "mmap mthp", how: "MADV_HUGEPAGE, one size enabled", lines: "p: mmap b 1 mthp 4\np: write b 1" },
    Trial {
        name: "ksm_merge",
        how: "ksmd, on memory that MADV_MERGEABLE was said of",
        lines: "p: mmap b 2 pages\np: write b 1\nkernel: ksm_merge p.b[0] p.b[1]\nkernel: ksm_unmerge p.b",
    },
    Trial {
        name: "migrate",
        how: "move_pages(2) to another node, or compaction",
        lines: "p: mmap b 1 page\np: write b 1\nkernel: migrate p.b\np: read b == 1",
    },
];

/// Why what was not asked for is not tried.
const NOT_ALLOWED: &str = "not tried: it changes settings of the machine, which --allow-system permits";

const TRIALS: &[Trial] = &[
    Trial { name: "fork", how: "fork(2)", lines: "p: write buf 1\np: fork c\nc: read buf == 1" },
    Trial {
        name: "vmsplice",
        how: "vmsplice(2); peek is tee(2)",
        lines: "p: write buf 1\np: vmsplice buf -> r\np: peek r == 1",
    },
    Trial {
        name: "pin rw longterm",
        how: "a fixed buffer of io_uring",
        lines: "p: write buf 1\np: pin buf rw longterm -> r\np: peek r == 1\ndevice: dma r 2\np: read buf == 2\np: unpin r",
    },
    Trial {
        name: "uffd wp",
        how: "userfaultfd",
        lines: "p: write buf 1\np: uffd register buf wp\np: uffd wp buf\np/2: write buf 2 event wp\np: uffd unwp buf\np: read buf == 2",
    },
    Trial { name: "direct_read", how: "O_DIRECT", lines: "p: direct_read buf 7\np: direct_write buf == 7" },
    Trial { name: "process_vm_readv", how: "process_vm_readv(2)", lines: "p: write buf 1\np: process_vm_readv buf == 1" },
    Trial { name: "process_vm_writev", how: "process_vm_writev(2)", lines: "p: process_vm_writev buf 1\np: read buf == 1" },
    Trial { name: "peek_mem", how: "/proc/PID/mem", lines: "p: write buf 1\np: peek_mem buf == 1" },
    Trial { name: "poke", how: "/proc/PID/mem", lines: "p: write buf 1\np: mprotect buf ro\np: poke buf 2\np: read buf == 2" },
    Trial { name: "madvise populate_read", how: "madvise(2), 5.14", lines: "p: madvise buf populate_read" },
    Trial { name: "madvise populate_write", how: "madvise(2), 5.14", lines: "p: madvise buf populate_write" },
    Trial { name: "madvise wipeonfork", how: "madvise(2), 4.14", lines: "p: madvise buf wipeonfork" },
    Trial { name: "madvise free", how: "madvise(2), 4.5", lines: "p: write buf 1\np: madvise buf free" },
    Trial {
        name: "madvise guard_install",
        how: "madvise(2), 6.13",
        lines: "p: madvise buf guard_install\np: read buf fails SIGSEGV\np: madvise buf guard_remove\np: read buf == 0",
    },
    Trial { name: "mmap thp", how: "MADV_HUGEPAGE", lines: "p: mmap thp 1 thp\np: write thp 1" },
    Trial {
        name: "madvise collapse",
        how: "madvise(2), 6.1",
        lines: "p: mmap thp 1 thp\np: write thp[0] 1\np: madvise thp collapse",
    },
    Trial {
        name: "split_pmd",
        how: "a vma of one page for a moment",
        lines: "p: mmap thp 1 thp\np: write thp 1\nkernel: split_pmd p.thp\np: read thp == 1",
    },
    Trial {
        name: "split_folio",
        how: "MADV_COLD of a part; split_huge_pages of debugfs where others map it too",
        lines: "p: mmap thp 1 thp\np: write thp 1\nkernel: split_folio p.thp\np: read thp == 1",
    },
    Trial { name: "mmap memfd", how: "memfd_create(2)", lines: "p: mmap f 1 page memfd F\np: read f == 0\np: write f 1" },
    Trial { name: "mmap file", how: "a nameless file", lines: "p: mmap f 1 page shared file F\np: write f 1\np: read f == 1" },
    Trial { name: "mremap", how: "mremap(2)", lines: "p: write buf 1\np: mremap buf -> far\np: read far == 1" },
    Trial {
        name: "uffd missing",
        how: "userfaultfd, UFFDIO_COPY",
        lines: "p: uffd register buf missing\np/2: read buf == 1 event missing\np: uffd copy buf 1\np: read buf == 1",
    },
    Trial {
        name: "uffd zeropage",
        how: "UFFDIO_ZEROPAGE",
        lines: "p: uffd register buf missing\np: uffd zeropage buf\np: read buf == 0",
    },
    Trial {
        name: "uffd minor",
        how: "userfaultfd, 5.14; UFFDIO_CONTINUE",
        lines: "p: mmap a 1 page shared memfd F\np: mmap b 1 page shared memfd F\np: write a 1\np: uffd register b minor\n\
                p/2: read b == 1 event minor\np: uffd continue b\np: read b == 1",
    },
    Trial {
        name: "uffd move",
        how: "UFFDIO_MOVE, 6.8",
        lines: "p: mmap to 1 page\np: write buf 1\np: uffd register to missing\np: uffd move buf -> to\np: read to == 1",
    },
    Trial {
        name: "uffd wp_async",
        how: "userfaultfd, 6.7",
        lines: "p: write buf 1\np: uffd register buf wp_async\np: uffd wp buf\np: write buf 2\np: read buf == 2",
    },
    Trial {
        name: "pin ro longterm",
        how: "gup_test of debugfs (CONFIG_GUP_TEST)",
        lines: "p: write buf 1\np: pin buf ro longterm -> r\np: peek r == 1\np: unpin r",
    },
];

/// The trial that an operation depends on.
pub(super) fn needs(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Vmsplice { .. } | Op::Get { .. } => "vmsplice",
        Op::Pin { .. } if is_gup_test(op) => "pin ro longterm",
        Op::Pin { .. } => "pin rw longterm",
        Op::UffdRegister { mode: UffdMode::Missing, .. } | Op::UffdCopy { .. } => "uffd missing",
        Op::UffdRegister { mode: UffdMode::Minor, .. } | Op::UffdContinue { .. } => "uffd minor",
        Op::UffdRegister { mode: UffdMode::WpAsync, .. } => "uffd wp_async",
        Op::UffdRegister { mode: UffdMode::Wp, .. } | Op::UffdWp { .. } | Op::UffdUnwp { .. } => "uffd wp",
        Op::UffdZeropage { .. } => "uffd zeropage",
        Op::UffdMove { .. } => "uffd move",
        Op::SplitPmd { .. } => "split_pmd",
        Op::SplitFolio { .. } => "split_folio",
        Op::Collapse { .. } => "madvise collapse",
        Op::Mremap { .. } => "mremap",
        Op::DirectRead { .. } | Op::DirectWrite { .. } => "direct_read",
        Op::ProcessVmReadv { .. } => "process_vm_readv",
        Op::ProcessVmWritev { .. } => "process_vm_writev",
        Op::PeekMem { .. } => "peek_mem",
        Op::ClearRefs | Op::SoftDirty { .. } => "soft_dirty",
        Op::Madvise { advice: Advice::PopulateRead, .. } => "madvise populate_read",
        Op::Madvise { advice: Advice::PopulateWrite, .. } => "madvise populate_write",
        Op::Madvise { advice: Advice::Wipeonfork, .. } => "madvise wipeonfork",
        Op::Madvise { advice: Advice::Free, .. } => "madvise free",
        Op::Madvise { advice: Advice::Collapse, .. } => "madvise collapse",
        Op::Madvise { advice: Advice::GuardInstall | Advice::GuardRemove, .. } => "madvise guard_install",
        _ => return None,
    })
}

impl Agent {
    /// Tries everything.
    pub(super) fn probe(&mut self, system: bool) {
        self.features.clear();
        let all = Sight {
            frames: true,
            flags: true,
            counts: true,
            exclusive: true,
            tails: true,
            ksm: true,
            soft_dirty: true,
            uffd_wp: true,
        };
        self.sight = all;
        let fork = self.trial("p: write buf 1\np: fork c");
        let uffd = self.trial("p: write buf 1\np: uffd register buf wp\np: uffd wp buf");
        // The child inherits all pages of a folio but the first.
        let part = self.trial("p: mmap thp 1 thp\np: write thp 1\np: madvise thp[0] dontfork\np: fork c");
        let of = |ran: &Ran, line: usize, page: &str| {
            let facts = ran.lines.get(line).map(|line| line.facts.as_slice()).unwrap_or_default();
            facts.iter().find(|(name, _)| name == page).map(|(_, facts)| facts.clone()).unwrap_or_default()
        };
        let (written, parent, child) = (of(&fork, 1, "p.buf[0]"), of(&fork, 2, "p.buf[0]"), of(&fork, 2, "c.buf[0]"));
        let protected = of(&uffd, 3, "p.buf[0]");
        let (head, tail) = (of(&part, 4, "p.thp[0]"), of(&part, 4, "p.thp[9]"));
        let is = |fact: &Option<Fact<bool>>, value| *fact == Some(Fact::Observed(value));
        let frames = matches!(&written.frame, Some(Fact::Observed(Some(_))));
        let marked = |facts: &Facts, value| is(&facts.exclusive, value);
        let counts = |facts: &Facts, count| facts.mapcount == Some(Fact::Observed(count));
        self.sight = Sight {
            frames,
            flags: frames && ["anon", "ksm"].iter().any(|kind| written.kind == Some(Fact::Observed((*kind).to_owned()))),
            ksm: written.kind == Some(Fact::Observed("anon".to_owned())),
            counts: frames && counts(&written, 1) && counts(&parent, 2),
            exclusive: frames && marked(&written, true) && marked(&parent, false) && marked(&child, false),
            tails: marked(&head, true) && marked(&tail, false),
            soft_dirty: is(&written.soft_dirty, true),
            uffd_wp: is(&protected.uffd_wp, true) && is(&written.uffd_wp, false),
        };
        self.list_sight();
        for trial in TRIALS {
            let no = why_not(&self.trial(trial.lines));
            self.features.push(Feature { name: trial.name.to_owned(), sees: false, how: trial.how.to_owned(), no });
        }
        for trial in SYSTEM_TRIALS {
            let no = if system { why_not(&self.trial_of(trial.lines, true)) } else { Some(NOT_ALLOWED.to_owned()) };
            self.features.push(Feature { name: trial.name.to_owned(), sees: false, how: trial.how.to_owned(), no });
        }
        let no = (!self.sight.soft_dirty).then(|| "bit 55 of pagemap stays 0: the kernel is without MEM_SOFT_DIRTY".to_owned());
        self.features.push(Feature { name: "soft_dirty".to_owned(), sees: false, how: "/proc/PID/clear_refs".to_owned(), no });
    }

    fn list_sight(&mut self) {
        let sight = self.sight;
        let root = if sight.frames { "the kernel does not show it" } else { "frame numbers in pagemap need CAP_SYS_ADMIN" };
        let flags = "bit 34 of kpageflags on anonymous pages, seen to be set by a store and cleared by fork";
        let rows = [
            ("value", "/proc/PID/mem, of pages that are present", true, ""),
            ("present", "bit 63 of pagemap", true, ""),
            ("swapped", "bit 62 of pagemap", true, ""),
            ("frame", "frame numbers in pagemap", sight.frames, root),
            ("kind", "kpageflags", sight.flags, root),
            (
                "ksm",
                "bit 21 of kpageflags",
                sight.ksm,
                if sight.flags { "the kernel says of all anonymous pages that they are merged" } else { root },
            ),
            ("mapcount", "kpagecount", sight.counts, root),
            ("exclusive", flags, sight.exclusive, root),
            ("soft_dirty", "bit 55 of pagemap", sight.soft_dirty, "the kernel is without MEM_SOFT_DIRTY"),
            ("uffd_wp", "bit 57 of pagemap", sight.uffd_wp, "the kernel does not show it in pagemap"),
            ("writable", "", false, "nothing shows it short of a store"),
            ("dirty", "", false, "nothing shows it"),
            ("refcount", "", false, "nothing shows it"),
            ("pincount", "", false, "nothing shows it"),
        ];
        self.unseen.clear();
        for (name, how, seen, why) in rows {
            let no = (!seen).then(|| why.to_owned());
            if let Some(why) = &no {
                self.unseen.insert(name.to_owned(), why.clone());
            }
            self.features.push(Feature { name: name.to_owned(), sees: true, how: how.to_owned(), no });
        }
    }

    fn trial(&self, lines: &str) -> Ran {
        self.trial_of(&format!("p: mmap buf 1 page\n{lines}"), false)
    }

    fn trial_of(&self, lines: &str, system: bool) -> Ran {
        let text = format!("scenario trial {{\n{lines}\n}}\n");
        let limits = Limits { time_ms: 5000, ..Limits::default() };
        let job = Job { id: 0, name: "trial".to_owned(), text, limits, facts: true, system };
        director::run(self, &job, None)
    }
}

fn why_not(ran: &Ran) -> Option<String> {
    match &ran.stopped {
        None => None,
        Some(Stop::Skip(why) | Stop::Crashed(why)) => Some(why.clone()),
        Some(Stop::Unannounced) => {
            let ended = ran.lines.last().map(|line| &line.ended);
            Some(match ended {
                Some(crate::kernel::wire::Ended::Fails(name)) => format!("fails with {name}"),
                _ => "it ends otherwise than it should".to_owned(),
            })
        }
    }
}
