//! The rules that need connection tracking, taken out of a firewall's text, so that the kernel stops tracking; and the way
//! back. What is left is never an open door:
//!
//! ```text
//!   rule                                            while it lasts
//!   ─────────────────────────────────────────────   ──────────────────────────────────────────────────────────────
//!   established, related: accept                     what may be a reply is accepted instead, in a chain of our own:
//!                                                    TCP but for bare SYNs, ICMP errors and echo replies, UDP from
//!                                                    port 53 of the router's own resolvers
//!   new: accept (and new with established: any)      the same without looking at the state
//!   new: drop, reject, a chain                       all of it but what may be a reply
//!   invalid, untracked, status, mark, limit          out, where it accepts, marks or limits
//!   the same, where it refuses or decides otherwise  not understood: nothing is taken out at all, unless forced
//!   nat                                              out; masquerade and SNAT: nothing is taken out, unless forced
//! ```
//!
//! The old advice takes them out with policy ACCEPT. Here default drops stay, and an `established` accept that went away
//! alone would cut every reply. So it is replaced, by what scope `lan` of `open` does too: nobody can begin a TCP
//! connection that could not be begun before (a packet with SYN and without ACK is refused as ever), and the LAN's TCP
//! works. Open more than before: packets in the middle of no connection reach the hosts behind, which answer them with a
//! reset. What cannot work: replies by UDP (no packet says that it is one; DNS of the router itself excepted), port
//! forwards, and whatever needs NAT.
//!
//! Back: each chain that stands as it was left gets its rules again; one that does not is somebody else's by now (a
//! reload, an owner) and stays as it is.

mod find;
mod script;

pub use script::{Back, apply, back};

use crate::firewall::word::Words;
use crate::observe::text::{fields, lines};
use core::net::IpAddr;
use find::{Found, Word};

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dialect {
    /// `iptables-save`.
    #[cfg(feature = "iptables")]
    V4,
    /// `ip6tables-save`.
    #[cfg(feature = "iptables")]
    V6,
    /// `nft -a list ruleset`.
    Nft,
}

impl Dialect {
    const fn is_nft(self) -> bool {
        matches!(self, Dialect::Nft)
    }
    const fn is_v6(self) -> bool {
        #[cfg(feature = "iptables")]
        return matches!(self, Dialect::V6);
        #[cfg(not(feature = "iptables"))]
        false
    }
}

const OURS: &[u8] = b"ctwarden";
/// Rules of ours by what they look into or lead to, wherever they stand.
const OURS_BY: [&[u8]; 4] = [b"@ctwarden", b"--name ctwarden", b"jump ctwarden", b"-j ctwarden"];

/// A chain that has rules, or stands there empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    dialect: Dialect,
    pub table: &'a [u8],
    pub name: &'a [u8],
    /// The lines of its rules.
    body: &'a [u8],
}

/// A rule, without what stands before it and its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule<'a> {
    pub text: &'a [u8],
    pub handle: &'a [u8],
}

/// What becomes of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It needs no connection tracking.
    Keep,
    /// Taken out.
    Out,
    /// Without looking at the state.
    Bare,
    /// Its verdict is given in a chain of ours.
    Chain,
    /// It refuses by something that cannot be told without tracking.
    NotUnderstood,
    /// It gives packets another source: taken out if that is forced.
    SourceNat,
}

/// The chains of a text.
pub(crate) fn chains(text: &[u8], dialect: Dialect) -> impl Iterator<Item = Chain<'_>> {
    let mut rest = text;
    let mut table: &[u8] = b"";
    core::iter::from_fn(move || {
        while !rest.is_empty() {
            let line = next_line(&mut rest);
            let name = match dialect.is_nft() {
                true => {
                    if let Some(named) = line.strip_prefix(b"table ") {
                        table = before(named, b'{');
                    }
                    line.strip_prefix(b"\tchain ").map(|named| before(named, b'{'))
                }
                _ => {
                    table = line.strip_prefix(b"*").unwrap_or(table);
                    line.strip_prefix(b"-A ").map(|rule| before(rule, b' '))
                }
            };
            let Some(name) = name else { continue };
            // Of iptables the first rule is this line itself.
            let from = if dialect.is_nft() { rest } else { text.get(offset(text, line)..).unwrap_or_default() };
            rest = from;
            loop {
                let mut next = rest;
                let line = next_line(&mut next);
                let goes_on = match dialect.is_nft() {
                    true => !line.starts_with(b"\t}") && !rest.is_empty(),
                    _ => line.strip_prefix(b"-A ").is_some_and(|rule| before(rule, b' ') == name),
                };
                if !goes_on {
                    break;
                }
                rest = next;
            }
            let body = from.get(..from.len() - rest.len()).unwrap_or_default();
            return Some(Chain { dialect, table, name, body });
        }
        None
    })
}

impl<'a> Chain<'a> {
    /// Its rules. Of nftables those that stand in a block of their own within a rule are not seen, and stay as they are.
    pub fn rules(self) -> impl Iterator<Item = Rule<'a>> {
        lines(self.body).filter_map(move |line| match self.dialect.is_nft() {
            true => {
                let line = line.strip_prefix(b"\t\t").filter(|line| !line.starts_with(b"\t"))?;
                let (text, handle) = line.split_at_checked(line.iter().rposition(|b| *b == b'#')?)?;
                Some(Rule { text: text.trim_ascii_end(), handle: handle.strip_prefix(b"# handle ")? })
            }
            _ => {
                let text = line.get(b"-A ".len() + self.name.len() + 1..)?;
                Some(Rule { text, handle: b"" })
            }
        })
    }

    fn find(self, rule: Rule<'a>) -> Found {
        match self.dialect.is_nft() {
            true => find::nft(rule.text),
            _ => find::iptables(rule.text),
        }
    }
}

/// Each rule that is not kept, and what becomes of it: its table, chain and text.
pub fn judge(text: &[u8], dialect: Dialect, tell: &mut dyn FnMut(Fate, [&[u8]; 3])) {
    for chain in chains(text, dialect) {
        for rule in chain.rules() {
            let fate = chain.fate(rule, &chain.find(rule));
            if fate != Fate::Keep {
                tell(fate, [chain.table, chain.name, rule.text]);
            }
        }
    }
}

impl Chain<'_> {
    fn fate(&self, rule: Rule<'_>, found: &Found) -> Fate {
        use find::{ESTABLISHED, NEW, RELATED};
        if !found.tracks && found.states.is_none() {
            return Fate::Keep;
        }
        if found.source_nat {
            return Fate::SourceNat;
        }
        let by = |name: &&[u8]| rule.text.windows(name.len()).any(|w| w == *name);
        if self.name.starts_with(OURS) || self.table.ends_with(OURS) || OURS_BY.iter().any(by) {
            // Emergency rules rest: what goes back on some goes back on all, and nothing is let in or capped.
            return if found.class == Word::Leaves && !found.tracks { Fate::Bare } else { Fate::Out };
        }
        if found.limits || found.class == Word::Nothing {
            return Fate::Out;
        }
        if found.tracks {
            return if found.class == Word::Accept { Fate::Out } else { Fate::NotUnderstood };
        }
        let states = found.states.unwrap_or(0);
        let (new, established) = (states & NEW != 0, states & ESTABLISHED != 0);
        if !found.has_map() && new && (established || found.class == Word::Accept) {
            return Fate::Bare;
        }
        if states & (NEW | ESTABLISHED | RELATED) == 0 {
            return Fate::Out;
        }
        // From a chain of ours it would lead elsewhere.
        if found.class == Word::Leaves { Fate::NotUnderstood } else { Fate::Chain }
    }
}

/// Resolvers that are told of at most. Full: the rest is left out, as the C library does after three.
pub const RESOLVERS: usize = 8;

/// The resolvers in a resolv.conf, loopback ones left out.
pub fn resolvers(text: &[u8]) -> heapless::Vec<IpAddr, RESOLVERS> {
    let named = lines(text).filter_map(|line| {
        let mut words = fields(line);
        words.next().filter(|w| *w == b"nameserver")?;
        core::str::from_utf8(words.next()?).ok()?.parse().ok()
    });
    named.filter(|address: &IpAddr| !address.is_loopback()).take(RESOLVERS).collect()
}

/// The next line, and on to the one behind it.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|b| *b == b'\n');
    let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    *rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default();
    line
}

/// Where a part of a text stands in it.
fn offset(text: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize)
}

fn before(text: &[u8], end: u8) -> &[u8] {
    text.split(|b| *b == end).next().unwrap_or_default().trim_ascii_end()
}

/// The same rule, in pieces and whole, but for what a counter has counted.
pub(crate) fn same(pieces: [&[u8]; 4], rule: &[u8]) -> bool {
    let mut rule = Words(rule);
    let mut counted = false;
    for piece in pieces {
        for word in Words(piece) {
            let Some(other) = rule.next() else { return false };
            let numbers = || [word, other].iter().all(|n| n.text.iter().all(u8::is_ascii_digit));
            if word != other && !(counted && numbers()) {
                return false;
            }
            counted = matches!(word.text, b"packets" | b"bytes" | b"used");
        }
    }
    rule.next().is_none()
}

#[cfg(all(test, feature = "iptables"))]
mod tests;
