//! The router's own addresses and interfaces.

use super::socket::Socket;
use ctwarden::observe::own::Own;
use ctwarden::wire::netlink::{Batch, FLAG_DUMP_INTERRUPTED, Messages, TYPE_DONE};
use ctwarden::wire::route::{NEW_ADDRESS, address, dump_addresses, get_link, link_index};
use heapless::Vec;
use nix::errno::Errno;
use std::net::IpAddr;

/// The kernel fills datagrams of a dump up to what is offered, 8 KiB at least on kernels before 4.9.
const DATAGRAM: usize = 8192;
/// Somebody changed an address while they were read.
const ATTEMPTS: u8 = 3;

/// The index of an interface; `None`: there is none of that name. (The C library's way is 2 KB on MIPS.)
pub fn index_of(name: &str) -> Option<u32> {
    let socket = Socket::open_route().ok()?;
    let mut room = [0; DATAGRAM];
    let mut batch = Batch::new(&mut room);
    get_link(&mut batch, name, 1);
    socket.send(&batch).ok()?;
    let n = socket.receive(&mut room).ok()?;
    link_index(&Messages::new(room.get(..n)?).next()?.ok()?)
}

/// The name of an interface, if it is one of these.
#[allow(dead_code)]
pub fn name_of<'a>(index: u32, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names.into_iter().find(|name| index_of(name) == Some(index))
}

/// Addresses of one interface that are told apart.
pub const MOST: usize = 16;

/// The router's addresses on an interface. Empty: they are not known, or more than that, and any address may be one.
pub fn on(name: &str) -> Vec<IpAddr, MOST> {
    let own = own();
    let mut addresses = Vec::new();
    let interface = index_of(name).unwrap_or(0);
    if !own.is_complete() || !own.on(interface).all(|a| addresses.push(a).is_ok()) {
        addresses.clear();
    }
    addresses
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
