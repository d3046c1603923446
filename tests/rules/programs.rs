//! The daemon's side of it: real programs print the rules, the kernel tells the addresses.

use std::collections::BTreeSet;

use ctwarden::config::Config;
use ctwarden::event::Lifeline;
use ctwarden::lease::Lease;

use crate::daemon::firewall::check::{Fits, lifeline};
use crate::daemon::kernel::addresses::{index_of, name_of, own};
use crate::daemon::root::Root;
use crate::generate::Language;
use crate::world::{OWN, World};

const FW4: &str = include_str!("../golden/fw4/ruleset-default.nft");
const FW3: &str = include_str!("../golden/fw3/iptables-save.txt");

fn ports(fits: &Fits) -> String {
    let port = |l: &Lease| match l {
        Lease::Router { protocol, port, .. } => (*protocol, *port),
        other => panic!("{other}"),
    };
    let ports: BTreeSet<_> = fits.leases.iter().map(port).collect();
    ports.iter().map(|(protocol, port)| format!("{protocol}:{port}")).collect::<Vec<_>>().join(" ")
}

/// (passed, failed)
pub fn run(world: &World) -> (u32, u32) {
    let (mut passed, mut failed) = (0, 0);
    let mut check = |what: &str, right: bool, seen: &dyn std::fmt::Debug| {
        if right {
            passed += 1;
        } else {
            failed += 1;
            println!("{what}: {seen:?}");
        }
    };
    let root = Root::new("").expect("the real system");
    let addresses = own();
    let interface = index_of("lan0").expect("lan0 is there");
    let found: BTreeSet<_> = addresses.on(interface).map(|a| a.to_string()).collect();
    check("addresses", addresses.is_complete() && found == OWN.map(String::from).into(), &addresses);
    check("no other interface has one", addresses.interfaces().eq([interface]), &addresses);
    let names = ["nowhere", "lan0"];
    check("names", name_of(interface, names) == Some("lan0") && name_of(0, names).is_none(), &interface);

    let mut config = Config { lifeline_dns: true, ..Config::default() };
    check("no LAN", lifeline(&root, &config).lifeline == Lifeline::NoLan, &());
    config.lan.clear();
    let _ = config.lan.push("lan0".try_into().expect("a name"));
    let all = "6:22 6:53 6:80 6:443 17:53 17:67 17:547";
    let translated = "table ip n {\n chain p {\n  type nat hook prerouting priority dstnat;\n  RULE\n }\n}\n";
    for (language, rules, expected, ports_expected, because) in [
        (Language::Nft, String::new(), Lifeline::On, all, ""),
        (Language::Nft, FW4.replace("ct helper set \"RAS\"", "accept"), Lifeline::On, all, ""),
        (
            Language::Nft,
            FW4.replace("jump accept_from_lan", "jump handle_reject"),
            Lifeline::NotAccepted,
            "",
            "chain handle_reject, meta",
        ),
        (
            Language::Nft,
            translated.replace("RULE", "tcp dport 80 redirect to :8080"),
            Lifeline::On,
            &all.replace("6:80 ", ""),
            "table ip n, chain p, tcp dport 80 redirect to :8080",
        ),
        (Language::Nft, translated.replace("RULE", "dnat to 10.77.0.9"), Lifeline::Nat, "17:547", "dnat to 10.77.0.9"),
        (Language::IptablesLegacy, FW3.to_string(), Lifeline::On, all, ""),
        (
            Language::IptablesLegacy,
            FW3.replace("--ctstate NEW,UNTRACKED", "--ctstate NEW").replace(":INPUT ACCEPT", ":INPUT DROP"),
            Lifeline::NotAccepted,
            "",
            ":INPUT DROP",
        ),
    ] {
        // `iptables-save` may be nft's here, and shows nothing of the other's.
        let loaded = world.clear(language).and_then(|()| {
            world.load(
                language,
                &[
                    rules.clone(),
                    rules
                        .replace("icmp-port-unreachable", "icmp6-port-unreachable")
                        .replace("-p icmp -m icmp --icmp-type 8", "-p ipv6-icmp")
                        .replace("-p igmp", "-p 58"),
                ],
            )
        });
        let fits = lifeline(&root, &config);
        let seen = (fits.lifeline, ports(&fits), fits.because().to_string(), fits.kept_out, &loaded);
        let right = fits.lifeline == expected && ports(&fits) == ports_expected;
        let told = if because.is_empty() { fits.because().is_empty() } else { fits.because().contains(because) };
        check(
            &format!("{} {}", language.name(), rules.lines().next().unwrap_or_default()),
            loaded.is_ok() && right && told,
            &seen,
        );
        let _ = world.clear(language);
    }
    (passed, failed)
}
