//! What stands in the kernel: our table and its sets, other people's base chains, our rules at their heads.

use super::link::Link;
use ctwarden::nftables::{OWN, head_count, head_sets, is_plain};
use ctwarden::wire::nftables::{
    All, Chain, NAME_MOST, Rule, Set, SetSeen, Sets, Table, TableSeen, dump, generation, get_generation,
    translates_ipv6,
};
use heapless::{String, Vec};
use nix::errno::Errno;

/// Foreign tables that get head rules; what more there are is left alone, and counted.
const PLACES: usize = 16;

/// A foreign table that may have head rules of ours.
pub struct Place {
    family: u8,
    name: String<NAME_MOST>,
    /// The sets that are there.
    pub has: Sets,
    /// Those that its head rules look into.
    pub wants: Sets,
}

impl Place {
    pub fn table(&self) -> Table<'_> {
        Table { family: self.family, name: &self.name }
    }
}

/// The outcome of a look.
pub struct Seen {
    /// Our table is there.
    pub there: bool,
    /// The sets in it.
    pub sets: Sets,
    /// Another number once the table or a set of it was made anew, and its elements are gone. `None`: a kernel that does not
    /// say.
    pub mark: Option<u64>,
    pub places: Vec<Place, PLACES>,
    /// Head rules that there should be, and that there are.
    pub heads: [u16; 2],
    /// Foreign base chains where something may be refused and where no head rule can be.
    pub left_alone: u16,
    /// One of them, at least, is iptables-nft's.
    pub iptables: bool,
    /// A rule translates IPv6.
    pub translates: bool,
}

impl Seen {
    pub const NOTHING: Seen = Seen {
        there: false,
        sets: 0,
        mark: None,
        places: Vec::new(),
        heads: [0; 2],
        left_alone: 0,
        iptables: false,
        translates: false,
    };

    /// Whether all is there: these sets, the sets and rules of all places.
    pub fn is_whole(&self, sets: Sets) -> bool {
        let [wanted, found] = self.heads;
        self.sets & sets == sets && wanted == found && self.places.iter().all(|p| p.wants & !p.has == 0)
    }

    pub fn place(&self, table: Table<'_>) -> Option<&Place> {
        self.places.iter().find(|p| p.table() == table)
    }

    /// Whether this chain gets head rules.
    pub fn serves(&self, chain: &Chain<'_>) -> bool {
        !chain.is_of_iptables() && is_plain(chain.name) && self.place(chain.table).is_some()
    }

    /// Nothing is known any more.
    pub fn clear(&mut self) {
        self.places.clear();
        (self.there, self.sets, self.mark) = (false, 0, None);
        (self.heads, self.left_alone) = ([0; 2], 0);
        (self.iptables, self.translates) = (false, false);
    }

    /// Looks again. `foreign`: at other people's tables too.
    pub fn look(&mut self, link: &mut Link, own: Table<'_>, foreign: bool) -> Result<(), Errno> {
        self.clear();
        let mut mark = 0;
        link.ask(&|b| dump(b, All::Tables), &mut |payload| {
            let Some(seen) = TableSeen::read(payload) else { return };
            let Table { family, name } = seen.table;
            if seen.table == own {
                self.there = true;
                mark = seen.handle << 32;
            } else if foreign && !seen.owned && is_plain(name) && seen.table != OWN {
                // One that is left out is counted with its chains.
                let Ok(name) = String::try_from(name) else { return };
                let _ = self.places.push(Place { family, name, has: 0, wants: 0 });
            }
        })?;
        if foreign {
            link.ask(&|b| dump(b, All::Chains), &mut |payload| {
                if let Some(chain) = Chain::read(payload).filter(|chain| chain.table != own) {
                    self.chain(&chain);
                }
            })?;
        }
        link.ask(&|b| dump(b, All::Rules), &mut |payload| {
            let [_, found] = &mut self.heads;
            *found += u16::from(foreign && Rule::read(payload).is_some());
            self.translates |= translates_ipv6(payload);
        })?;
        let mut handles = 0;
        link.ask(&|b| dump(b, All::Sets), &mut |payload| {
            let Some(seen) = SetSeen::read(payload) else { return };
            if seen.table == own {
                self.sets |= seen.set.bit();
                handles += seen.handle;
            } else if let Some(place) = self.places.iter_mut().find(|p| p.table() == seen.table) {
                place.has |= seen.set.bit() & (Set::OWN & !Set::CAPS);
            }
        })?;
        self.mark = (mark > 0).then_some(mark + handles);
        Ok(())
    }

    fn chain(&mut self, chain: &Chain<'_>) {
        if !self.serves(chain) {
            self.left_alone += u16::from(chain.refuses);
            self.iptables |= chain.refuses && chain.is_of_iptables();
            return;
        }
        let [wanted, _] = &mut self.heads;
        *wanted += head_count(chain.table.family, chain.hook);
        if let Some(place) = self.places.iter_mut().find(|p| p.table() == chain.table) {
            place.wants |= head_sets(chain.table.family, chain.hook);
        }
    }
}

/// The number that each transaction of anybody counts up.
pub fn now(link: &mut Link) -> Result<u32, Errno> {
    let mut number = None;
    link.ask(&get_generation, &mut |payload| number = generation(payload))?;
    number.ok_or(Errno::EBADMSG)
}
