//! How large values are: for INFO keysizes.
//!
//! For each database and type there is a count of the values in each class of sizes, a power of two. A value is counted
//! when it comes and goes, and again when it has come into another class; nobody else pays. So every write knows the
//! size that there was, and the size that there is now, but most need neither:
//!
//! * A string that takes the place of one as long is left alone ([`Occupied::set_bytes`](super::Occupied)).
//! * A type that changes a large collection notes the size that there was ([`Place::size_was`]) if the class is another
//!   now, which the new size alone nearly always rules out. Where a compact one is changed, this is noted for it.
//! * When the handler says that the value was changed, or removes it, a size that was noted is settled.
//!
//! [`Place::size_was`]: crate::types::place::Place::size_was

use super::entry::EntryRef;
use super::keyspace::Keyspace;
use crate::types::contract::TypeName;

/// How many values of one type have a size of 0, 1, 2 to 3, 4 to 7, and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes([u64; Sizes::CLASSES]);

impl Sizes {
    const CLASSES: usize = usize::BITS as usize + 1;
    const NONE: Sizes = Sizes([0; Sizes::CLASSES]);

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

#[inline(always)]
fn class(size: usize) -> usize {
    (usize::BITS - size.leading_zeros()) as usize
}

/// The types whose sizes are counted: those with the lowest codes, in the order of these.
pub const SIZED: [TypeName; 5] = [TypeName::String, TypeName::List, TypeName::Set, TypeName::Zset, TypeName::Hash];

type Counts = [Sizes; SIZED.len()];

/// No size was noted.
const UNNOTED: usize = usize::MAX;

/// The counts of all databases.
pub(super) struct SizeBook {
    dbs: Vec<Counts>,
    /// The size with which the value that is being changed is counted, if it is not the one it has.
    was: usize,
}

impl SizeBook {
    pub fn new(dbs: usize) -> SizeBook {
        SizeBook { dbs: vec![[Sizes::NONE; SIZED.len()]; dbs], was: UNNOTED }
    }

    #[inline]
    fn add(&mut self, db: usize, type_id: u8, size: usize, count: u64) {
        if let Some(sizes) = self.dbs[db].get_mut(usize::from(type_id)) {
            let class = &mut sizes.0[class(size)];
            *class = class.wrapping_add(count);
        }
    }

    /// A value of this type and size has come.
    #[inline]
    pub fn enters(&mut self, db: usize, type_id: u8, size: usize) {
        self.add(db, type_id, size, 1);
    }

    /// This entry's value has come, or has been replaced by another one.
    #[inline(never)]
    pub fn enters_entry(&mut self, db: usize, entry: EntryRef<'_>) {
        self.enters(db, entry.type_name() as u8, entry.value().len());
    }

    /// This entry's value is about to go, or to be replaced.
    #[inline(never)]
    pub fn leaves(&mut self, db: usize, entry: EntryRef<'_>) {
        let noted = std::mem::replace(&mut self.was, UNNOTED);
        let size = if noted == UNNOTED { entry.value().len() } else { noted };
        self.add(db, entry.type_name() as u8, size, 1u64.wrapping_neg());
    }

    /// A key is looked for, to be changed, or is about to be deleted by itself. What is still noted of another one is of
    /// no use: it was converted, and then not changed.
    #[inline]
    pub fn begin(&mut self) {
        self.was = UNNOTED;
    }

    /// A size was noted, and has not been settled.
    #[inline]
    pub fn is_noted(&self) -> bool {
        self.was != UNNOTED
    }

    /// The value that is being changed had this size. Whoever says so first is right.
    #[inline]
    pub fn note(&mut self, size: usize) {
        if self.was == UNNOTED {
            self.was = size;
        }
    }

    /// The change is over: the value has the size that this entry shows.
    #[cold]
    pub fn settle(&mut self, db: usize, entry: EntryRef<'_>) {
        let (was, is) = (std::mem::replace(&mut self.was, UNNOTED), entry.value().len());
        if class(was) != class(is) {
            self.add(db, entry.type_name() as u8, was, 1u64.wrapping_neg());
            self.add(db, entry.type_name() as u8, is, 1);
        }
    }

    /// A database was emptied.
    pub fn clear(&mut self, db: usize) {
        self.dbs[db] = [Sizes::NONE; SIZED.len()];
    }

    /// Two databases were exchanged.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.dbs.swap(a, b);
    }
}

impl Keyspace {
    /// The sizes of the values of a database, in the order of [`SIZED`]: bytes of strings, elements of the others.
    pub fn sizes(&self, at: usize) -> &[Sizes; SIZED.len()] {
        &self.side.sizes.dbs[at]
    }

    /// About how many elements all databases have, every key being one at least.
    pub fn elements(&self) -> usize {
        let keys: u64 = self.dbs.iter().map(|db| db.table.len() as u64).sum();
        // The size of a string is no number of elements, and strings come first.
        let collections = self.side.sizes.dbs.iter().flat_map(|sizes| &sizes[1..]);
        let elements: u64 = collections.flat_map(Sizes::classes).map(|(size, count)| size.saturating_mul(count)).sum();
        usize::try_from(keys.saturating_add(elements)).unwrap_or(usize::MAX)
    }

    /// Whether they are what a look at every key of every database finds: for tests, of which Redis has some too.
    pub fn sizes_are_right(&self) -> bool {
        (0..self.databases()).all(|at| {
            let mut found = [Sizes::NONE; SIZED.len()];
            self.dbs[at].table.for_each(|entry| {
                let entry = EntryRef(entry);
                if let Some(sizes) = found.get_mut(entry.type_name() as usize) {
                    sizes.0[class(entry.value().len())] += 1;
                }
            });
            found == self.side.sizes.dbs[at]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    #[test]
    fn types_have_their_codes_for_places() {
        assert!(SIZED.iter().enumerate().all(|(at, name)| *name as usize == at));
    }

    #[test]
    fn sizes_fall_into_powers_of_two() {
        let mut w = World::with(&[("a", ""), ("b", "x"), ("c", "xy"), ("d", "xyz"), ("e", "12345")]);
        w.set("f", &"x".repeat(70_000));
        let [strings, others @ ..] = w.ks.sizes(0);
        assert_eq!(strings.classes().collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 2), (4, 1), (65_536, 1)]);
        assert!(others.iter().all(|sizes| sizes.is_empty()));
    }

    #[test]
    fn strings_are_counted_where_they_are_after_every_write() {
        let mut w = World::new();
        let shown = |w: &World| {
            assert!(w.ks.sizes_are_right());
            w.ks.sizes(0)[0].classes().collect::<Vec<_>>()
        };
        for (text, expected) in
            [("x", 1), ("yz", 2), ("99", 2), ("y", 1), ("12345678", 8), ("", 0), (&"z".repeat(70_000), 65_536)]
        {
            w.set("k", text);
            assert_eq!(shown(&w), [(expected, 1)], "{}", text.len());
        }
        for (from, by, expected) in
            [(9, 1, 2), (10, -1, 1), (999, 1, 4), (-9, 10, 1), (0, -5, 2), (i64::MAX - 1, 1, 16)]
        {
            w.set("k", &from.to_string());
            w.on("k", |db, k| db.incr(k, by).unwrap());
            assert_eq!(shown(&w), [(expected, 1)], "{from} + {by}");
        }
        w.on("k", |db, k| db.append(k, b"12345678901234567890").unwrap());
        assert_eq!(shown(&w), [(32, 1)]);
        w.set_for("gone", "abc", 10);
        w.now += 11;
        w.ks.expire_due(w.now, 10);
        let other = w.ks.key(b"other");
        w.on("k", |db, k| db.rename(k, other));
        w.on("other", |db, k| db.copy_to(k, 1, k, false));
        assert_eq!(shown(&w), [(32, 1)]);
        w.ks.swap_dbs(1, 2, w.now);
        assert_eq!(w.ks.sizes(2)[0].classes().collect::<Vec<_>>(), [(32, 1)]);
        w.on("other", |db, k| db.remove(k));
        assert_eq!(shown(&w), []);
        w.ks.flush_all(super::super::FlushMode::Sync, w.now);
        assert!(w.ks.sizes_are_right() && w.ks.sizes(2).iter().all(Sizes::is_empty));
    }
}
