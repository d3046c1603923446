//! What `iptables-save` printed: which of the router's ports are open already, and what NAT there is.

use crate::entry::protocol;
use crate::observe::text::{decimal32, fields, lines};

/// The lines of one table.
pub(super) fn table<'a>(text: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let begins = lines(text).position(|l| l.strip_prefix(b"*") == Some(name.as_bytes()));
    lines(text).skip(begins.map_or(usize::MAX, |at| at + 1)).take_while(|l| *l != b"COMMIT")
}

/// The words of a rule; a text in quotes is one word.
pub(crate) fn words(rule: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = rule;
    core::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let (end, skip) = match rest.strip_prefix(b"\"") {
            Some(quoted) => {
                let escaped = |at: usize| at > 0 && quoted.get(at - 1) == Some(&b'\\');
                let end = (0..quoted.len()).find(|at| quoted.get(*at) == Some(&b'"') && !escaped(*at));
                (end.map_or(rest.len(), |at| at + 2), 1)
            }
            None => (rest.iter().position(|b| *b == b' ').unwrap_or(rest.len()), 0),
        };
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind;
        word.get(skip..).filter(|w| !w.is_empty())
    })
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
#[derive(Clone, Copy, PartialEq)]
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
        Fate::GoesOn => table(text, "filter").all(|l| !l.starts_with(b":INPUT ") || l.starts_with(b":INPUT ACCEPT")),
        fate => fate == Fate::Accepted,
    }
}

fn walk(text: &[u8], chain: &[u8], flow: &Flow<'_>, depth: u8) -> Fate {
    for line in table(text, "filter") {
        let mut words = words(line);
        if words.next() != Some(b"-A") || words.next() != Some(chain) {
            continue;
        }
        let (about, verb) = about(&mut words, flow);
        let Some(target) = words.next().filter(|t| about != About::No && !t.starts_with(b"ctwarden")) else { continue };
        let fate = match target {
            b"ACCEPT" => Fate::Accepted,
            b"RETURN" if about == About::Yes => return Fate::GoesOn,
            b"LOG" | b"NFLOG" | b"MARK" | b"CONNMARK" => Fate::GoesOn,
            _ if depth > 0 && is_chain(text, target) => match walk(text, target, flow, depth - 1) {
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

fn is_chain(text: &[u8], name: &[u8]) -> bool {
    table(text, "filter").any(|l| l.strip_prefix(b":").is_some_and(|l| fields(l).next() == Some(name)))
}

/// Reads a rule's matches, up to and with the word before its target, which it gives too.
fn about<'a>(words: &mut dyn Iterator<Item = &'a [u8]>, flow: &Flow<'_>) -> (About, &'a [u8]) {
    let mut about = About::Yes;
    let mut inverted = false;
    while let Some(word) = words.next() {
        if word == b"!" {
            inverted = true;
            continue;
        }
        let this = match word {
            b"-j" | b"-g" => return (about, word),
            b"-i" => fits(words, inverted, &|w| is_interface(w, flow.interface)),
            b"-p" => fits(words, inverted, &|w| match w {
                b"tcp" => flow.protocol == protocol::TCP,
                b"udp" => flow.protocol == protocol::UDP,
                _ => false,
            }),
            b"--dport" | b"--dports" => {
                fits(words, inverted, &|w| w.split(|b| *b == b',').any(|range| is_port(range, flow.port)))
            }
            // Our accept is for untracked packets: a rule that refuses those counts as well.
            b"--ctstate" | b"--state" => fits(words, inverted, &|w| {
                w.split(|b| *b == b',').any(|state| state == b"NEW" || state == b"UNTRACKED")
            }),
            b"-m" | b"--comment" | b"--limit" | b"--limit-burst" => {
                let _ = words.next();
                About::Yes
            }
            // A TCP flow begins with a SYN. The mask, then what must be set of it.
            b"--tcp-flags" => {
                let (_mask, set) = (words.next(), words.next());
                if (set == Some(b"SYN")) != inverted { About::Yes } else { About::No }
            }
            // The argument of a match that is not known comes here as a word of its own.
            _ => About::Perhaps,
        };
        about = if this == About::No || about == About::No {
            About::No
        } else if this == About::Perhaps {
            About::Perhaps
        } else {
            about
        };
        inverted = false;
    }
    // No target: it only counts.
    (About::No, b"")
}

fn fits<'a>(words: &mut dyn Iterator<Item = &'a [u8]>, inverted: bool, fit: &dyn Fn(&[u8]) -> bool) -> About {
    if words.next().is_some_and(fit) != inverted { About::Yes } else { About::No }
}

fn is_interface(written: &[u8], name: &str) -> bool {
    match written.strip_suffix(b"+") {
        Some(prefix) => name.as_bytes().starts_with(prefix),
        None => written == name.as_bytes(),
    }
}

fn is_port(range: &[u8], port: u16) -> bool {
    let mut ends = range.splitn(2, |b| *b == b':').map(decimal32);
    let first = ends.next().flatten();
    let last = ends.next().unwrap_or(first);
    first.zip(last).is_some_and(|(first, last)| (first..=last).contains(&u32::from(port)))
}

/// Whether a nat rule may touch DNS. Answers of untracked questions would come from the wrong address (measured with
/// `REDIRECT --to-ports 53`), or go round the redirection. A rule that names no port touches all.
pub fn translates_dns(text: &[u8]) -> bool {
    table(text, "nat").filter(|rule| rule.starts_with(b"-A")).any(|rule| {
        let mut ports = None;
        let mut target: &[u8] = b"";
        let mut words = words(rule);
        while let Some(word) = words.next() {
            match word {
                b"--dport" | b"--dports" => ports = words.next(),
                b"-j" => target = words.next().unwrap_or_default(),
                _ => {}
            }
        }
        let changes = matches!(target, b"REDIRECT" | b"DNAT" | b"NETMAP");
        changes && ports.is_none_or(|p| p.split(|b| *b == b',').any(|range| is_port(range, 53)))
    })
}

/// Whether a nat rule gives packets another source: then nothing may go untracked between LAN and WAN.
pub fn masquerades(text: &[u8]) -> bool {
    table(text, "nat").any(|rule| words(rule).any(|w| matches!(w, b"MASQUERADE" | b"SNAT" | b"NETMAP")))
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
        assert!(admits(b"", &ssh("lan0")) && !masquerades(FW3) && !translates_dns(FW3));
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
    fn nat_rules_that_matter_are_seen() {
        let nat = |rule: &str| format!("*nat\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n*filter\n-A INPUT -j DNAT\n");
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
            let text = nat(rule);
            assert_eq!((translates_dns(text.as_bytes()), masquerades(text.as_bytes())), (dns, source), "{rule}");
        }
    }
}
