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
pub use options::BUILT;
pub use protect::{Mark, NAME, Protect};

use crate::decide::ladder::Settings;
use crate::detect::Marks;
use crate::entry::Entry;
use crate::rung::Rung::{self, Flush, Grow, Trim};
use crate::sizing::Policy;
use crate::units::{Millis, Permille};
use heapless::Vec;

/// Most `protect` sections. One more is a fault.
pub const PROTECTS: usize = 16;

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
    pub ladder: Vec<Rung, 5>,
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
            ladder: ladder(&[Grow, Trim, Flush]),
            high: Permille(850),
            low: Permille(600),
            hold: Millis::seconds(10),
            flushes_per_hour: 4,
            flush_gain: Millis::seconds(60),
            sizing: Policy::DEFAULT,
            protect: Vec::new(),
        }
    }
}

fn ladder(rungs: &[Rung]) -> Vec<Rung, 5> {
    rungs.iter().copied().take(5).collect()
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
        }
    }

    /// Whether `entry` must never be evicted.
    pub fn protected(&self, entry: &Entry<'_>) -> bool {
        self.protect.iter().any(|p| p.covers(entry))
    }
}
