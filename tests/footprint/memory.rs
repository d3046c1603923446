//! Resident memory of the static build after it has read 250,000 entries.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::fill::Plan;
use crate::host::{Host, Leashed, expect_count, timed};
use crate::paired::Row;
use crate::rows::{BUCKETS, ENTRIES, ROOM};
use crate::warden::{Config, Warden};

const BOUND_KIB: u64 = 1_024;

pub fn rows(host: &mut Host, program: &Path) -> Outcome<Vec<Row>> {
    let table = host.table(ROOM, BUCKETS)?;
    let warden = Warden::new(program, &table, Config::default())?;
    Plan::shares(ENTRIES).fill()?;
    let mut daemon = warden.start()?;
    timed(&mut warden.call(&["top"]))?;
    timed(&mut warden.call(&["top", "--exact"]))?;
    expect_count("after looking only", ENTRIES, 0)?;
    let [resident, anonymous, most] = ["VmRSS", "RssAnon", "VmHWM"].map(|what| kib(&daemon, what));
    daemon.end(Signal::SIGTERM)?;
    let (resident, anonymous, most) = (resident?, anonymous?, most?);
    let result = format!("{most} KiB (of it anonymous {anonymous}, now {resident})");
    let what = "resident memory at most, census of 250,000, static build";
    Ok(vec![Row::limit(what, String::new(), result, &format!("<= {BOUND_KIB} KiB"), most <= BOUND_KIB)])
}

/// A line of /proc/PID/status, in KiB.
fn kib(daemon: &Leashed, what: &str) -> Outcome<u64> {
    let path = format!("/proc/{}/status", daemon.pid());
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let line = text.lines().find_map(|l| l.strip_prefix(what)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).ok_or_else(|| format!("{path}: no {what}"))
}
