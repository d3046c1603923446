//! What the threads of one trial tell each other and the screen: numbers that only grow, and three signals.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Shared by all threads of one trial.
#[derive(Default)]
pub struct Gauges {
    /// The attack is under way: what starts now is counted.
    pub counting: AtomicBool,
    /// The far side of the idle flows says its word now.
    pub speak: AtomicBool,
    /// All threads end.
    pub stop: AtomicBool,

    /// The neighbour's new connections: begun, and their ends.
    pub tried: Count,
    pub connected: Count,
    pub failed: Count,
    /// The same, those before the attack as well: for the screen.
    pub all_connected: Count,
    pub all_failed: Count,
    /// The attackers' own: SYNs or first datagrams sent, and answered within half a second.
    pub hog_tried: Count,
    pub hog_answered: Count,
    /// All they began, the uncounted ones at the end as well: for the screen.
    pub hog_all: Count,
    /// Long-lived, idle, download and loop flows lost.
    pub lost: Count,
    /// Bytes the download brought.
    pub downloaded: Count,

    /// The router's table.
    pub entries: Count,
    pub peak: Count,
    pub refusals: Count,

    /// The guard's log, its newest lines, and how many of them told of an act.
    pub log: Mutex<VecDeque<String>>,
    pub acts: Count,
}

/// Lines of the guard's log that are kept.
const LOG_LINES: usize = 200;

/// A number that one thread writes and others read.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Gauges {
    pub fn is_counting(&self) -> bool {
        self.counting.load(Relaxed)
    }
    /// A line of the guard's log.
    pub fn logged(&self, line: String) {
        if is_act(&line) {
            self.acts.add(1);
        }
        if let Ok(mut log) = self.log.lock() {
            log.push_back(line);
            if log.len() > LOG_LINES {
                log.pop_front();
            }
        }
    }
    pub fn must_stop(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// Whether a line of the guard's log (`ctwarden: LEVEL: MESSAGE`) tells of something done to the table or the firewall.
fn is_act(line: &str) -> bool {
    let message = line.splitn(3, ": ").nth(2).unwrap_or(line);
    // `trim: occupancy …` is the decision, `trim: 1740 -> 1228 entries` the act.
    message.starts_with("trim: ") && message.contains(" -> ")
        || message.starts_with("flush: ")
        || message.starts_with("shed: ") && message.contains(" capped, first ")
        || message.starts_with("the firewall is open")
        || message.contains(": max was ")
}

#[cfg(test)]
mod tests {
    use super::is_act;

    #[test]
    fn an_act_is_told_from_its_decision() {
        for (message, act) in [
            ("trim: occupancy 85.0 %, high mark 85.0 %", false),
            ("trim: 1740 -> 1228 entries in 0.004 s (512 above level), level 90", true),
            ("shed: occupancy 85.0 %, high mark 85.0 %", false),
            ("shed: 1 capped, first 10.0.0.2", true),
            ("flush: 2048 -> 0 entries in 0.050 s (ctnetlink, all families at once)", true),
            ("grow max to 4096: max was 2048, is 4096", true),
            ("the firewall is open (all) for 60.000 s at most, as asked; nothing", true),
            ("lifeline on", false),
        ] {
            assert_eq!(is_act(&format!("ctwarden: info: {message}")), act, "{message}");
        }
    }
}
