//! The terminal: how wide, in colour or not, and what happens when somebody turns away from it.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::args::When;
use crate::render::Look;

/// Narrower than this nothing can be read, whatever the terminal says.
const WIDTH_MIN: usize = 60;
/// Wider than this a line is hard to follow.
const WIDTH_MAX: usize = 160;
/// A run that takes longer says how far it is.
const PROGRESS_AFTER: Duration = Duration::from_millis(400);

/// How to write to `stream`: its width and colours on a terminal; elsewhere always the same, so that outputs can be compared.
pub fn look(stream: &impl IsTerminal, when: When) -> Look {
    let terminal = stream.is_terminal();
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let color = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !set("NO_COLOR") && !dumb,
    };
    let width = if terminal { terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)) } else { None };
    Look { width: width.map_or(Look::default().width, |width| width.clamp(WIDTH_MIN, WIDTH_MAX)), color }
}

/// Whether somebody asked to stop with ctrl-C; the second time the process ends at once.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on. Where that is not possible ctrl-C ends the process as ever.
    pub fn listen() -> Self {
        let stop = Self::default();
        let again = signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGINT, 3, Arc::clone(&stop.0));
        if again.is_ok() {
            let _ = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&stop.0));
        }
        stop
    }

    /// For those who look themselves.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether it was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A line on standard error that says how far a long run is; nothing where nobody looks or it is short.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    shown: bool,
    wanted: bool,
}

impl Progress {
    pub fn new() -> Self {
        Self { wanted: io::stderr().is_terminal() && !io::stdout().is_terminal(), ..Self::before_the_result() }
    }

    /// For a result that is said at the end: on the same terminal, the two do not mix.
    pub fn before_the_result() -> Self {
        Self { start: Instant::now(), shown: false, wanted: io::stderr().is_terminal() }
    }

    /// `done` of `all` are done, of what is counted.
    pub fn at(&mut self, done: usize, all: usize, what: &str) {
        if self.wanted && PROGRESS_AFTER < self.start.elapsed() {
            let _ = write!(io::stderr(), "\r\x1b[K{done} of {all} {what}");
            self.shown = true;
        }
    }

    /// Says in one line how far something is.
    pub fn say(&mut self, text: &str) {
        if self.wanted && PROGRESS_AFTER < self.start.elapsed() {
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
            self.shown = true;
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
            self.shown = false;
        }
    }
}

/// A line on standard error that says how far a search is; nothing where nobody looks or it is short.
#[derive(Debug)]
pub struct Searching {
    start: Instant,
    shown: Option<Instant>,
    wanted: bool,
}

impl Searching {
    pub fn new() -> Self {
        Self { start: Instant::now(), shown: None, wanted: io::stderr().is_terminal() }
    }

    /// So many states are known, so many of them wait, in so many bytes.
    pub fn at(&mut self, states: usize, waiting: usize, bytes: usize) {
        let due = self.shown.unwrap_or(self.start).elapsed() >= PROGRESS_AFTER;
        if self.wanted && due {
            let rate = states as f64 / self.start.elapsed().as_secs_f64();
            let _ = write!(io::stderr(), "\r\x1b[K{states} states, {rate:.0}/s, {waiting} wait, {} MB", bytes >> 20);
            self.shown = Some(Instant::now());
        }
    }

    /// Takes the line away; the next search starts anew.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        self.start = Instant::now();
    }
}

/// Says of a panic that it is our mistake, and how to report it. Never a second panic, even without a standard error.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let text = match info.payload().downcast_ref::<&str>() {
            Some(text) => (*text).to_owned(),
            None => info.payload().downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without a message".to_owned()),
        };
        let text = text.strip_prefix("cowl bug: ").unwrap_or(&text);
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let _ = writeln!(
            io::stderr(),
            "cowl bug: {text}{place}\n\
             help: this is a mistake in cowl {}, not in your scenario; please report it with the scenario and the command line",
            env!("CARGO_PKG_VERSION"),
        );
        std::process::exit(101);
    }));
}
