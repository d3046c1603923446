//! `trim --source` and `trim --only`: exactly those named, whichever way the kernel is asked.

use nix::sys::signal::Signal;

use super::trim::{in_zone, subject};
use crate::Outcome;
use crate::checks::Checks;
use crate::ctnetlink::{Flow, Zone};
use crate::entries::{ICMP, Key, established, make_only, read, stream, syn_sent, time_wait, unreplied, v4, v6};
use crate::subject::{Ran, Subject, run};
use crate::world::World;

/// Every kind of entry, of one source.
fn kinds(source: std::net::IpAddr, base: u32) -> Vec<Flow> {
    let mut flows: Vec<_> = (base..base + 20).map(|n| established(source, n, 0)).collect();
    flows.extend((base + 20..base + 40).map(|n| established(source, n, 3_600)));
    flows.extend((base + 40..base + 60).map(|n| stream(source, n, 0)));
    flows.extend((base + 60..base + 80).map(|n| stream(source, n, 3_600)));
    flows.extend((base + 80..base + 100).map(|n| unreplied(source, n, 0)));
    flows.extend((base + 100..base + 120).map(|n| unreplied(source, n, 3_600)));
    flows.extend((base + 120..base + 140).map(|n| syn_sent(source, n, 0)));
    flows.extend((base + 140..base + 160).map(|n| time_wait(source, n, 0)));
    flows.extend((base + 160..base + 180).map(|n| time_wait(source, n, 3_600)));
    if source.is_ipv4() {
        flows.extend((base + 180..base + 200).map(|n| Flow { protocol: ICMP, ..unreplied(source, n, 0) }));
    }
    flows
}

/// Which of [`kinds`], by the number of the flow.
fn number(flow: &Flow) -> u32 {
    (u32::from(flow.source_port) - 1_024) % 200
}
/// Picks some of them.
type Pick = fn(&Flow) -> bool;

fn is_unreplied(flow: &Flow) -> bool {
    matches!(number(flow), 80..140 | 180..200)
}
fn is_closing(flow: &Flow) -> bool {
    matches!(number(flow), 140..180)
}
fn is_idle(flow: &Flow) -> bool {
    matches!(number(flow), 20..40 | 60..80 | 100..120 | 160..180)
}

/// Makes `flows`, trims by `how`, and checks that exactly those that `goes` picks are gone.
fn exactly(
    t: &mut Checks,
    what: &str,
    flows: &[Flow],
    how: impl FnOnce() -> Outcome<Ran>,
    goes: impl Fn(&Flow) -> bool,
) -> Outcome<()> {
    make_only(flows)?;
    let ran = how()?;
    let after = read()?;
    let stays = |f: &&Flow| after.contains_key(&Key::from(*f));
    let wrongly_gone = flows.iter().filter(|f| !goes(f) && !stays(f)).count();
    let wrongly_there = flows.iter().filter(|f| goes(f) && stays(f)).count();
    t.equal(
        &format!("{what} (exit code, wrongly gone, wrongly there)"),
        (ran.code, wrongly_gone, wrongly_there),
        (0, 0, 0),
    );
    Ok(())
}

/// The same call with its netlink requests written to a file; what was asked.
fn traced(subject: &Subject, no_filter: Option<&str>, arguments: &[&str]) -> Outcome<(Ran, String)> {
    let trace = subject.path("trace");
    let name = trace.to_str().unwrap_or_default();
    let mut command = subject.command(&["strace", "-q", "-o", name, "-e", "trace=sendto"], arguments)?;
    if let Some(which) = no_filter {
        command.env("CTWARDEN_NO_FILTER", which);
    }
    let ran = run(&mut command)?;
    let text = std::fs::read_to_string(&trace).map_err(|e| format!("{name}: {e}"))?;
    Ok((ran, text))
}

const DUMP: &str = "IPCTNL_MSG_CT_GET";

/// `--only unreplied` by a filter of the kernel, which is tried first; and where the kernel does not have it.
fn by_status(subject: &Subject, t: &mut Checks, flows: &[Flow]) -> Outcome<()> {
    for (no_filter, dumps) in [(None, 1), (Some("status"), 2)] {
        let mut trace = String::new();
        let how = || {
            let (ran, text) = traced(subject, no_filter, &["trim", "--only", "unreplied"])?;
            trace = text;
            Ok(ran)
        };
        let kernel = if no_filter.is_some() { "does not filter" } else { "filters" };
        exactly(t, &format!("--only unreplied where the kernel {kernel} by status"), flows, how, is_unreplied)?;
        let what = format!("where it {kernel}: dumps, the one that tries it and that of the table");
        t.equal(&what, trace.lines().filter(|l| l.contains(DUMP)).count(), dumps);
        // The request without a tuple; of those it does not know, an older kernel would take all for it.
        let whole = trace.matches("nlmsg_len=36, nlmsg_type=NFNL_SUBSYS_CTNETLINK<<8|IPCTNL_MSG_CT_DELETE").count();
        t.equal(&format!("where it {kernel}: deletions of all with a status"), whole, 2 - dumps);
    }
    Ok(())
}

pub fn asked(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = subject(world, "asked")?;
    let mut flows = kinds(v4(10, 9, 0, 1), 0);
    flows.extend(kinds(v4(10, 9, 0, 2), 0));
    flows.extend(kinds(v6(1, 1), 0));
    flows.extend(kinds(v6(1, 2), 200));
    flows.extend(kinds(v6(2, 1), 0));
    let first = |f: &Flow| f.source == v4(10, 9, 0, 1);
    let source = ["trim", "--source", "10.9.0.1"];

    let mut trace = String::new();
    let mut keeping = |(ran, text)| {
        trace = text;
        ran
    };
    exactly(t, "--source of IPv4", &flows, || traced(&subject, None, &source).map(&mut keeping), first)?;
    t.check("by the kernel's filter: the table is not read", !trace.contains(DUMP), || trace.clone());
    let mut keeping = |(ran, text)| {
        trace = text;
        ran
    };
    exactly(
        t,
        "--source without the filter",
        &flows,
        || traced(&subject, Some("1"), &source).map(&mut keeping),
        first,
    )?;
    t.check("by reading the table", trace.contains(DUMP), || trace.clone());

    let six = |f: &Flow| f.source == v6(1, 1) || f.source == v6(1, 2);
    let by_six = ["trim", "--source", "fd00:9:0:1::77"];
    exactly(t, "--source of IPv6: all of that /64 and nobody else's", &flows, || subject.call(&by_six), six)?;
    let absent = ["trim", "--source", "fd00:9:0:3::1"];
    exactly(t, "--source of a /64 that holds nothing", &flows, || subject.call(&absent), |_| false)?;
    let absent = ["trim", "--source", "10.9.0.77"];
    exactly(t, "--source of a host that holds nothing", &flows, || subject.call(&absent), |_| false)?;

    let only: [(&str, Pick); 3] = [("unreplied", is_unreplied), ("closing", is_closing), ("idle", is_idle)];
    for (kind, goes) in only {
        let call = ["trim", "--only", kind];
        exactly(t, &format!("--only {kind}"), &flows, || subject.call(&call), goes)?;
        exactly(
            t,
            &format!("--only {kind} without the filter"),
            &flows,
            || Ok(traced(&subject, Some("1"), &call)?.0),
            goes,
        )?;
        let call = ["trim", "--only", kind, "--source", "10.9.0.1"];
        exactly(t, &format!("--only {kind} of one source"), &flows, || subject.call(&call), |f| first(f) && goes(f))?;
    }
    by_status(&subject, t, &flows)?;
    let daemon = subject.start()?;
    exactly(t, "by the daemon: --source of IPv4", &flows, || subject.call(&source), first)?;
    exactly(t, "by the daemon: --source of IPv6", &flows, || subject.call(&by_six), six)?;
    for (kind, goes) in only {
        exactly(t, &format!("by the daemon: --only {kind}"), &flows, || subject.call(&["trim", "--only", kind]), goes)?;
    }
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.lines("none of that is a fault", &log, "skipped", 0);
    t.lines("and each line says what came of it", &log, "nothing could go", 0);

    // The same tuples in and out of zones: those of a zone are found, and their twins are not touched.
    for zone in [Zone::Both(7), Zone::Original(7)] {
        let mut flows: Vec<_> = (0..200).map(|n| in_zone(time_wait(v4(10, 9, 0, 1), n, 100), zone)).collect();
        flows.extend((0..200).map(|n| established(v4(10, 9, 0, 1), n, 0)));
        flows.extend((0..200).map(|n| in_zone(established(v6(1, 1), n, 0), zone)));
        let call = ["trim", "--only", "closing"];
        let what = format!("entries in a zone ({zone:?}) are deleted, their twins outside are not");
        exactly(t, &what, &flows, || subject.call(&call), |f| f.zone == zone && f.source == v4(10, 9, 0, 1))?;
        let what = format!("--source takes those in a zone ({zone:?}) too");
        exactly(t, &what, &flows, || subject.call(&by_six), |f| f.source == v6(1, 1))?;
        exactly(t, &format!("{what}, by the filter"), &flows, || subject.call(&source), first)?;
    }
    Ok(())
}
