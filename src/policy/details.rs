//! The details D1 to D9: what releases differ in and nobody argued over. `semantics.md` 2.5.

use super::choice::answer;
use super::set::set;

answer! {
    /// D1. What does a write to the huge zero page do? Home: `engine::huge::decide_zero_write`.
    HugeZeroWrite {
        /// Splits the PMD into ptes of the zero page; the write goes on with one of them.
        Split,
        /// Allocates a THP.
        #[strum(props(since = "6.13"))]
        AllocThp,
    }
}

answer! {
    /// D2. Does mremap keep uffd-wp bits where the new place is not registered? Home: `engine::mremap::decide_uffd_wp`.
    MremapUffdWp {
        /// Yes (B33).
        Keep,
        /// No.
        #[strum(props(since = "6.13", commits = "0cef0bb836e3"))]
        Drop,
    }
}

answer! {
    /// D3. What does collapse do with pages that fork shared? Home: `engine::collapse::decide_scan`.
    CollapseShared {
        /// MADV_COLLAPSE fails with EINVAL.
        Einval,
        /// Copies them into the THP: the series "mm: enable khugepaged anonymous collapse on non-writable regions", posted in September
        /// 2025, no longer wants one writable pte. Measured on 6.18.
        #[strum(props(since = "6.18"))]
        Copy,
    }
}

answer! {
    /// D4. Which way does a swap-in from a synchronous device with one user go? Home: `engine::swap::decide_bypass`.
    SwapinSync {
        /// Past the swapcache.
        BypassCache,
        /// Through the swapcache, as any.
        #[strum(props(since = "7.3"))]
        ThroughCache,
    }
}

answer! {
    /// D5. How does a read fault map an exclusive page that it swaps in? Home: `engine::swap::decide_read_map`.
    SwapinReadMap {
        /// Read-only.
        Ro,
        /// Writable, where the mapping is and neither uffd-wp nor soft-dirty tracking wants a fault.
        #[strum(props(since = "6.2"))]
        Writable,
    }
}

answer! {
    /// D6. Does swap-in drain this CPU's LRU batch before it counts references? Home: `engine::swap::decide_drain`.
    SwapinDrain {
        /// No.
        NoDrain,
        /// On a write fault, if the page is not on the LRU.
        #[strum(props(since = "5.18", commits = "d4c470970d45", removed = ", 7.3"))]
        Drain,
    }
}

answer! {
    /// D7. Whom does /proc/PID/mem let write to a read-only private mapping? Home: `engine::gup::decide_proc_mem`.
    ProcMemForce {
        /// Everyone who may open it for writing.
        Allowed,
        /// An attached tracer; for others it fails with EIO.
        #[strum(props(since = "7.3"))]
        AttachedTracer,
    }
}

answer! {
    /// D9. Does unmerging give a page back where ksmd placed the zero page? Home: `engine::ksm::decide_zero`.
    KsmUnmergeZero {
        /// No: it stays the zero page, as any other.
        Leave,
        /// Yes: the dirty bit of its pte tells it from others.
        #[strum(props(since = "6.6", commits = "79271476b336"))]
        Unshare,
    }
}

set! {
    /// D8. The verbs that a release lacks: there they fail as the call does.
    Lacks of Feature {
        /// `uffd register A wp`, and with it `uffd wp`: from 5.7.
        UffdWp,
        /// `madvise A populate_read` and `populate_write`: from 5.14.
        Populate,
        /// `uffd register A minor` on hugetlb: from 5.13.
        UffdMinorHugetlb,
        /// `uffd register A minor` on shared memory: from 5.14.
        UffdMinorShmem,
        /// `madvise A dontneed` on hugetlb: from 5.18.
        HugetlbDontneed,
        /// `uffd register A wp` on files and hugetlb: from 5.19.
        UffdWpFile,
        /// `uffd wp A` and `unwp A` of several mappings, or of a range with a hole, as far as they go: from 6.4.
        UffdWpVmas,
        /// `uffd register A wp_async`: from 6.7.
        UffdWpAsync,
        /// `madvise A collapse`: from 6.1.
        Collapse,
        /// `madvise A guard_install` and `guard_remove`: from 6.13.
        Guard,
        /// `pin A rw longterm` of a shared file of a disk, which fails with EFAULT since: to 6.4.
        PinFile,
        /// `uffd register A` for something else where memory is registered for write protection, which fails with EBUSY since: to 7.2.
        UffdDropWp,
    }
}
