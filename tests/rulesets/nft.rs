//! What owners write for nftables.

use crate::{ALL, FW4, nft};

/// One input chain of these rules behind `policy`, asked about lan0.
pub fn chain(policy: &str, rules: &str) -> (String, String) {
    let text = format!(
        "table inet t {{\n\tset s {{\n\t\ttype ipv4_addr\n\t\telements = {{ 1.1.1.1,\n\t\t\t     1.1.1.2 }}\n\t}}\n\
         \tchain a {{\n\t\taccept\n\t}}\n\n\tchain b {{\n\t\tdrop\n\t}}\n\n\tchain e {{\n\t}}\n\n\
         \tchain input {{\n\t\ttype filter hook input priority 0; policy {policy};\n{rules}\n\t}}\n}}\n"
    );
    nft("lan0", &text)
}

#[test]
fn nft_rules_by_themselves() {
    let mut bad = String::new();
    for (policy, rules, expected) in [
        ("accept", "", ALL),
        ("drop", "", ""),
        ("drop", "iifname \"lan0\" accept", ALL),
        ("drop", "iifname \"lan*\" accept", ALL),
        ("drop", "iif { \"lan0\", \"wifi0\" } accept", ALL),
        ("drop", "iif 3 accept", ""),
        ("drop", "iifname != \"wan0\" accept", ALL),
        ("drop", "iifname != { \"wan0\", \"lan0\" } accept", ""),
        ("drop", "iifname \"lan0\" tcp dport { 22, 80-443 } accept", "22 80 443"),
        ("drop", "meta l4proto { 6, 17 } th dport 53 accept", "tcp53 udp53"),
        (
            "drop",
            "meta l4proto { tcp, udp } th dport { 53, 67 } counter packets 0 bytes 0 accept\nudp dport 547 accept",
            "tcp53 udp53 dhcp",
        ),
        // States.
        ("drop", "ct state new accept", ""),
        ("drop", "ct state 0x8 accept", ""),
        ("drop", "ct state established,related accept\nct state new,untracked accept", ALL),
        ("drop", "ct state { 0x2, 0x4 } accept\nct state { 0x8, 0x40 } accept", ALL),
        ("drop", "ct state vmap { established : accept, related : accept, new : jump a }", ""),
        ("drop", "ct state vmap { invalid : drop, untracked : accept }", ALL),
        ("accept", "ct state invalid drop\nct state vmap { invalid : drop }\nct state 0x1 drop", ALL),
        ("accept", "ct state untracked drop", ""),
        ("accept", "ct state != established drop", ""),
        ("accept", "ct state ! established,new drop", ""),
        ("accept", "ct mark 0x00000001 drop", ""),
        ("drop", "ct status dnat accept\nct status dnat drop\naccept", ""),
        ("drop", "ct status dnat accept\naccept", ALL),
        // What is not known.
        ("accept", "ip saddr 192.168.1.7 drop", ""),
        ("drop", "ip saddr 192.168.1.0/24 accept\nip6 saddr fd00::/8 accept", ""),
        ("accept", "ip saddr @s tcp dport 22 drop", "80 443 tcp53 udp53 dhcp"),
        ("accept", "ether saddr aa:bb:cc:dd:ee:ff tcp dport 80 drop", "22 443 tcp53 udp53 dhcp"),
        ("accept", "meta mark & 0x000000ff == 0x00000001 drop", ""),
        ("accept", "something new drop", ""),
        ("accept", "tcp dport @ports drop", "udp53 dhcp"),
        ("accept", "tcp dport > 1023 drop", "udp53 dhcp"),
        ("accept", "meta iifgroup 0 udp dport 1-60 queue to 3", "22 80 443 tcp53 dhcp"),
        ("accept", "xt match recent counter packets 0 bytes 0 drop", ""),
        ("accept", "tcp dport 80 counter packets 0 bytes 0 xt target LOG", "22 443 tcp53 udp53 dhcp"),
        ("accept", "update @m { ip saddr limit rate over 10/second } drop", ""),
        // Of protocols, families and packets not asked about.
        ("accept", "icmp type echo-request drop\nicmpv6 type { 1, 2 } limit rate 3/second drop\nigmp type 1 drop", ALL),
        ("accept", "meta l4proto != { tcp, udp } drop\nmeta l4proto 47 drop", ALL),
        (
            "accept",
            "tcp flags ! fin,syn,rst,psh,ack,urg drop\ntcp flags fin,syn / fin,syn drop\ntcp flags == 0x0 drop",
            ALL,
        ),
        ("accept", "tcp flags & (fin | syn) == fin | syn drop\ntcp flags 0x1,0x2 / 0x1,0x2 drop", ALL),
        ("accept", "meta pkttype { broadcast, multicast } drop", "22 80 443 tcp53 udp53"),
        ("drop", "fib daddr type local accept", "22 80 443 tcp53 udp53"),
        ("drop", "fib daddr . iif type { local, broadcast } accept", "22 80 443 tcp53 udp53"),
        ("accept", "fib saddr . iif oif missing drop", ""),
        ("drop", "ip daddr 192.168.1.1 accept\nip6 daddr { fd00::1, fe80::/10 } accept", ""),
        ("drop", "ip daddr 192.168.1.1 accept\nip6 daddr fd00::1 accept", ""),
        ("drop", "ip daddr 192.168.1.0/24 accept\nip6 daddr f000::/4 accept", "22 80 443 tcp53 udp53"),
        ("accept", "ip daddr 192.0.2.1 drop", "22 80 443 tcp53 udp53"),
        // Only a part of what a flow consists of.
        ("drop", "tcp flags syn / fin,syn,rst,ack accept", ""),
        ("accept", "tcp flags syn / fin,syn,rst,ack drop", "udp53 dhcp"),
        ("accept", "tcp flags { syn, ack } drop", "udp53 dhcp"),
        // Statements that change nothing.
        ("drop", "log prefix \"drop \" level debug group 3 meta mark set 0x1 ct helper set \"drop\" accept", ALL),
        ("accept", "log prefix \"x drop\" group 2", ALL),
        ("accept", "meta mark set ct mark drop", ""),
        ("accept", "counter name \"drop\" comment \"drop\"", ALL),
        // Ways through chains.
        ("drop", "jump a", ALL),
        ("drop", "goto e", ""),
        ("accept", "jump e\njump e\ngoto e\ndrop", ALL),
        ("accept", "tcp dport 22 jump b", "80 443 tcp53 udp53 dhcp"),
        ("drop", "iifname vmap { \"lan0\" : jump a, \"wan0\" : jump b }", ALL),
        ("accept", "iifname vmap { \"lan0\" : jump e, * : drop }", ""),
        ("drop", "tcp dport vmap { 22 : accept, 80-90 : goto a, 443 : drop }\nudp dport 53 accept", "22 80 udp53"),
        ("accept", "tcp dport vmap @decided", "udp53 dhcp"),
        ("drop", "iifname . tcp dport { \"lan0\" . 22 } accept", ""),
        ("accept", "iifname . tcp dport { \"lan0\" . 22 } drop", ""),
        ("accept", "iifname . tcp dport vmap { \"lan0\" . 22 : jump b, \"lan1\" . 23 : accept }", ""),
        ("accept", "jump nowhere", ""),
        ("accept", "tcp dport 80 jump {\n\t\t\ttcp dport 99 drop\n\t\t\taccept\n\t\t}", ""),
        ("drop", "ip saddr 1.1.1.1 return\naccept", ""),
        ("accept", "ip saddr 1.1.1.1 return\ndrop", ""),
        // Rates.
        ("accept", "limit rate over 25/second burst 50 packets drop", ALL),
        ("accept", "tcp flags syn / fin,syn,rst,ack limit rate over 10 kbytes/second drop", ALL),
        ("drop", "limit rate 25/second accept", ""),
        ("accept", "limit rate 25/second drop", ""),
        ("accept", "limit name \"l\" drop", ""),
        ("accept", "tcp dport 22 limit rate over 3/minute drop", "80 443 tcp53 udp53 dhcp"),
        ("drop", "tcp dport 22 limit rate 3/minute accept\ntcp dport 80 accept", "80"),
    ] {
        let (who, line) = chain(policy, rules);
        if who != expected {
            bad += &format!("{policy}: {rules}\n   {line}\n   is {who:?} not {expected:?}\n");
        }
    }
    assert!(bad.is_empty(), "{bad}");
}

#[test]
fn a_chain_that_only_limits_rates_lets_through() {
    let limit = |last: &str| {
        let text = format!(
            "table inet t {{\n\tchain f {{\n\t\tlimit rate 25/second burst 50 packets return\n\t\t{last}\n\t}}\n\
             \tchain input {{\n\t\ttype filter hook input priority 0; policy accept;\n\t\ttcp flags 0x2 jump f\n\t}}\n}}\n"
        );
        nft("lan0", &text).0
    };
    assert_eq!(limit("drop comment \"!fw4: Drop excess packets\""), ALL);
    assert_eq!(limit("tcp dport 22 drop"), ALL);
}

#[test]
fn every_base_chain_must_accept() {
    let text = |hook: &str, policy: &str, rule: &str| {
        format!("table ip x {{\n\tchain y {{\n\t\ttype filter {hook}; policy {policy};\n\t\t{rule}\n\t}}\n}}\n{FW4}")
    };
    for (hook, policy, rule, expected) in [
        ("hook input priority -10", "accept", "", ALL),
        ("hook input priority -10", "drop", "", ""),
        ("hook input priority -10", "accept", "tcp dport 22 drop", "80 443 tcp53 udp53 dhcp"),
        ("hook forward priority 0", "drop", "", ALL),
        ("hook output priority 0", "drop", "", ALL),
        // Ours stands not ahead of these: only what they drop for certain counts.
        ("hook prerouting priority raw", "accept", "ip saddr @bogons drop", ALL),
        (
            "hook prerouting priority mangle",
            "accept",
            "ct state untracked tcp dport 80 drop",
            "22 443 tcp53 udp53 dhcp",
        ),
    ] {
        assert_eq!(nft("lan0", &text(hook, policy, rule)).0, expected, "{hook} {policy} {rule}");
    }
}
