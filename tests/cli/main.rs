//! The command as users meet it: files of every kind in, text and exit codes out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod campaign;
mod explore;
mod formats;
mod input;
mod usage;

/// A scenario that leaks under linux-5.7 and not under later releases, and says so.
pub const LEAK: &str = r#"scenario leak {
    p: mmap buf 1 page
    p: write buf "old"
    p: fork c
    c: vmsplice buf -> pipe
    c: munmap buf
    p: write buf "new"
    c: peek pipe == "old"
    expect leak on linux-5.7, andrea-2021
}
"#;

/// A scenario whose expectation no policy meets.
pub const UNMET: &str = r#"scenario unmet {
    p: mmap buf 1 page
    p: write buf 1
    p: read buf == 1
    expect leak on all
}
"#;

/// Where the repository is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An empty folder of this name, for one test alone.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).expect("the target folder takes folders");
    folder
}

/// A file in a folder of its own; its path.
pub fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder(name).join(format!("{name}.cow"));
    fs::write(&path, bytes).expect("the target folder takes files");
    path
}

/// What the command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("cowl writes UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It ended with this code, and did not panic.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert!(!self.err.contains("panicked") && !self.err.contains("cowl bug"), "{}", self.err);
        assert_eq!(self.code, Some(code), "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Standard error has this in it.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(unbroken(&self.err).contains(text), "no {text:?} in: {}", self.err);
        self
    }

    /// Standard output has this in it.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(unbroken(&self.out).contains(text), "no {text:?} in: {}", self.out);
        self
    }
}

/// The text without line ends, white space as one space: what a width makes of a sentence does not matter.
fn unbroken(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c == '│').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The built command.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowl"));
    command.current_dir(root()).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs the command with arguments as in a shell without quotes.
pub fn cowl(arguments: &str) -> Said {
    Said::new(command().args(arguments.split_whitespace()).output().expect("the built command starts"))
}

/// Runs the command on a path, arguments before and after it.
pub fn cowl_on(before: &str, path: &Path, after: &str) -> Said {
    let mut command = command();
    command.args(before.split_whitespace()).arg(path).args(after.split_whitespace());
    Said::new(command.output().expect("the built command starts"))
}

/// Runs the command with something on standard input.
pub fn cowl_reads(arguments: &str, input: impl AsRef<[u8]>) -> Said {
    let mut command = command();
    command.args(arguments.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the built command starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    stdin.write_all(input.as_ref()).expect("the command reads all of its input");
    drop(stdin);
    Said::new(child.wait_with_output().expect("the built command ends"))
}
