//! `trim` by water level from 250,000 to 150,000 entries, against the kernel's own cost of reading and deleting as many;
//! and how long a daemon that does it goes without looking at the log.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use super::{BUCKETS, ENTRIES, Options};
use crate::Outcome;
use crate::fill::Plan;
use crate::host::{Host, count, expect_count, output_of, own_path, timed};
use crate::json::Json;
use crate::paired::{Must, Row, alternate, median, ms};
use crate::warden::{Config, Warden};

/// 250,000 of it is below the high mark of 85 %, so that nobody trims unasked and the kernel's own collector (from 95 %)
/// stays out of it; half of it is 150,000.
const MAX: u32 = 300_000;
const LOW: u32 = 150_000;
/// A sample of 4,096 gives the level: its standard error at 40 % is 0.8 points, 1,900 entries. Beside the mark by more than
/// three of these is another amount of work than the other side's.
const SLACK: u32 = 5_700;
/// Daemons watched at a trim.
const TRACES: usize = 5;
/// Longest time without a look at the log.
const GAP: Duration = Duration::from_millis(20);

pub fn rows(host: &mut Host, options: &Options) -> Outcome<Vec<Row>> {
    let table = host.table(MAX, BUCKETS)?;
    let warden = Warden::new(&options.ctwarden, &table, Config { low_percent: 50, ..Config::default() })?;
    let plan = Plan::shares(ENTRIES);
    let own = own_path()?;
    let mut left = 0;
    let ours = || {
        plan.fill()?;
        let took = timed(&mut warden.call(&["trim"]))?;
        expect_count("after ctwarden trim", LOW, SLACK)?;
        left = count()?;
        Ok(took)
    };
    let theirs = || {
        plan.fill()?;
        let took = output_of(Command::new(&own).args(["bare-relief", &(ENTRIES - LOW).to_string()]))?;
        expect_count("after the bare deletion", LOW, 0)?;
        took.trim().parse().map(Duration::from_nanos).map_err(|_| format!("bare-relief says {took:?}"))
    };
    let pairs = alternate(options.rounds, ours, theirs)?;
    let mut rows =
        vec![Must::Within(1.3).row("trim, 250,000 to 150,000", &format!("left {left},"), "bare dump + delete", &pairs)];

    let (mut longest, mut took, mut looks, mut own_word) = (Vec::new(), Vec::new(), 0, 0f64);
    for _ in 0..options.rounds.min(TRACES) {
        let trace = table.scratch("trace");
        plan.fill()?;
        let mut daemon = warden.start_traced(&trace)?;
        let (from, start) = (SystemTime::now(), Instant::now());
        timed(&mut warden.call(&["trim"]))?;
        took.push(start.elapsed());
        let to = SystemTime::now();
        expect_count("after ctwarden trim through the daemon", LOW, SLACK)?;
        let blind = warden.status()?.find("longest_blind_us").and_then(Json::number).unwrap_or(f64::NAN);
        own_word = own_word.max(blind);
        daemon.end(Signal::SIGTERM)?;
        let text = fs::read_to_string(&trace).map_err(|e| format!("{}: {e}", trace.display()))?;
        let (n, gap) = longest_gap(&text, epoch(from), epoch(to)).ok_or("strace saw no looks at /dev/kmsg")?;
        looks = n;
        longest.push(gap);
    }
    // A machine that stands still makes any program look late. One that is late by itself is so in most of the rounds.
    let (middle, took) = (median(&mut longest), median(&mut took));
    let result = format!(
        "{} ({}..{}), {looks} looks (it says {})",
        ms(middle),
        ms(longest[0]),
        ms(longest[longest.len() - 1]),
        ms(Duration::from_micros(own_word as u64))
    );
    rows.push(Row::limit("  longest time without a look at the log", ms(took), result, "<= 20 ms", middle <= GAP));
    Ok(rows)
}

/// Seconds, as strace's -ttt has them.
fn epoch(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The longest time between two looks at /dev/kmsg in a trace of `strace -ttt -T -y`, and how many looks there were. A look
/// is a read of it or a poll that has it among its files; a poll looks for as long as it waits. Only the time asked for
/// counts: at its start a daemon sets limits, and at its end it puts them back, with nobody waiting for a look.
fn longest_gap(trace: &str, from: f64, to: f64) -> Option<(usize, Duration)> {
    let (mut looks, mut longest, mut last_end) = (0, 0f64, None);
    for line in trace.lines().filter(|l| l.contains("</dev/kmsg>")) {
        // PID SECONDS.MICROS call(...) = result <SECONDS.MICROS>
        let start = line.split_whitespace().nth(1).and_then(|t| t.parse::<f64>().ok());
        let lasted = line.rsplit_once('<').and_then(|(_, t)| t.trim_end_matches('>').parse::<f64>().ok());
        let (Some(start), Some(lasted)) = (start, lasted) else { continue };
        if let Some(end) = last_end {
            longest = longest.max(start.min(to) - f64::max(end, from));
        }
        last_end = Some(start + lasted);
        looks += usize::from((from..to).contains(&start));
    }
    (looks > 2).then(|| (looks, Duration::from_secs_f64(longest)))
}

#[cfg(test)]
mod tests {
    use super::longest_gap;
    use std::time::Duration;

    #[test]
    fn waiting_in_a_poll_is_looking_and_work_between_is_not() {
        let trace = "\
            7 100.000000 read(3</dev/kmsg>, 0x7ffe, 8192) = -1 EAGAIN (Resource temporarily unavailable) <0.000010>\n\
            7 100.001000 poll([{fd=3</dev/kmsg>, events=POLLIN}, {fd=4<socket:[1]>, events=POLLIN}], 2, 5000) = 1 <4.000000>\n\
            7 104.002000 read(5</proc/sys/net/netfilter/nf_conntrack_count>, \"7\", 16) = 1 <0.000010>\n\
            7 104.026000 ppoll([{fd=3</dev/kmsg>, events=POLLIN}], 1, {tv_sec=0, tv_nsec=0}, NULL, 8) = 0 (Timeout) <0.000005>\n";
        let (looks, longest) = longest_gap(trace, 99.0, 105.0).expect("three looks");
        assert_eq!((looks, longest.as_millis()), (3, 25));
        assert!(longest < Duration::from_micros(25_001));
    }
}
