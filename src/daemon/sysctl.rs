//! The files that set the table's limits at boot, in the order in which they are applied.

use super::bare;
use super::root::{MAX, PIECE, Root, SYSCTL_CONF, SYSCTL_FOLDERS, SYSCTL_FRAGMENT, SystemPath, terminated};
use ctwarden::journal::Setting;
use ctwarden::observe::lines::LineSplitter;
use ctwarden::sysctl::{Line, read};
use ctwarden::units::Entries;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{self, AccessFlags, access};

/// A line that sets a limit.
pub struct Set<'a> {
    pub file: &'a SystemPath,
    pub line: u32,
    pub what: Line,
    /// There is such a sysctl here.
    pub counts: bool,
    /// It is the last one that counts.
    pub wins: bool,
}

/// Every line that sets a limit, in the order in which they are applied.
pub fn each(root: &Root, tell: &mut dyn FnMut(&Set<'_>)) {
    let mut last = [0; Setting::ALL.len()];
    for telling in [false, true] {
        let mut n = 0;
        read_all(root, &mut |file, line, what| {
            n += 1;
            let Some(last) = last.get_mut(what.setting as usize) else { return };
            let counts = counts(root, what.key);
            if telling {
                tell(&Set { file, line, what, counts, wins: *last == n });
            } else if counts {
                *last = n;
            }
        });
    }
}

/// The max that the owner's files set at boot; what `size --save` wrote is not counted.
pub fn owners_max(root: &Root) -> Option<Entries> {
    let ours = root.path(&[SYSCTL_FRAGMENT]);
    let mut max = None;
    read_all(root, &mut |file, _, what| {
        if what.setting == Setting::Max && *file != ours && counts(root, what.key) {
            max = Some(what.value);
        }
    });
    max
}

/// A name that this kernel does not have sets nothing. Before the module is loaded none is there: then all may be.
fn counts(root: &Root, key: &str) -> bool {
    let there = |path: &str| access(&terminated(&root.path(&[path])), AccessFlags::F_OK).is_ok();
    there(key) || !MAX.iter().any(|max| there(max))
}

fn read_all(root: &Root, tell: &mut dyn FnMut(&SystemPath, u32, Line)) {
    let mut name = SystemPath::new();
    loop {
        let next = next_fragment(root, &name);
        let path = next.as_ref().map_or(root.path(&[SYSCTL_CONF]), |(name, folder)| root.path(&[folder, name]));
        // Debian has a link to sysctl.conf among the fragments.
        if next.as_ref().is_none_or(|(name, _)| name.as_str() != "99-sysctl.conf") {
            read_file(&path, tell);
        }
        match next {
            Some((next, _)) => name = next,
            None => return,
        }
    }
}

/// The fragment that comes after one of that name, and its folder: a name hides the same in the folders behind.
fn next_fragment(root: &Root, after: &str) -> Option<(SystemPath, &'static str)> {
    let mut next: Option<(SystemPath, &str)> = None;
    for folder in SYSCTL_FOLDERS {
        let _ = bare::names(&root.path(&[folder]), &mut |name| {
            let sooner = next.as_ref().is_none_or(|(first, _)| name < first.as_str());
            if name.ends_with(".conf") && name > after && sooner {
                next = SystemPath::try_from(name).ok().map(|name| (name, folder));
            }
        });
    }
    next
}

fn read_file(path: &SystemPath, tell: &mut dyn FnMut(&SystemPath, u32, Line)) {
    let Ok(file) = open(&terminated(path), OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())
    else {
        return;
    };
    let mut splitter = LineSplitter::<PIECE>::new();
    let mut n = 0;
    while let Ok(bytes) = unistd::read(&file, splitter.room()) {
        splitter.filled(bytes);
        while let Some(line) = if bytes > 0 { splitter.next_line() } else { splitter.last_line() } {
            n += 1;
            if let Some(what) = read(line.bytes) {
                tell(path, n, what);
            }
        }
        if bytes == 0 {
            break;
        }
    }
}
