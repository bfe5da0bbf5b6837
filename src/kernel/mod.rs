//! Real kernels: scenarios as system calls, on this machine or in a virtual one.

pub mod vm;
pub mod wire;
