//! Policies: one value for each design knob and each detail, the verbs that are lacking, and the defects.
//!
//! A policy is data. The engine matches each knob in exactly one function, its home, and cannot ask for a release: only `era` knows
//! those, and writes each as a difference from another.

mod choice;
mod coherent;
mod defects;
mod details;
mod diff;
pub mod era;
mod knobs;
mod named;
mod near;
mod set;
mod table;
#[cfg(test)]
mod tests;
mod user;
#[cfg(test)]
mod uses;

pub use choice::{Answer, Choice, Value};
pub use coherent::Incoherent;
pub use defects::{Defect, Defects};
pub use details::*;
pub use diff::{DEFECT, Difference, LACKS, describe_defect, describe_feature, diff, source};
pub use knobs::*;
pub use named::{Kind, LATEST_NAME, Named, PointFix, RangeError, builtin, find, of_kernel, of_point, range};
pub use near::nearest;
pub use table::{KNOBS, Knob};
pub use user::{Mistake, What, build, is_taken, keys};

/// One answer to every question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// K1.
    pub reuse_small: ReuseSmall,
    /// K2.
    pub reuse_swapin: ReuseSwapin,
    /// K3.
    pub reuse_pmd: ReusePmd,
    /// K4.
    pub reuse_large_pte: ReuseLargePte,
    /// K5.
    pub reuse_hugetlb: ReuseHugetlb,
    /// K6.
    pub reuse_ksm: ReuseKsm,
    /// K7.
    pub gup_ro: GupRo,
    /// K8.
    pub gup_ro_lt_nonanon: GupRoLtNonanon,
    /// K9.
    pub force_write: ForceWrite,
    /// K10.
    pub pin_acct: PinAcct,
    /// K11.
    pub fork_pinned_pte: ForkPinnedPte,
    /// K12.
    pub fork_pinned_pmd: ForkPinnedPmd,
    /// K13.
    pub fork_pinned_hugetlb: ForkPinnedHugetlb,
    /// K14.
    pub fork_seq: ForkSeq,
    /// K15.
    pub gupfast_order: GupfastOrder,
    /// K16.
    pub clear_refs_pinned: ClearRefsPinned,
    /// K17.
    pub clear_refs_lock: ClearRefsLock,
    /// K18.
    pub wp_pinned: WpPinned,
    /// K19.
    pub prot_upgrade: ProtUpgrade,
    /// K20.
    pub wp_clears_excl: WpClearsExcl,
    /// K21.
    pub swap_excl: SwapExcl,
    /// K22.
    pub swapout_pinned: SwapoutPinned,
    /// K23.
    pub migr_excl: MigrExcl,
    /// K24.
    pub thp_split_bit: ThpSplitBit,
    /// K25.
    pub ksm_wp: KsmWp,
    /// K26.
    pub ksm_unmerge_fault: KsmUnmergeFault,
    /// K27.
    pub zero_pin: ZeroPin,
    /// K28.
    pub vmsplice_ref: VmspliceRef,
    /// K29.
    pub dio_ref: DioRef,
    /// K30.
    pub numa_shared: NumaShared,
    /// K31.
    pub uffd_wp_tlb: UffdWpTlb,
    /// K32.
    pub hugetlb_force_write: HugetlbForceWrite,
    /// K33.
    pub page_mapcount: PageMapcount,
    /// K34.
    pub uffd_move: UffdMoveIoctl,
    /// D1.
    pub huge_zero_write: HugeZeroWrite,
    /// D2.
    pub mremap_uffd_wp: MremapUffdWp,
    /// D3.
    pub collapse_shared: CollapseShared,
    /// D4.
    pub swapin_sync: SwapinSync,
    /// D5.
    pub swapin_read_map: SwapinReadMap,
    /// D6.
    pub swapin_drain: SwapinDrain,
    /// D7.
    pub proc_mem_force: ProcMemForce,
    /// D9.
    pub ksm_unmerge_zero: KsmUnmergeZero,
    /// D8.
    pub lacks: Lacks,
    /// The defects it has.
    pub defects: Defects,
}
