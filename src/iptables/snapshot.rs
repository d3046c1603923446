//! The filter table set aside, and what is put in its place again.
//!
//! What stands there when the time is over says who was at it meanwhile:
//!
//! | stands there | what is done |
//! |---|---|
//! | nothing, as we left it | the snapshot is restored |
//! | some rules more (a ban, a chain of a container) | the snapshot is restored behind them: left alone, all would stay open |
//! | a firewall again: each chain has the snapshot's policy and ends as it ended | left alone: somebody has loaded it anew |

use super::saved::table;
use crate::observe::text::{fields, lines};

/// An empty filter table that accepts. `nat` is a table of its own and stays.
pub const OPEN: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

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

/// Compares what stands in the filter table with what was set aside.
pub fn standing(now: &[u8], snapshot: &[u8]) -> Standing {
    let as_before = |chain: &&[u8]| {
        policy(now, chain) == policy(snapshot, chain)
            && last(snapshot, chain).is_none_or(|rule| rules(now).any(|r| r == rule))
    };
    if CHAINS.iter().all(as_before) {
        Standing::Another
    } else if rules(now).next().is_some() || CHAINS.iter().any(|c| policy(now, c) != Some(b"ACCEPT")) {
        Standing::Added
    } else {
        Standing::Open
    }
}

/// The text to restore: the snapshot, and before its rules those that were added. A policy that somebody has tightened
/// stays. `write` is given pieces of it.
pub fn merged(now: &[u8], snapshot: &[u8], write: &mut dyn FnMut(&[u8])) {
    let known = |line: &&[u8]| !lines(snapshot).any(|l| l == *line);
    write(b"*filter\n");
    for line in table(snapshot, "filter").filter(|l| l.starts_with(b":")) {
        let name = line.get(1..).and_then(|l| fields(l).next()).unwrap_or_default();
        write(b":");
        write(name);
        write(b" ");
        let kept = policy(now, name).filter(|p| !matches!(*p, b"ACCEPT" | b"-"));
        write(kept.or(policy(snapshot, name)).unwrap_or(b"-"));
        write(b" [0:0]\n");
    }
    let mut put = |line: &[u8]| {
        write(line);
        write(b"\n");
    };
    for line in table(now, "filter").filter(|l| l.starts_with(b":")) {
        let name = line.get(1..).and_then(|l| fields(l).next()).unwrap_or_default();
        if policy(snapshot, name).is_none() {
            put(line);
        }
    }
    rules(now).filter(known).for_each(&mut put);
    rules(snapshot).for_each(&mut put);
    put(b"COMMIT");
}

/// Whether two filter tables are the same as text, but for counters.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    fn bare(text: &[u8]) -> impl Iterator<Item = &[u8]> {
        table(text, "filter").map(|l| if l.starts_with(b":") { l.split(|b| *b == b'[').next().unwrap_or(l) } else { l })
    }
    bare(a).eq(bare(b))
}

/// Whether it is a whole filter table in which nothing is missing. iptables on nftables leaves out what nft(8) put there
/// and says so.
pub fn is_whole(text: &[u8]) -> bool {
    text.starts_with(b"#") && lines(text).any(|l| l == b"COMMIT") && !text.windows(12).any(|w| w == b"incompatible")
}

fn rules(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    table(text, "filter").filter(|l| l.starts_with(b"-A"))
}

fn policy<'a>(text: &'a [u8], chain: &[u8]) -> Option<&'a [u8]> {
    table(text, "filter").find_map(|l| {
        let mut fields = fields(l.strip_prefix(b":")?);
        fields.next().filter(|name| *name == chain)?;
        fields.next()
    })
}

/// The last rule of a chain: what closes it, where its policy does not.
fn last<'a>(text: &'a [u8], chain: &[u8]) -> Option<&'a [u8]> {
    rules(text).filter(|r| fields(r).nth(1) == Some(chain)).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::{format, string::String, vec::Vec};

    const FW3: &str = include_str!("../../tests/golden/fw3/iptables-save.txt");

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
        assert_eq!(stands(OPEN), Standing::Open);
        assert_eq!(stands(FW3), Standing::Another, "reloaded");
        assert_eq!(
            stands(&FW3.replace("-A reject -p tcp", "-A reject -p udp")),
            Standing::Another,
            "reloaded and edited"
        );
        assert_eq!(stands(&OPEN.replace("COMMIT", "-A INPUT -s 10.9.9.9/32 -j DROP\nCOMMIT")), Standing::Added);
        let half = OPEN.replace(":INPUT ACCEPT", ":INPUT DROP");
        assert_eq!(stands(&half), Standing::Added, "forwarding is still open");
        assert_eq!(stands(""), Standing::Added, "the table is gone");
    }

    #[test]
    fn what_was_added_comes_first_and_nothing_twice() {
        assert!(same(restored(OPEN).as_bytes(), FW3.as_bytes()));
        let ban = "-A INPUT -s 10.9.9.9/32 -j DROP";
        let old = "-A OUTPUT -o lo -m comment --comment \"!fw3\" -j ACCEPT";
        let now = OPEN
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
        assert!(same(other.as_bytes(), FW3.as_bytes()) && !same(OPEN.as_bytes(), FW3.as_bytes()));
        assert!(is_whole(FW3.as_bytes()) && !is_whole(b"") && !is_whole(&FW3.as_bytes()[..900]));
        assert!(!is_whole(format!("{FW3}# Table `filter' is incompatible, use 'nft' tool.\n").as_bytes()));
    }
}
