//! The command line.

use ctwarden::protocol::{By, Only, ROWS_MOST};
use lexopt::prelude::*;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

pub const HELP: &str = "\
ctwarden keeps the connection tracking table from shutting the network down.

  ctwarden run [--config F] [--root DIR] [--dry-run] [--socket P] [--state-dir D] [--debug]
                            the guard itself, in the foreground
  ctwarden status           how full, what is being done, what may be done
  ctwarden top [--by source|prefix|destination|state] [-n N] [--exact]
                            who fills it: sampled, with the error stated, or all of it counted
  ctwarden size [--ram MIB] [--board NAME] [--apply] [--save]
                            what max should be here, and why; sets it, keeps it over a reboot
  ctwarden trim [--source ADDR] [--only unreplied|closing|idle]
                            evicts by water level down to the low mark, or what is named
  ctwarden flush            empties the table; what is protected stays
  ctwarden log              what has happened, with who held the table
  ctwarden check [F]        names every fault of a config
  ctwarden drill            shows what the guard would do in an attack, under this config
  ctwarden replay F         the same for a recorded incident
  ctwarden --version, --help

Most take --json, --config, --root and --socket. status, top, size, trim and flush need no daemon.
Exit status: 0 done, 1 fault found, 2 usage, 3 no daemon, 4 not permitted, 5 refused by budget.
";

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Verb {
    Run { dry_run: bool, debug: bool },
    Check { file: Option<String> },
    Size { ram_mib: Option<u32>, board: Option<String>, apply: bool, save: bool },
    Status,
    Top { by: By, rows: u8, exact: bool },
    Trim { source: Option<IpAddr>, only: Option<Only> },
    Flush,
    Drill,
    Log,
    Replay { file: String },
}

/// The whole command line.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub verb: Verb,
    pub json: bool,
    pub config: Option<String>,
    pub root: String,
    pub socket: Option<String>,
    pub state_dir: Option<String>,
}

/// A command to run, or a text that was asked for.
pub enum Parsed {
    Run(Arguments),
    Text(&'static str),
}

/// What is wrong with the command line: the argument, and what is wrong with it. Not lexopt's own texts: they bring
/// 5 KB of quoting and boxing along.
#[derive(Debug)]
pub struct Fault {
    argument: String,
    what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.argument.is_empty() { "" } else { ": " };
        write!(f, "{}{gap}{}", self.argument, self.what)
    }
}

impl From<lexopt::Error> for Fault {
    fn from(e: lexopt::Error) -> Self {
        match e {
            lexopt::Error::MissingValue { option } => fault(option.as_deref().unwrap_or_default(), "wants a value"),
            lexopt::Error::UnexpectedValue { option, .. } => fault(&option, "takes no value"),
            _ => fault("", "an argument is not UTF-8"),
        }
    }
}

fn fault(argument: &str, what: &'static str) -> Fault {
    Fault { argument: argument.to_owned(), what }
}

fn unexpected(arg: lexopt::Arg<'_>) -> Fault {
    match arg {
        Long(name) => fault(name, "no such option here"),
        Short(_) => fault("", "no such option here"),
        Value(v) => fault(v.to_str().unwrap_or_default(), "one argument too many"),
    }
}

fn text(value: OsString) -> Result<String, Fault> {
    value.into_string().map_err(|_| fault("", "an argument is not UTF-8"))
}

/// The value of an option, as `read` makes of it.
fn value<T>(parser: &mut lexopt::Parser, what: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
    let word = text(parser.value()?)?;
    read(&word).ok_or_else(|| fault(&word, what))
}

fn word(parser: &mut lexopt::Parser) -> Result<String, Fault> {
    text(parser.value()?)
}

pub fn parse() -> Result<Parsed, Fault> {
    let mut parser = lexopt::Parser::from_env();
    let Some(first) = parser.next()? else { return Err(fault("", "no command")) };
    let verb = match first {
        Long("version") | Short('V') => {
            return Ok(Parsed::Text(concat!("ctwarden ", env!("CARGO_PKG_VERSION"), "\n")));
        }
        Long("help") | Short('h') => return Ok(Parsed::Text(HELP)),
        Value(v) => text(v)?,
        other => return Err(unexpected(other)),
    };
    let mut verb = match verb.as_str() {
        "run" => Verb::Run { dry_run: false, debug: false },
        "check" => Verb::Check { file: None },
        "size" => Verb::Size { ram_mib: None, board: None, apply: false, save: false },
        "status" => Verb::Status,
        "top" => Verb::Top { by: By::Source, rows: 10, exact: false },
        "trim" => Verb::Trim { source: None, only: None },
        "flush" => Verb::Flush,
        "drill" => Verb::Drill,
        "log" => Verb::Log,
        "replay" => Verb::Replay { file: String::new() },
        other => return Err(fault(other, "no such command")),
    };
    let (mut json, mut config, mut root, mut socket, mut state_dir) = (false, None, String::new(), None, None);
    while let Some(arg) = parser.next()? {
        match (&mut verb, arg) {
            (_, Long("help")) => return Ok(Parsed::Text(HELP)),
            (_, Long("json")) => json = true,
            (_, Long("config")) => config = Some(word(&mut parser)?),
            (_, Long("root")) => root = word(&mut parser)?,
            (_, Long("socket")) => socket = Some(word(&mut parser)?),
            (_, Long("state-dir")) => state_dir = Some(word(&mut parser)?),
            (Verb::Run { dry_run, .. }, Long("dry-run")) => *dry_run = true,
            (Verb::Run { debug, .. }, Long("debug")) => *debug = true,
            (Verb::Check { file }, Value(v)) if file.is_none() => *file = Some(text(v)?),
            (Verb::Replay { file }, Value(v)) if file.is_empty() => *file = text(v)?,
            (Verb::Size { ram_mib, .. }, Long("ram")) => {
                *ram_mib = Some(value(&mut parser, "not a number of megabytes", |w| w.parse().ok())?)
            }
            (Verb::Size { board, .. }, Long("board")) => *board = Some(word(&mut parser)?),
            (Verb::Size { apply, .. }, Long("apply")) => *apply = true,
            (Verb::Size { save, .. }, Long("save")) => *save = true,
            (Verb::Top { exact, .. }, Long("exact")) => *exact = true,
            (Verb::Top { rows, .. }, Short('n')) => {
                let n: usize = value(&mut parser, "not a number of rows", |w| w.parse().ok())?;
                *rows = n.clamp(1, ROWS_MOST) as u8;
            }
            (Verb::Top { by, .. }, Long("by")) => {
                *by = value(&mut parser, "not one of source, prefix, destination, state", By::from_name)?;
            }
            (Verb::Trim { only, .. }, Long("only")) => {
                *only = Some(value(&mut parser, "not one of unreplied, closing, idle", Only::from_name)?);
            }
            (Verb::Trim { source, .. }, Long("source")) => {
                *source = Some(value(&mut parser, "not an IPv4 or IPv6 address", |w| w.parse().ok())?);
            }
            (_, other) => return Err(unexpected(other)),
        }
    }
    if matches!(&verb, Verb::Replay { file } if file.is_empty()) {
        return Err(fault("replay", "which file?"));
    }
    Ok(Parsed::Run(Arguments { verb, json, config, root, socket, state_dir }))
}
