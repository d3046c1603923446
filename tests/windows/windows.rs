//! The emergency windows, by the daemon itself: a router between a LAN and a WAN host, in namespaces of their own, with each
//! of the firewalls that it may meet. Orders come from the command line, and packets say what is open. `tests/windows/run`
//! builds and starts it.
//!
//! ```text
//!   LAN host          router (ctwarden run; its table full)                WAN host
//!   10.77.0.2 ── br-lan 10.77.0.1, fd77:1::1    wan0 192.0.2.1, fd77:2::1 ── 192.0.2.2
//!   fd77:1::2         NAT of IPv4, the owner's firewall                       fd77:2::2
//! ```

mod cases;
#[allow(dead_code)] // the daemon's tests use the rest
#[path = "../daemon/checks.rs"]
mod checks;
#[allow(dead_code)] // the bench uses the rest
#[path = "../bench/ctnetlink.rs"]
mod ctnetlink;
#[path = "../bench/guardian.rs"]
mod guardian;
#[allow(dead_code)] // the bench uses the rest
#[path = "../bench/host.rs"]
mod host;
#[allow(dead_code)] // tests/iptables uses the rest
#[path = "../iptables/packets.rs"]
mod packets;
mod router;
#[allow(dead_code)] // tests/firewall uses the rest
#[path = "../firewall/rulesets.rs"]
mod rulesets;
mod traffic;
#[allow(dead_code)] // the back ends' subject is of tests/iptables
#[path = "../iptables/world.rs"]
mod world;

use std::path::Path;
use std::process::ExitCode;

/// Faults are told to a person and end the case: a line of text is what they are.
type Outcome<T> = Result<T, String>;

/// The roles this program starts itself in, and the tests.
fn work(words: &[String]) -> Outcome<bool> {
    match words.split_first().map_or(("", words), |(role, rest)| (role.as_str(), rest)) {
        ("inside", rest) => world::inside(rest).map(|()| true),
        ("guardian", [scratch]) => guardian::run(Path::new(scratch)).map(|()| true),
        ("--ctwarden", [program, wanted @ ..]) => cases::run(Path::new(program), wanted),
        _ => Err("usage: windows-tests --ctwarden PROGRAM [NUMBER OF A CASE | FIREWALL]...".into()),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match work(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("windows-tests: {fault}");
            ExitCode::FAILURE
        }
    }
}
