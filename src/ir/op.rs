use strum::{Display, EnumString, IntoStaticStr, VariantArray, VariantNames};

use super::Verb;
use crate::types::{FileId, MemId, ProcId, RefId, ValueId, Vpn, WordId};

/// Consecutive pages of one process, or one word in each of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Area {
    /// Whose memory.
    pub proc: ProcId,
    /// The name it was reached by; printing needs it, execution does not.
    pub mem: MemId,
    /// First page.
    pub start: Vpn,
    /// Pages; never 0.
    pub len: u16,
    /// One word of each page; the whole page where `None`.
    pub word: Option<WordId>,
}

impl Area {
    /// Its pages in order.
    pub fn pages(self) -> impl DoubleEndedIterator<Item = Vpn> + ExactSizeIterator {
        (self.start.0..self.start.0 + self.len).map(Vpn)
    }

    /// Whether a page of its address space is one of its pages.
    pub fn has(self, vpn: Vpn) -> bool {
        (self.start.0..self.start.0 + self.len).contains(&vpn.0)
    }
}

/// Consecutive pages of what a named reference holds, or one word in each of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RefArea {
    /// The reference.
    pub name: RefId,
    /// First page, counted from the first that the reference holds.
    pub start: u16,
    /// Pages; never 0.
    pub len: u16,
    /// One word of each page; the whole page where `None`.
    pub word: Option<WordId>,
}

/// What stands behind a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Backing {
    /// Anonymous memory, always private.
    Anon,
    /// A file, from its first page on: of the page cache, or a device's own memory. Shared anonymous memory has a nameless one.
    File(FileId),
    /// Special ptes of frames without a count: VM_PFNMAP.
    Special,
}

/// `MAP_PRIVATE` or `MAP_SHARED`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Sharing {
    #[default]
    Private,
    Shared,
}

/// What a mapping permits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Prot {
    None,
    Ro,
    #[default]
    Rw,
}

/// Which way a reference is taken. Fast falls back to slow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Speed {
    #[default]
    Fast,
    Slow,
}

/// What a userfaultfd range is registered for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum UffdMode {
    Wp,
    WpAsync,
    Missing,
    Minor,
}

/// The advice of `madvise`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Advice {
    Dontneed,
    Free,
    Pageout,
    PopulateRead,
    PopulateWrite,
    Dontfork,
    Dofork,
    Wipeonfork,
    Keeponfork,
    Hugepage,
    Nohugepage,
    Collapse,
    Mergeable,
    Unmergeable,
    GuardInstall,
    GuardRemove,
}

/// One operation. Names are resolved, ranges are pages, values and words are entries of the program's tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    Mmap {
        area: Area,
        backing: Backing,
        sharing: Sharing,
        prot: Prot,
    },
    Munmap {
        area: Area,
    },
    Mremap {
        from: Area,
        to: Area,
    },
    Mprotect {
        area: Area,
        prot: Prot,
    },
    /// Gives part of a mapping a name; nothing happens.
    Name {
        area: Area,
        to: MemId,
    },
    Madvise {
        area: Area,
        advice: Advice,
    },
    Write {
        area: Area,
        value: ValueId,
    },
    Read {
        area: Area,
    },
    Fork {
        child: ProcId,
    },
    Exit,
    Wait {
        child: ProcId,
    },
    ClearRefs,
    SoftDirty {
        area: Area,
    },
    Poke {
        area: Area,
        value: ValueId,
    },
    PeekMem {
        area: Area,
    },
    ProcessVmWritev {
        area: Area,
        value: ValueId,
    },
    ProcessVmReadv {
        area: Area,
    },
    DirectRead {
        area: Area,
        value: ValueId,
    },
    DirectWrite {
        area: Area,
    },
    Vmsplice {
        area: Area,
        name: RefId,
    },
    Get {
        area: Area,
        write: bool,
        speed: Speed,
        name: RefId,
    },
    Put {
        name: RefId,
    },
    Pin {
        area: Area,
        write: bool,
        longterm: bool,
        speed: Speed,
        name: RefId,
    },
    Unpin {
        name: RefId,
        dirty: bool,
    },
    UffdRegister {
        area: Area,
        mode: UffdMode,
    },
    UffdWp {
        area: Area,
    },
    UffdUnwp {
        area: Area,
    },
    UffdCopy {
        area: Area,
        value: ValueId,
    },
    UffdZeropage {
        area: Area,
    },
    UffdContinue {
        area: Area,
    },
    /// `uffd move A -> B`: the pages of `from` go to `to`.
    UffdMove {
        from: Area,
        to: Area,
    },
    Peek {
        held: RefArea,
    },
    Dma {
        held: RefArea,
        value: ValueId,
    },
    Pageout {
        area: Area,
    },
    Swapin {
        area: Area,
    },
    Swapoff,
    Migrate {
        area: Area,
    },
    KsmMerge {
        a: Area,
        b: Area,
    },
    KsmUnmerge {
        area: Area,
    },
    SplitPmd {
        area: Area,
    },
    SplitFolio {
        area: Area,
    },
    Collapse {
        area: Area,
    },
    NumaHint {
        area: Area,
    },
    Hold {
        area: Area,
        name: RefId,
    },
    Drop {
        name: RefId,
    },
    LruAdd {
        area: Area,
    },
    Drain,
}

impl Op {
    /// The verb that says it.
    pub fn verb(self) -> Verb {
        use Op::*;
        match self {
            Mmap { .. } => Verb::Mmap,
            Munmap { .. } => Verb::Munmap,
            Mremap { .. } => Verb::Mremap,
            Mprotect { .. } => Verb::Mprotect,
            Name { .. } => Verb::Name,
            Madvise { .. } => Verb::Madvise,
            Write { .. } => Verb::Write,
            Read { .. } => Verb::Read,
            Fork { .. } => Verb::Fork,
            Exit => Verb::Exit,
            Wait { .. } => Verb::Wait,
            ClearRefs => Verb::ClearRefs,
            SoftDirty { .. } => Verb::SoftDirty,
            Poke { .. } => Verb::Poke,
            PeekMem { .. } => Verb::PeekMem,
            ProcessVmWritev { .. } => Verb::ProcessVmWritev,
            ProcessVmReadv { .. } => Verb::ProcessVmReadv,
            DirectRead { .. } => Verb::DirectRead,
            DirectWrite { .. } => Verb::DirectWrite,
            Vmsplice { .. } => Verb::Vmsplice,
            Get { .. } => Verb::Get,
            Put { .. } => Verb::Put,
            Pin { .. } => Verb::Pin,
            Unpin { .. } => Verb::Unpin,
            UffdRegister { .. } => Verb::UffdRegister,
            UffdWp { .. } => Verb::UffdWp,
            UffdUnwp { .. } => Verb::UffdUnwp,
            UffdCopy { .. } => Verb::UffdCopy,
            UffdZeropage { .. } => Verb::UffdZeropage,
            UffdContinue { .. } => Verb::UffdContinue,
            UffdMove { .. } => Verb::UffdMove,
            Peek { .. } => Verb::Peek,
            Dma { .. } => Verb::Dma,
            Pageout { .. } => Verb::Pageout,
            Swapin { .. } => Verb::Swapin,
            Swapoff => Verb::Swapoff,
            Migrate { .. } => Verb::Migrate,
            KsmMerge { .. } => Verb::KsmMerge,
            KsmUnmerge { .. } => Verb::KsmUnmerge,
            SplitPmd { .. } => Verb::SplitPmd,
            SplitFolio { .. } => Verb::SplitFolio,
            Collapse { .. } => Verb::Collapse,
            NumaHint { .. } => Verb::NumaHint,
            Hold { .. } => Verb::Hold,
            Drop { .. } => Verb::Drop,
            LruAdd { .. } => Verb::LruAdd,
            Drain => Verb::Drain,
        }
    }

    /// The memory it acts on, page by page, if it acts on memory by address.
    pub fn area(self) -> Option<Area> {
        use Op::*;
        match self {
            Mmap { area, .. } | Munmap { area } | Mprotect { area, .. } | Name { area, .. } | Madvise { area, .. } => {
                Some(area)
            }
            Write { area, .. } | Read { area } | SoftDirty { area } | Poke { area, .. } | PeekMem { area } => Some(area),
            ProcessVmWritev { area, .. } | ProcessVmReadv { area } | DirectRead { area, .. } | DirectWrite { area } => {
                Some(area)
            }
            Vmsplice { area, .. } | Get { area, .. } | Pin { area, .. } | Hold { area, .. } => Some(area),
            UffdRegister { area, .. } | UffdWp { area } | UffdUnwp { area } | UffdCopy { area, .. } => Some(area),
            UffdZeropage { area } | UffdContinue { area } => Some(area),
            Pageout { area } | Swapin { area } | Migrate { area } | KsmUnmerge { area } | SplitPmd { area } => Some(area),
            SplitFolio { area } | Collapse { area } | NumaHint { area } | LruAdd { area } => Some(area),
            Mremap { from, .. } | UffdMove { from, .. } => Some(from),
            KsmMerge { a, .. } => Some(a),
            Fork { .. } | Exit | Wait { .. } | ClearRefs | Put { .. } | Unpin { .. } => None,
            Peek { .. } | Dma { .. } | Swapoff | Drop { .. } | Drain => None,
        }
    }

    /// How many parts it has: one for each page of its range, one where it has none.
    pub fn parts(self) -> u16 {
        match (self, self.area()) {
            (Op::Peek { held } | Op::Dma { held, .. }, _) => held.len,
            (_, Some(area)) => area.len,
            (_, None) => 1,
        }
    }

    /// The value that it stores, if it stores one.
    pub fn stores(self) -> Option<ValueId> {
        use Op::*;
        match self {
            Write { value, .. } | Poke { value, .. } | ProcessVmWritev { value, .. } | DirectRead { value, .. } => Some(value),
            UffdCopy { value, .. } | Dma { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The reference that it takes, if it takes one.
    pub fn takes(self) -> Option<RefId> {
        match self {
            Op::Vmsplice { name, .. } | Op::Get { name, .. } | Op::Pin { name, .. } | Op::Hold { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The same about other memory, with another value where it stores one and another reference where it takes one.
    ///
    /// An operation about no memory, about a reference or about two pieces of memory stays as it is.
    pub fn with(self, area: Area, value: ValueId, name: RefId) -> Self {
        use Op::*;
        match self {
            Mmap { backing, sharing, prot, .. } => Mmap { area, backing, sharing, prot },
            Munmap { .. } => Munmap { area },
            Mprotect { prot, .. } => Mprotect { area, prot },
            Name { to, .. } => Name { area, to },
            Madvise { advice, .. } => Madvise { area, advice },
            Write { .. } => Write { area, value },
            Read { .. } => Read { area },
            SoftDirty { .. } => SoftDirty { area },
            Poke { .. } => Poke { area, value },
            PeekMem { .. } => PeekMem { area },
            ProcessVmWritev { .. } => ProcessVmWritev { area, value },
            ProcessVmReadv { .. } => ProcessVmReadv { area },
            DirectRead { .. } => DirectRead { area, value },
            DirectWrite { .. } => DirectWrite { area },
            Vmsplice { .. } => Vmsplice { area, name },
            Get { write, speed, .. } => Get { area, write, speed, name },
            Pin { write, longterm, speed, .. } => Pin { area, write, longterm, speed, name },
            UffdRegister { mode, .. } => UffdRegister { area, mode },
            UffdWp { .. } => UffdWp { area },
            UffdUnwp { .. } => UffdUnwp { area },
            UffdCopy { .. } => UffdCopy { area, value },
            UffdZeropage { .. } => UffdZeropage { area },
            UffdContinue { .. } => UffdContinue { area },
            Pageout { .. } => Pageout { area },
            Swapin { .. } => Swapin { area },
            Migrate { .. } => Migrate { area },
            KsmUnmerge { .. } => KsmUnmerge { area },
            SplitPmd { .. } => SplitPmd { area },
            SplitFolio { .. } => SplitFolio { area },
            Collapse { .. } => Collapse { area },
            NumaHint { .. } => NumaHint { area },
            Hold { .. } => Hold { area, name },
            LruAdd { .. } => LruAdd { area },
            Mremap { .. } | UffdMove { .. } | KsmMerge { .. } | Fork { .. } | Exit | Wait { .. } | ClearRefs => self,
            Put { .. } | Unpin { .. } | Peek { .. } | Dma { .. } | Swapoff | Drop { .. } | Drain => self,
        }
    }

    /// Whether it reads: such an operation takes a claim or names an observation.
    pub fn reads(self) -> bool {
        use Op::*;
        matches!(
            self,
            Read { .. } | SoftDirty { .. } | PeekMem { .. } | ProcessVmReadv { .. } | DirectWrite { .. } | Peek { .. }
        )
    }
}
