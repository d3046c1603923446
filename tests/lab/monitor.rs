//! What the router's kernel says about its table: count, peak and refusals. In the router's namespace.

use crate::gauges::Gauges;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How often the count is looked at: a peak between two looks of 2 ms is 2 flows higher at 1,000 a second.
const EVERY: Duration = Duration::from_millis(2);

/// Watches until the trial ends. To be called in the router's namespace.
pub fn run(gauges: &Gauges) -> io::Result<()> {
    let count = File::open("/proc/sys/net/netfilter/nf_conntrack_count")?;
    let mut look = 0u32;
    while !gauges.must_stop() {
        let mut digits = [0; 16];
        let n = count.read_at(&mut digits, 0)?;
        let now = String::from_utf8_lossy(&digits[..n]).trim().parse().unwrap_or(0);
        gauges.entries.set(now);
        gauges.peak.set(gauges.peak.get().max(now));
        if look.is_multiple_of(25) {
            gauges.refusals.set(refusals()?);
        }
        look += 1;
        std::thread::sleep(EVERY);
    }
    gauges.refusals.set(refusals()?);
    Ok(())
}

/// The `drop` column, all CPUs: hexadecimal, found by its name since the columns changed over the years.
///
/// /proc/net is the main thread's namespace; this one's is under thread-self.
fn refusals() -> io::Result<u64> {
    let mut text = String::new();
    File::open("/proc/thread-self/net/stat/nf_conntrack")?.read_to_string(&mut text)?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "drop").ok_or(io::ErrorKind::InvalidData)?;
    let cell = |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
    Ok(lines.filter_map(cell).sum())
}
