//! count, max, buckets, and the kernel's own counters of what it refused.

use super::text::{decimal32, fields, hex32, lines};
use crate::text::find;
use crate::units::Entries;

/// Why a number file (`nf_conntrack_count`, `_max`, `_buckets`, a timeout) says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFault {
    /// Nothing in it.
    Empty,
    /// Below zero. A count below zero is the kernel's bookkeeping gone wrong (underflow), not an empty table.
    Negative,
    /// Not a number, or one beyond 32 bits.
    NotANumber,
}

/// The one number in a sysctl file.
pub fn number(text: &[u8]) -> Result<u32, NumberFault> {
    let mut fields = fields(text);
    match (fields.next(), fields.next()) {
        (None, _) => Err(NumberFault::Empty),
        (Some(field), None) => match field.strip_prefix(b"-") {
            Some(digits) if decimal32(digits).is_some() => Err(NumberFault::Negative),
            _ => decimal32(field).ok_or(NumberFault::NotANumber),
        },
        _ => Err(NumberFault::NotANumber),
    }
}

/// The number of entries in a sysctl file. A max of 0 means no limit on kernels that accept it.
pub fn entries(text: &[u8]) -> Result<Entries, NumberFault> {
    number(text).map(Entries)
}

/// The columns that matter of `/proc/net/stat/nf_conntrack` (or `ip_conntrack`), each the sum over all CPUs.
///
/// The kernel counts in 32 bits a CPU, and each wraps. The sums here wrap likewise, so that [`Stats::since`] is exact all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPUs, that is rows.
    pub cpus: u16,
    /// Entries in the table: the same number in each row, not a counter.
    pub entries: Option<u32>,
    /// Packets refused because the table was full: the refusals. Kernels have it since 2.6.
    pub drop: Option<u32>,
    /// Entries the kernel evicted to make room.
    pub early_drop: Option<u32>,
    /// Packets whose new entry lost a race or found its hash chain too long: lost without a line in the log.
    pub insert_failed: Option<u32>,
    /// Of those, chains too long. Its column is headed `chainlength` (6.18) or `chaintoolong`; older kernels have none.
    pub chain_too_long: Option<u32>,
    /// Packets that found their entry; only counted by older kernels.
    pub found: Option<u32>,
    /// Packets that conntrack could not make sense of.
    pub invalid: Option<u32>,
    /// Look-ups begun anew, because a resize moved the table under them.
    pub search_restart: Option<u32>,
}

/// Why the counters cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatFault {
    /// The first line is not the header that begins with `entries`.
    NoHeader,
    /// More columns than [`MAX_COLUMNS`].
    TooManyColumns,
    /// A row has another number of fields than the header, or one that is no hexadecimal number: the text was cut, and a sum without it would be a lie.
    BadRow,
    /// A header and no row.
    NoRows,
}

/// No kernel has had more than 18.
pub const MAX_COLUMNS: usize = 32;

/// Reads the counters line by line, so that a machine with many CPUs needs no large buffer.
#[derive(Clone, Debug)]
pub struct StatText {
    // What each column is; `Column::Unknown` beyond the header's end.
    columns: [Column; MAX_COLUMNS],
    width: usize,
    sums: [u32; Column::COUNT],
    rows: u16,
    fault: Option<StatFault>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Column {
    Entries,
    Drop,
    EarlyDrop,
    InsertFailed,
    ChainTooLong,
    Found,
    Invalid,
    SearchRestart,
    Unknown,
}

impl Column {
    const COUNT: usize = Column::Unknown as usize;

    /// A match of them was 1 KB larger on MIPS.
    const NAMES: [(&str, Column); 9] = [
        ("entries", Column::Entries),
        ("drop", Column::Drop),
        ("early_drop", Column::EarlyDrop),
        ("insert_failed", Column::InsertFailed),
        ("chainlength", Column::ChainTooLong),
        ("chaintoolong", Column::ChainTooLong),
        ("found", Column::Found),
        ("invalid", Column::Invalid),
        ("search_restart", Column::SearchRestart),
    ];

    fn of(name: &[u8]) -> Column {
        find(&Column::NAMES, name).unwrap_or(Column::Unknown)
    }
}

impl Default for StatText {
    fn default() -> Self {
        Self::new()
    }
}

impl StatText {
    /// Before the header.
    pub const fn new() -> Self {
        Self { columns: [Column::Unknown; MAX_COLUMNS], width: 0, sums: [0; Column::COUNT], rows: 0, fault: None }
    }

    /// The next line; empty ones are passed over.
    pub fn line(&mut self, line: &[u8]) {
        if self.fault.is_some() || fields(line).next().is_none() {
            return;
        }
        let done = if self.width == 0 { self.header(line) } else { self.row(line) };
        self.fault = done.err();
    }

    /// All lines are in.
    pub fn finish(self) -> Result<Stats, StatFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.rows == 0 {
            return Err(if self.width == 0 { StatFault::NoHeader } else { StatFault::NoRows });
        }
        let sum = |column: Column| self.columns.contains(&column).then(|| self.sums[column as usize]);
        Ok(Stats {
            cpus: self.rows,
            entries: sum(Column::Entries),
            drop: sum(Column::Drop),
            early_drop: sum(Column::EarlyDrop),
            insert_failed: sum(Column::InsertFailed),
            chain_too_long: sum(Column::ChainTooLong),
            found: sum(Column::Found),
            invalid: sum(Column::Invalid),
            search_restart: sum(Column::SearchRestart),
        })
    }

    fn header(&mut self, line: &[u8]) -> Result<(), StatFault> {
        for (i, name) in fields(line).enumerate() {
            let column = Column::of(name);
            if i == 0 && column != Column::Entries {
                return Err(StatFault::NoHeader);
            }
            *self.columns.get_mut(i).ok_or(StatFault::TooManyColumns)? = column;
            self.width = i + 1;
        }
        Ok(())
    }

    fn row(&mut self, line: &[u8]) -> Result<(), StatFault> {
        if fields(line).count() != self.width {
            return Err(StatFault::BadRow);
        }
        for (field, column) in fields(line).zip(self.columns) {
            let n = hex32(field).ok_or(StatFault::BadRow)?;
            match (column, self.sums.get_mut(column as usize)) {
                (_, None) => {}
                (Column::Entries, Some(sum)) => *sum = n,
                (_, Some(sum)) => *sum = sum.wrapping_add(n),
            }
        }
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }
}

impl Stats {
    /// Reads a text that is all there.
    pub fn parse(text: &[u8]) -> Result<Stats, StatFault> {
        let mut reader = StatText::new();
        for line in lines(text) {
            reader.line(line);
        }
        reader.finish()
    }

    /// What has come since `earlier`; `None` where either has no such column. `cpus` and `entries` are those of now.
    ///
    /// A counter that went back wrapped, unless the step would be half of its range or more: then it began anew (the module was
    /// loaded again), and the number of now is what has come since, or less.
    pub fn since(&self, earlier: &Stats) -> Stats {
        Stats {
            cpus: self.cpus,
            entries: self.entries,
            drop: step(self.drop, earlier.drop),
            early_drop: step(self.early_drop, earlier.early_drop),
            insert_failed: step(self.insert_failed, earlier.insert_failed),
            chain_too_long: step(self.chain_too_long, earlier.chain_too_long),
            found: step(self.found, earlier.found),
            invalid: step(self.invalid, earlier.invalid),
            search_restart: step(self.search_restart, earlier.search_restart),
        }
    }
}

fn step(now: Option<u32>, earlier: Option<u32>) -> Option<u32> {
    let now = now?;
    let step = now.wrapping_sub(earlier?);
    Some(if step > u32::MAX / 2 { now } else { step })
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::{format, string::String};

    /// The header of 2.6.18's ip_conntrack and of 4.x: other columns, another order.
    const OLD: &str = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n";

    fn old_row(insert_failed: u32, drop: u32) -> String {
        format!(
            "00000c8d  00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 {insert_failed:08x} {drop:08x} 0000000b 0000000c  0000000d 0000000e 0000000f 00000010\n"
        )
    }

    #[test]
    fn columns_are_found_by_name_and_added_up() {
        let text = format!("{OLD}{}{}", old_row(0x10, 0xff), old_row(1, 1));
        let s = Stats::parse(text.as_bytes()).unwrap();
        assert_eq!((s.cpus, s.entries, s.drop, s.insert_failed), (2, Some(0xc8d), Some(0x100), Some(0x11)));
        assert_eq!((s.early_drop, s.found, s.invalid, s.search_restart), (Some(22), Some(4), Some(8), Some(32)));
        assert_eq!(s.chain_too_long, None, "4.x has no such column");
        let s = Stats::parse(b"entries drop chaintoolong\n1 2 3\n").unwrap();
        assert_eq!((s.drop, s.chain_too_long, s.early_drop), (Some(2), Some(3), None));
    }

    #[test]
    fn a_step_is_exact_over_a_wrap_of_either_cpu() {
        let stats = |a, b| Stats::parse(format!("{OLD}{}{}", old_row(0, a), old_row(0, b)).as_bytes()).unwrap();
        assert_eq!(stats(5, 7).since(&stats(u32::MAX, 1)).drop, Some(12));
        assert_eq!(stats(3, 0).since(&stats(100, 100)).drop, Some(3), "began anew with the module");
        assert_eq!(stats(100, 100).since(&stats(100, 100)).drop, Some(0));
        let without = Stats::parse(b"entries found\n1 1\n").unwrap();
        assert_eq!(stats(1, 1).since(&without).drop, None, "no reading is not a reading of zero");
    }

    #[test]
    fn a_cut_text_is_a_fault_and_not_a_smaller_sum() {
        let whole = format!("{OLD}{}", old_row(1, 2));
        for cut in [0, 3, OLD.len() - 1, OLD.len(), OLD.len() + 20, whole.len() - 20] {
            assert!(Stats::parse(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(Stats::parse(b""), Err(StatFault::NoHeader));
        assert_eq!(Stats::parse(b"cpu drop\n1 2\n"), Err(StatFault::NoHeader));
        assert_eq!(Stats::parse(b"entries drop\n"), Err(StatFault::NoRows));
        assert_eq!(Stats::parse(b"entries drop\n1 zz\n"), Err(StatFault::BadRow));
        let wide = format!("entries{}\n", " x".repeat(MAX_COLUMNS));
        assert_eq!(Stats::parse(wide.as_bytes()), Err(StatFault::TooManyColumns));
    }

    #[test]
    fn one_number_a_file() {
        assert_eq!(entries(b"15360\n"), Ok(Entries(15360)));
        assert_eq!(entries(b"0"), Ok(Entries(0)));
        assert_eq!(entries(b"\n"), Err(NumberFault::Empty));
        assert_eq!(entries(b"-3\n"), Err(NumberFault::Negative));
        for bad in [&b"12 13\n"[..], b"0x10\n", b"4294967296\n", b"-\n", b"--1", b"\xff\xfe"] {
            assert_eq!(entries(bad), Err(NumberFault::NotANumber), "{bad:?}");
        }
    }
}
