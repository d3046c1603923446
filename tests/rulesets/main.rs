//! Would the owner's rules let the lifeline in? Recorded rulesets, and what owners write into them.

mod iptables;
mod nft;
mod translated;

use ctwarden::config::Config;
use ctwarden::entry::protocol::{TCP, UDP};
use ctwarden::firewall::{Check, Findings, Question, Quote, Reader, Text};
use ctwarden::observe::lines::CutLine;
use proptest::prelude::*;
use std::net::IpAddr;

const FW4: &str = include_str!("../golden/fw4/ruleset-default.nft");
const FW3: &str = include_str!("../golden/fw3/iptables-save.txt");
const OWN: [&str; 3] = ["192.168.1.1", "fd00::1", "fe80::1"];

fn own() -> Vec<IpAddr> {
    OWN.iter().map(|a| a.parse().unwrap()).collect()
}

fn config() -> Config {
    Config { lifeline_dns: true, ..Config::default() }
}

fn feed(texts: &[(Text, &str)], reader: &mut dyn Reader) {
    for (kind, text) in texts {
        reader.begin(*kind);
        text.lines().for_each(|l| reader.line(CutLine { bytes: l.as_bytes(), whole: true }));
    }
}

fn examine(question: &Question<'_>, texts: &[(Text, &str)]) -> (Findings, String) {
    let mut check = Check::new(question);
    feed(texts, &mut check);
    let findings = check.findings(true);
    let mut quote = Quote::new(findings.place);
    feed(texts, &mut quote);
    (findings, Quote::line(&quote).to_string())
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
    assert_eq!(nft::chain("accept", &rules).0, "");
    let chains: String = (0..300).map(|n| format!("\tchain c{n} {{\n\t}}\n")).collect();
    assert_eq!(nft("lan0", &format!("table inet t {{\n{chains}}}\n")).0, "");
    assert_eq!(nft("lan0", "table inet t {\n\tchain a {\n\t}\n\tchain a {\n\t}\n}\n").0, "");
    // They call each other, without an end or in ever more ways.
    assert_eq!(nft::chain("accept", "jump input").0, "");
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
