//! The language of `iptables-save`: all that xtables prints, legacy or by way of nftables.

use super::flags::{flag_bits, flags};
use super::graph::{Hook, Verdict};
use super::matches::{Hit, Kind};
use super::word::Words;
use super::{Check, Limit, Match, hash};

/// Which built-in chains of a table matter, and what for.
pub(super) type Hooks = &'static [(&'static str, Hook)];

pub(super) const NO_HOOKS: Hooks = &[];
const FILTER: Hooks = &[("INPUT", Hook::Input)];
const MANGLE: Hooks = &[("INPUT", Hook::Input), ("PREROUTING", Hook::Prerouting)];
const TABLES: &[(&str, Hooks)] = &[
    ("filter", FILTER),
    ("security", FILTER),
    ("mangle", MANGLE),
    ("raw", MANGLE),
    ("nat", &[("PREROUTING", Hook::Translate)]),
];

/// Options and what their argument is.
const OPTIONS: &[(&str, Kind)] = &[
    ("-i", Kind::Interface(b'+')),
    ("-p", Kind::Protocol),
    ("--dport", Kind::Port),
    ("--dports", Kind::Port),
    ("--ctstate", Kind::State),
    ("--state", Kind::State),
    ("-d", Kind::Destination),
    ("--dst-type", Kind::Local),
    ("--pkt-type", Kind::Cast),
    ("-s", Kind::Opaque),
    ("-o", Kind::Opaque),
    ("--sport", Kind::Opaque),
    ("--sports", Kind::Opaque),
    ("--src-type", Kind::Opaque),
    ("--mac-source", Kind::Opaque),
    ("--mark", Kind::Opaque),
];

const TARGETS: &[(&str, Verdict)] = &[
    ("ACCEPT", Verdict::Accept),
    ("DROP", Verdict::Drop),
    ("REJECT", Verdict::Drop),
    ("RETURN", Verdict::Return),
    ("DNAT", Verdict::Translate),
    ("REDIRECT", Verdict::Translate),
    ("NETMAP", Verdict::Translate),
];

/// Targets after which the next rule is looked at. Any other that is no chain may keep the packet.
const PASSING: &str = "LOG NFLOG ULOG MARK CONNMARK SET TCPMSS DSCP TOS CLASSIFY TTL HL CT NOTRACK TRACE CHECKSUM ECN \
    CONNSECMARK SECMARK AUDIT TEE RATEEST LED IDLETIMER ACCOUNT TCPOPTSTRIP";

/// Whether iptables has a table of that name.
pub(super) fn is_table(name: &[u8]) -> bool {
    TABLES.iter().any(|(known, _)| known.as_bytes() == name)
}

impl Check<'_> {
    pub(super) fn iptables(&mut self, line: &[u8], whole: bool) {
        let mut words = Words(line);
        let first = words.text();
        match first.first() {
            Some(b'*') => {
                let name = first.get(1..).unwrap_or_default();
                self.table = hash(u32::from(self.place.text), name);
                self.hooks = TABLES.iter().find(|(n, _)| n.as_bytes() == name).map_or(NO_HOOKS, |(_, hooks)| hooks);
                self.depth = 1;
            }
            _ if self.depth == 0 => self.fault(),
            Some(b'C') if first == b"COMMIT" => self.depth = 0,
            Some(b':') => {
                let name = first.get(1..).unwrap_or_default();
                let hook = self.hooks.iter().find(|(n, _)| n.as_bytes() == name).map(|(_, hook)| *hook);
                let chain = self.declare(hash(self.table, name));
                if let Some(hook) = hook {
                    let policy = words.text();
                    self.base(chain, hook, policy != b"ACCEPT");
                }
            }
            _ if first == b"-A" => {
                let chain = self.graph.chain(hash(self.table, words.text()));
                if chain.is_none() {
                    self.fault();
                }
                self.appended(chain, words, whole);
            }
            _ => self.fault(),
        }
    }

    fn appended(&mut self, chain: Option<u8>, mut words: Words<'_>, whole: bool) {
        let mut rule = Match::new(self.flows);
        if !whole {
            rule.give_up();
            return self.rule(chain, rule, Verdict::Unknown, 0);
        }
        let mut inverted = false;
        while let Some(word) = words.next() {
            let kind = OPTIONS.iter().find(|(name, _)| name.as_bytes() == word.text).map(|(_, kind)| *kind);
            match (word.text, kind) {
                _ if word.quoted => rule.give_up(),
                (b"!", _) => {
                    inverted = true;
                    continue;
                }
                (b"-j" | b"-g", _) => {
                    let target = words.text();
                    return self.send(chain, rule, target, word.text == b"-g");
                }
                (b"-m" | b"--comment" | b"--limit-burst", _) => drop(words.next()),
                (b"--limit", _) => {
                    words.next();
                    rule.limit = Limit::Below;
                }
                (b"--tcp-flags", _) => {
                    let hit = match (flag_bits(words.text()), flag_bits(words.text())) {
                        (Some(mask), Some(value)) => flags(mask, value),
                        _ => Hit::UNKNOWN,
                    };
                    rule.narrow(Kind::Flags, if inverted { hit.not() } else { hit });
                }
                (_, Some(kind)) => {
                    // As programs before 1.4.3 wrote it.
                    inverted |= words.eat("!");
                    let hit = self.question.hit(kind, words.text());
                    rule.narrow(kind, if inverted { hit.not() } else { hit });
                }
                _ => rule.give_up(),
            }
            inverted = false;
        }
        // Without a target it only counts.
    }

    fn send(&mut self, chain: Option<u8>, rule: Match, target: &[u8], goto: bool) {
        let name = hash(self.table, target);
        let known = TARGETS.iter().find(|(name, _)| name.as_bytes() == target);
        let verdict = if self.graph.chain(name).is_some() {
            if goto { Verdict::Goto } else { Verdict::Jump }
        } else if let Some((_, verdict)) = known {
            *verdict
        } else if PASSING.split(' ').any(|name| name.as_bytes() == target) {
            Verdict::Nothing
        } else {
            Verdict::Unknown
        };
        self.rule(chain, rule, verdict, name);
    }
}
