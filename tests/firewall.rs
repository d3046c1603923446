//! Would the owner's rules let the lifeline in? Recorded rulesets, and what owners write into them.

use ctwarden::config::Config;
use ctwarden::entry::protocol::{TCP, UDP};
use ctwarden::firewall::{Check, Findings, Question, Quote, Text};
use ctwarden::observe::lines::CutLine;
use proptest::prelude::*;
use std::net::IpAddr;

const FW4: &str = include_str!("golden/fw4/ruleset-default.nft");
const FW3: &str = include_str!("golden/fw3/iptables-save.txt");
const OWN: [&str; 3] = ["192.168.1.1", "fd00::1", "fe80::1"];

fn own() -> Vec<IpAddr> {
    OWN.iter().map(|a| a.parse().unwrap()).collect()
}

fn config() -> Config {
    Config { lifeline_dns: true, ..Config::default() }
}

fn feed(texts: &[(Text, &str)], begin: &mut dyn FnMut(Text), line: &mut dyn FnMut(CutLine<'_>)) {
    for (kind, text) in texts {
        begin(*kind);
        text.lines().for_each(|l| line(CutLine { bytes: l.as_bytes(), whole: true }));
    }
}

fn examine(question: &Question<'_>, texts: &[(Text, &str)]) -> (Findings, String) {
    let check = std::cell::RefCell::new(Check::new(question));
    feed(texts, &mut |t| check.borrow_mut().begin(t), &mut |l| check.borrow_mut().line(l));
    let findings = check.borrow_mut().findings(true);
    let place = if findings.refused != 0 { findings.refused_at } else { findings.translated_at };
    let quote = std::cell::RefCell::new(Quote::new(place));
    feed(texts, &mut |_| quote.borrow_mut().begin(), &mut |l| quote.borrow_mut().line(l));
    let line = quote.borrow().line.to_string();
    (findings, line)
}

/// What can get in: `22 80 443 tcp53 udp53 dhcp`, and the rule that keeps the first of the others out.
fn gets_in(interface: &str, texts: &[(Text, &str)]) -> (String, String) {
    let own = own();
    let question = Question::lifeline(&config(), interface, &own);
    let (findings, line) = examine(&question, texts);
    let all = [("22", TCP, 22), ("80", TCP, 80), ("443", TCP, 443), ("tcp53", TCP, 53), ("udp53", UDP, 53)];
    let dhcp = findings.accepts(&question, UDP, 67) && findings.accepts(&question, UDP, 547);
    let mut words: Vec<_> = all.iter().filter(|(_, p, n)| findings.accepts(&question, *p, *n)).map(|w| w.0).collect();
    words.extend(dhcp.then_some("dhcp"));
    (words.join(" "), line)
}

const ALL: &str = "22 80 443 tcp53 udp53 dhcp";

fn nft(interface: &str, text: &str) -> (String, String) {
    gets_in(interface, &[(Text::Nft, text)])
}

fn fw3(interface: &str, text: &str) -> (String, String) {
    gets_in(interface, &[(Text::Iptables, text), (Text::Ip6tables, text)])
}

#[test]
fn what_openwrt_ships_lets_its_lan_in_and_not_its_wan() {
    assert_eq!(nft("lan0", FW4), (ALL.into(), String::new()));
    assert_eq!(fw3("lan0", FW3), (ALL.into(), String::new()));
    let (who, line) = nft("wan0", FW4);
    assert_eq!(who, "");
    assert_eq!(
        line,
        "table inet fw4, chain handle_reject, meta l4proto tcp reject with tcp reset comment \"!fw4: Reject TCP traffic\""
    );
    let (who, line) = fw3("wan0", FW3);
    assert_eq!((who.as_str(), line.contains("*filter, -A reject -p tcp")), ("", true), "{line}");
    // No zone: fw4 rejects it, fw3's policy is ACCEPT.
    assert_eq!(nft("vpn0", FW4).0, "");
    assert_eq!(fw3("vpn0", FW3).0, ALL);
    assert_eq!(gets_in("lan0", &[]).0, ALL, "no rules at all");
    // 23.05 prints the flags in another way.
    let other = FW4.replace("tcp flags syn / fin,syn,rst,ack", "tcp flags & (fin | syn | rst | ack) == syn");
    assert_eq!(nft("lan0", &other), (ALL.into(), String::new()));
}

#[test]
fn a_closed_lan_stays_closed() {
    let fw4 = FW4.replace(
        "\t\tjump accept_from_lan\n",
        "\t\tudp dport { 53, 67, 547 } counter packets 0 bytes 0 accept comment \"!fw4: guests\"\n\
         \t\ttcp dport 53 accept\n\t\tjump handle_reject\n",
    );
    let (who, line) = nft("lan0", &fw4);
    assert_eq!(
        (who.as_str(), line.contains("chain handle_reject, meta l4proto tcp reject")),
        ("tcp53 udp53 dhcp", true)
    );
    let fw3_text = FW3.replace(
        "-A zone_lan_input -m comment --comment \"!fw3\" -j zone_lan_src_ACCEPT",
        "-A zone_lan_input -p tcp -m tcp --dport 22 -m comment --comment \"ssh only\" -j ACCEPT\n\
         -A zone_lan_input -m comment --comment \"!fw3\" -j reject",
    );
    assert_eq!(fw3("lan0", &fw3_text).0, "22");
    // IPv4 alone is not enough: a lease is for both.
    let fw4 = FW4
        .replace("\t\tjump accept_from_lan\n", "\t\tmeta nfproto ipv4 jump accept_from_lan\n\t\tjump handle_reject\n");
    assert_eq!(nft("lan0", &fw4).0, "");
}

/// One input chain of these rules behind `policy`, asked about lan0.
fn chain(policy: &str, rules: &str) -> (String, String) {
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

#[test]
fn translated_ports_are_left_alone() {
    let nat = |rule: &str| {
        let table = format!(
            "table ip n {{\n\tchain lan {{\n\t\t{rule}\n\t}}\n\
             \tchain p {{\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\
             \t\tiifname \"lan0\" ct state new jump lan\n\t\tiifname \"wan0\" tcp dport 22 dnat to 10.0.0.2\n\t}}\n}}\n{FW4}"
        );
        nft("lan0", &table)
    };
    for (rule, expected) in [
        ("", ALL),
        ("tcp dport 443 dnat ip to 192.168.1.10:443", "22 80 tcp53 udp53 dhcp"),
        // To the address outside, as OpenWrt reflects port forwards: not ours on this interface.
        ("ip saddr 192.168.1.0/24 ip daddr 203.0.113.5 tcp dport 443 dnat 192.168.1.10:443", ALL),
        ("ip daddr 192.168.1.1 tcp dport 443 dnat 192.168.1.10:443", "22 80 tcp53 udp53 dhcp"),
        ("udp dport 53 counter packets 0 bytes 0 redirect to :53", "22 80 443 tcp53 dhcp"),
        ("meta l4proto { tcp, udp } th dport 53 redirect to :5353", "22 80 443 dhcp"),
        ("ip saddr @some redirect", ""),
        ("tcp dport 80 return\ntcp dport vmap { 80 : accept }\ntcp dport 80-90 redirect to :3128", ALL),
        ("xt match set tcp dport 80 xt target REDIRECT", ""),
        ("dnat ip to ip daddr map { 1.1.1.1 : 2.2.2.2 }", ""),
    ] {
        let (who, line) = nat(rule);
        assert_eq!(who, expected, "{rule}\n{line}");
    }
    let (_, line) = nat("tcp dport 443 dnat ip to 192.168.1.10:443");
    assert_eq!(line, "table ip n, chain lan, tcp dport 443 dnat ip to 192.168.1.10:443");

    let ipt = |rule: &str| {
        let text =
            format!("*nat\n:PREROUTING ACCEPT [0:0]\n:z - [0:0]\n-A PREROUTING -i lan0 -j z\n{rule}\nCOMMIT\n{FW3}");
        gets_in("lan0", &[(Text::Iptables, &text), (Text::Ip6tables, FW3)]).0
    };
    for (rule, expected) in [
        ("-A z -p udp -m udp --dport 53 -j REDIRECT --to-ports 53", "22 80 443 tcp53 dhcp"),
        (
            "-A z -p tcp -m conntrack --ctstate NEW -m tcp --dport 443 -j DNAT --to-destination 10.0.0.1",
            "22 80 tcp53 udp53 dhcp",
        ),
        ("-A z -s 192.168.1.0/24 -d 203.0.113.5/32 -p tcp -m tcp --dport 22 -j DNAT --to-destination 10.0.0.1:22", ALL),
        ("-A z -i wan0 -j DNAT --to-destination 10.0.0.1", ALL),
        ("-A z -j NETMAP --to 10.0.0.0/24", ""),
    ] {
        assert_eq!(ipt(rule), expected, "{rule}");
    }
}

#[test]
fn iptables_rules_by_themselves() {
    for (policy, rules, expected) in [
        ("ACCEPT", "", ALL),
        ("DROP", "", ""),
        ("DROP", "-A INPUT -i lan+ -j ACCEPT", ALL),
        ("DROP", "-A INPUT ! -i wan0 -j ACCEPT", ALL),
        ("DROP", "-A INPUT -i ! lan0 -j ACCEPT", ""),
        (
            "DROP",
            "-A INPUT -p tcp -m multiport --dports 22,80:90 -m comment --comment \"a -j DROP\" -j ACCEPT",
            "22 80",
        ),
        ("DROP", "-A INPUT -m conntrack --ctstate NEW -j ACCEPT", ""),
        ("DROP", "-A INPUT -m state --state NEW,UNTRACKED -j ACCEPT", ALL),
        ("ACCEPT", "-A INPUT -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP", ""),
        (
            "ACCEPT",
            "-A INPUT -m state --state INVALID -j DROP\n-A INPUT -p tcp -m conntrack --ctstate NEW -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
            ALL,
        ),
        (
            "ACCEPT",
            "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP\n-A INPUT -p tcp -m tcp --tcp-flags SYN,RST SYN,RST -j DROP",
            ALL,
        ),
        (
            "ACCEPT",
            "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m limit --limit 1/sec -j RETURN\n-A INPUT -j x",
            "",
        ),
        ("DROP", "-A INPUT -m addrtype --dst-type LOCAL -j ACCEPT", "22 80 443 tcp53 udp53"),
        ("ACCEPT", "-A INPUT -m recent --rcheck --seconds 30 --name ssh --mask 255.255.255.255 --rsource -j DROP", ""),
        (
            "ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -m hashlimit --hashlimit-above 3/min --hashlimit-name s -j DROP",
            "80 443 tcp53 udp53 dhcp",
        ),
        (
            "ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j DROP",
            "80 443 tcp53 udp53 dhcp",
        ),
        (
            "ACCEPT",
            "-A INPUT -s 10.0.0.0/8 -p udp -m udp --dport 53 -j REJECT --reject-with icmp-port-unreachable",
            "22 80 443 tcp53 dhcp",
        ),
        ("ACCEPT", "-A INPUT -m mac --mac-source 00:11:22:33:44:55 -p tcp -j x", "udp53 dhcp"),
        ("ACCEPT", "-A INPUT -j LOG --log-prefix \"x -j DROP\"\n-A INPUT -j MARK --set-xmark 0x1/0xff", ALL),
        ("ACCEPT", "-A INPUT ! -p udp -j NFQUEUE --queue-num 1", "udp53 dhcp"),
        ("DROP", "-A INPUT -g y", ""),
        ("ACCEPT", "-A INPUT -g y\n-A INPUT -j DROP", ALL),
        (
            "ACCEPT",
            "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP\n-A INPUT -p ipv6-icmp -j DROP\n-A INPUT -p 47 -j DROP",
            ALL,
        ),
        ("ACCEPT", "-A nowhere -j DROP", ""),
        ("ACCEPT", "-X y", ""),
    ] {
        let text = format!(
            "# comment\n*filter\n:INPUT {policy} [0:0]\n:x - [0:0]\n:y - [0:0]\n{rules}\n-A x -j DROP\nCOMMIT\n# end\n"
        );
        assert_eq!(fw3("lan0", &text).0, expected, "{policy}: {rules}");
    }
    // Of the other family the other text decides.
    let closed = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n";
    assert_eq!(gets_in("lan0", &[(Text::Iptables, FW3), (Text::Ip6tables, closed)]).0, "");
    let raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i lan0 -m rpfilter --invert -j DROP\n\
        -A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack\nCOMMIT\n";
    assert_eq!(fw3("lan0", raw).0, ALL);
}

#[test]
fn what_cannot_be_read_accepts_nothing() {
    for text in
        ["table inet t {\n", "chain x {\n}\n", "}\n", "table inet t {\n\tnonsense\n}\n", "Error: no such thing\n"]
    {
        assert_eq!(nft("lan0", text).0, "", "{text}");
    }
    for text in ["*filter\n:INPUT ACCEPT [0:0]\n", "-A INPUT -j ACCEPT\n", "nonsense\n"] {
        assert_eq!(fw3("lan0", text).0, "", "{text}");
    }
    // Too many to be kept, and two of a name.
    let rules = "\t\ttcp dport 99 drop\n".repeat(10) + &"\t\ttcp dport 22 drop\n".repeat(1000);
    assert_eq!(chain("accept", &rules).0, "");
    let chains: String = (0..300).map(|n| format!("\tchain c{n} {{\n\t}}\n")).collect();
    assert_eq!(nft("lan0", &format!("table inet t {{\n{chains}}}\n")).0, "");
    assert_eq!(nft("lan0", "table inet t {\n\tchain a {\n\t}\n\tchain a {\n\t}\n}\n").0, "");
    // They call each other, without an end or in ever more ways.
    assert_eq!(chain("accept", "jump input").0, "");
    let many: String =
        (0..16).map(|n| format!("\tchain c{n} {{\n{}\t}}\n", format!("\t\tjump c{}\n", n + 1).repeat(8))).collect();
    let text = format!(
        "table inet t {{\n{many}\tchain c16 {{\n\t}}\n\tchain i {{\n\t\ttype filter hook input priority 0; policy accept;\n\t\tjump c0\n\t}}\n}}\n"
    );
    assert_eq!(nft("lan0", &text).0, "");
}

#[test]
fn a_line_that_is_cut_counts_as_not_understood() {
    let own = own();
    let question = Question::lifeline(&config(), "lan0", &own);
    for (cut, accepted) in [("iifname \"wan0\" drop", false), ("elements = { 1.1.1.1,", true)] {
        let text =
            FW4.replace("\tchain input_lan {\n", &format!("\tset x {{\n\t\tCUT{cut}\n\t}}\n\tchain input_lan {{\n"));
        let text = if accepted {
            text
        } else {
            FW4.replace("\t\tjump accept_from_lan", &format!("\t\tCUT{cut}\n\t\tjump accept_from_lan"))
        };
        let mut check = Check::new(&question);
        check.begin(Text::Nft);
        for line in text.lines() {
            let (bytes, whole) = match line.trim().strip_prefix("CUT") {
                Some(rest) => (rest.as_bytes(), false),
                None => (line.as_bytes(), true),
            };
            check.line(CutLine { bytes, whole });
        }
        assert_eq!(check.findings(true).accepts(&question, TCP, 22), accepted, "{cut}");
        assert!(!check.findings(false).accepts(&question, TCP, 22), "unreadable");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is read, it ends, does not panic, and a text that is cut off anywhere lets nobody in by that.
    #[test]
    fn any_text(words in prop::collection::vec(prop::sample::select(WORDS), 0..200), kind in 0..3usize, seed in any::<u64>()) {
        let own = own();
        let question = Question::lifeline(&config(), "lan0", &own);
        let mut check = Check::new(&question);
        check.begin([Text::Nft, Text::Iptables, Text::Ip6tables][kind]);
        let text = words.join(" ").replace(" NL ", "\n");
        for (i, line) in text.lines().enumerate() {
            check.line(CutLine { bytes: line.as_bytes(), whole: seed >> (i % 64) & 1 == 0 });
        }
        check.findings(true);
    }

    #[test]
    fn a_text_that_ends_too_soon(lines in 1..200usize) {
        for (kind, text, total) in [(Text::Nft, FW4, FW4.lines().count()), (Text::Iptables, FW3, FW3.lines().count())] {
            let part: String = text.lines().take(lines).map(|l| l.to_owned() + "\n").collect();
            let whole = lines >= total - 2;
            let own = own();
            let question = Question::lifeline(&config(), "lan0", &own);
            let (findings, _) = examine(&question, &[(kind, &part)]);
            prop_assert!(whole || lines <= 1 || !findings.accepts(&question, TCP, 22));
        }
    }
}

const WORDS: &[&str] = &[
    "NL",
    "NL",
    "NL",
    "NL",
    "table inet t {",
    "chain x {",
    "chain y {",
    "}",
    "}",
    "{",
    "{",
    "type filter hook input priority 0; policy drop;",
    "type nat hook prerouting priority 0; policy accept;",
    "accept",
    "drop",
    "jump x",
    "goto y",
    "return",
    "iifname",
    "\"lan0\"",
    "\"",
    "!=",
    "==",
    "vmap",
    ":",
    "ct state",
    "new",
    "untracked,new",
    "tcp dport",
    "22",
    "80-90",
    "tcp flags",
    "&",
    "(syn",
    "|",
    "ack)",
    "/",
    "limit rate",
    "over",
    "25/second",
    "burst",
    "fib daddr",
    "type",
    "local",
    "counter",
    "packets",
    "set",
    "@s",
    ".",
    "*filter",
    ":INPUT DROP [0:0]",
    ":x - [0:0]",
    "-A INPUT",
    "-A x",
    "-j",
    "-g",
    "ACCEPT",
    "-m",
    "--dport",
    "--tcp-flags",
    "!",
    "--ctstate",
    "--limit",
    "COMMIT",
    "comment",
    "ip daddr",
    "::/0",
    "1.1.1.1/33",
    "map",
    "redirect",
    "DNAT",
    "log",
];
