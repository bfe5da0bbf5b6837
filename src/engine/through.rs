//! Reading and writing through references: for a moment, page by page, or through one that has a name.

use super::{Cx, Progress, frame_number, gup};
use crate::ir::{Op, RefArea};
use crate::observe::Seen;
use crate::state::{At, FolioFlags, Target};
use crate::trace::{Sink, What};
use crate::types::{Failure, Size, ValueId};

/// One step of an instruction that takes each page for a moment: O_DIRECT, process_vm_*, /proc/PID/mem. Who writes marks the
/// folio dirty, for a lockless walk looked at no dirty bit.
///
/// Source: block/bio.c `bio_set_pages_dirty`, mm/gup.c `unpin_user_pages_dirty_lock`, mm/memory.c `__access_remote_vm`.
pub(super) fn step<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>) -> Progress {
    if cx.me().at != At::Through {
        return gup::step(cx);
    }
    let (target, _) = cx.me().grab;
    if let (Op::DirectRead { .. }, Some(pfn)) = (cx.op(), target.pfn()) {
        cx.st.folio_mut(pfn).flags.insert(FolioFlags::DIRTY); // block/bio.c bio_set_pages_dirty
    }
    let seen = if let Op::DirectRead { value, .. } | Op::ProcessVmWritev { value, .. } | Op::Poke { value, .. } = cx.op() {
        if let Some(pfn) = target.pfn() {
            cx.st.folio_mut(pfn).flags.insert(FolioFlags::DIRTY);
        }
        store(cx, target, value)
    } else {
        cx.read_words(target)
    };
    gup::release_grab(cx);
    cx.commit_page(seen)
}

/// What the holder of a named reference reads through it, page by page.
pub(super) fn peek<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, held: RefArea) -> Progress {
    match page_of(cx, held) {
        Target::None => Progress::Failed(Failure::EFAULT),
        target => {
            let seen = cx.read_words(target);
            cx.commit_page(seen)
        }
    }
}

/// What the device writes through a named reference, page by page.
pub(super) fn dma<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, held: RefArea, value: ValueId) -> Progress {
    match page_of(cx, held) {
        Target::None => Progress::Failed(Failure::EFAULT),
        target => {
            let seen = store(cx, target, value);
            cx.commit_page(seen)
        }
    }
}

fn page_of<B: Size, S: Sink>(cx: &Cx<'_, B, S>, held: RefArea) -> Target<B::Number> {
    let first = cx.program.refs[held.name.idx()].first;
    cx.st.held()[usize::from(first + held.start + cx.me().page)]
}

fn store<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, target: Target<B::Number>, value: ValueId) -> Seen {
    cx.st.store(target, cx.word(), value);
    if let Some(pfn) = target.pfn() {
        // Who lets something write to pages says so: bio_set_pages_dirty, access_remote_vm, process_vm_rw.
        cx.st.folio_mut(pfn).flags.insert(FolioFlags::DIRTY);
        cx.emit("store through a reference", |_| What::Stored { frame: frame_number(pfn) });
    }
    Seen::Nothing
}
