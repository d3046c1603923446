//! `size`: what max should be here, every number explained; sets it and keeps it on request.

use super::Place;
use super::check::load_or_complain;
use super::exit::{Exit, Why, complain_of};
use super::show_json;
use super::text::{Grouped, cell, complain, print};
use crate::daemon::kernel::counters::Counters;
use crate::daemon::root::{MAX, SYSCTL_FRAGMENT, terminated};
use crate::daemon::statefile::{make_folders, put_whole};
use crate::daemon::sysctl::{self, Set};
use crate::daemon::system;
use ctwarden::board;
use ctwarden::journal::Setting;
use ctwarden::sizing::{self, CeilingOf, Found, Plan, Step};
use ctwarden::units::{Entries, Kib};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::fsync;
use std::fmt::{self, Write as _};

#[inline(never)]
pub fn run(place: &Place, ram_mib: Option<u32>, board_name: Option<&str>, apply: bool, save: bool, json: bool) -> Exit {
    let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
    if let Some(name) = board_name
        && board::by_name(name).is_none()
    {
        complain(format_args!("--board '{name}': not listed; its RAM class will do"));
    }
    let mut machine = system::machine(&place.root, board_name);
    let found = system::found(&place.root, &mut Counters::new());
    // A machine that is only thought of has no table yet.
    let other = ram_mib.is_some() || board_name.is_some();
    if other && (apply || save) {
        complain(format_args!("--ram and --board are for thinking aloud: not applied to this machine"));
        return Exit::Usage;
    }
    // Numbers that are there and make no sense are no ground for a plan.
    if !other && found.is_none() && place.root.open(MAX, OFlag::O_RDONLY).is_ok() {
        return complain_of(Errno::EBADMSG);
    }
    if let Some(mib) = ram_mib {
        machine.mem_total = Kib(mib.saturating_mul(1024));
        machine.mem_available = machine.mem_total;
    }
    let file = sysctl::owners_max(&place.root).filter(|_| !other);
    let plan = sizing::plan_beside(file, &machine, &config.sizing, found.as_ref().filter(|_| !other));
    if json {
        show_json::print(&|o| {
            show_json::plan(o, &plan);
            show_json::files(o, &place.root);
        });
    } else {
        explain_plan(&plan, found.as_ref(), other, machine.board);
        if !other {
            sysctl::each(&place.root, &mut |set| at_boot(set));
        }
    }
    // With --json the plan is the whole answer.
    let say = |text: fmt::Arguments<'_>| {
        if !json {
            print(text)
        }
    };
    if apply && let Err(e) = set(place, &plan, &say) {
        return complain_of(e);
    }
    if save && let Err(e) = keep(place, plan.max, &say) {
        complain(format_args!("{}: {}", place.root.path(&[SYSCTL_FRAGMENT]), Why(e)));
        return if e == Errno::EACCES { Exit::NotPermitted } else { Exit::Fault };
    }
    Exit::Done
}

fn explain_plan(plan: &Plan, found: Option<&Found>, other: bool, board: Option<board::Board>) {
    match board {
        Some(board) => {
            let name = if board.name.is_empty() { "not listed, known by its radios" } else { board.name };
            print(format_args!("{:<26}{:>12}  {name}", "board", board.class.name));
        }
        None => row("board", format_args!("-"), format_args!("not listed: what radios take is not counted")),
    }
    for step in &plan.steps {
        explain(step, &row);
    }
    let buckets = found.and_then(|f| f.buckets);
    for (what, n, now, set) in
        [("max", plan.max, found.map(|f| f.max), plan.set_max), ("buckets", plan.buckets, buckets, plan.set_buckets)]
    {
        let n = format_args!("{}", Grouped(n.0));
        match now.filter(|_| !other) {
            _ if other => row(what, n, format_args!("")),
            None if found.is_none() => row(what, n, format_args!("once connection tracking is loaded")),
            None => row(what, format_args!("-"), format_args!("not known here")),
            Some(_) if set.is_none() => row(what, n, format_args!("as it is")),
            Some(now) => row(what, n, format_args!("now {}", Grouped(now.0))),
        }
    }
}

/// A file that sets a limit.
fn at_boot(set: &Set<'_>) {
    let what = if set.what.setting == Setting::Max { "max" } else { "buckets" };
    let effect = match set {
        Set { counts: false, .. } => "; no such name in this kernel",
        Set { wins: true, .. } => "; the last one: it wins",
        _ => "",
    };
    let value = format_args!("{}", Grouped(set.what.value.0));
    row("at boot", value, format_args!("{what}, by {}:{}{effect}", set.file, set.line));
}

/// What, how much, and why.
fn row(what: &str, value: fmt::Arguments<'_>, why: fmt::Arguments<'_>) {
    let value = cell(value);
    match why.as_str() {
        Some("") => print(format_args!("{what:<26}{value:>12}")),
        _ => print(format_args!("{what:<26}{value:>12}  {why}")),
    }
}

/// Where a step is told: what it is, its value, and why.
pub type Tell<'a> = &'a dyn Fn(&str, fmt::Arguments<'_>, fmt::Arguments<'_>);

/// One step of the plan, for the table or for JSON.
pub fn explain(step: &Step, row: Tell<'_>) {
    let memory = |what: &str, kib: Kib, why: fmt::Arguments<'_>| row(what, format_args!("{}", Memory(kib)), why);
    let entries = |what: &str, n: Entries, why: fmt::Arguments<'_>| row(what, format_args!("{}", Grouped(n.0)), why);
    let none = format_args!("");
    match *step {
        Step::Ram(kib) => memory("  RAM", kib, none),
        Step::RamUnknown => {
            row("  RAM", format_args!("-"), format_args!("cannot be read: nothing is computed from it"))
        }
        Step::LowMemory(kib) => {
            memory("  of it low memory", kib, format_args!("all that a 32-bit kernel has for this"))
        }
        Step::System { class, part } => memory("  - the system itself", part, format_args!("RAM class {class}")),
        Step::Taken { class, what, kib, source } => {
            memory(&cell(format_args!("  - {}", what.name())), kib, format_args!("{class}: {source}"))
        }
        Step::Spare(kib) => memory("  = spare", kib, none),
        Step::Share { percent, kib } => memory(&cell(format_args!("  x {percent}")), kib, format_args!("ram_percent")),
        Step::EntryCost { bytes, bucket, measured } => {
            let how = if measured { "measured in /proc/slabinfo" } else { "assumed" };
            row("  / an entry", format_args!("{bytes} B"), format_args!("{how}; and {bucket} B for a bucket"))
        }
        Step::Raw(n) => entries("  = entries", n, none),
        Step::Fixed(n) => entries("  fixed by the config", n, none),
        Step::Floor(n) => entries("  raised to the floor", n, none),
        Step::Ceiling { to, of: CeilingOf::Policy } => entries("  lowered to the ceiling", to, none),
        Step::Ceiling { to, of: CeilingOf::Board(name) } => {
            entries("  lowered to the ceiling", to, format_args!("what {name} bears"))
        }
        Step::FoundKept(n) => entries("  the system has more", n, format_args!("kept")),
        Step::FoundLowered(n) => entries("  the system has more", n, format_args!("lowered: enforce is on")),
        Step::FileKept(n) => entries("  a sysctl file has more", n, format_args!("kept")),
        Step::FoundUnlimited => row("  the system has no limit", format_args!("-"), format_args!("counts as not set")),
        Step::WholePage(n) => entries("  raised to a whole page", n, format_args!("buckets come in pages")),
        Step::BucketsKept(n) => entries("  buckets that fit it", n, none),
        Step::BucketsFixed(n) => entries("  buckets by the config", n, none),
        Step::BucketsDense(n) => {
            entries("  buckets as many as max", n, format_args!("a dense table heals itself of unanswered floods"))
        }
        Step::BucketsForMax(n) => entries("  buckets for that max", n, format_args!("buckets <= max <= 8 x buckets")),
        Step::BucketsUnknown => row("  buckets", format_args!("-"), format_args!("cannot be read: left alone")),
        Step::BucketsLater { want, count } => entries(
            "  but buckets later",
            want,
            format_args!("a resize stops packets, and there are {} entries", Grouped(count.0)),
        ),
        Step::Chains(n) => {
            entries("  lowered for the buckets", n, format_args!("8 a bucket: longer chains lose flows"))
        }
        Step::Cost { entries, buckets, of_ram } => memory(
            "  when full it takes",
            Kib(entries.0.saturating_add(buckets.0)),
            format_args!("{} of it buckets; {of_ram} of the RAM", Memory(buckets)),
        ),
        Step::Tight { room } => memory("  more than there is now", room, format_args!("available less the reserve")),
    }
}

/// Megabytes with one decimal; below that kilobytes.
struct Memory(Kib);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.0 < 1024 {
            return write!(f, "{} KB", self.0.0);
        }
        let tenths = (self.0.0 as u64 * 10 + 512) / 1024;
        write!(f, "{}.{} MB", tenths / 10, tenths % 10)
    }
}

/// Sets what the plan says, buckets first. It stays: no daemon puts back what an owner asked for.
fn set(place: &Place, plan: &Plan, say: &dyn Fn(fmt::Arguments<'_>)) -> Result<(), Errno> {
    for (setting, to) in [(Setting::Buckets, plan.set_buckets), (Setting::Max, plan.set_max)] {
        let Some(to) = to else { continue };
        let from = system::value(&place.root, setting).ok_or(Errno::ENOENT)?;
        let names = system::names(setting);
        place.root.write_number(names, to.0)?;
        let now = system::value(&place.root, setting).unwrap_or(from);
        say(format_args!("{} set from {} to {}", setting.name(), Grouped(from.0), Grouped(now.0)));
    }
    if plan.set_buckets.is_none() && plan.set_max.is_none() {
        say(format_args!("nothing to set"));
    }
    Ok(())
}

/// Writes the sysctl.d fragment, whole or not at all.
fn keep(place: &Place, max: Entries, say: &dyn Fn(fmt::Arguments<'_>)) -> Result<(), Errno> {
    let root = &place.root;
    // The sysctl's name is its path, and that has changed over the years.
    let there = MAX.iter().find(|name| root.open(std::slice::from_ref(*name), OFlag::O_RDONLY).is_ok());
    let mut key = heapless::String::<64>::new();
    for byte in there.unwrap_or(&MAX[0]).bytes().skip("proc/sys/".len()) {
        let _ = key.push(if byte == b'/' { '.' } else { char::from(byte) });
    }
    let path = root.path(&[SYSCTL_FRAGMENT]);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    make_folders(folder)?;
    let mut text = heapless::String::<256>::new();
    let _ = writeln!(text.as_mut_view(), "# written by: ctwarden size --save\n{key}={max}");
    put_whole(&path, 0o644, &[text.as_bytes()])?;
    // The new name is on the disk, not only what is behind it.
    open(&terminated(folder), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).and_then(fsync)?;
    say(format_args!("kept in {path}"));
    sysctl::each(root, &mut |set| {
        if set.wins && set.what.setting == Setting::Max && set.what.value != max {
            let value = Grouped(set.what.value.0);
            say(format_args!("but {}:{} comes after it and sets {value}: that wins at boot", set.file, set.line));
        }
    });
    Ok(())
}
