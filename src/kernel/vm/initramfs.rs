//! What a virtual machine starts from: an archive in memory with this very program, what it is linked with, and modules.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, str};

/// Where this program is in the archive; it is the kernel's `rdinit`.
pub const PROGRAM: &str = "/cowl";
/// Where its libraries are, whatever their place outside; it is the machine's `LD_LIBRARY_PATH`.
pub const LIBRARIES: &str = "/lib/cowl";
/// Where modules are, named in the order of loading.
pub const MODULES: &str = "/modules";

/// An archive of bytes larger than this is refused: the machine's memory holds it twice for a while.
const SIZE_MAX: usize = 256 << 20;

/// The archive for a kernel: `program` and the modules that lie in `modules` beside the kernel's image.
///
/// # Errors
/// Where the program, its libraries or a module cannot be read, or all of it is larger than 256 MiB.
pub fn build(program: &Path, kernel: &Path) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["/dev", "/proc", "/sys", "/tmp"] {
        archive.folder(folder);
    }
    archive.console();
    let image = fs::read(program)?;
    if let Some(loader) = interpreter(&image) {
        archive.file(&loader, 0o755, &fs::read(&loader)?);
        for (name, path) in libraries(&loader, program)? {
            archive.file(Path::new(LIBRARIES).join(name), 0o755, &fs::read(path)?);
        }
    }
    archive.file(PROGRAM, 0o755, &image);
    for path in modules(kernel)? {
        let name = path.file_name().unwrap_or_default();
        archive.file(Path::new(MODULES).join(name), 0o644, &fs::read(&path)?);
    }
    let bytes = archive.finish();
    match bytes.len() <= SIZE_MAX {
        true => Ok(bytes),
        false => Err(io::Error::other(format!("{} bytes are more than a machine is started from ({SIZE_MAX})", bytes.len()))),
    }
}

/// The modules beside a kernel's image, in order of their names; none where there is no such folder.
fn modules(kernel: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = kernel.with_file_name("modules");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension() == Some(OsStr::new("ko")));
    paths.sort();
    Ok(paths)
}

/// The loader that a program asks for; `None` where it is linked statically.
///
/// # Source
/// The ELF header and program header as elf(5) draws them: 64 bits, little endian; `PT_INTERP` is 3.
fn interpreter(image: &[u8]) -> Option<PathBuf> {
    let number = |at: usize, len: usize| {
        let bytes = image.get(at..at + len)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) as usize)
    };
    image.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (headers, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let header = (0..count).map(|place| headers + place * size).find(|at| number(*at, 4) == Some(3))?;
    let (at, len) = (number(header + 8, 8)?, number(header + 32, 8)?);
    let text = image.get(at..at + len)?.split(|byte| *byte == 0).next()?;
    Some(PathBuf::from(OsStr::from_bytes(text)))
}

/// What a program is linked with, as its loader finds it: names, and where they are.
fn libraries(loader: &Path, program: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let said = Command::new(loader).arg("--list").arg(program).output()?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        return Err(io::Error::other(format!("the loader {} lists no libraries: {why}", loader.display())));
    }
    Ok(listed(&String::from_utf8_lossy(&said.stdout)))
}

/// Lines of the form `libc.so.6 => /usr/lib/libc.so.6 (0x00007f…)`; the others name the loader itself or what the kernel maps.
fn listed(text: &str) -> Vec<(String, PathBuf)> {
    let line = |line: &str| {
        let (name, rest) = line.split_once(" => ")?;
        let path = rest.rsplit_once(" (").map_or(rest, |(path, _)| path);
        Some((name.trim().rsplit('/').next()?.to_owned(), PathBuf::from(path)))
    };
    text.lines().filter_map(line).collect()
}

/// An archive as the kernel unpacks it: `newc` of cpio(5).
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<PathBuf>,
}

impl Archive {
    /// A folder and those above it.
    fn folder(&mut self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        if path.parent().is_none() || !self.folders.insert(path.to_owned()) {
            return;
        }
        self.above(path);
        self.entry(path, 0o040_755, (0, 0), b"");
    }

    fn above(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.folder(parent);
        }
    }

    /// A file, and the folders above it.
    fn file(&mut self, path: impl AsRef<Path>, permissions: u32, bytes: &[u8]) {
        self.above(path.as_ref());
        self.entry(path.as_ref(), 0o100_000 | permissions, (0, 0), bytes);
    }

    /// What the kernel opens for its first process, before that has mounted anything.
    fn console(&mut self) {
        self.entry(Path::new("/dev/console"), 0o020_600, (5, 1), b"");
    }

    fn entry(&mut self, path: &Path, mode: u32, device: (u32, u32), bytes: &[u8]) {
        self.entries += 1;
        let name = path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes();
        let (len, name_len) = (bytes.len() as u32, name.len() as u32 + 1);
        self.bytes.extend_from_slice(b"070701");
        // Inode, mode, owner, group, links, time, length, device of the archive, device, length of the name, checksum.
        for field in [self.entries, mode, 0, 0, 1, 0, len, 0, 0, device.0, device.1, name_len, 0] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, (0, 0), b"");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, modes and contents of an archive, read as the kernel does.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |place: usize| {
                let text = str::from_utf8(&bytes[6 + place * 8..14 + place * 8]).expect("hexadecimal digits");
                u32::from_str_radix(text, 16).expect("a number")
            };
            let (mode, len, name_len) = (field(1), field(6) as usize, field(11) as usize);
            let name = str::from_utf8(&bytes[110..110 + name_len - 1]).expect("a name").to_owned();
            let at = (110 + name_len).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(bytes.len(), at);
                return entries;
            }
            entries.push((name, mode, bytes[at..at + len].to_owned()));
            bytes = &bytes[(at + len).next_multiple_of(4)..];
        }
    }

    #[test]
    fn an_archive_reads_back_with_folders_before_what_is_in_them() {
        let mut archive = Archive::default();
        archive.file("/a/b/c", 0o755, b"12345");
        archive.file("/a/d", 0o644, b"");
        let entries = read(&archive.finish());
        let names: Vec<_> = entries.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        assert_eq!(names, [("a", 0o40755), ("a/b", 0o40755), ("a/b/c", 0o100_755), ("a/d", 0o100_644)]);
        assert_eq!(entries[2].2, b"12345");
    }

    #[test]
    fn a_program_is_taken_along_with_its_loader_and_libraries() {
        let program = std::env::current_exe().expect("this test's own path");
        let entries = read(&build(&program, Path::new("/no/such/kernel")).expect("an archive"));
        let has = |name: &str| entries.iter().any(|(entry, ..)| entry == name);
        assert!(has("cowl") && has("dev/console"));
        if let Some(loader) = interpreter(&fs::read(&program).expect("this test itself")) {
            assert!(has(loader.strip_prefix("/").expect("a whole path").to_str().expect("text")), "{}", loader.display());
            assert!(has("lib/cowl/libc.so.6"));
        }
    }

    #[test]
    fn what_a_loader_lists_is_read_and_all_else_is_passed_over() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /usr/lib/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        assert_eq!(listed(text), [("libc.so.6".to_owned(), PathBuf::from("/usr/lib/libc.so.6"))]);
    }

    #[test]
    fn no_bytes_make_the_reader_of_headers_stumble() {
        let program = fs::read(std::env::current_exe().expect("this test's own path")).expect("this test itself");
        for len in 0..80 {
            assert_eq!(interpreter(&program[..len]), None);
        }
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
    }
}
