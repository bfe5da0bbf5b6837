use super::report::Reading;
use crate::ir::Program;
use crate::observe::Seen;

impl Reading {
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
        Some(Reading::Mixed { rest: *rest, words: program.words[1..].iter().copied().zip(named.iter().copied()).collect() })
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
            Program { values: vec![Value::number(0), Value::number(7)], words: vec![0, 8, 512], ..Program::default() };
        let of = |words: &[u8]| {
            let words = words.iter().map(|id| ValueId(*id)).collect::<Vec<_>>();
            Reading::of(&program, Seen::Words(Words::from_slice(&words)))
        };
        assert_eq!(of(&[1, 1, 1]), Some(Reading::Value(Value::number(7))));
        assert_eq!(of(&[1]), Some(Reading::Value(Value::number(7))));
        let mixed = Reading::Mixed { rest: Value::number(0), words: vec![(8, Value::number(0)), (512, Value::number(7))] };
        assert_eq!(of(&[0, 0, 1]), Some(mixed));
        assert_eq!(Reading::of(&program, Seen::Nothing), None);
        assert_eq!(Reading::of(&program, Seen::Bit(true)), Some(Reading::Bit(true)));
    }
}
