//! How large a scenario may be. Past a limit lowering says so with the number; nothing is cut off in silence.

use crate::types::{Large, Size};

/// Mistakes that are reported before the rest of a file is left unread.
pub const ERRORS_MAX: usize = 1000;
/// Lines that all scenarios of a file come to run together, each use of a prepare and each kind of memory counted.
pub const LINES_MAX: usize = 4_000_000;
/// Lines that making a scenario for one kind of memory counts as, whatever is in it.
pub const LINES_OF_A_SCENARIO: usize = 16;
/// Expectations of a scenario.
pub const EXPECTATIONS_MAX: usize = 256;
/// Assertions of a scenario, those of its prepares among them.
pub const ASSERTIONS_MAX: usize = 1_000;
/// Policies of a file and of those it uses.
pub const POLICIES_MAX: usize = 256;
/// Lists of kinds that one `over` may come to look into.
pub const LISTS_MAX: usize = 1_024;
/// Known names that a misspelt one is compared with.
pub const NEAR_MAX: usize = 1_000;
/// Instructions of a scenario, those of its prepares among them.
pub const INSTRUCTIONS_MAX: usize = 10_000;
/// Lines `use …` that one scenario may come to run, prepares that use prepares among them.
pub const USES_MAX: usize = 1_000;
/// Prepares that use one another in a row.
pub const DEPTH_MAX: usize = 64;
/// Kinds of memory that one `over` may come to.
pub const KINDS_MAX: usize = 256;
/// Files that one file may come to use.
pub const FILES_USED_MAX: usize = 64;
/// Processes.
pub const PROCESSES_MAX: usize = Large::PROCS_MAX;
/// Pages of one address space, all mappings together.
pub const PAGES_MAX: usize = Large::PAGES_MAX;
/// Actors: threads, the kernel's, the device.
pub const ACTORS_MAX: usize = Large::TASKS_MAX;
/// Named references.
pub const REFERENCES_MAX: usize = Large::REFS_MAX;
/// Pages held by all references together.
pub const HELD_MAX: usize = Large::HELD_MAX;
/// Pages of all files together.
pub const FILE_PAGES_MAX: usize = Large::CACHE_MAX;
/// Files, the nameless ones behind shared anonymous memory among them.
pub const FILES_MAX: usize = 255;
/// Different values; 0 is always among them.
pub const VALUES_MAX: usize = 256;
/// Different byte offsets behind `+`.
pub const WORDS_MAX: usize = Large::WORDS_MAX - 1;
/// Races.
pub const RACES_MAX: usize = 255;
/// Bytes of a line that cannot be read, in which names that it may give are looked for.
pub const DAMAGE_BYTES_MAX: usize = 4096;
/// Bytes of a page: a word's offset lies below it.
pub const PAGE_BYTES: u64 = 4096;
/// Bytes of a word: a word's offset is a multiple of it.
pub const WORD_BYTES: u64 = 8;
/// log2 of the base pages in a PMD-mapped THP.
pub const PMD_ORDER: u8 = crate::types::PMD_ORDER;
/// The largest order of a hugetlb page: 1 GiB of base pages of 4 KiB.
pub const HUGETLB_ORDER_MAX: u64 = 18;
