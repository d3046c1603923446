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

use super::program::{find, output, piped, run};
use crate::daemon::root::{FIREWALL_SCRIPT, Root, STATE_DIR, SystemPath, read_all};
use crate::daemon::signals::Signals;
use crate::daemon::statefile::make_folders;
use ctwarden::iptables::snapshot::{OPEN, Standing, is_whole, merged, same, standing};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, fsync, read, setsid, unlink, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Asks how many seconds are left. What is less is an order.
pub const ASK: u8 = 255;
pub const CLOSE: u8 = 0;

/// Exit status: what was opened is closed again, or somebody else has seen to it.
const CLOSED: u8 = 0;
const FAULT: u8 = 1;

/// A restore that failed is tried again: nothing else would close the firewall.
const RETRY: Duration = Duration::from_secs(2);

/// A family's programs, and the file its rules are set aside in.
struct Filter {
    letter: u8,
    save: &'static str,
    restore: &'static str,
    file: &'static str,
}

const FILTERS: [Filter; 2] = [
    Filter { letter: b'4', save: "iptables-save", restore: "iptables-restore", file: "/filter4" },
    Filter { letter: b'6', save: "ip6tables-save", restore: "ip6tables-restore", file: "/filter6" },
];
/// Is there while the init script's firewall is stopped.
const STOPPED: &str = "/stopped";
const LOCK: &str = "/guardian";

/// `guardian hold 4|6|46|script SECONDS`, or `guardian restore`.
pub fn main(words: &[&str]) -> u8 {
    let Some(root) = Root::new("") else { return FAULT };
    match words {
        ["hold", what, seconds] => hold(&root, what, seconds.parse().unwrap_or(1)),
        ["restore"] => u8::from(put_back(&root).is_err()),
        _ => FAULT,
    }
}

fn say(parts: &[&str]) {
    let mut line = heapless::String::<256>::new();
    let all = ["ctwarden: warning: "].iter().chain(parts).chain(&["\n"]);
    let _ = all.into_iter().try_for_each(|part| line.push_str(part));
    let _ = write(crate::stdio::err(), line.as_bytes());
}

fn place(root: &Root, file: &str) -> SystemPath {
    root.path(&[STATE_DIR, file])
}

/// One guardian at a time. EBUSY: another one lives, and closes what it has opened.
pub fn lock(root: &Root) -> Result<Flock<OwnedFd>, Errno> {
    make_folders(&root.path(&[STATE_DIR]))?;
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC;
    let fd = open(place(root, LOCK).as_str(), flags, Mode::from_bits_truncate(0o600))?;
    Flock::lock(fd, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| if e == Errno::EWOULDBLOCK { Errno::EBUSY } else { e })
}

/// Whether something is set aside.
pub fn is_aside(root: &Root) -> bool {
    let files = FILTERS.iter().map(|f| f.file).chain([STOPPED]);
    files.into_iter().any(|file| access(place(root, file).as_str(), AccessFlags::F_OK).is_ok())
}

/// Puts back what is set aside, unless a guardian is there that will.
pub fn put_back(root: &Root) -> Result<(), Errno> {
    if !is_aside(root) {
        return Ok(());
    }
    let _lock = lock(root)?;
    close(root)
}

fn hold(root: &Root, what: &str, seconds: u8) -> u8 {
    // Whoever ends the daemon's group or session does not mean the guardian.
    let _ = setsid();
    let begun = lock(root).and_then(|lock| {
        // Of a guardian that was killed.
        close(root)?;
        Ok((lock, Signals::new().map_err(|_| Errno::EMFILE)?))
    });
    let opened = begun.and_then(|kept| open_up(root, what).map(|()| kept));
    let _ = write(crate::stdio::out(), &[opened.as_ref().err().map_or(0, |e| *e as u8)]);
    let Ok((_lock, signals)) = opened else { return FAULT };
    wait(seconds, &signals);
    while close(root).is_err() {
        say(&["the firewall cannot be put back; trying again"]);
        std::thread::sleep(RETRY);
    }
    CLOSED
}

/// Until the time is over, whoever still lives.
fn wait(seconds: u8, signals: &Signals) {
    let mut deadline = Instant::now() + Duration::from_secs(seconds.into());
    let mut orders = Some(stdin());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || signals.stop() {
            return;
        }
        let mut fds = heapless::Vec::<PollFd<'_>, 2>::new();
        for fd in [signals.poll_fd()].into_iter().chain(orders) {
            let _ = fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        // One more: poll counts whole milliseconds.
        let patience = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut fds, patience);
        let ready = fds.iter().skip(1).any(|fd| fd.revents().is_some_and(|r| !r.is_empty()));
        signals.drain();
        let mut order = [0];
        match ready.then(|| read(stdin(), &mut order)) {
            Some(Ok(1)) => match order {
                [CLOSE] => return,
                [ASK] => {
                    let left = left.as_secs() + u64::from(left.subsec_millis() >= 500);
                    let _ = write(crate::stdio::out(), &[u8::try_from(left).unwrap_or(ASK)]);
                }
                [seconds] => deadline = Instant::now() + Duration::from_secs(seconds.into()),
            },
            // The daemon is gone. Its time is kept.
            Some(Ok(_)) => orders = None,
            _ => {}
        }
    }
}

fn stdin() -> BorrowedFd<'static> {
    crate::stdio::input()
}

/// Sets aside what stands, then opens. On an error everything is as it was.
fn open_up(root: &Root, what: &str) -> Result<(), Errno> {
    let opened = if what == "script" {
        keep(root, STOPPED, b"").and_then(|()| run(root, &root.path(&[FIREWALL_SCRIPT]), &[c"stop"], None))
    } else {
        FILTERS.iter().filter(|f| what.bytes().any(|b| b == f.letter)).try_for_each(|f| f.open_up(root))
    };
    if opened.is_err() {
        let _ = close(root);
    }
    opened
}

/// Puts back whatever is set aside. A first error does not keep the rest away.
fn close(root: &Root) -> Result<(), Errno> {
    let mut done = Ok(());
    for filter in &FILTERS {
        done = done.and(filter.close(root));
    }
    if access(place(root, STOPPED).as_str(), AccessFlags::F_OK).is_ok() {
        let started = run(root, &root.path(&[FIREWALL_SCRIPT]), &[c"start"], None);
        done = done.and(started.and_then(|()| forget(root, STOPPED)));
    }
    done
}

impl Filter {
    fn saved(&self, root: &Root) -> Result<Vec<u8>, Errno> {
        output(root, &find(root, self.save).ok_or(Errno::ENOENT)?, &[c"-t", c"filter"])
    }

    fn restore(&self, root: &Root, text: &[u8]) -> Result<(), Errno> {
        // The file is read by the program itself, so that a long one does not have to fit into a pipe.
        let program = find(root, self.restore).ok_or(Errno::ENOENT)?;
        let from = if text.len() < 1 << 15 { piped(text)? } else { self.spool(root, text)? };
        run(root, &program, &[], Some(&from))
    }

    fn spool(&self, root: &Root, text: &[u8]) -> Result<OwnedFd, Errno> {
        keep(root, "/restoring", text)?;
        let fd = open(place(root, "/restoring").as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        forget(root, "/restoring")?;
        Ok(fd)
    }

    fn open_up(&self, root: &Root) -> Result<(), Errno> {
        let text = self.saved(root)?;
        if text.is_empty() {
            // No table: nothing is closed.
            return Ok(());
        }
        if !is_whole(&text) {
            return Err(Errno::EOPNOTSUPP);
        }
        keep(root, self.file, &text)?;
        self.restore(root, OPEN.as_bytes())?;
        // Somebody was faster, or it had no effect: that is not ours to hold.
        if standing(&self.saved(root)?, &text) == Standing::Another && !same(&text, OPEN.as_bytes()) {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    fn close(&self, root: &Root) -> Result<(), Errno> {
        let Some(text) = kept(root, self.file)? else { return Ok(()) };
        let now = self.saved(root)?;
        match standing(&now, &text) {
            Standing::Another => {
                say(&[self.file.get(1..).unwrap_or_default(), ": a firewall stands there again, left alone"])
            }
            found => {
                let mut whole = Vec::new();
                merged(&now, &text, &mut |piece| whole.extend_from_slice(piece));
                self.restore(root, &whole)?;
                let is_same = same(&self.saved(root)?, &text);
                if found == Standing::Added {
                    say(&[self.file.get(1..).unwrap_or_default(), ": put back behind rules that were added meanwhile"]);
                } else if !is_same {
                    return Err(Errno::EIO);
                }
            }
        }
        forget(root, self.file)
    }
}

/// Writes a file whole, synced and renamed into place.
fn keep(root: &Root, file: &str, text: &[u8]) -> Result<(), Errno> {
    let fresh = place(root, "/guardian.new");
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
    let fd = open(fresh.as_str(), flags, Mode::from_bits_truncate(0o600))?;
    if write(&fd, text)? != text.len() {
        return Err(Errno::ENOSPC);
    }
    fsync(&fd)?;
    let here = nix::fcntl::AT_FDCWD;
    nix::fcntl::renameat(here, fresh.as_str(), here, place(root, file).as_str())
}

fn kept(root: &Root, file: &str) -> Result<Option<Vec<u8>>, Errno> {
    let fd = match open(place(root, file).as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(None),
        other => other?,
    };
    let length = nix::sys::stat::fstat(&fd)?.st_size;
    let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
    let length = read_all(&fd, &mut text)?.len();
    text.truncate(length);
    Ok(Some(text))
}

fn forget(root: &Root, file: &str) -> Result<(), Errno> {
    match unlink(place(root, file).as_str()) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(e),
    }
}
