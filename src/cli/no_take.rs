//! In place of take.rs where the program has no such verbs (no feature `stateless`): nothing is taken out.

use super::Place;
use super::exit::Exit;
use super::text::complain;

fn none() -> Exit {
    complain(format_args!("this program was built without it (feature stateless)"));
    Exit::Refused
}

pub fn stateless(_: &Place, _: bool, _: bool) -> Exit {
    none()
}
pub fn unload(_: &Place, _: bool) -> Exit {
    none()
}
pub fn back(_: &Place) -> Exit {
    none()
}
