//! Trim by water level: what goes, what stays, and that nothing else is touched.

use std::net::IpAddr;

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::ctnetlink::{Flow, Zone};
use crate::entries::{
    self, ASSURED, Entries, Key, established, make_only, read, stream, syn_sent, time_wait, unreplied, v4, v6,
};
use crate::host::count;
use crate::subject::{PATIENCE, Subject, until};
use crate::world::{World, limits};

/// Of a max of 17,500: relief from 3,500 entries on, down to 1,750. A table this small is read whole, so numbers are exact.
const MARKS: &str = "config ctwarden 'main'\n\tlist ladder 'trim'\n\toption high '20'\n\toption low '10'\n";

/// Three hogs, and a household around them.
fn hogs_and_others() -> Vec<Flow> {
    let mut flows = Vec::new();
    flows.extend((0..2_000).map(|n| established(v4(10, 9, 0, 1), n, 10 + n)));
    // A /64 is one holder, however many addresses it takes.
    flows.extend((0..900).map(|n| stream(v6(1, (n % 90 + 1) as u16), n, 10 + n)));
    flows.extend((0..600).map(|n| unreplied(v4(10, 9, 0, 3), n, 10 + n)));
    for host in 1..=5 {
        flows.extend((0..50).map(|n| established(v4(10, 20, 0, host), n, 3_600)));
    }
    flows.extend((0..120).map(|n| syn_sent(v4(10, 30, 0, (n % 2) as u8 + 1), n, 0)));
    flows.extend((0..30).map(|n| time_wait(v4(10, 20, 0, 1), 100 + n, 5)));
    flows
}

/// Entries of those that `whose` picks.
fn held(entries: &Entries, whose: impl Fn(&Key) -> bool) -> usize {
    entries.keys().filter(|k| whose(k)).count()
}

fn of(source: IpAddr) -> impl Fn(&Key) -> bool {
    move |key| key.source == source
}

fn within(net: u16) -> impl Fn(&Key) -> bool {
    move |key| matches!(key.source, IpAddr::V6(a) if a.segments()[..4] == [0xfd00, 9, 0, net])
}

/// What a trim of [`hogs_and_others`] must have left: all closing ones go, and the rest of the way the hogs pay alone, down
/// to 460 each: 3 × 460 + 370 = 1,750.
fn expect_level(t: &mut Checks, by: &str, before: &Entries, after: &Entries) {
    let closing = |k: &Key| k.source == v4(10, 20, 0, 1) && k.source_port >= 1_124;
    t.equal(&format!("{by}: down to the low mark, exactly"), after.len(), 1_750);
    t.equal(&format!("{by}: what is closing goes first"), held(after, closing), 0);
    let household = [1, 2, 3, 4, 5].map(|host| held(after, |k| of(v4(10, 20, 0, host))(k)));
    t.equal(&format!("{by}: light holders keep all, however idle"), household, [50; 5]);
    t.equal(
        &format!("{by}: handshakes in flight stay"),
        held(after, |k| matches!(k.source, IpAddr::V4(a) if a.octets()[1] == 30)),
        120,
    );
    let hogs = [held(after, of(v4(10, 9, 0, 1))), held(after, within(1)), held(after, of(v4(10, 9, 0, 3)))];
    t.equal(&format!("{by}: the hogs come down to one level, IPv6 by /64"), hogs, [460; 3]);
    // A second's difference may be lost in rounding.
    let hog = |k: &Key| k.source == v4(10, 9, 0, 1);
    let least_kept = after.iter().filter(|(k, _)| hog(k)).map(|(_, e)| e.left).min().unwrap_or(0);
    let most_gone = before.iter().filter(|(k, _)| hog(k) && !after.contains_key(*k)).map(|(_, e)| e.left).max();
    t.check(
        &format!("{by}: of a hog the longest idle go first"),
        most_gone.is_some_and(|gone| gone <= least_kept + 1),
        || format!("one with {most_gone:?} s left went, one with {least_kept} s stayed"),
    );
    let same = after.iter().all(|(k, e)| before.get(k).is_some_and(|b| b.id == e.id));
    t.check(&format!("{by}: what stays is the same entries"), same, || "other ids".into());
}

pub fn trim(world: &World, t: &mut Checks) -> Outcome<()> {
    let max = limits()?.max;
    if max != 17_500 {
        return Err(format!("max is {max}: these numbers are made for 17,500"));
    }
    let subject = world.subject("trim", MARKS)?;
    make_only(&hogs_and_others())?;
    let before = read()?;
    let ran = subject.call(&["trim", "--json"])?;
    t.equal(
        "`trim` without a daemon does it",
        (ran.code, ran.number("before")?, ran.number("after")?),
        (0, 3_900, 1_750),
    );
    expect_level(t, "asked", &before, &read()?);

    make_only(&hogs_and_others())?;
    let before = read()?;
    let daemon = subject.start()?;
    until("the daemon trims", PATIENCE, || Ok((count()? <= 1_750).then_some(())))?;
    expect_level(t, "daemon", &before, &read()?);
    let ran = subject.call(&["trim", "--json"])?;
    t.equal("at the low mark there is nothing more to trim", (ran.code, ran.number("after")?), (0, 1_750));
    daemon.end(Signal::SIGTERM)?;

    read_only_max(world, t)?;
    sampled(world, t)?;
    depleted(world, t)?;
    protected(world, t)?;
    reborn(world, t)
}

/// Where max belongs to another namespace.
fn read_only_max(world: &World, t: &mut Checks) -> Outcome<()> {
    let config = "config ctwarden 'main'\n\tlist ladder 'grow'\n\tlist ladder 'trim'\n\toption high '20'\n\toption low '10'\n\
                  config sizing 'sizing'\n\toption max '17500'\n\toption buckets '4096'\n";
    let subject = world.subject("read-only", config)?;
    let daemon = subject.start()?;
    for round in 1..=2 {
        make_only(&hogs_and_others())?;
        until("the daemon trims", PATIENCE, || Ok((count()? <= 1_750).then_some(())))
            .map_err(|e| format!("round {round}: {e}: {}", daemon.log().join("\n")))?;
    }
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.lines("where max is read-only, one line says that grow is skipped", &log, "grow is skipped", 1);
    t.check("and trim does the work", count()? <= 1_750, || "it does not".into());

    // Sizing meets the same.
    for (ladder, line) in [
        ("grow", "grow is skipped: the table's sysctls cannot be written here"),
        ("trim", "nf_conntrack_max stays as it is: "),
    ] {
        let config =
            format!("config ctwarden 'main'\n\tlist ladder '{ladder}'\nconfig sizing 'sizing'\n\toption max '30000'\n");
        let subject = world.subject("read-only", &config)?;
        let daemon = subject.start()?;
        let (_, log) = daemon.end(Signal::SIGTERM)?;
        t.lines(&format!("sizing where max is read-only, ladder {ladder}: one line"), &log, line, 1);
        t.lines("and no other complaint", &log, "warning", 1);
    }
    t.equal("nothing is changed", limits()?.max, 17_500);
    Ok(())
}

/// A table too large to be read whole first.
fn sampled(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("sampled", "config ctwarden 'main'\n\tlist ladder 'trim'\n")?;
    make_only(&one_hog())?;
    let daemon = subject.start()?;
    until("the daemon trims", PATIENCE, || Ok((count()? <= 11_000).then_some(())))?;
    let log = daemon.end(Signal::SIGTERM)?.1;
    expect_low(t, "sampled", &log)
}

/// 16,000 entries: more than a sample reads.
fn one_hog() -> Vec<Flow> {
    let mut flows: Vec<_> = (0..11_000).map(|n| established(v4(10, 9, 0, 1), n, 10 + n)).collect();
    for host in 1..=3 {
        flows.extend((0..1_000).map(|n| established(v4(10, 9, 1, host), n, 1_000)));
    }
    for host in 1..=50 {
        flows.extend((0..40).map(|n| established(v4(10, 20, 0, host), n, 3_600)));
    }
    flows
}

/// What a trim of [`one_hog`] must have left: the low mark of 17,500, the hog having paid alone.
fn expect_low(t: &mut Checks, by: &str, log: &[String]) -> Outcome<()> {
    let after = read()?;
    let low = 10_500;
    t.check(&format!("{by}: down to the low mark and not below"), (low..low + 400).contains(&after.len()), || {
        format!("{} entries; {}", after.len(), log.join("\n"))
    });
    let light = held(&after, |k| matches!(k.source, IpAddr::V4(a) if a.octets()[1] == 20));
    t.equal(&format!("{by}: light holders keep all"), light, 2_000);
    let heavy = held(&after, |k| matches!(k.source, IpAddr::V4(a) if a.octets()[..3] == [10, 9, 1]));
    t.equal(&format!("{by}: so do those below the level"), heavy, 3_000);
    Ok(())
}

/// A trim that broke off has deleted from the front only: what is there is no sample any more, and the next one must not
/// go by it.
fn depleted(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("depleted", "config ctwarden 'main'\n\toption policy 'watch'\n")?;
    make_only(&one_hog())?;
    // The sample is some 50 datagrams; then there are 190 of the table, each followed by a look for complaints. Two calls
    // fail, so that one of them is of the table.
    let refuse = [
        "strace",
        "-D",
        "-q",
        "-o",
        "/dev/null",
        "-e",
        "trace=recvfrom",
        "-e",
        "inject=recvfrom:error=ENOMEM:when=260..261",
    ];
    let daemon = subject.start_after(&refuse, &[])?;
    let ran = subject.call(&["trim"])?;
    t.equal("a trim that breaks off is a fault, told in a line", ran.fault(), (1, 1));
    let left = count()?;
    t.check("it stopped in the middle", (12_000..14_500).contains(&left), || format!("{left} entries"));
    const ALL: &str = "all of them read";
    let says = |t: &mut Checks, what: &str, all: bool| -> Outcome<()> {
        let ran = subject.call(&["top"])?;
        t.check(what, ran.code == 0 && ran.out.contains(ALL) == all, || ran.out.clone());
        Ok(())
    };
    says(t, "who holds the table is not told by the front of it", true)?;
    let ran = subject.call(&["trim"])?;
    t.equal("the next one works", ran.code, 0);
    says(t, "after that the front is a sample again", false)?;
    let log = daemon.end(Signal::SIGTERM)?.1;
    expect_low(t, "after one that broke off", &log)
}

/// The protect list: source network, destination with protocol and port, mark.
fn protected(world: &World, t: &mut Checks) -> Outcome<()> {
    let rules = "config protect\n\toption source '10.40.0.0/24'\n\
                 config protect\n\toption destination '198.51.100.0/24'\n\toption proto 'udp'\n\toption port '5060'\n\
                 config protect\n\toption mark '0x10/0xff'\n\
                 config protect\n\toption source 'fd00:9:0:40::/64'\n";
    let config = [MARKS, rules].concat();
    let subject = world.subject("protect", &config)?;
    let call = |n, port| Flow {
        destination: v4(198, 51, 100, 7),
        destination_port: port,
        ..stream(v4(10, 9, 0, 1), n, 2_000)
    };
    let marked = |n, mark| Flow { mark, ..established(v4(10, 9, 0, 1), n, 4_000) };
    let mut flows: Vec<_> = (0..3_000).map(|n| established(v4(10, 9, 0, 1), n, 10 + n)).collect();
    flows.extend((0..300).map(|n| established(v4(10, 40, 0, 9), n, 9_000)));
    flows.extend((3_000..3_100).map(|n| call(n, 5_060)));
    flows.extend((3_100..3_200).map(|n| call(n, 5_061)));
    flows.extend((3_200..3_300).map(|n| marked(n, 0x1210)));
    flows.extend((3_300..3_400).map(|n| marked(n, 0x1211)));
    flows.extend((0..100).map(|n| time_wait(v6(0x40, 1), n, 100)));
    let spared = |k: &Key| {
        let n = u32::from(k.source_port) - 1_024;
        k.source == v4(10, 40, 0, 9)
            || k.source == v6(0x40, 1)
            || (3_000..3_100).contains(&n)
            || (3_200..3_300).contains(&n)
    };
    make_only(&flows)?;
    let daemon = subject.start()?;
    until("the daemon trims", PATIENCE, || Ok((count()? <= 1_750).then_some(())))?;
    daemon.end(Signal::SIGTERM)?;
    let after = read()?;
    t.equal("protected by source network, destination and port, or mark: never evicted", held(&after, spared), 600);
    t.equal("the others make room for them", after.len(), 1_750);
    let not_spared = held(&after, |k| k.source_port >= 1_024 + 3_100 && !spared(k));
    t.equal("another port or mark is not protected", not_spared, 0);

    // The same where the kernel's own filter would not know of it.
    for arguments in
        [&["trim", "--source", "10.9.0.1"][..], &["trim", "--source", "10.40.0.9"], &["trim", "--only", "idle"]]
    {
        make_only(&flows)?;
        let ran = subject.call(arguments)?;
        let after = read()?;
        let what = format!("`{}` spares what is protected", arguments.join(" "));
        t.equal(&what, (ran.code, held(&after, spared)), (0, 600));
    }
    Ok(())
}

/// A flow that ends and begins anew between our look and our deletion has another id, and stays.
fn reborn(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("reborn", MARKS)?;
    let flows: Vec<_> = (0..60).map(|n| time_wait(v4(10, 9, 0, 1), n, 100)).collect();
    make_only(&flows)?;
    // Each thing it sends waits two seconds in front of the kernel.
    let delay =
        ["strace", "-q", "-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=2000000:when=2"];
    let mut trim = subject.command(&delay, &["trim", "--only", "closing"])?;
    let mut trim = trim.stdout(subject.file("out")?).stderr(subject.file("err")?).spawn().map_err(|e| e.to_string())?;
    let strace = trim.id();
    until("the deletion waits to be sent", PATIENCE, || Ok(waiting_to_send(strace).filter(|bytes| *bytes > 1_000)))?;
    let other = Flow { source_port: 1, ..flows[0] };
    entries::delete(|k| k.source_port == flows[0].source_port)?;
    entries::make(&[flows[0], other])?;
    until("trim ends", PATIENCE, || trim.try_wait().map_err(|e| e.to_string()))?;
    let after = read()?;
    let stays = after.contains_key(&Key::from(&flows[0]));
    t.check("a flow reborn meanwhile has another id and stays", stays, || format!("{after:?}"));
    t.equal("and so does one that came meanwhile; the rest is gone", after.len(), 2);
    Ok(())
}

/// How many bytes the child of `strace` is about to send; none if it is at another system call.
fn waiting_to_send(strace: u32) -> Option<usize> {
    let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).ok()?;
    let pid = children.split_whitespace().next()?;
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let mut words = call.split_whitespace();
    (words.next()?.parse() == Ok(nix::libc::SYS_sendto)).then_some(())?;
    usize::from_str_radix(words.nth(2)?.strip_prefix("0x")?, 16).ok()
}

/// The marks of these cases, for others that trim.
pub fn subject<'w>(world: &'w World, name: &str) -> Outcome<Subject<'w>> {
    world.subject(name, MARKS)
}

/// Flows in a zone, of both kinds that there are.
pub fn in_zone(flow: Flow, zone: Zone) -> Flow {
    Flow { status: ASSURED, zone, ..flow }
}
