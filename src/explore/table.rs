//! The states that a search has met: 64 bits of each, and how each was reached.

/// Entries of a table when it is made.
const ROOM_MIN: usize = 1 << 10;
/// Of a hundred places as many are filled before a table grows; it grows by half.
const FULL_PERCENT: usize = 85;

/// Fingerprints, and of each state the one it was reached from and the actor that stepped.
///
/// A state takes 8 bytes at a filling of 57 to 85 of a hundred, and 5 for its link: 15 to 19 in all.
#[derive(Debug)]
pub struct Table {
    places: Vec<u64>,
    parents: Vec<u32>,
    tasks: Vec<u8>,
}

impl Table {
    pub fn new() -> Self {
        Self { places: vec![0; ROOM_MIN], parents: Vec::new(), tasks: Vec::new() }
    }

    /// States in it.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.places.capacity() * 8 + self.parents.capacity() * 4 + self.tasks.capacity()
    }

    fn find(&self, fingerprint: u64) -> Result<usize, usize> {
        let wanted = fingerprint.max(1); // 0 is an empty place.
        let mut at = ((u128::from(wanted) * self.places.len() as u128) >> 64) as usize;
        loop {
            match self.places[at] {
                0 => return Err(at),
                there if there == wanted => return Ok(at),
                _ => at = if at + 1 == self.places.len() { 0 } else { at + 1 },
            }
        }
    }

    pub fn contains(&self, fingerprint: u64) -> bool {
        self.find(fingerprint).is_ok()
    }

    /// Puts a state in; its number, or `None` where it was there already.
    pub fn insert(&mut self, fingerprint: u64, parent: u32, task: u8) -> Option<u32> {
        let Err(at) = self.find(fingerprint) else { return None };
        self.places[at] = fingerprint.max(1);
        self.parents.push(parent);
        self.tasks.push(task);
        if self.places.len() * FULL_PERCENT < self.parents.len() * 100 {
            self.grow();
        }
        Some(self.parents.len() as u32 - 1)
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
    use super::Table;

    #[test]
    fn a_state_is_new_once_and_knows_its_way_back() {
        let mut table = Table::new();
        let numbers: Vec<_> = (0..5000_u64).map(|n| table.insert(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0, 0)).collect();
        assert!(numbers.iter().enumerate().all(|(at, number)| *number == Some(at as u32)));
        assert!((0..5000_u64).all(|n| table.contains(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        assert_eq!(table.insert(0, 3, 1), None, "0 was the first");
        let a = table.insert(1 << 40, 0, 2).expect("a new one");
        let b = table.insert(2 << 40, a, 1).expect("a new one");
        assert_eq!(table.path(b), [2, 1]);
        assert!(table.bytes() < 28 * table.len());
    }
}
