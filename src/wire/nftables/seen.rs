//! What the kernel tells of its tables. Attributes that are not known are passed over; what lacks one that it must have is
//! not there for us.

use super::{FAMILY_INET, FAMILY_IP, FAMILY_IP6, Set, Table, nfta};
use crate::units::Millis;
use crate::wire::netlink::{Attributes, HEADER, NFGEN, TYPE_ERROR};

/// The mark of a rule of ours in a foreign chain, as `comment "ctwarden"` puts it into its user data: type 0, length, text.
const COMMENT: &[u8] = b"\0\x09ctwarden\0";
/// What the names of all our sets begin with.
const PREFIX: &[u8] = b"ctwarden_";

fn attribute(payload: &[u8], wanted: u16) -> Option<&[u8]> {
    find(payload.get(NFGEN..)?, wanted)
}

fn find(block: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes::new(block).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// A number of four or eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    match bytes.len() {
        4 | 8 => Some(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
        _ => None,
    }
}

/// A text, which the kernel ends with a zero. `None` also for one that is not UTF-8: no nft can have made it.
fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).ok()
}

/// The table of IPv4, IPv6 or both in which this stands; of other families none.
fn table_of(payload: &[u8], name: u16) -> Option<Table<'_>> {
    let family = *payload.first()?;
    let ip = matches!(family, FAMILY_INET | FAMILY_IP | FAMILY_IP6);
    Some(Table { family, name: text(attribute(payload, name)?)? }).filter(|_| ip)
}

/// A table, from a dump of [`All::Tables`](super::All::Tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSeen<'a> {
    /// Which.
    pub table: Table<'a>,
    /// A program holds it, and nobody else may change it.
    pub owned: bool,
    /// Another number once it is made anew; 0 from kernels before 4.16.
    pub handle: u64,
}

impl<'a> TableSeen<'a> {
    /// From the payload of a message.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let of = |kind| attribute(payload, kind).and_then(number).unwrap_or(0);
        Some(Self {
            table: table_of(payload, nfta::TABLE_NAME)?,
            owned: of(nfta::TABLE_FLAGS) & nfta::OWNED != 0,
            handle: of(nfta::TABLE_HANDLE),
        })
    }
}

/// Where packets come by that go to the router, through it, or from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Hook {
    Input,
    Forward,
    Output,
}

/// A base chain of type filter on one of these hooks, from a dump of [`All::Chains`](super::All::Chains).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    /// In which table.
    pub table: Table<'a>,
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub hook: Hook,
    /// It holds rules or drops by policy: something can be refused there.
    pub refuses: bool,
}

impl<'a> Chain<'a> {
    /// From the payload of a message; `None`: another kind of chain.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let of = |kind| attribute(payload, kind);
        let hook = find(of(nfta::CHAIN_HOOK)?, nfta::HOOK_NUMBER).and_then(number)?;
        let hook = *[Hook::Input, Hook::Forward, Hook::Output].get(usize::try_from(hook).ok()?.checked_sub(1)?)?;
        if text(of(nfta::CHAIN_TYPE)?)? != "filter" {
            return None;
        }
        // NF_DROP is 0.
        let dropping = of(nfta::CHAIN_POLICY).and_then(number) == Some(0);
        let used = of(nfta::CHAIN_USE).and_then(number).unwrap_or(1) > 0;
        Some(Self {
            table: table_of(payload, nfta::CHAIN_TABLE)?,
            name: text(of(nfta::CHAIN_NAME)?)?,
            hook,
            refuses: dropping || used,
        })
    }

    /// iptables-nft's own: it takes our rules for what they are not, or its whole table for spoilt.
    pub fn is_of_iptables(&self) -> bool {
        self.table.family != FAMILY_INET
            && ["filter", "mangle", "raw", "nat", "security"].contains(&self.table.name)
            && ["INPUT", "FORWARD", "OUTPUT"].contains(&self.name)
    }
}

/// One of our sets, from a dump of [`All::Sets`](super::All::Sets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSeen<'a> {
    /// In which table.
    pub table: Table<'a>,
    /// Which.
    pub set: Set,
    /// Another number once it is made anew in the same table.
    pub handle: u64,
}

impl<'a> SetSeen<'a> {
    /// From the payload of a message; `None`: somebody else's.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let name = text(attribute(payload, nfta::SET_NAME)?)?;
        Some(Self {
            table: table_of(payload, nfta::SET_TABLE)?,
            set: Set::by_name(name)?,
            handle: attribute(payload, nfta::SET_HANDLE).and_then(number).unwrap_or(0),
        })
    }
}

/// A rule of ours in somebody's chain, from a dump of [`All::Rules`](super::All::Rules).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// In which table.
    pub table: Table<'a>,
    /// In which chain.
    pub chain: &'a str,
    /// Its number in the table.
    pub handle: u64,
}

impl<'a> Rule<'a> {
    /// From the payload of a message; `None`: it is not ours. Ours has our comment and looks into a set of ours.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let has =
            |kind, part: &[u8]| attribute(payload, kind).is_some_and(|v| v.windows(part.len()).any(|w| w == part));
        if !has(nfta::RULE_USERDATA, COMMENT) || !has(nfta::RULE_EXPRESSIONS, PREFIX) {
            return None;
        }
        Some(Self {
            table: table_of(payload, nfta::RULE_TABLE)?,
            chain: text(attribute(payload, nfta::RULE_CHAIN)?)?,
            handle: attribute(payload, nfta::RULE_HANDLE).and_then(number)?,
        })
    }
}

/// Whether this rule, from a dump of [`All::Rules`](super::All::Rules), gives IPv6 packets another address. One for both
/// families that does not say which it is for does; a redirection to the router itself does not.
pub fn translates_ipv6(payload: &[u8]) -> bool {
    let Some(expressions) = attribute(payload, nfta::RULE_EXPRESSIONS) else { return false };
    if !payload.first().is_some_and(|family| matches!(*family, FAMILY_INET | FAMILY_IP6)) {
        return false;
    }
    let mut of_family = false;
    for (_, expression) in Attributes::new(expressions) {
        let data = find(expression, nfta::EXPRESSION_DATA).unwrap_or(&[]);
        let of = |kind| find(data, kind);
        let was_of_family = core::mem::take(&mut of_family);
        match find(expression, nfta::EXPRESSION_NAME).and_then(text).unwrap_or_default() {
            "meta" => of_family = of(nfta::META_KEY).and_then(number) == Some(nfta::META_FAMILY),
            "cmp" if was_of_family && of(nfta::COMPARE_OPERATION).and_then(number) == Some(0) => {
                let value = of(nfta::COMPARE_DATA).and_then(|d| find(d, nfta::DATA_VALUE));
                if value == Some(&[FAMILY_IP]) {
                    return false;
                }
            }
            // The second is of OpenWrt's.
            "masq" | "fullcone" => return true,
            "nat" => return of(nfta::NAT_FAMILY).and_then(number) != Some(FAMILY_IP.into()),
            "target" => {
                let name = of(nfta::TARGET_NAME).and_then(text).unwrap_or_default();
                return ["MASQUERADE", "SNAT", "DNAT", "NETMAP"].iter().any(|n| name.starts_with(n));
            }
            _ => {}
        }
    }
    false
}

/// What is left of the element that was asked for.
pub fn left(payload: &[u8]) -> Option<Millis> {
    let item = find(attribute(payload, nfta::LIST_ELEMENTS)?, nfta::LIST_ITEM)?;
    find(item, nfta::ELEMENT_EXPIRATION).and_then(number).map(Millis).filter(|left| left.0 > 0)
}

/// The number that was asked for.
pub fn generation(payload: &[u8]) -> Option<u32> {
    attribute(payload, nfta::GENERATION_ID).and_then(number).and_then(|n| u32::try_from(n).ok())
}

/// The errno in the first message of a datagram, 0 for an acknowledgement; `None`: it is something else. An error has the
/// message in it that it is about, and may be cut short.
pub fn answer(datagram: &[u8]) -> Option<i32> {
    const KIND: usize = 4;
    let kind = datagram.get(KIND..)?.first_chunk::<2>()?;
    let code = datagram.get(HEADER..)?.first_chunk::<4>()?;
    (u16::from_ne_bytes(*kind) == TYPE_ERROR).then(|| i32::from_ne_bytes(*code).saturating_neg())
}
