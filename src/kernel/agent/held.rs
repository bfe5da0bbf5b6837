//! What keeps a reference alive: a pipe for a get, an io_uring for a longterm pin.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::pread as read_at;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};

use super::sys::{self, PAGE, Ring, Stretch};

/// Pages that a new pipe holds; for more it is made larger.
const PIPE_PAGES: usize = 16;

/// A reference that a process holds.
pub(super) enum Held {
    /// The end that is read; the pages stay in the pipe without the other.
    Pipe {
        from: OwnedFd,
    },
    Ring(Box<Ring>),
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
    pub fn get(pages: Stretch, len: usize) -> io::Result<Self> {
        let (from, to) = pipe(len)?;
        match sys::vmsplice(to.as_fd(), pages)? {
            bytes if bytes == len * PAGE => Ok(Held::Pipe { from }),
            _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        }
    }

    /// A longterm pin of these pages.
    ///
    /// # Errors
    /// Of the registration of a buffer with io_uring.
    pub fn pin(pages: Stretch) -> io::Result<Self> {
        Ok(Held::Ring(Box::new(Ring::pin(pages)?)))
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
            Held::Pipe { .. } => Err(io::Error::from_raw_os_error(libc::EINVAL)),
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
        }
    }
}
