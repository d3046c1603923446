//! In place of watch.rs where the program has no such verb (no feature `watch`).

use super::Place;
use super::exit::Exit;
use super::text::complain;

pub fn run(_: &Place) -> Exit {
    complain(format_args!(
        "this program was built without it (feature watch); `status`, `history` and `top` say the same"
    ));
    Exit::Refused
}
