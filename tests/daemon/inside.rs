//! `inside [--net FILE] [--kmsg gone|empty|null|forbidden] [--proc-net FOLDER] [--nobody] PROGRAM ARGUMENTS…`: becomes
//! PROGRAM in that network namespace, with another /dev/kmsg or /proc/net than the kernel's, or as a user who may nothing.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, fexecve, setgid, setgroups, setuid};

use crate::Outcome;

pub fn run(words: &[String]) -> Outcome<()> {
    match words {
        [option, file, rest @ ..] if option == "--net" => {
            let file = File::open(file).map_err(|e| format!("{file}: {e}"))?;
            setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| format!("entering the namespace: {e}"))?;
            run(rest)
        }
        [option, how, rest @ ..] if option == "--kmsg" => {
            hide_log(how)?;
            run(rest)
        }
        [option, folder, rest @ ..] if option == "--proc-net" => {
            own_mounts()?;
            // The whole folder: what is mounted on one of its files is gone with the next look at that file.
            put(Some(folder), "/proc/self/net", None, MsFlags::MS_BIND)?;
            run(rest)
        }
        [option, rest @ ..] if option == "--nobody" => as_nobody(rest),
        [program, rest @ ..] => Err(format!("{program}: {}", Command::new(program).args(rest).exec())),
        [] => Err("inside: no program".into()),
    }
}

/// The program is opened first: nobody may not be allowed to the folder that it is in.
fn as_nobody(words: &[String]) -> Outcome<()> {
    const NOBODY: u32 = 65_534;
    let become_nobody = || -> std::io::Result<()> {
        let program = File::open(words.first().map_or("", String::as_str))?;
        setgroups(&[])?;
        setgid(Gid::from_raw(NOBODY))?;
        setuid(Uid::from_raw(NOBODY))?;
        let arguments = words.iter().map(|w| CString::new(w.as_str())).collect::<Result<Vec<_>, _>>()?;
        fexecve(program, &arguments, &[] as &[CString])?;
        Ok(())
    };
    become_nobody().map_err(|e| format!("as nobody: {e}"))
}

fn put(from: Option<&str>, to: &str, kind: Option<&str>, flags: MsFlags) -> Outcome<()> {
    mount(from, to, kind, flags, None::<&str>).map_err(|e| format!("another {to}: {e}"))
}

/// A mount namespace of our own, so that nobody else sees what is put there.
fn own_mounts() -> Outcome<()> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("a mount namespace: {e}"))?;
    put(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)
}

fn hide_log(how: &str) -> Outcome<()> {
    own_mounts()?;
    if how == "null" {
        return put(Some("/dev/null"), "/dev/kmsg", None, MsFlags::MS_BIND);
    }
    // A /dev with nothing in it, or with a plain file.
    put(Some("none"), "/dev", Some("tmpfs"), MsFlags::empty())?;
    let path = Path::new("/dev/kmsg");
    let file = |mode| {
        let made = fs::write(path, "").and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
        made.map_err(|e| format!("{}: {e}", path.display()))
    };
    match how {
        "gone" => Ok(()),
        "empty" => file(0o644),
        "forbidden" => file(0),
        _ => Err(format!("--kmsg {how}?")),
    }
}
