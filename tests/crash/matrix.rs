//! All steps of all back ends.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::checks::{Checks, Tally};
use crate::firewalls::{foreign_tables, fw4};
use crate::packets::{all_reach, serve};
use crate::world::{Variant, World};

/// A back end and the firewall it stands beside.
struct Case {
    name: &'static str,
    variant: Variant,
    backend: &'static str,
    firewall: fn(&World) -> Outcome<()>,
    /// Takes it out, so that it can be loaded once more.
    anew: &'static str,
    /// The owner's change of his own rules while the daemon is dead.
    change: &'static str,
    /// And what he takes out of ours, as far as it is there: it does not come back for it, nor keeps it the rest from going.
    take_out: &'static str,
}

const NFT_ANEW: &str = "nft flush ruleset";
const IPTABLES_CHANGE: &str = "for i in iptables ip6tables; do $i -A INPUT -p tcp --dport 4444 -j ACCEPT; done";
const IPTABLES_TAKE_OUT: &str =
    "for i in iptables ip6tables; do $i -S INPUT | sed -n 's/^-A \\(.*-j ctwarden.*\\)/-D \\1/p' | while read -r rule; do
    eval \"$i $rule\"; done; done";

const CASES: [Case; 4] = [
    Case {
        name: "nft",
        variant: Variant::Nft,
        backend: "nft",
        firewall: foreign_tables,
        anew: NFT_ANEW,
        change: "nft add rule inet foreign input tcp dport 4444 accept",
        take_out: "nft delete table inet ctwarden 2>/dev/null || true",
    },
    Case {
        name: "fw4",
        variant: Variant::Nft,
        backend: "fw4",
        firewall: fw4,
        anew: NFT_ANEW,
        change: "nft add rule inet fw4 input tcp dport 4444 accept",
        take_out: "true",
    },
    Case {
        name: "iptables-nft",
        variant: Variant::Nft,
        backend: "iptables",
        firewall: World::firewall,
        anew: "true",
        change: IPTABLES_CHANGE,
        take_out: IPTABLES_TAKE_OUT,
    },
    Case {
        name: "iptables-legacy",
        variant: Variant::Legacy,
        backend: "iptables",
        firewall: World::firewall,
        anew: "true",
        change: IPTABLES_CHANGE,
        take_out: IPTABLES_TAKE_OUT,
    },
];

/// More steps than any run has: it would be one without end.
const STEPS_MOST: u32 = 200;
/// So many of each back end at a time: they mostly wait.
const AT_A_TIME: usize = 5;
/// The longest terms (src/lease/mod.rs), and a second for the way.
const TERM_S: u64 = 31;
const LIFELINE_S: u64 = 601;
/// In so many of the steps the end of the leases is waited for, not only read.
const WAITED_FOR: u32 = 7;
const PATIENCE: Duration = Duration::from_secs(20);
const SSH: u16 = 22;

/// Who of IPv4 and IPv6 gets from the WAN to the router.
fn strangers(world: &World) -> [bool; 2] {
    all_reach([(&world.wan, "192.0.2.1", SSH), (&world.wan, "fd77:2::1", SSH)])
}

pub fn run(program: &Path, wanted: &[String]) -> Outcome<bool> {
    let program = fs::canonicalize(program).map_err(|e| format!("{}: {e}", program.display()))?;
    let tally = Tally::default();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    thread::scope(|s| {
        if is_wanted("grow") {
            s.spawn(|| crate::grow::run(&program, &tally));
        }
        for (number, case) in CASES.iter().enumerate().filter(|(_, case)| is_wanted(case.name)) {
            let (program, tally) = (&program, &tally);
            s.spawn(move || all_steps(program, case, number as u8 + 1, tally));
        }
    });
    Ok(tally.print())
}

/// All steps of one back end.
fn all_steps(program: &Path, case: &Case, number: u8, tally: &Tally) {
    // Steps that all runs have taken; the first without a crash ends the search.
    let (next, over) = (AtomicU32::new(1), AtomicBool::new(false));
    let (steps, was_open) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|s| {
        for _ in 0..AT_A_TIME {
            s.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let step = next.fetch_add(1, Ordering::Relaxed);
                    let mut checks = Checks::of_case(tally, number);
                    match one(program, case, step, &was_open, &mut checks) {
                        Ok(true) if step < STEPS_MOST => drop(steps.fetch_add(1, Ordering::Relaxed)),
                        Ok(true) => {
                            checks.broke("it never ends");
                            over.store(true, Ordering::Relaxed);
                        }
                        Ok(false) => over.store(true, Ordering::Relaxed),
                        Err(why) => {
                            checks.broke(&format!("{}, step {step}: {why}", case.name));
                            over.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let steps = steps.into_inner();
    println!("      {}: killed after each of {steps} steps", case.name);
    let mut checks = Checks::of_case(tally, number);
    // Start, shed, open, close, stop: each has several.
    checks.check(&format!("{}: a matrix worth the name", case.name), steps >= 12, || format!("{steps} steps"));
    // Else that it is closed afterwards would say nothing.
    checks.equal(&format!("{}: strangers got in by IPv4 and IPv6", case.name), was_open.into_inner(), 3);
}

/// One run that dies at `step`; `false`: it had no such step.
fn one(program: &Path, case: &Case, step: u32, was_open: &AtomicU32, t: &mut Checks<'_>) -> Outcome<bool> {
    let world = World::new(case.variant, &format!("{}-{step}", case.name))?;
    (case.firewall)(&world)?;
    let before = state(case, &world)?;
    world.shell(case.change)?;
    let changed_state = State { udp_timeout: "77".into(), ..state(case, &world)? };
    world.shell(case.anew)?;
    (case.firewall)(&world)?;
    if state(case, &world)? != before || changed_state.rules == before.rules {
        return Err("the firewall cannot be loaded anew, or the owner's change is none".into());
    }
    let daemon = Daemon { program, world: &world };
    let config = format!(
        "config ctwarden 'main'\n\toption backend '{}'\n\toption open_scope 'all'\n\toption lan 'br-lan'\n",
        case.backend
    );
    fs::write(world.scratch.join("config"), config).map_err(|e| e.to_string())?;
    serve(&world.router, &[SSH]);
    let died = daemon.through(Some(step))?;
    let died_at = Instant::now();
    if !died {
        let after = state(case, &world)?;
        t.check(&format!("{}: a run without a crash leaves everything as it was", case.name), after == before, || {
            difference(&before, &after)
        });
        return Ok(false);
    }
    let what = |words: &str| format!("{}, step {step}: {words}", case.name);
    let leases = leases(&world)?;
    let long = leases.iter().filter(|(_, left)| *left > LIFELINE_S).count();
    t.check(&what("nothing stays longer than the lifeline's term"), long == 0, || format!("{leases:?}"));
    let wide: Vec<_> = leases
        .iter()
        .filter(|(name, left)| !name.contains("router") && !name.contains("lifeline") && *left > TERM_S)
        .collect();
    t.check(&what("and nothing wider longer than a term"), wide.is_empty(), || format!("{wide:?}"));
    let came_in = strangers(&world);
    was_open.fetch_or(u32::from(came_in[0]) | u32::from(came_in[1]) << 1, Ordering::Relaxed);
    if came_in != [false; 2] {
        thread::sleep((died_at + Duration::from_secs(TERM_S)).saturating_duration_since(Instant::now()));
        t.equal(&what("strangers got in, and without a restart do not any more"), strangers(&world), [false; 2]);
    }
    // Of xt_recent the age of an entry is not told in seconds.
    if step.is_multiple_of(WAITED_FOR) && case.backend != "iptables" {
        let until = died_at + Duration::from_secs(TERM_S);
        while Instant::now() < until
            && self::leases(&world)?
                .iter()
                .any(|(name, left)| !name.contains("router") && !name.contains("lifeline") && *left > 0)
        {
            thread::sleep(Duration::from_millis(200));
        }
        let left: Vec<_> = self::leases(&world)?
            .into_iter()
            .filter(|(name, left)| !name.contains("router") && !name.contains("lifeline") && *left > 0)
            .collect();
        t.check(&what("without a restart all of it has ended"), left.is_empty(), || format!("{left:?}"));
    }
    // An owner who changes something meanwhile keeps it.
    let changed = step.is_multiple_of(2);
    let expected = if changed {
        world.shell("echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose; echo 77 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout")?;
        world.shell(case.change)?;
        if step.is_multiple_of(4) {
            world.shell(case.take_out)?;
        }
        changed_state
    } else {
        before
    };
    daemon.through(None)?;
    let after = state(case, &world)?;
    t.check(&what("the next start and stop put everything back"), after == expected, || difference(&expected, &after));
    Ok(true)
}

/// What must be as it was.
#[derive(Clone, Debug, PartialEq)]
struct State {
    rules: String,
    liberal: String,
    udp_timeout: String,
}

fn state(case: &Case, world: &World) -> Outcome<State> {
    let sysctl = |name: &str| world.shell(&format!("cat /proc/sys/net/netfilter/{name}")).map(|s| s.trim().to_string());
    // iptables-nft keeps empty base chains of tables that it has once used: its own text leaves them out.
    let rules = match case.backend {
        "iptables" => format!("{}\n{}", world.saved("iptables")?, world.saved("ip6tables")?),
        _ => world.shell("nft -s list ruleset 2>/dev/null")?,
    };
    Ok(State {
        rules,
        liberal: sysctl("nf_conntrack_tcp_be_liberal")?,
        udp_timeout: sysctl("nf_conntrack_udp_timeout")?,
    })
}

fn difference(expected: &State, after: &State) -> String {
    if expected.rules == after.rules {
        return format!(
            "be_liberal {} -> {}, udp_timeout {} -> {}",
            expected.liberal, after.liberal, expected.udp_timeout, after.udp_timeout
        );
    }
    let lines = |text: &str| text.lines().map(str::to_string).collect::<Vec<_>>();
    let (old, new) = (lines(&expected.rules), lines(&after.rules));
    let gone = old.iter().filter(|l| !new.contains(l)).map(|l| format!("- {l}"));
    let came = new.iter().filter(|l| !old.contains(l)).map(|l| format!("+ {l}"));
    gone.chain(came).collect::<Vec<_>>().join("\n")
}

/// The leases in the kernel: the set or list, and seconds until it ends.
fn leases(world: &World) -> Outcome<Vec<(String, u64)>> {
    let mut found = Vec::new();
    let mut set = String::new();
    for line in world.shell("nft list ruleset 2>/dev/null")?.lines() {
        if let Some(name) = line.trim().strip_prefix("set ") {
            set = name.trim_end_matches(" {").to_string();
        }
        if !set.starts_with("ctwarden") {
            continue;
        }
        let ours = line.contains("elements") || line.contains("expires");
        for element in line.split(',').filter(|e| ours && !e.trim().is_empty()) {
            // An element of ours without a time would be one for ever.
            let left = element.split("expires ").nth(1).map_or(u64::MAX, seconds);
            found.push((set.clone(), left));
        }
    }
    let recent =
        world.shell("for f in /proc/net/xt_recent/ctwarden*; do [ -e $f ] && sed \"s|^|$f |\" $f; done; true")?;
    for line in recent.lines().filter(|l| l.contains("last_seen")) {
        let name = line.split_whitespace().next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if name.contains("_at_") {
            continue; // counts looks, is no lease
        }
        // Its age is not told in seconds here; that its rule has a term is read from the rule.
        let rules = format!("{}\n{}", world.saved("iptables")?, world.saved("ip6tables")?);
        let rule = rules.lines().find(|l| l.contains(&format!("--name {name} ")));
        let term = rule
            .and_then(|r| r.split("--seconds ").nth(1))
            .and_then(|r| r.split(' ').next())
            .and_then(|s| s.parse().ok());
        if rule.is_some() {
            found.push((name.to_string(), term.unwrap_or(u64::MAX)));
        }
    }
    Ok(found)
}

/// Seconds of nft's `9m59s840ms`, rounded up.
fn seconds(text: &str) -> u64 {
    let (mut total, mut number) = (0u64, 0u64);
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '0'..='9' => number = number * 10 + u64::from(c as u8 - b'0'),
            'd' => (total, number) = (total + number * 86_400, 0),
            'h' => (total, number) = (total + number * 3_600, 0),
            'm' if letters.peek() == Some(&'s') => return total + 1,
            'm' => (total, number) = (total + number * 60, 0),
            's' => (total, number) = (total + number, 0),
            _ => return total,
        }
    }
    total
}

struct Daemon<'w> {
    program: &'w Path,
    world: &'w World,
}

impl Daemon<'_> {
    fn command(&self, words: &[&str]) -> std::process::Command {
        let place = |name: &str| self.world.scratch.join(name).display().to_string();
        let mut command = self.world.command(&self.world.router, &self.program.display().to_string());
        command.args(words).args(["--config", &place("config"), "--socket", &place("socket")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// From start to stop, with everything in between; `true`: it was killed on the way.
    fn through(&self, step: Option<u32>) -> Outcome<bool> {
        let mut run = self.command(&["run"]);
        run.args(["--state-dir", "/run/ctwarden"]);
        if let Some(step) = step {
            run.env("CTWARDEN_CRASH_AT", step.to_string());
        }
        let log = fs::File::create(self.world.scratch.join("log")).map_err(|e| e.to_string())?;
        let mut daemon = run.stderr(log).spawn().map_err(|e| e.to_string())?;
        let has_died =
            |daemon: &mut Child| -> Outcome<bool> { Ok(daemon.try_wait().map_err(|e| e.to_string())?.is_some()) };
        let began = Instant::now();
        while !has_died(&mut daemon)? && !self.answers() {
            if began.elapsed() > PATIENCE {
                return Err("it does not answer".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let verbs: [&[&str]; 6] = [
            &["shed", "10.77.0.9", "--for", "60"],
            &["trim", "--only", "closing"],
            &["flush"],
            &["open", "--scope", "all", "--for", "120"],
            &["close"],
            &["open", "--scope", "router"],
        ];
        for verb in verbs {
            if has_died(&mut daemon)? {
                break;
            }
            let _ = self.command(verb).status();
        }
        let _ = kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM);
        let began = Instant::now();
        loop {
            if let Some(status) = daemon.try_wait().map_err(|e| e.to_string())? {
                use std::os::unix::process::ExitStatusExt;
                let killed = status.signal() == Some(Signal::SIGKILL as i32);
                return if killed || status.success() { Ok(killed) } else { Err(format!("it left with {status}")) };
            }
            if began.elapsed() > PATIENCE {
                let _ = daemon.kill();
                return Err("it does not stop".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        // Without a daemon it answers too, from the kernel.
        let output = self.command(&["status", "--json"]).stdout(Stdio::piped()).output();
        output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("\"daemon\":true"))
    }
}
