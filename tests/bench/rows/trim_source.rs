//! `ctwarden trim --source` against `conntrack -D -s`: 125,000 of 250,000 entries are one source's.

use std::net::IpAddr;
use std::process::Command;
use std::time::Instant;

use nix::sys::utsname::uname;

use super::{BUCKETS, ENTRIES, Options, ROOM};
use crate::Outcome;
use crate::ctnetlink::Socket;
use crate::fill::{HOG, Plan};
use crate::host::{Host, expect_count, timed};
use crate::paired::{Must, Pair, Row, alternate, median};
use crate::warden::{Config, Warden};

/// Linux deletes by CTA_FILTER since this version.
const FILTERED_DELETE: (u32, u32) = (6, 12);

fn kernel() -> Outcome<(u32, u32)> {
    let release = uname().map_err(|e| format!("uname: {e}"))?.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    numbers.next().zip(numbers.next()).ok_or_else(|| format!("kernel release {release:?}"))
}

pub fn rows(host: &mut Host, options: &Options) -> Outcome<Vec<Row>> {
    let table = host.table(ROOM, BUCKETS)?;
    let warden = Warden::new(&options.ctwarden, &table, Config::default())?;
    let plan = Plan::one_hog(ENTRIES);
    plan.fill()?;
    let hog = HOG.to_string();
    let measured = |command: &mut dyn FnMut() -> Command| {
        plan.refill(IpAddr::V4(HOG))?;
        let mut command = command();
        let took = timed(&mut command)?;
        expect_count(&format!("after {:?}", command.get_program()), ENTRIES / 2, 0)?;
        Ok(took)
    };
    let mut ours = || warden.call(&["trim", "--source", &hog]);
    let mut unfiltered = || {
        let mut command = warden.call(&["trim", "--source", &hog]);
        command.env("CTWARDEN_NO_FILTER", "1");
        command
    };
    let mut theirs = || {
        let mut command = Command::new("conntrack");
        command.args(["-D", "-s", &hog]);
        command
    };
    let mut rows = Vec::new();
    if kernel()? >= FILTERED_DELETE {
        // Nearly all of it is the kernel's walk through memory, conntrack's is system calls: how the two compare is a
        // machine's own (9 x on one, 6 x on another). So the bare request is measured in the same rounds.
        let mut bare = Vec::new();
        let pairs = alternate(
            options.rounds,
            || measured(&mut ours),
            || {
                plan.refill(IpAddr::V4(HOG))?;
                let start = Instant::now();
                Socket::open()?.delete_source(HOG)?;
                let alone = start.elapsed();
                let theirs = measured(&mut theirs)?;
                bare.push(Pair { ours: alone, theirs });
                Ok(theirs)
            },
        )?;
        let mut ratios: Vec<f64> = bare.iter().map(|p| p.theirs.as_secs_f64() / p.ours.as_secs_f64()).collect();
        let must = Must::FasterOf { bound: 7.0, of: 9.0, allows: median(&mut ratios) };
        rows.push(must.row("trim --source, 125,000 of 250,000", "", "conntrack -D -s", &pairs));
        let beside: Vec<Pair> = pairs.iter().zip(&bare).map(|(p, b)| Pair { ours: p.ours, theirs: b.ours }).collect();
        rows.push(Must::Within(1.15).row("  beside the kernel's own work", "", "bare CTA_FILTER request", &beside));
    } else {
        println!("trim --source in the kernel: needs Linux {}.{}, not measured", FILTERED_DELETE.0, FILTERED_DELETE.1);
    }
    let pairs = alternate(options.rounds, || measured(&mut unfiltered), || measured(&mut theirs))?;
    rows.push(Must::Faster(1.5).row("the same without the kernel's filter", "", "conntrack -D -s", &pairs));
    Ok(rows)
}
