//! No heap in the loop: a build with a counting allocator says how often it was asked, after the start, by 10,000 turns, a
//! census of every kind, trims and flushes on a table that is really full, and by leases and their renewal.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::fill::{HOG, Plan};
use crate::host::{Host, Leashed, Table, count, output_of, timed};
use crate::json::Json;
use crate::paired::Row;
use crate::rows::BUCKETS;
use crate::warden::{Config, Warden};

const TURNS: usize = 10_000;
const MAX: u32 = 262_144;
/// Above the high mark: the daemon trims by itself.
const TOO_MANY: u32 = 250_000;
/// Below it: nobody acts unasked.
const ENOUGH: u32 = 150_000;

pub fn rows(host: &mut Host, program: &Path) -> Outcome<Vec<Row>> {
    let table = host.table(MAX, BUCKETS)?;
    let warden = Warden::new(program, &table, Config { hold_seconds: 0, ..Config::default() })?;
    let request = status_request(&warden, &table)?;
    let mut daemon = warden.start()?;
    let mut rows = Vec::new();
    let mut step = |what: &str, work: &mut dyn FnMut(&mut Leashed) -> Outcome<()>| -> Outcome<()> {
        let before = allocations(&warden)?;
        work(&mut daemon)?;
        let more = allocations(&warden)?.saturating_sub(before);
        rows.push(Row::limit(&format!("heap allocations, {what}"), String::new(), more.to_string(), "0", more == 0));
        Ok(())
    };
    step("idle for 11 s (two slow turns)", &mut |_| {
        sleep(Duration::from_secs(11));
        Ok(())
    })?;
    step("10,000 turns", &mut |_| (0..TURNS).try_for_each(|_| turn(&warden, &request)))?;
    step("census, sampled and exact, by each key", &mut |_| {
        Plan::shares(ENOUGH).fill()?;
        for by in ["source", "prefix", "destination", "state"] {
            timed(&mut warden.call(&["top", "--by", by]))?;
            timed(&mut warden.call(&["top", "--by", by, "--exact", "-n", "20"]))?;
        }
        Ok(())
    })?;
    step("history and metrics, as text and as JSON", &mut |_| {
        for what in [&["history"][..], &["history", "--span", "24h"], &["metrics"]] {
            timed(&mut warden.call(what))?;
            timed(&mut warden.call(&[what, &["--json"]].concat()))?;
        }
        Ok(())
    })?;
    step("trims asked for", &mut |_| {
        let hog = HOG.to_string();
        for how in [&["--only", "unreplied"], &["--only", "closing"], &["--only", "idle"], &["--source", hog.as_str()]]
        {
            Plan::shares(ENOUGH).fill()?;
            timed(&mut warden.call(&[&["trim"], how.as_slice()].concat()))?;
            if count()? >= ENOUGH {
                return Err(format!("trim {} deleted nothing", how.join(" ")));
            }
        }
        Ok(())
    })?;
    step("trim unasked, table 95 % full", &mut |_| {
        Plan::shares(TOO_MANY).fill_quickly()?;
        for _ in 0..100 {
            if count()? <= MAX / 100 * 61 {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        Err(format!("still {} entries after 10 s", count()?))
    })?;
    step("flush", &mut |_| {
        Plan::shares(ENOUGH).fill()?;
        timed(&mut warden.call(&["flush"]))?;
        if count()? == 0 { Ok(()) } else { Err(format!("flush left {} entries", count()?)) }
    })?;
    daemon.end(Signal::SIGTERM)?;
    rows.extend(leases(program, &table)?);
    Ok(rows)
}

/// An owner's firewall, which the LAN gets through.
const FIREWALL: &str = "ip link add br-lan type veth peer name far; ip link set far up; ip link set br-lan up; ip address add 10.77.0.1/24 dev br-lan
nft 'table inet owner { chain input { type filter hook input priority filter; policy drop; iifname br-lan accept; }; }'";
const NO_FIREWALL: &str = "nft delete table inet owner; ip link delete br-lan";
/// A lease's term, and when it is renewed: src/lease/mod.rs.
const TERM_S: u64 = 30;
const RENEWED_AFTER: Duration = Duration::from_secs(10);
const CONFIG: &str = "\toption backend 'nft'\n\toption open_scope 'all'\n\tlist lan 'br-lan'\n";

/// The same with a lifeline in force, a host slowed down, everything open, and all of it renewed.
fn leases(program: &Path, table: &Table) -> Outcome<Vec<Row>> {
    shell(FIREWALL)?;
    let done = leases_behind_it(program, table);
    shell(NO_FIREWALL)?;
    done
}

fn leases_behind_it(program: &Path, table: &Table) -> Outcome<Vec<Row>> {
    let warden = Warden::new(program, table, Config { more: CONFIG, ..Config::default() })?;
    let request = status_request(&warden, table)?;
    let mut daemon = warden.start()?;
    let mut rows = Vec::new();
    let mut step = |what: &str, work: &dyn Fn() -> Outcome<()>| -> Outcome<()> {
        let before = allocations(&warden)?;
        work()?;
        let more = allocations(&warden)?.saturating_sub(before);
        rows.push(Row::limit(&format!("heap allocations, {what}"), String::new(), more.to_string(), "0", more == 0));
        Ok(())
    };
    step("lifeline in force, 6 s and 1,000 turns", &|| {
        shows(&warden, "lifeline    on")?;
        sleep(Duration::from_secs(6));
        (0..TURNS / 10).try_for_each(|_| turn(&warden, &request))
    })?;
    step("a host slowed down, everything open", &|| {
        timed(&mut warden.call(&["shed", "10.9.0.7", "--for", "120"]))?;
        timed(&mut warden.call(&["open", "--scope", "all", "--for", "120"]))?;
        shows(&warden, "1 slowed down")?;
        shows(&warden, "\nopen ")?;
        (0..TURNS / 10).try_for_each(|_| turn(&warden, &request))
    })?;
    step("both renewed twice", &|| {
        for _ in 0..2 {
            sleep(RENEWED_AFTER + Duration::from_millis(1_500));
        }
        // The cap's element, and those that everything is open by.
        for set in ["ctwarden_shed4", "ctwarden_all"] {
            let left = shell(&format!(
                "nft list ruleset | sed -n '/set {set} /,/}}/s/.*expires \\([0-9]*\\)s.*/\\1/p' | head -1"
            ))?;
            let left: u64 = left.trim().parse().map_err(|_| format!("{set}: no lease: {left:?}"))?;
            // Not renewed, at most 7 would be left; renewed, 20 at least, less what these calls take.
            if left < TERM_S / 2 {
                return Err(format!("{set}: {left} s left: not renewed"));
            }
        }
        Ok(())
    })?;
    step("closed", &|| {
        timed(&mut warden.call(&["close"]))?;
        (0..TURNS / 10).try_for_each(|_| turn(&warden, &request))
    })?;
    daemon.end(Signal::SIGTERM)?;
    Ok(rows)
}

fn shell(script: &str) -> Outcome<String> {
    output_of(std::process::Command::new("sh").args(["-euc", script]))
}

/// Whether `status` has this in it.
fn shows(warden: &Warden, part: &str) -> Outcome<()> {
    let status = output_of(&mut warden.call(&["status"]))?;
    if status.contains(part) { Ok(()) } else { Err(format!("status does not show {part:?}: {status}")) }
}

/// `allocations` of `status --json`: asked of the allocator since the loop began.
fn allocations(warden: &Warden) -> Outcome<u64> {
    let status = warden.status()?;
    let number = status.find("allocations").and_then(Json::number);
    let number = number.ok_or("status --json has no number `allocations`: is it the build that counts?")?;
    Ok(number as u64)
}

/// The bytes of a status request, heard by standing in for the daemon once: 10,000 turns need no 10,000 processes.
fn status_request(warden: &Warden, table: &Table) -> Outcome<Vec<u8>> {
    let path = table.scratch("listen.sock");
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    let listener = UnixListener::bind(&path).map_err(fault)?;
    let mut asking = std::process::Command::new(&warden.program);
    asking.args(["status", "--json", "--socket"]).arg(&path);
    asking.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut asking = asking.spawn().map_err(|e| format!("{}: {e}", warden.program.display()))?;
    let (mut connection, _) = listener.accept().map_err(fault)?;
    std::fs::remove_file(&path).map_err(fault)?;
    connection.set_read_timeout(Some(Duration::from_millis(300))).map_err(fault)?;
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    // It waits for an answer then: what has come until nothing more comes is the request.
    while let Ok(n @ 1..) = connection.read(&mut piece) {
        request.extend_from_slice(&piece[..n]);
    }
    drop(connection);
    let _ = asking.wait();
    if request.is_empty() { Err("status --json sends no request".into()) } else { Ok(request) }
}

/// One turn of the loop: a status request, answered.
fn turn(warden: &Warden, request: &[u8]) -> Outcome<()> {
    let ask = || -> std::io::Result<usize> {
        let mut connection = UnixStream::connect(&warden.socket)?;
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        connection.write_all(request)?;
        connection.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)
    };
    match ask() {
        Ok(1..) => Ok(()),
        Ok(_) => Err("a status request was not answered".into()),
        Err(e) => Err(format!("{}: {e}", warden.socket.display())),
    }
}
