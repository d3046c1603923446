//! Sizing: written, read back, undone; after a crash; and whose value it is.

use std::fs;

use ctwarden::journal::{Change, Journal, Setting};
use ctwarden::units::Entries;
use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{delete, established, is_ours, make, v4};
use crate::json::Json;
use crate::subject::{Daemon, PATIENCE, Subject, until};
use crate::world::{Limits, World, limits};

/// As an operator left it.
pub const FOUND: Limits = Limits { max: 12_000, buckets: 4_096 };
/// As the config wants it.
pub const WANTED: Limits = Limits { max: 16_384, buckets: 8_192 };
const WATCH: &str = "config ctwarden 'main'\n\toption policy 'watch'\n";
const SIZE: &str = "config sizing 'sizing'\n\toption max '16384'\n\toption buckets '8192'\n";

const LEFT_ALONE: &str = "somebody changed it, left alone";
const PUT_BACK: &str = "put back to";

/// A daemon that sizes and does nothing else.
pub fn config() -> String {
    [WATCH, SIZE].concat()
}

/// The journal as it stands; none: no file.
pub fn journal(subject: &Subject) -> Outcome<Option<Journal>> {
    let path = subject.state().join("journal");
    let Ok(bytes) = fs::read(&path) else { return Ok(None) };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(|e| format!("boot_id: {e}"))?;
    let digits: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
    let boot = u128::from_str_radix(&digits, 16).map_err(|e| format!("boot_id: {e}"))?.to_be_bytes();
    Journal::decode(&bytes, boot).map(Some).map_err(|e| format!("{}: {e:?}", path.display()))
}

fn change(before: u32, ours: u32) -> Option<Change> {
    Some(Change { before: Entries(before), ours: Entries(ours), next: None })
}

/// Waits until the daemon has been up so long, by its own clock.
fn up_for(subject: &Subject, ms: f64) -> Outcome<()> {
    until("the daemon is up for long enough", PATIENCE * 2, || {
        Ok(subject.status()?.find("uptime").and_then(Json::number).filter(|up| *up >= ms).map(drop))
    })
}

pub fn sizing(world: &World, t: &mut Checks) -> Outcome<()> {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        world.set(FOUND)?;
        let subject = world.host_subject("sizing", &config())?;
        let daemon = subject.start()?;
        t.equal("sizing at start is written and read back", limits()?, WANTED);
        let log = daemon.log();
        t.lines("max set is said", &log, "nf_conntrack_max set from 12000 to 16384", 1);
        t.lines("buckets set are said", &log, "nf_conntrack_buckets set from 4096 to 8192", 1);
        let journal_now = journal(&subject)?.ok_or("no journal while the limits are changed")?;
        t.equal("the journal knows max", journal_now.change(Setting::Max).copied(), change(12_000, 16_384));
        t.equal("the journal knows buckets", journal_now.change(Setting::Buckets).copied(), change(4_096, 8_192));
        let text = subject.call(&["status"])?.out;
        t.check("status tells what max was", text.contains("was 12,000 before ctwarden"), || text);
        let shown = subject.status()?.find("max").and_then(Json::number);
        t.equal("and goes by the new one from the first look on", shown, Some(16_384.0));
        let (how, log) = daemon.end(signal)?;
        t.equal(&format!("{signal} ends it with success"), how.as_str(), "exit status: 0");
        t.equal(&format!("{signal} leaves the limits exactly as found"), limits()?, FOUND);
        t.lines("both going back are said", &log, PUT_BACK, 2);
        let left = [subject.socket(), subject.state().join("journal")].map(|p| p.exists());
        t.equal("neither socket nor journal is left", left, [false, false]);
    }

    let subject = world.host_subject("resized", &config())?;
    let daemon = subject.start()?;
    subject.configure(&config().replace("16384", "20000"))?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.says("config reloaded")?;
    t.equal("HUP with another size sets it", limits()?, Limits { max: 20_000, ..WANTED });
    subject.configure(&config())?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.says_times("config reloaded", 2)?;
    t.equal("and with the former one goes back to that", limits()?, WANTED);
    daemon.end(Signal::SIGTERM)?;
    t.equal("SIGTERM then leaves the limits as found", limits()?, FOUND);

    // By the machine, not by the config: `size` says beforehand what it will be.
    let subject = world.host_subject("sizing-auto", WATCH)?;
    let plan = subject.call(&["size", "--json"])?;
    let planned = Limits { max: plan.number("max")?, buckets: plan.number("buckets")? };
    let daemon = subject.start()?;
    t.equal("sizing by RAM is what `size` said", limits()?, planned);
    daemon.end(Signal::SIGTERM)?;
    t.equal("sizing by RAM is undone", limits()?, FOUND);
    Ok(())
}

pub fn killed(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.host_subject("killed", &config())?;
    let crash = || -> Outcome<()> {
        world.set(FOUND)?;
        subject.start()?.end(Signal::SIGKILL)?;
        let stays = limits()?;
        if stays == WANTED { Ok(()) } else { Err(format!("after kill -9: {stays:?}")) }
    };
    crash()?;
    let daemon = subject.start()?;
    t.equal("after kill -9 the next start resumes", limits()?, WANTED);
    daemon.end(Signal::SIGTERM)?;
    t.equal("after kill -9, start and SIGTERM all is as before the first start", limits()?, FOUND);

    for theirs in [20_000, 13_000] {
        crash()?;
        world.set_max(theirs)?;
        let daemon = subject.start()?;
        let running = limits()?;
        let (_, log) = daemon.end(Signal::SIGTERM)?;
        t.equal(&format!("after kill -9 an operator's {theirs} stays while we run"), running.max, theirs);
        t.equal("and when we stop; buckets go back", limits()?, Limits { max: theirs, ..FOUND });
        t.lines("one line says so", &log, LEFT_ALONE, 1);
    }
    let done = in_use(world, &subject, &crash, t);
    world.initial.within(|| delete(is_ours))?;
    done?;
    every_step(world, &subject, t)
}

/// A resize of the buckets stops all packets meanwhile: never with entries in them, whoever asks for what.
fn in_use(world: &World, subject: &Subject, crash: &dyn Fn() -> Outcome<()>, t: &mut Checks) -> Outcome<()> {
    crash()?;
    world.initial.within(|| make(&(0..2_000).map(|n| established(v4(10, 9, 0, 1), n, 100)).collect::<Vec<_>>()))?;
    let daemon = subject.start()?;
    t.equal("after kill -9, with a table in use: the next start resumes", limits()?, WANTED);
    daemon.signal(Signal::SIGHUP)?;
    daemon.says("config reloaded")?;
    t.equal("and a reload changes nothing", limits()?, WANTED);
    t.lines("the buckets were not resized in between", &daemon.log(), "nf_conntrack_buckets set", 0);
    world.initial.within(|| delete(is_ours))?;
    daemon.end(Signal::SIGTERM)?;
    t.equal("SIGTERM then leaves the limits as found", limits()?, FOUND);
    Ok(())
}

/// Killed at each of the steps that write, one run a step: the next start and stop must find the way back from all of them.
fn every_step(world: &World, subject: &Subject, t: &mut Checks) -> Outcome<()> {
    let mut faults = Vec::new();
    for step in 1.. {
        world.set(FOUND)?;
        let inject = format!("inject=write,fsync,renameat,rename,unlink,unlinkat:signal=KILL:when={step}");
        let trace = "trace=write,fsync,renameat,rename,unlink,unlinkat";
        let before = ["strace", "-D", "-q", "-o", "/dev/null", "-e", trace, "-e", "signal=none", "-e", &inject];
        let mut daemon = subject.launch(&before, &[])?;
        let survived = until("the daemon is killed or answers", PATIENCE, || {
            let ended = daemon.has_ended()?.is_some();
            let answers = || subject.status().is_ok_and(|s| s.find("pid").is_some());
            Ok(if ended { Some(false) } else { answers().then_some(true) })
        })?;
        if survived {
            daemon.end(Signal::SIGKILL)?;
            t.check("it was killed at ten steps and more", step > 10, || format!("{} steps", step - 1));
            break;
        }
        let crashed = limits()?;
        subject.start()?.end(Signal::SIGTERM)?;
        let now = limits()?;
        if now != FOUND {
            faults.push(format!("step {step}: {crashed:?} became {now:?}"));
        }
    }
    t.equal("killed at any step of sizing, the next start and stop find the way back", faults, Vec::new());
    subject.start()?.end(Signal::SIGTERM).map(drop)
}

pub fn drift(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.host_subject("drift", &config())?;
    let started = |limits| -> Outcome<Daemon> {
        world.set(limits)?;
        subject.start()
    };
    let daemon = started(FOUND)?;
    world.set_max(FOUND.max)?;
    daemon.says("fell back to 12000")?;
    let again = until("max is written again", PATIENCE, || Ok(Some(limits()?).filter(|l| *l == WANTED)));
    t.check("a value that fell back, as by a module reload, is written again", again.is_ok(), || format!("{again:?}"));
    world.set_max(20_000)?;
    daemon.says(LEFT_ALONE)?;
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.equal("an operator's max stays when we stop; buckets go back", limits()?, Limits { max: 20_000, ..FOUND });
    t.lines("one line says that it is left alone", &log, LEFT_ALONE, 1);
    t.lines("falling back was said once", &log, "fell back", 1);

    let daemon = started(FOUND)?;
    let theirs = Limits { max: 20_000, buckets: 2_048 };
    world.set(theirs)?;
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.equal("limits changed just before we stop are left alone", limits()?, theirs);
    t.lines("a line each says so", &log, LEFT_ALONE, 2);

    // Where the journal cannot be written nothing is changed: there would be no way back.
    world.set(FOUND)?;
    fs::create_dir_all(subject.state().join("journal.new")).map_err(|e| format!("journal.new: {e}"))?;
    let daemon = subject.start()?;
    up_for(&subject, 11_000.0)?; // two slow looks
    t.equal("without a journal nothing is changed", limits()?, FOUND);
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.check("and that is said once", log.iter().filter(|l| l.contains("warning:")).count() == 1, || log.join("\n"));
    t.lines("with the reason", &log, "the journal cannot be written", 1);
    t.lines("what was not changed has not fallen back either", &log, "fell back", 0);
    t.equal("nor when we stop", limits()?, FOUND);
    Ok(())
}
