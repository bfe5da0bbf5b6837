//! PG_anon_exclusive: which policies have the bit, and which events touch it.

use crate::policy::{Policy, WpClearsExcl};

/// An event in the life of an anonymous page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A fresh page is mapped, or a proof of sole ownership was made at a write fault.
    Proven,
    /// fork gives the page a second mapping.
    Shared,
    /// The page leaves a page table for swap or migration, or is made ready to be merged.
    Unmapped,
    /// A swap entry becomes a mapping again; what it knows of the page is decided anew.
    SwappedIn,
}

/// What becomes of the bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Keep,
    Set,
    Clear,
}

/// K20. Which events clear the bit, and whether there is one at all.
///
/// The two values that have a bit part only where memory leaves a page table for another reason than fork. A derived bit
/// stays on the page then, and swap-in derives it anew: fork may have copied the entry meanwhile.
/// Source: include/linux/rmap.h `folio_try_dup_anon_rmap_pte`, mm/rmap.c `folio_add_new_anon_rmap`.
#[rustfmt::skip]
pub(super) fn decide(knob: WpClearsExcl, event: Event) -> Change {
    use {Change::*, Event::*, WpClearsExcl as K};
    match (knob, event) {
        (K::NoBit, _)                         => Keep,
        (K::ForkOnly | K::ForkUnmapKsm, Proven) => Set,
        (K::ForkOnly | K::ForkUnmapKsm, Shared) => Clear,
        (K::ForkOnly, Unmapped)               => Keep,
        (K::ForkUnmapKsm, Unmapped)           => Clear,
        (K::ForkOnly, SwappedIn)              => Clear,
        (K::ForkUnmapKsm, SwappedIn)          => Keep,
    }
}

/// Whether pages have an exclusive bit under this policy.
pub fn has_exclusive_bit(policy: &Policy) -> bool {
    decide(policy.wp_clears_excl, Event::Proven) == Change::Set
}
