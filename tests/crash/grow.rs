//! The table's own limits: sized at the start, raised in need, put back after calm and at the end. The kernel has them once for
//! all namespaces, so a folder of files stands for the system (`--root`).
//!
//! ```text
//! for each step N: found ──> sized ──> grown ──> (a minute of calm) ──> shrunk ──> put back, killed at step N
//!                    ├── nobody does anything ──> next start and stop: as found
//!                    └── the owner sets max, or buckets ──> next start and stop: his value, the other one as found
//! ```

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::checks::{Checks, Tally};

const FOUND: Limits = Limits { max: 10_000, buckets: 2_048 };
const SIZED: Limits = Limits { max: 12_000, buckets: 4_096 };
const GROWN: Limits = Limits { max: 17_500, buckets: 4_096 };
const OWNERS: Limits = Limits { max: 33_333, buckets: 3_333 };
const CONFIG: &str = "config ctwarden 'main'\n\tlist ladder 'grow'\n\toption hold '0'\n\
                      config sizing 'sizing'\n\toption max '12000'\n\toption buckets '4096'\n";
/// 87.5 % of what it is sized to; and calm.
const MANY: u32 = 10_500;
const FEW: u32 = 100;
/// Each step is a run of its own, all at the same time: what takes long is the minute of calm. There are fewer.
const STEPS: u32 = 32;
const PATIENCE: Duration = Duration::from_secs(20);
/// Max goes back after a minute of calm; looks are up to 5 s apart.
const REST: Duration = Duration::from_secs(60 + 20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    max: u32,
    buckets: u32,
}

/// What the owner does while the daemon is dead.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Nothing,
    Max,
    Buckets,
}

pub fn run(program: &Path, tally: &Tally) {
    let (last, killed) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|s| {
        for step in 1..=STEPS {
            for owner in [Owner::Nothing, Owner::Max, Owner::Buckets] {
                let (last, killed) = (&last, &killed);
                s.spawn(move || {
                    let mut checks = Checks::of_case(tally, 9);
                    match one(program, step, owner, &mut checks) {
                        Ok(true) => {
                            last.fetch_max(step, Ordering::Relaxed);
                            killed.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(false) => {}
                        Err(why) => checks.broke(&format!("grow, step {step}, {owner:?}: {why}")),
                    }
                });
            }
        }
    });
    let (last, killed) = (last.into_inner(), killed.into_inner());
    println!("      grow: killed after each of {last} steps");
    Checks::of_case(tally, 9).equal("grow: killed at each of them, whatever the owner did", killed, last * 3);
    Checks::of_case(tally, 9).check("grow: a matrix worth the name", (12..STEPS).contains(&last), || last.to_string());
}

/// One run that dies at `step`; `false`: it had no such step.
fn one(program: &Path, step: u32, owner: Owner, t: &mut Checks<'_>) -> Outcome<bool> {
    let system = System::new(program, &format!("{step}-{owner:?}"))?;
    let what = |words: &str| format!("grow, step {step}, {owner:?}: {words}");
    if !system.through(step)? {
        t.equal(&what("a run without a crash leaves everything as it was"), system.limits()?, FOUND);
        return Ok(false);
    }
    let mut expected = FOUND;
    match owner {
        Owner::Nothing => {}
        Owner::Max => {
            expected.max = OWNERS.max;
            system.set("max", OWNERS.max)?;
        }
        Owner::Buckets => {
            expected.buckets = OWNERS.buckets;
            system.set("buckets", OWNERS.buckets)?;
        }
    }
    system.set("count", FEW)?;
    let mut daemon = system.start(None)?;
    if !system.until(&mut daemon, PATIENCE, &|| Ok(system.answers()))? {
        return Err(format!("the next start fails: {}", system.log()));
    }
    end(&mut daemon)?;
    t.check(&what("the next start and stop put back what is not the owner's"), system.limits()? == expected, || {
        format!("{:?}, not {expected:?}: {}", system.limits(), system.log())
    });
    t.check(&what("and no record stays"), !system.place("state/journal").exists(), || system.log());
    Ok(true)
}

fn end(daemon: &mut Child) -> Outcome<()> {
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).map_err(|e| e.to_string())?;
    let status = daemon.wait().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("it left with {status}")) }
}

/// A folder that stands for the system.
struct System<'p> {
    program: &'p Path,
    folder: PathBuf,
}

impl<'p> System<'p> {
    fn new(program: &'p Path, name: &str) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("crash-tests-{}-grow-{name}", std::process::id()));
        let system = Self { program, folder };
        let netfilter = "proc/sys/net/netfilter/nf_conntrack";
        for (file, text) in [
            ("config", CONFIG),
            ("proc/meminfo", "MemTotal: 249016 kB\nMemFree: 153044 kB\nMemAvailable: 161204 kB\n"),
            ("proc/sys/kernel/random/boot_id", "3f0a1c52-9d7e-4b21-8a66-0c5d2e7f1b43\n"),
            (&format!("{netfilter}_max"), ""),
            (&format!("{netfilter}_buckets"), ""),
            (&format!("{netfilter}_count"), ""),
        ] {
            let path = system.place(file);
            let parent = path.parent().unwrap_or(&system.folder);
            fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)).map_err(|e| format!("{file}: {e}"))?;
        }
        system.set("max", FOUND.max)?;
        system.set("buckets", FOUND.buckets)?;
        system.set("count", FEW)?;
        Ok(system)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn setting(&self, name: &str) -> PathBuf {
        self.place(&format!("proc/sys/net/netfilter/nf_conntrack_{name}"))
    }

    /// In place, since the daemon keeps some of them open, and all at once: what is half written is no number of the kernel's.
    fn set(&self, name: &str, value: u32) -> Outcome<()> {
        let file = fs::File::options().write(true).open(self.setting(name));
        file.and_then(|file| file.write_all_at(format!("{value:05}\n").as_bytes(), 0))
            .map_err(|e| format!("{name}: {e}"))
    }

    fn limits(&self) -> Outcome<Limits> {
        let number = |name: &str| {
            let text = fs::read_to_string(self.setting(name)).map_err(|e| format!("{name}: {e}"))?;
            // Empty for a moment while it is written, which the kernel's is not.
            Ok::<u32, String>(text.trim().parse().unwrap_or(0))
        };
        Ok(Limits { max: number("max")?, buckets: number("buckets")? })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place("log")).unwrap_or_default()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(words).arg("--root").arg(&self.folder).arg("--config").arg(self.place("config"));
        command.arg("--socket").arg(self.place("socket")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        command
    }

    fn answers(&self) -> bool {
        // Without a daemon it answers too, from the files.
        let output = self.command(&["status", "--json"]).stdout(Stdio::piped()).output();
        output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("\"daemon\":true"))
    }

    fn start(&self, step: Option<u32>) -> Outcome<Child> {
        let log = fs::File::create(self.place("log")).map_err(|e| e.to_string())?;
        let mut run = self.command(&["run"]);
        run.arg("--state-dir").arg(self.place("state")).stderr(log);
        if let Some(step) = step {
            run.env("CTWARDEN_CRASH_AT", step.to_string());
        }
        run.spawn().map_err(|e| e.to_string())
    }

    /// Waits for it; `false`: the daemon has died meanwhile.
    fn until(&self, daemon: &mut Child, patience: Duration, there: &dyn Fn() -> Outcome<bool>) -> Outcome<bool> {
        let began = Instant::now();
        while daemon.try_wait().map_err(|e| e.to_string())?.is_none() {
            if there()? {
                return Ok(true);
            }
            if began.elapsed() > patience {
                let _ = daemon.kill();
                let _ = daemon.wait();
                return Err(format!("not within {patience:?}: {:?}, {}", self.limits(), self.log()));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(false)
    }

    /// From start to stop, with everything in between; `true`: it was killed on the way.
    fn through(&self, step: u32) -> Outcome<bool> {
        let mut daemon = self.start(Some(step))?;
        let is = |limits: Limits| move || Ok(self.limits()? == limits);
        let mut goes_on = self.until(&mut daemon, PATIENCE, &is(SIZED))?;
        if goes_on {
            self.set("count", MANY)?;
            goes_on = self.until(&mut daemon, PATIENCE, &is(GROWN))?;
        }
        if goes_on {
            self.set("count", FEW)?;
            goes_on = self.until(&mut daemon, REST, &is(SIZED))?;
        }
        if goes_on {
            // It may die yet of what it writes down.
            thread::sleep(Duration::from_millis(300));
            let _ = kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM);
        }
        let status = daemon.wait().map_err(|e| e.to_string())?;
        let killed = status.signal() == Some(Signal::SIGKILL as i32);
        if killed || status.success() { Ok(killed) } else { Err(format!("it left with {status}: {}", self.log())) }
    }
}

impl Drop for System<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
