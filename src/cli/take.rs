//! `stateless`, `unload`, `back`: done here, daemon or not, since one in a jail cannot start programs.

use super::Place;
use super::check::load_or_complain;
use super::exit::{Exit, complain_of};
use super::text::{complain, print};
use crate::daemon::firewall::stateless::{self, How};
use crate::daemon::taken::{self, NotTaken};
use crate::daemon::unload as modules;
use nix::errno::Errno;

fn exit(done: Result<(), NotTaken>) -> Exit {
    match done {
        Ok(()) => Exit::Done,
        // It was said what.
        Err(NotTaken::Refused) => Exit::Refused,
        Err(NotTaken::Busy) => {
            complain(format_args!("another ctwarden is at it; try again in a moment"));
            Exit::Fault
        }
        Err(NotTaken::Failed(e @ (Errno::EPERM | Errno::EACCES))) => complain_of(e),
        Err(NotTaken::Failed(e)) => {
            complain(format_args!("errno {}; all is as it was, or `ctwarden back` says what is not", e as i32));
            Exit::Fault
        }
    }
}

/// Whether nothing is to be changed; `None`: the config has faults.
fn is_dry(place: &Place, dry: bool) -> Option<bool> {
    let config = load_or_complain(place, None)?;
    if config.dry_run && !dry {
        print(format_args!("dry run (main.dry_run): nothing is changed"));
    }
    Some(dry || config.dry_run)
}

pub fn stateless(place: &Place, force: bool, dry: bool) -> Exit {
    let Some(dry) = is_dry(place, dry) else { return Exit::Fault };
    exit(stateless::take_out(&place.root, &place.state_dir, How { force, dry }, &mut |line| print(line)))
}

pub fn unload(place: &Place, dry: bool) -> Exit {
    let Some(dry) = is_dry(place, dry) else { return Exit::Fault };
    exit(modules::unload(&place.root, &place.state_dir, dry, &mut |line| print(line)))
}

pub fn back(place: &Place) -> Exit {
    exit(taken::back(&place.root, &place.state_dir, &mut |line| print(line)).map(|out| {
        print(format_args!("{}", if out { "put back" } else { "nothing is out" }));
    }))
}
