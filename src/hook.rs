//! Which events call the owner's scripts, and what these are told.
//!
//! | ACTION | when | REASON |
//! |---|---|---|
//! | `calm` `filling` `saturated` `misreported` `blind` | the verdict is another | the verdict before |
//! | `grow` `shrink` `trim` `flush` `stateless` `unload` | a step of relief that was not the last one | `high` `full` `calm` |
//! | `shed` | somebody is capped who was not | `high` |
//! | `open` | the firewall is open | how far: `router` `lan` `all` |
//! | `close` | it is closed again | why, in words |
//! | `over` | the incident is over | `calm` |
//!
//! COUNT and MAX are the table's, CULPRIT is who held most of it, or is capped; empty where that is not known. All of it is
//! our own words, numbers and addresses: never a text from the log or the net.

use crate::decide::ladder::{Action, Reason};
use crate::detect::Table;
use crate::event::Event;
use crate::lease::Lease;
use crate::protocol::TopKey;
use crate::rung::Rung;
use core::fmt;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hook {
    /// A verdict's or a rung's word.
    pub action: &'static str,
    /// Why.
    pub reason: &'static str,
    /// As it was then.
    pub table: Table,
    /// Who, where that is known.
    pub culprit: Option<TopKey>,
}

impl Hook {
    /// What the script finds in its environment.
    pub fn tell(&self, put: &mut dyn FnMut(&'static str, fmt::Arguments<'_>)) {
        put("ACTION", format_args!("{}", self.action));
        put("REASON", format_args!("{}", self.reason));
        put("COUNT", format_args!("{}", self.table.count));
        put("MAX", format_args!("{}", self.table.max));
        match self.culprit {
            Some(culprit) => put("CULPRIT", format_args!("{culprit}")),
            None => put("CULPRIT", format_args!("")),
        }
    }
}

/// What was called last, so that a step that goes on is no news.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    rung: Option<Rung>,
    culprit: Option<TopKey>,
}

impl Caller {
    /// Before the first event.
    pub const fn new() -> Self {
        Self { rung: None, culprit: None }
    }

    /// Takes an event in; what to call, if anything. `table` is the one of the last look.
    pub fn feed(&mut self, event: &Event, table: Table) -> Option<Hook> {
        let mut hook = Hook { action: "", reason: "", table, culprit: self.culprit };
        (hook.action, hook.reason) = match event {
            Event::Verdict { from, evidence } => {
                hook.table = evidence.table;
                (evidence.verdict.name(), from.name())
            }
            Event::Decided { decision, dry: false } => {
                let (action, rung) = (decision.action, decision.action.rung());
                // Sheds and openings tell when they are done.
                let told_later = matches!(action, Action::Shed | Action::Open { .. });
                if told_later {
                    return None;
                }
                let back = matches!(action, Action::Shrink { .. });
                let before = self.rung.replace(rung);
                if before == Some(rung) && !back && rung != Rung::Flush {
                    return None;
                }
                let word = if back { "shrink" } else { rung.name() };
                let reason = match decision.reason {
                    Reason::Full { .. } => "full",
                    Reason::Calm { .. } => "calm",
                    _ => "high",
                };
                (word, reason)
            }
            Event::Shed { first, again: false, .. } => {
                self.rung = Some(Rung::Shed);
                hook.culprit = match *first {
                    Lease::Source(address) => Some(TopKey::Source(address)),
                    Lease::Destination { address, protocol, port } => {
                        Some(TopKey::Destination { address, protocol, port })
                    }
                    _ => hook.culprit,
                };
                ("shed", "high")
            }
            Event::Opened { scope, .. } => {
                self.rung = Some(Rung::Open);
                ("open", scope.name())
            }
            Event::Closed { because, .. } => ("close", *because),
            Event::HeldBy { who, .. } => {
                self.culprit = Some(*who);
                return None;
            }
            Event::IncidentOver { .. } => {
                *self = Self::new();
                ("over", "calm")
            }
            _ => return None,
        };
        Some(hook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::ladder::Decision;
    use crate::detect::{Evidence, Verdict};
    use crate::lease::Scope;
    use crate::units::{Entries, Millis, Permille};

    const FULL: Table = Table { count: Entries(2048), max: Entries(2048), buckets: Entries(1024) };

    fn decided(action: Action, dry: bool) -> Event {
        let reason = Reason::High { occupancy: Permille(900), high: Permille(850) };
        Event::Decided { decision: Decision { action, reason }, dry }
    }

    #[test]
    fn verdicts_and_other_steps_than_the_last_one_call() {
        let hog = TopKey::Source([10, 0, 0, 7].into());
        let evidence = Evidence { verdict: Verdict::Saturated, table: FULL, ..Evidence::default() };
        let open = Event::Opened { scope: Scope::Lan, total: Millis(1), asked: true, impossible: "" };
        let shed = |again| Event::Shed { first: Lease::Source([10, 0, 0, 9].into()), count: 2, left_out: 0, again };
        let over = Event::IncidentOver { number: 1, lasted: Millis(1), refused: 0, evicted: 0 };
        let (trim, flush) = (decided(Action::Trim, false), decided(Action::Flush, false));
        let events = [
            (Event::Verdict { from: Verdict::Filling, evidence }, Some(("saturated", "filling"))),
            (decided(Action::Trim, true), None),
            (trim, Some(("trim", "high"))),
            (trim, None),
            (Event::HeldBy { who: hog, share: Permille(900) }, None),
            (decided(Action::Shed, false), None),
            (shed(false), Some(("shed", "high"))),
            (shed(true), None),
            (trim, Some(("trim", "high"))),
            (flush, Some(("flush", "high"))),
            (flush, Some(("flush", "high"))),
            (open, Some(("open", "lan"))),
            (
                Event::Closed { scope: Scope::Lan, lasted: Millis(1), because: "its time is over" },
                Some(("close", "its time is over")),
            ),
            (decided(Action::Grow { to: Entries(1) }, false), Some(("grow", "high"))),
            (decided(Action::Shrink { to: Entries(1) }, false), Some(("shrink", "high"))),
            (over, Some(("over", "calm"))),
            (trim, Some(("trim", "high"))),
        ];
        let mut caller = Caller::new();
        for (n, (event, expected)) in events.into_iter().enumerate() {
            let hook = caller.feed(&event, FULL);
            assert_eq!(hook.map(|h| (h.action, h.reason)), expected, "event {n}: {event}");
            let culprit = match n {
                6 => Some(TopKey::Source([10, 0, 0, 9].into())),
                4..=15 => Some(hog),
                _ => None,
            };
            assert!(hook.is_none_or(|h| h.culprit == culprit && h.table == FULL), "event {n}");
        }
    }

    #[test]
    fn a_script_finds_five_words_in_its_environment() {
        extern crate std;
        use std::{format, string::String};
        let culprit = Some(TopKey::Destination { address: [192, 0, 2, 9].into(), protocol: 17, port: 53 });
        let mut said = String::new();
        Hook { action: "flush", reason: "full", table: FULL, culprit }.tell(&mut |name, value| {
            said += &format!("{name}={value} ");
        });
        assert_eq!(said, "ACTION=flush REASON=full COUNT=2048 MAX=2048 CULPRIT=192.0.2.9:53/udp ");
    }
}
