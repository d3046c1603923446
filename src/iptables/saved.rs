//! What `iptables-save` printed, table by table. What it lets in is judged in `firewall`.

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

/// Whether a nat rule gives packets another source: then nothing may go untracked between LAN and WAN.
pub fn masquerades(text: &[u8]) -> bool {
    table(text, b"*nat").any(|rule| {
        let words = words(rule);
        let target = words.iter().position(|w| *w == b"-j").and_then(|at| words.get(at + 1));
        target.is_some_and(|t| matches!(*t, b"MASQUERADE" | b"SNAT" | b"NETMAP"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::format;

    #[test]
    fn words_of_a_rule() {
        assert_eq!(words(b" a  \"b \\\" c\" d"), [&b"a"[..], b"\"b \\\" c\"", b"d"]);
        assert!(words("x ".repeat(60).as_bytes()).is_full());
    }

    #[test]
    fn other_sources_are_seen() {
        let table = |rule: &str| format!("*nat\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n*filter\n-A INPUT -j SNAT\n");
        for (rule, source) in [
            ("-A PREROUTING -i br-lan -j DNAT --to-destination 10.0.0.1", false),
            ("-A POSTROUTING -o wan -j MASQUERADE", true),
            ("-A POSTROUTING -o wan -j SNAT --to-source 192.0.2.1", true),
            ("-A POSTROUTING -m comment --comment \"no MASQUERADE\" -j ACCEPT", false),
            ("", false),
        ] {
            assert_eq!(masquerades(table(rule).as_bytes()), source, "{rule}");
        }
        assert!(!masquerades(include_bytes!("../../tests/golden/fw3/iptables-save.txt")));
    }
}
