use super::{
    Cx, Progress, access, collapse, fault, fork, guard, gup, huge, ksm, lazyfree, map, migrate, mremap, numa, prot, reclaim,
    split, swap, swapoff, through, tlb, transient, uffd, uffd_fill, uffd_move, zap,
};
use crate::ir::{Advice, Area, Backing, MemKind, Op, Program, UffdMode};
use crate::policy::{Feature, Policy};
use crate::state::{At, Fault, Task, TaskFlags};
use crate::trace::Sink;
use crate::types::{Failure, Pc, Size};

/// Gives the task an instruction. What it did before must have ended.
///
/// # Panics
/// With `cowl bug:` where it has not.
pub fn start<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pc: Pc) {
    assert!(cx.me().at == At::Idle, "cowl bug: a task was given an instruction in the middle of another");
    *cx.me_mut() = Task { pc, at: At::Start, ..Task::default() };
}

/// Makes one step of the task's instruction: what a kernel path does between two points where another CPU may get in.
///
/// Total: every state has an answer. [`Progress::Blocked`] changes nothing.
///
/// # Source
/// The boundaries follow mm/memory.c `wp_page_copy`, `copy_pte_range`; mm/gup.c `gup_fast_pte_range`, `__get_user_pages`.
pub fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if cx.me().flags.contains(TaskFlags::ASLEEP) {
        return Progress::Blocked;
    }
    if !cx.st.has_tlbs() {
        return one(cx);
    }
    let starts = cx.me().at == At::Start;
    let progress = one(cx);
    tlb::settle(cx, starts, progress);
    progress
}

fn one<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let progress = match (cx.me().fault, cx.me().at) {
        (Fault::None, At::Idle) => Progress::Blocked,
        (Fault::None, At::Finish) => finish(cx),
        (Fault::None, _) => dispatch(cx),
        (under_way, _) => fault::step(cx, under_way),
    };
    match progress {
        // Nobody else can tell the end of an instruction from its last effect, so they are one step.
        Progress::Committed { page, len, seen, .. } if cx.me().at == At::Finish && !has_hole(cx) && !flushes_late(cx) => {
            let ended = finish(cx);
            *cx.me_mut() = Task::default();
            debug_assert!(ended == Progress::Finished, "cowl bug: {:?}, which had all its effects, fails", cx.op());
            Progress::Committed { page, len, seen, done: true }
        }
        Progress::Finished | Progress::Failed(_) => {
            *cx.me_mut() = Task::default();
            progress
        }
        _ => progress,
    }
}

/// The end of an instruction: locks held all the way are given back.
fn finish<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let op = cx.op();
    let Some(area) = op.area() else { return Progress::Finished };
    if let Op::Munmap { .. } | Op::Mprotect { .. } | Op::Mremap { .. } = op {
        cx.write_unlock(area.proc);
        return Progress::Finished;
    }
    cx.read_unlock(area.proc);
    if has_hole(cx) { Progress::Failed(Failure::ENOMEM) } else { Progress::Finished }
}

/// Between an instruction's last effect and its end others may still store through translations that it has not flushed.
fn flushes_late<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    // clear_refs flushes before its only effect for user space.
    cx.st.has_tlbs() && !matches!(cx.op(), Op::ClearRefs) && tlb::flushed_at_end(cx).is_some()
}

/// madvise does what it can, and fails at its end where something of the range was not mapped.
fn has_hole<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    let Op::Madvise { area, .. } = cx.op() else { return false };
    area.pages().any(|vpn| !map::is_mapped(cx.st, area.proc, vpn))
}

fn dispatch<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if cx.me().at == At::Start && lacking(cx.policy, cx.program, cx.op()).is_some() {
        return Progress::Failed(Failure::EINVAL);
    }
    if cx.me().flags.contains(TaskFlags::SPLITS_FOLIO) {
        return split::step(cx);
    }
    match cx.op() {
        Op::Write { .. } | Op::Read { .. } => access::step(cx),
        Op::Mmap { area, backing, sharing, prot } => map::mmap(cx, area, backing, sharing, prot),
        Op::Munmap { .. } => zap::munmap(cx),
        Op::Mprotect { prot, .. } => prot::mprotect(cx, prot),
        Op::Madvise { advice, .. } => madvise(cx, advice),
        Op::Fork { child } => fork::step(cx, child),
        Op::Exit => zap::exit(cx),
        Op::Wait { child } => {
            if cx.st.mm(child).exited {
                cx.commit_whole()
            } else {
                Progress::Blocked
            }
        }
        Op::ClearRefs => prot::clear_refs(cx),
        Op::SoftDirty { .. } => prot::soft_dirty(cx),
        Op::UffdRegister { mode, .. } => uffd::register(cx, mode),
        Op::UffdWp { .. } => uffd::wp(cx),
        Op::UffdUnwp { .. } => uffd::unwp(cx),
        Op::UffdCopy { .. } | Op::UffdZeropage { .. } | Op::UffdContinue { .. } => uffd_fill::step(cx),
        Op::UffdMove { .. } => uffd_move::step(cx),
        Op::Vmsplice { .. } | Op::Get { .. } | Op::Pin { .. } => gup::step(cx),
        Op::Poke { .. } | Op::PeekMem { .. } | Op::ProcessVmWritev { .. } | Op::ProcessVmReadv { .. } => through::step(cx),
        Op::DirectRead { .. } | Op::DirectWrite { .. } => through::step(cx),
        Op::Put { name } | Op::Drop { name } => gup::release(cx, name, false),
        Op::Unpin { name, dirty } => gup::release(cx, name, dirty),
        Op::Peek { held } => through::peek(cx, held),
        Op::Dma { held, value } => through::dma(cx, held, value),
        Op::Hold { name, .. } => transient::hold(cx, name),
        Op::LruAdd { .. } => transient::lru_add(cx),
        Op::Drain => transient::drain(cx),
        Op::Name { .. } => cx.commit_whole(),
        Op::Mremap { from, to } => mremap::step(cx, from, to),
        Op::Pageout { .. } => reclaim::step(cx),
        Op::Swapin { .. } => swap::swapin(cx),
        Op::Migrate { .. } => migrate::step(cx),
        Op::Swapoff => swapoff::step(cx),
        Op::KsmMerge { a, b } => ksm::merge(cx, a, b),
        Op::KsmUnmerge { .. } => ksm::unmerge(cx),
        Op::SplitPmd { .. } => huge::split(cx),
        Op::SplitFolio { .. } => split::folio(cx),
        Op::Collapse { .. } => collapse::step(cx),
        Op::NumaHint { .. } => numa::hint(cx),
    }
}

/// D8. What the instruction needs and the policy lacks; there it fails with EINVAL, as a call does that a kernel does not know.
///
/// Source: mm/userfaultfd.c `vma_can_userfault` (fs/userfaultfd.c before 6.x); mm/madvise.c `madvise_behavior_valid`.
pub fn lacking(policy: &Policy, program: &Program, op: Op) -> Option<&'static str> {
    if let Op::UffdMove { .. } = op {
        return (!uffd_move::decide_present(policy.uffd_move)).then_some("uffd_move");
    }
    let feature = if let Op::UffdRegister { area, mode } = op {
        registration(program, area, mode)?
    } else if let Op::Madvise { area, advice } = op {
        advised(program, area, advice)?
    } else {
        return None;
    };
    policy.lacks.has(feature).then_some(feature.into())
}

/// What registering memory for something needs.
fn registration(program: &Program, area: Area, mode: UffdMode) -> Option<Feature> {
    match mode {
        UffdMode::Wp if is_of_a_file(program, area) || is_hugetlb(program, area) => Some(Feature::UffdWpFile),
        UffdMode::Wp => Some(Feature::UffdWp),
        UffdMode::WpAsync => Some(Feature::UffdWpAsync),
        UffdMode::Minor if is_hugetlb(program, area) => Some(Feature::UffdMinorHugetlb),
        UffdMode::Minor => Some(Feature::UffdMinorShmem),
        UffdMode::Missing => None,
    }
}

/// What an advice needs.
fn advised(program: &Program, area: Area, advice: Advice) -> Option<Feature> {
    match advice {
        Advice::Dontneed if is_hugetlb(program, area) => Some(Feature::HugetlbDontneed),
        Advice::PopulateRead | Advice::PopulateWrite => Some(Feature::Populate),
        Advice::Collapse => Some(Feature::Collapse),
        Advice::GuardInstall | Advice::GuardRemove => Some(Feature::Guard),
        _ => None,
    }
}

fn is_hugetlb(program: &Program, area: Area) -> bool {
    matches!(program.mems[area.mem.idx()].kind, MemKind::Hugetlb { .. })
}

/// Whether some mapping of the program puts pages of a file there.
fn is_of_a_file(program: &Program, area: Area) -> bool {
    let meet = |mapped: Area| mapped.start.0 < area.start.0 + area.len && area.start.0 < mapped.start.0 + mapped.len;
    program.code.iter().any(|instr| matches!(instr.op, Op::Mmap { area, backing: Backing::File(_), .. } if meet(area)))
}

fn madvise<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, advice: Advice) -> Progress {
    match advice {
        Advice::Dontneed => zap::dontneed(cx),
        Advice::PopulateRead | Advice::PopulateWrite => access::populate(cx, advice == Advice::PopulateWrite),
        Advice::Dontfork | Advice::Dofork | Advice::Wipeonfork | Advice::Keeponfork => map::advise_fork(cx, advice),
        Advice::Pageout => reclaim::step(cx),
        Advice::Free => lazyfree::free(cx),
        Advice::Collapse => collapse::step(cx),
        Advice::Hugepage | Advice::Nohugepage => map::advise_huge(cx, advice),
        Advice::Mergeable => map::advise_merge(cx),
        Advice::Unmergeable => ksm::unmerge(cx),
        Advice::GuardInstall => guard::install(cx),
        Advice::GuardRemove => guard::remove(cx),
    }
}
