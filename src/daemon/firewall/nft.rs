//! Sets with timeouts, in `inet fw4` (put there by fw4 itself, from the package's snippets) or in a table of our own.

use super::Health;
use crate::daemon::root::Root;
use ctwarden::config::Config;
use ctwarden::lease::Lease;
use ctwarden::units::Millis;
use nix::errno::Errno;

pub struct Nft {
    /// Our sets' table, of family inet.
    table: &'static str,
}

impl Nft {
    pub const fn new(table: &'static str) -> Self {
        Self { table }
    }
    pub fn usable(&mut self, _root: &Root) -> bool {
        false
    }
    pub fn install(&mut self, _root: &Root, _config: &Config) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn recheck(&mut self, _root: &Root, _config: &Config) -> Health {
        Health::Missing
    }
    pub fn grant(&mut self, _root: &Root, _leases: &[Lease], _term: Millis) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn revoke(&mut self, _root: &Root, _leases: &[Lease]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    pub fn left(&mut self, _root: &Root, _lease: &Lease) -> Option<Millis> {
        None
    }
    pub fn remove(&mut self, _root: &Root) -> Result<(), Errno> {
        Ok(())
    }
}
