//! A child that does nothing but wait and put the firewall back, for boxes whose kernel cannot end an emergency by itself.
//!
//! ```text
//! daemon ── a byte: seconds from now, 0 close now, 255 how much is left? ──> guardian ── programs ──> firewall
//!        <─ a byte: 0 opened, or errno; then what is left, on request ─────
//! ```
//!
//! It sets the rules aside, opens, holds the deadline by itself, and closes at the deadline, when told to, or at SIGTERM. That
//! the daemon dies is no reason to close before: a new one may come. Should both die, what was set aside lies in the state
//! folder, and `ctwarden guardian restore`, which the init script calls, puts it back.

use super::program::{Text, find, output, pause, run};
use super::room::{Room, Rooms, in_rooms};
use crate::daemon::clock::Moment;
use crate::daemon::root::{FIREWALL_SCRIPT, Root, STATE_DIR, SystemPath, terminated};
use crate::daemon::signals::Signals;
use crate::daemon::statefile::make_folders;
use crate::stdio;
use ctwarden::iptables::snapshot::{OPEN, Standing, is_open, is_whole, merged, same, standing};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, read, setsid, unlink, write};
use signal_hook::consts::SIGCHLD;
use std::ffi::CStr;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;

/// Asks how many seconds are left. What is less is an order.
pub const ASK: u8 = 255;
pub const CLOSE: u8 = 0;

/// A restore that failed is tried again: nothing else would close the firewall.
const RETRY_MS: u16 = 2_000;

/// A family's programs, and the file its rules are set aside in.
struct Filter {
    letter: u8,
    save: &'static CStr,
    restore: &'static CStr,
    file: &'static str,
}

const FILTERS: [Filter; 2] = [
    Filter { letter: b'4', save: c"iptables-save", restore: c"iptables-restore", file: "/filter4" },
    Filter { letter: b'6', save: c"ip6tables-save", restore: c"ip6tables-restore", file: "/filter6" },
];
/// Is there while the init script's firewall is stopped.
const STOPPED: &str = "/stopped";
const LOCK: &str = "/guardian";
/// A text on its way to a program that is too long for a pipe.
const RESTORING: &str = "/restoring";

/// `guardian 4|6|46|script`, or `guardian restore`. Whether all went well.
pub fn main(what: &[u8]) -> bool {
    let Some(root) = Root::new("") else { return false };
    if what == b"restore" { put_back(&root).is_ok() } else { hold(&root, what) }
}

fn say(file: &str, what: &str) {
    for part in ["ctwarden: warning: ", file, what, "\n"] {
        let _ = write(stdio::err(), part.as_bytes());
    }
}

fn place(root: &Root, file: &str) -> SystemPath {
    root.path(&[STATE_DIR, file])
}

fn is_there(root: &Root, file: &str) -> bool {
    access(&terminated(&place(root, file)), AccessFlags::F_OK).is_ok()
}

/// One guardian at a time. EBUSY: another one lives, and closes what it has opened.
pub fn lock(root: &Root) -> Result<Flock<OwnedFd>, Errno> {
    make_folders(&root.path(&[STATE_DIR]))?;
    let fd = create(root, LOCK)?;
    Flock::lock(fd, FlockArg::LockExclusiveNonblock).map_err(|_| Errno::EBUSY)
}

/// Whether something is set aside.
pub fn is_aside(root: &Root) -> bool {
    FILTERS.iter().any(|filter| is_there(root, filter.file)) || is_there(root, STOPPED)
}

/// Puts back what is set aside, unless a guardian is there that will.
pub fn put_back(root: &Root) -> Result<(), Errno> {
    if !is_aside(root) {
        return Ok(());
    }
    let _lock = lock(root)?;
    close(root)
}

fn hold(root: &Root, what: &[u8]) -> bool {
    // Whoever ends the daemon's group or session does not mean the guardian.
    let _ = setsid();
    let opened = begin(root, what);
    let errno = opened.as_ref().err().map_or(0, |e| *e as u8);
    let _ = write(stdio::out(), &[errno]);
    let Ok((_lock, signals)) = opened else { return false };
    wait(&signals);
    while close(root).is_err() {
        say("firewall", ": cannot be put back; trying again");
        pause(RETRY_MS);
    }
    true
}

/// Sets aside what stands, then opens. On an error everything is as it was.
fn begin(root: &Root, what: &[u8]) -> Result<(Flock<OwnedFd>, Signals), Errno> {
    let lock = lock(root)?;
    let signals = Signals::new(SIGCHLD).map_err(|_| Errno::EMFILE)?;
    // Of a guardian that was killed.
    close(root)?;
    let opened = if what == b"script" {
        create(root, STOPPED).and_then(|_| run(root, &root.path(&[FIREWALL_SCRIPT]), &[c"firewall", c"stop"], None))
    } else {
        FILTERS
            .iter()
            .filter(|filter| what.contains(&filter.letter))
            .try_for_each(|filter| in_rooms(|rooms| filter.open_up(root, rooms)))
    };
    if opened.is_err() {
        let _ = close(root);
    }
    opened.map(|()| (lock, signals))
}

/// Until the time is over, whoever still lives. The first order stands in the pipe already.
fn wait(signals: &Signals) {
    let mut deadline = Moment::now().after_us(1_000_000);
    let mut listening = true;
    while !signals.stop() {
        let left_us = deadline.us_ahead();
        if left_us == 0 {
            return;
        }
        let mut fds =
            [PollFd::new(signals.poll_fd(), PollFlags::POLLIN), PollFd::new(stdio::input(), PollFlags::POLLIN)];
        // One more: poll counts whole milliseconds.
        let ms = (left_us / 1000) as u32;
        let patience = PollTimeout::try_from(ms as i32 + 1).unwrap_or(PollTimeout::ZERO);
        let _ = poll(fds.get_mut(..1 + usize::from(listening)).unwrap_or_default(), patience);
        let [_, orders] = fds;
        let ready = listening && orders.revents().is_some_and(|r| !r.is_empty());
        signals.drain();
        let mut order = [0];
        if !ready {
            continue;
        }
        match (read(stdio::input(), &mut order), order) {
            (Ok(1), [CLOSE]) => return,
            (Ok(1), [ASK]) => {
                let _ = write(stdio::out(), &[((ms + 500) / 1000) as u8]);
            }
            (Ok(1), [seconds]) => deadline = Moment::now().after_us(u64::from(seconds) * 1_000_000),
            // The daemon is gone. Its time is kept.
            _ => listening = false,
        }
    }
}

/// Puts back whatever is set aside. A first error does not keep the rest away.
fn close(root: &Root) -> Result<(), Errno> {
    let mut done = Ok(());
    for filter in &FILTERS {
        done = done.and(in_rooms(|rooms| filter.close(root, rooms)));
    }
    if is_there(root, STOPPED) {
        let started = run(root, &root.path(&[FIREWALL_SCRIPT]), &[c"firewall", c"start"], None);
        done = done.and(started.and_then(|()| forget(root, STOPPED)));
    }
    done
}

impl Filter {
    fn saved(&self, root: &Root, room: &mut Room) -> Result<(), Errno> {
        output(root, &find(root, self.save).ok_or(Errno::ENOENT)?, &[self.save, c"-t", c"filter"], room)
    }

    /// `rest`: what the text does not name stays.
    fn restore(&self, root: &Root, from: &OwnedFd, rest: bool) -> Result<(), Errno> {
        let words = [self.restore, c"--noflush"];
        let program = find(root, self.restore).ok_or(Errno::ENOENT)?;
        run(root, &program, words.get(..1 + usize::from(rest)).unwrap_or(&words), Some(from))
    }

    fn open_up(&self, root: &Root, Rooms { found, now, .. }: &mut Rooms) -> Result<(), Errno> {
        self.saved(root, found)?;
        let text = found.text()?;
        if is_open(text) {
            return Ok(());
        }
        if !is_whole(text) {
            return Err(Errno::EOPNOTSUPP);
        }
        keep(root, self.file, text)?;
        let mut open = Text::new()?;
        let _ = open.write_str(OPEN); // which is short
        self.restore(root, &open.end(), true)?;
        // Somebody was faster, or it had no effect: that is not ours to hold.
        self.saved(root, now)?;
        let opened = standing(now.text()?, text) != Standing::Another;
        opened.then_some(()).ok_or(Errno::EAGAIN)
    }

    fn close(&self, root: &Root, Rooms { found, now, script }: &mut Rooms) -> Result<(), Errno> {
        match open_kept(root, self.file) {
            Err(Errno::ENOENT) => return Ok(()),
            fd => found.fill(&fd?)?,
        }
        let text = found.text()?;
        let name = self.file.get(1..).unwrap_or_default();
        self.saved(root, now)?;
        match standing(now.text()?, text) {
            // Killed before all of it was written: before it opened anything.
            _ if !is_whole(text) => {}
            Standing::Another => say(name, ": a firewall stands there again, left alone"),
            Standing::Added => {
                script.clear();
                merged(now.text()?, text, &mut |piece| script.push(piece));
                keep(root, RESTORING, script.text()?)?;
                self.restore(root, &open_kept(root, RESTORING)?, false)?;
                forget(root, RESTORING)?;
                say(name, ": put back behind rules that were added meanwhile");
            }
            Standing::Open => {
                self.restore(root, &open_kept(root, self.file)?, false)?;
                self.saved(root, now)?;
                if !same(now.text()?, text) {
                    return Err(Errno::EIO);
                }
            }
        }
        forget(root, self.file)
    }
}

fn create(root: &Root, file: &str) -> Result<OwnedFd, Errno> {
    // The folder may be the daemon's user's: root follows no link there.
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(&terminated(&place(root, file)), flags, Mode::from_bits_truncate(0o600))
}

fn keep(root: &Root, file: &str, text: &[u8]) -> Result<(), Errno> {
    if write(&create(root, file)?, text)? == text.len() { Ok(()) } else { Err(Errno::ENOSPC) }
}

fn open_kept(root: &Root, file: &str) -> Result<OwnedFd, Errno> {
    open(&terminated(&place(root, file)), OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

fn forget(root: &Root, file: &str) -> Result<(), Errno> {
    unlink(&terminated(&place(root, file)))
}
