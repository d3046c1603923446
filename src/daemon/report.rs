//! Events become log lines: one write to standard error each, which procd hands to the system log.

use ctwarden::event::{Event, Level};
use log::{LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;
use std::fmt::Write as _;

/// A longer line is cut.
const LINE: usize = 1024;

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let mut line = heapless::String::<LINE>::new();
        let _ = write!(line.as_mut_view(), "ctwarden: {}: {}", word(record.level()), record.args());
        if line.len() == LINE {
            line.pop();
        }
        let _ = line.push('\n');
        let _ = nix::unistd::write(crate::stdio::err(), line.as_bytes());
    }
    fn flush(&self) {}
}

fn word(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warning",
        log::Level::Info => "info",
        _ => "debug",
    }
}

/// Log lines from now on go to standard error. `debug`: each trim is told too.
pub fn start(debug: bool) {
    let _ = log::set_logger(&Stderr);
    log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
}

/// Tells an event, to the owner's scripts as well.
pub fn tell(event: Event) {
    super::past::count(&event);
    super::hooks::hear(&event);
    let level = match event.level() {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
    };
    log::log!(level, "{event}");
}

/// Why there is no textfile.
pub fn tell_textfile(e: Errno) {
    match e {
        Errno::EROFS => log::warn!("textfile: /var/prometheus is not on tmpfs; nothing is written"),
        e => log::warn!("textfile: /var/prometheus/ctwarden.prom cannot be written (errno {})", e as i32),
    }
}

/// Ports that the lifeline is not for, and the owner's rule that is why. (An event has no room for a text.)
pub fn tell_kept_out(ports: u8, because: &str) {
    log::warn!("lifeline: {ports} of the ports are kept out of it, the first by: {because}");
}
