//! What `iptables-save` printed: which of the router's ports are open already, and what NAT there is.

use crate::entry::protocol;
use crate::observe::text::decimal32;
use heapless::Vec;

/// The lines of one table.
#[derive(Clone)]
pub(super) struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        if line == b"COMMIT" || line.is_empty() && self.0.is_empty() {
            self.0 = &[];
            return None;
        }
        Some(line)
    }
}

/// The lines of the table of that name, as `*filter`.
pub(super) fn table<'a>(text: &'a [u8], name: &[u8]) -> Lines<'a> {
    let at = text.windows(name.len()).position(|w| w == name).map_or(text.len(), |at| at + name.len());
    let mut lines = Lines(text.get(at..).unwrap_or_default());
    // The rest of its own line.
    let _ = lines.next();
    lines
}

/// The longest rule there is has as many words; a longer one is not understood.
const WORDS: usize = 48;

/// The words of a rule; a text in quotes is one word. Full: there may be more.
#[inline(never)]
pub(super) fn words(rule: &[u8]) -> Vec<&[u8], WORDS> {
    let mut words = Vec::new();
    let (mut begin, mut quoted, mut before) = (0, false, b' ');
    for (at, byte) in rule.iter().copied().chain([b' ']).enumerate() {
        if byte == b'"' && before != b'\\' {
            quoted = !quoted;
        } else if byte == b' ' && !quoted {
            if at > begin && words.push(rule.get(begin..at).unwrap_or_default()).is_err() {
                break;
            }
            begin = at + 1;
        }
        before = byte;
    }
    words
}

/// A new flow from the LAN to the router.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    /// Where it comes in.
    pub interface: &'a str,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port.
    pub port: u16,
}

/// What a rule or chain does with a flow.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Accepted,
    Refused,
    GoesOn,
}

/// Whether a rule is about a flow.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum About {
    No,
    /// Of some hosts, at some times, or in a way that is not understood here.
    Perhaps,
    Yes,
}

/// Chains call chains; deeper than this is refused.
const DEPTH: u8 = 8;

/// Whether the input rules accept this flow from whichever host, leaving aside how fast it comes and where we have a say
/// already. What is not understood counts as refused.
pub fn admits(text: &[u8], flow: &Flow<'_>) -> bool {
    match walk(text, b"INPUT", flow, DEPTH) {
        // A table that is not shown is not loaded.
        Fate::GoesOn => policy(text, b"INPUT").is_none_or(|policy| policy == b"ACCEPT"),
        fate => fate == Fate::Accepted,
    }
}

/// The policy of a chain of the filter table, `-` if it is a user's; `None`: it is not there.
pub(super) fn policy<'a>(text: &'a [u8], chain: &[u8]) -> Option<&'a [u8]> {
    for line in table(text, b"*filter") {
        let words = words(line);
        if words.first().and_then(|w| w.strip_prefix(b":")) == Some(chain) {
            return words.get(1).copied();
        }
    }
    None
}

fn walk(text: &[u8], chain: &[u8], flow: &Flow<'_>, depth: u8) -> Fate {
    for line in table(text, b"*filter") {
        let words = words(line);
        if words.first() != Some(&&b"-A"[..]) || words.get(1) != Some(&chain) {
            continue;
        }
        if words.is_full() {
            return Fate::Refused;
        }
        let (about, at) = about(&words, flow);
        let (verb, target) = match words.get(at..) {
            Some([verb, target, ..]) if about != About::No && !target.starts_with(b"ctwarden") => (*verb, *target),
            // No target: it only counts.
            _ => continue,
        };
        let fate = match target {
            b"ACCEPT" => Fate::Accepted,
            b"RETURN" if about == About::Yes => return Fate::GoesOn,
            b"LOG" | b"NFLOG" | b"MARK" | b"CONNMARK" => Fate::GoesOn,
            _ if depth > 0 && policy(text, target).is_some() => match walk(text, target, flow, depth - 1) {
                // A goto does not come back to this chain.
                Fate::GoesOn if verb == b"-g" => Fate::Refused,
                fate => fate,
            },
            _ => Fate::Refused,
        };
        // Accepting some is not accepting all; refusing some is.
        if fate == Fate::Refused || fate == Fate::Accepted && about == About::Yes {
            return fate;
        }
    }
    Fate::GoesOn
}

/// What is understood of a rule, and in which way.
enum Word {
    Target,
    Interface,
    Protocol,
    Ports,
    State,
    Flags,
    Passed,
}

const KNOWN: [(&[u8], Word); 13] = [
    (b"-j", Word::Target),
    (b"-g", Word::Target),
    (b"-i", Word::Interface),
    (b"-p", Word::Protocol),
    (b"--dport", Word::Ports),
    (b"--dports", Word::Ports),
    (b"--ctstate", Word::State),
    (b"--state", Word::State),
    (b"--tcp-flags", Word::Flags),
    (b"-m", Word::Passed),
    (b"--comment", Word::Passed),
    (b"--limit", Word::Passed),
    (b"--limit-burst", Word::Passed),
];

/// Whether a rule is about a flow, and where the word before its target is.
fn about(words: &[&[u8]], flow: &Flow<'_>) -> (About, usize) {
    let mut about = About::Yes;
    let mut inverted = false;
    let mut at = 2;
    while let Some(word) = words.get(at) {
        if *word == b"!" {
            inverted = true;
            at += 1;
            continue;
        }
        let value = words.get(at + 1).copied().unwrap_or_default();
        let known = KNOWN.iter().find(|(name, _)| name == word).map(|(_, known)| known);
        let fits = match known {
            Some(Word::Target) => return (about, at),
            Some(Word::Interface) => match value.strip_suffix(b"+") {
                Some(prefix) => flow.interface.as_bytes().starts_with(prefix),
                None => value == flow.interface.as_bytes(),
            },
            Some(Word::Protocol) => {
                flow.protocol == protocol::TCP && value == b"tcp" || flow.protocol == protocol::UDP && value == b"udp"
            }
            Some(Word::Ports) => has_port(value, flow.port),
            // Our accept is for untracked packets: a rule that refuses those counts as well.
            Some(Word::State) => value.split(|b| *b == b',').any(|state| state == b"NEW" || state == b"UNTRACKED"),
            // A TCP flow begins with a SYN. The mask, then what must be set of it.
            Some(Word::Flags) => {
                at += 1;
                words.get(at + 1).copied() == Some(b"SYN")
            }
            Some(Word::Passed) => !inverted,
            // The argument of a match that is not known comes here as a word of its own.
            None => {
                if about == About::Yes {
                    about = About::Perhaps;
                }
                at += 1;
                inverted = false;
                continue;
            }
        };
        if fits == inverted {
            about = About::No;
        }
        at += 2;
        inverted = false;
    }
    (about, at)
}

/// Whether `22,80:90` has a port in it.
fn has_port(written: &[u8], port: u16) -> bool {
    written.split(|b| *b == b',').any(|range| {
        let middle = range.iter().position(|b| *b == b':');
        let (first, last) = middle.and_then(|at| range.split_at_checked(at)).unwrap_or((range, range));
        let last = last.strip_prefix(b":").unwrap_or(last);
        decimal32(first).zip(decimal32(last)).is_some_and(|(first, last)| (first..=last).contains(&u32::from(port)))
    })
}

/// What nat rules do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// One may touch DNS. Answers of untracked questions would come from the wrong address (measured with `REDIRECT
    /// --to-ports 53`), or go round the redirection. A rule that names no port touches all.
    pub dns: bool,
    /// One gives packets another source: then nothing may go untracked between LAN and WAN.
    pub source: bool,
}

#[inline(never)]
fn behind<'a>(words: &[&'a [u8]], name: &[u8]) -> Option<&'a [u8]> {
    words.iter().position(|w| *w == name).and_then(|at| words.get(at + 1).copied())
}

/// Reads the nat table.
pub fn nat(text: &[u8]) -> Nat {
    let mut nat = Nat::default();
    for rule in table(text, b"*nat") {
        let words = words(rule);
        let Some(target) = behind(&words, b"-j") else { continue };
        nat.source |= matches!(target, b"MASQUERADE" | b"SNAT" | b"NETMAP");
        if matches!(target, b"REDIRECT" | b"DNAT" | b"NETMAP") {
            nat.dns |=
                behind(&words, b"--dport").or(behind(&words, b"--dports")).is_none_or(|ports| has_port(ports, 53));
        }
    }
    nat
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::{format, string::String};

    /// What OpenWrt 18.06 makes of its default config.
    const FW3: &[u8] = include_bytes!("../../tests/golden/fw3/iptables-save.txt");

    fn ssh(interface: &str) -> Flow<'_> {
        Flow { interface, protocol: protocol::TCP, port: 22 }
    }

    #[test]
    fn fw3_admits_its_lan_and_not_its_wan() {
        assert!(admits(FW3, &ssh("lan0")));
        assert!(admits(FW3, &Flow { protocol: protocol::UDP, port: 67, ..ssh("lan0") }));
        assert!(!admits(FW3, &ssh("wan0")), "refused by a chain of chains");
        assert!(admits(FW3, &Flow { protocol: protocol::UDP, port: 68, ..ssh("wan0") }));
        assert!(admits(FW3, &ssh("vpn0")), "no zone of its own: the policy is ACCEPT");
        assert!(admits(b"", &ssh("lan0")) && nat(FW3) == Nat::default());
    }

    #[test]
    fn a_rule_ahead_of_the_accepting_one_counts() {
        let with = |rule: &str| {
            let text: String = format!(
                "*filter\n:INPUT DROP [0:0]\n:x - [0:0]\n:y - [0:0]\n{rule}\n-A INPUT -i br-lan -j ACCEPT\n\
                 -A y -j y\nCOMMIT\n"
            );
            admits(text.as_bytes(), &ssh("br-lan"))
        };
        for passes in [
            "",
            "-A INPUT -m conntrack --ctstate INVALID -j DROP",
            "-A INPUT ! -i br-lan -j DROP",
            "-A INPUT -i br+ -p tcp -m tcp --dport 80:90 -j DROP",
            "-A INPUT -p udp -j DROP",
            "-A INPUT -p tcp -m multiport --dports 80,443,8000:9000 -j DROP",
            "-A INPUT -m comment --comment \"a \\\" -j DROP\" -j x",
            "-A INPUT -s 192.168.1.5/32 -j ACCEPT",
            "-A INPUT -j LOG --log-prefix \"x -j DROP\"",
            "-A INPUT -j ctwarden_in",
        ] {
            assert!(with(passes), "{passes}");
        }
        for refuses in [
            "-A INPUT -j DROP",
            "-A INPUT -i br+ -p tcp -m tcp --dport 1:22 -j REJECT --reject-with tcp-reset",
            "-A INPUT -p tcp -m multiport --dports 22,80 -j DROP",
            "-A INPUT -s 192.168.1.5/32 -j DROP",
            "-A INPUT -m mac --mac-source 00:11:22:33:44:55 -j x\n-A x -j DROP",
            "-A INPUT -m conntrack --ctstate UNTRACKED -j DROP",
            "-A INPUT ! -p udp -j NFQUEUE",
            "-A INPUT -j y",
            "-A INPUT -g x",
        ] {
            assert!(!with(refuses), "{refuses}");
        }
    }

    #[test]
    fn a_rule_of_too_many_words_is_refused() {
        let long = "-m comment --comment x ".repeat(20);
        let text = format!("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {long}-j DROP\nCOMMIT\n");
        assert!(!admits(text.as_bytes(), &ssh("br-lan")));
        assert_eq!(words(b" a  \"b \\\" c\" d"), [&b"a"[..], b"\"b \\\" c\"", b"d"]);
    }

    #[test]
    fn nat_rules_that_matter_are_seen() {
        let table = |rule: &str| format!("*nat\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n*filter\n-A INPUT -j DNAT\n");
        for (rule, dns, source) in [
            ("-A PREROUTING -i br-lan -p udp -m udp --dport 53 -j REDIRECT --to-ports 53", true, false),
            ("-A PREROUTING -p udp -m multiport --dports 50:60,99 -j DNAT --to-destination 10.0.0.1", true, false),
            ("-A PREROUTING -i br-lan -j DNAT --to-destination 10.0.0.1", true, false),
            ("-A PREROUTING -p tcp -m tcp --dport 8053 -j DNAT --to-destination 10.0.0.53:53", false, false),
            ("-A POSTROUTING -o wan -j MASQUERADE", false, true),
            ("-A POSTROUTING -o wan -j SNAT --to-source 192.0.2.1", false, true),
            ("-A POSTROUTING -m comment --comment \"no MASQUERADE\" -j ACCEPT", false, false),
            ("", false, false),
        ] {
            assert_eq!(nat(table(rule).as_bytes()), Nat { dns, source }, "{rule}");
        }
    }
}
