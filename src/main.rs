//! ctwarden: arguments, wiring, exit codes.
#![deny(unsafe_code)]
#![allow(missing_docs)] // a program: its rooms are documented, not every hinge
#![cfg_attr(not(all(feature = "iptables", feature = "ubus")), allow(dead_code))] // what a smaller program does without
#![cfg_attr(not(test), no_main)]

mod allocations;
#[cfg(not(test))]
mod begin;
mod cli;
mod daemon;
mod stdio;

use cli::exit::Exit;

/// Runs the command that the words after the program's name are; `None` is one that is not UTF-8.
#[cfg_attr(test, allow(dead_code))]
fn run(words: &mut dyn Iterator<Item = Option<&'static str>>) -> Exit {
    #[cfg(feature = "iptables")]
    let words = &mut words.peekable();
    #[cfg(feature = "iptables")]
    if words.next_if_eq(&Some("guardian")).is_some()
        && let Some(what) = words.next().flatten()
    {
        return if daemon::firewall::guardian(what) { Exit::Done } else { Exit::Fault };
    }
    match cli::args::parse(words) {
        Ok(cli::args::Parsed::Run(arguments)) => cli::run(&arguments),
        Ok(cli::args::Parsed::Text(text)) => {
            cli::text::print_text(text);
            Exit::Done
        }
        Err(fault) => {
            cli::text::complain(format_args!("{fault}; see ctwarden --help"));
            Exit::Usage
        }
    }
}
