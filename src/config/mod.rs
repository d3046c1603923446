//! UCI text → [`Config`]. Every fault is named with file, line, section, option, value and what is allowed; a text with
//! faults makes no config.

mod draft;
mod fault;
mod network;
mod options;
mod protect;
pub mod uci;
mod value;
mod word;

use draft::Draft;
pub use fault::Fault;
pub use network::Network;
pub use protect::{Mark, NAME, Protect};

use crate::decide::ladder::Settings;
use crate::detect::Marks;
use crate::entry::Entry;
use crate::lease::{Backend, Scope};
use crate::rung::{
    RUNGS,
    Rung::{self, Flush, Grow, Shed, Trim},
};
use crate::sizing::Policy;
use crate::units::{Millis, Permille};
use heapless::{String, Vec};

/// Most `protect` sections. One more is a fault.
pub const PROTECTS: usize = 16;
/// Most interfaces in `lan`.
pub const LANS: usize = 4;
/// Most ports in `ports`.
pub const PORTS: usize = 8;
/// Longest name of an interface: the kernel's `IFNAMSIZ` less the zero.
pub const INTERFACE: usize = 15;

/// The file as it is shipped: every option explained, with the defaults.
pub const SHIPPED: &str = include_str!("../../openwrt/ctwarden/files/etc/config/ctwarden");

/// What an owner can say. The options and their meaning stand in [`SHIPPED`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether to act and to report at all.
    pub enabled: bool,
    /// Decide and report everything, change nothing.
    pub dry_run: bool,
    /// Rungs in the order they are climbed, each at most once. Empty: watch only.
    pub ladder: Vec<Rung, RUNGS>,
    /// Relief starts here; above `low`.
    pub high: Permille,
    /// Relief stops here.
    pub low: Permille,
    /// How long refusals with a full table must last before rungs that hurt are climbed; 0 is at once.
    pub hold: Millis,
    /// The flush budget; 0 is never.
    pub flushes_per_hour: u8,
    /// A flush that bought less than this is not repeated.
    pub flush_gain: Millis,
    /// A source or destination is capped for so long at a stretch.
    pub shed_seconds: Millis,
    /// Connections that a capped source may hold, by `ct count`; 0: its rate alone is capped.
    pub shed_count: u16,
    /// How far `open` opens.
    pub open_scope: Scope,
    /// How long at most.
    pub open_seconds: Millis,
    /// The budget of the ladder's own openings; 0 is never.
    pub opens_per_hour: u8,
    /// Where emergency rules go; `None`: what is found.
    pub backend: Option<Backend>,
    /// Keep the router's ports reachable from the LAN when the table is full.
    pub lifeline: bool,
    /// DNS too.
    pub lifeline_dns: bool,
    /// The interfaces that are the LAN.
    pub lan: Vec<String<INTERFACE>, LANS>,
    /// The router's TCP ports that lifeline and `open` are for.
    pub ports: Vec<u16, PORTS>,
    /// Run before all that is not of the real-time class; from the start.
    pub realtime: bool,
    /// Write metrics for a textfile collector.
    pub textfile: bool,
    /// How large the table is to be.
    pub sizing: Policy,
    /// Entries never to be evicted.
    pub protect: Vec<Protect, PROTECTS>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            enabled: true,
            dry_run: false,
            ladder: ladder(&[Grow, Trim, Shed, Flush]),
            high: Permille(850),
            low: Permille(600),
            hold: Millis::seconds(10),
            flushes_per_hour: 4,
            flush_gain: Millis::seconds(60),
            shed_seconds: Millis::seconds(600),
            shed_count: 0,
            open_scope: Scope::Router,
            open_seconds: Millis::seconds(600),
            opens_per_hour: 2,
            backend: None,
            lifeline: true,
            lifeline_dns: false,
            lan: String::try_from("br-lan").into_iter().collect(),
            ports: [22, 80, 443].into_iter().collect(),
            realtime: false,
            textfile: false,
            sizing: Policy::DEFAULT,
            protect: Vec::new(),
        }
    }
}

fn ladder(rungs: &[Rung]) -> Vec<Rung, RUNGS> {
    rungs.iter().copied().take(RUNGS).collect()
}

/// How many faults a text had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faulty(pub u32);

impl Config {
    /// Reads the text of `file` (a name for the faults only). What it does not say is as in [`Config::default`].
    ///
    /// # Errors
    /// The number of faults; each was handed to `faults`, in the order of lines but for those that only show at the end.
    pub fn parse(text: &[u8], file: &str, faults: &mut dyn FnMut(&Fault<'_>)) -> Result<Config, Faulty> {
        Draft::new(file, faults).read(text)
    }

    /// What of it the ladder and the detector go by.
    pub fn settings(&self) -> Settings {
        Settings {
            ladder: self.ladder.clone(),
            marks: Marks { high: self.high, low: self.low, hold: self.hold },
            flushes_per_hour: self.flushes_per_hour,
            flush_gain: self.flush_gain,
            open_scope: self.open_scope,
            opens_per_hour: self.opens_per_hour,
        }
    }

    /// Whether `entry` must never be evicted.
    pub fn protected(&self, entry: &Entry<'_>) -> bool {
        self.protect.iter().any(|p| p.covers(entry))
    }
}
