//! The program under test: a daemon with files of its own, and calls of the command line.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::host::{Leashed, own_path};
use crate::json::Json;
use crate::netns::Netns;

/// No command takes longer, no daemon is slower to come or go.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Looks every 2 ms until `look` finds something; a fault after `patience`.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > patience {
            return Err(format!("{what}: not within {patience:?}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Exit code and number of lines on standard error: what a script and a person see of a fault.
    pub fn fault(&self) -> (i32, usize) {
        (self.code, self.err.lines().count())
    }
    pub fn json(&self) -> Outcome<Json> {
        Json::read(&self.out).ok_or_else(|| format!("not JSON: {} {}", self.out, self.err))
    }
    /// A number of the JSON printed.
    pub fn number(&self, name: &str) -> Outcome<u32> {
        let number = self.json()?.find(name).and_then(Json::number);
        number.map(|n| n as u32).ok_or_else(|| format!("no number {name} in {}", self.out))
    }
}

/// Runs a command to its end. A panic, or an end by a signal, is a fault whatever else was expected.
pub fn run(command: &mut Command) -> Outcome<Ran> {
    let name = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
    // What they print fits into a pipe: nobody has to read meanwhile.
    let ended = until(&name, PATIENCE, || child.try_wait().map_err(|e| e.to_string()));
    if ended.is_err() {
        let _ = child.kill();
    }
    let out = child.wait_with_output().map_err(|e| format!("{name}: {e}"))?;
    ended?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err, code) = (text(&out.stdout), text(&out.stderr), out.status.code());
    match code {
        Some(code) if code != 101 && !err.contains("panicked") => Ok(Ran { code, out, err }),
        _ => Err(format!("{name}: ended with {code:?}: {err}")),
    }
}

/// One ctwarden with its config, socket, state and log.
pub struct Subject<'w> {
    program: &'w Path,
    initial: Option<&'w Netns>,
    pub dir: PathBuf,
}

impl<'w> Subject<'w> {
    /// Files in a fresh folder `dir`. Runs in our namespace, or in `initial` if given.
    pub fn new(program: &'w Path, initial: Option<&'w Netns>, dir: PathBuf, config: &str) -> Outcome<Self> {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let subject = Self { program, initial, dir };
        subject.configure(config)?;
        Ok(subject)
    }

    pub fn program(&self) -> &Path {
        self.program
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes the config. Without packet rules, of which a killed daemon would leave some in the host's firewall: they have
    /// tests of their own, in namespaces.
    pub fn configure(&self, config: &str) -> Outcome<()> {
        const MAIN: &str = "config ctwarden 'main'\n";
        let config = config.replace(MAIN, &format!("{MAIN}\toption lifeline '0'\n"));
        fs::write(self.path("config"), config).map_err(|e| format!("config: {e}"))
    }

    fn files(&self) -> Vec<OsString> {
        let named = [("--config", "config"), ("--socket", "socket"), ("--state-dir", "state")];
        named.into_iter().flat_map(|(option, file)| [option.into(), self.path(file).into()]).collect()
    }

    /// A call of the command line, in the daemon's namespace, after the words `before` (strace, setpriv).
    pub fn command(&self, before: &[&str], arguments: &[&str]) -> Outcome<Command> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(netns) = self.initial {
            words.extend([own_path()?.into(), "inside".into(), "--net".into(), netns.path().into()]);
        }
        words.extend(before.iter().map(Into::into));
        words.push(self.program.into());
        words.extend(arguments.iter().map(Into::into));
        words.extend(self.files());
        let (program, rest) = words.split_first().ok_or("no words")?;
        let mut command = Command::new(program);
        command.args(rest);
        Ok(command)
    }

    pub fn call(&self, arguments: &[&str]) -> Outcome<Ran> {
        run(&mut self.command(&[], arguments)?)
    }

    /// `status --json` with a daemon.
    pub fn status(&self) -> Outcome<Json> {
        self.call(&["status", "--json"])?.json()
    }

    /// Starts the daemon and waits until it answers: it has looked at the table once by then.
    pub fn start(&self) -> Outcome<Daemon> {
        self.start_after(&[], &[])
    }

    /// The same after the words `before`, with further `arguments`.
    pub fn start_after(&self, before: &[&str], arguments: &[&str]) -> Outcome<Daemon> {
        let mut daemon = self.launch(before, arguments)?;
        until("the daemon answers", PATIENCE, || {
            if let Some(how) = daemon.leashed.has_ended()? {
                return Err(format!("ctwarden run ended ({how}): {}", daemon.log().join(" / ")));
            }
            Ok(self.status().ok().filter(|s| s.find("pid").is_some()).map(drop))
        })?;
        Ok(daemon)
    }

    /// Starts it and does not wait.
    pub fn launch(&self, before: &[&str], arguments: &[&str]) -> Outcome<Daemon> {
        let arguments = [&["run"], arguments].concat();
        let command = self.command(before, &arguments)?;
        let words: Vec<&str> = command.get_args().filter_map(OsStr::to_str).collect();
        let log = self.path("log");
        let leashed = Leashed::start(Path::new(command.get_program()), &words, &log)?;
        Ok(Daemon { leashed, log, patience: PATIENCE })
    }

    /// A file with the output of a command that runs beside the daemon.
    pub fn file(&self, name: &str) -> Outcome<File> {
        let path = self.path(name);
        File::create(&path).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// A daemon that runs, and its log.
pub struct Daemon {
    leashed: Leashed,
    log: PathBuf,
    patience: Duration,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.leashed.pid()
    }
    pub fn signal(&self, signal: Signal) -> Outcome<()> {
        kill(Pid::from_raw(self.pid() as i32), signal).map_err(|e| format!("{signal}: {e}"))
    }
    /// What it has said so far.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }
    /// How many lines contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.log().iter().filter(|l| l.contains(part)).count()
    }
    /// Waits for the first line with `part`; when it was seen.
    pub fn says(&self, part: &str) -> Outcome<Instant> {
        self.says_times(part, 1)
    }
    /// Waits until so many lines contain `part`.
    pub fn says_times(&self, part: &str, times: usize) -> Outcome<Instant> {
        let found = || Ok((self.count(part) >= times).then(Instant::now));
        until(&format!("the daemon says {part:?}"), self.patience, found)
            .map_err(|e| format!("{e}; it said:\n{}", self.log().join("\n")))
    }
    /// For what takes longer than [`PATIENCE`].
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
    pub fn has_ended(&mut self) -> Outcome<Option<String>> {
        self.leashed.has_ended()
    }
    /// Ends it by a signal; how it ended and all it said.
    pub fn end(mut self, signal: Signal) -> Outcome<(String, Vec<String>)> {
        self.leashed.end(signal)?;
        let log = self.log();
        if log.iter().any(|l| l.contains("panicked")) {
            return Err(format!("the daemon panicked:\n{}", log.join("\n")));
        }
        Ok((self.leashed.has_ended()?.unwrap_or_default(), log))
    }
    /// A number of `/proc/PID/status`, in KiB.
    pub fn kib(&self, what: &str) -> Outcome<u64> {
        let text = self.proc("status")?;
        let line = text.lines().find_map(|l| l.strip_prefix(what)?.strip_prefix(':'));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok()).ok_or_else(|| format!("no {what} in its status"))
    }
    /// Open files.
    pub fn files(&self) -> Outcome<usize> {
        let path = format!("/proc/{}/fd", self.pid());
        Ok(fs::read_dir(&path).map_err(|e| format!("{path}: {e}"))?.count())
    }
    /// Processor time used, in hundredths of a second.
    pub fn ticks(&self) -> Outcome<u64> {
        let text = self.proc("stat")?;
        let after = text.rsplit(')').next().unwrap_or_default();
        let ticks = |n| after.split_whitespace().nth(n).and_then(|t: &str| t.parse::<u64>().ok());
        ticks(11).zip(ticks(12)).map(|(user, system)| user + system).ok_or_else(|| format!("stat: {text}"))
    }
    fn proc(&self, file: &str) -> Outcome<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))
    }
}
