//! TCP flags: which packets of a flow a rule is about.

use super::matches::{Hit, Mask, number};
use super::word::Words;

/// Flags of the packets that one flow consists of from beginning to end: SYN (with ECN too), ACK, PSH+ACK, FIN+ACK, FIN+PSH+ACK,
/// RST, RST+ACK. A bit each in a [`Hit`] of [`flags`]. Each is followed by itself: who lets in the SYN only has not let in the
/// flow, and rules for packets that no flow consists of (no flag set, SYN+FIN) are not about it.
const FLOW_FLAGS: [u8; 8] = [0x02, 0xc2, 0x10, 0x18, 0x11, 0x19, 0x04, 0x14];
/// How many kinds of packets that is.
pub(super) const PACKETS: u32 = FLOW_FLAGS.len() as u32;

/// In the order of their bits.
const NAMES: [&str; 10] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr", "all", "none"];

/// The packets of a flow that have these flags under this mask.
pub(super) fn flags(mask: u8, value: u8) -> Hit {
    Hit::exact(FLOW_FLAGS.iter().rev().fold(0, |bits, flags| bits << 1 | (flags & mask == value) as Mask))
}

/// `syn`, `FIN,SYN`, `0x2,0x10`, `NONE`, `(fin | syn)`; `None`: not understood.
pub(super) fn flag_term(words: &mut Words<'_>) -> Option<u8> {
    let mut bits = 0;
    loop {
        let word = words.text();
        for word in word.split(|b| b",()".contains(b)).filter(|w| !w.is_empty()) {
            bits |= match number(word) {
                Some(n) => n as u8,
                None => match NAMES.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()))? {
                    8 => 0x3f,
                    9 => 0,
                    bit => 1 << bit,
                },
            };
        }
        if !words.eat("|") {
            // An empty one is none.
            return (!word.is_empty()).then_some(bits);
        }
    }
}

/// What of the flags comes behind `tcp flags`:
///
/// ```text
/// syn / fin,syn,rst,ack              syn set, the other three not
/// & (fin | syn | rst | ack) == syn   the same, as printed since 1.0.8
/// fin,syn                            one of them set
/// ! syn                              not set
/// == 0x0                             exactly these
/// ```
pub(super) fn flag_match(words: &mut Words<'_>) -> Option<Hit> {
    let mut mask = if words.eat("&") { Some(flag_term(words)?) } else { None };
    let (unequal, equal, unset) = (words.eat("!="), words.eat("=="), words.eat("!"));
    let mut value = flag_term(words)?;
    let mut inverted = unequal;
    if words.eat("/") {
        mask = Some(flag_term(words)?);
    } else if mask.is_none() {
        if equal || unequal {
            mask = Some(0xff);
        } else {
            (mask, value, inverted) = (Some(value), 0, !unset);
        }
    }
    Some(flags(mask?, value).not(inverted))
}
