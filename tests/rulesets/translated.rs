//! Ports that nat rules send elsewhere.

use crate::{ALL, FW3, FW4, gets_in, nft};
use ctwarden::firewall::Text;

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
