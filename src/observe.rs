//! What user space can see: the coin in which the engine, the ideal world and a real kernel answer alike.

use crate::ir::{Area, Op, RefArea};
use crate::types::{Large, Size, ValueId, WordId};

/// The most words of a page that a program may tell apart, whatever the size of the world.
pub const WORDS_MAX: usize = Large::WORDS_MAX;

/// What one page's part of an operation showed user space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Seen {
    /// Nothing: it does not read, or it ended without having read.
    #[default]
    Nothing,
    /// The words that it reads: all that the program tells apart, or the one it names.
    Words(Words),
    /// A bit: `soft_dirty`.
    Bit(bool),
}

/// The words of a page, or one of them: at most [`WORDS_MAX`] values, kept in place.
///
/// Of a whole page there is one value for each [`WordId`] of the program, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Words {
    len: u8,
    values: [ValueId; WORDS_MAX],
}

impl Words {
    /// These values in this order.
    ///
    /// # Panics
    /// With `cowl bug:` where there are more than [`WORDS_MAX`]; lowering refuses such a program first.
    pub fn from_slice(values: &[ValueId]) -> Self {
        assert!(values.len() <= WORDS_MAX, "cowl bug: {} words of a page, at most {WORDS_MAX} can be told apart", values.len());
        let mut words = Self { len: values.len() as u8, ..Self::default() };
        words.values[..values.len()].copy_from_slice(values);
        words
    }

    /// What an operation on `word` (the whole page where `None`) reads of a page that holds `page`.
    pub fn read(page: &[ValueId], word: Option<WordId>) -> Self {
        match word {
            None => Self::from_slice(page),
            Some(word) => Self::from_slice(&page[word.idx()..=word.idx()]),
        }
    }

    /// The values.
    pub fn as_slice(&self) -> &[ValueId] {
        &self.values[..usize::from(self.len)]
    }
}

/// The word of each page that an operation is about; all words where `None`.
pub fn word_of(op: Op) -> Option<WordId> {
    match (op, op.area()) {
        (Op::Peek { held: RefArea { word, .. } } | Op::Dma { held: RefArea { word, .. }, .. }, _) => word,
        (_, Some(Area { word, .. })) => word,
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_order_and_equal_what_they_were_made_from() {
        let page = [ValueId(3), ValueId(1), ValueId(2)];
        assert_eq!(Words::from_slice(&page).as_slice(), page);
        assert_eq!(Words::read(&page, None), Words::from_slice(&page));
        assert_eq!(Words::read(&page, Some(WordId(2))).as_slice(), [ValueId(2)]);
    }

    #[test]
    fn an_answer_stays_small_enough_to_be_passed_by_value() {
        assert!(size_of::<Seen>() <= 16);
    }
}
