use strum::{Display, EnumString, IntoStaticStr};

use super::{Advice, Area, Op};
use crate::types::{ClaimId, Event, Failure, FileId, ObsId, ProcId, RaceId, RefId, Size, TaskId, Value, ValueId, Vpn};

/// A program: what happens, in order, with every name resolved.
///
/// Everything here is what [`crate::printer`] prints and parsing reads back.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Program {
    /// Processes by id; the first exists from the start, the others come from `fork`.
    pub procs: Vec<String>,
    /// Actors by id, in order of first appearance.
    pub tasks: Vec<Actor>,
    /// Files by id.
    pub files: Vec<FileDecl>,
    /// Names given to memory.
    pub mems: Vec<Mem>,
    /// Named references.
    pub refs: Vec<RefDecl>,
    /// Named observations.
    pub obs: Vec<ObsDecl>,
    /// Values by id; id 0 is the value 0.
    pub values: Vec<Value>,
    /// Byte offsets of the words that the program names, by id; id 0 is the rest and its entry means nothing.
    pub words: Vec<u16>,
    /// Claims by id.
    pub claims: Vec<Claim>,
    /// Pages in every process's address space.
    pub pages: u16,
    /// log2 of the base pages of a PMD: 9 on x86-64, fewer where a search wants a smaller world.
    pub pmd_order: u8,
    /// What the machine has.
    pub system: System,
    /// The instructions in order. Those of a race stand together and carry its id.
    pub code: Vec<Instr>,
}

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Actor {
    /// A thread of a process; 1 is the first.
    Thread { proc: ProcId, thread: u8 },
    /// What no process asks for; 1 is `kernel` itself.
    Kernel(u8),
    /// DMA.
    Device,
}

impl Actor {
    /// The process it belongs to.
    pub fn proc(self) -> Option<ProcId> {
        match self {
            Actor::Thread { proc, .. } => Some(proc),
            Actor::Kernel(_) | Actor::Device => None,
        }
    }
}

/// A file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FileDecl {
    /// Its name; empty for the one behind a shared anonymous mapping, and for the memory of a device.
    pub name: String,
    /// Whose pages it has.
    pub kind: FileKind,
    /// Pages that some mapping of the program can reach.
    pub len_pages: u16,
}

/// Whose pages a file has. The text is the word of `mmap`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FileKind {
    /// Of a disk; without a name, of shmem.
    #[default]
    File,
    /// Of shmem.
    Memfd,
    /// The device's own: ZONE_DEVICE, mapped past the page cache as fsdax does.
    Device,
}

/// A name for memory of a process and of all it forks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mem {
    /// The name.
    pub name: String,
    /// Where it is in the address space, and the process that gave the name.
    pub area: Area,
    /// What `mmap` was asked for; a part named by `name` or moved by `mremap` has what it is a part of.
    pub kind: MemKind,
}

/// The size that `mmap` was given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemKind {
    /// `N pages`: base pages, and no THP by itself.
    Pages,
    /// `N thp`: each a naturally aligned PMD's worth of base pages.
    Thp,
    /// `N mthp ORDER`.
    Mthp { order: u8 },
    /// `N hugetlb [ORDER]`; an index counts huge pages.
    Hugetlb { order: Option<u8> },
}

/// A named reference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RefDecl {
    /// The name.
    pub name: String,
    /// Pages it holds when it is taken.
    pub len: u16,
    /// Place of its first page among the pages that all references hold.
    pub first: u16,
}

/// A named observation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ObsDecl {
    /// The name.
    pub name: String,
    /// Pages it observed.
    pub len: u16,
}

/// One instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Instr {
    /// Who does it.
    pub task: TaskId,
    /// What it does.
    pub op: Op,
    /// What user space was promised that it reads.
    pub claim: Option<ClaimId>,
    /// The name that what it reads is remembered by.
    pub observe: Option<ObsId>,
    /// What the author announced about its end.
    pub ending: Ending,
    /// The race it belongs to.
    pub race: Option<RaceId>,
    /// It comes from a `prepare`: its copies are not counted, and a kernel that does not honour it skips the scenario.
    pub setup: bool,
}

/// How an instruction ends. Outside a race both endings demand, inside they permit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Ending {
    #[default]
    Succeeds,
    /// `fails EBUSY`.
    Fails(Failure),
    /// `event wp`.
    Event(Event),
}

/// A claim about each page that an instruction reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Claim {
    /// How it is compared.
    pub comparison: Comparison,
    /// One of these satisfies it.
    pub any_of: Vec<Operand>,
}

/// How a claim compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr)]
pub enum Comparison {
    #[strum(serialize = "==")]
    Eq,
    #[strum(serialize = "!=")]
    Ne,
    #[strum(serialize = "<=")]
    Le,
    #[strum(serialize = ">=")]
    Ge,
}

/// The right side of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    Value(ValueId),
    Obs(ObsId),
}

/// What the machine of a scenario has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct System {
    /// Huge pages in the pool; enough where `None`.
    pub hugetlb: Option<u16>,
    /// Swap slots and their device; enough, on a disk, where `None`.
    pub swap: Option<(u16, SwapDevice)>,
}

/// What swap is on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SwapDevice {
    #[default]
    Disk,
    /// A synchronous device, and one that needs stable writes.
    Zram,
}

impl Comparison {
    /// Whether `left` compares so with `right`.
    pub fn holds<T: Ord>(self, left: T, right: T) -> bool {
        match self {
            Comparison::Eq => left == right,
            Comparison::Ne => left != right,
            Comparison::Le => left <= right,
            Comparison::Ge => left >= right,
        }
    }
}

impl Program {
    /// An actor as a scenario names it: `parent`, `parent/2`, `kernel`, `device`.
    pub fn actor(&self, task: TaskId) -> String {
        match self.tasks[task.idx()] {
            Actor::Thread { proc, thread: 1 } => self.procs[proc.idx()].clone(),
            Actor::Thread { proc, thread } => format!("{}/{thread}", self.procs[proc.idx()]),
            Actor::Kernel(1) => "kernel".to_owned(),
            Actor::Kernel(number) => format!("kernel/{number}"),
            Actor::Device => "device".to_owned(),
        }
    }

    /// Pages that all files hold together; a page's place is its file's first place plus its index.
    pub fn cache_pages(&self) -> usize {
        self.files.iter().map(|file| usize::from(file.len_pages)).sum()
    }

    /// Place of a file's first page among the pages of all files.
    pub fn cache_start(&self, file: FileId) -> usize {
        self.files[..file.idx()].iter().map(|file| usize::from(file.len_pages)).sum()
    }

    /// Whether a place among the pages of all files is one of a file of a disk, a device's own memory among them; `None` is
    /// anonymous memory.
    pub fn is_of_a_disk(&self, place: Option<usize>) -> bool {
        self.file_at(place).is_some_and(|file| match file.kind {
            FileKind::File => !file.name.is_empty(),
            FileKind::Memfd => false,
            FileKind::Device => true,
        })
    }

    /// Whether a place among the pages of all files is one of a device's own memory; `None` is anonymous memory.
    pub fn is_of_a_device(&self, place: Option<usize>) -> bool {
        self.file_at(place).is_some_and(|file| file.kind == FileKind::Device)
    }

    /// The file that has a place among the pages of all files.
    fn file_at(&self, place: Option<usize>) -> Option<&FileDecl> {
        let (place, mut end) = (place?, 0);
        self.files.iter().find(|file| {
            end += usize::from(file.len_pages);
            place < end
        })
    }

    /// Pages that all references hold together.
    pub fn held_pages(&self) -> usize {
        self.refs.iter().map(|decl| usize::from(decl.len)).sum()
    }

    /// Slots of the swap device: as many as `system swap` says, else enough for every page of every mapping; none where nothing is swapped out.
    pub fn swap_slots(&self) -> usize {
        let swaps = |op: &Op| matches!(op, Op::Pageout { .. } | Op::Madvise { advice: Advice::Pageout, .. });
        match self.system.swap {
            _ if !self.code.iter().any(|instr| swaps(&instr.op)) => 0,
            Some((slots, _)) => slots.into(),
            None => self.procs.len() * usize::from(self.pages),
        }
    }

    /// Whether some page may come to be part of a large folio.
    pub fn has_large_folios(&self) -> bool {
        let large = |mem: &Mem| matches!(mem.kind, MemKind::Thp | MemKind::Mthp { .. });
        let makes = |op: Op| matches!(op, Op::Madvise { advice: Advice::Hugepage, .. });
        self.mems.iter().any(large) || self.code.iter().any(|instr| makes(instr.op))
    }

    /// Whether some race has a line that changes page-table entries first and flushes TLBs later.
    pub fn flushes_late(&self) -> bool {
        let late = |op: Op| matches!(op, Op::UffdWp { .. } | Op::Mprotect { .. } | Op::ClearRefs | Op::Mremap { .. });
        self.code.iter().any(|instr| instr.race.is_some() && late(instr.op))
    }

    /// The page of an address space at which a mapping lay before mremap brought it to this one.
    pub fn mapped_first(&self, proc: ProcId, vpn: Vpn) -> Vpn {
        let brings = |op: Op| match op {
            Op::Mremap { from, to } if to.has(vpn) => Some((to.proc, Vpn(from.start.0 + vpn.0 - to.start.0))),
            _ => None,
        };
        let all = || self.code.iter().filter_map(|instr| brings(instr.op));
        // A child has what its parent moved at the same place.
        let found = all().find(|(of, _)| *of == proc).or_else(|| all().next());
        found.filter(|(_, from)| *from < vpn).map_or(vpn, |(of, from)| self.mapped_first(of, from))
    }

    /// The instruction that takes a reference.
    pub fn taker(&self, name: RefId) -> Option<&Instr> {
        self.code.iter().find(|instr| instr.op.takes() == Some(name))
    }

    /// The first bound of a size that the program exceeds: its name, what the program has, and the bound.
    pub fn exceeds<B: Size>(&self) -> Option<(&'static str, usize, usize)> {
        [
            ("processes", self.procs.len(), B::PROCS_MAX),
            ("pages of address space", self.pages.into(), B::PAGES_MAX),
            ("pages of files", self.cache_pages(), B::CACHE_MAX),
            ("references", self.refs.len(), B::REFS_MAX),
            ("pages held by references", self.held_pages(), B::HELD_MAX),
            ("actors", self.tasks.len(), B::TASKS_MAX),
            ("words told apart, the nameless rest among them", self.words.len(), B::WORDS_MAX),
            ("different values, 0 among them", self.values.len(), B::VALUES_MAX),
        ]
        .into_iter()
        .find(|(_, has, max)| max < has)
    }
}
