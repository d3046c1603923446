//! Values of options: what is allowed, in one place for reading and for saying so.

use super::Mark;
use crate::entry::protocol;
use crate::observe::text::{decimal32, hex32};
use crate::text::cut;
use core::fmt;
use core::ops::RangeInclusive;

/// What a number counts.
pub(super) struct Unit {
    /// As in "`name` from 1 to 9".
    name: &'static str,
    /// A number without a suffix is so many of what is stored.
    plain: u32,
    /// Suffixes and how many of what is stored they are.
    suffixes: &'static [(&'static str, u32)],
    /// An example with a suffix.
    also: &'static str,
}

/// Stored as it is.
pub(super) static COUNT: Unit = Unit { name: "a number", plain: 1, suffixes: &[], also: "" };
/// Stored in permille.
pub(super) static PERCENT: Unit = Unit { name: "a percentage", plain: 10, suffixes: &[("%", 10)], also: "" };
/// Stored in milliseconds.
pub(super) static SECONDS: Unit = Unit {
    name: "seconds",
    plain: 1000,
    suffixes: &[("ms", 1), ("s", 1000), ("m", 60_000)],
    also: " (or as 500ms, 2m)",
};
/// Stored in KiB.
pub(super) static MEGABYTES: Unit = Unit {
    name: "megabytes",
    plain: 1024,
    suffixes: &[("k", 1), ("K", 1), ("KB", 1), ("M", 1024), ("MB", 1024)],
    also: " (or as 8192K)",
};

/// What a value that ends up as a number may be.
pub(super) enum Form {
    /// Stored as 1 or 0.
    Switch,
    /// In the unit, as it is written without a suffix.
    Number(&'static Unit, RangeInclusive<u32>),
    /// The same, or `auto`, stored as 0.
    AutoOr(RangeInclusive<u32>),
}

impl Form {
    /// The value as it is stored; `None` if it is not allowed.
    pub(super) fn read(&self, text: &str) -> Option<u32> {
        let (unit, range) = match self {
            // Spellings seen in the wild.
            Form::Switch => {
                return match text {
                    "1" | "on" | "true" | "yes" | "enabled" => Some(1),
                    "0" | "off" | "false" | "no" | "disabled" => Some(0),
                    _ => None,
                };
            }
            Form::AutoOr(_) if text == "auto" => return Some(0),
            Form::AutoOr(range) => (&COUNT, range),
            Form::Number(unit, range) => (*unit, range),
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at_checked(digits)?;
        let suffix = suffix.trim_ascii_start();
        let worth = match suffix {
            "" => unit.plain,
            _ => unit.suffixes.iter().find(|(s, _)| *s == suffix)?.1,
        };
        let value = decimal32(number.as_bytes())?.checked_mul(worth)?;
        let inside =
            value >= range.start().saturating_mul(unit.plain) && value <= range.end().saturating_mul(unit.plain);
        inside.then_some(value)
    }
}

impl fmt::Display for Form {
    /// What is allowed: `a percentage from 10 to 99`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, range) = match self {
            Form::Switch => return f.write_str("1 or 0 (on/off, true/false, yes/no, enabled/disabled)"),
            Form::AutoOr(range) => {
                f.write_str("auto or ")?;
                (&COUNT, range)
            }
            Form::Number(unit, range) => (*unit, range),
        };
        write!(f, "{} from {} to {}{}", unit.name, range.start(), range.end(), unit.also)
    }
}

/// Protocols by the names that `/etc/protocols` and the firewall config give them. Those without ports are here for tunnels,
/// which nobody wants to lose.
const PROTOCOLS: [(&str, u8); 7] = [
    ("icmp", protocol::ICMP),
    ("tcp", protocol::TCP),
    ("udp", protocol::UDP),
    ("gre", 47),
    ("esp", 50),
    ("icmpv6", protocol::ICMPV6),
    ("sctp", 132),
];

/// For people: what [`protocol`] reads.
pub(super) const PROTOCOL_ALLOWED: &str = "tcp, udp, icmp, icmpv6, gre, esp, sctp or a number from 0 to 255";

/// A protocol by name or number.
pub(super) fn protocol(text: &str) -> Option<u8> {
    match PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some((_, number)) => Some(*number),
        None => Form::Number(&COUNT, 0..=255).read(text).and_then(|n| n.try_into().ok()),
    }
}

/// A mark as iptables and nft write them: `0x10/0xff`, or without a mask, then all bits count.
pub(super) fn mark(text: &str) -> Option<Mark> {
    let (value, mask) = match cut(text, b'/') {
        Some((value, mask)) => (bits(value)?, bits(mask)?),
        None => (bits(text)?, u32::MAX),
    };
    // A bit that is asked for but not looked at never matches.
    (mask != 0 && value & !mask == 0).then_some(Mark { value, mask })
}

/// 32 bits, decimal or with 0x.
fn bits(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => hex32(digits.as_bytes()),
        None => decimal32(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn switches() {
        for (yes, no) in [("1", "0"), ("on", "off"), ("true", "false"), ("yes", "no"), ("enabled", "disabled")] {
            assert_eq!(Form::Switch.read(yes), Some(1));
            assert_eq!(Form::Switch.read(no), Some(0));
        }
        assert_eq!(Form::Switch.read("2"), None);
        assert_eq!(Form::Switch.read(""), None);
    }

    #[test]
    fn numbers_with_units() {
        let hold = Form::Number(&SECONDS, 0..=600);
        assert_eq!(hold.read("10"), Some(10_000));
        assert_eq!(hold.read("500ms"), Some(500));
        assert_eq!(hold.read("2 m"), Some(120_000));
        assert_eq!(hold.read("600s"), Some(600_000));
        for wrong in ["601", "600001ms", "-1", "+1", "1.5", "ms", "", "10 sec", "99999999999", "4294967295m", "١"] {
            assert_eq!(hold.read(wrong), None, "{wrong}");
        }
        assert_eq!(hold.to_string(), "seconds from 0 to 600 (or as 500ms, 2m)");
        let high = Form::Number(&PERCENT, 10..=99);
        assert_eq!(
            [high.read("85"), high.read("85%"), high.read("850"), high.read("9")],
            [Some(850), Some(850), None, None]
        );
        assert_eq!(high.to_string(), "a percentage from 10 to 99");
        let reserve = Form::Number(&MEGABYTES, 0..=4096);
        assert_eq!([reserve.read("8"), reserve.read("8M"), reserve.read("512K")], [Some(8192), Some(8192), Some(512)]);
    }

    #[test]
    fn automatic_or_a_number() {
        let max = Form::AutoOr(128..=1000);
        assert_eq!(
            [max.read("auto"), max.read("128"), max.read("0"), max.read("Auto")],
            [Some(0), Some(128), None, None]
        );
        assert_eq!(max.to_string(), "auto or a number from 128 to 1000");
    }

    #[test]
    fn protocols_and_marks() {
        assert_eq!(
            [protocol("tcp"), protocol("UDP"), protocol("47"), protocol("0")],
            [Some(6), Some(17), Some(47), Some(0)]
        );
        assert_eq!([protocol("256"), protocol("any"), protocol("")], [None; 3]);
        for (name, _) in PROTOCOLS {
            assert!(PROTOCOL_ALLOWED.contains(name));
        }
        assert_eq!(mark("0x10/0xff"), Some(Mark { value: 0x10, mask: 0xff }));
        assert_eq!(mark("16"), Some(Mark { value: 16, mask: u32::MAX }));
        for wrong in ["", "0x", "0x100/0xff", "0/0", "1/", "/1", "+1", "0x+1", "-1", "0x1ffffffff", "1/2/3"] {
            assert_eq!(mark(wrong), None, "{wrong}");
        }
    }
}
