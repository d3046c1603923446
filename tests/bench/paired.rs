//! Two sides measured in the same run, one after the other, round by round; medians of the ratios; one table.

use std::time::Duration;

use crate::Outcome;

/// One round: how long each side took.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub ours: Duration,
    pub theirs: Duration,
}

/// Measures both sides `rounds` times. Who goes first changes every round, so that what the first does to caches, clock
/// and memory falls on both alike.
pub fn alternate(
    rounds: usize,
    mut ours: impl FnMut() -> Outcome<Duration>,
    mut theirs: impl FnMut() -> Outcome<Duration>,
) -> Outcome<Vec<Pair>> {
    (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                let ours = ours()?;
                Ok(Pair { ours, theirs: theirs()? })
            } else {
                let theirs = theirs()?;
                Ok(Pair { ours: ours()?, theirs })
            }
        })
        .collect()
}

/// The middle one; of an even number the lower middle.
pub fn median<T: PartialOrd + Copy>(all: &mut [T]) -> T {
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    all[(all.len() - 1) / 2]
}

/// One line of the table.
pub struct Row {
    pub what: String,
    pub ours: String,
    pub theirs: String,
    pub result: String,
    pub must: String,
    pub pass: bool,
}

/// What the ratio has to be.
#[derive(Clone, Copy, Debug)]
pub enum Must {
    /// Ours that many times as fast as theirs, at least.
    Faster(f64),
    /// The same, where the kernel's own work allows `of`. On a machine where it allows less in the same rounds (`allows`),
    /// the same part of that: what the kernel does not give, no program can.
    FasterOf { bound: f64, of: f64, allows: f64 },
    /// Ours that many times as long as theirs, at most.
    Within(f64),
}

impl Must {
    /// The row of these rounds.
    pub fn row(self, what: &str, ours: &str, theirs: &str, pairs: &[Pair]) -> Row {
        let ratio = |p: &Pair| match self {
            Must::Faster(_) | Must::FasterOf { .. } => p.theirs.as_secs_f64() / p.ours.as_secs_f64(),
            Must::Within(_) => p.ours.as_secs_f64() / p.theirs.as_secs_f64(),
        };
        let mut ratios: Vec<f64> = pairs.iter().map(ratio).collect();
        let middle = median(&mut ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let side = |name: &str, pick: fn(&Pair) -> Duration| {
            format!("{name} {}", ms(median(&mut pairs.iter().map(pick).collect::<Vec<_>>())))
        };
        let (must, pass, unit) = match self {
            Must::Faster(bound) => (format!(">= {bound} x faster"), middle >= bound, "x faster"),
            Must::FasterOf { bound, of, allows } => {
                let here = bound * (allows / of).min(1.0);
                (format!(">= {here:.1} x faster ({bound} where the kernel allows {of})"), middle >= here, "x faster")
            }
            Must::Within(bound) => (format!("<= {bound} x"), middle <= bound, "x"),
        };
        Row {
            what: what.into(),
            ours: side(ours, |p| p.ours),
            theirs: side(theirs, |p| p.theirs),
            result: format!("{middle:.2} {unit} ({least:.2}..{most:.2})"),
            must,
            pass,
        }
    }
}

/// Milliseconds for people.
pub fn ms(d: Duration) -> String {
    let ms = d.as_secs_f64() * 1e3;
    if ms < 100.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

impl Row {
    /// A row that compares with a fixed limit, not with a peer.
    pub fn limit(what: &str, ours: String, result: String, must: &str, pass: bool) -> Self {
        Self { what: what.into(), ours, theirs: String::new(), result, must: must.into(), pass }
    }
    /// A row that could not be measured: why.
    pub fn fault(what: &str, must: &str, why: String) -> Self {
        Self::limit(what, String::new(), why, must, false)
    }
}

/// Wider cells are cut in the table, and stand in full below it.
const WIDEST: usize = 72;

/// Prints the table and the tally; true if every row passed.
pub fn print(rows: &[Row]) -> bool {
    let cells = |r: &Row| [r.what.clone(), r.ours.clone(), r.theirs.clone(), r.result.clone(), r.must.clone()];
    let head = ["what", "ctwarden", "against", "median (range)", "must"].map(String::from);
    let mut widths = head.clone().map(|h| h.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = (*width).max(cell.chars().count().min(WIDEST));
        }
    }
    let line = |cells: &[String], verdict: &str| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$.width$}")).collect();
        println!("{}  {verdict}", padded.join("  "));
    };
    println!();
    line(&head, "");
    for row in rows {
        line(&cells(row), if row.pass { "pass" } else { "FAIL" });
    }
    for row in rows.iter().filter(|r| r.result.chars().count() > WIDEST) {
        println!("\n{}: {}", row.what.trim(), row.result);
    }
    let passed = rows.iter().filter(|r| r.pass).count();
    println!("\n{passed} passed, {} failed", rows.len() - passed);
    passed == rows.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_does_not_decide() {
        let pair = |ours, theirs| Pair { ours: Duration::from_millis(ours), theirs: Duration::from_millis(theirs) };
        let rounds = [pair(10, 80), pair(10, 90), pair(100, 90)];
        assert!(Must::Faster(7.0).row("", "", "", &rounds).pass);
        assert!(!Must::Faster(8.5).row("", "", "", &rounds).pass);
        assert!(Must::FasterOf { bound: 10.0, of: 15.0, allows: 12.0 }.row("", "", "", &rounds).pass);
        assert!(!Must::FasterOf { bound: 10.0, of: 15.0, allows: 13.0 }.row("", "", "", &rounds).pass);
        assert!(!Must::FasterOf { bound: 9.0, of: 10.0, allows: 20.0 }.row("", "", "", &rounds).pass);
        assert!(Must::Within(0.125).row("", "", "", &rounds).pass);
        assert!(!Must::Within(0.12).row("", "", "", &rounds).pass);
    }

    #[test]
    fn who_goes_first_changes_every_round() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            order.borrow_mut().push(name);
            Ok(Duration::ZERO)
        };
        assert_eq!(alternate(3, || side('o'), || side('t')).map(|p| p.len()), Ok(3));
        assert_eq!(order.into_inner(), "ottoot");
    }
}
