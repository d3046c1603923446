//! The yardsticks: what the kernel itself takes for a dump and for deletions, with as little around it as possible.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::ctnetlink::{Batch, Message, Socket, messages};
use crate::host::count;

/// The program under test receives with a buffer of this size; so does the bare dump.
pub const BUFFER: usize = 32 << 10;
/// Deletions sent at a time: beyond 16 nothing more is gained (`baselines`).
const AT_A_TIME: usize = 64;

/// The role `bare-dump`: one dump of the table, nothing parsed.
pub fn dump(buffer: usize) -> Outcome<Duration> {
    let mut buffer = vec![0; buffer];
    let start = Instant::now();
    Socket::open()?.dump(&mut buffer, |_| Ok(()))?;
    Ok(start.elapsed())
}

/// Deletion messages for `number` of the table's entries, spread evenly over it, `at_a_time` in a batch.
pub fn deletions(number: usize, at_a_time: usize, with_id: bool) -> Outcome<Vec<Batch>> {
    let (mut batches, mut done, mut seen) = (Vec::new(), 0, 0);
    let all = count()? as usize;
    Socket::open()?.dump(&mut vec![0; BUFFER], |datagram| {
        for entry in messages(datagram).filter(Message::is_entry) {
            seen += 1;
            if done * all >= seen * number || done == number {
                continue;
            }
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

/// The role `bare-relief NUMBER`: a dump, then `number` entries deleted. What lies between them is not counted.
pub fn relief(number: usize) -> Outcome<Duration> {
    let dumped = dump(BUFFER)?;
    Ok(dumped + delete(&deletions(number, AT_A_TIME, true)?)?)
}
