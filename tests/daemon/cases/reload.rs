//! Signals: HUP with a good and a bad config, USR1.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::json::Json;
use crate::subject::{PATIENCE, Subject, until};
use crate::world::World;

const GOOD: &str = "config ctwarden 'main'\n\toption policy 'watch'\n";
const BETTER: &str =
    "config ctwarden 'main'\n\tlist ladder 'trim'\n\tlist ladder 'flush'\n\toption flushes_per_hour '7'\n";
const BAD: &str = "config ctwarden 'main'\n\toption high '20'\n\toption low '30'\n\toption hgih '85'\n\toption hold 'soon'\n\
                   config sizing 'sizing'\n\toption max 'plenty'\nconfig nonsense 'x'\n";

/// How many rungs the running config has.
fn rungs(subject: &Subject) -> Outcome<usize> {
    let status = subject.status()?;
    status.find("ladder").and_then(Json::list).map(<[_]>::len).ok_or_else(|| "status has no ladder".into())
}

pub fn reload(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("reload", GOOD)?;
    let mut daemon = subject.start()?;
    subject.configure(BAD)?;
    let checked = subject.call(&["check"])?;
    t.equal("`check` finds the faults", checked.code, 1);
    daemon.signal(Signal::SIGHUP)?;
    daemon.says("the running one stays")?;
    let log = daemon.log();
    let faults: Vec<&str> = checked.out.lines().filter(|l| l.contains("/config:") && l.contains('\'')).collect();
    t.check("`check` names five faults with file and line", faults.len() >= 5, || checked.out.clone());
    let missing: Vec<_> = faults.iter().filter(|fault| !log.iter().any(|l| l.contains(**fault))).collect();
    t.check("HUP with a bad config names every fault", missing.is_empty(), || {
        format!("{missing:?} not in {}", log.join("\n"))
    });
    t.equal("and the running config stays", rungs(&subject)?, 0);
    t.lines("it is not said to be reloaded", &log, "config reloaded", 0);

    subject.configure(BETTER)?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.says("config reloaded")?;
    t.equal("HUP with a good one applies it", rungs(&subject)?, 2);
    std::fs::remove_file(subject.path("config")).map_err(|e| e.to_string())?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.says_times("the running one stays", 2)?;
    t.equal("HUP without the file: the running config stays", rungs(&subject)?, 2);

    daemon.signal(Signal::SIGUSR1)?;
    daemon.says("status: ")?;
    t.lines("USR1 gives one line", &daemon.log(), "status: calm, ", 1);
    for _ in 0..50 {
        daemon.signal(Signal::SIGHUP)?;
        daemon.signal(Signal::SIGUSR1)?;
    }
    t.equal("a hundred signals at once do no harm", (rungs(&subject)?, daemon.has_ended()?), (2, None));

    subject.configure("config ctwarden 'main'\n\toption enabled '0'\n")?;
    daemon.signal(Signal::SIGHUP)?;
    let ended = until("the daemon ends", PATIENCE, || daemon.has_ended());
    t.equal("HUP with a config that switches it off: it leaves", ended.as_deref(), Ok("exit status: 0"));
    t.check("and takes its socket with it", !subject.socket().exists(), || "the socket is still there".into());
    let ran = subject.call(&["run"])?;
    t.equal("and does not start again", ran.fault(), (0, 1));
    Ok(())
}
