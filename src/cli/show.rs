//! Answers as text for people or JSON for programs.

use super::exit::{Exit, complain_of};
use super::text::{Grouped, Paint, cell, complain, keep, print, print_whole};
use super::{chart, show_json};
use ctwarden::describe;
use ctwarden::detect::{Table, Verdict};
use ctwarden::incident::Incident;
use ctwarden::lease::{Backend, TRANSLATED};
use ctwarden::observe::tally::{Basis, Share};
use ctwarden::protocol::{Answer, Ask, By, Done, Log, Of, Reply, Status, Top, Windows};
use ctwarden::rung::Rung;
use ctwarden::units::Millis;
use nix::errno::Errno;
use std::fmt;

/// An answer as the reply that the asker wants.
pub fn render(given: &Answer, ask: &Ask, to: &mut dyn FnMut(&Reply<'_>)) {
    keep(ask.colour, &|| answer(given, ask.json), &mut |exit, text| to(&Reply { exit: exit as u8, text }));
}

/// An answer, as the asker wants it; how its command is to end.
pub fn answer(answer: &Answer, json: bool) -> Exit {
    if json && describe::is_told(answer) {
        show_json::print(&|o| describe::answer(o, answer));
        return Exit::Done;
    }
    match answer {
        Answer::Status(s) => status(s),
        Answer::Top(t) => top(t),
        Answer::Done(d) => done(d),
        Answer::Log(kept) => log(kept),
        Answer::Windows(w) => windows(w),
        Answer::History(h) => chart::history(h),
        Answer::Metrics(m) => print_whole(&mut |to| m.text(to)),
        Answer::Refused(why) => {
            complain(format_args!("refused: {why}"));
            return Exit::Refused;
        }
        Answer::NotConfigured => {
            complain(format_args!("refused: only with option open_scope 'all' in the config"));
            return Exit::Refused;
        }
        Answer::Spared(why) => {
            complain(format_args!("refused: never capped is {}", why.name()));
            return Exit::Refused;
        }
        Answer::Translated => {
            complain(format_args!("not opened: {TRANSLATED}"));
            return Exit::Fault;
        }
        Answer::NoRules => {
            complain(format_args!(
                "there are no emergency rules for that here: `ctwarden status` says why, or open_scope in the config is narrower"
            ));
            return Exit::Fault;
        }
        Answer::Busy => {
            complain(format_args!(
                "the daemon has no time: it is relieving the table, or others have asked; try again in a moment"
            ));
            return Exit::Fault;
        }
        Answer::Failed { errno } => return complain_of(Errno::from_raw(*errno)),
        Answer::NotUnderstood => {
            complain(format_args!("the daemon is of another version"));
            return Exit::Fault;
        }
    }
    Exit::Done
}

/// What stands before a line of status.
fn row(name: &str, value: std::fmt::Arguments<'_>) {
    print(format_args!("{name:<12}{value}"));
}

fn status(s: &Status) {
    let paint = Paint::new();
    let e = &s.evidence;
    let colour = match e.verdict {
        Verdict::Calm => paint.green(),
        Verdict::Filling | Verdict::Misreported => paint.yellow(),
        Verdict::Saturated | Verdict::Blind => paint.red(),
    };
    row("verdict", format_args!("{colour}{}{} for {}", e.verdict, paint.plain(), Span(s.uptime.since(e.since))));
    match e.verdict {
        // What was read last is not what is.
        Verdict::Blind => row("table", format_args!("count or max cannot be read; nothing is done")),
        _ => table_rows(&e.table),
    }
    if e.full_for.0 > 0 {
        row("", format_args!("full for {}, {} packets refused", Span(e.full_for), Grouped(e.refused)));
    }
    if let Some(before) = s.max_before {
        row("max", format_args!("was {} before ctwarden, goes back when it stops", Grouped(before.0)));
    }
    let mut ladder = heapless::String::<256>::new();
    for rung in &s.ladder {
        let off = if s.unusable.contains(rung) { " (not possible here)" } else { "" };
        for part in [if ladder.is_empty() { "" } else { ", " }, rung.name(), off] {
            let _ = ladder.push_str(part);
        }
    }
    row(
        "ladder",
        format_args!(
            "{}{}",
            if ladder.is_empty() { "none: watching only" } else { &ladder },
            if s.dry_run { "; dry run" } else { "" }
        ),
    );
    window_rows(&s.windows);
    for what in describe::taken_out(s) {
        row("out", format_args!("{what}: `ctwarden back` puts back what it took"));
    }
    row("flushes", format_args!("{} of {} this hour", s.flushes.0, s.flushes.1));
    if !s.log_readable {
        row("log", format_args!("/dev/kmsg cannot be read; going by the counters"));
    }
    if let Some(i) = &s.incident {
        row("incident", format_args!("{}{}", Told(i), if i.ended.is_none() { ", going on" } else { "" }));
    }
    row("daemon", format_args!("ctwarden {}, pid {}, up {}", s.version, s.pid, Span(s.uptime)));
}

/// Emergency rules: where they go, what is open.
fn window_rows(w: &Windows) {
    let paint = Paint::new();
    let state = match (w.backend, w.ready) {
        (Backend::None, _) => "",
        (_, false) => ": the rules are not in place",
        (b, true) if !b.has_leases() => ": somebody must be alive to close it again",
        _ => "",
    };
    let counting = if w.counts { "; connections are counted" } else { "" };
    row("rules", format_args!("{}{state}{counting}", w.backend.name()));
    if w.left_alone > 0 {
        row(
            "",
            format_args!("{} chains of others may refuse what is opened: no rule of ours can be there", w.left_alone),
        );
    }
    row("lifeline", format_args!("{}", w.lifeline));
    if let Some((scope, left)) = w.open {
        let (red, plain) = (paint.red(), paint.plain());
        row("open", format_args!("{red}{}{plain} for {} more; {}", scope.name(), Span(left), scope.impossible()));
    }
    if w.shedding > 0 {
        row("shed", format_args!("{} slowed down", w.shedding));
    }
}

/// What open and close answer.
fn windows(w: &Windows) {
    match (w.open, w.shedding) {
        (None, 0) => print(format_args!("closed")),
        _ => window_rows(w),
    }
}

/// How full it is.
fn table_rows(t: &Table) {
    let limit = cell(format_args!("{}", Grouped(t.max.0)));
    let slots = cell(format_args!(", {} buckets", Grouped(t.buckets.0)));
    let slots = if t.buckets.0 > 0 { slots.as_str() } else { "" };
    let (count, room) = (Grouped(t.count.0), t.max.less(t.count));
    // 0 is no limit, in kernels that take it.
    if t.max.0 == 0 {
        return row("table", format_args!("{count} entries, no limit{slots}"));
    }
    row("table", format_args!("{count} of {limit} entries ({}){slots}", t.occupancy()));
    match room.0 {
        0 => row("", format_args!("full: new connections are refused")),
        more => row("", format_args!("room for {} more", Grouped(more))),
    }
}

/// Status without a daemon.
pub fn table(t: &Table, json: bool) {
    if json {
        return show_json::bare(t);
    }
    table_rows(t);
    row("daemon", format_args!("not running: nobody watches the table"));
}

fn top(t: &Top) {
    let paint = Paint::new();
    match t.basis {
        Basis::Exact => print(format_args!("{} entries, all of them read", Grouped(t.count.0))),
        Basis::Sample { read, .. } => print(format_args!(
            "{} entries, {} of them read: shares with their standard error, --exact for all",
            Grouped(t.count.0),
            Grouped(read.0)
        )),
    }
    if t.interrupted {
        print(format_args!(
            "{}the kernel says that the table changed shape meanwhile: some entries may be missing{}",
            paint.yellow(),
            paint.plain()
        ));
    }
    let sampled = t.basis != Basis::Exact;
    let read = if let Basis::Sample { read, .. } = t.basis { read } else { t.count };
    for r in t.rows.iter().filter(|r| r.key.of() == Of::Who) {
        let tally = &r.tally;
        let share = cell(format_args!("{}", tally.share));
        let error = cell(format_args!(" ± {}", tally.standard_error));
        let (error, width) = if sampled { (error.as_str(), 10) } else { ("", 0) };
        let entries = cell(format_args!("{}{}", if sampled { "~" } else { "" }, Grouped(tally.entries.0)));
        // More keys than there was room to count: what is said for certain may be too little.
        let most = r.at_most.min(read.0) as u64 * 10_000 / read.0.max(1) as u64;
        let most = cell(format_args!("  at most {}", Share(most as u16)));
        let most = if r.at_most > tally.count { most.as_str() } else { "" };
        print(format_args!(
            "{share:>9}{error:<width$} {entries:>10}  {}{}{}{most}",
            paint.bold(),
            r.key,
            paint.plain()
        ));
    }
    if t.by == By::State {
        kinds(t, "protocol", Of::Protocols);
        kinds(t, "idle for", Of::Idle);
    }
}

/// Shares in one line: what there is none of is left out.
fn kinds(t: &Top, name: &str, of: Of) {
    let mut line = heapless::String::<256>::new();
    let mut error = Share(0);
    for r in &t.rows {
        if r.key.of() == of && r.tally.count > 0 {
            let _ = fmt::write(&mut line.as_mut_view(), format_args!("{} {}  ", r.key, r.tally.share));
            error = error.max(r.tally.standard_error);
        }
    }
    // The largest error of them; an exact census has none.
    if !line.is_empty() {
        row(name, format_args!("{line}± {error}"));
    }
}

fn done(d: &Done) {
    let what = d.what.name();
    if d.dry {
        return print(format_args!(
            "{what}: dry run, nothing changed; {} of {} entries {}",
            Grouped(d.before.less(d.after).0),
            Grouped(d.before.0),
            if d.what == Rung::Shed { "are of those that would be capped" } else { "would go" }
        ));
    }
    print(format_args!("{what}: {} -> {} entries in {}", Grouped(d.before.0), Grouped(d.after.0), d.took));
}

fn log(log: &Log) {
    if log.incidents.is_empty() && log.asked.is_empty() {
        print(format_args!("nothing has happened"));
    }
    for i in &log.incidents {
        print(format_args!("{}", Told(i)));
        for c in &i.culprits.sources {
            print(format_args!("    held by {}: {}", c.key, c.share));
        }
        for c in &i.culprits.destinations {
            print(format_args!("    towards {}: {}", c.key, c.share));
        }
    }
    for a in &log.asked {
        print(format_args!("at {} after start: {}, asked for by {}", Span(a.at), a.request, a.who));
    }
}

/// An incident in one line.
struct Told<'a>(&'a Incident);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let i = self.0;
        write!(
            f,
            "{} at {} after start: {}, up to {} of {} entries",
            i.number,
            Span(i.began),
            i.worst,
            Grouped(i.peak.0),
            Grouped(i.max.0)
        )?;
        if let Some(ended) = i.ended {
            write!(f, ", for {}", Span(ended.since(i.began)))?;
        }
        write!(f, "; {} packets refused", Grouped(i.refused))?;
        for (n, what) in
            [(i.grows, "grow"), (i.trims, "trim"), (i.sheds, "shed"), (i.flushes, "flush"), (i.opens, "open")]
        {
            if n > 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        if i.evicted > 0 {
            write!(f, " ({} evicted)", Grouped(i.evicted))?;
        }
        Ok(())
    }
}

/// A time for people: `3 d 4 h`, `5 min`, `12.3 s`.
struct Span(Millis);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = self.0.0 / 1000;
        match s {
            0..60 => write!(f, "{s}.{} s", self.0.0 % 1000 / 100),
            60..3600 => write!(f, "{} min {} s", s / 60, s % 60),
            3600..86_400 => write!(f, "{} h {} min", s / 3600, s / 60 % 60),
            _ => write!(f, "{} d {} h", s / 86_400, s / 3600 % 24),
        }
    }
}
