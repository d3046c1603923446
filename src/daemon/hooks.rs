//! The owner's scripts in /etc/hotplug.d/ctwarden, called when the verdict or the rung is another one (`ctwarden::hook`).
//!
//! ```text
//!   tell(event) ──> hear ──> heard: the bus is told, and has procd call the scripts where that serves them
//!                              └─ else call: a queue of eight ──> tend: one script run at a time, ended after ten seconds
//!                                            full: the oldest is left out, and counted
//! ```
//!
//! Nothing here waits, and nothing uses the heap. The shell calls /sbin/hotplug-call, or where there is none each executable
//! file in the order of their names.

use super::bare;
use super::root::{HOOKS, HOTPLUG_CALL, Root, SHELL, terminated};
use ctwarden::detect::Table;
use ctwarden::event::Event;
use ctwarden::hook::{Caller, Hook};
use ctwarden::units::{Entries, Millis};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setpgid};
use std::ffi::CStr;
use std::fmt::Write as _;
use std::sync::Mutex;

/// Calls that wait.
const WAITING: usize = 8;
/// Scripts that run longer are ended.
const PATIENCE: Millis = Millis(10_000);
/// One that was killed is looked after again so much later, unless it tells of its end.
const AGAIN: Millis = Millis(1_000);
/// What the shell does: the folder is $0, hotplug-call $1.
const CALL: &CStr = c"exec </dev/null >/dev/null 2>&1
[ -x \"$1\" ] && exec \"$1\" ctwarden
for f in \"$0\"/*; do [ -f \"$f\" ] && [ -x \"$f\" ] && \"$f\"; done";
/// The longest variable is a REASON: that somebody translates IPv6, and so nothing may go untracked.
const VARIABLE: usize = 128;
const VARIABLES: usize = 5;

pub struct Hooks {
    caller: Caller,
    heard: heapless::Deque<Hook, WAITING>,
    waiting: heapless::Deque<Hook, WAITING>,
    running: Option<Running>,
    /// Calls left out since that was last said.
    left_out: u32,
}

struct Running {
    pid: Pid,
    until: Millis,
    /// It was killed, and is not gone yet.
    ended: bool,
}

static ALL: Mutex<(Hooks, Table)> =
    Mutex::new((Hooks::new(), Table { count: Entries(0), max: Entries(0), buckets: Entries(0) }));

fn with<T>(work: impl FnOnce(&mut Hooks, &mut Table) -> T) -> T {
    let mut all = ALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (hooks, table) = &mut *all;
    work(hooks, table)
}

/// The table as it was last seen.
pub fn seen(now: Table) {
    with(|_, table| *table = now);
}

/// Takes in what is told.
pub fn hear(event: &Event) {
    with(|hooks, table| hooks.hear(event, *table));
}

/// What was taken in and nobody has been told of yet.
pub fn heard() -> Option<Hook> {
    with(|hooks, _| hooks.heard.pop_front())
}

/// Calls the scripts, when it is their turn.
pub fn call(hook: Hook) {
    with(|hooks, _| hooks.call(hook));
}

/// Starts, reaps and ends scripts; when to come again at the latest.
pub fn tend(root: &Root, now: Millis) -> Option<Millis> {
    with(|hooks, _| hooks.tend(root, now))
}

/// At the end of the daemon: ends what runs.
pub fn end() {
    with(|hooks, _| hooks.end());
}

impl Hooks {
    pub const fn new() -> Self {
        Self {
            caller: Caller::new(),
            heard: heapless::Deque::new(),
            waiting: heapless::Deque::new(),
            running: None,
            left_out: 0,
        }
    }

    fn hear(&mut self, event: &Event, table: Table) {
        let Some(hook) = self.caller.feed(event, table) else { return };
        let Self { heard, left_out, .. } = self;
        queue(hook, heard, left_out);
    }

    fn call(&mut self, hook: Hook) {
        let Self { waiting, left_out, .. } = self;
        queue(hook, waiting, left_out);
    }

    fn tend(&mut self, root: &Root, now: Millis) -> Option<Millis> {
        if let Some(until) = self.goes_on(now) {
            return Some(until);
        }
        while let Some(hook) = self.waiting.pop_front() {
            if !has_scripts(root) {
                self.waiting.clear();
                self.left_out = 0;
                return None;
            }
            if core::mem::take(&mut self.left_out) > 0 {
                log::warn!("hooks: scripts are slower than events come, some were left out");
            }
            match start(root, &hook) {
                Ok(pid) => {
                    let until = now.after(PATIENCE);
                    self.running = Some(Running { pid, until, ended: false });
                    return Some(until);
                }
                Err(e) => log::warn!("hooks: not called (errno {})", e as i32),
            }
        }
        None
    }

    /// Until when what runs may run on; `None`: it has ended.
    fn goes_on(&mut self, now: Millis) -> Option<Millis> {
        let run = self.running.as_mut()?;
        // Not reaped yet: until then no other process has its number.
        let alive = !bare::is_over(run.pid);
        if alive && now < run.until {
            return Some(run.until);
        }
        if alive && !run.ended {
            log::warn!("hooks: a script has run for {PATIENCE}: ended");
        }
        // With all that it has started in its group.
        let _ = killpg(run.pid, Signal::SIGKILL);
        // One that waits for a disk dies when it may: it is not waited for.
        if bare::ended(run.pid) == Ok(None) {
            (run.ended, run.until) = (true, now.after(AGAIN));
            return Some(run.until);
        }
        self.running = None;
        None
    }

    fn end(&mut self) {
        if let Some(run) = self.running.take() {
            let _ = killpg(run.pid, Signal::SIGKILL);
        }
    }
}

fn has_scripts(root: &Root) -> bool {
    let mut any = false;
    let _ = bare::names(&root.path(&[HOOKS]), &mut |name| any |= !name.starts_with('.'));
    any
}

/// Full: the oldest is left out.
fn queue(hook: Hook, queue: &mut heapless::Deque<Hook, WAITING>, left_out: &mut u32) {
    if queue.is_full() {
        queue.pop_front();
        *left_out = left_out.saturating_add(1);
    }
    let _ = queue.push_back(hook);
}

fn start(root: &Root, hook: &Hook) -> Result<Pid, Errno> {
    let mut variables = heapless::Vec::<heapless::String<VARIABLE>, VARIABLES>::new();
    hook.tell(&mut |name, value| {
        let mut variable = heapless::String::new();
        let _ = write!(variable.as_mut_view(), "{name}={value}\0");
        let _ = variables.push(variable);
    });
    let mut environment = heapless::Vec::<&CStr, { VARIABLES + 1 }>::new();
    let _ = environment.push(c"PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    for variable in &variables {
        // One that is too long has no end, and is left out.
        let _ = CStr::from_bytes_with_nul(variable.as_bytes()).map(|variable| environment.push(variable));
    }
    let [call, folder] = [HOTPLUG_CALL, HOOKS].map(|path| terminated(&root.path(&[path])));
    let group = || setpgid(Pid::from_raw(0), Pid::from_raw(0)).is_ok();
    let child = bare::start(SHELL, &[SHELL, c"-c", CALL, folder.c(), call.c()], &environment, &group)?;
    // In both, so that it is so whoever runs first.
    let _ = setpgid(child, child);
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctwarden::detect::{Evidence, Verdict};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str, script: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("ctwarden-hooks-{}-{name}", std::process::id()));
            let scripts = dir.join(HOOKS);
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&scripts).unwrap();
            if !script.is_empty() {
                let path = scripts.join("10-first");
                fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", dir.display())).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                fs::write(scripts.join("20-not-executable"), "no program").unwrap();
            }
            Self(dir)
        }
        fn root(&self) -> Root {
            Root::new(self.0.to_str().unwrap()).unwrap()
        }
        fn said(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap_or_default()
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// What is heard is called, as without a bus.
    fn tend(hooks: &mut Hooks, root: &Root, now: Millis) -> Option<Millis> {
        while let Some(hook) = hooks.heard.pop_front() {
            hooks.call(hook);
        }
        hooks.tend(root, now)
    }

    fn saturated(count: u32) -> Event {
        let table = Table { count: Entries(count), max: Entries(2048), buckets: Entries(0) };
        Event::Verdict {
            from: Verdict::Filling,
            evidence: Evidence { verdict: Verdict::Saturated, table, ..Evidence::default() },
        }
    }

    /// Tends until nothing runs and nothing waits; never waits itself for longer than a turn.
    fn settle(hooks: &mut Hooks, root: &Root) {
        let began = Instant::now();
        loop {
            let turn = Instant::now();
            let due = tend(hooks, root, Millis(began.elapsed().as_millis() as u64));
            assert!(turn.elapsed() < Duration::from_millis(500), "a turn has waited");
            if due.is_none() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(8), "scripts do not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_script_gets_our_words_and_nothing_else() {
        let fake = Fake::new(
            "environment",
            "tr '\\0' '\\n' </proc/self/environ >>environment; kill -PIPE $$; echo alive >>environment",
        );
        let mut hooks = Hooks::new();
        hooks.hear(&saturated(2048), Table::default());
        settle(&mut hooks, &fake.root());
        let said = fake.said("environment");
        let mut lines: Vec<&str> =
            said.lines().filter(|l| !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|n| l.starts_with(n))).collect();
        lines.sort_unstable();
        let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(lines, ["ACTION=saturated", "COUNT=2048", "CULPRIT=", "MAX=2048", path, "REASON=filling"]);
    }

    #[test]
    fn hotplug_call_is_asked_where_it_is() {
        let fake = Fake::new("hotplug", "echo by itself >>said");
        let call = fake.0.join(HOTPLUG_CALL);
        fs::create_dir_all(call.parent().unwrap()).unwrap();
        fs::write(&call, format!("#!/bin/sh\necho $1 $ACTION >>{}/said\n", fake.0.display())).unwrap();
        fs::set_permissions(&call, fs::Permissions::from_mode(0o755)).unwrap();
        let mut hooks = Hooks::new();
        hooks.hear(&saturated(1), Table::default());
        settle(&mut hooks, &fake.root());
        assert_eq!(fake.said("said"), "ctwarden saturated\n");
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_has_started() {
        let fake = Fake::new("hangs", "sleep 300 & echo $! >child; exec sleep 300");
        let mut hooks = Hooks::new();
        hooks.hear(&saturated(1), Table::default());
        hooks.hear(&saturated(2), Table::default());
        assert_eq!(tend(&mut hooks, &fake.root(), Millis(5)), Some(Millis(10_005)));
        let began = Instant::now();
        while fake.said("child").is_empty() {
            assert!(began.elapsed() < Duration::from_secs(5));
            std::thread::sleep(Duration::from_millis(2));
        }
        let first = fake.said("child");
        assert_eq!(tend(&mut hooks, &fake.root(), Millis(10_004)), Some(Millis(10_005)), "its time is not over");
        let due = tend(&mut hooks, &fake.root(), Millis(10_006));
        // The next one's turn, unless the killed one is not gone yet.
        assert!(matches!(due, Some(Millis(20_006 | 11_006))), "{due:?}");
        hooks.end();
        gone(&first);
    }

    #[test]
    fn what_a_script_leaves_running_is_ended_with_it() {
        let fake = Fake::new("forks", "sleep 300 & echo $! >child");
        let mut hooks = Hooks::new();
        hooks.hear(&saturated(1), Table::default());
        settle(&mut hooks, &fake.root());
        gone(&fake.said("child"));
    }

    /// Gone, or waiting for whoever reaps orphans here.
    fn gone(pid: &str) {
        let began = Instant::now();
        let alive = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while alive() {
            assert!(began.elapsed() < Duration::from_secs(5), "{pid} still runs");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn of_a_burst_the_last_are_called_one_after_the_other() {
        let fake = Fake::new("burst", "echo $COUNT >>counts");
        let mut hooks = Hooks::new();
        for count in 1..=1_000 {
            hooks.hear(&saturated(count), Table::default());
        }
        assert_eq!(hooks.left_out, 992);
        settle(&mut hooks, &fake.root());
        let expected: String = (993..=1_000).map(|n| format!("{n}\n")).collect();
        assert_eq!((fake.said("counts"), hooks.left_out), (expected, 0));
    }

    #[test]
    fn without_scripts_nothing_is_started() {
        let fake = Fake::new("none", "");
        let mut hooks = Hooks::new();
        hooks.hear(&saturated(1), Table::default());
        assert_eq!(tend(&mut hooks, &fake.root(), Millis(0)), None);
        assert!(hooks.running.is_none());
        // One that is put there later is found.
        std::thread::sleep(Duration::from_millis(20));
        let script = fake.0.join(HOOKS).join("a");
        fs::write(&script, format!("#!/bin/sh\necho x >{}/said\n", fake.0.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        hooks.hear(&saturated(1), Table::default());
        settle(&mut hooks, &fake.root());
        assert_eq!(fake.said("said"), "x\n");
    }
}
