//! What a monitoring system reads: rows of name, type, labels and value, told once for the bus and for Prometheus.
//!
//! Only what is ours: how many entries there are and may be, every node exporter says. Names and units as Prometheus wants
//! them: base units, `_total` for what only grows.

use crate::detect::{Evidence, Verdict};
use crate::entry::Class;
use crate::observe::tally::Share;
use crate::rung::Rung;
use crate::totals::{Outcome, Totals};
use crate::units::Millis;
use core::fmt::{self, Write};

/// A name with what it means.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
}

/// What kind of number it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, but for a restart.
    Counter,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        }
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

static INFO: Family = gauge("ctwarden_info", "Version of the daemon; always 1.");
static VERDICT: Family = gauge("ctwarden_verdict", "1 for how the table is now, 0 for the rest.");
static DRY_RUN: Family = gauge("ctwarden_dry_run", "1: it decides and reports, and changes nothing.");
static REFUSED: Family = counter("ctwarden_refused_packets_total", "Packets refused because the table was full.");
static TO_FULL: Family =
    gauge("ctwarden_time_to_full_seconds", "At the rate of late; absent while the table does not grow.");
static INCIDENTS: Family = counter("ctwarden_incidents_total", "Times that the table began to fill.");
static ACTIONS: Family = counter("ctwarden_actions_total", "Steps of relief, and what came of them.");
static EVICTED: Family = counter("ctwarden_evicted_entries_total", "Entries that trims and flushes took out.");
static BUDGET: Family = gauge("ctwarden_budget_left", "Flushes and openings that are left of this hour's.");
static LEASES: Family =
    gauge("ctwarden_leases", "Emergency rules in force: openings, sources and destinations slowed down, the lifeline.");
static OPEN: Family = gauge("ctwarden_open_left_seconds", "How long the firewall stays open at most; 0: it is closed.");
static ENTRIES: Family = gauge("ctwarden_entries", "Entries by class, from a sample of the table.");
static HOLDER: Family = gauge("ctwarden_top_holder_ratio", "The largest holder's share of the table, from a sample.");
static AGE: Family = gauge("ctwarden_census_age_seconds", "How old that sample is.");

/// Who holds the table, from a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Holding {
    /// When it was taken.
    pub at: Millis,
    /// Entries of each of [`Class::ALL`], estimated.
    pub classes: [u32; Class::ALL.len()],
    /// The share of the largest holder.
    pub top: Share,
}

/// The numbers of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The moment.
    pub now: Millis,
    /// The verdict and what it rests on.
    pub evidence: Evidence,
    /// It decides and reports, and changes nothing.
    pub dry_run: bool,
    /// Packets refused since the start.
    pub refused_ever: u32,
    /// Incidents since the start.
    pub incidents: u32,
    /// What was done.
    pub totals: Totals,
    /// Flushes and openings that are left of this hour's.
    pub left: [u8; 2],
    /// Sources and destinations that are slowed down.
    pub shedding: u8,
    /// The LAN's way to the router past a full table is on.
    pub lifeline: bool,
    /// How long it is open yet.
    pub open_left: Option<Millis>,
    /// `None`: nobody has looked yet.
    pub holding: Option<Holding>,
}

/// The two others are by hand, and not the daemon's.
const BY_THE_DAEMON: [Rung; 5] = [Rung::Grow, Rung::Trim, Rung::Shed, Rung::Flush, Rung::Open];

/// A row's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// A count, or whole seconds.
    Whole(u32),
    /// A part of one.
    Ratio(Share),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(n) => n.fmt(f),
            Number::Ratio(Share(n)) => write!(f, "{}.{:04}", n / 10_000, n % 10_000),
        }
    }
}

/// A row.
pub struct Row<'a> {
    /// What it is called.
    pub name: &'static str,
    /// `gauge` or `counter`.
    pub kind: &'static str,
    /// What it means, if it is the first of its name.
    pub help: Option<&'static str>,
    /// What it is of.
    pub labels: &'a [(&'static str, &'static str)],
    /// How much.
    pub value: Number,
}

impl Metrics {
    /// Tells every row, those of one name together.
    pub fn each(&self, to: &mut dyn FnMut(&Row<'_>)) {
        let mut last = "";
        let mut row = |family: &Family, labels: &[(&'static str, &'static str)], value: Number| {
            let help = (last != family.name).then_some(family.help);
            last = family.name;
            to(&Row { name: family.name, kind: family.kind.name(), help, labels, value });
        };
        let whole = |n: u32| Number::Whole(n);
        let seconds = |t: Millis| Number::Whole((t.0 / 1000).min(u32::MAX.into()) as u32);
        row(&INFO, &[("version", env!("CARGO_PKG_VERSION"))], whole(1));
        for verdict in Verdict::ALL {
            row(&VERDICT, &[("verdict", verdict.name())], whole((verdict == self.evidence.verdict).into()));
        }
        row(&DRY_RUN, &[], whole(self.dry_run.into()));
        row(&REFUSED, &[], whole(self.refused_ever));
        let (table, rate) = (&self.evidence.table, self.evidence.fill_rate);
        if rate > 0 && table.max.0 > 0 {
            row(&TO_FULL, &[], whole(table.max.less(table.count).0 / rate));
        }
        row(&INCIDENTS, &[], whole(self.incidents));
        for rung in BY_THE_DAEMON {
            for outcome in Outcome::ALL {
                let labels = [("rung", rung.name()), ("outcome", outcome.name())];
                row(&ACTIONS, &labels, whole(self.totals.of(rung, outcome)));
            }
        }
        row(&EVICTED, &[], whole(self.totals.evicted));
        for (rung, left) in [Rung::Flush, Rung::Open].into_iter().zip(self.left) {
            row(&BUDGET, &[("rung", rung.name())], whole(left.into()));
        }
        for (kind, n) in
            [("open", self.open_left.is_some().into()), ("shed", self.shedding), ("lifeline", self.lifeline.into())]
        {
            row(&LEASES, &[("kind", kind)], whole(n.into()));
        }
        row(&OPEN, &[], seconds(self.open_left.unwrap_or_default()));
        if let Some(holding) = &self.holding {
            for (class, n) in Class::ALL.into_iter().zip(holding.classes) {
                row(&ENTRIES, &[("class", class.name())], whole(n));
            }
            row(&HOLDER, &[], Number::Ratio(holding.top));
            row(&AGE, &[], seconds(self.now.since(holding.at)));
        }
    }

    /// As Prometheus reads it. Names and labels are our own words: nothing in them has to be escaped.
    pub fn text(&self, to: &mut dyn Write) {
        self.each(&mut |row| {
            let mut put = |text: &str| {
                let _ = to.write_str(text);
            };
            if let Some(help) = row.help {
                for text in ["# HELP ", row.name, " ", help, "\n# TYPE ", row.name, " ", row.kind, "\n"] {
                    put(text);
                }
            }
            put(row.name);
            for (n, (name, value)) in row.labels.iter().enumerate() {
                for text in [if n == 0 { "{" } else { "," }, name, "=\"", value, "\""] {
                    put(text);
                }
            }
            put(if row.labels.is_empty() { " " } else { "} " });
            let _ = writeln!(to, "{}", row.value);
        });
    }
}
