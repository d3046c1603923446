//! One line a check: `ok    5.03 what is shown`, or `FAIL` with what was there instead.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};

/// The sum over all cases, whichever thread runs them.
#[derive(Default)]
pub struct Tally {
    passed: AtomicU32,
    failed: AtomicU32,
}

impl Tally {
    /// Prints `N passed, N failed`; true if none failed.
    pub fn print(&self) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        println!("{} passed, {failed} failed", self.passed.load(Ordering::Relaxed));
        failed == 0
    }
}

/// The checks of one case.
pub struct Checks<'t> {
    tally: &'t Tally,
    case: u8,
    number: u32,
}

impl<'t> Checks<'t> {
    pub fn of_case(tally: &'t Tally, case: u8) -> Self {
        Self { tally, case, number: 0 }
    }

    /// `detail` is what a reader wants to see when it fails.
    pub fn check(&mut self, what: &str, holds: bool, detail: impl FnOnce() -> String) {
        self.number += 1;
        let counter = if holds { &self.tally.passed } else { &self.tally.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let (case, number) = (self.case, self.number);
        if holds {
            println!("ok   {case:>2}.{number:02} {what}");
        } else {
            println!("FAIL {case:>2}.{number:02} {what}: {}", detail());
        }
    }

    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, got: T, want: T) {
        self.check(what, got == want, || format!("{got:?}, expected {want:?}"));
    }

    /// The number of lines that contain `part`.
    pub fn lines(&mut self, what: &str, log: &[String], part: &str, want: usize) {
        let got = log.iter().filter(|l| l.contains(part)).count();
        self.check(what, got == want, || {
            format!("{got} lines with {part:?}, expected {want}, in:\n{}", log.join("\n"))
        });
    }

    /// A case that could not go on.
    pub fn broke(&mut self, why: &str) {
        self.check("the case runs to its end", false, || why.to_string());
    }
}
