//! The connection tracking modules, unloaded where nothing holds them; and loaded again.

use super::crash;
use super::firewall::program::{find, run};
use super::firewall::room::{Room, Rooms, in_rooms};
use super::root::{COUNT, MODULES, Root, SystemPath, TRACKING, terminated};
use super::taken::{NotTaken, Record, Say, text};
use ctwarden::modules::{Kept, is_loaded, plan};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::unistd::{AccessFlags, access};
use std::ffi::CStr;

/// The modules that were unloaded, in that order, a line each.
const NAMES: &str = "unloaded";
/// OpenWrt's `modprobe` is its kmodloader. Either knows where modules are, and of what is loaded already.
const LOADERS: [&CStr; 2] = [c"modprobe", c"insmod"];

/// Reads what is loaded; nothing in a kernel without modules.
fn loaded(root: &Root, room: &mut Room) -> Result<(), Errno> {
    room.clear();
    match root.open(MODULES, OFlag::O_RDONLY) {
        Ok(fd) => room.fill(&fd),
        Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(e),
    }
}

/// A module's name for the kernel. No path and no option: the list may be the daemon's user's, and root reads it.
fn with_name<T>(name: &[u8], work: impl FnOnce(&CStr) -> Result<T, Errno>) -> Result<T, Errno> {
    if !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Err(Errno::EINVAL);
    }
    let mut room = SystemPath::new();
    let _ = room.push_str(text(name));
    room.push('\0').map_err(|_| Errno::ENAMETOOLONG)?;
    work(CStr::from_bytes_with_nul(room.as_bytes()).map_err(|_| Errno::EINVAL)?)
}

/// Unloads what [`plan`] says. `dry`, or a folder that stands for the system: says what would be.
pub fn unload(root: &Root, dir: &str, dry: bool, say: Say<'_>) -> Result<(), NotTaken> {
    in_rooms(|rooms| {
        loaded(root, &mut rooms.found)?;
        let names = match plan(rooms.found.text()?) {
            Ok(names) => names,
            Err(why) => return kept(root, &why, say),
        };
        if dry || !root.is_real() {
            names.iter().for_each(|name| say(format_args!("would unload {}", text(name))));
            return Ok(());
        }
        let mut record = Record::open(root, dir)?;
        rooms.script.clear();
        if record.journal.unloaded {
            // Somebody has loaded some of them again: the others are still to come back.
            record.read(NAMES, &mut rooms.script)?;
        }
        for name in &names {
            rooms.script.push(name);
            rooms.script.push(b"\n");
        }
        record.keep(NAMES, rooms.script.text()?)?;
        record.journal.unloaded = true;
        record.save()?;
        let mut done = Ok(());
        for name in &names {
            done = with_name(name, |name| delete_module(name, DeleteModuleFlags::O_NONBLOCK));
            crash::step();
            if let Err(e) = done {
                say(format_args!("not unloaded: {} (errno {}); loading the others again", text(name), e as i32));
                break;
            }
            say(format_args!("unloaded {}", text(name)));
        }
        drop(names);
        let Err(e) = done else { return Ok(()) };
        back(root, &mut record, rooms, say)?;
        // Somebody has begun to use it since it was looked at.
        Err(if e == Errno::EWOULDBLOCK { NotTaken::Refused } else { e.into() })
    })
}

/// Says why nothing is unloaded.
fn kept(root: &Root, why: &Kept<'_>, say: Say<'_>) -> Result<(), NotTaken> {
    match why {
        Kept::NoModule => {
            let there = root.open(COUNT, OFlag::O_RDONLY).is_ok()
                || access(&terminated(&root.path(&[TRACKING])), AccessFlags::F_OK).is_ok();
            if !there {
                say(format_args!("connection tracking is not loaded"));
                return Ok(());
            }
            say(format_args!("not unloaded: connection tracking is built in (no module of it in /proc/modules)"));
        }
        Kept::Held(held) => {
            for (name, times) in held {
                match times {
                    0 => say(format_args!("not unloaded: {} cannot be unloaded", text(name))),
                    n => say(format_args!("not unloaded: {} is in use, count {n} (rules, sockets)", text(name))),
                }
            }
        }
        Kept::TooMany => say(format_args!("not unloaded: too many modules")),
    }
    Err(NotTaken::Refused)
}

/// Loads again what was unloaded, the last first; what somebody has loaded meanwhile stays as it is.
pub fn back(root: &Root, record: &mut Record, rooms: &mut Rooms, say: Say<'_>) -> Result<(), NotTaken> {
    record.read(NAMES, &mut rooms.found)?;
    let mut done = Ok(());
    for name in rooms.found.text()?.split(|b| *b == b'\n').rev().filter(|name| !name.is_empty()) {
        loaded(root, &mut rooms.now)?;
        if is_loaded(rooms.now.text()?, name) {
            continue;
        }
        let load = |loader: &&CStr| {
            let path = find(root, loader).ok_or(Errno::ENOENT);
            path.and_then(|path| with_name(name, |name| run(root, &path, &[loader, name], None))).is_ok()
        };
        if LOADERS.iter().any(load) {
            say(format_args!("loaded {}", text(name)));
        } else {
            say(format_args!("{} cannot be loaded again", text(name)));
            done = Err(Errno::ENOENT.into());
        }
        crash::step();
    }
    if done.is_ok() {
        record.journal.unloaded = false;
        record.save()?;
        record.drop_file(NAMES);
    }
    done
}
