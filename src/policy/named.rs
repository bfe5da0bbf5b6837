//! The built-in policies by name, and what a list of names and ranges means.

use super::{Policy, era, nearest};

/// The name that stands for the newest release.
pub const LATEST_NAME: &str = "latest";

/// A built-in policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// As it is written: `linux-5.9`.
    pub name: &'static str,
    pub kind: Kind,
    pub policy: Policy,
    /// What it stands for, in a few words; empty for a release.
    pub says: &'static str,
}

/// What a built-in policy is. Only releases have an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A mainline release, by its number.
    Release(u16, u16),
    /// A stable tree with what was taken back into it.
    Stable,
    /// A design that was argued for on the list.
    Proposal,
}

/// Why a range means nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RangeError {
    /// This end has no release number.
    #[error("`{end}` has no place in release order")]
    NotARelease { end: String },
    /// The first end is the newer one.
    #[error("the range runs backwards: `{from}` is newer than `{to}`")]
    Backwards { from: String, to: String },
    /// No built-in release lies in it. An end that was left out is `None`; `around` are the built-in releases next to it.
    #[error("no built-in release {}", missing(from, to))]
    Empty { from: Option<String>, to: Option<String>, around: Vec<&'static str> },
}

impl RangeError {
    /// What to write instead, in the imperative.
    pub fn help(&self) -> String {
        match self {
            RangeError::NotARelease { end } => match nearest(end, builtin().iter().map(|named| named.name)) {
                Some(name) if releases().all(|named| named.name != name) => {
                    format!("name `{name}` by itself, beside the range: stable trees and proposals are in none")
                }
                Some(name) => format!("did you mean `{name}`?"),
                None => "give a release such as `linux-5.9` at each end, or leave the end out".to_owned(),
            },
            RangeError::Backwards { from, to } => format!("write `{to}..{from}`"),
            RangeError::Empty { around, .. } => format!("widen it to take in {}", around.join(" or ")),
        }
    }
}

/// What a range without releases asked for.
fn missing(from: &Option<String>, to: &Option<String>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("lies between `{from}` and `{to}`"),
        (Some(from), None) => format!("is as new as `{from}`"),
        (None, Some(to)) => format!("is as old as `{to}`"),
        (None, None) => "is there".to_owned(),
    }
}

/// Every built-in policy: the releases, oldest first, then the stable trees, then the proposals.
pub fn builtin() -> &'static [Named] {
    era::BUILTIN
}

/// The built-in policy of that name; `latest` is the newest release.
pub fn find(name: &str) -> Option<&'static Named> {
    match name {
        LATEST_NAME => releases().last(),
        _ => builtin().iter().find(|named| named.name == name),
    }
}

/// The built-in releases between two ends, both included, oldest first.
///
/// An end is a release number and need not be built in: `..linux-5.10` ends with `linux-5.9`. An end that is left out is open. Stable
/// trees and proposals are in no range.
///
/// # Errors
/// Where an end is no release, the ends are the wrong way round, or no built-in release lies between them.
///
/// # Example
/// ```
/// let names: Vec<_> = cowl::policy::range(None, Some("linux-5.10")).unwrap().iter().map(|named| named.name).collect();
/// assert_eq!(names, ["linux-5.7", "linux-5.8", "linux-5.9"]);
/// ```
pub fn range(from: Option<&str>, to: Option<&str>) -> Result<Vec<&'static Named>, RangeError> {
    let low = from.map_or(Ok((0, 0)), number)?;
    let high = to.map_or(Ok((u16::MAX, u16::MAX)), number)?;
    let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
    if let (Some(from), Some(to), true) = (&from, &to, high < low) {
        return Err(RangeError::Backwards { from: from.clone(), to: to.clone() });
    }
    let place = |named: &Named| match named.kind {
        Kind::Release(major, minor) => Some((major, minor)),
        Kind::Stable | Kind::Proposal => None,
    };
    let found: Vec<_> = builtin().iter().filter(|named| place(named).is_some_and(|at| low <= at && at <= high)).collect();
    if found.is_empty() {
        let below = releases().rfind(|named| place(named) < Some(low));
        let above = releases().find(|named| Some(high) < place(named));
        let around = below.into_iter().chain(above).map(|named| named.name).collect();
        return Err(RangeError::Empty { from, to, around });
    }
    Ok(found)
}

/// The built-in policy that a running kernel is compared with: the stable tree of its series, else the newest release that is not
/// newer. `None` where every release is newer, or `uname -r` says no number.
///
/// # Example
/// ```
/// let name = |release| cowl::policy::of_kernel(release).map(|named| named.name);
/// assert_eq!(name("5.10.0-46-cloud-amd64"), Some("linux-5.10-stable"));
/// assert_eq!(name("6.18.44"), Some("linux-6.18"));
/// ```
pub fn of_kernel(release: &str) -> Option<&'static Named> {
    let (at, _) = numbers(release)?;
    let stable = format!("linux-{}.{}-stable", at.0, at.1);
    let tree = builtin().iter().find(|named| named.kind == Kind::Stable && named.name == stable);
    tree.or_else(|| releases().rfind(|named| matches!(named.kind, Kind::Release(major, minor) if (major, minor) <= at)))
}

/// What a point release makes of the policy of its series.
pub type PointFix = fn(Policy) -> Policy;

/// What the point release of a running kernel makes of [`of_kernel`]'s policy; `None` where that is what it is.
///
/// # Example
/// ```
/// use cowl::policy::{Defect, of_kernel, of_point};
/// let has_b41 = |release| {
///     let policy = of_kernel(release).unwrap().policy;
///     of_point(release).map_or(policy, |fix| fix(policy)).defects.has(Defect::B41)
/// };
/// assert!(has_b41("6.18.15") && !has_b41("6.18.44"));
/// ```
pub fn of_point(release: &str) -> Option<PointFix> {
    let (at, point) = numbers(release)?;
    let fix = era::POINTS.iter().find(|(series, since, _)| *series == at && *since <= point);
    fix.map(|(_, _, fix)| *fix)
}

/// The series and the point release of `uname -r`: of `6.18.15+deb13` (6, 18) and 15.
fn numbers(release: &str) -> Option<((u16, u16), u16)> {
    let (major, rest) = release.split_once('.')?;
    let mut numbers = rest.split(|char: char| !char.is_ascii_digit());
    let series = (digits(major)?, digits(numbers.next()?)?);
    Some((series, numbers.next().and_then(digits).unwrap_or(0)))
}

/// The release number of a name: of `linux-5.9` (5, 9).
fn number(name: &str) -> Result<(u16, u16), RangeError> {
    if let Some(Named { kind: Kind::Release(major, minor), .. }) = find(name) {
        return Ok((*major, *minor));
    }
    let parts = name.strip_prefix("linux-").and_then(|rest| rest.split_once('.'));
    parts
        .and_then(|(major, minor)| Some((digits(major)?, digits(minor)?)))
        .ok_or_else(|| RangeError::NotARelease { end: name.to_owned() })
}

fn digits(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn releases() -> impl DoubleEndedIterator<Item = &'static Named> {
    builtin().iter().filter(|named| matches!(named.kind, Kind::Release(..)))
}
