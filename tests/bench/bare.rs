//! The yardsticks: what the kernel itself takes for a dump and for deletions, with as little around it as possible.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::ctnetlink::{Batch, Message, Socket, messages};

/// The program under test receives with a buffer of this size; so does the bare dump.
pub const BUFFER: usize = 32 << 10;
/// Deletions sent at a time: beyond 64 nothing more is gained (`baselines`).
pub const AT_A_TIME: usize = 128;

/// The role `bare-dump`: one dump of the table, nothing parsed.
pub fn dump(buffer: usize) -> Outcome<Duration> {
    let mut buffer = vec![0; buffer];
    let start = Instant::now();
    Socket::open()?.dump(&mut buffer, |_| Ok(()))?;
    Ok(start.elapsed())
}

/// Deletion messages for the first `number` entries that the kernel dumps, `at_a_time` in a batch.
pub fn deletions(number: usize, at_a_time: usize, with_id: bool) -> Outcome<Vec<Batch>> {
    let (mut batches, mut done) = (Vec::new(), 0);
    Socket::open()?.dump(&mut vec![0; BUFFER], |datagram| {
        for entry in messages(datagram).filter(Message::is_entry).take(number - done) {
            if done % at_a_time == 0 {
                batches.push(Batch::default());
            }
            if let Some(batch) = batches.last_mut() {
                batch.delete(&entry, with_id);
            }
            done += 1;
        }
        Ok(())
    })?;
    if done == number { Ok(batches) } else { Err(format!("only {done} entries to delete, not {number}")) }
}

/// Sends prepared deletions: the kernel's own work and a system call a batch.
pub fn delete(batches: &[Batch]) -> Outcome<Duration> {
    let start = Instant::now();
    let socket = Socket::open()?;
    for batch in batches {
        socket.send(&batch.bytes)?;
    }
    let took = start.elapsed();
    match socket.errors()? {
        (_, None) => Ok(took),
        (number, Some(errno)) => Err(format!("deleting: {number} refused: {errno}")),
    }
}
