//! Kernels by the names that people know them by: where `tools/fetch-kernels` puts them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Says every kernel there is.
const ALL: &str = "all";

/// The kernels of a name: a path as it is, of a series (`5.10`, `7`) the newest, of `all` each, oldest first.
///
/// # Errors
/// Why there is none, and what to do.
pub fn kernels(name: &Path) -> Result<Vec<PathBuf>, String> {
    let Some(wanted) = name.to_str().filter(|name| is_series(name) || *name == ALL).filter(|_| !name.exists()) else {
        return Ok(vec![name.to_owned()]);
    };
    let folder = folder().ok_or("neither XDG_CACHE_HOME nor HOME is set, so nobody knows where kernels are kept")?;
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let releases =
        entries.filter(|entry| entry.path().join("vmlinuz").is_file()).filter_map(|entry| entry.file_name().into_string().ok());
    let chosen = chosen(wanted, releases.collect());
    let found: Vec<PathBuf> = chosen.iter().map(|release| folder.join(release).join("vmlinuz")).collect();
    match (found.is_empty(), wanted) {
        (false, _) => Ok(found),
        (true, ALL) => Err(format!("{} holds no kernel: run `tools/fetch-kernels`", folder.display())),
        (true, series) => Err(format!("{} holds no {series} kernel: run `tools/fetch-kernels {series}`", folder.display())),
    }
}

fn folder() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Some(cache?.join("cowl/kernels"))
}

/// `5.10` or `7`, as `tools/fetch-kernels` takes them, or as much of a release as one likes: `6.12.117`.
fn is_series(name: &str) -> bool {
    name.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a name means among these releases.
fn chosen(wanted: &str, mut releases: Vec<String>) -> Vec<String> {
    releases.sort_by_key(|release| numbers(release));
    if wanted == ALL {
        return releases;
    }
    let series = numbers(wanted);
    releases.retain(|release| numbers(release).starts_with(&series));
    releases.pop().into_iter().collect()
}

/// 6, 12 and 117 of `6.12.117+deb13-cloud-amd64`; 5, 10, 0 and 46 of `5.10.0-46-cloud-amd64`.
fn numbers(release: &str) -> Vec<u64> {
    release.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_its_newest_release_by_number_and_all_are_in_their_order() {
        let names =
            ["6.12.117+deb13-cloud-amd64", "6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64", "5.10.0-46-cloud-amd64", "7.3.4"];
        let chosen = |wanted: &str| chosen(wanted, names.map(str::to_owned).into());
        assert_eq!(chosen("6.1"), ["6.1.0-56-cloud-amd64"]);
        assert_eq!(chosen("6"), ["6.12.117+deb13-cloud-amd64"]);
        assert_eq!(chosen("6.12.117"), ["6.12.117+deb13-cloud-amd64"]);
        assert_eq!(chosen("5.1"), [""; 0]);
        assert_eq!(chosen("all"), [names[3], names[2], names[1], names[0], names[4]]);
    }

    #[test]
    fn a_path_is_itself_and_words_that_are_no_series_are_paths() {
        for name in ["/boot/vmlinuz", "vmlinuz-5.10", "5.10-rc1", "5..10", "", "Cargo.toml"] {
            assert_eq!(kernels(Path::new(name)), Ok(vec![PathBuf::from(name)]));
        }
    }
}
