//! Waits for what may come of an order: an answer, a thread that userfaultfd stopped, a process that died, or nothing in time.

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::uffd;
use super::worker::Reply;
use crate::types::Event;

/// What came of an order.
pub(super) enum Came {
    Reply(Reply),
    /// userfaultfd stopped the thread at this address.
    Stopped {
        at: usize,
        event: Event,
    },
}

/// Whom to wait for.
pub(super) struct Waiter<'a> {
    pub end: &'a OwnedFd,
    pub pidfd: BorrowedFd<'a>,
    pub uffds: &'a [Option<OwnedFd>],
    pub deadline: Instant,
    /// Room for a message: clearing as much for each would take longer than the message.
    pub room: &'a mut [u8],
}

impl Waiter<'_> {
    /// What came, and the userfaultfd that was handed over before it.
    ///
    /// # Errors
    /// That the process died, or that nothing came in time.
    pub fn wait(&mut self) -> Result<(Came, Option<OwnedFd>), String> {
        let mut handed = None;
        loop {
            let new = handed.iter();
            let mut fds: Vec<_> =
                [PollFd::new(self.end, PollFlags::IN), PollFd::from_borrowed_fd(self.pidfd, PollFlags::IN)].into();
            let uffds: Vec<&OwnedFd> = self.uffds.iter().flatten().chain(new).collect();
            fds.extend(uffds.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)));
            match poll(&mut fds, Some(&until(self.deadline))) {
                Ok(0) => return Err("no answer in time".to_owned()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.to_string()),
                Ok(_) => {}
            }
            let ready = |nth: usize| fds[nth].revents().contains(PollFlags::IN);
            if ready(0) {
                match receive(self.end, self.room)? {
                    Received::Reply(reply) => return Ok((Came::Reply(reply), handed)),
                    Received::Uffd(fd) => {
                        drop(fds);
                        handed = Some(fd);
                        continue;
                    }
                }
            }
            for (nth, fd) in uffds.iter().enumerate() {
                let mut message = [0; 32];
                if ready(nth + 2)
                    && rustix::io::read(fd, &mut message[..]) == Ok(32)
                    && let Some((at, event)) = uffd::event(&message)
                {
                    return Ok((Came::Stopped { at, event }, handed));
                }
            }
            if ready(1) {
                return Err("its process died".to_owned());
            }
        }
    }
}

/// What a thread sent.
pub(super) enum Received {
    Reply(Reply),
    Uffd(OwnedFd),
}

pub(super) fn receive(end: &OwnedFd, room: &mut [u8]) -> Result<Received, String> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [std::io::IoSliceMut::new(room)];
    let got = recvmsg(end, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).map_err(|error| error.to_string())?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(fd) = fds.next()
        {
            return Ok(Received::Uffd(fd));
        }
    }
    let reply = serde_json::from_slice(&room[..got.bytes]).map_err(|error| format!("its answer cannot be read: {error}"))?;
    Ok(Received::Reply(reply))
}

pub(super) fn until(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
}

/// Waits until a process is gone; `false` where it is still there at the deadline.
pub(super) fn until_gone(pidfd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&until(deadline))) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
