//! What is said to the kernel and what it answers: the effects, without a decision in them.

pub mod addresses;
pub mod counters;
pub mod evict;
pub mod log;
pub mod reader;
pub mod socket;
pub mod tables;
