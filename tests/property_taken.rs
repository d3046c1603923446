//! Laws of what is taken out and put back: any text of a firewall, of /proc/modules and of sysctl files.

#![cfg(feature = "iptables")]

use ctwarden::modules::{Kept, MODULES, plan};
use ctwarden::stateless::{Back, Dialect, Fate, apply, back, judge};
use ctwarden::sysctl;
use proptest::prelude::*;

const DIALECTS: [Dialect; 3] = [Dialect::V4, Dialect::V6, Dialect::Nft];

fn script(text: &[u8], dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    apply(text, dialect, &[], &mut |piece| out.extend_from_slice(piece));
    out
}

fn put_back(text: &[u8], now: &[u8], dialect: Dialect) -> (Back, Vec<u8>) {
    let mut out = Vec::new();
    let done = back(text, now, dialect, false, &mut |piece| out.extend_from_slice(piece));
    (done, out)
}

/// Words that mean something, so that texts of them are more than noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "*filter",
        ":INPUT DROP [0:0]",
        "-A INPUT",
        "-m",
        "state",
        "conntrack",
        "--ctstate",
        "!",
        "NEW,ESTABLISHED",
        "-j",
        "-g",
        "ACCEPT",
        "\"",
        "\n",
        "\nCOMMIT\n",
        "table inet t {",
        "\tchain c {",
        "\t\t",
        "ct state",
        "vmap",
        "{",
        "}",
        "established",
        ":",
        "accept",
        "jump x",
        "comment",
        " # handle 7",
        "\t}",
        "ct",
        "@m",
        "#",
        "\\\"",
        "nf_conntrack",
        "[permanent],",
        ",",
        "- Live 0x0",
        "3",
        "net.netfilter.nf_conntrack_max",
        "=",
        "\u{ff}",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|words| words.join(" ").into_bytes())
}

/// A rule of iptables, and what becomes of it.
fn rule() -> impl Strategy<Value = (&'static str, Fate)> {
    prop::sample::select(
        &[
            ("-i lan -j ACCEPT", Fate::Keep),
            ("-p tcp -m comment --comment \"-m state --state NEW\" -j DROP", Fate::Keep),
            ("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", Fate::Chain),
            ("-i wan -m state --state NEW -j DROP", Fate::Chain),
            ("-p tcp -m conntrack ! --ctstate INVALID -m tcp --dport 22 -j ACCEPT", Fate::Bare),
            ("-m conntrack --ctstate INVALID -j DROP", Fate::Out),
            ("-o wan -j MASQUERADE", Fate::SourceNat),
        ][..],
    )
}

fn save(chains: &[Vec<&str>]) -> String {
    let mut text = String::from("# x\n*filter\n");
    for n in 0..chains.len() {
        text += &format!(":c{n} - [0:0]\n");
    }
    for (n, rules) in chains.iter().enumerate() {
        rules.iter().for_each(|rule| text += &format!("-A c{n} {rule}\n"));
    }
    text + "COMMIT\n"
}

/// What iptables-restore --noflush makes of a text, as iptables-save then says it.
fn loaded(before: &str, script: &str) -> String {
    let flushed = |line: &str| {
        line.strip_prefix("-A ").is_some_and(|l| script.contains(&format!("-F {}\n", l.split(' ').next().unwrap())))
    };
    let declared = before.lines().filter(|l| l.starts_with(':')).chain(script.lines().filter(|l| l.starts_with(':')));
    let kept = before.lines().filter(|l| l.starts_with("-A") && !flushed(l));
    let mut rules: Vec<&str> = kept.chain(script.lines().filter(|l| l.starts_with("-A"))).collect();
    rules.sort_by_key(|l| l.split(' ').nth(1).unwrap().to_owned());
    format!("*filter\n{}\n{}\nCOMMIT\n", declared.collect::<Vec<_>>().join("\n"), rules.join("\n"))
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in noise(), other in noise(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for text in [&text, &bytes] {
            for dialect in DIALECTS {
                judge(text, dialect, &mut |fate, [_, _, rule]| assert!(fate != Fate::Keep && !rule.is_empty()));
                script(text, dialect);
                put_back(text, &other, dialect);
                // What was never taken out stands as before.
                let done = put_back(text, text, dialect).0;
                prop_assert_eq!(done.restored, 0);
            }
            match plan(text) {
                Ok(order) => prop_assert!(order.len() <= MODULES),
                Err(Kept::Held(held)) => prop_assert!(!held.is_empty()),
                Err(_) => {}
            }
            sysctl::read(text);
        }
    }

    /// Taken out and put back, a firewall is what it was; and while it is out, nothing looks at a state any more.
    #[test]
    fn there_and_back(chains in prop::collection::vec(prop::collection::vec(rule(), 0..6), 1..5)) {
        let rules: Vec<Vec<&str>> = chains.iter().map(|c| c.iter().map(|(rule, _)| *rule).collect()).collect();
        let text = save(&rules);
        let mut fates = Vec::new();
        judge(text.as_bytes(), Dialect::V4, &mut |fate, _| fates.push(fate));
        let expected: Vec<Fate> = chains.iter().flatten().map(|(_, f)| *f).filter(|f| *f != Fate::Keep).collect();
        prop_assert_eq!(&fates, &expected);
        let taken = loaded(&text, &String::from_utf8(script(text.as_bytes(), Dialect::V4)).unwrap());
        prop_assert!(script(taken.as_bytes(), Dialect::V4).is_empty(), "{taken}");
        let (done, way_back) = put_back(text.as_bytes(), taken.as_bytes(), Dialect::V4);
        let changed = chains.iter().filter(|c| c.iter().any(|(_, f)| *f != Fate::Keep)).count() as u32;
        prop_assert_eq!(done, Back { restored: changed, left: 0, as_before: 0 }, "{}", taken);
        let way_back = String::from_utf8(way_back).unwrap();
        let again = loaded(&taken, &way_back);
        for (n, rules) in rules.iter().enumerate() {
            let prefix = format!("-A c{n} ");
            let now: Vec<&str> = again.lines().filter_map(|l| l.strip_prefix(prefix.as_str())).collect();
            prop_assert_eq!(&now, rules);
        }
        let ours = expected.iter().filter(|f| **f == Fate::Chain).count();
        prop_assert_eq!(way_back.matches("-X ctwarden_s").count(), ours);
    }
}
