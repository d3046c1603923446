//! The bench: both sides of every claim on the same real kernel in the same run. `tests/bench/run` builds and starts it.

mod bare;
mod baselines;
mod ctnetlink;
mod fill;
mod guardian;
mod host;
mod paired;
mod rows;

use std::process::ExitCode;

/// Faults are told to a person and end the run: a line of text is what they are.
type Outcome<T> = Result<T, String>;

fn work(args: &[String]) -> Outcome<bool> {
    match args.first().map(String::as_str) {
        Some("guardian") => guardian::run().map(|()| true),
        Some("leash") => host::leash(&args[1..]).map(|()| true),
        Some("baselines") => baselines::run(&mut host::Host::enter()?).map(|()| true),
        _ => Err("usage: bench baselines".into()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match work(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("bench: {fault}");
            ExitCode::FAILURE
        }
    }
}
