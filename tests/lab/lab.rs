//! The lab: a router, a LAN and a WAN 80 ms away in network namespaces, real packets, the real kernel's connection tracking
//! table. It is filled without and with the guard, and one table says what became of a neighbour.
//!
//! ```text
//! scenario ─> trial ─┬─ topology: namespaces, NAT      wan: the relay, the far side of attacks
//!                    ├─ attack: packets                contender: nobody, the guard, what people use today
//!                    └─ flows, servers: real sockets   monitor: count, refusals
//!                           └──────> gauges ──> watch (the screen), table (the judgement)
//! keeper: the host's two sysctls, put back whatever happens
//! ```

mod attack;
mod contender;
mod draw;
mod flows;
mod gauges;
mod keeper;
mod monitor;
mod netns;
mod packet;
mod scenario;
mod servers;
mod sys;
mod table;
mod topology;
mod trial;
mod tun;
mod wan;
mod watch;

use contender::{Contender, PEERS};
use keeper::Keeper;
use scenario::{SCENARIOS, Scenario};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use trial::Setting;

const HELP: &str = "\
usage: tests/lab/run [--watch] [--peers] [--all] [--seconds N] [--guard PATH] [--no-guard] [SCENARIO ...]

Without a scenario: the first set. --all: every one.
  --watch        show it live (tcp-hog unless another is named)
  --peers        beside the guard, what people use today (wants conntrack(8))
  --seconds N    length of each attack (12)
  --guard PATH   the ctwarden binary (the one beside this program)
  --no-guard     only the rows without a guard";

struct Options {
    scenarios: Vec<&'static Scenario>,
    contenders: Vec<Contender>,
    seconds: u64,
    guard: PathBuf,
    watch: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "keeper") {
        let scratch = PathBuf::from(args.next().unwrap_or_default());
        return ExitCode::from(u8::from(keeper::main(&scratch).is_err()));
    }
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}\n");
            SCENARIOS.iter().for_each(|s| println!("  {:13}{}", s.name, s.story));
            return ExitCode::SUCCESS;
        }
        Err(fault) => {
            eprintln!("lab: {fault}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("lab: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// `None`: help is wanted.
fn options() -> Result<Option<Options>, String> {
    use lexopt::prelude::*;
    let beside = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("ctwarden");
    let mut options = Options { scenarios: vec![], contenders: vec![], seconds: 12, guard: beside, watch: false };
    let (mut peers, mut guarded, mut all) = (false, true, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Long("watch") => options.watch = true,
            Long("peers") => peers = true,
            Long("all") => all = true,
            Long("no-guard") => guarded = false,
            Long("guard") => options.guard = parser.value().map_err(|e| e.to_string())?.into(),
            Long("seconds") => {
                options.seconds = parser.value().and_then(|v| v.parse()).map_err(|e| e.to_string())?;
            }
            Short('h') | Long("help") => return Ok(None),
            Value(name) => {
                let name = name.to_string_lossy().into_owned();
                options.scenarios.push(scenario::named(&name).ok_or(format!("no scenario is called {name}"))?);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    if !(5..=30).contains(&options.seconds) {
        return Err("--seconds: 5 to 30".into()); // healthy load alone fills the table in 40
    }
    if options.scenarios.is_empty() {
        let wanted = |s: &&Scenario| if options.watch { s.name == "tcp-hog" } else { all || s.first_set };
        options.scenarios = SCENARIOS.iter().filter(wanted).collect();
    }
    options.contenders.push(Contender::Nobody);
    if guarded {
        options.contenders.push(Contender::Guard);
    }
    if peers {
        options.contenders.extend(PEERS);
    }
    Ok(Some(options))
}

/// Runs all of it; the number of failed rows.
fn run(options: &Options) -> Result<usize, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("missing: root (network namespaces and the table's limit need it)".into());
    }
    if options.contenders.contains(&Contender::Guard) && !options.guard.exists() {
        return Err(format!("missing: the guard, {}; build it or name it with --guard", options.guard.display()));
    }
    if options.contenders.contains(&Contender::Flush) && which("conntrack").is_none() {
        return Err("missing: conntrack(8), which --peers needs (package conntrack)".into());
    }
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 8192, 8192);
    let setting = Setting {
        attack: Duration::from_secs(options.seconds),
        guard: options.guard.clone(),
        scratch: trial::scratch(),
        interrupted: interrupted()?,
    };
    let mut keeper = Keeper::start(&setting.scratch)?;
    let mut screen = watch::Screen::new(options.watch);
    let mut rows = Vec::new();
    for scenario in &options.scenarios {
        let others = scenario.others.iter().filter(|_| options.contenders.contains(&Contender::Guard));
        for contender in options.contenders.iter().chain(others) {
            let row = trial::run(scenario, *contender, &setting, &mut keeper, &mut screen)?;
            screen.end(&row);
            rows.push(row);
        }
    }
    drop(keeper);
    screen.close();
    println!("{}", table::print(&rows));
    print!("{}", table::what_failed_guards_said(&rows));
    let mut judged: Vec<bool> = rows.iter().filter_map(table::judge).map(|faults| faults.is_empty()).collect();
    for (words, good) in table::judge_pairs(&rows) {
        println!("{}: {words}", if good { "ok" } else { "FAIL" });
        judged.push(good);
    }
    let failed = judged.iter().filter(|passed| !**passed).count();
    println!("{} passed, {failed} failed", judged.len() - failed);
    Ok(failed)
}

/// Set once an interrupt or a request to end has come.
fn interrupted() -> Result<&'static AtomicBool, String> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, flag.clone()).map_err(|e| e.to_string())?;
    }
    // It lives as long as the program: the handlers do too.
    Ok(Box::leak(Box::new(flag)))
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|d| d.join(program)).find(|p| Path::exists(p))
}
