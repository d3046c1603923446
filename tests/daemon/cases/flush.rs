//! Flush: asked for, within its budget; and by itself, only after `hold`, and not again when it buys too little.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::traffic::{fill_up, new_flow, tracked};
use crate::Outcome;
use crate::checks::Checks;
use crate::ctnetlink::Socket;
use crate::entries::{established, make_only, read, v4, v6};
use crate::host::{count, own_path};
use crate::subject::{PATIENCE, Subject, until};
use crate::world::World;

const BUDGET: &str = "config ctwarden 'main'\n\toption policy 'watch'\n\toption flushes_per_hour '2'\n";
const PROTECT: &str = "config protect\n\toption source '10.40.0.0/24'\n";

fn everybody() -> Vec<crate::ctnetlink::Flow> {
    let mut flows: Vec<_> = (0..2_000).map(|n| established(v4(10, 9, 0, 1), n, 100)).collect();
    flows.extend((0..1_000).map(|n| established(v6(1, 1), n, 100)));
    flows.extend((0..50).map(|n| established(v4(10, 40, 0, 1), n, 100)));
    flows
}

pub fn asked(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("flush", BUDGET)?;
    make_only(&everybody())?;
    let ran = subject.call(&["flush"])?;
    t.equal("`flush` without a daemon empties the table", (ran.code, count()?), (0, 0));

    let daemon = subject.start()?;
    for _ in 0..2 {
        make_only(&everybody())?;
        let ran = subject.call(&["flush", "--json"])?;
        t.equal("`flush` by the daemon", (ran.code, ran.number("before")?, count()?), (0, 3_050, 0));
    }
    make_only(&everybody())?;
    let ran = subject.call(&["flush"])?;
    t.equal("beyond flushes_per_hour: exit code 5, one line", ran.fault(), (5, 1));
    let why = "2 within the hour, 2 allowed";
    t.check("with the reason", ran.err.contains(why), || ran.err.clone());
    t.equal("and nothing is deleted", count()?, 3_050);
    daemon.end(Signal::SIGTERM)?;

    subject.configure(&[BUDGET, PROTECT].concat())?;
    for daemon in [false, true] {
        make_only(&everybody())?;
        let running = daemon.then(|| subject.start()).transpose()?;
        let ran = subject.call(&["flush"])?;
        let left = read()?;
        let spared = left.keys().filter(|k| k.source == v4(10, 40, 0, 1)).count();
        let how = if daemon { "by the daemon" } else { "without a daemon" };
        t.equal(
            &format!("{how}: what is protected stays, and nothing else"),
            (ran.code, spared, left.len()),
            (0, 50, 50),
        );
        if let Some(running) = running {
            running.end(Signal::SIGTERM)?;
        }
    }
    Ok(())
}

/// The ways that are left when the kernel refuses the quicker ones, each proven by the table being empty.
pub fn fallbacks(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("fallbacks", BUDGET)?;
    for (way, refused, requests) in
        [("a family at a time", "when=1", [1, 1, 1, 0]), ("one by one", "when=1..2", [1, 1, 0, 1])]
    {
        make_only(&everybody())?;
        let (ran, trace) =
            Refused::of(&subject, &["-e", &format!("inject=sendto:error=EINVAL:{refused}")], None)?.ended()?;
        t.equal(&format!("{way} (exit code, lines of fault, entries left)"), (ran, count()?), ((0, 0), 0));
        let whole = |family: &str| {
            let of = |l: &&str| l.contains("nlmsg_len=20") && l.contains("CT_DELETE") && l.contains(family);
            trace.lines().filter(of).count()
        };
        let dumps = trace.lines().filter(|l| l.contains("CT_GET")).count();
        let asked = [whole("=AF_UNSPEC,"), whole("=AF_INET,"), whole("=AF_INET6,"), dumps];
        t.equal(&format!("{way}: asked for all, for IPv4, for IPv6, and dumps"), asked, requests);
    }

    // The last one, where nothing at all is to be had by netlink. The file is ours, and so is the kernel that reads it.
    const NO_NETLINK: [&str; 2] = ["-e", "inject=sendto:error=EINVAL"];
    let folder = subject.path("proc-net");
    fs::create_dir(&folder).map_err(|e| e.to_string())?;
    let file = folder.join("nf_conntrack");
    for heeded in [true, false] {
        make_only(&everybody())?;
        fs::write(&file, "").map_err(|e| e.to_string())?;
        // Between its write and its next look at the count there is time for the table to be emptied.
        let slow = ["-e", "inject=write:delay_exit=500000:when=1"];
        let running = Refused::of(&subject, &[&NO_NETLINK[..], &slow].concat(), Some(&folder))?;
        until("it writes into the proc file", PATIENCE, || {
            Ok((fs::read(&file).ok().as_deref() == Some(b"f\n")).then_some(()))
        })?;
        if heeded {
            Socket::open()?.flush()?;
        }
        let (ran, _) = running.ended()?;
        let (what, want) = match heeded {
            true => ("the proc file empties the table (exit code, lines of fault, entries left)", ((0, 0), 0)),
            false => ("a proc file that does nothing is not believed", ((1, 1), 3_050)),
        };
        t.equal(what, (ran, count()?), want);
    }
    let (ran, _) = Refused::of(&subject, &NO_NETLINK, None)?.ended()?;
    t.equal("nor is there anything left where the proc file is not for writing", (ran, count()?), ((1, 1), 3_050));
    Ok(())
}

/// `flush` without a daemon, of whose system calls some are refused.
struct Refused {
    child: Child,
    dir: PathBuf,
}

impl Refused {
    /// `proc_net`: a folder of ours in the place of the kernel's.
    fn of(subject: &Subject, inject: &[&str], proc_net: Option<&Path>) -> Outcome<Self> {
        let path = |p: &Path| p.to_str().map(str::to_string).ok_or("a path");
        let (trace, own) = (path(&subject.path("trace"))?, path(&own_path()?)?);
        let mut before = vec!["strace", "-q", "-o", &trace, "-e", "trace=sendto,write"];
        before.extend(inject);
        let proc_net = proc_net.map(path).transpose()?;
        if let Some(folder) = &proc_net {
            before.extend([&own, "inside", "--proc-net", folder]);
        }
        let mut command = subject.command(&before, &["flush"])?;
        let child = command.stdout(subject.file("out")?).stderr(subject.file("err")?).spawn();
        Ok(Self { child: child.map_err(|e| format!("strace: {e}"))?, dir: subject.dir.clone() })
    }

    /// Its exit code, how many lines of fault it had, and what it asked of the kernel.
    fn ended(mut self) -> Outcome<((i32, usize), String)> {
        let ended = until("flush ends", PATIENCE, || self.child.try_wait().map_err(|e| e.to_string()));
        if ended.is_err() {
            let _ = self.child.kill();
        }
        let code = ended?.code().ok_or("flush was killed")?;
        let text = |name| fs::read_to_string(self.dir.join(name)).map_err(|e| format!("{name}: {e}"));
        Ok(((code, text("err")?.lines().count()), text("trace")?))
    }
}

/// What is said when one is done: which way worked.
const FLUSHED: &str = "(ctnetlink, all families at once)";

const ALONE: &str = "config ctwarden 'main'\n\tlist ladder 'flush'\n\toption hold '1'\n";

/// New flows at a rate, from a thread of its own: when the first was refused, and how many were.
struct Newcomers {
    stop: AtomicBool,
    refused: AtomicU32,
}

impl Newcomers {
    fn come(&self, first: &std::sync::Mutex<Option<Instant>>) -> Outcome<()> {
        let mut port = 10_000;
        while !self.stop.load(Ordering::Relaxed) {
            port = if port < 60_000 { port + 1 } else { 10_000 };
            if new_flow(port)? {
                self.refused.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut first) = first.lock() {
                    first.get_or_insert_with(Instant::now);
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

pub fn on_saturation(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("saturation", ALONE)?;
    tracked(|| {
        let newcomers = Newcomers { stop: AtomicBool::new(false), refused: AtomicU32::new(0) };
        let first = std::sync::Mutex::new(None);
        thread::scope(|s| {
            let coming = s.spawn(|| newcomers.come(&first));
            let done = saturated(&subject, t, &newcomers, &first);
            newcomers.stop.store(true, Ordering::Relaxed);
            coming.join().unwrap_or_else(|_| Err("a thread panicked".into())).and(done)
        })
    })
}

fn saturated(
    subject: &Subject,
    t: &mut Checks,
    newcomers: &Newcomers,
    first: &std::sync::Mutex<Option<Instant>>,
) -> Outcome<()> {
    let daemon = subject.start()?;
    fill_up()?;
    let flushed = daemon.says(FLUSHED)?;
    let refused = first.lock().map_err(|e| e.to_string())?.ok_or("nothing was refused")?;
    let waited = flushed.duration_since(refused);
    t.check(
        "flush comes after hold (1 s), and soon",
        (Duration::from_millis(1_000)..Duration::from_millis(2_000)).contains(&waited),
        || format!("{waited:?} after the first refusal: {}", daemon.log().join("\n")),
    );
    let log = daemon.log();
    t.lines("the verdict was told first", &log, "-> saturated", 1);
    t.check("the table is usable again", count()? < 1_000, || format!("{:?} entries", count()));
    let before = newcomers.refused.load(Ordering::Relaxed);
    until("new flows pass", PATIENCE, || Ok((count()? > 20).then_some(())))?;
    t.equal("nobody is refused any more", newcomers.refused.load(Ordering::Relaxed), before);

    fill_up()?;
    daemon.says("no flush: the last flush bought")?;
    let more = newcomers.refused.load(Ordering::Relaxed) + 400; // two seconds at most 200 a second
    until("further packets are refused", PATIENCE, || {
        Ok((newcomers.refused.load(Ordering::Relaxed) >= more).then_some(()))
    })?;
    let log = subject.call(&["log"])?.out;
    t.check("`log` tells who held the table", log.contains("held by 10.9.0.1: "), || log.clone());
    t.check("and of one flush", log.contains(", 1 flush"), || log.clone());
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.lines("a flush that bought too little is not repeated", &log, FLUSHED, 1);
    t.lines("and the breaker says so once", &log, "no flush: ", 1);
    Ok(())
}
