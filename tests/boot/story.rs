//! What happens on the machine, in order, and what must be seen of it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::checks::Checks;
use crate::machine::{self, until};
use crate::router::{HOG, NEIGHBOURHOOD, NEIGHBOURS, Router};
use crate::subject::{Daemon, PATIENCE, call, configure};
use crate::table::{self, Limits, count, limits};

/// A config with these lines in `main`, whose table is of this size and may grow to that one.
fn config(main: &str, max: u32, ceiling: u32) -> String {
    format!(
        "config ctwarden 'main'\n{main}config sizing 'sizing'\n\toption max '{max}'\n\toption floor '1024'\n\
         \toption ceiling '{ceiling}'\n\toption enforce '1'\n"
    )
}

/// What a reader compares machines by.
#[derive(Default)]
struct Figures {
    memory_mib: u32,
    found: u32,
    sized: u32,
    census_ms: u128,
    trim_ms: u128,
    blind_us: u32,
    resident_kib: u32,
    anonymous_kib: u32,
}

const WATCH: &str = "\toption policy 'watch'\n";
const GROW: &str = "\tlist ladder 'grow'\n";
const TRIM: &str = "\tlist ladder 'trim'\n";
const FLUSH: &str = "\tlist ladder 'flush'\n\toption hold '2'\n";

pub fn tell(t: &mut Checks) -> Outcome<()> {
    machine::mount_all()?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut f = Figures { memory_mib: machine::memory_mib(), ..Figures::default() };
    println!("     Linux {}, {} MiB, up after {} s", release.trim(), f.memory_mib, machine::uptime());

    let daemon = Daemon::start(false)?;
    let (found, entries, mut router) = appears(t, &daemon)?;
    (f.found, f.sized) = (found.max, entries);
    router.settle()?;
    filled(t, &daemon, &mut router, &mut f)?;
    relieved(t, &daemon, &mut router, &mut f)?;
    let flushed = call(&["flush", "--json"])?;
    t.check("flush: the command says that it is done", flushed.code == 0, &flushed.err);
    t.at_most("flush: entries left in the table", count()?, 10, "");
    let (success, took) = daemon.end()?;
    t.check("SIGTERM: it ends with success", success, &format!("{} ms", took.as_millis()));
    let left = limits()?;
    t.check("SIGTERM: the limits are as they were found", left == found, &left.to_string());

    by_the_log(t, &mut router)?;
    unloaded(t, &mut router)?;
    println!(
        "row  {:>4} MiB {:>6} -> {:<6} {:>6} ms {:>6} ms {:>6} ms {:>5} KiB {:>5} KiB",
        f.memory_mib,
        f.found,
        f.sized,
        f.census_ms,
        f.trim_ms,
        f.blind_us / 1_000,
        f.resident_kib,
        f.anonymous_kib
    );
    Ok(())
}

/// The module comes after the daemon: the limits found, the max that it was sized to, and the LAN and WAN there are.
fn appears(t: &mut Checks, daemon: &Daemon) -> Outcome<(Limits, u32, Router)> {
    let is_module = machine::conntrack_is_module();
    t.check("connection tracking is a module, not loaded yet", is_module && !table::there(), "");
    println!("     anonymous KiB at the start: {}", daemon.anonymous());
    let verdict = daemon.status()?.text("verdict")?;
    t.check("the daemon says blind meanwhile", verdict == "blind", &verdict);
    let planned = call(&["size", "--json"])?;
    let planned = Limits { max: planned.number("max")?, buckets: planned.number("buckets")? };

    let began = Instant::now();
    machine::load_conntrack()?;
    let found = limits()?;
    println!("     the kernel's own: {found}");
    let router = Router::new()?;
    daemon.says("connection tracking is there")?;
    println!("     seen {} ms after it was loaded", began.elapsed().as_millis());
    let _ = until("sized", PATIENCE, || Ok((limits()? == planned).then_some(())));
    let sized = limits()?;
    t.check("sized by its RAM to what `size` said before", sized == planned, &sized.to_string());
    let before = daemon.status()?.number("max_before")?;
    t.equal("status knows what max was", before, found.max);
    for line in daemon.log().iter().filter(|l| l.contains(" set from ")) {
        println!("     {line}");
    }
    fs::write("/dev/kmsg", "nf_conntrack: nf_conntrack: table full, dropping packet").map_err(|e| e.to_string())?;
    sleep(Duration::from_millis(200));
    let status = daemon.status()?;
    let (verdict, refused) = (status.text("verdict")?, status.number("refused")?);
    t.check("a line that a program writes into the log is none", verdict == "calm" && refused == 0, &verdict);
    Ok((found, sized.max, router))
}

/// A daemon that only watches, and a table filled to the last entry.
fn filled(t: &mut Checks, daemon: &Daemon, router: &mut Router, f: &mut Figures) -> Outcome<()> {
    let entries = f.sized;
    for max in [entries - 1_000, entries] {
        daemon.renew(&config(WATCH, max, entries))?;
        t.equal("a reload with another size sets it", limits()?.max, max);
    }
    let began = Instant::now();
    router.flood(entries - u32::from(NEIGHBOURS))?;
    let took = began.elapsed().as_millis().max(1) as u32;
    let rate = (entries * 1_000).checked_div(took).unwrap_or(0);
    println!("     {entries} connections in {took} ms, {rate} a second");
    router.flood(200)?;
    t.at_least("the table is full", count()?, entries);
    t.at_least("and the kernel refuses packets", table::refused()?, 100);
    let status = daemon.says("refused").and_then(|_| daemon.status())?;
    t.at_least("the daemon has seen refusals", status.number("refused")?, 1);

    // What is promised of a router with a 24Kf and 128 MB; of those, the kernel's own memory leaves 110.
    if cfg!(target_arch = "mips") && f.memory_mib >= 100 {
        t.at_least("128 MB on MIPS: the table that is full is a large one", count()?, 16_000);
    }

    let hog = HOG.to_string();
    let held = table::held_by(&hog)?;
    for (exact, arguments) in [(false, &["top", "--json"][..]), (true, &["top", "--exact", "--json"])] {
        let began = Instant::now();
        let top = call(arguments)?;
        f.census_ms = began.elapsed().as_millis();
        let (key, counted, error) = top.largest()?;
        let off = counted.abs_diff(held);
        let word = if exact { "exact" } else { "sampled" };
        let may = if exact { 0 } else { entries * error * 4 / 10_000 + entries / 200 };
        t.check(
            &format!("census, {word}: the largest holder and what it holds"),
            key == hog && off <= may,
            &format!("{key} {counted} of {held}, in {} ms", f.census_ms),
        );
    }
    Ok(())
}

/// Grow, which kills nothing; then trim, down to the low mark; and what that took.
fn relieved(t: &mut Checks, daemon: &Daemon, router: &mut Router, f: &mut Figures) -> Outcome<()> {
    let entries = f.sized;
    let ceiling = entries + entries / 4;
    daemon.renew(&config(GROW, entries, ceiling))?;
    println!("     {}", daemon.says("grow max to")?);
    t.equal("grow: max is raised to the ceiling", limits()?.max, ceiling);
    t.at_least("grow: nobody is evicted", count()?, entries);
    router.flood(ceiling - entries)?;
    t.at_least("grow: what it makes room for comes in", count()?, ceiling - ceiling / 50);

    let began = Instant::now();
    daemon.renew(&config(TRIM, entries, ceiling))?;
    let low = ceiling / 10 * 6;
    let trimmed = daemon.says("trim: ")?;
    println!("     {trimmed}");
    let _ = until("the low mark", PATIENCE, || Ok((count()? <= low + low / 20).then_some(())));
    f.trim_ms = began.elapsed().as_millis();
    t.at_most("trim: entries, low mark and 5 %", count()?, low + low / 20, "");
    t.at_least("trim: and no more than that are taken", count()?, low - low / 20);
    t.equal("trim: of the quiet neighbours' connections are left", table::held_by(NEIGHBOURHOOD)?, NEIGHBOURS.into());

    let status = daemon.status()?;
    f.blind_us = status.number("longest_blind_us")?;
    (f.resident_kib, f.anonymous_kib) = (daemon.kib("VmRSS")?, daemon.kib("RssAnon")?);
    t.at_most("the longest time without a look at the log", f.blind_us, 1_000_000, " us");
    t.at_most("memory resident after relief", f.resident_kib, 1_024, " KiB");
    t.at_most("of it anonymous", f.anonymous_kib, 256, " KiB");
    println!("     anonymous KiB: {}", daemon.anonymous());
    let log = call(&["log", "--json"])?;
    t.at_least("the incident log tells of the grow", log.number("grows")?, 1);
    t.at_least("and of the trim", log.number("trims")?, 1);
    Ok(())
}

/// A daemon that cannot read the kernel's counters: what it knows of refusals is in the log.
fn by_the_log(t: &mut Checks, router: &mut Router) -> Outcome<()> {
    const MAX: u32 = 2_048;
    configure(&config(FLUSH, MAX, MAX))?;
    let daemon = Daemon::start(true)?;
    t.equal("started after the module, it sizes at once", limits()?.max, MAX);
    let began = Instant::now();
    const FLUSHED: &str = " entries in ";
    while daemon.said(FLUSHED).is_none() && began.elapsed() < PATIENCE {
        router.flood(64)?;
    }
    let left = count()?;
    let said = |part| daemon.said(part).unwrap_or_default();
    let saturated = said("-> saturated");
    t.check("by the log alone: saturated, packets refused", saturated.contains("packets refused"), &saturated);
    t.check("by the log alone: the ladder flushes", !said(FLUSHED).is_empty(), &said(FLUSHED));
    t.at_most("and the table is empty but for what came since", left, MAX / 2, " entries");
    daemon.end().map(drop)
}

/// What is unloaded here: the first goes first.
const UNLOADED: [&str; 2] = ["nf_conntrack_netlink", "nf_conntrack"];

/// No rule holds connection tracking here: it is unloaded, and loaded again by whoever comes next.
fn unloaded(t: &mut Checks, router: &mut Router) -> Outcome<()> {
    const RECORD: &str = "/var/run/ctwarden/unloaded";
    machine::install_loader()?;
    configure(&config(WATCH, 2_048, 2_048))?;
    let loaded = || UNLOADED.map(machine::is_loaded);
    let seen = || loaded().map(|there| if there { "there" } else { "gone" }).join(", ");
    let unload = |t: &mut Checks, by: &str| -> Outcome<()> {
        let ran = call(&["unload"])?;
        t.check(&format!("unload, {by}: it says that it is done"), ran.code == 0, &format!("{} {}", ran.out, ran.err));
        let gone = loaded() == [false; 2] && !table::there();
        t.check(&format!("unload, {by}: the modules are gone, and the table"), gone, &seen());
        let record = fs::read_to_string(RECORD).unwrap_or_default();
        let kept = record.lines().eq(UNLOADED);
        t.check(&format!("unload, {by}: and it is written down which"), kept, &record.replace('\n', " "));
        Ok(())
    };
    let back = |t: &mut Checks, by: &str| {
        let there = loaded() == [true; 2] && table::there();
        t.check(&format!("unload: loaded again by {by}"), there, &seen());
        let kept = fs::exists(RECORD).unwrap_or(true);
        t.check(&format!("unload: nothing is written down any more after {by}"), !kept, RECORD);
    };

    router.flood(512)?;
    let holding = machine::hold_ctnetlink()?;
    let ran = call(&["unload"])?;
    let named = format!("{} {}", ran.out, ran.err).contains("nf_conntrack_netlink is in use, count 1");
    t.check(
        "unload: a module that something holds is named",
        ran.code == 5 && named,
        &format!("{} {}", ran.out, ran.err),
    );
    t.check("unload: and all stay", loaded() == [true; 2] && table::there(), &seen());
    t.check("unload: nothing is written down", !fs::exists(RECORD).unwrap_or(true), RECORD);
    drop(holding);

    unload(t, "no daemon")?;
    let ran = call(&["back"])?;
    t.check("back: it says that it is done", ran.code == 0, &format!("{} {}", ran.out, ran.err));
    back(t, "`back`");

    let daemon = Daemon::start(false)?;
    unload(t, "a daemon beside")?;
    t.check("SIGTERM with modules out: it ends with success", daemon.end()?.0, "");
    back(t, "the end of a daemon");

    let daemon = Daemon::start(false)?;
    unload(t, "a daemon that is killed")?;
    daemon.kill()?;
    t.check("kill -9 alone loads nothing", loaded() == [false; 2], &seen());
    let daemon = Daemon::start(false)?;
    let _ = until("loaded again", PATIENCE, || Ok((loaded() == [true; 2]).then_some(())));
    back(t, "the start after kill -9");
    let verdict = until("the table is seen", PATIENCE, || {
        Ok(Some(daemon.status()?.text("verdict")?).filter(|verdict| verdict != "blind"))
    })?;
    t.check("and the daemon sees the table", verdict == "calm", &verdict);
    daemon.end().map(drop)
}
