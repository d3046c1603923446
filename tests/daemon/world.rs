//! What the cases share: the program, the limits, the two namespaces; and which case runs when.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::cases::{self, Case};
use crate::checks::{Checks, Tally};
use crate::ctnetlink::Socket;
use crate::guardian::read_setting;
use crate::host::{Host, Table, count};
use crate::netns::Netns;
use crate::subject::Subject;

const USAGE: &str = "usage: daemon-tests [--ctwarden PROGRAM] [NUMBER OF A CASE]...";

/// Max and buckets under which the cases of our own namespace run, if `grow` does not set them.
const SHARED: Limits = Limits { max: 17_500, buckets: 4_096 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max: u32,
    pub buckets: u32,
}

pub struct World<'h> {
    pub program: PathBuf,
    /// The namespace that may write the limits.
    pub initial: Netns,
    scratch: PathBuf,
    table: Mutex<Table<'h>>,
}

impl World<'_> {
    /// A ctwarden in our own namespace, empty of entries.
    pub fn subject(&self, name: &str, config: &str) -> Outcome<Subject<'_>> {
        Socket::open()?.flush()?;
        Subject::new(&self.program, None, self.scratch.join(name), config)
    }
    /// A ctwarden in the initial namespace.
    pub fn host_subject(&self, name: &str, config: &str) -> Outcome<Subject<'_>> {
        Subject::new(&self.program, Some(&self.initial), self.scratch.join(name), config)
    }
    /// Sets the limits as an operator would.
    pub fn set(&self, limits: Limits) -> Outcome<()> {
        self.set_buckets(limits.buckets)?;
        self.set_max(limits.max)
    }
    pub fn set_max(&self, max: u32) -> Outcome<()> {
        self.table.lock().map_err(|e| e.to_string())?.set_max(max)
    }
    pub fn set_buckets(&self, buckets: u32) -> Outcome<()> {
        self.table.lock().map_err(|e| e.to_string())?.set_buckets(buckets)
    }
    /// Entries in the initial namespace.
    pub fn host_count(&self) -> Outcome<u32> {
        self.initial.within(count)
    }
}

/// The limits in force, the same in all namespaces.
pub fn limits() -> Outcome<Limits> {
    let read = |name| read_setting(name)?.parse().map_err(|e| format!("{name}: {e}"));
    Ok(Limits { max: read("nf_conntrack_max")?, buckets: read("nf_conntrack_buckets")? })
}

/// The two lines of work meet here: `grow` holds its max while the others use it.
pub struct Meeting {
    stands: Sender<()>,
    others: Receiver<()>,
}

impl Meeting {
    /// The limits stand; comes back when nobody needs them any more.
    pub fn hold(self) {
        let _ = self.stands.send(());
        let _ = self.others.recv();
    }
}

/// Runs the cases asked for, all if none is named.
pub fn test(words: &[String], initial: Netns) -> Outcome<bool> {
    let mut program = PathBuf::from("target/release/ctwarden");
    let mut wanted: Vec<u8> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--ctwarden" => program = words.next().ok_or(USAGE)?.into(),
            number => wanted.push(number.parse().map_err(|_| USAGE)?),
        }
    }
    let program = program.canonicalize().map_err(|e| format!("{}: {e}", program.display()))?;
    let mut host = Host::enter()?;
    let scratch = host.scratch.clone();
    let table = Mutex::new(host.table(SHARED.max, SHARED.buckets)?);
    let world = World { program, initial, scratch, table };
    let tally = Tally::default();
    let run = |cases: &[Case]| {
        for (number, case) in cases.iter().filter(|(n, _)| wanted.is_empty() || wanted.contains(n)) {
            let mut checks = Checks::of_case(&tally, *number);
            let began = Instant::now();
            case(&world, &mut checks).unwrap_or_else(|fault| checks.broke(&fault));
            println!("     {number:>2}    took {:.1} s", began.elapsed().as_secs_f32());
        }
    };
    let (stands, may_begin) = channel();
    let (ended, others) = channel::<()>();
    thread::scope(|s| {
        let run = &run;
        s.spawn(move || {
            let _ended = ended;
            run(&cases::APART);
            if may_begin.recv().is_ok() {
                run(&cases::UNDER_SHARED_MAX);
            }
        });
        run(&cases::OF_THE_HOST);
        let mut meeting = Some(Meeting { stands, others });
        if wanted.is_empty() || wanted.contains(&4) {
            let mut checks = Checks::of_case(&tally, 4);
            cases::grow::grow(&world, &mut checks, &mut meeting).unwrap_or_else(|fault| checks.broke(&fault));
        }
        if let Some(meeting) = meeting {
            match world.set(SHARED) {
                Ok(()) => meeting.hold(),
                Err(fault) => Checks::of_case(&tally, 0).broke(&fault),
            }
        }
    });
    Ok(tally.print())
}
