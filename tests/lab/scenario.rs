//! The attacks, by name, and what each must show.

use crate::attack::Attack;
use crate::contender::Contender;
use std::time::Duration;

/// One row pair of the table.
pub struct Scenario {
    pub name: &'static str,
    /// What happens, in the words of somebody who watches.
    pub story: &'static str,
    pub attack: Attack,
    /// The table's limit; it has as many buckets, as the kernel has by default.
    pub max: u32,
    pub must: Must,
    /// Who else than the whole ladder shows what it can.
    pub others: &'static [Contender],
    /// Whether `run` without names shows it.
    pub first_set: bool,
}

/// What the guarded row must show. Shares are in permille.
#[derive(Clone, Copy)]
pub enum Must {
    /// Neighbour ≥ 99.9 %, no refusal, nobody's flow lost.
    Protect(Also),
    /// The same, and the guard did nothing at all.
    LeaveAlone,
    /// Measured and reported, with what is aimed at; never a failure.
    Report,
}

/// What only some attacks are judged by.
#[derive(Clone, Copy, Default)]
pub struct Also {
    /// The attackers' own new connections, where trim is alone: at least this share.
    pub hog_permille: Option<u64>,
    /// The attackers' own new connections: at least this many a second.
    pub hog_per_second: Option<u64>,
    /// The neighbour without a guard: less than this, or the attack was none.
    pub unguarded_below_permille: Option<u64>,
    /// Idle flows are reported, not judged: among hundreds of light holders nothing tells them apart.
    pub idle_excepted: bool,
}

const NOTHING_ELSE: Also =
    Also { hog_permille: None, hog_per_second: None, unguarded_below_permille: None, idle_excepted: false };
/// What a hog may still do, from issue to issue: it is slowed, not cut off.
const HOG_GOES_ON: Also = Also { hog_per_second: Some(10), ..NOTHING_ELSE };

const HOG: Attack = Attack::Hold { hosts: 1, rate: 1000, v6: false };

/// All of them, in the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "healthy",
        story: "A house on an ordinary evening; nobody attacks.",
        attack: Attack::None,
        max: 2048,
        must: Must::LeaveAlone,
        others: &[],
        first_set: true,
    },
    Scenario {
        name: "tcp-hog",
        story: "One host opens 1,000 TCP connections a second and keeps them.",
        attack: HOG,
        max: 2048,
        must: Must::Protect(Also { hog_permille: Some(900), unguarded_below_permille: Some(500), ..HOG_GOES_ON }),
        others: &[Contender::Trim, Contender::Shed],
        first_set: true,
    },
    Scenario {
        name: "udp-hog",
        story: "One host talks UDP with 1,000 new far sides a second, as a torrent does.",
        attack: Attack::Udp { rate: 1000 },
        max: 2048,
        must: Must::Protect(HOG_GOES_ON),
        others: &[],
        first_set: true,
    },
    Scenario {
        name: "scan",
        story: "One host knocks at 1,000 doors a second; nobody answers.",
        attack: Attack::Scan { rate: 1000 },
        max: 2048,
        must: Must::Protect(NOTHING_ELSE),
        others: &[],
        first_set: true,
    },
    Scenario {
        name: "syn-flood",
        story: "1,000 SYNs a second from invented addresses to the forwarded port.",
        attack: Attack::SynFlood { rate: 1000 },
        max: 2048,
        must: Must::Protect(NOTHING_ELSE),
        others: &[],
        first_set: true,
    },
    Scenario {
        name: "tcp-hog-10k",
        story: "10,000 new TCP connections a second against a table of 16,384.",
        attack: Attack::Hold { hosts: 1, rate: 10_000, v6: false },
        max: 16_384,
        must: Must::Report,
        others: &[Contender::Trim],
        first_set: true,
    },
    Scenario {
        name: "tcp-hog-512",
        story: "1,000 new TCP connections a second against a table of 512.",
        attack: HOG,
        max: 512,
        must: Must::Report,
        others: &[Contender::Trim],
        first_set: true,
    },
    Scenario {
        name: "hogs-20",
        story: "Twenty hosts share the 1,000 new connections a second.",
        attack: Attack::Hold { hosts: 20, rate: 1000, v6: false },
        max: 2048,
        must: Must::Protect(HOG_GOES_ON),
        others: &[Contender::Shed],
        first_set: false,
    },
    Scenario {
        name: "own-24",
        story: "Two hundred hosts of the neighbour's own /24 share them.",
        attack: Attack::Hold { hosts: 200, rate: 1000, v6: false },
        max: 2048,
        must: Must::Protect(Also { idle_excepted: true, ..HOG_GOES_ON }),
        others: &[],
        first_set: false,
    },
    Scenario {
        name: "ipv6-hog",
        story: "One host opens 1,000 IPv6 connections a second and keeps them.",
        attack: Attack::Hold { hosts: 1, rate: 1000, v6: true },
        max: 2048,
        must: Must::Protect(HOG_GOES_ON),
        others: &[],
        first_set: false,
    },
    Scenario {
        name: "reconnect",
        story: "One host opens connections as fast as the answers come, 256 at once.",
        attack: Attack::Reconnect { window: 256 },
        max: 2048,
        must: Must::Protect(HOG_GOES_ON),
        others: &[],
        first_set: false,
    },
    Scenario {
        name: "lively",
        story: "1,000 new connections a second, and each goes on sending.",
        attack: Attack::Lively { rate: 1000, every: Duration::from_secs(3) },
        max: 2048,
        must: Must::Protect(HOG_GOES_ON),
        others: &[],
        first_set: false,
    },
];

/// Finds one by its name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|s| s.name == name)
}
