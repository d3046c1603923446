//! What in a rule needs connection tracking, and where it stands.

use super::offset;
use crate::firewall::word::{self, Word as Text, Words};

/// States as bits; anything else is [`OTHER`].
pub const ESTABLISHED: u8 = 1;
/// See [`ESTABLISHED`].
pub const RELATED: u8 = 2;
/// See [`ESTABLISHED`].
pub const NEW: u8 = 4;
/// Invalid, untracked, by NAT.
const OTHER: u8 = 8;

/// What a word means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// Nothing here; of a rule: it marks, counts, logs.
    #[default]
    Nothing,
    /// The contrary of what follows.
    Not,
    /// A match of iptables, whose name follows.
    Match,
    /// A look at the state.
    State,
    /// A verdict of iptables follows.
    Jump,
    /// The same, for good.
    Goto,
    Open,
    Close,
    Comment,
    Ct,
    /// It needs tracking.
    Tracks,
    /// It needs tracking to limit something, which is no way in or out.
    Limits,
    Nat,
    /// It gives packets another source.
    SourceNat,
    /// Accepts.
    Accept,
    /// Goes elsewhere than to the next rule of a chain that was jumped to.
    Leaves,
    /// Refuses, or lets a chain decide.
    Decides,
}

/// Words that mean the same. A table is a third of the code that a match is on MIPS.
type Meaning = (&'static str, Word);

const IPTABLES: [Meaning; 5] =
    [("!", Word::Not), ("-m", Word::Match), ("--state --ctstate", Word::State), ("-j", Word::Jump), ("-g", Word::Goto)];
const MATCHES: [Meaning; 3] = [
    ("state conntrack", Word::State),
    ("connlimit connbytes", Word::Limits),
    ("connmark connlabel helper cluster", Word::Tracks),
];
const TARGETS: [Meaning; 7] = [
    ("ACCEPT", Word::Accept),
    ("RETURN", Word::Leaves),
    ("LOG NFLOG MARK DSCP TOS TCPMSS CLASSIFY TTL HL SET NOTRACK TRACE", Word::Nothing),
    ("MASQUERADE SNAT NETMAP", Word::SourceNat),
    ("DNAT REDIRECT", Word::Nat),
    ("CONNMARK CONNSECMARK FLOWOFFLOAD SYNPROXY", Word::Tracks),
    ("CT", Word::Ct),
];
const NFT: [Meaning; 11] = [
    ("{", Word::Open),
    ("}", Word::Close),
    ("! !=", Word::Not),
    ("comment", Word::Comment),
    ("ct", Word::Ct),
    ("flow synproxy", Word::Tracks),
    ("masquerade snat", Word::SourceNat),
    ("dnat redirect", Word::Nat),
    ("accept", Word::Accept),
    ("goto return continue vmap", Word::Leaves),
    ("drop reject jump queue", Word::Decides),
];
const CT: [Meaning; 2] = [("state", Word::State), ("count bytes packets avgpkt", Word::Limits)];
const STATES: [(&[u8], u8); 3] = [(b"established", ESTABLISHED), (b"related", RELATED), (b"new", NEW)];

fn meaning(table: &[Meaning], word: Text<'_>) -> Option<Word> {
    if word.quoted { None } else { word::meaning(word.text, table) }
}

/// A rule, taken apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// From where to where it looks at the state.
    state: [usize; 2],
    /// Where its verdict stands.
    verdict: [usize; 2],
    /// `state : verdict` of each, where each has its own: where that stands.
    map: Option<[usize; 2]>,
    /// The states that it looks for.
    pub states: Option<u8>,
    /// What its verdict is.
    pub class: Word,
    /// It needs tracking for something else than the state.
    pub tracks: bool,
    /// See [`Word::Limits`].
    pub limits: bool,
    /// See [`Word::SourceNat`].
    pub source_nat: bool,
}

impl Found {
    /// What stands before and behind the look at the state, the verdict, what stands behind that.
    pub fn pieces<'a>(&self, rule: &'a [u8]) -> [&'a [u8]; 4] {
        let ([from, to], [begin, end]) = (self.state, self.verdict);
        [[0, from], [to, begin], self.verdict, [end, rule.len()]].map(|place| part(rule, place))
    }

    pub const fn has_map(&self) -> bool {
        self.map.is_some()
    }

    /// The verdicts for what may be a reply, for an error that may belong to a flow, and for what may be new.
    pub fn verdicts<'a>(&self, rule: &'a [u8]) -> [&'a [u8]; 3] {
        [ESTABLISHED, RELATED, NEW].map(|bit| {
            let Some(map) = self.map else {
                return if self.states.unwrap_or(0) & bit != 0 { part(rule, self.verdict) } else { b"" };
            };
            let mut verdict: &[u8] = b"";
            entries(part(rule, map), &mut |states, of_these| {
                if states == bit {
                    verdict = of_these;
                }
            });
            verdict
        })
    }

    fn need(&mut self, what: Option<Word>) {
        self.limits |= what == Some(Word::Limits);
        self.source_nat |= what == Some(Word::SourceNat);
        self.tracks |= matches!(what, Some(Word::Limits | Word::SourceNat | Word::Nat | Word::Tracks));
    }
}

fn part(rule: &[u8], [from, to]: [usize; 2]) -> &[u8] {
    rule.get(from..to).unwrap_or_default().trim_ascii()
}

/// Each `state : verdict` of a map.
fn entries<'a>(map: &'a [u8], tell: &mut dyn FnMut(u8, &'a [u8])) {
    for entry in map.split(|b| *b == b',') {
        let mut parts = entry.splitn(2, |b| *b == b':');
        let states = states(parts.next().unwrap_or_default());
        tell(states, parts.next().unwrap_or_default().trim_ascii());
    }
}

/// The states of a list.
fn states(list: &[u8]) -> u8 {
    let mut bits = 0;
    for name in list.split(|b| b", {}".contains(b)).filter(|name| !name.is_empty()) {
        bits |= STATES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or(OTHER, |(_, bit)| *bit);
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
pub fn iptables(rule: &[u8]) -> Found {
    let mut found = Found { verdict: [rule.len(); 2], ..Found::default() };
    let mut words = Words(rule);
    let (mut module, mut module_at, mut inverted) = (None, 0, false);
    while let Some(word) = words.next() {
        let about_state = module == Some(Word::State);
        let what = meaning(&IPTABLES, word);
        match what {
            Some(Word::Match) => {
                module = words.next().and_then(|name| meaning(&MATCHES, name));
                module_at = offset(rule, word.text);
                found.need(module);
            }
            Some(Word::State) if about_state => {
                let list = words.text();
                found.states = Some(invert(states(list), inverted));
                found.state = [module_at, end(rule, list)];
            }
            Some(Word::Jump | Word::Goto) => {
                found.verdict = [offset(rule, word.text), rule.len()];
                let mut target = words.next().and_then(|name| meaning(&TARGETS, name));
                if target == Some(Word::Ct) {
                    target = Some(if words.eat("--notrack") { Word::Nothing } else { Word::Tracks });
                }
                found.need(target);
                found.class = match target {
                    _ if what == Some(Word::Goto) => Word::Leaves,
                    Some(class @ (Word::Accept | Word::Leaves)) => class,
                    None => Word::Decides,
                    _ => Word::Nothing,
                };
                break;
            }
            // --ctstatus, --ctorigdst and the like.
            None if about_state && word.text.starts_with(b"--ct") => found.tracks = true,
            _ => {}
        }
        inverted = what == Some(Word::Not);
    }
    found
}

/// A rule of `nft list ruleset`.
pub fn nft(rule: &[u8]) -> Found {
    let mut found = Found { verdict: [rule.len(); 2], ..Found::default() };
    let mut words = Words(rule);
    let mut braces = 0u8;
    // `ct status dnat`, `icmp type redirect` are no NAT.
    let mut no_nat = false;
    while let Some(word) = words.next() {
        let what = meaning(&NFT, word);
        match what {
            Some(Word::Open) => braces = braces.saturating_add(1),
            Some(Word::Close) => braces = braces.saturating_sub(1),
            _ if braces > 0 => {}
            Some(Word::Comment) => {
                let at = offset(rule, word.text);
                found.verdict = [found.verdict[0].min(at), at];
                break;
            }
            Some(Word::Ct) => {
                let kind = words.next().and_then(|kind| meaning(&CT, kind));
                let first = words.next();
                if kind != Some(Word::State) {
                    found.need(kind.or(Some(Word::Tracks)));
                    no_nat = true;
                    continue;
                }
                let Some(mut first) = first else { break };
                let before = meaning(&NFT, first);
                if matches!(before, Some(Word::Not | Word::Leaves)) {
                    first = words.next().unwrap_or(first);
                }
                let mut list = [offset(rule, first.text), end(rule, first.text)];
                if first.text == b"{" {
                    list[1] = words.by_ref().find(|w| w.text == b"}").map_or(rule.len(), |w| end(rule, w.text));
                }
                let text = part(rule, list);
                // A list that is kept elsewhere, or goes with something else.
                found.tracks |= matches!(text.first(), Some(b'@' | b'.'));
                found.state = [offset(rule, word.text), list[1]];
                if before == Some(Word::Leaves) {
                    let inside = [list[0] + 1, list[1].saturating_sub(1)];
                    (found.map, found.verdict, found.class) = (Some(inside), [list[1]; 2], Word::Decides);
                    let mut all = 0;
                    entries(part(rule, inside), &mut |states, verdict| {
                        all |= states;
                        if Words(verdict).next().and_then(|v| meaning(&NFT, v)) == Some(Word::Leaves) {
                            found.class = Word::Leaves;
                        }
                    });
                    found.states = Some(all);
                } else {
                    found.states = Some(invert(states(text), before == Some(Word::Not)));
                }
            }
            Some(Word::Nat | Word::SourceNat) if no_nat => {}
            Some(class @ (Word::Accept | Word::Leaves | Word::Decides)) => {
                found.verdict = [offset(rule, word.text), rule.len()];
                found.class = class;
            }
            _ => found.need(what),
        }
        no_nat = what == Some(Word::Not) || matches!(word.text, b"type" | b"&");
    }
    found
}
