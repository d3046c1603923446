//! The iptables side of leases as text: what is loaded, what is read back.
//!
//! ```text
//! config, iptables-save ──> plan ──> rules ──> iptables-restore --noflush
//!                                      └─> recent: /proc/net/xt_recent/ctwarden_* (one file is one switch, or a list of hogs)
//! snapshot: iptables-save before and after ──> what to restore
//! ```

pub mod plan;
pub mod recent;
pub mod rules;
pub mod saved;
pub mod snapshot;

/// IPv4 and IPv6 have programs, tables and lists of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// What the names of IPv6 lists end in: one list for both would have the mask of whichever rule came first.
    pub const fn suffix(self) -> &'static str {
        match self {
            Family::V4 => "",
            Family::V6 => "6",
        }
    }
}
