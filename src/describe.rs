//! What each answer consists of, told once for everybody: `--json` and the bus.
//!
//! Shares are in hundredths of a percent, occupancies in permille, times in milliseconds.

use crate::detect::{Evidence, Table};
use crate::history::{History, Slot};
use crate::hook::Hook;
use crate::incident::Incident;
use crate::lease::Backend;
use crate::metrics::{Metrics, Number};
use crate::observe::tally::Basis;
use crate::out::Out;
use crate::protocol::{Answer, Done, Of, Status, Top, Windows};
use crate::rung::Rung;

/// Count, max and buckets.
pub fn table(o: &mut dyn Out, t: &Table) {
    o.object("table");
    for (name, n) in [("count", t.count), ("max", t.max), ("buckets", t.buckets)] {
        o.number(name, n.0);
    }
    o.end();
    o.number("occupancy", t.occupancy().0.into());
}

fn evidence(o: &mut dyn Out, e: &Evidence) {
    o.text("verdict", &e.verdict);
    o.time("since", e.since);
    table(o, &e.table);
    o.number("refused", e.refused);
    o.number("fill_rate", e.fill_rate);
    o.time("full_for", e.full_for);
}

fn status(o: &mut dyn Out, s: &Status) {
    o.flag("daemon", true);
    o.text("version", &s.version);
    o.number("pid", s.pid);
    o.time("uptime", s.uptime);
    evidence(o, &s.evidence);
    o.flag("dry_run", s.dry_run);
    for (name, rungs) in [("ladder", &s.ladder), ("unusable", &s.unusable)] {
        o.array(name);
        rungs.iter().for_each(|r| o.text("", &r.name()));
        o.end();
    }
    o.maybe("max_before", s.max_before.map(|m| m.0));
    o.object("windows");
    windows(o, &s.windows);
    o.end();
    o.array("out");
    taken_out(s).for_each(|name| o.text("", &name));
    o.end();
    o.number("flushes", s.flushes.0.into());
    o.number("flushes_per_hour", s.flushes.1.into());
    match &s.incident {
        Some(i) => {
            o.object("incident");
            incident(o, i);
            o.end();
        }
        None => o.null("incident"),
    }
    o.flag("log_readable", s.log_readable);
    o.number("longest_blind_us", s.longest_blind_us);
    o.maybe("allocations", s.allocations);
}

/// What is taken out, by the verb that does it.
pub fn taken_out(s: &Status) -> impl Iterator<Item = &'static str> {
    [Rung::Stateless, Rung::Unload].into_iter().zip(s.out).filter(|(_, out)| *out).map(|(rung, _)| rung.name())
}

fn windows(o: &mut dyn Out, w: &Windows) {
    o.text("backend", &w.backend.name());
    o.flag("ready", w.ready);
    o.number("left_alone", w.left_alone.into());
    o.flag("counts", w.counts);
    o.flag("needs_somebody", w.backend != Backend::None && !w.backend.has_leases());
    o.text("lifeline", &w.lifeline);
    match w.open {
        Some((scope, left)) => {
            o.object("open");
            o.text("scope", &scope.name());
            o.time("left", left);
            o.text("impossible", &scope.impossible());
            o.end();
        }
        None => o.null("open"),
    }
    o.number("shedding", w.shedding.into());
}

fn incident(o: &mut dyn Out, i: &Incident) {
    o.number("number", i.number);
    o.time("began", i.began);
    match i.ended {
        Some(ended) => o.time("ended", ended),
        None => o.null("ended"),
    }
    o.text("worst", &i.worst);
    for (name, n) in [
        ("peak", i.peak.0),
        ("max", i.max.0),
        ("refused", i.refused),
        ("grows", i.grows),
        ("trims", i.trims),
        ("evicted", i.evicted),
        ("flushes", i.flushes),
        ("sheds", i.sheds),
        ("opens", i.opens),
    ] {
        o.number(name, n);
    }
    for (name, culprits) in [("sources", &i.culprits.sources), ("destinations", &i.culprits.destinations)] {
        o.array(name);
        for c in culprits {
            o.object("");
            o.text("key", &c.key);
            o.number("share", u32::from(c.share.0) * 10);
            o.end();
        }
        o.end();
    }
}

fn top(o: &mut dyn Out, t: &Top) {
    o.text("by", &t.by.name());
    o.flag("exact", t.basis == Basis::Exact);
    if let Basis::Sample { read, of } = t.basis {
        o.number("read", read.0);
        o.number("of", of.0);
    }
    o.flag("interrupted", t.interrupted);
    o.number("count", t.count.0);
    for (name, of) in [("rows", Of::Who), ("protocols", Of::Protocols), ("idle", Of::Idle)] {
        o.array(name);
        for r in t.rows.iter().filter(|r| r.key.of() == of) {
            o.object("");
            o.text("key", &r.key);
            o.number("entries", r.tally.entries.0);
            o.number("share", r.tally.share.0.into());
            o.number("error", r.tally.standard_error.0.into());
            o.number("at_most", r.at_most);
            o.end();
        }
        o.end();
    }
}

fn done(o: &mut dyn Out, d: &Done) {
    o.text("what", &d.what.name());
    o.number("before", d.before.0);
    o.number("after", d.after.0);
    o.time("took", d.took);
    o.flag("dry_run", d.dry);
    if d.dry {
        o.number("touched", d.before.less(d.after).0);
    }
    o.array("steps");
    d.steps.iter().for_each(|n| o.number("", *n));
    o.end();
}

type Part = fn(&Slot) -> u32;

/// A part of a chart. Slot `first + i` is the i-th of each array; a later request with `since` = `next` has what is new.
pub fn history(o: &mut dyn Out, h: &History) {
    o.text("span", &h.span.name());
    for (name, n) in [
        ("step", h.span.step_s()),
        ("first", h.first),
        ("next", h.next()),
        ("high", h.high.0.into()),
        ("low", h.low.0.into()),
    ] {
        o.number(name, n);
    }
    let parts: [(_, Part); 4] =
        [("count", |s| s.count), ("max", |s| s.max), ("refused", |s| s.refused), ("rungs", |s| s.rungs.into())];
    for (name, part) in parts {
        o.array(name);
        h.slots.iter().for_each(|s| o.number("", part(s)));
        o.end();
    }
}

/// It says something, and does not only refuse.
pub const fn is_told(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Status(_)
            | Answer::Top(_)
            | Answer::Done(_)
            | Answer::Log(_)
            | Answer::Windows(_)
            | Answer::History(_)
            | Answer::Metrics(_)
    )
}

/// An answer that [`is_told`]; of others nothing.
pub fn answer(o: &mut dyn Out, answer: &Answer) {
    match answer {
        Answer::Status(s) => status(o, s),
        Answer::Top(t) => top(o, t),
        Answer::Done(d) => done(o, d),
        Answer::Windows(w) => windows(o, w),
        Answer::History(h) => history(o, h),
        Answer::Metrics(m) => metrics(o, m),
        Answer::Log(log) => {
            o.array("incidents");
            for i in &log.incidents {
                o.object("");
                incident(o, i);
                o.end();
            }
            o.end();
            o.array("asked");
            for a in &log.asked {
                o.object("");
                o.time("at", a.at);
                o.text("what", &a.request);
                o.text("who", &a.who);
                o.maybe("incident", Some(a.incident).filter(|n| *n > 0));
                o.end();
            }
            o.end();
        }
        _ => {}
    }
}

/// A text as an array of its lines: what is for people only, on the bus.
pub fn lines(o: &mut dyn Out, name: &str, text: &str) {
    o.array(name);
    crate::text::lines(text).for_each(|line| o.text("", &line));
    o.end();
}

/// Rows for a monitoring system; what they mean, and those of them that come and go, is in [`crate::metrics`]. A ratio is told as a
/// text, since floating point is not for the bus.
pub fn metrics(o: &mut dyn Out, m: &Metrics) {
    o.array("metrics");
    m.each(&mut |row| {
        o.object("");
        o.text("name", &row.name);
        o.text("type", &row.kind);
        o.object("labels");
        row.labels.iter().for_each(|(name, value)| o.text(name, value));
        o.end();
        match row.value {
            Number::Whole(n) => o.number("value", n),
            ratio => o.text("value", &ratio),
        }
        o.end();
    });
    o.end();
}

/// What subscribers and listeners are told: the same as the owner's scripts.
pub fn hook(o: &mut dyn Out, hook: &Hook) {
    o.text("action", &hook.action);
    o.text("reason", &hook.reason);
    table(o, &hook.table);
    match &hook.culprit {
        Some(culprit) => o.text("culprit", culprit),
        None => o.null("culprit"),
    }
}
