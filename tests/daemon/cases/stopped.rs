//! Stopped at a bad moment: the limits go back all the same.

use std::fs;

use nix::sys::signal::Signal;

use super::limits::{FOUND, WANTED, config};
use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{delete, established, is_ours, make, v4};
use crate::subject::{PATIENCE, until};
use crate::world::{World, limits};

/// Relief from 3,276 of 16,384 entries on, down to 1,638.
const TRIM: &str = "config ctwarden 'main'\n\tlist ladder 'trim'\n\toption high '20'\n\toption low '10'\n\
                    config sizing 'sizing'\n\toption max '16384'\n\toption buckets '8192'\n";
const LOW: u32 = 1_638;

pub fn stopped(world: &World, t: &mut Checks) -> Outcome<()> {
    let done = in_a_trim(world, t);
    world.initial.within(|| delete(is_ours))?;
    done?;
    without_room(world, t)
}

/// Each thing it sends waits in front of the kernel, so that the trim of a few milliseconds takes seconds.
fn in_a_trim(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.host_subject("stopped", TRIM)?;
    world.set(FOUND)?;
    let slowly = ["strace", "-D", "-q", "-o", "/dev/null", "-e", "trace=sendto", "-e", "signal=none"];
    let slowly = [&slowly[..], &["-e", "inject=sendto:delay_enter=100000"]].concat();
    let daemon = subject.start_after(&slowly, &[])?;
    t.equal("sized", limits()?, WANTED);
    let flows: Vec<_> = (0..4_000).map(|n| established(v4(10, 9, 0, 1), n, 100 + n / 10)).collect();
    world.initial.within(|| make(&flows))?;
    let all = world.host_count()?;
    until("the trim has begun", PATIENCE, || Ok((world.host_count()? < all).then_some(())))?;
    let (how, log) = daemon.end(Signal::SIGTERM)?;
    let left = world.host_count()?;
    t.check("SIGTERM in the middle of a trim", (LOW + 500..all).contains(&left), || {
        format!("{left} of {all} entries left: {}", log.join("\n"))
    });
    t.equal("ends it with success", how.as_str(), "exit status: 0");
    t.equal("and the limits are as found", limits()?, FOUND);
    t.check("no journal is left", !subject.state().join("journal").exists(), || "it is there".into());
    Ok(())
}

/// No record can be written any more: there is one already of what to put back.
fn without_room(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.host_subject("no-room", &config())?;
    world.set(FOUND)?;
    let daemon = subject.start()?;
    t.equal("sized, and then the state folder takes no file any more", limits()?, WANTED);
    let fresh = subject.state().join("journal.new");
    let _ = fs::remove_file(&fresh);
    fs::create_dir(&fresh).map_err(|e| format!("{}: {e}", fresh.display()))?;
    let (how, log) = daemon.end(Signal::SIGTERM)?;
    t.equal("SIGTERM leaves the limits as found all the same", (how.as_str(), limits()?), ("exit status: 0", FOUND));
    t.lines("and says so", &log, "put back to", 2);
    Ok(())
}
