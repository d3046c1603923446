//! What `--json` prints: one object, one line.

use super::size::explain;
use super::text::print_whole;
use crate::daemon::root::Root;
use crate::daemon::sysctl;
use ctwarden::describe;
use ctwarden::detect::Table;
use ctwarden::out::{Fill, Json, Out};
use ctwarden::sizing::Plan;
use std::cell::RefCell;

/// Prints one object.
pub fn print(fill: Fill<'_>) {
    print_whole(&mut |to| {
        Json::object(to, fill);
        let _ = to.write_char('\n');
    });
}

/// Status without a daemon.
pub fn bare(t: &Table) {
    print(&|o| {
        o.flag("daemon", false);
        describe::table(o, t);
    });
}

/// A plan, every number explained.
pub fn plan(o: &mut dyn Out, p: &Plan) {
    o.number("max", p.max.0);
    o.number("buckets", p.buckets.0);
    o.maybe("set_max", p.set_max.map(|m| m.0));
    o.maybe("set_buckets", p.set_buckets.map(|b| b.0));
    o.number("cost_kib", p.cost.0);
    o.array("steps");
    let told = RefCell::new(&mut *o);
    for step in &p.steps {
        explain(step, &|what, value, why| {
            let mut o = told.borrow_mut();
            o.object("");
            o.text("what", &what.trim_start());
            o.text("value", &value);
            o.text("why", &why);
            o.end();
        });
    }
    o.end();
}

/// The lines of sysctl files that set a limit at boot.
pub fn files(o: &mut dyn Out, root: &Root) {
    o.array("files");
    sysctl::each(root, &mut |set| {
        o.object("");
        o.text("file", set.file);
        o.number("line", set.line);
        o.text("name", &set.what.key);
        o.number("value", set.what.value.0);
        o.flag("wins", set.wins);
        o.end();
    });
    o.end();
}
