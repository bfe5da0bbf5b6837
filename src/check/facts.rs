//! What is true of each mapped page, in the words that a real kernel is asked in.

use super::report::{PageFacts, Reading};
use crate::ir::Program;
use crate::observe::{Seen, Words};
use crate::state::{FolioFlags, Pfn, PteFlags, Slot, State, Target, VmaFlags};
use crate::types::{Number, ProcId, Size, Vpn};

/// Every page of every mapping, in order of process and page, by its name: `p.buf[0]`. `letter` names frames.
pub fn table<B: Size>(
    program: &Program,
    st: &State<B>,
    letter: impl Fn(Pfn<B::Number>) -> Option<String>,
) -> Vec<(String, PageFacts)> {
    st.slots()
        .filter(|(_, _, slot)| slot.vma.flags.contains(VmaFlags::MAPPED))
        .map(|(proc, vpn, _)| (name(program, proc, vpn), of(program, st, proc, vpn, &letter)))
        .collect()
}

/// `p.buf[0]`, by the first name that the page was given.
pub fn name(program: &Program, proc: ProcId, vpn: Vpn) -> String {
    let proc_name = &program.procs[proc.idx()];
    match program.mems.iter().find(|mem| mem.area.has(vpn)) {
        Some(mem) => format!("{proc_name}.{}[{}]", mem.name, vpn.0 - mem.area.start.0),
        None => format!("{proc_name}.{}", vpn.0),
    }
}

/// The page that an entry maps, a device's own among them, whose struct page counts references and no mappings.
pub fn struct_page<N: Number>(slot: &Slot<N>) -> Option<Pfn<N>> {
    match slot.pte.target {
        Target::Special(pfn) if !slot.vma.flags.contains(VmaFlags::PFNMAP) => Some(pfn),
        target => target.pfn(),
    }
}

/// What is true of one page.
pub fn of<B: Size>(
    program: &Program,
    st: &State<B>,
    proc: ProcId,
    vpn: Vpn,
    letter: impl Fn(Pfn<B::Number>) -> Option<String>,
) -> PageFacts {
    let slot = st.slot(proc, vpn);
    let flags = slot.pte.flags;
    let readable = slot.vma.flags.contains(VmaFlags::READ);
    // A page that nothing is mapped for reads as what a fault would bring.
    let behind = match (slot.pte.target, slot.vma.cache_place()) {
        (Target::None, Some(place)) => st.cache(place),
        (target, _) => target,
    };
    let words = st.words(behind);
    let seen = Seen::Words(Words::read(&words.as_ref()[..program.words.len().max(1)], None));
    let page = struct_page(slot).map(|pfn| (pfn, st.folio(pfn), st.page(pfn)));
    PageFacts {
        value: if readable { Reading::of(program, seen) } else { None },
        frame: page.and_then(|(pfn, _, _)| letter(pfn)),
        kind: match (slot.pte.target, page) {
            (Target::None | Target::Swap(_) | Target::Migration(_) | Target::Guard, _) => "none",
            (Target::Zero, _) => "zero",
            (Target::Special(_), _) if slot.vma.flags.contains(VmaFlags::PFNMAP) => "special",
            (Target::Special(_), _) => "device",
            (Target::Page(_), Some((_, folio, _))) if folio.flags.contains(FolioFlags::KSM) => "ksm",
            (Target::Page(_), Some((_, folio, _))) if folio.flags.contains(FolioFlags::DEVICE) => "device",
            (Target::Page(_), Some((_, folio, _))) if folio.is_anon() => "anon",
            (Target::Page(_), _) if program.is_of_a_disk(slot.vma.cache_place()) => "file",
            (Target::Page(_), _) => "shmem",
        },
        present: slot.pte.is_present(),
        swapped: matches!(slot.pte.target, Target::Swap(_)),
        writable: flags.contains(PteFlags::WRITE),
        dirty: flags.contains(PteFlags::DIRTY),
        soft_dirty: (flags.contains(PteFlags::SOFT_DIRTY) && !slot.vma.is_hugetlb())
            || slot.vma.flags.contains(VmaFlags::SOFTDIRTY),
        uffd_wp: flags.contains(PteFlags::UFFD_WP),
        pmd_mapped: flags.contains(PteFlags::PMD),
        mapcount: page.map_or(0, |(pfn, _, _)| st.mapcount(pfn)),
        refcount: page.map_or(0, |(_, folio, _)| folio.ref_count()),
        pincount: page.map_or(0, |(_, folio, _)| folio.pincount.get()),
        exclusive: page.is_some_and(|(pfn, _, _)| st.is_exclusive(pfn)),
    }
}
