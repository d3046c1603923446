//! What is said over the control socket: one request, one reply, each a postcard frame behind its length.
//!
//! A reply is the text that the command prints: only one side has to know what an answer looks like, and a command line of
//! another version prints what it is given. (As values, answers cost 13 KB on MIPS to be taken apart and put together again.)

mod top;

pub use top::{By, Of, ROWS_MOST, Top, TopKey, TopRow};

use crate::decide::ladder::Refusal;
use crate::decide::shed::Why;
use crate::decide::trim::Steps;
use crate::detect::Evidence;
use crate::entry::Class;
use crate::event::Lifeline;
use crate::history::{History, Span};
use crate::incident::{ASKED, Incident, KEPT};
use crate::lease::{Backend, Lease, Scope};
use crate::metrics::Metrics;
use crate::rung::{RUNGS, Rung};
use crate::units::{Entries, Millis};
use crate::who::Asked;
use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// A longer request is refused.
pub const REQUEST_MOST: usize = 128;
/// No reply is longer.
pub const REPLY_MOST: usize = 16 * 1024 + 8;
/// Bytes of the length before a frame, little endian.
pub const LENGTH: usize = 2;
/// Which entries a requested trim takes, beside the water level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Only {
    /// No packet came back.
    Unreplied,
    /// TCP that is over.
    Closing,
    /// Idle for [`IDLE_S`] or more, closing ones included.
    Idle,
}

/// What `trim --only idle` calls idle: nobody waits that long at a keyboard without a packet.
pub const IDLE_S: u32 = 60;

/// `shed` where no time is said.
pub const SHED_SECONDS: u32 = 300;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Request {
    Status,
    Top {
        by: By,
        rows: u8,
        exact: bool,
    },
    Trim(Selection),
    Flush,
    Log,
    /// Cap new entries of this source or to this destination, for so many seconds.
    Shed {
        lease: Lease,
        seconds: u32,
    },
    /// Open: how far, and for how many seconds; else as the config says.
    Open {
        scope: Option<Scope>,
        seconds: Option<u32>,
    },
    /// Close, and end all caps.
    Close,
    /// A chart, from the slot of this number on.
    History {
        span: Span,
        since: u32,
    },
    /// What a monitoring system reads.
    Metrics,
    /// Read the config anew. Only over ubus; here there are signals.
    Reload,
}

impl Request {
    /// It changes something: who asked is to be kept.
    pub const fn changes(&self) -> bool {
        !matches!(
            self,
            Request::Status | Request::Top { .. } | Request::Log | Request::History { .. } | Request::Metrics
        )
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match *self {
            Request::Status => "status",
            Request::Log => "log",
            Request::Top { .. } => "top",
            Request::Flush | Request::Trim(Selection::All) => "flush",
            Request::Close => "close",
            Request::Reload => "reload",
            Request::History { .. } => "history",
            Request::Metrics => "metrics",
            Request::Trim(Selection::Level) => "trim",
            Request::Trim(Selection::Source(source, only)) => {
                return write!(f, "trim {}{}", source, only.map_or("", |only| only.name()));
            }
            Request::Trim(Selection::Kind(only)) => return write!(f, "trim{}", only.name()),
            Request::Trim(Selection::Under(lease)) => return write!(f, "trim {lease}"),
            Request::Shed { lease, seconds } => return write!(f, "shed {lease} for {seconds} s"),
            Request::Open { scope, seconds } => {
                f.write_str("open")?;
                if let Some(scope) = scope {
                    write!(f, " {}", scope.name())?;
                }
                return seconds.map_or(Ok(()), |seconds| write!(f, " for {seconds} s"));
            }
        };
        f.write_str(word)
    }
}

/// A request, and what the reply is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked.
    pub request: Request,
    /// As JSON.
    pub json: bool,
    /// With colours, as for a terminal.
    pub colour: bool,
}

/// What is to be printed, and how the command is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// The exit status. Not 0: the text is a complaint.
    pub exit: u8,
    /// The text, with its line ends.
    pub text: &'a str,
}

/// Whose entries a trim takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// By water level, down to the low mark.
    Level,
    /// All of one source host, or of those within it that are of one kind.
    Source(#[serde(with = "crate::entry::address")] IpAddr, Option<Only>),
    /// All of one kind.
    Kind(Only),
    /// All: for a flush by tuple.
    All,
    /// All that this lease would cap if they were new.
    Under(Lease),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum Answer {
    Status(Status),
    Top(Top),
    Done(Done),
    Log(Log),
    /// The windows as they are after the request.
    Windows(Windows),
    History(History),
    Metrics(Metrics),
    /// By budget or breaker.
    Refused(Refusal),
    /// There are no rules to give a lease by.
    NoRules,
    /// Not opened: see [`TRANSLATED`](crate::lease::TRANSLATED).
    Translated,
    /// This is not to be capped.
    Spared(Why),
    /// Letting strangers in takes more than a request: `open_scope` must say so.
    NotConfigured,
    /// Relief is under way and comes first.
    Busy,
    /// The kernel refused, with this errno.
    Failed {
        errno: i32,
    },
    /// Not a request that this version understands.
    NotUnderstood,
}

impl Answer {
    /// Not as a constant behind a reference: 2.6 KB of zeros in the program for each.
    pub fn busy() -> Self {
        Answer::Busy
    }
    /// As [`Answer::busy`].
    pub fn not_understood() -> Self {
        Answer::NotUnderstood
    }
}

/// What has happened, and who asked for what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The oldest first.
    pub incidents: heapless::Vec<Incident, KEPT>,
    /// The oldest first.
    pub asked: heapless::Vec<Asked, ASKED>,
}

/// What came of a trim or flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// By which rung.
    pub what: Rung,
    /// Count before.
    pub before: Entries,
    /// Count as read back; of a dry run what would be left.
    pub after: Entries,
    /// How long it took.
    pub took: Millis,
    /// Of a trim by level: what each step took.
    pub steps: Steps,
    /// It was only tried out: nothing was changed.
    pub dry: bool,
}

/// How it stands with emergency rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Where they go.
    pub backend: Backend,
    /// They are in place.
    pub ready: bool,
    /// Chains of others that may refuse what is opened, and where we have no say.
    pub left_alone: u16,
    /// Connections of capped sources are counted too.
    pub counts: bool,
    /// The LAN's way to the router past a full table.
    pub lifeline: Lifeline,
    /// What is open, and for how long at most.
    pub open: Option<(Scope, Millis)>,
    /// Sources and destinations that are capped.
    pub shedding: u8,
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Its version.
    pub version: heapless::String<32>,
    /// Its process id.
    pub pid: u32,
    /// How long it has been running.
    pub uptime: Millis,
    /// The verdict and what it rests on.
    pub evidence: Evidence,
    /// It decides and reports, and changes nothing.
    pub dry_run: bool,
    /// The configured ladder.
    pub ladder: heapless::Vec<Rung, RUNGS>,
    /// Rungs that cannot be used here.
    pub unusable: heapless::Vec<Rung, RUNGS>,
    /// max as it was before us, where it is not so now.
    pub max_before: Option<Entries>,
    /// Emergency rules.
    pub windows: Windows,
    /// Rules that look at connections, the modules: taken out.
    pub out: [bool; 2],
    /// Flushes of the last hour and how many may be.
    pub flushes: (u8, u8),
    /// The incident that lasts or lasted last.
    pub incident: Option<Incident>,
    /// The log can be read.
    pub log_readable: bool,
    /// The longest time between two looks at the log while there was work to do, in microseconds.
    pub longest_blind_us: u32,
    /// Heap allocations since the loop began; only counted in test builds.
    pub allocations: Option<u32>,
}

impl Only {
    /// From its word on the command line.
    pub fn from_name(name: &str) -> Option<Only> {
        Some(match name {
            "unreplied" => Only::Unreplied,
            "closing" => Only::Closing,
            "idle" => Only::Idle,
            _ => return None,
        })
    }
    /// The word behind a space.
    const fn name(self) -> &'static str {
        match self {
            Only::Unreplied => " unreplied",
            Only::Closing => " closing",
            Only::Idle => " idle",
        }
    }
    /// Is an entry of this class, idle for so many seconds, one of them?
    pub const fn covers(self, class: Class, idle_s: u32) -> bool {
        match self {
            Only::Unreplied => matches!(class, Class::Unreplied),
            Only::Closing => matches!(class, Class::Closing),
            Only::Idle => idle_s >= IDLE_S,
        }
    }
}

/// Writes a frame: the length, then the message. `None`: it does not fit.
pub fn frame<'a, T: Serialize>(message: &T, room: &'a mut [u8]) -> Option<&'a [u8]> {
    let used = postcard::to_slice(message, room.get_mut(LENGTH..)?).ok()?.len();
    let length = u16::try_from(used).ok()?.to_le_bytes();
    room.get_mut(..LENGTH)?.copy_from_slice(&length);
    room.get(..LENGTH + used)
}

/// The message of a frame once all of it has come. `None`: more is wanted. `Some(Err)`: it is none.
pub fn unframe<'a, T: Deserialize<'a>>(bytes: &'a [u8], most: usize) -> Option<Result<T, ()>> {
    let length = u16::from_le_bytes(*bytes.first_chunk::<LENGTH>()?) as usize;
    if length > most {
        return Some(Err(()));
    }
    Some(postcard::from_bytes(bytes.get(LENGTH..LENGTH + length)?).map_err(drop))
}
