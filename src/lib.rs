//! What ctwarden decides, and why. Nothing in this library touches the system, reads a clock or allocates.
//!
//! ```text
//! /dev/kmsg ─┐
//! /proc      ├─> observe ─> detect ─> decide ─> journal ─> act ─> report
//! netlink  ──┘   (bytes →   (window,   (ladder,             (write,   (CLI socket, log)
//!                 values)    holds)     budgets)             read back)
//!       this library: pure, time is an argument    │ the binary: the only code that touches the system
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod decide;
pub mod entry;
pub mod rung;
pub mod sizing;
pub mod units;
pub mod wire;
