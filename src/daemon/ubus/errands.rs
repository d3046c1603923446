//! What we ask of others on the bus: whose web session a call came by, and that hooks are run.
//!
//! ```text
//!   a call with a session's token ── lookup session ──> get {username} ──> the call with the user's name
//!   a change ── lookup hotplug.ctwarden ──> call {env}                      (procd runs /etc/hotplug.d/ctwarden/*)
//! ```
//!
//! Each time by a new lookup, since rpcd and procd's folders come and go. Nobody is waited for longer than a second.

use super::connection::Asked;
use ctwarden::call::SESSION;
use ctwarden::hook::Hook;
use ctwarden::out::Out;
use ctwarden::units::Millis;
use ctwarden::who::Who;
use ctwarden::wire::blob::{Fields, Value};
use ctwarden::wire::ubus::{Outbox, Session};

/// Calls held back at a time while their caller's name is asked for. Full: the next one goes without.
const HELD: usize = 4;
/// Changes that wait for their hooks. Full: the oldest goes.
const HOOKS: usize = 4;
/// Somebody else's answer is waited for so long.
const PATIENCE: Millis = Millis(1_000);
/// rpcd's tokens are 32 digits.
const TOKEN: usize = 32;

/// A call whose caller's name is asked for.
#[derive(Clone, Copy)]
struct Held {
    asked: Asked,
    /// Whoever has it is logged in: it is kept for the one question, and never told.
    token: Option<[u8; TOKEN]>,
    /// The request under way; `None`: it has ended.
    request: Option<u16>,
    until: Millis,
}

pub struct Errands {
    held: heapless::Vec<Held, HELD>,
    hooks: heapless::Deque<Hook, HOOKS>,
    /// There is nobody on the bus to run them.
    nobody: bool,
    /// The lookup for the first of the hooks.
    looking: Option<(u16, Millis)>,
}

impl Errands {
    pub const fn new() -> Self {
        Self { held: heapless::Vec::new(), hooks: heapless::Deque::new(), nobody: false, looking: None }
    }

    /// The connection is gone.
    pub fn clear(&mut self) {
        self.held.clear();
        self.no_hooks();
    }

    fn no_hooks(&mut self) {
        self.nobody = true;
        self.looking = None;
    }

    /// One that is not run over the bus.
    pub fn next_unserved(&mut self) -> Option<Hook> {
        let hook = if self.nobody { self.hooks.pop_front() } else { None };
        self.nobody = hook.is_some();
        hook
    }

    /// When somebody will have been waited for long enough; not after `due`.
    pub fn next_deadline(&self, due: Option<Millis>) -> Option<Millis> {
        let mut first = due;
        let waits = self.held.iter().map(|held| held.until);
        for until in waits.chain(self.looking.map(|(_, until)| until)) {
            if first.is_none_or(|first| until < first) {
                first = Some(until);
            }
        }
        first
    }

    /// Who has not answered by now will not.
    pub fn expire(&mut self, now: Millis) {
        for held in self.held.iter_mut().filter(|held| now >= held.until) {
            held.request = None;
        }
        if self.looking.is_some_and(|(_, until)| now >= until) {
            self.no_hooks();
        }
    }

    /// Holds the call back until the name of the session's user is known. Comes back if that cannot be asked for.
    pub fn ask_name(
        &mut self,
        now: Millis,
        mut asked: Asked,
        token: &[u8],
        session: &mut Session,
        outbox: &mut Outbox,
    ) -> Option<Asked> {
        asked.who = Who::web(&[]);
        let Ok(token) = token.try_into() else { return Some(asked) };
        let request = session.lookup(outbox, "session");
        let held = Held { asked, token: Some(token), request, until: now.after(PATIENCE) };
        self.held.push(held).err().map(|held| held.asked)
    }

    /// A call whose caller's name is known, or will not be.
    pub fn next_named(&mut self) -> Option<Asked> {
        let at = self.held.iter().position(|held| held.request.is_none())?;
        Some(self.held.remove(at).asked)
    }

    /// Wants hooks to be run.
    pub fn hook(&mut self, now: Millis, hook: &Hook, session: &mut Session, outbox: &mut Outbox) {
        if self.hooks.is_full() {
            self.hooks.pop_front();
        }
        let _ = self.hooks.push_back(*hook);
        if self.looking.is_none() {
            self.look(now, session, outbox);
        }
    }

    fn look(&mut self, now: Millis, session: &mut Session, outbox: &mut Outbox) {
        if self.hooks.is_empty() {
            self.looking = None;
            return;
        }
        let request = session.lookup(outbox, "hotplug.ctwarden");
        self.looking = request.map(|request| (request, now.after(PATIENCE)));
        self.nobody |= request.is_none();
    }

    /// An answer, or part of one.
    pub fn data(
        &mut self,
        now: Millis,
        sequence: u16,
        object: Option<u32>,
        data: &[u8],
        session: &mut Session,
        outbox: &mut Outbox,
    ) {
        if self.looking.is_some_and(|(request, _)| request == sequence) {
            if let Some(object) = object
                && let Some(hook) = self.hooks.pop_front()
            {
                session.invoke(outbox, object, "call", &|o| env(o, &hook));
            }
            return self.look(now, session, outbox);
        }
        let Some(held) = self.held.iter_mut().find(|held| held.request == Some(sequence)) else { return };
        if let Some(name) = username(data) {
            held.asked.who = Who::web(name);
        } else if let Some(object) = object
            && let Some(token) = held.token.take()
        {
            held.request = session.invoke(outbox, object, "get", &|o| {
                o.text(SESSION, &str::from_utf8(&token).unwrap_or_default());
                o.array("keys");
                o.text("", &"username");
                o.end();
            });
        }
    }

    /// A request of ours has ended.
    pub fn ended(&mut self, sequence: u16) {
        for held in self.held.iter_mut().filter(|held| held.request == Some(sequence)) {
            held.request = None;
        }
        // Nothing was found: there are no hooks.
        if self.looking.is_some_and(|(request, _)| request == sequence) {
            self.no_hooks();
        }
    }
}

/// `{values: {username: …}}`, which is what a session says.
fn username(data: &[u8]) -> Option<&[u8]> {
    let inner = Fields::new(data).find_map(|(name, value)| match value {
        Value::Table(inner) if name == b"values" => Some(inner),
        _ => None,
    })?;
    Fields::new(inner).find_map(|(name, value)| match value {
        Value::Text(text) if name == b"username" => Some(text),
        _ => None,
    })
}

/// The environment of the hooks.
fn env(o: &mut dyn Out, hook: &Hook) {
    o.array("env");
    hook.tell(&mut |name, value| o.text("", &format_args!("{name}={value}")));
    o.end();
}
