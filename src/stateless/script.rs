//! What is loaded to take the rules out, and to put them back.

use super::{Chain, Dialect, Fate, Rule, all_words, chains, lines, same, words};
use core::net::IpAddr;

/// Gets the pieces of a script.
pub type Write<'w> = &'w mut dyn FnMut(&[u8]);

/// What becomes of the chains that were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Back {
    /// They get their rules back.
    pub restored: u32,
    /// Somebody has changed them, or they are gone.
    pub left: u32,
    /// They stand as before already.
    pub as_before: u32,
}

/// ICMP that may be a reply or an error: no host begins anything with it. (IPv4: echo reply, unreachable, time exceeded,
/// parameter problem.)
const ICMP: &[u8] = &[0, 3, 11, 12];
/// IPv6: unreachable, too big, time exceeded, parameter problem, echo reply ...
const ICMPV6: &[u8] = &[1, 2, 3, 4, 129];
/// ... and what the kernel never tracked, so that no state ever matched: multicast listeners and neighbour discovery.
const NEIGHBOURS: &[u8] = &[130, 131, 132, 133, 134, 135, 136, 143];

const TCP: [&[u8]; 2] = [b"-p tcp -m tcp ! --tcp-flags SYN,ACK SYN", b"tcp flags & (syn | ack) != syn"];
const NFT_ICMP: [&[u8]; 3] = [
    b"icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem }",
    b"icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-reply }",
    b"icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 143 }",
];

/// A number, without the machinery of `core::fmt`.
struct Digits([u8; 10], usize);

impl Digits {
    fn new(mut n: u32) -> Self {
        let mut digits = Self([0; 10], 10);
        loop {
            digits.1 = digits.1.saturating_sub(1);
            if let Some(place) = digits.0.get_mut(digits.1) {
                *place = b'0' + (n % 10) as u8;
            }
            n /= 10;
            if n == 0 {
                return digits;
            }
        }
    }
    fn text(&self) -> &[u8] {
        self.0.get(self.1..).unwrap_or_default()
    }
}

fn put(write: Write<'_>, pieces: &[&[u8]]) {
    pieces.iter().for_each(|piece| write(piece));
    write(b"\n");
}

/// The chain of ours with that number.
type Name = heapless::Vec<u8, 24>;

fn name(dialect: Dialect, n: u32) -> Name {
    let mut name = Name::new();
    // iptables' chains may be nftables' as well.
    let kind: &[u8] = if dialect == Dialect::Nft { b"ctwarden_n" } else { b"ctwarden_s" };
    let _ = name.extend_from_slice(kind);
    let _ = name.extend_from_slice(Digits::new(n).text());
    name
}

/// The verb of a line that adds a rule to a chain, up to the rule; ends with a blank.
fn add(chain: &Chain<'_>, name: &[u8], write: Write<'_>) {
    match chain.dialect {
        Dialect::Nft => [&b"add rule "[..], chain.table, b" ", name, b" "].iter().for_each(|p| write(p)),
        _ => [&b"-A "[..], name, b" "].iter().for_each(|p| write(p)),
    }
}

/// The chain of ours that stands for a look at the state.
fn our_chain(chain: &Chain<'_>, name: &[u8], verdicts: [&[u8]; 3], resolvers: &[IpAddr], write: Write<'_>) {
    let nft = chain.dialect == Dialect::Nft;
    let [established, related, new] = verdicts;
    if nft {
        put(write, &[b"add chain ", chain.table, b" ", name]);
        put(write, &[b"flush chain ", chain.table, b" ", name]);
    } else {
        put(write, &[b":", name, b" - [0:0]"]);
    }
    // What may be a reply is not new.
    let leave: &[u8] = match nft {
        _ if new.is_empty() => b"",
        true => b"return",
        false => b"-j RETURN",
    };
    let reply = if established.is_empty() { leave } else { established };
    let error = if related.is_empty() { reply } else { related };
    let mut line = |matches: &[&[u8]], verdict: &[u8]| {
        if !verdict.is_empty() {
            add(chain, name, write);
            matches.iter().for_each(|m| write(m));
            // Only TCP can be reset.
            if !nft && verdict.ends_with(b"tcp-reset") && matches.is_empty() {
                write(b"-p tcp");
            }
            put(write, &[b" ", verdict]);
        }
    };
    let (v4, v6) = match chain.dialect {
        Dialect::V4 => (true, false),
        Dialect::V6 => (false, true),
        Dialect::Nft => (!chain.table.starts_with(b"ip6 "), !chain.table.starts_with(b"ip ")),
    };
    line(&[if nft { TCP[1] } else { TCP[0] }], reply);
    for resolver in resolvers.iter().filter(|r| r.is_ipv4() && v4 || r.is_ipv6() && v6) {
        let mut address = heapless::String::<48>::new();
        let _ = core::fmt::write(&mut address, format_args!("{resolver}"));
        let address = address.as_bytes();
        match nft {
            true if resolver.is_ipv4() => line(&[b"ip saddr ", address, b" udp sport 53"], reply),
            true => line(&[b"ip6 saddr ", address, b" udp sport 53"], reply),
            false => line(&[b"-s ", address, b" -p udp -m udp --sport 53"], reply),
        }
    }
    let kinds = [(v4, ICMP, error), (v6, ICMPV6, error), (v6, NEIGHBOURS, leave)];
    for ((_, types, verdict), of_nft) in kinds.into_iter().zip(NFT_ICMP).filter(|((here, ..), _)| *here) {
        if nft {
            line(&[of_nft], verdict);
            continue;
        }
        let option: &[u8] = if v4 { b"-p icmp -m icmp --icmp-type " } else { b"-p ipv6-icmp -m icmp6 --icmpv6-type " };
        types.iter().for_each(|n| line(&[option, Digits::new(u32::from(*n)).text()], verdict));
    }
    line(&[], new);
}

/// A rule as it is left.
struct Left<'a> {
    fate: Fate,
    pieces: [&'a [u8]; 4],
    verdicts: [&'a [u8]; 3],
    /// The jump to a chain of ours, and that chain.
    jump: Name,
    to: Name,
}

impl<'a> Left<'a> {
    /// `n`: the chains of ours before it, and with its own.
    fn new(chain: &Chain<'a>, rule: Rule<'a>, n: &mut u32) -> Self {
        let found = chain.find(rule);
        let fate = found.fate(rule.text);
        let (mut jump, mut to) = (Name::new(), Name::new());
        if fate == Fate::Chain {
            *n += 1;
            to = name(chain.dialect, *n);
            let verb: &[u8] = if chain.dialect == Dialect::Nft { b"jump " } else { b"-j " };
            let _ = jump.extend_from_slice(verb);
            let _ = jump.extend_from_slice(&to);
        }
        let pieces = match fate {
            Fate::Keep => [rule.text, b"", b"", b""],
            _ => [found.pre, found.mid, found.verdict, found.post],
        };
        Left { fate, pieces, verdicts: found.verdicts(), jump, to }
    }

    /// `None`: it is out.
    fn text(&self) -> Option<[&[u8]; 4]> {
        let [pre, mid, verdict, post] = self.pieces;
        match self.fate {
            Fate::Keep | Fate::Bare => Some([pre, mid, verdict, post]),
            Fate::Chain => Some([pre, mid, &self.jump, post]),
            _ => None,
        }
    }
}

/// What is written of one chain is in one table's block.
fn begin<'a>(chain: &Chain<'a>, table: &mut &'a [u8], write: Write<'_>) {
    if chain.dialect != Dialect::Nft && *table != chain.table {
        end(table, write);
        put(write, &[b"*", chain.table]);
        *table = chain.table;
    }
}

fn end(table: &[u8], write: Write<'_>) {
    if !table.is_empty() {
        put(write, &[b"COMMIT"]);
    }
}

/// `verb rule TABLE CHAIN where HANDLE `, without the end of the line.
fn edit(chain: &Chain<'_>, verb: &[u8], place: &[u8], handle: &[u8], write: Write<'_>) {
    for piece in [verb, b" rule ", chain.table, b" ", chain.name, place, handle, b" "] {
        write(piece);
    }
}

fn put_rule(pieces: &[&[u8]], write: Write<'_>) {
    for piece in pieces.iter().filter(|p| !p.is_empty()) {
        write(piece);
        write(b" ");
    }
    write(b"\n");
}

/// Writes what takes the rules of `text` out. An empty script: nothing needs tracking.
pub fn apply(text: &[u8], dialect: Dialect, resolvers: &[IpAddr], write: Write<'_>) {
    let (mut n, mut table): (u32, &[u8]) = (0, b"");
    for chain in chains(text, dialect) {
        let first = n;
        let mut changed = false;
        for rule in chain.rules() {
            let left = Left::new(&chain, rule, &mut n);
            if left.fate == Fate::Chain {
                begin(&chain, &mut table, write);
                our_chain(&chain, &left.to, left.verdicts, resolvers, write);
            }
            changed |= left.fate != Fate::Keep;
        }
        if !changed {
            continue;
        }
        begin(&chain, &mut table, write);
        if dialect != Dialect::Nft {
            put(write, &[b"-F ", chain.name]);
        }
        let mut n = first;
        for rule in chain.rules() {
            let left = Left::new(&chain, rule, &mut n);
            match (left.text(), dialect) {
                (Some(pieces), Dialect::V4 | Dialect::V6) => {
                    add(&chain, chain.name, write);
                    put_rule(&pieces, write);
                }
                (Some(pieces), _) if left.fate != Fate::Keep => {
                    edit(&chain, b"replace", b" handle ", rule.handle, write);
                    put_rule(&pieces, write);
                }
                (None, Dialect::Nft) => {
                    edit(&chain, b"delete", b" handle ", rule.handle, write);
                    write(b"\n");
                }
                _ => {}
            }
        }
    }
    end(table, write);
}

/// Whether a chain stands as it was left, or with `before` as it was found.
fn stands(chain: &Chain<'_>, standing: &Chain<'_>, mut n: u32, before: bool) -> bool {
    let mut standing = standing.rules();
    for rule in chain.rules() {
        let left = Left::new(chain, rule, &mut n);
        let text = if before { Some([rule.text, b"", b"", b""]) } else { left.text() };
        let Some(text) = text else { continue };
        if !standing.next().is_some_and(|found| same(all_words(text), words(found.text))) {
            return false;
        }
    }
    standing.next().is_none()
}

/// Of iptables: the chain is there.
fn is_empty(chain: &Chain<'_>, now: &[u8]) -> bool {
    let mut table: &[u8] = b"";
    lines(now).any(|line| {
        table = line.strip_prefix(b"*").unwrap_or(table);
        let name = line.strip_prefix(b":").and_then(|l| l.strip_prefix(chain.name));
        table == chain.table && name.is_some_and(|rest| rest.starts_with(b" "))
    })
}

/// Writes what puts the rules of `text`, as they were found, back into what stands there `now`.
pub fn back(text: &[u8], now: &[u8], dialect: Dialect, write: Write<'_>) -> Back {
    let mut back = Back::default();
    let (mut n, mut table): (u32, &[u8]) = (0, b"");
    for chain in chains(text, dialect) {
        let first = n;
        let mut changed = false;
        for rule in chain.rules() {
            changed |= Left::new(&chain, rule, &mut n).fate != Fate::Keep;
        }
        if !changed {
            continue;
        }
        let here = |name: &[u8]| chains(now, dialect).find(|c| c.table == chain.table && c.name == name);
        match here(chain.name) {
            Some(standing) if stands(&chain, &standing, first, true) => back.as_before += 1,
            Some(standing) if stands(&chain, &standing, first, false) => {
                back.restored += 1;
                begin(&chain, &mut table, write);
                restore(&chain, &standing, first, write);
            }
            // All of its rules are out, and no line adds one.
            None if is_empty(&chain, now) && stands(&chain, &Chain { body: b"", ..chain }, first, false) => {
                back.restored += 1;
                begin(&chain, &mut table, write);
                restore(&chain, &chain, first, write);
            }
            _ => {
                back.left += 1;
                // Somebody's chain may still lead to ours.
                continue;
            }
        }
        for ours in (first + 1..=n).map(|n| name(dialect, n)).filter(|ours| here(ours).is_some()) {
            begin(&chain, &mut table, write);
            let (flush, delete): (&[&[u8]], &[&[u8]]) = match dialect {
                Dialect::Nft => {
                    (&[b"flush chain ", chain.table, b" ", &ours], &[b"delete chain ", chain.table, b" ", &ours])
                }
                _ => (&[b"-F ", &ours], &[b"-X ", &ours]),
            };
            put(write, flush);
            put(write, delete);
        }
    }
    end(table, write);
    back
}

fn restore(chain: &Chain<'_>, standing: &Chain<'_>, mut n: u32, write: Write<'_>) {
    if chain.dialect != Dialect::Nft {
        put(write, &[b"-F ", chain.name]);
    }
    let mut standing = standing.rules().peekable();
    for rule in chain.rules() {
        let left = Left::new(chain, rule, &mut n);
        if chain.dialect != Dialect::Nft {
            add(chain, chain.name, write);
        } else if left.text().is_some() {
            let here = standing.next();
            if left.fate == Fate::Keep {
                continue;
            }
            edit(chain, b"replace", b" handle ", here.map_or(b"", |r| r.handle), write);
        } else {
            match standing.peek() {
                Some(behind) => edit(chain, b"insert", b" position ", behind.handle, write),
                None => add(chain, chain.name, write),
            }
        }
        put(write, &[rule.text]);
    }
}
