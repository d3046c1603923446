//! The language of `nft list ruleset`, as versions 0.9 to 1.1 print it, numbers or names.

use super::flags::flag_match;
use super::graph::{Hook, Verdict};
use super::matches::{Hit, Kind};
use super::word::{Word, Words};
use super::{Check, Limit, Match, hash};
use crate::entry::protocol;

/// What a word in a rule is.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Verdict(Verdict),
    /// It does something that changes nothing here.
    Statement,
    /// It takes so many words with it.
    Passing(u8),
    Counter,
    Limit,
    Fib,
    /// Of which packets: then a key and a value come.
    Of(Whose),
    /// A key by itself: a value comes.
    Key(Kind),
    /// The rest is for people.
    Comment,
}

#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Anybody,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    /// Of protocols that are not asked about.
    Nobody,
}

const INTERFACE: Kind = Kind::Interface(b'*');

const WORDS: &[(&str, Is)] = &[
    ("accept", Is::Verdict(Verdict::Accept)),
    ("drop", Is::Verdict(Verdict::Drop)),
    ("reject", Is::Verdict(Verdict::Drop)),
    ("return", Is::Verdict(Verdict::Return)),
    ("jump", Is::Verdict(Verdict::Jump)),
    ("goto", Is::Verdict(Verdict::Goto)),
    ("continue", Is::Verdict(Verdict::Nothing)),
    ("dnat", Is::Verdict(Verdict::Translate)),
    ("redirect", Is::Verdict(Verdict::Translate)),
    ("masquerade", Is::Verdict(Verdict::Nothing)),
    ("snat", Is::Verdict(Verdict::Nothing)),
    ("queue", Is::Verdict(Verdict::Unknown)),
    ("synproxy", Is::Verdict(Verdict::Unknown)),
    ("tproxy", Is::Verdict(Verdict::Unknown)),
    // `xt target "…"`: iptables-nft's, which nft cannot translate.
    ("target", Is::Verdict(Verdict::Unknown)),
    ("comment", Is::Comment),
    ("counter", Is::Counter),
    ("limit", Is::Limit),
    ("log", Is::Statement),
    ("notrack", Is::Statement),
    ("prefix", Is::Passing(1)),
    ("level", Is::Passing(1)),
    ("group", Is::Passing(1)),
    ("snaplen", Is::Passing(1)),
    ("queue-threshold", Is::Passing(1)),
    ("burst", Is::Passing(2)),
    ("fib", Is::Fib),
    ("meta", Is::Of(Whose::Anybody)),
    ("ct", Is::Of(Whose::Anybody)),
    ("th", Is::Of(Whose::Anybody)),
    ("ether", Is::Of(Whose::Anybody)),
    ("ip", Is::Of(Whose::Ipv4)),
    ("ip6", Is::Of(Whose::Ipv6)),
    ("tcp", Is::Of(Whose::Tcp)),
    ("udp", Is::Of(Whose::Udp)),
    ("icmp", Is::Of(Whose::Nobody)),
    ("icmpv6", Is::Of(Whose::Nobody)),
    ("igmp", Is::Of(Whose::Nobody)),
    ("sctp", Is::Of(Whose::Nobody)),
    ("dccp", Is::Of(Whose::Nobody)),
    ("udplite", Is::Of(Whose::Nobody)),
    ("esp", Is::Of(Whose::Nobody)),
    ("iif", Is::Key(INTERFACE)),
    ("iifname", Is::Key(INTERFACE)),
    ("oif", Is::Key(Kind::Opaque)),
    ("oifname", Is::Key(Kind::Opaque)),
    ("pkttype", Is::Key(Kind::Cast)),
];

/// Keys whose value is understood.
const KEYS: &[(&str, &str, Kind)] = &[
    ("tcp", "dport", Kind::Port),
    ("udp", "dport", Kind::Port),
    ("th", "dport", Kind::Port),
    ("tcp", "flags", Kind::Flags),
    ("ct", "state", Kind::State),
    ("ct", "status", Kind::Status),
    ("meta", "nfproto", Kind::Family),
    ("meta", "l4proto", Kind::Protocol),
    ("meta", "pkttype", Kind::Cast),
    ("ip", "protocol", Kind::Protocol),
    ("ip", "daddr", Kind::Destination),
    ("ip6", "daddr", Kind::Destination),
];

fn meaning(word: &Word<'_>) -> Option<Is> {
    WORDS.iter().find(|(name, _)| !word.quoted && name.as_bytes() == word.text).map(|(_, is)| *is)
}

fn is_verdict(word: &Word<'_>) -> bool {
    matches!(meaning(word), Some(Is::Verdict(_)))
}

impl Check<'_> {
    pub(super) fn nft(&mut self, line: &[u8], whole: bool) {
        let mut words = Words(line);
        let first = words.text();
        let opens = line.ends_with(b"{");
        let closes = line == b"}";
        match self.depth {
            _ if closes && self.depth > 0 => {
                self.depth -= 1;
                if self.depth < 2 {
                    self.chain = None;
                }
            }
            0 | 1 if !whole => self.fault(),
            0 if first == b"table" && opens => {
                let family = words.text();
                self.flows = match family {
                    b"inet" => self.question.those(&|_| true),
                    b"ip" => self.question.those(&|f| !f.ipv6),
                    b"ip6" => self.question.those(&|f| f.ipv6),
                    // Of the bridge, of ARP and of single devices: they have no part in this.
                    _ => 0,
                };
                let name = words.text();
                self.table = hash(hash(u32::from(self.place.text), family), name);
                self.xtables = family != b"inet" && super::iptables::is_table(name);
                self.depth = 1;
            }
            1 if opens => {
                self.depth = 2;
                self.chain = None;
                if first == b"chain" && self.flows != 0 {
                    self.chain = self.declare(hash(self.table, words.text()));
                }
            }
            1 if matches!(first, b"comment" | b"flags") => {}
            0 | 1 => self.fault(),
            // A chain without a name within a rule: its rules are not read.
            2.. if opens => {
                if self.depth == 2 {
                    self.rule(self.chain, Match::new(self.flows), Verdict::Unknown, 0);
                }
                self.depth = self.depth.saturating_add(1);
            }
            2 if self.chain.is_some() => match first {
                _ if !whole => {
                    let mut rule = Match::new(self.flows);
                    rule.give_up();
                    self.rule(self.chain, rule, Verdict::Unknown, 0);
                }
                b"type" => self.hooked(words),
                b"comment" => {}
                _ => self.read_rule(Words(line)),
            },
            _ => {}
        }
    }

    /// `type filter hook input priority filter; policy drop;`
    fn hooked(&mut self, mut words: Words<'_>) {
        let kind = words.text();
        let (mut hook, mut policy): (&[u8], &[u8]) = (b"", b"");
        while let Some(word) = words.next() {
            match word.text {
                b"hook" => hook = words.text(),
                b"policy" => policy = words.text(),
                _ => {}
            }
        }
        let hook = match (kind, hook) {
            (b"filter", b"input") => Hook::Input,
            (b"filter", b"prerouting") => Hook::Prerouting,
            (b"nat", b"prerouting") => Hook::Translate,
            _ => return,
        };
        self.base(self.chain, hook, policy == b"drop");
    }

    fn read_rule(&mut self, mut words: Words<'_>) {
        let mut rule = Match::new(self.flows);
        while let Some(word) = words.next() {
            match meaning(&word) {
                Some(Is::Verdict(verdict)) => {
                    let target = hash(self.table, words.text());
                    return self.rule(self.chain, rule, verdict, target);
                }
                Some(Is::Comment) => return,
                Some(Is::Statement) => rule.acts = true,
                Some(Is::Passing(more)) => skip(&mut words, more),
                Some(Is::Counter) => {
                    if words.eat("packets") {
                        skip(&mut words, 3);
                    } else if words.eat("name") {
                        skip(&mut words, 1);
                    }
                }
                Some(Is::Limit) => {
                    if !words.eat("rate") {
                        rule.give_up();
                    } else {
                        rule.limit = if words.eat("over") { Limit::Above } else { Limit::Below };
                        // `25/second`, `10 kbytes/second`
                        if !words.text().contains(&b'/') {
                            skip(&mut words, 1);
                        }
                    }
                }
                Some(Is::Fib) => {
                    let mut kind = if words.eat("daddr") { Kind::Local } else { Kind::Opaque };
                    for key in words.by_ref() {
                        match key.text {
                            b"type" => break,
                            b"." | b"iif" => {}
                            b"oif" | b"oifname" | b"check" => {
                                kind = Kind::Opaque;
                                break;
                            }
                            _ => kind = Kind::Opaque,
                        }
                    }
                    // What iptables-nft has as xt_addrtype is shown in words that mean something else.
                    let mut ahead = words;
                    if self.xtables && !ahead.eat("local") {
                        kind = Kind::Opaque;
                    }
                    if self.value(&mut words, kind, &mut rule) {
                        return;
                    }
                }
                Some(Is::Key(kind)) => {
                    if self.value(&mut words, kind, &mut rule) {
                        return;
                    }
                }
                Some(Is::Of(whose)) => {
                    let flows = self.question.those(&|f| match whose {
                        Whose::Anybody => true,
                        Whose::Ipv4 => !f.ipv6,
                        Whose::Ipv6 => f.ipv6,
                        Whose::Tcp => f.protocol == protocol::TCP,
                        Whose::Udp => f.protocol == protocol::UDP,
                        Whose::Nobody => false,
                    });
                    rule.narrow(Kind::Opaque, Hit::exact(flows));
                    let key = words.text();
                    let kind = if matches!(key, b"iif" | b"iifname") {
                        INTERFACE
                    } else {
                        let known = KEYS.iter().find(|(of, k, _)| (of.as_bytes(), k.as_bytes()) == (word.text, key));
                        known.map_or(Kind::Opaque, |(.., kind)| *kind)
                    };
                    if self.value(&mut words, kind, &mut rule) {
                        return;
                    }
                }
                None => {
                    rule.give_up();
                    // `{ ip saddr limit rate over 10/second }`, a map: what is in there is not of this rule.
                    if word.text == b"{" && !word.quoted {
                        words.find(|w| w.text == b"}" && !w.quoted);
                    }
                }
            }
        }
        // Without a verdict the next rule is looked at. But not all that iptables-nft has put there is shown: nft 1.0.6 leaves
        // out REDIRECT and DNAT of ip6tables without a trace.
        if self.xtables && !rule.acts {
            self.rule(self.chain, rule, Verdict::Unknown, 0);
        }
    }

    /// What a key is compared with, or what it decides. `true`: the rule ends here.
    fn value(&mut self, words: &mut Words<'_>, kind: Kind, rule: &mut Match) -> bool {
        if words.eat("set") {
            // It is given a value; nothing is compared.
            rule.acts = true;
            skip(words, 1);
            return false;
        }
        if words.eat("vmap") {
            self.verdict_map(words, kind, rule);
            return true;
        }
        if kind == Kind::Flags {
            let hit = flag_match(words);
            rule.narrow(kind, hit.unwrap_or(Hit::UNKNOWN));
            if hit.is_none() {
                rule.give_up();
            }
            return false;
        }
        let inverted = words.eat("!=") || words.eat("!");
        words.eat("==");
        let before = *words;
        let Some(first) = words.next() else { return false };
        let mut hit = Hit::NONE;
        if !first.quoted && first.text == b"{" {
            for word in words.by_ref().take_while(|w| w.quoted || w.text != b"}") {
                hit = hit.or(self.one(kind, &word));
            }
        } else if is_verdict(&first) && kind != Kind::Status {
            *words = before;
            hit = Hit::UNKNOWN;
        } else {
            hit = self.one(kind, &first);
            // Of several states one is meant to do, or all: that changed.
            if inverted && kind == Kind::State && first.text.contains(&b',') {
                hit = Hit::UNKNOWN;
            }
            // `. tcp dport`, `& 0xff`, `> 1023`
            if !first.quoted && !first.text.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'@') {
                rule.give_up();
                return false;
            }
        }
        rule.narrow(kind, if inverted { hit.not() } else { hit });
        false
    }

    /// The flows for which one value fits. Names of interfaces are in quotes; without, it is a number that has no name.
    fn one(&self, kind: Kind, word: &Word<'_>) -> Hit {
        if kind == INTERFACE && !word.quoted { Hit::UNKNOWN } else { self.question.hit(kind, word.text) }
    }

    /// `{ 22 : accept, 80-90 : jump web }`
    fn verdict_map(&mut self, words: &mut Words<'_>, kind: Kind, rule: &Match) {
        let mut rule = *rule;
        if !words.eat("{") {
            rule.give_up();
            return self.rule(self.chain, rule, Verdict::Unknown, 0);
        }
        while let Some(key) = words.next() {
            if key.text == b"}" && !key.quoted {
                return;
            }
            let mut hit = self.one(kind, &key);
            while !words.eat(":") {
                // Of several parts.
                hit = Hit::UNKNOWN;
                if words.next().is_none() {
                    break;
                }
            }
            let verdict = words.next().and_then(|w| meaning(&w));
            let verdict = if let Some(Is::Verdict(v)) = verdict { v } else { Verdict::Unknown };
            let mut target = 0;
            if matches!(verdict, Verdict::Jump | Verdict::Goto) {
                target = hash(self.table, words.text());
            }
            let mut one = rule;
            one.narrow(kind, hit);
            self.rule(self.chain, one, verdict, target);
        }
    }
}

/// Passes over words, but never over a verdict.
fn skip(words: &mut Words<'_>, mut count: u8) {
    let mut ahead = *words;
    while count > 0
        && let Some(word) = ahead.next()
        && !is_verdict(&word)
    {
        *words = ahead;
        count -= 1;
    }
}
