//! What `trim` knows of the table: one packed row an entry, of a random sample or of the whole of a small table.

use crate::entry::Class;
use core::net::IpAddr;

/// Rows kept. A dump's front of this many told holders of 30, 10 and 2 % to within half a point, in 11 ms at any size
/// of the table; a table no larger than this is read whole.
pub const ROWS: usize = 4096;

/// Seconds of idle, as read, from which an unassured entry is no handshake in flight any more. Times are whole seconds
/// (119 left may be 119.9), so 3 read is 2 for certain.
pub const HANDSHAKE_S: u16 = 3;

/// What decides, beside idle time, how cheap an entry is to lose; cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// TCP that is over.
    Closing = 0,
    /// Not assured and idle for [`HANDSHAKE_S`] or more: no handshake in flight any more.
    Stale = 1,
    /// Assured: a flow in use, or one that was.
    Assured = 2,
    /// Not assured and young: very likely a handshake in flight.
    Young = 3,
    /// In the flow table: in use now.
    Offloaded = 4,
    /// On the protect list. Never evicted.
    Protected = 5,
}

/// An entry's place in the order of eviction within one holder: lower goes first. The upper half is the [`Kind`], the
/// lower half counts down from the longest idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u32);

impl Order {
    /// From what the entry is and how long it has been idle, in seconds as read.
    pub fn new(class: Class, idle_s: u32, protected: bool) -> Self {
        let idle = idle_s.min(u16::MAX as u32) as u16;
        let kind = match class {
            _ if protected => Kind::Protected,
            Class::Closing => Kind::Closing,
            Class::Assured => Kind::Assured,
            Class::Offloaded => Kind::Offloaded,
            Class::Unreplied | Class::Replied if idle >= HANDSHAKE_S => Kind::Stale,
            Class::Unreplied | Class::Replied => Kind::Young,
        };
        Self::at(kind, idle)
    }

    /// The place of a kind at an idle time.
    pub const fn at(kind: Kind, idle_s: u16) -> Self {
        Self((kind as u32) << 16 | (u16::MAX - idle_s) as u32)
    }

    /// The kind.
    pub const fn kind(self) -> Kind {
        match self.0 >> 16 {
            0 => Kind::Closing,
            1 => Kind::Stale,
            2 => Kind::Assured,
            3 => Kind::Young,
            4 => Kind::Offloaded,
            _ => Kind::Protected,
        }
    }

    /// Seconds of idle, at most 65,535.
    pub const fn idle_s(self) -> u16 {
        u16::MAX - self.0 as u16
    }
}

/// A holder's address as 32 keyed bits. Two holders that share them are taken for one; nobody can aim at that without
/// the key, and by chance it befalls one holder in four billion for each hog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderId(pub u32);

impl HolderId {
    /// The id of a holder (a host, or the /64 of one) under a key drawn at start.
    pub fn new(holder: IpAddr, key: u32) -> Self {
        match holder {
            IpAddr::V4(a) => Self(scramble(u32::from(a), key)),
            IpAddr::V6(a) => {
                let [a, b, c, d, ..] = a.segments();
                let high = scramble((a as u32) << 16 | b as u32, key);
                Self(scramble((c as u32) << 16 | d as u32, high ^ 6))
            }
        }
    }
}

/// 32 bits stirred with a key: the finisher of murmur3, which lets every bit of input reach every bit of output.
pub const fn scramble(word: u32, key: u32) -> u32 {
    let mut h = word.wrapping_add(key) ^ key.rotate_left(16);
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// One row: the holder above, the order below, so that sorting the bare numbers groups holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row(u64);

impl Row {
    /// Sorts behind everything: a row that is dealt with.
    pub(super) const GONE: Row = Row(u64::MAX);

    pub(super) const fn order(self) -> Order {
        Order(self.0 as u32)
    }
    pub(super) const fn holder(self) -> HolderId {
        HolderId((self.0 >> 32) as u32)
    }
    /// A key that sorts by order first, then by holder.
    pub(super) const fn by_order(self) -> u64 {
        self.0.rotate_left(32)
    }
}

/// The rows of one look at the table.
pub struct Sample {
    rows: heapless::Vec<Row, ROWS>,
    seen: u32,
}

impl Default for Sample {
    fn default() -> Self {
        Self::new()
    }
}

impl Sample {
    /// Empty.
    pub const fn new() -> Self {
        Self { rows: heapless::Vec::new(), seen: 0 }
    }
    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.seen = 0;
    }
    /// Takes one entry of a pass: when there is no room it replaces one by chance, so that the rows are drawn evenly from
    /// all entries seen. `random` is a fresh number each time.
    pub fn draw(&mut self, holder: HolderId, order: Order, random: u32) {
        self.seen += 1;
        let row = Row((holder.0 as u64) << 32 | order.0 as u64);
        if self.rows.push(row).is_err() {
            let at = ((random as u64 * self.seen as u64) >> 32) as usize;
            if let Some(old) = self.rows.get_mut(at) {
                *old = row;
            }
        }
    }
    /// Rows taken.
    pub fn len(&self) -> u32 {
        self.rows.len() as u32
    }
    /// No row was taken.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    pub(super) fn rows(&mut self) -> &mut [Row] {
        &mut self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_first_is_first_in_order() {
        let order = |class, idle| Order::new(class, idle, false);
        let first_to_last = [
            order(Class::Closing, 90),
            order(Class::Closing, 0),
            order(Class::Unreplied, 9),
            order(Class::Replied, HANDSHAKE_S as u32),
            order(Class::Assured, 1_000_000),
            order(Class::Assured, 65_534),
            order(Class::Assured, 0),
            order(Class::Unreplied, HANDSHAKE_S as u32 - 1),
            order(Class::Replied, 0),
            order(Class::Offloaded, 0),
            Order::new(Class::Closing, 90, true),
        ];
        assert!(first_to_last.is_sorted_by(|a, b| a < b));
        let longest = first_to_last[4];
        assert_eq!((longest.kind(), longest.idle_s()), (Kind::Assured, u16::MAX), "as long as can be told");
        for kind in [Kind::Closing, Kind::Stale, Kind::Assured, Kind::Young, Kind::Offloaded, Kind::Protected] {
            assert_eq!((Order::at(kind, 7).kind(), Order::at(kind, 7).idle_s()), (kind, 7));
        }
    }

    #[test]
    fn a_holder_is_a_host_or_a_64_and_nobody_knows_its_id_without_the_key() {
        let id = |address: &str, key| HolderId::new(address.parse().unwrap(), key);
        assert_eq!(id("2001:db8:1:2::7", 5), id("2001:db8:1:2:ffff::", 5));
        assert_ne!(id("2001:db8:1:2::7", 5), id("2001:db8:1:3::7", 5));
        assert_ne!(id("192.168.1.1", 5), id("192.168.1.2", 5));
        assert_ne!(id("192.168.1.1", 5), id("192.168.1.1", 6));
        assert_ne!(id("1.2.3.4", 5), id("102:304::", 5));
    }

    /// Of 40 times as many entries as there is room for, each tenth must have its tenth of the rows. Standard deviation
    /// of a tenth: 19 rows of 410.
    #[test]
    fn a_full_sample_is_drawn_evenly_from_all_that_was_seen() {
        let mut sample = Sample::new();
        for round in 1..3 {
            sample.clear();
            assert!(sample.is_empty());
            let all = 40 * ROWS as u32;
            for i in 0..all {
                sample.draw(HolderId(i), Order::at(Kind::Assured, 0), scramble(i, round));
            }
            assert_eq!(sample.len(), ROWS as u32);
            let mut tenths = [0u32; 10];
            for row in sample.rows() {
                tenths[(row.holder().0 as u64 * 10 / all as u64) as usize] += 1;
            }
            assert!(tenths.iter().all(|n| (310..510).contains(n)), "{tenths:?}");
        }
    }
}
