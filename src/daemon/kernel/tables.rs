//! Which tables nftables has: iptables' own, or somebody else's.

use super::socket::Socket;
use crate::daemon::root::{IPTABLES_NAMES, Root};
use ctwarden::wire::netlink::{
    Attributes, Batch, FLAG_DUMP, FLAG_REQUEST, Head, Messages, NFGEN, TYPE_DONE, TYPE_ERROR,
};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE`.
const GET_TABLES: u16 = 10 << 8 | 1;
/// `NFTA_TABLE_NAME`.
const NAME: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// iptables has tables, in its own or in nftables' place.
    pub iptables: bool,
    /// Somebody else has tables.
    pub foreign: bool,
}

/// Asks the kernel. Without nftables there are none.
pub fn nft_tables(root: &Root) -> Found {
    let mut names = [0; 64];
    let legacy = root.read(IPTABLES_NAMES, &mut names).is_ok_and(|names| !names.is_empty());
    let mut found = Found { iptables: legacy, foreign: false };
    let Ok(socket) = Socket::open() else { return found };
    let mut room = [0; 4096];
    let mut batch = Batch::new(&mut room);
    let head = Head { kind: GET_TABLES, flags: FLAG_REQUEST | FLAG_DUMP, sequence: 1, family: 0, version: 0 };
    if !root.is_real() || !batch.message(head, &|_| {}) || socket.send(&batch).is_err() {
        return found;
    }
    while let Ok(n @ 1..) = socket.receive(&mut room) {
        for message in Messages::new(room.get(..n).unwrap_or(&[])).flatten() {
            if message.kind == TYPE_DONE || message.kind == TYPE_ERROR {
                return found;
            }
            let Some((head, attributes)) = message.payload.split_at_checked(NFGEN) else { continue };
            let name = Attributes::new(attributes).find(|(kind, _)| *kind == NAME).map_or(&[][..], |(_, name)| name);
            let known = [&b"filter\0"[..], b"nat\0", b"mangle\0", b"raw\0", b"security\0"].contains(&name);
            match head.first() {
                Some(&(AF_INET | AF_INET6)) if known => found.iptables = true,
                // Those of the bridge and of ARP have no part in this, and neither do devices.
                Some(&(1 | AF_INET | AF_INET6)) => found.foreign = true,
                _ => {}
            }
        }
    }
    found
}
