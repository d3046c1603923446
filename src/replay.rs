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
use crate::observe::text::{decimal, decimal32, fields};
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

/// What a line has behind its time, by the verb.
const FORMS: [&str; 7] = [
    "max and a number, or that, buckets and a number",
    "memory and a number of KiB",
    "netlink and yes or no",
    "netns and a number",
    "count and a number, or that, drop and a number",
    "blind and nothing more",
    "kmsg and a record of /dev/kmsg",
];
const VERBS: &str = "max, memory, netlink, netns, count, blind or kmsg";

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
    pub fn line(&mut self, text: &[u8], report: &mut dyn FnMut(Millis, Event)) -> Result<(), Fault> {
        self.line += 1;
        let mut words = [&b""[..]; 6];
        for (place, word) in words.iter_mut().zip(fields(text)) {
            *place = word;
        }
        let [time, verb, ..] = words;
        if time.is_empty() || time.starts_with(b"#") {
            return Ok(());
        }
        let expected = match decimal(time).map(Millis) {
            None => "a time in milliseconds",
            Some(time) if time < self.now => "a time not before the line above",
            Some(time) => {
                self.now = time;
                let taken = match verb {
                    b"kmsg" => self.record(text),
                    _ => self.take(words, report),
                };
                if taken.is_some() {
                    return Ok(());
                }
                FORMS.iter().find(|form| fields(form.as_bytes()).next() == Some(verb)).unwrap_or(&VERBS)
            }
        };
        Err(Fault { line: self.line, expected })
    }

    fn record(&mut self, text: &[u8]) -> Option<()> {
        // It begins behind the first g of the line, which is that of `kmsg`.
        let record = text.splitn(2, |b| *b == b'g').nth(1)?.trim_ascii_start();
        self.window.feed(&Record::parse(record).ok()?);
        Some(())
    }

    /// `None`: not the form of the verb.
    fn take(&mut self, words: [&[u8]; 6], report: &mut dyn FnMut(Millis, Event)) -> Option<()> {
        let [_, verb, first, name, second, more] = words;
        // A second number stands there with its name, or not at all.
        let with = |wanted: &[u8]| match name {
            b"" => Some(None),
            _ if name == wanted && more.is_empty() => decimal32(second).map(Some),
            _ => None,
        };
        match verb {
            b"max" => {
                let (max, buckets) = (decimal32(first)?, with(b"buckets")?);
                self.table.max = Entries(max);
                self.table.buckets = buckets.map_or(self.table.buckets, Entries);
            }
            b"count" => {
                let (count, sum) = (decimal32(first)?, with(b"drop")?);
                self.table.count = Entries(count);
                let dropped = sum.map(|sum| sum.wrapping_sub(self.drops.replace(sum).unwrap_or(sum)));
                self.look(Some(self.table), dropped, report);
            }
            _ if !name.is_empty() => return None,
            b"memory" => self.available = Kib(decimal32(first)?),
            b"netns" => self.window.set_namespace(decimal32(first)?),
            b"netlink" if matches!(first, b"yes" | b"no") => self.netlink = first == b"yes",
            b"blind" if first.is_empty() => {
                // The module went away: its counters will begin anew.
                self.drops = None;
                self.look(None, None, report);
            }
            _ => return None,
        }
        Some(())
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
