//! Count, max, buckets and the refusals, at one system call each.

use super::super::root::{BUCKETS, COUNT, Kept, MAX, PIECE, Root, STAT, TEXT};
use ctwarden::detect::Table;
use ctwarden::observe::counters::{Stats, entries};
use ctwarden::observe::lines::LineSplitter;
use ctwarden::units::Entries;
use nix::fcntl::OFlag;
use nix::unistd::read;

/// A row of the counters is 170 bytes; 20 CPUs and the header fit. More CPUs than that: the column counts as missing.
const STAT_MOST: usize = 4096;

pub struct Counters {
    count: Kept,
    max: Kept,
    buckets: Kept,
    stat: Kept,
    stats: Option<Stats>,
    /// Buckets change only when somebody resizes: read with the slow looks.
    last_buckets: Entries,
}

impl Counters {
    pub const fn new() -> Self {
        Self {
            count: Kept::new(COUNT),
            max: Kept::new(MAX),
            buckets: Kept::new(BUCKETS),
            stat: Kept::new(STAT),
            stats: None,
            last_buckets: Entries(0),
        }
    }

    /// The table now; `None` if there is no connection tracking or it cannot be read.
    pub fn table(&mut self, root: &Root) -> Option<Table> {
        let max = number(&mut self.max, root)?;
        let count = match number(&mut self.count, root) {
            Some(count) => count,
            // Linux 2.4 has a limit and no count: the counters know it, or the lines of the table do.
            None => self.read_stats(root).and_then(|s| s.entries).map(Entries).or_else(|| lines(root))?,
        };
        Some(Table { count, max, buckets: self.last_buckets })
    }

    /// The same with buckets read anew.
    pub fn table_with_buckets(&mut self, root: &Root) -> Option<Table> {
        self.last_buckets = number(&mut self.buckets, root).unwrap_or(Entries(0));
        self.table(root)
    }

    /// The table now, with max as it was: one system call, for a calm look.
    pub fn table_of_max(&mut self, root: &Root, max: Entries) -> Option<Table> {
        match number(&mut self.count, root) {
            Some(count) => Some(Table { count, max, buckets: self.last_buckets }),
            None => self.table(root),
        }
    }

    /// Only the count: for reading back.
    pub fn count(&mut self, root: &Root) -> Option<Entries> {
        self.table(root).map(|t| t.count)
    }

    fn read_stats(&mut self, root: &Root) -> Option<Stats> {
        let mut room = [0; STAT_MOST];
        let text = self.stat.read(root, &mut room).ok()?;
        Stats::parse(text).ok()
    }

    /// Packets refused since the last call; `None`: no such column. The first call answers 0: what was before is no news.
    pub fn dropped(&mut self, root: &Root) -> Option<u32> {
        let now = self.read_stats(root)?;
        let dropped = match &self.stats {
            Some(before) => now.since(before).drop,
            None => now.drop.map(|_| 0),
        };
        self.stats = Some(now);
        dropped
    }

    /// The module went away: its counters will begin anew.
    pub fn forget(&mut self) {
        self.stats = None;
    }
}

fn number(file: &mut Kept, root: &Root) -> Option<Entries> {
    let mut room = [0; 32];
    entries(file.read(root, &mut room).ok()?).ok()
}

/// Counts the lines of the proc text.
fn lines(root: &Root) -> Option<Entries> {
    let file = root.open(TEXT, OFlag::O_RDONLY).ok()?;
    let mut splitter = LineSplitter::<PIECE>::new();
    let mut count = 0u32;
    loop {
        let n = read(&file, splitter.room()).ok()?;
        splitter.filled(n);
        while splitter.next_line().is_some() {
            count = count.saturating_add(1);
        }
        if n == 0 {
            return Some(Entries(count));
        }
    }
}
