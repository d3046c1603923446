//! The nftables back ends on the real kernel: a router between a LAN and a WAN host, in namespaces of their own, with fw4's
//! ruleset or with those that people write themselves, IPv4 and IPv6. Packets say what is open. `tests/firewall/run` builds
//! and starts it. Hosts, probes and the process that holds the back end are those of `tests/iptables`.

mod cases;
#[allow(dead_code)]
#[path = "../daemon/checks.rs"]
mod checks;
#[allow(dead_code)]
#[path = "../bench/ctnetlink.rs"]
mod ctnetlink;
#[path = "../iptables/packets.rs"]
mod packets;
mod raw;
mod rulesets;
#[path = "../iptables/subject.rs"]
mod subject;
#[allow(dead_code)] // what iptables alone needs
#[path = "../iptables/world.rs"]
mod world;

// The program's own code, without its command line.
#[allow(dead_code)]
#[path = "../../src/allocations.rs"]
mod allocations;
#[allow(dead_code)]
#[path = "../../src/daemon/mod.rs"]
mod daemon;
#[allow(dead_code)]
#[path = "../../src/stdio.rs"]
mod stdio;

use std::process::ExitCode;

/// Faults are told to a person and end the case: a line of text is what they are.
type Outcome<T> = Result<T, String>;

/// The roles this program starts itself in, and the tests.
fn work(words: &[String]) -> Outcome<bool> {
    match words.split_first().map_or(("", words), |(role, rest)| (role.as_str(), rest)) {
        ("inside", rest) => world::inside(rest).map(|()| true),
        ("subject", rest) => subject::serve(rest).map(|()| true),
        _ => cases::run(words),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match work(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("firewall-tests: {fault}");
            ExitCode::FAILURE
        }
    }
}
