//! What can be said: for each verb who may say it, its operands, what it gives, and a line for people.
//!
//! The grammar knows no verb. Lowering, printing, `--help`, the book and near-miss suggestions all read [`OPS`].

use strum::{Display, EnumString, IntoStaticStr, VariantArray, VariantNames};

/// A verb of the language.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Display, EnumString, IntoStaticStr, VariantArray, VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    Mmap,
    Munmap,
    Mremap,
    Mprotect,
    Name,
    Madvise,
    Write,
    Read,
    Fork,
    Exit,
    Wait,
    ClearRefs,
    SoftDirty,
    Poke,
    PeekMem,
    ProcessVmWritev,
    ProcessVmReadv,
    DirectRead,
    DirectWrite,
    Vmsplice,
    Get,
    Put,
    Pin,
    Unpin,
    #[strum(serialize = "uffd register")]
    UffdRegister,
    #[strum(serialize = "uffd wp")]
    UffdWp,
    #[strum(serialize = "uffd unwp")]
    UffdUnwp,
    #[strum(serialize = "uffd copy")]
    UffdCopy,
    #[strum(serialize = "uffd zeropage")]
    UffdZeropage,
    #[strum(serialize = "uffd continue")]
    UffdContinue,
    #[strum(serialize = "uffd move")]
    UffdMove,
    Peek,
    Dma,
    Pageout,
    Swapin,
    Swapoff,
    Migrate,
    KsmMerge,
    KsmUnmerge,
    SplitPmd,
    SplitFolio,
    Collapse,
    NumaHint,
    Hold,
    Drop,
    LruAdd,
    Drain,
}

/// Who may say a verb.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display)]
pub enum Who {
    #[strum(serialize = "a process")]
    Process,
    #[strum(serialize = "the process that holds the reference, or `device`")]
    HolderOrDevice,
    #[strum(serialize = "`device`")]
    Device,
    #[strum(serialize = "`kernel`")]
    Kernel,
    #[strum(serialize = "`kernel`, or `device` for its driver")]
    KernelOrDevice,
}

/// A place for an operand. Required ones stand in this order; optional words may stand anywhere behind the verb.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Slot {
    /// A name not yet given to memory.
    NewMem,
    /// `N page[s]`, `N thp`, `N mthp ORDER`, `N hugetlb [ORDER]`.
    Size,
    /// Memory of the actor itself.
    Own,
    /// Memory of the actor or, as `child.buf`, of another process; for `kernel`, of any process.
    Any,
    /// A number or a string.
    Value,
    /// A process that does not exist yet.
    NewProc,
    /// A process forked before.
    Child,
    /// A reference, whole.
    Ref,
    /// A reference or some of its pages, as `pipe[1]+8`.
    RefArea,
    /// One of these words, which must be there.
    OneOf(&'static [&'static str]),
    /// One of these words, or none.
    Maybe(&'static [&'static str]),
    /// `file F` or `memfd F`, a word of `special`, `device`, `anon`, or none.
    Backing,
}

/// What stands behind the operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gives {
    Nothing,
    /// A claim, or `-> NAME` for an observation; neither is also fine.
    Reading,
    /// `-> NAME`, a new reference.
    Reference,
    /// `-> NAME`, a new name for memory.
    Memory,
    /// `-> A`, memory of the actor that is there.
    Target,
}

/// A row of [`OPS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpInfo {
    /// The verb; its text is the keyword.
    pub verb: Verb,
    /// Who may say it.
    pub who: Who,
    /// Its operands.
    pub slots: &'static [Slot],
    /// What stands behind them.
    pub gives: Gives,
    /// What it does, in a line.
    pub doc: &'static str,
    /// A statement as people write it.
    pub example: &'static str,
}

impl Verb {
    /// Its row of [`OPS`].
    pub fn info(self) -> &'static OpInfo {
        &OPS[self as usize]
    }

    /// The keyword.
    pub fn keyword(self) -> &'static str {
        self.into()
    }
}

const PROT: &[&str] = &["none", "ro", "rw"];
const ACCESS: &[&str] = &["ro", "rw"];
const SPEED: &[&str] = &["fast", "slow"];
const ADVICE: &[&str] = <super::Advice as strum::VariantNames>::VARIANTS;

const fn row(verb: Verb, who: Who, slots: &'static [Slot], gives: Gives, doc: &'static str, example: &'static str) -> OpInfo {
    OpInfo { verb, who, slots, gives, doc, example }
}

/// Every verb, in the order of [`Verb`].
#[rustfmt::skip]
pub const OPS: &[OpInfo] = &{
    use {Gives::*, Slot::*, Verb as V, Who::*};
    [
    row(V::Mmap, Process, &[NewMem, Size, Maybe(&["private", "shared"]), Backing, Maybe(PROT)], Nothing, "maps memory; private, anon and rw unless said otherwise", "parent: mmap buf 2 pages"),
    row(V::Munmap, Process, &[Own], Nothing, "unmaps pages", "child: munmap buf"),
    row(V::Mremap, Process, &[Own], Memory, "moves pages to another place of the address space", "p: mremap buf[1] -> far"),
    row(V::Mprotect, Process, &[Own, OneOf(PROT)], Nothing, "changes what may be done with pages", "p: mprotect buf ro"),
    row(V::Name, Process, &[Own], Memory, "gives part of a mapping a name; no system call", "p: name thp[..4] -> part"),
    row(V::Madvise, Process, &[Own, OneOf(ADVICE)], Nothing, "madvise(2)", "p: madvise buf dontneed"),
    row(V::Write, Process, &[Own, Value], Nothing, "stores", "parent: write buf \"new\""),
    row(V::Read, Process, &[Own], Reading, "loads", "child: read buf == \"old\""),
    row(V::Fork, Process, &[NewProc], Nothing, "fork(2)", "parent: fork child"),
    row(V::Exit, Process, &[], Nothing, "the process ends; its memory and its references go", "child: exit"),
    row(V::Wait, Process, &[Child], Nothing, "waits until a child has ended", "parent: wait child"),
    row(V::ClearRefs, Process, &[], Nothing, "writes 4 to /proc/PID/clear_refs: soft-dirty tracking starts anew", "p: clear_refs"),
    row(V::SoftDirty, Process, &[Own], Reading, "reads bit 55 of pagemap", "p: soft_dirty buf == 1"),
    row(V::Poke, Process, &[Any, Value], Nothing, "writes through /proc/PID/mem (FOLL_FORCE)", "tracer: poke child.buf 1"),
    row(V::PeekMem, Process, &[Any], Reading, "reads through /proc/PID/mem (FOLL_FORCE)", "tracer: peek_mem child.buf == 1"),
    row(V::ProcessVmWritev, Process, &[Any, Value], Nothing, "process_vm_writev(2): writes through a short pin", "p: process_vm_writev child.buf 1"),
    row(V::ProcessVmReadv, Process, &[Any], Reading, "process_vm_readv(2): reads through a short pin", "p: process_vm_readv child.buf == 1"),
    row(V::DirectRead, Process, &[Own, Value], Nothing, "O_DIRECT read(2): the device writes into memory through a short pin or get", "p: direct_read buf 7"),
    row(V::DirectWrite, Process, &[Own], Reading, "O_DIRECT write(2): the device reads from memory through a short pin or get", "p: direct_write buf == 7"),
    row(V::Vmsplice, Process, &[Own], Reference, "vmsplice(2) into a pipe: a read-only get that the pipe holds", "child: vmsplice buf -> pipe"),
    row(V::Get, Process, &[Own, OneOf(ACCESS), Maybe(SPEED)], Reference, "takes a reference without a pin (FOLL_GET)", "p: get buf ro -> r"),
    row(V::Put, Process, &[Ref], Nothing, "drops a get", "p: put r"),
    row(V::Pin, Process, &[Own, OneOf(ACCESS), Maybe(&["longterm"]), Maybe(SPEED)], Reference, "pins pages (FOLL_PIN)", "p: pin buf rw longterm -> nic"),
    row(V::Unpin, Process, &[Ref, Maybe(&["dirty"])], Nothing, "drops a pin", "p: unpin nic dirty"),
    row(V::UffdRegister, Process, &[Own, OneOf(&["wp", "wp_async", "missing", "minor"])], Nothing, "UFFDIO_REGISTER", "p: uffd register buf wp"),
    row(V::UffdWp, Process, &[Own], Nothing, "UFFDIO_WRITEPROTECT: stores raise an event from now on", "p: uffd wp buf"),
    row(V::UffdUnwp, Process, &[Own], Nothing, "UFFDIO_WRITEPROTECT without the bit: lifts it and wakes sleepers", "p: uffd unwp buf"),
    row(V::UffdCopy, Process, &[Own, Value], Nothing, "UFFDIO_COPY: fills a missing page and wakes sleepers", "p: uffd copy buf 1"),
    row(V::UffdZeropage, Process, &[Own], Nothing, "UFFDIO_ZEROPAGE", "p: uffd zeropage buf"),
    row(V::UffdContinue, Process, &[Own], Nothing, "UFFDIO_CONTINUE: maps what the page cache has", "p: uffd continue buf"),
    row(V::UffdMove, Process, &[Own], Target, "UFFDIO_MOVE: the pages of the first go to the second", "p: uffd move a -> b"),
    row(V::Peek, HolderOrDevice, &[RefArea], Reading, "what the holder of a reference reads through it", "child: peek pipe == \"old\""),
    row(V::Dma, Device, &[RefArea, Value], Nothing, "the device writes through a reference", "device: dma nic 7"),
    row(V::Pageout, Kernel, &[Any], Nothing, "reclaim tries to swap pages out", "kernel: pageout p.buf"),
    row(V::Swapin, Kernel, &[Any], Nothing, "reads swapped pages in", "kernel: swapin p.buf"),
    row(V::Swapoff, Kernel, &[], Nothing, "swapoff(2)", "kernel: swapoff"),
    row(V::Migrate, KernelOrDevice, &[Any], Nothing, "moves pages to other frames; of `device`, to its own memory", "kernel: migrate p.buf"),
    row(V::KsmMerge, Kernel, &[Any, Any], Nothing, "ksmd merges equal pages", "kernel: ksm_merge p.a p.b"),
    row(V::KsmUnmerge, Kernel, &[Any], Nothing, "gives merged pages back as pages of their own", "kernel: ksm_unmerge p.a"),
    row(V::SplitPmd, Kernel, &[Any], Nothing, "maps a THP by ptes instead of a PMD", "kernel: split_pmd p.buf"),
    row(V::SplitFolio, Kernel, &[Any], Nothing, "splits large folios into small ones", "kernel: split_folio p.buf"),
    row(V::Collapse, Kernel, &[Any], Nothing, "khugepaged collapses base pages into a THP", "kernel: collapse p.buf"),
    row(V::NumaHint, Kernel, &[Any], Nothing, "NUMA balancing makes pages protnone", "kernel: numa_hint p.buf"),
    row(V::Hold, Kernel, &[Any], Reference, "takes a transient, speculative reference, as many kernel paths do", "kernel: hold p.buf -> walker"),
    row(V::Drop, Kernel, &[Ref], Nothing, "drops a transient reference", "kernel: drop walker"),
    row(V::LruAdd, Kernel, &[Any], Nothing, "pages stand in the faulting CPU's LRU-add batch, which holds a reference", "kernel: lru_add p.buf"),
    row(V::Drain, Kernel, &[], Nothing, "drains the LRU-add batches of all CPUs", "kernel: drain"),
    ]
};

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::{OPS, Verb};

    #[test]
    fn every_verb_has_its_row_at_its_place() {
        assert_eq!(OPS.iter().map(|info| info.verb).collect::<Vec<_>>(), Verb::VARIANTS);
    }
}
