//! Exit codes, and one line for each fault, whoever asks for whatever.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{established, make_only, v4};
use crate::host::{count, own_path};
use crate::subject::{Ran, Subject, run};
use crate::world::World;

const CONFIG: &str = "config ctwarden 'main'\n\toption policy 'watch'\n";

/// As a user who may nothing.
fn as_nobody(subject: &Subject, arguments: &[&str]) -> Outcome<Ran> {
    let own = own_path()?;
    let own = own.to_str().ok_or("own path")?;
    run(&mut subject.command(&[own, "inside", "--nobody"], arguments)?)
}

/// Without the words that `Subject` adds.
fn bare(subject: &Subject, arguments: &[OsString]) -> Outcome<Ran> {
    run(Command::new(subject.program()).args(arguments))
}

pub fn exits(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("exits", CONFIG)?;
    make_only(&(0..500).map(|n| established(v4(10, 9, 0, 1), n, 100)).collect::<Vec<_>>())?;
    let verbs: [&[&str]; 12] = [
        &["top"],
        &["top", "--exact"],
        &["trim"],
        &["trim", "--source", "10.9.0.1"],
        &["trim", "--source", "fd00::1"],
        &["trim", "--only", "unreplied"],
        &["trim", "--only", "idle"],
        &["flush"],
        &["size", "--apply"],
        &["stateless"],
        &["stateless", "--dry-run"],
        &["run"],
    ];
    for verb in verbs {
        let ran = as_nobody(&subject, verb)?;
        t.check(&format!("nobody, no daemon: `{}` is 4 with one line", verb.join(" ")), ran.fault() == (4, 1), || {
            format!("{ran:?}")
        });
    }
    let ran = as_nobody(&subject, &["status"])?;
    t.equal("nobody, no daemon: `status` may be read by all", ran.fault(), (0, 0));
    for verb in [&["log"][..], &["open"], &["close"], &["history"], &["metrics"], &["shed", "10.9.0.1"]] {
        t.equal(&format!("no daemon for `{}`", verb.join(" ")), subject.call(verb)?.fault(), (3, 1));
    }
    bare_verbs(&subject, t)?;

    let daemon = subject.start()?;
    for verb in
        [&["status"][..], &["top"], &["trim"], &["flush"], &["log"], &["open"], &["close"], &["history"], &["metrics"]]
    {
        let ran = as_nobody(&subject, verb)?;
        t.check(&format!("nobody, a daemon: `{}` is 4 with one line", verb.join(" ")), ran.fault() == (4, 1), || {
            format!("{ran:?}")
        });
    }
    daemon.end(Signal::SIGTERM)?;
    t.equal("none of it touched an entry", count()?, 500);

    subject.configure("config ctwarden 'main'\n\toption high 'x'\n")?;
    t.equal("`check` of a bad config", subject.call(&["check"])?.code, 1);
    for verb in [&["run"][..], &["trim"], &["flush"], &["size"]] {
        t.equal(&format!("`{}` with a bad config", verb[0]), subject.call(verb)?.fault(), (1, 1));
    }
    subject.configure(CONFIG)?;
    t.equal("`check` of a good one", subject.call(&["check"])?.code, 0);
    t.equal("still 500 entries", count()?, 500);
    usage(&subject, t)?;
    files(&subject, t)
}

/// What works without a daemon; `trim` and `flush` have cases of their own.
fn bare_verbs(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    for (verb, says) in [
        (&["status"][..], "500 of "),
        (&["status"], "not running: nobody watches the table"),
        (&["top"], "10.9.0.1"),
        (&["top", "--exact", "--by", "state"], "100.00 %"),
        (&["size"], "max"),
        (&["size", "--json"], "\"set_max\":"),
    ] {
        let ran = subject.call(verb)?;
        let works = ran.fault() == (0, 0) && ran.out.contains(says);
        t.check(&format!("no daemon: `{}` says {says:?}", verb.join(" ")), works, || format!("{ran:?}"));
    }
    Ok(())
}

/// Command lines that cannot be meant.
fn usage(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    let long = format!("/{}", "x".repeat(300));
    let state = subject.path("state");
    let state = state.to_str().unwrap_or_default();
    let lines: [&[&str]; 25] = [
        &[],
        &["frobnicate"],
        &["--frobnicate"],
        &["status", "--frobnicate"],
        &["status", "extra"],
        &["top", "--by", "colour"],
        &["top", "--by"],
        &["top", "-n", "many"],
        &["top", "-n", "-1"],
        &["trim", "--source", "here"],
        &["trim", "--source", "10.0.0.0/8"],
        &["trim", "--only", "all"],
        &["open", "--scope", "world"],
        &["open", "--for", "0"],
        &["close", "--for", "5"],
        &["size", "--ram", "-1"],
        &["size", "--ram", "99999999999"],
        &["size", "--apply", "--ram", "64"],
        &["replay"],
        &["run", "now"],
        &["--json", "status"],
        &["status", "--root", &long],
        &["status", "--socket", &long],
        &["run", "--state-dir", &long],
        &["run", "--socket", &long, "--state-dir", state],
    ];
    for words in lines {
        let ran = bare(subject, &words.iter().map(OsString::from).collect::<Vec<_>>())?;
        let shown: String = words.join(" ").chars().take(40).collect();
        t.check(&format!("usage: `{shown}`"), ran.fault() == (2, 1), || format!("{ran:?}"));
    }
    let ran = bare(subject, &["trim".into(), OsString::from_vec(vec![b'-', b'-', 0xff, 0xfe])])?;
    t.equal("usage: an option that is not UTF-8", ran.fault(), (2, 1));
    let ran = bare(subject, &["top".into(), "--by".into(), OsString::from_vec(vec![0xff])])?;
    t.equal("usage: a value that is not UTF-8", ran.fault(), (2, 1));
    Ok(())
}

/// Files that are not there, or are something else.
fn files(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    let garbage = subject.path("garbage");
    fs::write(&garbage, (0u8..=255).cycle().take(100_000).collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    let garbage = garbage.to_str().unwrap_or_default();
    let dir = subject.dir.to_str().unwrap_or_default();
    let nowhere: &[&[&str]] = &[
        &["check", "/nowhere"],
        &["check", dir],
        &["check", garbage],
        &["replay", "/nowhere"],
        &["replay", dir],
        &["replay", garbage],
        &["status", "--root", "/nowhere"],
        &["top", "--root", "/nowhere"],
        &["trim", "--root", "/nowhere"],
        &["flush", "--root", "/nowhere"],
        &["run", "--config", "/nowhere"],
        &["run", "--socket", "/nowhere/socket", "--state-dir", dir],
        &["run", "--state-dir", garbage],
        &["status", "--socket", garbage],
        &["status", "--socket", dir],
    ];
    for words in nowhere {
        let ran = bare(subject, &words.iter().map(OsString::from).collect::<Vec<_>>())?;
        let said = ran.code == 1 && !(ran.err.is_empty() && ran.out.is_empty());
        t.check(&format!("a fault, told: `{}`", words.join(" ").replace(dir, "DIR")), said, || format!("{ran:?}"));
    }
    let kept = fs::read(garbage).map_err(|e| e.to_string())?.len();
    t.equal("a plain file named as socket is not deleted", kept, 100_000);
    let ran = bare(subject, &["run", "--socket", garbage, "--state-dir", dir].map(OsString::from))?;
    let there = fs::metadata(garbage).is_ok_and(|m| m.is_file());
    t.equal("nor by a daemon, which refuses", (ran.fault(), there), ((1, 1), true));
    for words in [&["--version"][..], &["--help"], &["top", "--help"]] {
        let ran = bare(subject, &words.iter().map(OsString::from).collect::<Vec<_>>())?;
        t.equal(&format!("`{}`", words.join(" ")), ran.fault(), (0, 0));
    }
    Ok(())
}
