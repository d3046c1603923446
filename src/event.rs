//! All that is ever reported, as one type; text only here.

use crate::decide::ladder::{Action, Decision, Refusal};
use crate::decide::trim::Steps;
use crate::detect::{Evidence, Verdict};
use crate::journal::Void;
use crate::lease::{Backend, Lease, Scope, TRANSLATED};
use crate::protocol::{Request, TopKey};
use crate::rung::Rung;
use crate::units::{Entries, Millis, Permille};
use crate::who::Who;
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
    /// The ladder wanted a rung and may not.
    Refused { rung: Rung, why: Refusal },
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
    NotWritten { name: &'static str, why: Obstacle },
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
    /// Where emergency rules go; they are in place.
    Backend { backend: Backend },
    /// They are not in place.
    BackendUnusable { backend: Backend, errno: i32 },
    /// The firewall was loaded anew; what had run was put back.
    RulesBack { backend: Backend },
    /// The lifeline is as it says.
    Lifeline(Lifeline),
    /// New entries are capped: the heaviest first. `left_out`: those for which there was no room or no time left.
    Shed { first: Lease, count: u32, left_out: u32, again: bool },
    /// These have been capped for as long as the config allows.
    ShedSpent { count: u32, total: Millis },
    /// A lease could not be given, or is not there.
    LeaseFailed { lease: Lease, errno: i32 },
    /// The firewall is open this far. `impossible`: what that does not help.
    Opened { scope: Scope, total: Millis, asked: bool, impossible: &'static str },
    /// It is still open.
    StillOpen { scope: Scope, left: Millis },
    /// It could not be opened. No errno: it would let private addresses out.
    NotOpened { scope: Scope, errno: Option<i32> },
    /// It is closed again.
    Closed { scope: Scope, lasted: Millis, because: &'static str },
    /// How it stands with the object on ubus, when that changes.
    Ubus(UbusState),
    /// Somebody asked for this.
    Asked { request: Request, who: Who },
    /// The incident is over.
    IncidentOver { number: u32, lasted: Millis, refused: u32, evicted: u32 },
}

/// How it stands with the object on ubus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UbusState {
    /// It is there.
    Published,
    /// ubusd does not let us, with this status.
    Refused {
        /// 2: by its ACL, or another object has the name.
        status: u32,
    },
    /// ubusd is gone; it is looked for.
    Gone,
}

/// How it stands with the lifeline: the LAN's way to the router past a full table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifeline {
    /// Switched off, or there are no rules for it.
    #[default]
    Off,
    /// It holds.
    On,
    /// None of the interfaces in `lan` is there.
    NoLan,
    /// This back end has no leases.
    NoLeases,
    /// The firewall's own rules would not let its packets in.
    NotAccepted,
    /// A nat rule touches its ports.
    Nat,
    /// The firewall's rules cannot be read.
    Unknown,
    /// The kernel refused.
    Failed {
        /// Its error.
        errno: i32,
    },
}

impl fmt::Display for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lifeline::Off => "off",
            Lifeline::On => "on",
            Lifeline::NoLan => "off: no interface named in main.lan is there",
            Lifeline::NoLeases => "off: this back end has no leases",
            Lifeline::NotAccepted => "off: the firewall would not let untracked packets from the LAN in",
            Lifeline::Nat => "off: a nat rule touches its ports",
            Lifeline::Unknown => "off: the firewall's rules cannot be read",
            Lifeline::Failed { errno } => return write!(f, "off: the kernel refused (errno {errno})"),
        })
    }
}

/// Why a rung cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Obstacle {
    /// The sysctl is read-only: another network namespace's business.
    ReadOnlySysctl { errno: i32 },
    /// The journal cannot be written, so there would be no way back.
    NoJournal { errno: i32 },
    /// No ctnetlink in the kernel.
    NoCtnetlink,
    /// The kernel refused for lack of permission.
    NotPermitted,
    /// Nothing tried had an effect on the count.
    NoEffect,
    /// The firewall has no rules for it, or will not take them.
    NoRules,
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
            Event::Flushed { .. } | Event::Refused { .. } | Event::Skipped { .. } => Level::Warn,
            Event::Opened { .. }
            | Event::StillOpen { .. }
            | Event::NotOpened { .. }
            | Event::BackendUnusable { .. }
            | Event::LeaseFailed { .. }
            | Event::ShedSpent { .. }
            | Event::Lifeline(Lifeline::NotAccepted | Lifeline::Nat | Lifeline::Unknown | Lifeline::Failed { .. }) => {
                Level::Warn
            }
            Event::Shed { again: true, .. } => Level::Debug,
            Event::NotWritten { .. }
            | Event::LogUnreadable { .. }
            | Event::TableVanished
            | Event::LeftAlone { .. }
            | Event::Ubus(UbusState::Refused { .. })
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
                    "the table's sysctls cannot be written here (errno {errno}); only root in the initial network namespace may"
                )
            }
            Obstacle::NoJournal { errno } => {
                write!(f, "the journal cannot be written (errno {errno}), so there would be no way back")
            }
            Obstacle::NoCtnetlink => f.write_str("the kernel has no ctnetlink; install kmod-nf-conntrack-netlink"),
            Obstacle::NotPermitted => f.write_str("not permitted; it takes CAP_NET_ADMIN (run as root)"),
            Obstacle::NoRules => f.write_str("there are no emergency rules for it here"),
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
                write!(f, "trim: {before} -> {after} entries in {took}")?;
                let names = ["closing", "above level", "stale", "young", "quiet"];
                let mut mark = " (";
                for (n, name) in steps.iter().zip(names).filter(|(n, _)| **n > 0) {
                    write!(f, "{mark}{n} {name}")?;
                    mark = ", ";
                }
                // One asked for by source or kind takes no steps.
                match mark {
                    ", " => f.write_str(")")?,
                    _ if after >= before => f.write_str(" (nothing could go)")?,
                    _ => {}
                }
                if let Some(level) = level {
                    write!(f, ", level {level}")?;
                }
                if *interrupted { f.write_str(", the dump was interrupted") } else { Ok(()) }
            }
            Event::Flushed { before, after, way, took } => {
                write!(f, "flush: {before} -> {after} entries in {took} ({way})")
            }
            Event::Skipped { rung, why } => write!(f, "{} is skipped: {why}", rung.name()),
            Event::Refused { rung, why } => write!(f, "no {}: {why}", rung.name()),
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
            Event::NotWritten { name, why } => write!(f, "{name} stays as it is: {why}"),
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
            Event::Backend { backend } => write!(f, "emergency rules are in place, by {}", backend.name()),
            Event::BackendUnusable { backend: Backend::Fw4, .. } => {
                f.write_str("fw4 has not loaded our rules: run `fw4 reload`; no shed, open or lifeline until then")
            }
            Event::BackendUnusable { backend, errno } => {
                write!(f, "no emergency rules by {} (errno {errno}): no shed, open or lifeline", backend.name())
            }
            Event::RulesBack { backend } => {
                write!(f, "{}: the rules were loaded anew, leases are back", backend.name())
            }
            Event::Lifeline(lifeline) => write!(f, "lifeline {lifeline}"),
            Event::Shed { first, count, left_out, .. } => {
                write!(f, "shed: {count} capped, first {first}")?;
                if *left_out > 0 { write!(f, "; {left_out} more could not be") } else { Ok(()) }
            }
            Event::ShedSpent { count, total } => write!(f, "shed: {count} had their {total}; not capped any longer"),
            Event::LeaseFailed { lease, errno } => write!(f, "no lease for {lease} (errno {errno})"),
            Event::Opened { scope, total, asked, impossible } => {
                let who = if *asked { ", as asked" } else { "" };
                write!(f, "the firewall is open ({}) for {total} at most{who}; {impossible}", scope.name())
            }
            Event::StillOpen { scope, left } => {
                write!(f, "the firewall is still open ({}), for {left} at most", scope.name())
            }
            Event::NotOpened { scope, errno: None } => write!(f, "not opened ({}): {TRANSLATED}", scope.name()),
            Event::NotOpened { scope, errno: Some(n) } => write!(f, "not opened ({}): errno {n}", scope.name()),
            Event::Closed { scope, lasted, because } => {
                write!(f, "closed ({}) after {lasted}: {because}", scope.name())
            }
            Event::Ubus(UbusState::Published) => f.write_str("ubus: object ctwarden is there"),
            Event::Ubus(UbusState::Refused { status }) => write!(
                f,
                "ubus: ubusd refuses the object (status {status}): its ACL is not loaded, or the name is taken; trying again"
            ),
            Event::Ubus(UbusState::Gone) => f.write_str("ubus: ubusd is gone; trying again"),
            Event::Asked { request, who } => write!(f, "{request}, asked for by {who}"),
            Event::IncidentOver { number, lasted, refused, evicted } => {
                write!(f, "incident {number} over after {lasted}: {refused} packets refused, {evicted} entries evicted")
            }
        }
    }
}
