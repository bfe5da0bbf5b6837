//! get_user_pages: taking references through a page table, fast without locks or slow under mmap_lock.

use super::{Cx, Progress, collapse, fault, force, fork, huge, read_only};
use crate::ir::{Op, Speed};
use crate::observe::Seen;
use crate::policy::{Defect, DioRef, Feature, GupfastOrder, PinAcct, Policy, ProcMemForce, VmspliceRef, ZeroPin};
use crate::state::{At, Fault, FaultKind, FolioFlags, Grab, GupAt, Pfn, Pte, PteFlags, State, Target, TaskFlags, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, ProcId, RefId, Size, Vpn};

/// What a caller wants of GUP: its flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Want {
    pub write: bool,
    /// FOLL_PIN rather than FOLL_GET.
    pub pin: bool,
    pub longterm: bool,
    /// FOLL_FORCE.
    pub force: bool,
    /// Tries without locks first. Other processes' memory is always reached the slow way.
    pub fast: bool,
}

/// K28. What vmsplice takes: a pin, or a get.
///
/// Source: lib/iov_iter.c `iov_iter_get_pages2`, fs/splice.c `iter_to_pipe`.
pub fn decide_vmsplice(knob: VmspliceRef) -> bool {
    match knob {
        VmspliceRef::Get => false,
        VmspliceRef::PinLongterm => true,
    }
}

/// K29. What direct I/O takes: a pin, or a get.
///
/// Source: lib/iov_iter.c `iov_iter_extract_pages` (since 6.5), block/bio.c `bio_iov_iter_get_pages`.
pub fn decide_dio(knob: DioRef) -> bool {
    match knob {
        DioRef::Get => false,
        DioRef::Pin => true,
    }
}

/// D7. Whether /proc/PID/mem overrides the protection of a private mapping. No process here is an attached tracer.
///
/// Source: fs/proc/base.c `proc_mem_foll_force` (6.12), by the mode that a kernel is configured with.
pub fn decide_proc_mem(knob: ProcMemForce) -> bool {
    match knob {
        ProcMemForce::Allowed => true,
        ProcMemForce::AttachedTracer => false,
    }
}

/// K10. How a pin of a small folio is counted.
///
/// Source: mm/gup.c `try_grab_folio`. The two ways to count pins part at large folios only.
pub fn decide_account(knob: PinAcct) -> Grab {
    match knob {
        PinAcct::GetOnly => Grab::Get,
        PinAcct::Bias | PinAcct::BiasPincount => Grab::Pin,
    }
}

/// K27. How a pin of the zero page is counted.
///
/// Source: mm/gup.c `try_grab_folio` (since 6.5).
pub fn decide_zero_pin(knob: ZeroPin) -> Grab {
    match knob {
        ZeroPin::Counted => Grab::Get,
        ZeroPin::NotCounted => Grab::Uncounted,
    }
}

/// K15. Does a lockless walk that reads a pte again see for certain that somebody has cleared it before he looked for pins?
///
/// Memory order is otherwise that of one step after another. Here it shows: the pte is cleared, then pins are looked for; a
/// pin is counted, then the pte is read again. Without barriers on both sides each may miss what the other did first.
/// Source: include/linux/rmap.h `folio_try_share_anon_rmap_pte`, mm/gup.c `gup_fast_pte_range` (088b8aa537c2).
pub fn decide_order(knob: GupfastOrder) -> bool {
    match knob {
        GupfastOrder::TlbIpi => false,
        GupfastOrder::Barriers => true,
    }
}

/// What an instruction wants of GUP.
///
/// # Panics
/// With `cowl bug:` for an instruction that takes no reference.
pub(super) fn want(policy: &Policy, op: Op) -> Want {
    let get = Want { write: false, pin: false, longterm: false, force: false, fast: true };
    let remote = Want { pin: true, fast: false, ..get };
    let proc_mem = Want { force: decide_proc_mem(policy.proc_mem_force), fast: false, ..get };
    match op {
        Op::Vmsplice { .. } => {
            let pin = decide_vmsplice(policy.vmsplice_ref);
            Want { pin, longterm: pin, ..get }
        }
        Op::Get { write, speed, .. } => Want { write, fast: speed == Speed::Fast, ..get },
        Op::Pin { write, longterm, speed, .. } => Want { write, pin: true, longterm, fast: speed == Speed::Fast, force: false },
        Op::DirectRead { .. } => Want { write: true, pin: decide_dio(policy.dio_ref), ..get },
        Op::DirectWrite { .. } => Want { pin: decide_dio(policy.dio_ref), ..get },
        Op::ProcessVmWritev { .. } => Want { write: true, ..remote },
        Op::ProcessVmReadv { .. } => remote,
        Op::Poke { .. } => Want { write: true, ..proc_mem },
        Op::PeekMem { .. } | Op::Hold { .. } => proc_mem,
        other => panic!("cowl bug: {other:?} takes no reference"),
    }
}

/// How a reference on a target is counted.
fn how<N>(policy: &Policy, want: &Want, target: &Target<N>) -> Grab {
    match (want.pin, target) {
        (false, _) => Grab::Get,
        (true, Target::Zero) => decide_zero_pin(policy.zero_pin),
        (true, _) => decide_account(policy.pin_acct),
    }
}

/// How an instruction's references on pages with counts of their own are counted.
///
/// # Panics
/// With `cowl bug:` for an instruction that takes no reference.
pub fn counted_as(policy: &Policy, op: Op) -> Grab {
    if want(policy, op).pin { decide_account(policy.pin_acct) } else { Grab::Get }
}

/// Counts references on pages of one folio, of which the first is given.
fn grab<B: Size>(st: &mut State<B>, target: Target<B::Number>, how: Grab, pages: u16) {
    match (target, how) {
        (Target::Page(pfn), Grab::Get) => st.get_many(pfn, pages.into()),
        (Target::Page(pfn), Grab::Pin) => st.add_pins(pfn, pages.into()),
        (Target::Zero, Grab::Get | Grab::Pin) => st.add_zero_refs(pages.into()),
        (_, Grab::Uncounted) => {}
        (Target::None | Target::Special(_) | Target::Swap(_) | Target::Migration(_) | Target::Guard, _) => {}
    }
}

/// Takes back what [`grab`] counted.
fn ungrab<B: Size>(st: &mut State<B>, target: Target<B::Number>, how: Grab, pages: u16) {
    let pages = i32::from(pages);
    match (target, how) {
        (Target::Page(pfn), Grab::Get) => {
            st.get_many(pfn, 1 - pages);
            st.put(pfn);
        }
        (Target::Page(pfn), Grab::Pin) => st.add_pins(pfn, -pages),
        (Target::Zero, Grab::Get | Grab::Pin) => st.add_zero_refs(-pages),
        (_, Grab::Uncounted) => {}
        (Target::None | Target::Special(_) | Target::Swap(_) | Target::Migration(_) | Target::Guard, _) => {}
    }
}

/// D8. Why a longterm pin may not be of this memory: never of a device's own, which goes with the file system on it; for writing
/// not of a shared mapping whose file wants to know of every store.
///
/// Source: mm/gup.c `check_vma_flags` (`vma_is_fsdax`), `writable_file_mapping_allowed` (8ac268436e6d, 6.5); for the fast walk
/// `gup_fast_folio_allowed`.
fn refused<B: Size, S: Sink>(cx: &Cx<'_, B, S>, want: &Want) -> Option<Failure> {
    let vma = cx.slot().vma;
    let longterm = want.pin && want.longterm;
    let stores = longterm && want.write && vma.flags.contains(VmaFlags::SHARED | VmaFlags::WRITE);
    if longterm && cx.program.is_of_a_device(vma.cache_place()) {
        return Some(Failure::EOPNOTSUPP);
    }
    let tracked = stores && cx.policy.lacks.has(Feature::PinFile) && cx.program.is_of_a_disk(vma.cache_place());
    tracked.then_some(Failure::EFAULT)
}

/// One step of taking the references of an instruction. An instruction that names no reference takes one page at a time:
/// then the page is in `Task::grab` and the task at [`At::Through`].
///
/// Source: mm/gup.c `gup_fast_fallback`, `gup_fast_pte_range`, `__get_user_pages`, `follow_page_pte`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let want = want(cx.policy, cx.op());
    match cx.me().at {
        At::Gup(GupAt::Begin) => read_seq(cx, &want),
        At::Gup(GupAt::ReadPte { seq }) => read_pte(cx, &want, seq),
        At::Gup(GupAt::Take { seq }) => take(cx, &want, seq),
        At::Gup(GupAt::Recheck { seq }) => recheck(cx, seq),
        At::Gup(GupAt::TestExclusive { seq }) => test_exclusive(cx, &want, seq),
        At::Gup(GupAt::ReadSeq { seq }) => reread_seq(cx, &want, seq),
        At::Gup(GupAt::Slow) => slow(cx, &want),
        At::Walk if names_reference(cx.op()) => slow(cx, &want),
        _ => begin(cx, &want),
    }
}

fn names_reference(op: Op) -> bool {
    op.takes().is_some()
}

fn begin<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want) -> Progress {
    if want.pin {
        let proc = cx.proc();
        cx.st.mm_mut(proc).has_pinned = !cx.policy.defects.has(Defect::PinForgetsHasPinned);
    }
    cx.goto(At::Gup(if want.fast { GupAt::Begin } else { GupAt::Slow }))
}

/// Whether the sequence count says anything about the page at hand, or, at the end of the walk, about the one before.
fn asks_for_fork<B: Size, S: Sink>(cx: &Cx<'_, B, S>, want: &Want) -> bool {
    let page = cx.me().page.min(cx.len() - 1);
    let vma = cx.st.slot(cx.proc(), Vpn(cx.area().start.0 + page)).vma;
    want.pin && fork::decide_seq(cx.policy.fork_seq, vma.is_hugetlb())
}

/// Only pins ask whether a fork is under way; a get may land on a page that fork is about to share.
fn read_seq<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want) -> Progress {
    let seq = cx.st.mm(cx.proc()).write_protect_seq;
    let forking = asks_for_fork(cx, want) && seq % 2 == 1;
    cx.goto(At::Gup(if forking { GupAt::Slow } else { GupAt::ReadPte { seq } }))
}

fn read_pte<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want, seq: u8) -> Progress {
    let pte = cx.slot().pte;
    let usable = matches!(pte.target, Target::Page(_)) && if want.write { pte.may_write() } else { pte.may_read() };
    if !usable || refused(cx, want).is_some() || collapse::hides(cx.st, cx.program, cx.proc(), cx.vpn()) {
        return go_slow(cx, seq);
    }
    // What stands for an entry that is not present remembers here how the page was marked.
    let early =
        cx.policy.defects.has(Defect::FastGupForgetsBarrier) && pte.target.pfn().is_some_and(|pfn| cx.st.is_exclusive(pfn));
    let mark = if early { PteFlags::EXCLUSIVE } else { PteFlags::empty() };
    cx.me_mut().seen = Pte { flags: pte.flags | mark, ..pte };
    cx.goto(At::Gup(GupAt::Take { seq }))
}

fn take<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want, seq: u8) -> Progress {
    let target = cx.me().seen.target;
    if target.pfn().is_none_or(|pfn| cx.st.folio(pfn).is_free()) {
        return go_slow(cx, seq);
    }
    let how = how(cx.policy, want, &target);
    let pages = seen_at_once(cx);
    grab(cx.st, target, how, pages);
    cx.me_mut().grab = (target, how);
    cx.goto(At::Gup(GupAt::Recheck { seq }))
}

/// Pages that the walk takes at once through the entry that it read.
fn seen_at_once<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> u16 {
    at_once(cx, cx.me().seen.flags)
}

/// A PMD gives all its pages that the range has, where the instruction keeps what it takes.
fn at_once<B: Size, S: Sink>(cx: &Cx<'_, B, S>, flags: PteFlags) -> u16 {
    if !names_reference(cx.op()) {
        return 1;
    }
    huge::mapped_at_once(cx.area(), cx.me().page, flags, cx.program.pmd_order)
}

fn recheck<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, seq: u8) -> Progress {
    // The pte may be as it was in a page table that its PMD has lost.
    let lost = collapse::hides(cx.st, cx.program, cx.proc(), cx.vpn()) && !cx.policy.defects.has(Defect::B21);
    let seen = unmarked(cx.me().seen);
    let ordered = decide_order(cx.policy.gupfast_order) && !cx.policy.defects.has(Defect::UnmapForgetsBarrier);
    let late = (!ordered && is_just_cleared(cx, seen)) || fork::hides_protection(cx, cx.proc(), cx.vpn(), seen);
    if (cx.slot().pte != seen && !late) || lost {
        return back_off(cx, seq);
    }
    cx.goto(At::Gup(GupAt::TestExclusive { seq }))
}

/// A pte without the mark that only entries which are not present carry.
fn unmarked<N: Copy>(pte: Pte<N>) -> Pte<N> {
    Pte { flags: pte.flags - PteFlags::EXCLUSIVE, ..pte }
}

/// Somebody has cleared this pte and holds its lock still: what it was may be all that this CPU sees.
fn is_just_cleared<B: Size, S: Sink>(cx: &Cx<'_, B, S>, seen: Pte<B::Number>) -> bool {
    let place = cx.proc().idx() * cx.st.pages_per_mm() + cx.vpn().idx();
    cx.st
        .tasks()
        .iter()
        .any(|task| matches!(task.at, At::Share(at, _) if usize::from(at) == place) && unmarked(task.seen) == seen)
}

fn test_exclusive<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want, seq: u8) -> Progress {
    let seen = cx.me().seen;
    let skips = cx.policy.defects.has(Defect::FastGupSkipsUnshare);
    let early = seen.flags.contains(PteFlags::EXCLUSIVE);
    if !seen.may_write() && !skips && !early && read_only::decide(cx, want, seen.target) != read_only::Answer::Take {
        return back_off(cx, seq);
    }
    if !names_reference(cx.op()) {
        return cx.goto(At::Gup(GupAt::ReadSeq { seq }));
    }
    let (target, _) = std::mem::take(&mut cx.me_mut().grab);
    let pages = seen_at_once(cx);
    keep(cx, target, pages);
    cx.me_mut().page += pages;
    let all = cx.me().page == cx.len();
    cx.goto(At::Gup(if all { GupAt::ReadSeq { seq } } else { GupAt::ReadPte { seq } }))
}

/// The page cannot be taken fast: what was taken so far is kept if no fork came between.
fn go_slow<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, seq: u8) -> Progress {
    let some = names_reference(cx.op()) && 0 < cx.me().page;
    cx.goto(At::Gup(if some { GupAt::ReadSeq { seq } } else { GupAt::Slow }))
}

/// Drops the reference just taken and goes the slow way.
fn back_off<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, seq: u8) -> Progress {
    let (target, how) = std::mem::take(&mut cx.me_mut().grab);
    ungrab(cx.st, target, how, seen_at_once(cx));
    go_slow(cx, seq)
}

fn reread_seq<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want, seq: u8) -> Progress {
    if asks_for_fork(cx, want) && cx.st.mm(cx.proc()).write_protect_seq != seq {
        let (target, how) = std::mem::take(&mut cx.me_mut().grab);
        ungrab(cx.st, target, how, 1);
        if names_reference(cx.op()) {
            release_partial(cx);
            cx.me_mut().page = 0;
        }
        return cx.goto(At::Gup(GupAt::Slow));
    }
    if !names_reference(cx.op()) {
        return cx.goto(At::Through);
    }
    let taken = cx.me().page;
    cx.goto(if taken == cx.len() { At::Finish } else { At::Gup(GupAt::Slow) });
    Progress::Committed { page: 0, len: taken, seen: Seen::Nothing, done: false }
}

/// One look under the page-table lock: takes the reference, or says which fault must come first.
fn slow<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want) -> Progress {
    let proc = cx.proc();
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Progress::Blocked;
    }
    cx.goto(At::Gup(GupAt::Slow));
    cx.me_mut().flags.set(TaskFlags::FORCED, want.force);
    let kind = if want.write && !force::forgot_write(cx) { FaultKind::Write } else { FaultKind::Read };
    if let Err(failure) = fault::permitted(cx, kind) {
        return fault::fail(cx, failure);
    }
    if let Some(failure) = refused(cx, want) {
        return fault::fail(cx, failure);
    }
    let slot = cx.slot();
    let writable = slot.pte.may_write();
    if !slot.pte.is_present() {
        let as_write = slot.vma.is_cow() && read_only::counts_as_write(cx, want);
        return begin_fault(cx, if as_write { FaultKind::Write } else { kind }, as_write);
    }
    let skips = cx.policy.defects.has(Defect::SlowGupSkipsWriteTest);
    if want.write && !writable && !skips && !force::may_follow_write(cx, want.force) {
        return begin_fault(cx, FaultKind::Write, false);
    }
    if !want.write && !writable && slot.vma.is_cow() {
        match read_only::decide(cx, want, slot.pte.target) {
            read_only::Answer::Take => {}
            read_only::Answer::Unshare => return begin_fault(cx, FaultKind::Unshare, false),
            read_only::Answer::AsWrite if force::may_follow_write(cx, want.force) => {}
            read_only::Answer::AsWrite => return begin_fault(cx, FaultKind::Write, true),
        }
    }
    taken_slowly(cx, want, slot.pte)
}

fn begin_fault<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, kind: FaultKind, forced: bool) -> Progress {
    if forced {
        cx.me_mut().flags.insert(TaskFlags::FORCED);
    }
    cx.fault_at(Fault::Start(kind))
}

fn taken_slowly<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want, pte: Pte<B::Number>) -> Progress {
    // A device's page is taken by its struct page, which counts references as any does.
    let target = if let Target::Special(pfn) = pte.target { Target::Page(pfn) } else { pte.target };
    let pages = at_once(cx, pte.flags);
    if touch_dirties(cx, &pte) {
        cx.add_flags(PteFlags::DIRTY);
    }
    let how = how(cx.policy, want, &target);
    grab(cx.st, target, how, pages);
    if let (true, Some(pfn)) = (want.write, target.pfn()) {
        cx.st.folio_mut(pfn).flags.insert(FolioFlags::DIRTY); // FOLL_TOUCH
    }
    cx.me_mut().flags.remove(TaskFlags::COW_BROKEN);
    if names_reference(cx.op()) {
        keep(cx, target, pages);
        return cx.commit_pages(pages, Seen::Nothing);
    }
    cx.me_mut().grab = (target, how);
    // access_remote_vm, which /proc/PID/mem goes through, keeps mmap_lock while it copies; the others do not.
    if !matches!(cx.op(), Op::Poke { .. } | Op::PeekMem { .. }) {
        let proc = cx.proc();
        cx.read_unlock(proc);
    }
    cx.goto(At::Through)
}

/// Whether GUP's mark that somebody used a PMD says too that it was written to, whoever only reads.
///
/// Source: mm/huge_memory.c `touch_pmd` (a8f97366452e, 4.15).
fn touch_dirties<B: Size, S: Sink>(cx: &Cx<'_, B, S>, pte: &Pte<B::Number>) -> bool {
    let defects = cx.policy.defects;
    let of_pages = defects.has(Defect::B4);
    let touched = if pte.target == Target::Zero { defects.has(Defect::B3) } else { of_pages };
    touched && pte.flags.contains(PteFlags::PMD)
}

/// Remembers pages under the reference's name: the first, and those behind it in its folio.
fn keep<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, target: Target<B::Number>, pages: u16) {
    let name = cx.op().takes().expect("cowl bug: the caller looked");
    let at = usize::from(cx.program.refs[name.idx()].first + cx.me().page);
    for (nth, place) in cx.st.held_mut()[at..at + usize::from(pages)].iter_mut().enumerate() {
        *place = target.pfn().map_or(target, |first| Target::Page(Pfn::at(first.idx() + nth)));
    }
}

/// Drops what a call that did not succeed has taken already.
pub(super) fn release_partial<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) {
    if let Some(name) = cx.op().takes() {
        release_all(cx, name, false);
    }
}

/// Drops a named reference: put, unpin, or the end of a transient one.
pub(super) fn release<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, name: RefId, dirty: bool) -> Progress {
    release_all(cx, name, dirty);
    cx.commit_whole()
}

/// Drops the page in `Task::grab`.
pub(super) fn release_grab<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) {
    let (target, how) = std::mem::take(&mut cx.me_mut().grab);
    ungrab(cx.st, target, how, 1);
}

fn release_all<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, name: RefId, dirty: bool) {
    let taker = cx.program.taker(name).expect("cowl bug: a reference that nothing takes");
    let want = want(cx.policy, taker.op);
    let decl = &cx.program.refs[name.idx()];
    for at in usize::from(decl.first)..usize::from(decl.first + decl.len) {
        let target = std::mem::take(&mut cx.st.held_mut()[at]);
        let how = how(cx.policy, &want, &target);
        if let (true, Some(pfn)) = (dirty, target.pfn()) {
            cx.st.folio_mut(pfn).flags.insert(FolioFlags::DIRTY);
        }
        if how == Grab::Get && cx.policy.defects.has(Defect::PutForgetsReference) {
            continue;
        }
        if how != Grab::Pin || !cx.policy.defects.has(Defect::UnpinForgetsBias) {
            ungrab(cx.st, target, how, 1);
        }
    }
}

/// The process is gone: its pipes, rings and pins go too.
pub(super) fn release_owned_by<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, proc: ProcId) {
    let program = cx.program;
    for instr in &program.code {
        if let (Some(name), true) = (instr.op.takes(), program.tasks[instr.task.idx()].proc() == Some(proc)) {
            release_all(cx, name, false);
        }
    }
}
