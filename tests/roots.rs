//! Fake systems, each a folder of files under `tests/roots`; the README there says what is in them and how to read them.
#![cfg(feature = "daemon")]

use ctwarden::board;
use ctwarden::entry::Class;
use ctwarden::observe::counters::{Stats, number};
use ctwarden::observe::kmsg::{Line, Record};
use ctwarden::observe::memory::{EntryCost, Memory};
use ctwarden::observe::proctext;
use ctwarden::sizing::{Found, Machine, Policy, plan};
use ctwarden::units::{Entries, Kib};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod expected;
use expected::{cases, differs, same};

/// Every file below `dir`, by its path from there.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree_and_links(dir).0
}

/// That, and what the links lead to.
fn tree_and_links(dir: &Path) -> (BTreeMap<PathBuf, Vec<u8>>, BTreeMap<PathBuf, PathBuf>) {
    let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
    let mut open = vec![dir.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                files.insert(path.strip_prefix(dir).unwrap().into(), fs::read(&path).unwrap());
            } else if kind.is_symlink() {
                links.insert(path.strip_prefix(dir).unwrap().into(), fs::read_link(&path).unwrap());
            }
        }
    }
    (files, links)
}

/// What a command wrote. Of short text the text, of anything else (the journal has times in it) only that it was.
fn changes(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>, out: &mut String) {
    for (path, bytes) in after {
        let verb = match before.get(path) {
            Some(old) if old == bytes => continue,
            Some(_) => "wrote",
            None => "made",
        };
        let text = std::str::from_utf8(bytes).ok().filter(|t| t.len() < 400 && !t.contains('\0'));
        let _ = writeln!(out, "{verb} {}", path.display());
        for line in text.unwrap_or_default().lines() {
            let _ = writeln!(out, "  | {line}");
        }
    }
    for path in before.keys().filter(|p| !after.contains_key(*p)) {
        let _ = writeln!(out, "removed {}", path.display());
    }
}

/// Runs the commands of one root in a copy of it.
fn run(root: &Path) -> String {
    let name = root.file_name().unwrap().to_str().unwrap();
    let copy = std::env::temp_dir().join(format!("ctwarden-root-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy).unwrap();
    let (files, links) = tree_and_links(root);
    for (path, leads_to) in links {
        fs::create_dir_all(copy.join(&path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(leads_to, copy.join(&path)).unwrap();
    }
    for (path, bytes) in files {
        if path != Path::new("cmd") && path != Path::new("expected") {
            fs::create_dir_all(copy.join(&path).parent().unwrap()).unwrap();
            fs::write(copy.join(&path), bytes).unwrap();
        }
    }
    let mut out = String::new();
    for line in fs::read_to_string(root.join("cmd")).unwrap().lines() {
        let before = tree(&copy);
        let done = Command::new(env!("CARGO_BIN_EXE_ctwarden"))
            .args(line.split_whitespace())
            .arg("--root")
            .arg(&copy)
            .current_dir(&copy)
            .env_clear()
            .output()
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(copy.to_str().unwrap(), "ROOT");
        let _ = writeln!(out, "$ ctwarden {line}");
        out += &said(&done.stdout);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        for line in said(&done.stderr).lines() {
            let _ = writeln!(out, "! {line}");
        }
        changes(&before, &tree(&copy), &mut out);
        // No code: a signal ended it, which no input may bring about.
        let _ = writeln!(out, "exit {}\n", done.status.code().map_or("none".into(), |c| c.to_string()));
    }
    let _ = fs::remove_dir_all(&copy);
    out
}

#[test]
fn each_root_says_what_is_expected() {
    let mut faults = String::new();
    for root in cases("roots") {
        let now = run(&root);
        assert!(!now.contains("panicked") && !now.contains("exit none"), "{}:\n{now}", root.display());
        faults += &differs(&root.join("expected"), &now).unwrap_or_default();
    }
    assert!(faults.is_empty(), "{faults}");
}

/// What the README shows of one of these roots.
#[test]
fn the_readme_shows_what_is_said() {
    let readme = fs::read_to_string(expected::under_tests("../README.md")).unwrap();
    let said = run(&expected::under_tests("roots/07-full-table"));
    for command in ["status", "top"] {
        let answer = said.split("$ ctwarden ").find_map(|part| part.strip_prefix(command)?.strip_prefix('\n')).unwrap();
        let answer = answer.split("exit ").next().unwrap();
        assert!(readme.contains(&format!("```text\n{answer}```")), "{command} is now:\n{answer}");
    }
}

struct Files<'a>(&'a Path);

impl Files<'_> {
    /// The first of these that is there; empty if none is.
    fn read(&self, names: &[&str]) -> Vec<u8> {
        names.iter().find_map(|n| fs::read(self.0.join(n)).ok()).unwrap_or_default()
    }

    fn sysctl(&self, name: &str) -> Option<u32> {
        let new = format!("proc/sys/net/netfilter/nf_conntrack_{name}");
        let old = format!("proc/sys/net/ipv4/netfilter/ip_conntrack_{name}");
        // Linux 2.4 had only the limit.
        let oldest = format!("proc/sys/net/ipv4/ip_conntrack_{name}");
        number(&self.read(&[&new, &old, &oldest])).ok()
    }
}

/// `-` for what cannot be read.
fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or("-".into(), |v| v.to_string())
}

/// One line of the overview: what the library's parsers make of a root, and what it would be sized to.
fn overview(root: &Path) -> String {
    let files = Files(root);
    let memory = Memory::parse(&files.read(&["proc/meminfo"])).ok();
    let cost = EntryCost::parse(&files.read(&["proc/slabinfo"]));
    let stats = Stats::parse(&files.read(&["proc/net/stat/nf_conntrack", "proc/net/stat/ip_conntrack"])).ok();
    let (max, buckets, count) = (files.sysctl("max"), files.sysctl("buckets"), files.sysctl("count"));
    let mut classes = [0; Class::ALL.len()];
    let mut unread = 0;
    for line in files.read(&["proc/net/nf_conntrack", "proc/net/ip_conntrack"]).split(|b| *b == b'\n') {
        match proctext::parse(line) {
            Ok(entry) => classes[entry.class() as usize] += 1,
            Err(_) => unread += usize::from(!line.is_empty()),
        }
    }
    let log = files.read(&["dev/kmsg"]);
    let records = log.split(|b| *b == b'\n').filter_map(|l| Record::parse(l).ok());
    let refused = records.filter(|r| matches!(r.line, Line::TableFull { .. })).count();
    let name = String::from_utf8_lossy(&files.read(&["tmp/sysinfo/board_name"])).into_owned();
    let board = board::by_name(&name);
    let machine = Machine {
        mem_total: memory.map_or(Kib(0), |m| m.total),
        mem_available: memory.map_or(Kib(0), |m| m.available),
        cost,
        // So since Linux 6.1.
        pointer: if files.read(&["proc/sys/kernel/arch"]).ends_with(b"64\n") { 8 } else { 4 },
        board,
    };
    let found = max.zip(count).map(|(max, count)| Found {
        max: Entries(max),
        buckets: buckets.map(Entries),
        count: Entries(count),
    });
    // A limit that is there and cannot be read is no ground for a plan: nothing is done then.
    let is_there = |name: &str| !files.read(&[name]).is_empty();
    let blind = max.is_none() && is_there("proc/sys/net/netfilter/nf_conntrack_max");
    let plan = (!blind).then(|| plan(&machine, &Policy::DEFAULT, found.as_ref()));
    let whole = found.is_none_or(|f| classes.iter().sum::<u32>() == f.count.0);
    format!(
        "{:<24} {:>8} {:<9} {:>7} {:>7} {:>6} {:>7} {:>8} {:>8} {:>8} {:>6} {:>7} {:<5} {}\n",
        root.file_name().unwrap().to_str().unwrap(),
        or_dash(memory.map(|m| m.total.0)),
        if cost.measured { "slabinfo" } else { "assumed" },
        or_dash(max),
        or_dash(buckets),
        or_dash(count),
        or_dash(stats.and_then(|s| s.drop)),
        refused,
        or_dash(plan.as_ref().and_then(|p| p.set_max)),
        or_dash(plan.as_ref().and_then(|p| p.set_buckets)),
        unread,
        if whole { "all" } else { "some" },
        board.map_or("-", |b| b.class.name),
        Class::ALL.iter().zip(classes).map(|(c, n)| format!("{} {n}", c.name())).collect::<Vec<_>>().join(", "),
    )
}

/// The roots are what their README says, before any command looks at them: real formats, and counts that agree.
#[test]
fn what_the_library_reads_in_each_root() {
    let mut out = String::from(
        "root                     MemTotal cost          max buckets  count    drop  log full  set max  set bkt unread entries class of board, entries\n",
    );
    for root in cases("roots") {
        out += &overview(&root);
    }
    same("roots/overview", &out);
}
