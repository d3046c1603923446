//! `top`, sampled and exact, against what people type today and against the kernel's own cost of a dump.

use std::net::IpAddr;
use std::process::Command;

use super::{BUCKETS, ENTRIES, Options, ROOM};
use crate::Outcome;
use crate::fill::{Plan, truth};
use crate::host::{Host, expect_count, output_of, own_path, timed};
use crate::paired::{Must, Row, alternate};
use crate::warden::{Config, Share, Warden, shares};

/// Who holds most, as people find out today: both families, counted in awk (faster than `sort | uniq -c`).
pub const PIPELINE: &str = "conntrack -L 2>/dev/null | awk '{ for (i = 4; i < 8; i++) if (substr($i, 1, 4) == \"src=\") \
                            { n[$i]++; break } } END { for (s in n) print n[s], s }' | sort -rn | head";

pub fn rows(host: &mut Host, options: &Options) -> Outcome<Vec<Row>> {
    let table = host.table(ROOM, BUCKETS)?;
    let warden = Warden::new(&options.ctwarden, &table, Config::default())?;
    Plan::shares(ENTRIES).fill()?;
    let ours = || timed(&mut warden.call(&["top"]));
    let pairs = alternate(options.rounds, ours, || timed(Command::new("sh").args(["-c", PIPELINE])))?;
    let mut rows =
        vec![Must::Faster(50.0).row("top (sampled), 250,000 entries", "", "conntrack -L | awk | sort", &pairs)];

    rows.push(accuracy(&shares(&output_of(&mut warden.call(&["top", "-n", "20", "--json"]))?)?)?);

    let ours = || timed(&mut warden.call(&["top", "--exact"]));
    let own = own_path()?;
    let pairs = alternate(options.rounds, ours, || timed(Command::new(&own).arg("bare-dump")))?;
    rows.push(Must::Within(1.3).row("top --exact, 250,000 entries", "", "bare dump", &pairs));
    rows.push(exactness(&shares(&output_of(&mut warden.call(&["top", "--exact", "-n", "20", "--json"]))?)?)?);
    expect_count("after looking only", ENTRIES, 0)?;
    Ok(rows)
}

/// Every holder of 1 % or more, with what `top` says of it.
fn big_holders(said: &[Share]) -> Outcome<Vec<(f64, Option<&Share>)>> {
    let of = |holder: &IpAddr| said.iter().find(|s| s.key.parse() == Ok(*holder));
    let held = truth()?;
    let all = f64::from(held.values().sum::<u32>());
    let big =
        held.iter().map(|(holder, n)| (f64::from(*n) * 100.0 / all, of(holder))).filter(|(percent, _)| *percent >= 1.0);
    Ok(big.collect())
}

/// Is every share of 1 % or more within 3 stated standard errors of the truth, and none of those above 1 point?
fn accuracy(said: &[Share]) -> Outcome<Row> {
    let (what, must) = ("  its shares of 1 % and more", "<= 3 s.e., s.e. <= 1 point");
    let (mut worst, mut widest, mut missed) = (0f64, 0f64, 0);
    for (percent, share) in big_holders(said)? {
        match share {
            Some(share) => {
                worst = worst.max((share.percent - percent).abs() / share.error.max(1e-9));
                widest = widest.max(share.error);
            }
            None => missed += 1,
        }
    }
    let result = format!("off by {worst:.1} s.e. at most, s.e. {widest:.2} points at most, {missed} missed");
    Ok(Row::limit(what, String::new(), result, must, worst <= 3.0 && widest <= 1.0 && missed == 0))
}

/// The exact census has to be exact: 0.01 points is what two decimals can say.
fn exactness(said: &[Share]) -> Outcome<Row> {
    let big = big_holders(said)?;
    let off =
        big.iter().map(|(percent, share)| share.map_or(100.0, |s| (s.percent - percent).abs())).fold(0.0, f64::max);
    let result = format!("off by {off:.3} points at most, of {} holders", big.len());
    Ok(Row::limit("  its shares of 1 % and more", String::new(), result, "<= 0.01 points", off <= 0.01))
}
