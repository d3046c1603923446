//! Leases become packet rules. Rules and empty sets are put in place ahead of trouble ([`Firewall::install`]); a lease is
//! then one message from a fixed buffer, and the kernel ends it by itself.
//!
//! ```text
//! fw4.rs       sets and rules that fw4 loads from the package's snippets; only looked at here
//! nft.rs       a table of our own and head rules in foreign base chains, by nft(8), once
//! iptables.rs  chains of our own behind `-m recent`; a lease is a line in /proc/net/xt_recent
//! snapshot.rs  iptables without xt_recent: rules set aside, a guardian that puts them back
//! script.rs    the firewall's init script
//! ```

use super::root::Root;
use ctwarden::config::Config;
use ctwarden::lease::{Backend, Lease};
use ctwarden::units::Millis;
use nix::errno::Errno;

/// What was found of our rules since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All of it is there, nothing has changed.
    Sound,
    /// The firewall was loaded anew or changed: what was missing has been put back. Leases may be gone: give them again
    /// with the time that they had left.
    Mended,
    /// Our rules are not there and cannot be put there from here.
    Missing,
}

/// The back end in use.
pub struct Firewall {
    backend: Backend,
}

impl Firewall {
    /// No back end yet.
    pub const fn new() -> Self {
        Self { backend: Backend::None }
    }

    /// The one in use.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Chooses the back end: the one forced by the config, else the first that would work here. Changes nothing.
    pub fn probe(&mut self, _root: &Root, _config: &Config) -> Backend {
        self.backend
    }

    /// Puts rules and empty sets in place. May start programs and wait for them.
    pub fn install(&mut self, _root: &Root, _config: &Config) -> Result<(), Errno> {
        Ok(())
    }

    /// Has somebody reloaded the firewall? One short exchange with the kernel when nothing has changed.
    pub fn recheck(&mut self, _root: &Root, _config: &Config) -> Health {
        Health::Sound
    }

    /// Gives leases for `term`, anew or once more. All of them or none.
    pub fn grant(&mut self, _root: &Root, _leases: &[Lease], _term: Millis) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Ends leases before their time. One that is not there is no error.
    pub fn revoke(&mut self, _root: &Root, _leases: &[Lease]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// What the kernel says is left of a lease; `None`: it is not there.
    pub fn left(&mut self, _root: &Root, _lease: &Lease) -> Option<Millis> {
        None
    }

    /// Takes everything of ours out again, leases included.
    pub fn remove(&mut self, _root: &Root) -> Result<(), Errno> {
        Ok(())
    }
}
