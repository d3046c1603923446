//! Dry run: decides and reports everything, and changes nothing.

use nix::sys::signal::Signal;

use super::traffic::{brim, new_flow, tracked};
use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{make, read};
use crate::json::Json;
use crate::subject::{PATIENCE, Subject, until};
use crate::world::{World, limits};

const CONFIG: &str = "config ctwarden 'main'\n\toption hold '1'\n\
                      config sizing 'sizing'\n\toption max '20000'\n\toption buckets '8192'\n";

pub fn dry_run(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("dry", CONFIG)?;
    tracked(|| tried(&subject, t))
}

fn tried(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    make(&brim()?)?;
    let (before, found) = (read()?, limits()?);
    let daemon = subject.start_after(&[], &["--dry-run"])?;
    let mut port = 10_000;
    until("packets are refused until a flush would be", PATIENCE, || {
        port += 1;
        if new_flow(port)? { Ok((daemon.count("would flush") > 0).then_some(())) } else { Err("not full".into()) }
    })
    .map_err(|e| format!("{e}: {}", daemon.log().join("\n")))?;
    let log = daemon.log();
    for what in [
        "would set nf_conntrack_max from 17500 to 20000",
        "would grow max to ",
        "would trim: ",
        "would flush: full and refusing for 1.",
    ] {
        let said = log.iter().any(|l| l.contains("dry run, ") && l.contains(what));
        t.check(&format!("it says: {what}"), said, || log.join("\n"));
    }
    for arguments in [
        &["trim", "--json"][..],
        &["trim", "--source", "10.9.0.1", "--json"],
        &["trim", "--only", "idle", "--json"],
        &["flush", "--json"],
    ] {
        let ran = subject.call(arguments)?;
        let dry = ran.json().ok().and_then(|j| j.find("dry_run").cloned());
        t.equal(
            &format!("`{}` is answered as a dry run", arguments.join(" ")),
            (ran.code, dry),
            (0, Some(Json::Word("true".into()))),
        );
    }
    let text = subject.call(&["status"])?.out;
    t.check("status says that it is one", text.contains("dry run"), || text.clone());
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    let after = read()?;
    let same = before.iter().all(|(k, e)| after.get(k).is_some_and(|a| a.id == e.id)) && after.len() == before.len();
    t.check("not one entry is touched", same, || format!("{} entries, {} before", after.len(), before.len()));
    t.equal("nor a limit", limits()?, found);
    t.check("the log is not flooded", log.len() < 30, || log.join("\n"));
    Ok(())
}
