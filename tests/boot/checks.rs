//! One line a check: `ok   what is shown: the number seen`, or `FAIL` with what was there instead.

/// The sum of all. What ships prints no `{:?}`, and this program is built as it is: values come as text.
#[derive(Default)]
pub struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    /// `seen` is what a reader wants to see either way.
    pub fn check(&mut self, what: &str, holds: bool, seen: &str) {
        let mark = if holds { "ok  " } else { "FAIL" };
        *if holds { &mut self.passed } else { &mut self.failed } += 1;
        let colon = if seen.is_empty() { "" } else { ": " };
        println!("{mark} {what}{colon}{seen}");
    }

    pub fn equal(&mut self, what: &str, got: u32, want: u32) {
        let seen = if got == want { got.to_string() } else { format!("{got}, expected {want}") };
        self.check(what, got == want, &seen);
    }

    pub fn at_most(&mut self, what: &str, got: u32, most: u32, unit: &str) {
        self.check(what, got <= most, &format!("{got}{unit} (at most {most})"));
    }

    pub fn at_least(&mut self, what: &str, got: u32, least: u32) {
        self.check(what, got >= least, &format!("{got} (at least {least})"));
    }

    /// The last line of all.
    pub fn print_sum(&self) {
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}
