//! `replay` and `drill`: a recording through the guard, each decision with its reason, value and threshold.

use super::Place;
use super::check::load_or_complain;
use super::exit::Exit;
use super::text::{complain, print};
use ctwarden::config::Config;
use ctwarden::replay::Replay;
use std::io::{BufRead, BufReader};

const DRILL: &str = include_str!("drill.replay");

pub fn run(place: &Place, file: &str) -> Exit {
    let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
    let lines = match std::fs::File::open(file) {
        Ok(f) => BufReader::new(f).lines(),
        Err(e) => {
            complain(format_args!("{file}: {e}"));
            return Exit::Fault;
        }
    };
    feed(&config, file, lines.map(|l| l.map_err(|e| e.to_string())))
}

/// The built-in recording, under the running config: nothing is touched.
pub fn drill(place: &Place) -> Exit {
    let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
    print(format_args!("a drill: what would be done while a host fills a table of 2,048 that relief cannot empty"));
    feed(&config, "drill", DRILL.lines().map(|l| Ok(l.to_owned())))
}

fn feed(config: &Config, name: &str, lines: impl Iterator<Item = Result<String, String>>) -> Exit {
    let mut replay = Replay::new(config);
    for line in lines {
        let fed = match line {
            Ok(line) => replay.line(&line, &mut |at, event| print(format_args!("{at:>12}  {event}"))),
            Err(e) => {
                complain(format_args!("{name}: {e}"));
                return Exit::Fault;
            }
        };
        if let Err(fault) = fed {
            complain(format_args!("{name}:{}: expected {}", fault.line, fault.expected));
            return Exit::Fault;
        }
    }
    Exit::Done
}
