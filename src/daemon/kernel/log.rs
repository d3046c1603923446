//! `/dev/kmsg`, from the end on. Never `/proc/kmsg`: reading that one takes the lines away from logd.

use super::super::root::{KMSG, NETNS, PIECE, Root, link};
use ctwarden::event::Event;
use ctwarden::observe::kmsg::Record;
use ctwarden::observe::lines::LineSplitter;
use ctwarden::observe::logwindow::{LogCounts, LogWindow};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Records read at one go: a flood of foreign lines must not keep the loop from its counters.
const RECORDS_A_LOOK: usize = 256;

pub struct Log {
    file: Option<OwnedFd>,
    window: LogWindow,
    told: LogCounts,
    lines: LineSplitter<PIECE>,
    /// A plain file (fake root) gives a stream of lines and is always "readable": not to be polled.
    plain: bool,
    fault: Option<Errno>,
}

/// The inode of our own network namespace, of `net:[4026531840]`; none under a fake root.
fn own_namespace(root: &Root) -> Option<u32> {
    let mut room = [0; 32];
    let digits = link(&root.path(NETNS), &mut room)?.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    ctwarden::observe::counters::number(digits).ok()
}

/// What came since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Our own lines: evidence of now.
    pub refusals: u32,
    /// Lines that the kernel says it held back: the past, and at most ours. No evidence, but they count.
    pub suppressed: u32,
    pub expectations: u32,
}

impl Log {
    pub fn new(root: &Root) -> Self {
        let window = LogWindow::new(own_namespace(root));
        Self { file: None, window, told: LogCounts::default(), lines: LineSplitter::new(), plain: false, fault: None }
    }

    /// Opens it and reads what stands there, which is reported and never evidence.
    pub fn start(&mut self, root: &Root, report: &mut dyn FnMut(Event)) {
        self.open(root, report);
        // One read may bring more than the last record wanted: some have lines that tell of a device.
        while self.read_some(report) >= RECORDS_A_LOOK {}
        self.window.start();
        let lines = self.window.before().refusals;
        if lines > 0 {
            report(Event::LoggedBefore { lines });
        }
    }

    fn open(&mut self, root: &Root, report: &mut dyn FnMut(Event)) {
        match root.open(KMSG, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => {
                self.plain = !root.is_real();
                self.file = Some(file);
            }
            Err(e) => {
                self.unreadable(e, report);
            }
        }
    }

    /// Said once for each reason; opened again at every look.
    fn unreadable(&mut self, e: Errno, report: &mut dyn FnMut(Event)) {
        if self.fault != Some(e) {
            report(Event::LogUnreadable { errno: e as i32 });
        }
        self.fault = Some(e);
        self.file = None;
    }

    /// To be polled: readable when a record has come.
    pub fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().filter(|_| !self.plain).map(|f| f.as_fd())
    }

    /// It could be opened.
    pub fn readable(&self) -> bool {
        self.file.is_some()
    }

    /// Reads what has come and says what of it is ours. To be called when poll says so, and at looks: a plain file is
    /// never polled, and one that could not be opened is tried again.
    pub fn news(&mut self, root: &Root, report: &mut dyn FnMut(Event)) -> News {
        if self.file.is_none() {
            self.open(root, report);
        }
        self.read_some(report);
        let (now, told) = (*self.window.since(), self.told);
        self.told = now;
        News {
            refusals: now.refusals - told.refusals,
            suppressed: now.suppressed.saturating_sub(told.suppressed),
            expectations: now.expectations - told.expectations,
        }
    }

    /// [`RECORDS_A_LOOK`] lines, or a few more, of one record; how many there were. Fewer: all that has come.
    fn read_some(&mut self, report: &mut dyn FnMut(Event)) -> usize {
        let Some(file) = &self.file else { return 0 };
        let mut records = 0;
        while records < RECORDS_A_LOOK {
            match read(file, self.lines.room()) {
                // No log: an end that never moves, and poll calls it readable for ever (an empty file, /dev/null).
                Ok(0) if !self.plain => {
                    self.unreadable(Errno::ENODATA, report);
                    break;
                }
                Ok(0) => break,
                Ok(n) => {
                    self.lines.filled(n);
                    while let Some(line) = self.lines.next_line() {
                        records += 1;
                        if let Ok(record) = Record::parse(line.bytes) {
                            self.window.feed(&record);
                        }
                    }
                }
                // We fell behind: the next read gives the oldest record kept. Said once a look.
                Err(Errno::EPIPE) => {
                    records += 1;
                    report(Event::LogOverrun);
                }
                // Longer than the buffer, which no record of ours is: the next read gives the next one.
                Err(Errno::EINVAL) => records += 1,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(e) => {
                    self.unreadable(e, report);
                    break;
                }
            }
        }
        records
    }
}
