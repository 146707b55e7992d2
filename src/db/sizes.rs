//! How large values are: for INFO keysizes.
//!
//! Redis keeps these counts with every write. Here they are made when somebody asks, from a walk over the table: a write
//! pays nothing for a picture that is looked at once in a while.

use super::entry::EntryRef;
use super::keyspace::Keyspace;
use crate::types::contract::TypeName;

/// How many values of one type have a size of 0, 1, 2 to 3, 4 to 7, and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes([u64; Sizes::CLASSES]);

impl Sizes {
    const CLASSES: usize = usize::BITS as usize + 1;

    fn count(&mut self, size: usize) {
        self.0[(usize::BITS - size.leading_zeros()) as usize] += 1;
    }

    /// The least size of each class that has any, and how many.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let classes = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        classes.map(|(class, count)| (if class == 0 { 0 } else { 1 << (class - 1) }, *count))
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

/// The types whose sizes are counted.
pub const SIZED: [TypeName; 5] = [TypeName::String, TypeName::List, TypeName::Set, TypeName::Zset, TypeName::Hash];

impl Keyspace {
    /// The sizes of the values of a database, in the order of [`SIZED`]: bytes of strings, elements of the others. Looks
    /// at every key.
    pub fn sizes(&self, at: usize) -> [Sizes; SIZED.len()] {
        let mut all = [Sizes([0; Sizes::CLASSES]); SIZED.len()];
        self.dbs[at].table.for_each(|entry| {
            let entry = EntryRef(entry);
            if let Some(place) = SIZED.iter().position(|name| *name == entry.type_name()) {
                all[place].count(entry.value().len());
            }
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;

    #[test]
    fn sizes_fall_into_powers_of_two() {
        let mut w = World::with(&[("a", ""), ("b", "x"), ("c", "xy"), ("d", "xyz"), ("e", "12345")]);
        w.set("f", &"x".repeat(70_000));
        let [strings, others @ ..] = w.ks.sizes(0);
        assert_eq!(strings.classes().collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 2), (4, 1), (65_536, 1)]);
        assert!(others.iter().all(|sizes| sizes.is_empty()));
    }
}
