//! The kernel's log: a real refusal is noticed at once, a faked one and another namespace's are not; and life without it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::traffic::{Kmsg, brim, namespace, refused_and_logged, track, tracked};
use crate::Outcome;
use crate::checks::Checks;
use crate::ctnetlink::Socket;
use crate::entries::make;
use crate::host::{count, own_path};
use crate::json::Json;
use crate::netns::Netns;
use crate::subject::{PATIENCE, Subject, until};
use crate::world::World;

const WATCH: &str = "config ctwarden 'main'\n\toption policy 'watch'\n";
const TRIM: &str = "config ctwarden 'main'\n\tlist ladder 'trim'\n";

/// An idle table of 17,500 is looked at every 5 s: what is noticed within this was noticed by the log.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The low mark of 17,500 and what a sample may be off by.
const ABOUT_LOW: u32 = 10_500 + 500;

/// Verdict and refusals as of the last look.
fn verdict(subject: &Subject) -> Outcome<(String, f64)> {
    let status = subject.status()?;
    let verdict = status.find("verdict").and_then(Json::text).ok_or("no verdict")?;
    let refused = status.find("refused").and_then(Json::number).ok_or("no refused")?;
    Ok((verdict.to_string(), refused))
}

pub fn log(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("log", WATCH)?;
    tracked(|| lines(&subject, t))
}

fn lines(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    let mut kmsg = Kmsg::at_end()?;
    let own = namespace()?;
    let daemon = subject.start()?;
    for line in [
        "nf_conntrack: table full, dropping packet".to_string(),
        "<4>nf_conntrack: nf_conntrack: table full, dropping packet".to_string(),
        format!("<0>nf_conntrack: nf_conntrack: table full in netns {own}, dropping packet"),
    ] {
        kmsg.write(&line)?;
        kmsg.shows("table full", PATIENCE)?;
        // Answered after the log was looked at, since both were there to be seen.
        verdict(subject)?;
        t.equal(&format!("a program's line does nothing: {line}"), verdict(subject)?, ("calm".into(), 0.0));
    }

    let other = Netns::new()?;
    track(Some(&other))?;
    other.within(|| {
        make(&brim()?)?;
        refused_and_logged(&mut kmsg)?;
        Socket::open()?.flush()
    })?;
    verdict(subject)?;
    t.equal("another namespace's refusal does nothing", verdict(subject)?, ("calm".into(), 0.0));
    t.lines("of none of these a word", &daemon.log(), "->", 1); // blind -> calm, at the start
    daemon.end(Signal::SIGTERM)?;

    let daemon = subject.start()?;
    t.lines("lines from before the start are no evidence", &daemon.log(), "->", 1);
    make(&brim()?)?;
    t.lines("it has not looked since", &daemon.log(), "-> filling", 0);
    refused_and_logged(&mut kmsg)?;
    let began = Instant::now();
    daemon.says("-> filling")?;
    let took = began.elapsed();
    t.check("a real refusal makes it look at once", took < AT_ONCE, || format!("{took:?}"));
    let (_, refused) = verdict(subject)?;
    t.check("and it counts the packets refused", refused >= 1.0, || format!("{refused}"));
    daemon.end(Signal::SIGTERM).map(drop)
}

/// A daemon that could not read for so long that the kernel has thrown away what it had not read.
pub fn overrun(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("overrun", WATCH)?;
    tracked(|| behind(&subject, t))
}

fn behind(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    const FELL_BEHIND: &str = "/dev/kmsg: fell behind";
    let daemon = subject.start()?;
    daemon.signal(Signal::SIGSTOP)?;
    Kmsg::at_end()?.overrun()?;
    t.lines("it has not been behind before", &daemon.log(), FELL_BEHIND, 0);
    daemon.signal(Signal::SIGCONT)?;
    daemon.says(FELL_BEHIND)?;
    t.equal("lines of others, some lost: still calm", verdict(subject)?, ("calm".into(), 0.0));

    let mut kmsg = Kmsg::at_end()?;
    make(&brim()?)?;
    t.lines("it has not looked since", &daemon.log(), "-> filling", 0);
    refused_and_logged(&mut kmsg)?;
    let began = Instant::now();
    daemon.says("-> filling")?;
    let took = began.elapsed();
    t.check("a refusal after that makes it look at once", took < AT_ONCE, || format!("{took:?}"));
    let status = subject.status()?;
    t.equal("the log is still read", status.find("log_readable").cloned(), Some(Json::Word("true".into())));
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.lines("that it fell behind is said once", &log, FELL_BEHIND, 1);
    Ok(())
}

/// /dev/kmsg missing, empty, something else, or forbidden.
pub fn without_log(world: &World, t: &mut Checks) -> Outcome<()> {
    let own = own_path()?;
    let own = own.to_str().ok_or("own path")?;
    for how in ["gone", "empty", "null", "forbidden"] {
        let subject = world.subject("without-log", TRIM)?;
        let mut before = vec![own, "inside", "--kmsg", how];
        if how == "forbidden" {
            before.extend(["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
        }
        let daemon = subject.start_after(&before, &[])?;
        let ticks = daemon.ticks()?;
        make(&brim()?)?;
        let trimmed = until("it trims", PATIENCE, || Ok((count()? < ABOUT_LOW).then_some(())));
        t.check(&format!("/dev/kmsg {how}: it goes by the counters"), trimmed.is_ok(), || format!("{trimmed:?}"));
        let readable = subject.status()?.find("log_readable").cloned();
        t.equal(&format!("/dev/kmsg {how}: status says so"), readable, Some(Json::Word("false".into())));
        let used = daemon.ticks()? - ticks;
        t.check(&format!("/dev/kmsg {how}: it does not spin"), used < 25, || format!("{used} ticks"));
        let (_, log) = daemon.end(Signal::SIGTERM)?;
        t.lines(&format!("/dev/kmsg {how}: one line says so"), &log, "/dev/kmsg", 1);
    }
    Ok(())
}
