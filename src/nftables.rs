//! The nftables side of leases as text: the snippets that fw4 loads, and what nft(8) is fed where there is no fw4.
//!
//! ```text
//! openwrt/ctwarden/files/usr/share/nftables.d/…/50-ctwarden.nft ─┬─> fw4: its own table, by its include folders
//!                                                                ├─> a table of our own: sets, raw and mangle chains
//!                                                                └─> foreign chains: a head rule a line, and its sets
//! ```
//!
//! What is cheap stands first in a rule, and what no packet meets without a lease: `ct state untracked`, or a look into an
//! empty set, before a look at the routes.

use crate::wire::nftables::{Chain, FAMILY_INET, FAMILY_IP, FAMILY_IP6, Hook, Rule, Set, Sets, Table};
use core::fmt::{Result, Write};

/// Our own table, of family inet.
pub const OWN: Table<'static> = Table { family: FAMILY_INET, name: "ctwarden" };
/// fw4's.
pub const FW4: Table<'static> = Table { family: FAMILY_INET, name: "fw4" };

macro_rules! snippet {
    ($place:literal) => {
        include_str!(concat!("../openwrt/ctwarden/files/usr/share/nftables.d/", $place, "/50-ctwarden.nft"))
    };
}

const SETS: &str = snippet!("table-pre");
/// Before connection tracking: priority raw is -300, mangle (behind conntrack, before any NAT) -150.
const CHAINS: [[&str; 2]; 3] = [
    ["raw_prerouting { type filter hook prerouting priority -300;", snippet!("chain-post/raw_prerouting")],
    ["raw_output { type filter hook output priority -300;", snippet!("chain-pre/raw_output")],
    ["mangle_prerouting { type filter hook prerouting priority -150;", snippet!("chain-pre/mangle_prerouting")],
];

const fn heads(hook: Hook) -> &'static str {
    match hook {
        Hook::Input => snippet!("chain-pre/input"),
        Hook::Forward => snippet!("chain-pre/forward"),
        Hook::Output => snippet!("chain-pre/output"),
    }
}

/// The rules that a foreign base chain gets at its head. Un-NATed traffic is IPv6, which nft would not have in a table of
/// IPv4.
pub fn head_rules(family: u8, hook: Hook) -> impl Iterator<Item = &'static str> {
    let v4 = family == FAMILY_IP;
    heads(hook).lines().filter(move |line| !v4 || !(line.contains("ip6 ") || line.contains("_routed")))
}

/// The sets that those rules look into.
pub fn head_sets(family: u8, hook: Hook) -> Sets {
    let looked = |set: &Set| head_rules(family, hook).any(|line| line.split([' ', '@']).any(|word| word == set.name()));
    Set::ALL.into_iter().filter(looked).fold(0, |sets, set| sets | set.bit())
}

/// Whether nft reads this as a name and nothing else.
pub fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

const fn family_name(family: u8) -> &'static str {
    match family {
        FAMILY_IP => "ip",
        FAMILY_IP6 => "ip6",
        _ => "inet",
    }
}

fn words(out: &mut dyn Write, words: &[&str]) -> Result {
    words.iter().try_for_each(|word| out.write_str(word))
}

/// The table of our own, made or made anew. `keep`: elements that are there stay, so that a lease outlives it. `count`: how
/// many connections a capped source may have; 0 is any number.
///
/// # Errors
/// When `out` does not take it.
pub fn own_table(out: &mut dyn Write, keep: bool, count: u16) -> Result {
    // Adding one that is there does nothing, and taking out one that is not there is a fault.
    out.write_str("add table inet ctwarden\n")?;
    out.write_str(if keep {
        "flush table inet ctwarden\n"
    } else {
        "delete table inet ctwarden\nadd table inet ctwarden\n"
    })?;
    words(out, &["table inet ctwarden {\n", SETS])?;
    for [head, rules] in CHAINS {
        words(out, &["chain ", head, "\n", rules, "}\n"])?;
    }
    out.write_str("}\n")?;
    if count > 0 {
        // A set with a limit finds only what is above it, and ct count cannot be in a set with timeouts: two sets more.
        for [digit, address, key] in
            [["4", "ipv4_addr", "ip saddr"], ["6", "ipv6_addr", "ip6 saddr & ffff:ffff:ffff:ffff::"]]
        {
            let set = |out: &mut dyn Write, name, flags| {
                words(out, &["set ctwarden_", name, digit, " { type ", address, "; size 128; flags ", flags, "; }\n"])
            };
            out.write_str("table inet ctwarden {\n")?;
            set(out, "count", "timeout")?;
            set(out, "held", "dynamic")?;
            words(out, &["chain ctwarden_new { ", key, " @ctwarden_count", digit, " add @ctwarden_held", digit])?;
            words(out, &[" { ", key])?;
            writeln!(out, " ct count over {count} }} drop; }}\n}}")?;
        }
    }
    Ok(())
}

/// The sets of a foreign table.
///
/// # Errors
/// When `out` does not take it.
pub fn foreign_sets(out: &mut dyn Write, table: Table<'_>, sets: Sets) -> Result {
    for set in Set::ALL.into_iter().filter(|set| sets & set.bit() != 0) {
        let definition = SETS.lines().find_map(|line| line.strip_prefix("set ")?.strip_prefix(set.name()));
        let definition = definition.unwrap_or_default();
        words(out, &["add set ", family_name(table.family), " ", table.name, " ", set.name(), definition, "\n"])?;
    }
    Ok(())
}

/// The head rules of a foreign chain.
///
/// # Errors
/// When `out` does not take it.
pub fn insert_heads(out: &mut dyn Write, chain: &Chain<'_>) -> Result {
    let Table { family, name } = chain.table;
    head_rules(family, chain.hook).try_for_each(|rule| {
        words(
            out,
            &["insert rule ", family_name(family), " ", name, " ", chain.name, " ", rule, " comment \"ctwarden\"\n"],
        )
    })
}

/// Takes a rule of ours out of a foreign chain.
///
/// # Errors
/// When `out` does not take it.
pub fn delete_rule(out: &mut dyn Write, rule: &Rule<'_>) -> Result {
    let Table { family, name } = rule.table;
    words(out, &["delete rule ", family_name(family), " ", name, " ", rule.chain])?;
    writeln!(out, " handle {}", rule.handle)
}
