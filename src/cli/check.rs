//! `check`, and how a config is found: the file named, else /etc/config/ctwarden, else the one built in.

use super::Place;
use super::exit::{Exit, Why};
use super::text::{complain, print};
use crate::daemon::root::{CONFIG, SystemPath, read_all, terminated};
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

/// The config that counts: the one named, else the usual one.
fn path_of(place: &Place, file: Option<&str>) -> SystemPath {
    match file.or(place.config) {
        // Longer than any path that can be opened here: it will not be found.
        Some(named) => SystemPath::try_from(named).unwrap_or_default(),
        None => place.root.path(&[CONFIG]),
    }
}

/// Reads the config and gives every fault to `fault`; with it, whether it is the built-in one.
fn load(place: &Place, file: Option<&str>, fault: &mut dyn FnMut(&Fault<'_>)) -> Result<(Config, bool), Unusable> {
    let mut room = TEXT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let path = path_of(place, file);
    let named = file.is_some() || place.config.is_some();
    let (text, name) = match open(&terminated(&path), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(fd) => (read_all(&fd, &mut *room).map_err(Unusable::Unreadable)?, path.as_str()),
        // The shipped file says just that; a test compares.
        Err(Errno::ENOENT) if !named => return Ok((Config::default(), true)),
        Err(e) => return Err(Unusable::Unreadable(e)),
    };
    if text.len() >= MOST_BYTES {
        return Err(Unusable::TooLong);
    }
    let config = Config::parse(text, name, fault).map_err(|faulty| Unusable::Faults(faulty.0))?;
    Ok((config, false))
}

/// Reads the config; every fault becomes a line on standard error.
pub fn load_or_complain(place: &Place, file: Option<&str>) -> Option<Config> {
    let loaded = load(place, file, &mut |fault| complain(format_args!("{fault}")));
    // Of faults each was named.
    if matches!(loaded, Err(Unusable::Unreadable(_) | Unusable::TooLong)) {
        conclude(place, file, &loaded);
    }
    loaded.ok().map(|(config, _)| config)
}

/// What is to be said of the whole.
fn conclude(place: &Place, file: Option<&str>, loaded: &Result<(Config, bool), Unusable>) {
    let path = path_of(place, file);
    match loaded {
        Err(Unusable::Unreadable(e)) => complain(format_args!("{path}: {}", Why(*e))),
        Err(Unusable::TooLong) => complain(format_args!("{path}: more than 32 KiB, which is no config")),
        Err(Unusable::Faults(n)) => print(format_args!("{path}: {n} fault{}", if *n == 1 { "" } else { "s" })),
        Ok((_, true)) => print(format_args!("{path} is not there; the built-in config has no fault")),
        Ok((_, false)) => print(format_args!("{path}: no fault")),
    }
}

pub fn run(place: &Place, file: Option<&str>) -> Exit {
    let loaded = load(place, file, &mut |fault| print(format_args!("{fault}")));
    conclude(place, file, &loaded);
    if loaded.is_ok() { Exit::Done } else { Exit::Fault }
}
