//! A recorded incident, fed through the same code on a virtual clock.
//!
//! One line a thing; times are milliseconds from the recording's start and do not go back; a line that begins with `#` is
//! a comment.
//!
//! ```text
//! 0     max 2048 buckets 2048     the limits, from here on
//! 0     memory 40000              MemAvailable in KiB, from here on: `grow` needs it
//! 0     netlink no                entries cannot be deleted here, from here on; `netlink yes`: they can
//! 0     netns 4026531840          our own network namespace: lines about others are not ours
//! 500   count 1800 drop 12        one look: entries now, and the sum of the `drop` column; without `drop` the column is missing
//! 510   blind                     one look that found nothing to read
//! 520   kmsg 4,344,8082406351,-;nf_conntrack: table full, dropping packet
//! ```
//!
//! The recorded world does not react: what the next look says is taken for what came of a decision. In a dry run nothing
//! comes of one.

use crate::config::Config;
use crate::decide::ladder::{Action, Decision, Means, Outcome};
use crate::detect::{Look, Table};
use crate::event::Event;
use crate::guard::Guard;
use crate::observe::kmsg::Record;
use crate::observe::logwindow::{LogCounts, LogWindow};
use crate::observe::memory::EntryCost;
use crate::rung::Rung;
use crate::sizing;
use crate::units::{Entries, Kib, Millis};

/// What is wrong with a line, and what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: u32,
    /// What was expected there.
    pub expected: &'static str,
}

/// A guard on a virtual clock.
pub struct Replay<'c> {
    config: &'c Config,
    guard: Guard,
    window: LogWindow,
    now: Millis,
    line: u32,
    table: Table,
    available: Kib,
    netlink: bool,
    drops: Option<u32>,
    told: LogCounts,
    pending: Option<(Millis, Decision, Entries, Entries)>,
    grown: Option<(Entries, Entries)>,
    open_until: Millis,
}

impl<'c> Replay<'c> {
    /// At the start of a recording.
    pub fn new(config: &'c Config) -> Self {
        let mut window = LogWindow::new(None);
        window.mark_start(0);
        Self {
            config,
            guard: Guard::default(),
            window,
            now: Millis(0),
            line: 0,
            table: Table::default(),
            available: Kib(0),
            netlink: true,
            drops: None,
            told: LogCounts::default(),
            pending: None,
            grown: None,
            open_until: Millis(0),
        }
    }

    /// Takes in one line. Every decision and all else worth telling goes to `report` with its time.
    pub fn line(&mut self, text: &str, report: &mut dyn FnMut(Millis, Event)) -> Result<(), Fault> {
        self.line += 1;
        let fault = |expected| Fault { line: self.line, expected };
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let (time, rest) = text.split_once(char::is_whitespace).ok_or(fault("a time, then what happened"))?;
        let time = Millis(time.parse().map_err(|_| fault("a time in milliseconds"))?);
        if time < self.now {
            return Err(fault("a time not before the line above"));
        }
        self.now = time;
        let (verb, rest) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let number = |text: Option<&str>, expected| text.and_then(|t| t.parse::<u32>().ok()).ok_or(fault(expected));
        let most = match verb {
            "max" | "count" => 3,
            "memory" | "netlink" | "netns" => 1,
            "blind" => 0,
            _ => usize::MAX,
        };
        let mut words = rest.split_whitespace();
        if words.clone().nth(most).is_some() {
            return Err(fault("nothing more on this line"));
        }
        let (first, second, third) = (words.next(), words.next(), words.next());
        match verb {
            "max" => {
                let max = Entries(number(first, "max and a number")?);
                if second.is_some() {
                    self.table.buckets =
                        Entries(number(third.filter(|_| second == Some("buckets")), "buckets and a number")?);
                }
                self.table.max = max;
            }
            "memory" => self.available = Kib(number(first, "memory and KiB")?),
            "netlink" if matches!(first, Some("yes" | "no")) => self.netlink = first == Some("yes"),
            "netlink" => return Err(fault("netlink and yes or no")),
            "netns" => self.window.set_namespace(number(first, "netns and a number")?),
            "count" => {
                let count = Entries(number(first, "count and a number")?);
                let mut dropped = None;
                if second.is_some() {
                    let sum = number(third.filter(|_| second == Some("drop")), "drop and a number")?;
                    dropped = Some(sum.wrapping_sub(self.drops.replace(sum).unwrap_or(sum)));
                }
                self.table.count = count;
                self.look(Some(self.table), dropped, report);
            }
            "blind" => {
                // The module went away: its counters will begin anew.
                self.drops = None;
                self.look(None, None, report);
            }
            "kmsg" => {
                let record = Record::parse(rest.as_bytes()).map_err(|_| fault("a record of /dev/kmsg"))?;
                self.window.feed(&record);
            }
            _ => return Err(fault("max, memory, netlink, netns, count, blind or kmsg")),
        }
        Ok(())
    }

    fn look(&mut self, table: Option<Table>, dropped: Option<u32>, report: &mut dyn FnMut(Millis, Event)) {
        let now = self.now;
        let settings = self.config.settings();
        if let Some((at, decision, before, max)) = self.pending.take() {
            let after = table.map_or(before, |t| t.count);
            let done = match decision.action {
                Action::Grow { to } => table.is_some_and(|t| t.max >= to),
                Action::Shrink { to } => table.is_some_and(|t| t.max <= to),
                _ => true,
            };
            if let Action::Open { .. } = decision.action {
                self.open_until = at.after(self.config.open_seconds);
            }
            if done && let Action::Grow { to } = decision.action {
                self.grown = Some((self.grown.map_or(max, |(base, _)| base), to));
            }
            let outcome = Outcome { action: decision.action, before, after, took: Millis(0), done };
            // It was done when it was decided on: milliseconds, where the next look may be seconds away.
            self.guard.outcome(at, &outcome, &settings);
        }
        let (heard, told) = (*self.window.since(), core::mem::replace(&mut self.told, *self.window.since()));
        let look = Look {
            at: now,
            table,
            dropped,
            logged: heard.refusals - told.refusals,
            suppressed: heard.suppressed.saturating_sub(told.suppressed),
            expectations: heard.expectations - told.expectations,
        };
        let means = self.means();
        let decision = self.guard.turn(&look, &means, &settings, &mut |event| report(now, event));
        if let Some(decision) = decision {
            let dry = self.config.dry_run;
            report(now, Event::Decided { decision, dry });
            let Table { count, max, .. } = self.table;
            if dry {
                let outcome =
                    Outcome { action: decision.action, before: count, after: count, took: Millis(0), done: false };
                self.guard.outcome(now, &outcome, &settings);
            } else {
                self.pending = Some((now, decision, count, max));
            }
        }
    }

    fn means(&self) -> Means {
        let t = &self.table;
        let s = &self.config.sizing;
        let table = sizing::Table {
            max: t.max,
            count: t.count,
            buckets: t.buckets,
            mem_available: self.available,
            reserve: s.reserve,
            cost: EntryCost::ASSUMED,
            ceiling: s.ceiling,
            low: self.config.low,
        };
        let grow_to = sizing::grow_step(&table).ok().map(|step| step.to);
        let grown_from = self.grown.filter(|(_, to)| t.max == *to).map(|(base, _)| base);
        let can_trim = self.netlink && self.config.ladder.contains(&Rung::Trim);
        Means {
            grow_to,
            grown_from,
            can_trim,
            can_shed: self.netlink,
            can_open: self.now >= self.open_until,
            ..Means::default()
        }
    }

    /// Lines read so far.
    pub const fn lines(&self) -> u32 {
        self.line
    }
}
