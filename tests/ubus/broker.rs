//! A broker that behaves as ubusd does: its answers are those of the recordings (tested below), byte for byte.
//!
//! It never waits: [`Broker::turn`] does what there is to do, so that a test can drive it, our side and the clock by turns.

use ctwarden::wire::blob::{Attributes, Fields, Value, Writer, be32, text};
use ctwarden::wire::ubus::{attribute, message};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

pub const REMOVE_OBJECT: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const OBJECT_TYPE: u8 = 5;
pub const TARGET: u8 = 8;
const SUBSCRIBERS: u8 = 11;

/// A message as bytes.
pub fn made(kind: u8, sequence: u16, peer: u32, fill: &dyn Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut room = vec![0; 1 << 18];
    let mut w = Writer::new(&mut room);
    w.nest(0);
    fill(&mut w);
    w.close();
    let n = w.written().unwrap();
    let mut bytes = vec![0, kind];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(peer.to_be_bytes());
    bytes.extend(&room[..n]);
    bytes
}

/// A message taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    pub kind: u8,
    pub sequence: u16,
    pub peer: u32,
    pub status: Option<u32>,
    pub object: Option<u32>,
    pub path: Option<String>,
    pub method: Option<String>,
    pub signature: Option<Vec<u8>>,
    pub data: Option<Vec<u8>>,
    pub target: Option<u32>,
    pub active: Option<bool>,
    pub no_reply: bool,
    pub user: Option<String>,
    pub raw: Vec<u8>,
}

/// The first whole message of `input`, which is taken out of it.
pub fn take(input: &mut Vec<u8>) -> Option<Parts> {
    let head = input.first_chunk::<12>()?;
    assert_eq!(head[0], 0, "not a message: {input:?}");
    let length = 8 + u32::from_be_bytes([0, head[9], head[10], head[11]]) as usize;
    if input.len() < length {
        return None;
    }
    let raw: Vec<u8> = input.drain(..length).collect();
    let mut m = Parts {
        kind: raw[1],
        sequence: u16::from_be_bytes([raw[2], raw[3]]),
        peer: u32::from_be_bytes([raw[4], raw[5], raw[6], raw[7]]),
        ..Parts::default()
    };
    let string = |p: &[u8]| text(p).map(|t| String::from_utf8(t.to_vec()).unwrap());
    for a in Attributes::new(&raw[12..]) {
        match a.id {
            attribute::STATUS => m.status = be32(a.payload),
            attribute::OBJECT => m.object = be32(a.payload),
            attribute::OBJECT_PATH => m.path = string(a.payload),
            attribute::METHOD => m.method = string(a.payload),
            attribute::SIGNATURE => m.signature = Some(a.payload.into()),
            attribute::DATA => m.data = Some(a.payload.into()),
            TARGET => m.target = be32(a.payload),
            attribute::ACTIVE => m.active = a.payload.first().map(|b| *b != 0),
            attribute::NO_REPLY => m.no_reply = a.payload.first() == Some(&1),
            attribute::USER => m.user = string(a.payload),
            _ => {}
        }
    }
    m.raw = raw;
    Some(m)
}

/// A text argument.
pub fn text_of(data: &[u8], wanted: &str) -> Option<String> {
    Fields::new(data).find_map(|(name, value)| match value {
        Value::Text(t) if name == wanted.as_bytes() => Some(String::from_utf8(t.to_vec()).unwrap()),
        _ => None,
    })
}

struct Client {
    id: u32,
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    gone: bool,
}

struct Object {
    id: u32,
    kind: Option<u32>,
    client: u32,
    path: Option<String>,
    signature: Vec<u8>,
    subscribers: Vec<u32>,
    invoked: u16,
}

pub struct Broker {
    path: PathBuf,
    listener: UnixListener,
    clients: Vec<Client>,
    objects: Vec<Object>,
    listeners: Vec<(u32, String)>,
    /// Ids to give out next, before random ones: of clients and objects, and of types.
    pub ids: VecDeque<u32>,
    pub types: VecDeque<u32>,
    last: u32,
    events: u16,
    /// An object with a path is refused with this status, as by an ACL.
    pub refuse: Option<u32>,
    /// Does not greet.
    pub mute: bool,
    /// Neither reads nor writes.
    pub stopped: bool,
    /// As which user and group clients are connected; a real one asks the kernel.
    pub user: String,
    pub group: String,
}

impl Broker {
    pub fn bind(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            path: path.into(),
            listener,
            clients: Vec::new(),
            objects: Vec::new(),
            listeners: Vec::new(),
            ids: VecDeque::new(),
            types: VecDeque::new(),
            last: 0x1000_0000,
            events: 0,
            refuse: None,
            mute: false,
            stopped: false,
            user: "root".into(),
            group: "root".into(),
        }
    }

    fn new_id(&mut self) -> u32 {
        self.last = self.last.wrapping_mul(0x9e37_79b1).wrapping_add(1) | 1024;
        self.ids.pop_front().unwrap_or(self.last)
    }

    /// Whoever offers an object of this name, and its id.
    pub fn object(&self, path: &str) -> Option<u32> {
        self.objects.iter().find(|o| o.path.as_deref() == Some(path)).map(|o| o.id)
    }

    /// Bytes to whoever offers this object, as if they came from ubusd.
    pub fn say_to(&mut self, path: &str, bytes: &[u8]) {
        let client = self.objects.iter().find(|o| o.path.as_deref() == Some(path)).unwrap().client;
        self.send(client, bytes);
        self.flush();
    }

    /// Does what there is to do.
    pub fn turn(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            let id = self.new_id();
            self.clients.push(Client { id, stream, input: Vec::new(), output: Vec::new(), gone: false });
            if !self.mute {
                self.send(id, &made(message::HELLO, 0, id, &|_| {}));
            }
        }
        if self.stopped {
            return;
        }
        for i in 0..self.clients.len() {
            let client = &mut self.clients[i];
            let id = client.id;
            let mut room = [0; 16384];
            loop {
                match client.stream.read(&mut room) {
                    Ok(0) => {
                        client.gone = true;
                        break;
                    }
                    Ok(n) => client.input.extend(&room[..n]),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {
                        client.gone = true;
                        break;
                    }
                }
            }
            while let Some(m) = take(&mut self.clients[i].input) {
                if let Some(status) = self.handle(id, &m) {
                    let answer = made(message::STATUS, m.sequence, m.peer, &|w| w.be32(attribute::STATUS, status));
                    self.send(id, &answer);
                }
            }
        }
        self.flush();
        while let Some(i) = self.clients.iter().position(|c| c.gone) {
            let gone = self.clients.remove(i).id;
            let theirs: Vec<u32> = self.objects.iter().filter(|o| o.client == gone).map(|o| o.id).collect();
            theirs.into_iter().for_each(|id| self.remove(id));
        }
    }

    fn send(&mut self, client: u32, bytes: &[u8]) {
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == client) {
            client.output.extend(bytes);
        }
    }

    fn flush(&mut self) {
        for client in &mut self.clients {
            while !client.output.is_empty() {
                match client.stream.write(&client.output) {
                    Ok(n) => drop(client.output.drain(..n)),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {
                        client.gone = true;
                        break;
                    }
                }
            }
        }
    }

    fn remove(&mut self, id: u32) {
        self.objects.retain(|o| o.id != id);
        self.listeners.retain(|(object, _)| *object != id);
        let left: Vec<u32> = self
            .objects
            .iter_mut()
            .filter_map(|o| {
                let before = o.subscribers.len();
                o.subscribers.retain(|s| *s != id);
                (before > 0 && o.subscribers.is_empty()).then_some(o.id)
            })
            .collect();
        left.into_iter().for_each(|id| self.tell_active(id, false));
    }

    fn tell_active(&mut self, id: u32, active: bool) {
        let object = self.objects.iter_mut().find(|o| o.id == id).unwrap();
        object.invoked += 1;
        let (client, sequence) = (object.client, object.invoked);
        let told = made(message::NOTIFY, sequence, 0, &|w| {
            w.be32(attribute::OBJECT, id);
            w.attribute(attribute::ACTIVE, &[active as u8]);
        });
        self.send(client, &told);
    }

    /// The status to answer with, if any.
    fn handle(&mut self, from: u32, m: &Parts) -> Option<u32> {
        match m.kind {
            message::ADD_OBJECT => Some(self.add(from, m)),
            message::LOOKUP => Some(self.look_up(from, m)),
            message::INVOKE => self.invoke(from, m),
            message::STATUS | message::DATA => {
                self.respond(from, m);
                None
            }
            message::NOTIFY => self.notify(from, m),
            SUBSCRIBE => Some(self.subscribe(m)),
            REMOVE_OBJECT => {
                self.remove(m.object?);
                Some(0)
            }
            _ => Some(1),
        }
    }

    fn add(&mut self, from: u32, m: &Parts) -> u32 {
        if m.path.is_some() {
            if let Some(status) = self.refuse {
                return status;
            }
            if self.objects.iter().any(|o| o.path == m.path) {
                return 2;
            }
        }
        let id = self.new_id();
        let kind = m.signature.as_ref().map(|_| self.types.pop_front().unwrap_or(id ^ 1));
        let signature = m.signature.clone().unwrap_or_default();
        let path = m.path.clone();
        self.objects.push(Object { id, kind, client: from, path, signature, subscribers: Vec::new(), invoked: 0 });
        let told = made(message::DATA, m.sequence, m.peer, &|w| {
            w.be32(attribute::OBJECT, id);
            if let Some(kind) = kind {
                w.be32(OBJECT_TYPE, kind);
            }
        });
        self.send(from, &told);
        0
    }

    fn look_up(&mut self, from: u32, m: &Parts) -> u32 {
        let mut told = Vec::new();
        for o in &self.objects {
            // Without a signature it is hidden.
            let (Some(path), Some(kind)) = (&o.path, o.kind) else { continue };
            if m.path.as_ref().is_none_or(|wanted| wanted == path) {
                told.push(made(message::DATA, m.sequence, m.peer, &|w| {
                    w.string(attribute::OBJECT_PATH, path);
                    w.be32(attribute::OBJECT, o.id);
                    w.be32(OBJECT_TYPE, kind);
                    w.attribute(attribute::SIGNATURE, &o.signature);
                }));
            }
        }
        told.iter().for_each(|t| self.send(from, t));
        if told.is_empty() && m.path.is_some() { 4 } else { 0 }
    }

    fn invoke(&mut self, from: u32, m: &Parts) -> Option<u32> {
        let (Some(id), Some(method)) = (m.object, &m.method) else { return Some(2) };
        let data = m.data.clone().unwrap_or_default();
        if id == 1 {
            return Some(self.event(from, method, &data));
        }
        let Some(object) = self.objects.iter().find(|o| o.id == id) else { return Some(4) };
        let to = object.client;
        let forwarded = self.forwarded(id, m.sequence, from, method, m.no_reply, m.data.as_deref());
        self.send(to, &forwarded);
        None
    }

    fn forwarded(&self, id: u32, sequence: u16, from: u32, method: &str, silent: bool, data: Option<&[u8]>) -> Vec<u8> {
        made(message::INVOKE, sequence, from, &|w| {
            if silent {
                w.attribute(attribute::NO_REPLY, &[1]);
            }
            w.be32(attribute::OBJECT, id);
            w.string(attribute::METHOD, method);
            w.string(attribute::USER, &self.user);
            w.string(attribute::GROUP, &self.group);
            if let Some(data) = data {
                w.attribute(attribute::DATA, data);
            }
        })
    }

    fn event(&mut self, from: u32, method: &str, data: &[u8]) -> u32 {
        let find = |wanted: &[u8]| Fields::new(data).find(|(name, _)| *name == wanted).map(|(_, value)| value);
        match method {
            "register" => {
                let (Some(Value::Number(id)), Some(pattern)) = (find(b"object"), text_of(data, "pattern")) else {
                    return 2;
                };
                self.listeners.push((id as u32, pattern));
                0
            }
            "send" => {
                let (Some(name), Some(Value::Table(inner))) = (text_of(data, "id"), find(b"data")) else { return 2 };
                for (id, _) in self.listeners.clone().into_iter().filter(|(_, pattern)| *pattern == name) {
                    let Some(to) = self.objects.iter().find(|o| o.id == id).map(|o| o.client) else { continue };
                    if to == from {
                        continue;
                    }
                    self.events += 1;
                    let told = made(message::INVOKE, self.events, 0, &|w| {
                        w.be32(attribute::OBJECT, id);
                        w.string(attribute::METHOD, &name);
                        w.attribute(attribute::DATA, inner);
                    });
                    self.send(to, &told);
                }
                0
            }
            _ => 2,
        }
    }

    fn respond(&mut self, from: u32, m: &Parts) {
        let complete = m.object.is_some_and(|id| self.objects.iter().any(|o| o.id == id && o.client == from))
            && if m.kind == message::STATUS { m.status.is_some() } else { m.data.is_some() };
        if complete {
            let mut raw = m.raw.clone();
            raw[4..8].copy_from_slice(&m.object.unwrap().to_be_bytes());
            self.send(m.peer, &raw);
        }
    }

    fn subscribe(&mut self, m: &Parts) -> u32 {
        let (Some(id), Some(target)) = (m.object, m.target) else { return 2 };
        let Some(object) = self.objects.iter_mut().find(|o| o.id == target) else { return 4 };
        object.subscribers.push(id);
        if object.subscribers.len() == 1 {
            self.tell_active(target, true);
        }
        0
    }

    fn notify(&mut self, from: u32, m: &Parts) -> Option<u32> {
        let (Some(id), Some(method)) = (m.object, &m.method) else { return Some(2) };
        let Some(object) = self.objects.iter().find(|o| o.id == id) else { return Some(4) };
        if object.client != from {
            return Some(6);
        }
        let subscribers = object.subscribers.clone();
        if !m.no_reply {
            let told = made(message::STATUS, m.sequence, m.peer, &|w| {
                w.be32(attribute::OBJECT, id);
                w.nest(SUBSCRIBERS);
                subscribers.iter().for_each(|s| w.be32(0, *s));
                w.close();
                w.be32(attribute::STATUS, 0);
            });
            self.send(from, &told);
        }
        for subscriber in subscribers {
            let Some(to) = self.objects.iter().find(|o| o.id == subscriber).map(|o| o.client) else { continue };
            let told = self.forwarded(subscriber, m.sequence, from, method, m.no_reply, m.data.as_deref());
            self.send(to, &told);
        }
        None
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
