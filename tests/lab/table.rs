//! The table at the end, and the judgement.

use crate::contender::Contender;
use crate::scenario::Must;
use crate::trial::Row;
use std::fmt::Write;

/// The guard's share of one core while relief lasts, whatever the attack: at most.
const CPU_PERMILLE: u64 = 30;
/// The neighbour's share that every guarded row must reach, and what the reported ones aim at.
const NEIGHBOUR_PERMILLE: u64 = 999;
const AIM_PERMILLE: u64 = 990;

/// What a row failed in, in words; empty if it passed. `None` where nothing is judged.
pub fn judge(row: &Row) -> Option<Vec<String>> {
    match row.contender {
        Contender::Nobody => judge_unguarded(row),
        Contender::Guard | Contender::Trim => judge_guarded(row),
        Contender::Shed => judge_shed_alone(row),
        _ => None,
    }
}

/// Without a guard the attack must have hurt, or it proves nothing; and without an attack all must be well.
fn judge_unguarded(row: &Row) -> Option<Vec<String>> {
    let mut faults = Vec::new();
    match row.scenario.must {
        Must::LeaveAlone => {
            check(&mut faults, row.neighbour_reaches(1000), || format!("neighbour {} of 100 %", row.neighbour()));
            check(&mut faults, row.report.lost() == 0, || format!("{} flows lost in peace", row.report.lost()));
        }
        Must::Protect(also) => {
            let below = also.unguarded_below_permille?;
            check(&mut faults, !row.neighbour_reaches(below), || {
                format!("neighbour {}: the attack did not hurt (< {} %)", row.neighbour(), below / 10)
            });
        }
        Must::Report => return None,
    }
    Some(faults)
}

fn judge_guarded(row: &Row) -> Option<Vec<String>> {
    let mut faults: Vec<String> = row.fault.iter().cloned().collect();
    if let (Contender::Guard, Some(cpu)) = (row.contender, row.cpu_permille) {
        check(&mut faults, cpu <= CPU_PERMILLE, || format!("CPU {}", percent(cpu)));
    }
    if let Must::Report = row.scenario.must {
        return if faults.is_empty() { None } else { Some(faults) };
    }
    check(&mut faults, row.neighbour_reaches(NEIGHBOUR_PERMILLE), || format!("neighbour {}", row.neighbour()));
    check(&mut faults, row.refusals == 0, || format!("{} refusals", row.refusals));
    check(&mut faults, row.peak < u64::from(row.scenario.max), || "the table was full".into());
    let mut lost = row.report.lost();
    if let Must::Protect(also) = row.scenario.must {
        if also.idle_excepted {
            lost -= row.report.lost_idle;
        }
        if let Some(permille) = also.hog_permille.filter(|_| row.contender == Contender::Trim) {
            check(&mut faults, row.hog_answered * 1000 >= row.hog_tried * permille, || {
                format!("hog's own {}", row.hog())
            });
        }
        if let Some(least) = also.hog_per_second {
            check(&mut faults, row.hog_answered >= least * row.seconds, || format!("hog's own {}", row.hog()));
        }
    } else {
        check(&mut faults, row.acts == 0, || format!("{} acts where none was needed", row.acts));
    }
    check(&mut faults, lost == 0, || format!("{lost} flows lost"));
    Some(faults)
}

/// It names the hogs and caps them; what they hold already it takes only above the level.
fn judge_shed_alone(row: &Row) -> Option<Vec<String>> {
    let mut faults: Vec<String> = row.fault.iter().cloned().collect();
    check(&mut faults, row.neighbour_reaches(AIM_PERMILLE), || format!("neighbour {}", row.neighbour()));
    Some(faults)
}

/// What only two rows together show: capping a hog of 10,000 new flows a second must cost the guard less than trimming it.
pub fn judge_pairs(rows: &[Row]) -> Vec<(String, bool)> {
    let cpu = |contender| {
        rows.iter().find(|r| r.scenario.name == "tcp-hog-10k" && r.contender == contender).and_then(|r| r.cpu_permille)
    };
    let pair = cpu(Contender::Guard).zip(cpu(Contender::Trim));
    pair.map(|(with, without)| {
        let words = format!("CPU at 10,000 a second: {} % with leases, {} % without", percent(with), percent(without));
        (words, with < without)
    })
    .into_iter()
    .collect()
}

fn check(faults: &mut Vec<String>, good: bool, fault: impl FnOnce() -> String) {
    if !good {
        faults.push(fault());
    }
}

impl Row {
    fn neighbour_reaches(&self, permille: u64) -> bool {
        self.tried > 0 && self.connected * 1000 >= self.tried * permille
    }

    /// The neighbour's share, rounded down: what reads 100 is 100.
    pub fn neighbour(&self) -> String {
        share(self.connected, self.tried)
    }

    /// The attackers' own share.
    pub fn hog(&self) -> String {
        if self.scenario.attack.is_answered() { share(self.hog_answered, self.hog_tried) } else { "-".into() }
    }

    fn peak_share(&self) -> String {
        share(self.peak, u64::from(self.scenario.max))
    }

    fn lost(&self) -> String {
        let r = &self.report;
        format!("{}/{}/{}/{}", r.lost_long_lived, r.lost_idle, r.lost_download, r.lost_loop)
    }

    fn verdict(&self) -> String {
        match judge(self) {
            None if !self.contender.is_ours() => "".into(),
            None if self.neighbour_reaches(AIM_PERMILLE) => "reported: as aimed at".into(),
            None => format!("reported: less than the {} aimed at", percent(AIM_PERMILLE)),
            Some(faults) if faults.is_empty() => "ok".into(),
            Some(faults) => format!("FAIL: {}", faults.join(", ")),
        }
    }

    fn cells(&self) -> [String; 10] {
        let guarded = self.contender.is_ours();
        [
            self.scenario.name.into(),
            self.contender.name().into(),
            self.neighbour(),
            self.refusals.to_string(),
            self.peak_share(),
            self.lost(),
            self.hog(),
            self.cpu_permille.map_or("-".into(), percent),
            if guarded { self.acts.to_string() } else { "-".into() },
            self.verdict(),
        ]
    }
}

fn share(part: u64, whole: u64) -> String {
    (part * 1000).checked_div(whole).map_or("-".into(), percent)
}

fn percent(permille: u64) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

const LEGEND: &str = "
neighbour  % of his new connections that got through, from the attack's first second
refusals   packets the kernel dropped because the table was full
peak       % of the table in use at its fullest
lost       flows that had to survive: long-lived of 20 / idle of 10 / download / request loop
hog        % of the attackers' own new connections that got through
CPU, acts  the guard's share of one core in %, and its trims and flushes
";

/// The whole table, aligned.
pub fn print(rows: &[Row]) -> String {
    let titles: [&str; 10] = ["scenario", "guard", "neighbour", "refusals", "peak", "lost", "hog", "CPU", "acts", ""];
    let cells: Vec<[String; 10]> = rows.iter().map(Row::cells).collect();
    let mut widths = titles.map(|t| t.chars().count());
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |row: [&str; 10]| {
        for (i, (cell, width)) in row.into_iter().zip(widths).enumerate() {
            // Words stand left, numbers right; the verdict is the last and needs no padding.
            let _ = match i {
                0 | 1 => write!(out, "{cell:width$}  "),
                9 => write!(out, "{cell}"),
                _ => write!(out, "{cell:>width$}  "),
            };
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    };
    line(titles);
    let mut before = "";
    for (row, cells) in rows.iter().zip(&cells) {
        let mut cells = cells.each_ref().map(String::as_str);
        if row.scenario.name == before {
            cells[0] = "";
        }
        before = row.scenario.name;
        line(cells);
    }
    out.push_str(LEGEND);
    out
}

/// The last lines of the guard's log in each row it failed.
pub fn what_failed_guards_said(rows: &[Row]) -> String {
    const LINES: usize = 20;
    let mut out = String::new();
    for row in rows.iter().filter(|row| judge(row).is_some_and(|faults| !faults.is_empty()) && !row.log.is_empty()) {
        let _ = writeln!(out, "{}, what {} said last:", row.scenario.name, row.contender.name());
        for line in row.log.iter().skip(row.log.len().saturating_sub(LINES)) {
            let _ = writeln!(out, "  {line}");
        }
        out.push('\n');
    }
    out
}
