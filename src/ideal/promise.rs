use crate::observe::{Seen, WORDS_MAX, Words};
use crate::types::ValueSet;

/// What one page's part of an operation may show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::large_enum_variant)] // Sets are rare, and nothing is allocated while operations run.
pub enum Promise {
    /// It shows nothing, or nothing was promised of it.
    Nothing,
    /// These words.
    Exactly(Words),
    /// Each word one value of its set.
    OneOf(Allowed),
    /// A bit: 1 where it `must` be, else either.
    Bit { must: bool },
}

/// A set of values for each word that an operation reads, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Allowed {
    len: u8,
    words: [ValueSet; WORDS_MAX],
}

impl Allowed {
    /// The sets.
    pub fn as_slice(&self) -> &[ValueSet] {
        &self.words[..usize::from(self.len)]
    }
}

impl Promise {
    /// Whether what was seen keeps it. Nothing seen breaks no promise.
    pub fn allows(&self, seen: Seen) -> bool {
        match (*self, seen) {
            (Promise::Nothing, _) | (_, Seen::Nothing) => true,
            (Promise::Exactly(promised), Seen::Words(words)) => promised == words,
            (Promise::OneOf(allowed), Seen::Words(words)) => {
                allowed.len == words.as_slice().len() as u8
                    && allowed.as_slice().iter().zip(words.as_slice()).all(|(set, value)| set.contains(*value))
            }
            (Promise::Bit { must }, Seen::Bit(bit)) => bit || !must,
            (Promise::Bit { .. }, Seen::Words(_)) | (Promise::Exactly(_) | Promise::OneOf(_), Seen::Bit(_)) => false,
        }
    }

    /// The sets of values it allows, where it is about words.
    pub fn allowed(&self) -> Option<Allowed> {
        match self.spread() {
            Promise::OneOf(allowed) => Some(allowed),
            Promise::Nothing | Promise::Exactly(_) | Promise::Bit { .. } => None,
        }
    }

    /// The same, with a set for each word even where each has one value.
    pub(super) fn spread(self) -> Promise {
        match self {
            Promise::Exactly(words) => {
                let mut sets = [ValueSet::default(); WORDS_MAX];
                words.as_slice().iter().zip(&mut sets).for_each(|(value, set)| set.insert(*value));
                Promise::OneOf(Allowed { len: words.as_slice().len() as u8, words: sets })
            }
            Promise::Nothing | Promise::OneOf(_) | Promise::Bit { .. } => self,
        }
    }

    /// Allows more: the n-th word also what `more(n)` holds.
    pub(super) fn or(self, more: impl Fn(usize) -> ValueSet) -> Promise {
        match self.spread() {
            Promise::OneOf(mut allowed) => {
                let words = &mut allowed.words[..usize::from(allowed.len)];
                words.iter_mut().enumerate().for_each(|(nth, set)| *set = set.union(more(nth)));
                Promise::OneOf(allowed)
            }
            same @ (Promise::Nothing | Promise::Exactly(_) | Promise::Bit { .. }) => same,
        }
    }
}
