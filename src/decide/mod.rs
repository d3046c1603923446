//! What to do about it: which rung, when, and whose entries.

pub mod sample;
pub mod trim;
