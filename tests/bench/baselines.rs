//! `baselines`: what this kernel takes for the things the program is made of. Numbers to design by, no verdicts.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::bare;
use crate::ctnetlink::{Batch, Message, Socket, messages};
use crate::fill::{HOG, Plan};
use crate::host::{Host, Table, count, timed};
use crate::paired::median;
use crate::rows::top::PIPELINE;

const ENTRIES: u32 = 250_000;
const ROUNDS: usize = 5;

fn rounds(mut one: impl FnMut() -> Outcome<Duration>) -> Outcome<Duration> {
    let mut all = (0..ROUNDS).map(|_| one()).collect::<Outcome<Vec<_>>>()?;
    Ok(median(&mut all))
}

fn say(what: &str, took: Duration, each: Option<usize>) {
    let total = took.as_secs_f64() * 1e3;
    match each {
        Some(n) => println!("{what:<66} {total:>9.3} ms {:>8.0} ns each", took.as_nanos() as f64 / n as f64),
        None => println!("{what:<66} {total:>9.3} ms"),
    }
}

pub fn run(host: &mut Host) -> Outcome<()> {
    let mut table = host.table(400_000, 262_144)?;
    sockets()?;
    let plan = Plan::shares(ENTRIES);
    let start = Instant::now();
    plan.fill()?;
    say("fill", start.elapsed(), Some(ENTRIES as usize));
    dumps()?;
    samples()?;
    deletes(&plan)?;
    while_dumping(&plan)?;
    peers()?;
    small(&mut table)
}

fn sockets() -> Outcome<()> {
    let took = rounds(|| {
        let start = Instant::now();
        for _ in 0..1_000 {
            Socket::open()?;
        }
        Ok(start.elapsed())
    })?;
    say("open, bind and close a socket", took, Some(1_000));
    say("start and end a process (/bin/true)", rounds(|| timed(&mut Command::new("/bin/true")))?, None);
    Ok(())
}

fn dumps() -> Outcome<()> {
    for kib in [4, 8, 16, 32, 64, 256] {
        let (mut datagrams, mut bytes) = (0, 0);
        let mut buffer = vec![0; kib << 10];
        let took = rounds(|| {
            (datagrams, bytes) = (0, 0);
            let start = Instant::now();
            Socket::open()?.dump(&mut buffer, |d| {
                datagrams += 1;
                bytes += d.len();
                Ok(())
            })?;
            Ok(start.elapsed())
        })?;
        say(&format!("dump, buffer {kib} KiB ({datagrams} datagrams, {bytes} bytes)"), took, Some(ENTRIES as usize));
    }
    let took = rounds(|| {
        let start = Instant::now();
        crate::fill::truth()?;
        Ok(start.elapsed())
    })?;
    say("dump, counted by holder in a std HashMap", took, Some(ENTRIES as usize));
    Ok(())
}

fn samples() -> Outcome<()> {
    // The same front five times over finds it in the caches; after a whole dump it does not.
    for (caches, cold) in [("warm", false), ("cold", true)] {
        for (kib, wanted) in [(4, 1_024), (4, 4_096), (8, 4_096), (32, 1_024), (32, 4_096), (32, 8_192)] {
            let mut buffer = vec![0; kib << 10];
            let (mut closing, mut got) = (Vec::new(), 0);
            let took = rounds(|| {
                if cold {
                    bare::dump(bare::BUFFER)?;
                }
                got = 0;
                let start = Instant::now();
                let socket = Socket::open()?;
                socket.start_dump()?;
                while got < wanted {
                    let n = socket.receive(&mut buffer)?;
                    got += messages(&buffer[..n]).filter(Message::is_entry).count();
                }
                let before_close = Instant::now();
                drop(socket);
                closing.push(before_close.elapsed());
                Ok(start.elapsed())
            })?;
            let closing = median(&mut closing).as_nanos() / 1_000;
            let what = format!("sample of {wanted}, caches {caches}, buffer {kib} KiB, closing {closing} us of it");
            say(&what, took, Some(got));
        }
    }
    Ok(())
}

fn deletes(plan: &Plan) -> Outcome<()> {
    let number = 100_000;
    for (at_a_time, with_id) in
        [(1, true), (4, true), (16, true), (32, true), (64, true), (128, true), (128, false), (512, true)]
    {
        let mut sent = 0;
        let took = rounds(|| {
            plan.fill()?;
            let batches = bare::deletions(number, at_a_time, with_id)?;
            sent = batches.iter().map(|b| b.bytes.len()).max().unwrap_or(0);
            bare::delete(&batches)
        })?;
        let how = if with_id { "by tuple and id" } else { "by tuple" };
        say(&format!("delete {number} {how}, {at_a_time} a batch (of {sent} bytes)"), took, Some(number));
    }
    let took = rounds(|| {
        plan.fill()?;
        let batches = bare::deletions(number, 128, true)?;
        bare::delete(&batches)?;
        // The same again: nothing is there any more, and every message is answered by an error.
        let start = Instant::now();
        let _ = bare::delete(&batches);
        Ok(start.elapsed())
    })?;
    say(&format!("delete {number} that are gone (each answered ENOENT)"), took, Some(number));
    let took = rounds(|| {
        plan.fill()?;
        let socket = Socket::open()?;
        let start = Instant::now();
        socket.flush()?;
        Ok(start.elapsed())
    })?;
    say("flush", took, Some(ENTRIES as usize));
    Ok(())
}

/// Two of five entries deleted in the same pass that reads them.
fn while_dumping(plan: &Plan) -> Outcome<()> {
    for (what, second, at_a_time) in [
        ("dump and delete 2 of 5, one pass, one socket, a batch a datagram", false, 0),
        ("dump and delete 2 of 5, one pass, second socket, a batch a datagram", true, 0),
        ("dump and delete 2 of 5, one pass, second socket, 64 a batch", true, 64),
        ("dump and delete 2 of 5, one pass, second socket, 256 a batch", true, 256),
    ] {
        let mut left = 0;
        let took = rounds(|| {
            plan.fill()?;
            let start = Instant::now();
            let reader = Socket::open()?;
            let writer = if second { Some(Socket::open()?) } else { None };
            let writer = writer.as_ref().unwrap_or(&reader);
            let (mut seen, mut held, mut batch) = (0u32, 0, Batch::default());
            reader.dump(&mut vec![0; bare::BUFFER], |datagram| {
                for entry in messages(datagram).filter(Message::is_entry) {
                    seen += 1;
                    if seen % 5 < 2 {
                        batch.delete(&entry, true);
                        held += 1;
                    }
                }
                if held > at_a_time {
                    writer.send(&batch.bytes)?;
                    batch.bytes.clear();
                    held = 0;
                }
                Ok(())
            })?;
            // An empty send is ENODATA.
            if held > 0 {
                writer.send(&batch.bytes)?;
            }
            let took = start.elapsed();
            left = count()?;
            Ok(took)
        })?;
        say(&format!("{what} (left {left})"), took, Some(ENTRIES as usize));
    }
    let took = rounds(|| {
        plan.fill()?;
        let start = Instant::now();
        let (mut seen, mut batches, mut in_last) = (0u32, Vec::<Batch>::new(), 0);
        let socket = Socket::open()?;
        socket.dump(&mut vec![0; bare::BUFFER], |datagram| {
            for entry in messages(datagram).filter(Message::is_entry) {
                seen += 1;
                if seen % 5 < 2 {
                    if batches.is_empty() || in_last == 128 {
                        batches.push(Batch::default());
                        in_last = 0;
                    }
                    in_last += 1;
                    if let Some(batch) = batches.last_mut() {
                        batch.delete(&entry, true);
                    }
                }
            }
            Ok(())
        })?;
        for batch in &batches {
            socket.send(&batch.bytes)?;
        }
        Ok(start.elapsed())
    })?;
    say("dump, then delete 2 of 5 from memory, 128 a batch", took, Some(ENTRIES as usize));
    Ok(())
}

fn peers() -> Outcome<()> {
    let hog = Plan::one_hog(ENTRIES);
    let refilled = |one: &mut dyn FnMut() -> Outcome<Duration>| -> Outcome<Duration> {
        rounds(|| {
            hog.fill()?;
            let took = one()?;
            crate::host::expect_count("after deleting a source", ENTRIES / 2, 0)?;
            Ok(took)
        })
    };
    let took = refilled(&mut || {
        let start = Instant::now();
        Socket::open()?.delete_source(HOG)?;
        Ok(start.elapsed())
    })?;
    say("delete 125,000 of one source in the kernel (CTA_FILTER)", took, None);
    let took = refilled(&mut || timed(Command::new("conntrack").args(["-D", "-s", &HOG.to_string()])))?;
    say("conntrack -D -s of 125,000", took, None);
    hog.fill()?;
    say("conntrack -L", rounds(|| timed(Command::new("conntrack").arg("-L")))?, None);
    say("conntrack -L | awk | sort | head", rounds(|| timed(Command::new("sh").args(["-c", PIPELINE])))?, None);
    Ok(())
}

fn small(table: &mut Table) -> Outcome<()> {
    for (entries, buckets) in
        [(100, 2_048), (2_048, 2_048), (100, 262_144), (2_048, 262_144), (16_384, 16_384), (16_384, 262_144)]
    {
        Socket::open()?.flush()?;
        table.set_buckets(buckets)?;
        let plan = Plan::only_hog(entries);
        plan.fill()?;
        let took = rounds(|| bare::dump(bare::BUFFER))?;
        say(&format!("dump of {entries} entries in {buckets} buckets"), took, Some(entries as usize));
        let number = entries as usize * 2 / 5;
        let took = rounds(|| {
            plan.fill()?;
            bare::delete(&bare::deletions(number, 128, true)?)
        })?;
        say(&format!("delete of {number} of {entries} in {buckets} buckets"), took, Some(number));
    }
    Ok(())
}
