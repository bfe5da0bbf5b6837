//! Taking a read-only reference through a read-only pte: as it is, or with an owner first?

use strum::IntoStaticStr;

use super::gup::Want;
use super::{Cx, Ruling};
use crate::policy::{GupRo, GupRoLtNonanon, Policy};
use crate::state::{FolioFlags, Target};
use crate::trace::Sink;
use crate::types::Size;

/// What the decision is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoFacts {
    /// A pin rather than a get.
    pub pin: bool,
    pub longterm: bool,
    /// Anonymous; the zero page and the page cache are not.
    pub anon: bool,
    pub mapcount: u32,
    pub exclusive: bool,
    /// Merged by ksmd.
    pub ksm: bool,
}

/// What GUP does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// Takes the page as it is.
    Take,
    /// Asks for an unshare fault first.
    Unshare,
    /// Goes on as if it were to write.
    AsWrite,
}

/// K7. A read-only reference on what a read-only pte of a COW mapping points to.
///
/// Source: mm/gup.c, `gup_must_unshare` (5.19), `should_force_cow_break` (5.8 only).
pub fn decide_gup_ro(knob: GupRo, page: &RoFacts) -> Answer {
    match knob {
        GupRo::Plain => Answer::Take,
        GupRo::ForcedCow => Answer::AsWrite,
        GupRo::UnshareMapcount if page.anon && !page.ksm && 1 < page.mapcount => Answer::Unshare,
        GupRo::UnshareMapcount => Answer::Take,
        GupRo::UnshareExcl if page.pin && page.anon && !page.exclusive => Answer::Unshare,
        GupRo::UnshareExcl => Answer::Take,
    }
}

/// K8. The same for a longterm pin of the zero page or of the page cache.
///
/// Source: mm/gup.c, `gup_must_unshare` (6.2).
pub fn decide_gup_ro_lt_nonanon(knob: GupRoLtNonanon, page: &RoFacts) -> Answer {
    match knob {
        GupRoLtNonanon::Unshare if page.pin && page.longterm && !page.anon => Answer::Unshare,
        GupRoLtNonanon::Unshare | GupRoLtNonanon::Allow => Answer::Take,
    }
}

/// Both knobs asked about what a pte points to; recorded.
pub(super) fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, want: &Want, target: Target<B::Number>) -> Answer {
    let page = target.pfn().map(|pfn| (cx.st.folio(pfn).is_anon(), cx.st.mapcount(pfn), cx.st.is_exclusive(pfn)));
    let ksm = target.pfn().is_some_and(|pfn| cx.st.folio(pfn).flags.contains(FolioFlags::KSM));
    let facts = RoFacts {
        pin: want.pin,
        longterm: want.longterm,
        anon: page.is_some_and(|(anon, _, _)| anon),
        mapcount: page.map_or(0, |(_, mapcount, _)| mapcount),
        exclusive: page.is_some_and(|(_, _, exclusive)| exclusive),
        ksm,
    };
    let (first, second) = (cx.policy.gup_ro, cx.policy.gup_ro_lt_nonanon);
    let (answer, rule, knob, value) = match decide_gup_ro(first, &facts) {
        Answer::Take if !facts.anon => {
            let answer = decide_gup_ro_lt_nonanon(second, &facts);
            (answer, "read_only::decide_gup_ro_lt_nonanon", "gup_ro_lt_nonanon", second.into())
        }
        answer => (answer, "read_only::decide_gup_ro", "gup_ro", first.into()),
    };
    let reason = match answer {
        Answer::Take => "the page is taken as it is",
        Answer::Unshare => "nothing proves that the page is the caller's own",
        Answer::AsWrite => "every reference on a COW mapping breaks COW",
    };
    let operands = [
        ("pin", facts.pin.into()),
        ("longterm", facts.longterm.into()),
        ("anon", facts.anon.into()),
        ("mapcount", facts.mapcount),
        ("exclusive", facts.exclusive.into()),
    ];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    cx.decided(proc, vpn, target, Ruling { rule, knob, value, verdict: answer.into(), reason, operands: &operands });
    answer
}

/// Whether a reading reference counts as a writing one before anything is mapped.
pub(super) fn counts_as_write<B: Size, S: Sink>(cx: &Cx<'_, B, S>, want: &Want) -> bool {
    let nothing = RoFacts { pin: want.pin, longterm: want.longterm, anon: false, mapcount: 0, exclusive: false, ksm: false };
    !want.write && decide_gup_ro(cx.policy.gup_ro, &nothing) == Answer::AsWrite
}

/// Whether a pin makes sure that an anonymous page is marked exclusive before it takes it.
pub fn pins_ask_for_exclusive(policy: &Policy) -> bool {
    let shared = RoFacts { pin: true, longterm: false, anon: true, mapcount: 1, exclusive: false, ksm: false };
    decide_gup_ro(policy.gup_ro, &shared) == Answer::Unshare
}
