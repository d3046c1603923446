//! One record of `/dev/kmsg`: is it the kernel saying that the table is full?
//!
//! A record is `priority,sequence,µs,flags[,…];text\n`, then lines that start with a blank and name the device it is about.
//! One `read` gives one record. The kernel's own longest is [`RECORD_MAX`]; a smaller buffer gets EINVAL for a longer record,
//! which is then gone, and the next `read` gives the next record (seen on 6.18). None of ours is longer than [`OUR_LONGEST`], so a
//! reader with at least that much may take EINVAL for "somebody else's long line". A reader that fell behind gets EPIPE and
//! goes on with the oldest record kept: [`super::logwindow::LogWindow`] sees the gap in the sequence.
//!
//! The log is untrusted: any program that may write `/dev/kmsg` can write our text. Such records have facility 1 or above whatever prefix they
//! fake; what the kernel says has facility 0. So facility 0, a whole line (no fragment of one), and the text from its first byte on.

use super::text::{decimal, decimal32};
use crate::text::after;

/// The longest record the kernel gives (`PRINTK_MESSAGE_MAX`, since 6.3; `CONSOLE_EXT_LOG_MAX` before that was 8192).
pub const RECORD_MAX: usize = 2048;
/// No record that matters here is longer: two 20-digit numbers, a caller, a doubled prefix and a namespace are 152 bytes.
pub const OUR_LONGEST: usize = 192;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it: 0 is the kernel, 1 and above a program.
    pub facility: u32,
    /// 0 emergency … 7 debug.
    pub level: u8,
    /// One more with every record since boot.
    pub sequence: u64,
    /// Microseconds since boot, by the kernel's `local_clock` (stands still in suspend).
    pub micros: u64,
    /// What it says.
    pub line: Line,
}

/// What a record says. Only records of facility 0 are ever anything but `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A packet was refused, because the table was full.
    TableFull {
        /// The inode of the network namespace, where the kernel says it. Linux 6.18 does for all but the initial one; older kernels never do.
        netns: Option<u32>,
        /// Said by `ip_conntrack`, not `nf_conntrack`.
        legacy: bool,
    },
    /// The table of *expectations* (FTP, SIP) is full: another table with another limit. Nothing of ours was refused.
    ExpectationFull,
    /// So many lines of the limit that all network warnings share were held back.
    Suppressed(u32),
    /// Nothing of ours.
    Other,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No `;` between header and text.
    NoText,
    /// The first field is not a number.
    Priority,
    /// The second field is not a number.
    Sequence,
    /// The third field is not a number.
    Time,
    /// The fourth field is missing or empty.
    Flags,
}

impl Record {
    /// Reads one record as `read(2)` gave it, with or without its line end. What follows the first line is not looked at.
    pub fn parse(record: &[u8]) -> Result<Record, Malformed> {
        let split = record.iter().position(|b| *b == b';').ok_or(Malformed::NoText)?;
        let (header, text) = record.split_at(split);
        let text = text.get(1..).unwrap_or_default();
        let text = text.split(|b| *b == b'\n').next().unwrap_or_default();
        let mut header = header.split(|b| *b == b',');
        let priority = header.next().and_then(decimal32).ok_or(Malformed::Priority)?;
        let sequence = header.next().and_then(decimal).ok_or(Malformed::Sequence)?;
        let micros = header.next().and_then(decimal).ok_or(Malformed::Time)?;
        let flags = header.next().filter(|f| !f.is_empty()).ok_or(Malformed::Flags)?;
        let facility = priority >> 3;
        // `c` and `+` are pieces of a line put together from several: their text starts anywhere. Ours are printed whole.
        let line = if facility == 0 && flags == b"-" { line_of(text) } else { Line::Other };
        Ok(Record { facility, level: (priority & 7) as u8, sequence, micros, line })
    }
}

/// What the text of a whole kernel line says.
fn line_of(text: &[u8]) -> Line {
    if let Some(n) = suppressed(text) {
        return Line::Suppressed(n);
    }
    let (legacy, rest) = match (after(text, "nf_conntrack: "), after(text, "ip_conntrack: ")) {
        // Doubled where the module's own pr_fmt came on top of the text (since 3.x).
        (Some(rest), _) => (false, after(rest, "nf_conntrack: ").unwrap_or(rest)),
        (_, Some(rest)) => (true, after(rest, "ip_conntrack: ").unwrap_or(rest)),
        _ => return Line::Other,
    };
    if let Some(end) = after(rest, "expectation table full") {
        return if is_end(end) { Line::ExpectationFull } else { Line::Other };
    }
    let Some(rest) = after(rest, "table full") else { return Line::Other };
    let (netns, rest) = match after(rest, " in netns ") {
        None => (None, rest),
        Some(rest) => {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let (number, rest) = rest.split_at(digits);
            match decimal32(number) {
                Some(n) => (Some(n), rest),
                None => return Line::Other,
            }
        }
    };
    match after(rest, ", dropping packet") {
        Some(end) if is_end(end) => Line::TableFull { netns, legacy },
        _ => Line::Other,
    }
}

/// `net_ratelimit: 384 callbacks suppressed` and its older forms.
fn suppressed(text: &[u8]) -> Option<u32> {
    let (rest, what) = if let Some(rest) = after(text, "net_ratelimit: ") {
        (rest, &b" callbacks suppressed"[..])
    } else if let Some(rest) = after(text, "__ratelimit: ") {
        (rest, &b" callbacks suppressed"[..])
    } else {
        (after(text, "printk: ")?, &b" messages suppressed"[..])
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    let end = rest.strip_prefix(what)?;
    // A count beyond 32 bits cannot come from the kernel's int; if it does, it is at least that many.
    (is_end(end) && digits > 0).then(|| decimal32(number).unwrap_or(u32::MAX))
}

/// Kernels of several ages end the line with nothing, a full stop or a blank.
fn is_end(rest: &[u8]) -> bool {
    rest.iter().all(|b| matches!(b, b'.' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::format;

    fn line(text: &str) -> Line {
        Record::parse(format!("4,344,8082406351,-;{text}\n").as_bytes()).unwrap().line
    }

    const FULL: Line = Line::TableFull { netns: None, legacy: false };
    const OLD_FULL: Line = Line::TableFull { netns: None, legacy: true };

    #[test]
    fn every_text_of_a_full_table() {
        for (text, says) in [
            ("nf_conntrack: table full, dropping packet", FULL),
            ("nf_conntrack: table full, dropping packet.", FULL),
            ("nf_conntrack: table full, dropping packet ", FULL),
            ("nf_conntrack: nf_conntrack: table full, dropping packet", FULL),
            ("ip_conntrack: table full, dropping packet", OLD_FULL),
            ("ip_conntrack: table full, dropping packet.", OLD_FULL),
            ("ip_conntrack: table full, dropping packet. ", OLD_FULL),
        ] {
            assert_eq!(line(text), says, "{text:?}");
        }
        let ours = Line::TableFull { netns: Some(4026532177), legacy: false };
        assert_eq!(line("nf_conntrack: nf_conntrack: table full in netns 4026532177, dropping packet"), ours);
        assert_eq!(line("nf_conntrack: table full in netns 4026532177, dropping packet"), ours);
    }

    #[test]
    fn another_table_and_the_rate_limit() {
        assert_eq!(line("nf_conntrack: expectation table full"), Line::ExpectationFull);
        assert_eq!(line("nf_conntrack: nf_conntrack: expectation table full"), Line::ExpectationFull);
        assert_eq!(line("net_ratelimit: 384 callbacks suppressed"), Line::Suppressed(384));
        assert_eq!(line("__ratelimit: 12 callbacks suppressed"), Line::Suppressed(12));
        assert_eq!(line("printk: 7 messages suppressed."), Line::Suppressed(7));
        assert_eq!(line("net_ratelimit: 99999999999999999999999 callbacks suppressed"), Line::Suppressed(u32::MAX));
    }

    #[test]
    fn the_text_is_anchored_at_both_ends() {
        for text in [
            "",
            "x nf_conntrack: table full, dropping packet",
            "usb 1-1: Product: nf_conntrack: table full, dropping packet",
            "nf_conntrack: table full, dropping packets",
            "nf_conntrack: table full",
            "nf_conntrack: table full in netns , dropping packet",
            "nf_conntrack: table full in netns 99999999999, dropping packet",
            "nf_conntrack: nf_conntrack: nf_conntrack: table full, dropping packet",
            "nf_conntrack: expectation table full of it",
            "audit: 3 callbacks suppressed",
            "net_ratelimit:  callbacks suppressed",
            "net_ratelimit: -1 callbacks suppressed",
        ] {
            assert_eq!(line(text), Line::Other, "{text:?}");
        }
    }

    /// Measured: `<4>` and `<0>` written into /dev/kmsg come out with facility 1.
    #[test]
    fn what_a_program_wrote_is_nobodys_evidence() {
        let faked = Record::parse(b"12,9,5,-;nf_conntrack: table full, dropping packet\n").unwrap();
        assert_eq!((faked.facility, faked.level, faked.line), (1, 4, Line::Other));
        for flags in ["c", "+"] {
            let piece = format!("4,9,5,{flags};nf_conntrack: table full, dropping packet\n");
            assert_eq!(Record::parse(piece.as_bytes()).unwrap().line, Line::Other, "flags {flags}");
        }
    }

    #[test]
    fn header_with_a_caller_and_text_with_a_device() {
        let record = b"4,18446744073709551615,7,-,caller=T4294967295;nf_conntrack: table full, dropping packet\n SUBSYSTEM=net\n DEVICE=n2\n";
        let r = Record::parse(record).unwrap();
        assert_eq!((r.sequence, r.micros, r.line), (u64::MAX, 7, FULL));
        assert!(record.len() < OUR_LONGEST);
    }

    #[test]
    fn what_is_wrong_with_a_record() {
        for (record, fault) in [
            ("", Malformed::NoText),
            ("--", Malformed::NoText),
            ("4,1,2,-", Malformed::NoText),
            (";text", Malformed::Priority),
            ("x,1,2,-;text", Malformed::Priority),
            ("4;text", Malformed::Sequence),
            ("4,-1,2,-;text", Malformed::Sequence),
            ("4,1,;text", Malformed::Time),
            ("4,1,2;text", Malformed::Flags),
            ("4,1,2,;text", Malformed::Flags),
        ] {
            assert_eq!(Record::parse(record.as_bytes()), Err(fault), "{record:?}");
        }
    }
}
