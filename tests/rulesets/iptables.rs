//! What owners write for iptables.

use crate::{ALL, FW3, fw3, gets_in};
use ctwarden::firewall::Text;

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
        ("DROP", "-A INPUT -m addrtype --dst-type LOCAL,MULTICAST -j ACCEPT", ""),
        ("ACCEPT", "-A INPUT -m addrtype --dst-type UNICAST -j DROP", ""),
        ("ACCEPT", "-A INPUT -m addrtype --dst-type BROADCAST -j DROP", "22 80 443 tcp53 udp53"),
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
