//! The two readers side by side.

use crate::model::{Refused, ours};
use crate::{real, texts};
use ctwarden::config::uci::{Flaw, Reader, WORD, What};
use proptest::prelude::*;

/// Faults of ours that are none of the real reader's; each has its reason in `config/uci.rs`.
const STRICTER: [Flaw; 3] = [Flaw::TooLong, Flaw::ZeroByte, Flaw::Dropped];

/// Holds the two readers against each other. What ours refuses out of strictness alone the real one must take.
#[track_caller]
fn agree(text: &[u8]) -> bool {
    let (ours, opened) = ours(text);
    let theirs = real::read(text);
    let shown = text.escape_ascii();
    match (&ours, &theirs) {
        (Ok(mine), Ok(real)) => assert_eq!(mine, real, "{shown}"),
        (Err(_), Err(_)) => {}
        (Ok(_), Err(_)) => assert!(opened > 2, "only the real one refuses: {shown}"),
        (Err(why), Ok(real)) => {
            // Behind a quote over lines we say that it was left open, though it is the length that we mind.
            let long = real.longest_word() > WORD;
            let ours = |flaw: &Flaw| STRICTER.contains(flaw) || (*flaw == Flaw::OpenQuote && long);
            let stricter = matches!(why, Refused::Flaws(flaws) if flaws.iter().all(ours));
            assert!(stricter, "only ours refuses: {shown}: {why:?}");
        }
    }
    ours.is_ok()
}

#[test]
fn texts_that_both_take() {
    for text in texts::TAKEN {
        assert!(agree(text.as_bytes()), "{text}");
    }
}

#[test]
fn texts_that_both_refuse() {
    for text in texts::REFUSED {
        assert!(real::read(text.as_bytes()).is_err(), "{text}");
        assert!(!agree(text.as_bytes()), "{text}");
    }
}

#[test]
fn what_only_we_refuse() {
    for (text, flaw) in texts::STRICTER {
        assert_eq!(ours(text.as_bytes()).0, Err(Refused::Flaws(vec![*flaw])), "{text}");
        assert!(real::read(text.as_bytes()).is_ok(), "{text}");
    }
    let long = "x".repeat(WORD + 1);
    for text in [format!("config {long}"), format!("config a {long}"), format!("config a\noption {long} 1")] {
        assert_eq!(ours(text.as_bytes()).0, Err(Refused::Flaws(vec![Flaw::TooLong])));
        assert!(real::read(text.as_bytes()).is_ok());
        assert!(agree(text.replace(&long, &long[1..]).as_bytes()));
    }
    // The real one joins the lines around a zero byte.
    assert_eq!(ours(b"config a\noption b c\0\n").0, Err(Refused::Flaws(vec![Flaw::ZeroByte])));
}

#[test]
fn a_section_opened_three_times_goes_on() {
    let thrice = b"config a b\noption x 1\nconfig a b\noption y 2\nconfig a b\noption z 3\n";
    assert_eq!(ours(thrice).0.unwrap().sections[0].options.len(), 3);
    assert!(real::read(thrice).is_err());
}

/// Every text of up to five bytes from those that mean something, in the places where a word can stand.
#[test]
fn every_short_text() {
    const BYTES: &[u8] = b" \n'\"\\;#a\r";
    for before in ["", "config a b\noption c ", "config ", "config a b\noption c x", "config a\nlist c 'x"] {
        let mut taken = 0;
        for length in 0..=5 {
            for number in 0..BYTES.len().pow(length) {
                let mut text = before.as_bytes().to_vec();
                text.extend((0..length).map(|place| BYTES[number / BYTES.len().pow(place) % BYTES.len()]));
                taken += usize::from(agree(&text));
            }
        }
        assert!(taken > 1000, "{before}: only {taken} were taken, so this compares little");
    }
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(&texts::TOKENS[..]).prop_map(|t| t.as_bytes().to_vec()),
        1 => prop::collection::vec(1..=255u8, 1..4),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

/// Lines as a person writes them, some with a byte changed. About half of these texts are taken.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let one_of = |words: &'static [&'static str]| prop::sample::select(words);
    let section = (one_of(texts::CONFIG), one_of(texts::KINDS), one_of(texts::NAMES));
    let option = (one_of(texts::OPTION), one_of(texts::NAMES), one_of(texts::VALUES));
    let line = prop_oneof![1 => section, 3 => option];
    let line =
        (line, one_of(texts::ENDS)).prop_map(|((verb, first, second), end)| format!("{verb} {first} {second}{end}"));
    let slip = (any::<prop::sample::Index>(), prop::sample::select(&b" \t\r\n'\"\\;#a_-\x0b\xff"[..]));
    (prop::collection::vec(line, 0..12), prop::option::weighted(0.3, slip)).prop_map(|(lines, slip)| {
        let mut text = format!("config start\n{}", lines.concat()).into_bytes();
        if let Some((place, byte)) = slip {
            let place = place.index(text.len());
            text[place] = byte;
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn any_soup(text in soup()) {
        agree(&text);
    }

    #[test]
    fn any_lines(text in lines()) {
        agree(&text);
    }

    /// Any bytes at all: no panic, nothing said about a line that is not there, and every byte consumed in order: each
    /// command goes on behind the one before, to the end.
    #[test]
    fn no_byte_is_lost(text in prop_oneof![soup(), prop::collection::vec(any::<u8>(), 0..400)]) {
        let lines = text.split(|b| *b == b'\n').count() as u32;
        let mut reader = Reader::new(&text);
        let (mut at, mut line) = (0, 0);
        while let Some(item) = reader.next_item() {
            prop_assert!((1..=lines).contains(&item.line) && item.line >= line);
            line = item.line;
            prop_assert!(reader.position() > at);
            at = reader.position();
        }
        prop_assert_eq!(reader.position(), text.len());
    }

    /// What a person can quote comes back whole.
    #[test]
    fn quoted_values_come_back(value in prop::collection::vec(1..=255u8, 1..=WORD)) {
        let quoted = value.iter().fold(String::new().into_bytes(), |mut text, b| {
            text.extend(if *b == b'\'' { b"'\\''".to_vec() } else { vec![*b] });
            text
        });
        let text = [b"config a\noption b '", quoted.as_slice(), b"'\n"].concat();
        let mut reader = Reader::new(&text);
        reader.next_item();
        prop_assert_eq!(reader.next_item().map(|i| i.what == What::Option { name: b"b", value: &value }), Some(true));
        prop_assert!(reader.next_item().is_none());
        agree(&text);
    }
}
