//! `check`, and how a config is found: the file named, else /etc/config/ctwarden, else the one built in.

use super::Place;
use super::exit::{Exit, Why};
use super::text::{complain, print};
use crate::daemon::root::{CONFIG, read_all};
use ctwarden::config::{Config, Fault};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::sync::Mutex;

/// A longer file is refused: it is not a config.
const MOST_BYTES: usize = 32 * 1024;
/// The config's text while it is read. Not on the stack: see [`super::text::print_json`].
static TEXT: Mutex<[u8; MOST_BYTES]> = Mutex::new([0; MOST_BYTES]);

/// Why there is no config.
pub enum Unusable {
    Faults(u32),
    Unreadable(Errno),
    TooLong,
}

/// Reads the config and gives every fault to `fault`.
pub fn load(place: &Place, file: Option<&str>, fault: &mut dyn FnMut(&Fault<'_>)) -> Result<Config, Unusable> {
    let mut room = TEXT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let usual = place.root.path(&[CONFIG]);
    let named = file.or(place.config.as_deref());
    let path = named.unwrap_or(&usual);
    let (text, name) = match open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(fd) => (read_all(&fd, &mut *room).map_err(Unusable::Unreadable)?, path),
        // The shipped file says just that; a test compares.
        Err(Errno::ENOENT) if named.is_none() => return Ok(Config::default()),
        Err(e) => return Err(Unusable::Unreadable(e)),
    };
    if text.len() >= MOST_BYTES {
        return Err(Unusable::TooLong);
    }
    Config::parse(text, name, fault).map_err(|faulty| Unusable::Faults(faulty.0))
}

/// Reads the config; every fault becomes a line on standard error.
pub fn load_or_complain(place: &Place, file: Option<&str>) -> Option<Config> {
    let loaded = load(place, file, &mut |fault| complain(format_args!("{fault}")));
    let named = file.or(place.config.as_deref()).unwrap_or("/etc/config/ctwarden");
    match loaded {
        Ok(config) => return Some(config),
        Err(Unusable::Faults(_)) => {}
        Err(Unusable::Unreadable(e)) => complain(format_args!("{named}: {}", Why(e))),
        Err(Unusable::TooLong) => complain(format_args!("{named}: more than 32 KiB, which is no config")),
    }
    None
}

pub fn run(place: &Place, file: Option<&str>) -> Exit {
    let named = file.or(place.config.as_deref()).unwrap_or("/etc/config/ctwarden");
    match load(place, file, &mut |fault| print(format_args!("{fault}"))) {
        Ok(_) => {
            print(format_args!("{named}: no fault"));
            return Exit::Done;
        }
        Err(Unusable::Faults(n)) => print(format_args!("{named}: {n} fault{}", if n == 1 { "" } else { "s" })),
        Err(Unusable::Unreadable(e)) => complain(format_args!("{named}: {}", Why(e))),
        Err(Unusable::TooLong) => complain(format_args!("{named}: more than 32 KiB, which is no config")),
    }
    Exit::Fault
}
