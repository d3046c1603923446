//! The cases, each with every firewall.

mod aside;
mod climbed;
mod dns;
mod dry;
mod dry_after;
mod full;
mod guardian;
mod killed;
mod lan;
mod lifeline;
mod locked_out;
mod makes_room;
mod reload;
mod renewed;
mod says;
mod scopes;
mod script;
mod shed;
mod spent;
mod translated;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::checks::{Checks, Tally};
use crate::host::Host;
use crate::router::{KINDS, Router};

type Case = fn(&mut Router<'_>, &mut Checks<'_>) -> Outcome<()>;

/// Those that wait longest come first.
const CASES: [(u8, &str, Case); 19] = [
    (13, "renewed", renewed::case),
    (14, "climbed", climbed::case),
    (15, "spent", spent::case),
    (1, "reload", reload::case),
    (2, "killed", killed::case),
    (11, "locked-out", locked_out::case),
    (12, "aside", aside::case),
    (3, "lan", lan::case),
    (4, "full", full::case),
    (5, "scopes", scopes::case),
    (6, "lifeline", lifeline::case),
    (7, "shed", shed::case),
    (8, "says", says::case),
    (9, "dry", dry::case),
    (10, "translated", translated::case),
    (16, "makes-room", makes_room::case),
    (17, "dns", dns::case),
    (18, "script", script::case),
    (19, "dry-after", dry_after::case),
];

/// So many at a time: they mostly wait.
const AT_A_TIME: usize = 12;
/// The limit holds for each namespace by itself: low enough to be reached soon, high enough for whoever else is on the host.
const MAX: u32 = 8_192;
/// The buckets are shared by all namespaces, twelve of them full: in chains of 16 and more new flows are lost.
const BUCKETS: u32 = 32_768;

/// Runs the cases of these numbers with the firewalls of these names, or all.
pub fn run(program: &Path, wanted: &[String]) -> Outcome<bool> {
    let program = program.canonicalize().map_err(|e| format!("{}: {e}", program.display()))?;
    let (numbers, names): (Vec<_>, Vec<_>) = wanted.iter().partition(|w| w.parse::<u8>().is_ok());
    let is_wanted = |list: &[&String], word: &str| list.is_empty() || list.iter().any(|w| *w == word);
    if let Some(name) = names.iter().find(|n| !KINDS.iter().any(|k| k.name == **n)) {
        return Err(format!("{name}: no such firewall"));
    }
    let mut host = Host::enter()?;
    let _table = host.table(MAX, BUCKETS)?;
    let tally = Tally::default();
    let all: Vec<_> = CASES
        .iter()
        .filter(|(number, ..)| is_wanted(&numbers, &number.to_string()))
        .flat_map(|case| KINDS.iter().enumerate().map(move |kind| (case, kind)))
        .filter(|(_, (_, kind))| is_wanted(&names, kind.name))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..AT_A_TIME {
            s.spawn(|| {
                while let Some(((number, name, case), (n, kind))) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut checks = Checks::of_case(&tally, *number * 10 + *n as u8);
                    let began = Instant::now();
                    let done = Router::new(kind, &program, name).and_then(|mut router| case(&mut router, &mut checks));
                    if let Err(why) = done {
                        checks.broke(&why);
                    }
                    let took = began.elapsed().as_secs_f32();
                    println!("     {number}{n}    was {name}, {}, and took {took:.1} s", kind.name);
                }
            });
        }
    });
    Ok(tally.print())
}
