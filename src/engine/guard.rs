//! Guard regions: memory that nobody may touch, without a mapping of its own.

use super::{Cx, Progress, fault, file, huge, zap};
use crate::ir::{Advice, Op};
use crate::observe::Seen;
use crate::state::{At, Pte, Target, VmaFlags};
use crate::trace::Sink;
use crate::types::{Failure, Size, Vpn};

/// MADV_GUARD_INSTALL, page by page: what is there goes, and a marker takes its place. Not of hugetlb or special memory.
///
/// Source: mm/madvise.c `madvise_guard_install`, `is_valid_guard_vma` (6.13).
pub(super) fn install<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if let Some(progress) = begin(cx) {
        return progress;
    }
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let (pages, old) = (huge::leaf_here(cx), cx.slot().pte);
    for page in pages.clone() {
        cx.st.slot_mut(proc, Vpn(page)).pte = Pte { target: Target::Guard, ..Pte::default() };
    }
    zap::drop_mapping(cx, proc, old);
    file::prepare_anon_vma(cx, proc, vpn);
    cx.commit_pages(pages.len() as u16, Seen::Nothing)
}

/// MADV_GUARD_REMOVE: the markers go, and nothing else.
///
/// Source: mm/madvise.c `madvise_guard_remove`.
pub(super) fn remove<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if let Some(progress) = begin(cx) {
        return progress;
    }
    if cx.slot().pte.target == Target::Guard {
        cx.slot_mut().pte = Pte::default();
    }
    cx.commit_page(Seen::Nothing)
}

/// Takes the lock; refuses memory that cannot be guarded before anything is done.
fn begin<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Option<Progress> {
    let (proc, area) = (cx.proc(), cx.area());
    if !cx.ptl_is_free(proc) || !cx.try_read_lock(proc) {
        return Some(Progress::Blocked);
    }
    let refuses = |vpn: Vpn| cx.st.slot(proc, vpn).vma.flags.intersects(VmaFlags::HUGETLB | VmaFlags::PFNMAP);
    if cx.me().at == At::Start && area.pages().any(refuses) {
        cx.read_unlock(proc);
        return Some(Progress::Failed(Failure::EINVAL));
    }
    None
}

/// An access to a guarded page: as to an address where nothing is, but for populating, which tells it apart.
///
/// Source: mm/memory.c `handle_pte_marker`; mm/madvise.c `madvise_populate`.
pub(super) fn hit<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    let populates = matches!(cx.op(), Op::Madvise { advice: Advice::PopulateRead | Advice::PopulateWrite, .. });
    let failure = if populates { Failure::EFAULT } else { fault::bad_address(cx.op(), true) };
    fault::fail(cx, failure)
}
