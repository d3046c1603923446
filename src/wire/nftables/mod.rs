//! nf_tables: sets and their elements, and what stands in tables that are not ours.
//!
//! Numbers from the kernel's `nf_tables.h`. Changes go in transactions: all of one datagram or none of it. Keys of
//! elements are what the packet path has in its registers: interface indexes in the machine's own byte order, all else as
//! it is on the wire, each part of a key padded to four bytes; an ethertype alone has two. Times are milliseconds.

mod seen;

use super::netlink::{Batch, FLAG_CREATE, FLAG_DUMP, FLAG_REQUEST, HEADER, Head, NFGEN, align};
use crate::entry::mask;
use crate::lease::Lease;
use crate::units::Millis;
use core::net::IpAddr;
use heapless::Vec;
pub use seen::{Chain, Hook, Rule, SetSeen, TableSeen, answer, generation, left, translates_ipv6};

const SUBSYSTEM: u8 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

mod message {
    const SUBSYSTEM: u16 = (super::SUBSYSTEM as u16) << 8;
    pub const GET_TABLE: u16 = SUBSYSTEM | 1;
    pub const DELETE_TABLE: u16 = SUBSYSTEM | 2;
    pub const GET_CHAIN: u16 = SUBSYSTEM | 4;
    pub const GET_RULE: u16 = SUBSYSTEM | 7;
    pub const DELETE_RULE: u16 = SUBSYSTEM | 8;
    pub const GET_SET: u16 = SUBSYSTEM | 10;
    pub const DELETE_SET: u16 = SUBSYSTEM | 11;
    pub const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
    pub const GET_ELEMENT: u16 = SUBSYSTEM | 13;
    pub const DELETE_ELEMENT: u16 = SUBSYSTEM | 14;
    pub const GET_GENERATION: u16 = SUBSYSTEM | 16;
}

mod nfta {
    pub const TABLE_NAME: u16 = 1;
    pub const TABLE_FLAGS: u16 = 2;
    pub const TABLE_HANDLE: u16 = 4;
    pub const CHAIN_TABLE: u16 = 1;
    pub const CHAIN_NAME: u16 = 3;
    pub const CHAIN_HOOK: u16 = 4;
    pub const CHAIN_POLICY: u16 = 5;
    pub const CHAIN_USE: u16 = 6;
    pub const CHAIN_TYPE: u16 = 7;
    pub const HOOK_NUMBER: u16 = 1;
    pub const RULE_TABLE: u16 = 1;
    pub const RULE_CHAIN: u16 = 2;
    pub const RULE_HANDLE: u16 = 3;
    pub const RULE_EXPRESSIONS: u16 = 4;
    pub const RULE_USERDATA: u16 = 7;
    pub const EXPRESSION_NAME: u16 = 1;
    pub const EXPRESSION_DATA: u16 = 2;
    pub const META_KEY: u16 = 2;
    /// `NFT_META_NFPROTO`.
    pub const META_FAMILY: u64 = 15;
    pub const COMPARE_OPERATION: u16 = 2;
    pub const COMPARE_DATA: u16 = 3;
    pub const NAT_FAMILY: u16 = 2;
    pub const TARGET_NAME: u16 = 1;
    pub const SET_TABLE: u16 = 1;
    pub const SET_NAME: u16 = 2;
    pub const SET_HANDLE: u16 = 16;
    pub const LIST_TABLE: u16 = 1;
    pub const LIST_SET: u16 = 2;
    pub const LIST_ELEMENTS: u16 = 3;
    pub const LIST_ITEM: u16 = 1;
    pub const ELEMENT_KEY: u16 = 1;
    pub const ELEMENT_TIMEOUT: u16 = 4;
    pub const ELEMENT_EXPIRATION: u16 = 5;
    pub const DATA_VALUE: u16 = 1;
    pub const GENERATION_ID: u16 = 1;
    /// `NFT_TABLE_F_OWNER`: only the process that made it may change it.
    pub const OWNED: u64 = 2;
}

/// `NFPROTO_INET`.
pub const FAMILY_INET: u8 = 1;
/// `NFPROTO_IPV4`.
pub const FAMILY_IP: u8 = 2;
/// `NFPROTO_IPV6`.
pub const FAMILY_IP6: u8 = 10;

/// Our sets. They have the same names in every table that has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Set {
    Shed4,
    Shed6,
    To4,
    To6,
    Router,
    Lan,
    /// Of which families un-NATed traffic is untracked: lets a packet pass by in one look while there is no lease, without
    /// which each returning IPv6 packet would cost a look at the routes.
    Routed,
    All,
    /// Sources whose connections are counted too: the look into a set with a limit finds only what is above it.
    Count4,
    Count6,
}

/// Sets as bits.
pub type Sets = u16;

impl Set {
    /// All, in the order of their bits.
    pub const ALL: [Set; 10] = [
        Set::Shed4,
        Set::Shed6,
        Set::To4,
        Set::To6,
        Set::Router,
        Set::Lan,
        Set::Routed,
        Set::All,
        Set::Count4,
        Set::Count6,
    ];
    /// Those of our own table, or of fw4's.
    pub const OWN: Sets = 0xff;
    /// Those of capped sources and destinations: no rule in a foreign table looks into them.
    pub const CAPS: Sets = 0xf;
    /// Those that our own table also has where connections are counted.
    pub const COUNTED: Sets = 0x300;

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Set::Shed4 => "ctwarden_shed4",
            Set::Shed6 => "ctwarden_shed6",
            Set::To4 => "ctwarden_to4",
            Set::To6 => "ctwarden_to6",
            Set::Router => "ctwarden_router",
            Set::Lan => "ctwarden_lan",
            Set::Routed => "ctwarden_routed",
            Set::All => "ctwarden_all",
            Set::Count4 => "ctwarden_count4",
            Set::Count6 => "ctwarden_count6",
        }
    }
    /// From its name.
    pub fn by_name(name: &str) -> Option<Set> {
        Set::ALL.into_iter().find(|set| set.name() == name)
    }
    /// Its bit.
    pub const fn bit(self) -> Sets {
        1 << self as u8
    }
}

/// The sets in which a lease has an element, and its key, which is the same in all but [`Set::Routed`].
pub fn element(lease: &Lease) -> (Sets, Key) {
    let mut key = Key::new();
    // What did not fit would be no key; all of it does.
    let mut add = |part: &[u8]| {
        let _ = key.extend_from_slice(part);
    };
    let mut address = |address: IpAddr, v4: Sets, v6: Sets| match address {
        IpAddr::V4(a) => {
            add(&a.octets());
            v4
        }
        IpAddr::V6(a) => {
            add(&a.octets());
            v6
        }
    };
    let (sets, flow) = match *lease {
        Lease::Source(source) => {
            let source = mask(source, if source.is_ipv4() { 32 } else { 64 });
            let v4 = Set::Shed4.bit() | Set::Count4.bit();
            (address(source, v4, Set::Shed6.bit() | Set::Count6.bit()), None)
        }
        Lease::Destination { address: a, protocol, port } => {
            (address(a, Set::To4.bit(), Set::To6.bit()), Some((protocol, port)))
        }
        Lease::Router { interface, protocol, port } => {
            add(&interface.to_ne_bytes());
            (Set::Router.bit(), Some((protocol, port)))
        }
        Lease::Lan { interface } => {
            add(&interface.to_ne_bytes());
            (Set::Lan.bit() | Set::Routed.bit(), None)
        }
        Lease::All { ipv6 } => {
            add(if ipv6 { &ETHERTYPE_IPV6 } else { &ETHERTYPE_IPV4 });
            (Set::All.bit(), None)
        }
    };
    if let Some((protocol, port)) = flow {
        let [high, low] = port.to_be_bytes();
        add(&[protocol, 0, 0, 0, high, low, 0, 0]);
    }
    (sets, key)
}

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// A key: an IPv6 address, a protocol and a port at most.
pub type Key = Vec<u8, 24>;
/// Longest name of a foreign table with which we have to do.
pub const NAME_MOST: usize = 31;

/// A table by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// `FAMILY_…`.
    pub family: u8,
    /// At most [`NAME_MOST`] bytes.
    pub name: &'a str,
}

const fn head(kind: u16, flags: u16, family: u8) -> Head {
    Head { kind, flags: FLAG_REQUEST | flags, sequence: 1, family, version: 0 }
}

/// Begins a transaction.
pub fn begin(batch: &mut Batch<'_>) -> bool {
    batch.bracket(BATCH_BEGIN, SUBSYSTEM)
}

/// What [`end`] takes of the room.
pub const END: usize = HEADER + NFGEN;

/// Ends it. The answer is the first error, or an acknowledgement of the last message.
pub fn end(batch: &mut Batch<'_>) -> bool {
    batch.acknowledge_last();
    batch.bracket(BATCH_END, SUBSYSTEM)
}

fn one(batch: &mut Batch<'_>, kind: u16, table: Table<'_>, set: Set, key: &[u8], term: Option<Millis>) -> bool {
    let flags = if kind == message::NEW_ELEMENT { FLAG_CREATE } else { 0 };
    let key = if set == Set::Routed { &ETHERTYPE_IPV6 } else { key };
    batch.message(head(kind, flags, table.family), &|w| {
        w.attribute(nfta::LIST_TABLE, table.name.as_bytes());
        w.attribute(nfta::LIST_SET, set.name().as_bytes());
        w.nested(nfta::LIST_ELEMENTS, &|w| {
            w.nested(nfta::LIST_ITEM, &|w| {
                w.nested(nfta::ELEMENT_KEY, &|w| w.attribute(nfta::DATA_VALUE, key));
                if let Some(term) = term {
                    w.be64(nfta::ELEMENT_TIMEOUT, term.0);
                }
            });
        });
    })
}

/// Gives an element this term from now on, whether it is there or not; `None`: takes it out. `false`: there is not room for
/// it, nothing was added.
///
/// An element that is there keeps its old timeout on kernels before 6.12, so it is taken out and put in again. Taking out
/// one that is not there fails the whole transaction: so it is put in first, which does nothing to one that is there. The
/// packet path sees the outcome of the transaction only.
pub fn lease(batch: &mut Batch<'_>, table: Table<'_>, set: Set, key: &[u8], term: Option<Millis>) -> bool {
    const MESSAGE: usize =
        HEADER + NFGEN + 4 + align(NAME_MOST) + 4 + align("ctwarden_router".len()) + 4 + 12 + 24 + 12;
    if batch.room() < 3 * MESSAGE + END {
        return false;
    }
    // Never one without a timeout, not even for the length of a transaction.
    let first = term.unwrap_or(Millis(1000));
    one(batch, message::NEW_ELEMENT, table, set, key, Some(first))
        && one(batch, message::DELETE_ELEMENT, table, set, key, None)
        && (term.is_none() || one(batch, message::NEW_ELEMENT, table, set, key, term))
}

/// Asks for one element.
pub fn get_element(batch: &mut Batch<'_>, table: Table<'_>, set: Set, key: &[u8]) -> bool {
    one(batch, message::GET_ELEMENT, table, set, key, None)
}

/// Asks for the number that each transaction counts up.
pub fn get_generation(batch: &mut Batch<'_>) -> bool {
    batch.message(head(message::GET_GENERATION, 0, 0), &|_| {})
}

/// What can be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum All {
    Tables,
    Chains,
    Rules,
    Sets,
}

/// Asks for all of it, of all families.
pub fn dump(batch: &mut Batch<'_>, what: All) -> bool {
    let kind = match what {
        All::Tables => message::GET_TABLE,
        All::Chains => message::GET_CHAIN,
        All::Rules => message::GET_RULE,
        All::Sets => message::GET_SET,
    };
    batch.message(head(kind, FLAG_DUMP, 0), &|_| {})
}

/// Takes a rule out.
pub fn delete_rule(batch: &mut Batch<'_>, rule: &Rule<'_>) -> bool {
    batch.message(head(message::DELETE_RULE, 0, rule.table.family), &|w| {
        w.attribute(nfta::RULE_TABLE, rule.table.name.as_bytes());
        w.attribute(nfta::RULE_CHAIN, rule.chain.as_bytes());
        w.be64(nfta::RULE_HANDLE, rule.handle);
    })
}

/// Takes a table out, with all that is in it.
pub fn delete_table(batch: &mut Batch<'_>, table: Table<'_>) -> bool {
    batch.message(head(message::DELETE_TABLE, 0, table.family), &|w| {
        w.attribute(nfta::TABLE_NAME, table.name.as_bytes());
    })
}

/// Takes a set out; EBUSY while a rule looks into it.
pub fn delete_set(batch: &mut Batch<'_>, table: Table<'_>, set: Set) -> bool {
    in_set(batch, message::DELETE_SET, table, set)
}

/// Takes all elements out of a set.
pub fn empty_set(batch: &mut Batch<'_>, table: Table<'_>, set: Set) -> bool {
    in_set(batch, message::DELETE_ELEMENT, table, set)
}

fn in_set(batch: &mut Batch<'_>, kind: u16, table: Table<'_>, set: Set) -> bool {
    // The attributes of sets and of lists of elements have the same numbers here.
    batch.message(head(kind, 0, table.family), &|w| {
        w.attribute(nfta::SET_TABLE, table.name.as_bytes());
        w.attribute(nfta::SET_NAME, set.name().as_bytes());
    })
}
