//! What userfaultfd is asked for, and what its events say.

use crate::ir::UffdMode;
use crate::types::Event;

const PAGEFAULT_FLAG_WP: u64 = 1;
const MISSING_HUGETLBFS: u64 = 1 << 4;
const MISSING_SHMEM: u64 = 1 << 5;
const MINOR_HUGETLBFS: u64 = 1 << 9;
const MINOR_SHMEM: u64 = 1 << 10;
const WP_HUGETLBFS_SHMEM: u64 = 1 << 12;
const MOVE: u64 = 1 << 16;

/// What every descriptor is asked for, as far as the kernel has it.
pub(super) const FEATURES: u64 =
    PAGEFAULT_FLAG_WP | MISSING_HUGETLBFS | MISSING_SHMEM | MINOR_HUGETLBFS | MINOR_SHMEM | WP_HUGETLBFS_SHMEM | MOVE;

/// Of a descriptor whose write protection is lifted by the kernel itself: all its ranges are alike in that. 6.7.
pub(super) const WP_ASYNC: u64 = 1 << 15;

const MODE_MISSING: u64 = 1;
const MODE_WP: u64 = 2;
const MODE_MINOR: u64 = 4;

/// `UFFDIO_REGISTER_MODE_*`.
pub(super) fn mode(mode: UffdMode) -> u64 {
    match mode {
        UffdMode::Wp | UffdMode::WpAsync => MODE_WP,
        UffdMode::Missing => MODE_MISSING,
        UffdMode::Minor => MODE_MINOR,
    }
}

const EVENT_PAGEFAULT: u64 = 0x12;
const PAGEFAULT_IS_WP: u64 = 2;
const PAGEFAULT_IS_MINOR: u64 = 4;

/// The address that an event is about and its kind, where a thread was stopped; `None` for any other event.
pub(super) fn event(message: &[u8; 32]) -> Option<(usize, Event)> {
    let word = |nth: usize| u64::from_ne_bytes(message[8 * nth..8 * nth + 8].try_into().unwrap_or_default());
    let kind = match word(1) {
        flags if flags & PAGEFAULT_IS_WP != 0 => Event::Wp,
        flags if flags & PAGEFAULT_IS_MINOR != 0 => Event::Minor,
        _ => Event::Missing,
    };
    (word(0) & 0xff == EVENT_PAGEFAULT).then_some((word(2) as usize, kind))
}
