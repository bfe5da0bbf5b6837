use strum::{Display, EnumString, IntoStaticStr, VariantArray, VariantNames};

/// How a call that did not succeed tells user space: an errno, or a signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[allow(clippy::upper_case_acronyms)] // These are the names user space knows.
pub enum Failure {
    EFAULT,
    EAGAIN,
    EBUSY,
    EINVAL,
    EIO,
    ENOMEM,
    EEXIST,
    ENOENT,
    EPERM,
    EOPNOTSUPP,
    SIGSEGV,
    SIGBUS,
}

/// What userfaultfd stopped a thread for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// A store to a page that userfaultfd write-protected.
    Wp,
    /// A first touch of a page registered as missing.
    Missing,
    /// A first touch of a page that the page cache has and the page table does not.
    Minor,
}
