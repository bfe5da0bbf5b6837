use std::fmt::Debug;
use std::hash::Hash;

use super::{ValueId, ValueSet};

/// An integer that names a frame or counts its users.
pub trait Number: Copy + Ord + Hash + Debug + Default + Send + Sync + 'static {
    /// The largest count or id it can hold.
    const MAX: u32;
    /// The integer as a plain number.
    fn get(self) -> u32;
    /// A plain number as this integer.
    ///
    /// # Panics
    /// With `cowl bug:` past [`Number::MAX`]; the bounds of [`Size`] keep every count below it.
    fn new(number: u32) -> Self;

    /// One more or one fewer, as a count changes.
    ///
    /// # Panics
    /// With `cowl bug:` below zero or past [`Number::MAX`].
    fn plus(self, by: i32) -> Self {
        Self::new(self.get().checked_add_signed(by).expect("cowl bug: a count fell below zero"))
    }
}

impl Number for u8 {
    const MAX: u32 = u8::MAX as u32;
    fn get(self) -> u32 {
        self.into()
    }
    fn new(number: u32) -> Self {
        number.try_into().expect("cowl bug: a count or id past 255 in the small state")
    }
}

impl Number for u16 {
    const MAX: u32 = u16::MAX as u32;
    fn get(self) -> u32 {
        self.into()
    }
    fn new(number: u32) -> Self {
        number.try_into().expect("cowl bug: a count or id past 65535 in the large state")
    }
}

/// A row of entries: an array in the small state, a vector in the large one.
pub trait Table<T>: Send + Sync + Clone + PartialEq + Eq + Hash + Debug + AsRef<[T]> + AsMut<[T]> {
    /// `len` entries with their default value; an array has its full length always.
    fn filled(len: usize) -> Self;
    /// Bytes that it takes beside those of itself.
    fn heap(&self) -> usize;
}

impl<T: Copy + Default + Eq + Hash + Debug + Send + Sync, const N: usize> Table<T> for [T; N] {
    fn filled(len: usize) -> Self {
        assert!(len <= N, "cowl bug: {len} entries asked of a table of {N}; lowering must check `Size::fits`");
        [T::default(); N]
    }

    fn heap(&self) -> usize {
        0
    }
}

impl<T: Copy + Default + Eq + Hash + Debug + Send + Sync> Table<T> for Vec<T> {
    fn filled(len: usize) -> Self {
        vec![T::default(); len]
    }

    fn heap(&self) -> usize {
        self.len() * size_of::<T>()
    }
}

/// Sets of values, one for each word of a page that a program tells apart.
pub trait Sets: Copy + Eq + Hash + Debug + Default + Send + Sync + 'static {
    /// Puts a value into the set of the word at this place.
    ///
    /// # Panics
    /// With `cowl bug:` where the size has no room for the value; lowering checks `Size::VALUES_MAX` first.
    fn insert(&mut self, word: usize, value: ValueId);
    /// The set of the word at this place.
    fn of(&self, word: usize) -> ValueSet;
}

/// A bit for each of 32 values.
impl<const N: usize> Sets for [u32; N]
where
    [u32; N]: Default,
{
    fn insert(&mut self, word: usize, value: ValueId) {
        self[word] |= 1_u32.checked_shl(value.0.into()).expect("cowl bug: a value past 31 in the small state");
    }
    fn of(&self, word: usize) -> ValueSet {
        ValueSet::low(self[word].into())
    }
}

impl Sets for [ValueSet; 8] {
    fn insert(&mut self, word: usize, value: ValueId) {
        self[word].insert(value);
    }
    fn of(&self, word: usize) -> ValueSet {
        self[word]
    }
}

/// log2 of the base pages in a PMD-mapped THP, as x86 has it with base pages of 4 KiB.
pub const PMD_ORDER: u8 = 9;

/// How large a world may be. The engine and the ideal world are one code over two sizes.
pub trait Size: Copy + Eq + Hash + Debug + Default + Send + Sync + 'static {
    /// Names frames and counts mappings and references.
    type Number: Number;
    /// What one page holds, a value for each word the program tells apart.
    type Words: Table<ValueId> + Copy + Default;
    /// What one page may hold, or may have held: a set of values for each word the program tells apart.
    type Sets: Sets;
    /// One entry a process.
    type Procs<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry for each page of each address space.
    type Slots<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry a page frame.
    type Frames<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry for each page that a file holds.
    type Cache<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry a named reference.
    type Refs<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry for each page that a named reference holds.
    type Held<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry an actor.
    type Tasks<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry for each place where a large folio may begin: every fourth frame.
    type Larges<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;
    /// One entry a slot of the swap device.
    type Swap<T: Copy + Default + Eq + Hash + Debug + Send + Sync>: Table<T>;

    /// Processes.
    const PROCS_MAX: usize;
    /// Pages of one address space, all mappings together.
    const PAGES_MAX: usize;
    /// Page frames.
    const FRAMES_MAX: usize;
    /// Pages of all files together.
    const CACHE_MAX: usize;
    /// Named references.
    const REFS_MAX: usize;
    /// Pages held by all references together.
    const HELD_MAX: usize;
    /// Actors.
    const TASKS_MAX: usize;
    /// Words of a page that a program may tell apart, the nameless rest among them.
    const WORDS_MAX: usize;
    /// Different values in a program, 0 among them.
    const VALUES_MAX: usize;
    /// Slots of the swap device.
    const SWAP_MAX: usize;
}

/// Search and fuzzing: plain arrays, `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Small;

impl Size for Small {
    type Number = u8;
    type Words = [ValueId; 4];
    type Sets = [u32; 4];
    type Procs<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 3];
    type Slots<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 12];
    type Frames<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 16];
    type Cache<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 4];
    type Refs<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 4];
    type Held<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 8];
    type Tasks<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 4];
    type Larges<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 4];
    type Swap<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = [T; 8];
    const PROCS_MAX: usize = 3;
    const PAGES_MAX: usize = 4;
    const FRAMES_MAX: usize = 16;
    const CACHE_MAX: usize = 4;
    const REFS_MAX: usize = 4;
    const HELD_MAX: usize = 8;
    const TASKS_MAX: usize = 4;
    const WORDS_MAX: usize = 4;
    const VALUES_MAX: usize = 32;
    const SWAP_MAX: usize = 8;
}

/// `cowl run`: vectors as long as the program needs, up to these bounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Large;

impl Size for Large {
    type Number = u16;
    type Words = [ValueId; 8];
    type Sets = [ValueSet; 8];
    type Procs<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Slots<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Frames<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Cache<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Refs<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Held<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Tasks<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Larges<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    type Swap<T: Copy + Default + Eq + Hash + Debug + Send + Sync> = Vec<T>;
    const PROCS_MAX: usize = 16;
    const PAGES_MAX: usize = 4096;
    const FRAMES_MAX: usize = 65535;
    const CACHE_MAX: usize = 4096;
    const REFS_MAX: usize = 64;
    const HELD_MAX: usize = 4096;
    const TASKS_MAX: usize = 64;
    const WORDS_MAX: usize = 8;
    const VALUES_MAX: usize = 256;
    const SWAP_MAX: usize = 4096;
}
