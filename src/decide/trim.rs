//! Trim by water level: whose entries go, in which order, and whose are spared.
//!
//! Each step takes the longest idle first, and the next begins only where the one before did not suffice:
//!
//! ```text
//! step     whose                   which                                     down to
//! closing  anyone's                TIME_WAIT, CLOSE, LAST_ACK                low
//! level    holders above level L   what they hold above L: stale, then       low
//!                                  assured, then the rest
//! stale    anyone's                unassured, idle 3 s                       low
//! young    anyone's                unassured, idle 2 s                       just under high
//! quiet    anyone's                assured, idle 10 s                        just under high
//! all      anyone's                idle 3 s, then 2 s                        low
//! ```
//!
//! The order was proven against nine attacks. What it spares is its point: unassured entries younger than 2 s are
//! handshakes in flight (taking them at 80 ms let only 87 % of the neighbours' connections through), quiet flows of
//! light holders (an idle shell, a push channel) go last.
//!
//! A plan is made from a sample and carried out by one pass over the whole table. Where entries tie (a flood is all
//! of one second), a sampled plan takes a share of them by a coin that the entry's id throws, so that what remains at
//! the front of the next dump is still a fair sample.

use super::sample::{HolderId, Kind, Order, Row, Sample, scramble};
use crate::units::Entries;

/// No level is lower than this many entries: a household device stays below it.
pub const LEVEL_FLOOR: Entries = Entries(64);
/// Holders above the level that one plan can name. When there are more, the heaviest are in it; the rest are reached by
/// the steps that take from anyone.
pub const HOLDERS: usize = 256;
/// Rows of a sample that a holder must have to be cut: fewer do not tell a hog from chance.
pub(super) const SAMPLED_ROWS_FLOOR: u32 = 8;
/// Idle seconds from which an assured flow of a light holder may go.
const QUIET_S: u16 = 10;

/// What to bring the table down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Entries in the table now.
    pub count: Entries,
    /// The low mark in entries: where relief stops.
    pub low: Entries,
    /// Just under the high mark: as far as flows go that somebody may still want.
    pub near: Entries,
}

/// Why an entry goes: a step of the order above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Closing = 0,
    Level = 1,
    Stale = 2,
    Young = 3,
    Quiet = 4,
}

/// How many entries each step took or is to take, indexed by [`Step`]; `Quiet` counts the assured ones of `all` too.
pub type Steps = [u32; 5];

/// All entries before a place in the order go, of those at it a share.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    at: Order,
    /// Of those at the place itself, so many in 65,536.
    share: u32,
    /// So many from before the place. A quota of its own, or ties met early would use it up.
    before: u32,
    /// Never more than this many of those at the place, and of those that came to be before it meanwhile: a second that
    /// ends between sample and pass makes all of a burst a second older.
    ties: u32,
}

impl Cut {
    const NOTHING: Cut = Cut { at: Order::at(Kind::Closing, u16::MAX), share: 0, before: 0, ties: 0 };

    /// So that of `rows`, sorted by order, the first `take` go. Where rows are entries the quota alone divides ties.
    fn of(rows: &[Row], take: u32, scale: Scale) -> Cut {
        let last = (take as usize).checked_sub(1).and_then(|i| rows.get(i));
        let Some(at) = last.map(|r| r.order()) else { return Cut::NOTHING };
        let before = rows.partition_point(|r| r.order() < at) as u32;
        let ties = rows.partition_point(|r| r.order() <= at) as u32 - before;
        let share = if scale.exact() { 1 << 16 } else { ((take - before) << 16) / ties.max(1) };
        Cut { at, share, before: scale.entries(before), ties: scale.entries(take - before) }
    }

    fn takes(&mut self, order: Order, coin: u16) -> bool {
        let surely = order < self.at && self.before > 0;
        let quota = if surely { &mut self.before } else { &mut self.ties };
        let yes = surely || *quota > 0 && order <= self.at && (coin as u32) < self.share;
        *quota -= yes as u32;
        yes
    }
}

/// From rows of the sample to entries of the table and back.
#[derive(Clone, Copy)]
struct Scale {
    rows: u32,
    count: u32,
}

impl Scale {
    fn exact(self) -> bool {
        self.rows >= self.count
    }
    fn entries(self, rows: u32) -> u32 {
        if self.exact() { rows } else { (rows as u64 * self.count as u64).div_ceil(self.rows.max(1) as u64) as u32 }
    }
    fn rows(self, entries: Entries) -> u32 {
        if self.exact() { entries.0 } else { (entries.0 as u64 * self.rows as u64 / self.count.max(1) as u64) as u32 }
    }
}

/// Whose entries go. Made once from a sample, asked once an entry during the pass.
pub struct Plan {
    holders: heapless::Vec<(HolderId, Cut), HOLDERS>,
    closing: Cut,
    stale: Cut,
    young: Cut,
    assured: Cut,
    salt: u32,
    taken: Steps,
    /// At most so many go in all: never below the low mark.
    left: u32,
    /// The level L; `None` where no holder had to be cut.
    pub level: Option<Entries>,
    /// What is expected of each step.
    pub expected: Steps,
    /// Holders above the level for which there was no place in the plan.
    pub unnamed: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// A plan that takes nothing.
    pub const fn new() -> Self {
        Self {
            holders: heapless::Vec::new(),
            closing: Cut::NOTHING,
            stale: Cut::NOTHING,
            young: Cut::NOTHING,
            assured: Cut::NOTHING,
            salt: 0,
            taken: [0; 5],
            left: 0,
            level: None,
            expected: [0; 5],
            unnamed: 0,
        }
    }

    /// Makes the plan in place. The sample is used up: its rows are sorted and struck out. `salt` is for the coins and
    /// must differ from the last plan's, or the same entries would win again.
    pub fn make(&mut self, sample: &mut Sample, goal: Goal, salt: u32) {
        self.make_of(sample, goal, salt, false);
    }

    /// The same; with `level_only` nothing goes but what holders above the level hold above it: for `shed` without `trim`.
    pub fn make_of(&mut self, sample: &mut Sample, goal: Goal, salt: u32, level_only: bool) {
        *self = Self::new();
        self.salt = salt;
        self.left = goal.count.less(goal.low).0;
        let scale = Scale { rows: sample.len(), count: goal.count.0.max(sample.len()) };
        let rows = sample.rows();
        let mut room = Room { rows: rows.len() as u32, low: scale.rows(goal.low), near: scale.rows(goal.near) };

        sort_by_order(rows);
        let closing = of_kind(rows, Kind::Closing);
        let take = if level_only { 0 } else { room.above_low().min(closing.len() as u32) };
        self.closing = Cut::of(closing, take, scale);
        self.expect(Step::Closing, take, scale, &mut room);
        if room.above_low() == 0 {
            return;
        }
        closing.fill(Row::GONE); // all of them go, so none counts for its holder
        self.cut_holders(rows, scale, &mut room);
        if level_only {
            return;
        }

        sort_by_order(rows);
        let stale = of_kind(rows, Kind::Stale);
        let take = room.above_low().min(stale.len() as u32);
        self.stale = Cut::of(stale, take, scale);
        self.expect(Step::Stale, take, scale, &mut room);

        let young_idle_2 = idle_at_least(of_kind(rows, Kind::Young), 2);
        let mut young_take = room.above_near().min(young_idle_2);
        self.expect(Step::Young, young_take, scale, &mut room);

        let assured = of_kind(rows, Kind::Assured);
        let mut assured_take = room.above_near().min(idle_at_least(assured, QUIET_S));
        self.expect(Step::Quiet, assured_take, scale, &mut room);
        for idle in [3, 2] {
            if room.above_near() > 0 {
                let more = room.above_low().min(idle_at_least(assured, idle).saturating_sub(assured_take));
                assured_take += more;
                self.expect(Step::Quiet, more, scale, &mut room);
            }
        }
        self.assured = Cut::of(assured, assured_take, scale);
        if room.above_near() > 0 {
            let more = room.above_low().min(young_idle_2 - young_take);
            young_take += more;
            self.expect(Step::Young, more, scale, &mut room);
        }
        self.young = Cut::of(of_kind(rows, Kind::Young), young_take, scale);
    }

    fn expect(&mut self, step: Step, rows: u32, scale: Scale, room: &mut Room) {
        room.rows = room.rows.saturating_sub(rows);
        if let Some(n) = self.expected.get_mut(step as usize) {
            *n += scale.entries(rows);
        }
    }

    /// Step `level`: finds L and cuts who is above it, of more than [`HOLDERS`] the heaviest.
    fn cut_holders(&mut self, rows: &mut [Row], scale: Scale, room: &mut Room) {
        rows.sort_unstable();
        let floor = if scale.exact() { LEVEL_FLOOR.0 } else { scale.rows(LEVEL_FLOOR).max(SAMPLED_ROWS_FLOOR) };
        let level = level(rows, room.low).max(floor);
        let above = |rows: &[Row], by: u32| groups(rows).filter(|(_, held)| *held >= level.saturating_add(by)).count();
        let all_above = above(rows, 1);
        let least_excess = least(1, room.rows.max(1), |by| above(rows, by) <= HOLDERS);
        let mut start = 0;
        while let Some(rest) = rows.get_mut(start..)
            && let Some((length, held)) = group(rest)
        {
            start += length;
            let excess = held.saturating_sub(level);
            let take = excess.min(room.above_low());
            if take == 0 || excess < least_excess {
                continue;
            }
            let Some(own) = rest.get_mut(..length) else { break };
            let Some(holder) = own.first().map(|r| r.holder()) else { break };
            if self.holders.push((holder, Cut::of(own, take, scale))).is_ok() {
                self.expect(Step::Level, take, scale, room);
                self.level = Some(Entries(scale.entries(level)));
                // Struck out last: they are what the cut was made from.
                own.iter_mut().take(take as usize).for_each(|r| *r = Row::GONE);
            }
        }
        self.unnamed = (all_above as u32).saturating_sub(self.holders.len() as u32);
    }

    /// Does this entry go, and by which step? Asked once an entry during the pass; counts against the quotas.
    pub fn takes(&mut self, holder: HolderId, order: Order, id: u32) -> Option<Step> {
        if self.left == 0 {
            return None;
        }
        let coin = (scramble(id, self.salt) >> 16) as u16;
        let step = match order.kind() {
            Kind::Protected => None,
            Kind::Closing => self.closing.takes(order, coin).then_some(Step::Closing),
            kind => {
                let at = self.holders.binary_search_by_key(&holder, |(h, _)| *h);
                let above =
                    at.ok().and_then(|i| self.holders.get_mut(i)).is_some_and(|(_, cut)| cut.takes(order, coin));
                match kind {
                    _ if above => Some(Step::Level),
                    Kind::Stale => self.stale.takes(order, coin).then_some(Step::Stale),
                    Kind::Young => self.young.takes(order, coin).then_some(Step::Young),
                    Kind::Assured => self.assured.takes(order, coin).then_some(Step::Quiet),
                    _ => None,
                }
            }
        }?;
        self.left -= 1;
        if let Some(n) = self.taken.get_mut(step as usize) {
            *n += 1;
        }
        Some(step)
    }

    /// Does this holder have more than the level allows? Closing entries are not counted: what is over holds nobody back.
    pub fn cuts(&self, holder: HolderId) -> bool {
        self.holders.binary_search_by_key(&holder, |(h, _)| *h).is_ok()
    }

    /// What each step has taken so far.
    pub const fn taken(&self) -> Steps {
        self.taken
    }

    /// The plan takes nothing more.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// Where the table stands while a plan is made, in rows.
struct Room {
    rows: u32,
    low: u32,
    near: u32,
}

impl Room {
    fn above_low(&self) -> u32 {
        self.rows.saturating_sub(self.low)
    }
    fn above_near(&self) -> u32 {
        self.rows.saturating_sub(self.near)
    }
}

/// What goes first comes first, whoever holds it. The plain order of rows groups holders instead.
fn sort_by_order(rows: &mut [Row]) {
    rows.sort_unstable_by_key(|r| r.by_order());
}

/// The rows of one kind, of rows sorted by order.
fn of_kind(rows: &mut [Row], kind: Kind) -> &mut [Row] {
    let start = rows.partition_point(|r| r.order().kind() < kind);
    let end = rows.partition_point(|r| r.order().kind() <= kind);
    rows.get_mut(start..end).unwrap_or(&mut [])
}

/// How many rows, of one kind and sorted by order, are idle for `idle_s` or more.
fn idle_at_least(rows: &[Row], idle_s: u16) -> u32 {
    rows.partition_point(|r| r.order().idle_s() >= idle_s) as u32
}

/// The first holder of rows sorted by holder: its rows, and how many of them count as held (protected ones do not).
fn group(rows: &[Row]) -> Option<(usize, u32)> {
    let first = rows.first().filter(|r| **r != Row::GONE)?;
    // One by one: of a spoofed flood each row is a holder, and looking for the end of each by halves took a quarter of the
    // daemon's time.
    let own = rows.iter().take_while(|r| r.holder() == first.holder() && **r != Row::GONE);
    let count =
        |(length, held): (usize, u32), r: &Row| (length + 1, held + u32::from(r.order().kind() != Kind::Protected));
    Some(own.fold((0, 0), count))
}

/// All holders of rows sorted by holder, as [`group`] tells them.
fn groups(mut rows: &[Row]) -> impl Iterator<Item = (usize, u32)> {
    core::iter::from_fn(move || {
        let found = group(rows)?;
        rows = rows.get(found.0..)?;
        Some(found)
    })
}

/// The water level: the largest L for which Σ min(held, L) over all holders, with what is protected, is at most `room`.
fn level(rows: &[Row], room: u32) -> u32 {
    let protected = rows.iter().filter(|r| **r != Row::GONE && r.order().kind() == Kind::Protected).count() as u32;
    let filled = |level: u32| groups(rows).map(|(_, held)| held.min(level)).sum::<u32>() + protected;
    least(1, rows.len() as u32 + 1, |level| filled(level) > room).saturating_sub(1)
}

/// The least number from `from` to `to` for which `holds`, which must not turn false again above it; `to` if there is none.
fn least(mut from: u32, mut to: u32, holds: impl Fn(u32) -> bool) -> u32 {
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}
