//! The program under test: how it is called, configured and waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::host::{Leashed, Table, output_of};
use crate::json::Json;

/// Marks and hold, as the config is to say them.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub high_percent: u32,
    pub low_percent: u32,
    pub hold_seconds: u32,
    pub ladder: &'static str,
    /// Whole lines, as they stand in the config.
    pub more: &'static str,
}

impl Default for Config {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 60, hold_seconds: 10, ladder: "trim", more: "" }
    }
}

/// One build of ctwarden with the files it works on.
pub struct Warden {
    pub program: PathBuf,
    config: PathBuf,
    pub socket: PathBuf,
    state: PathBuf,
    log: PathBuf,
}

impl Warden {
    pub fn new(program: &Path, table: &Table, config: Config) -> Outcome<Self> {
        let text = format!(
            "config ctwarden 'main'\n\toption high '{}'\n\toption low '{}'\n\toption hold '{}'\n{}{}",
            config.high_percent,
            config.low_percent,
            config.hold_seconds,
            config.ladder.split_whitespace().map(|rung| format!("\tlist ladder '{rung}'\n")).collect::<String>(),
            config.more,
        );
        let warden = Self {
            program: program.to_path_buf(),
            config: table.scratch("config"),
            socket: table.scratch("control.sock"),
            state: table.scratch("state"),
            log: table.scratch("log"),
        };
        fs::write(&warden.config, text).map_err(|e| format!("{}: {e}", warden.config.display()))?;
        let _ = fs::remove_file(&warden.socket);
        fs::create_dir_all(&warden.state).map_err(|e| format!("{}: {e}", warden.state.display()))?;
        Ok(warden)
    }

    fn files(&self) -> [&str; 4] {
        ["--config", self.config.to_str().unwrap_or_default(), "--socket", self.socket.to_str().unwrap_or_default()]
    }

    /// A call of the command line: `verb` and what follows it.
    pub fn call(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(self.files());
        command
    }

    /// The daemon's arguments.
    fn run_arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["run"];
        arguments.extend(self.files());
        arguments.extend(["--state-dir", self.state.to_str().unwrap_or_default()]);
        arguments
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&self) -> Outcome<Leashed> {
        let daemon = Leashed::start(&self.program, &self.run_arguments(), &self.log)?;
        self.wait_for(daemon)
    }

    /// The same below strace, which writes every look at a file or a poll to `trace`. The process returned is the daemon's
    /// own (`-D` makes strace the child), so that the leash and signals reach it.
    pub fn start_traced(&self, trace: &Path) -> Outcome<Leashed> {
        let mut arguments = vec!["-D", "-f", "--seccomp-bpf", "-q", "-ttt", "-T", "-y"];
        arguments.extend([
            "-e",
            "trace=read,poll,ppoll",
            "-e",
            "signal=none",
            "-o",
            trace.to_str().unwrap_or_default(),
        ]);
        arguments.push(self.program.to_str().unwrap_or_default());
        arguments.extend(self.run_arguments());
        let daemon = Leashed::start(Path::new("strace"), &arguments, &self.log)?;
        self.wait_for(daemon)
    }

    fn wait_for(&self, mut daemon: Leashed) -> Outcome<Leashed> {
        let start = Instant::now();
        while !(self.socket.exists() && self.status().is_ok()) {
            if let Some(how) = daemon.has_ended()? {
                return Err(format!("ctwarden run ended ({how}): {}", self.last_words()));
            }
            if start.elapsed() > Duration::from_secs(5) {
                return Err(format!("ctwarden run does not answer after 5 s: {}", self.last_words()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    /// The last line of the daemon's log.
    pub fn last_words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().lines().last().unwrap_or("it logged nothing").to_string()
    }

    /// `status --json`.
    pub fn status(&self) -> Outcome<Json> {
        let text = output_of(&mut self.call(&["status", "--json"]))?;
        Json::read(&text).ok_or_else(|| format!("status --json is not JSON: {text}"))
    }
}

/// One line of `top --json`.
#[derive(Clone, Debug)]
pub struct Share {
    pub key: String,
    pub percent: f64,
    /// The stated standard error, in percentage points.
    pub error: f64,
}

/// The rows of `top --json`: `{"rows":[{"key":"10.9.0.1","share":3012,"error":71}]}`, both in hundredths of a percent. The one
/// place that knows its shape.
pub fn shares(text: &str) -> Outcome<Vec<Share>> {
    let wrong = || format!("top --json has another shape than expected: {text}");
    let json = Json::read(text).ok_or_else(wrong)?;
    let rows = json.get("rows").and_then(Json::list).ok_or_else(wrong)?;
    let share = |row: &Json| {
        Some(Share {
            key: row.get("key")?.text()?.trim_end_matches("/64").to_string(),
            percent: row.get("share")?.number()? / 100.0,
            error: row.get("error")?.number()? / 100.0,
        })
    };
    rows.iter().map(|row| share(row).ok_or_else(wrong)).collect()
}
