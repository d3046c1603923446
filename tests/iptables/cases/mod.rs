//! The cases, each with both iptables at the same time.

mod all;
mod aside;
mod full;
mod lan;
mod missing;
mod router;
mod rules;
mod shed;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::Outcome;
use crate::checks::{Checks, Tally};
use crate::world::{Variant, World, limit_is_enough};

type Case = fn(&mut World, &mut Checks<'_>) -> Outcome<()>;

const CASES: [(u8, &str, Case); 9] = [
    (1, "rules", rules::case),
    (2, "router", router::case),
    (3, "lan", lan::case),
    (4, "all", all::case),
    (5, "shed", shed::case),
    (6, "missing", missing::case),
    (7, "snapshot", aside::snapshot),
    (8, "script", aside::script),
    (9, "full", full::case),
];

/// So many at a time: they mostly wait.
const AT_A_TIME: usize = 6;

/// Runs the cases of these numbers, or all.
pub fn run(words: &[String]) -> Outcome<bool> {
    let wanted: Vec<u8> =
        words.iter().map(|w| w.parse().map_err(|_| format!("{w}: no such case"))).collect::<Result<_, _>>()?;
    limit_is_enough()?;
    let tally = Tally::default();
    let all: Vec<_> = CASES
        .iter()
        .filter(|(number, ..)| wanted.is_empty() || wanted.contains(number))
        .flat_map(|case| Variant::ALL.map(|variant| (case, variant)))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..AT_A_TIME {
            s.spawn(|| {
                while let Some(((number, name, case), variant)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut checks = Checks::of_case(&tally, *number * 10 + *variant as u8);
                    println!("      case {number}{} is {name}, {}", *variant as u8, variant.name());
                    let done = World::new(*variant, &format!("{name}-{}", variant.name()))
                        .and_then(|mut world| case(&mut world, &mut checks));
                    if let Err(why) = done {
                        checks.broke(&why);
                    }
                }
            });
        }
    });
    Ok(tally.print())
}
