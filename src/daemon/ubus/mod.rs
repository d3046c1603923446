//! ubus: the object `ctwarden`.
//!
//! ```text
//! connection.rs  the socket, the object's life on the bus, calls in and answers out
//! errands.rs     what we ask of others: a web user's name, hooks
//! serve.rs       what a call leads to
//! ```
//!
//! The bytes are in the library (`wire/ubus.rs`, `wire/blob.rs`), and so are the methods (`call.rs`) and what answers
//! consist of (`describe.rs`).

mod connection;
mod errands;
mod serve;

use super::control::Render;
use super::root::{Root, UBUS};
pub use connection::{Asked, Asker, Ubus};
use connection::{Path, Room};
use ctwarden::describe;
use ctwarden::protocol::{Answer, Ask, Request};
use ctwarden::text::without_end;
use ctwarden::wire::ubus::Code;
use nix::errno::Errno;
use std::sync::Mutex;

static ROOM: Mutex<Room> = Mutex::new(Room::new());

/// The one and only: a second one would wait for ever, since there is one thread.
pub fn open(root: &Root) -> Ubus {
    let paths = UBUS.map(|name| Path::new(&root.path(&[name])));
    Ubus::new(ROOM.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), paths)
}

impl Ubus {
    /// Answers a call. What the command line would complain of is told in the same words, as `error`.
    pub fn answer(&mut self, asker: Asker, answer: &Answer, render: Render) {
        if describe::is_told(answer) {
            return self.reply(asker, Code::Ok, Some(&|o| describe::answer(o, answer)));
        }
        let ask = Ask { request: Request::Status, json: false, colour: false };
        render(answer, &ask, &mut |reply| {
            // Without our name before it and the line's end.
            let text = without_end(reply.text, b"\n").get("ctwarden: ".len()..).unwrap_or_default();
            self.reply(asker, code(answer), Some(&|o| o.text("error", &text)));
        });
    }
}

/// How a call ended that was not carried out.
fn code(answer: &Answer) -> Code {
    match answer {
        Answer::Refused(_) | Answer::NotConfigured | Answer::Spared(_) => Code::PermissionDenied,
        Answer::NoRules | Answer::Translated => Code::NotSupported,
        Answer::Busy => Code::Timeout,
        Answer::Failed { errno } => match Errno::from_raw(*errno) {
            Errno::EPERM | Errno::EACCES | Errno::EROFS => Code::PermissionDenied,
            _ => Code::UnknownError,
        },
        _ => Code::UnknownError,
    }
}
