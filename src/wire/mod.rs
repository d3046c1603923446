//! Binary languages, the kernel's and ubus's: bytes ↔ values in fixed buffers. No socket is opened here.

pub mod blob;
pub mod conntrack;
pub mod netlink;
pub mod nftables;
pub mod route;
pub mod ubus;
