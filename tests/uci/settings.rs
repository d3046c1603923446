//! Whole configs: what we make of a text, and what we make of it after the real uci has read it and written it anew. Both
//! must be the same config, so merging, replacing and listing work as the owner's own tools do it.

use crate::model::{Bytes, Value};
use crate::real;
use ctwarden::config::{Config, SHIPPED};
use proptest::prelude::*;

fn parse(text: &[u8]) -> Option<Config> {
    Config::parse(text, "", &mut |_| {}).ok()
}

#[test]
fn uci_load_reads_the_shipped_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openwrt/ctwarden/files/etc/config/ctwarden");
    let package = real::load(file.as_ref()).unwrap();
    assert_eq!(Ok(&package), real::read(SHIPPED.as_bytes()).as_ref());
    let main = &package.sections[0];
    let high = (Bytes(b"high".into()), Value::Plain(Bytes(b"85".into())));
    assert_eq!((&main.name, main.options.contains(&high)), (&Some(Bytes(b"main".into())), true));
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words)
}

fn text() -> impl Strategy<Value = String> {
    let open = words(&[
        "config ctwarden 'main'",
        "config sizing sizing",
        "c protect a",
        "config protect \"b\"",
        "config protect",
    ]);
    let main =
        (words(&["option", "list"]), words(&["ladder"]), words(&["grow", "trim", "flush", "'trim flush'", "''", ""]));
    let plain = prop_oneof![
        (words(&["high", "low", "hold", "flush_gain"]), words(&["70", "'80'", "\"65\"", "''", "", "9\\0", "500ms"])),
        (words(&["enabled", "dry_run"]), words(&["on", "'off'", "1", "", "disabled"])),
        (words(&["policy"]), words(&["relief", "watch", "flush", "''"])),
    ];
    let sizing = prop_oneof![
        (words(&["max", "buckets"]), words(&["auto", "8192", "'65536'", ""])),
        (words(&["floor", "ceiling"]), words(&["4096", "8192", "65536"])),
    ];
    let protect = prop_oneof![
        (words(&["source", "destination"]), words(&["10.0.0.0/8", "'fd00::/8'", "''"])),
        (words(&["name", "port"]), words(&["1", "'22'", "\"5060\""])),
    ];
    let option = |pair: (&str, &str)| format!("option {} {}", pair.0, pair.1);
    let main = prop_oneof![main.prop_map(|(v, n, w)| format!("{v} {n} {w}")), plain.prop_map(option)];
    // A section and what belongs into it, mostly: an option in the wrong section is a fault, which teaches nothing here.
    let section = (open, prop::collection::vec((main, sizing.prop_map(option), protect.prop_map(option)), 1..5));
    let section = section.prop_map(|(open, options)| {
        let options = options.into_iter().map(|(main, sizing, protect)| match () {
            () if open.contains("main") => main,
            () if open.contains("sizing") => sizing,
            () => protect,
        });
        let end = if open.contains("protect") { "\noption proto tcp" } else { "" };
        options.fold(format!("{open}{end}"), |text, option| text + "\n" + &option) + "\n"
    });
    prop::collection::vec(section, 0..5).prop_map(|sections| sections.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn the_same_config_after_uci_rewrote_it(text in text()) {
        let opened_thrice = ["ctwarden", "sizing", "protect a", "protect \"b\""].iter().any(|s| text.matches(s).count() > 2);
        if let (Some(config), false) = (parse(text.as_bytes()), opened_thrice) {
            let rewritten = real::rewritten(text.as_bytes()).unwrap();
            prop_assert_eq!(parse(&rewritten), Some(config), "{}", rewritten.escape_ascii());
        }
    }
}
