//! In place of taken.rs where nothing can be taken out (no feature `stateless`).

use super::run::Daemon;
use ctwarden::decide::ladder::Action;
use ctwarden::units::Millis;

pub struct Taken;

impl Taken {
    pub const fn new() -> Self {
        Self
    }
}

impl Daemon {
    pub(super) const fn can_take_out(&self) -> [bool; 2] {
        [false; 2]
    }
    pub(super) fn not_again_soon(&mut self, _: Millis, _: Action) {}
    pub(super) fn take_out(&mut self, _: Action) -> bool {
        false
    }
    pub(super) fn tend_taken(&mut self, _: Millis) {}
    pub(super) fn put_taken_back(&mut self) {}
}
