//! What in a rule needs connection tracking, and where it stands.

use super::{offset, words};

/// States as bits; anything else is [`OTHER`].
pub const ESTABLISHED: u8 = 1;
/// See [`ESTABLISHED`].
pub const RELATED: u8 = 2;
/// See [`ESTABLISHED`].
pub const NEW: u8 = 4;
/// Invalid, untracked, by NAT.
pub const OTHER: u8 = 8;

/// What a rule's verdict is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// None: it marks, counts, logs.
    #[default]
    Nothing,
    /// Accepts.
    Accept,
    /// Goes elsewhere than to the next rule of a chain that was jumped to.
    Leaves,
    /// Refuses, or lets a chain decide.
    Decides,
}

/// A rule, taken apart: `pre` (the look at the state) `mid` verdict `post`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    pub pre: &'a [u8],
    pub mid: &'a [u8],
    pub verdict: &'a [u8],
    pub post: &'a [u8],
    /// The states it looks for.
    pub states: Option<u8>,
    /// `state : verdict` of each of them, where each has its own.
    pub map: Option<&'a [u8]>,
    pub class: Class,
    /// It needs tracking for something else than the state.
    pub tracks: bool,
    /// That is a limit, which is no way in or out.
    pub limits: bool,
    /// It gives packets another source.
    pub source_nat: bool,
}

impl<'a> Found<'a> {
    /// Cuts the rule: the state from where to where, where the verdict begins and ends.
    fn cut(&mut self, rule: &'a [u8], state: [usize; 2], verdict: [usize; 2]) {
        let part = |from: usize, to: usize| rule.get(from..to).unwrap_or_default().trim_ascii();
        let [from, to] = state;
        let [begin, end] = verdict;
        self.pre = part(0, from);
        self.mid = part(to, begin);
        self.verdict = part(begin, end);
        self.post = part(end, rule.len());
    }

    /// The verdicts for what may be a reply, for an error that may belong to a flow, and for what may be new.
    pub fn verdicts(&self) -> [&'a [u8]; 3] {
        let mut verdicts: [&[u8]; 3] = [b""; 3];
        let entries = self.map.unwrap_or_default().split(|b| *b == b',');
        for (bit, verdict) in [ESTABLISHED, RELATED, NEW].into_iter().zip(&mut verdicts) {
            if self.map.is_none() && self.states.is_some_and(|s| s & bit != 0) {
                *verdict = self.verdict;
            }
            for entry in entries.clone() {
                let mut parts = entry.splitn(2, |b| *b == b':');
                if parts.next().map(states) == Some(bit) {
                    *verdict = parts.next().unwrap_or_default().trim_ascii();
                }
            }
        }
        verdicts
    }
}

/// The states of a list.
fn states(list: &[u8]) -> u8 {
    let mut bits = 0;
    for name in list.split(|b| b", {}".contains(b)).filter(|name| !name.is_empty()) {
        let known = [(&b"established"[..], ESTABLISHED), (b"related", RELATED), (b"new", NEW)];
        bits |= known.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or(OTHER, |(_, bit)| bit);
    }
    bits
}

fn invert(states: u8, inverted: bool) -> u8 {
    if inverted { !states & (ESTABLISHED | RELATED | NEW | OTHER) } else { states }
}

/// Where a word ends.
fn end(rule: &[u8], word: &[u8]) -> usize {
    offset(rule, word) + word.len()
}

/// A rule of `iptables-save`.
pub fn iptables(rule: &[u8]) -> Found<'_> {
    let mut found = Found::default();
    let mut words = words(rule);
    let (mut state, mut verdict) = ([0; 2], [rule.len(); 2]);
    let (mut module, mut module_at): (&[u8], usize) = (b"", 0);
    let mut inverted = false;
    while let Some(word) = words.next() {
        let about_state = matches!(module, b"state" | b"conntrack");
        match word {
            b"!" => {
                inverted = true;
                continue;
            }
            b"-m" => {
                module = words.next().unwrap_or_default();
                module_at = offset(rule, word);
                found.limits |= matches!(module, b"connlimit" | b"connbytes");
                found.tracks |= found.limits || matches!(module, b"connmark" | b"connlabel" | b"helper" | b"cluster");
            }
            b"--state" | b"--ctstate" if about_state => {
                let list = words.next().unwrap_or_default();
                found.states = Some(invert(states(list), inverted));
                state = [module_at, end(rule, list)];
            }
            b"-j" | b"-g" => {
                verdict = [offset(rule, word), rule.len()];
                let target = words.next().unwrap_or_default();
                found.class = if word == b"-g" { Class::Leaves } else { class(target) };
                found.source_nat = matches!(target, b"MASQUERADE" | b"SNAT" | b"NETMAP");
                let needs = [&b"DNAT"[..], b"REDIRECT", b"CONNMARK", b"CONNSECMARK", b"FLOWOFFLOAD", b"SYNPROXY"];
                let ct = target == b"CT" && words.next() != Some(b"--notrack");
                if ct || found.source_nat || needs.contains(&target) {
                    found.tracks = true;
                    found.class = Class::Nothing;
                }
                break;
            }
            // --ctstatus, --ctorigdst and the like.
            _ if about_state && word.starts_with(b"--ct") => found.tracks = true,
            _ => {}
        }
        inverted = false;
    }
    found.cut(rule, state, verdict);
    found
}

fn class(target: &[u8]) -> Class {
    match target {
        b"ACCEPT" => Class::Accept,
        b"RETURN" => Class::Leaves,
        b"LOG" | b"NFLOG" | b"MARK" | b"DSCP" | b"TOS" | b"TCPMSS" | b"CLASSIFY" | b"TTL" | b"HL" | b"SET" | b"CT"
        | b"NOTRACK" | b"TRACE" => Class::Nothing,
        _ => Class::Decides,
    }
}

/// A rule of `nft list ruleset`.
pub fn nft(rule: &[u8]) -> Found<'_> {
    let mut found = Found::default();
    let mut words = words(rule);
    let (mut state, mut verdict) = ([0; 2], [rule.len(); 2]);
    let mut braces = 0u8;
    let mut last: &[u8] = b"";
    while let Some(word) = words.next() {
        match word {
            b"{" => braces = braces.saturating_add(1),
            b"}" => braces = braces.saturating_sub(1),
            _ if braces > 0 => {}
            b"comment" => {
                let at = offset(rule, word);
                verdict = [verdict[0].min(at), at];
                break;
            }
            b"ct" => match words.next().unwrap_or_default() {
                b"state" => {
                    let inverted = |w: &[u8]| matches!(w, b"!" | b"!=");
                    let mut list = words.next().unwrap_or_default();
                    let not = inverted(list);
                    let map = list == b"vmap";
                    if not || map {
                        list = words.next().unwrap_or_default();
                    }
                    let from = offset(rule, list);
                    let mut to = end(rule, list);
                    if list == b"{" {
                        to = words.by_ref().find(|w| *w == b"}").map_or(rule.len(), |w| end(rule, w));
                    }
                    let list = rule.get(from..to).unwrap_or_default();
                    // A list that is kept elsewhere, or goes with something else.
                    found.tracks |= matches!(list.first(), Some(b'@' | b'.'));
                    state = [offset(rule, word), to];
                    if map {
                        let map = list.trim_ascii().get(1..list.len().saturating_sub(1)).unwrap_or_default();
                        found.map = Some(map);
                        verdict = [to; 2];
                        (found.states, found.class) = mapped(map);
                    } else {
                        found.states = Some(invert(states(list), not));
                    }
                    last = list;
                    continue;
                }
                what => {
                    found.tracks = true;
                    found.limits |= matches!(what, b"count" | b"bytes" | b"packets" | b"avgpkt");
                    last = b"ct";
                    let _ = words.next();
                    continue;
                }
            },
            b"flow" | b"synproxy" => found.tracks = true,
            // `ct status dnat`, `icmp type redirect`.
            b"masquerade" | b"snat" | b"dnat" | b"redirect" if !matches!(last, b"ct" | b"type" | b"!=") => {
                found.tracks = true;
                found.source_nat |= matches!(word, b"masquerade" | b"snat");
            }
            b"accept" | b"drop" | b"reject" | b"jump" | b"goto" | b"return" | b"queue" | b"vmap" => {
                verdict = [offset(rule, word), rule.len()];
                found.class = verdict_class(word);
            }
            _ => {}
        }
        last = word;
    }
    found.cut(rule, state, verdict);
    found
}

fn verdict_class(word: &[u8]) -> Class {
    match word {
        b"accept" => Class::Accept,
        b"goto" | b"return" | b"vmap" | b"continue" => Class::Leaves,
        _ => Class::Decides,
    }
}

/// The states that have a verdict of their own, and what these are like.
fn mapped(map: &[u8]) -> (Option<u8>, Class) {
    let (mut bits, mut class) = (0, Class::Decides);
    for entry in map.split(|b| *b == b',') {
        let mut words = words(entry);
        bits |= states(words.next().unwrap_or_default());
        if words.nth(1).map(verdict_class) == Some(Class::Leaves) {
            class = Class::Leaves;
        }
    }
    (Some(bits), class)
}
