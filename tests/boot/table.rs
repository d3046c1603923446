//! The table as the kernel shows it, read apart from the program under test.

use std::fs;

use crate::Outcome;
use crate::machine::number;

const FOLDER: &str = "/proc/sys/net/netfilter/nf_conntrack_";
const TEXT: &str = "/proc/net/nf_conntrack";
const STAT: &str = "/proc/net/stat/nf_conntrack";

pub fn there() -> bool {
    number(&format!("{FOLDER}max")).is_some()
}

fn sysctl(name: &str) -> Outcome<u32> {
    number(&format!("{FOLDER}{name}")).ok_or_else(|| format!("nf_conntrack_{name} cannot be read"))
}

pub fn count() -> Outcome<u32> {
    sysctl("count")
}

/// Max and buckets.
#[derive(Clone, Copy, PartialEq)]
pub struct Limits {
    pub max: u32,
    pub buckets: u32,
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "max {}, {} buckets", self.max, self.buckets)
    }
}

pub fn limits() -> Outcome<Limits> {
    Ok(Limits { max: sysctl("max")?, buckets: sysctl("buckets")? })
}

/// Packets refused since the module was loaded: the `drop` column, a row a CPU.
pub fn refused() -> Outcome<u32> {
    let text = fs::read_to_string(STAT).map_err(|e| format!("{STAT}: {e}"))?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|n| n == "drop").ok_or("no drop column")?;
    let value = |l: &str| u32::from_str_radix(l.split_whitespace().nth(column)?, 16).ok();
    Ok(lines.filter_map(value).sum())
}

/// How many entries have a first tuple that begins with this source.
pub fn held_by(source: &str) -> Outcome<u32> {
    let text = fs::read_to_string(TEXT).map_err(|e| format!("{TEXT}: {e}"))?;
    let of = |l: &&str| l.split(" src=").nth(1).is_some_and(|rest| rest.starts_with(source));
    Ok(text.lines().filter(of).count() as u32)
}
