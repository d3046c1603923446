//! ctwarden: arguments, wiring, exit codes.
#![deny(unsafe_code)]
#![allow(missing_docs)] // a program: its rooms are documented, not every hinge

mod allocations;
mod cli;
mod daemon;
mod stdio;

use cli::exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "iptables")]
    if let Some(well) = daemon::firewall::guardian() {
        return if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let exit = match cli::args::parse() {
        Ok(cli::args::Parsed::Run(arguments)) => cli::run(&arguments),
        Ok(cli::args::Parsed::Text(text)) => {
            cli::text::print_text(text);
            Exit::Done
        }
        Err(fault) => {
            cli::text::complain(format_args!("{fault}; see ctwarden --help"));
            Exit::Usage
        }
    };
    ExitCode::from(exit as u8)
}
