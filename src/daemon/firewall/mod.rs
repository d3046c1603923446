//! Leases become packet rules. Rules and empty sets are put in place ahead of trouble ([`Firewall::install`]); a lease is
//! then one message from a fixed buffer, and the kernel ends it by itself.
//!
//! ```text
//! check.rs     would the owner's own rules let the lifeline in?
//! nft/         sets and rules in `inet fw4`, loaded by fw4 itself; else in a table of our own, with head rules in foreign
//!              base chains, put there by nft(8) once
//! iptables/    chains of our own behind `-m recent`; a lease is a line in /proc/net/xt_recent
//! aside.rs     iptables without xt_recent: rules set aside; or the firewall's init script, stopped
//! guardian.rs  the child that puts them back
//! program.rs   other programs: started, fed, waited for; room.rs: places for what they print
//! stateless.rs the rules that need connection tracking, out and back
//! ```

#[cfg(feature = "iptables")]
mod aside;
pub mod check;
#[cfg(feature = "iptables")]
mod guardian;
#[cfg(feature = "iptables")]
mod iptables;
mod nft;
pub mod program;
#[cfg(any(feature = "iptables", feature = "stateless"))]
pub mod room;
#[cfg(feature = "stateless")]
pub mod stateless;

use super::root::Root;
#[cfg(feature = "iptables")]
use aside::Aside;
use ctwarden::config::Config;
use ctwarden::lease::{Backend, Lease};
use ctwarden::units::Millis;
#[cfg(feature = "iptables")]
use iptables::Iptables;
use nft::Nft;
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
    fw4: Nft,
    nft: Nft,
    #[cfg(feature = "iptables")]
    iptables: Iptables,
    #[cfg(feature = "iptables")]
    snapshot: Aside,
    #[cfg(feature = "iptables")]
    script: Aside,
}

/// The same call to whichever is in use.
macro_rules! dispatch {
    ($self:ident, $call:ident($($argument:expr),*), $none:expr) => {
        match $self.backend {
            Backend::Fw4 => $self.fw4.$call($($argument),*),
            Backend::Nft => $self.nft.$call($($argument),*),
            #[cfg(feature = "iptables")]
            Backend::Iptables => $self.iptables.$call($($argument),*),
            #[cfg(feature = "iptables")]
            Backend::Snapshot => $self.snapshot.$call($($argument),*),
            #[cfg(feature = "iptables")]
            Backend::Script => $self.script.$call($($argument),*),
            // None, or one that this build does without.
            _ => $none,
        }
    };
}

impl Firewall {
    /// No back end yet.
    pub const fn new() -> Self {
        Self {
            backend: Backend::None,
            fw4: Nft::fw4(),
            nft: Nft::own(),
            #[cfg(feature = "iptables")]
            iptables: Iptables::new(),
            #[cfg(feature = "iptables")]
            snapshot: Aside::snapshot(),
            #[cfg(feature = "iptables")]
            script: Aside::script(),
        }
    }

    /// The one in use.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Chooses the back end: the one forced by the config, else the first that would work here. Changes nothing.
    pub fn probe(&mut self, root: &Root, config: &Config) -> Backend {
        self.backend = config.backend.unwrap_or_else(|| {
            Backend::ALL
                .into_iter()
                .find(|backend| {
                    self.backend = *backend;
                    dispatch!(self, usable(root), false)
                })
                .unwrap_or_default()
        });
        self.backend
    }

    /// This one from now on.
    pub const fn use_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// Puts rules and empty sets in place. May start programs and wait for them.
    pub fn install(&mut self, root: &Root, config: &Config) -> Result<(), Errno> {
        let done = dispatch!(self, install(root, config), Ok(()));
        crate::daemon::crash::step();
        done
    }

    /// Has somebody reloaded the firewall? One short exchange with the kernel when nothing has changed.
    pub fn recheck(&mut self, root: &Root, config: &Config) -> Health {
        dispatch!(self, recheck(root, config), Health::Sound)
    }

    /// Gives leases for `term`, anew or once more. All of them or none.
    pub fn grant(&mut self, root: &Root, leases: &[Lease], term: Millis) -> Result<(), Errno> {
        // To nftables a timeout of 0 is none: it would be one for ever.
        if term == Millis(0) {
            return Err(Errno::ETIME);
        }
        if self.translates() && leases.iter().any(|l| matches!(l, Lease::Lan { .. })) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let done = dispatch!(self, grant(root, leases, term), Err(Errno::EOPNOTSUPP));
        crate::daemon::crash::step();
        done
    }

    /// Whether IPv6 between LAN and WAN is translated, or may be: no lease of [`Lease::Lan`] then. As of the last look.
    pub fn translates(&self) -> bool {
        dispatch!(self, translates(), false)
    }

    /// Chains of others that may refuse what a lease opens, and where it has no say.
    pub fn left_alone(&self) -> u16 {
        match self.backend {
            Backend::Nft => self.nft.left_alone(),
            _ => 0,
        }
    }

    /// Connections of capped sources are counted.
    pub fn counts(&self) -> bool {
        self.backend == Backend::Nft && self.nft.counts()
    }

    /// Ends leases before their time. One that is not there is no error.
    pub fn revoke(&mut self, root: &Root, leases: &[Lease]) -> Result<(), Errno> {
        let done = dispatch!(self, revoke(root, leases), Ok(()));
        crate::daemon::crash::step();
        done
    }

    /// What the kernel says is left of a lease; `None`: it is not there.
    pub fn left(&mut self, root: &Root, lease: &Lease) -> Option<Millis> {
        dispatch!(self, left(root, lease), None)
    }

    /// Takes everything of ours out again, leases included.
    pub fn remove(&mut self, root: &Root) -> Result<(), Errno> {
        let done = dispatch!(self, remove(root), Ok(()));
        crate::daemon::crash::step();
        done
    }
}

/// `ctwarden guardian …`, which the daemon starts and the init script calls: whether all went well.
#[cfg(feature = "iptables")]
pub fn guardian(what: &str) -> bool {
    guardian::main(what.as_bytes())
}
