//! `grow`: max raised while there is memory, kept while it is needed, put back after calm or when we stop.

use std::time::{Duration, Instant};

use ctwarden::journal::Setting;
use ctwarden::units::Entries;
use nix::sys::signal::Signal;

use super::limits::journal;
use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{delete, established, is_ours, make, v4};
use crate::json::Json;
use crate::subject::{Daemon, PATIENCE, Subject, until};
use crate::world::{Limits, Meeting, World, limits};

const FOUND: Limits = Limits { max: 10_000, buckets: 4_096 };
/// 87.5 % of the 12,000 that the config wants, 60 % of the 17,500 that it grows to.
const FILLED: u32 = 10_500;
const GROWN: u32 = 17_500;
/// More than 60 % of 12,000: too many for max to go back.
const TOO_MANY: u32 = 8_000;
const CONFIG: &str = "config ctwarden 'main'\n\tlist ladder 'grow'\n\
                      config sizing 'sizing'\n\toption max '12000'\n\toption buckets '4096'\n";

/// Max goes back after a minute of calm; looks are up to 5 s apart.
const REST: Duration = Duration::from_secs(60 + 10);

/// A daemon in the initial namespace, sized to 12,000, and then `FILLED` entries at once.
fn filled(world: &World, subject: &Subject) -> Outcome<Daemon> {
    world.initial.within(|| delete(is_ours))?;
    world.set(FOUND)?;
    let daemon = subject.start()?;
    // Stopped meanwhile, so that it finds them all there, and the step has one length.
    daemon.signal(Signal::SIGSTOP)?;
    let missing = FILLED.saturating_sub(world.host_count()?);
    let flows: Vec<_> = (0..missing).map(|n| established(v4(10, 9, 0, 1), n, 100 + n / 10)).collect();
    world.initial.within(|| make(&flows))?;
    daemon.signal(Signal::SIGCONT)?;
    daemon.says("grow max to 17500: max was 12000, is 17500")?;
    Ok(daemon)
}

/// A number of `status --json`.
fn number(subject: &Subject, name: &str) -> Outcome<u64> {
    let status = subject.status()?;
    status.find(name).and_then(Json::number).map(|n| n as u64).ok_or_else(|| format!("status has no {name}"))
}

pub fn grow(world: &World, t: &mut Checks, meeting: &mut Option<Meeting>) -> Outcome<()> {
    let subject = world.host_subject("grow", CONFIG)?;
    let done = grown(world, t, &subject, meeting);
    world.initial.within(|| delete(is_ours))?;
    done
}

fn grown(world: &World, t: &mut Checks, subject: &Subject, meeting: &mut Option<Meeting>) -> Outcome<()> {
    let daemon = filled(world, subject)?;
    t.equal("at the high mark max is raised", limits()?.max, GROWN);
    let journal_now = journal(subject)?.ok_or("no journal")?;
    let known = journal_now.change(Setting::Max).map(|c| (c.before, c.ours));
    t.equal("the journal knows", known, Some((Entries(10_000), Entries(GROWN))));
    t.equal("nothing is evicted", world.host_count()?, FILLED);
    let text = until("the incident is in the log", PATIENCE, || {
        Ok(Some(subject.call(&["log"])?.out).filter(|out| out.contains("held by")))
    });
    let told = text.as_ref().is_ok_and(|l| l.contains("1 grow") && l.contains("held by 10.9.0.1"));
    t.check("`log` tells of it and who held the table", told, || format!("{text:?}"));

    daemon.signal(Signal::SIGHUP)?;
    daemon.says("config reloaded")?;
    t.equal("a reload does not take the room away", limits()?.max, GROWN);
    daemon.end(Signal::SIGKILL)?;
    let daemon = subject.start()?;
    t.equal("nor does a start after kill -9", limits()?.max, GROWN);
    daemon.end(Signal::SIGTERM)?;
    t.equal("SIGTERM puts back what was before the first start", limits()?, FOUND);

    let daemon = filled(world, subject)?.with_patience(REST);
    world.initial.within(|| delete(|key| is_ours(key) && u32::from(key.source_port) >= 1_024 + TOO_MANY))?;
    let since = Instant::now();
    daemon.says("incident 1 over")?;
    if let Some(meeting) = meeting.take() {
        meeting.hold();
    }
    until("a minute of calm", REST, || Ok((since.elapsed() > REST).then_some(())))?;
    t.equal("calm, but too many entries for the former max: it stays", limits()?.max, GROWN);
    world.initial.within(|| delete(is_ours))?;
    daemon.says("put max back to 12000")?;
    t.equal("after a minute of calm max goes back to what it was sized to", limits()?.max, 12_000);
    let seen =
        until("the daemon looks", Duration::from_secs(2), || Ok((number(subject, "max")? == 12_000).then_some(())));
    t.check("it goes by the new max from the next moment on", seen.is_ok(), || format!("{seen:?}"));
    t.equal("status says no more than what sizing changed", number(subject, "max_before")?, 10_000);
    daemon.end(Signal::SIGTERM)?;
    t.equal("SIGTERM puts back what was before the start", limits()?, FOUND);
    Ok(())
}
