//! Passes over the table: to sample it, to count it, to evict from it. All buffers are here, fixed, taken once.
//!
//! A pass is done in steps of one datagram each, so that whoever drives it looks at the log in between.

use super::clock::Moment;
use super::kernel::evict::{self, Deletions, Evictor};
use super::kernel::reader::{Buffers, Progress, Reader};
use super::root::{RELEASE, Root, TIMEOUT_FOLDERS, terminated};
use ctwarden::config::Config;
use ctwarden::decide::sample::{HolderId, Order, Sample, scramble};
use ctwarden::decide::shed::{Choice, Pressure, Spared, choose};
use ctwarden::decide::trim::{Goal, Plan};
use ctwarden::entry::{Class, Entry};
use ctwarden::incident::{CULPRITS, Culprit, Culprits};
use ctwarden::lease::Lease;
use ctwarden::metrics::Holding;
use ctwarden::observe::census::{Census, KINDS};
use ctwarden::observe::tally::Share;
use ctwarden::observe::timeouts::{Timeout, Timeouts, kernel_version};
use ctwarden::protocol::{By, ROWS_MOST, Selection, Top, TopKey, TopRow};
use ctwarden::units::{Entries, Millis, Permille};
use nix::errno::Errno;
use std::sync::{Mutex, MutexGuard};

/// Entries that a sampled census reads: as many as a trim's sample.
pub const SAMPLE: u32 = ctwarden::decide::sample::ROWS as u32;

/// Timeouts that were read count so long: they are settings, and a flow takes a new one with its next packet only.
const TIMEOUTS_HOLD: Millis = Millis(5_000);

/// The memory of all passes, about 100 KiB. One pass at a time.
///
/// All zeros to begin with, and in static memory: it takes no room in the binary, and of RAM only what is used.
struct Room {
    buffers: Buffers,
    deletions: Deletions,
    sample: Sample,
    plan: Plan,
    census: Census,
}

static ROOM: Mutex<Room> = Mutex::new(Room {
    buffers: Buffers::new(),
    deletions: Deletions::new(),
    sample: Sample::new(),
    plan: Plan::new(),
    census: Census::new(),
});

/// What passes need beside their memory.
pub struct Work {
    room: MutexGuard<'static, Room>,
    timeouts: Timeouts,
    /// When they were read.
    timeouts_of: Option<Moment>,
    /// Drawn at start; nobody outside can know which holders share an id.
    key: u32,
    draws: u32,
    netlink: bool,
    filter: bool,
    /// As if the kernel did not know the filter by status.
    deaf: bool,
    /// The front of a dump is no sample any more: the last pass deleted from it and stopped early.
    depleted: bool,
}

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To know level and thresholds; with `culprits` also who holds the table.
    Sample { culprits: bool },
    /// To know who holds the table.
    Census { by: By, exact: bool },
    /// To take entries out.
    Evict(Selection),
    /// To count those that would be taken out.
    Count(Selection),
}

pub struct Pass {
    pub purpose: Purpose,
    reader: Reader,
    evictor: Option<Evictor>,
    /// Entries in the table when it began.
    of: Entries,
    read: u32,
    /// Entries asked to be deleted, or counted.
    pub evicted: u32,
    finished: bool,
}

impl Work {
    /// The one and only: a second one would wait for ever, since there is one thread. Draws the key, and learns which
    /// kernel this is. A fake root has no netlink.
    pub fn new(root: &Root) -> Self {
        let mut random = [0; 4];
        // Not for secrets of any worth: nobody gains more than a wrong guess at who shares an id.
        if let Ok(fd) = root.open(&["dev/urandom"], nix::fcntl::OFlag::O_RDONLY) {
            let _ = nix::unistd::read(&fd, &mut random);
        }
        let mut timeouts = Timeouts::new();
        let mut room = [0; 96];
        if let Ok(release) = root.read(RELEASE, &mut room)
            && let Some((major, minor)) = kernel_version(release)
        {
            timeouts.for_kernel(major, minor);
        }
        // For tests, which run on glibc: the environment is 1 KB on MIPS.
        let filter = if cfg!(target_env = "musl") { None } else { std::env::var_os("CTWARDEN_NO_FILTER") };
        let deaf = filter.as_deref().is_some_and(|kind| kind == "status");
        Self {
            room: ROOM.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
            timeouts,
            timeouts_of: None,
            key: u32::from_ne_bytes(random),
            draws: 0,
            netlink: root.is_real(),
            filter: filter.is_none() || deaf,
            deaf,
            depleted: false,
        }
    }

    /// The plan of the last sample.
    pub fn plan(&self) -> &Plan {
        &self.room.plan
    }

    /// A number that differs each time.
    fn draw(&mut self) -> u32 {
        self.draws = self.draws.wrapping_add(1);
        scramble(self.draws, self.key)
    }

    /// Reads the timeouts in force: idle is told from them. 25 files; done when relief begins, not in calm, and in an attack
    /// that trims hold not for every trim.
    pub fn read_timeouts(&mut self, root: &Root) {
        if self.timeouts_of.is_some_and(|at| at.ago() < TIMEOUTS_HOLD) {
            return;
        }
        self.timeouts_of = Some(Moment::now());
        for timeout in Timeout::ALL {
            for (folder, prefix) in TIMEOUT_FOLDERS {
                let path = root.path(&[folder, prefix, timeout.suffix()]);
                let mut room = [0; 16];
                if let Ok(fd) =
                    nix::fcntl::open(&terminated(&path), nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())
                    && let Ok(text) = super::root::read_all(&fd, &mut room)
                    && let Ok(seconds) = ctwarden::observe::counters::number(text)
                {
                    self.timeouts.set(timeout, seconds);
                    break;
                }
            }
        }
    }

    /// Begins a pass over a table of `of` entries.
    pub fn begin(&mut self, purpose: Purpose, root: &Root, of: Entries) -> Result<Pass, Errno> {
        let reader = Reader::open(root, &mut self.room.buffers, self.netlink)?;
        // ctnetlink is needed to delete, whatever the reader is.
        let evictor = match purpose {
            Purpose::Evict(_) if self.netlink => Some(Evictor::open()?),
            Purpose::Evict(_) => return Err(Errno::EOPNOTSUPP),
            _ => None,
        };
        match purpose {
            Purpose::Sample { culprits } => {
                self.room.sample.clear();
                if culprits {
                    self.clear_census();
                }
            }
            Purpose::Census { by, .. } => {
                self.clear_census();
                self.room.census.leave_out([By::Source, By::Prefix, By::Destination].map(|d| d != by));
            }
            Purpose::Evict(_) | Purpose::Count(_) => {}
        }
        Ok(Pass { purpose, reader, evictor, of, read: 0, evicted: 0, finished: false })
    }

    fn clear_census(&mut self) {
        let seed = (self.draw() as u64) << 32 | self.draw() as u64;
        self.room.census.clear(seed);
    }

    /// Without ctnetlink the proc text is read from now on; nothing can be deleted then.
    pub fn without_netlink(&mut self) {
        self.netlink = false;
    }

    /// Does the kernel filter by status? See [`evict::filters_by_status`].
    pub fn filters_by_status(&mut self) -> bool {
        evict::filters_by_status(&mut self.room.buffers, self.deaf) == Ok(true)
    }

    /// May whole selections be deleted by a filter in the kernel? Not if the environment says so (the bench compares).
    pub fn may_filter(&self) -> bool {
        self.netlink && self.filter
    }

    /// Is there ctnetlink? EPROTONOSUPPORT or EINVAL: no.
    pub fn probe(&mut self, root: &Root) -> Result<(), Errno> {
        Reader::open(root, &mut self.room.buffers, true)?.step(&mut self.room.buffers, &mut |_| false).map(drop)
    }

    pub fn has_netlink(&self) -> bool {
        self.netlink
    }

    /// Whom to cap, by the sample that the plan was just made from.
    pub fn choose(&self, pressure: &Pressure, running: &[Lease], spared: &Spared<'_>) -> Choice {
        let is_cut = |holder| self.room.plan.cuts(HolderId::new(holder, self.key));
        choose(&self.room.census, pressure, &is_cut, running, spared)
    }

    /// Turns the sample into a plan.
    pub fn make_plan(&mut self, goal: Goal, level_only: bool) {
        let salt = self.draw();
        let Room { plan, sample, .. } = &mut *self.room;
        plan.make_of(sample, goal, salt, level_only);
    }

    /// Who holds the table, after a sample or census pass that counted it.
    pub fn culprits(&self) -> Culprits {
        let mut c = Culprits::default();
        let permille = |share: Share| Permille(share.0 / 10);
        for row in self.room.census.top_sources(CULPRITS) {
            let _ = c.sources.push(Culprit { key: row.key.into(), share: permille(row.tally.share) });
        }
        for row in self.room.census.top_destinations(CULPRITS) {
            let _ = c.destinations.push(Culprit { key: row.key.into(), share: permille(row.tally.share) });
        }
        c
    }

    /// What metrics want of a census by source.
    pub fn holding(&self, at: Millis) -> Holding {
        let census = &self.room.census;
        let top = census.top_sources(1).next().map_or(Share(0), |row| row.tally.share);
        Holding { at, classes: Class::ALL.map(|class| census.class(class).entries.0), top }
    }

    /// The census as an answer.
    pub fn top(&self, by: By, rows: usize, count: Entries) -> Top {
        let n = rows.min(ROWS_MOST);
        let mut top = Top {
            by,
            basis: self.room.census.basis(),
            interrupted: self.room.census.interrupted(),
            count,
            rows: heapless::Vec::new(),
        };
        let mut add = |key, tally, at_most| {
            let _ = top.rows.push(TopRow { key, tally, at_most });
        };
        match by {
            By::Source => self.room.census.top_sources(n).for_each(|r| add(r.key.into(), r.tally, r.at_most)),
            By::Prefix => self.room.census.top_prefixes(n).for_each(|r| add(r.key.into(), r.tally, r.at_most)),
            By::Destination => self.room.census.top_destinations(n).for_each(|r| add(r.key.into(), r.tally, r.at_most)),
            By::State => Class::ALL.into_iter().take(n).for_each(|class| {
                let tally = self.room.census.class(class);
                add(TopKey::State(class), tally, tally.count);
            }),
        }
        for kind in 0..KINDS.len() {
            let tally = self.room.census.kind(kind);
            add(TopKey::Kind(kind as u8), tally, tally.count);
        }
        top
    }
}

impl Pass {
    /// One datagram more.
    pub fn step(&mut self, work: &mut Work, config: &Config) -> Result<Progress, Errno> {
        let Work { room, timeouts, key, depleted, .. } = work;
        let Room { buffers, deletions, sample, plan, census } = &mut **room;
        let Pass { purpose, reader, evictor, read, evicted, of, .. } = self;
        // A sample of a depleted front would lie: then all of it is read, and the rows are drawn from all of it.
        let draw_from_all = *depleted;
        let limit = match purpose {
            Purpose::Sample { .. } | Purpose::Census { exact: false, .. } if !draw_from_all && of.0 > SAMPLE => SAMPLE,
            _ => u32::MAX,
        };
        let purpose = *purpose;
        let mut take = |e: &Entry<'_>| {
            *read += 1;
            match purpose {
                Purpose::Sample { culprits } => {
                    let order = Order::new(e.class(), timeouts.idle(e), config.protected(e));
                    sample.draw(HolderId::new(e.holder(), *key), order, scramble(*read, *key));
                    if culprits {
                        census.add(e, timeouts);
                    }
                    *read < limit
                }
                Purpose::Census { .. } => {
                    census.add(e, timeouts);
                    *read < limit
                }
                Purpose::Evict(selection) | Purpose::Count(selection) => {
                    let goes = match selection {
                        Selection::Level => {
                            let order = Order::new(e.class(), timeouts.idle(e), config.protected(e));
                            plan.takes(HolderId::new(e.holder(), *key), order, e.id).is_some()
                        }
                        _ if config.protected(e) => false,
                        Selection::Source(source, only) => {
                            let hers = if source.is_ipv4() {
                                e.source == source
                            } else {
                                e.holder() == ctwarden::entry::holder_of(source)
                            };
                            hers && only.is_none_or(|o| o.covers(e.class(), timeouts.idle(e)))
                        }
                        Selection::Kind(only) => only.covers(e.class(), timeouts.idle(e)),
                        Selection::All => true,
                        Selection::Under(lease) => lease.covers(e),
                    };
                    *evicted += goes as u32;
                    if goes && let Some(evictor) = evictor {
                        evictor.evict(deletions, e);
                    }
                    true
                }
            }
        };
        let progress = reader.step(buffers, &mut take)?;
        if let Some(evictor) = evictor {
            // The kernel fills the next datagram when this one is read: what it deletes now it need not copy again.
            evictor.send(deletions);
        }
        if progress == Progress::Done {
            self.finished = true;
            if self.reader.interrupted() {
                work.room.census.note_interrupted();
            }
            if limit != u32::MAX && self.read >= limit {
                work.room.census.sampled(self.of);
            }
        }
        Ok(progress)
    }

    /// The kernel said that the table changed shape meanwhile.
    pub fn interrupted(&self) -> bool {
        self.reader.interrupted()
    }

    /// Ends the pass, finished or not. The first error of its deletions.
    pub fn end(mut self, work: &mut Work) -> Result<(), Errno> {
        if let Some(evictor) = self.evictor.take() {
            work.depleted = !self.finished;
            return evictor.finish(&mut work.room.deletions);
        }
        Ok(())
    }
}
