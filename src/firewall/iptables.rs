//! The language of `iptables-save`: all that xtables prints, legacy or by way of nftables.

use super::flags::{flag_term, flags};
use super::graph::{Hook, Limit, Verdict};
use super::matches::{Hit, Kind, is};
use super::word::{Is, Meanings, Words, meaning};
use super::{Check, hash};

/// The tables, and the chains of them that matter.
const TABLES: [(&str, &[(&str, Hook)]); 3] = [
    ("filter security", &[("INPUT", Hook::Input)]),
    ("mangle raw", &[("INPUT", Hook::Input), ("PREROUTING", Hook::Prerouting)]),
    ("nat", &[("PREROUTING", Hook::Translate)]),
];

/// Options, their arguments, and targets.
const WORDS: Meanings = &[
    ("!", Is::Not),
    ("-j", Is::Verdict(Verdict::Jump)),
    ("-g", Is::Verdict(Verdict::Goto)),
    ("-m --comment --limit-burst", Is::Passing(1)),
    ("--limit", Is::Limit),
    ("--tcp-flags", Is::Key(Kind::Flags)),
    ("-i", Is::Key(Kind::Interface)),
    ("-p", Is::Key(Kind::Protocol)),
    ("--dport --dports", Is::Key(Kind::Port)),
    ("--ctstate --state", Is::Key(Kind::State)),
    ("-d", Is::Key(Kind::Destination)),
    ("--dst-type", Is::Key(Kind::Local)),
    ("--pkt-type", Is::Key(Kind::Cast)),
    ("-s -o --sport --sports --src-type --mac-source --mark", Is::Key(Kind::Opaque)),
];

/// Those that no chain is named like. Any other may keep the packet.
const TARGETS: Meanings = &[
    ("ACCEPT", Is::Verdict(Verdict::Accept)),
    ("DROP REJECT", Is::Verdict(Verdict::Drop)),
    ("RETURN", Is::Verdict(Verdict::Return)),
    ("DNAT REDIRECT NETMAP", Is::Verdict(Verdict::Translate)),
    (
        "LOG NFLOG ULOG MARK CONNMARK SET TCPMSS DSCP TOS CLASSIFY TTL HL CT NOTRACK TRACE CHECKSUM ECN CONNSECMARK SECMARK \
         AUDIT TEE RATEEST LED IDLETIMER ACCOUNT TCPOPTSTRIP",
        Is::Verdict(Verdict::Nothing),
    ),
];

impl Check<'_> {
    pub(super) fn iptables(&mut self, line: &[u8], whole: bool) {
        let mut words = Words(line);
        let first = words.text();
        let Some((begin, name)) = first.split_first() else { return };
        match begin {
            b'*' => {
                self.table = hash(u32::from(self.place.text), name);
                self.hooks = TABLES.iter().position(|(known, _)| is(name, known)).map_or(u8::MAX, |at| at as u8);
                self.depth = 1;
            }
            _ if self.depth == 0 => self.fault(),
            b'C' => self.depth = 0,
            b':' => {
                self.declare(hash(self.table, name));
                let hooks = TABLES.get(usize::from(self.hooks)).map_or(&[][..], |(_, hooks)| hooks);
                for (_, hook) in hooks.iter().filter(|(chain, _)| is(name, chain)) {
                    self.base(*hook, !words.eat("ACCEPT"));
                }
            }
            b'-' if name == b"A" => {
                self.chain = self.graph.chain(hash(self.table, words.text()));
                if self.chain.is_none() {
                    self.fault();
                }
                self.appended(words, whole);
            }
            _ => self.fault(),
        }
    }

    fn appended(&mut self, mut words: Words<'_>, whole: bool) {
        let mut rule = self.rule_from(Hit::exact(self.flows));
        if !whole {
            return self.not_understood(rule);
        }
        let mut inverted = false;
        while let Some(word) = words.next() {
            let means = if word.quoted { None } else { meaning(word.text, WORDS) };
            match means {
                Some(Is::Not) => {
                    inverted = true;
                    continue;
                }
                Some(Is::Verdict(verdict)) => {
                    let target = words.text();
                    let name = hash(self.table, target);
                    rule.target = name;
                    rule.verdict = match meaning(target, TARGETS) {
                        _ if self.graph.chain(name).is_some() => verdict,
                        Some(Is::Verdict(verdict)) => verdict,
                        _ => Verdict::Unknown,
                    };
                    return self.keep(rule);
                }
                Some(Is::Key(kind)) => {
                    // As programs before 1.4.3 wrote it.
                    inverted |= words.eat("!");
                    let hit = if kind == Kind::Flags {
                        let terms = (flag_term(&mut words), flag_term(&mut words));
                        if let (Some(mask), Some(value)) = terms { flags(mask, value) } else { Hit::UNKNOWN }
                    } else {
                        self.question.hit(kind, words.text(), b'+')
                    };
                    rule.narrow(kind, hit.not(inverted));
                }
                Some(Is::Limit) => {
                    words.next();
                    rule.limit = Limit::Below;
                }
                Some(Is::Passing(_)) => drop(words.next()),
                _ => rule.give_up(),
            }
            inverted = false;
        }
        // Without a target it only counts.
    }
}
