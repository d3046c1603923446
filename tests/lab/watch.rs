//! What is seen while a trial runs: a live screen of 80 x 24 on a terminal, plain lines elsewhere.

use crate::contender::Contender;
use crate::draw::{Colour, Pen, fit, paint, thousands};
use crate::flows::{IDLE, LONG_LIVED};
use crate::gauges::Gauges;
use crate::scenario::Scenario;
use crate::trial::{Row, Stage};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

/// One character of a history; a trial of 15 s fills 60 cells.
const CELL: Duration = Duration::from_millis(250);
const CELLS: usize = 60;
const FRAME: Duration = Duration::from_millis(100);
const LOG_LINES: usize = 5;

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A line when a trial begins, the table at the end.
    Quiet,
    /// A line a second: `--watch` where there is no terminal.
    Lines,
    /// The live screen.
    Live,
}

/// The screen, given back to the terminal's owner when dropped.
pub struct Screen {
    mode: Mode,
    pen: Pen,
    title: String,
    story: &'static str,
    /// The title above the guard's log.
    guard: &'static str,
    max: u64,
    drawn: Option<Instant>,
    cell: Option<Instant>,
    before: Counts,
    table: VecDeque<Option<u64>>,
    neighbour: VecDeque<Option<u64>>,
    hog_rate: u64,
    download_rate: u64,
    /// One line a finished trial.
    done: Vec<String>,
}

/// What histories are made from the differences of.
#[derive(Clone, Copy, Default)]
struct Counts {
    good: u64,
    bad: u64,
    hog: u64,
    bytes: u64,
    at: Option<Instant>,
}

impl Screen {
    /// `live`: the user asked to watch.
    pub fn new(live: bool) -> Self {
        let mode = match (live, io::stdout().is_terminal()) {
            (false, _) => Mode::Quiet,
            (true, false) => Mode::Lines,
            (true, true) => Mode::Live,
        };
        if mode == Mode::Live {
            print!("\x1b[?1049h\x1b[?25l"); // the other screen, no cursor
        }
        Self {
            mode,
            pen: Pen::of_environment(),
            title: String::new(),
            story: "",
            guard: "",
            max: 1,
            drawn: None,
            cell: None,
            before: Counts::default(),
            table: VecDeque::new(),
            neighbour: VecDeque::new(),
            hog_rate: 0,
            download_rate: 0,
            done: Vec::new(),
        }
    }

    /// A trial begins.
    pub fn begin(&mut self, scenario: &'static Scenario, contender: Contender) {
        self.title = format!("{}, {}", scenario.name, contender.name());
        self.guard = match contender {
            Contender::Nobody => "nobody is on guard",
            ours if ours.is_ours() => "what ctwarden says",
            _ => "what people use today says nothing",
        };
        self.story = scenario.story;
        self.max = u64::from(scenario.max);
        self.drawn = None;
        self.cell = None;
        self.before = Counts::default();
        self.table.clear();
        self.neighbour.clear();
        (self.hog_rate, self.download_rate) = (0, 0);
        if self.mode == Mode::Lines {
            println!("{}: {}", self.title, self.story);
        }
    }

    /// A trial is over.
    pub fn end(&mut self, row: &Row) {
        let refusals = match row.refusals {
            0 => paint("no refusal", Colour::Green),
            n => paint(&format!("{} refusals", thousands(n)), Colour::Red),
        };
        let history: Vec<_> = self.neighbour.iter().copied().step_by(3).collect();
        self.done.push(format!(
            "{:16}{}  neighbour {} %, {refusals}",
            row.contender.name(),
            self.pen.history(&history, share_colour),
            row.neighbour(),
        ));
        if self.mode != Mode::Live {
            println!(
                "{}: neighbour {} %, {} refusals, {} flows lost",
                self.title,
                row.neighbour(),
                row.refusals,
                row.report.lost()
            );
        }
    }

    /// Leaves the live screen; what it had to say last goes to the ordinary one.
    pub fn close(mut self) {
        let done = std::mem::take(&mut self.done);
        let live = self.mode == Mode::Live;
        drop(self);
        if live {
            done.iter().for_each(|line| println!("{line}"));
            println!();
        }
    }

    /// Shows how it goes; called some fifty times a second.
    pub fn draw(&mut self, gauges: &Gauges, stage: Stage) {
        let now = Instant::now();
        if self.cell.is_none_or(|at| now.duration_since(at) >= CELL) {
            self.cell = Some(now);
            self.remember(gauges);
        }
        let pause = if self.mode == Mode::Live { FRAME } else { Duration::from_secs(1) };
        if self.mode == Mode::Quiet || self.drawn.is_some_and(|at| now.duration_since(at) < pause) {
            return;
        }
        self.drawn = Some(now);
        if self.mode == Mode::Lines {
            let share = self.neighbour.back().copied().flatten().map_or("-".into(), |p| format!("{} %", p / 10));
            println!(
                "  {:24} table {:>6} of {}   neighbour {share:>5}   refusals {}",
                stage.to_string(),
                thousands(gauges.entries.get()),
                thousands(self.max),
                thousands(gauges.refusals.get()),
            );
            return;
        }
        let mut frame = String::from("\x1b[H");
        for line in self.lines(gauges, stage) {
            let _ = write!(frame, " {line}\x1b[K\r\n");
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        let _ = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
    }

    /// A cell more of each history.
    fn remember(&mut self, gauges: &Gauges) {
        let (good, bad) = (gauges.all_connected.get(), gauges.all_failed.get());
        let ended = (good + bad).saturating_sub(self.before.good + self.before.bad);
        let share = ((good - self.before.good) * 1000).checked_div(ended);
        push(&mut self.neighbour, share);
        push(&mut self.table, Some(gauges.entries.get() * 1000 / self.max));
        self.before.good = good;
        self.before.bad = bad;
    }

    fn lines(&mut self, gauges: &Gauges, stage: Stage) -> Vec<String> {
        let entries = gauges.entries.get();
        let fill = entries * 1000 / self.max;
        let share = self.neighbour.iter().rev().find_map(|s| *s);
        let (hog, bytes) = self.rates(gauges);
        let mut lines = vec![
            paint("A router, its LAN, and the internet 80 ms away, in namespaces of this kernel.", Colour::Bold),
            self.story.to_string(),
            String::new(),
            self.pen.rule(&self.title, &stage.to_string()),
            String::new(),
            format!(
                "table       {} {} of {}",
                self.pen.bar(fill, 46, fill_colour(fill)),
                thousands(entries),
                thousands(self.max)
            ),
            format!("            {}", self.pen.history(self.table.make_contiguous(), fill_colour)),
            match share {
                Some(s) => format!("neighbour   {} {} % get through", self.pen.bar(s, 46, share_colour(s)), s / 10),
                None => "neighbour".into(),
            },
            format!("            {}", self.pen.history(self.neighbour.make_contiguous(), share_colour)),
        ];
        let refusals = gauges.refusals.get();
        let colour = if refusals == 0 { Colour::Green } else { Colour::Red };
        lines.push(format!("refused     {} packets", paint(&thousands(refusals), colour)));
        lines.push(format!("attackers   {} new connections a second", thousands(hog)));
        let lost = match gauges.lost.get() {
            0 => paint("none lost", Colour::Green),
            n => paint(&format!("{n} lost"), Colour::Red),
        };
        lines.push(format!(
            "others      {LONG_LIVED} chats, {IDLE} idle shells, a loop, a download ({}.{} MB/s): {lost}",
            bytes / 1_000_000,
            bytes / 100_000 % 10
        ));
        lines.push(String::new());
        lines.push(self.pen.rule(self.guard, ""));
        let log: Vec<String> =
            gauges.log.lock().map(|log| log.iter().rev().take(LOG_LINES).cloned().collect()).unwrap_or_default();
        for i in (0..LOG_LINES).rev() {
            lines.push(log.get(i).map(|line| fit(message(line), 78)).unwrap_or_default());
        }
        if !self.done.is_empty() {
            lines.push(self.pen.rule("so far", ""));
            lines.extend(self.done.iter().rev().take(3).rev().cloned());
        }
        lines
    }

    /// The attackers' new connections and the download's bytes, a second, smoothed over the last one.
    fn rates(&mut self, gauges: &Gauges) -> (u64, u64) {
        let now = Instant::now();
        let (hog, bytes) = (gauges.hog_all.get(), gauges.downloaded.get());
        let at = *self.before.at.get_or_insert(now);
        let millis = now.duration_since(at).as_millis() as u64;
        if millis >= 1000 {
            self.hog_rate = (hog - self.before.hog) * 1000 / millis;
            self.download_rate = (bytes - self.before.bytes) * 1000 / millis;
            self.before = Counts { hog, bytes, at: Some(now), ..self.before };
        }
        (self.hog_rate, self.download_rate)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.mode == Mode::Live {
            print!("\x1b[?25h\x1b[?1049l");
            let _ = io::stdout().flush();
        }
    }
}

/// A log line without its daemon's name and its level `info`.
fn message(line: &str) -> &str {
    let line = line.strip_prefix("ctwarden: ").unwrap_or(line);
    line.strip_prefix("info: ").or(line.strip_prefix("debug: ")).unwrap_or(line)
}

fn push(history: &mut VecDeque<Option<u64>>, value: Option<u64>) {
    history.push_back(value);
    if history.len() > CELLS {
        history.pop_front();
    }
}

/// The guard's own marks: at rest below `low`, at work from `high` on.
fn fill_colour(permille: u64) -> Colour {
    match permille {
        0..600 => Colour::Green,
        600..950 => Colour::Yellow,
        _ => Colour::Red,
    }
}

fn share_colour(permille: u64) -> Colour {
    match permille {
        990.. => Colour::Green,
        500..990 => Colour::Yellow,
        _ => Colour::Red,
    }
}
