//! Where a generator's choices come from: a seed, or the bytes of a fuzzer.

use arbitrary::Unstructured;

/// Makes choices.
pub trait Dice {
    /// A number below `end`; 0 where `end` is 0 or the choices have run out.
    fn below(&mut self, end: u32) -> u32;

    /// Whether something happens whose odds are `percent` in a hundred.
    fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

impl dyn Dice + '_ {
    /// One of these; `None` where there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len() as u32) as usize).copied()
    }
}

/// Numbers from a seed, the same on every machine and in every release.
///
/// Source: the SplitMix64 generator.
///
/// # Example
/// ```
/// use cowl::generate::{Dice, Seeded};
/// assert_eq!(Seeded::new(7).below(100), Seeded::new(7).below(100));
/// assert!((0..50).any(|seed| Seeded::new(seed).below(100) != Seeded::new(7).below(100)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers of one of many programs of a campaign: any of them can be made without those before it.
    pub fn of(seed: u64, nth: u64) -> Self {
        let mut own = Self(seed ^ nth.wrapping_mul(0xd134_2543_de82_ef95));
        Self(own.bits())
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Dice for Seeded {
    fn below(&mut self, end: u32) -> u32 {
        // The high half of a product: no division, and a bias far below what anybody could measure here.
        (((self.bits() >> 32) * u64::from(end)) >> 32) as u32
    }
}

/// The bytes of a fuzzer; when they have run out, every choice is the first.
impl Dice for Unstructured<'_> {
    fn below(&mut self, end: u32) -> u32 {
        self.int_in_range(0..=end.saturating_sub(1)).unwrap_or(0)
    }
}
