//! One trial: one attack, one contender, in namespaces of their own. Its outcome is a row of the table.

use crate::attack::attack;
use crate::contender::{Contender, Running, read_log};
use crate::flows::{self, Report};
use crate::gauges::Gauges;
use crate::keeper::Keeper;
use crate::monitor;
use crate::scenario::Scenario;
use crate::servers::{Servers, Service};
use crate::topology::{LAN_SERVER, LAN_SERVER_PORT, Topology, WAN_SERVER};
use crate::wan::{ROUND_TRIP, TOLERANCE, relay};
use crate::watch::Screen;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Healthy load alone, before: the first half second brings the steady flows up.
const BEFORE: Duration = Duration::from_millis(2000);
/// From the far side's word to the idle flows until the attack's end.
const SPEAK_BEFORE_END: Duration = Duration::from_secs(1);
/// The attack goes on while the last of the neighbour's connections come to their ends.
const AFTER: Duration = Duration::from_millis(1200);

/// What all trials of a run share.
pub struct Setting {
    /// Length of the attack.
    pub attack: Duration,
    pub guard: PathBuf,
    /// A folder for the guard's files.
    pub scratch: PathBuf,
    /// Set by an interrupt from the terminal.
    pub interrupted: &'static AtomicBool,
}

/// Where in a trial we are.
#[derive(Clone, Copy)]
pub struct Stage {
    /// Time since the trial began.
    elapsed: Duration,
    attack: Duration,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.elapsed.checked_sub(BEFORE) {
            None => f.write_str("healthy load alone"),
            Some(into) if into <= self.attack => {
                write!(f, "second {} of {}", (into.as_secs() + 1).min(self.attack.as_secs()), self.attack.as_secs())
            }
            Some(_) => f.write_str("the last ones"),
        }
    }
}

/// What was measured.
pub struct Row {
    pub scenario: &'static Scenario,
    pub contender: Contender,
    pub tried: u64,
    pub connected: u64,
    pub refusals: u64,
    pub peak: u64,
    pub report: Report,
    pub hog_tried: u64,
    pub hog_answered: u64,
    /// The guard's CPU time in thousandths of the attack's.
    pub cpu_permille: Option<u64>,
    pub acts: u64,
    /// What went wrong with the contender itself.
    pub fault: Option<String>,
    /// The attack's length.
    pub seconds: u64,
    pub log: Vec<String>,
}

/// Makes the namespaces, runs the trial and takes everything away again.
///
/// # Errors
/// One clear word, when the lab itself is broken or was interrupted; a guard that fails is no error but a failed row.
pub fn run(
    scenario: &'static Scenario,
    contender: Contender,
    setting: &Setting,
    keeper: &mut Keeper,
    screen: &mut Screen,
) -> Result<Row, String> {
    keeper.set(scenario.max, scenario.max)?;
    let topology = Topology::build()?;
    let gauges = Gauges::default();
    screen.begin(scenario, contender);
    thread::scope(|threads| {
        // On every way out of here the threads end, or the scope would wait for them for ever.
        let _end = StopAtEnd(&gauges);
        let workers = Workers::start(threads, &topology, scenario, &gauges)?;
        let mut running = Running::start(contender, &topology.router, &setting.guard, &setting.scratch)?;
        if let Some(log) = running.log.take() {
            threads.spawn(|| read_log(log, &gauges));
        }
        let begun = Instant::now();
        let mut pause = |until: Instant| -> Result<(), String> {
            while Instant::now() < until {
                if setting.interrupted.load(Relaxed) {
                    return Err("interrupted".into());
                }
                screen.draw(&gauges, Stage { elapsed: begun.elapsed(), attack: setting.attack });
                thread::sleep(Duration::from_millis(20).min(until.saturating_duration_since(Instant::now())));
            }
            Ok(())
        };

        let begin = begun + BEFORE;
        let end = begin + setting.attack;
        pause(begin)?;
        gauges.counting.store(true, Relaxed);
        let cpu_before = running.cpu();
        pause(end - SPEAK_BEFORE_END)?;
        gauges.speak.store(true, Relaxed);
        pause(end)?;
        gauges.counting.store(false, Relaxed);
        let cpu = running.cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
        pause(end + AFTER)?;
        let acts = gauges.acts.get();
        gauges.stop.store(true, Relaxed);
        let report = workers.join()?;
        let fault = running.end().err();
        check_lab(&report)?;

        let log = gauges.log.lock().map(|log| log.iter().cloned().collect()).unwrap_or_default();
        Ok(Row {
            scenario,
            contender,
            tried: gauges.tried.get(),
            connected: gauges.connected.get(),
            refusals: gauges.refusals.get(),
            peak: gauges.peak.get(),
            report,
            hog_tried: gauges.hog_tried.get(),
            hog_answered: gauges.hog_answered.get(),
            cpu_permille: cpu.map(|c| (c.as_micros() * 1000 / setting.attack.as_micros().max(1)) as u64),
            acts,
            fault,
            seconds: setting.attack.as_secs(),
            log,
        })
    })
}

/// The lab's own promises: all flows were there when the attack began, and the WAN was as far away as it says.
fn check_lab(report: &Report) -> Result<(), String> {
    if report.never_up > 0 {
        return Err(format!("the lab is broken: {} of the steady flows never came up", report.never_up));
    }
    let trip = report.round_trip.ok_or("the lab is broken: no connection before the attack")?;
    if trip.abs_diff(ROUND_TRIP) > TOLERANCE {
        return Err(format!(
            "the lab is broken: the WAN is {} ms away, not {}",
            trip.as_millis(),
            ROUND_TRIP.as_millis()
        ));
    }
    Ok(())
}

/// Ends the threads when dropped.
struct StopAtEnd<'a>(&'a Gauges);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}

/// The threads that have something to say in the end.
struct Workers<'s> {
    flows: ScopedJoinHandle<'s, io::Result<Report>>,
    monitor: ScopedJoinHandle<'s, io::Result<()>>,
}

impl<'s> Workers<'s> {
    fn start<'e>(
        threads: &'s thread::Scope<'s, 'e>,
        topology: &'e Topology,
        scenario: &'e Scenario,
        gauges: &'e Gauges,
    ) -> Result<Self, String> {
        let wan_services = [Service::Echo, Service::Download, Service::Idle].map(|s| (s, s.port()));
        let listen = |ns: &crate::netns::Netns, address: std::net::Ipv4Addr, services: &[(Service, u16)]| {
            ns.within(|| Servers::listen(address.into(), services)).map_err(|e| format!("servers: {e}"))
        };
        // The sockets stay in the namespace they were made in, whoever serves them.
        let wan = listen(&topology.wan, WAN_SERVER, &wan_services)?;
        let lan = listen(&topology.lan, LAN_SERVER, &[(Service::Echo, LAN_SERVER_PORT)])?;
        threads.spawn(move || wan.serve(gauges));
        threads.spawn(move || lan.serve(gauges));
        threads.spawn(|| relay(&topology.router_wan, &topology.wan_eth0, gauges));
        threads.spawn(|| attack(scenario.attack, &topology.attackers, &topology.router_wan, gauges));
        Ok(Self {
            flows: threads.spawn(|| topology.lan.enter().and_then(|()| flows::run(&topology.wan, gauges))),
            monitor: threads.spawn(|| topology.router.enter().and_then(|()| monitor::run(gauges))),
        })
    }

    fn join(self) -> Result<Report, String> {
        let panicked = |_| Err(io::Error::other("a thread panicked"));
        self.monitor.join().unwrap_or_else(panicked).map_err(|e| format!("the lab is broken: monitor: {e}"))?;
        self.flows
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            .map_err(|e| format!("the lab is broken: flows: {e}"))
    }
}

/// The folder for one lab's files.
pub fn scratch() -> PathBuf {
    Path::new("/tmp").join(format!("ctwarden-lab-{}", std::process::id()))
}
