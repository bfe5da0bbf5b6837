//! Swap of one's own: a file on a disk, or a zram device.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::settings::{self, Undo};
use crate::kernel::agent::stretch::PAGE;
use crate::kernel::agent::sys;

/// Slots where a scenario does not say how many.
const SLOTS: u16 = 16_384;

/// Slots of a cluster.
const CLUSTER: u16 = 256;

/// Names what is swapped to instead of a file, in the environment: a block device, which is overwritten.
pub const SWAP: &str = "COWL_SWAP";

const ZRAM: &str = "/sys/class/zram-control";

/// Arranges swap.
pub(super) fn on(zram: bool, slots: Option<u16>, journal: &mut Vec<Undo>) -> Result<(), String> {
    let header = header(slots.unwrap_or(SLOTS));
    match (zram, std::env::var_os(SWAP)) {
        (true, _) => on_zram(&header, journal),
        (false, Some(device)) => {
            let device = device.to_string_lossy();
            if slots.is_some_and(|slots| slots < CLUSTER) {
                turning(&device, journal)?;
            }
            on_device(&device, &header, journal)
        }
        (false, None) => on_file(&header, journal),
    }
}

/// The first page of a swap area, and how long the area is.
struct Header {
    page: [u8; PAGE],
    bytes: u64,
}

/// What mkswap(8) writes: version, last page, bad pages at byte 1024, the magic word at the end.
fn header(slots: u16) -> Header {
    let mut page = [0; PAGE];
    page[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    page[1028..1032].copy_from_slice(&u32::from(slots).to_ne_bytes());
    page[PAGE - 10..].copy_from_slice(b"SWAPSPACE2");
    Header { page, bytes: (u64::from(slots) + 1) * PAGE as u64 }
}

fn on_file(header: &Header, journal: &mut Vec<Undo>) -> Result<(), String> {
    let mut why = String::new();
    for folder in [std::env::temp_dir(), "/var/tmp".into()] {
        let path = folder.join(format!("cowl-swap-{}", std::process::id())).display().to_string();
        let begun = journal.len();
        match file(&path, header, journal).and_then(|()| swapon(&path, journal)) {
            Ok(()) => return Ok(()),
            Err(error) => {
                why = format!("no swap file in {}: {error}", folder.display());
                for undo in journal.split_off(begun).iter().rev() {
                    undo.undo()?;
                }
            }
        }
    }
    Err(why)
}

/// A file without holes, as swap must be.
fn file(path: &str, header: &Header, journal: &mut Vec<Undo>) -> io::Result<()> {
    journal.push(Undo::Remove { path: path.to_owned() });
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&header.page)?;
    let (zeros, mut left) = ([0; 64 * PAGE], header.bytes - PAGE as u64);
    while 0 < left {
        let some = left.min(zeros.len() as u64);
        file.write_all(&zeros[..some as usize])?;
        left -= some;
    }
    file.sync_all()
}

/// Says of a device that it turns: of one that does not, a kernel before 6.12 finds no free cluster in a smaller area, and not
/// its first slot (mm/swapfile.c, `scan_swap_map_slots`).
fn turning(device: &str, journal: &mut Vec<Undo>) -> Result<(), String> {
    let name = device.rsplit('/').next().unwrap_or_default();
    let path = format!("/sys/class/block/{name}/queue/rotational");
    if Path::new(&path).exists() { settings::write(&path, "1", journal) } else { Ok(()) }
}

fn on_device(path: &str, header: &Header, journal: &mut Vec<Undo>) -> Result<(), String> {
    let mut device = OpenOptions::new().write(true).open(path).map_err(|error| format!("{path}: {error}"))?;
    let written = device.write_all(&header.page).and_then(|()| device.sync_all());
    drop(device);
    written.and_then(|()| swapon(path, journal)).map_err(|error| format!("{path}: {error}"))
}

fn on_zram(header: &Header, journal: &mut Vec<Undo>) -> Result<(), String> {
    if !Path::new(ZRAM).exists() {
        return Err("zram is not there (load its module)".to_owned());
    }
    let text = fs::read_to_string(format!("{ZRAM}/hot_add")).map_err(|error| format!("no new zram device: {error}"))?;
    let number: u32 = text.trim().parse().map_err(|_| format!("zram gave `{}` as a new device", text.trim()))?;
    journal.push(Undo::Zram { number });
    let size = format!("/sys/block/zram{number}/disksize");
    fs::write(&size, header.bytes.to_string()).map_err(|error| format!("{size}: {error}"))?;
    on_device(&format!("/dev/zram{number}"), header, journal)
}

fn swapon(path: &str, journal: &mut Vec<Undo>) -> io::Result<()> {
    journal.push(Undo::Swapoff { path: path.to_owned() });
    sys::swap_on(&CString::new(path)?)
}

/// Takes away the swap that was arranged.
pub(super) fn off(journal: &[Undo]) -> Result<(), String> {
    let mut ours = journal.iter().filter_map(|undo| if let Undo::Swapoff { path } = undo { Some(path) } else { None });
    ours.try_for_each(|path| swapoff(path))
}

/// swapoff(2); what is no swap is no failure, nor what this user may not switch off: nothing was switched on then.
pub(super) fn swapoff(path: &str) -> Result<(), String> {
    let done = CString::new(path).map_err(io::Error::from).and_then(|path| sys::swap_off(&path));
    match done {
        Err(error) if ![Some(libc::EINVAL), Some(libc::ENOENT), Some(libc::EPERM)].contains(&error.raw_os_error()) => {
            Err(format!("swapoff {path}: {error}"))
        }
        _ => Ok(()),
    }
}

/// Gives a zram device back.
pub(super) fn remove_zram(number: u32) -> Result<(), String> {
    let device = format!("/sys/block/zram{number}");
    if !Path::new(&device).exists() {
        return Ok(());
    }
    let write = |path: String, text: &str| fs::write(&path, text).map_err(|error| format!("{path}: {error}"));
    write(format!("{device}/reset"), "1")?;
    write(format!("{ZRAM}/hot_remove"), &number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_header_says_how_many_slots_follow_it() {
        let made = header(8);
        assert_eq!((made.bytes, &made.page[1028..1032]), (9 * 4096, &8u32.to_ne_bytes()[..]));
        assert!(made.page.ends_with(b"SWAPSPACE2"));
    }
}
