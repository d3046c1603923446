//! The iptables back ends on the real kernel: a router between a LAN and a WAN host, in namespaces of their own, with
//! iptables-legacy and iptables-nft, IPv4 and IPv6. Packets say what is open. `tests/iptables/run` builds and starts it.
//!
//! ```text
//!   LAN host          router (a process: `subject`, killed with -9)            WAN host
//!   10.77.0.2 ── br-lan 10.77.0.1, fd77:1::1    wan0 192.0.2.1, fd77:2::1 ── 192.0.2.2
//!   fd77:1::2         NAT of IPv4, a firewall as fw3 makes it                  fd77:2::2
//! ```

mod cases;
#[allow(dead_code)] // the daemon's tests use the rest
#[path = "../daemon/checks.rs"]
mod checks;
#[allow(dead_code)] // the bench uses the rest
#[path = "../bench/ctnetlink.rs"]
mod ctnetlink;
mod packets;
mod subject;
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
    // The back end starts its guardian by its own name: `guardian …`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, what, ..] = words.as_slice()
        && first == "guardian"
    {
        return if daemon::firewall::guardian(what) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match work(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("iptables-tests: {fault}");
            ExitCode::FAILURE
        }
    }
}
