//! The leases that run: what is due to be renewed, what has had its time. Here the opening; the caps are in `caps.rs`.

use super::caps::Shed;
use super::{RENEW_AT, SHEDS, Scope, TERM};
use crate::units::Millis;

/// An opening that lets strangers in is told again and again.
const TOLD_EVERY: Millis = Millis(60_000);
/// One that nobody wants now, or that could not be renewed, is looked at again after this: until its term is over somebody
/// may want it.
pub(super) const RETRY: Millis = Millis(1_000);

/// An opening that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// How far.
    pub scope: Scope,
    /// Since when.
    pub since: Millis,
    /// It is not renewed beyond this.
    pub until: Millis,
    /// When the kernel ends it if it is not renewed.
    pub ends: Millis,
    /// Somebody asked for it: it goes on though the table is calm.
    pub asked: bool,
    told: Millis,
    /// It is not looked at for renewal before this.
    again: Millis,
}

/// All that run.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    pub(super) sheds: heapless::Vec<Shed, SHEDS>,
    opening: Option<Opening>,
}

/// What an opening wants now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Give its leases again, for so long.
    Renew(Millis),
    /// Say that it is open.
    Tell,
    /// Its time is over: take its leases back.
    End,
}

impl Windows {
    /// None runs.
    pub const fn new() -> Self {
        Self { sheds: heapless::Vec::new(), opening: None }
    }

    /// Opened, or opened on: for `total` from now.
    pub fn open(&mut self, now: Millis, scope: Scope, total: Millis, asked: bool) -> Opening {
        let since = self.opening.map_or(now, |o| o.since);
        let until = now.after(total);
        let ends = now.after(TERM.min(total));
        *self.opening.insert(Opening { scope, since, until, ends, asked, told: now, again: now })
    }

    /// The opening that runs.
    pub const fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// What the opening wants. `wanted`: the table is still in trouble.
    pub fn due(&mut self, now: Millis, wanted: bool) -> Due {
        let Some(o) = &mut self.opening else { return Due::Nothing };
        if now >= o.until || now >= o.ends {
            return Due::End;
        }
        if o.ends.since(now) <= RENEW_AT && o.ends < o.until && now >= o.again {
            o.again = now.after(RETRY);
            if wanted || o.asked {
                return Due::Renew(TERM.min(o.until.since(now)));
            }
        }
        if o.scope == Scope::All && now.since(o.told) >= TOLD_EVERY {
            o.told = now;
            return Due::Tell;
        }
        Due::Nothing
    }

    /// Its leases were given again.
    pub fn renewed(&mut self, now: Millis, term: Millis) {
        if let Some(o) = &mut self.opening {
            o.ends = now.after(term);
        }
    }

    /// It is closed.
    pub fn close(&mut self) -> Option<Opening> {
        self.opening.take()
    }

    /// When [`due`](Windows::due) may have something next.
    pub fn next(&self) -> Option<Millis> {
        let opening = self.opening.map(|o| {
            let due = Millis(o.ends.0.saturating_sub(RENEW_AT.0)).max(o.again);
            let renew = if o.ends < o.until { due.min(o.ends) } else { o.ends };
            let tell = if o.scope == Scope::All { o.told.after(TOLD_EVERY) } else { o.until };
            renew.min(tell).min(o.until)
        });
        self.sheds.iter().filter_map(Shed::next).chain(opening).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(s: u64) -> Millis {
        Millis::seconds(s)
    }

    #[test]
    fn an_opening_of_the_ladders_ends_one_term_after_the_calm_and_one_asked_for_at_its_time() {
        let mut w = Windows::default();
        w.open(at(0), Scope::Router, at(600), false);
        assert_eq!(w.due(at(9), true), Due::Nothing);
        assert_eq!(w.due(at(10), true), Due::Renew(TERM));
        w.renewed(at(10), TERM);
        assert_eq!(w.due(at(39), false), Due::Nothing);
        assert_eq!(w.due(at(40), false), Due::End);
        w.close();
        w.open(at(100), Scope::Router, at(50), true);
        assert_eq!(w.due(at(115), false), Due::Renew(TERM));
        w.renewed(at(115), TERM);
        assert_eq!(w.due(at(130), false), Due::Renew(at(20)));
        w.renewed(at(130), at(20));
        assert_eq!((w.due(at(149), false), w.next()), (Due::Nothing, Some(at(150))));
        assert_eq!(w.due(at(150), true), Due::End);
    }

    #[test]
    fn an_open_door_is_told_every_minute() {
        let mut w = Windows::default();
        w.open(at(0), Scope::All, at(600), true);
        let mut told = 0;
        for s in 1..=300 {
            match w.due(at(s), false) {
                Due::Renew(term) => w.renewed(at(s), term),
                Due::Tell => told += 1,
                Due::End => panic!("at {s} s"),
                Due::Nothing => {}
            }
            assert!(w.next().is_some_and(|n| n >= at(s)));
        }
        assert!((4..=5).contains(&told), "{told}");
    }
}
