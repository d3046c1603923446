//! The first process of an emulated router, and its tests: `cross/boot` builds it and starts it, instead of an init, on
//! kernels of the CPUs that routers have.
//!
//! ```text
//! daemon, no module ─> module: sized ─> filled, watched ─> grow ─> trim ─> flush by hand ─> SIGTERM: limits as found
//! a second daemon that sees the log alone ─> filled ─> saturated ─> flush by the ladder
//! `unload`: no module ─> back by hand; by the end of a daemon; by the start of one after kill -9
//! ```
//!
//! It is also the machine's `modprobe`.

mod checks;
#[allow(dead_code)] // the bench uses the rest
#[path = "../bench/json.rs"]
mod json;
mod machine;
#[allow(dead_code)] // the lab uses the rest
#[path = "../lab/packet.rs"]
mod packet;
mod router;
mod story;
mod subject;
mod table;
#[path = "../lab/tun.rs"]
mod tun;

use std::process::ExitCode;

use checks::Checks;

/// Faults are told to a person and end the tests: a line of text is what they are.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let mut words = std::env::args();
    if words.next().is_some_and(|name| name.ends_with("modprobe")) {
        return match words.next_back().map(|module| machine::load_one(&module)) {
            Some(Ok(())) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    let mut checks = Checks::default();
    if let Err(fault) = story::tell(&mut checks) {
        checks.check("the tests run to their end", false, &fault);
    }
    println!("     over {} s after the kernel's start", machine::uptime());
    checks.print_sum();
    machine::end();
    ExitCode::SUCCESS
}
