//! From the kernel's own line in /dev/kmsg to room in the table: 2,048 entries, hold 0.
//!
//! The line is a real one: the table is full, a real packet is refused. Its time is the kernel's stamp on the record, set
//! against this process's clock by a record that we write ourselves just before.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::process::Command;
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
/// How often the count is looked at: a tenth of a millisecond, so the look itself adds next to nothing.
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// The daemon may find the table filling before the packet comes and trim it: such a try shows nothing and is repeated.
const TRIES: usize = 40;

pub fn rows(host: &mut Host, options: &Options) -> Outcome<Vec<Row>> {
    let table = host.table(MAX, MAX)?;
    let config = Config { high_percent: 99, low_percent: 60, hold_seconds: 0, ..Config::default() };
    let warden = Warden::new(&options.ctwarden, &table, config)?;
    // Packets are tracked where a rule asks for their state.
    let rules = "add table inet bench; add chain inet bench out { type filter hook output priority 0; }; \
                 add rule inet bench out ct state new counter";
    timed(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    timed(Command::new("nft").arg(rules))?;
    let mut all = Vec::new();
    for _ in 0..TRIES {
        if all.len() == options.rounds {
            break;
        }
        all.extend(round(&warden)?);
    }
    timed(Command::new("nft").arg("delete table inet bench"))?;
    let (what, must) = ("line in /dev/kmsg to trim done, 2,048 entries", "<= 20 ms");
    if all.len() < options.rounds {
        return Ok(vec![Row::fault(what, must, format!("only {} of {TRIES} tries showed a line", all.len()))]);
    }
    let middle = median(&mut all);
    let result = format!("{} ({}..{})", ms(middle), ms(all[0]), ms(all[all.len() - 1]));
    Ok(vec![Row::limit(what, ms(middle), result, must, middle <= BOUND)])
}

/// One daemon, one full table, one refused packet. None if the daemon was there before the packet.
fn round(warden: &Warden) -> Outcome<Option<Duration>> {
    let plan = Plan::only_hog(MAX);
    let mut daemon = warden.start()?;
    let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(|e| format!("UDP socket: {e}"))?;
    let mut log = Log::at_end()?;
    let mark = log.mark()?;
    plan.fill_quickly()?;
    let watch = thread::spawn(watch_count);
    // Refused packets are not an error here, they are the point: EPERM.
    let refused = socket.send_to(b"bench", (IpAddr::from([127, 0, 0, 1]), 9)).is_err();
    let below = watch.join().map_err(|_| "the watcher died")??;
    let line = log.refusal()?;
    daemon.end(Signal::SIGTERM)?;
    let (true, Some(line)) = (refused, line) else { return Ok(None) };
    let below = below.ok_or_else(|| format!("the daemon did not trim within 2 s: {}", warden.last_words()))?;
    Ok(Some(below.saturating_duration_since(mark.moment(line))))
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
pub struct Mark {
    at: Instant,
    stamp: u64,
}

impl Mark {
    /// On our clock.
    pub fn moment(&self, stamp: u64) -> Instant {
        self.at + Duration::from_micros(stamp.saturating_sub(self.stamp))
    }
}

/// The kernel's log from where it ended when opened.
pub struct Log {
    file: File,
    /// `table full in netns N` names this inode; other namespaces' refusals are not ours.
    namespace: String,
}

impl Log {
    pub fn at_end() -> Outcome<Self> {
        let open = || -> std::io::Result<Self> {
            let mut file =
                OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
            file.seek(SeekFrom::End(0))?;
            Ok(Self { file, namespace: format!("netns {},", fs::metadata("/proc/self/ns/net")?.ino()) })
        };
        open().map_err(|e| format!("/dev/kmsg: {e}"))
    }

    /// Writes a record and finds it again: its stamp lies between the two looks at our clock, microseconds apart.
    pub fn mark(&mut self) -> Outcome<Mark> {
        let before = Instant::now();
        // Without the newline the kernel keeps the record back: more of it could come.
        self.file.write_all(b"ctwarden bench: mark\n").map_err(|e| format!("/dev/kmsg: {e}"))?;
        let at = before + before.elapsed() / 2;
        let stamp = self.find(|text| text.contains("ctwarden bench: mark"))?;
        Ok(Mark { at, stamp: stamp.ok_or("/dev/kmsg does not show what was written to it")? })
    }

    /// The stamp of the first refusal in our namespace since the last look.
    pub fn refusal(&mut self) -> Outcome<Option<u64>> {
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
