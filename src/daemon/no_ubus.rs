//! In place of ubus/ where the program has no bus (no feature `ubus`).

use super::answer::Asking;
use super::control::Render;
use super::front::Front;
use super::root::Root;
use super::run::Daemon;
use ctwarden::hook::Hook;
use ctwarden::protocol::Answer;
use ctwarden::units::Millis;
use nix::poll::PollFd;
use std::ops::ControlFlow;

/// There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {}

pub struct Ubus;

pub const fn open(_: &Root) -> Ubus {
    Ubus
}

impl Ubus {
    pub const fn poll_fd(&self) -> Option<PollFd<'_>> {
        None
    }
    pub const fn next_deadline(&self) -> Option<Millis> {
        None
    }
    pub const fn has_more(&self) -> bool {
        false
    }
    pub fn answer(&mut self, asker: Asker, _: &Answer, _: Render) {
        match asker {}
    }
    pub const fn announce(&mut self, _: Millis, _: &Hook) -> bool {
        false
    }
}

impl Daemon {
    pub(super) fn serve_bus(&mut self, _: Millis, _: &dyn Front) -> ControlFlow<(), Option<Asking>> {
        ControlFlow::Continue(None)
    }
}
