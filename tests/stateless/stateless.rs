//! `stateless` and `back`, tried by packets and by the text of the rulesets: `tests/stateless/run` builds and starts it.

mod cases;
mod world;

use std::process::ExitCode;
use world::Kind;

/// Faults are told to a person and end the case: a line of text is what they are.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let Some(ctwarden) = std::env::args().nth(1) else {
        eprintln!("stateless-tests: which ctwarden?");
        return ExitCode::FAILURE;
    };
    let (mut passed, mut failed) = (0, 0);
    for kind in [Kind::Nft, Kind::IptablesNft, Kind::IptablesLegacy] {
        for (name, case) in cases::ALL {
            let done = world::World::new(kind, &ctwarden).and_then(|world| case(&world));
            match done {
                Ok(()) => passed += 1,
                Err(fault) => {
                    failed += 1;
                    println!("{kind:?}, {name}: {fault}");
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
