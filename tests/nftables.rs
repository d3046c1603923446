//! nf_tables as it is spoken: requests byte by byte as nft(8) sends them, answers as the kernel gave them (`tests/golden`),
//! and whatever bytes there may be besides. And the rules' text.

use ctwarden::lease::Lease;
use ctwarden::nftables::{OWN, foreign_sets, head_count, head_rules, head_sets, insert_heads, is_plain, own_table};
use ctwarden::units::Millis;
use ctwarden::wire::netlink::{Batch, Messages};
use ctwarden::wire::nftables::{
    Chain, FAMILY_INET, FAMILY_IP, FAMILY_IP6, Hook, NAME_MOST, Rule, Set, SetSeen, Table, TableSeen, answer, begin,
    delete_rule, element, end, generation, get_element, lease, left,
};
use proptest::prelude::*;

const TABLE: Table<'_> = Table { family: FAMILY_INET, name: "ctw" };
const SSH: Lease = Lease::Router { interface: 1, protocol: 6, port: 22 };

fn source(text: &str) -> Lease {
    Lease::Source(text.parse().unwrap())
}
fn destination(text: &str, port: u16) -> Lease {
    Lease::Destination { address: text.parse().unwrap(), protocol: 17, port }
}

#[test]
fn keys_are_what_the_packet_path_has_in_its_registers() {
    let of = |lease: &Lease| {
        let (sets, key) = element(lease);
        let names: Vec<_> = Set::ALL.into_iter().filter(|s| sets & s.bit() != 0).map(Set::name).collect();
        (names.join(" ").replace("ctwarden_", ""), key.to_vec())
    };
    let is = |lease: Lease, names: &str, key: &[u8]| assert_eq!(of(&lease), (names.into(), key.to_vec()));
    let one = 1u32.to_ne_bytes();
    is(SSH, "router", &[&one[..], &[6, 0, 0, 0, 0, 22, 0, 0]].concat());
    is(Lease::Lan { interface: 1 }, "lan routed", &one);
    is(Lease::All { ipv6: true }, "all", &[0x86, 0xdd]);
    is(Lease::All { ipv6: false }, "all", &[8, 0]);
    is(source("10.1.2.3"), "shed4 count4", &[10, 1, 2, 3]);
    let prefix = [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    is(source("2001:db8:1:2:3::4"), "shed6 count6", &prefix);
    is(destination("192.0.2.1", 0x1234), "to4", &[192, 0, 2, 1, 17, 0, 0, 0, 0x12, 0x34, 0, 0]);
    let (names, to6) = of(&destination("2001:db8::1", 53));
    assert_eq!((&*names, to6.len(), &to6[14..]), ("to6", 24, &[0, 1, 17, 0, 0, 0, 0, 53, 0, 0][..]));
    assert_eq!(Set::ALL.map(Set::bit), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
    // The key of un-NATed traffic's family is no lease's own.
    let mut room = [0; 1024];
    let mut batch = Batch::new(&mut room);
    assert!(get_element(&mut batch, TABLE, Set::Routed, &one));
    assert!(batch.bytes().ends_with(&[1, 0, 0x86, 0xdd, 0, 0]) || batch.bytes().ends_with(&[0, 1, 0x86, 0xdd, 0, 0]));
}

/// `nft add element inet ctw ctwarden_router { "lo" . tcp . 22 timeout 30s }`, by strace. nft ends names with a zero, and
/// has the set's number in the transaction too (attribute 4); the kernel wants neither.
#[cfg(target_endian = "little")]
#[test]
fn an_element_is_added_as_nft_does_it() {
    let mut room = [0; 2048];
    let mut batch = Batch::new(&mut room);
    assert!(begin(&mut batch));
    assert!(lease(&mut batch, TABLE, Set::Router, &element(&SSH).1, Some(Millis(30_000))));
    assert!(end(&mut batch));
    let messages: Vec<_> = Messages::new(batch.bytes()).map(Result::unwrap).collect();
    let kinds: Vec<_> = messages.iter().map(|m| (m.kind, m.flags)).collect();
    assert_eq!(kinds, [(0x10, 1), (0xa0c, 0x401), (0xa0e, 1), (0xa0c, 0x405), (0x11, 1)], "one acknowledgement");
    assert_eq!(messages[0].payload, [0, 0, 0, 10], "the subsystem, big endian");
    let added = [
        &[1, 0, 0, 0, 7, 0, 1, 0][..],
        b"ctw\0",
        &[19, 0, 2, 0],
        b"ctwarden_router\0",
        &[0x28, 0, 3, 0x80, 0x24, 0, 1, 0x80, 0x14, 0, 1, 0x80, 0x10, 0, 1, 0],
        &[1, 0, 0, 0, 6, 0, 0, 0, 0, 22, 0, 0],
        &[0x0c, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x75, 0x30],
    ]
    .concat();
    assert_eq!(messages[1].payload, added);
    assert_eq!(messages[3].payload, added);
    assert_eq!(messages[2].payload.len(), added.len() - 12, "taken out by its key");
}

#[test]
fn a_transaction_has_room_for_its_end_or_nothing_is_added() {
    let (_, key) = element(&destination("::1", 1));
    let name = "a".repeat(NAME_MOST);
    let table = Table { family: FAMILY_INET, name: &name };
    let (mut fits, mut least) = (false, 0);
    for size in 0..1024 {
        let mut room = vec![0; size];
        let mut batch = Batch::new(&mut room);
        if !begin(&mut batch) {
            continue;
        }
        let before = batch.bytes().len();
        if lease(&mut batch, table, Set::To6, &key, Some(Millis(1))) {
            assert!(end(&mut batch), "{size}");
            if !fits {
                least = size;
            }
            fits = true;
        } else {
            assert!(!fits);
            assert_eq!(batch.bytes().len(), before);
        }
    }
    assert!(fits && least < 600, "{least}");
}

/// The recordings: what stood there is `tests/firewall/rulesets.rs`' `OWNERS` with our table and rules, and iptables-nft's
/// table with a rule in FORWARD.
#[cfg(target_endian = "little")]
mod recorded {
    use super::*;

    fn payloads(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        Messages::new(bytes).map(Result::unwrap).filter(|m| m.errno().is_none()).map(|m| m.payload)
    }

    #[test]
    fn tables() {
        let bytes = include_bytes!("golden/nftables/tables-le64-linux-6.18.bin");
        let seen: Vec<_> = payloads(bytes).filter_map(TableSeen::read).collect();
        let names: Vec<_> = seen.iter().map(|t| (t.table.family, t.table.name)).collect();
        let expected = [(1, "filter"), (2, "late"), (10, "late"), (2, "nat"), (2, "filter"), (1, "ctwarden")];
        assert_eq!(names, expected, "the bridge's has no part in this");
        assert!(seen.iter().all(|t| !t.owned && t.handle > 0));
        assert_eq!(payloads(bytes).count(), 7);
    }

    #[test]
    fn chains() {
        let bytes = include_bytes!("golden/nftables/chains-le64-linux-6.18.bin");
        let seen: Vec<_> = payloads(bytes).filter_map(Chain::read).collect();
        let text: Vec<_> = seen
            .iter()
            .map(|c| {
                let iptables = if c.is_of_iptables() { " iptables" } else { "" };
                let Table { family, name } = c.table;
                format!("{family} {name} {} {:?} {}{iptables}", c.name, c.hook, c.refuses)
            })
            .collect();
        assert_eq!(
            text,
            [
                "1 filter input Input true",
                "1 filter forward Forward true",
                "1 filter output Output true",
                "2 late incoming Input true",
                "10 late incoming Input true",
                "10 late through Forward true",
                "2 filter FORWARD Forward true iptables",
                "1 ctwarden raw_output Output true",
            ]
        );
    }

    #[test]
    fn rules() {
        let bytes = include_bytes!("golden/nftables/rules-le64-linux-6.18.bin");
        let seen: Vec<_> = payloads(bytes).filter_map(Rule::read).collect();
        assert!(payloads(bytes).count() > 40);
        let of =
            |family, name, chain| seen.iter().filter(|r| r.table == Table { family, name } && r.chain == chain).count();
        assert_eq!(seen.len(), 16);
        assert_eq!([of(1, "filter", "input"), of(2, "late", "incoming"), of(10, "late", "through")], [3, 2, 3]);
        // What is taken out is what was read.
        let mut room = [0; 256];
        let mut batch = Batch::new(&mut room);
        assert!(delete_rule(&mut batch, &seen[0]));
        let message = Messages::new(batch.bytes()).next().unwrap().unwrap();
        assert_eq!(message.kind, 0xa08);
        assert_eq!(message.payload[message.payload.len() - 8..], seen[0].handle.to_be_bytes());
    }

    #[test]
    fn sets() {
        let bytes = include_bytes!("golden/nftables/sets-le64-linux-6.18.bin");
        let of = |table: Table<'_>| {
            payloads(bytes).filter_map(SetSeen::read).filter(|s| s.table == table).fold(0, |sets, s| sets | s.set.bit())
        };
        assert_eq!(of(OWN), Set::OWN);
        let router = Set::Router.bit() | Set::All.bit();
        assert_eq!(of(Table { family: FAMILY_IP, name: "late" }), router);
        assert_eq!(of(Table { family: FAMILY_IP6, name: "late" }), router | Set::Lan.bit() | Set::Routed.bit());
        assert!(payloads(bytes).filter_map(SetSeen::read).all(|s| s.handle > 0));
    }

    #[test]
    fn an_element_and_a_generation() {
        let element = include_bytes!("golden/nftables/element-le64-linux-6.18.bin");
        let ms = payloads(element).find_map(left).unwrap().0;
        assert!((29_000..30_000).contains(&ms), "{ms}");
        assert_eq!(answer(element), None);
        let number = include_bytes!("golden/nftables/generation-le64-linux-6.18.bin");
        assert!(payloads(number).find_map(generation).is_some_and(|n| n > 1));
    }
}

#[test]
fn an_answer_is_read_though_it_is_cut_short() {
    let mut bytes = vec![];
    bytes.extend(1000u32.to_ne_bytes());
    bytes.extend(2u16.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend((-2i32).to_ne_bytes());
    for cut in 0..bytes.len() {
        assert_eq!(answer(&bytes[..cut]), None);
    }
    assert_eq!(answer(&bytes), Some(2));
    bytes[16..20].copy_from_slice(&0i32.to_ne_bytes());
    assert_eq!(answer(&bytes), Some(0));
    bytes[16..20].copy_from_slice(&i32::MIN.to_ne_bytes());
    assert_eq!(answer(&bytes), Some(i32::MAX));
}

#[test]
fn rules_of_a_foreign_chain() {
    for family in [FAMILY_INET, FAMILY_IP, FAMILY_IP6] {
        for hook in [Hook::Input, Hook::Forward, Hook::Output] {
            let text = head_rules(family, hook).collect::<Vec<_>>().join(" ") + " ";
            assert!(family != FAMILY_IP || !text.contains("ip6") && !text.contains("routed"), "{text}");
            let named = Set::ALL.into_iter().filter(|set| text.contains(&format!("@{} ", set.name())));
            assert_eq!(head_rules(family, hook).count(), usize::from(head_count(family, hook)));
            assert_eq!(named.fold(0, |sets, set| sets | set.bit()), head_sets(family, hook), "{text}");
        }
    }
    let names = |family, hook| {
        let sets = head_sets(family, hook);
        Set::ALL.into_iter().filter(|s| sets & s.bit() != 0).map(Set::name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(FAMILY_INET, Hook::Input), "ctwarden_router ctwarden_all");
    assert_eq!(names(FAMILY_INET, Hook::Output), "ctwarden_router ctwarden_all");
    assert_eq!(names(FAMILY_IP6, Hook::Forward), "ctwarden_lan ctwarden_routed ctwarden_all");
    assert_eq!(names(FAMILY_IP, Hook::Forward), "ctwarden_all");
    let table = Table { family: FAMILY_IP, name: "mine" };
    let mut text = String::new();
    let out = &mut |part: &str| text.push_str(part);
    insert_heads(out, &Chain { table, name: "fwd", hook: Hook::Forward, refuses: true });
    foreign_sets(out, table, Set::All.bit());
    assert_eq!(
        text,
        "insert rule ip mine fwd meta protocol @ctwarden_all accept comment \"ctwarden\"\n\
         add set ip mine ctwarden_all { type ether_type; size 8; flags timeout; }\n"
    );
}

/// A name goes into what nft reads as root.
#[test]
fn names_that_nft_would_read_otherwise() {
    for name in ["filter", "fw4", "mangle_prerouting", "docker-user", "a.b", "_x"] {
        assert!(is_plain(name), "{name}");
    }
    for name in ["", "x; flush ruleset", "a b", "x\n", "4x", "-x", "\"x\"", "@s", "x{", "é", "$x", "#", "a/b"] {
        assert!(!is_plain(name), "{name}");
    }
}

#[test]
fn our_own_table_counts_only_when_told_to() {
    let text = |keep, count| {
        let mut text = String::new();
        own_table(&mut |part: &str| text.push_str(part), keep, count);
        text
    };
    let plain = text(true, 0);
    assert!(plain.starts_with("add table inet ctwarden \nflush table inet ctwarden \nadd table inet ctwarden \ntable"));
    assert!(!plain.contains("count over") && !plain.contains("delete"));
    for set in Set::ALL.into_iter().filter(|s| Set::OWN & s.bit() != 0) {
        assert_eq!(plain.matches(&format!("set {} {{", set.name())).count(), 1, "{}", set.name());
    }
    let counting = text(false, 64);
    assert!(
        counting.starts_with("add table inet ctwarden \ndelete table inet ctwarden \nadd table inet ctwarden \ntable")
    );
    let rule = "\nip saddr @ctwarden_count4 add @ctwarden_held4 { ip saddr ct count over 64 } drop\n";
    assert!(counting.contains(rule), "{counting}");
    assert!(counting.contains("set ctwarden_count6 { type ipv6_addr; size 128; flags timeout; }\n"));
}

/// Attributes as the kernel nests them, with lengths that may lie.
fn attributes(depth: u32) -> BoxedStrategy<Vec<u8>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::sample::select(vec![
            &b"filter\0"[..],
            b"ctwarden_all\0",
            b"\0\x09ctwarden\0",
            b"ctwarden_",
            &[0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 0, 9],
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    let value = if depth == 0 { bytes.boxed() } else { prop_oneof![bytes, attributes(depth - 1)].boxed() };
    let one = (0u16..20, prop_oneof![20 => Just(0i32), 1 => -9i32..9], value).prop_map(|(kind, lie, value)| {
        let length = (value.len() as i32 + 4 + lie) as u16;
        let mut out = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    });
    prop::collection::vec(one, 0..8).prop_map(|all| all.concat()).boxed()
}

fn read_all(payload: &[u8]) {
    let _ = TableSeen::read(payload);
    if let Some(chain) = Chain::read(payload) {
        let _ = chain.is_of_iptables();
    }
    let _ = SetSeen::read(payload);
    if let Some(rule) = Rule::read(payload) {
        let mut room = [0; 128];
        delete_rule(&mut Batch::new(&mut room), &rule);
    }
    let _ = (left(payload), generation(payload), answer(payload));
}

proptest! {
    #[test]
    fn whatever_the_kernel_says(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
        for message in Messages::new(&bytes).flatten() {
            read_all(message.payload);
        }
    }

    #[test]
    fn however_it_is_nested(family in 0u8..12, bytes in attributes(3)) {
        read_all(&[&[family, 0, 0, 0][..], &bytes].concat());
    }

    #[test]
    fn a_request_fits_or_is_left_out(size in 0usize..600, name in "[a-z]{1,31}", term: Option<u32>) {
        let mut room = vec![0; size];
        let mut batch = Batch::new(&mut room);
        let table = Table { family: FAMILY_INET, name: &name };
        let (_, key) = element(&destination("10.0.0.1", 1));
        let added = lease(&mut batch, table, Set::To4, &key, term.map(|t| Millis(t.into())));
        let messages = Messages::new(batch.bytes()).filter(|m| m.is_ok()).count();
        prop_assert_eq!(messages, if !added { 0 } else if term.is_some() { 3 } else { 2 });
        prop_assert!(Messages::new(batch.bytes()).all(|m| m.is_ok()));
    }
}
