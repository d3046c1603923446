//! All that is ever reported, as one type; text only here.

use crate::decide::ladder::{Action, Decision, Refusal};
use crate::decide::trim::Steps;
use crate::detect::{Evidence, Verdict};
use crate::journal::Void;
use crate::protocol::TopKey;
use crate::rung::Rung;
use crate::units::{Entries, Millis, Permille};
use core::fmt;

/// How loud it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Event {
    /// The verdict changed.
    Verdict { from: Verdict, evidence: Evidence },
    /// Something is going to be done; with `dry`, would be.
    Decided { decision: Decision, dry: bool },
    /// max was changed and read back.
    MaxSet { action: Action, from: Entries, read_back: Entries },
    /// A trim was done. `interrupted`: the kernel said that the table changed shape under the dump.
    Trimmed {
        before: Entries,
        after: Entries,
        steps: Steps,
        level: Option<Entries>,
        took: Millis,
        interrupted: bool,
        repeated: bool,
    },
    /// A flush was done; `way` is what worked.
    Flushed { before: Entries, after: Entries, way: &'static str, took: Millis },
    /// A rung cannot be used here.
    Skipped { rung: Rung, why: Obstacle },
    /// The ladder wanted a flush and may not.
    FlushRefused { why: Refusal },
    /// The table was sized.
    Sized { name: &'static str, from: Entries, to: Entries },
    /// With `dry_run`: it would have been.
    WouldSize { name: &'static str, from: Entries, to: Entries },
    /// The largest holder when relief began.
    HeldBy { who: TopKey, share: Permille },
    /// The journal of a former run does not count.
    JournalVoid { why: Void },
    /// A new config is in force.
    Reloaded,
    /// On request: how things are.
    Status { evidence: Evidence },
    /// A value is not the one written: somebody else's now.
    LeftAlone { name: &'static str, ours: Entries, found: Entries },
    /// A setting could not be written.
    NotWritten { name: &'static str, errno: i32 },
    /// A value was put back.
    PutBack { name: &'static str, to: Entries },
    /// The value fell back to what it was before us (a module reload): it is written again.
    FellBack { name: &'static str, found: Entries },
    /// The connection tracking module is there now.
    TableAppeared { max: Entries },
    /// It is gone.
    TableVanished,
    /// Lines about a full table stood in the log before the start.
    LoggedBefore { lines: u32 },
    /// The log's reader fell behind; lines were lost.
    LogOverrun,
    /// The log cannot be read.
    LogUnreadable { errno: i32 },
    /// The incident is over.
    IncidentOver { number: u32, lasted: Millis, refused: u32, evicted: u32 },
}

/// Why a rung cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Obstacle {
    /// The sysctl is read-only: another network namespace's business.
    ReadOnlySysctl { errno: i32 },
    /// No ctnetlink in the kernel.
    NoCtnetlink,
    /// The kernel refused for lack of permission.
    NotPermitted,
    /// Nothing tried had an effect on the count.
    NoEffect,
}

impl Event {
    /// How loud.
    pub fn level(&self) -> Level {
        match self {
            Event::Verdict { evidence, .. } => match evidence.verdict {
                Verdict::Saturated => Level::Error,
                Verdict::Filling | Verdict::Misreported | Verdict::Blind => Level::Warn,
                Verdict::Calm => Level::Info,
            },
            Event::Flushed { .. } | Event::FlushRefused { .. } | Event::Skipped { .. } => Level::Warn,
            Event::NotWritten { .. }
            | Event::LogUnreadable { .. }
            | Event::TableVanished
            | Event::LeftAlone { .. }
            | Event::LogOverrun => Level::Warn,
            Event::Decided { decision: Decision { action: Action::Flush, .. }, .. } => Level::Warn,
            // During a long attack trims come many times a second: the verdict tells that it is going on.
            Event::Decided { dry: false, .. } | Event::Trimmed { repeated: true, .. } => Level::Debug,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::ReadOnlySysctl { errno } => {
                write!(
                    f,
                    "nf_conntrack_max cannot be written here (errno {errno}); only the initial network namespace may"
                )
            }
            Obstacle::NoCtnetlink => f.write_str("the kernel has no ctnetlink; install kmod-nf-conntrack-netlink"),
            Obstacle::NotPermitted => f.write_str("not permitted; it takes CAP_NET_ADMIN (run as root)"),
            Obstacle::NoEffect => f.write_str("no way of deleting had an effect on the count"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What was read last is not what is.
            Event::Verdict { from, evidence: Evidence { verdict: Verdict::Blind, .. } } => {
                write!(f, "{from} -> blind: count or max cannot be read")
            }
            Event::Verdict { from, evidence: e } => {
                write!(f, "{from} -> {}: {}", e.verdict, e.table)?;
                if e.refused > 0 {
                    write!(f, ", {} packets refused", e.refused)?;
                }
                if e.full_for.0 > 0 {
                    write!(f, ", full for {}", e.full_for)?;
                }
                Ok(())
            }
            Event::Decided { decision: d, dry } => {
                write!(f, "{}{}: {}", if *dry { "dry run, would " } else { "" }, d.action, d.reason)
            }
            Event::MaxSet { action, from, read_back } => write!(f, "{action}: max was {from}, is {read_back}"),
            Event::Trimmed { before, after, steps, level, took, interrupted, .. } => {
                write!(f, "trim: {before} -> {after} entries in {took} (")?;
                let names = ["closing", "above level", "stale", "young", "quiet"];
                let mut first = true;
                for (n, name) in steps.iter().zip(names).filter(|(n, _)| **n > 0) {
                    write!(f, "{}{n} {name}", if first { "" } else { ", " })?;
                    first = false;
                }
                if first {
                    f.write_str("nothing could go")?;
                }
                f.write_str(")")?;
                if let Some(level) = level {
                    write!(f, ", level {level}")?;
                }
                if *interrupted { f.write_str(", the dump was interrupted") } else { Ok(()) }
            }
            Event::Flushed { before, after, way, took } => {
                write!(f, "flush: {before} -> {after} entries in {took} ({way})")
            }
            Event::Skipped { rung, why } => write!(f, "{} is skipped: {why}", rung.name()),
            Event::FlushRefused { why } => write!(f, "no flush: {why}"),
            Event::Sized { name, from, to } => write!(f, "{name} set from {from} to {to}"),
            Event::WouldSize { name, from, to } => write!(f, "dry run, would set {name} from {from} to {to}"),
            Event::HeldBy { who, share } => write!(f, "the largest holder is {who}: {share}"),
            Event::JournalVoid { why } => match why {
                Void::Damaged => f.write_str("the journal is damaged and does not count"),
                Void::Version(v) => write!(f, "the journal is of version {v} and does not count"),
                Void::Rebooted => f.write_str("the journal is of an earlier boot: nothing to undo"),
            },
            Event::Reloaded => f.write_str("config reloaded"),
            Event::Status { evidence: e } => {
                write!(f, "status: {}, {}", e.verdict, e.table)
            }
            Event::LeftAlone { name, ours, found } => {
                write!(f, "{name} is {found}, not our {ours}: somebody changed it, left alone")
            }
            Event::NotWritten { name, errno } => {
                write!(f, "{name} cannot be written (errno {errno}); only root in the initial network namespace may")
            }
            Event::PutBack { name, to } => write!(f, "{name} put back to {to}"),
            Event::FellBack { name, found } => {
                write!(f, "{name} fell back to {found}, as a module reload does; setting it again")
            }
            Event::TableAppeared { max } => write!(f, "connection tracking is there, max {max}"),
            Event::TableVanished => f.write_str("connection tracking is gone (module unloaded?)"),
            Event::LoggedBefore { lines } => write!(f, "the log told of a full table {lines} times before the start"),
            Event::LogOverrun => f.write_str("/dev/kmsg: fell behind, some lines were lost; the counters were not"),
            Event::LogUnreadable { errno } => {
                write!(f, "/dev/kmsg cannot be read (errno {errno}); going by the counters alone")
            }
            Event::IncidentOver { number, lasted, refused, evicted } => {
                write!(f, "incident {number} over after {lasted}: {refused} packets refused, {evicted} entries evicted")
            }
        }
    }
}
