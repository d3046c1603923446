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
use core::fmt::Write as _;

/// Where text goes.
pub type Out<'a> = &'a mut dyn FnMut(&str);

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
    pub heads: u8,
    /// Chains of ours, without `ctwarden_`.
    chains: &'static [&'static str],
    rules: &'static [Rule],
}

/// When there is such a rule, and its text.
type Rule = (u16, &'static str);

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

const ALWAYS: u16 = 0;
const V4: u16 = 1;
const V6: u16 = 1 << 1;
/// Scope all.
const ALL: u16 = 1 << 2;
/// Un-NATed TCP.
const ROUTED: u16 = 1 << 3;
/// Once for each LAN interface (`%i`) ...
const LAN: u16 = 1 << 4;
/// ... where DHCP comes through, ...
const DHCP: u16 = 1 << 5;
/// ... DNS ...
const DNS: u16 = 1 << 6;
/// ... has sure ports (`%p`) ...
const SURE: u16 = 1 << 7;
/// ... or others (`%q`).
const OTHERS: u16 = 1 << 8;
/// There are ports at all (`%a`).
const PORTS: u16 = 1 << 9;

/// Once for packets to the router, once for its answers.
const BOTH: u16 = 1 << 10;

/// Protocol 68 to 67: only to the router or broadcast, so that no private address gets past the router untranslated.
const RAW_RULES: &[Rule] = &[
    (
        BOTH | LAN | SURE,
        "-A ctwarden_%w -%v %i -p tcp -m multiport --%ds %p -m addrtype --%t-type LOCAL --limit-iface-%w -j ctwarden_go",
    ),
    (
        BOTH | LAN | OTHERS,
        "-A ctwarden_%w -%v %i -p tcp -m multiport --%ds %q -m addrtype --%t-type LOCAL --limit-iface-%w -j ctwarden_open",
    ),
    (
        BOTH | LAN | DHCP | V4,
        "-A ctwarden_%w -%v %i -p udp --%e 68 --%d 67 -m addrtype --%t-type LOCAL,BROADCAST --limit-iface-%w -j ctwarden_go",
    ),
    (BOTH | LAN | DHCP | V6, "-A ctwarden_%w -%v %i -p udp --%e 546 --%d 547 %g -j ctwarden_go"),
    (
        BOTH | LAN | DNS,
        "-A ctwarden_%w -%v %i -p udp --%d 53 -m addrtype --%t-type LOCAL --limit-iface-%w -j ctwarden_go",
    ),
    (
        BOTH | LAN | DNS,
        "-A ctwarden_%w -%v %i -p tcp --%d 53 -m addrtype --%t-type LOCAL --limit-iface-%w -j ctwarden_go",
    ),
    (ALWAYS, "-A ctwarden_go %llifeline%x -j CT --notrack"),
    (ALWAYS, "-A ctwarden_go -j ctwarden_open"),
    (ALWAYS, "-A ctwarden_open %rrouter%x -j CT --notrack"),
    (
        BOTH | ALL | PORTS,
        "-A ctwarden_%w -p tcp -m multiport --%ds %a -m addrtype --%t-type LOCAL --limit-iface-%w %rports%x -j CT --notrack",
    ),
    (LAN | ROUTED, "-A ctwarden_in -i %i -p tcp %rlan%x -m addrtype ! --dst-type LOCAL -j CT --notrack"),
    (ROUTED, "-A ctwarden_in -p tcp ! --tcp-flags SYN,ACK SYN %rlan%x -m addrtype ! --dst-type LOCAL -j CT --notrack"),
];

const FILTER_RULES: &[Rule] = &[
    (BOTH | ALL, "-A ctwarden_%w %rall%x -j ACCEPT"),
    (ALL, "-A ctwarden_fwd %rall%x -j ACCEPT"),
    (BOTH, "-A ctwarden_%w -m conntrack ! --ctstate UNTRACKED -j RETURN"),
    (ALWAYS, "-A ctwarden_fwd -m conntrack ! --ctstate UNTRACKED -j RETURN"),
    (BOTH | LAN | SURE, "-A ctwarden_%w -%v %i -p tcp -m multiport --%ds %p -j ctwarden_go"),
    (BOTH | LAN | OTHERS, "-A ctwarden_%w -%v %i -p tcp -m multiport --%ds %q -j ctwarden_open"),
    (BOTH | LAN | DHCP | V4, "-A ctwarden_%w -%v %i -p udp --%e 68 --%d 67 -j ctwarden_go"),
    (BOTH | LAN | DHCP | V6, "-A ctwarden_%w -%v %i -p udp --%e 546 --%d 547 -j ctwarden_go"),
    (BOTH | LAN | DNS, "-A ctwarden_%w -%v %i -p udp --%d 53 -j ctwarden_go"),
    (BOTH | LAN | DNS, "-A ctwarden_%w -%v %i -p tcp --%d 53 -j ctwarden_go"),
    (ALWAYS, "-A ctwarden_go %llifeline%x -j ACCEPT"),
    (ALWAYS, "-A ctwarden_go -j ctwarden_open"),
    (ALWAYS, "-A ctwarden_open %rrouter%x -j ACCEPT"),
    (LAN | ROUTED, "-A ctwarden_fwd -i %i -p tcp %rlan%x -j ACCEPT"),
    (ROUTED, "-A ctwarden_fwd -p tcp ! --tcp-flags SYN,ACK SYN %rlan%x -j ACCEPT"),
];

/// `CONFIRMED` are packets of flows that have an entry: without that test a one-way UDP flow loses nearly all. hashlimit
/// has no protocol in its key and recent no port: a listed destination has the rate for each of its ports by itself. Its
/// table is only for what is listed, so it can be small; the slow collector spares a wake-up a second.
const MANGLE_RULES: &[Rule] = &[
    (ALWAYS, "-A ctwarden_new -m conntrack ! --ctstate NEW -j RETURN"),
    (ALWAYS, "-A ctwarden_new -m conntrack --ctstatus CONFIRMED -j RETURN"),
    (
        ALWAYS,
        "-A ctwarden_new -m recent --rcheck --reap --seconds 30 --mask %s --name ctwarden_shed%x -m hashlimit --hashlimit-name ctwarden_shed%x --hashlimit-above 20/sec --hashlimit-mode srcip --hashlimit-srcmask %n %h -j DROP",
    ),
    (
        ALWAYS,
        "-A ctwarden_new -m recent --rcheck --reap --seconds 30 --rdest --name ctwarden_dest%x -m hashlimit --hashlimit-name ctwarden_dest%x --hashlimit-above 100/sec --hashlimit-burst 100 --hashlimit-mode dstip,dstport %h -j DROP",
    ),
];

/// What stands for a letter after a `%`, for IPv4 and IPv6: the suffix of names, a lease of 30 s and the lifeline's,
/// the mask of a source and its bits, what keeps hashlimit small.
const BY_FAMILY: &[(u8, [&str; 2])] = &[
    (b'x', ["", "6"]),
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

/// The same for packets to the router and for its answers: way and interface, its port and the other's, its address, where
/// DHCPv6 servers are asked.
const BY_SIDE: &[(u8, [&str; 2])] = &[
    (b'w', ["in", "out"]),
    (b'v', ["i", "o"]),
    (b'd', ["dport", "sport"]),
    (b'e', ["sport", "dport"]),
    (b't', ["dst", "src"]),
    (b'g', ["-d ff02::1:2", ""]),
];

/// The tables, what is least likely to be missing first: a restore ends at the first that it cannot load.
pub static TABLES: [Table; 3] = [
    Table { name: "filter", heads: INPUT | FORWARD, chains: &["in", "fwd", "out", "go", "open"], rules: FILTER_RULES },
    Table { name: "raw", heads: RAW, chains: &["in", "out", "go", "open"], rules: RAW_RULES },
    Table { name: "mangle", heads: NEW, chains: &["new"], rules: MANGLE_RULES },
];

/// All heads, by their bits.
pub static HEADS: [Head; 6] = [
    head(0, "PREROUTING", "in", "raw_in"),
    head(1, "OUTPUT", "out", "raw_out"),
    head(2, "INPUT", "in", "input"),
    head(3, "FORWARD", "fwd", "forward"),
    head(4, "OUTPUT", "out", "output"),
    head(5, "PREROUTING", "new", "new"),
];

impl Head {
    /// The name of its marker's list, without `ctwarden_` and the family's suffix.
    pub const fn marker(&self) -> [&'static str; 2] {
        ["at_", self.marker]
    }

    /// The marker last, since what is put last comes to stand first.
    fn rules(&self, out: Out<'_>, verb: &str, place: &str, family: Family) {
        let marker = "-p 255 -m recent --rcheck --name ctwarden_at_";
        for [what, name, suffix] in [["-j ctwarden_", self.ours, ""], [marker, self.marker, family.suffix()]] {
            [verb, self.chain, place, what, name, suffix, "\n"].iter().for_each(|part| out(part));
        }
    }
}

impl Table {
    /// The heads that a plan wants.
    pub fn wanted(&self, plan: &Plan) -> u8 {
        // Nothing to say there: forwarded packets need not pass an empty chain.
        if plan.routed || plan.scope == Scope::All { self.heads } else { self.heads & !FORWARD }
    }

    /// Fills our chains anew and makes the heads what they should be. `there`: the heads that are there.
    pub fn load(&self, out: Out<'_>, plan: &Plan, there: u8) {
        let wanted = self.wanted(plan);
        self.begin(out);
        for head in HEADS.iter().filter(|head| self.heads & head.bit != 0) {
            match (wanted & head.bit != 0, there & head.bit != 0) {
                (true, false) => head.rules(out, "-I ", " 1 ", plan.family),
                (false, true) => head.rules(out, "-D ", " ", plan.family),
                _ => {}
            }
        }
        let given = if plan.family == Family::V4 { V4 } else { V6 }
            | flag(plan.scope == Scope::All, ALL)
            | flag(plan.routed, ROUTED)
            | flag(!plan.ports.is_empty(), PORTS);
        for (needed, rule) in self.rules {
            // Each LAN interface, or none once.
            for at in 0..if needed & LAN != 0 { plan.lans.len() } else { 1 } {
                let lan = if needed & LAN != 0 { plan.lans.get(at) } else { None };
                let given = given | lan.map_or(0, of_lan);
                for side in 0..1 + usize::from(needed & BOTH != 0) {
                    if needed & !(given | BOTH) == 0 {
                        line(out, rule, plan, lan, side);
                    }
                }
            }
        }
        out("COMMIT\n");
    }

    /// Takes everything of ours out: the heads that are there, and all chains, whether they are there or not.
    pub fn unload(&self, out: Out<'_>, family: Family, there: u8) {
        self.begin(out);
        for head in HEADS.iter().filter(|head| self.heads & there & head.bit != 0) {
            head.rules(out, "-D ", " ", family);
        }
        for chain in self.chains {
            ["-X ctwarden_", chain, "\n"].iter().for_each(|part| out(part));
        }
        out("COMMIT\n");
    }

    /// A chain that is named so is made, or emptied if it is there.
    fn begin(&self, out: Out<'_>) {
        ["*", self.name, "\n"].iter().for_each(|part| out(part));
        for chain in self.chains {
            [":ctwarden_", chain, " -\n"].iter().for_each(|part| out(part));
        }
    }
}

fn flag(holds: bool, flag: u16) -> u16 {
    if holds { flag } else { 0 }
}

fn of_lan(lan: &Lan) -> u16 {
    LAN | flag(lan.dhcp, DHCP)
        | flag(lan.dns, DNS)
        | flag(!lan.sure.is_empty(), SURE)
        | flag(!lan.others.is_empty(), OTHERS)
}

/// A rule with its words expanded.
#[inline(never)]
fn line(out: Out<'_>, rule: &str, plan: &Plan, lan: Option<&Lan>, side: usize) {
    let mut rest = rule;
    while let Some(at) = rest.bytes().position(|b| b == b'%') {
        out(rest.get(..at).unwrap_or_default());
        let letter = rest.as_bytes().get(at + 1).copied().unwrap_or_default();
        rest = rest.get(at + 2..).unwrap_or_default();
        match (letter, lan) {
            (b'i', Some(lan)) => out(&lan.interface),
            (b'p', Some(lan)) => ports(out, &lan.sure),
            (b'q', Some(lan)) => ports(out, &lan.others),
            (b'a', _) => ports(out, &plan.ports),
            _ => {
                for (words, which) in [(BY_FAMILY, plan.family as usize), (BY_SIDE, side)] {
                    let word = words.iter().find(|(l, _)| *l == letter).and_then(|(_, w)| w.get(which));
                    out(word.copied().unwrap_or_default());
                }
            }
        }
    }
    out(rest);
    out("\n");
}

fn ports(out: Out<'_>, ports: &[u16]) {
    for (i, port) in ports.iter().enumerate() {
        let mut text = heapless::String::<8>::new();
        let _ = write!(text.as_mut_view(), "{}{port}", if i > 0 { "," } else { "" });
        out(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    extern crate std;
    use std::{string::String, vec::Vec};

    fn loaded(config: &Config, family: Family, there: u8) -> String {
        let plan = Plan::new(family, config, b"", false, &|_| Default::default());
        let mut text = String::new();
        TABLES.iter().for_each(|t| t.load(&mut |part| text.push_str(part), &plan, there));
        text
    }

    #[test]
    fn nothing_stays_unexpanded_and_each_family_has_its_own() {
        let config = Config { open_scope: Scope::All, lifeline_dns: true, ..Config::default() };
        for family in Family::ALL {
            let text = loaded(&config, family, 0);
            let answers = if family == Family::V4 { "--dport 68 --sport 67" } else { "--dport 546 --sport 547" };
            assert_eq!(text.matches(answers).count(), 2);
            assert!(!text.contains('%'), "{text}");
            assert_eq!(text.contains("--mask 0.0.0.0"), family == Family::V4);
            assert_eq!(text.contains("ff02::1:2") && text.contains("ctwarden_lan6"), family == Family::V6);
            assert!(text.contains("-i br-lan -p tcp -m multiport --dports 22,80,443 -m addrtype"));
            assert_eq!(text.matches("--dport 53").count() + text.matches("--sport 53").count(), 8);
            let forms = ["*", ":ctwarden_", "-A ctwarden_", "-I ", "COMMIT"];
            assert!(text.lines().all(|l| forms.iter().any(|f| l.starts_with(f))), "{text}");
            assert_eq!(text.matches("-A ctwarden_new").count(), 4);
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
        TABLES[0].unload(&mut |part| text.push_str(part), Family::V6, INPUT);
        assert_eq!(heads(&text, "-D").len(), 4);
        assert_eq!(heads(&text, "-X").len(), 5);
        assert!(text.contains("-D OUTPUT -p 255 -m recent --rcheck --name ctwarden_at_output6\n"));
    }
}
