//! Who asked for something, as far as is known: it stands in the log and beside the incidents.

use crate::protocol::Request;
use crate::units::Millis;
use core::fmt;

/// A longer name is cut.
const NAME_MOST: usize = 32;

/// By which way somebody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Over ubus, as the user that ubusd sees.
    Bus,
    /// Over ubus from the web, as the one who is logged in there.
    Web,
    /// On the command line.
    Command,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Printable; zeros behind it.
    name: [u8; NAME_MOST],
    by: By,
}

impl Who {
    /// Somebody on the command line.
    pub const COMMAND: Who = Who { name: [0; NAME_MOST], by: By::Command };

    /// The user and the group that a caller is connected to ubus as. No user: ubusd does not know.
    pub fn user(name: &[u8], group: &[u8]) -> Self {
        let mut who = Self { name: clean(name), by: By::Bus };
        if !group.is_empty()
            && let Some((colon, rest)) = who.name.get_mut(name.len()..).and_then(|rest| rest.split_first_mut())
        {
            *colon = b':';
            write(group, rest);
        }
        who
    }
    /// The one who is logged in on the web. Empty: it could not be found out.
    pub fn web(name: &[u8]) -> Self {
        Self { name: clean(name), by: By::Web }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by {
            By::Bus => "user ",
            By::Web => "web user ",
            By::Command => return f.write_str("command line"),
        })?;
        let name = self.name.split(|byte| *byte == 0).next().unwrap_or_default();
        f.write_str(match core::str::from_utf8(name) {
            Ok("") | Err(_) => "unknown",
            Ok(name) => name,
        })
    }
}

/// Somebody else's text in ours: one printable word.
fn clean(name: &[u8]) -> [u8; NAME_MOST] {
    let mut text = [0; NAME_MOST];
    write(name, &mut text);
    text
}

fn write(name: &[u8], text: &mut [u8]) {
    for (byte, place) in name.iter().zip(text) {
        *place = if byte.is_ascii_graphic() { *byte } else { b'?' };
    }
}

/// What was asked for, that changes something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// When, in milliseconds since the daemon's start.
    pub at: Millis,
    /// What.
    pub request: Request,
    /// By whom.
    pub who: Who,
    /// The number of the incident that lasted then; 0: there was none.
    pub incident: u32,
}
