//! Looks, configs, means and fates, as they come.

use super::watched::HOUR;
use ctwarden::decide::ladder::{FLUSHES_REMEMBERED, Settings};
use ctwarden::detect::Marks;
use ctwarden::lease::Scope;
use ctwarden::rung::{RUNGS, Rung};
use ctwarden::units::{Millis, Permille};
use proptest::prelude::*;

/// Where the count is, for some looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Where {
    Low,
    Between,
    High,
    Full,
    Anywhere,
    Unreadable,
}

/// What becomes of an action.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The count goes down to this part of max.
    Done(u16),
    Failed,
    /// A fresh look did not call for it any more.
    Dropped,
}

/// Some looks that are alike.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub at: Where,
    pub within: u16,
    pub max: u32,
    pub looks: u8,
    pub gap: u64,
    pub dropped: u32,
    pub logged: u32,
    pub suppressed: u32,
    pub expectations: u32,
    pub grow_by: Option<u8>,
    pub grown_from: Option<u8>,
    pub can_trim: bool,
    pub can_shed: bool,
    pub can_open: bool,
    pub fate: Fate,
    pub took: u64,
    /// Before it: somebody asks for a flush, or the config is read anew.
    pub asked: bool,
    pub reload: Option<Settings>,
}

prop_compose! {
    pub fn settings()(
        rungs in Just(Rung::ALL).prop_shuffle(), many in 0..=RUNGS, usual in prop::bool::weighted(0.6),
        high in prop_oneof![3 => Just(850u16), 1 => 100..=990u16, 1 => 951..=990u16], below in 10..=900u16,
        hold in prop_oneof![Just(0u64), Just(10_000), 0..600_000u64],
        flushes_per_hour in 0..=FLUSHES_REMEMBERED as u8,
        flush_gain in prop_oneof![Just(0u64), Just(60_000), 0..=HOUR],
        opens_per_hour in 0..=2u8,
    ) -> Settings {
        let rungs = if usual { vec![Rung::Grow, Rung::Trim, Rung::Shed, Rung::Flush, Rung::Open] } else { rungs[..many].to_vec() };
        let low = Permille(high.saturating_sub(below).max(50));
        Settings {
            ladder: rungs.into_iter().collect(),
            marks: Marks { high: Permille(high), low, hold: Millis(hold) },
            flushes_per_hour,
            flush_gain: Millis(flush_gain),
            open_scope: Scope::Router,
            opens_per_hour,
        }
    }
}

prop_compose! {
    pub fn stretches()(
        at in prop_oneof![
            2 => Just(Where::Low), 1 => Just(Where::Between), 1 => Just(Where::High), 5 => Just(Where::Full),
            1 => Just(Where::Anywhere), 2 => Just(Where::Unreadable),
        ],
        within in 0..1000u16,
        max in prop_oneof![8 => Just(16_384u32), 1 => Just(0), 1 => 1..200u32, 1 => any::<u32>()],
        looks in 1..12u8,
        gap in prop_oneof![
            4 => prop::sample::select(&[0u64, 20, 100, 1_000][..]), 3 => Just(4_000), 1 => 0..20_000u64, 1 => prop::sample::select(&[55_000u64, 600_000][..]),
        ],
        (dropped, logged, suppressed, expectations) in (
            prop_oneof![2 => Just(0u32), 2 => 1..1_000u32, 1 => any::<u32>()],
            prop_oneof![2 => Just(0u32), 2 => 1..=10u32, 1 => any::<u32>()],
            prop_oneof![2 => Just(0u32), 1 => 1..1_000u32],
            prop_oneof![6 => Just(0u32), 1 => any::<u32>()],
        ),
        grow_by in prop::option::weighted(0.3, 0..100u8),
        grown_from in prop::option::weighted(0.3, 1..100u8),
        can_trim in prop::bool::weighted(0.8),
        (can_shed, can_open) in (prop::bool::weighted(0.5), prop::bool::weighted(0.5)),
        fate in prop_oneof![3 => (0..1200u16).prop_map(Fate::Done), 1 => Just(Fate::Failed), 1 => Just(Fate::Dropped)],
        took in prop_oneof![Just(0u64), Just(30), 0..20_000u64],
        asked in prop::bool::weighted(0.1),
        reload in prop::option::weighted(0.05, settings()),
    ) -> Stretch {
        Stretch { at, within, max, looks, gap, dropped, logged, suppressed, expectations, grow_by, grown_from, can_trim, can_shed, can_open, fate, took, asked, reload }
    }
}

/// A table with nothing to tell, at a place.
pub fn quiet(at: Where, within: u16) -> Stretch {
    Stretch {
        at,
        within,
        max: 16_384,
        looks: 1,
        gap: 0,
        dropped: 0,
        logged: 0,
        suppressed: 0,
        expectations: 0,
        grow_by: Some(60),
        grown_from: None,
        can_trim: true,
        can_shed: true,
        can_open: false,
        fate: Fate::Failed,
        took: 0,
        asked: false,
        reload: None,
    }
}
