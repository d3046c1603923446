//! Small random rulesets: what owners write, and what they might.

use crate::world::{OWN, SOURCES};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Nft,
    IptablesLegacy,
    IptablesNft,
}

impl Language {
    pub const ALL: [Language; 3] = [Language::Nft, Language::IptablesLegacy, Language::IptablesNft];
    pub const fn name(self) -> &'static str {
        match self {
            Language::Nft => "nft",
            Language::IptablesLegacy => "iptables-legacy",
            Language::IptablesNft => "iptables-nft",
        }
    }
}

/// Numbers that follow from a seed (splitmix64).
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        // Once through, or the numbers of the next seed were these but for the first.
        let mut draw = Self(seed);
        let begin = draw.next();
        Self(begin)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const PORTS: &[&str] = &["22", "80", "443", "53", "22-80", "0-1023", "1024-65535", "60", "67", "547", "50-70"];

/// Chains that rules send to: only further down, as the kernel takes no circles.
const CHAINS: usize = 4;

/// One text, or one for IPv4 and one for IPv6.
pub fn ruleset(draw: &mut Draw, language: Language, translation: bool) -> Vec<String> {
    match (language, translation) {
        (Language::Nft, false) => vec![(0..1 + draw.below(2)).map(|n| nft_table(draw, n)).collect()],
        (Language::Nft, true) => vec![nft_nat(draw)],
        (_, false) => vec![iptables_filter(draw, false), iptables_filter(draw, true)],
        (_, true) => vec![iptables_nat(draw, false), iptables_nat(draw, true)],
    }
}

fn nft_table(draw: &mut Draw, nth: usize) -> String {
    let family = draw.of(&["inet", "inet", "inet", "ip", "ip6"]);
    let mut text = format!(
        "table {family} t{nth} {{\n set ports {{ type inet_service; flags interval; elements = {{ 22, 80-90 }}; }}\n \
         set hosts {{ type {}; elements = {{ {} }}; }}\n",
        if family == "ip6" { "ipv6_addr" } else { "ipv4_addr" },
        if family == "ip6" { SOURCES[2] } else { SOURCES[0] },
    );
    for chain in (0..CHAINS).rev() {
        text += &format!(" chain c{chain} {{\n{}", rules(draw, family, Some(chain), 4, false));
        text += " }\n";
    }
    let priority = draw.of(&["filter", "0", "-150", "filter + 7"]);
    let policy = draw.of(&["accept", "drop"]);
    text + &format!(
        " chain base {{\n  type filter hook input priority {priority}; policy {policy};\n{} }}\n}}\n",
        rules(draw, family, None, 7, false)
    )
}

fn nft_nat(draw: &mut Draw) -> String {
    let family = draw.of(&["inet", "ip", "ip6"]);
    let hosts = if family == "ip6" { ("ipv6_addr", SOURCES[2]) } else { ("ipv4_addr", SOURCES[0]) };
    let mut text = format!(
        "table {family} n {{\n set ports {{ type inet_service; flags interval; elements = {{ 22, 80-90 }}; }}\n \
         set hosts {{ type {}; elements = {{ {} }}; }}\n",
        hosts.0, hosts.1
    );
    for chain in (0..CHAINS).rev() {
        text += &format!(" chain c{chain} {{\n{} }}\n", rules(draw, family, Some(chain), 3, true));
    }
    text + &format!(
        " chain base {{\n  type nat hook prerouting priority dstnat; policy accept;\n{} }}\n}}\n",
        rules(draw, family, None, 4, true)
    )
}

fn rules(draw: &mut Draw, family: &str, chain: Option<usize>, most: usize, nat: bool) -> String {
    (0..draw.below(most + 1)).map(|_| format!("  {}\n", nft_rule(draw, family, chain, nat))).collect()
}

fn nft_rule(draw: &mut Draw, family: &str, chain: Option<usize>, nat: bool) -> String {
    let further: Vec<usize> = (0..CHAINS).filter(|c| chain.is_none_or(|here| *c > here)).collect();
    let send = |draw: &mut Draw| match further.as_slice() {
        [] => "return".to_owned(),
        some => format!("{} c{}", draw.of(&["jump", "jump", "goto"]), some[draw.below(some.len())]),
    };
    let mut words: Vec<String> = Vec::new();
    // Two in one rule are refused by nft itself.
    let protocol = draw.of(&["tcp", "tcp", "udp"]);
    for _ in 0..[0, 1, 1, 2, 2, 3][draw.below(6)] {
        words.push(nft_match(draw, family, protocol));
    }
    if draw.one_in(5) {
        let statement =
            ["counter", "log prefix \"accept \" level debug", "meta mark set 0x1", "counter packets 3 bytes 4"];
        words.push(draw.of(&statement).into());
    }
    // Verdicts by a map end the rule.
    if !nat && draw.one_in(8) {
        let to = send(draw);
        let to = if to == "return" { "accept".to_owned() } else { to };
        let [a, b] = [draw.of(&["accept", "drop", "return", "continue"]), draw.of(&["accept", "accept", "drop"])];
        let map = match draw.below(5) {
            0 => format!("{protocol} dport vmap {{ 22 : {a}, 80-90 : {to}, 443 : {b} }}"),
            1 => format!("iifname vmap {{ \"lan0\" : {to}, \"wan0\" : drop }}"),
            2 => format!(
                "ct state vmap {{ established : accept, invalid : drop, {} : {to} }}",
                draw.of(&["new", "untracked"])
            ),
            3 => format!("meta l4proto vmap {{ tcp : {to}, udp : {a} }}"),
            _ => format!("iifname . th dport vmap {{ \"lan0\" . 22 : {a}, \"lan0\" . 53 : {b} }}"),
        };
        let map = if map.contains("th dport") { format!("meta l4proto {{ tcp, udp }} {map}") } else { map };
        words.push(map);
        return words.join(" ");
    }
    let verdict = match draw.below(if nat { 9 } else { 12 }) {
        6..9 if nat => translation(draw, family, &mut words),
        0..2 => send(draw),
        2 => "return".to_owned(),
        3 => draw.of(&["continue", ""]).into(),
        4..6 if nat => "accept".to_owned(),
        4..9 => "accept".to_owned(),
        9 => draw.of(&["reject", "reject with icmpx admin-prohibited"]).into(),
        _ => "drop".to_owned(),
    };
    words.push(verdict);
    words.join(" ").trim().to_owned()
}

fn translation(draw: &mut Draw, family: &str, words: &mut Vec<String>) -> String {
    words.push("meta l4proto { tcp, udp }".into());
    match (draw.below(4), family) {
        (0, "ip") => "dnat to 10.77.0.9".into(),
        (0, "ip6") => "dnat to fd77::9".into(),
        (0, _) => "dnat ip to 10.77.0.9".into(),
        (1, _) => "redirect".into(),
        (2, _) => "redirect to :53".into(),
        _ => "redirect to :5353".into(),
    }
}

fn nft_match(draw: &mut Draw, family: &str, protocol: &str) -> String {
    let not = if draw.one_in(4) { "!= " } else { "" };
    let port = draw.of(PORTS);
    let v6 = match family {
        "ip" => false,
        "ip6" => true,
        _ => draw.one_in(2),
    };
    let (ip, own, sources) = if v6 { ("ip6", &OWN[2..], &SOURCES[2..]) } else { ("ip", &OWN[..2], &SOURCES[..2]) };
    let nets =
        if v6 { ["fd77::/64", "fd77::/16", "2001:db8::/32"] } else { ["10.77.0.0/24", "10.77.0.0/16", "192.0.2.0/24"] };
    match draw.below(26) {
        0 => format!("iifname {not}{}", draw.of(&["\"lan0\"", "\"wan0\"", "\"lan*\"", "{ \"lan0\", \"wan0\" }"])),
        1 => format!("iif {not}{}", draw.of(&["\"lan0\"", "\"lo\"", "{ \"lan0\", \"lo\" }"])),
        2 => format!("oifname {not}\"wan0\""),
        3..6 => format!("{protocol} dport {not}{port}"),
        6 => format!("{protocol} dport {not}{{ {port}, 443 }}").replace("0-1023, 443", "0-300, 443"),
        7 => format!(
            "{} dport {}",
            draw.of(&["tcp", "udp"]),
            draw.of(&["@ports", "!= @ports", "> 60", "< 100", ">= 443"])
        ),
        8 => format!("meta l4proto {{ tcp, udp }} th dport {not}{port}"),
        9 => format!("meta l4proto {not}{}", draw.of(&["tcp", "udp", "icmp", "{ tcp, udp }"])),
        10 if family == "inet" => format!("meta nfproto {}", draw.of(&["ipv4", "ipv6"])),
        10..12 => format!(
            "ct state {}",
            draw.of(&[
                "established,related",
                "new",
                "untracked",
                "{ new, untracked }",
                "{ established, related }",
                "invalid",
                "!= established",
                "!= { new, untracked }",
                "!= untracked,new",
                "! new,untracked",
                "! established",
            ])
        ),
        12..15 if protocol == "tcp" => draw
            .of(&[
                "tcp flags syn / fin,syn,rst,ack",
                "tcp flags & (fin|syn|rst|ack) == syn",
                "tcp flags & (fin|syn) == (fin|syn)",
                "tcp flags != syn",
                "tcp flags syn",
                "tcp flags syn,ack",
                "tcp flags == 0x0",
                "tcp flags ! syn",
                "tcp flags { syn, ack }",
                "tcp flags & (syn|ack) != syn",
                "tcp flags & syn == 0",
                "tcp flags & (fin|syn|rst|psh|ack|urg) == 0",
            ])
            .into(),
        15 => format!("{ip} saddr {not}{}", draw.of(sources)),
        16 => format!("{ip} saddr {not}{}", draw.of(&nets)),
        17..19 => format!("{ip} daddr {not}{}", draw.of(&[own[0], own[1], nets[0], nets[1], nets[2]])),
        19 => format!("{ip} daddr {not}{{ {}, {} }}", own[0], nets[2]),
        20 => {
            let kind = draw.of(&["local", "broadcast", "{ local, multicast }", "unicast", "!= local"]);
            format!("fib daddr {}type {kind}", draw.of(&["", ". iif "]))
        }
        21 => draw.of(&["fib saddr . iif oif missing", "fib saddr . iif oif exists", "fib saddr type local"]).into(),
        22 => format!("meta pkttype {not}{}", draw.of(&["host", "broadcast", "{ broadcast, multicast }", "multicast"])),
        23 => draw
            .of(&["limit rate 100000/second burst 60000 packets", "limit rate over 100000/second burst 60000 packets"])
            .into(),
        24 => draw
            .of(&[
                "meta mark 0x1",
                "meta mark & 0xff == 0x1",
                "ct mark 0x1",
                "ct status dnat",
                "ct direction original",
                "ether saddr 02:00:00:00:00:02",
                "meta skuid 0",
                "icmp type echo-request",
                "th dport . meta l4proto { 22 . tcp, 53 . udp }",
                "iifname . tcp dport { \"lan0\" . 22 }",
                "@th,16,16 22",
                "quota over 900 mbytes",
            ])
            .into(),
        _ => match v6 {
            true => draw.of(&["ip6 nexthdr tcp", "ip6 nexthdr != udp", "ip6 hoplimit > 1", "icmpv6 type 128"]).into(),
            false if family != "ip6" => draw
                .of(&[
                    "ip protocol tcp",
                    "ip protocol { tcp, udp }",
                    "ip saddr @hosts",
                    "ip ttl 64",
                    "ip protocol != tcp",
                ])
                .into(),
            false => "ip6 saddr @hosts".into(),
        },
    }
    .replace("ip saddr @hosts", if family == "ip6" { "ip6 saddr @hosts" } else { "ip saddr @hosts" })
}

fn iptables_filter(draw: &mut Draw, v6: bool) -> String {
    let mut text = String::new();
    let tables: &[&str] = if draw.one_in(4) { &["mangle", "filter"] } else { &["filter"] };
    for table in tables {
        text += &format!("*{table}\n:INPUT {} [0:0]\n", if draw.one_in(2) { "DROP" } else { "ACCEPT" });
        text += &iptables_chains(draw, v6, "INPUT", *table != "filter");
    }
    text
}

fn iptables_nat(draw: &mut Draw, v6: bool) -> String {
    "*nat\n:PREROUTING ACCEPT [0:0]\n".to_owned() + &iptables_chains(draw, v6, "PREROUTING", true)
}

/// `no_reject`: the table is not filter's, or it is nat's: then rules translate.
fn iptables_chains(draw: &mut Draw, v6: bool, base: &str, no_reject: bool) -> String {
    let nat = base == "PREROUTING";
    let mut text: String = (0..CHAINS).map(|c| format!(":c{c} - [0:0]\n")).collect();
    for _ in 0..draw.below(8) {
        text += &iptables_rule(draw, v6, base, None, nat);
    }
    for chain in 0..CHAINS {
        for _ in 0..draw.below(4) {
            text += &iptables_rule(draw, v6, &format!("c{chain}"), Some(chain), nat);
        }
    }
    if no_reject {
        text = text.replace("-j REJECT --reject-with tcp-reset", "-j DROP").replace("-j REJECT", "-j DROP");
    }
    if nat {
        text = text.replace("-j DROP", "-j ACCEPT");
    }
    text + "COMMIT\n"
}

fn iptables_rule(draw: &mut Draw, v6: bool, chain: &str, here: Option<usize>, nat: bool) -> String {
    let mut rule = format!("-A {chain}");
    let protocol = draw.of(&["", "tcp", "tcp", "udp"]);
    if !protocol.is_empty() {
        rule += &format!(" -p {protocol}");
        let not = if draw.one_in(5) { "! " } else { "" };
        match draw.below(5) {
            0 | 1 => rule += &format!(" -m {protocol} {not}--dport {}", draw.of(PORTS).replace('-', ":")),
            2 => rule += &format!(" -m multiport {not}--dports {},443", draw.of(PORTS).replace('-', ":")),
            3 if protocol == "tcp" => {
                let flags = ["FIN,SYN,RST,ACK SYN", "ALL NONE", "SYN,FIN SYN,FIN", "SYN,ACK ACK", "ALL SYN", "SYN SYN"];
                rule += &format!(" -m tcp {not}--tcp-flags {}", draw.of(&flags));
            }
            _ => {}
        }
    }
    for _ in 0..draw.below(3) {
        let not = if draw.one_in(4) { "! " } else { "" };
        let (own, sources) = if v6 { (&OWN[2..], &SOURCES[2..]) } else { (&OWN[..2], &SOURCES[..2]) };
        let nets = if v6 { ["fd77::/64", "2001:db8::/32"] } else { ["10.77.0.0/24", "192.0.2.0/24"] };
        let part = match draw.below(14) {
            0 | 1 if !rule.contains(" -i") => format!("{not}-i {}", draw.of(&["lan0", "lan+", "wan0", "lo"])),
            2 if !rule.contains(" -s ") => format!("{not}-s {}", draw.of(&[sources[0], sources[1], nets[0]])),
            3 | 4 if !rule.contains(" -d ") => format!("{not}-d {}", draw.of(&[own[0], own[1], nets[0], nets[1]])),
            5 | 6 if !rule.contains("conntrack") => format!(
                "-m conntrack {not}--ctstate {}",
                draw.of(&[
                    "RELATED,ESTABLISHED",
                    "NEW",
                    "NEW,UNTRACKED",
                    "UNTRACKED",
                    "INVALID",
                    "DNAT",
                    "NEW,RELATED"
                ])
            ),
            7 if !rule.contains("-m state") => {
                format!("-m state {not}--state {}", draw.of(&["NEW", "UNTRACKED", "ESTABLISHED"]))
            }
            8 if !rule.contains("addrtype") => {
                format!(
                    "-m addrtype {not}--dst-type {}",
                    draw.of(if v6 {
                        &["LOCAL", "UNICAST", "LOCAL,MULTICAST"]
                    } else {
                        &["LOCAL", "BROADCAST", "LOCAL,MULTICAST", "UNICAST"]
                    })
                )
            }
            9 if !rule.contains("pkttype") => {
                format!("-m pkttype {not}--pkt-type {}", draw.of(&["unicast", "broadcast", "multicast"]))
            }
            10 if !rule.contains("-m mark") => format!("-m mark {not}--mark 0x1"),
            11 if !rule.contains("limit") => "-m limit --limit 10000/sec --limit-burst 10000".into(),
            12 if !rule.contains("mac") => format!("-m mac {not}--mac-source 02:00:00:00:00:02"),
            _ if !rule.contains("comment") => "-m comment --comment \"x -j DROP \\\" y\"".into(),
            _ => continue,
        };
        rule += &format!(" {part}");
    }
    let further: Vec<usize> = (0..CHAINS).filter(|c| here.is_none_or(|here| *c > here)).collect();
    let target = match draw.below(12) {
        0..3 if !further.is_empty() => {
            format!("{} c{}", draw.of(&["-j", "-j", "-g"]), further[draw.below(further.len())])
        }
        0..4 => "-j RETURN".into(),
        4 => draw.of(&["", "-j LOG --log-prefix \"ACCEPT \" --log-level 7", "-j LOG"]).into(),
        5..9 if nat && !protocol.is_empty() => match draw.below(3) {
            0 => format!("-j DNAT --to-destination {}", if v6 { "fd77::9" } else { "10.77.0.9" }),
            1 => "-j REDIRECT --to-ports 53".into(),
            _ => "-j REDIRECT".into(),
        },
        5..10 => "-j ACCEPT".into(),
        10 if protocol == "tcp" => "-j REJECT --reject-with tcp-reset".into(),
        10 => "-j REJECT".into(),
        _ => "-j DROP".into(),
    };
    let raw = chain == "PREROUTING" && !nat;
    let rule = format!("{rule} {target}\n");
    if raw {
        rule.replace("-j REJECT --reject-with tcp-reset", "-j DROP").replace("-j REJECT", "-j DROP")
    } else {
        rule
    }
}
