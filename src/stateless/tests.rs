use super::*;
extern crate std;
use std::{format, string::String, vec::Vec};

const FW3: &str = include_str!("../../tests/golden/fw3/iptables-save.txt");
const NFT: &str = "table inet fw4 { # handle 1\n\tset s { # handle 4\n\t\ttype ipv4_addr\n\t}\n\n\tchain input { # handle 2\n\
    \t\ttype filter hook input priority filter; policy drop;\n\
    \t\tiif \"lo\" accept # handle 3\n\
    \t\tct state vmap { established : accept, related : accept } comment \"!fw4: ct state new\" # handle 5\n\
    \t\tct state invalid drop # handle 6\n\
    \t\ttcp dport 22 ct state new counter packets 7 bytes 80 accept # handle 8\n\
    \t\tudp dport 5060 ct helper set \"sip\" # handle 9\n\t}\n\
    \tchain srcnat { # handle 12\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
    \t\toifname \"wan\" masquerade # handle 13\n\t}\n}\n";

fn fate(dialect: Dialect, rule: &str) -> Option<Fate> {
    let text = match dialect {
        Dialect::Nft => {
            format!("table inet t {{ # handle 1\n\tchain c {{ # handle 2\n\t\t{rule} # handle 7\n\t}}\n}}\n")
        }
        _ => format!("*filter\n:FORWARD DROP [0:0]\n-A FORWARD {rule}\nCOMMIT\n"),
    };
    let mut fate = None;
    judge(text.as_bytes(), dialect, &mut |f, _| fate = Some(f));
    fate
}

#[test]
fn what_becomes_of_a_rule() {
    use Fate::*;
    for (rule, expected) in [
        ("-i lan -j ACCEPT", Keep),
        ("-m comment --comment \"-m state --state NEW\" -j DROP", Keep),
        ("-p tcp -j CT --notrack", Keep),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", Chain),
        ("-m state ! --state RELATED,ESTABLISHED -j DROP", Chain),
        ("-p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT", Bare),
        ("-i lan -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT", Bare),
        ("-m state --state NEW,ESTABLISHED -j x", Bare),
        ("-i wan -m state --state NEW -j DROP", Chain),
        ("-m conntrack --ctstate INVALID -j DROP", Out),
        ("-m conntrack --ctstate DNAT -j ACCEPT", Out),
        ("-m conntrack --ctstate NEW -j LOG --log-prefix \"x -j DROP\"", Out),
        ("-m conntrack --ctstate NEW -j RETURN", NotUnderstood),
        ("-m conntrack --ctstatus DNAT -j ACCEPT", Out),
        ("-m conntrack --ctstatus DNAT -j DROP", NotUnderstood),
        ("-m connmark --mark 0x1 -j DROP", NotUnderstood),
        ("-m connmark --mark 0x1 -j MARK --set-xmark 0x1/0xff", Out),
        ("-p tcp -m connlimit --connlimit-above 20 -j REJECT --reject-with tcp-reset", Out),
        ("-p tcp -j FLOWOFFLOAD", Out),
        ("-p udp -j CT --helper sip", Out),
        ("-p tcp -j DNAT --to-destination 10.0.0.1", Out),
        ("-o wan -j MASQUERADE", SourceNat),
        ("-m recent --rcheck --seconds 30 --name ctwarden_all -m conntrack --ctstate NEW -j x", Out),
    ] {
        assert_eq!(fate(Dialect::V4, rule).unwrap_or(Keep), expected, "{rule}");
    }
    for (rule, expected) in [
        ("iifname \"lan\" counter packets 0 bytes 0 accept comment \"ct state new drop\"", Keep),
        ("notrack", Keep),
        ("icmp type redirect drop", Keep),
        ("oifname \"wan\" jump srcnat_wan", Keep),
        ("ct state established,related accept", Chain),
        ("ct state ! established,related counter packets 0 bytes 0 drop", Chain),
        ("ct state != { established, related } drop", Chain),
        ("ct state vmap { invalid : drop, established : accept, related : accept }", Chain),
        ("ct state vmap { established : accept, new : goto x }", NotUnderstood),
        ("ct state vmap @m", NotUnderstood),
        ("tcp dport { 22, 80 } ct state new counter packets 0 bytes 0 accept comment \"x\"", Bare),
        ("ct state new iifname vmap { \"a\" : accept }", NotUnderstood),
        ("ct state invalid drop", Out),
        ("ct status dnat accept", Out),
        ("ct mark 0x00000001 drop", NotUnderstood),
        ("meta mark set ct mark", Out),
        ("meta l4proto tcp ct count over 3 drop", Out),
        ("meta l4proto { tcp, udp } flow add @ft", Out),
        ("ct state new ct status ! confirmed ip saddr @ctwarden_shed drop", Out),
        ("iifname \"wan\" redirect to :53", Out),
        ("meta nfproto ipv4 masquerade", SourceNat),
        ("ct state new snat ip to 192.0.2.1", SourceNat),
    ] {
        assert_eq!(fate(Dialect::Nft, rule).unwrap_or(Keep), expected, "{rule}");
    }
}

fn script(text: &str, dialect: Dialect) -> String {
    let mut out = Vec::new();
    apply(text.as_bytes(), dialect, &["192.0.2.53".parse().unwrap()], &mut |p| out.extend_from_slice(p));
    String::from_utf8(out).unwrap()
}

#[test]
fn an_established_accept_becomes_one_of_what_may_be_a_reply() {
    let text = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i wan -m conntrack --ctstate RELATED,ESTABLISHED -m comment \
                --comment x -j ACCEPT\n-A FORWARD -i lan -j ACCEPT\n-A x -j ACCEPT\nCOMMIT\n";
    let expected = "*filter\n:ctwarden_s1 - [0:0]\n\
        -A ctwarden_s1 -p tcp -m tcp ! --tcp-flags SYN,ACK SYN -j ACCEPT\n\
        -A ctwarden_s1 -s 192.0.2.53 -p udp -m udp --sport 53 -j ACCEPT\n\
        -A ctwarden_s1 -p icmp -m icmp --icmp-type 0 -j ACCEPT\n\
        -A ctwarden_s1 -p icmp -m icmp --icmp-type 3 -j ACCEPT\n\
        -A ctwarden_s1 -p icmp -m icmp --icmp-type 11 -j ACCEPT\n\
        -A ctwarden_s1 -p icmp -m icmp --icmp-type 12 -j ACCEPT\n\
        -F FORWARD\n\
        -A FORWARD -i wan -m comment --comment x -j ctwarden_s1\n\
        -A FORWARD -i lan -j ACCEPT\nCOMMIT\n";
    assert_eq!(script(text, Dialect::V4), expected);
}

/// Refusing what is new must not refuse less than before, nor replies.
#[test]
fn what_may_be_no_reply_counts_as_new() {
    let text = "*filter\n-A INPUT -i wan -m state --state NEW -j DROP\nCOMMIT\n";
    let script = script(text, Dialect::V6);
    assert!(script.contains("! --tcp-flags SYN,ACK SYN -j RETURN\n"), "{script}");
    assert!(script.contains("--icmpv6-type 135 -j RETURN\n") && !script.contains("--icmpv6-type 128"), "{script}");
    assert!(script.contains("-A ctwarden_s1  -j DROP\n-F INPUT\n-A INPUT -i wan -j ctwarden_s1\n"), "{script}");
}

#[test]
fn nft_rules_are_edited_by_their_handles() {
    let script = script(NFT, Dialect::Nft);
    for line in [
        "replace rule inet fw4 input handle 5 jump ctwarden_n1 comment \"!fw4: ct state new\"\n",
        "delete rule inet fw4 input handle 6\n",
        "replace rule inet fw4 input handle 8 tcp dport 22 counter packets 7 bytes 80 accept\n",
        "delete rule inet fw4 srcnat handle 13\n",
        "add rule inet fw4 ctwarden_n1 tcp flags & (syn | ack) != syn accept\n",
    ] {
        assert!(script.contains(line), "{line} in {script}");
    }
    assert!(!script.contains("handle 3"), "{script}");
}

fn put_back(text: &str, now: &str, dialect: Dialect) -> (Back, String) {
    let mut out = Vec::new();
    let done = back(text.as_bytes(), now.as_bytes(), dialect, false, &mut |p| out.extend_from_slice(p));
    (done, String::from_utf8(out).unwrap())
}

#[test]
fn back_goes_what_stands_as_it_was_left_and_nothing_else() {
    let stripped = NFT
        .replace("ct state vmap { established : accept, related : accept }", "jump ctwarden_n1")
        .replace("\t\tct state invalid drop # handle 6\n", "")
        .replace("ct state new counter packets 7 bytes 80", "counter packets 9 bytes 100")
        .replace("\t\tudp dport 5060 ct helper set \"sip\" # handle 9\n", "")
        .replace("\t\toifname \"wan\" masquerade # handle 13\n", "")
        .replace("handle 8", "handle 18");
    let (done, script) = put_back(NFT, &stripped, Dialect::Nft);
    assert_eq!(done, Back { restored: 2, left: 0, as_before: 0 }, "{script}");
    let expected = "replace rule inet fw4 input handle 5 ct state vmap { established : accept, related : accept } \
        comment \"!fw4: ct state new\"\n\
        insert rule inet fw4 input position 18 ct state invalid drop\n\
        replace rule inet fw4 input handle 18 tcp dport 22 ct state new counter packets 7 bytes 80 accept\n\
        add rule inet fw4 input udp dport 5060 ct helper set \"sip\"\n\
        add rule inet fw4 srcnat oifname \"wan\" masquerade\n";
    assert_eq!(script, expected);
    // Loaded anew, or never taken out.
    assert_eq!(put_back(NFT, NFT, Dialect::Nft).0, Back { restored: 0, left: 0, as_before: 2 });
    // An owner was at it.
    let edited = stripped.replace("iif \"lo\" accept", "iif \"lo\" drop");
    assert_eq!(put_back(NFT, &edited, Dialect::Nft).0, Back { restored: 1, left: 1, as_before: 0 });
    assert_eq!(put_back(NFT, "", Dialect::Nft), (Back { restored: 0, left: 2, as_before: 0 }, String::new()));
}

/// A program that prints a rule otherwise than it was given it: what was loaded is undone all the same.
#[test]
fn what_we_loaded_is_undone_however_it_is_told() {
    let text = "*filter\n-A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\nCOMMIT\n";
    let told = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p 1 -j ACCEPT\nCOMMIT\n";
    let mut script = Vec::new();
    let done = back(text.as_bytes(), told.as_bytes(), Dialect::V4, true, &mut |p| script.extend_from_slice(p));
    assert_eq!(done, Back { restored: 1, left: 0, as_before: 0 });
    let expected =
        "*filter\n-F INPUT\n-A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\nCOMMIT\n";
    assert_eq!(core::str::from_utf8(&script), Ok(expected));
    // Nothing is made where the chain itself is gone.
    assert_eq!(back(text.as_bytes(), b"", Dialect::V4, true, &mut |_| {}).left, 1);

    let text = "table ip f { # handle 1\n\tchain c { # handle 2\n\t\tct state new accept # handle 3\n\t\ticmp type echo-request accept # handle 4\n\t}\n}\n";
    let told = "table ip f { # handle 1\n\tchain c { # handle 2\n\t\ticmp type 8 accept # handle 4\n\t}\n}\n";
    let mut script = Vec::new();
    let done = back(text.as_bytes(), told.as_bytes(), Dialect::Nft, true, &mut |p| script.extend_from_slice(p));
    assert_eq!(done, Back { restored: 1, left: 0, as_before: 0 });
    let expected =
        "flush chain ip f c\nadd rule ip f c ct state new accept\nadd rule ip f c icmp type echo-request accept\n";
    assert_eq!(core::str::from_utf8(&script), Ok(expected));
}

#[test]
fn a_chain_left_empty_is_filled_again_if_it_is_there() {
    let text = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n";
    let empty = "*nat\n:POSTROUTING ACCEPT [7:420]\nCOMMIT\n";
    let (done, script) = put_back(text, empty, Dialect::V4);
    assert_eq!(done.restored, 1);
    assert_eq!(script, "*nat\n-F POSTROUTING\n-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n");
    assert_eq!(put_back(text, "*filter\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n", Dialect::V4).0.left, 1);
}

/// The rules of emergency windows must not go on letting in or capping when what they look at is gone.
#[test]
fn our_own_rules_rest() {
    let nft = "table inet fw4 { # handle 1\n\tchain mangle_prerouting { # handle 2\n\
        \t\tct state new ct status ! confirmed jump ctwarden_new # handle 3\n\t}\n\
        \tchain forward { # handle 4\n\t\tct state untracked iif @ctwarden_lan meta l4proto tcp accept # handle 5\n\t}\n}\n\
        table inet ctwarden { # handle 1\n\tchain new { # handle 2\n\t\tct count over 64 drop # handle 3\n\t}\n}\n";
    let ipt = "*filter\n-A ctwarden_fwd -m conntrack ! --ctstate UNTRACKED -j RETURN\n\
        -A ctwarden_new -m conntrack ! --ctstate NEW -j RETURN\n-A ctwarden_new -m conntrack --ctstatus CONFIRMED -j RETURN\n\
        -A FORWARD -m conntrack --ctstate UNTRACKED -j ctwarden_fwd\nCOMMIT\n";
    use Fate::{Bare, Out};
    for (text, dialect, expected) in
        [(nft, Dialect::Nft, &[Out, Out, Out][..]), (ipt, Dialect::V4, &[Bare, Bare, Out, Out])]
    {
        let mut fates = Vec::new();
        judge(text.as_bytes(), dialect, &mut |fate, _| fates.push(fate));
        assert_eq!(fates, expected, "{text}");
    }
}

#[test]
fn resolvers_are_those_that_the_wan_told_of() {
    let text = b"# Interface wan\nnameserver 192.0.2.53\nnameserver 127.0.0.1\nsearch lan\nnameserver fe80::1%eth0\n\
        nameserver 2001:db8::53\nnameserver";
    let found = resolvers(text);
    assert_eq!(found.as_slice(), ["192.0.2.53", "2001:db8::53"].map(|a| a.parse::<IpAddr>().unwrap()));
    assert_eq!(resolvers(&b"nameserver 192.0.2.1\n".repeat(20)).len(), RESOLVERS);
}

#[test]
fn of_fw3_all_is_understood() {
    let (mut fates, mut nat) = ([0; 6], 0);
    judge(FW3.as_bytes(), Dialect::V4, &mut |fate, [table, ..]| {
        fates[fate as usize] += 1;
        nat += u32::from(table == b"nat");
    });
    assert_eq!((fates, nat), ([0, 5, 1, 3, 0, 0], 0), "kept, out, bare, chain, not understood, source NAT");
}
