//! From the kernel's own line in /dev/kmsg to room in the table (2,048 entries, hold 0), and to a hog's lease in the kernel (at
//! three sizes of the table).
//!
//! The line is a real one: the table is full, a real packet is refused. Its time is the kernel's stamp on the record, set
//! against this process's clock by a record that we write ourselves just before.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;

use super::Options;
use crate::Outcome;
use crate::fill::Plan;
use crate::host::{Host, count, timed};
use crate::paired::{Row, median, ms};
use crate::warden::{Config, Warden};

const MAX: u32 = 2_048;
/// 60 % of it, and what other packets may have added by the next look.
const LOW: u32 = 1_228 + 12;
const BOUND: Duration = Duration::from_millis(20);
/// From the line to the lease of whoever filled the table.
const SHED_BOUND: Duration = Duration::from_millis(50);
/// How often the count is looked at: a tenth of a millisecond, so the look itself adds next to nothing.
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// The daemon may find the table filling before the packet comes and trim it: such a try shows nothing and is repeated.
const TRIES: usize = 40;

pub fn rows(host: &mut Host, options: &Options) -> Outcome<Vec<Row>> {
    let mut rows = vec![trim(host, options)?];
    for max in [2_048, 65_536, 250_000] {
        rows.push(shed(host, options, max)?);
    }
    Ok(rows)
}

/// Packets are tracked where a rule asks for their state.
const RULES: &str = "add table inet bench; add chain inet bench out { type filter hook output priority 0; }; \
                     add rule inet bench out ct state new counter";

/// Rounds until there are as many as wanted; the daemon may be there before the packet, which shows nothing.
fn measured(
    options: &Options,
    what: &str,
    bound: Duration,
    mut round: impl FnMut() -> Outcome<Option<Duration>>,
) -> Outcome<Row> {
    timed(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    timed(Command::new("nft").arg(RULES))?;
    let mut all = Vec::new();
    for _ in 0..TRIES {
        if all.len() == options.rounds.min(7) {
            break;
        }
        all.extend(round()?);
    }
    timed(Command::new("nft").arg("delete table inet bench"))?;
    let must = format!("<= {} ms", bound.as_millis());
    if all.len() < options.rounds.min(7) {
        return Ok(Row::fault(what, &must, format!("only {} of {TRIES} tries showed a line", all.len())));
    }
    let middle = median(&mut all);
    let result = format!("{} ({}..{})", ms(middle), ms(all[0]), ms(all[all.len() - 1]));
    Ok(Row::limit(what, ms(middle), result, &must, middle <= bound))
}

fn trim(host: &mut Host, options: &Options) -> Outcome<Row> {
    let table = host.table(MAX, MAX)?;
    let config = Config { high_percent: 99, low_percent: 60, hold_seconds: 0, ladder: "trim" };
    let warden = Warden::new(&options.ctwarden, &table, config)?;
    measured(options, "line in /dev/kmsg to trim done, 2,048 entries", BOUND, || {
        round(&warden, MAX, false, watch_count)
    })
}

/// The hog holds all of a full table: it is named from a sample and capped, whatever the table's size.
fn shed(host: &mut Host, options: &Options, max: u32) -> Outcome<Row> {
    let table = host.table(max, max)?;
    let config = Config { high_percent: 99, low_percent: 60, hold_seconds: 0, ladder: "shed" };
    let warden = Warden::new(&options.ctwarden, &table, config)?;
    measured(options, &format!("line in /dev/kmsg to a lease, {max} entries"), SHED_BOUND, || {
        round(&warden, max, true, watch_leases)
    })
}

/// When the first element comes into one of the sets of capped sources; none within eight seconds (filling takes two). `nft monitor` says so as soon
/// as the kernel does.
fn watch_leases() -> Outcome<Option<Instant>> {
    let mut monitor = Command::new("timeout")
        .args(["8", "nft", "monitor", "elements"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("nft monitor: {e}"))?;
    let lines = BufReader::new(monitor.stdout.take().ok_or("nft monitor has no output")?).lines();
    let seen = lines.map_while(Result::ok).find(|l| l.contains("ctwarden_shed")).map(|_| Instant::now());
    let _ = monitor.kill();
    let _ = monitor.wait();
    Ok(seen)
}

/// One daemon, one full table, one refused packet. None if the daemon was there before the packet.
fn round(
    warden: &Warden,
    max: u32,
    watch_first: bool,
    watch: fn() -> Outcome<Option<Instant>>,
) -> Outcome<Option<Duration>> {
    let plan = Plan::only_hog(max);
    let mut daemon = warden.start()?;
    let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(|e| format!("UDP socket: {e}"))?;
    let mut log = Log::at_end()?;
    let mark = log.mark()?;
    let early = watch_first.then(|| thread::spawn(watch));
    plan.fill_quickly()?;
    let watch = early.unwrap_or_else(|| thread::spawn(watch));
    // Refused packets are not an error here, they are the point: EPERM.
    let refused = socket.send_to(b"bench", (IpAddr::from([127, 0, 0, 1]), 9)).is_err();
    let below = watch.join().map_err(|_| "the watcher died")??;
    let line = log.refusal()?;
    daemon.end(Signal::SIGTERM)?;
    let (true, Some(line)) = (refused, line) else { return Ok(None) };
    let below = below.ok_or_else(|| format!("the daemon did nothing within 2 s: {}", warden.last_words()))?;
    let since_mark = Duration::from_micros(line.saturating_sub(mark.stamp));
    Ok(Some(below.saturating_duration_since(mark.at + since_mark)))
}

/// When the count came down to the low mark; none within two seconds.
fn watch_count() -> Outcome<Option<Instant>> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        if count()? <= LOW {
            return Ok(Some(Instant::now()));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(None)
}

/// The same moment on our clock and on the kernel log's, in microseconds.
struct Mark {
    at: Instant,
    stamp: u64,
}

/// The kernel's log from where it ended when opened.
struct Log {
    file: File,
    /// `table full in netns N` names this inode; other namespaces' refusals are not ours.
    namespace: String,
}

impl Log {
    fn at_end() -> Outcome<Self> {
        let open = || -> std::io::Result<Self> {
            let mut file =
                OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
            file.seek(SeekFrom::End(0))?;
            Ok(Self { file, namespace: format!("netns {},", fs::metadata("/proc/self/ns/net")?.ino()) })
        };
        open().map_err(|e| format!("/dev/kmsg: {e}"))
    }

    /// Writes a record and finds it again: its stamp lies between the two looks at our clock, microseconds apart.
    fn mark(&mut self) -> Outcome<Mark> {
        let before = Instant::now();
        // Without the newline the kernel keeps the record back: more of it could come.
        self.file.write_all(b"ctwarden bench: mark\n").map_err(|e| format!("/dev/kmsg: {e}"))?;
        let at = before + before.elapsed() / 2;
        let stamp = self.find(|text| text.contains("ctwarden bench: mark"))?;
        Ok(Mark { at, stamp: stamp.ok_or("/dev/kmsg does not show what was written to it")? })
    }

    /// The stamp of the first refusal in our namespace since the last look.
    fn refusal(&mut self) -> Outcome<Option<u64>> {
        let namespace = self.namespace.clone();
        self.find(|text| text.contains("table full") && (text.contains(&namespace) || !text.contains("in netns")))
    }

    fn find(&mut self, wanted: impl Fn(&str) -> bool) -> Outcome<Option<u64>> {
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&record[..n]);
                    if wanted(&text) {
                        return Ok(text.split(',').nth(2).and_then(|stamp| stamp.parse().ok()));
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                // EPIPE: records were lost before we read them; go on with the oldest.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => (),
                Err(e) => return Err(format!("/dev/kmsg: {e}")),
            }
        }
    }
}
