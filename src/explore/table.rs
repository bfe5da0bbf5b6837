//! The states that a search has met: 64 bits of each, and how each was reached.

use super::search::Hands;

/// Parts of a table, by the first bits of a fingerprint. Their number is fixed, so that nothing depends on who fills them.
const SHARDS: usize = 16;
/// Shards that one worker fills at a time.
const SHARDS_AT_ONCE: usize = 4;
/// Fingerprints that are asked for together.
const ASKED_AT_ONCE: usize = 1 << 7;
/// Entries of a shard when it is made.
const ROOM_MIN: usize = 1 << 7;
/// Of a hundred places as many are filled before a shard grows; it grows by half.
const FULL_PERCENT: usize = 85;

/// Fingerprints, and of each state the one it was reached from and the actor that stepped.
///
/// A state takes 8 bytes at a filling of 57 to 85 of a hundred, and 5 for its link: 15 to 19 in all.
#[derive(Debug)]
pub struct Table {
    shards: Vec<Shard>,
    parents: Vec<u32>,
    tasks: Vec<u8>,
}

/// Fingerprints that begin with the same bits.
#[derive(Clone, Debug)]
struct Shard {
    places: Vec<u64>,
    len: usize,
}

impl Shard {
    /// The place at which the search for a fingerprint begins.
    fn first(&self, fingerprint: u64) -> usize {
        let spread = u128::from(fingerprint.max(1) << SHARDS.ilog2());
        ((spread * self.places.len() as u128) >> 64) as usize
    }

    fn find(&self, fingerprint: u64) -> Result<usize, usize> {
        let wanted = fingerprint.max(1); // 0 is an empty place.
        let mut at = self.first(fingerprint);
        loop {
            match self.places[at] {
                0 => return Err(at),
                there if there == wanted => return Ok(at),
                _ => at = if at + 1 == self.places.len() { 0 } else { at + 1 },
            }
        }
    }

    /// Whether it was not there yet.
    fn insert(&mut self, fingerprint: u64) -> bool {
        let Err(at) = self.find(fingerprint) else { return false };
        self.places[at] = fingerprint.max(1);
        self.len += 1;
        if self.places.len() * FULL_PERCENT < self.len * 100 {
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        let room = self.places.len() + self.places.len() / 2;
        for place in std::mem::replace(&mut self.places, vec![0; room]) {
            if place != 0
                && let Err(at) = self.find(place)
            {
                self.places[at] = place;
            }
        }
    }
}

fn shard(fingerprint: u64) -> usize {
    (fingerprint >> (64 - SHARDS.ilog2())) as usize
}

impl Table {
    pub fn new() -> Self {
        let shards = vec![Shard { places: vec![0; ROOM_MIN], len: 0 }; SHARDS];
        Self { shards, parents: Vec::new(), tasks: Vec::new() }
    }

    /// States in it.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let places: usize = self.shards.iter().map(|shard| shard.places.capacity()).sum();
        places * 8 + self.parents.capacity() * 4 + self.tasks.capacity()
    }

    /// Which of them are there. All are asked for before the first answer is looked at, so that memory answers them together.
    pub fn contain(&self, fingerprints: &[u64]) -> Vec<bool> {
        let first = |fingerprint: &u64| {
            let shard = &self.shards[shard(*fingerprint)];
            shard.places[shard.first(*fingerprint)]
        };
        let firsts: Vec<u64> = fingerprints.iter().map(first).collect();
        let there = |(fingerprint, first): (&u64, u64)| match first {
            0 => false,
            first if first == (*fingerprint).max(1) => true,
            _ => self.contains(*fingerprint),
        };
        fingerprints.iter().zip(firsts).map(there).collect()
    }

    pub fn contains(&self, fingerprint: u64) -> bool {
        self.shards[shard(fingerprint)].find(fingerprint).is_ok()
    }

    /// Puts a state in, whose link is still to be added; whether it was not there yet.
    pub fn insert_only(&mut self, fingerprint: u64) -> bool {
        self.shards[shard(fingerprint)].insert(fingerprint)
    }

    /// Puts in what was not there yet, each shard by one worker; which of them were not, in their order.
    ///
    /// Their links are still to be added, in this order: [`Table::link_all`].
    pub fn insert_all(&mut self, fingerprints: &[&[u64]], hands: &impl Hands) -> Vec<bool> {
        let work: Vec<_> = self.shards.chunks_mut(SHARDS_AT_ONCE).enumerate().collect();
        let news = hands.map(work, &|(part, shards): (usize, &mut [Shard])| {
            let all = (0_u32..).zip(fingerprints.iter().copied().flatten());
            let own: Vec<_> = all.filter(|(_, fingerprint)| shard(**fingerprint) / SHARDS_AT_ONCE == part).collect();
            let mut new = Vec::new();
            for some in own.chunks(ASKED_AT_ONCE) {
                // What is asked for first is near when it is wanted.
                std::hint::black_box(some.iter().fold(0, |all, (_, fingerprint)| {
                    let shard = &shards[shard(**fingerprint) % SHARDS_AT_ONCE];
                    all | shard.places[shard.first(**fingerprint)]
                }));
                for (at, fingerprint) in some {
                    if shards[shard(**fingerprint) % SHARDS_AT_ONCE].insert(**fingerprint) {
                        new.push(*at);
                    }
                }
            }
            new
        });
        let mut is_new = vec![false; fingerprints.iter().map(|some| some.len()).sum()];
        news.into_iter().flatten().for_each(|at| is_new[at as usize] = true);
        is_new
    }

    /// Says how the next new states were reached: out of which, by whose step.
    pub fn link_all(&mut self, links: &[(u32, u8)]) {
        self.parents.extend(links.iter().map(|(parent, _)| *parent));
        self.tasks.extend(links.iter().map(|(_, task)| *task));
    }

    /// The actors that stepped from the first state to this one.
    pub fn path(&self, mut state: u32) -> Vec<u8> {
        let mut path = Vec::new();
        while state != 0 {
            path.push(self.tasks[state as usize]);
            state = self.parents[state as usize];
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::Alone;
    use super::Table;

    fn fingerprint(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn insert(table: &mut Table, fingerprint: u64, parent: u32, task: u8) -> Option<u32> {
        table.insert_only(fingerprint).then(|| {
            table.link_all(&[(parent, task)]);
            table.len() as u32 - 1
        })
    }

    #[test]
    fn a_state_is_new_once_and_knows_its_way_back() {
        let mut table = Table::new();
        let numbers: Vec<_> = (0..5000).map(|n| insert(&mut table, fingerprint(n), 0, 0)).collect();
        assert!(numbers.iter().enumerate().all(|(at, number)| *number == Some(at as u32)));
        assert!((0..5000).all(|n| table.contains(fingerprint(n))));
        assert_eq!(insert(&mut table, 0, 3, 1), None, "0 was the first");
        let a = insert(&mut table, 1 << 40, 0, 2).expect("a new one");
        let b = insert(&mut table, 2 << 40, a, 1).expect("a new one");
        assert_eq!(table.path(b), [2, 1]);
        assert!(table.bytes() < 28 * table.len());
    }

    #[test]
    fn many_at_once_are_new_as_they_are_one_by_one() {
        let (mut table, mut one_by_one) = (Table::new(), Table::new());
        let some: Vec<u64> = (0..3000).map(|n| fingerprint(n % 2000)).collect();
        let more: Vec<u64> = (1500..2500).map(fingerprint).collect();
        let expected: Vec<bool> = some.iter().chain(&more).map(|n| one_by_one.insert_only(*n)).collect();
        assert_eq!(table.insert_all(&[&some, &more], &Alone), expected);
    }
}
