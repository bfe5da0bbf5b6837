//! System calls that Rust cannot check: the only file with `unsafe`, one wrapper a call.
//!
//! What makes them sound: all memory of scenarios lies in the [`ARENA`], addresses that nothing else in the process uses and
//! that no Rust reference ever points to. A [`Stretch`] cannot be made outside of it.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::AtomicU32;

use io_uring::{IoUring, opcode, types};

use super::stretch::{PAGE, Stretch};

// The first instruction of each is the one that may fault; the handler then goes on at `cowl_touch_failed` with the signal in
// the second half of the answer.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.cowl_touch,\"ax\",@progbits",
    ".globl cowl_load",
    ".hidden cowl_load",
    "cowl_load:",
    "mov rax, [rdi]",
    "xor edx, edx",
    "ret",
    ".globl cowl_store",
    ".hidden cowl_store",
    "cowl_store:",
    "mov [rdi], rsi",
    "xor edx, edx",
    "ret",
    ".globl cowl_touch_failed",
    ".hidden cowl_touch_failed",
    "cowl_touch_failed:",
    "ret",
    ".popsection",
);

/// Returned in two registers.
#[repr(C)]
struct Touched {
    value: u64,
    signal: u64,
}

unsafe extern "C" {
    fn cowl_load(at: usize) -> Touched;
    fn cowl_store(at: usize, value: u64) -> Touched;
    fn cowl_touch_failed();
}

/// A signal that an access raised: `SIGSEGV` or `SIGBUS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal(pub i32);

fn touched(touched: Touched) -> Result<u64, Signal> {
    match touched.signal {
        0 => Ok(touched.value),
        signal => Err(Signal(signal as i32)),
    }
}

/// Loads the word at `offset` of a stretch.
///
/// # Errors
/// The signal that it raised; see [`catch_signals`].
pub fn load(from: Stretch, offset: usize) -> Result<u64, Signal> {
    assert!(offset + 8 <= from.len(), "cowl bug: a load past the stretch");
    // SAFETY: the address is in the arena; where nothing is mapped the handler returns instead of the load.
    touched(unsafe { cowl_load(from.at() + offset) })
}

/// Stores the word at `offset` of a stretch.
///
/// # Errors
/// As [`load`].
pub fn store(to: Stretch, offset: usize, value: u64) -> Result<(), Signal> {
    assert!(offset + 8 <= to.len(), "cowl bug: a store past the stretch");
    // SAFETY: as for `load`; no Rust value lives in the arena, so none can change under its reference.
    touched(unsafe { cowl_store(to.at() + offset, value) }).map(drop)
}

/// Makes SIGSEGV and SIGBUS of [`load`] and [`store`] an error; others end the process as ever.
///
/// # Errors
/// Of sigaction(2).
pub fn catch_signals() -> io::Result<()> {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: an all-zero sigaction is a valid one, and the handler has the signature that SA_SIGINFO asks for.
        let done = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        result(done.into())?;
    }
    Ok(())
}

extern "C" fn on_fault(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a valid context to a handler with SA_SIGINFO, and returns to what it says then. Only the two
    // functions above are left early; they hold nothing. The calls are async-signal-safe.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize] as usize;
        if at == cowl_load as *const () as usize || at == cowl_store as *const () as usize {
            registers[libc::REG_RIP as usize] = cowl_touch_failed as *const () as i64;
            registers[libc::REG_RDX as usize] = signal.into();
        } else {
            libc::signal(signal, libc::SIG_DFL); // It faults again and ends the process.
        }
    }
}

fn result(answer: i64) -> io::Result<i64> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// What a mapping permits, whose stores it shows, and what stands behind it.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// `PROT_*`.
    pub prot: i32,
    pub shared: bool,
    /// A file, from its start; anonymous memory where `None`.
    pub file: Option<BorrowedFd<'a>>,
    /// log2 of the bytes of a hugetlb page; base pages and THPs where `None`.
    pub huge: Option<u32>,
}

/// Maps memory where nothing is.
///
/// # Errors
/// Of mmap(2).
pub fn map(at: Stretch, kind: Kind<'_>) -> io::Result<()> {
    let sharing = if kind.shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
    let backing = if kind.file.is_some() { 0 } else { libc::MAP_ANONYMOUS };
    let huge = kind.huge.filter(|_| kind.file.is_none()); // A file of hugetlbfs has its own size of pages.
    let huge = huge.map_or(0, |log2| libc::MAP_HUGETLB | (log2 << libc::MAP_HUGE_SHIFT) as i32);
    let flags = sharing | backing | huge | libc::MAP_FIXED_NOREPLACE;
    let fd = kind.file.map_or(-1, |file| file.as_raw_fd());
    // SAFETY: a new mapping in the arena, which replaces none.
    let got = unsafe { libc::mmap(at.pointer(), at.len(), kind.prot, flags, fd, 0) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// mremap(2) of `from` to `to`, which is as long and where nothing is.
///
/// # Errors
/// Of the call.
pub fn remap(from: Stretch, to: Stretch) -> io::Result<()> {
    assert_eq!(from.len(), to.len(), "cowl bug: mremap to a place of another size");
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: both lie in the arena, where nothing but scenario memory is.
    let got = unsafe { libc::mremap(from.pointer(), from.len(), to.len(), flags, to.pointer()) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// munmap(2).
///
/// # Errors
/// Of the call.
pub fn unmap(at: Stretch) -> io::Result<()> {
    // SAFETY: nothing but scenario memory lies in the arena.
    result(unsafe { libc::munmap(at.pointer(), at.len()) }.into()).map(drop)
}

/// mprotect(2) with `PROT_*`.
///
/// # Errors
/// Of the call.
pub fn protect(at: Stretch, prot: i32) -> io::Result<()> {
    // SAFETY: as for `unmap`.
    result(unsafe { libc::mprotect(at.pointer(), at.len(), prot) }.into()).map(drop)
}

/// madvise(2) with `MADV_*`.
///
/// # Errors
/// Of the call.
pub fn advise(at: Stretch, advice: i32) -> io::Result<()> {
    // SAFETY: as for `unmap`; whatever the advice does to contents, no Rust value is among them.
    result(unsafe { libc::madvise(at.pointer(), at.len(), advice) }.into()).map(drop)
}

/// Which side of a fork(2) this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fork {
    Child,
    /// The child's id.
    Parent(i32),
}

/// fork(2).
///
/// # Errors
/// Of the call.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: other threads of the caller wait in a system call or in `load` or `store` and hold no lock that the child needs.
    match result(unsafe { libc::fork() }.into())? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as i32)),
    }
}

/// Makes a program end with the thread that starts it, whatever ends that, and hands it these descriptors under their numbers.
pub fn tie(command: &mut Command, keep: Vec<OwnedFd>) {
    let parent = rustix::process::getpid();
    let before = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        if rustix::process::getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into()); // The parent was gone before that.
        }
        keep.iter().try_for_each(|fd| Ok(rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?))
    };
    // SAFETY: between fork and exec the child makes these system calls alone; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(before) };
}

/// _exit(2): nothing of the parent's is flushed twice.
pub fn exit(status: i32) -> ! {
    // SAFETY: always sound; it does not return.
    unsafe { libc::_exit(status) }
}

/// Minor faults of this thread so far; `None` where nobody counts them.
pub fn minor_faults() -> Option<u64> {
    // SAFETY: an all-zero rusage is a valid one, and the kernel fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) == 0).then_some(usage.ru_minflt as u64)
    }
}

/// vmsplice(2): how many bytes the pipe took.
///
/// # Errors
/// Of the call.
pub fn vmsplice(pipe: BorrowedFd<'_>, from: Stretch) -> io::Result<usize> {
    let part = libc::iovec { iov_base: from.pointer(), iov_len: from.len() };
    // SAFETY: the kernel reads the one iovec; what it points to is scenario memory.
    result(unsafe { libc::vmsplice(pipe.as_raw_fd(), &raw const part, 1, libc::SPLICE_F_NONBLOCK) } as i64)
        .map(|bytes| bytes as usize)
}

/// pread(2) into scenario memory.
///
/// # Errors
/// Of the call.
pub fn read_into(to: Stretch, file: BorrowedFd<'_>, offset: i64) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes of scenario memory.
    result(unsafe { libc::pread(file.as_raw_fd(), to.pointer(), to.len(), offset) } as i64).map(|bytes| bytes as usize)
}

/// pwrite(2) from scenario memory.
///
/// # Errors
/// Of the call.
pub fn write_from(from: Stretch, file: BorrowedFd<'_>, offset: i64) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `len` bytes of scenario memory.
    result(unsafe { libc::pwrite(file.as_raw_fd(), from.pointer(), from.len(), offset) } as i64).map(|bytes| bytes as usize)
}

/// process_vm_readv(2).
///
/// # Errors
/// Of the call.
pub fn read_process(pid: i32, from: Stretch, to: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let remote = libc::iovec { iov_base: from.pointer(), iov_len: to.len().min(from.len()) };
    // SAFETY: the kernel writes into `to` alone, whose length it is told.
    result(unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) } as i64)
        .map(|bytes| bytes as usize)
}

/// process_vm_writev(2).
///
/// # Errors
/// Of the call.
pub fn write_process(pid: i32, to: Stretch, from: &[u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = libc::iovec { iov_base: to.pointer(), iov_len: from.len().min(to.len()) };
    // SAFETY: the kernel reads `from`, and writes to the arena of a process that runs a scenario.
    result(unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) } as i64)
        .map(|bytes| bytes as usize)
}

/// process_madvise(2): advice about the memory of another process.
///
/// # Errors
/// Of the call.
pub fn advise_process(pidfd: BorrowedFd<'_>, at: Stretch, advice: i32) -> io::Result<()> {
    let part = libc::iovec { iov_base: at.pointer(), iov_len: at.len() };
    // SAFETY: the kernel reads the one iovec; what the advice does, it does to a process that runs a scenario.
    let done = unsafe { libc::syscall(libc::SYS_process_madvise, pidfd.as_raw_fd(), &raw const part, 1, advice, 0) };
    result(done).map(drop)
}

/// move_pages(2) of one page of another process to a node, whoever else maps it; without a node it stays and is only looked
/// at. Its status: the node where it is, or an errno below 0.
///
/// # Errors
/// Of the call.
pub fn move_page(pid: i32, page: Stretch, node: Option<i32>) -> io::Result<i32> {
    const MPOL_MF_MOVE_ALL: c_int = 4;
    let (pages, mut status) = (page.pointer(), 0);
    let to = node.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: one address and one node, or none, in; one status out.
    let done = unsafe { libc::syscall(libc::SYS_move_pages, pid, 1, &raw const pages, to, &raw mut status, MPOL_MF_MOVE_ALL) };
    result(done).map(|_| status)
}

/// swapon(2), before all other swap.
///
/// # Errors
/// Of the call.
pub fn swap_on(path: &CStr) -> io::Result<()> {
    const SWAP_FLAG_PREFER: c_int = 0x8000;
    const PRIORITY: c_int = 0x7fff;
    // SAFETY: a path and a number in.
    result(unsafe { libc::swapon(path.as_ptr(), SWAP_FLAG_PREFER | PRIORITY) }.into()).map(drop)
}

/// swapoff(2).
///
/// # Errors
/// Of the call.
pub fn swap_off(path: &CStr) -> io::Result<()> {
    // SAFETY: a path in.
    result(unsafe { libc::swapoff(path.as_ptr()) }.into()).map(drop)
}

/// Makes this process deaf to these signals.
///
/// # Errors
/// Of sigaction(2).
pub fn ignore_signals(signals: &[c_int]) -> io::Result<()> {
    for signal in signals {
        // SAFETY: an all-zero sigaction is a valid one, and SIG_IGN is no function.
        let done = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = libc::SIG_IGN;
            libc::sigaction(*signal, &raw const action, std::ptr::null_mut())
        };
        result(done.into())?;
    }
    Ok(())
}

/// PAGEMAP_SCAN: whether the page of a process is mapped by a PMD.
///
/// # Errors
/// Of the call; ENOTTY before 6.7.
pub fn is_pmd_mapped(pagemap: BorrowedFd<'_>, page: Stretch) -> io::Result<bool> {
    const PAGEMAP_SCAN: u64 = 0xc060_6610;
    const PAGE_IS_HUGE: u64 = 1 << 6;
    let mut region = [0u64; 3];
    let (start, end) = (page.at() as u64, (page.at() + page.len()) as u64);
    // Size, flags, start, end, walk end, vector, its length, pages wanted; categories inverted, demanded, any of, returned.
    let mut request = [96, 0, start, end, 0, region.as_mut_ptr() as u64, 1, 0, 0, PAGE_IS_HUGE, 0, PAGE_IS_HUGE];
    // SAFETY: the kernel reads and writes the request, whose size it is told, and writes at most one region of three words.
    let found = result(unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, request.as_mut_ptr()) }.into())?;
    Ok(0 < found && region[2] & PAGE_IS_HUGE != 0)
}

const UFFD_API: u64 = 0xaa;
const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_COPY: u64 = 0xc028_aa03;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
const UFFDIO_MOVE: u64 = 0xc028_aa05;
const UFFDIO_WRITEPROTECT: u64 = 0xc018_aa06;
const UFFDIO_CONTINUE: u64 = 0xc020_aa07;

/// A userfaultfd of this process with the features it needs and those of the others that the kernel has.
///
/// # Errors
/// Of userfaultfd(2) or UFFDIO_API.
pub fn userfaultfd(needs: u64, features: u64) -> io::Result<OwnedFd> {
    let open = |flags: i32| {
        // SAFETY: a number in, a new descriptor or an error out.
        let fd = result(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK | flags) })?;
        // SAFETY: it is new and nobody else's.
        io::Result::Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    // An ordinary user may have one that does not stop the kernel's own accesses.
    let open = || open(0).or_else(|_| open(UFFD_USER_MODE_ONLY));
    // The first is only asked what there is: each may be asked for features once.
    let mut api = [UFFD_API, 0, 0];
    uffd_ioctl(&open()?, UFFDIO_API, &mut api)?;
    let fd = open()?;
    uffd_ioctl(&fd, UFFDIO_API, &mut [UFFD_API, needs | api[1] & features, 0])?;
    Ok(fd)
}

/// UFFDIO_REGISTER.
///
/// # Errors
/// Of the call.
pub fn uffd_register(fd: &OwnedFd, at: Stretch, mode: u64) -> io::Result<()> {
    uffd_ioctl(fd, UFFDIO_REGISTER, &mut [at.at() as u64, at.len() as u64, mode, 0])
}

/// UFFDIO_WRITEPROTECT: protects, or lifts the protection and wakes who waits for it.
///
/// # Errors
/// Of the call.
pub fn uffd_write_protect(fd: &OwnedFd, at: Stretch, protect: bool) -> io::Result<()> {
    uffd_ioctl(fd, UFFDIO_WRITEPROTECT, &mut [at.at() as u64, at.len() as u64, protect.into()])
}

/// UFFDIO_COPY: fills missing pages and wakes who waits for them.
///
/// # Errors
/// Of the call.
pub fn uffd_copy(fd: &OwnedFd, to: Stretch, from: &[u8]) -> io::Result<()> {
    assert_eq!(to.len(), from.len(), "cowl bug: UFFDIO_COPY of another size");
    uffd_ioctl(fd, UFFDIO_COPY, &mut [to.at() as u64, from.as_ptr() as u64, to.len() as u64, 0, 0])
}

/// UFFDIO_ZEROPAGE.
///
/// # Errors
/// Of the call.
pub fn uffd_zeropage(fd: &OwnedFd, at: Stretch) -> io::Result<()> {
    uffd_ioctl(fd, UFFDIO_ZEROPAGE, &mut [at.at() as u64, at.len() as u64, 0, 0])
}

/// UFFDIO_CONTINUE: maps what the page cache has.
///
/// # Errors
/// Of the call.
pub fn uffd_continue(fd: &OwnedFd, at: Stretch) -> io::Result<()> {
    uffd_ioctl(fd, UFFDIO_CONTINUE, &mut [at.at() as u64, at.len() as u64, 0, 0])
}

/// UFFDIO_MOVE.
///
/// # Errors
/// Of the call.
pub fn uffd_move(fd: &OwnedFd, from: Stretch, to: Stretch) -> io::Result<()> {
    assert_eq!(from.len(), to.len(), "cowl bug: UFFDIO_MOVE to a place of another size");
    uffd_ioctl(fd, UFFDIO_MOVE, &mut [to.at() as u64, from.at() as u64, to.len() as u64, 0, 0])
}

fn uffd_ioctl<const WORDS: usize>(fd: &OwnedFd, request: u64, words: &mut [u64; WORDS]) -> io::Result<()> {
    assert_eq!((request >> 16) & 0x3fff, 8 * WORDS as u64, "cowl bug: the request carries another size");
    // SAFETY: the request says how many bytes the kernel reads and writes: those of `words`, as was just checked. What they
    // point to is the arena, or a slice that its caller borrows.
    result(unsafe { libc::ioctl(fd.as_raw_fd(), request, words.as_mut_ptr()) }.into()).map(drop)
}

/// A pin by the kernel's own test, CONFIG_GUP_TEST: the only one from user space that is not writable. There is one at a time.
pub struct GupTest {
    file: OwnedFd,
    len: usize,
}

impl GupTest {
    const START: u64 = 0x4018_6707;
    const STOP: u64 = 0x6708;
    const READ: u64 = 0x4008_6709;

    /// Pins the pages of a stretch for long, `file` being `gup_test` of debugfs.
    ///
    /// # Errors
    /// Of the request: the failure of the pin.
    pub fn pin(file: OwnedFd, at: Stretch, write: bool, fast: bool) -> io::Result<Self> {
        let request = [at.at() as u64, at.len() as u64, u64::from(write) | u64::from(fast) << 1];
        // SAFETY: the kernel reads the request, whose three words are as long as the number says.
        result(unsafe { libc::ioctl(file.as_raw_fd(), Self::START, request.as_ptr()) }.into())?;
        Ok(Self { file, len: at.len() })
    }

    /// What the pinned pages hold.
    ///
    /// # Errors
    /// Of the request.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        let to = bytes.as_mut_ptr() as u64;
        // SAFETY: the kernel reads one word, an address, and writes as many bytes there as were pinned.
        result(unsafe { libc::ioctl(self.file.as_raw_fd(), Self::READ, &raw const to) }.into())?;
        Ok(bytes)
    }

    /// Unpins.
    ///
    /// # Errors
    /// Of the request.
    pub fn unpin(&self) -> io::Result<()> {
        // SAFETY: a number in.
        result(unsafe { libc::ioctl(self.file.as_raw_fd(), Self::STOP) }.into()).map(drop)
    }
}

/// A counter that all processes share which are forked from this one later on. It is never given back.
///
/// # Errors
/// Of mmap(2).
pub fn shared_counter() -> io::Result<&'static AtomicU32> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping where nothing is.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, prot, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it stays mapped, is aligned, holds zeros, and is only ever used as this atomic.
    Ok(unsafe { &*at.cast::<AtomicU32>() })
}

/// An io_uring with one registered buffer: a longterm pin.
pub struct Ring {
    ring: IoUring,
    buffer: Stretch,
    /// Bytes of what an index counts.
    page_bytes: usize,
}

impl Ring {
    /// Pins the pages of a stretch.
    ///
    /// # Errors
    /// Of io_uring_setup(2), or of io_uring_register(2): the failure of the pin.
    pub fn pin(buffer: Stretch, page_bytes: usize) -> io::Result<Self> {
        let ring: IoUring = IoUring::builder().dontfork().build(2)?;
        let part = libc::iovec { iov_base: buffer.pointer(), iov_len: buffer.len() };
        // SAFETY: the buffer is scenario memory, which nobody but the scenario expects to keep its contents.
        unsafe { ring.submitter().register_buffers(&[part]) }?;
        Ok(Self { ring, buffer, page_bytes })
    }

    /// Unpins.
    ///
    /// # Errors
    /// Of io_uring_register(2).
    pub fn unpin(&self) -> io::Result<()> {
        self.ring.submitter().unregister_buffers()
    }

    /// The device reads a page of the buffer: it goes to the start of a file.
    ///
    /// # Errors
    /// Of the call or of the transfer.
    pub fn copy_to_file(&mut self, page: usize, file: BorrowedFd<'_>) -> io::Result<()> {
        let (at, fd) = (self.place(page), types::Fd(file.as_raw_fd()));
        self.transfer(&opcode::WriteFixed::new(fd, at.cast_const(), PAGE as u32, 0).offset(0).build())
    }

    /// The device writes a page of the buffer: it comes from the start of a file. `at` says which bytes of the page.
    ///
    /// # Errors
    /// As [`Ring::to_file`].
    pub fn fill_from_file(&mut self, page: usize, bytes: Range<usize>, file: BorrowedFd<'_>) -> io::Result<()> {
        let (at, fd) = (self.place(page), types::Fd(file.as_raw_fd()));
        let len = bytes.len() as u32;
        self.transfer(&opcode::ReadFixed::new(fd, at.wrapping_add(bytes.start), len, 0).offset(bytes.start as u64).build())
    }

    fn place(&self, page: usize) -> *mut u8 {
        assert!((page + 1) * self.page_bytes <= self.buffer.len(), "cowl bug: a page past the pinned ones");
        (self.buffer.at() + page * self.page_bytes) as *mut u8
    }

    fn transfer(&mut self, entry: &io_uring::squeue::Entry) -> io::Result<()> {
        // SAFETY: the entry names a part of the registered buffer and a file that stays open until it is done, below.
        unsafe { self.ring.submission().push(entry) }.map_err(io::Error::other)?;
        self.ring.submit_and_wait(1)?;
        let done = self.ring.completion().next().ok_or_else(|| io::Error::other("io_uring gave no completion"))?;
        if done.result() < 0 { Err(io::Error::from_raw_os_error(-done.result())) } else { Ok(()) }
    }
}
