use std::fmt;

use super::report::Reading;
use crate::ideal::Promise;
use crate::ir::Program;
use crate::observe::{Seen, Words};
use crate::types::ValueId;

/// The most readings that are listed of what is promised; beyond that, the list is cut.
const READINGS_MAX: usize = 16;

impl Reading {
    /// All readings that a promise allows, lowest first; none where it is about nothing.
    pub fn promised(program: &Program, promise: &Promise) -> Vec<Reading> {
        let allowed = match promise {
            Promise::Nothing => return Vec::new(),
            Promise::Bit { must: true } => return vec![Reading::Bit(true)],
            Promise::Bit { must: false } => return vec![Reading::Bit(false), Reading::Bit(true)],
            Promise::Exactly(words) => return Reading::of(program, Seen::Words(*words)).into_iter().collect(),
            Promise::OneOf(allowed) => allowed,
        };
        let sets = allowed.as_slice();
        let mut pages: Vec<Vec<ValueId>> = match sets {
            // A page is mostly stored to as a whole: the words need not be told apart.
            [first, rest @ ..] if rest.iter().all(|set| set == first) => {
                first.iter().map(|value| vec![value; sets.len()]).collect()
            }
            _ => sets.iter().fold(vec![Vec::new()], |pages, set| {
                let longer =
                    |page: &Vec<ValueId>| set.iter().map(move |value| [&page[..], &[value]].concat()).collect::<Vec<_>>();
                pages.iter().flat_map(longer).take(READINGS_MAX).collect()
            }),
        };
        pages.truncate(READINGS_MAX);
        let seen = pages.iter().map(|page| Seen::Words(Words::from_slice(page)));
        let mut readings = seen.filter_map(|seen| Reading::of(program, seen)).collect::<Vec<_>>();
        readings.sort();
        readings
    }

    /// What was seen, in words for people: one value where all words agree; `None` where nothing was seen.
    ///
    /// # Panics
    /// With `cowl bug:` where `seen` holds words that `program` does not tell apart.
    pub fn of(program: &Program, seen: Seen) -> Option<Reading> {
        let words = match seen {
            Seen::Nothing => return None,
            Seen::Bit(bit) => return Some(Reading::Bit(bit)),
            Seen::Words(words) => words,
        };
        let values = words.as_slice().iter().map(|id| program.values[id.idx()]).collect::<Vec<_>>();
        let (rest, named) = values.split_first().expect("cowl bug: a reading of no words");
        if named.iter().all(|value| value == rest) {
            return Some(Reading::Value(*rest));
        }
        assert_eq!(values.len(), program.words.len(), "cowl bug: a page is read by all its words or by one");
        let words = program.words[1..].iter().copied().zip(named.iter().copied());
        let mut words: Vec<_> = words.filter(|(_, value)| value != rest).collect();
        words.sort();
        Some(Reading::Mixed { rest: *rest, words })
    }

    /// What one of several may be: `1`, `1 or 2`.
    pub fn any_of(readings: &[Reading]) -> String {
        readings.iter().map(Reading::to_string).collect::<Vec<_>>().join(" or ")
    }
}

/// As a claim would write it; of a page whose words differ, `"old", +8 7`.
impl fmt::Display for Reading {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reading::Value(value) => value.fmt(out),
            Reading::Bit(bit) => u8::from(*bit).fmt(out),
            Reading::Mixed { rest, words } => {
                rest.fmt(out)?;
                words.iter().try_for_each(|(offset, value)| write!(out, ", +{offset} {value}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Words;
    use crate::types::{Value, ValueId};

    #[test]
    fn a_page_whose_words_agree_reads_as_one_value() {
        let program =
            Program { values: vec![Value::number(0), Value::number(7)], words: vec![0, 512, 8], ..Program::default() };
        let of = |words: &[u8]| {
            let words = words.iter().map(|id| ValueId(*id)).collect::<Vec<_>>();
            Reading::of(&program, Seen::Words(Words::from_slice(&words)))
        };
        assert_eq!(of(&[1, 1, 1]), Some(Reading::Value(Value::number(7))));
        assert_eq!(of(&[1]), Some(Reading::Value(Value::number(7))));
        let mixed = Reading::Mixed { rest: Value::number(0), words: vec![(8, Value::number(7))] };
        assert_eq!(of(&[0, 0, 1]), Some(mixed), "only what differs, lowest offset first");
        assert_eq!(Reading::of(&program, Seen::Nothing), None);
        assert_eq!(Reading::of(&program, Seen::Bit(true)), Some(Reading::Bit(true)));
    }
}
