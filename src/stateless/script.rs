//! What is loaded to take the rules out, and to put them back.

use super::{Chain, Dialect, Fate, Rule, chains, lines, same};
use core::fmt::Write as _;
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

/// What may be a reply or an error, as nft has it and as iptables has it.
const TCP: [&str; 2] = ["tcp flags & (syn | ack) != syn", "-p tcp -m tcp ! --tcp-flags SYN,ACK SYN"];
/// Echo reply, unreachable, time exceeded, parameter problem.
const ICMP: [&str; 2] = ["icmp type { 0, 3, 11, 12 }", "-p icmp -m icmp --icmp-type #"];
/// Unreachable, too big, time exceeded, parameter problem, echo reply ...
const ICMPV6: [&str; 2] = ["icmpv6 type { 1, 2, 3, 4, 129 }", "-p ipv6-icmp -m icmp6 --icmpv6-type #"];
/// ... and what the kernel never tracked, so that no state ever matched: multicast listeners and neighbour discovery.
const NEIGHBOURS: [&str; 2] = ["icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 143 }", ICMPV6[1]];
/// By a resolver's address.
const DNS: [&str; 2] = ["# udp sport 53", "-s # -p udp -m udp --sport 53"];

/// Whether it is of this family, how it is matched, its types, the verdict.
type Kind<'a> = (bool, [&'static str; 2], &'static [u8], &'a [u8]);

/// The chain of ours with a number.
type Name = heapless::String<24>;

fn name(dialect: Dialect, n: u32) -> Name {
    let mut name = Name::new();
    // iptables' chains may be nftables' as well.
    let kind = if dialect.is_nft() { 'n' } else { 's' };
    let _ = write!(name.as_mut_view(), "ctwarden_{kind}{n}");
    name
}

/// A script being written.
struct Script<'w, 'a> {
    write: Write<'w>,
    /// Of iptables the table in whose block we are; empty before the first.
    table: &'a [u8],
}

impl<'a> Script<'_, 'a> {
    /// Writes a line of `forms` (nft, iptables) for a chain: `$` is its table, `%` its name, `#` is `other`.
    fn put(&mut self, chain: &Chain<'a>, forms: [&str; 2], other: &[u8]) {
        let nft = chain.dialect.is_nft();
        if !nft && self.table != chain.table {
            self.end();
            self.table = chain.table;
            (self.write)(b"*");
            (self.write)(chain.table);
            (self.write)(b"\n");
        }
        for byte in (if nft { forms[0] } else { forms[1] }).as_bytes() {
            match byte {
                b'$' => (self.write)(chain.table),
                b'%' => (self.write)(chain.name),
                b'#' => (self.write)(other),
                byte => (self.write)(&[*byte]),
            }
        }
    }

    /// Writes the rest of a rule's line.
    fn rule(&mut self, pieces: &[&[u8]]) {
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            (self.write)(b" ");
            (self.write)(piece);
        }
        (self.write)(b"\n");
    }

    fn end(&mut self) {
        if !self.table.is_empty() {
            (self.write)(b"COMMIT\n");
        }
    }

    /// A line of a chain of ours.
    fn ours(&mut self, chain: &Chain<'a>, name: &[u8], matches: [&str; 2], number: &[u8], verdict: &[u8]) {
        if !verdict.is_empty() {
            self.put(chain, ["add rule $ # ", "-A # "], name);
            self.put(chain, matches, number);
            self.rule(&[verdict]);
        }
    }

    /// The chain of ours that stands for a look at the state.
    fn our_chain(&mut self, chain: &Chain<'a>, name: &[u8], verdicts: [&[u8]; 3], resolvers: &[IpAddr]) {
        let [established, related, new] = verdicts;
        self.put(chain, ["add chain $ #\nflush chain $ #\n", ":# - [0:0]\n"], name);
        let nft = chain.dialect.is_nft();
        // What may be a reply is not new.
        let leave: &[u8] = match nft {
            _ if new.is_empty() => b"",
            true => b"return",
            false => b"-j RETURN",
        };
        let reply = if established.is_empty() { leave } else { established };
        let error = if related.is_empty() { reply } else { related };
        let v4 = !nft && !chain.dialect.is_v6() || nft && !chain.table.starts_with(b"ip6 ");
        let v6 = chain.dialect.is_v6() || nft && !chain.table.starts_with(b"ip ");
        self.ours(chain, name, TCP, b"", reply);
        for resolver in resolvers.iter().filter(|r| if r.is_ipv4() { v4 } else { v6 }) {
            let mut address = heapless::String::<48>::new();
            let family = if !nft {
                ""
            } else if resolver.is_ipv4() {
                "ip saddr "
            } else {
                "ip6 saddr "
            };
            let _ = write!(address.as_mut_view(), "{family}{resolver}");
            self.ours(chain, name, DNS, address.as_bytes(), reply);
        }
        let kinds: [Kind<'_>; 3] = [
            (v4, ICMP, &[0, 3, 11, 12], error),
            (v6, ICMPV6, &[1, 2, 3, 4, 129], error),
            (v6, NEIGHBOURS, &[130, 131, 132, 133, 134, 135, 136, 143], leave),
        ];
        for (_, matches, types, verdict) in kinds.into_iter().filter(|(here, ..)| *here) {
            // iptables matches one at a time.
            for number in types.iter().take(if nft { 1 } else { usize::MAX }) {
                let mut text = Name::new();
                let _ = write!(text.as_mut_view(), "{number}");
                self.ours(chain, name, matches, text.as_bytes(), verdict);
            }
        }
        // Only TCP can be reset.
        let reset = if new.ends_with(b"tcp-reset") { "-p tcp" } else { "" };
        self.ours(chain, name, ["", reset], b"", new);
    }
}

/// A rule as it is left.
struct Left<'a> {
    fate: Fate,
    rule: &'a [u8],
    pieces: [&'a [u8]; 4],
    /// The jump to a chain of ours.
    jump: Name,
}

impl<'a> Left<'a> {
    /// `n`: the chains of ours before it, and with its own.
    fn new(chain: &Chain<'a>, rule: Rule<'a>, n: &mut u32) -> Self {
        let found = chain.find(rule);
        let fate = chain.fate(rule, &found);
        let mut jump = Name::new();
        if fate == Fate::Chain {
            *n += 1;
            let _ = jump.push_str(if chain.dialect.is_nft() { "jump " } else { "-j " });
            let _ = jump.push_str(&name(chain.dialect, *n));
        }
        Left { fate, rule: rule.text, pieces: found.pieces(rule.text), jump }
    }

    /// `None`: it is out.
    fn text(&self) -> Option<[&[u8]; 4]> {
        let [pre, mid, verdict, post] = self.pieces;
        match self.fate {
            Fate::Keep => Some([self.rule, b"", b"", b""]),
            Fate::Bare => Some([pre, mid, verdict, post]),
            Fate::Chain => Some([pre, mid, self.jump.as_bytes(), post]),
            _ => None,
        }
    }
}

/// Writes what takes the rules of `text` out. An empty script: nothing needs tracking.
pub fn apply(text: &[u8], dialect: Dialect, resolvers: &[IpAddr], write: Write<'_>) {
    let mut script = Script { write, table: b"" };
    let mut n = 0;
    for chain in chains(text, dialect) {
        let mut m = n;
        let mut changed = false;
        for rule in chain.rules() {
            if Left::new(&chain, rule, &mut n).fate == Fate::Chain {
                let verdicts = chain.find(rule).verdicts(rule.text);
                script.our_chain(&chain, name(dialect, n).as_bytes(), verdicts, resolvers);
            }
            changed |= Left::new(&chain, rule, &mut 0).fate != Fate::Keep;
        }
        if !changed {
            continue;
        }
        script.put(&chain, ["", "-F %\n"], b"");
        for rule in chain.rules() {
            let left = Left::new(&chain, rule, &mut m);
            let Some(pieces) = left.text() else {
                script.put(&chain, ["delete rule $ % handle #\n", ""], rule.handle);
                continue;
            };
            if !dialect.is_nft() || left.fate != Fate::Keep {
                script.put(&chain, ["replace rule $ % handle #", "-A %"], rule.handle);
                script.rule(&pieces);
            }
        }
    }
    script.end();
}

/// Whether a chain stands as it was left, or with `before` as it was found.
fn stands(chain: &Chain<'_>, standing: &Chain<'_>, mut n: u32, before: bool) -> bool {
    let mut standing = standing.rules();
    for rule in chain.rules() {
        let left = Left::new(chain, rule, &mut n);
        let text = if before { Some([rule.text, b"", b"", b""]) } else { left.text() };
        let Some(text) = text else { continue };
        if !standing.next().is_some_and(|found| same(text, found.text)) {
            return false;
        }
    }
    standing.next().is_none()
}

/// Of iptables: the chain is there, without a rule.
fn is_empty(chain: &Chain<'_>, now: &[u8]) -> bool {
    let mut table: &[u8] = b"";
    lines(now).any(|line| {
        table = line.strip_prefix(b"*").unwrap_or(table);
        let name = line.strip_prefix(b":").and_then(|l| l.strip_prefix(chain.name));
        table == chain.table && name.is_some_and(|rest| rest.starts_with(b" "))
    })
}

/// Writes what puts the rules of `text`, as they were found, back into what stands there `now`. `ours`: what stands there
/// has just been loaded by us, and a chain that is neither as left nor as found is filled anew; else it is somebody's.
pub fn back(text: &[u8], now: &[u8], dialect: Dialect, ours: bool, write: Write<'_>) -> Back {
    let mut script = Script { write, table: b"" };
    let mut back = Back::default();
    let mut n = 0;
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
        // No line adds a rule to a chain that has none.
        let none = Chain { body: b"", ..chain };
        match here(chain.name).or_else(|| Some(none).filter(|_| is_empty(&chain, now))) {
            Some(standing) if stands(&chain, &standing, first, true) => back.as_before += 1,
            Some(standing) if stands(&chain, &standing, first, false) => {
                back.restored += 1;
                script.restore(&chain, &standing, first);
            }
            Some(_) if ours => {
                back.restored += 1;
                script.anew(&chain);
            }
            _ => {
                back.left += 1;
                // Somebody's chain may still lead to ours.
                continue;
            }
        }
        for ours in (first + 1..=n).map(|n| name(dialect, n)).filter(|ours| here(ours.as_bytes()).is_some()) {
            script.put(&chain, ["flush chain $ #\ndelete chain $ #\n", "-F #\n-X #\n"], ours.as_bytes());
        }
    }
    script.end();
    back
}

impl<'a> Script<'_, 'a> {
    fn anew(&mut self, chain: &Chain<'a>) {
        self.put(chain, ["flush chain $ %\n", "-F %\n"], b"");
        for rule in chain.rules() {
            self.put(chain, ["add rule $ %", "-A %"], b"");
            self.rule(&[rule.text]);
        }
    }

    fn restore(&mut self, chain: &Chain<'a>, standing: &Chain<'_>, mut n: u32) {
        self.put(chain, ["", "-F %\n"], b"");
        let mut standing = standing.rules().peekable();
        for rule in chain.rules() {
            let left = Left::new(chain, rule, &mut n);
            // Of nft: the rule that stands in its place, or behind it.
            let (verb, handle) = match left.text() {
                Some(_) => ("replace rule $ % handle #", standing.next()),
                None => ("insert rule $ % position #", standing.peek().copied()),
            };
            if chain.dialect.is_nft() && left.fate == Fate::Keep {
                continue;
            }
            let verb = if handle.is_some() { verb } else { "add rule $ %" };
            self.put(chain, [verb, "-A %"], handle.map_or(b"", |r| r.handle));
            self.rule(&[rule.text]);
        }
    }
}
