//! Answers as JSON. Shares are in hundredths of a percent, occupancies in permille, times in milliseconds.

use super::json::{Json, print};
use super::size::explain;
use crate::daemon::emergency::impossible;
use crate::daemon::root::Root;
use crate::daemon::sysctl;
use ctwarden::detect::{Evidence, Table};
use ctwarden::incident::Incident;
use ctwarden::lease::Backend;
use ctwarden::observe::tally::Basis;
use ctwarden::protocol::{Done, Of, Status, Top, Windows};
use ctwarden::sizing::Plan;

fn table(j: &mut Json<'_>, t: &Table) {
    j.object("table", &mut |j| {
        j.bare("count", &t.count);
        j.bare("max", &t.max);
        j.bare("buckets", &t.buckets);
    });
    j.bare("occupancy", &t.occupancy().0);
}

fn evidence(j: &mut Json<'_>, e: &Evidence) {
    j.text("verdict", &e.verdict);
    j.bare("since", &e.since.0);
    table(j, &e.table);
    j.bare("refused", &e.refused);
    j.bare("fill_rate", &e.fill_rate);
    j.bare("full_for", &e.full_for.0);
}

pub fn status(s: &Status) {
    print(&mut |j| {
        j.bare("daemon", &true);
        j.text("version", &s.version);
        j.bare("pid", &s.pid);
        j.bare("uptime", &s.uptime.0);
        evidence(j, &s.evidence);
        j.bare("dry_run", &s.dry_run);
        for (name, rungs) in [("ladder", &s.ladder), ("unusable", &s.unusable)] {
            j.array(name, &mut |j| rungs.iter().for_each(|r| j.text("", &r.name())));
        }
        j.maybe("max_before", s.max_before.map(|m| m.0));
        j.object("windows", &mut |j| window(j, &s.windows));
        j.bare("flushes", &s.flushes.0);
        j.bare("flushes_per_hour", &s.flushes.1);
        match &s.incident {
            Some(i) => j.object("incident", &mut |j| incident(j, i)),
            None => j.bare("incident", &"null"),
        }
        j.bare("log_readable", &s.log_readable);
        j.bare("longest_blind_us", &s.longest_blind_us);
        j.maybe("allocations", s.allocations);
    });
}

fn window(j: &mut Json<'_>, w: &Windows) {
    j.text("backend", &w.backend.name());
    j.bare("ready", &w.ready);
    j.bare("needs_somebody", &(w.backend != Backend::None && !w.backend.has_leases()));
    j.text("lifeline", &w.lifeline);
    match w.open {
        Some((scope, left)) => j.object("open", &mut |j| {
            j.text("scope", &scope.name());
            j.bare("left", &left.0);
            j.text("impossible", &impossible(scope));
        }),
        None => j.bare("open", &"null"),
    }
    j.bare("shedding", &w.shedding);
}

pub fn windows(w: &Windows) {
    print(&mut |j| window(j, w));
}

/// Status without a daemon.
pub fn bare(t: &Table) {
    print(&mut |j| {
        j.bare("daemon", &false);
        table(j, t);
    });
}

fn incident(j: &mut Json<'_>, i: &Incident) {
    j.bare("number", &i.number);
    j.bare("began", &i.began.0);
    match i.ended {
        Some(ended) => j.bare("ended", &ended.0),
        None => j.bare("ended", &"null"),
    }
    j.text("worst", &i.worst);
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
        j.bare(name, &n);
    }
    for (name, culprits) in [("sources", &i.culprits.sources), ("destinations", &i.culprits.destinations)] {
        j.array(name, &mut |j| {
            for c in culprits {
                j.object("", &mut |j| {
                    j.text("key", &c.key);
                    j.bare("share", &(u32::from(c.share.0) * 10));
                });
            }
        });
    }
}

pub fn log(incidents: &[Incident]) {
    print(&mut |j| j.array("incidents", &mut |j| incidents.iter().for_each(|i| j.object("", &mut |j| incident(j, i)))));
}

pub fn top(t: &Top) {
    print(&mut |j| {
        j.text("by", &t.by.name());
        j.bare("exact", &(t.basis == Basis::Exact));
        if let Basis::Sample { read, of } = t.basis {
            j.bare("read", &read);
            j.bare("of", &of);
        }
        j.bare("interrupted", &t.interrupted);
        j.bare("count", &t.count);
        for (name, of) in [("rows", Of::Who), ("protocols", Of::Protocols), ("idle", Of::Idle)] {
            j.array(name, &mut |j| {
                for r in t.rows.iter().filter(|r| r.key.of() == of) {
                    j.object("", &mut |j| {
                        j.text("key", &r.key);
                        j.bare("entries", &r.tally.entries);
                        j.bare("share", &r.tally.share.0);
                        j.bare("error", &r.tally.standard_error.0);
                        j.bare("at_most", &r.at_most);
                    });
                }
            });
        }
    });
}

pub fn done(d: &Done) {
    print(&mut |j| {
        j.bare("before", &d.before);
        j.bare("after", &d.after);
        j.bare("took", &d.took.0);
        j.bare("dry_run", &d.dry);
        j.array("steps", &mut |j| d.steps.iter().for_each(|n| j.bare("", n)));
    });
}

pub fn plan(p: &Plan, root: &Root) {
    print(&mut |j| {
        j.bare("max", &p.max);
        j.bare("buckets", &p.buckets);
        j.maybe("set_max", p.set_max.map(|m| m.0));
        j.maybe("set_buckets", p.set_buckets.map(|b| b.0));
        j.bare("cost_kib", &p.cost.0);
        j.array("steps", &mut |j| {
            let j = std::cell::RefCell::new(j);
            for step in &p.steps {
                explain(step, &|what, value, why| {
                    j.borrow_mut().object("", &mut |j| {
                        j.text("what", &what.trim_start());
                        j.text("value", &value);
                        j.text("why", &why);
                    });
                });
            }
        });
        j.array("files", &mut |j| {
            sysctl::each(root, &mut |set| {
                j.object("", &mut |j| {
                    j.text("file", set.file);
                    j.bare("line", &set.line);
                    j.text("name", &set.what.key);
                    j.bare("value", &set.what.value);
                    j.bare("wins", &set.wins);
                });
            });
        });
    });
}
