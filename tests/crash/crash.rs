//! The crash matrix. `tests/crash/run` builds and starts it.
//!
//! ```text
//! for each back end, for each step N until there is none:
//!   a router with a firewall ──> text of rulesets, sysctls
//!   daemon, killed at step N while it starts, sheds, trims, flushes, opens, closes, stops
//!     ├── what is in the kernel now ends by itself: every lease has a time, none more than its term;
//!     │   packets of strangers that got in do not any more then, of either family
//!     └── next start, then stop: rulesets and sysctls as before, or as the owner changed them meanwhile
//! the same of the table's limits, in a folder that stands for the system: grow.rs
//! ```

#[path = "../daemon/checks.rs"]
#[allow(dead_code)] // the daemon's tests use the rest
mod checks;
mod firewalls;
mod grow;
mod matrix;
#[allow(dead_code)] // tests/iptables uses the rest
#[path = "../iptables/packets.rs"]
mod packets;
#[allow(dead_code)] // the probes and the back end's subject are of tests/iptables
#[path = "../iptables/world.rs"]
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

/// Faults are told to a person and end the case: a line of text is what they are.
type Outcome<T> = Result<T, String>;

fn work(words: &[String]) -> Outcome<bool> {
    match words.split_first().map_or(("", words), |(role, rest)| (role.as_str(), rest)) {
        ("inside", rest) => world::inside(rest).map(|()| true),
        ("--ctwarden", [program, backends @ ..]) => matrix::run(&PathBuf::from(program), backends),
        _ => Err("usage: crash-tests --ctwarden PROGRAM [BACK END]...".into()),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match work(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("crash-tests: {fault}");
            ExitCode::FAILURE
        }
    }
}
