//! The command line.

use crate::daemon::root::PATH_MOST;
use ctwarden::history::Span;
use ctwarden::lease::{Lease, Scope};
use ctwarden::protocol::{By, Only, ROWS_MOST};
use ctwarden::text::{cut, number};
use std::fmt;
use std::net::IpAddr;

pub const HELP: &str = "\
ctwarden keeps the connection tracking table from shutting the network down.

  ctwarden run [--config F] [--root DIR] [--dry-run] [--socket P] [--state-dir D] [--debug]
                            the guard itself, in the foreground
  ctwarden status           how full, what is being done, what may be done
  ctwarden top [--by source|prefix|destination|state] [-n N] [--exact]
                            who fills it: sampled, or all of it counted
  ctwarden size [--ram MIB] [--board NAME] [--apply] [--save]
                            what max should be here, and why; sets it, keeps it
  ctwarden trim [--source ADDR] [--only unreplied|closing|idle]
                            evicts down to the low mark, or what is named
  ctwarden flush            empties the table; what is protected stays
  ctwarden shed WHO [--for SECONDS]
                            slows down new connections of a host
  ctwarden open [--scope router|lan|all] [--for SECONDS]
                            lets in, by a lease that the kernel ends by itself
  ctwarden close            ends that, and all caps
  ctwarden stateless [--force] [--dry-run]
                            takes out the rules that need connection tracking
  ctwarden unload [--dry-run]
                            unloads its modules, where nothing holds them
  ctwarden back             puts back what these two took out
  ctwarden log              what has happened, with who held the table
  ctwarden watch            all of that, live in a terminal
  ctwarden history [--span 5m|24h] [--since SLOT]
                            how full it was, and what was done
  ctwarden metrics          what there is to monitor, as Prometheus reads it
  ctwarden check [F]        names every fault of a config
  ctwarden drill            shows what the guard would do in an attack, under this config
  ctwarden replay F         the same for a recording
  ctwarden --version, --help

Most take --json, --config, --root and --socket. All but shed, open,
close, log, history, watch and metrics need no daemon.
Exit status: 0 done, 1 fault found, 2 usage, 3 no daemon, 4 not permitted, 5 refused.
";

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Verb {
    Run { dry_run: bool, debug: bool },
    Check { file: Option<&'static str> },
    Size { ram_mib: Option<u32>, board: Option<&'static str>, apply: bool, save: bool },
    Status,
    Top { by: By, rows: u8, exact: bool },
    Trim { source: Option<IpAddr>, only: Option<Only> },
    Flush,
    Shed { lease: Option<Lease>, seconds: Option<u32> },
    Open { scope: Option<Scope>, seconds: Option<u32> },
    Close,
    Stateless { force: bool, dry_run: bool },
    Unload { dry_run: bool },
    Back,
    Drill,
    Log,
    History { span: Span, since: u32 },
    Metrics,
    Watch,
    Replay { file: &'static str },
}

/// The whole command line.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub verb: Verb,
    pub json: bool,
    pub config: Option<&'static str>,
    pub root: &'static str,
    pub socket: Option<&'static str>,
    pub state_dir: Option<&'static str>,
}

/// A command to run, or a text that was asked for.
pub enum Parsed {
    Run(Arguments),
    Text(&'static str),
}

/// What is wrong with the command line: the argument, and what is wrong with it.
#[derive(Debug)]
pub struct Fault {
    argument: &'static str,
    /// The value that is not what the argument wants; `what` is, then.
    value: Option<&'static str>,
    what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.value {
            return write!(f, "{} '{value}': wants {}", self.argument, self.what);
        }
        let gap = if self.argument.is_empty() || self.what.is_empty() { "" } else { ": " };
        write!(f, "{}{gap}{}", self.argument, self.what)
    }
}

const fn fault(argument: &'static str, what: &'static str) -> Fault {
    Fault { argument, value: None, what }
}

/// The state folder leaves room for the names of the files in it.
const VALUE_MOST: usize = PATH_MOST - "/stateless.nft.new".len();

/// What an option does with its value, which is empty where it takes none.
type Set = fn(&mut Arguments, &'static str) -> Option<()>;

/// One option: its name, the verb it belongs to (empty: all), what its value must be (empty: it takes none).
struct Known {
    name: &'static str,
    verb: &'static str,
    value: &'static str,
    set: Set,
}

const fn option(name: &'static str, verb: &'static str, value: &'static str, set: Set) -> Known {
    Known { name, verb, value, set }
}

/// Sets a part of the verb, in one line of the table below.
macro_rules! part {
    ($verb:ident, $part:ident, $to:expr) => {
        |a, w| {
            if let Verb::$verb { $part, .. } = &mut a.verb {
                let to: fn(&'static str) -> Option<_> = $to;
                *$part = to(w)?;
            }
            Some(())
        }
    };
}

/// A table, since the same as a parser library's match was 9 KB larger on MIPS.
const OPTIONS: &[Known] = &[
    option("--json", "", "", |a, _| {
        a.json = true;
        Some(())
    }),
    option("--config", "", "a file", |a, w| {
        a.config = Some(w);
        Some(())
    }),
    option("--root", "", "a folder", |a, w| {
        a.root = w;
        Some(())
    }),
    option("--socket", "", "a path", |a, w| {
        a.socket = Some(w);
        Some(())
    }),
    option("--state-dir", "", "a folder", |a, w| {
        a.state_dir = Some(w);
        Some(())
    }),
    option("--dry-run", "run", "", part!(Run, dry_run, |_| Some(true))),
    option("--dry-run", "stateless", "", part!(Stateless, dry_run, |_| Some(true))),
    option("--dry-run", "unload", "", part!(Unload, dry_run, |_| Some(true))),
    option("--force", "stateless", "", part!(Stateless, force, |_| Some(true))),
    option("--debug", "run", "", part!(Run, debug, |_| Some(true))),
    option("", "check", "", part!(Check, file, |w| Some(Some(w)))),
    option("", "replay", "", part!(Replay, file, |w| Some(w))),
    option("--ram", "size", "a number of megabytes", part!(Size, ram_mib, |w| number(w).map(Some))),
    option("--board", "size", "a board's name", part!(Size, board, |w| Some(Some(w)))),
    option("--apply", "size", "", part!(Size, apply, |_| Some(true))),
    option("--save", "size", "", part!(Size, save, |_| Some(true))),
    option("--exact", "top", "", part!(Top, exact, |_| Some(true))),
    option(
        "-n",
        "top",
        "a number of rows",
        part!(Top, rows, |w| Some((number(w)? as usize).clamp(1, ROWS_MOST) as u8)),
    ),
    option("--by", "top", "source, prefix, destination or state", part!(Top, by, By::from_name)),
    option("--only", "trim", "unreplied, closing or idle", part!(Trim, only, |w| Only::from_name(w).map(Some))),
    option("--scope", "open", "router, lan or all", part!(Open, scope, |w| Scope::from_name(w).map(Some))),
    option("--span", "history", "5m or 24h", part!(History, span, Span::from_name)),
    option("--since", "history", "the number of a slot", part!(History, since, number)),
    option("", "shed", "a source or destination as `top` names it", part!(Shed, lease, |w| Lease::of_key(w).map(Some))),
    option("--for", "shed", SECONDS, part!(Shed, seconds, |w| a_time(w).map(Some))),
    option("--for", "open", SECONDS, part!(Open, seconds, |w| a_time(w).map(Some))),
    option("--source", "trim", "an IPv4 or IPv6 address", part!(Trim, source, |w| w.parse::<IpAddr>().ok().map(Some))),
];

const SECONDS: &str = "a number of seconds from 1 to 86400";

fn a_time(word: &str) -> Option<u32> {
    number(word).filter(|s| (1..=86_400).contains(s))
}

/// The verbs as they are before their options.
fn verb(name: &str) -> Option<Verb> {
    Some(match name {
        "run" => Verb::Run { dry_run: false, debug: false },
        "check" => Verb::Check { file: None },
        "size" => Verb::Size { ram_mib: None, board: None, apply: false, save: false },
        "status" => Verb::Status,
        "top" => Verb::Top { by: By::Source, rows: 10, exact: false },
        "trim" => Verb::Trim { source: None, only: None },
        "flush" => Verb::Flush,
        "shed" => Verb::Shed { lease: None, seconds: None },
        "open" => Verb::Open { scope: None, seconds: None },
        "close" => Verb::Close,
        "stateless" => Verb::Stateless { force: false, dry_run: false },
        "unload" => Verb::Unload { dry_run: false },
        "back" => Verb::Back,
        "drill" => Verb::Drill,
        "log" => Verb::Log,
        "metrics" => Verb::Metrics,
        "watch" => Verb::Watch,
        "history" => Verb::History { span: Span::default(), since: 0 },
        "replay" => Verb::Replay { file: "" },
        _ => return None,
    })
}

/// Reads the command line: the words after the program's name, `None` for one that is not UTF-8. Options may be written
/// `--name value` or `--name=value`.
pub fn parse(words: &mut dyn Iterator<Item = Option<&'static str>>) -> Result<Parsed, Fault> {
    let mut words = words.map(|w| w.ok_or(fault("", "an argument is not UTF-8")));
    let name = words.next().ok_or(fault("", "no command"))??;
    match name {
        "--version" | "-V" => return Ok(Parsed::Text(concat!("ctwarden ", env!("CARGO_PKG_VERSION"), "\n"))),
        "--help" | "-h" => return Ok(Parsed::Text(HELP)),
        _ => {}
    }
    let verb = verb(name).ok_or_else(|| fault(name, "no such command"))?;
    let mut arguments = Arguments { verb, json: false, config: None, root: "", socket: None, state_dir: None };
    let mut files = 0;
    while let Some(word) = words.next() {
        let word = word?;
        if word == "--help" {
            return Ok(Parsed::Text(HELP));
        }
        let (key, attached) = match cut(word, b'=') {
            Some((key, value)) if word.starts_with("-") => (key, Some(value)),
            _ if word.starts_with("-") => (word, None),
            _ => ("", None),
        };
        let fits = |o: &&Known| o.name == key && (o.verb.is_empty() || o.verb == name);
        let Some(found) = OPTIONS.iter().find(fits) else {
            return Err(fault(word, "no such option or argument here"));
        };
        let mut value = "";
        match attached {
            _ if key.is_empty() => {
                files += 1;
                value = word;
            }
            Some(attached) if !found.value.is_empty() => value = attached,
            Some(_) => return Err(fault(key, "takes no value")),
            None if !found.value.is_empty() => value = words.next().ok_or_else(|| fault(word, "wants a value"))??,
            None => {}
        }
        if files > 1 {
            return Err(fault(value, "one argument too many"));
        }
        // Paths have a fixed room, and a cut one would be another file. No other value is as long.
        if value.len() > VALUE_MOST {
            return Err(fault(found.name, "too long"));
        }
        if (found.set)(&mut arguments, value).is_none() {
            let argument = if key.is_empty() { found.verb } else { found.name };
            return Err(Fault { argument, value: Some(value), what: found.value });
        }
    }
    if matches!(arguments.verb, Verb::Shed { lease: None, .. }) {
        return Err(fault("shed", "whom?"));
    }
    if matches!(&arguments.verb, Verb::Replay { file } if file.is_empty()) {
        return Err(fault("replay", "which file?"));
    }
    Ok(Parsed::Run(arguments))
}
