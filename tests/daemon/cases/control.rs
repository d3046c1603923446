//! The control socket under peers that mean no good.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ctwarden::protocol::{Ask, By, LENGTH, REPLY_MOST, Reply, Request, frame, unframe};
use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::entries::{established, make_only, v4};
use crate::subject::{PATIENCE, Subject};
use crate::world::World;

const CONFIG: &str = "config ctwarden 'main'\n\toption policy 'watch'\n";

/// A connection that gives up after [`PATIENCE`].
pub fn connect(subject: &Subject) -> Outcome<UnixStream> {
    let open = || -> std::io::Result<UnixStream> {
        let stream = UnixStream::connect(subject.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    open().map_err(|e| format!("the control socket: {e}"))
}

/// What came back: the exit status that the command would have, and its text.
#[derive(Debug)]
pub struct Answer {
    pub exit: u8,
    pub text: String,
}

impl Answer {
    fn read(heard: &[u8]) -> Option<Self> {
        let Reply { exit, text } = unframe(heard, REPLY_MOST)?.ok()?;
        Some(Self { exit, text: text.into() })
    }
    /// Done, and told with this word of the JSON.
    pub fn is(&self, word: &str) -> bool {
        self.exit == 0 && self.text.contains(&format!("\"{word}\":"))
    }
}

/// Asks over a connection.
pub fn send(mut stream: &UnixStream, request: Request) -> Outcome<()> {
    let mut room = [0; 256];
    let ask = Ask { request, json: true, colour: false };
    let bytes = frame(&ask, &mut room).ok_or("no frame")?;
    stream.write_all(bytes).map_err(|e| format!("asking: {e}"))
}

/// Asks and waits for the answer.
pub fn ask(stream: &UnixStream, request: Request) -> Outcome<Answer> {
    send(stream, request)?;
    answer(stream)
}

fn answer(mut stream: &UnixStream) -> Outcome<Answer> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).map_err(|e| format!("the answer: {e}"))?;
    Answer::read(&heard).ok_or_else(|| format!("no answer, but {} bytes", heard.len()))
}

fn is_status(subject: &Subject) -> bool {
    connect(subject).is_ok_and(|c| ask(&c, Request::Status).is_ok_and(|a| a.is("pid")))
}

/// Sends bytes that are no request and waits to be hung up on: what came back. Reset: it was hung up on with bytes unread.
fn send_nonsense(subject: &Subject, bytes: &[u8]) -> Outcome<Option<Answer>> {
    let mut stream = connect(subject)?;
    match stream.write_all(bytes) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
        Err(e) => return Err(format!("sending: {e}")),
    }
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => return Err(format!("it was not hung up on: {e}")),
    }
    Ok(Answer::read(&heard))
}

pub fn control(world: &World, t: &mut Checks) -> Outcome<()> {
    let subject = world.subject("control", CONFIG)?;
    let mut daemon = subject.start()?;
    let mode = std::fs::metadata(subject.socket()).map_err(|e| e.to_string())?.permissions().mode() & 0o7777;
    t.equal("the socket has mode 0600", format!("{mode:o}").as_str(), "600");

    for (what, bytes) in nonsense() {
        let heard = send_nonsense(&subject, &bytes)?;
        let said = heard.as_ref().is_none_or(|answer| answer.exit == 1);
        t.check(&format!("{what}: hung up on"), said, || format!("{heard:?}"));
        t.check(&format!("{what}: others are answered"), is_status(&subject), || "they are not".into());
    }
    let mut half = connect(&subject)?;
    half.write_all(&[1]).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let mut heard = Vec::new();
    let cut = half.read_to_end(&mut heard).map(|n| (n, began.elapsed() < Duration::from_secs(4)));
    t.check("half a request: cut off after two seconds", matches!(cut, Ok((0, true))), || format!("{cut:?}"));

    make_only(&(0..2_000).map(|n| established(v4(10, 9, 0, 1), n, 100)).collect::<Vec<_>>())?;
    let mut silent = Vec::new();
    for _ in 0..3 {
        let stream = connect(&subject)?;
        send(&stream, Request::Top { by: By::Source, rows: 64, exact: true })?;
        silent.push(stream);
    }
    t.check("peers that never read: others are answered", is_status(&subject), || "they are not".into());
    let late = silent.iter().all(|stream| answer(stream).is_ok_and(|a| a.is("rows")));
    t.check("and they find their answers when they do read", late, || "not all".into());

    let idle: Vec<_> = (0..10).map(|_| connect(&subject)).collect::<Outcome<_>>()?;
    let began = Instant::now();
    let answered = is_status(&subject);
    t.check("ten peers that say nothing keep a request waiting, not for ever", answered, || {
        format!("{:?}", began.elapsed())
    });
    drop(idle);

    let at_once: Vec<_> = (0..10).map(|_| connect(&subject)).collect::<Outcome<_>>()?;
    at_once.iter().try_for_each(|stream| send(stream, Request::Status))?;
    let answered = at_once.iter().filter(|stream| answer(stream).is_ok_and(|a| a.is("pid"))).count();
    t.equal("ten requests at once are answered", answered, 10);

    let began = Instant::now();
    let answered = (0..1_000).filter(|_| is_status(&subject)).count();
    t.equal("a thousand requests in a row are answered", answered, 1_000);
    t.check("without delay", began.elapsed() < Duration::from_secs(5), || format!("{:?}", began.elapsed()));

    second(&subject, t)?;
    t.equal("the daemon has lived through all of it", daemon.has_ended()?, None);
    t.check("and answers", is_status(&subject), || "it does not".into());
    let (_, log) = daemon.end(Signal::SIGTERM)?;
    t.lines("without a word", &log, "error", 0);
    Ok(())
}

fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let framed = |body: &[u8]| [&(body.len() as u16).to_le_bytes()[..], body].concat();
    let mut exact = framed(&[0xff; 128]);
    exact.truncate(128 + LENGTH);
    vec![
        ("an empty frame", framed(&[])),
        ("an unknown request", framed(&[9, 9, 9])),
        ("a request cut short inside its frame", framed(&[1])),
        ("the longest frame, of garbage", exact),
        ("a length above the limit", vec![0xff; 4]),
        ("an HTTP request", b"GET / HTTP/1.0\r\n\r\n".to_vec()),
        ("64 KiB of garbage", vec![0xa5; 1 << 16]),
    ]
}

/// A second daemon must not come between the first and its table.
fn second(subject: &Subject, t: &mut Checks) -> Outcome<()> {
    let ran = subject.call(&["run"])?;
    t.equal("a second daemon refuses to start, with one line", ran.fault(), (1, 1));
    t.check("which says why", ran.err.contains("another ctwarden is running"), || ran.err.clone());
    t.check("the first keeps its socket", is_status(subject), || "it does not answer".into());
    // Another state folder, so that the lock does not show it.
    let elsewhere = subject.path("elsewhere");
    let mut command = std::process::Command::new(subject.program());
    command.arg("run").arg("--config").arg(subject.path("config")).arg("--socket").arg(subject.socket());
    let ran = crate::subject::run(command.arg("--state-dir").arg(elsewhere))?;
    t.equal("nor does one with another state folder take its socket", ran.fault(), (1, 1));
    t.check("the first still keeps it", is_status(subject), || "it does not answer".into());
    Ok(())
}
