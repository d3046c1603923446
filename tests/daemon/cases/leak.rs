//! What it holds after much work: as many files and as much memory as after a little.

use ctwarden::protocol::{Answer, By, Request, Selection};
use nix::sys::signal::Signal;

use super::control::{ask, connect};
use super::trim::subject;
use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{established, make, stream, v4, v6};
use crate::subject::{Daemon, Subject};
use crate::world::World;

fn requests(subject: &Subject, number: usize) -> Outcome<()> {
    for n in 0..number {
        let by = [By::Source, By::Prefix, By::Destination, By::State][n / 10 % 4];
        let request = match n % 10 {
            0 => Request::Top { by, rows: 20, exact: n % 20 == 0 },
            1 => Request::Log,
            _ => Request::Status,
        };
        match ask(&connect(subject)?, &request)? {
            Answer::Status(_) | Answer::Top(_) | Answer::Log(_) => {}
            // The ladder's own trim came between.
            Answer::Busy => {}
            other => return Err(format!("{request:?}: {other:?}")),
        }
    }
    Ok(())
}

/// Fills up to the high mark, where the daemon trims by itself, and asks for one more.
fn trims(subject: &Subject, number: usize) -> Outcome<()> {
    for n in 0..number as u32 {
        let base = n * 4_000;
        let flows: Vec<_> = (0..2_000)
            .map(|n| established(v4(10, 9, 0, 1), base + n, 100))
            .chain((0..1_000).map(|n| stream(v6(1, 1), base + n, 100)))
            .collect();
        make(&flows)?;
        match ask(&connect(subject)?, &Request::Trim(Selection::Level))? {
            Answer::Done(_) | Answer::Busy => {}
            other => return Err(format!("trim: {other:?}")),
        }
    }
    Ok(())
}

fn held(daemon: &Daemon) -> Outcome<(usize, u64)> {
    Ok((daemon.files()?, daemon.kib("RssAnon")?))
}

pub fn leak(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = subject(world, "leak")?;
    let daemon = subject.start()?;
    requests(&subject, 100)?;
    trims(&subject, 5)?;
    let before = held(&daemon)?;
    requests(&subject, 2_000)?;
    trims(&subject, 50)?;
    let after = held(&daemon)?;
    t.equal("after 2,000 requests and 50 trims: as many open files", after.0, before.0);
    t.check("and no more memory", after.1 <= before.1, || format!("{} KiB, {} before", after.1, before.1));
    let did = subject.call(&["log"])?.out;
    t.check("the trims were done", did.contains(" trim ("), || did.clone());
    daemon.end(Signal::SIGTERM).map(drop)
}
