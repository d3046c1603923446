//! The router's own addresses and interfaces.

use nix::net::if_::if_nametoindex;

/// The index of an interface; `None`: there is none of that name.
pub fn index_of(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// Placeholder until the route codec comes.
pub struct Own;

impl Own {
    pub fn interfaces(&self) -> impl Iterator<Item = u32> {
        std::iter::empty()
    }
}

/// The router's own addresses, as they are now.
pub fn own() -> Own {
    Own
}
