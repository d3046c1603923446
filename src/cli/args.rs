//! The command line.

use ctwarden::protocol::{By, Only, ROWS_MOST};
use lexopt::prelude::*;
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

/// What is wrong with the command line.
#[derive(Debug)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Fault {
    fn from(e: lexopt::Error) -> Self {
        Fault(e.to_string())
    }
}

fn word(parser: &mut lexopt::Parser) -> Result<String, Fault> {
    parser.value()?.into_string().map_err(|_| Fault("an argument is not UTF-8".into()))
}

fn one_of<T>(option: &str, word: &str, found: Option<T>, words: &str) -> Result<T, Fault> {
    found.ok_or_else(|| Fault(format!("{option} '{word}': one of {words}")))
}

pub fn parse() -> Result<Parsed, Fault> {
    let mut parser = lexopt::Parser::from_env();
    let Some(first) = parser.next()? else { return Err(Fault("no command".into())) };
    let verb = match first {
        Long("version") | Short('V') => {
            return Ok(Parsed::Text(concat!("ctwarden ", env!("CARGO_PKG_VERSION"))));
        }
        Long("help") | Short('h') => return Ok(Parsed::Text(HELP.trim_ascii_end())),
        Value(v) => v.string()?,
        other => return Err(other.unexpected().into()),
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
        other => return Err(Fault(format!("no such command: {other}"))),
    };
    let (mut json, mut config, mut root, mut socket, mut state_dir) = (false, None, String::new(), None, None);
    while let Some(arg) = parser.next()? {
        match (&mut verb, arg) {
            (_, Long("help")) => return Ok(Parsed::Text(HELP.trim_ascii_end())),
            (_, Long("json")) => json = true,
            (_, Long("config")) => config = Some(word(&mut parser)?),
            (_, Long("root")) => root = word(&mut parser)?,
            (_, Long("socket")) => socket = Some(word(&mut parser)?),
            (_, Long("state-dir")) => state_dir = Some(word(&mut parser)?),
            (Verb::Run { dry_run, .. }, Long("dry-run")) => *dry_run = true,
            (Verb::Run { debug, .. }, Long("debug")) => *debug = true,
            (Verb::Check { file }, Value(v)) if file.is_none() => *file = Some(v.string()?),
            (Verb::Replay { file }, Value(v)) if file.is_empty() => *file = v.string()?,
            (Verb::Size { ram_mib, .. }, Long("ram")) => *ram_mib = Some(parser.value()?.parse()?),
            (Verb::Size { board, .. }, Long("board")) => *board = Some(word(&mut parser)?),
            (Verb::Size { apply, .. }, Long("apply")) => *apply = true,
            (Verb::Size { save, .. }, Long("save")) => *save = true,
            (Verb::Top { exact, .. }, Long("exact")) => *exact = true,
            (Verb::Top { rows, .. }, Short('n')) => {
                let n: usize = parser.value()?.parse()?;
                *rows = n.clamp(1, ROWS_MOST) as u8;
            }
            (Verb::Top { by, .. }, Long("by")) => {
                let w = word(&mut parser)?;
                *by = one_of("--by", &w, By::from_name(&w), "source, prefix, destination, state")?;
            }
            (Verb::Trim { only, .. }, Long("only")) => {
                let w = word(&mut parser)?;
                *only = Some(one_of("--only", &w, Only::from_name(&w), "unreplied, closing, idle")?);
            }
            (Verb::Trim { source, .. }, Long("source")) => {
                let w = word(&mut parser)?;
                *source = Some(w.parse().map_err(|_| Fault(format!("--source '{w}': an IPv4 or IPv6 address")))?);
            }
            (_, other) => return Err(other.unexpected().into()),
        }
    }
    if matches!(&verb, Verb::Replay { file } if file.is_empty()) {
        return Err(Fault("replay: which file?".into()));
    }
    Ok(Parsed::Run(Arguments { verb, json, config, root, socket, state_dir }))
}
