//! Campaigns: what must hold whatever the input, the hunt for what does not, and the smallest program that shows it.

pub mod bank;
pub mod bodies;
pub mod books;
pub mod claims;
pub mod cover;
pub mod crash;
pub mod encode;
pub mod exec;
pub mod finding;
pub mod hunt;
pub mod known;
pub mod mutate;
pub mod on_kernel;
pub mod race;
pub mod reduce;
pub mod smallest;
pub mod tell;

#[cfg(test)]
mod tests;
