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

pub mod board;
pub mod call;
pub mod config;
pub mod decide;
pub mod describe;
pub mod detect;
pub mod entry;
pub mod event;
pub mod firewall;
pub mod guard;
pub mod history;
pub mod hook;
pub mod incident;
#[cfg(feature = "iptables")]
pub mod iptables;
pub mod journal;
pub mod lease;
pub mod metrics;
pub mod modules;
pub mod nftables;
pub mod observe;
pub mod out;
pub mod protocol;
pub mod replay;
pub mod rung;
pub mod sizing;
#[cfg(feature = "nft")]
pub mod stateless;
pub mod sysctl;
pub mod text;
pub mod totals;
pub mod units;
pub mod who;
pub mod wire;
