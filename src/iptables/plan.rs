//! What is opened by which lease on this system: the config, less what the firewall that stands there forbids.

use super::Family;
use super::saved::masquerades;
use crate::config::{Config, INTERFACE, LANS, PORTS};
use crate::entry::protocol;
use crate::firewall::{Check, Question, Reader, Text};
use crate::lease::Scope;
use crate::observe::lines::CutLine;
use crate::observe::text::lines;
use core::net::IpAddr;
use heapless::{String, Vec};

/// Where DHCP servers are asked.
const DHCP: [u16; 2] = [67, 547];
const DNS: u16 = 53;

/// The router's addresses on an interface; empty if they are not known, or more than this.
pub type Own = Vec<IpAddr, 16>;

/// The ports of the router on one LAN interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// As the kernel names it.
    pub interface: String<INTERFACE>,
    /// TCP ports that the input rules accept: for lifeline and `open`.
    pub sure: Vec<u16, PORTS>,
    /// TCP ports that they refuse: for `open` only, since the lifeline is always on.
    pub others: Vec<u16, PORTS>,
    /// Whether DHCP comes through.
    pub dhcp: bool,
    /// Whether DNS may, and comes through.
    pub dns: bool,
}

/// What the rules of one family are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which family.
    pub family: Family,
    /// Each interface of the config that can be written in a rule.
    pub lans: Vec<Lan, LANS>,
    /// All ports of the config.
    pub ports: Vec<u16, PORTS>,
    /// Nothing wider than this gets rules.
    pub scope: Scope,
    /// Un-NATed TCP: of IPv6, where nothing is masqueraded.
    pub routed: bool,
}

impl Plan {
    /// Nothing at all.
    pub const fn none(family: Family) -> Self {
        Self { family, lans: Vec::new(), ports: Vec::new(), scope: Scope::Router, routed: false }
    }

    /// For this config beside the firewall that `iptables-save` showed. `nft`: nftables has rules of its own, which it
    /// does not show: nobody knows then what they translate. `own`: the router's addresses on an interface, if known.
    pub fn new(family: Family, config: &Config, saved: &[u8], nft: bool, own: &dyn Fn(&str) -> Own) -> Self {
        let ipv6 = family == Family::V6;
        let lan = |name: &String<INTERFACE>| {
            let own = own(name);
            let mut question = Question::lifeline(config, name, &own);
            question.flows.retain(|flow| flow.ipv6 == ipv6);
            let mut check = Check::new(&question);
            check.begin(if ipv6 { Text::Ip6tables } else { Text::Iptables });
            lines(saved).for_each(|bytes| check.line(CutLine { bytes, whole: true }));
            let found = check.findings(true);
            let admits = |protocol, port| found.accepts(&question, protocol, port);
            let sure = |port: &&u16| config.lifeline && admits(protocol::TCP, **port);
            Lan {
                interface: name.clone(),
                sure: config.ports.iter().filter(sure).copied().collect(),
                others: config.ports.iter().filter(|p| !sure(p)).copied().collect(),
                dhcp: DHCP.get(family as usize).is_some_and(|port| admits(protocol::UDP, *port)),
                dns: !nft && admits(protocol::UDP, DNS) && admits(protocol::TCP, DNS),
            }
        };
        Plan {
            family,
            lans: config.lan.iter().filter(|name| is_plain(name)).map(lan).collect(),
            ports: config.ports.clone(),
            scope: config.open_scope,
            routed: family == Family::V6 && config.open_scope >= Scope::Lan && !nft && !masquerades(saved),
        }
    }

    /// Whether a lease opens this port on an interface; `lifeline`: whether the lifeline does.
    pub fn covers(&self, lan: &Lan, protocol: u8, port: u16, lifeline: bool) -> bool {
        match (protocol, port) {
            (protocol::UDP, port) if DHCP.contains(&port) => lan.dhcp && DHCP.get(self.family as usize) == Some(&port),
            (protocol::UDP | protocol::TCP, DNS) if lan.dns => true,
            (protocol::TCP, port) => lan.sure.contains(&port) || !lifeline && lan.others.contains(&port),
            _ => false,
        }
    }
}

/// A name that iptables-restore takes for this one interface. Linux allows nearly all in a name; iptables would take `br+`
/// for all that begin with br, and quotes, blanks and a dash for its own.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@:".contains(&b)) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_the_firewall_refuses_is_not_for_the_lifeline() {
        let saved = b"*filter\n:INPUT DROP [0:0]\n-A INPUT -i br-lan -p tcp -m tcp --dport 80 -j DROP\n\
            -A INPUT -i br-lan -j ACCEPT\nCOMMIT\n";
        let mut config = Config { lifeline_dns: true, ..Config::default() };
        for name in ["eth+", "-j", "a b", "\"x\"", "br-guest"] {
            let _ = config.lan.push(name.try_into().unwrap());
        }
        let plan = Plan::new(Family::V4, &config, saved, false, &|_| Own::new());
        let [lan, guest_or_not @ ..] = plan.lans.as_slice() else { panic!("{plan:?}") };
        assert!(guest_or_not.is_empty(), "the fourth is the last there is room for: {plan:?}");
        assert_eq!(
            (lan.sure.as_slice(), lan.others.as_slice(), lan.dhcp, lan.dns),
            (&[22, 443][..], &[80][..], true, true)
        );
        assert!(plan.covers(lan, protocol::TCP, 22, true) && plan.covers(lan, protocol::UDP, 67, true));
        assert!(plan.covers(lan, protocol::TCP, 80, false) && !plan.covers(lan, protocol::TCP, 80, true));
        assert!(!plan.covers(lan, protocol::UDP, 547, true));
        assert!(!plan.covers(lan, protocol::TCP, 8080, false));
        assert!(
            !Plan::new(Family::V4, &config, saved, true, &|_| Own::new()).lans[0].dns,
            "nobody knows what nft does with DNS"
        );
    }

    #[test]
    fn nothing_that_is_masqueraded_goes_untracked() {
        let nat = b"*nat\n-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n";
        let config = Config { open_scope: Scope::Lan, ..Config::default() };
        let routed = |family, saved: &[u8], nft| Plan::new(family, &config, saved, nft, &|_| Own::new()).routed;
        assert!(routed(Family::V6, b"", false));
        assert!(!routed(Family::V6, nat, false) && !routed(Family::V6, b"", true) && !routed(Family::V4, b"", false));
    }
}
