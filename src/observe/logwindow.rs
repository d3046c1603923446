//! Records of the log, one after the other → how many refusals they speak of.
//!
//! What is exact and what is a bound:
//! - `refusals` is the exact number of our own lines, and so a **lower** bound on refused packets: at most 10 lines in 5 s are printed,
//!   and that limit is shared with all network warnings.
//! - `suppressed` is an **upper** bound on refusals among the lines held back that have been reported so far: a suppression line next to ours
//!   may count others' lines as well. It speaks of the past: the kernel prints it when the next network warning comes, be it minutes later
//!   (506 s in the recording), and what the last burst held back is not known until then.
//! - So between `refusals` and `refusals + suppressed` packets were refused up to the last suppression line. The exact count
//!   is the `drop` column ([`super::counters`]), where the kernel has it; the log is what wakes the daemon at once.
//! - `missed` counts gaps in the sequence: records overwritten before we read them (EPIPE) or longer than the reader's buffer (EINVAL).
//!
//! Only our own lines are ever evidence of *now*; suppressed ones are none, and neither is anything from before [`LogWindow::start`].

use super::kmsg::{Line, Record};

/// After its own suppression line a limited warning comes at once (14 µs in the recording), with at most records of other CPUs between.
const NEXT_WITHIN_MICROS: u64 = 1_000_000;
const NEXT_WITHIN_RECORDS: u64 = 8;
/// A window of the kernel's limit lasts 5 s; the line that closes it comes with the first warning after that.
const BURST_MICROS: u64 = 6_000_000;

/// What was heard so far. Every count saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines "table full" of our own namespace: exact.
    pub refusals: u32,
    /// Of those, lines of `ip_conntrack`.
    pub legacy: u32,
    /// Lines held back that were ours at most; see the module.
    pub suppressed: u32,
    /// Lines held back of which nothing says that they were ours.
    pub suppressed_elsewhere: u32,
    /// Lines "table full" of other network namespaces.
    pub foreign: u32,
    /// Lines "expectation table full", of any namespace: the kernel does not say which.
    pub expectations: u32,
    /// Records of the sequence that were never seen.
    pub missed: u32,
}

/// What one record was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Our table refused a packet, after the start: evidence.
    Refusal,
    /// Our table refused a packet before the start: to be reported, no evidence.
    OldRefusal,
    /// The table of another namespace refused a packet.
    Foreign(u32),
    /// The expectation table is full.
    ExpectationFull,
    /// Lines were held back; whether they count as ours the next record says.
    Suppressed(u32),
    /// This record or a later one was fed before (the log was opened anew): not counted again.
    Repeated,
    /// Nothing of ours.
    Other,
}

/// Counts what the log says, before the start and after it.
#[derive(Clone, Debug)]
pub struct LogWindow {
    namespace: Option<u32>,
    start: u64,
    before: LogCounts,
    since: LogCounts,
    next: Option<u64>,
    own: Option<Seen>,
    pending: Option<(Seen, u32)>,
}

/// When a record came.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u64,
    micros: u64,
}

impl LogWindow {
    /// A window in which everything is still old news. `namespace` is the inode of our own network namespace; without it
    /// (`None`: not readable) lines of every namespace count as ours.
    pub const fn new(namespace: Option<u32>) -> Self {
        const NOTHING: LogCounts = LogCounts {
            refusals: 0,
            legacy: 0,
            suppressed: 0,
            suppressed_elsewhere: 0,
            foreign: 0,
            expectations: 0,
            missed: 0,
        };
        Self { namespace, start: u64::MAX, before: NOTHING, since: NOTHING, next: None, own: None, pending: None }
    }

    /// From here on this is the inode of our own network namespace.
    pub fn set_namespace(&mut self, namespace: u32) {
        self.namespace = Some(namespace);
    }

    /// From here on lines are evidence: what was fed so far is old news, the next record is not. With nothing fed (the log was
    /// opened at its end) all that comes is evidence.
    pub fn start(&mut self) {
        self.mark_start(self.next.unwrap_or(0));
    }

    /// Records from sequence number `sequence` on are evidence.
    pub fn mark_start(&mut self, sequence: u64) {
        self.start = sequence;
    }

    /// What stood in the log before the start.
    pub const fn before(&self) -> &LogCounts {
        &self.before
    }

    /// What has come since.
    pub const fn since(&self) -> &LogCounts {
        &self.since
    }

    /// Takes in the next record.
    pub fn feed(&mut self, record: &Record) -> Heard {
        let seen = Seen { sequence: record.sequence, micros: record.micros };
        if let Some(next) = self.next {
            if seen.sequence < next {
                return Heard::Repeated;
            }
            let gap = u32::try_from(seen.sequence - next).unwrap_or(u32::MAX);
            let missed = &mut self.counts(seen.sequence).missed;
            *missed = missed.saturating_add(gap);
        }
        self.next = Some(seen.sequence.saturating_add(1));
        self.forget_pending(seen);
        match record.line {
            Line::TableFull { netns: Some(n), .. } if self.namespace.is_some_and(|own| own != n) => {
                bump(&mut self.counts(seen.sequence).foreign, 1);
                Heard::Foreign(n)
            }
            Line::TableFull { legacy, .. } => {
                if let Some((at, n)) = self.pending.take() {
                    bump(&mut self.counts(at.sequence).suppressed, n);
                }
                self.own = Some(seen);
                let counts = self.counts(seen.sequence);
                bump(&mut counts.refusals, 1);
                bump(&mut counts.legacy, legacy as u32);
                if seen.sequence >= self.start { Heard::Refusal } else { Heard::OldRefusal }
            }
            Line::ExpectationFull => {
                bump(&mut self.counts(seen.sequence).expectations, 1);
                Heard::ExpectationFull
            }
            Line::Suppressed(n) => {
                // Two limits (`net_ratelimit`, `printk`) may report in a row; the earlier one then has to do without a neighbour.
                if let Some((at, n)) = self.pending.take() {
                    bump(&mut self.counts(at.sequence).suppressed_elsewhere, n);
                }
                if self.own.is_some_and(|own| seen.micros.saturating_sub(own.micros) <= BURST_MICROS) {
                    bump(&mut self.counts(seen.sequence).suppressed, n);
                } else {
                    self.pending = Some((seen, n));
                }
                Heard::Suppressed(n)
            }
            Line::Other => Heard::Other,
        }
    }

    /// A suppression line that no line of ours followed soon was somebody else's.
    fn forget_pending(&mut self, now: Seen) {
        if let Some((at, n)) = self.pending {
            let late = now.micros.saturating_sub(at.micros) > NEXT_WITHIN_MICROS;
            if late || now.sequence.saturating_sub(at.sequence) > NEXT_WITHIN_RECORDS {
                self.pending = None;
                bump(&mut self.counts(at.sequence).suppressed_elsewhere, n);
            }
        }
    }

    fn counts(&mut self, sequence: u64) -> &mut LogCounts {
        if sequence >= self.start { &mut self.since } else { &mut self.before }
    }
}

fn bump(count: &mut u32, by: u32) {
    *count = count.saturating_add(by);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: u32 = 4026532177;
    const FULL: Line = Line::TableFull { netns: None, legacy: false };

    fn record(sequence: u64, micros: u64, line: Line) -> Record {
        Record { facility: 0, level: 4, sequence, micros, line }
    }

    #[test]
    fn what_stood_there_before_the_start_is_reported_but_no_evidence() {
        let mut w = LogWindow::new(Some(OURS));
        assert_eq!(w.feed(&record(1, 10, FULL)), Heard::OldRefusal);
        w.start();
        assert_eq!((w.before().refusals, w.since().refusals), (1, 0));
        assert_eq!(w.feed(&record(2, 20, FULL)), Heard::Refusal);
        assert_eq!((w.before().refusals, w.since().refusals), (1, 1));
    }

    #[test]
    fn the_number_of_another_namespace_is_not_ours() {
        let mut w = LogWindow::new(Some(OURS));
        w.mark_start(0);
        let of = |netns| Line::TableFull { netns, legacy: false };
        assert_eq!(w.feed(&record(1, 10, of(Some(OURS)))), Heard::Refusal);
        assert_eq!(w.feed(&record(2, 10, of(Some(1)))), Heard::Foreign(1));
        assert_eq!(w.feed(&record(3, 10, of(None))), Heard::Refusal, "older kernels never say whose table it is");
        assert_eq!((w.since().refusals, w.since().foreign), (2, 1));
        let mut blind = LogWindow::new(None);
        blind.mark_start(0);
        assert_eq!(blind.feed(&record(1, 10, of(Some(1)))), Heard::Refusal);
    }

    #[test]
    fn suppressed_lines_count_next_to_ours_only() {
        let mut w = LogWindow::new(None);
        w.mark_start(0);
        // Nobody near: a line of ours comes, but 2 s later.
        w.feed(&record(1, 0, Line::Suppressed(100)));
        w.feed(&record(2, 2_000_000, FULL));
        assert_eq!((w.since().suppressed, w.since().suppressed_elsewhere), (0, 100));
        // In the burst that ours began.
        w.feed(&record(3, 7_000_000, Line::Suppressed(30)));
        assert_eq!(w.since().suppressed, 30);
        // Long after ours, but the warning that brought it out is ours again.
        w.feed(&record(4, 60_000_000, Line::Suppressed(5)));
        w.feed(&record(5, 60_000_010, Line::Other));
        assert_eq!(w.since().suppressed, 30);
        w.feed(&record(6, 60_000_020, FULL));
        assert_eq!(w.since().suppressed, 35);
        // Brought out by another's warning.
        w.feed(&record(7, 90_000_000, Line::Suppressed(7)));
        for n in 0..NEXT_WITHIN_RECORDS + 1 {
            w.feed(&record(8 + n, 90_000_000, Line::Other));
        }
        w.feed(&record(17, 90_000_100, FULL));
        assert_eq!((w.since().suppressed, w.since().suppressed_elsewhere), (35, 107));
    }

    #[test]
    fn gaps_are_counted_and_a_log_read_again_is_not() {
        let mut w = LogWindow::new(None);
        w.mark_start(0);
        for sequence in [10, 11, 15] {
            w.feed(&record(sequence, 0, FULL));
        }
        assert_eq!((w.since().refusals, w.since().missed), (3, 3));
        assert_eq!(w.feed(&record(11, 0, FULL)), Heard::Repeated);
        assert_eq!(w.since().refusals, 3);
    }
}
