//! The caps that run: which may be given, which are due to be given again, which have had their time.

use super::windows::RETRY;
use super::{Lease, RENEW_AT, SHEDS, TERM, Windows};
use crate::units::Millis;

/// A cap that ended is remembered so long: one that comes again sooner goes on with the time it has had.
const REMEMBERED: Millis = Millis(60_000);

/// One cap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shed {
    lease: Lease,
    since: Millis,
    /// When the kernel ends it.
    ends: Millis,
    /// Somebody asked for it: it is renewed until then.
    asked: Option<Millis>,
    /// It is not tried to renew it before this.
    again: Millis,
    /// It was given for less than a term, which iptables' rules do not know: taken back when that is over.
    short: bool,
    /// It was told that it has had its total.
    told: bool,
}

impl Shed {
    /// When it has to be given again; `None`: it is not.
    fn renew_at(&self) -> Option<Millis> {
        self.asked
            .filter(|until| *until > self.ends)
            .map(|_| Millis(self.ends.0.saturating_sub(RENEW_AT.0)).max(self.again))
    }
    fn runs(&self, now: Millis) -> bool {
        self.ends > now
    }
    /// For so long it may be given now: a term, or what it has left of `total`.
    fn term(&self, now: Millis, total: Millis) -> Millis {
        TERM.min(Millis(total.0.saturating_sub(now.since(self.since).0)))
    }
    /// It runs, and given again it would end no sooner and, for now, not much later.
    fn runs_on(&self, now: Millis, total: Millis) -> bool {
        let (left, term) = (self.ends.since(now), self.term(now, total));
        left == term || RENEW_AT < left && left < term
    }
    /// When it has to be seen to.
    pub(super) fn next(&self) -> Option<Millis> {
        self.renew_at().or(Some(self.ends).filter(|_| self.short))
    }
}

impl Windows {
    /// Of the leases that are called for, those that are to be given now: what has had `total` at a stretch is left out, and
    /// so is what there is no room for, and what runs long enough: to nftables a lease given again is a new one, with its
    /// burst unspent (a hog trimmed three times a second had 38 new flows a second of a rate of 20). With them, how many have
    /// had it, each counted once, and how many run on.
    pub fn to_shed(
        &mut self,
        now: Millis,
        wanted: &[Lease],
        total: Millis,
    ) -> (heapless::Vec<Lease, SHEDS>, [usize; 2]) {
        self.sheds.retain(|s| now.since(s.ends) < REMEMBERED);
        let mut given = heapless::Vec::new();
        let (mut room, mut spent, mut running) = (self.sheds.capacity() - self.sheds.len(), 0, 0);
        for lease in wanted {
            match self.sheds.iter_mut().find(|s| s.lease == *lease) {
                // Asked for: that long, whatever it has had.
                Some(s) if s.runs(now) && s.asked.is_some_and(|until| until > now) => running += 1,
                Some(s) if now.since(s.since) >= total => {
                    spent += usize::from(!s.told);
                    s.told = true;
                }
                Some(s) if s.runs_on(now, total) => running += 1,
                Some(_) => {
                    let _ = given.push(*lease);
                }
                None if room > 0 => {
                    room -= 1;
                    let _ = given.push(*lease);
                }
                None => {}
            }
        }
        (given, [spent, running])
    }

    /// For so long this may be given now: a term, or what it has left of `total`.
    pub fn term(&self, now: Millis, lease: &Lease, total: Millis) -> Millis {
        self.sheds.iter().find(|s| s.lease == *lease).map_or(TERM.min(total), |s| s.term(now, total))
    }

    /// These were given for `term`.
    pub fn shed(&mut self, now: Millis, leases: &[Lease], term: Millis) {
        let (ends, short) = (now.after(term), term < TERM);
        for lease in leases {
            match self.sheds.iter_mut().find(|s| s.lease == *lease) {
                Some(s) => (s.ends, s.short) = (ends, short),
                None => {
                    let new = Shed { lease: *lease, since: now, ends, asked: None, again: now, short, told: false };
                    let _ = self.sheds.push(new);
                }
            }
        }
    }

    /// Since when this one has been capped.
    pub fn shed_since(&self, lease: &Lease) -> Option<Millis> {
        self.sheds.iter().find(|s| s.lease == *lease).map(|s| s.since)
    }

    /// This one was asked for, until then (`None`: it is not any more). Until when it was before.
    pub fn shed_until(&mut self, lease: &Lease, until: Option<Millis>) -> Option<Millis> {
        let s = self.sheds.iter_mut().find(|s| s.lease == *lease)?;
        core::mem::replace(&mut s.asked, until)
    }

    /// The kernel does not hold this one any more: somebody took it out.
    pub fn shed_gone(&mut self, now: Millis, lease: &Lease) {
        if let Some(s) = self.sheds.iter_mut().find(|s| s.lease == *lease) {
            s.ends = now;
        }
    }

    /// The caps that were asked for and are to be given again now, each for so long.
    pub fn sheds_due(&self, now: Millis) -> impl Iterator<Item = (Lease, Millis)> {
        let due = move |s: &&Shed| s.renew_at().is_some_and(|at| now >= at);
        self.sheds.iter().filter(due).filter_map(move |s| Some((s.lease, TERM.min(s.asked?.since(now)))))
    }

    /// The caps whose time is over, and which the kernel may go on with all the same: each once.
    pub fn sheds_over(&mut self, now: Millis) -> heapless::Vec<Lease, SHEDS> {
        let over = self.sheds.iter_mut().filter(|s| s.short && now >= s.ends);
        over.map(|s| {
            s.short = false;
            s.lease
        })
        .collect()
    }

    /// This one could not be given again: tried once more a little later, while it has time.
    pub fn shed_failed(&mut self, now: Millis, lease: &Lease) {
        if let Some(s) = self.sheds.iter_mut().find(|s| s.lease == *lease) {
            s.again = now.after(RETRY);
            s.asked = s.asked.filter(|until| *until > s.again);
        }
    }

    /// The caps in force, with the time that each has left.
    pub fn shedding(&self, now: Millis) -> impl Iterator<Item = (Lease, Millis)> {
        self.sheds.iter().filter(move |s| s.runs(now)).map(move |s| (s.lease, s.ends.since(now)))
    }

    /// No cap is in force any more.
    pub fn forget_sheds(&mut self) {
        self.sheds.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    const fn at(s: u64) -> Millis {
        Millis::seconds(s)
    }
    fn host(n: u8) -> Lease {
        Lease::Source(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)))
    }

    #[test]
    fn a_cap_is_given_again_until_it_has_had_its_total() {
        let mut w = Windows::default();
        let mut given = 0;
        for s in (0..360).step_by(20) {
            let (to, [spent, _]) = w.to_shed(at(s), &[host(1)], at(300));
            given += to.len();
            assert_eq!(spent, usize::from(s == 300), "told once: at {s} s");
            w.shed(at(s), &to, TERM);
        }
        assert_eq!(given, 15);
        // Left alone for long enough it may be given anew.
        assert_eq!(w.to_shed(at(700), &[host(1)], at(300)).0.len(), 1);
    }

    #[test]
    fn a_cap_that_runs_is_left_alone_unless_it_is_to_end_sooner() {
        let mut w = Windows::default();
        w.shed(at(0), &[host(1)], TERM);
        for (s, total, given) in [(1, 300, 0), (9, 300, 0), (10, 300, 1), (5, 30, 0), (29, 30, 0), (5, 15, 1)] {
            let (to, [spent, running]) = w.to_shed(at(s), &[host(1)], at(total));
            assert_eq!((to.len(), spent, running), (given, 0, 1 - given), "at {s} of {total} s");
        }
    }

    #[test]
    fn a_cap_that_was_asked_for_runs_beyond_the_ladders_total() {
        let mut w = Windows::default();
        w.shed(at(0), &[host(1)], TERM);
        w.shed_until(&host(1), Some(at(3_600)));
        for s in 1..400 {
            for (lease, term) in w.sheds_due(at(s)).collect::<heapless::Vec<_, SHEDS>>() {
                w.shed(at(s), &[lease], term);
            }
            let (to, counts) = w.to_shed(at(s), &[host(1)], at(300));
            assert_eq!((to.len(), counts), (0, [0, 1]), "at {s} s");
        }
        assert_eq!(w.shed_until(&host(1), None), Some(at(3_600)));
        assert_eq!(w.to_shed(at(400), &[host(1)], at(300)).1, [1, 0]);
    }

    #[test]
    fn a_cap_that_somebody_took_out_is_given_again() {
        let mut w = Windows::default();
        w.shed(at(0), &[host(1)], TERM);
        w.shed_gone(at(5), &host(1));
        assert_eq!(w.shedding(at(5)).count(), 0);
        assert_eq!(w.to_shed(at(5), &[host(1)], at(300)).0.len(), 1);
    }

    #[test]
    fn a_cap_does_not_outlive_its_total() {
        for total in [30, 31, 100, 300] {
            let mut w = Windows::default();
            for s in (0..total + 40).step_by(3) {
                let (to, _) = w.to_shed(at(s), &[host(1)], at(total));
                for lease in &to {
                    let term = w.term(at(s), lease, at(total));
                    w.shed(at(s), &[*lease], term);
                }
                assert_eq!(w.shedding(at(s)).count(), usize::from(s < total), "at {s} of {total} s");
                assert!(w.shedding(at(s)).all(|(_, left)| s * 1000 + left.0 <= total * 1000), "at {s} of {total} s");
            }
        }
    }

    #[test]
    fn the_heaviest_are_in_it_and_no_more_than_there_is_room_for() {
        let mut w = Windows::default();
        let many: heapless::Vec<Lease, 100> = (0..100).map(host).collect();
        let (to, spent) = w.to_shed(at(0), &many, at(300));
        assert_eq!((to.len(), spent, to.first()), (SHEDS, [0; 2], Some(&host(0))));
        w.shed(at(0), &to, TERM);
        assert_eq!(w.shedding(at(29)).count(), SHEDS);
        assert_eq!(w.shedding(at(30)).count(), 0);
    }

    #[test]
    fn a_cap_that_was_asked_for_is_renewed_until_its_time_is_over() {
        let mut w = Windows::default();
        w.shed(at(0), &[host(1), host(2)], TERM);
        // The last renewal is for less than a term: that end iptables' rules do not know.
        w.shed_until(&host(1), Some(at(95)));
        let mut renewed = 0;
        for s in 0..200 {
            for (lease, term) in w.sheds_due(at(s)).collect::<heapless::Vec<_, SHEDS>>() {
                assert_eq!(lease, host(1));
                renewed += 1;
                w.shed(at(s), &[lease], term);
            }
            assert_eq!(w.shedding(at(s)).any(|(lease, _)| lease == host(1)), s < 95, "at {s} s");
            assert_eq!(w.shedding(at(s)).any(|(lease, _)| lease == host(2)), s < 30);
        }
        assert!((3..=9).contains(&renewed), "{renewed}");
        assert_eq!(w.next(), Some(at(95)), "the kernel may not know");
        assert_eq!((w.sheds_over(at(94)).len(), w.sheds_over(at(95)).as_slice()), (0, &[host(1)][..]));
        assert_eq!((w.sheds_over(at(95)).len(), w.next()), (0, None));
    }

    #[test]
    fn a_cap_that_cannot_be_renewed_is_tried_each_second_and_at_last_no_more() {
        let mut w = Windows::default();
        w.shed(at(0), &[host(1)], TERM);
        w.shed_until(&host(1), Some(at(50)));
        let (mut tried, mut now) = (0, at(0));
        while let Some(next) = w.next() {
            assert!(next > now || tried == 0, "{now:?}");
            now = next;
            for (lease, _) in w.sheds_due(now).collect::<heapless::Vec<_, SHEDS>>() {
                tried += 1;
                w.shed_failed(now, &lease);
            }
        }
        assert_eq!((tried, now), (40, at(49)));
    }
}
