//! The lists of `-m recent`: what a line of /proc/net/xt_recent says, and what is written to one.
//!
//! A rule `--rcheck --seconds N` matches while a stamp is no older than N seconds. A list whose rules mask all bits away is a
//! switch: its one entry is the address of zeros. Stamps are in jiffies, and who never looks again would find an old one
//! fresh after half a wrap (248 days at 100 Hz on 32 bits): all rules have `--reap`, with which the first packet after the
//! end takes the entry out.

use super::Family;
use super::rules::{FORWARD, INPUT, NEW, RAW};
use crate::entry::mask;
use crate::lease::{LIFELINE_TERM, Lease, TERM};
use crate::observe::text::{decimal, fields};
use crate::units::Millis;
use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The lists, by what their rules do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Switch: the router's ports from the LAN, for [`LIFELINE_TERM`].
    Lifeline,
    /// Switch: the same for [`TERM`], also the ports that the input rules would refuse.
    Router,
    /// Switch: un-NATed TCP of LAN hosts.
    Lan,
    /// Switch: the router's ports from everywhere are untracked.
    Ports,
    /// Switch: everything is accepted.
    All,
    /// Sources whose new entries are capped.
    Shed,
    /// Destinations to which new entries are capped, each port by itself.
    Destination,
}

impl List {
    /// All of them.
    pub const ALL: [List; 7] =
        [List::Lifeline, List::Router, List::Lan, List::Ports, List::All, List::Shed, List::Destination];

    /// Its name after `ctwarden_`.
    pub const fn name(self) -> &'static str {
        match self {
            List::Lifeline => "lifeline",
            List::Router => "router",
            List::Lan => "lan",
            List::Ports => "ports",
            List::All => "all",
            List::Shed => "shed",
            List::Destination => "dest",
        }
    }

    /// The heads without which a lease in it would do nothing, or half of it.
    pub const fn needs(self) -> u8 {
        match self {
            List::Lifeline | List::Router => RAW | INPUT,
            List::Lan => RAW | FORWARD,
            List::Ports => RAW,
            List::All => INPUT | FORWARD,
            List::Shed | List::Destination => NEW,
        }
    }

    /// What its rules have after `--seconds`: any lease in it lasts so long, a shorter one too.
    pub const fn term(self) -> Millis {
        match self {
            List::Lifeline => LIFELINE_TERM,
            _ => TERM,
        }
    }
}

/// A set of lists of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists(u16);

impl Lists {
    /// Puts one more in.
    pub const fn add(&mut self, list: List, family: Family) {
        self.0 |= 1 << (list as u8 * 2 + family as u8);
    }
    /// The lifeline's alone, or all others.
    pub const fn only(&self, lifeline: bool) -> Self {
        let of_lifeline = 0b11 << (List::Lifeline as u8 * 2);
        Lists(if lifeline { self.0 & of_lifeline } else { self.0 & !of_lifeline })
    }
    /// None.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// Each once, both families of a list together.
impl Iterator for Lists {
    type Item = (List, Family);

    // One copy: it is all that grant, revoke and left are made of.
    #[inline(never)]
    fn next(&mut self) -> Option<(List, Family)> {
        let first = self.0.trailing_zeros() as usize;
        let list = List::ALL.get(first / 2)?;
        self.0 &= self.0.wrapping_sub(1);
        Some((*list, *Family::ALL.get(first % 2)?))
    }
}

/// The entry that a lease is in its lists: an address, or zeros where the list is a switch.
pub fn entry(lease: &Lease, family: Family) -> IpAddr {
    match (lease, family) {
        // What is written to the file is not masked by the kernel.
        (Lease::Source(address @ IpAddr::V6(_)), _) => mask(*address, 64),
        (Lease::Source(address) | Lease::Destination { address, .. }, _) => *address,
        (_, Family::V4) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (_, Family::V6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// Longest line that the kernel takes, the end of line in it.
pub type Order = heapless::String<44>;

/// What puts an address into a list with a stamp of now, or takes it out. The kernel takes one a write, and none but at the
/// file's beginning.
pub fn order(put: bool, address: IpAddr) -> Order {
    let mut order = Order::new();
    let _ = order.push(if put { '+' } else { '-' });
    let _ = writeln!(order, "{address}");
    order
}

/// The low 32 bits of the jiffies at which `address` was last written, if the line is about it. All of them are more than a
/// lease needs, and a 32-bit kernel has no more.
///
/// `src=10.0.0.2 ttl: 0 last_seen: 4295434422 oldest_pkt: 1 4295434422`
pub fn last_seen(line: &[u8], address: IpAddr) -> Option<u32> {
    let mut fields = fields(line);
    let shown = core::str::from_utf8(fields.next()?.strip_prefix(b"src=")?).ok()?;
    if shown.parse() != Ok(address) {
        return None;
    }
    fields.find(|f| *f == b"last_seen:")?;
    decimal(fields.next()?).map(|jiffies| jiffies as u32)
}

/// What is left of a lease in a list, by the kernel's own clock. `None`: nothing.
pub fn left(list: List, now: u32, last: u32, jiffies_per_second: u32) -> Option<Millis> {
    let age = Millis(u64::from(now.wrapping_sub(last)) * 1000 / u64::from(jiffies_per_second.max(1)));
    Some(list.term().since(age)).filter(|left| left.0 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = b"src=10.0.0.2 ttl: 0 last_seen: 4295434422 oldest_pkt: 1 4295434422";
    const V6: &[u8] =
        b"src=fd00:0000:0000:0001:0000:0000:0000:0000 ttl: 64 last_seen: 4294937296 oldest_pkt: 2 4294930000, 4294937296";

    #[test]
    fn a_line_of_the_kernel_is_understood() {
        assert_eq!(last_seen(V4, "10.0.0.2".parse().unwrap()), Some(4295434422u64 as u32));
        assert_eq!(last_seen(V4, "10.0.0.20".parse().unwrap()), None);
        assert_eq!(last_seen(V6, "fd00:0:0:1::".parse().unwrap()), Some(4_294_937_296u64 as u32));
        assert_eq!(last_seen(&V4[..31], "10.0.0.2".parse().unwrap()), None, "cut before the number");
    }

    #[test]
    fn what_is_left_survives_the_wrap_of_jiffies() {
        assert_eq!(left(List::Router, 1000, 0, 100), Some(Millis(20_000)));
        assert_eq!(left(List::Router, 500, u32::MAX - 499, 100), Some(Millis(20_000)));
        assert_eq!(left(List::Router, 3000, 0, 100), None);
        assert_eq!(left(List::Lifeline, 3000, 0, 100), Some(Millis(570_000)));
        assert_eq!(left(List::Router, 5, 0, 0), Some(Millis(25_000)), "no clock is no division by zero");
    }

    #[test]
    fn orders_are_as_the_kernel_reads_them() {
        let all = Lease::All { ipv6: true };
        assert_eq!(order(true, entry(&all, Family::V6)), "+::\n");
        assert_eq!(order(true, entry(&all, Family::V4)), "+0.0.0.0\n");
        let longest = order(false, "1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap());
        assert_eq!(longest, "-1111:2222:3333:4444:5555:6666:7777:8888\n");
        assert!(longest.len() <= 41, "the kernel cuts what is longer");
        let hog = Lease::Source("fd00:0:0:1::5".parse().unwrap());
        assert_eq!(order(true, entry(&hog, Family::V6)), "+fd00:0:0:1::\n");
        let mut lists = Lists::default();
        lists.add(List::Router, Family::V6);
        lists.add(List::Lifeline, Family::V4);
        assert!(lists.clone().eq([(List::Lifeline, Family::V4), (List::Router, Family::V6)]));
        assert!(lists.only(true).eq([(List::Lifeline, Family::V4)]));
        assert!(lists.only(false).eq([(List::Router, Family::V6)]) && Lists::default().is_empty());
    }
}
