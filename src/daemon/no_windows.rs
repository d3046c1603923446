//! In place of emergency.rs where the program has no emergency windows (no feature `nft`): nothing is ever given.

use super::run::Daemon;
use ctwarden::config::Config;
use ctwarden::decide::shed::Why;
use ctwarden::event::Lifeline;
use ctwarden::lease::{Backend, Lease, Scope, Windows};
use ctwarden::protocol::Answer;
use ctwarden::units::{Entries, Millis};
use nix::errno::Errno;

pub struct Firewall;

impl Firewall {
    pub const fn backend(&self) -> Backend {
        Backend::None
    }
    pub const fn left_alone(&self) -> u16 {
        0
    }
    pub const fn counts(&self) -> bool {
        false
    }
}

pub struct Emergency {
    pub firewall: Firewall,
    pub windows: Windows,
    pub lifeline: Lifeline,
}

impl Emergency {
    pub const fn new() -> Self {
        Self { firewall: Firewall, windows: Windows::new(), lifeline: Lifeline::Off }
    }
    pub const fn ready(&self) -> bool {
        false
    }
    pub const fn next(&self) -> Option<Millis> {
        None
    }
}

pub const fn same_rules(_: &Config, _: &Config) -> bool {
    true
}

pub const fn impossible(_: Scope) -> &'static str {
    ""
}

impl Daemon {
    pub(super) fn prepare(&mut self) {}
    pub(super) fn tend(&mut self) {}
    pub(super) fn recheck_firewall(&mut self) {}
    pub(super) fn give_again(&mut self) {}
    pub(super) fn take_rules_out(&mut self) {}
    pub(super) fn put_rules_back(&mut self) {}
    pub(super) fn shed_whoever(&mut self, _: Entries) {}
    pub(super) fn spared(&self, _: &Lease) -> Option<Why> {
        None
    }
    pub(super) fn shed_asked(&mut self, _: &Lease, _: Millis) -> Answer {
        Answer::NoRules
    }
    pub(super) fn open(&mut self, _: Scope, _: Millis, _: bool) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    pub(super) fn close(&mut self, _: &'static str) -> bool {
        false
    }
    pub(super) fn unshed(&mut self) {}
}
