use std::fmt::Debug;
use std::hash::Hash;

use crate::ir::Program;
use crate::types::{Number, ProcId, Sets, Size, ValueId, ValueSet};

/// Something a page carries with it wherever it goes, and its copy after a fork; nothing that is promised depends on it.
pub trait Note: Copy + Default + Eq + Hash + Debug + Send + Sync {
    /// The word at this place now holds this value.
    fn holds(&mut self, word: usize, value: ValueId);
}

impl Note for () {
    fn holds(&mut self, _: usize, _: ValueId) {}
}

/// What a page ever held, a set for each word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EverHeld(pub [ValueSet; crate::observe::WORDS_MAX]);

impl Note for EverHeld {
    fn holds(&mut self, word: usize, value: ValueId) {
        self.0.insert(word, value);
    }
}

/// Where a page is kept. In a mapping, if it is a private page that is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum At<I: Number> {
    #[default]
    Nowhere,
    Slot(I),
    Cache(I),
    Held(I),
}

/// What is mapped at a page of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum Mapped<I: Number> {
    #[default]
    Not,
    /// A page of its own.
    Private,
    /// A file's page.
    Shared(I),
    /// Something shared that has no name, and of which nothing is promised.
    Unnamed,
}

/// A page of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Slot<B: Size, N: Note> {
    pub mapped: Mapped<B::Number>,
    /// The page, where it is a private one.
    pub page: Page<B, N>,
    pub dontfork: bool,
    pub wipeonfork: bool,
    /// Mapped since the last clear_refs.
    pub new: bool,
    /// Stored to by a CPU since the last clear_refs.
    pub stored: bool,
}

/// A page: what it holds, and how sure that is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Page<B: Size, N: Note> {
    pub words: B::Words,
    /// A bit for each word that may instead hold zero, or with a file any value the file's page has held.
    pub unsure: u8,
    /// Never stored to, or freed since: it may be the zero page or the file's page.
    pub untouched: bool,
    /// The file's page that it is a private page of.
    pub file: Option<B::Number>,
    pub note: N,
}

/// A page of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Cached<B: Size, N: Note> {
    pub page: Page<B, N>,
    /// What it ever held; empty where no private mapping of the program shows it.
    pub ever: B::Sets,
}

/// A place of a reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Kept<B: Size, N: Note> {
    /// The page, where no mapping has it and this is the first place that holds it.
    pub page: Page<B, N>,
    /// What its page has held since it was taken; empty where it must see what the page holds now.
    pub since: B::Sets,
}

/// Who took a reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum Taken {
    #[default]
    Not,
    By(ProcId),
    /// The kernel.
    ByNobody,
}

impl<B: Size, N: Note> Cached<B, N> {
    /// Some private mapping of the program shows it.
    pub fn viewed(&self) -> bool {
        !self.ever.of(0).is_empty()
    }
}

impl<B: Size, N: Note> Kept<B, N> {
    /// It need not see later stores: a get.
    pub fn loose(&self) -> bool {
        !self.since.of(0).is_empty()
    }
}

impl<B: Size, N: Note> Page<B, N> {
    /// A page never stored to: zeros, or what the file's page holds.
    pub fn fresh(program: &Program, file: Option<(usize, &Cached<B, N>)>) -> Self {
        let Some((place, cached)) = file else {
            let mut page = Self { untouched: true, ..Self::default() };
            (0..program.words.len()).for_each(|word| page.note.holds(word, ValueId(0)));
            return page;
        };
        Self { unsure: all_words(program), untouched: true, file: Some(super::number(place)), ..cached.page }
    }
}

/// The bit of one word.
pub(super) fn bit(word: usize) -> u8 {
    1 << word
}

/// The bits of all words that the program tells apart.
pub(super) fn all_words(program: &Program) -> u8 {
    u8::MAX >> (u8::BITS as usize - program.words.len())
}

const _: () = assert!(crate::observe::WORDS_MAX <= u8::BITS as usize, "a page has a bit for each word");
