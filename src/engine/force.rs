//! FOLL_FORCE: writing through a pte that is read-only, as /proc/PID/mem and ptrace do.

use super::{Cx, Ruling, prot};
use crate::policy::{Defect, ForceWrite};
use crate::state::{PteFlags, TaskFlags};
use crate::trace::Sink;
use crate::types::Size;

/// What a decision about a read-only pte is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForceFacts {
    /// The caller may override the vma's protection.
    pub forced: bool,
    /// A fault of this call said that it broke COW: FOLL_COW.
    pub cow_broken: bool,
    /// The pte is dirty.
    pub dirty: bool,
    /// The page is anonymous and marked exclusive.
    pub anon_exclusive: bool,
    /// Soft-dirty tracking or uffd-wp still wants a fault.
    pub fault_wanted: bool,
}

/// K9. May a write go through a read-only pte?
///
/// Source: mm/gup.c, `can_follow_write_pte`; before 4.9 `faultin_page` dropped FOLL_WRITE instead.
#[rustfmt::skip]
pub fn decide_follow_write(knob: ForceWrite, pte: &ForceFacts) -> bool {
    match knob {
        ForceWrite::DropWriteFlag   => pte.cow_broken,
        ForceWrite::CowDirty        => pte.forced && pte.cow_broken && pte.dirty,
        ForceWrite::CowDirtyNoForce => pte.cow_broken && pte.dirty,
        ForceWrite::AnonExcl        => pte.forced && pte.anon_exclusive && !pte.fault_wanted,
    }
}

/// Whether the walk, once a fault broke COW, no longer knows that it is for writing. Then it also faults in for reading.
pub(super) fn forgot_write<B: Size, S: Sink>(cx: &Cx<'_, B, S>) -> bool {
    let cow_broken = cx.me().flags.contains(TaskFlags::COW_BROKEN);
    let anything = ForceFacts { forced: true, cow_broken, dirty: false, anon_exclusive: false, fault_wanted: true };
    decide_follow_write(cx.policy.force_write, &anything)
}

/// Whether GUP for writing may use the read-only pte it looks at.
pub(super) fn may_follow_write<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, forced: bool) -> bool {
    let (proc, vpn, slot) = (cx.proc(), cx.vpn(), cx.slot());
    let exclusive = slot.pte.target.pfn().is_some_and(|pfn| cx.st.folio(pfn).is_anon() && cx.st.is_exclusive(pfn));
    let facts = ForceFacts {
        forced: forced && slot.vma.is_cow(),
        cow_broken: cx.me().flags.contains(TaskFlags::COW_BROKEN),
        dirty: slot.pte.flags.contains(PteFlags::DIRTY),
        anon_exclusive: exclusive || cx.policy.defects.has(Defect::ForceIgnoresExclusive),
        fault_wanted: !cx.policy.defects.has(Defect::ForceIgnoresTrackers) && prot::wants_fault(&slot),
    };
    let knob = cx.policy.force_write;
    let may = decide_follow_write(knob, &facts) || cx.policy.defects.has(Defect::ForceTakesAnyPage);
    if forced {
        let operands = [
            ("cow_broken", facts.cow_broken.into()),
            ("dirty", facts.dirty.into()),
            ("exclusive", facts.anon_exclusive.into()),
            ("fault_wanted", facts.fault_wanted.into()),
        ];
        let (verdict, reason) = match may {
            true => ("follow", "the read-only pte is taken for the writer's own"),
            false => ("fault", "the read-only pte does not prove that the page is the writer's own"),
        };
        let ruling = Ruling {
            rule: "force::decide_follow_write",
            knob: "force_write",
            value: knob.into(),
            verdict,
            reason,
            operands: &operands,
        };
        cx.decided(proc, vpn, slot.pte.target, ruling);
    }
    may
}
