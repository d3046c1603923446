//! Every option there is: its name, what it may be, and where it goes.

use super::fault::Problem;
use super::protect::NAME;
use super::value::{self, COUNT, Form, MEGABYTES, PERCENT, SECONDS};
use super::{Draft, Network};
use crate::decide::ladder::FLUSHES_REMEMBERED;
use crate::lease::{Backend, Scope};
use crate::rung::Rung::{self, Flush, Grow, Open, Shed, Trim};
use crate::units::{Entries, Kib, Millis, Permille};
use core::fmt;
use core::ops::RangeInclusive;
use heapless::String;

/// Ladders by name. `watch` reports and does nothing.
pub(super) const POLICIES: [(&str, &[Rung]); 4] = [
    ("relief", &[Grow, Trim, Shed]),
    ("flush", &[Grow, Trim, Shed, Flush]),
    ("accept", &[Grow, Trim, Shed, Flush, Open]),
    ("watch", &[]),
];

/// A limit on entries. The least is far below any router's, for tests; the most is 6 GB of entries.
const ENTRIES: RangeInclusive<u32> = 128..=16_777_216;

/// The types of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Main,
    Sizing,
    Protect,
}

/// One option.
pub(super) struct Row {
    pub section: Kind,
    pub name: &'static str,
    pub take: Take,
}

/// What an option may be and where it goes.
pub(super) enum Take {
    /// Where the number goes.
    Number(Form, fn(&mut Draft<'_>, u32)),
    /// What is allowed in words, and who reads it.
    Text(&'static str, fn(&mut Draft<'_>, &str) -> Taken),
    /// The same, for an option that may be a list: what forgets the values so far, and who reads one word.
    List(&'static str, fn(&mut Draft<'_>), fn(&mut Draft<'_>, &str) -> Taken),
}

/// Why a text was not taken; `None`: it is not among what is allowed.
type Taken = Result<(), Option<Problem>>;

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Take::Number(form, _) => form.fmt(f),
            Take::Text(allowed, _) | Take::List(allowed, ..) => f.write_str(allowed),
        }
    }
}

const fn row(section: Kind, name: &'static str, take: Take) -> Row {
    Row { section, name, take }
}

const fn switch(set: fn(&mut Draft<'_>, u32)) -> Take {
    Take::Number(Form::Switch, set)
}

/// How many options there are.
pub(super) const COUNT_OF_OPTIONS: usize = 34;

/// All options. Defaults stand in `Config::default` and, explained, in the shipped file.
pub(super) static OPTIONS: [Row; COUNT_OF_OPTIONS] = {
    use Kind::*;
    use Take::{List, Number, Text};
    [
        row(Main, "enabled", switch(|d, v| d.config.enabled = v != 0)),
        row(Main, "dry_run", switch(|d, v| d.config.dry_run = v != 0)),
        row(Main, "policy", Text("relief, flush, accept or watch", policy)),
        row(
            Main,
            "ladder",
            List("rungs, each once: grow, trim, shed, flush, open, stateless, unload", |d| d.ladder.clear(), rung),
        ),
        row(Main, "high", Number(Form::Number(&PERCENT, 10..=99), |d, v| d.config.high = Permille(v as u16))),
        row(Main, "low", Number(Form::Number(&PERCENT, 5..=98), |d, v| d.config.low = Permille(v as u16))),
        row(Main, "hold", Number(Form::Number(&SECONDS, 0..=600), |d, v| d.config.hold = Millis(v.into()))),
        row(
            Main,
            "flushes_per_hour",
            Number(Form::Number(&COUNT, 0..=FLUSHES_REMEMBERED as u32), |d, v| d.config.flushes_per_hour = v as u8),
        ),
        row(
            Main,
            "flush_gain",
            Number(Form::Number(&SECONDS, 0..=3600), |d, v| d.config.flush_gain = Millis(v.into())),
        ),
        row(
            Main,
            "shed_seconds",
            Number(Form::Number(&SECONDS, 30..=86_400), |d, v| d.config.shed_seconds = Millis(v.into())),
        ),
        row(Main, "shed_count", Number(Form::Number(&COUNT, 0..=256), |d, v| d.config.shed_count = v as u16)),
        row(
            Main,
            "open_scope",
            Text("router, lan or all", |d, v| {
                d.config.open_scope = Scope::from_name(v).ok_or(None)?;
                Ok(())
            }),
        ),
        row(
            Main,
            "open_seconds",
            Number(Form::Number(&SECONDS, 30..=86_400), |d, v| d.config.open_seconds = Millis(v.into())),
        ),
        row(
            Main,
            "opens_per_hour",
            Number(Form::Number(&COUNT, 0..=FLUSHES_REMEMBERED as u32), |d, v| d.config.opens_per_hour = v as u8),
        ),
        row(Main, "backend", Text("auto, fw4, nft, iptables, snapshot, script or none", backend)),
        row(Main, "lifeline", switch(|d, v| d.config.lifeline = v != 0)),
        row(Main, "lifeline_dns", switch(|d, v| d.config.lifeline_dns = v != 0)),
        row(Main, "lan", List("up to 4 interfaces, each of up to 15 bytes", |d| d.lan.clear(), interface)),
        row(
            Main,
            "ports",
            List(
                "up to 8 ports from 1 to 65535",
                |d| d.ports.clear(),
                |d, v| d.ports.push(port(v).ok_or(None)?).map_err(|_| None),
            ),
        ),
        row(Main, "realtime", switch(|d, v| d.config.realtime = v != 0)),
        row(Main, "textfile", switch(|d, v| d.config.textfile = v != 0)),
        row(Sizing, "max", Number(Form::AutoOr(ENTRIES), |d, v| d.config.sizing.max = fixed(v))),
        row(
            Sizing,
            "ram_percent",
            Number(Form::Number(&PERCENT, 1..=50), |d, v| d.config.sizing.ram_percent = Permille(v as u16)),
        ),
        row(Sizing, "reserve", Number(Form::Number(&MEGABYTES, 0..=4096), |d, v| d.config.sizing.reserve = Kib(v))),
        row(Sizing, "floor", Number(Form::Number(&COUNT, ENTRIES), |d, v| d.config.sizing.floor = Entries(v))),
        row(Sizing, "ceiling", Number(Form::Number(&COUNT, ENTRIES), |d, v| d.config.sizing.ceiling = Entries(v))),
        row(Sizing, "buckets", Number(Form::AutoOr(ENTRIES), |d, v| d.config.sizing.buckets = fixed(v))),
        row(Sizing, "enforce", switch(|d, v| d.config.sizing.enforce = v != 0)),
        row(Protect, "name", Text("up to 32 bytes without control characters", name)),
        row(Protect, "source", Text(NETWORK_ALLOWED, |d, v| put(&mut d.rule()?.source, Network::parse(v)))),
        row(Protect, "destination", Text(NETWORK_ALLOWED, |d, v| put(&mut d.rule()?.destination, Network::parse(v)))),
        row(Protect, "proto", Text(value::PROTOCOL_ALLOWED, |d, v| put(&mut d.rule()?.protocol, value::protocol(v)))),
        row(Protect, "port", Text("a port from 1 to 65535", |d, v| put(&mut d.rule()?.port, port(v)))),
        row(
            Protect,
            "mark",
            Text("a mark as 0x10 or 0x10/0xff, its bits within the mask", |d, v| {
                put(&mut d.rule()?.mark, value::mark(v))
            }),
        ),
    ]
};

const NETWORK_ALLOWED: &str = "a network as 192.168.1.0/24 or fd00::/8, or a host's address";

fn put<T>(place: &mut Option<T>, value: Option<T>) -> Taken {
    *place = Some(value.ok_or(None)?);
    Ok(())
}

fn fixed(value: u32) -> Option<Entries> {
    (value != 0).then_some(Entries(value))
}

fn port(text: &str) -> Option<u16> {
    Form::Number(&COUNT, 1..=65535).read(text).and_then(|n| n.try_into().ok())
}

fn name(draft: &mut Draft<'_>, text: &str) -> Taken {
    let name = String::<NAME>::try_from(text).ok().filter(|name| !name.chars().any(char::is_control));
    draft.rule()?.name = name.ok_or(None)?;
    Ok(())
}

fn policy(draft: &mut Draft<'_>, text: &str) -> Taken {
    let (_, rungs) = POLICIES.iter().find(|(name, _)| *name == text).ok_or(None)?;
    draft.policy = Some(rungs);
    Ok(())
}

fn rung(draft: &mut Draft<'_>, word: &str) -> Taken {
    let rung = Rung::from_name(word).filter(|rung| !draft.ladder.contains(rung)).ok_or(None)?;
    // Never full: it has room for every rung once.
    let _ = draft.ladder.push(rung);
    Ok(())
}

fn backend(draft: &mut Draft<'_>, text: &str) -> Taken {
    draft.config.backend = match text {
        "auto" => None,
        name => Some(Backend::from_name(name).ok_or(None)?),
    };
    Ok(())
}

/// A name as the kernel takes it: no blanks, no slash, not a folder's name.
fn interface(draft: &mut Draft<'_>, word: &str) -> Taken {
    let fits = !word.bytes().any(|b| b == b'/' || b.is_ascii_control()) && word != "." && word != "..";
    let name = String::try_from(word).ok().filter(|_| fits).ok_or(None)?;
    draft.lan.push(name).map_err(|_| None)
}
