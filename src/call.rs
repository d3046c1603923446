//! What can be asked over ubus: one table of methods, and arguments become a [`Call`] that has been checked.

use crate::board;
use crate::history::Span;
use crate::lease::{Lease, Scope};
use crate::out::Out;
use crate::protocol::{By, Only, ROWS_MOST, Selection};
use crate::units::Entries;
use crate::wire::blob::{Fields, Value, kind};
use crate::wire::ubus::Code;
use core::fmt;
use core::net::IpAddr;

/// A method that is asked for, with its arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Call {
    Status,
    Top {
        by: By,
        rows: u8,
        exact: bool,
    },
    /// What the limit should be: here, or with other numbers than the config's.
    Size {
        max: Option<Entries>,
        ram_percent: Option<u8>,
        /// One that is listed.
        board: Option<&'static str>,
    },
    Check,
    /// A chart, from the slot of this number on.
    History {
        span: Span,
        since: u32,
    },
    Incidents,
    Trim {
        selection: Selection,
        dry_run: bool,
    },
    Shed {
        lease: Lease,
        seconds: Option<u32>,
        dry_run: bool,
    },
    Flush {
        dry_run: bool,
    },
    Open {
        scope: Option<Scope>,
        seconds: Option<u32>,
        dry_run: bool,
    },
    Close,
    Drill,
    Reload,
    Metrics,
}

impl Call {
    /// It changes something: who asked is to be kept.
    pub const fn changes(&self) -> bool {
        match self {
            Call::Trim { dry_run, .. }
            | Call::Shed { dry_run, .. }
            | Call::Flush { dry_run }
            | Call::Open { dry_run, .. } => !*dry_run,
            Call::Close | Call::Reload => true,
            _ => false,
        }
    }
}

/// Rows of `top` where nothing is said.
const ROWS: u32 = 10;
/// The longest that anything can be asked for: a day.
const SECONDS_MOST: u32 = 86_400;

/// What an argument must be.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
}

struct Argument {
    name: &'static str,
    kind: Kind,
    /// In words, for whoever got it wrong.
    wants: &'static str,
}

const fn argument(name: &'static str, kind: Kind, wants: &'static str) -> Argument {
    Argument { name, kind, wants }
}

/// The arguments that were given, in the order of the method's; `Null` those that were not.
struct Given<'a>([Value<'a>; ARGUMENTS_MOST]);

/// No method takes more.
const ARGUMENTS_MOST: usize = 4;

/// An argument that will not do: its place.
type Wrong = usize;

/// Which method: one match builds all calls, where a function each was larger.
#[derive(Clone, Copy)]
enum Which {
    Status,
    Top,
    Size,
    Check,
    History,
    Incidents,
    Trim,
    Shed,
    Flush,
    Open,
    Close,
    Drill,
    Reload,
    Metrics,
}

struct Method {
    name: &'static str,
    which: Which,
    arguments: &'static [Argument],
}

const fn method(name: &'static str, which: Which, arguments: &'static [Argument]) -> Method {
    Method { name, which, arguments }
}

const DRY_RUN: Argument = argument("dry_run", Kind::Flag, "true or false");
const CONFIRM: Argument = argument("confirm", Kind::Flag, "true");
const SECONDS: Argument = argument("seconds", Kind::Number, "a number of seconds from 1 to 86400");

/// The order of a method's arguments is known to [`Given::call`] too.
const METHODS: &[Method] = &[
    method("status", Which::Status, &[]),
    method(
        "top",
        Which::Top,
        &[
            argument("by", Kind::Text, "source, prefix, destination or state"),
            argument("n", Kind::Number, "a number of rows"),
            argument("exact", Kind::Flag, "true or false"),
        ],
    ),
    method(
        "size",
        Which::Size,
        &[
            argument("max", Kind::Number, "a number of entries"),
            argument("ram_percent", Kind::Number, "a percentage from 1 to 50"),
            argument("board", Kind::Text, "a board's name"),
        ],
    ),
    method("check", Which::Check, &[]),
    method(
        "history",
        Which::History,
        &[argument("span", Kind::Text, "5m or 24h"), argument("since", Kind::Number, "the number of a slot")],
    ),
    method("incidents", Which::Incidents, &[]),
    method(
        "trim",
        Which::Trim,
        &[
            argument("source", Kind::Text, "an IPv4 or IPv6 address"),
            argument("only", Kind::Text, "unreplied, closing or idle"),
            DRY_RUN,
        ],
    ),
    method(
        "shed",
        Which::Shed,
        &[argument("key", Kind::Text, "an address, or ADDRESS:PORT/tcp or /udp"), SECONDS, DRY_RUN],
    ),
    method("flush", Which::Flush, &[CONFIRM, DRY_RUN]),
    method("open", Which::Open, &[argument("scope", Kind::Text, "router, lan or all"), SECONDS, CONFIRM, DRY_RUN]),
    method("close", Which::Close, &[]),
    method("drill", Which::Drill, &[]),
    method("reload", Which::Reload, &[]),
    method("metrics", Which::Metrics, &[]),
];

impl Given<'_> {
    fn call(&self, which: Which) -> Result<Call, Wrong> {
        Ok(match which {
            Which::Status => Call::Status,
            Which::Check => Call::Check,
            Which::Incidents => Call::Incidents,
            Which::Close => Call::Close,
            Which::Drill => Call::Drill,
            Which::Reload => Call::Reload,
            Which::Metrics => Call::Metrics,
            Which::Top => {
                let rows = self.number(1, u32::MAX)?.unwrap_or(ROWS).min(ROWS_MOST as u32) as u8;
                Call::Top { by: self.word(0, By::from_name)?.unwrap_or_default(), rows, exact: self.flag(2) }
            }
            Which::Size => Call::Size {
                max: self.number(0, u32::MAX)?.map(Entries),
                ram_percent: self.number(1, 50)?.map(|n| n as u8),
                board: self.word(2, |name| board::by_name(name).map(|board| board.name))?,
            },
            Which::History => {
                // Slots are counted from 0.
                let from_start = self.value(1) == Value::Number(0);
                let since = if from_start { None } else { self.number(1, u32::MAX)? };
                Call::History { span: self.word(0, Span::from_name)?.unwrap_or_default(), since: since.unwrap_or(0) }
            }
            Which::Trim => {
                let source = self.word(0, |text| text.parse::<IpAddr>().ok())?;
                let selection = match (source, self.word(1, Only::from_name)?) {
                    (Some(source), only) => Selection::Source(source, only),
                    (None, Some(only)) => Selection::Kind(only),
                    (None, None) => Selection::Level,
                };
                Call::Trim { selection, dry_run: self.flag(2) }
            }
            Which::Shed => {
                let lease = self.word(0, Lease::of_key)?.ok_or(0_usize)?;
                Call::Shed { lease, seconds: self.number(1, SECONDS_MOST)?, dry_run: self.flag(2) }
            }
            Which::Flush => Call::Flush { dry_run: self.confirmed(0)? },
            Which::Open => {
                let dry_run = self.confirmed(2)?;
                let (scope, seconds) = (self.word(0, Scope::from_name)?, self.number(1, SECONDS_MOST)?);
                Call::Open { scope, seconds, dry_run }
            }
        })
    }
    #[inline(never)]
    fn value(&self, at: usize) -> Value<'_> {
        self.0.get(at).copied().unwrap_or(Value::Null)
    }
    fn flag(&self, at: usize) -> bool {
        matches!(self.value(at), Value::Bool(true))
    }
    /// `confirm` and behind it `dry_run`: one of them must be given. Is it the second?
    fn confirmed(&self, at: usize) -> Result<bool, Wrong> {
        let dry_run = self.flag(at + 1);
        if dry_run || self.flag(at) { Ok(dry_run) } else { Err(at) }
    }
    /// From 1 to `most`.
    #[inline(never)]
    fn number(&self, at: usize, most: u32) -> Result<Option<u32>, Wrong> {
        let Value::Number(n) = self.value(at) else { return Ok(None) };
        match u32::try_from(n) {
            Ok(n @ 1..) if n <= most => Ok(Some(n)),
            _ => Err(at),
        }
    }
    fn word<T>(&self, at: usize, from: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Wrong> {
        let Value::Text(text) = self.value(at) else { return Ok(None) };
        core::str::from_utf8(text).ok().and_then(from).map(Some).ok_or(at)
    }
}

impl Argument {
    const fn takes(&self, value: &Value<'_>) -> bool {
        matches!(
            (self.kind, value),
            (_, Value::Null)
                | (Kind::Text, Value::Text(_))
                | (Kind::Number, Value::Number(_))
                | (Kind::Flag, Value::Bool(_))
        )
    }
}

/// Why a call is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such method.
    NoMethod,
    /// What was sent as arguments cannot be read.
    Damaged,
    /// An argument that will not do.
    Argument {
        /// Its name.
        name: &'static str,
        /// What it should be.
        wants: &'static str,
    },
}

impl Fault {
    /// As ubus has it.
    pub const fn code(&self) -> Code {
        match self {
            Fault::NoMethod => Code::MethodNotFound,
            Fault::Damaged | Fault::Argument { .. } => Code::InvalidArgument,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoMethod => f.write_str("no such method"),
            Fault::Damaged => f.write_str("the arguments are damaged or too long"),
            Fault::Argument { name, wants } => write!(f, "{name}: wants {wants}"),
        }
    }
}

/// The argument by which a call from the web brings the session that it is made in. It is a login token: whoever reads it
/// is logged in.
pub const SESSION: &str = "ubus_rpc_session";

/// A call from its method and arguments, with the web session that it came by. Arguments that the method does not know are
/// passed over: others than the web server may add some too.
pub fn parse<'a>(method: &[u8], arguments: &'a [u8]) -> Result<(Call, Option<&'a [u8]>), Fault> {
    let method = METHODS.iter().find(|m| m.name.as_bytes() == method).ok_or(Fault::NoMethod)?;
    let mut given = Given([Value::Null; ARGUMENTS_MOST]);
    let mut session = None;
    let mut fields = Fields::new(arguments);
    for (name, value) in fields.by_ref() {
        if let Some((at, argument)) =
            method.arguments.iter().enumerate().find(|(_, argument)| argument.name.as_bytes() == name)
        {
            if !argument.takes(&value) {
                return Err(wrong(argument));
            }
            if let Some(place) = given.0.get_mut(at) {
                *place = value;
            }
        } else if name == SESSION.as_bytes()
            && let Value::Text(text) = value
        {
            session = Some(text);
        }
    }
    if fields.damaged() {
        return Err(Fault::Damaged);
    }
    match given.call(method.which) {
        Ok(call) => Ok((call, session)),
        Err(at) => Err(method.arguments.get(at).map_or(Fault::Damaged, wrong)),
    }
}

const fn wrong(argument: &Argument) -> Fault {
    Fault::Argument { name: argument.name, wants: argument.wants }
}

/// The signature: every method with the types of its arguments. Without one ubus hides the object.
pub fn signature(o: &mut dyn Out) {
    for method in METHODS {
        o.object(method.name);
        for argument in method.arguments {
            let kind = match argument.kind {
                Kind::Text => kind::TEXT,
                Kind::Number => kind::INT32,
                Kind::Flag => kind::BOOL,
            };
            o.number(argument.name, kind.into());
        }
        o.end();
    }
}
