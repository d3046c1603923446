//! In place of take.rs where the program has no emergency windows (no feature `nft`): nothing is taken out.

use super::Place;
use super::exit::Exit;
use super::text::complain;

fn none() -> Exit {
    complain(format_args!("not in this program; the ones with emergency windows have it"));
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
pub const fn back_logged(_: &Place) {}
