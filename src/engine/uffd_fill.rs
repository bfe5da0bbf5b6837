//! UFFDIO_COPY, UFFDIO_ZEROPAGE and UFFDIO_CONTINUE: a monitor says what is to be where nothing is.

use super::{Cx, Progress, fault, file, hugetlb, uffd};
use crate::ir::Op;
use crate::observe::Seen;
use crate::state::{At, FolioFlags, Grab, Pfn, Pte, PteFlags, Slot, Target, Vma, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Number, Size};

/// What is known of memory that is to be filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FillFacts {
    /// It is registered, for whatever.
    pub registered: bool,
    /// It has a file, whose page the page cache may have: shmem or hugetlb.
    pub of_file: bool,
    pub shared: bool,
    pub hugetlb: bool,
    /// The page cache has the page.
    pub cached: bool,
    /// Nothing is mapped; a marker is nothing.
    pub empty: bool,
    /// A marker of write protection stands there.
    pub marker: bool,
}

/// What a monitor asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    Copy,
    Zeropage,
    Continue,
}

/// What comes to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filled {
    /// A new anonymous page.
    Anon,
    /// A new page of the page cache.
    Cache,
    /// The page that the page cache has.
    Cached,
    /// The zero page.
    Zero,
}

/// What a request gives, or why it fails.
///
/// Source: mm/userfaultfd.c `mfill_atomic`, `mfill_atomic_pte`, `mfill_atomic_pte_continue`, `mfill_atomic_hugetlb`; mm/shmem.c
/// `shmem_mfill_atomic_pte`. A hole in a private mapping of a file is filled with anonymous memory. Pages take the place of a
/// marker (`mfill_atomic_install_pte`), the zero page does not (`mfill_atomic_pte_zeropage`).
#[rustfmt::skip]
pub fn decide_fill(asks: Fill, memory: &FillFacts) -> Result<Filled, Failure> {
    let FillFacts { registered, of_file, shared, hugetlb, cached, empty, marker } = *memory;
    match asks {
        _ if !registered                              => Err(Failure::ENOENT),
        Fill::Zeropage if hugetlb                     => Err(Failure::EINVAL),
        Fill::Continue if !of_file                    => Err(Failure::EINVAL),
        Fill::Continue if !cached                     => Err(Failure::EFAULT),
        Fill::Copy | Fill::Zeropage if shared && cached => Err(Failure::EEXIST),
        _ if !empty                                   => Err(Failure::EEXIST),
        Fill::Zeropage if !shared && marker           => Err(Failure::EEXIST),
        Fill::Continue                                => Ok(Filled::Cached),
        Fill::Copy | Fill::Zeropage if shared         => Ok(Filled::Cache),
        Fill::Copy                                    => Ok(Filled::Anon),
        Fill::Zeropage                                => Ok(Filled::Zero),
    }
}

/// The bits of the entry: a page of one's own may be stored to. So may a shared one; what a private mapping shows of a file
/// may not, and is said to be dirty all the same, which some rules take for the proof of a broken COW (B13).
///
/// Source: mm/userfaultfd.c `mfill_atomic_install_pte` (dirty in every case since 9ae0f87d009c, 5.16).
pub fn decide_flags<N: Number>(filled: Filled, vma: &Vma<N>) -> PteFlags {
    let private = !vma.flags.contains(VmaFlags::SHARED);
    match filled {
        Filled::Zero => fault::read_flags(vma),
        Filled::Cached if private => fault::written_flags(vma) - PteFlags::WRITE,
        Filled::Anon | Filled::Cache | Filled::Cached => fault::written_flags(vma),
    }
}

/// One step: the page is made without the page-table lock, and mapped under it. Each page is a call of its own.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    match cx.me().at {
        At::Through => install(cx),
        _ => make(cx),
    }
}

fn asks(op: Op) -> Fill {
    match op {
        Op::UffdCopy { .. } => Fill::Copy,
        Op::UffdZeropage { .. } => Fill::Zeropage,
        Op::UffdContinue { .. } => Fill::Continue,
        other => panic!("cowl bug: {other:?} fills nothing"),
    }
}

fn facts<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> FillFacts {
    let Slot { pte, vma } = cx.slot();
    FillFacts {
        registered: vma.flags.intersects(uffd::MODES),
        of_file: vma.cache_place().is_some(),
        shared: vma.flags.contains(VmaFlags::SHARED),
        hugetlb: vma.is_hugetlb(),
        cached: vma.cache_place().is_some_and(|place| cx.st.cache(place) != Target::None),
        empty: pte.is_none(),
        marker: pte.is_none() && pte.flags.contains(PteFlags::UFFD_WP),
    }
}

/// The call fails: what was made goes, and mmap_lock is given back.
fn fail<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, failure: Failure) -> Progress {
    if let Target::Page(page) = std::mem::take(&mut cx.me_mut().grab).0 {
        cx.st.put(page);
    }
    let proc = cx.proc();
    cx.read_unlock(proc);
    Progress::Failed(failure)
}

fn make<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    let vma = cx.slot().vma;
    if vma.flags.intersects(uffd::MODES) && cx.program.is_of_a_disk(vma.cache_place()) {
        // Asynchronous protection is for any memory, what fills it is not: `mfill_atomic`.
        return fail(cx, Failure::EINVAL);
    }
    let filled = match decide_fill(asks(cx.op()), &facts(cx)) {
        Ok(filled) => filled,
        Err(failure) => return fail(cx, failure),
    };
    if let Filled::Zero | Filled::Cached = filled {
        return install(cx);
    }
    let new = match alloc(cx) {
        Ok(new) => new,
        Err(hugetlb::Lack::Frames) => return Progress::Exhausted("page frames"),
        Err(hugetlb::Lack::Pool) => return fail(cx, Failure::ENOMEM),
    };
    if let Op::UffdCopy { value, .. } = cx.op() {
        cx.st.store(Target::Page(new), cx.word(), value);
    }
    cx.me_mut().grab = (Target::Page(new), Grab::Get);
    cx.goto(At::Through)
}

fn alloc<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Result<Pfn<B::Number>, hugetlb::Lack> {
    let vma = cx.slot().vma;
    if !vma.is_hugetlb() {
        return cx.alloc(0).map_err(|_| hugetlb::Lack::Frames);
    }
    hugetlb::alloc(cx, vma.flags.intersects(VmaFlags::SHARED | VmaFlags::RESERVED))
}

/// Maps it, if there is still room for it.
fn install<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let (proc, vpn) = (cx.proc(), cx.vpn());
    if !cx.ptl_is_free(proc) {
        return Progress::Blocked;
    }
    let filled = match decide_fill(asks(cx.op()), &facts(cx)) {
        Ok(filled) => filled,
        Err(failure) => return fail(cx, failure),
    };
    let slot = cx.slot();
    let made = std::mem::take(&mut cx.me_mut().grab).0.pfn();
    let cached = slot.vma.cache_place().and_then(|place| cx.st.cache(place).pfn());
    let target = match (filled, made.or(cached)) {
        (Filled::Zero, _) => Target::Zero,
        (Filled::Anon, Some(new)) => {
            file::prepare_anon_vma(cx, proc, vpn);
            fault::map_new_anon(cx, proc, new);
            Target::Page(new)
        }
        (Filled::Cache | Filled::Cached, Some(page)) => {
            if let (Filled::Cache, Some(place)) = (filled, slot.vma.cache_place()) {
                cx.st.set_cache(place, Target::Page(page)); // The reference of its allocation is the page cache's.
            }
            cx.st.get(page);
            cx.st.add_rmap_pte(proc, page);
            cx.st.folio_mut(page).flags.insert(FolioFlags::DIRTY);
            Target::Page(page)
        }
        (Filled::Anon | Filled::Cache | Filled::Cached, None) => unreachable!("cowl bug: a page was made or is cached"),
    };
    let flags = decide_flags(filled, &slot.vma);
    cx.slot_mut().pte = Pte { target, flags };
    uffd::wake(cx, proc, &(vpn.0..vpn.0 + 1));
    cx.commit_page(Seen::Nothing)
}
