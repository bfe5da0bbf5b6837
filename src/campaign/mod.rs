//! Campaigns: what must hold whatever the input.

pub mod claims;
