//! Which parts of a state were lent out to be changed: what of it a search must look at again after a step.

use std::hash::{Hash, Hasher};

use super::State;
use crate::types::Size;

/// Parts lent out since [`State::forget_touched`]: a bit each for the first of slots, frames, tasks and address spaces.
///
/// It is no part of what a state is: all are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched([u8; 5]);

/// A part of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Slot(usize),
    /// A page and what stands of its folio at its frame.
    Frame(usize),
    Task(usize),
    Mm(usize),
    Held,
    /// Files, swap, large folios, the TLB, the zero page: seldom touched.
    Rest,
}

const SLOTS: usize = 12;
const FRAMES: usize = 16;
const TASKS: usize = 4;
const MMS: usize = 3;
/// Something that has no bit of its own.
const BEYOND: u64 = 1 << (SLOTS + FRAMES + TASKS + MMS + 2);

impl Part {
    fn bit(self) -> u64 {
        match self {
            Part::Slot(at) if at < SLOTS => 1 << at,
            Part::Frame(at) if at < FRAMES => 1 << (SLOTS + at),
            Part::Task(at) if at < TASKS => 1 << (SLOTS + FRAMES + at),
            Part::Mm(at) if at < MMS => 1 << (SLOTS + FRAMES + TASKS + at),
            Part::Held => 1 << (SLOTS + FRAMES + TASKS + MMS),
            Part::Rest => 1 << (SLOTS + FRAMES + TASKS + MMS + 1),
            Part::Slot(_) | Part::Frame(_) | Part::Task(_) | Part::Mm(_) => BEYOND,
        }
    }

    fn of(bit: usize) -> Self {
        match bit {
            _ if bit < SLOTS => Part::Slot(bit),
            _ if bit < SLOTS + FRAMES => Part::Frame(bit - SLOTS),
            _ if bit < SLOTS + FRAMES + TASKS => Part::Task(bit - SLOTS - FRAMES),
            _ if bit < SLOTS + FRAMES + TASKS + MMS => Part::Mm(bit - SLOTS - FRAMES - TASKS),
            _ if bit == SLOTS + FRAMES + TASKS + MMS => Part::Held,
            _ => Part::Rest,
        }
    }
}

impl Touched {
    #[inline]
    fn bits(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
    }

    #[inline]
    pub(super) fn add(&mut self, part: Part) {
        let [a, b, c, d, e, ..] = (self.bits() | part.bit()).to_le_bytes();
        self.0 = [a, b, c, d, e];
    }

    #[inline]
    pub(super) fn add_all(&mut self) {
        self.add(Part::Frame(FRAMES));
    }

    /// The parts; `None` where some have no bit of their own.
    #[inline]
    pub(super) fn parts(self) -> Option<impl Iterator<Item = Part>> {
        let mut bits = self.bits();
        let next = move || {
            let bit = bits.trailing_zeros() as usize;
            let some = bits != 0;
            bits &= bits.wrapping_sub(1);
            some.then(|| Part::of(bit))
        };
        (self.bits() & BEYOND == 0).then(|| std::iter::from_fn(next))
    }
}

impl PartialEq for Touched {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Touched {}

impl Hash for Touched {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<B: Size> State<B> {
    /// From here on it is remembered which parts are lent out to be changed.
    pub fn forget_touched(&mut self) {
        self.touched = Touched::default();
    }

    /// Nothing but tasks and address spaces as a whole (their locks and counts) was lent out.
    pub fn touched_tasks_only(&self) -> bool {
        self.touched.parts().is_some_and(|mut parts| parts.all(|part| matches!(part, Part::Task(_) | Part::Mm(_))))
    }

    /// Makes this again what `before` is, of which it was a copy when [`State::forget_touched`] was last called.
    pub fn restore(&mut self, before: &Self) {
        let Some(parts) = self.touched.parts() else {
            self.clone_from(before);
            return self.forget_touched();
        };
        for part in parts {
            match part {
                Part::Slot(at) => self.slots.as_mut()[at] = before.slots.as_ref()[at],
                Part::Frame(at) => {
                    self.pages.as_mut()[at] = before.pages.as_ref()[at];
                    self.folios.as_mut()[at] = before.folios.as_ref()[at];
                }
                Part::Task(at) => self.tasks.as_mut()[at] = before.tasks.as_ref()[at],
                Part::Mm(at) => self.mms.as_mut()[at] = before.mms.as_ref()[at],
                Part::Held => self.held.as_mut().copy_from_slice(before.held.as_ref()),
                Part::Rest => {
                    self.cache.as_mut().copy_from_slice(before.cache.as_ref());
                    self.larges.as_mut().copy_from_slice(before.larges.as_ref());
                    self.swap.as_mut().copy_from_slice(before.swap.as_ref());
                    self.tlbs.as_mut().copy_from_slice(before.tlbs.as_ref());
                    (self.zero_refcount, self.zero_words) = (before.zero_refcount, before.zero_words);
                }
            }
        }
        self.forget_touched();
    }

    /// The fingerprint, where `before` had `fingerprint` when [`State::forget_touched`] was last called on a copy of it.
    pub fn fingerprint_after(&self, before: &Self, fingerprint: u64) -> u64 {
        let Some(parts) = self.touched.parts() else { return self.fingerprint() };
        parts.fold(fingerprint, |sum, part| sum.wrapping_sub(before.print_of(part)).wrapping_add(self.print_of(part)))
    }
}
