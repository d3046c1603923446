//! What the config reader says to owners: the shipped file, every fault by its line, and any bytes at all.

use core::net::IpAddr;
use ctwarden::config::{Config, Faulty, Mark, NAME, Network, PROTECTS, SHIPPED};
use ctwarden::entry::{Entry, protocol};
use ctwarden::lease::{Backend, Scope};
use ctwarden::rung::Rung::{self, Flush, Grow, Open, Shed, Trim};
use ctwarden::units::{Entries, Kib, Millis, Permille};
use proptest::prelude::*;

mod expected;

/// The config, or the lines that `ctwarden check` prints.
fn parse(text: impl AsRef<[u8]>) -> Result<Config, Vec<String>> {
    let mut lines = Vec::new();
    let result = Config::parse(text.as_ref(), "ctwarden", &mut |fault| lines.push(fault.to_string()));
    match &result {
        Ok(_) => assert_eq!(lines, Vec::<String>::new(), "a config in spite of faults"),
        Err(Faulty(count)) => assert_eq!(*count as usize, lines.len(), "a fault was swallowed"),
    }
    result.map_err(|_| lines)
}

fn main_section(options: &str) -> Result<Config, Vec<String>> {
    parse(format!("config ctwarden 'main'\n{options}\n"))
}

#[test]
fn the_shipped_file_says_the_defaults() {
    assert_eq!(parse(SHIPPED), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()), "and so does nothing");
}

/// What stands in the shipped file as an example must work when its `#` is taken away, and no option may be missing there.
#[test]
fn the_shipped_file_shows_every_option() {
    let (main, protect) = SHIPPED.split_at(SHIPPED.find("#config protect").unwrap());
    let uncommented = main.replace("#list", "list") + &protect.replace("\n#", "\n")[1..];
    let config = parse(&uncommented).unwrap();
    assert_eq!(config.ladder, [Grow, Trim, Shed, Flush, Open]);
    let phone = &config.protect[0];
    assert_eq!(phone.name, "Phone in the hall");
    assert_eq!((phone.protocol, phone.port), (Some(17), Some(5060)));
    assert_eq!(phone.mark, Some(Mark { value: 0x10, mask: 0xff }));

    for section in ["ctwarden 'main'", "sizing 'sizing'", "protect"] {
        let faults = parse(format!("config {section}\noption no_such 1\n")).unwrap_err();
        let known = faults[0].split_once("there are ").unwrap().1;
        for option in known.split(", ") {
            let shown =
                uncommented.contains(&format!("option {option} ")) || uncommented.contains(&format!("list {option} "));
            assert!(shown, "{option}");
        }
    }
}

/// Every kind of fault, each as the one line it is for people. After a change that is meant: `UPDATE=1 cargo test`.
#[test]
fn faults_are_named() {
    let text = std::fs::read("tests/uci/faulty").unwrap();
    let said = parse(text).unwrap_err().join("\n") + "\n";
    expected::same("uci/faulty.expected", &said);
}

#[test]
fn what_contradicts() {
    let said = |text: &str| parse(text).unwrap_err();
    assert_eq!(
        said("config ctwarden main\noption low 90\noption high 80\n"),
        ["ctwarden:3: main.low '90': below high, which is 80"],
        "on the line that was written last"
    );
    assert_eq!(said("config ctwarden main\noption high 60\n"), ["ctwarden:2: main.low '60': below high, which is 60"]);
    assert_eq!(
        said("config ctwarden main\noption high 850\noption low 86\n"),
        ["ctwarden:2: main.high '850': a percentage from 10 to 99"],
        "nothing is said of the pair while one of it is wrong"
    );
    assert_eq!(
        said("config sizing sizing\noption floor 9000\noption ceiling 8000\noption max 100000\noption buckets 12499"),
        [
            "ctwarden:3: sizing.floor '9000': at most ceiling, which is 8000",
            "ctwarden:4: sizing.max '100000': at most ceiling, which is 8000",
            "ctwarden:5: sizing.buckets '12499': from 1/8 of max to max, which is 100000",
        ]
    );
    let floor = Config::default().sizing.floor.0;
    assert_eq!(
        said(&format!("config sizing sizing\noption max {}", floor - 1)),
        [format!("ctwarden:2: sizing.max '{}': at least floor, which is {floor}", floor - 1)]
    );
    assert!(parse(format!("config sizing sizing\noption max {floor}\noption buckets {}", floor / 8)).is_ok());
    assert!(parse("config sizing sizing\noption buckets 512").is_ok(), "with max auto there is nothing to compare");
}

#[test]
fn values_as_owners_write_them() {
    let config = main_section(
        "option enabled off\noption dry_run yes\noption high 90%\noption low ' 50 '\noption hold 500ms\n\
         option flushes_per_hour 0\noption flush_gain 2m\n\
         config sizing sizing\noption max 65536\noption ram_percent 20\noption reserve 512K\noption floor 128\n\
         option ceiling 100000\noption buckets 16384\noption enforce true",
    )
    .unwrap();
    assert_eq!((config.enabled, config.dry_run), (false, true));
    assert_eq!((config.high, config.low), (Permille(900), Permille(500)));
    assert_eq!((config.hold, config.flushes_per_hour, config.flush_gain), (Millis(500), 0, Millis(120_000)));
    let sizing = config.sizing;
    assert_eq!((sizing.max, sizing.buckets), (Some(Entries(65536)), Some(Entries(16384))));
    assert_eq!((sizing.ram_percent, sizing.reserve, sizing.enforce), (Permille(200), Kib(512), true));
    assert_eq!((sizing.floor, sizing.ceiling), (Entries(128), Entries(100_000)));
}

/// What counts is what `uci show` would show.
#[test]
fn the_last_word_counts() {
    assert_eq!(main_section("option hold 1\noption hold 2").unwrap().hold, Millis(2000));
    assert_eq!(main_section("option hold 1\noption hold ''\noption hold").unwrap().hold, Millis(1000));
    let twice = "config ctwarden main\noption hold 1\noption low 50\nconfig sizing sizing\nconfig ctwarden main\noption hold 2\n";
    let config = parse(twice).unwrap();
    assert_eq!((config.hold, config.low), (Millis(2000), Permille(500)));
}

#[test]
fn ladders() {
    let ladder = |options: &str| main_section(options).map(|config| config.ladder.to_vec());
    let none: [Rung; 0] = [];
    assert_eq!(ladder("option policy relief").unwrap(), [Grow, Trim, Shed]);
    assert_eq!(ladder("option policy flush").unwrap(), [Grow, Trim, Shed, Flush]);
    assert_eq!(ladder("option policy watch").unwrap(), none);
    assert_eq!(ladder("list ladder trim\noption policy watch").unwrap(), [Trim], "a ladder wins, wherever it stands");
    assert_eq!(ladder("option ladder 'trim  flush'").unwrap(), [Trim, Flush]);
    assert_eq!(ladder("option ladder trim\nlist ladder grow").unwrap(), [Trim, Grow], "a list goes on from an option");
    assert_eq!(ladder("list ladder trim\noption ladder grow").unwrap(), [Grow], "an option replaces a list");
    assert_eq!(ladder("list ladder ''").unwrap(), [Grow, Trim, Shed, Flush], "nothing is not a ladder");
    assert_eq!(ladder("option policy accept").unwrap(), [Grow, Trim, Shed, Flush, Open]);
    assert!(ladder("list ladder trim\nlist ladder trim").is_err());
}

fn entry(source: &str, destination: &str, protocol: u8, port: u16, mark: u32) -> Entry<'static> {
    let [source, destination]: [IpAddr; 2] = [source, destination].map(|a| a.parse().unwrap());
    Entry {
        source,
        destination,
        protocol,
        source_port: 40_000,
        destination_port: port,
        zone: 0,
        id: 0,
        status: 0,
        left: Some(30),
        tcp: None,
        mark,
        tuple: &[],
        family: if source.is_ipv4() { 2 } else { 10 },
        has_zone: false,
    }
}

#[test]
fn protected_entries() {
    let config = parse(
        "config protect 'phone'\noption source 192.168.1.20\noption proto udp\noption port 5060\n\
         config protect\noption name Work\noption destination 2001:db8::/32\n\
         config protect\noption mark 0x10/0xf0\n",
    )
    .unwrap();
    assert_eq!([0, 1, 2].map(|n| config.protect[n].name.as_str()), ["phone", "Work", ""]);
    assert_eq!(config.protect[0].source, Network::parse("192.168.1.20/32"));
    let covered =
        |source, destination, protocol, port, mark| config.protected(&entry(source, destination, protocol, port, mark));
    assert!(covered("192.168.1.20", "203.0.113.5", protocol::UDP, 5060, 0));
    assert!(!covered("192.168.1.21", "203.0.113.5", protocol::UDP, 5060, 0), "another host");
    assert!(!covered("192.168.1.20", "203.0.113.5", protocol::TCP, 5060, 0), "another protocol");
    assert!(!covered("192.168.1.20", "203.0.113.5", protocol::UDP, 5061, 0), "another port");
    assert!(!covered("203.0.113.5", "192.168.1.20", protocol::UDP, 5060, 0), "opened from the other side");
    assert!(covered("fd00::1", "2001:db8:ffff::1", protocol::TCP, 443, 0));
    assert!(!covered("2001:db8:ffff::1", "fd00::1", protocol::TCP, 443, 0));
    assert!(
        covered("192.168.1.99", "203.0.113.5", protocol::TCP, 443, 0xab10),
        "the bits outside the mask do not count"
    );
    assert!(!covered("192.168.1.99", "203.0.113.5", protocol::TCP, 443, 0x30));
    assert!(!Config::default().protected(&entry("10.0.0.1", "10.0.0.2", protocol::TCP, 80, 0)));
}

#[test]
fn halves_of_a_protect_section_are_one() {
    let text = "config protect a\noption port 1\nconfig protect b\noption port 2\nconfig protect a\noption proto tcp\n";
    let config = parse(text).unwrap();
    assert_eq!(config.protect.len(), 2);
    assert_eq!((config.protect[0].port, config.protect[0].protocol), (Some(1), Some(protocol::TCP)));
    assert_eq!((config.protect[1].port, config.protect[1].protocol), (Some(2), None));
    // Sections without a name are never the same.
    let twice = "config protect\noption port 1\n".repeat(2);
    assert_eq!(parse(twice).unwrap().protect.len(), 2);
}

#[test]
fn as_many_protect_sections_as_there_is_room_for() {
    let section = "config protect\noption port 1\n";
    assert_eq!(parse(section.repeat(PROTECTS)).unwrap().protect.len(), PROTECTS);
    assert_eq!(
        parse(section.repeat(PROTECTS + 2)).unwrap_err(),
        [
            "ctwarden:33: protect '': there can be up to 16 protect sections",
            "ctwarden:35: protect '': there can be up to 16 protect sections"
        ]
    );
    let longest = "x".repeat(NAME);
    assert!(parse(format!("config protect {longest}\noption port 1\noption name '{longest}'")).is_ok());
}

/// Text from words of the config, so that a good part of it means something.
fn config_text() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: [&str; 40] = [
        "config ctwarden 'main'\n",
        "config sizing 'sizing'\n",
        "config protect 'a'\n",
        "config protect\n",
        "config ",
        "\toption ",
        "\tlist ",
        "enabled",
        "policy",
        "ladder",
        "high",
        "low",
        "hold",
        "max",
        "floor",
        "ceiling",
        "buckets",
        "name",
        "source",
        "port",
        "mark",
        " '85'\n",
        " 'auto'\n",
        " '4096'\n",
        " 'grow'\n",
        " 'trim flush'\n",
        " 'open'\n",
        " 'accept'\n",
        " '1'\n",
        " 'off'\n",
        " '10.0.0.0/8'\n",
        " ''\n",
        " '",
        "'",
        "\"",
        "\\",
        ";",
        "#",
        "\n",
        " ",
    ];
    let piece = prop_oneof![
        9 => prop::sample::select(&WORDS[..]).prop_map(|w| w.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..5),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Whatever the bytes: no panic, no config in spite of a fault (`parse` checks it), each fault one printable line that
    /// names a line of the text, and what is taken holds together.
    #[test]
    fn any_bytes(text in config_text()) {
        let lines = text.split(|b| *b == b'\n').count();
        match parse(&text) {
            Ok(config) => {
                prop_assert!(config.low < config.high);
                prop_assert!(config.sizing.floor <= config.sizing.ceiling);
                prop_assert!(config.protect.iter().all(|p| p != &Default::default()));
            }
            Err(faults) => for fault in faults {
                let rest = fault.strip_prefix("ctwarden:").unwrap();
                let line: usize = rest[..rest.find(':').unwrap()].parse().unwrap();
                prop_assert!((1..=lines).contains(&line), "{}", fault);
                prop_assert!(!fault.chars().any(char::is_control), "{}", fault);
            },
        }
    }

    /// No byte of a wrong value is lost: the fault shows it whole.
    #[test]
    fn wrong_values_are_shown_whole(value in prop::collection::vec(1..=255u8, 1..100)) {
        let quoted: Vec<u8> = value.iter().flat_map(|b| if *b == b'\'' { b"'\\''".to_vec() } else { vec![*b] }).collect();
        let text = [b"config protect\noption source '", quoted.as_slice(), b"'\n"].concat();
        if let Err(faults) = parse(text) {
            let shown = value.escape_ascii();
            let expected = format!("ctwarden:2: @protect[0].source '{shown}': a network");
            prop_assert!(faults[0].starts_with(&expected), "{}", faults[0]);
        }
    }
}

/// Emergency rules: what is open by default is next to nothing, and `all` stands there only if somebody wrote it.
#[test]
fn windows() {
    let config = parse("").unwrap();
    assert_eq!((config.open_scope, config.backend, config.lifeline_dns), (Scope::Router, None, false));
    let config =
        main_section("option open_scope all\noption backend nft\nlist lan lan0\nlist lan 'lan1 lan2'").unwrap();
    assert_eq!((config.open_scope, config.backend), (Scope::All, Some(Backend::Nft)));
    assert_eq!(config.lan, ["lan0", "lan1", "lan2"], "in place of the default");
    assert_eq!(main_section("option ports '22 8443'").unwrap().ports, [22, 8443]);
    assert_eq!(main_section("list ports 22\noption ports 80").unwrap().ports, [80]);
    for wrong in
        ["list lan 'a/b'", "list lan 0123456789abcdef", "list ports 0", "option backend pf", "option open_scope wan"]
    {
        assert_eq!(main_section(wrong).unwrap_err().len(), 1, "{wrong}");
    }
    assert_eq!(main_section(&"list lan x\n".repeat(5)).unwrap_err().len(), 1, "there is room for four");
}
