//! What is said to the kernel and what it answers: the effects, without a decision in them.

#[cfg(feature = "nft")]
pub mod addresses;
pub mod counters;
pub mod evict;
pub mod log;
pub mod reader;
pub mod socket;
#[cfg(feature = "nft")]
pub mod tables;
