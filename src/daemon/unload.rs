//! The connection tracking modules, unloaded where nothing holds them; and loaded again.

use super::firewall::program::{find, run};
use super::root::{COUNT, MODULES, Root, TRACKING, read_whole};
use super::taken::{NotTaken, Record, Say, text};
use ctwarden::modules::{Kept, is_loaded, plan};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::unistd::{AccessFlags, access};
use std::ffi::CString;

/// The modules that were unloaded, in that order, a line each.
const NAMES: &str = "unloaded";
/// OpenWrt's `modprobe` is its kmodloader. Either knows where modules are, and of what is loaded already.
const LOADERS: [&str; 2] = ["modprobe", "insmod"];

fn loaded(root: &Root) -> Result<Vec<u8>, Errno> {
    match root.open(MODULES, OFlag::O_RDONLY) {
        Ok(fd) => read_whole(&fd),
        // A kernel without modules.
        Err(Errno::ENOENT) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Unloads what [`plan`] says. `dry`, or a folder that stands for the system: says what would be.
pub fn unload(root: &Root, dir: &str, dry: bool, say: Say<'_>) -> Result<(), NotTaken> {
    let modules = loaded(root)?;
    let names = match plan(&modules) {
        Ok(names) => names,
        Err(Kept::NoModule) => {
            let there = root.open(COUNT, OFlag::O_RDONLY).is_ok()
                || access(root.path(&[TRACKING]).as_str(), AccessFlags::F_OK).is_ok();
            if there {
                say(format_args!("not unloaded: connection tracking is built in (no module of it in /proc/modules)"));
                return Err(NotTaken::Refused);
            }
            say(format_args!("connection tracking is not loaded"));
            return Ok(());
        }
        Err(Kept::Held(held)) => {
            for (name, times) in held {
                match times {
                    0 => say(format_args!("not unloaded: {} cannot be unloaded", text(name))),
                    n => say(format_args!("not unloaded: {} is in use, count {n} (rules, sockets)", text(name))),
                }
            }
            return Err(NotTaken::Refused);
        }
        Err(Kept::TooMany) => {
            say(format_args!("not unloaded: too many modules"));
            return Err(NotTaken::Refused);
        }
    };
    if dry || !root.is_real() {
        names.iter().for_each(|name| say(format_args!("would unload {}", text(name))));
        return Ok(());
    }
    let mut record = Record::open(root, dir)?;
    let mut lines: Vec<&[u8]> = Vec::new();
    names.iter().for_each(|name| lines.extend([name, &b"\n"[..]]));
    record.keep(NAMES, &lines)?;
    record.journal.unloaded = true;
    record.save()?;
    for name in &names {
        let c_name = CString::new(*name).map_err(|_| Errno::EINVAL)?;
        let done = delete_module(&c_name, DeleteModuleFlags::O_NONBLOCK);
        crate::crash::step();
        if let Err(e) = done {
            say(format_args!("not unloaded: {} (errno {}); loading the others again", text(name), e as i32));
            back(root, &mut record, say)?;
            // Somebody has begun to use it since it was looked at.
            return Err(if e == Errno::EWOULDBLOCK { NotTaken::Refused } else { e.into() });
        }
        say(format_args!("unloaded {}", text(name)));
    }
    Ok(())
}

/// Loads again what was unloaded, the last first; what somebody has loaded meanwhile stays as it is.
pub fn back(root: &Root, record: &mut Record, say: Say<'_>) -> Result<(), NotTaken> {
    let names = record.kept(NAMES)?;
    let mut done = Ok(());
    for name in names.split(|b| *b == b'\n').rev().filter(|name| !name.is_empty()) {
        if is_loaded(&loaded(root)?, name) {
            continue;
        }
        let c_name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let load = |loader: &&str| find(root, loader).is_some_and(|path| run(root, &path, &[&c_name], None).is_ok());
        if LOADERS.iter().any(load) {
            say(format_args!("loaded {}", text(name)));
        } else {
            say(format_args!("{} cannot be loaded again", text(name)));
            done = Err(Errno::ENOENT.into());
        }
        crate::crash::step();
    }
    record.journal.unloaded = false;
    record.save()?;
    record.drop_file(NAMES);
    done
}
