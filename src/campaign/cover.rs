//! What a campaign has reached: rows of rules, and operations in what state they left a page. Feedback, not proof.

use super::exec::Cover;
use crate::ir::Op;
use crate::run::End;
use crate::state::{PteFlags, State, Target, VmaFlags};
use crate::trace::{Event, Row, Sink};
use crate::types::{ProcId, Small, Vpn};

/// Bits of the map that tells what is new. Two features that share one count as one.
const BITS: usize = 1 << 16;

/// Rows whose numbers are kept at hand; there are a few hundred.
const ROWS_AT_HAND: usize = 1 << 10;

/// What was reached so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hits {
    map: Vec<u64>,
    rows: Vec<Row>,
    /// Rows and their numbers, each at a place that follows from where its words lie: the words of a row are hashed once.
    at_hand: Vec<Option<(Row, u32)>>,
    /// Bits set so far.
    features: u32,
    /// Bits set by the present program.
    fresh: u32,
    /// The row reached before, so that an order of decisions counts as well.
    last_row: u32,
}

impl Default for Hits {
    fn default() -> Self {
        Self {
            map: vec![0; BITS / 64],
            rows: Vec::new(),
            at_hand: vec![None; ROWS_AT_HAND],
            features: 0,
            fresh: 0,
            last_row: 0,
        }
    }
}

impl Hits {
    /// How many features the programs so far have reached.
    pub fn features(&self) -> u32 {
        self.features
    }

    /// The rows of rules that were reached, in the order they came.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many features the program since the last call was the first to reach.
    pub fn take_fresh(&mut self) -> u32 {
        self.last_row = 0;
        std::mem::take(&mut self.fresh)
    }

    /// Takes over what others have reached.
    pub fn merge(&mut self, other: &Hits) {
        self.map.iter_mut().zip(&other.map).for_each(|(mine, theirs)| *mine |= theirs);
        self.features = self.map.iter().map(|word| word.count_ones()).sum();
        for row in &other.rows {
            if !self.rows.contains(row) {
                self.rows.push(*row);
            }
        }
    }

    /// The number of a row, the same on every machine. A row that was not met before is noted.
    fn number(&mut self, row: Row) -> u32 {
        let words = |row: &Row| [row.rule, row.value, row.verdict, row.reason];
        let lies = words(&row).iter().fold(0_usize, |sum, word| sum.wrapping_mul(31).wrapping_add(word.as_ptr() as usize));
        let at = (lies ^ lies >> 10) % ROWS_AT_HAND;
        if let Some((known, number)) = &self.at_hand[at]
            && words(known).into_iter().zip(words(&row)).all(|(one, other)| std::ptr::eq(one, other))
        {
            return *number;
        }
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        let number = words(&row).iter().fold(0x811c_9dc5, |hash, word| mixed(hash, word));
        self.at_hand[at] = Some((row, number));
        number
    }

    /// Sets the bit of a feature; whether it was new.
    fn hit(&mut self, feature: u32) -> bool {
        let at = (feature ^ feature >> 16) as usize % BITS;
        let (word, bit) = (at / 64, 1 << (at % 64));
        let new = self.map[word] & bit == 0;
        if new {
            self.map[word] |= bit;
            self.features += 1;
            self.fresh += 1;
        }
        new
    }
}

impl Sink for Hits {
    fn event(&mut self, _: impl FnOnce() -> Event) {}

    fn row(&mut self, row: Row) {
        let hash = self.number(row);
        self.hit(hash);
        self.hit(spread(self.last_row, hash));
        self.last_row = hash;
    }
}

impl Cover for Hits {
    fn transition(&mut self, op: Op, end: End, page: u32) {
        let end = match end {
            End::Finished => 0,
            End::Failed(failure) => 1 + failure as u32,
            End::Asleep(_) => 254,
            End::Stuck | End::Exhausted(_) => 255,
        };
        self.hit(spread((op.verb() as u32) << 8 | end, page));
    }
}

/// What of a pte counts: that it was looked at does not, nor that a store was noted, since both are there of almost every page.
const PTE_BITS: PteFlags = PteFlags::YOUNG.union(PteFlags::SOFT_DIRTY).complement();

/// What of a vma counts: what a store or a pin asks about.
const VMA_BITS: VmaFlags = VmaFlags::WRITE.union(VmaFlags::SHARED).union(VmaFlags::UFFD_WP).union(VmaFlags::HUGETLB);

/// What a page looks like, in bits: its pte, its folio, and who else has it.
///
/// Few bits: where every program reaches something new, newness says nothing.
pub fn look(st: &State<Small>, proc: ProcId, vpn: Vpn) -> u32 {
    let slot = st.slot(proc, vpn);
    let (pte, vma) = (slot.pte.flags & PTE_BITS, slot.vma.flags & VMA_BITS);
    let flags = u32::from(pte.bits()) | u32::from(vma.bits()) << 8;
    let kind = match slot.pte.target {
        Target::None => 0,
        Target::Zero => 1,
        Target::Swap(_) => 4,
        Target::Migration(_) => 5,
        Target::Page(pfn) => {
            let (folio, page) = (st.folio(pfn), st.page(pfn));
            let maps = u32::from(page.mapcount.min(2));
            let others = u32::from(page.mapcount < folio.refcount);
            let bits = maps | others << 2 | u32::from(folio.maybe_pinned()) << 3 | u32::from(page.exclusive) << 4;
            2 | bits << 3 | u32::from(folio.is_large()) << 7 | u32::from(folio.flags.bits()) << 8
        }
        _ => 3,
    };
    spread(flags, kind)
}

/// One number of two, far from those of other pairs.
fn spread(a: u32, b: u32) -> u32 {
    (a.wrapping_mul(0x9e37_79b1) ^ b).wrapping_mul(0x85eb_ca6b).rotate_left(13)
}

/// Source: the FNV-1a hash, which is the same on every machine.
fn mixed(hash: u32, word: &str) -> u32 {
    word.bytes().chain([0]).fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_noted_once_however_full_the_map_of_features_is() {
        let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let rows: Vec<Row> = words
            .iter()
            .flat_map(|rule| words.map(|reason| Row { rule, knob: "k", value: "v", verdict: "w", reason }))
            .collect();
        let mut hits = Hits { map: vec![u64::MAX; BITS / 64], ..Hits::default() };
        (0..3).for_each(|_| rows.iter().for_each(|row| hits.row(*row)));
        assert_eq!(hits.rows(), rows);
    }
}
