//! Who occurs most often in a stream, in fixed memory: Space-Saving (Metwally, Agrawal, El Abbadi 2005).
//!
//! `CAPACITY` counters. A key that has one is counted; a new key takes a free one, or else the smallest, whose count it inherits as its error.
//! What holds whatever comes, in whatever order:
//! - `count − error ≤ truth ≤ count`, and `error ≤ total / CAPACITY`;
//! - a key with `truth > total / CAPACITY` has a counter: none such is ever missed;
//! - with no more than `CAPACITY` different keys every count is exact.
//!
//! Counters stay where they are; a list of their numbers is kept in descending order of count. One more for a key swaps it to the front of those
//! with its count (found by halving), so that an update costs the same in any stream: see `tests/timing_observe.rs` for what it costs.
//!
//! Keys are addresses, and an attacker chooses those. With a hash he can compute he would choose thousands in one chain, and make the
//! census as slow as the table is large. So the hash is multilinear with random multipliers, for which the chance that two given keys collide is
//! proven small (2⁻³²) to whoever does not know the seed. A single multiply and shift is not enough: two keys that differ in the top bit of one word and
//! in two bits of the next collide under any seed.

/// What can be counted.
pub trait Key: Copy + Eq {
    /// Any key; stands in counters that nobody has. All bytes zero, for the sake of [`Sketch::new`].
    const BLANK: Self;
    /// Its hash: all that distinguishes it, word by word, through `hasher`.
    fn hash(&self, hasher: &Hasher) -> u32;
}

/// The most words a key may be hashed from.
pub const HASH_WORDS: usize = 6;

/// Multilinear hashing of up to [`HASH_WORDS`] words.
#[derive(Clone, Debug)]
pub struct Hasher([u64; HASH_WORDS + 1]);

impl Hasher {
    const NONE: Hasher = Hasher([0; HASH_WORDS + 1]);

    /// Multipliers drawn from `seed` (splitmix64).
    pub const fn new(seed: u64) -> Self {
        let mut multipliers = [0; HASH_WORDS + 1];
        let mut state = seed;
        let mut i = 0;
        while i < multipliers.len() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            multipliers[i] = z ^ (z >> 31);
            i += 1;
        }
        Self(multipliers)
    }

    /// The hash of `words`. Words past [`HASH_WORDS`] do not count.
    pub fn hash(&self, words: &[u32]) -> u32 {
        let [start, multipliers @ ..] = &self.0;
        let sum = words.iter().zip(multipliers).fold(*start, |sum, (w, m)| sum.wrapping_add(m.wrapping_mul(*w as u64)));
        (sum >> 32) as u32
    }
}

/// A key and how often it came: at most `count`, at least `count − error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter<K> {
    /// The key.
    pub key: K,
    /// Upper bound.
    pub count: u32,
    /// How much too high `count` may be.
    pub error: u32,
}

/// A counter's number plus one, where there may be none: so that "none" is 0.
type Link = u16;
const NONE: Link = 0;

/// The counters.
#[derive(Clone, Debug)]
pub struct Sketch<K, const CAPACITY: usize> {
    hasher: Hasher,
    total: u32,
    used: usize,
    // By number of the counter.
    keys: [K; CAPACITY],
    errors: [u32; CAPACITY],
    ranks: [u16; CAPACITY],
    next: [Link; CAPACITY],
    // By rank: descending counts, and whose they are.
    counts: [u32; CAPACITY],
    order: [u16; CAPACITY],
    // By hash: the first counter of a chain.
    chains: [Link; CAPACITY],
}

impl<K: Key, const CAPACITY: usize> Default for Sketch<K, CAPACITY> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key, const CAPACITY: usize> Sketch<K, CAPACITY> {
    /// Empty, and without a seed: every key hashes alike, and counting is right but slow until the first [`clear`](Self::clear).
    /// All bytes zero, so that a static one takes no room in the binary.
    pub const fn new() -> Self {
        const { assert!(CAPACITY > 0 && CAPACITY < Link::MAX as usize) };
        Self {
            hasher: Hasher::NONE,
            total: 0,
            used: 0,
            keys: [K::BLANK; CAPACITY],
            errors: [0; CAPACITY],
            ranks: [0; CAPACITY],
            next: [NONE; CAPACITY],
            counts: [0; CAPACITY],
            order: [0; CAPACITY],
            chains: [NONE; CAPACITY],
        }
    }

    /// Empties it in place, for a new stream under a new seed.
    pub fn clear(&mut self, seed: u64) {
        self.hasher = Hasher::new(seed);
        self.total = 0;
        self.used = 0;
        self.chains.fill(NONE);
    }

    /// The key came once more.
    pub fn add(&mut self, key: K) {
        self.total = self.total.saturating_add(1);
        let chain = self.chain(&key);
        if let Some(i) = self.find(chain, &key) {
            return self.count_up(self.ranks[i] as usize);
        }
        let rank = if self.used < CAPACITY {
            let free = self.used;
            self.used += 1;
            self.order[free] = free as u16;
            self.ranks[free] = free as u16;
            self.counts[free] = 0;
            free
        } else {
            self.unchain(self.order[CAPACITY - 1] as usize);
            CAPACITY - 1
        };
        let i = self.order[rank] as usize;
        self.errors[i] = self.counts[rank];
        self.keys[i] = key;
        self.next[i] = self.chains[chain];
        self.chains[chain] = i as Link + 1;
        self.count_up(rank);
    }

    /// How often any key came.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// No key that is not among the counters came more often than this; 0 while a counter is free: then none is missing.
    pub fn most_missed(&self) -> u32 {
        if self.used < CAPACITY { 0 } else { self.counts[CAPACITY - 1] }
    }

    /// The counter of a key, if it has one.
    pub fn get(&self, key: &K) -> Option<Counter<K>> {
        self.find(self.chain(key), key).map(|i| self.counter(self.ranks[i] as usize))
    }

    /// All counters, the highest count first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Counter<K>> {
        (0..self.used).map(|rank| self.counter(rank))
    }

    fn counter(&self, rank: usize) -> Counter<K> {
        let i = self.order[rank] as usize;
        Counter { key: self.keys[i], count: self.counts[rank], error: self.errors[i] }
    }

    fn chain(&self, key: &K) -> usize {
        // Scales the hash to 0..CAPACITY without a division.
        ((key.hash(&self.hasher) as u64 * CAPACITY as u64) >> 32) as usize
    }

    /// One more for the counter at `rank`: it changes places with the first of its count, so that the order stays.
    fn count_up(&mut self, rank: usize) {
        let count = self.counts[rank];
        // The counts before are not smaller. A key ahead of the rest, or first of its count, stays where it is.
        let first = if rank > 0 && self.counts[rank - 1] == count {
            self.counts[..rank].partition_point(|c| *c > count)
        } else {
            rank
        };
        self.order.swap(first, rank);
        self.ranks[self.order[first] as usize] = first as u16;
        self.ranks[self.order[rank] as usize] = rank as u16;
        self.counts[first] = count.saturating_add(1);
    }

    /// The number of the key's counter.
    fn find(&self, chain: usize, key: &K) -> Option<usize> {
        let mut link = self.chains[chain];
        while link != NONE {
            let i = link as usize - 1;
            if self.keys[i] == *key {
                return Some(i);
            }
            link = self.next[i];
        }
        None
    }

    /// Takes the counter out of its chain.
    fn unchain(&mut self, number: usize) {
        let chain = self.chain(&self.keys[number]);
        let after = self.next[number];
        let mut link = &mut self.chains[chain];
        while *link != NONE {
            let i = *link as usize - 1;
            if i == number {
                *link = after;
                return;
            }
            link = &mut self.next[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    impl Key for u32 {
        const BLANK: u32 = 0;
        fn hash(&self, hasher: &Hasher) -> u32 {
            hasher.hash(&[*self])
        }
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut s = Sketch::<u32, 4>::new();
        s.clear(1);
        for key in [7, 5, 7, 0, 7, 5] {
            s.add(key);
        }
        let all: Vec<_> = s.iter().map(|c| (c.key, c.count, c.error)).collect();
        assert_eq!(all, [(7, 3, 0), (5, 2, 0), (0, 1, 0)]);
        assert_eq!((s.total(), s.most_missed()), (6, 0));
        assert_eq!(s.get(&5).unwrap().count, 2);
        assert_eq!(s.get(&9), None);
        s.clear(2);
        assert_eq!((s.iter().len(), s.total(), s.get(&7)), (0, 0, None));
    }

    /// The worst stream there is for it: a hog among keys that never come twice.
    #[test]
    fn a_hog_in_a_flood_of_strangers_is_found() {
        let mut s = Sketch::<u32, 64>::new();
        s.clear(3);
        for i in 0..100_000u32 {
            s.add(if i % 50 == 0 { u32::MAX } else { i });
        }
        let top = s.iter().next().unwrap();
        assert_eq!(top.key, u32::MAX);
        assert!(top.count >= 2000 && top.count - top.error <= 2000, "{top:?}");
        assert!(s.most_missed() <= 100_000 / 64);
    }

    /// Two keys that collide under any seed if each word is only multiplied, folded and passed on.
    #[test]
    fn no_pair_of_keys_collides_under_many_seeds() {
        let collides =
            |seed| Hasher::new(seed).hash(&[1, 2]) == Hasher::new(seed).hash(&[1 ^ (1 << 31), 2 ^ 0x8001_0000]);
        assert!((0..1000).filter(|s| collides(*s)).count() <= 1);
    }
}
