//! The two ways into a machine, and which of them its agent took: a virtio port is fast, a serial port is in every kernel.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Why there is no line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// None came in time.
    Late,
    /// None will ever come.
    Ended,
    /// Somebody asked to stop.
    Stopped,
}

/// How long somebody who asks to stop waits for that, at most.
const STOP_AFTER: Duration = Duration::from_millis(100);

/// A line of a port; `None` at its end.
type Said = (usize, Option<String>);

/// The ports of a machine.
#[derive(Debug)]
pub struct Link {
    ports: Vec<UnixStream>,
    said: Receiver<Said>,
    /// The port that spoke first: the agent opens one of them.
    chosen: Option<usize>,
}

impl Link {
    /// Listens to all ports.
    ///
    /// # Errors
    /// Where a socket cannot be had twice.
    pub fn listen(ports: Vec<UnixStream>) -> io::Result<Self> {
        let (sender, said) = mpsc::channel();
        for (place, port) in ports.iter().enumerate() {
            let (port, sender) = (port.try_clone()?, sender.clone());
            thread::spawn(move || pass_on(place, port, &sender));
        }
        Ok(Self { ports, said, chosen: None })
    }

    /// Sends bytes to the agent.
    ///
    /// # Errors
    /// Where the machine is gone, or has not spoken yet.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.chosen {
            Some(place) => self.ports[place].write_all(bytes),
            None => Err(io::Error::other("nobody listens yet")),
        }
    }

    /// The next line of the agent.
    ///
    /// # Errors
    /// Where none comes within this time, or before `stop` is set.
    pub fn line(&mut self, within: Duration, stop: &AtomicBool) -> Result<String, Silence> {
        let until = Instant::now() + within;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Silence::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left.min(STOP_AFTER)) {
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Silence::Late),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) | Ok((_, None)) => return Err(Silence::Ended),
                Ok((place, Some(line))) if *self.chosen.get_or_insert(place) == place => return Ok(line),
                Ok(_) => {}
            }
        }
    }
}

/// Hands over the lines of a port until it ends or nobody wants them.
fn pass_on(place: usize, port: UnixStream, to: &Sender<Said>) {
    let mut lines = BufReader::new(port);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") => {
                // What firmware and kernel say to a serial port before the agent has it is nobody's answer.
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                if text.starts_with(['{', '"']) && to.send((place, Some(text))).is_err() {
                    return;
                }
            }
            _ => {
                let _ = to.send((place, None));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    static ON: AtomicBool = AtomicBool::new(false);

    #[test]
    fn the_port_that_speaks_first_is_the_one_that_is_written_to() {
        let (near, mut far) = UnixStream::pair().expect("two ends");
        let (other, _quiet) = UnixStream::pair().expect("two ends");
        let mut link = Link::listen(vec![other, near]).expect("a link");
        link.send(b"x").expect_err("nobody has spoken");
        far.write_all(b"noise\r\n{\"a\":1}\r\n").expect("written");
        assert_eq!(link.line(SOON, &ON).as_deref(), Ok("{\"a\":1}"));
        link.send(b"hi\n").expect("sent");
        let mut heard = String::new();
        BufReader::new(far).read_line(&mut heard).expect("read");
        assert_eq!(heard, "hi\n");
    }

    #[test]
    fn silence_the_end_and_a_request_to_stop_are_told_apart() {
        let (near, far) = UnixStream::pair().expect("two ends");
        let mut link = Link::listen(vec![near]).expect("a link");
        assert_eq!(link.line(Duration::from_millis(10), &ON), Err(Silence::Late));
        assert_eq!(link.line(SOON, &AtomicBool::new(true)), Err(Silence::Stopped));
        drop(far);
        assert_eq!(link.line(SOON, &ON), Err(Silence::Ended));
    }
}
