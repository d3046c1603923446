//! The filter table set aside, and what is put in its place again.
//!
//! What stands there when the time is over says who was at it meanwhile:
//!
//! | stands there | what is done |
//! |---|---|
//! | what we left | the snapshot is restored |
//! | some rules more (a ban, a chain of a container) | the snapshot is restored behind them: left alone, all would stay open |
//! | a firewall again: each chain has the snapshot's policy and ends as it ended | left alone: somebody has loaded it anew |

use super::saved::{policy, table, words};

/// Accepts everything, loaded with `--noflush`. Only the kernel's own chains are emptied: fw3 keeps the owner's rules in
/// chains that its reload leaves alone, and they would be lost with it (seen with OpenWrt 18.06). `nat` is another table.
pub const OPEN: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
    -F INPUT\n-F FORWARD\n-F OUTPUT\nCOMMIT\n";

const CHAINS: [&[u8]; 3] = [b"INPUT", b"FORWARD", b"OUTPUT"];

/// What became of an opened filter table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As we left it.
    Open,
    /// Open, with rules that somebody has added.
    Added,
    /// A firewall that is not ours to touch.
    Another,
}

/// Whether there is nothing to open.
pub fn is_open(text: &[u8]) -> bool {
    CHAINS.iter().all(|c| policy(text, c).is_none_or(|p| p == b"ACCEPT") && last(text, c).is_none())
}

/// Compares what stands in the filter table with what was set aside.
pub fn standing(now: &[u8], snapshot: &[u8]) -> Standing {
    let mut standing = Standing::Another;
    for chain in CHAINS {
        let closed = policy(now, chain) == policy(snapshot, chain)
            && last(snapshot, chain).is_none_or(|rule| has_line(now, rule));
        if !closed {
            standing = Standing::Open;
        }
    }
    let added = |line: &[u8]| line.starts_with(b"-A") && !has_line(snapshot, line);
    let touched = table(now, b"*filter").any(added) || CHAINS.iter().any(|c| policy(now, c) != Some(b"ACCEPT"));
    if standing == Standing::Open && touched { Standing::Added } else { standing }
}

/// The text to restore: the snapshot, and before its rules those that were added. A policy that somebody has tightened
/// stays. `write` is given pieces of it.
pub fn merged(now: &[u8], snapshot: &[u8], write: &mut dyn FnMut(&[u8])) {
    write(b"*filter\n");
    for (text, other, added) in [(snapshot, now, false), (now, snapshot, true)] {
        for line in table(text, b"*filter") {
            let words = words(line);
            let (Some([b':', chain @ ..]), Some(own)) = (words.first(), words.get(1)) else { continue };
            let others = policy(other, chain);
            if added && others.is_some() {
                continue;
            }
            let kept = others.filter(|p| !matches!(*p, b"ACCEPT" | b"-")).unwrap_or(own);
            [&b":"[..], chain, b" ", kept, b" [0:0]\n"].iter().for_each(|part| write(part));
        }
    }
    for (text, added) in [(now, true), (snapshot, false)] {
        for line in table(text, b"*filter") {
            if line.starts_with(b"-A") && !(added && has_line(snapshot, line)) {
                write(line);
                write(b"\n");
            }
        }
    }
    write(b"COMMIT\n");
}

/// Whether two filter tables are the same as text, but for counters.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (table(a, b"*filter"), table(b, b"*filter"));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if bare(a) == bare(b) => {}
            _ => return false,
        }
    }
}

/// A line without its counters.
fn bare(line: &[u8]) -> &[u8] {
    let end = if line.starts_with(b":") { line.iter().position(|b| *b == b'[') } else { None };
    line.get(..end.unwrap_or(line.len())).unwrap_or(line)
}

/// Whether it is a whole filter table in which nothing is missing. iptables on nftables leaves out what nft(8) put there
/// and says so.
pub fn is_whole(text: &[u8]) -> bool {
    let has = |part: &[u8]| text.windows(part.len()).any(|w| w == part);
    text.starts_with(b"#") && has(b"\nCOMMIT\n") && !has(b"incompatible")
}

fn has_line(text: &[u8], line: &[u8]) -> bool {
    table(text, b"*filter").any(|l| l == line)
}

/// The last rule of a chain: what closes it, where its policy does not.
fn last<'a>(text: &'a [u8], chain: &[u8]) -> Option<&'a [u8]> {
    let mut last = None;
    for line in table(text, b"*filter") {
        let words = words(line);
        if words.first() == Some(&&b"-A"[..]) && words.get(1) == Some(&chain) {
            last = Some(line);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::{format, string::String, vec::Vec};

    const FW3: &str = include_str!("../../tests/golden/fw3/iptables-save.txt");

    /// What stands there after [`OPEN`].
    fn opened() -> String {
        let kept =
            |l: &&str| CHAINS.iter().all(|c| !l.starts_with(&format!("-A {} ", std::str::from_utf8(c).unwrap())));
        let text: Vec<&str> = FW3.lines().filter(kept).collect();
        text.join("\n").replace(":FORWARD DROP", ":FORWARD ACCEPT")
    }

    fn restored(now: &str) -> String {
        let mut text = Vec::new();
        merged(now.as_bytes(), FW3.as_bytes(), &mut |piece| text.extend_from_slice(piece));
        String::from_utf8(text).unwrap()
    }

    fn stands(now: &str) -> Standing {
        standing(now.as_bytes(), FW3.as_bytes())
    }

    #[test]
    fn who_was_at_it_is_told_by_what_stands_there() {
        assert_eq!(stands(&opened()), Standing::Open);
        assert_eq!(stands(FW3), Standing::Another, "reloaded");
        assert_eq!(
            stands(&FW3.replace("-A reject -p tcp", "-A reject -p udp")),
            Standing::Another,
            "reloaded and edited"
        );
        assert_eq!(stands(&opened().replace("COMMIT", "-A INPUT -s 10.9.9.9/32 -j DROP\nCOMMIT")), Standing::Added);
        let half = opened().replace(":INPUT ACCEPT", ":INPUT DROP");
        assert_eq!(stands(&half), Standing::Added, "forwarding is still open");
        let user = opened().replace("COMMIT", "-A input_rule -s 10.9.9.9/32 -j DROP\nCOMMIT");
        assert_eq!(stands(&user), Standing::Added, "a ban in a chain of the owner's");
        assert!(is_open(opened().as_bytes()) && is_open(b"") && !is_open(FW3.as_bytes()) && !is_open(half.as_bytes()));
        assert_eq!(stands(""), Standing::Added, "the table is gone");
    }

    #[test]
    fn what_was_added_comes_first_and_nothing_twice() {
        assert!(same(restored(&opened()).as_bytes(), FW3.as_bytes()));
        let ban = "-A INPUT -s 10.9.9.9/32 -j DROP";
        let old = "-A OUTPUT -o lo -m comment --comment \"!fw3\" -j ACCEPT";
        let now = opened()
            .replace("COMMIT", &format!(":jail - [0:0]\n{ban}\n{old}\nCOMMIT"))
            .replace("INPUT ACCEPT", "INPUT DROP");
        let text = restored(&now);
        let at = |line: &str| text.lines().position(|l| l == line).unwrap_or_else(|| panic!("{line} in {text}"));
        assert!(
            at(":jail - [0:0]") < at(ban) && at(ban) < at("-A INPUT -i lo -m comment --comment \"!fw3\" -j ACCEPT")
        );
        assert_eq!(text.matches(old).count(), 1);
        at(":INPUT DROP [0:0]");
    }

    #[test]
    fn counters_and_comments_make_no_difference() {
        let other = FW3.replace("[0:0]", "[7:420]").replace("# Generated", "# Made");
        assert!(same(other.as_bytes(), FW3.as_bytes()) && !same(opened().as_bytes(), FW3.as_bytes()));
        assert!(is_whole(FW3.as_bytes()) && !is_whole(b"") && !is_whole(&FW3.as_bytes()[..900]));
        assert!(!is_whole(format!("{FW3}# Table `filter' is incompatible, use 'nft' tool.\n").as_bytes()));
    }
}
