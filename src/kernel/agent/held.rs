//! What keeps a reference alive: a pipe for a get, an io_uring or the kernel's own test for a longterm pin.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::pread as read_at;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};

use super::stretch::{PAGE, Stretch};
use super::sys::{self, GupTest, Ring};

/// Pages that a new pipe holds; for more it is made larger.
const PIPE_PAGES: usize = 16;
/// Pages that a pipe can be made to hold by anybody (fs/pipe.c, `pipe_max_size`); for more there is another one.
const PIPE_PAGES_MAX: usize = 256;

/// A reference that a process holds.
pub(super) enum Held {
    /// The ends that are read, each but the last of as many pages as a pipe can hold; they stay there without the other end.
    Pipes(Vec<OwnedFd>),
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

/// Reads pages of a pipe, which keeps them: a second one gets them too and is read.
fn peek_pipe(from: &OwnedFd, start: usize, pages: &mut [[u8; PAGE]]) -> io::Result<()> {
    let all = start + pages.len();
    let (copy, sink) = pipe(all)?;
    tee(from, &sink, all * PAGE, SpliceFlags::NONBLOCK)?;
    let mut copy = File::from(copy);
    let mut skipped = [0; PAGE];
    for _ in 0..start {
        copy.read_exact(&mut skipped)?;
    }
    pages.iter_mut().try_for_each(|page| copy.read_exact(page))
}

impl Held {
    /// A get of these pages: a pipe that they were spliced into.
    ///
    /// # Errors
    /// Of vmsplice(2); EFAULT too where it took only some of them.
    pub fn get(pieces: &[Stretch]) -> io::Result<Self> {
        let pages: Vec<Stretch> = pieces.iter().flat_map(|piece| piece.pieces(PIPE_PAGES_MAX * PAGE)).collect();
        let mut pipes = Vec::new();
        let (mut into, mut room) = (None, 0);
        for piece in pages {
            if room < piece.len() {
                let (from, to) = pipe(pieces.iter().map(|piece| piece.len() / PAGE).sum::<usize>().min(PIPE_PAGES_MAX))?;
                pipes.push(from);
                (into, room) = (Some(to), PIPE_PAGES_MAX * PAGE);
            }
            let to = into.as_ref().expect("cowl bug: a piece without a pipe");
            if sys::vmsplice(to.as_fd(), piece)? < piece.len() {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
            room -= piece.len();
        }
        Ok(Held::Pipes(pipes))
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
            Held::Pipes(pipes) => {
                for (nth, from) in pipes.iter().enumerate() {
                    let first = nth * PIPE_PAGES_MAX;
                    let wanted = start.max(first)..(start + len).min(first + PIPE_PAGES_MAX);
                    if !wanted.is_empty() {
                        peek_pipe(from, wanted.start - first, &mut pages[wanted.start - start..wanted.end - start])?;
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
            Held::Pipes(_) | Held::GupTest(_) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
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
            Held::Pipes(_) => Ok(()),
            Held::Ring(ring) => ring.unpin(),
            Held::GupTest(test) => test.unpin(),
        }
    }
}
