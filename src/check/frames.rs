//! Names for page frames that last as long as the page in them.
//!
//! The engine takes the lowest free frame, a kernel any; so what is compared and shown is not the frame's number but
//! whether it is the same page as before: a letter, in order of first appearance in a page table.

use crate::state::{Pfn, State};
use crate::trace::{Event, What};
use crate::types::{Number, Size};

/// Which page lives in which frame, and its letter.
#[derive(Default)]
pub(super) struct Frames {
    /// For each frame the page that moved in last, plus one; 0 where none ever did.
    lodgers: Vec<u32>,
    /// For each page its letter, once it has one.
    letters: Vec<Option<u32>>,
    given: u32,
}

/// The letter of a number: `A`, `B`, … `Z`, `AA`.
///
/// # Example
/// ```
/// assert_eq!(cowl::check::letter(0), "A");
/// assert_eq!(cowl::check::letter(27), "AB");
/// ```
pub fn letter(number: u32) -> String {
    let last = char::from(b'A' + (number % 26) as u8);
    match number / 26 {
        0 => last.to_string(),
        more => format!("{}{last}", letter(more - 1)),
    }
}

/// The number of a letter; the inverse of [`letter`].
///
/// # Example
/// ```
/// assert_eq!(cowl::check::letter_number("AB"), 27);
/// ```
pub fn letter_number(text: &str) -> u32 {
    text.bytes().fold(0, |number, byte| number * 26 + u32::from(byte.saturating_sub(b'A')) + 1).saturating_sub(1)
}

impl Frames {
    /// Pages moved into frames that were free.
    fn move_in(&mut self, first: u32, pages: u32) {
        let (first, end) = (first as usize, (first + pages) as usize);
        if self.lodgers.len() < end {
            self.lodgers.resize(end, 0);
        }
        for lodger in &mut self.lodgers[first..end] {
            self.letters.push(None);
            *lodger = self.letters.len() as u32;
        }
    }

    /// The page in a frame.
    pub fn page<N: Number>(&self, pfn: Pfn<N>) -> Option<u32> {
        self.lodgers.get(pfn.idx()).and_then(|lodger| lodger.checked_sub(1))
    }

    /// Replaces an event's frames by the pages in them. Events are to come in their order, since pages move in by them.
    pub fn rename(&mut self, event: &mut Event) {
        if let What::Allocated { frame, pages } = event.what {
            self.move_in(frame, pages);
        }
        let page = |frame: &mut u32| *frame = self.lodgers[*frame as usize].saturating_sub(1);
        match &mut event.what {
            What::Fault { .. } | What::Allocated { .. } => {}
            What::Decision(decision) => decision.frame.iter_mut().for_each(page),
            What::Copied { from, to, .. } => [from, to].into_iter().for_each(page),
            What::Stored { frame } => page(frame),
        }
    }

    /// Gives letters to what page tables map now and has none, in order of process and page.
    pub fn give_letters<B: Size>(&mut self, st: &State<B>) {
        for (_, _, slot) in st.slots() {
            if let Some(page) = slot.pte.target.pfn().and_then(|pfn| self.page(pfn)) {
                self.number(page);
            }
        }
    }

    /// The number of a page's letter, given now where it has none yet.
    pub fn number(&mut self, page: u32) -> u32 {
        *self.letters[page as usize].get_or_insert_with(|| {
            self.given += 1;
            self.given - 1
        })
    }

    /// The letter of the page in a frame, where it has one.
    pub fn letter<N: Number>(&self, pfn: Pfn<N>) -> Option<String> {
        self.letters[self.page(pfn)? as usize].map(letter)
    }
}
