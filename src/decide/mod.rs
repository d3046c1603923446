//! What to do about it: which rung, when, and whose entries.

mod action;
pub mod ladder;
pub mod sample;
pub mod shed;
pub mod trim;
