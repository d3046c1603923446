//! The module that comes late, goes away and comes again. In a folder that stands for the system: the real one has users.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::limits::config;
use crate::Outcome;
use crate::checks::Checks;
use crate::json::Json;
use crate::subject::{PATIENCE, Subject, until};
use crate::world::{Limits, World};

const COUNT: &str = "nf_conntrack_count";
const MAX: &str = "nf_conntrack_max";
const BUCKETS: &str = "nf_conntrack_buckets";

/// The sysctls of a fake system.
struct Sysctls(PathBuf);

impl Sysctls {
    fn write(&self, name: &str, text: &str) -> Outcome<()> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The module comes with these limits.
    fn appear(&self, limits: Limits) -> Outcome<()> {
        self.write(BUCKETS, &limits.buckets.to_string())?;
        self.write(MAX, &limits.max.to_string())?;
        self.write(COUNT, "10")
    }

    /// It goes: a file that is open cannot be taken away, but an empty one says as little as none.
    fn vanish(&self) -> Outcome<()> {
        [COUNT, MAX, BUCKETS].into_iter().try_for_each(|name| self.write(name, ""))
    }

    fn limits(&self) -> Option<Limits> {
        let read = |name| fs::read_to_string(self.0.join(name)).ok()?.trim().parse().ok();
        Some(Limits { max: read(MAX)?, buckets: read(BUCKETS)? })
    }

    fn become_(&self, limits: Limits) -> Outcome<()> {
        until(&format!("{limits:?} are set"), PATIENCE, || Ok((self.limits() == Some(limits)).then_some(())))
    }
}

/// Waits for a verdict.
fn becomes(subject: &Subject, verdict: &str) -> Outcome<()> {
    until(&format!("the verdict is {verdict}"), PATIENCE, || {
        Ok((subject.status()?.find("verdict").and_then(Json::text) == Some(verdict)).then_some(()))
    })
}

pub fn module(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("module", &config())?;
    let root = subject.path("root");
    let sysctls = Sysctls(root.join("proc/sys/net/netfilter"));
    fs::create_dir_all(&sysctls.0).map_err(|e| format!("{}: {e}", sysctls.0.display()))?;
    // A log long enough to be read in many goes, with the lines between that tell of a device.
    let line = |n| format!("4,{n},{n},-;nf_conntrack: table full, dropping packet\n SUBSYSTEM=net\n DEVICE=n1\n");
    fs::create_dir_all(root.join("dev")).map_err(|e| format!("dev: {e}"))?;
    fs::write(root.join("dev/kmsg"), (0..1_000).map(line).collect::<String>()).map_err(|e| format!("kmsg: {e}"))?;
    let daemon = subject.start_after(&[], &["--root", root.to_str().ok_or("scratch path")?])?;
    let told = daemon.says("the log told of a full table 1000 times before the start").map(drop);
    t.equal("what stood in the log is read to its end before anything else", told, Ok(()));
    t.equal("no module at the start: blind", becomes(&subject, "blind"), Ok(()));

    let (first, second) = (Limits { max: 4_096, buckets: 1_024 }, Limits { max: 10_000, buckets: 2_048 });
    let wanted = Limits { max: 16_384, buckets: 8_192 };
    sysctls.appear(first)?;
    let sized = sysctls.become_(wanted);
    t.equal("once it is there the table is sized", sized, Ok(()));
    t.equal("and watched", becomes(&subject, "calm"), Ok(()));
    sysctls.vanish()?;
    daemon.says("connection tracking is gone")?;
    t.equal("it goes away: blind, not dead", becomes(&subject, "blind"), Ok(()));
    // Other values than before: its own, no operator's.
    sysctls.appear(second)?;
    let sized = sysctls.become_(wanted);
    t.equal("it comes again: the table is sized again", sized, Ok(()));
    t.equal("and watched again", becomes(&subject, "calm"), Ok(()));
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.equal("what is put back is what the module came with last", sysctls.limits(), Some(second));
    t.lines("going and coming is said each time", &log, "connection tracking is ", 3);
    t.lines("nobody is suspected", &log, "somebody changed it", 0);
    Ok(())
}
