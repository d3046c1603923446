//! `size`: what max should be here, every number explained; sets it and keeps it on request.

use super::Place;
use super::check::load_or_complain;
use super::exit::{Exit, Why, complain_of};
use super::show_json;
use super::text::{Grouped, complain, print};
use crate::daemon::kernel::counters::Counters;
use crate::daemon::root::{MAX, MAX_NEW_NAMES, SYSCTL_FRAGMENT};
use crate::daemon::system;
use ctwarden::board;
use ctwarden::journal::Setting;
use ctwarden::sizing::{self, CeilingOf, Found, Plan, Step};
use ctwarden::units::{Entries, Kib};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{fsync, unlink, write};
use std::fmt::Write as _;

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
    if let Some(mib) = ram_mib {
        machine.mem_total = Kib(mib.saturating_mul(1024));
        machine.mem_available = machine.mem_total;
    }
    let plan = sizing::plan(&machine, &config.sizing, found.as_ref().filter(|_| !other));
    if json {
        show_json::plan(&plan);
    } else {
        explain_plan(&plan, found.as_ref(), machine.board);
    }
    if (apply || save) && other {
        complain(format_args!("--ram and --board are for thinking aloud: not applied to this machine"));
        return Exit::Usage;
    }
    if apply && let Err(e) = set(place, &plan) {
        return complain_of(e);
    }
    if save && let Err(e) = keep(place, plan.max) {
        complain(format_args!("/{SYSCTL_FRAGMENT}: {}", Why(e)));
        return if e == Errno::EACCES { Exit::NotPermitted } else { Exit::Fault };
    }
    Exit::Done
}

fn explain_plan(plan: &Plan, found: Option<&Found>, board: Option<&board::Board>) {
    if let Some(board) = board {
        print(format_args!("board       {} ({})", board.name, board.class.name));
    }
    for step in &plan.steps {
        print(format_args!("{}", Told(step)));
    }
    print(format_args!("max         {}", Grouped(plan.max.0)));
    print(format_args!("buckets     {}", Grouped(plan.buckets.0)));
    if let Some(f) = found {
        let buckets = f.buckets.unwrap_or(Entries(0));
        print(format_args!(
            "now         max {}, buckets {}, {} entries",
            Grouped(f.max.0),
            Grouped(buckets.0),
            Grouped(f.count.0)
        ));
    } else {
        print(format_args!("now         no connection tracking loaded; it is set when it appears"));
    }
}

pub struct Told<'a>(pub &'a Step);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |kib: Kib| Mib(kib);
        match *self.0 {
            Step::Ram(kib) => write!(f, "  RAM                      {}", mb(kib)),
            Step::RamUnknown => write!(f, "  RAM cannot be read: nothing is computed, nothing lowered"),
            Step::LowMemory(kib) => write!(f, "  of it low memory         {} (32-bit kernel)", mb(kib)),
            Step::System { class, part } => write!(f, "  - the system itself      {} (RAM class {class})", mb(part)),
            Step::Taken { class, what, kib, source } => {
                write!(f, "  - {:<22} {} ({class}: {source})", what.name(), mb(kib))
            }
            Step::Spare(kib) => write!(f, "  = spare                  {}", mb(kib)),
            Step::Share { percent, kib } => write!(f, "  x ram_percent {percent:<9}  {}", mb(kib)),
            Step::EntryCost { bytes, bucket, measured } => {
                let how = if measured { "measured in /proc/slabinfo" } else { "assumed" };
                write!(f, "  / an entry               {bytes} bytes ({how}) and a bucket of {bucket}")
            }
            Step::Raw(n) => write!(f, "  = entries                {}", Grouped(n.0)),
            Step::Fixed(n) => write!(f, "  the config fixes it      {}", Grouped(n.0)),
            Step::Floor(n) => write!(f, "  raised to the floor      {}", Grouped(n.0)),
            Step::Ceiling { to, of: CeilingOf::Policy } => write!(f, "  lowered to the ceiling   {}", Grouped(to.0)),
            Step::Ceiling { to, of: CeilingOf::Board(name) } => {
                write!(f, "  lowered to what {name} bears   {}", Grouped(to.0))
            }
            Step::FoundKept(n) => write!(f, "  the system has more      {} (kept)", Grouped(n.0)),
            Step::FoundLowered(n) => write!(f, "  the system has more      {} (lowered: enforce is on)", Grouped(n.0)),
            Step::FoundUnlimited => write!(f, "  the system has no limit: it counts as not set"),
            Step::WholePage(n) => write!(f, "  raised to a whole page   {} (buckets come in pages)", Grouped(n.0)),
            Step::BucketsKept(n) => write!(f, "  buckets fit              {}", Grouped(n.0)),
            Step::BucketsFixed(n) => write!(f, "  buckets by the config    {}", Grouped(n.0)),
            Step::BucketsDense(n) => write!(
                f,
                "  buckets as many as max   {} (a dense table heals itself of unanswered floods)",
                Grouped(n.0)
            ),
            Step::BucketsForMax(n) => {
                write!(f, "  buckets for that max     {} (buckets <= max <= 8 x buckets)", Grouped(n.0))
            }
            Step::BucketsUnknown => write!(f, "  buckets cannot be read: left alone"),
            Step::BucketsLater { want, count } => {
                write!(
                    f,
                    "  buckets later            {} (a resize stops packets while there are {} entries)",
                    Grouped(want.0),
                    Grouped(count.0)
                )
            }
            Step::Chains(n) => {
                write!(f, "  lowered for the buckets  {} (8 a bucket: longer chains lose flows)", Grouped(n.0))
            }
            Step::Cost { entries, buckets, of_ram } => {
                write!(
                    f,
                    "  full, it costs           {} and {} of buckets: {of_ram} of the RAM",
                    mb(entries),
                    mb(buckets)
                )
            }
            Step::Tight { room } => write!(f, "  only {} is available now less the reserve", mb(room)),
        }
    }
}

/// Megabytes with one decimal.
struct Mib(Kib);

impl std::fmt::Display for Mib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0.0 as u64 * 10 + 512) / 1024;
        write!(f, "{}.{} MB", tenths / 10, tenths % 10)
    }
}

/// Sets what the plan says, buckets first. It stays: no daemon puts back what an owner asked for.
fn set(place: &Place, plan: &Plan) -> Result<(), Errno> {
    for (setting, to) in [(Setting::Buckets, plan.set_buckets), (Setting::Max, plan.set_max)] {
        let Some(to) = to else { continue };
        let from = system::value(&place.root, setting).ok_or(Errno::ENOENT)?;
        let names = system::names(setting);
        place.root.write_number(names, to.0)?;
        let now = system::value(&place.root, setting).unwrap_or(from);
        print(format_args!("{} set from {} to {}", setting.name(), Grouped(from.0), Grouped(now.0)));
    }
    Ok(())
}

/// Writes the sysctl.d fragment, whole or not at all.
fn keep(place: &Place, max: Entries) -> Result<(), Errno> {
    let root = &place.root;
    let legacy = root.open(&MAX[..MAX_NEW_NAMES], OFlag::O_RDONLY).is_err() && root.open(MAX, OFlag::O_RDONLY).is_ok();
    let key = if legacy { "net.ipv4.netfilter.ip_conntrack_max" } else { "net.netfilter.nf_conntrack_max" };
    let (path, fresh) = (root.path(&[SYSCTL_FRAGMENT]), root.path(&[SYSCTL_FRAGMENT, ".new"]));
    let mut text = heapless::String::<160>::new();
    let _ = writeln!(text, "# written by: ctwarden size --save\n{key}={max}");
    let fd = open(fresh.as_str(), OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC, Mode::from_bits_truncate(0o644))?;
    let whole = write(&fd, text.as_bytes()).is_ok_and(|n| n == text.len()) && fsync(&fd).is_ok();
    if !whole {
        let _ = unlink(fresh.as_str());
        return Err(Errno::EIO);
    }
    renameat(AT_FDCWD, fresh.as_str(), AT_FDCWD, path.as_str())?;
    print(format_args!("kept in {path}"));
    Ok(())
}
