//! The daemon on the real kernel, as an owner would meet it: started, filled, reloaded, killed. `tests/daemon/run` builds
//! and starts it.
//!
//! ```text
//! host-wide limits   1 2 3 15     4: max grown, and held so ───────────────────────> goes back
//! own namespace      8 9 12 16    5 6 7 10 11 13 14, under that max ──────────────┘
//! ```
//!
//! Only the initial namespace may write the limits, and they hold for all namespaces: so the cases that write them come
//! one after the other, and the long wait of `grow` for calm is the time in which the others work.

mod cases;
mod checks;
#[allow(dead_code)] // the bench uses the rest
#[path = "../bench/ctnetlink.rs"]
mod ctnetlink;
mod entries;
#[allow(dead_code)]
#[path = "../bench/fill.rs"]
mod fill;
#[allow(dead_code)]
#[path = "../bench/guardian.rs"]
mod guardian;
#[allow(dead_code)]
#[path = "../bench/host.rs"]
mod host;
mod inside;
#[allow(dead_code)]
#[path = "../bench/json.rs"]
mod json;
mod netns;
mod subject;
mod world;

use std::process::ExitCode;

use netns::Netns;

/// Faults are told to a person and end the case: a line of text is what they are.
type Outcome<T> = Result<T, String>;

/// The roles this program starts itself in, and the tests.
fn work(words: &[String]) -> Outcome<bool> {
    let (role, rest) = words.split_first().map_or(("", words), |(role, rest)| (role.as_str(), rest));
    match role {
        "guardian" => {
            let done = guardian::run(rest.first().ok_or("guardian: which scratch folder?")?.as_ref());
            // A killed test leaves its entries in the initial namespace, where others are at home.
            entries::delete(entries::is_ours)?;
            done.map(|()| true)
        }
        "leash" => host::leash(rest).map(|()| true),
        "inside" => inside::run(rest).map(|()| true),
        _ => world::test(words, Netns::here()?),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match work(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("daemon-tests: {fault}");
            if !matches!(words.first().map(String::as_str), Some("guardian" | "leash" | "inside")) {
                println!("0 passed, 1 failed");
            }
            ExitCode::FAILURE
        }
    }
}
