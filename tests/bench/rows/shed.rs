//! From the kernel's own line in /dev/kmsg to the lease that caps whoever fills the table, as the kernel holds it: by a census
//! that is sampled, so at any size of the table alike.
//!
//! The daemon is calm while the table is filled, since there is room for twice as much; then the limit comes down to what is
//! in it, and a real packet is refused. The lease is looked for by asking nf_tables for the very element.

use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ctwarden::lease::Lease;
use ctwarden::nftables::OWN;
use ctwarden::wire::netlink::{Batch, Messages};
use ctwarden::wire::nftables::{Set, element, get_element, left};
use nix::sys::signal::Signal;

use super::latency::Log;
use super::{ENTRIES, Options};
use crate::Outcome;
use crate::ctnetlink::Socket;
use crate::fill::{HOG, Plan};
use crate::host::{Host, Table, timed};
use crate::paired::{Row, median, ms};
use crate::warden::{Config, Warden};

const SIZES: [u32; 3] = [2_048, 65_536, ENTRIES];
const BOUND: Duration = Duration::from_millis(50);
/// How often it is looked for. Asking waits for nobody's transaction.
const LOOK_EVERY: Duration = Duration::from_micros(100);
const PATIENCE: Duration = Duration::from_secs(2);
/// Filling a large table takes a second.
const ROUNDS_MOST: usize = 9;

pub fn rows(host: &mut Host, options: &Options) -> Outcome<Vec<Row>> {
    timed(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    // Packets are tracked where a rule asks for their state.
    let rules = "add table inet bench; add chain inet bench out { type filter hook output priority 0; }; \
                 add rule inet bench out ct state new counter";
    timed(Command::new("nft").arg(rules))?;
    let rows = SIZES.iter().map(|size| row(host, options, *size)).collect();
    timed(Command::new("nft").arg("delete table inet bench"))?;
    rows
}

fn row(host: &mut Host, options: &Options, size: u32) -> Outcome<Row> {
    let mut table = host.table(2 * size, size)?;
    let config = Config { high_percent: 99, low_percent: 60, hold_seconds: 0, ladder: "shed", ..Config::default() };
    let warden = Warden::new(&options.ctwarden, &table, config)?;
    let plan = Plan::only_hog(size);
    let rounds = options.rounds.min(ROUNDS_MOST);
    let mut all = Vec::new();
    for _ in 0..2 * rounds {
        if all.len() < rounds {
            all.extend(round(&warden, &mut table, &plan)?);
        }
    }
    let (what, must) = (format!("first refusal to the shed lease in the kernel, {size} entries"), "<= 50 ms");
    if all.len() < rounds {
        return Ok(Row::fault(&what, must, format!("only {} of {} tries showed a line", all.len(), 2 * rounds)));
    }
    let middle = median(&mut all);
    let result = format!("{} ({}..{})", ms(middle), ms(all[0]), ms(all[all.len() - 1]));
    Ok(Row::limit(&what, ms(middle), result, must, middle <= BOUND))
}

/// One daemon, one full table, one refused packet. None if none was refused, or nobody told of it.
fn round(warden: &Warden, table: &mut Table<'_>, plan: &Plan) -> Outcome<Option<Duration>> {
    table.set_max(2 * plan.total())?;
    let mut daemon = warden.start()?;
    plan.fill_quickly()?;
    let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(|e| format!("UDP socket: {e}"))?;
    let mut log = Log::at_end()?;
    let watch = thread::spawn(watch_lease);
    let mark = log.mark()?;
    table.set_max(plan.total())?;
    let refused = socket.send_to(b"bench", (IpAddr::from([127, 0, 0, 1]), 9)).is_err();
    let given = watch.join().map_err(|_| "the watcher died")??;
    let line = log.refusal()?;
    daemon.end(Signal::SIGTERM)?;
    let (true, Some(line)) = (refused, line) else { return Ok(None) };
    let given = given.ok_or_else(|| format!("no lease within {PATIENCE:?}: {}", warden.last_words()))?;
    Ok(Some(given.saturating_duration_since(mark.moment(line))))
}

/// When the kernel first had the lease.
fn watch_lease() -> Outcome<Option<Instant>> {
    let socket = Socket::open()?;
    let (_, key) = element(&Lease::Source(IpAddr::V4(HOG)));
    let mut room = [0; 256];
    let mut question = Batch::new(&mut room);
    get_element(&mut question, OWN, Set::Shed4, &key);
    let mut answer = [0; 8192];
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        socket.send(question.bytes())?;
        let n = socket.receive(&mut answer)?;
        let now = Instant::now();
        if Messages::new(&answer[..n]).flatten().any(|m| m.errno().is_none() && left(m.payload).is_some()) {
            return Ok(Some(now));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(None)
}
