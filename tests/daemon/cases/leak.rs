//! What it holds after much work: as many files and as much memory as after a little.

use std::ops::Range;

use ctwarden::protocol::{By, Request, Selection};
use nix::sys::signal::Signal;

use super::control::{Answer, ask, connect};
use super::trim::subject;
use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{established, make_what_fits, stream, v4, v6};
use crate::host::count;
use crate::subject::{Daemon, PATIENCE, Subject, until};
use crate::world::World;

/// The ladder's own trim came between.
fn is_busy(answer: &Answer) -> bool {
    answer.exit == 1 && answer.text.contains("try again in a moment")
}

fn requests(subject: &Subject, number: usize) -> Outcome<()> {
    for n in 0..number {
        let by = [By::Source, By::Prefix, By::Destination, By::State][n / 10 % 4];
        let request = match n % 10 {
            0 => Request::Top { by, rows: 20, exact: n % 20 == 0 },
            1 => Request::Log,
            _ => Request::Status,
        };
        let answer = ask(&connect(subject)?, request)?;
        if !["pid", "rows", "incidents"].iter().any(|word| answer.is(word)) && !is_busy(&answer) {
            return Err(format!("{request:?}: {answer:?}"));
        }
    }
    Ok(())
}

/// Fills up to the high mark, where the daemon trims by itself, and asks for one more. Each round makes flows that no other
/// has made: some of those stay.
fn trims(subject: &Subject, rounds: Range<u32>) -> Outcome<()> {
    for round in rounds {
        let base = round * 4_000;
        let flows: Vec<_> = (0..2_000)
            .map(|n| established(v4(10, 9, 0, 1), base + n, 100))
            .chain((0..1_000).map(|n| stream(v6(1, 1), base + n, 100)))
            .collect();
        make_what_fits(&flows)?;
        let answer = ask(&connect(subject)?, Request::Trim(Selection::Level))?;
        if !answer.is("after") && !is_busy(&answer) {
            return Err(format!("trim: {answer:?}"));
        }
    }
    Ok(())
}

/// What it holds: open files, and memory of its own in KiB.
fn held(daemon: &Daemon) -> Outcome<(usize, u64)> {
    Ok((daemon.files()?, daemon.kib("RssAnon")?))
}

pub fn leak(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = subject(world, "leak")?;
    let daemon = subject.start()?;
    // Its fixed buffers take memory only once they are used, some of them late: so it may grow for a round or two. What is
    // lost at each request or trim makes it grow in every one.
    let mut rounds = Vec::new();
    for round in 0..5 {
        requests(&subject, 1_000)?;
        trims(&subject, round * 40..round * 40 + 40)?;
        rounds.push(held(&daemon)?);
    }
    let files = rounds.iter().all(|(files, _)| *files == rounds[0].0);
    t.check("after 1,000 requests and 40 trims more: as many open files", files, || format!("{rounds:?}"));
    let memory = rounds.windows(2).any(|r| r[1].1 <= r[0].1);
    t.check("and sooner or later no more memory", memory, || format!("{rounds:?}"));
    // Above 4,096 entries the plan rests on a sample, which may be off by some.
    let left = until("the last trim is done", PATIENCE, || Ok(Some(count()?).filter(|n| *n < 2_250)))?;
    t.check("of all that came trims left the low mark", left >= 1_750, || format!("{left} entries"));
    daemon.end(Signal::SIGTERM).map(drop)
}
