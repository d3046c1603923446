//! The rules, as `iptables-restore --noflush` reads them.
//!
//! ```text
//! raw      PREROUTING ─> ctwarden_in     to the router's address on a LAN interface, named port ─> ctwarden_go ─> untracked
//!          OUTPUT ─────> ctwarden_out    the answers; and un-NATed TCP, both ways
//! filter   INPUT, FORWARD, OUTPUT ─> ctwarden_in, _fwd, _out     accept what is untracked by the rules above, or everything
//! mangle   PREROUTING ─> ctwarden_new    new entries of listed hogs, above a rate, are dropped
//! ```
//!
//! Chains of our own hold everything; a foreign chain holds a jump and a marker at its head. The marker's first match fits no
//! packet (there is no protocol 255), so its list is never asked; but the kernel keeps the list's file in
//! /proc/net/xt_recent as long as a rule names it: no file means that somebody has flushed that chain.
//!
//! What is cheap stands first, a list comes last: a look into one takes the time of ten comparisons of ports (measured:
//! 45 to 125 ns, the more lists the longer, under a lock), and packets of established flows meet none of them while
//! nothing is leased, but those of the ports named here and un-NATed TCP where `lan` is configured.

use super::Family;
use super::plan::{Lan, Plan};
use crate::lease::Scope;
use core::fmt::{Result, Write};

/// A foreign chain that leads to one of ours.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Its bit in sets of heads.
    pub bit: u8,
    chain: &'static str,
    /// Our chain, without `ctwarden_`.
    ours: &'static str,
    /// Its marker's list, without `ctwarden_at_`.
    marker: &'static str,
}

/// One table: a restore of its own where all together do not load.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    name: &'static str,
    /// Where it is entered.
    pub heads: &'static [Head],
    /// Chains of ours, without `ctwarden_`.
    chains: &'static [&'static str],
    rules: &'static str,
}

const fn head(bit: u8, chain: &'static str, ours: &'static str, marker: &'static str) -> Head {
    Head { bit: 1 << bit, chain, ours, marker }
}

/// Untracked both ways.
pub const RAW: u8 = 0b11;
/// Accepted to and from the router.
pub const INPUT: u8 = 0b1_0100;
/// Accepted between interfaces.
pub const FORWARD: u8 = 0b1000;
/// Capped.
pub const NEW: u8 = 0b10_0000;

// A line: flags, a blank, the rule. Flags: 4, 6 this family; A scope all; R un-NATed TCP; i for each LAN interface, and with
// it h DHCP, d DNS. In the rule: %i interface, %p its sure ports, %q its other ports (a line for no port is left out), %a all
// ports, %r a lease of 30 s, %l the lifeline's, %z a mask of zeros, %x the suffix of names, %s the mask of a source, %n its bits.

/// Protocol 68 to 67: only to the router or broadcast, so that no private address gets past the router untranslated.
const RAW_RULES: &str = "\
i -A ctwarden_in -i %i -p tcp -m multiport --dports %p -m addrtype --dst-type LOCAL --limit-iface-in -j ctwarden_go
i -A ctwarden_in -i %i -p tcp -m multiport --dports %q -m addrtype --dst-type LOCAL --limit-iface-in -j ctwarden_open
ih4 -A ctwarden_in -i %i -p udp --sport 68 --dport 67 -m addrtype --dst-type LOCAL,BROADCAST --limit-iface-in -j ctwarden_go
ih6 -A ctwarden_in -i %i -d ff02::1:2 -p udp --sport 546 --dport 547 -j ctwarden_go
id -A ctwarden_in -i %i -p udp --dport 53 -m addrtype --dst-type LOCAL --limit-iface-in -j ctwarden_go
id -A ctwarden_in -i %i -p tcp --dport 53 -m addrtype --dst-type LOCAL --limit-iface-in -j ctwarden_go
i -A ctwarden_out -o %i -p tcp -m multiport --sports %p -m addrtype --src-type LOCAL --limit-iface-out -j ctwarden_go
i -A ctwarden_out -o %i -p tcp -m multiport --sports %q -m addrtype --src-type LOCAL --limit-iface-out -j ctwarden_open
ih4 -A ctwarden_out -o %i -p udp --sport 67 --dport 68 -j ctwarden_go
ih6 -A ctwarden_out -o %i -p udp --sport 547 --dport 546 -j ctwarden_go
id -A ctwarden_out -o %i -p udp --sport 53 -m addrtype --src-type LOCAL --limit-iface-out -j ctwarden_go
id -A ctwarden_out -o %i -p tcp --sport 53 -m addrtype --src-type LOCAL --limit-iface-out -j ctwarden_go
 -A ctwarden_go %llifeline%x -j CT --notrack
 -A ctwarden_go -j ctwarden_open
 -A ctwarden_open %rrouter%x -j CT --notrack
A -A ctwarden_in -p tcp -m multiport --dports %a -m addrtype --dst-type LOCAL --limit-iface-in %rports%x -j CT --notrack
A -A ctwarden_out -p tcp -m multiport --sports %a -m addrtype --src-type LOCAL --limit-iface-out %rports%x -j CT --notrack
iR -A ctwarden_in -i %i -p tcp %rlan%x -m addrtype ! --dst-type LOCAL -j CT --notrack
R -A ctwarden_in -p tcp ! --tcp-flags SYN,ACK SYN %rlan%x -m addrtype ! --dst-type LOCAL -j CT --notrack
";

const FILTER_RULES: &str = "\
A -A ctwarden_in %rall%x -j ACCEPT
A -A ctwarden_fwd %rall%x -j ACCEPT
A -A ctwarden_out %rall%x -j ACCEPT
 -A ctwarden_in -m conntrack ! --ctstate UNTRACKED -j RETURN
 -A ctwarden_fwd -m conntrack ! --ctstate UNTRACKED -j RETURN
 -A ctwarden_out -m conntrack ! --ctstate UNTRACKED -j RETURN
i -A ctwarden_in -i %i -p tcp -m multiport --dports %p -j ctwarden_go
i -A ctwarden_in -i %i -p tcp -m multiport --dports %q -j ctwarden_open
ih4 -A ctwarden_in -i %i -p udp --sport 68 --dport 67 -j ctwarden_go
ih6 -A ctwarden_in -i %i -p udp --sport 546 --dport 547 -j ctwarden_go
id -A ctwarden_in -i %i -p udp --dport 53 -j ctwarden_go
id -A ctwarden_in -i %i -p tcp --dport 53 -j ctwarden_go
i -A ctwarden_out -o %i -p tcp -m multiport --sports %p -j ctwarden_go
i -A ctwarden_out -o %i -p tcp -m multiport --sports %q -j ctwarden_open
ih4 -A ctwarden_out -o %i -p udp --sport 67 --dport 68 -j ctwarden_go
ih6 -A ctwarden_out -o %i -p udp --sport 547 --dport 546 -j ctwarden_go
id -A ctwarden_out -o %i -p udp --sport 53 -j ctwarden_go
id -A ctwarden_out -o %i -p tcp --sport 53 -j ctwarden_go
 -A ctwarden_go %llifeline%x -j ACCEPT
 -A ctwarden_go -j ctwarden_open
 -A ctwarden_open %rrouter%x -j ACCEPT
iR -A ctwarden_fwd -i %i -p tcp %rlan%x -j ACCEPT
R -A ctwarden_fwd -p tcp ! --tcp-flags SYN,ACK SYN %rlan%x -j ACCEPT
";

/// `CONFIRMED` are packets of flows that have an entry: without that test a one-way UDP flow loses nearly all. hashlimit
/// has no protocol in its key and recent no port: a listed destination has the rate for each of its ports by itself. Its
/// table is only for what is listed, so it can be small; the slow collector spares a wake-up a second.
const MANGLE_RULES: &str = "\
 -A ctwarden_new -m conntrack ! --ctstate NEW -j RETURN
 -A ctwarden_new -m conntrack --ctstatus CONFIRMED -j RETURN
 -A ctwarden_new -m recent --rcheck --reap --seconds 30 --mask %s --name ctwarden_shed%x -m hashlimit \
--hashlimit-name ctwarden_shed%x --hashlimit-above 20/sec --hashlimit-mode srcip --hashlimit-srcmask %n %h -j DROP
 -A ctwarden_new -m recent --rcheck --reap --seconds 30 --rdest --name ctwarden_dest%x -m hashlimit \
--hashlimit-name ctwarden_dest%x --hashlimit-above 100/sec --hashlimit-burst 100 --hashlimit-mode dstip,dstport %h -j DROP
";

/// What stands for each letter after a `%`, for IPv4 and IPv6.
const WORDS: &[(u8, [&str; 2])] = &[
    (b'x', ["", "6"]),
    (b'z', ["0.0.0.0", "::"]),
    (b's', ["255.255.255.255", "ffff:ffff:ffff:ffff::"]),
    (b'n', ["32", "64"]),
    (b'h', ["--hashlimit-htable-size 64 --hashlimit-htable-max 256 --hashlimit-htable-gcinterval 30000"; 2]),
    (
        b'r',
        [
            "-m recent --rcheck --reap --seconds 30 --mask 0.0.0.0 --name ctwarden_",
            "-m recent --rcheck --reap --seconds 30 --mask :: --name ctwarden_",
        ],
    ),
    (
        b'l',
        [
            "-m recent --rcheck --reap --seconds 600 --mask 0.0.0.0 --name ctwarden_",
            "-m recent --rcheck --reap --seconds 600 --mask :: --name ctwarden_",
        ],
    ),
];

/// The tables, what is least likely to be missing first: a restore ends at the first that it cannot load.
pub const TABLES: [Table; 3] = [
    Table {
        name: "filter",
        heads: &[
            head(2, "INPUT", "in", "input"),
            head(3, "FORWARD", "fwd", "forward"),
            head(4, "OUTPUT", "out", "output"),
        ],
        chains: &["in", "fwd", "out", "go", "open"],
        rules: FILTER_RULES,
    },
    Table {
        name: "raw",
        heads: &[head(0, "PREROUTING", "in", "raw_in"), head(1, "OUTPUT", "out", "raw_out")],
        chains: &["in", "out", "go", "open"],
        rules: RAW_RULES,
    },
    Table { name: "mangle", heads: &[head(5, "PREROUTING", "new", "new")], chains: &["new"], rules: MANGLE_RULES },
];

impl Head {
    /// The name of its marker's list, without `ctwarden_` and the family's suffix.
    pub const fn marker(&self) -> [&'static str; 2] {
        ["at_", self.marker]
    }

    /// The marker first, since what is put first comes to stand second.
    fn rules(&self, out: &mut dyn Write, verb: &str, place: &str, family: Family) -> Result {
        for (rest, ends) in [
            (["-j ctwarden_", self.ours], ""),
            (["-p 255 -m recent --rcheck --name ctwarden_at_", self.marker], family.suffix()),
        ] {
            text(out, &[verb, self.chain, place, rest[0], rest[1], ends, "\n"])?;
        }
        Ok(())
    }
}

fn text(out: &mut dyn Write, parts: &[&str]) -> Result {
    parts.iter().try_for_each(|part| out.write_str(part))
}

impl Table {
    /// The heads that a plan wants.
    pub fn wanted(&self, plan: &Plan) -> u8 {
        let all: u8 = self.heads.iter().map(|h| h.bit).sum();
        // Nothing to say there: forwarded packets need not pass an empty chain.
        if plan.routed || plan.scope == Scope::All { all } else { all & !FORWARD }
    }

    /// Fills our chains anew and makes the heads what they should be. `there`: the heads that are there.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn load(&self, out: &mut dyn Write, plan: &Plan, there: u8) -> Result {
        let wanted = self.wanted(plan);
        self.begin(out)?;
        for head in self.heads {
            match (wanted & head.bit != 0, there & head.bit != 0) {
                (true, false) => head.rules(out, "-I ", " 1 ", plan.family)?,
                (false, true) => head.rules(out, "-D ", " ", plan.family)?,
                _ => {}
            }
        }
        for line in self.rules.lines() {
            let Some((flags, rule)) = line.split_once(' ') else { continue };
            if !applies(flags, plan) {
                continue;
            }
            if flags.starts_with('i') {
                for lan in plan.lans.iter().filter(|lan| suits(flags, rule, lan)) {
                    expand(out, rule, plan, Some(lan))?;
                }
            } else if !(rule.contains("%a") && plan.ports.is_empty()) {
                expand(out, rule, plan, None)?;
            }
        }
        out.write_str("COMMIT\n")
    }

    /// Takes everything of ours out: the heads that are there, and all chains, whether they are there or not.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn unload(&self, out: &mut dyn Write, family: Family, there: u8) -> Result {
        self.begin(out)?;
        for head in self.heads.iter().filter(|head| there & head.bit != 0) {
            head.rules(out, "-D ", " ", family)?;
        }
        for chain in self.chains {
            text(out, &["-X ctwarden_", chain, "\n"])?;
        }
        out.write_str("COMMIT\n")
    }

    /// A chain that is named so is made, or emptied if it is there.
    fn begin(&self, out: &mut dyn Write) -> Result {
        text(out, &["*", self.name, "\n"])?;
        self.chains.iter().try_for_each(|chain| text(out, &[":ctwarden_", chain, " -\n"]))
    }
}

fn applies(flags: &str, plan: &Plan) -> bool {
    flags.bytes().all(|flag| match flag {
        b'4' => plan.family == Family::V4,
        b'6' => plan.family == Family::V6,
        b'A' => plan.scope == Scope::All,
        b'R' => plan.routed,
        _ => true,
    })
}

fn suits(flags: &str, rule: &str, lan: &Lan) -> bool {
    (lan.dhcp || !flags.contains('h'))
        && (lan.dns || !flags.contains('d'))
        && !(rule.contains("%p") && lan.sure.is_empty())
        && !(rule.contains("%q") && lan.others.is_empty())
}

fn expand(out: &mut dyn Write, rule: &str, plan: &Plan, lan: Option<&Lan>) -> Result {
    let mut parts = rule.split('%');
    out.write_str(parts.next().unwrap_or_default())?;
    for part in parts {
        let (letter, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        match (letter.as_bytes().first(), lan) {
            (Some(b'i'), Some(lan)) => out.write_str(&lan.interface)?,
            (Some(b'p'), Some(lan)) => ports(out, &lan.sure)?,
            (Some(b'q'), Some(lan)) => ports(out, &lan.others)?,
            (Some(b'a'), _) => ports(out, &plan.ports)?,
            (Some(letter), _) => {
                let word = WORDS.iter().find(|(l, _)| l == letter).and_then(|(_, w)| w.get(plan.family as usize));
                out.write_str(word.copied().unwrap_or_default())?;
            }
            (None, _) => {}
        }
        out.write_str(rest)?;
    }
    out.write_str("\n")
}

fn ports(out: &mut dyn Write, ports: &[u16]) -> Result {
    for (i, port) in ports.iter().enumerate() {
        write!(out, "{}{port}", if i > 0 { "," } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    extern crate std;
    use std::{string::String, vec::Vec};

    fn loaded(config: &Config, family: Family, there: u8) -> String {
        let plan = Plan::new(family, config, b"", false);
        let mut text = String::new();
        TABLES.iter().for_each(|t| t.load(&mut text, &plan, there).unwrap());
        text
    }

    #[test]
    fn nothing_stays_unexpanded_and_each_family_has_its_own() {
        let config = Config { open_scope: Scope::All, lifeline_dns: true, ..Config::default() };
        for family in Family::ALL {
            let text = loaded(&config, family, 0);
            assert!(!text.contains('%'), "{text}");
            assert_eq!(text.contains("--mask 0.0.0.0"), family == Family::V4);
            assert_eq!(text.contains("ff02::1:2") && text.contains("ctwarden_lan6"), family == Family::V6);
            assert!(text.contains("-i br-lan -p tcp -m multiport --dports 22,80,443 -m addrtype"));
            assert_eq!(text.matches("--dport 53").count(), 4);
            let lists = text.lines().filter(|l| l.contains("--name ctwarden_"));
            assert!(lists.clone().all(|l| l.contains("ctwarden_at_") || l.contains("--reap --seconds")), "{text}");
            assert!(lists.clone().all(|l| family == Family::V4 || l.contains("6 ") || l.ends_with('6')), "{text}");
        }
    }

    #[test]
    fn what_is_not_configured_has_no_rule() {
        let text = loaded(&Config::default(), Family::V6, 0);
        for word in ["ctwarden_all", "ctwarden_lan", "ctwarden_ports", "FORWARD", "--dport 53"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        let none = Config { ports: Default::default(), open_scope: Scope::All, ..Config::default() };
        assert!(!loaded(&none, Family::V4, 0).contains("multiport"));
    }

    #[test]
    fn heads_that_are_there_are_not_put_twice_and_those_not_wanted_go() {
        let heads = |text: &str, verb: &str| -> Vec<String> {
            text.lines().filter(|l| l.starts_with(verb)).map(Into::into).collect()
        };
        let fresh = loaded(&Config::default(), Family::V4, 0);
        assert_eq!(heads(&fresh, "-I").len(), 10);
        assert_eq!(
            heads(&fresh, "-I INPUT"),
            ["-I INPUT 1 -j ctwarden_in", "-I INPUT 1 -p 255 -m recent --rcheck --name ctwarden_at_input"]
        );
        let again = loaded(&Config::default(), Family::V4, RAW | INPUT | FORWARD | NEW);
        assert_eq!(heads(&again, "-I").len(), 0);
        assert_eq!(heads(&again, "-D").len(), 2, "FORWARD is not wanted any more");
        let mut text = String::new();
        TABLES[0].unload(&mut text, Family::V6, INPUT).unwrap();
        assert_eq!(heads(&text, "-D").len(), 4);
        assert_eq!(heads(&text, "-X").len(), 5);
        assert!(text.contains("-D OUTPUT -p 255 -m recent --rcheck --name ctwarden_at_output6\n"));
    }
}
