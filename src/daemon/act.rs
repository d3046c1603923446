//! An action becomes a write or a pass, and what came of it an outcome.
//!
//! ```text
//!   trim:  sample ──> plan ──> evict ──> count read back
//!   flush: way after way, each proven by the count ──> at last by tuple
//! ```

use super::kernel::counters::Counters;
use super::kernel::evict::{self, FLUSH_PROC, FLUSHES, Way};
use super::kernel::reader::Progress;
use super::root::Root;
use super::work::{Pass, Purpose, Work};
use ctwarden::config::Config;
use ctwarden::decide::trim::{Goal, Steps};
use ctwarden::incident::Culprits;
use ctwarden::protocol::{Only, Selection};
use ctwarden::units::{Entries, Permille};
use nix::errno::Errno;

/// Just under high: five points.
const NEAR: Permille = Permille(50);

/// A trim under way.
pub struct Trim {
    pass: Pass,
    pub selection: Selection,
    pub before: Entries,
    pub culprits: Option<Culprits>,
    pub interrupted: bool,
    /// Sample and plan only, or count: nothing is deleted.
    pub dry: bool,
    /// When dry: entries that would go.
    pub would: u32,
    /// Only what holders above the level hold above it goes.
    pub level_only: bool,
    planned: bool,
}

/// What a step of a trim led to.
pub enum TrimStep {
    More,
    /// The plan is made, nothing is deleted yet: who holds too much is known.
    Planned,
    /// The passes are done: steps taken, as asked of the kernel.
    Done(Steps),
}

impl Trim {
    /// Begins a trim of the table as it is now.
    pub fn begin(
        selection: Selection,
        culprits: bool,
        dry: bool,
        work: &mut Work,
        root: &Root,
        count: Entries,
    ) -> Result<Self, Errno> {
        work.read_timeouts(root);
        let purpose = match selection {
            Selection::Level => Purpose::Sample { culprits },
            _ if dry => Purpose::Count(selection),
            _ => Purpose::Evict(selection),
        };
        let pass = work.begin(purpose, root, count)?;
        Ok(Self {
            pass,
            selection,
            before: count,
            culprits: None,
            interrupted: false,
            dry,
            would: 0,
            level_only: false,
            planned: false,
        })
    }

    /// One datagram more.
    pub fn step(
        &mut self,
        work: &mut Work,
        config: &Config,
        root: &Root,
        counters: &mut Counters,
    ) -> Result<TrimStep, Errno> {
        if self.planned {
            return self.evict(work, root, counters);
        }
        if self.pass.step(work, config)? == Progress::More {
            return Ok(TrimStep::More);
        }
        self.interrupted |= self.pass.interrupted();
        let Purpose::Sample { culprits } = self.pass.purpose else {
            self.would = self.pass.evicted;
            return Ok(TrimStep::Done(work.plan().taken()));
        };
        if culprits {
            self.culprits = Some(work.culprits());
        }
        // The plan is for the table as it is now: it has grown while it was sampled.
        let table = counters.table(root).ok_or(Errno::ENOENT)?;
        let near = table.max.part(Permille(config.high.0.saturating_sub(NEAR.0)));
        work.make_plan(Goal { count: table.count, low: table.max.part(config.low), near }, self.level_only);
        self.planned = true;
        Ok(TrimStep::Planned)
    }

    /// From the plan to the pass that carries it out.
    fn evict(&mut self, work: &mut Work, root: &Root, counters: &mut Counters) -> Result<TrimStep, Errno> {
        self.planned = false;
        if self.dry {
            self.would = work.plan().expected.iter().sum();
            return Ok(TrimStep::Done(work.plan().expected));
        }
        if work.plan().expected == [0; 5] {
            return Ok(TrimStep::Done([0; 5]));
        }
        let count = counters.count(root).ok_or(Errno::ENOENT)?;
        let evict = work.begin(Purpose::Evict(Selection::Level), root, count)?;
        std::mem::replace(&mut self.pass, evict).end(work)?;
        Ok(TrimStep::More)
    }

    /// Sends what is left; the first error of its deletions.
    pub fn end(self, work: &mut Work) -> Result<(), Errno> {
        self.pass.end(work)
    }
}

/// A requested trim that the kernel can do alone. `None`: it cannot, or it would not spare what is protected.
pub fn trim_in_kernel(selection: Selection, config: &Config, work: &mut Work) -> Option<Result<(), Errno>> {
    if !config.protect.is_empty() || !work.may_filter() {
        return None;
    }
    match selection {
        // EINVAL: before 6.12. Never for IPv6, where the kernel's filter takes everybody else's.
        Selection::Source(std::net::IpAddr::V4(source), None) => {
            Some(evict::by_source(source)).filter(|r| *r != Err(Errno::EINVAL))
        }
        Selection::Kind(Only::Unreplied) => work.filters_by_status().then(evict::unreplied),
        _ => None,
    }
}

/// A flush that left no more than a tenth worked: the table fills while it is emptied.
fn proven(before: Entries, after: Entries) -> bool {
    after.0 <= before.0 / 10 + 16
}

/// Empties the table but for what is protected. `look` is called in between, so that the log is not forgotten. Gives
/// the count as read back and the way that worked; an error if none did.
pub fn flush(
    root: &Root,
    config: &Config,
    work: &mut Work,
    counters: &mut Counters,
    look: &mut dyn FnMut(),
) -> Result<(Entries, &'static str), Errno> {
    let before = counters.count(root).ok_or(Errno::ENOENT)?;
    let mut fault = Errno::EOPNOTSUPP;
    // Some: it worked, and this is the count now.
    let attempt = |way: &Way, counters: &mut Counters, fault: &mut Errno| {
        (way.run)(root).map_err(|e| *fault = e).ok()?;
        counters.count(root).filter(|after| proven(before, *after)).map(|after| (after, way.name))
    };
    let spare_nothing = config.protect.is_empty();
    if spare_nothing && work.has_netlink() {
        for way in &FLUSHES {
            if let Some(done) = attempt(way, counters, &mut fault) {
                return Ok(done);
            }
        }
    }
    if work.has_netlink() {
        let by_tuple = |work: &mut Work, look: &mut dyn FnMut()| -> Result<(), Errno> {
            let mut pass = work.begin(Purpose::Evict(Selection::All), root, before)?;
            while pass.step(work, config)? == Progress::More {
                look();
            }
            pass.end(work)
        };
        match by_tuple(work, look) {
            Ok(()) => {
                let after = counters.count(root).ok_or(Errno::ENOENT)?;
                if !spare_nothing || proven(before, after) {
                    return Ok((after, "one by one"));
                }
            }
            Err(e) => fault = e,
        }
    }
    // A file that is not for writing, which is refused to root too, does not hide what netlink said.
    let mut of_the_file = fault;
    if spare_nothing && let Some(done) = attempt(&FLUSH_PROC, counters, &mut of_the_file) {
        return Ok(done);
    }
    Err(if work.has_netlink() { fault } else { of_the_file })
}
