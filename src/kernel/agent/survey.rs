//! Many pages looked at in few calls: pagemap and memory a range at a time, frames as they follow each other.

use std::collections::{BTreeMap, BTreeSet};

use super::look::{Entry, Eye, Frames, Mapped, Sight, is_tail};
use super::plan::Plan;
use super::stretch::{PAGE, Stretch};
use crate::kernel::agent::perform::words;
use crate::types::{PMD_ORDER, Vpn};

/// Bytes that a PMD maps.
const PMD_SIZE: usize = PAGE << PMD_ORDER;

/// A page to look at, and what is known of its mapping.
pub(super) type Place = (Vpn, Mapped);

/// What was read of a page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Glance {
    pub entry: Entry,
    pub flags: Option<u64>,
    pub count: Option<u64>,
    /// Its words, where it is present and can be read.
    pub words: Option<Vec<u64>>,
    /// Of a page of a large folio but the first: whether a PMD maps it, and the flags of the page that the PMD's first pte would have.
    pub pmd: Option<(bool, Option<u64>)>,
}

/// How often pages are looked at until the kernel leaves them where they are meanwhile.
const LOOKS_MAX: u32 = 4;

/// Looks at pages of one process, in their order.
///
/// The kernel may move a page at any time, to compact memory; what is read of its old frame then is about nothing, or about another.
pub(super) fn survey(eye: &Eye, plan: &Plan, places: &[Place], frames: &Frames, sight: Sight) -> Vec<Glance> {
    let mut glances = look(eye, plan, places, frames, sight);
    for _ in 1..LOOKS_MAX {
        let now = mapped_in_a_row(eye, plan, places).flat_map(|(_, pages)| eye.entries(pages));
        if now.eq(glances.iter().map(|glance| glance.entry)) {
            break;
        }
        glances = look(eye, plan, places, frames, sight);
    }
    glances
}

/// Pages that follow each other, and where they are.
fn mapped_in_a_row<'p>(eye: &'p Eye, plan: &'p Plan, places: &'p [Place]) -> impl Iterator<Item = (&'p [Place], Stretch)> {
    let at = |place: &Place| plan.page(eye.proc, place.0).at();
    runs(places, move |before, after| at(after) == at(before) + PAGE)
        .map(move |run| (run, Stretch::new(at(&run[0]), run.len() * PAGE)))
}

fn look(eye: &Eye, plan: &Plan, places: &[Place], frames: &Frames, sight: Sight) -> Vec<Glance> {
    let mut glances = Vec::with_capacity(places.len());
    for (run, pages) in mapped_in_a_row(eye, plan, places) {
        let (first, entries) = (pages.at(), eye.entries(pages));
        let mut here: Vec<Glance> = entries.into_iter().map(|entry| Glance { entry, ..Glance::default() }).collect();
        contents(eye, plan, run, first, &mut here);
        glances.append(&mut here);
    }
    let pfns: BTreeSet<u64> = glances.iter().filter_map(|glance| glance.entry.pfn()).collect();
    let flags = if sight.flags { of_frames(&pfns, |from, len| frames.all_flags(from, len)) } else { BTreeMap::new() };
    let counts = if sight.counts { of_frames(&pfns, |from, len| frames.all_counts(from, len)) } else { BTreeMap::new() };
    let mut maps = BTreeMap::new();
    for ((vpn, _), glance) in places.iter().zip(&mut glances) {
        let Some(pfn) = glance.entry.pfn() else { continue };
        (glance.flags, glance.count) = (flags.get(&pfn).copied(), counts.get(&pfn).copied());
        if !glance.flags.is_some_and(is_tail) {
            continue;
        }
        let page = plan.page(eye.proc, *vpn);
        let nth = page.at() % PMD_SIZE / PAGE;
        // One answer for all that the same PMD is about.
        let mapped = *maps.entry(page.at() / PMD_SIZE).or_insert_with(|| eye.is_pmd_mapped(page));
        let head = pfn.checked_sub(nth as u64);
        let head = || head.and_then(|head| flags.get(&head).copied().or_else(|| frames.flags(head)));
        glance.pmd = mapped.map(|mapped| (mapped, if mapped { head() } else { None }));
    }
    glances
}

/// Reads the memory of those that are present and that a load would not disturb.
fn contents(eye: &Eye, plan: &Plan, run: &[Place], first: usize, glances: &mut [Glance]) {
    let can_be_read = |nth: &usize| glances[*nth].entry.is_present() && run[*nth].1.readable;
    let wanted: Vec<usize> = (0..run.len()).filter(can_be_read).collect();
    for some in runs(&wanted, |before, after| *after == before + 1) {
        let bytes = eye.memory(Stretch::new(first + some[0] * PAGE, some.len() * PAGE));
        for (nth, page) in some.iter().zip(bytes.chunks_exact(PAGE)) {
            let Ok(page) = <&[u8; PAGE]>::try_from(page) else { continue };
            glances[*nth].words = Some(words(&plan.program.words, page, None));
        }
    }
}

/// What a file says of frames, read from one to the next as far as they follow each other.
fn of_frames(pfns: &BTreeSet<u64>, read: impl Fn(u64, usize) -> Vec<u64>) -> BTreeMap<u64, u64> {
    let pfns: Vec<u64> = pfns.iter().copied().collect();
    let runs = runs(&pfns, |before, after| *after == before + 1);
    runs.flat_map(|run| (run[0]..).zip(read(run[0], run.len()))).collect()
}

/// Cuts a list where one does not follow the other.
fn runs<T>(all: &[T], follows: impl Fn(&T, &T) -> bool) -> impl Iterator<Item = &[T]> {
    all.chunk_by(follows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_in_one_go_as_far_as_they_follow_each_other_and_what_is_cut_short_is_left_out() {
        let asked = std::cell::RefCell::new(Vec::new());
        let read = |from: u64, len: usize| {
            asked.borrow_mut().push((from, len));
            // The file ends behind frame 20.
            (from..from + len as u64).take_while(|pfn| *pfn <= 20).map(|pfn| 100 + pfn).collect()
        };
        let found = of_frames(&[3, 4, 5, 9, 20, 21].into(), read);
        assert_eq!(asked.into_inner(), [(3, 3), (9, 1), (20, 2)]);
        assert_eq!(found, [3, 4, 5, 9, 20].map(|pfn| (pfn, 100 + pfn)).into());
    }
}
