//! What the daemon costs a router that has nothing to spare: system calls while nothing happens, heap, memory.
//! `tests/footprint/run` builds what is measured and starts this.

mod allocations;
mod idle;
mod memory;

use std::path::PathBuf;

use crate::host::Host;
use crate::paired;
use crate::{Outcome, USAGE, must_be_there, rows_of};

pub fn run(args: &[String]) -> Outcome<bool> {
    let mut shipped = PathBuf::from("target/cross/ctwarden-x86_64");
    let mut counting = PathBuf::from("target/counting/release/ctwarden");
    let mut wanted = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--static" => shipped = words.next().ok_or(USAGE)?.into(),
            "--counting" => counting = words.next().ok_or(USAGE)?.into(),
            name @ ("idle" | "allocations" | "memory") => wanted.push(name),
            _ => return Err(USAGE.into()),
        }
    }
    if wanted.is_empty() {
        wanted.extend(["idle", "allocations", "memory"]);
    }
    must_be_there(&shipped)?;
    must_be_there(&counting)?;
    let mut host = Host::enter()?;
    let mut rows = Vec::new();
    for name in wanted {
        rows.extend(rows_of(name, || match name {
            "idle" => idle::rows(&mut host, &shipped),
            "allocations" => allocations::rows(&mut host, &counting),
            _ => memory::rows(&mut host, &shipped),
        }));
    }
    Ok(paired::print(&rows))
}
