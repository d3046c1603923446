//! Back ends whose kernel has no leases: the rules are set aside, or the firewall's init script is stopped, and a guardian
//! (guardian.rs) holds the time. They need somebody alive: `kill -9` of daemon and guardian leaves the firewall open until the
//! next start. Only [`Lease::All`] can be given.

use super::Health;
use super::guardian::{ASK, CLOSE, is_aside, lock, put_back};
use super::program::{PATIENCE_MS, ended, find, is_readable, start, wait};
use crate::daemon::root::{FIREWALL_SCRIPT, OWN_PROGRAM, Root, terminated};
use ctwarden::config::Config;
use ctwarden::lease::Lease;
use ctwarden::units::Millis;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, Pid, access, pipe2, read, write};
use std::os::fd::OwnedFd;

/// Most seconds that an order can say.
const MOST: u64 = 240;

/// A set of families: what has been opened.
const V4: u8 = 1;
const V6: u8 = 2;

struct Guardian {
    pid: Pid,
    orders: OwnedFd,
    answers: OwnedFd,
}

pub struct Aside {
    /// By the init script, which knows no families.
    script: bool,
    guardian: Option<Guardian>,
    families: u8,
}

impl Guardian {
    fn order(&self, byte: u8) -> Result<(), Errno> {
        write(&self.orders, &[byte]).map(drop)
    }

    fn answer(&self) -> Result<u8, Errno> {
        let mut byte = [0];
        if !is_readable(&self.answers, PATIENCE_MS) {
            return Err(Errno::ETIMEDOUT);
        }
        match (read(&self.answers, &mut byte)?, byte) {
            (1, [answer]) => Ok(answer),
            _ => Err(Errno::ESRCH),
        }
    }

    fn is_alive(&self) -> bool {
        ended(self.pid) == Ok(None)
    }
}

fn families(leases: &[Lease]) -> Option<u8> {
    leases.iter().try_fold(0, |all, lease| match lease {
        Lease::All { ipv6 } => Some(all | if *ipv6 { V6 } else { V4 }),
        _ => None,
    })
}

impl Aside {
    pub const fn snapshot() -> Self {
        Self { script: false, guardian: None, families: 0 }
    }
    pub const fn script() -> Self {
        Self { script: true, guardian: None, families: 0 }
    }

    pub fn usable(&mut self, root: &Root) -> bool {
        if self.script {
            root.is_real() && access(&terminated(&root.path(&[FIREWALL_SCRIPT])), AccessFlags::X_OK).is_ok()
        } else {
            [c"iptables-save", c"iptables-restore"].iter().all(|name| find(root, name).is_some())
        }
    }

    /// Puts back what a former run has left open, unless its guardian lives and will.
    pub fn install(&mut self, root: &Root, _config: &Config) -> Result<(), Errno> {
        match put_back(root) {
            Err(Errno::EBUSY) => Ok(()),
            other => other,
        }
    }

    /// Closes itself what a guardian that was killed has left open. A foreign reload is not noticed: it closes.
    pub fn recheck(&mut self, root: &Root, _config: &Config) -> Health {
        match &self.guardian {
            Some(guardian) if guardian.is_alive() => return Health::Sound,
            Some(_) => {}
            // Of a run before this one.
            None if is_aside(root) && lock(root).is_ok() => {}
            None => return Health::Sound,
        }
        self.guardian = None;
        self.families = 0;
        if put_back(root).is_ok() { Health::Mended } else { Health::Missing }
    }

    pub fn grant(&mut self, root: &Root, leases: &[Lease], term: Millis) -> Result<(), Errno> {
        let wanted = families(leases).ok_or(Errno::EOPNOTSUPP)? | self.families;
        let seconds = term.0.div_ceil(1000).clamp(1, MOST) as u8;
        if let Some(guardian) = &self.guardian
            && wanted == self.families
            && guardian.is_alive()
        {
            return guardian.order(seconds);
        }
        // Another family too: what is open is closed first, so that there is one guardian.
        self.end(root)?;
        self.open_up(root, wanted, seconds)
    }

    pub fn revoke(&mut self, root: &Root, leases: &[Lease]) -> Result<(), Errno> {
        let gone = families(leases).unwrap_or(0);
        if gone & self.families == 0 {
            return Ok(());
        }
        let (rest, left) = (self.families & !gone, self.seconds());
        self.end(root)?;
        match left {
            Some(seconds) if rest != 0 && !self.script => self.open_up(root, rest, seconds),
            _ => Ok(()),
        }
    }

    /// It opens everything or nothing.
    pub const fn translates(&self) -> bool {
        false
    }

    /// As the guardian counts.
    pub fn left(&mut self, _root: &Root, lease: &Lease) -> Option<Millis> {
        let asked = families(std::slice::from_ref(lease))?;
        let seconds = if asked & self.families != 0 { self.seconds() } else { None };
        seconds.map(|s| Millis::seconds(s.into())).filter(|left| left.0 > 0)
    }

    pub fn remove(&mut self, root: &Root) -> Result<(), Errno> {
        self.end(root)
    }

    fn seconds(&self) -> Option<u8> {
        let guardian = self.guardian.as_ref()?;
        guardian.order(ASK).ok()?;
        guardian.answer().ok()
    }

    fn open_up(&mut self, root: &Root, families: u8, seconds: u8) -> Result<(), Errno> {
        let (their_orders, orders) = pipe2(OFlag::O_CLOEXEC)?;
        let (answers, their_answers) = pipe2(OFlag::O_CLOEXEC)?;
        let what = match families {
            _ if self.script => c"script",
            V4 => c"4",
            V6 => c"6",
            _ => c"46",
        };
        let ends = [Some(&their_orders), Some(&their_answers)];
        let pid = start(root, &root.path(&[OWN_PROGRAM]), &[c"ctwarden", c"guardian", what], ends, true)?;
        drop((their_orders, their_answers));
        let guardian = Guardian { pid, orders, answers };
        guardian.order(seconds)?;
        match guardian.answer() {
            Ok(0) => {
                self.guardian = Some(guardian);
                self.families = families;
                Ok(())
            }
            other => {
                // It has closed what it opened, or is gone.
                let _ = guardian.order(CLOSE);
                let _ = wait(pid);
                let _ = put_back(root);
                Err(other.map_or_else(|e| e, |errno| Errno::from_raw(errno.into())))
            }
        }
    }

    /// Closes, and sees that it is closed.
    fn end(&mut self, root: &Root) -> Result<(), Errno> {
        self.families = 0;
        if let Some(guardian) = self.guardian.take() {
            let _ = guardian.order(CLOSE);
            let _ = wait(guardian.pid);
        }
        put_back(root)
    }
}
