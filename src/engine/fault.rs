//! Page faults: who may, what is missing, and anonymous memory's first touch.

use super::{Cx, Progress, exclusive, file, guard, huge, hugetlb, ksm, numa, swap, uffd, wp};
use crate::ir::{Advice, Op};
use crate::policy::Defect;
use crate::state::{Fault, FaultKind, FolioFlags, Pfn, Pte, PteFlags, Target, TaskFlags, Vma, VmaFlags};
use crate::trace::{Sink, What};
use crate::types::{Event, Failure, Number, ProcId, Size};

/// One step of the fault that the task is in.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, fault: Fault<B::Number>) -> Progress {
    match fault {
        Fault::None => Progress::Moved,
        Fault::Start(kind) => look(cx, kind),
        Fault::InstallAnon { new } if cx.st.folio(new).is_large() => huge::install_anon(cx, new),
        Fault::InstallAnon { new } => install_anon(cx, new),
        Fault::Copying { kind, seen } => wp::copy(cx, kind, seen),
        Fault::Clearing { kind, seen, new } => wp::clear(cx, kind, seen, new),
        Fault::Installing { kind, seen, new } => wp::install(cx, kind, seen, new),
        Fault::SwapIn { kind, seen, page } => swap::map(cx, kind, seen, page),
        Fault::Summing { kind, ptes } => huge::sum(cx, kind, ptes.get()),
        Fault::Putting { old } => wp::put_old(cx, old),
    }
}

/// The fault is over: the access is tried again. A user access gives mmap_lock back, GUP and populate keep it.
pub(super) fn done<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if let Op::Read { area } | Op::Write { area, .. } = cx.op() {
        cx.read_unlock(area.proc);
    }
    cx.fault_at(Fault::None)
}

/// Gives up: the instruction fails as it does where an address is bad.
pub(super) fn fail<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, failure: Failure) -> Progress {
    let proc = cx.proc();
    cx.read_unlock(proc);
    super::gup::release_partial(cx);
    Progress::Failed(failure)
}

/// Whether the vma permits what the fault is for; else how the instruction tells user space.
///
/// Source: arch/x86/mm/fault.c `access_error`; mm/gup.c `check_vma_flags`, which FOLL_FORCE satisfies: for reading wherever
/// VM_MAYREAD is, for writing on a COW mapping alone.
pub(super) fn permitted<B: Size, S: Sink>(cx: &Cx<'_, B, S>, kind: FaultKind) -> Result<(), Failure> {
    let vma = cx.slot().vma;
    let mapped = vma.flags.contains(VmaFlags::MAPPED);
    let forced = cx.me().flags.contains(TaskFlags::FORCED);
    let may = match kind {
        FaultKind::Write if vma.flags.contains(VmaFlags::WRITE) => true,
        FaultKind::Write => forced && vma.is_cow() && !(vma.is_hugetlb() && hugetlb::refuses_force(cx)),
        FaultKind::Read | FaultKind::Unshare => forced || vma.flags.contains(VmaFlags::READ),
    };
    // check_vma_flags: nobody takes references to what has no counts.
    let access = matches!(cx.op(), Op::Read { .. } | Op::Write { .. } | Op::Madvise { .. });
    let may = may && (access || !vma.flags.contains(VmaFlags::PFNMAP));
    if mapped && may { Ok(()) } else { Err(bad_address(cx.op(), mapped)) }
}

/// How an instruction tells user space that an address is bad.
pub(super) fn bad_address(op: Op, mapped: bool) -> Failure {
    match op {
        Op::Read { .. } | Op::Write { .. } => Failure::SIGSEGV,
        Op::Poke { .. } | Op::PeekMem { .. } => Failure::EIO,
        Op::Madvise { advice: Advice::PopulateRead | Advice::PopulateWrite, .. } if mapped => Failure::EINVAL,
        Op::Madvise { .. } => Failure::ENOMEM,
        Op::Vmsplice { .. } | Op::Get { .. } | Op::Pin { .. } | Op::Hold { .. } => Failure::EFAULT,
        Op::DirectRead { .. } | Op::DirectWrite { .. } => Failure::EFAULT,
        Op::ProcessVmWritev { .. } | Op::ProcessVmReadv { .. } => Failure::EFAULT,
        other => panic!("cowl bug: {other:?} does not fault"),
    }
}

/// How an instruction tells user space that no page is to be had: VM_FAULT_SIGBUS.
pub(super) fn bus_error(op: Op) -> Failure {
    match bad_address(op, true) {
        Failure::SIGSEGV => Failure::SIGBUS,
        Failure::EINVAL | Failure::ENOMEM => Failure::EFAULT, // MADV_POPULATE
        other => other,
    }
}

/// Looks at the pte under the lock and goes the way that it and the vma say.
///
/// Source: mm/memory.c `handle_pte_fault`.
fn look<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    let (proc, held) = (cx.proc(), cx.me().flags.contains(TaskFlags::HOLDS_MMAP_READ));
    let migrating = matches!(cx.slot().pte.target, Target::Migration(_)); // migration_entry_wait
    if migrating || !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    match look_locked(cx, kind) {
        Progress::Blocked if !held => Progress::Moved, // mmap_lock is held from now on.
        progress => progress,
    }
}

fn look_locked<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind) -> Progress {
    let proc = cx.proc();
    if let Err(failure) = permitted(cx, kind) {
        return fail(cx, failure);
    }
    let (slot, vpn) = (cx.slot(), cx.vpn());
    cx.emit("fault", |_| What::Fault { proc, vpn });
    if slot.vma.is_cow() && (kind != FaultKind::Read || slot.vma.is_hugetlb()) {
        file::prepare_anon_vma(cx, proc, vpn); // Whatever comes of it will be anonymous.
    }
    match (slot.pte.target, kind) {
        _ if numa::is_hint(&slot) => numa::restore(cx),
        (Target::Guard, _) => guard::hit(cx),
        (Target::Swap(_), _) => swap::find(cx, kind, slot.pte),
        (Target::None, _) if slot.vma.is_hugetlb() => hugetlb::fault_missing(cx, kind),
        (Target::None, _) if slot.vma.cache_place().is_some() => file::fault(cx, slot.vma, kind),
        (Target::None, _) if slot.vma.flags.contains(VmaFlags::UFFD_MISSING) => userfault(cx, Event::Missing),
        (Target::None, FaultKind::Write) => {
            let order = huge::order_of_fault(cx);
            match cx.alloc(order).or_else(|_| cx.alloc(0)) {
                Ok(new) => cx.fault_at(Fault::InstallAnon { new }),
                Err(_) => Progress::Exhausted("page frames"),
            }
        }
        (Target::None, _) if 0 < slot.vma.order && huge::order_of_fault(cx) == cx.program.pmd_order => huge::map_zero(cx),
        (Target::None, FaultKind::Read | FaultKind::Unshare) => {
            cx.slot_mut().pte = Pte { target: Target::Zero, flags: uffd::with_marker(&slot, read_flags(&slot.vma)) };
            done(cx)
        }
        (_, FaultKind::Write | FaultKind::Unshare) if !slot.pte.flags.contains(PteFlags::WRITE) => wp::look(cx, kind),
        (_, _) => done(cx), // Somebody else was faster.
    }
}

/// The zeroed page is there: maps it, unless somebody else mapped something meanwhile.
fn install_anon<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, new: Pfn<B::Number>) -> Progress {
    if !cx.ptl_is_free(cx.proc()) {
        return Progress::Blocked;
    }
    if !cx.slot().pte.is_none() {
        cx.st.put(new);
    } else {
        let forgets = cx.policy.defects.has(Defect::FirstStoreForgetsSoftDirty);
        let forgotten = if forgets { PteFlags::SOFT_DIRTY } else { PteFlags::empty() };
        let flags = written_flags(&cx.slot().vma) - forgotten;
        let proc = cx.proc();
        map_new_anon(cx, proc, new);
        let flags = uffd::with_marker(&cx.slot(), flags);
        cx.slot_mut().pte = Pte { target: Target::Page(new), flags };
    }
    done(cx)
}

/// The bits of a pte that a write fault installs. x86 keeps the soft-dirty bit with the dirty one.
pub(super) fn written_flags<N: Number>(vma: &Vma<N>) -> PteFlags {
    let write = if vma.flags.contains(VmaFlags::WRITE) { PteFlags::WRITE } else { PteFlags::empty() };
    read_flags(vma) | write | PteFlags::DIRTY | PteFlags::SOFT_DIRTY
}

/// The bits of a pte that a read fault installs: those of `vm_page_prot`, but for writing. Where the vma permits nothing only
/// FOLL_FORCE gets as far as a fault, and what it brings in is out of everybody else's reach.
pub(super) fn read_flags<N: Number>(vma: &Vma<N>) -> PteFlags {
    let none = !vma.flags.intersects(VmaFlags::READ | VmaFlags::WRITE);
    if none { PteFlags::YOUNG | PteFlags::PROTNONE } else { PteFlags::YOUNG }
}

/// The thread sleeps until userfaultfd is told what to do; mmap_lock is given back. /proc/PID/mem and ksmd keep that lock, so
/// that they may not sleep: the one fails, the other leaves the page as it is.
///
/// Source: fs/userfaultfd.c `handle_userfault`, which wants FAULT_FLAG_ALLOW_RETRY; mm/memory.c `__access_remote_vm` and
/// mm/ksm.c `break_ksm`, which do without in every release.
pub(super) fn userfault<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, event: Event) -> Progress {
    if let Op::Poke { .. } | Op::PeekMem { .. } = cx.op() {
        let failure = bus_error(cx.op());
        return fail(cx, failure);
    }
    if let Op::KsmUnmerge { .. } | Op::KsmMerge { .. } | Op::Madvise { advice: Advice::Unmergeable, .. } = cx.op() {
        return ksm::leave_merged(cx);
    }
    let proc = cx.proc();
    cx.read_unlock(proc);
    let me = cx.me_mut();
    me.fault = Fault::None;
    me.flags.insert(TaskFlags::ASLEEP);
    Progress::Asleep(event)
}

/// A fresh anonymous page gets its one mapping; the reference of its allocation is the mapping's.
///
/// Source: mm/rmap.c `folio_add_new_anon_rmap`.
pub(super) fn map_new_anon<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId, new: Pfn<B::Number>) {
    cx.st.folio_mut(new).flags.insert(FolioFlags::ANON);
    cx.st.add_rmap_pte(proc, new);
    mark_proven(cx, new);
}

/// The page is known to have one user: the policies that have an exclusive bit set it.
pub(super) fn mark_proven<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>) {
    if exclusive::decide(cx.policy.wp_clears_excl, exclusive::Event::Proven) == exclusive::Change::Set {
        cx.st.set_exclusive(pfn, true);
    }
}
