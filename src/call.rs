//! What can be asked over ubus: one table of methods, and arguments become a [`Call`] that has been checked.

use crate::lease::{Lease, Scope};
use crate::out::Out;
use crate::protocol::{By, Only, ROWS_MOST, Selection};
use crate::units::Entries;
use crate::wire::blob::{Fields, Value, kind};
use crate::wire::ubus::Code;
use core::fmt;
use core::net::IpAddr;

/// A method that is asked for, with its arguments.
#[derive(Clone, Debug, PartialEq)]
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
        board: Option<heapless::String<BOARD_MOST>>,
    },
    Check,
    /// The last `span` seconds, or what came after `since`.
    History {
        span: Option<u32>,
        since: Option<u32>,
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

/// No board's name is longer.
pub const BOARD_MOST: usize = 64;
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

struct Method {
    name: &'static str,
    arguments: &'static [Argument],
    call: fn(&Given<'_>) -> Result<Call, Wrong>,
}

const fn method(
    name: &'static str,
    arguments: &'static [Argument],
    call: fn(&Given<'_>) -> Result<Call, Wrong>,
) -> Method {
    Method { name, arguments, call }
}

const DRY_RUN: Argument = argument("dry_run", Kind::Flag, "true or false");
const CONFIRM: Argument = argument("confirm", Kind::Flag, "true");
const SECONDS: Argument = argument("seconds", Kind::Number, "a number of seconds from 1 to 86400");

const METHODS: &[Method] = &[
    method("status", &[], |_| Ok(Call::Status)),
    method(
        "top",
        &[
            argument("by", Kind::Text, "source, prefix, destination or state"),
            argument("n", Kind::Number, "a number of rows"),
            argument("exact", Kind::Flag, "true or false"),
        ],
        |g| {
            let rows = g.number(1, u32::MAX)?.unwrap_or(ROWS).min(ROWS_MOST as u32) as u8;
            Ok(Call::Top { by: g.word(0, By::from_name)?.unwrap_or_default(), rows, exact: g.flag(2) })
        },
    ),
    method(
        "size",
        &[
            argument("max", Kind::Number, "a number of entries"),
            argument("ram_percent", Kind::Number, "a percentage from 1 to 50"),
            argument("board", Kind::Text, "a board's name"),
        ],
        |g| {
            Ok(Call::Size {
                max: g.number(0, u32::MAX)?.map(Entries),
                ram_percent: g.number(1, 50)?.map(|n| n as u8),
                board: g.word(2, |name| heapless::String::try_from(name).ok())?,
            })
        },
    ),
    method("check", &[], |_| Ok(Call::Check)),
    method(
        "history",
        &[
            argument("span", Kind::Number, "a number of seconds"),
            argument("since", Kind::Number, "a number of seconds"),
        ],
        |g| Ok(Call::History { span: g.number(0, u32::MAX)?, since: g.number(1, u32::MAX)? }),
    ),
    method("incidents", &[], |_| Ok(Call::Incidents)),
    method(
        "trim",
        &[
            argument("source", Kind::Text, "an IPv4 or IPv6 address"),
            argument("only", Kind::Text, "unreplied, closing or idle"),
            DRY_RUN,
        ],
        |g| {
            let selection = match (g.word(0, |text| text.parse::<IpAddr>().ok())?, g.word(1, Only::from_name)?) {
                (Some(source), only) => Selection::Source(source, only),
                (None, Some(only)) => Selection::Kind(only),
                (None, None) => Selection::Level,
            };
            Ok(Call::Trim { selection, dry_run: g.flag(2) })
        },
    ),
    method("shed", &[argument("key", Kind::Text, "an address, or ADDRESS:PORT/tcp or /udp"), SECONDS, DRY_RUN], |g| {
        let lease = g.word(0, Lease::of_key)?.ok_or(0_usize)?;
        Ok(Call::Shed { lease, seconds: g.number(1, SECONDS_MOST)?, dry_run: g.flag(2) })
    }),
    method("flush", &[CONFIRM, DRY_RUN], |g| {
        let dry_run = g.flag(1);
        g.confirmed(0, dry_run)?;
        Ok(Call::Flush { dry_run })
    }),
    method("open", &[argument("scope", Kind::Text, "router, lan or all"), SECONDS, CONFIRM, DRY_RUN], |g| {
        let dry_run = g.flag(3);
        g.confirmed(2, dry_run)?;
        let (scope, seconds) = (g.word(0, Scope::from_name)?, g.number(1, SECONDS_MOST)?);
        Ok(Call::Open { scope, seconds, dry_run })
    }),
    method("close", &[], |_| Ok(Call::Close)),
    method("drill", &[], |_| Ok(Call::Drill)),
    method("reload", &[], |_| Ok(Call::Reload)),
    method("metrics", &[], |_| Ok(Call::Metrics)),
];

impl Given<'_> {
    #[inline(never)]
    fn value(&self, at: usize) -> Value<'_> {
        self.0.get(at).copied().unwrap_or(Value::Null)
    }
    fn flag(&self, at: usize) -> bool {
        self.value(at) == Value::Bool(true)
    }
    fn confirmed(&self, at: usize, dry_run: bool) -> Result<(), Wrong> {
        if dry_run || self.flag(at) { Ok(()) } else { Err(at) }
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
    match (method.call)(&given) {
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
