//! What has been: the charts' rings and the counts, in static memory of their own.

use ctwarden::event::Event;
use ctwarden::history::Rings;
use ctwarden::totals::Totals;
use std::sync::{Mutex, MutexGuard};

/// All zeros to begin with: no room in the binary, and of RAM only what is used.
static RINGS: Mutex<Rings> = Mutex::new(Rings::new());
static TOTALS: Mutex<Totals> = Mutex::new(Totals::new());

/// The rings, for the loop to keep: a second time would wait for ever, since there is one thread.
pub fn rings() -> MutexGuard<'static, Rings> {
    RINGS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The counts, for a moment: whatever is told is counted.
pub fn totals() -> MutexGuard<'static, Totals> {
    TOTALS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub fn count(event: &Event) {
    totals().count(event);
}
