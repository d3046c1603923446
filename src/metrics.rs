//! What a monitoring system reads: rows of name, type, labels and value, told once for the bus and for Prometheus.
//!
//! Only what is ours: how many entries there are and may be, every node exporter says. Names and units as Prometheus wants
//! them: base units, `_total` for what only grows.

use crate::decide::ladder::Settings;
use crate::detect::{Evidence, Verdict};
use crate::entry::Class;
use crate::event::Lifeline;
use crate::guard::Guard;
use crate::observe::tally::Share;
use crate::protocol::Windows;
use crate::totals::{OUTCOMES, Totals};
use crate::units::Millis;
use core::fmt::{self, Write};

/// A name with what it means. A table, and one loop over it: a call a row was 1 KB more on MIPS.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// Each label with all that it may be; the rows are in that order.
    labels: [(&'static str, &'static [&'static str]); 2],
}

/// What kind of number it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It goes up and down.
    Gauge,
    /// The same, in hundredths of a percent here.
    Ratio,
    /// It only grows, but for a restart.
    Counter,
}

use Kind::{Counter, Gauge, Ratio};

type Label = (&'static str, &'static [&'static str]);
const NO_LABEL: Label = ("", &[""]);

const fn family(name: &'static str, kind: Kind, label: Label, help: &'static str) -> Family {
    Family { name, kind, help, labels: [label, NO_LABEL] }
}

/// In the order of [`Metrics::of`].
static FAMILIES: [Family; 14] = [
    family("ctwarden_info", Gauge, ("version", &[env!("CARGO_PKG_VERSION")]), "Version of the daemon; always 1."),
    family(
        "ctwarden_verdict",
        Gauge,
        ("verdict", &["calm", "filling", "saturated", "misreported", "blind"]),
        "1 for how the table is now, 0 for the rest.",
    ),
    family("ctwarden_dry_run", Gauge, NO_LABEL, "1: it decides and reports, and changes nothing."),
    family("ctwarden_refused_packets_total", Counter, NO_LABEL, "Packets refused because the table was full."),
    family(
        "ctwarden_time_to_full_seconds",
        Gauge,
        NO_LABEL,
        "At the rate of late; absent while the table does not grow.",
    ),
    family("ctwarden_incidents_total", Counter, NO_LABEL, "Times that the table began to fill."),
    Family {
        name: "ctwarden_actions_total",
        kind: Counter,
        help: "Steps of relief, and what came of them.",
        labels: [
            ("rung", &["grow", "trim", "shed", "flush", "open"]),
            ("outcome", &["done", "failed", "refused", "dry_run"]),
        ],
    },
    family("ctwarden_evicted_entries_total", Counter, NO_LABEL, "Entries that trims and flushes took out."),
    family(
        "ctwarden_budget_left",
        Gauge,
        ("rung", &["flush", "open"]),
        "Flushes and openings that are left of this hour's.",
    ),
    family(
        "ctwarden_leases",
        Gauge,
        ("kind", &["open", "shed", "lifeline"]),
        "Emergency rules in force: openings, sources and destinations slowed down, the lifeline.",
    ),
    family("ctwarden_open_left_seconds", Gauge, NO_LABEL, "How long the firewall stays open at most; 0: it is closed."),
    family(
        "ctwarden_entries",
        Gauge,
        ("class", &["unreplied", "replied", "closing", "assured", "offloaded"]),
        "Entries by class, from a sample of the table.",
    ),
    family("ctwarden_top_holder_ratio", Ratio, NO_LABEL, "The largest holder's share of the table, from a sample."),
    family("ctwarden_census_age_seconds", Gauge, NO_LABEL, "How old that sample is."),
];

/// Rows there are.
pub const ROWS: usize = 1 + 5 + 1 + 1 + 1 + 1 + BY_THE_DAEMON * OUTCOMES + 1 + 2 + 3 + 1 + Class::ALL.len() + 1 + 1;
/// The rungs that are the daemon's: the others are by hand.
const BY_THE_DAEMON: usize = 5;
/// A row that is not told.
const ABSENT: u32 = u32::MAX;

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

/// Where the numbers of one moment come from.
#[allow(missing_docs)]
pub struct Facts<'a> {
    pub now: Millis,
    pub guard: &'a Guard,
    pub settings: &'a Settings,
    pub dry_run: bool,
    pub totals: &'a Totals,
    pub windows: &'a Windows,
    /// `None`: nobody has looked yet.
    pub holding: Option<&'a Holding>,
}

/// The numbers of one moment, in the order of their names; those at the end may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(pub heapless::Vec<u32, ROWS>);

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
    /// Now.
    pub fn of(f: &Facts<'_>) -> Self {
        let mut metrics = Metrics::default();
        let mut put = |values: &[u32]| {
            let _ = metrics.0.extend_from_slice(values);
        };
        let Evidence { table, fill_rate, verdict, .. } = f.guard.evidence();
        let (ladder, w) = (&f.guard.ladder, f.windows);
        let grows = *fill_rate > 0 && table.max.0 > 0;
        let to_full = if grows { table.max.less(table.count).0 / fill_rate } else { ABSENT };
        let open = w.open.map_or(Millis(0), |(_, left)| left);
        put(&[1]);
        put(&Verdict::ALL.map(|v| (v == *verdict).into()));
        put(&[f.dry_run.into(), f.guard.refused_ever(), to_full, f.guard.incidents.numbered()]);
        put(f.totals.all().get(..BY_THE_DAEMON * OUTCOMES).unwrap_or_default());
        put(&[
            f.totals.evicted,
            f.settings.flushes_per_hour.saturating_sub(ladder.flushes_within_hour(f.now)).into(),
            f.settings.opens_per_hour.saturating_sub(ladder.opens_within_hour(f.now)).into(),
            w.open.is_some().into(),
            w.shedding.into(),
            (w.lifeline == Lifeline::On).into(),
            seconds(open),
        ]);
        if let Some(holding) = f.holding {
            put(&holding.classes);
            put(&[holding.top.0.into(), seconds(f.now.since(holding.at))]);
        }
        metrics
    }

    /// Tells every row, those of one name together.
    pub fn each(&self, to: &mut dyn FnMut(&Row<'_>)) {
        let mut values = self.0.iter();
        for family in &FAMILIES {
            let mut help = Some(family.help);
            let [(first, firsts), (second, seconds)] = family.labels;
            for a in firsts {
                for b in seconds {
                    let Some(value) = values.next().copied() else { return };
                    if value == ABSENT && family.kind != Counter {
                        continue;
                    }
                    let labels = [(first, *a), (second, *b)];
                    let labels = labels.get(..!first.is_empty() as usize + !second.is_empty() as usize);
                    to(&Row {
                        name: family.name,
                        kind: if family.kind == Counter { "counter" } else { "gauge" },
                        help: help.take(),
                        labels: labels.unwrap_or_default(),
                        value: if family.kind == Ratio {
                            Number::Ratio(Share(value as u16))
                        } else {
                            Number::Whole(value)
                        },
                    });
                }
            }
        }
    }

    /// As Prometheus reads it. Names and labels are our own words: nothing in them has to be escaped.
    pub fn text(&self, to: &mut dyn Write) {
        self.each(&mut |row| {
            if let Some(help) = row.help {
                put(to, &["# HELP ", row.name, " ", help, "\n# TYPE ", row.name, " ", row.kind, "\n"]);
            }
            put(to, &[row.name]);
            for (n, (name, value)) in row.labels.iter().enumerate() {
                put(to, &[if n == 0 { "{" } else { "," }, name, "=\"", value, "\""]);
            }
            put(to, &[if row.labels.is_empty() { " " } else { "} " }]);
            let _ = writeln!(to, "{}", row.value);
        });
    }
}

#[inline(never)]
fn put(to: &mut dyn Write, parts: &[&str]) {
    for part in parts {
        let _ = to.write_str(part);
    }
}

fn seconds(time: Millis) -> u32 {
    (time.0 / 1000).min(u64::from(ABSENT - 1)) as u32
}
