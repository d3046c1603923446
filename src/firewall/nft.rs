//! The language of `nft list ruleset`, as versions 0.9 to 1.1 print it, numbers or names.

use super::flags::flag_match;
use super::graph::{Hook, Limit, Rule, Verdict};
use super::matches::{Hit, Kind, is};
use super::word::{Is, Meanings, Whose, Word, Words, meaning};
use super::{Check, hash};

const WORDS: Meanings = &[
    ("accept", Is::Verdict(Verdict::Accept)),
    ("drop reject", Is::Verdict(Verdict::Drop)),
    ("return", Is::Verdict(Verdict::Return)),
    ("jump", Is::Verdict(Verdict::Jump)),
    ("goto", Is::Verdict(Verdict::Goto)),
    ("continue masquerade snat", Is::Verdict(Verdict::Nothing)),
    ("dnat redirect", Is::Verdict(Verdict::Translate)),
    // `xt target "…"`: iptables-nft's, which nft cannot translate.
    ("queue synproxy tproxy target", Is::Verdict(Verdict::Unknown)),
    ("comment", Is::Comment),
    ("counter", Is::Counter),
    ("limit", Is::Limit),
    ("log notrack", Is::Statement),
    ("prefix level group snaplen queue-threshold", Is::Passing(1)),
    ("burst", Is::Passing(2)),
    ("fib", Is::Fib),
    ("meta ct th ether", Is::Of(Whose::Anybody)),
    ("ip", Is::Of(Whose::Ipv4)),
    ("ip6", Is::Of(Whose::Ipv6)),
    ("tcp", Is::Of(Whose::Tcp)),
    ("udp", Is::Of(Whose::Udp)),
    ("icmp icmpv6 igmp sctp dccp udplite esp", Is::Of(Whose::Nobody)),
    ("iif iifname", Is::Key(Kind::Interface)),
    ("oif oifname", Is::Key(Kind::Opaque)),
    ("pkttype", Is::Key(Kind::Cast)),
];

/// Keys whose value is understood, by what they are of.
const KEYS: [(&str, Meanings); 6] = [
    ("tcp udp th", &[("dport", Is::Key(Kind::Port))]),
    ("tcp", &[("flags", Is::Key(Kind::Flags))]),
    ("ct", &[("state", Is::Key(Kind::State)), ("status", Is::Key(Kind::Status))]),
    (
        "meta",
        &[
            ("nfproto", Is::Key(Kind::Family)),
            ("l4proto", Is::Key(Kind::Protocol)),
            ("pkttype", Is::Key(Kind::Cast)),
            ("iif iifname", Is::Key(Kind::Interface)),
        ],
    ),
    ("ip", &[("protocol", Is::Key(Kind::Protocol))]),
    ("ip ip6", &[("daddr", Is::Key(Kind::Destination))]),
];

/// Tables that iptables-nft may have made.
const XTABLES: &str = "filter nat mangle raw security";

fn meaning_of(word: &Word<'_>) -> Option<Is> {
    if word.quoted { None } else { meaning(word.text, WORDS) }
}

fn is_verdict(word: &Word<'_>) -> bool {
    matches!(meaning_of(word), Some(Is::Verdict(_)))
}

impl Check<'_> {
    pub(super) fn nft(&mut self, line: &[u8], whole: bool) {
        let mut words = Words(line);
        let first = words.text();
        let opens = line.ends_with(b"{");
        match self.depth {
            1.. if line == b"}" => {
                self.depth -= 1;
                if self.depth < 2 {
                    self.chain = None;
                }
            }
            0 if whole && opens && is(first, "table") => {
                let family = words.text();
                self.flows = self.question.those(&|f| match family {
                    b"inet" => true,
                    b"ip" => !f.ipv6,
                    b"ip6" => f.ipv6,
                    // Of the bridge, of ARP and of single devices: they have no part in this.
                    _ => false,
                });
                let name = words.text();
                self.table = hash(hash(u32::from(self.place.text), family), name);
                self.xtables = family != b"inet" && is(name, XTABLES);
                self.depth = 1;
            }
            1 if whole && opens => {
                self.depth = 2;
                if is(first, "chain") && self.flows != 0 {
                    self.declare(hash(self.table, words.text()));
                }
            }
            1 if is(first, "comment flags") => {}
            0 | 1 => self.fault(),
            _ if opens => {
                // A chain without a name within a rule: its rules are not read.
                if self.depth == 2 {
                    self.not_understood(self.rule_from(Hit::exact(self.flows)));
                }
                self.depth = self.depth.saturating_add(1);
            }
            2 if self.chain.is_some() => {
                if !whole {
                    self.not_understood(self.rule_from(Hit::exact(self.flows)));
                } else if is(first, "type") {
                    self.hooked(words);
                } else {
                    self.read_rule(Words(line));
                }
            }
            _ => {}
        }
    }

    /// `type filter hook input priority filter; policy drop;`
    fn hooked(&mut self, mut words: Words<'_>) {
        let filters = words.eat("filter");
        let translates = words.eat("nat");
        words.eat("hook");
        let hook = if words.eat("input") && filters {
            Hook::Input
        } else if !words.eat("prerouting") {
            return;
        } else if filters {
            Hook::Prerouting
        } else if translates {
            Hook::Translate
        } else {
            return;
        };
        let drops = words.any(|w| is(w.text, "policy")) && words.eat("drop");
        self.base(hook, drops);
    }

    fn read_rule(&mut self, mut words: Words<'_>) {
        let mut rule = self.rule_from(Hit::exact(self.flows));
        while let Some(word) = words.next() {
            let mut kind = Kind::Opaque;
            match meaning_of(&word) {
                Some(Is::Verdict(verdict)) => {
                    rule.verdict = verdict;
                    rule.target = hash(self.table, words.text());
                    return self.keep(rule);
                }
                Some(Is::Comment) => break,
                Some(Is::Statement) => {
                    rule.acts = true;
                    continue;
                }
                Some(Is::Passing(more)) => {
                    skip(&mut words, more);
                    continue;
                }
                Some(Is::Counter) => {
                    // `packets 0 bytes 0`, `name "c"`
                    let more = if words.eat("packets") { 3 } else { u8::from(words.eat("name")) };
                    skip(&mut words, more);
                    continue;
                }
                Some(Is::Limit) if words.eat("rate") => {
                    rule.limit = if words.eat("over") { Limit::Above } else { Limit::Below };
                    // `25/second`, `10 kbytes/second`
                    if !words.text().contains(&b'/') {
                        skip(&mut words, 1);
                    }
                    continue;
                }
                Some(Is::Fib) => {
                    let mut local = words.eat("daddr");
                    while local && (words.eat(".") || words.eat("iif")) {}
                    local &= words.eat("type");
                    // What iptables-nft has as xt_addrtype is shown in words that mean something else.
                    let mut ahead = words;
                    if local && (!self.xtables || ahead.eat("local")) {
                        kind = Kind::Local;
                    } else {
                        rule.give_up();
                    }
                }
                Some(Is::Key(known)) => kind = known,
                Some(Is::Of(whose)) => {
                    let flows = self.question.those(&|f| match whose {
                        Whose::Anybody => true,
                        Whose::Ipv4 => !f.ipv6,
                        Whose::Ipv6 => f.ipv6,
                        Whose::Tcp => f.is_tcp(),
                        Whose::Udp => !f.is_tcp(),
                        Whose::Nobody => false,
                    });
                    rule.narrow(Kind::Opaque, Hit::exact(flows));
                    let key = words.text();
                    let of = KEYS.iter().filter(|(of, _)| is(word.text, of));
                    if let Some(Is::Key(known)) = of.filter_map(|(_, keys)| meaning(key, keys)).next() {
                        kind = known;
                    }
                }
                _ => {
                    rule.give_up();
                    // `{ ip saddr limit rate over 10/second }`, a map: what is in there is not of this rule.
                    if !word.quoted && word.text == b"{" {
                        words.find(|w| !w.quoted && w.text == b"}");
                    }
                    continue;
                }
            }
            if self.value(&mut words, kind, &mut rule) {
                return;
            }
        }
        // Without a verdict the next rule is looked at. But not all that iptables-nft has put there is shown: nft 1.0.6 leaves
        // out REDIRECT and DNAT of ip6tables without a trace.
        if self.xtables && !rule.acts {
            self.not_understood(rule);
        }
    }

    /// What a key is compared with, or what it decides. `true`: the rule ends here.
    fn value(&mut self, words: &mut Words<'_>, kind: Kind, rule: &mut Rule) -> bool {
        if words.eat("set") {
            // It is given a value; nothing is compared.
            rule.acts = true;
            skip(words, 1);
            return false;
        }
        if words.eat("vmap") {
            self.verdict_map(words, kind, *rule);
            return true;
        }
        if kind == Kind::Flags {
            match flag_match(words) {
                Some(hit) => rule.narrow(kind, hit),
                None => rule.give_up(),
            }
            return false;
        }
        let inverted = words.eat("!=") || words.eat("!");
        words.eat("==");
        let mut hit = Hit::NONE;
        if words.eat("{") {
            while !words.eat("}")
                && let Some(word) = words.next()
            {
                hit = hit.or(self.one(kind, &word));
            }
        } else {
            let before = *words;
            let Some(word) = words.next() else { return false };
            hit = self.one(kind, &word);
            if is_verdict(&word) && kind != Kind::Status {
                *words = before;
                hit = Hit::UNKNOWN;
            } else if !word.quoted && !word.text.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'@') {
                // `. tcp dport`, `& 0xff`, `> 1023`
                rule.give_up();
            } else if inverted && kind == Kind::State && word.text.contains(&b',') {
                // Of several states one is meant to do, or all: that changed.
                hit = Hit::UNKNOWN;
            }
        }
        rule.narrow(kind, hit.not(inverted));
        false
    }

    /// The flows for which one value fits. Names of interfaces are in quotes; without, it is a number that has no name.
    fn one(&self, kind: Kind, word: &Word<'_>) -> Hit {
        let kind = if kind == Kind::Interface && !word.quoted { Kind::Opaque } else { kind };
        self.question.hit(kind, word.text, b'*')
    }

    /// `{ 22 : accept, 80-90 : jump web }`
    fn verdict_map(&mut self, words: &mut Words<'_>, kind: Kind, rule: Rule) {
        if !words.eat("{") {
            return self.not_understood(rule);
        }
        while !words.eat("}")
            && let Some(key) = words.next()
        {
            let mut one = rule;
            let mut hit = self.one(kind, &key);
            while !words.eat(":") && words.next().is_some() {
                // Of several parts.
                hit = Hit::UNKNOWN;
            }
            if let Some(Is::Verdict(verdict)) = words.next().and_then(|w| meaning_of(&w)) {
                one.verdict = verdict;
            }
            if matches!(one.verdict, Verdict::Jump | Verdict::Goto) {
                one.target = hash(self.table, words.text());
            }
            one.narrow(kind, hit);
            self.keep(one);
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
