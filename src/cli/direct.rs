//! The verbs without a daemon: straight to the kernel, by the same passes.

use crate::daemon::act::{self, Trim, TrimStep};
use crate::daemon::clock::Moment;
use crate::daemon::kernel::counters::Counters;
use crate::daemon::kernel::reader::Progress;
use crate::daemon::root::{MAX, Root};
use crate::daemon::work::{Purpose, Work};
use ctwarden::config::Config;
use ctwarden::protocol::{By, Done, Selection, Top};
use ctwarden::rung::Rung;
use ctwarden::units::Entries;
use nix::errno::Errno;
use nix::fcntl::OFlag;

/// No ctnetlink: the proc text is read instead.
fn has_no_ctnetlink(e: Errno) -> bool {
    matches!(e, Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EOPNOTSUPP)
}

/// Why there is no count: no such file, none that may be read, or EBADMSG for one that holds no number.
pub fn no_table(root: &Root) -> Errno {
    root.open(MAX, OFlag::O_RDONLY).map_or_else(|e| e, |_| Errno::EBADMSG)
}

pub fn top(root: &Root, by: By, rows: u8, exact: bool) -> Result<Top, Errno> {
    let mut work = Work::new(root);
    let count = Counters::new().count(root).ok_or_else(|| no_table(root))?;
    work.read_timeouts(root);
    let config = Config::default();
    let mut census = || {
        let mut pass = work.begin(Purpose::Census { by, exact }, root, count)?;
        while pass.step(&mut work, &config)? == Progress::More {}
        pass.end(&mut work)
    };
    match census() {
        Err(e) if has_no_ctnetlink(e) => {
            work.without_netlink();
            let mut pass = work.begin(Purpose::Census { by, exact }, root, count)?;
            while pass.step(&mut work, &config)? == Progress::More {}
        }
        other => other?,
    }
    Ok(work.top(by, rows as usize, count))
}

pub fn trim(root: &Root, config: &Config, selection: Selection) -> Result<Done, Errno> {
    let began = Moment::now();
    let mut work = Work::new(root);
    let mut counters = Counters::new();
    let before = counters.count(root).ok_or_else(|| no_table(root))?;
    let dry = config.dry_run;
    let (mut steps, mut would) = ([0; 5], 0);
    // Not even asked for when dry: the kernel would do it at once.
    let in_kernel = if dry { None } else { act::trim_in_kernel(selection, config, &mut work) };
    if let Some(result) = in_kernel {
        result?;
    } else {
        let mut trim = Trim::begin(selection, false, dry, &mut work, root, before)?;
        loop {
            // Planned is one step more.
            if let TrimStep::Done(taken) = trim.step(&mut work, config, root, &mut counters)? {
                steps = if selection == Selection::Level { taken } else { steps };
                would = trim.would;
                break;
            }
        }
        trim.end(&mut work)?;
    }
    let after = if dry { before.less(Entries(would)) } else { counters.count(root).unwrap_or(before) };
    let what = if selection == Selection::All { Rung::Flush } else { Rung::Trim };
    Ok(Done { what, before, after, took: began.ago(), steps, dry })
}

pub fn flush(root: &Root, config: &Config) -> Result<Done, Errno> {
    if config.dry_run {
        return trim(root, config, Selection::All);
    }
    let began = Moment::now();
    let mut work = Work::new(root);
    let mut counters = Counters::new();
    let before = counters.count(root).ok_or_else(|| no_table(root))?;
    let after = act::flush(root, config, &mut work, &mut counters, &mut || {})?.0;
    Ok(Done { what: Rung::Flush, before, after, took: began.ago(), steps: [0; 5], dry: false })
}
