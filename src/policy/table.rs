//! All knobs and details in one table: what policies are shown, compared, parsed, drawn and blamed by.

use super::{Choice, Policy, Value, era};

/// A knob or a detail.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// As policies spell it, which is the name of its field: `reuse_small`.
    pub name: &'static str,
    /// Where it is in a policy.
    field: fn(&mut Policy) -> &mut dyn Choice,
}

/// A knob is its name.
impl PartialEq for Knob {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Knob {}

impl Knob {
    /// The knob of that name.
    pub fn find(name: &str) -> Option<&'static Knob> {
        KNOBS.iter().find(|knob| knob.name == name)
    }

    /// Place of a policy's value among [`Knob::values`].
    pub fn get(&self, policy: &Policy) -> usize {
        self.of(policy, |choice| choice.index())
    }

    /// Gives a policy the value at a place; says whether there is one. Any combination can be set so: see [`Policy::coherent`].
    pub fn set(&self, policy: &mut Policy, index: usize) -> bool {
        (self.field)(policy).choose(index)
    }

    /// A policy's value.
    pub fn value(&self, policy: &Policy) -> Value {
        self.values()[self.get(policy)]
    }

    /// All values in order.
    pub fn values(&self) -> Vec<Value> {
        self.of(&era::LATEST, |choice| choice.values())
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.of(&era::LATEST, |choice| choice.count())
    }

    /// Its number in `semantics.md` 2: `K1`, `D5`.
    pub fn number(&self) -> &'static str {
        self.doc().0
    }

    /// The question it answers.
    pub fn question(&self) -> &'static str {
        self.doc().1
    }

    /// The one function that matches it: `engine::wp::decide_small`.
    pub fn home(&self) -> &'static str {
        self.doc().2.trim_matches('`')
    }

    /// The name of its enum: `ReuseSmall`.
    pub fn type_name(&self) -> &'static str {
        self.of(&era::LATEST, |choice| choice.type_name())
    }

    /// Number, question and home out of the documentation of its type.
    fn doc(&self) -> (&'static str, &'static str, &'static str) {
        let doc = self.of(&era::LATEST, |choice| choice.doc());
        let parts = doc.trim().strip_suffix('.').and_then(|doc| doc.split_once(". "));
        let parts = parts.and_then(|(number, rest)| Some((number, rest.split_once(" Home: ")?)));
        let (number, (question, home)) = parts.expect("cowl bug: a knob's documentation is `K1. Question? Home: path.`");
        (number, question, home)
    }

    fn of<R>(&self, policy: &Policy, ask: impl FnOnce(&dyn Choice) -> R) -> R {
        let mut policy = *policy;
        ask((self.field)(&mut policy))
    }
}

const fn row(name: &'static str, field: fn(&mut Policy) -> &mut dyn Choice) -> Knob {
    Knob { name, field }
}

/// Every knob, then every detail but D8, in the order of their numbers.
#[rustfmt::skip]
pub const KNOBS: &[Knob] = &[
    row("reuse_small", |p| &mut p.reuse_small),
    row("reuse_swapin", |p| &mut p.reuse_swapin),
    row("reuse_pmd", |p| &mut p.reuse_pmd),
    row("reuse_large_pte", |p| &mut p.reuse_large_pte),
    row("reuse_hugetlb", |p| &mut p.reuse_hugetlb),
    row("reuse_ksm", |p| &mut p.reuse_ksm),
    row("gup_ro", |p| &mut p.gup_ro),
    row("gup_ro_lt_nonanon", |p| &mut p.gup_ro_lt_nonanon),
    row("force_write", |p| &mut p.force_write),
    row("pin_acct", |p| &mut p.pin_acct),
    row("fork_pinned_pte", |p| &mut p.fork_pinned_pte),
    row("fork_pinned_pmd", |p| &mut p.fork_pinned_pmd),
    row("fork_pinned_hugetlb", |p| &mut p.fork_pinned_hugetlb),
    row("fork_seq", |p| &mut p.fork_seq),
    row("gupfast_order", |p| &mut p.gupfast_order),
    row("clear_refs_pinned", |p| &mut p.clear_refs_pinned),
    row("clear_refs_lock", |p| &mut p.clear_refs_lock),
    row("wp_pinned", |p| &mut p.wp_pinned),
    row("prot_upgrade", |p| &mut p.prot_upgrade),
    row("wp_clears_excl", |p| &mut p.wp_clears_excl),
    row("swap_excl", |p| &mut p.swap_excl),
    row("swapout_pinned", |p| &mut p.swapout_pinned),
    row("migr_excl", |p| &mut p.migr_excl),
    row("thp_split_bit", |p| &mut p.thp_split_bit),
    row("ksm_wp", |p| &mut p.ksm_wp),
    row("ksm_unmerge_fault", |p| &mut p.ksm_unmerge_fault),
    row("zero_pin", |p| &mut p.zero_pin),
    row("vmsplice_ref", |p| &mut p.vmsplice_ref),
    row("dio_ref", |p| &mut p.dio_ref),
    row("numa_shared", |p| &mut p.numa_shared),
    row("uffd_wp_tlb", |p| &mut p.uffd_wp_tlb),
    row("hugetlb_force_write", |p| &mut p.hugetlb_force_write),
    row("page_mapcount", |p| &mut p.page_mapcount),
    row("uffd_move", |p| &mut p.uffd_move),
    row("huge_zero_write", |p| &mut p.huge_zero_write),
    row("mremap_uffd_wp", |p| &mut p.mremap_uffd_wp),
    row("collapse_shared", |p| &mut p.collapse_shared),
    row("swapin_sync", |p| &mut p.swapin_sync),
    row("swapin_read_map", |p| &mut p.swapin_read_map),
    row("swapin_drain", |p| &mut p.swapin_drain),
    row("proc_mem_force", |p| &mut p.proc_mem_force),
    row("ksm_unmerge_zero", |p| &mut p.ksm_unmerge_zero),
];
