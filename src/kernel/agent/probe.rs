//! What this kernel and this user can realise and see: tried, not looked up.

use super::Agent;
use super::director;
use super::look::Sight;
use crate::ir::{Advice, Op};
use crate::kernel::wire::{Fact, Facts, Feature, Job, Limits, Ran, Stop};

/// An operation, how it is realised, and lines that must end well where it can be.
struct Trial {
    name: &'static str,
    how: &'static str,
    lines: &'static str,
}

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
];

/// The trial that an operation depends on.
pub(super) fn needs(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Vmsplice { .. } | Op::Get { .. } => "vmsplice",
        Op::Pin { .. } => "pin rw longterm",
        Op::UffdRegister { .. } | Op::UffdWp { .. } | Op::UffdUnwp { .. } => "uffd wp",
        Op::DirectRead { .. } | Op::DirectWrite { .. } => "direct_read",
        Op::ProcessVmReadv { .. } => "process_vm_readv",
        Op::ProcessVmWritev { .. } => "process_vm_writev",
        Op::PeekMem { .. } => "peek_mem",
        Op::ClearRefs | Op::SoftDirty { .. } => "soft_dirty",
        Op::Madvise { advice: Advice::PopulateRead, .. } => "madvise populate_read",
        Op::Madvise { advice: Advice::PopulateWrite, .. } => "madvise populate_write",
        _ => return None,
    })
}

impl Agent {
    /// Tries everything.
    pub(super) fn probe(&mut self) {
        self.features.clear();
        let all = Sight { frames: true, flags: true, counts: true, exclusive: true, soft_dirty: true, uffd_wp: true };
        self.sight = all;
        let fork = self.trial("p: write buf 1\np: fork c");
        let uffd = self.trial("p: write buf 1\np: uffd register buf wp\np: uffd wp buf");
        let of = |ran: &Ran, line: usize, page: &str| {
            let facts = ran.lines.get(line).map(|line| line.facts.as_slice()).unwrap_or_default();
            facts.iter().find(|(name, _)| name == page).map(|(_, facts)| facts.clone()).unwrap_or_default()
        };
        let (written, parent, child) = (of(&fork, 1, "p.buf[0]"), of(&fork, 2, "p.buf[0]"), of(&fork, 2, "c.buf[0]"));
        let protected = of(&uffd, 3, "p.buf[0]");
        let is = |fact: &Option<Fact<bool>>, value| *fact == Some(Fact::Observed(value));
        let frames = matches!(&written.frame, Some(Fact::Observed(Some(_))));
        let marked = |facts: &Facts, value| is(&facts.exclusive, value);
        let counts = |facts: &Facts, count| facts.mapcount == Some(Fact::Observed(count));
        self.sight = Sight {
            frames,
            flags: frames && written.kind == Some(Fact::Observed("anon".to_owned())),
            counts: frames && counts(&written, 1) && counts(&parent, 2),
            exclusive: frames && marked(&written, true) && marked(&parent, false) && marked(&child, false),
            soft_dirty: is(&written.soft_dirty, true),
            uffd_wp: is(&protected.uffd_wp, true) && is(&written.uffd_wp, false),
        };
        self.list_sight();
        for trial in TRIALS {
            let no = why_not(&self.trial(trial.lines));
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
        let text = format!("scenario trial {{\np: mmap buf 1 page\n{lines}\n}}\n");
        let limits = Limits { time_ms: 2000, ..Limits::default() };
        let job = Job { id: 0, name: "trial".to_owned(), text, limits, facts: true, system: false };
        director::run(self, &job)
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
