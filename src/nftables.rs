//! The nftables side of leases as text: the snippets that fw4 loads, and what nft(8) is fed where there is no fw4.
//!
//! ```text
//! openwrt/ctwarden/files/usr/share/nftables.d/…/50-ctwarden.nft ─┬─> fw4: its own table, by its include folders
//!                                                                ├─> a table of our own: sets, raw and mangle chains
//!                                                                └─> foreign chains: a head rule a line, and its sets
//! ```
//!
//! What is cheap stands first in a rule, and what no packet meets without a lease: `ct state untracked`, or a look into an
//! empty set, before a look at the routes. Measured on a forwarded packet that takes 1.5 µs without us: 0.15 to 0.3 µs more
//! with all of it and no lease; 0.75 for a returning segment of IPv6 TCP without `ctwarden_routed`.

use crate::text::lines;
use crate::wire::nftables::{Chain, FAMILY_INET, FAMILY_IP, FAMILY_IP6, Hook, Rule, Set, Sets, Table};
use core::fmt::Write;
use heapless::String;

/// Our own table, of family inet.
pub const OWN: Table<'static> = Table { family: FAMILY_INET, name: "ctwarden" };
/// fw4's.
pub const FW4: Table<'static> = Table { family: FAMILY_INET, name: "fw4" };

/// Where text goes.
pub type Sink<'a> = &'a mut dyn FnMut(&str);

macro_rules! snippet {
    ($place:literal) => {
        include_str!(concat!("../openwrt/ctwarden/files/usr/share/nftables.d/", $place, "/50-ctwarden.nft"))
    };
}

const SETS: &str = snippet!("table-pre");

/// Priority raw is before connection tracking; mangle is behind it, and before any NAT. The table is emptied of rules by
/// then, so that what is said twice is there once.
const OWN_TABLE: &[&str] = &[
    "table inet ctwarden {\n",
    SETS,
    "chain raw_prerouting { type filter hook prerouting priority -300;\n",
    snippet!("chain-post/raw_prerouting"),
    "}\nchain raw_output { type filter hook output priority -300;\n",
    snippet!("chain-pre/raw_output"),
    "}\nchain mangle_prerouting { type filter hook prerouting priority -150;\n",
    snippet!("chain-pre/mangle_prerouting"),
    "}\n}\n",
];

/// Behind each but the last comes the number. A set with a limit finds only what is above it, and `ct count` cannot be in a
/// set with timeouts: two sets more for each family.
const COUNT: [&str; 3] = [
    "table inet ctwarden {
set ctwarden_count4 { type ipv4_addr; size 128; flags timeout; }
set ctwarden_count6 { type ipv6_addr; size 128; flags timeout; }
set ctwarden_held4 { type ipv4_addr; size 128; flags dynamic; }
set ctwarden_held6 { type ipv6_addr; size 128; flags dynamic; }
chain ctwarden_new {
ip saddr @ctwarden_count4 add @ctwarden_held4 { ip saddr ct count over ",
    " } drop
ip6 saddr & ffff:ffff:ffff:ffff:: @ctwarden_count6 add @ctwarden_held6 { ip6 saddr & ffff:ffff:ffff:ffff:: ct count over ",
    " } drop
}
}
",
];

/// The rules that a foreign base chain gets at its head.
pub fn head_rules(family: u8, hook: Hook) -> impl Iterator<Item = &'static str> {
    // Those of IPv6, which nft would not have in a table of IPv4, stand first.
    let (text, of_ip6) = match hook {
        Hook::Input => (snippet!("chain-pre/input"), 1),
        Hook::Forward => (snippet!("chain-pre/forward"), 2),
        Hook::Output => (snippet!("chain-pre/output"), 0),
    };
    lines(text).skip(if family == FAMILY_IP { of_ip6 } else { 0 })
}

/// How many there are.
pub const fn head_count(family: u8, hook: Hook) -> u16 {
    match hook {
        Hook::Output => 2,
        Hook::Input => 3 - (family == FAMILY_IP) as u16,
        Hook::Forward => 3 - 2 * (family == FAMILY_IP) as u16,
    }
}

/// The sets that those rules look into.
pub const fn head_sets(family: u8, hook: Hook) -> Sets {
    Set::All.bit()
        | match hook {
            Hook::Input | Hook::Output => Set::Router.bit(),
            Hook::Forward if family == FAMILY_IP => 0,
            Hook::Forward => Set::Lan.bit() | Set::Routed.bit(),
        }
}

/// Whether nft reads this as a name and nothing else.
pub fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
}

fn words(out: Sink<'_>, words: &[&str]) {
    words.iter().for_each(|word| out(word));
}

fn number(n: u64) -> String<32> {
    let mut text = String::new();
    let _ = write!(text.as_mut_view(), "{n}");
    text
}

/// `VERB FAMILY TABLE `.
fn about(out: Sink<'_>, verb: &str, table: Table<'_>) {
    let family = match table.family {
        FAMILY_IP => " ip ",
        FAMILY_IP6 => " ip6 ",
        _ => " inet ",
    };
    words(out, &[verb, family, table.name, " "]);
}

/// The table of our own, made or made anew. `keep`: elements that are there stay, so that a lease outlives it. `count`: how
/// many connections a capped source may have; 0 is any number.
pub fn own_table(out: Sink<'_>, keep: bool, count: u16) {
    // Adding one that is there does nothing, and taking out one that is not there is a fault.
    about(out, "add table", OWN);
    about(out, if keep { "\nflush table" } else { "\ndelete table" }, OWN);
    about(out, "\nadd table", OWN);
    out("\n");
    words(out, OWN_TABLE);
    if count > 0 {
        let [sets, more, end] = COUNT;
        let count = number(count.into());
        words(out, &[sets, &count, more, &count, end]);
    }
}

/// The sets of a foreign table.
pub fn foreign_sets(out: Sink<'_>, table: Table<'_>, sets: Sets) {
    // One a line, in the order of their bits, behind the comment.
    for (line, set) in lines(SETS).skip(1).zip(Set::ALL) {
        if sets & set.bit() != 0 {
            about(out, "add set", table);
            words(out, &[line.get("set ".len()..).unwrap_or_default(), "\n"]);
        }
    }
}

/// The head rules of a foreign chain.
pub fn insert_heads(out: Sink<'_>, chain: &Chain<'_>) {
    for rule in head_rules(chain.table.family, chain.hook) {
        about(out, "insert rule", chain.table);
        words(out, &[chain.name, " ", rule, " comment \"ctwarden\"\n"]);
    }
}

/// Takes a rule of ours out of a foreign chain.
pub fn delete_rule(out: Sink<'_>, rule: &Rule<'_>) {
    about(out, "delete rule", rule.table);
    words(out, &[rule.chain, " handle ", &number(rule.handle), "\n"]);
}
