//! What is kept of the rules: who may be sent where. Walked when all have been read, since a chain may be jumped to
//! before it is seen.
//!
//! A flow stands for packets from any source, and a rule may match some of them only: so it can go several ways at once.
//! The walk follows all of them, and a flow is accepted where none of its ways ends in a refusal, for none of its packets.

use super::flags::PACKETS;
use super::matches::{Hit, Mask};
use super::{Findings, Place};
use heapless::Vec;

/// Rules kept: those that can refuse, translate or divert a flow of the question. A default fw4 has 20 such, 4 more a zone.
pub(super) const RULES: usize = 320;
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

/// A rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub chain: u8,
    pub verdict: Verdict,
    /// The flows it is about, leaving aside the state and the flags.
    pub hit: Hit,
    /// The packets of TCP flows that it is about.
    pub packets: Hit,
    /// Whether it matches untracked packets, if it asks for the state.
    pub state: Option<Hit>,
    /// The chain it sends to.
    pub target: u32,
    pub line: u16,
}

impl Rule {
    /// The flows of which it is about this packet, at this hook.
    fn at(&self, hook: Hook, packet: u32) -> Hit {
        let state = match self.state {
            None => Hit::ALL,
            Some(_) if hook == Hook::Translate => Hit::UNKNOWN,
            Some(untracked) => untracked,
        };
        let Hit { sure, may } = self.packets;
        let all_or_none = |bits: Mask| 0u32.wrapping_sub(bits >> packet & 1);
        self.hit.and(state).and(Hit { sure: all_or_none(sure), may: all_or_none(may) })
    }
}

#[derive(Clone, Copy, Debug)]
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
                if base.drops && base.hook != Hook::Translate {
                    findings.refuse(through, base.place);
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
            let place = Place { text: self.text, line: rule.line };
            self.steps = self.steps.saturating_sub(1);
            flows &= !sure;
            match rule.verdict {
                Verdict::Accept | Verdict::Nothing => {}
                Verdict::Drop if self.hook == Hook::Translate => {}
                Verdict::Return => out |= hit,
                Verdict::Translate if self.hook == Hook::Translate => self.findings.translate(hit, place),
                Verdict::Jump | Verdict::Goto if depth > 0 && self.steps > 0 => match self.graph.chain(rule.target) {
                    Some(target) => {
                        let back = self.chain(target, hit, depth - 1);
                        if rule.verdict == Verdict::Jump {
                            flows |= back;
                        } else {
                            out |= back;
                        }
                    }
                    None => self.cannot_follow(hit, place),
                },
                Verdict::Drop => self.findings.refuse(hit, place),
                _ => self.cannot_follow(hit, place),
            }
        }
        out | flows
    }

    fn cannot_follow(&mut self, flows: Mask, place: Place) {
        if self.hook == Hook::Translate {
            self.findings.translate(flows, place);
        } else {
            self.findings.refuse(flows, place);
        }
    }
}
