use std::fmt;

use super::ValueId;

/// What an 8-byte word holds.
///
/// A number and a string of the same bytes are the same value; which of the two was written is kept for messages only and
/// does not count in comparisons.
#[derive(Clone, Copy, Debug, Default)]
pub struct Value {
    /// The word, first byte lowest.
    pub bits: u64,
    /// Written as a string.
    pub text: bool,
}

impl Value {
    /// The number `bits`.
    pub const fn number(bits: u64) -> Self {
        Self { bits, text: false }
    }

    /// The bytes of a string, first byte lowest, filled up with zeros; `None` where there are more than 8.
    ///
    /// # Example
    /// ```
    /// use cowl::types::Value;
    /// assert_eq!(Value::text(b"A"), Some(Value::number(65)));
    /// assert_eq!(Value::text(b"ninebytes"), None);
    /// ```
    pub fn text(bytes: &[u8]) -> Option<Self> {
        let mut word = [0; 8];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bits: u64::from_le_bytes(word), text: true })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bits.cmp(&other.bits)
    }
}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

/// As it is written in a scenario: `7`, or `"old"` with `\"`, `\\` and `\xNN` where needed.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.text {
            return write!(f, "{}", self.bits);
        }
        let bytes = self.bits.to_le_bytes();
        let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        f.write_str("\"")?;
        for byte in &bytes[..len] {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", *byte as char)?,
                0x20..=0x7e => write!(f, "{}", *byte as char)?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A set of values of one program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ValueSet([u64; 4]);

impl ValueSet {
    /// The set of this one value.
    pub fn one(value: ValueId) -> Self {
        let mut set = Self::default();
        set.insert(value);
        set
    }

    /// The values 0 to 63 whose bit is set.
    pub fn low(bits: u64) -> Self {
        Self([bits, 0, 0, 0])
    }

    /// All that is in either.
    pub fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part] | other.0[part]))
    }

    /// How many values are in it.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|part| part.count_ones()).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// Puts a value in.
    pub fn insert(&mut self, value: ValueId) {
        self.0[value.idx() / 64] |= 1 << (value.idx() % 64);
    }

    /// Whether the value is in it.
    pub fn contains(&self, value: ValueId) -> bool {
        self.0[value.idx() / 64] & (1 << (value.idx() % 64)) != 0
    }

    /// Its members, lowest id first.
    pub fn iter(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.0.iter().zip(0_u8..).flat_map(|(part, nth)| {
            let mut left = *part;
            std::iter::from_fn(move || {
                let lowest = (left != 0).then(|| left.trailing_zeros() as u8)?;
                left &= left - 1;
                Some(ValueId(64 * nth + lowest))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_what_was_put_in_lowest_first() {
        let ids = [255, 0, 64, 63, 127, 128, 1].map(ValueId);
        let mut set = ValueSet::default();
        ids.iter().for_each(|id| set.insert(*id));
        let mut sorted = ids;
        sorted.sort();
        assert_eq!(set.iter().collect::<Vec<_>>(), sorted);
        assert_eq!((set.len(), set.is_empty(), ValueSet::default().is_empty()), (7, false, true));
        assert_eq!(ValueSet::low(0b101).union(ValueSet::one(ValueId(64))).len(), 3);
    }
}
