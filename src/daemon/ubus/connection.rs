//! The connection to ubusd: never waited for, and back within 2 s of ubusd being back.
//!
//! ```text
//!   Down ──connected──> Greeting ──HELLO──> Adding ──> Published ──calls──> next_call() … reply()
//!    ^  └─backs off─┘       │                 │  ^
//!    │                      │         refused v  │ again, after a pause: the ACL may not be loaded yet
//!    │                      │               Refused
//!    └── hung up, garbled, no answer ─────────┴───────────────┘
//! ```
//!
//! One fixed buffer each way. While answers wait to be sent nothing more is read, so that there is always room for the next.

use super::errands::Errands;
use ctwarden::call::{self, Call, Fault};
use ctwarden::describe;
use ctwarden::event::{Event, UbusState};
use ctwarden::hook::Hook;
use ctwarden::out::{Fill, Out};
use ctwarden::units::Millis;
use ctwarden::who::Who;
use ctwarden::wire::ubus::{self, Code, Garbled, Heard, Inbox, Invoke, Outbox, Session};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nix::unistd::{AccessFlags, access};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::MutexGuard;

/// What the object and its event are called.
const NAME: &str = "ctwarden";
/// The first pause before connecting or publishing again; each further one is twice as long ...
const PAUSE: Millis = Millis(100);
/// ... up to this, where ubus has been seen or its folder is there ...
const PAUSE_MOST: Millis = Millis(1_500);
/// ... or this: a system without ubus.
const PAUSE_WITHOUT: Millis = Millis(60_000);
/// Publishing is tried again after so long at most: ubusd learns of a new ACL by a HUP, which nobody tells us of.
const PAUSE_REFUSED: Millis = Millis(5_000);
/// ubusd greets and answers within this, or the connection is given up.
const PATIENCE: Millis = Millis(5_000);

/// The buffers. In static memory: of RAM only what is used.
pub struct Room {
    inbox: Inbox,
    outbox: Outbox,
}

impl Room {
    pub const fn new() -> Self {
        Self { inbox: Inbox::new(), outbox: Outbox::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Down,
    Greeting,
    Adding,
    Refused,
    Published,
}

/// Who called, for the answer; one of an earlier connection is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    caller: ubus::Asker,
    connection: u16,
}

/// A call, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub asker: Asker,
    pub call: Call,
    pub who: Who,
}

/// A path with the zero that ends it: the longest of a socket that can be connected to. As plain text it would take the
/// heap to be given to the kernel.
#[derive(Clone, Copy)]
pub struct Path([u8; 108]);

impl Path {
    /// One that is too long is none, and will not be found.
    pub fn new(path: &str) -> Self {
        let mut text = [0; 108];
        if path.len() < text.len() {
            text.iter_mut().zip(path.bytes()).for_each(|(to, byte)| *to = byte);
        }
        Self(text)
    }
    fn c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
    fn folder(&self) -> Self {
        let mut folder = *self;
        while let Some(last) = folder.0.iter().rposition(|byte| *byte != 0)
            && let Some(byte) = folder.0.get_mut(last)
        {
            if core::mem::take(byte) == b'/' {
                break;
            }
        }
        folder
    }
}

pub struct Ubus {
    room: MutexGuard<'static, Room>,
    /// Its names over the years, the newest first.
    paths: [Path; 2],
    fd: Option<OwnedFd>,
    stage: Stage,
    /// When to connect, to give up or to publish again.
    due: Option<Millis>,
    /// Pauses in a row.
    pauses: u8,
    /// Connections so far.
    connection: u16,
    session: Session,
    errands: Errands,
    /// Messages may be waiting that have come already.
    more: bool,
    told: Option<UbusState>,
}

impl Ubus {
    /// Connects at the first [`turn`](Self::turn).
    pub fn new(room: MutexGuard<'static, Room>, paths: [Path; 2]) -> Self {
        Self {
            room,
            paths,
            fd: None,
            stage: Stage::Down,
            due: Some(Millis(0)),
            pauses: 0,
            connection: 0,
            session: Session::new(),
            errands: Errands::new(),
            more: false,
            told: None,
        }
    }

    /// What to poll for.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        let fd = self.fd.as_ref()?;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.room.outbox.is_roomy());
        flags.set(PollFlags::POLLOUT, !self.room.outbox.pending().is_empty());
        Some(PollFd::new(fd.as_fd(), flags))
    }

    /// When there is something to do though nothing comes.
    pub fn next_deadline(&self) -> Option<Millis> {
        if self.more {
            return Some(Millis(0));
        }
        self.errands.next_deadline(self.due)
    }

    /// Messages have come already that are to be looked at in the next turn.
    pub const fn has_more(&self) -> bool {
        self.more
    }

    /// The object is there.
    pub fn is_published(&self) -> bool {
        self.stage == Stage::Published
    }

    /// Does what is due, sends what waits and reads what has come, once each: when poll or the deadline says so. Then
    /// calls are to be taken by [`next_call`](Self::next_call).
    pub fn turn(&mut self, now: Millis, tell: &mut dyn FnMut(Event)) {
        if self.due.is_some_and(|due| now >= due) {
            match self.stage {
                Stage::Down => self.connect(now),
                Stage::Refused => self.publish(now),
                _ => self.hang_up(now, tell),
            }
        }
        self.errands.expire(now);
        self.flush(now, tell);
        let Some(fd) = &self.fd else { return };
        if !self.room.outbox.is_roomy() {
            return;
        }
        let room = self.room.inbox.room();
        if room.is_empty() {
            return;
        }
        match recv(fd.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
            Ok(n @ 1..) => self.room.inbox.filled(n),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => self.hang_up(now, tell),
        }
    }

    /// The next call among what has been read. `None`: more has to come, or answers have to go first.
    pub fn next_call(&mut self, now: Millis, tell: &mut dyn FnMut(Event)) -> Option<Asked> {
        self.more = true;
        while self.room.outbox.is_roomy() {
            if let Some(asked) = self.errands.next_named() {
                return Some(asked);
            }
            match self.next_message(now, tell) {
                Ok(Some(asked)) => return Some(asked),
                Ok(None) => {}
                Err(More) => break,
            }
        }
        self.more = false;
        self.flush(now, tell);
        None
    }

    /// Takes in one message, and what follows from it; gives a call that can be passed on at once.
    fn next_message(&mut self, now: Millis, tell: &mut dyn FnMut(Event)) -> Result<Option<Asked>, More> {
        let Room { inbox, outbox } = &mut *self.room;
        let message = match inbox.next_message() {
            Ok(Some(message)) => message,
            Ok(None) => return Err(More),
            Err(Garbled) => {
                self.hang_up(now, tell);
                return Err(More);
            }
        };
        match self.session.hear(&message) {
            Heard::Hello if self.stage == Stage::Greeting => self.publish(now),
            Heard::Published => {
                (self.stage, self.due, self.pauses) = (Stage::Published, None, 0);
                self.tell_once(UbusState::Published, tell);
            }
            Heard::Refused(status) => {
                self.stage = Stage::Refused;
                self.pause(now, PAUSE_REFUSED);
                self.tell_once(UbusState::Refused { status }, tell);
            }
            Heard::Invoke(invoke) => {
                let asker = Asker { caller: invoke.asker, connection: self.connection };
                let who = Who::user(invoke.user, invoke.group);
                match call_of(&invoke, &self.session) {
                    Err(fault) => {
                        outbox.reply(invoke.asker, fault.code(), Some(&|o| o.text("error", &fault)));
                    }
                    Ok((call, token)) => {
                        let asked = Asked { asker, call, who };
                        return Ok(match token.filter(|_| asked.call.changes()) {
                            Some(token) => self.errands.ask_name(now, asked, token, &mut self.session, outbox),
                            None => Some(asked),
                        });
                    }
                }
            }
            Heard::Data { sequence, object, data } => {
                self.errands.data(now, sequence, object, data, &mut self.session, outbox);
            }
            Heard::Ended { sequence, .. } => self.errands.ended(sequence),
            Heard::Hello | Heard::Nothing => {}
        }
        Ok(None)
    }

    /// Answers a call: what `fill` tells, and how it ended.
    pub fn reply(&mut self, asker: Asker, code: Code, fill: Option<Fill<'_>>) {
        if asker.connection == self.connection && self.fd.is_some() {
            self.room.outbox.reply(asker.caller, code, fill);
            self.send();
        }
    }

    /// Tells subscribers and listeners of a change, and has procd call the owner's scripts. `false`: there is no bus, they are
    /// the caller's to call.
    pub fn announce(&mut self, now: Millis, hook: &Hook) -> bool {
        if !self.is_published() {
            return false;
        }
        let outbox = &mut self.room.outbox;
        let fill = |o: &mut dyn Out| describe::hook(o, hook);
        self.session.notify(outbox, hook.action, false, &fill);
        self.session.event(outbox, NAME, &fill);
        self.errands.hook(now, hook, &mut self.session, outbox);
        self.send();
        true
    }

    /// A change for which there is nobody on the bus to call scripts: they are the caller's to call.
    pub fn next_unserved(&mut self) -> Option<Hook> {
        self.errands.next_unserved()
    }

    fn connect(&mut self, now: Millis) {
        match self.paths.iter().find_map(|path| connected(path).ok()) {
            Some(fd) => {
                self.fd = Some(fd);
                self.connection = self.connection.wrapping_add(1);
                self.session = Session::new();
                self.stage = Stage::Greeting;
                self.due = Some(now.after(PATIENCE));
            }
            None => {
                let [path, _] = &self.paths;
                let known = self.connection > 0 || access(path.folder().c(), AccessFlags::F_OK).is_ok();
                self.pause(now, if known { PAUSE_MOST } else { PAUSE_WITHOUT });
            }
        }
    }

    fn publish(&mut self, now: Millis) {
        self.stage = Stage::Adding;
        self.due = Some(now.after(PATIENCE));
        self.session.publish(&mut self.room.outbox, NAME, &call::signature);
    }

    fn pause(&mut self, now: Millis, most: Millis) {
        let pause = Millis(PAUSE.0 << self.pauses.min(16)).min(most);
        self.pauses = self.pauses.saturating_add(1);
        self.due = Some(now.after(pause));
    }

    fn hang_up(&mut self, now: Millis, tell: &mut dyn FnMut(Event)) {
        self.fd = None;
        self.stage = Stage::Down;
        self.room.inbox.clear();
        self.room.outbox.clear();
        self.errands.clear();
        self.pause(now, PAUSE_MOST);
        if self.told.is_some() {
            self.tell_once(UbusState::Gone, tell);
        }
    }

    fn flush(&mut self, now: Millis, tell: &mut dyn FnMut(Event)) {
        if !self.send() {
            self.hang_up(now, tell);
        }
    }

    /// Sends what can be sent now. `false`: ubusd is gone; the next turn will see to it.
    fn send(&mut self) -> bool {
        let Some(fd) = &self.fd else { return true };
        let outbox = &mut self.room.outbox;
        while !outbox.pending().is_empty() {
            match send(fd.as_raw_fd(), outbox.pending(), MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Ok(n) => outbox.sent(n),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn tell_once(&mut self, state: UbusState, tell: &mut dyn FnMut(Event)) {
        if self.told.replace(state) != Some(state) {
            tell(Event::Ubus(state));
        }
    }
}

/// More has to be read first.
struct More;

/// What is called for, with the web session that it came by.
fn call_of<'a>(invoke: &Invoke<'a>, session: &Session) -> Result<(Call, Option<&'a [u8]>), Fault> {
    if !session.is_ours(invoke) {
        return Err(Fault::NoMethod);
    }
    if invoke.cut {
        return Err(Fault::Damaged);
    }
    call::parse(invoke.method, invoke.arguments)
}

/// Not std's way, which would wait for a ubusd that does not accept.
fn connected(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path.c())?)?;
    Ok(fd)
}
