//! One file a claim.

pub mod top;
