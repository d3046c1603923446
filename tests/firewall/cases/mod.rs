//! The cases, most of them with fw4's table and with tables as owners write them.

mod all;
mod full;
mod fw4;
mod lan;
mod router;
mod rules;
mod shed;
mod time;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::Outcome;
use crate::checks::{Checks, Tally};
use crate::rulesets::{OWNERS, load, reload_fw4};
use crate::world::{Subject, Variant, World, limit_is_enough};

/// Whose table the sets are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Fw4,
    Nft,
}

impl Base {
    pub const fn name(self) -> &'static str {
        match self {
            Base::Fw4 => "fw4",
            Base::Nft => "nft",
        }
    }

    /// The table of the sets.
    pub const fn table(self) -> &'static str {
        match self {
            Base::Fw4 => "inet fw4",
            Base::Nft => "inet ctwarden",
        }
    }

    /// The firewall as it is before us, or as it is after a reload.
    pub fn reload(self, world: &World) -> Outcome<()> {
        match self {
            Base::Fw4 => reload_fw4(world, true),
            Base::Nft => {
                let tables = ["inet filter", "ip late", "ip6 late", "ip nat", "bridge others"];
                let anew = tables.map(|t| format!("add table {t}\ndelete table {t}\n")).concat();
                load(world, &format!("{anew}{OWNERS}"))
            }
        }
    }

    /// The firewall, and a back end that is installed.
    pub fn begin(self, world: &World, checks: &mut Checks<'_>, config: &str) -> Outcome<Subject> {
        self.reload(world)?;
        let mut subject = Subject::start(world, self.name(), config)?;
        checks.equal("install", subject.ask("install"), "ok".into());
        Ok(subject)
    }
}

type Case = fn(Base, &mut World, &mut Checks<'_>) -> Outcome<()>;

const BOTH: &[Base] = &[Base::Fw4, Base::Nft];
const CASES: [(u8, &str, &[Base], Case); 8] = [
    (1, "rules", &[Base::Nft], rules::case),
    (2, "fw4", &[Base::Fw4], fw4::case),
    (3, "router", BOTH, router::case),
    (4, "lan", BOTH, lan::case),
    (5, "all", BOTH, all::case),
    (6, "shed", BOTH, shed::case),
    (7, "time", BOTH, time::case),
    (8, "full", BOTH, full::case),
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
        .flat_map(|case| case.2.iter().map(move |base| (case, *base)))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..AT_A_TIME {
            s.spawn(|| {
                while let Some(((number, name, _, case), base)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut checks = Checks::of_case(&tally, *number * 10 + *base as u8);
                    println!("      case {number}{} is {name}, {}", *base as u8, base.name());
                    let done = World::new(Variant::Nft, &format!("{name}-{}", base.name()))
                        .and_then(|mut world| case(*base, &mut world, &mut checks));
                    if let Err(why) = done {
                        checks.broke(&why);
                    }
                }
            });
        }
    });
    Ok(tally.print())
}
