//! Files in: what was asked for, found and read, or why not.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::diag::{Finding, Source};
use crate::lower::Included;
use crate::policy::nearest;

/// The largest text that is read, in bytes; places are 32-bit and what is read stays in memory.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// How deep folders are followed.
pub const FOLDER_DEPTH_MAX: usize = 64;
/// What stands for standard input.
pub const STDIN: &str = "-";
/// What a scenario file is called.
const EXTENSION: &str = "cow";

/// A text that was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: PathBuf,
    /// It was found in a folder rather than named, so that it need not have scenarios.
    pub found: bool,
    pub source: Source,
}

/// Why a path gave no text: where, and what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub path: String,
    pub finding: Finding,
}

/// The texts that are meant by `paths`, folders replaced by their `.cow` files in sorted order, each file once and read when its turn
/// comes; first whatever cannot be found.
pub fn texts(paths: &[PathBuf]) -> impl ExactSizeIterator<Item = Result<Asked, Box<Refused>>> + use<> {
    let (named, refused) = expand(paths);
    let refused = refused.into_iter().map(|refused| Err(Box::new(refused)));
    let turns: Vec<Result<Named, Box<Refused>>> = refused.chain(named.into_iter().map(Ok)).collect();
    turns.into_iter().map(|named| {
        let Named { path, found } = named?;
        let source = Source::new(name(&path), read(&path)?);
        Ok(Asked { path, found, source })
    })
}

/// A file that was named, or found in a folder.
#[derive(PartialEq, Eq, Debug)]
struct Named {
    path: PathBuf,
    found: bool,
}

fn expand(paths: &[PathBuf]) -> (Vec<Named>, Vec<Refused>) {
    let mut asked: Vec<Named> = Vec::new();
    let mut refused = Vec::new();
    for path in paths {
        if !path.is_dir() {
            push_once(&mut asked, Named { path: path.clone(), found: false });
            continue;
        }
        let mut found = Vec::new();
        if let Err((at, error)) = collect(path, 0, &mut found) {
            refused.push(unreadable(&at, &error));
        } else if found.is_empty() {
            let help = format!("name a file, or a folder that holds files ending in `.{EXTENSION}`");
            refused.push(refuse(path, "empty_folder", format!("no `.{EXTENSION}` file in this folder"), help));
        }
        for path in found {
            push_once(&mut asked, Named { path, found: true });
        }
    }
    (asked, refused)
}

fn push_once(asked: &mut Vec<Named>, next: Named) {
    match asked.iter_mut().find(|other| other.path == next.path) {
        Some(other) => other.found &= next.found,
        None => asked.push(next),
    }
}

/// All `.cow` files below a folder, in order of their names; names that begin with a dot are passed over, as are links to folders.
fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (folder.to_owned(), error);
    if FOLDER_DEPTH_MAX < depth {
        return Err(at(io::Error::other(format!("folders lie more than {FOLDER_DEPTH_MAX} deep"))));
    }
    let mut entries = fs::read_dir(folder).map_err(at)?.collect::<Result<Vec<_>, _>>().map_err(at)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| (path.clone(), error))?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            collect(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
            found.push(path);
        }
    }
    Ok(())
}

/// The text at a path, `-` for standard input; without the mark that some editors put before UTF-8.
///
/// # Errors
/// Where there is no such file, it cannot be read, it is larger than [`FILE_BYTES_MAX`], or it is not UTF-8.
pub fn read(path: &Path) -> Result<String, Box<Refused>> {
    let bytes = if path == Path::new(STDIN) { read_all(io::stdin().lock()) } else { fs::File::open(path).and_then(read_all) };
    let bytes = bytes.map_err(|error| Box::new(unreadable(path, &error)))?;
    if FILE_BYTES_MAX < bytes.len() as u64 {
        let message = format!("larger than {} MiB, the most that is read", FILE_BYTES_MAX >> 20);
        return Err(Box::new(refuse(path, "too_large", message, "split it into several files")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("not UTF-8: byte {} (line {line}) begins no character", good.len());
        Box::new(refuse(path, "not_utf8", message, "save it as UTF-8; a byte inside a string is written `\\xNN`"))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A name for people; what is not UTF-8 in it is replaced.
pub fn name(path: &Path) -> String {
    path.display().to_string()
}

fn refuse(path: &Path, code: &str, message: String, help: impl Into<String>) -> Refused {
    Refused { path: name(path), finding: Finding::error(&format!("cowl::input::{code}"), message, help) }
}

/// What is said of a file that was named and has no scenario.
pub fn no_scenario() -> Finding {
    let help = "write one as `scenario NAME { … }`, or run the file that takes this one in by `use`";
    Finding::error("cowl::input::no_scenario", "no scenario in this file", help)
}

/// What a file that cannot be written comes to.
pub fn unwritable(path: &Path, error: &io::Error) -> Refused {
    refuse(path, "unwritable", format!("cannot be written: {}", plain(error)), "")
}

/// The file that another takes in by `use`: its path is relative to that file.
///
/// # Errors
/// Where it cannot be read: why.
pub fn used(from: &str, path: &str) -> Result<Included, String> {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let path = plain_path(&folder.join(path));
    match read(&path) {
        Ok(text) => Ok(Included { name: name(&path), text }),
        Err(refused) => Err(refused.finding.message),
    }
}

/// `a/../b/./c` as `b/c`, so that a file has one name however it is reached.
fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The words of the system, in lower case and without their number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// What a file system error comes to.
pub fn unreadable(path: &Path, error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::NotFound => refuse(path, "missing", "no such file".to_owned(), near_files(path)),
        io::ErrorKind::PermissionDenied => refuse(path, "unreadable", "permission denied".to_owned(), "see who may read it"),
        _ => refuse(path, "unreadable", format!("cannot be read: {}", plain(error)), ""),
    }
}

/// The file that was probably meant, out of the same folder.
fn near_files(path: &Path) -> String {
    let Some(wanted) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return String::new() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else {
        return format!("there is no folder `{}` either", folder.display());
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let near = nearest(&wanted, names.iter().map(String::as_str));
    match near.or_else(|| nearest(&format!("{wanted}.{EXTENSION}"), names.iter().map(String::as_str))) {
        Some(near) => format!("did you mean `{}`?", path.with_file_name(near).display()),
        None => String::new(),
    }
}
