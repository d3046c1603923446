//! The broker of these tests beside a real ubusd.

use crate::broker::{Broker, take};
use crate::golden::{CLIENT, Line, SERVER, lines};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// The recordings again, with our broker in ubusd's place: what it says is what ubusd said.
#[test]
fn the_broker_says_what_ubusd_said() {
    let path = crate::world::socket();
    let mut broker = Broker::bind(&path);
    // Who published gets the first client's id, as recorded; the others in the order in which they come.
    let hello = |line: &Line| u32::from_be_bytes(line.bytes[4..8].try_into().unwrap());
    let mut files = [VecDeque::from(lines(CLIENT)), VecDeque::from(lines(SERVER))];
    let ids: Vec<(String, u32)> = files
        .iter()
        .zip(["", "server "])
        .flat_map(|(file, before)| {
            file.iter()
                .filter(|l| l.what.starts_with("HELLO"))
                .map(move |l| (format!("{before}{}", l.connection), hello(l)))
        })
        .collect();
    let mut connections: Vec<(String, UnixStream, Vec<u8>)> = Vec::new();
    let mut said = 0;
    for _ in 0..2000 {
        // Clients come first, but not before the object is there.
        for n in if files[1].len() > lines(SERVER).len() - 4 { [1, 1] } else { [0, 1] } {
            let Some(line) = files[n].front() else { continue };
            let name = format!("{}{}", ["", "server "][n], line.connection);
            if !connections.iter().any(|c| c.0 == name) {
                broker.ids.push_front(ids.iter().find(|id| id.0 == name).unwrap().1);
                let stream = UnixStream::connect(&path).unwrap();
                stream.set_nonblocking(true).unwrap();
                connections.push((name.clone(), stream, Vec::new()));
                broker.turn();
            }
            let (_, stream, input) = connections.iter_mut().find(|c| c.0 == name).unwrap();
            if line.to_ubusd {
                if line.what.starts_with("ADD_OBJECT") {
                    let added = files[n]
                        .iter()
                        .find(|l| !l.to_ubusd && l.connection == files[n][0].connection && l.what.starts_with("DATA"));
                    if let Some(answer) = added {
                        broker.ids.push_back(u32::from_be_bytes(answer.bytes[16..20].try_into().unwrap()));
                        if answer.bytes.len() > 24 {
                            broker.types.push_back(u32::from_be_bytes(answer.bytes[24..28].try_into().unwrap()));
                        }
                    }
                }
                stream.write_all(&files[n].pop_front().unwrap().bytes).unwrap();
                broker.turn();
                break;
            }
            let mut room = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut room) {
                input.extend(&room[..n]);
            }
            if let Some(m) = take(input) {
                assert_eq!(m.raw, line.bytes, "{name} {}", line.what);
                files[n].pop_front();
                said += 1;
                // It stays: its leaving would be told to others.
                break;
            }
        }
        if files[1].len() == 1 {
            // The last that the server hears is that its subscriber has left.
            connections.retain(|c| c.0 != "c8");
            files[0].retain(|l| l.connection != "c8");
            broker.turn();
        }
    }
    let left: Vec<_> = files.iter().flatten().map(|l| format!("{} {}", l.connection, l.what)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(said > 40);
    drop(broker);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
