//! The bench: both sides of every claim on the same real kernel in the same run. `tests/bench/run` builds and starts it.

mod bare;
mod baselines;
mod ctnetlink;
mod fill;
#[path = "../footprint/footprint.rs"]
mod footprint;
mod guardian;
mod host;
mod json;
mod paired;
mod rows;
mod warden;

use std::path::PathBuf;
use std::process::ExitCode;

use host::Host;
use paired::Row;
use rows::Options;

const USAGE: &str = "usage: bench [--ctwarden PROGRAM] [--rounds N] [trim-source|top|trim|latency|shed]...
       bench footprint [--static PROGRAM] [--counting PROGRAM] [idle|allocations|memory]...
       bench baselines
       bench in COMMAND...   runs COMMAND beside a table of 250,000 entries";

/// Faults are told to a person and end the run: a line of text is what they are.
type Outcome<T> = Result<T, String>;

/// A group of rows: its name on the command line and what measures it.
type Group = (&'static str, fn(&mut Host, &Options) -> Outcome<Vec<Row>>);

const GROUPS: [Group; 5] = [
    ("trim-source", rows::trim_source::rows),
    ("top", rows::top::rows),
    ("trim", rows::trim::rows),
    ("latency", rows::latency::rows),
    ("shed", rows::shed::rows),
];

/// The rows of a group. One that cannot be measured is a failed row, and no reason to lose the others.
fn rows_of(name: &str, measure: impl FnOnce() -> Outcome<Vec<Row>>) -> Vec<Row> {
    eprintln!("measuring {name} …");
    measure().unwrap_or_else(|why| vec![Row::fault(name, "", why)])
}

/// Is there a program to measure?
fn must_be_there(program: &std::path::Path) -> Outcome<()> {
    let there = program.is_file();
    there.then_some(()).ok_or_else(|| format!("{}: no such program; the run scripts build it", program.display()))
}

fn bench(args: &[String]) -> Outcome<bool> {
    let mut options = Options { ctwarden: PathBuf::from("target/router/ctwarden"), rounds: 15 };
    let mut wanted = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--ctwarden" => options.ctwarden = words.next().ok_or(USAGE)?.into(),
            "--rounds" => {
                options.rounds = words.next().and_then(|n| n.parse().ok()).filter(|n| *n >= 1).ok_or(USAGE)?
            }
            name => wanted.push(GROUPS.into_iter().find(|(group, _)| *group == name).ok_or(USAGE)?),
        }
    }
    if wanted.is_empty() {
        wanted.extend(GROUPS);
    }
    must_be_there(&options.ctwarden)?;
    let mut host = Host::enter()?;
    let mut rows = Vec::new();
    for (name, measure) in wanted {
        rows.extend(rows_of(name, || measure(&mut host, &options)));
    }
    Ok(paired::print(&rows))
}

/// For a profiler, or to look around.
fn beside_a_full_table(command: &[String]) -> Outcome<bool> {
    let (program, rest) = command.split_first().ok_or(USAGE)?;
    let mut host = Host::enter()?;
    let _table = host.table(rows::ROOM, rows::BUCKETS)?;
    fill::Plan::shares(rows::ENTRIES).fill()?;
    let status = std::process::Command::new(program).args(rest).status();
    Ok(status.map_err(|e| format!("{program}: {e}"))?.success())
}

/// The roles this program starts itself in, and the bench.
fn work(args: &[String]) -> Outcome<bool> {
    let (role, rest) = args.split_first().map_or(("", args), |(role, rest)| (role.as_str(), rest));
    match role {
        "guardian" => guardian::run(rest.first().ok_or("guardian: which scratch folder?")?.as_ref())?,
        "leash" => host::leash(rest)?,
        "bare-dump" => drop(bare::dump(bare::BUFFER)?),
        "bare-relief" => {
            let number = rest.first().and_then(|n| n.parse().ok()).ok_or("bare-relief: how many?")?;
            println!("{}", bare::relief(number)?.as_nanos());
        }
        "footprint" => return footprint::run(rest),
        "baselines" => baselines::run(&mut Host::enter()?)?,
        "in" => return beside_a_full_table(rest),
        "-h" | "--help" => println!("{USAGE}"),
        _ => return bench(args),
    }
    Ok(true)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match work(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("bench: {fault}");
            if !matches!(args.first().map(String::as_str), Some("guardian" | "leash" | "bare-dump" | "bare-relief")) {
                println!("0 passed, 1 failed");
            }
            ExitCode::FAILURE
        }
    }
}
