//! What back ends without leases have in common: a daemon that is killed leaves a guardian, which closes.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::router::Router;

/// A lease's term: src/lease/mod.rs. The guardian counts whole seconds, and closes then.
const TERM: Duration = Duration::from_secs(30);
const AFTER: Duration = Duration::from_secs(3);

/// Whether strangers get in: to the router by each family, to the LAN.
pub type IsOpen<'o> = &'o dyn Fn(&Router<'_>) -> ([bool; 2], bool);

/// Opened for ten minutes and killed: open for a term, and then everything is as `before`.
pub fn guardian_closes(
    router: &mut Router<'_>,
    checks: &mut Checks<'_>,
    before: &str,
    open: IsOpen<'_>,
) -> Outcome<()> {
    router.order(&["open", "--for", "600"])?;
    let given = Instant::now();
    router.end(Signal::SIGKILL)?;
    checks.equal("killed: open still", open(router), ([true; 2], true));
    thread::sleep((TERM + AFTER).saturating_sub(given.elapsed()));
    checks.equal("its guardian has closed", open(router), ([false; 2], false));
    let after = router.rules()?;
    checks.check("the rules are as before", before == after, || format!("{before}\nis now\n{after}"));
    Ok(())
}
