//! Addresses that belong to scenarios.

use std::ffi::c_void;
use std::ops::Range;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Addresses for the memory of scenarios: 16 TiB in a part of the address space that neither loader nor allocator uses.
pub const ARENA: Range<usize> = 0x2000_0000_0000..0x3000_0000_0000;

/// Some of the [`ARENA`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    at: usize,
    len: usize,
}

impl Stretch {
    /// # Panics
    /// With `cowl bug:` outside of the [`ARENA`].
    pub fn new(at: usize, len: usize) -> Self {
        let end = at.saturating_add(len);
        assert!(ARENA.start <= at && end <= ARENA.end, "cowl bug: {at:#x} + {len:#x} lies outside the arena");
        Self { at, len }
    }

    pub fn at(self) -> usize {
        self.at
    }

    /// Bytes.
    pub fn len(self) -> usize {
        self.len
    }

    /// Pieces of so many bytes; the last may be shorter.
    pub fn pieces(self, bytes: usize) -> impl Iterator<Item = Self> {
        (0..self.len).step_by(bytes).map(move |from| Self { at: self.at + from, len: bytes.min(self.len - from) })
    }

    pub fn pointer(self) -> *mut c_void {
        self.at as *mut c_void
    }
}
