//! What is kept of the rules: who may be sent where. Walked when all have been read, since a chain may be jumped to
//! before it is seen.
//!
//! A flow stands for packets from any source, and a rule may match some of them only: so it can go several ways at once.
//! The walk follows all of them, and a flow is accepted where none of its ways ends in a refusal, for none of its packets.

use super::flags::PACKETS;
use super::matches::{Hit, Kind, Mask};
use super::{Findings, Place};
use heapless::Vec;

/// Rules kept: those that can refuse, translate or divert a flow of the question. A default fw4 has 20 such, 4 more a zone.
pub(super) const RULES: usize = 256;
/// Chains.
pub(super) const CHAINS: usize = 192;
/// Base chains that the flows of the question go through.
pub(super) const BASES: usize = 24;
/// The kernel's own limit on jumps in jumps (`NFT_JUMP_STACK_SIZE`).
const DEPTH: u8 = 16;
/// Rules looked at in one walk: enough for any ruleset that fits, and an end to those that call each other without one.
const STEPS: u32 = 10_000;

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Accept,
    /// Drop or reject.
    Drop,
    Return,
    Jump,
    Goto,
    /// Changes the destination.
    Translate,
    /// Not understood.
    Unknown,
    /// Goes on.
    Nothing,
}

/// What a chain is hooked in for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Hook {
    /// Filters what is for the router: our own accept stands ahead of it, so whatever may be refused counts.
    Input,
    /// Filters what comes in: no accept of ours stands there, so what it drops stays dropped, tracked or not. It counts only
    /// where it would drop for certain: then an untracked owner would be locked out.
    Prerouting,
    /// Translates destinations. It sees tracked packets, which the flows would be without us.
    Translate,
}

/// How limits on rates bear on a rule.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Limit {
    None,
    /// Up to a rate.
    Below,
    /// What is above it.
    Above,
}

/// A rule, as far as it has been read.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// The flows it is about, leaving aside the state and the flags.
    pub hit: Hit,
    /// Whether it is about untracked packets, if it asks for the state.
    pub state: Hit,
    pub asks_state: bool,
    /// The packets of TCP flows that it is about.
    pub packets: Hit,
    pub limit: Limit,
    /// It names a port.
    pub port: bool,
    /// It has a statement that is no verdict.
    pub acts: bool,
    /// Something was not understood: what comes after it may belong to that and narrows nothing.
    pub vague: bool,
    pub chain: u8,
    pub verdict: Verdict,
    /// The chain it sends to.
    pub target: u32,
    pub line: u16,
}

impl Rule {
    #[inline(never)]
    pub fn narrow(&mut self, kind: Kind, hit: Hit) {
        if self.vague {
            self.hit.sure = 0;
            return;
        }
        self.asks_state |= kind == Kind::State;
        self.port |= kind == Kind::Port;
        let what = match kind {
            Kind::State => &mut self.state,
            Kind::Flags => &mut self.packets,
            _ => &mut self.hit,
        };
        *what = what.and(hit);
    }

    pub fn give_up(&mut self) {
        self.hit.sure = 0;
        self.vague = true;
    }

    /// The flows of which it is about this packet, at this hook.
    fn at(&self, hook: Hook, packet: u32) -> Hit {
        let state = if self.asks_state && hook == Hook::Translate { Hit::UNKNOWN } else { self.state };
        let all_or_none = |bits: Mask| 0u32.wrapping_sub(bits >> packet & 1);
        let packets = Hit { sure: all_or_none(self.packets.sure), may: all_or_none(self.packets.may) };
        self.hit.and(state).and(packets)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Base {
    pub chain: u8,
    pub hook: Hook,
    pub drops: bool,
    /// The flows of its family.
    pub flows: Mask,
    pub place: Place,
}

/// All that is kept.
pub(super) struct Graph {
    pub rules: Vec<Rule, RULES>,
    /// By a hash of family, table and name; two that share it are found out.
    pub chains: Vec<u32, CHAINS>,
    pub bases: Vec<Base, BASES>,
}

struct Walk<'a> {
    graph: &'a Graph,
    hook: Hook,
    packet: u32,
    text: u8,
    steps: u32,
    findings: &'a mut Findings,
}

impl Graph {
    pub const fn new() -> Self {
        Self { rules: Vec::new(), chains: Vec::new(), bases: Vec::new() }
    }

    pub fn chain(&self, name: u32) -> Option<u8> {
        self.chains.iter().position(|c| *c == name).map(|at| at as u8)
    }

    /// Follows all flows through all base chains. Their order does not count: what one of them refuses is refused.
    pub fn judge(&self, findings: &mut Findings) {
        for base in &self.bases {
            for packet in 0..PACKETS {
                let text = base.place.text;
                let mut walk = Walk { graph: self, hook: base.hook, packet, text, steps: STEPS, findings };
                let through = walk.chain(base.chain, base.flows, DEPTH);
                if base.drops && base.hook != Hook::Translate && through != 0 {
                    findings.refused |= through;
                    findings.stands_at(base.place);
                }
            }
        }
    }
}

impl Walk<'_> {
    /// Follows flows through a chain; gives back those that may come out at its end.
    fn chain(&mut self, chain: u8, mut flows: Mask, depth: u8) -> Mask {
        let mut out = 0;
        for rule in self.graph.rules.iter().filter(|r| r.chain == chain) {
            let Hit { sure, may } = rule.at(self.hook, self.packet);
            let hit = flows & if self.hook == Hook::Prerouting { sure } else { may };
            if hit == 0 {
                continue;
            }
            self.steps = self.steps.saturating_sub(1);
            flows &= !sure;
            let follows = depth > 0 && self.steps > 0;
            match (rule.verdict, self.graph.chain(rule.target)) {
                (Verdict::Accept | Verdict::Nothing, _) => {}
                (Verdict::Drop, _) if self.hook == Hook::Translate => {}
                (Verdict::Return, _) => out |= hit,
                (Verdict::Jump, Some(target)) if follows => flows |= self.chain(target, hit, depth - 1),
                (Verdict::Goto, Some(target)) if follows => out |= self.chain(target, hit, depth - 1),
                // Refused or translated, or sent where nobody can follow.
                _ => {
                    if self.hook == Hook::Translate {
                        self.findings.translated |= hit;
                    } else {
                        self.findings.refused |= hit;
                    }
                    self.findings.stands_at(Place { text: self.text, line: rule.line });
                }
            }
        }
        out | flows
    }
}
