//! Recorded incidents on a virtual clock, each a folder under `tests/replay`; the README there says what is in them.

use ctwarden::config::Config;
use ctwarden::event::Event;
use ctwarden::replay::Replay;
use ctwarden::units::Millis;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

mod expected;
use expected::{cases, differs, under_tests};

/// A recording under its config, told as `ctwarden replay` tells it; a faulty line is passed over.
fn replayed(case: &Path) -> String {
    let text = fs::read_to_string(case.join("config")).unwrap_or_default();
    let config = Config::parse(text.as_bytes(), "config", &mut |fault| panic!("{}: {fault}", case.display())).unwrap();
    let mut replay = Replay::new(&config);
    let mut out = String::new();
    let recording = fs::read_to_string(case.join("recording")).unwrap();
    for line in recording.lines() {
        let mut told = String::new();
        let fed = replay.line(line.as_bytes(), &mut |at: Millis, event: Event| {
            let _ = writeln!(told, "{:>12}  {event}", at.to_string());
        });
        out += &told;
        if let Err(fault) = fed {
            let _ = writeln!(out, "! recording:{}: expected {}", fault.line, fault.expected);
        }
    }
    assert_eq!(replay.lines() as usize, recording.lines().count());
    out
}

#[test]
fn each_recording_leads_to_what_is_expected() {
    let mut faults = String::new();
    for case in cases("replay") {
        faults += &differs(&case.join("expected"), &replayed(&case)).unwrap_or_default();
    }
    assert!(faults.is_empty(), "{faults}");
}

/// The program tells the same, line by line, and stops at the first fault.
#[cfg(feature = "daemon")]
#[test]
fn the_program_tells_the_same() {
    for case in cases("replay") {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ctwarden"));
        command.args(["replay", "recording", "--root", "."]).current_dir(&case).env_clear();
        if case.join("config").exists() {
            command.args(["--config", "config"]);
        }
        let done = command.output().unwrap();
        let expected = replayed(&case);
        let (told, fault) = match expected.split_once("! ") {
            Some((told, faults)) => (told, format!("ctwarden: {}\n", faults.lines().next().unwrap())),
            None => (expected.as_str(), String::new()),
        };
        assert_eq!(String::from_utf8(done.stdout).unwrap(), told, "{}", case.display());
        assert_eq!(String::from_utf8(done.stderr).unwrap(), fault, "{}", case.display());
        assert_eq!(done.status.code(), Some(!fault.is_empty() as i32), "{}", case.display());
    }
}

/// One of the recordings is what a real kernel wrote, record by record.
#[test]
fn the_recorded_log_is_in_its_replay() {
    let recording = fs::read_to_string(under_tests("replay/17-recorded-log/recording")).unwrap();
    let fed: Vec<_> = recording.lines().filter_map(|l| l.split_once(" kmsg ")).map(|(_, record)| record).collect();
    let golden = fs::read_to_string(under_tests("golden/kmsg/linux-6.18-netns.kmsg")).unwrap();
    let wrote: Vec<_> = golden.lines().filter(|l| *l != "--").collect();
    assert_eq!(fed, wrote);
}
