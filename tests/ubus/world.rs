//! Our side, a broker and others on the bus, driven by turns on a clock of their own: nothing sleeps.

use crate::broker::{Broker, Parts, made, take};
use crate::ubus::connection::{Asked, Path, Room, Ubus};
use ctwarden::event::Event;
use ctwarden::out::{Fill, Out};
use ctwarden::units::Millis;
use ctwarden::wire::blob::Writer;
use ctwarden::wire::ubus::{Code, attribute, message};
use nix::poll::{PollTimeout, poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// A path of its own for each socket. Not below target: a socket's path is at most 107 bytes long.
pub fn socket() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("ctwarden-ubus-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join("ubus.sock")
}

/// A bus with our object on it, driven by turns.
pub trait Bus {
    fn path(&self) -> &std::path::Path;
    fn broker(&mut self) -> &mut Broker;
    /// One turn of everybody, and so many milliseconds.
    fn step(&mut self, span: u64);
    fn steps(&mut self, n: u32) {
        (0..n).for_each(|_| self.step(10));
    }
    fn peer(&mut self) -> Peer
    where
        Self: Sized,
    {
        Peer::new(self)
    }
}

pub struct World {
    pub path: PathBuf,
    pub broker: Option<Broker>,
    pub ubus: Ubus,
    pub now: Millis,
    pub told: Vec<String>,
    /// Calls that were not answered at once.
    pub kept: Vec<Asked>,
    /// Every call that came, as text.
    pub calls: Vec<String>,
    /// Calls are kept, not answered.
    pub keep: bool,
}

impl World {
    /// Without a broker.
    pub fn empty() -> Self {
        let path = socket();
        let room: &'static Mutex<Room> = Box::leak(Box::new(Mutex::new(Room::new())));
        let room = room.lock().unwrap();
        let ubus = Ubus::new(room, [path.to_str().unwrap(), "/nonexistent/ubus.sock"].map(Path::new));
        Self {
            path,
            broker: None,
            ubus,
            now: Millis(1000),
            told: Vec::new(),
            kept: Vec::new(),
            calls: Vec::new(),
            keep: false,
        }
    }

    /// With a broker, and the object published.
    pub fn new() -> Self {
        let mut world = Self::empty();
        world.start();
        world.until(2000, |w| w.ubus.is_published());
        world
    }

    pub fn start(&mut self) {
        self.broker = Some(Broker::bind(&self.path));
    }

    pub fn wake(&mut self) {
        let (told, now) = (&mut self.told, self.now);
        let tell = &mut |event: Event| told.push(event.to_string());
        self.ubus.turn(now, tell);
        while let Some(asked) = self.ubus.next_call(now, tell) {
            self.calls.push(format!("{:?} by {}", asked.call, asked.who));
            if self.keep {
                self.kept.push(asked);
            } else {
                self.ubus.reply(asked.asker, Code::Ok, Some(&|o| o.text("did", &format_args!("{:?}", asked.call))));
            }
        }
    }

    /// Turns of 10 ms until it is so; fails if it is not within `most` ms.
    pub fn until(&mut self, most: u64, so: impl Fn(&mut Self) -> bool) -> u64 {
        let began = self.now;
        while !so(self) {
            assert!(self.now.since(began).0 <= most, "not within {most} ms; told: {:?}", self.told);
            self.step(10);
        }
        self.now.since(began).0
    }
}

impl Bus for World {
    fn path(&self) -> &std::path::Path {
        &self.path
    }

    fn broker(&mut self) -> &mut Broker {
        self.broker.as_mut().unwrap()
    }

    /// One turn of everybody, and so much time. Our side is woken as the daemon's loop wakes it: by poll or its deadline.
    fn step(&mut self, span: u64) {
        if let Some(broker) = &mut self.broker {
            broker.turn();
        }
        let ready = self.ubus.poll_fd().is_some_and(|fd| {
            let mut fds = [fd];
            poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
        });
        if ready || self.ubus.next_deadline().is_some_and(|at| self.now >= at) {
            self.wake();
        }
        if let Some(broker) = &mut self.broker {
            broker.turn();
        }
        self.now = self.now.after(Millis(span));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.broker = None;
        let _ = std::fs::remove_dir_all(self.path.parent().unwrap());
    }
}

/// Somebody else on the bus.
pub struct Peer {
    stream: UnixStream,
    input: Vec<u8>,
    sequence: u16,
    /// The object `ctwarden`.
    pub object: u32,
}

impl Peer {
    fn new(world: &mut dyn Bus) -> Self {
        let stream = UnixStream::connect(world.path()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let object = world.broker().object("ctwarden").unwrap_or_default();
        let mut peer = Self { stream, input: Vec::new(), sequence: 0, object };
        world.step(1);
        assert_eq!(peer.heard().first().map(|m| m.kind), Some(message::HELLO));
        peer
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// What has come.
    pub fn heard(&mut self) -> Vec<Parts> {
        let mut room = [0; 16384];
        while let Ok(n @ 1..) = self.stream.read(&mut room) {
            self.input.extend(&room[..n]);
        }
        std::iter::from_fn(|| take(&mut self.input)).collect()
    }

    fn next(&mut self) -> u16 {
        self.sequence += 1;
        self.sequence
    }

    /// Calls; the request's number.
    pub fn call(&mut self, object: u32, method: &str, fill: Fill<'_>) -> u16 {
        let bytes = self.call_as_bytes(object, method, fill);
        self.say(&bytes);
        self.sequence
    }

    /// The same, to be said.
    pub fn call_as_bytes(&mut self, object: u32, method: &str, fill: Fill<'_>) -> Vec<u8> {
        let sequence = self.next();
        made(message::INVOKE, sequence, object, &|w| {
            w.be32(attribute::OBJECT, object);
            w.string(attribute::METHOD, method);
            w.nest(attribute::DATA);
            fill(w);
            w.close();
        })
    }

    /// Calls us and gives the status and what was answered.
    pub fn asks(&mut self, world: &mut dyn Bus, method: &str, fill: Fill<'_>) -> (u32, String) {
        let sequence = self.call(self.object, method, fill);
        let mut data = String::new();
        for _ in 0..20_000 {
            world.step(1);
            for m in self.heard() {
                assert_eq!(m.sequence, sequence);
                match m.status {
                    Some(status) => return (status, data),
                    None => data += &format!("{:?}", crate::tree::read(&m.data.unwrap(), 9).unwrap()),
                }
            }
        }
        panic!("{method} was not answered");
    }

    /// Offers an object and gives its id.
    pub fn offers(&mut self, world: &mut dyn Bus, path: Option<&str>, methods: &[&str]) -> u32 {
        let sequence = self.next();
        self.say(&made(message::ADD_OBJECT, sequence, 0, &|w| {
            if let Some(path) = path {
                w.string(attribute::OBJECT_PATH, path);
            }
            w.nest(attribute::SIGNATURE);
            for method in methods {
                w.begin(method, false);
                w.end();
            }
            w.close();
        }));
        world.step(1);
        let heard = self.heard();
        assert_eq!(heard.last().and_then(|m| m.status), Some(0));
        heard[0].object.unwrap()
    }

    /// Subscribes an object of its own to ours.
    pub fn subscribes(&mut self, world: &mut dyn Bus) -> u32 {
        let id = self.offers(world, None, &[]);
        let (sequence, target) = (self.next(), self.object);
        self.say(&made(crate::broker::SUBSCRIBE, sequence, 0, &|w| {
            w.be32(attribute::OBJECT, id);
            w.be32(crate::broker::TARGET, target);
        }));
        world.steps(2);
        assert_eq!(self.heard().last().and_then(|m| m.status), Some(0));
        id
    }

    /// Listens for the event of this name.
    pub fn listens(&mut self, world: &mut dyn Bus, name: &str) -> u32 {
        let id = self.offers(world, None, &[]);
        self.call(1, "register", &|o| {
            o.number("object", id);
            o.text("pattern", &name);
        });
        world.step(1);
        assert_eq!(self.heard().last().and_then(|m| m.status), Some(0));
        id
    }

    /// Answers a call of its own object.
    pub fn answers(&mut self, m: &Parts, status: u32, fill: &dyn Fn(&mut Writer<'_>)) {
        let id = m.object.unwrap();
        if status == 0 {
            self.say(&made(message::DATA, m.sequence, m.peer, &|w| {
                w.be32(attribute::OBJECT, id);
                w.nest(attribute::DATA);
                fill(w);
                w.close();
            }));
        }
        self.say(&made(message::STATUS, m.sequence, m.peer, &|w| {
            w.be32(attribute::STATUS, status);
            w.be32(attribute::OBJECT, id);
        }));
    }
}
