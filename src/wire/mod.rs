//! The kernel's binary language: bytes ↔ values in fixed buffers. No socket is opened here.

pub mod conntrack;
pub mod netlink;
pub mod nftables;
pub mod route;
