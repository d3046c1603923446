//! Would the owner's own rules let the lifeline's packets in, and does a nat rule touch them?
//!
//! The lifeline makes what comes from the LAN for the router's own ports untracked, and accepts it ahead of the owner's
//! rules. It must not open what they close, nor go round a translation, nor lock out whom they let in by `ct state new`.
//!
//! ```text
//! nft list ruleset ──┐  a line at a time   nft.rs       ┐  what can refuse, translate   graph.rs
//! iptables-save    ──┼─────────────────>   iptables.rs  ┼────────────────────────────>  walked at the end ──> Findings
//! ip6tables-save   ──┘                     matches.rs   ┘  or divert one of the flows
//! ```
//!
//! In doubt a flow is not accepted: what is not understood may match, what may match and drops refuses, what may match and
//! accepts does not count, and so with a text that is cut off, too large, or has no end.
//!
//! Rates are the exception. The lifeline stands ahead of flood limits on purpose (in a flood of SYNs fw4's own 25/s let two
//! of five logins of an owner in), so a flow counts as slow enough for a limit: what drops only what is above it passes. But
//! not where the rule names a port: so many logins a minute is a guard against guessing passwords, and stays one.

mod flags;
mod graph;
// Left out of the program for routers with nftables only.
#[cfg(any(feature = "iptables", not(feature = "daemon")))]
mod iptables;
mod matches;
mod nft;
mod quote;
pub(crate) mod word;

use crate::config::{Config, INTERFACE};
use crate::entry::protocol;
use crate::observe::lines::CutLine;
use core::net::IpAddr;
use graph::{Base, Graph, Hook, Limit, Rule, Verdict};
use heapless::Vec;
use matches::{Hit, Mask};
pub use quote::{QUOTE, Quote};

/// Flows of one question: a bit each.
pub const FLOWS: usize = 32;

/// What comes in for the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// IPv6; else IPv4.
    pub ipv6: bool,
    /// TCP or UDP, as IP numbers them.
    pub protocol: u8,
    /// Destination port.
    pub port: u16,
}

impl Flow {
    /// Goes to everybody, since its sender has no address yet.
    const fn is_dhcp(&self) -> bool {
        self.protocol == protocol::UDP && matches!(self.port, 67 | 547)
    }
}

/// What is asked: flows from any host behind an interface, untracked, to the router's own address on it.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Its name.
    pub interface: &'a str,
    /// The router's addresses on it, as far as they are known.
    pub own: &'a [IpAddr],
    /// What is to get in.
    pub flows: Vec<Flow, FLOWS>,
}

impl<'a> Question<'a> {
    /// All that the lifeline of a config may be for, on one interface.
    pub fn lifeline(config: &Config, interface: &'a str, own: &'a [IpAddr]) -> Self {
        let mut flows = Vec::new();
        for ipv6 in [false, true] {
            let mut add = |protocol, port| {
                let _ = flows.push(Flow { ipv6, protocol, port });
            };
            config.ports.iter().for_each(|port| add(protocol::TCP, *port));
            add(protocol::UDP, if ipv6 { 547 } else { 67 });
            if config.lifeline_dns {
                add(protocol::TCP, 53);
                add(protocol::UDP, 53);
            }
        }
        Question { interface, own, flows }
    }
}

/// Where something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which of the texts, from 1; 0: nowhere.
    pub text: u8,
    /// Its line, from 1; 65,535: that or further down.
    pub line: u16,
}

/// What came of it, with a bit for each flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Not accepted, or not for certain.
    pub refused: u32,
    /// Its destination may be translated.
    pub translated: u32,
    /// The first rule, policy or unreadable line that does one or the other.
    pub place: Place,
}

impl Findings {
    /// Nothing was found against it, IPv4 and IPv6 alike. Not asked about is not accepted.
    pub fn accepts(&self, question: &Question<'_>, protocol: u8, port: u16) -> bool {
        let flows = question.those(&|f| (f.protocol, f.port) == (protocol, port));
        flows != 0 && flows & (self.refused | self.translated) == 0
    }

    /// Something is found against flows; what, the caller has noted.
    fn stands_at(&mut self, place: Place) {
        if self.place.text == 0 {
            self.place = place;
        }
    }
}

/// Which language a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `nft list ruleset`, with `-n` or without, with `-t` or without.
    Nft,
    /// `iptables-save`.
    #[cfg(any(feature = "iptables", not(feature = "daemon")))]
    Iptables,
    /// `ip6tables-save`.
    #[cfg(any(feature = "iptables", not(feature = "daemon")))]
    Ip6tables,
}

/// Who reads texts, line by line.
pub trait Reader {
    /// A text begins, and the one before is over.
    fn begin(&mut self, text: Text);
    /// Its next line.
    fn line(&mut self, line: CutLine<'_>);
}

/// Reads texts and answers. Large (about 10 KiB).
pub struct Check<'a> {
    question: &'a Question<'a>,
    graph: Graph,
    text: Text,
    place: Place,
    /// How many blocks are open.
    depth: u8,
    /// The table that is open, by hash, and the flows of its family.
    table: u32,
    flows: Mask,
    /// It is one that iptables-nft may have made.
    xtables: bool,
    /// The chain that is open.
    chain: Option<u8>,
    /// Which of iptables' tables is open.
    #[cfg(any(feature = "iptables", not(feature = "daemon")))]
    hooks: u8,
    /// Something could not be read, and where.
    faulty: bool,
    fault_at: Place,
}

impl<'a> Check<'a> {
    /// No text was read yet.
    pub const fn new(question: &'a Question<'a>) -> Self {
        Self {
            question,
            graph: Graph::new(),
            text: Text::Nft,
            place: Place { text: 0, line: 0 },
            depth: 0,
            table: 0,
            flows: 0,
            xtables: false,
            chain: None,
            #[cfg(any(feature = "iptables", not(feature = "daemon")))]
            hooks: 0,
            faulty: false,
            fault_at: Place { text: 0, line: 0 },
        }
    }

    /// What was found. `readable`: all texts came whole, and no program failed.
    pub fn findings(&mut self, readable: bool) -> Findings {
        self.end();
        if !readable {
            self.fault();
        }
        let mut findings = Findings::default();
        if self.faulty {
            findings = Findings { refused: !0, translated: !0, place: self.fault_at };
        } else {
            self.graph.judge(&mut findings);
        }
        findings
    }

    /// A text that ends in the middle is not all of it.
    fn end(&mut self) {
        if self.depth > 0 {
            self.fault();
        }
        self.depth = 0;
        self.chain = None;
    }

    #[inline(never)]
    fn fault(&mut self) {
        if !self.faulty {
            self.fault_at = self.place;
        }
        self.faulty = true;
    }

    /// A chain begins.
    fn declare(&mut self, name: u32) {
        let at = self.graph.chains.len() as u8;
        self.chain = Some(at);
        // Told from one another by 32 bits: should two have the same, nothing can be said.
        if self.graph.chains.contains(&name) || self.graph.chains.push(name).is_err() {
            self.fault();
        }
    }

    /// The chain that is open is hooked in.
    fn base(&mut self, hook: Hook, drops: bool) {
        let base = Base { chain: self.chain.unwrap_or(u8::MAX), hook, drops, flows: self.flows, place: self.place };
        if self.graph.bases.push(base).is_err() {
            self.fault();
        }
    }

    /// A rule of the chain that is open, about these flows.
    #[inline(never)]
    fn rule_from(&self, hit: Hit) -> Rule {
        Rule {
            hit,
            state: Hit::ALL,
            asks_state: false,
            packets: Hit::ALL,
            limit: Limit::None,
            port: false,
            acts: false,
            vague: false,
            chain: self.chain.unwrap_or(u8::MAX),
            verdict: Verdict::Unknown,
            target: 0,
            line: self.place.line,
        }
    }

    /// It may do anything to what it may match.
    fn not_understood(&mut self, mut rule: Rule) {
        rule.give_up();
        rule.verdict = Verdict::Unknown;
        self.keep(rule);
    }

    /// Keeps a rule, if it can do anything to a flow.
    #[inline(never)]
    fn keep(&mut self, mut rule: Rule) {
        match (rule.limit, rule.verdict) {
            (Limit::None, _) => {}
            // See above: a flow is slow enough, but for a guard of a port.
            (Limit::Above, _) if !rule.port => return,
            (Limit::Below, Verdict::Return) if !rule.port => {}
            // Nobody is let in by a limit either.
            _ => rule.hit.sure = 0,
        }
        let matters = if rule.verdict == Verdict::Accept { rule.hit.sure } else { rule.hit.may };
        if matters != 0 && rule.verdict != Verdict::Nothing && self.graph.rules.push(rule).is_err() {
            self.fault();
        }
    }
}

/// All texts must accept a flow.
impl Reader for Check<'_> {
    fn begin(&mut self, text: Text) {
        self.end();
        self.text = text;
        self.place = Place { text: self.place.text.saturating_add(1), line: 0 };
        self.flows = match text {
            Text::Nft => 0,
            #[cfg(any(feature = "iptables", not(feature = "daemon")))]
            Text::Iptables => self.question.those(&|f| !f.ipv6),
            #[cfg(any(feature = "iptables", not(feature = "daemon")))]
            Text::Ip6tables => self.question.those(&|f| f.ipv6),
        };
    }

    fn line(&mut self, line: CutLine<'_>) {
        self.place.line = self.place.line.saturating_add(1);
        let bytes = line.bytes.trim_ascii();
        if bytes.is_empty() || bytes.starts_with(b"#") {
            return;
        }
        match self.text {
            Text::Nft => self.nft(bytes, line.whole),
            #[cfg(any(feature = "iptables", not(feature = "daemon")))]
            Text::Iptables | Text::Ip6tables => self.iptables(bytes, line.whole),
        }
    }
}

/// A name within another.
fn hash(of: u32, name: &[u8]) -> u32 {
    // FNV-1a, with an end so that "a","bc" is not "ab","c".
    name.iter().chain(&[0]).fold(of, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

const _: () = assert!(INTERFACE < 16 && FLOWS <= Mask::BITS as usize);
