//! What keeps a reference alive: a pipe for a get, an io_uring or the kernel's own test for a longterm pin.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::pread as read_at;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};

use super::stretch::{PAGE, Stretch};
use super::sys::{self, GupTest, Ring};

/// Pages that a new pipe holds; for more it is made larger.
const PIPE_PAGES: usize = 16;

/// A reference that a process holds.
pub(super) enum Held {
    /// The end that is read; the pages stay in the pipe without the other.
    Pipe {
        from: OwnedFd,
    },
    Ring(Box<Ring>),
    GupTest(GupTest),
}

/// A file of debugfs, for reading and writing, of a mount that nobody else sees.
///
/// # Errors
/// Where this user may not mount, or the kernel has no such file.
pub(super) fn debug_file(name: &str) -> io::Result<OwnedFd> {
    let context = fsopen("debugfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(openat(&root, name, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

fn pipe(pages: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    if PIPE_PAGES < pages {
        fcntl_setpipe_size(&to, (pages * PAGE).next_power_of_two())?;
    }
    Ok((from, to))
}

impl Held {
    /// A get of these pages: a pipe that they were spliced into.
    ///
    /// # Errors
    /// Of vmsplice(2); EFAULT too where it took only some of them.
    pub fn get(pieces: &[Stretch]) -> io::Result<Self> {
        let (from, to) = pipe(pieces.iter().map(|piece| piece.len() / PAGE).sum())?;
        for piece in pieces {
            if sys::vmsplice(to.as_fd(), *piece)? < piece.len() {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
        }
        Ok(Held::Pipe { from })
    }

    /// A longterm pin of these pages, each so many bytes long.
    ///
    /// # Errors
    /// Of the registration of a buffer with io_uring.
    pub fn pin(pages: Stretch, page_bytes: usize) -> io::Result<Self> {
        Ok(Held::Ring(Box::new(Ring::pin(pages, page_bytes)?)))
    }

    /// A longterm pin by the kernel's own test.
    ///
    /// # Errors
    /// Of the request.
    pub fn gup_test(file: OwnedFd, pages: Stretch, write: bool, fast: bool) -> io::Result<Self> {
        Ok(Held::GupTest(GupTest::pin(file, pages, write, fast)?))
    }

    /// What the holder reads of some pages, now; it can be asked again.
    ///
    /// # Errors
    /// Of the calls behind it.
    pub fn peek(&mut self, start: usize, len: usize, device: &OwnedFd) -> io::Result<Vec<[u8; PAGE]>> {
        let mut pages = vec![[0; PAGE]; len];
        match self {
            Held::Ring(ring) => {
                for (nth, page) in pages.iter_mut().enumerate() {
                    ring.copy_to_file(start + nth, device.as_fd())?;
                    read_at(device, &mut page[..], 0)?;
                }
            }
            Held::GupTest(test) => {
                let bytes = test.read()?;
                for (page, bytes) in pages.iter_mut().zip(bytes.chunks_exact(PAGE).skip(start)) {
                    page.copy_from_slice(bytes);
                }
            }
            Held::Pipe { from } => {
                // The pipe keeps its pages; a second one gets them too and is read.
                let (copy, sink) = pipe(start + len)?;
                tee(&*from, &sink, (start + len) * PAGE, SpliceFlags::NONBLOCK)?;
                let mut skipped = [0; PAGE];
                for _ in 0..start {
                    rustix::io::read(&copy, &mut skipped[..])?;
                }
                for page in &mut pages {
                    let mut have = 0;
                    while have < PAGE {
                        match rustix::io::read(&copy, &mut page[have..])? {
                            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                            more => have += more,
                        }
                    }
                }
            }
        }
        Ok(pages)
    }

    /// The device writes these bytes at an offset of a page.
    ///
    /// # Errors
    /// Of the calls behind it, or EINVAL where no device can.
    pub fn dma(&mut self, page: usize, offset: usize, bytes: &[u8], device: &OwnedFd) -> io::Result<()> {
        match self {
            Held::Pipe { .. } | Held::GupTest(_) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            Held::Ring(ring) => {
                rustix::io::pwrite(device, bytes, offset as u64)?;
                ring.fill_from_file(page, offset..offset + bytes.len(), device.as_fd())
            }
        }
    }

    /// Gives the reference up, now: an io_uring that is only closed would keep its pins for some time.
    ///
    /// # Errors
    /// Of the calls behind it.
    pub fn release(self) -> io::Result<()> {
        match self {
            Held::Pipe { .. } => Ok(()),
            Held::Ring(ring) => ring.unpin(),
            Held::GupTest(test) => test.unpin(),
        }
    }
}
