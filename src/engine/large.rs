//! Large folios that ptes map: may a write fault keep one of their pages?

use super::wp::{Verdict, Why};
use super::{Cx, Ruling};
use crate::policy::{PageMapcount, ReuseLargePte};
use crate::state::{FolioFlags, Pfn, State, Target};
use crate::trace::Sink;
use crate::types::{Number, Size};

/// What a decision about a page of a large folio is made on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LargeFacts {
    /// The folio's, as `folio_ref_count` gives it.
    pub refcount: u32,
    /// The highest count of its pages, of mappings and swap entries together.
    pub highest: u32,
    /// Mappings of all its pages.
    pub mapcount: u32,
    /// Several address spaces may map it.
    pub maybe_shared: bool,
    /// This page is marked.
    pub exclusive: bool,
    /// It stands in this CPU's LRU-add batch, which holds one of its references.
    pub in_lru_batch: bool,
    /// The swap cache has it and could let it go: no entry names it, and it is not being written.
    pub uncacheable: bool,
}

/// K4. A write fault on a write-protected pte of a large folio: keep the page or copy it?
///
/// Source: mm/memory.c `do_wp_page`, `wp_can_reuse_anon_folio`, `__wp_can_reuse_large_anon_folio` (6.15); up to 5.8
/// mm/swapfile.c `page_trans_huge_map_swapcount`, which takes the highest count of all pages.
#[rustfmt::skip]
pub fn decide_large(knob: ReuseLargePte, page: &LargeFacts) -> Verdict {
    use {ReuseLargePte::*, Verdict::*, Why::*};
    let last_ref = page.refcount == 1;
    let may_drain = page.in_lru_batch && page.refcount <= 3;
    // Each mapping holds one reference, so as many of both leave none to anybody else. The last page gives the folio back.
    let all_mine = 1 < page.mapcount && !page.maybe_shared && page.mapcount == page.refcount;
    match (knob, page.exclusive) {
        (MapSwap, _) if page.highest == 1 && page.uncacheable => Uncache,
        (MapSwap, _) if page.highest == 1                    => Reuse(LastMapping),
        (MapSwap, _)                                         => Copy(OtherMappings),
        (Ref1Folio, _) if last_ref                           => Reuse(LastRef),
        (Ref1Folio, _)                                       => Copy(OtherRefs),
        (ExclOrRef1Folio | ExclOnly | ExclOrMmowner, true)   => Reuse(Exclusive),
        (DerivedBit, true)                                   => Reuse(Exclusive),
        (ExclOrRef1Folio, false) if last_ref                 => Reuse(LastRef),
        (ExclOrRef1Folio, false) if may_drain                => Drain,
        (ExclOrRef1Folio, false)                             => Copy(OtherRefs),
        (ExclOrMmowner, false) if all_mine                   => Reuse(OneOwner),
        (ExclOrMmowner, false) if page.maybe_shared          => Copy(OtherMappings),
        (ExclOrMmowner, false) if page.mapcount <= 1         => Copy(LastPage),
        (ExclOrMmowner, false) if page.uncacheable           => Uncache,
        (ExclOrMmowner, false)                               => Copy(OtherRefs),
        (ExclOnly | DerivedBit, false)                       => Copy(NotExclusive),
    }
}

/// Asks K4 about a page; recorded.
pub(super) fn decide<B: Size, S: Sink>(cx: &mut Cx<'_, B, S>, pfn: Pfn<B::Number>) -> Verdict {
    let (folio, large) = (cx.st.folio(pfn), cx.st.large(pfn));
    let uncacheable = cx.st.may_free_swap(pfn);
    let facts = LargeFacts {
        refcount: folio.ref_count(),
        highest: cx.st.highest_users(pfn),
        mapcount: cx.st.folio_mapcount(pfn),
        maybe_shared: large.maybe_shared,
        exclusive: cx.st.is_exclusive(pfn),
        in_lru_batch: folio.flags.contains(FolioFlags::LRU_BATCH),
        uncacheable,
    };
    let knob = cx.policy.reuse_large_pte;
    let verdict = decide_large(knob, &facts);
    let (said, reason) = verdict.said();
    let operands = [
        ("refcount", facts.refcount),
        ("mapcount", facts.mapcount),
        ("highest_mapcount", facts.highest),
        ("maybe_shared", facts.maybe_shared.into()),
        ("exclusive", facts.exclusive.into()),
    ];
    let (proc, vpn) = (cx.proc(), cx.vpn());
    let (rule, knob, value) = ("large::decide_large", "reuse_large_pte", knob.into());
    cx.decided(proc, vpn, Target::Page(pfn), Ruling { rule, knob, value, verdict: said, reason, operands: &operands });
    verdict
}

/// K33. The mapcount of a page of a large folio as the kernel shows and uses it: the page's own, or an average over the folio.
///
/// Source: fs/proc/internal.h `folio_precise_page_mapcount`, `folio_average_page_mapcount` (6.15): at least 1 while any page is
/// mapped, else the mean rounded.
pub fn decide_mapcount(knob: PageMapcount, own: u32, folio: u32, entire: u32, pages: u32) -> u32 {
    match knob {
        PageMapcount::PerPage => own,
        PageMapcount::None if folio == 0 => 0,
        PageMapcount::None => {
            let by_ptes = folio - entire;
            (by_ptes + pages / 2).div_euclid(pages).saturating_add(entire).max(1)
        }
    }
}

/// The mapcount of a page, as this policy knows it.
pub fn mapcount<B: Size>(knob: PageMapcount, st: &State<B>, pfn: Pfn<B::Number>) -> u32 {
    let own = st.mapcount(pfn);
    if !st.folio(pfn).is_large() {
        return own;
    }
    let pages = 1 << st.folio(pfn).order;
    decide_mapcount(knob, own, st.folio_mapcount(pfn), st.large(pfn).entire_mapcount.get(), pages)
}
