//! Combinations of answers that no kernel could mean. A design that is merely wrong is coherent: finding that out is the engine's work.

use super::*;

/// Two answers that do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incoherent {
    /// The knob whose answer has no meaning.
    pub knob: &'static Knob,
    /// The knob whose answer takes the meaning away.
    pub because: &'static Knob,
    /// Why, in a sentence.
    pub why: &'static str,
}

const NO_BIT: &str = "it asks for an exclusive bit, and the policy keeps none";
const NO_PINS: &str = "it asks whether a page is pinned, and no pin can be told from a get";
const NO_MAPCOUNT: &str = "it asks how often a page of a large folio is mapped, and nobody counts that";

impl Policy {
    /// Whether pages have an exclusive bit, authoritative or derived: the write fault asks for it.
    pub const fn has_exclusive_bit(&self) -> bool {
        matches!(self.reuse_small, ReuseSmall::ExclOrRef1 | ReuseSmall::DerivedBit)
    }

    /// Whether the answers go together.
    ///
    /// # Errors
    /// The first combination, in the order of knobs, that no kernel could mean.
    pub fn coherent(&self) -> Result<(), Incoherent> {
        let rules = [self.without_bit(), self.about_bit(), self.without_pins(), self.without_mapcount(), self.endless()];
        match rules.into_iter().flatten().next() {
            Some((knob, because, why)) => {
                let named = |name| Knob::find(name).expect("cowl bug: a rule of coherence names no knob");
                Err(Incoherent { knob: named(knob), because: named(because), why })
            }
            None => Ok(()),
        }
    }

    /// Answers that need an exclusive bit, where there is none.
    fn without_bit(&self) -> Option<Broken> {
        let asks = [
            ("reuse_swapin", !matches!(self.reuse_swapin, ReuseSwapin::MapSwap | ReuseSwapin::Ref1)),
            ("reuse_pmd", matches!(self.reuse_pmd, ReusePmd::ExclOrRef1 | ReusePmd::DerivedBit)),
            ("reuse_large_pte", !matches!(self.reuse_large_pte, ReuseLargePte::MapSwap | ReuseLargePte::Ref1Folio)),
            ("reuse_hugetlb", self.reuse_hugetlb == ReuseHugetlb::Mapcount1Excl),
            ("gup_ro", self.gup_ro == GupRo::UnshareExcl),
            ("force_write", self.force_write == ForceWrite::AnonExcl),
            ("fork_pinned_pte", self.fork_pinned_pte == ForkPinnedPte::CopyIfExclPinned),
            ("prot_upgrade", self.prot_upgrade != ProtUpgrade::SharedDirtyOnly),
            ("wp_clears_excl", self.wp_clears_excl != WpClearsExcl::NoBit),
            ("swap_excl", self.swap_excl == SwapExcl::Marker),
            ("swapout_pinned", self.swapout_pinned == SwapoutPinned::UnmapFailsIfPinned),
            ("migr_excl", self.migr_excl == MigrExcl::ReadExclWrite),
            ("thp_split_bit", self.thp_split_bit != ThpSplitBit::NoBit),
            ("ksm_wp", self.ksm_wp == KsmWp::RefcheckShare),
            ("hugetlb_force_write", self.hugetlb_force_write == HugetlbForceWrite::ExclusiveOnly),
        ];
        let (knob, _) = asks.into_iter().find(|(_, asks)| *asks && !self.has_exclusive_bit())?;
        Some((knob, "reuse_small", NO_BIT))
    }

    /// Answers that say that there is no exclusive bit, where there is one.
    fn about_bit(&self) -> Option<Broken> {
        let denies = [
            ("wp_clears_excl", self.wp_clears_excl == WpClearsExcl::NoBit),
            ("thp_split_bit", self.thp_split_bit == ThpSplitBit::NoBit),
        ];
        let (knob, _) = denies.into_iter().find(|(_, denies)| *denies && self.has_exclusive_bit())?;
        Some((knob, "reuse_small", "it says that pages have no exclusive bit, and the write fault asks for it"))
    }

    /// Answers that ask for pins, where a pin is counted as a get.
    fn without_pins(&self) -> Option<Broken> {
        let asks = [
            ("fork_pinned_pte", self.fork_pinned_pte != ForkPinnedPte::Share),
            ("fork_pinned_pmd", self.fork_pinned_pmd != ForkPinnedPmd::Share),
            ("fork_pinned_hugetlb", self.fork_pinned_hugetlb != ForkPinnedHugetlb::Share),
            ("clear_refs_pinned", self.clear_refs_pinned != ClearRefsPinned::Wp),
            ("wp_pinned", self.wp_pinned != WpPinned::Wp),
            ("wp_clears_excl", self.wp_clears_excl == WpClearsExcl::ForkUnmapKsm),
            ("swapout_pinned", self.swapout_pinned != SwapoutPinned::LateRefcheck),
            ("ksm_wp", self.ksm_wp == KsmWp::RefcheckShare),
            ("numa_shared", self.numa_shared == NumaShared::MaybeMappedShared),
        ];
        let (knob, _) = asks.into_iter().find(|(_, asks)| *asks && self.pin_acct == PinAcct::GetOnly)?;
        Some((knob, "pin_acct", NO_PINS))
    }

    /// Answers that ask for the mapcount of a page of a large folio, where there is none.
    fn without_mapcount(&self) -> Option<Broken> {
        let asks = [
            ("reuse_pmd", matches!(self.reuse_pmd, ReusePmd::MapSwapCopyhuge | ReusePmd::MapSwapSplit)),
            ("reuse_large_pte", self.reuse_large_pte == ReuseLargePte::MapSwap),
            ("gup_ro", self.gup_ro == GupRo::UnshareMapcount),
            ("clear_refs_pinned", self.clear_refs_pinned == ClearRefsPinned::SkipMapcount1),
            ("numa_shared", self.numa_shared == NumaShared::Mapcount),
        ];
        let (knob, _) = asks.into_iter().find(|(_, asks)| *asks && self.page_mapcount == PageMapcount::None)?;
        Some((knob, "page_mapcount", NO_MAPCOUNT))
    }

    /// Answers that together never let a call return.
    fn endless(&self) -> Option<Broken> {
        let refuses = matches!(self.force_write, ForceWrite::CowDirty | ForceWrite::AnonExcl);
        let why = "a read of a read-only mapping faults as a write, and then may not use what the fault made: it never ends";
        (self.gup_ro == GupRo::ForcedCow && refuses).then_some(("gup_ro", "force_write", why))
    }
}

/// Names of two knobs, and why their answers do not go together.
type Broken = (&'static str, &'static str, &'static str);
