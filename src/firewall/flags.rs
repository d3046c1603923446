//! TCP flags: which packets of a flow a rule is about.

use super::matches::{Hit, Mask, number};
use super::word::Words;

/// Flags of the packets that one flow consists of from beginning to end: SYN (with ECN too), ACK, PSH+ACK, FIN+ACK, FIN+PSH+ACK,
/// RST, RST+ACK. A bit each in a [`Hit`] of [`flags`]. Each is followed by itself: who lets in the SYN only has not let in the
/// flow, and rules for packets that no flow consists of (no flag set, SYN+FIN) are not about it.
const FLOW_FLAGS: [u8; 8] = [0x02, 0xc2, 0x10, 0x18, 0x11, 0x19, 0x04, 0x14];
/// How many kinds of packets that is.
pub(super) const PACKETS: u32 = FLOW_FLAGS.len() as u32;

const FLAG_NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

/// The packets of a flow that have these flags under this mask.
pub(super) fn flags(mask: u8, value: u8) -> Hit {
    Hit::exact(FLOW_FLAGS.iter().rev().fold(0, |bits, flags| bits << 1 | (flags & mask == value) as Mask))
}

/// `syn`, `FIN,SYN`, `0x2,0x10`, `NONE`; `None`: not understood.
pub(super) fn flag_bits(word: &[u8]) -> Option<u8> {
    word.split(|b| *b == b',').try_fold(0, |bits, word| {
        let one = match number(word) {
            Some(n) => u8::try_from(n).ok()?,
            None if word == b"NONE" => 0,
            None if word == b"ALL" => 0x3f,
            None => 1 << FLAG_NAMES.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()))?,
        };
        Some(bits | one)
    })
}

/// What of the flags comes behind `tcp flags`:
///
/// ```text
/// syn / fin,syn,rst,ack           syn set, the other three not
/// & (fin | syn | rst | ack) == syn                the same, as printed since 1.0.8
/// fin,syn                         one of them set
/// ! syn                           not set
/// == 0x0                          exactly these
/// ```
pub(super) fn flag_match(words: &mut Words<'_>) -> Option<Hit> {
    if words.eat("&") {
        let mask = flag_term(words)?;
        let inverted = words.eat("!=");
        if !inverted && !words.eat("==") {
            return None;
        }
        let hit = flags(mask, flag_term(words)?);
        return Some(if inverted { hit.not() } else { hit });
    }
    let (unequal, equal, unset) = (words.eat("!="), words.eat("=="), words.eat("!"));
    let value = flag_term(words)?;
    let hit = if words.eat("/") {
        flags(flag_term(words)?, value)
    } else if equal || unequal {
        flags(0xff, value)
    } else {
        let none = flags(value, 0);
        if unset { none } else { none.not() }
    };
    Some(if unequal { hit.not() } else { hit })
}

/// `fin,syn`, `(fin | syn)`, `0x1 | 0x2`
fn flag_term(words: &mut Words<'_>) -> Option<u8> {
    let mut bits = 0;
    loop {
        let word = words.text();
        let word = word.strip_prefix(b"(").unwrap_or(word);
        bits |= flag_bits(word.strip_suffix(b")").unwrap_or(word))?;
        if !words.eat("|") {
            return Some(bits);
        }
    }
}
