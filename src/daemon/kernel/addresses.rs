//! The router's own addresses and interfaces.

use super::socket::Socket;
use ctwarden::observe::own::Own;
use ctwarden::wire::netlink::{Batch, FLAG_DUMP_INTERRUPTED, Messages, TYPE_DONE};
use ctwarden::wire::route::{NEW_ADDRESS, address, dump_addresses};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

/// The kernel fills datagrams of a dump up to what is offered, 8 KiB at least on kernels before 4.9.
const DATAGRAM: usize = 8192;
/// Somebody changed an address while they were read.
const ATTEMPTS: u8 = 3;

/// The index of an interface; `None`: there is none of that name.
pub fn index_of(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// The name of an interface, if it is one of these.
#[allow(dead_code)]
pub fn name_of<'a>(index: u32, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names.into_iter().find(|name| index_of(name) == Some(index))
}

/// The router's own addresses, as they are now. What cannot be read is [`Own::UNKNOWN`].
pub fn own() -> Own {
    (0..ATTEMPTS).find_map(|_| read().ok()).unwrap_or(Own::UNKNOWN)
}

fn read() -> Result<Own, Errno> {
    let socket = Socket::open_route()?;
    let mut room = [0; DATAGRAM];
    let mut batch = Batch::new(&mut room);
    dump_addresses(&mut batch, 1);
    socket.send(&batch)?;
    let mut own = Own::new();
    loop {
        let n = socket.receive(&mut room)?;
        for message in Messages::new(room.get(..n).unwrap_or(&[])) {
            let message = message.map_err(|_| Errno::EBADMSG)?;
            match message.errno() {
                Some(e) if e != 0 => return Err(Errno::from_raw(e)),
                Some(_) if message.kind == TYPE_DONE => return Ok(own),
                _ if message.flags & FLAG_DUMP_INTERRUPTED != 0 => return Err(Errno::EAGAIN),
                _ => {}
            }
            if message.kind == NEW_ADDRESS
                && let Some(address) = address(message.payload)
            {
                own.add(address);
            }
        }
    }
}
