//! What a real ubusd and real clients said: our side of it is said byte for byte.

use ctwarden::call;
use ctwarden::out::Out;
use ctwarden::wire::ubus::{Asker, Code, Heard, Inbox, Outbox, Session};

/// One line of a recording: from which connection, whether it goes to ubusd, the bytes.
pub struct Line {
    pub connection: String,
    pub to_ubusd: bool,
    pub what: String,
    pub bytes: Vec<u8>,
}

pub const SERVER: &str = include_str!("../golden/ubus/server.txt");
pub const CLIENT: &str = include_str!("../golden/ubus/client.txt");

pub fn lines(recording: &str) -> Vec<Line> {
    let mut lines = recording.lines();
    let mut all = Vec::new();
    while let Some(head) = lines.next() {
        let (connection, what) = head.split_once(' ').unwrap();
        let hex = lines.next().unwrap().trim().as_bytes();
        let digit = |d: u8| (d as char).to_digit(16).unwrap() as u8;
        all.push(Line {
            connection: connection[..connection.len() - 1].into(),
            to_ubusd: connection.ends_with('>'),
            what: what.into(),
            bytes: hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect(),
        });
    }
    all
}

/// Our side, fed in pieces.
struct Ours {
    inbox: Inbox,
    outbox: Outbox,
    session: Session,
}

#[derive(Debug, PartialEq)]
enum Event {
    Hello,
    Published,
    Refused(u32),
    Invoke(String, String),
    Data(u16, Option<u32>),
    Ended(u16, u32),
    Nothing,
}

impl Ours {
    fn new() -> Self {
        Self { inbox: Inbox::new(), outbox: Outbox::new(), session: Session::new() }
    }

    /// One message, `step` bytes at a time.
    fn hear(&mut self, bytes: &[u8], step: usize) -> (Event, Option<Asker>) {
        let mut heard = None;
        for piece in bytes.chunks(step) {
            assert!(heard.is_none(), "more than the message");
            self.inbox.room()[..piece.len()].copy_from_slice(piece);
            self.inbox.filled(piece.len());
            if let Some(message) = self.inbox.next_message().unwrap() {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                heard = Some(match self.session.hear(&message) {
                    Heard::Hello => (Event::Hello, None),
                    Heard::Published => (Event::Published, None),
                    Heard::Refused(status) => (Event::Refused(status), None),
                    Heard::Invoke(i) => {
                        (Event::Invoke(text(i.method), format!("{}:{}", text(i.user), text(i.group))), Some(i.asker))
                    }
                    Heard::Data { sequence, object, .. } => (Event::Data(sequence, object), None),
                    Heard::Ended { sequence, status } => (Event::Ended(sequence, status), None),
                    Heard::Nothing => (Event::Nothing, None),
                });
            }
        }
        heard.expect("no message")
    }

    fn said(&mut self) -> Vec<u8> {
        let said = self.outbox.pending().to_vec();
        self.outbox.sent(said.len());
        said
    }
}

fn signature(o: &mut dyn Out) {
    o.object("status");
    o.end();
    o.object("flush");
    [("scope", 3), ("family", 5), ("confirm", 7)].iter().for_each(|(name, kind)| o.number(name, *kind));
    o.end();
    o.object("open");
    o.number("seconds", 5);
    o.end();
}

fn status(o: &mut dyn Out) {
    o.text("state", &"calm");
    o.number("count", 1234);
    o.number("max", 16384);
    o.flag("dry_run", false);
    o.array("top");
    o.object("");
    o.text("src", &"10.0.0.5");
    o.number("entries", 99);
    o.end();
    o.end();
}

/// What was recorded, less the floating point number in it: ours has none.
fn without_double(mut bytes: Vec<u8>) -> Vec<u8> {
    let field = b"\x88\0\0\x14\0\x03pct";
    if let Some(at) = bytes.windows(field.len()).position(|w| w == field) {
        bytes.drain(at..at + 20);
        // The lengths of the message and of its DATA.
        (bytes[11], bytes[23]) = (bytes[11] - 20, bytes[23] - 20);
    }
    bytes
}

#[test]
fn the_server_of_the_recording_is_us() {
    for step in [1, 7, 13, 4096] {
        let mut us = Ours::new();
        let (mut answered, mut told, mut said) = (0, 0, Vec::new());
        for line in lines(SERVER) {
            if line.to_ubusd {
                said.extend(us.said());
                if said.is_empty() {
                    // What we say of ourselves.
                    told += 1;
                    assert!(match told {
                        1 => us.session.notify(&mut us.outbox, "saturated", true, &|o| {
                            o.number("count", 16384);
                            o.number("max", 16384);
                        }),
                        _ => us.session.event(&mut us.outbox, "ctwarden", &|o| o.text("state", &"saturated")),
                    });
                    said.extend(us.said());
                }
                let recorded = without_double(line.bytes);
                let rest = said.split_off(recorded.len());
                assert_eq!(said, recorded, "{}", line.what);
                said = rest;
                continue;
            }
            let (event, asker) = us.hear(&line.bytes, step);
            match event {
                Event::Hello => assert!(us.session.publish(&mut us.outbox, "ctwarden", &signature)),
                Event::Published => assert!(us.session.published()),
                Event::Invoke(method, user) => {
                    assert_eq!(user, "root:root");
                    answered += 1;
                    let asker = asker.unwrap();
                    assert!(match (answered, method.as_str()) {
                        (1, "status") => us.outbox.reply(asker, Code::Ok, Some(&status)),
                        (2, "flush") => us.outbox.reply(asker, Code::Ok, Some(&|o| o.number("deleted", 42))),
                        (3, "flush") => us.outbox.reply(asker, Code::InvalidArgument, None),
                        (4, "missing") => us.outbox.reply(asker, Code::MethodNotFound, None),
                        (5, "open") => us.outbox.reply(asker, Code::Ok, None),
                        other => panic!("{other:?}"),
                    });
                }
                Event::Nothing | Event::Ended(..) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((answered, told, said.len()), (5, 2, 0));
        assert!(!us.session.subscribed(), "the subscriber has left");
    }
}

#[test]
fn what_we_ask_of_others_is_what_clients_ask() {
    let mut seen = 0;
    for connection in ["c3", "c4", "c5", "c6", "c7"] {
        let mut us = Ours::new();
        let mut object = None;
        for line in lines(CLIENT).iter().filter(|line| line.connection == connection) {
            if !line.to_ubusd {
                match us.hear(&line.bytes, 4096).0 {
                    Event::Data(1, id) => object = id,
                    Event::Hello | Event::Data(2, _) | Event::Ended(1, 0) => {}
                    Event::Ended(2, code) => {
                        seen += 1;
                        assert_eq!(code, [("c5", 2), ("c6", 3)].iter().find(|c| c.0 == connection).map_or(0, |c| c.1));
                    }
                    other => panic!("{other:?}"),
                }
                continue;
            }
            let sent = if line.what.starts_with("LOOKUP") {
                us.session.lookup(&mut us.outbox, "ctwarden")
            } else {
                let (session, outbox, id) = (&mut us.session, &mut us.outbox, object.unwrap());
                match connection {
                    "c3" => session.invoke(outbox, id, "status", &|_| {}),
                    "c4" => session.invoke(outbox, id, "flush", &|o| {
                        o.text("scope", &"unreplied");
                        o.number("family", 4);
                        o.flag("confirm", true);
                    }),
                    "c5" => session.invoke(outbox, id, "flush", &|o| o.text("scope", &"nope")),
                    "c6" => session.invoke(outbox, id, "missing", &|_| {}),
                    _ => session.invoke(outbox, id, "open", &|o| o.number("seconds", 60)),
                }
            };
            assert!(sent.is_some());
            assert_eq!(us.said(), line.bytes, "{connection} {}", line.what);
        }
    }
    assert_eq!(seen, 5);
}

/// A second object of the same name: refused with status 2, and that is known.
#[test]
fn a_refusal_is_heard() {
    let mut us = Ours::new();
    let mut heard = Vec::new();
    for line in lines(CLIENT).iter().filter(|line| line.connection == "c10") {
        if line.to_ubusd {
            us.session.publish(&mut us.outbox, "ctwarden", &|_| {});
            assert_eq!(us.said(), line.bytes);
        } else {
            heard.push(us.hear(&line.bytes, 4096).0);
        }
    }
    assert_eq!(heard, [Event::Hello, Event::Refused(2)]);
    assert!(!us.session.published());
}

/// All that ubusd and clients said can be read, ours or not.
#[test]
fn everything_recorded_is_read() {
    for recording in [SERVER, CLIENT] {
        for line in lines(recording) {
            let mut us = Ours::new();
            us.hear(&line.bytes, 1);
        }
    }
}

/// The whole signature goes out, and ubusd would list every method.
#[test]
fn our_signature_fits() {
    let mut us = Ours::new();
    assert!(us.session.publish(&mut us.outbox, "ctwarden", &call::signature));
    let said = us.said();
    assert!(said.len() < 1024, "{}", said.len());
}
