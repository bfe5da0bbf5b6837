//! System calls that Rust cannot check: the only file with `unsafe`, one wrapper a call.
//!
//! What makes them sound: all memory of scenarios lies in the [`ARENA`], addresses that nothing else in the process uses and
//! that no Rust reference ever points to. A [`Stretch`] cannot be made outside of it.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use io_uring::{IoUring, opcode, types};

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

    fn pointer(self) -> *mut c_void {
        self.at as *mut c_void
    }
}

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
    assert!(offset + 8 <= from.len, "cowl bug: a load past the stretch");
    // SAFETY: the address is in the arena; where nothing is mapped the handler returns instead of the load.
    touched(unsafe { cowl_load(from.at + offset) })
}

/// Stores the word at `offset` of a stretch.
///
/// # Errors
/// As [`load`].
pub fn store(to: Stretch, offset: usize, value: u64) -> Result<(), Signal> {
    assert!(offset + 8 <= to.len, "cowl bug: a store past the stretch");
    // SAFETY: as for `load`; no Rust value lives in the arena, so none can change under its reference.
    touched(unsafe { cowl_store(to.at + offset, value) }).map(drop)
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

/// What a mapping permits and whose stores it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// `PROT_*`.
    pub prot: i32,
    pub shared: bool,
}

/// Maps anonymous memory where nothing is.
///
/// # Errors
/// Of mmap(2).
pub fn map(at: Stretch, kind: Kind) -> io::Result<()> {
    let sharing = if kind.shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
    let flags = sharing | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping in the arena, which replaces none.
    let got = unsafe { libc::mmap(at.pointer(), at.len, kind.prot, flags, -1, 0) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// munmap(2).
///
/// # Errors
/// Of the call.
pub fn unmap(at: Stretch) -> io::Result<()> {
    // SAFETY: nothing but scenario memory lies in the arena.
    result(unsafe { libc::munmap(at.pointer(), at.len) }.into()).map(drop)
}

/// mprotect(2) with `PROT_*`.
///
/// # Errors
/// Of the call.
pub fn protect(at: Stretch, prot: i32) -> io::Result<()> {
    // SAFETY: as for `unmap`.
    result(unsafe { libc::mprotect(at.pointer(), at.len, prot) }.into()).map(drop)
}

/// madvise(2) with `MADV_*`.
///
/// # Errors
/// Of the call.
pub fn advise(at: Stretch, advice: i32) -> io::Result<()> {
    // SAFETY: as for `unmap`; whatever the advice does to contents, no Rust value is among them.
    result(unsafe { libc::madvise(at.pointer(), at.len, advice) }.into()).map(drop)
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
    let part = libc::iovec { iov_base: from.pointer(), iov_len: from.len };
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
    result(unsafe { libc::pread(file.as_raw_fd(), to.pointer(), to.len, offset) } as i64).map(|bytes| bytes as usize)
}

/// pwrite(2) from scenario memory.
///
/// # Errors
/// Of the call.
pub fn write_from(from: Stretch, file: BorrowedFd<'_>, offset: i64) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `len` bytes of scenario memory.
    result(unsafe { libc::pwrite(file.as_raw_fd(), from.pointer(), from.len, offset) } as i64).map(|bytes| bytes as usize)
}

/// process_vm_readv(2).
///
/// # Errors
/// Of the call.
pub fn read_process(pid: i32, from: Stretch, to: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let remote = libc::iovec { iov_base: from.pointer(), iov_len: to.len().min(from.len) };
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
    let remote = libc::iovec { iov_base: to.pointer(), iov_len: from.len().min(to.len) };
    // SAFETY: the kernel reads `from`, and writes to the arena of a process that runs a scenario.
    result(unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) } as i64)
        .map(|bytes| bytes as usize)
}

const UFFD_API: u64 = 0xaa;
const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFD_FEATURE_PAGEFAULT_FLAG_WP: u64 = 1;
const UFFD_PAGEFAULT_FLAG_WP: u64 = 2;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_WRITEPROTECT: u64 = 0xc018_aa06;
const UFFDIO_REGISTER_MODE_WP: u64 = 2;
const UFFD_EVENT_PAGEFAULT: u64 = 0x12;

/// A userfaultfd of this process that write-protects.
///
/// # Errors
/// Of userfaultfd(2) or UFFDIO_API.
pub fn userfaultfd() -> io::Result<OwnedFd> {
    let open = |flags: i32| {
        // SAFETY: a number in, a new descriptor or an error out.
        let fd = result(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK | flags) })?;
        // SAFETY: it is new and nobody else's.
        io::Result::Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    // An ordinary user may have one that does not stop the kernel's own accesses.
    let fd = open(0).or_else(|_| open(UFFD_USER_MODE_ONLY))?;
    uffd_ioctl(&fd, UFFDIO_API, &mut [UFFD_API, UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0])?;
    Ok(fd)
}

/// UFFDIO_REGISTER for write protection.
///
/// # Errors
/// Of the call.
pub fn uffd_register_wp(fd: &OwnedFd, at: Stretch) -> io::Result<()> {
    uffd_ioctl(fd, UFFDIO_REGISTER, &mut [at.at as u64, at.len as u64, UFFDIO_REGISTER_MODE_WP, 0])
}

/// UFFDIO_WRITEPROTECT: protects, or lifts the protection and wakes who waits for it.
///
/// # Errors
/// Of the call.
pub fn uffd_write_protect(fd: &OwnedFd, at: Stretch, protect: bool) -> io::Result<()> {
    uffd_ioctl(fd, UFFDIO_WRITEPROTECT, &mut [at.at as u64, at.len as u64, protect.into()])
}

fn uffd_ioctl<const WORDS: usize>(fd: &OwnedFd, request: u64, words: &mut [u64; WORDS]) -> io::Result<()> {
    assert_eq!((request >> 16) & 0x3fff, 8 * WORDS as u64, "cowl bug: the request carries another size");
    // SAFETY: the request says how many bytes the kernel reads and writes: those of `words`, as was just checked.
    result(unsafe { libc::ioctl(fd.as_raw_fd(), request, words.as_mut_ptr()) }.into()).map(drop)
}

/// The address that an event of a userfaultfd is about, where it is a stopped write; `None` for any other event.
pub fn uffd_event(message: &[u8; 32]) -> Option<usize> {
    let word = |nth: usize| u64::from_ne_bytes(message[8 * nth..8 * nth + 8].try_into().unwrap_or_default());
    let stopped = word(0) & 0xff == UFFD_EVENT_PAGEFAULT && word(1) & UFFD_PAGEFAULT_FLAG_WP != 0;
    stopped.then_some(word(2) as usize)
}

/// An io_uring with one registered buffer: a longterm pin.
pub struct Ring {
    ring: IoUring,
    buffer: Stretch,
}

impl Ring {
    /// Pins the pages of a stretch.
    ///
    /// # Errors
    /// Of io_uring_setup(2), or of io_uring_register(2): the failure of the pin.
    pub fn pin(buffer: Stretch) -> io::Result<Self> {
        let ring: IoUring = IoUring::builder().dontfork().build(2)?;
        let part = libc::iovec { iov_base: buffer.pointer(), iov_len: buffer.len };
        // SAFETY: the buffer is scenario memory, which nobody but the scenario expects to keep its contents.
        unsafe { ring.submitter().register_buffers(&[part]) }?;
        Ok(Self { ring, buffer })
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
        assert!((page + 1) * PAGE <= self.buffer.len, "cowl bug: a page past the pinned ones");
        (self.buffer.at + page * PAGE) as *mut u8
    }

    fn transfer(&mut self, entry: &io_uring::squeue::Entry) -> io::Result<()> {
        // SAFETY: the entry names a part of the registered buffer and a file that stays open until it is done, below.
        unsafe { self.ring.submission().push(entry) }.map_err(io::Error::other)?;
        self.ring.submit_and_wait(1)?;
        let done = self.ring.completion().next().ok_or_else(|| io::Error::other("io_uring gave no completion"))?;
        if done.result() < 0 { Err(io::Error::from_raw_os_error(-done.result())) } else { Ok(()) }
    }
}
