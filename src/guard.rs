//! The whole way from a look to a decision, as one value: what the daemon, `replay`, `drill` and the tests all drive.

use crate::decide::ladder::{Action, Decision, Ladder, Means, Outcome, Settings};
use crate::detect::{Detector, Evidence, Look, Verdict};
use crate::event::Event;
use crate::incident::{Change, Incidents};
use crate::units::Millis;

/// Detector, ladder and incidents. Holds no clock: every moment comes in.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    detector: Detector,
    /// The climb.
    pub ladder: Ladder,
    /// What has happened.
    pub incidents: Incidents,
}

/// Calm and Filling take turns several times a second while trims hold an attack: within one incident that is no news.
fn is_news(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Calm | Verdict::Filling)
}

impl Guard {
    /// Takes a look in and says what to do. What is worth telling goes to `report`.
    pub fn turn(
        &mut self,
        look: &Look,
        means: &Means,
        s: &Settings,
        report: &mut dyn FnMut(Event),
    ) -> Option<Decision> {
        let before = self.detector.evidence().verdict;
        let e = *self.detector.feed(look, &s.marks);
        let change = self.incidents.feed(look.at, &e);
        if e.verdict != before && (change == Change::Began || is_news(before) || is_news(e.verdict)) {
            report(Event::Verdict { from: before, evidence: e });
        }
        if change == Change::Ended
            && let Some(i) = self.incidents.last()
        {
            report(Event::IncidentOver {
                number: i.number,
                lasted: i.ended.unwrap_or(look.at).since(i.began),
                refused: i.refused,
                evicted: i.evicted,
            });
        }
        let decision = self.ladder.decide(look.at, &e, s, means);
        while let Some((rung, why)) = self.ladder.take_refusal() {
            report(Event::Refused { rung, why });
        }
        decision
    }

    /// Re-decides on a fresh look just before acting: `true` if the action is still called for.
    pub fn still_wanted(&self, action: &Action, look: &Look, s: &Settings) -> bool {
        let Some(table) = look.table else { return false };
        let full = table.occupancy() >= self.evidence().relief_from(&s.marks);
        full != matches!(action, Action::Shrink { .. })
    }

    /// Entries are being taken out: see [`Detector::relieved`].
    pub fn relieving(&mut self) {
        self.detector.relieved();
    }

    /// Takes in what came of an action.
    pub fn outcome(&mut self, now: Millis, o: &Outcome, s: &Settings) {
        let e = *self.detector.evidence();
        self.ladder.outcome(now, o, &e, &s.marks);
        self.incidents.acted(o);
        if o.done {
            self.detector.relieved();
        }
    }

    /// The evidence of the last look.
    pub const fn evidence(&self) -> &Evidence {
        self.detector.evidence()
    }

    /// Packets refused since the start: see [`Detector::refused_ever`].
    pub const fn refused_ever(&self) -> u32 {
        self.detector.refused_ever()
    }

    /// How long until the next look is due.
    pub fn next_look(&self, s: &Settings) -> Millis {
        self.detector.next_look(&s.marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::detect::Table;
    use crate::units::Entries;

    fn look(at: u64, count: u32) -> Look {
        let table = Table { count: Entries(count), max: Entries(1_000), buckets: Entries(1_000) };
        Look { at: Millis(at), table: Some(table), dropped: Some(0), ..Look::default() }
    }

    #[test]
    fn what_a_last_look_does_not_call_for_is_not_done() {
        let settings = Config::default().settings();
        let guard = Guard::default();
        let wanted = |action, count| guard.still_wanted(&action, &look(0, count), &settings);
        for action in [Action::Grow { to: Entries(2_000) }, Action::Trim, Action::Flush] {
            assert!(wanted(action, 850) && !wanted(action, 849), "{action}");
            assert!(!guard.still_wanted(&action, &Look::default(), &settings), "nothing can be read any more");
        }
        let shrink = Action::Shrink { to: Entries(500) };
        assert!(wanted(shrink, 849) && !wanted(shrink, 850), "it has filled again");
    }

    /// In an attack that trims hold, calm and filling take turns several times a second.
    #[test]
    fn an_attack_is_told_when_it_begins_and_when_it_is_over() {
        let settings = Config::default().settings();
        let means = Means { can_trim: true, ..Means::default() };
        let (mut guard, mut told, mut acts) = (Guard::default(), heapless::Vec::<Event, 8>::new(), 0);
        let mut now = 0;
        for turn in 0..100 {
            now += 50;
            let count = if turn % 2 == 0 { 500 } else { 900 };
            let decision = guard.turn(&look(now, count), &means, &settings, &mut |e| told.push(e).unwrap());
            if let Some(Decision { action, .. }) = decision {
                let (before, after) = (Entries(900), Entries(500));
                guard.outcome(Millis(now), &Outcome { action, before, after, took: Millis(1), done: true }, &settings);
                acts += 1;
            }
        }
        now += 20_000;
        for _ in 0..2 {
            guard.turn(&look(now, 400), &means, &settings, &mut |e| told.push(e).unwrap());
            now += 20_000;
        }
        assert_eq!(acts, 50);
        assert!(matches!(
            told[..],
            [
                Event::Verdict { from: Verdict::Blind, .. },
                Event::Verdict { from: Verdict::Calm, .. },
                Event::IncidentOver { number: 1, refused: 0, evicted: 20_000, .. },
            ]
        ));
    }
}
