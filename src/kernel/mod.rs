//! Real kernels: scenarios as system calls, on this machine or in a virtual one.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod agent;
pub mod host;
pub mod sayable;
pub mod thin;
pub mod vm;
pub mod wire;
