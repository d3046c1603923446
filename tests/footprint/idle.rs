//! System calls of a calm daemon, counted by strace.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::fill::Plan;
use crate::host::{Host, Leashed};
use crate::paired::Row;
use crate::warden::{Config, Warden};

/// A table size and the system calls a second that it may cost: the smaller, the sooner it can be full.
const MUST: [(u32, f64); 2] = [(2_048, 4.0), (16_384, 1.0)];
/// From the start to calm.
const SETTLE: Duration = Duration::from_secs(6);
const WATCH: Duration = Duration::from_secs(20);

pub fn rows(host: &mut Host, program: &Path) -> Outcome<Vec<Row>> {
    MUST.into_iter().map(|(max, bound)| one(host, program, max, bound)).collect()
}

fn one(host: &mut Host, program: &Path, max: u32, bound: f64) -> Outcome<Row> {
    let table = host.table(max, max)?;
    let warden = Warden::new(program, &table, Config::default())?;
    Plan::only_hog(max / 10).fill()?;
    let mut daemon = warden.start()?;
    sleep(SETTLE);
    let trace = table.scratch("idle.trace");
    let pid = daemon.pid().to_string();
    let arguments = ["-f", "-q", "-ttt", "-p", &pid, "-o", trace.to_str().unwrap_or_default()];
    let mut strace = Leashed::start(Path::new("strace"), &arguments, &table.scratch("strace.log"))?;
    let start = Instant::now();
    sleep(WATCH);
    strace.end(Signal::SIGINT)?;
    let seconds = start.elapsed().as_secs_f64();
    daemon.end(Signal::SIGTERM)?;
    let text = fs::read_to_string(&trace).map_err(|e| format!("{}: {e}", trace.display()))?;
    let calls = count_calls(&text);
    if calls == 0 {
        return Err(format!("strace saw nothing in {seconds:.0} s"));
    }
    let rate = calls as f64 / seconds;
    let result = format!("{rate:.2}/s ({calls} in {seconds:.0} s)");
    let what = format!("system calls, idle and calm, table of {max}");
    Ok(Row::limit(&what, String::new(), result, &format!("<= {bound}/s"), rate <= bound))
}

/// The calls in a trace: neither the second half of an interrupted one, nor signals, nor exits.
fn count_calls(trace: &str) -> usize {
    trace.lines().filter(|l| !l.contains(" resumed>") && !l.contains("+++") && !l.contains("---")).count()
}
