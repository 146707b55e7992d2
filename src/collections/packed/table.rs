//! The table: lookups, insertion, removal, and the path to what may be written.

use std::marker::PhantomData;

use super::directory::Directory;
use super::grow::{Address, Fullest};
use super::leaf::{Body, INSIDE_MAX, Leaf, MARKS, Place, tag_of};
use super::out_of_line::OutOfLine;
use super::shape::{Element, Shape, ValueShape};
use crate::cow::{Epoch, Heap};
use crate::util::hash::HashSeed;
use crate::util::text::{Source, Text};

/// Bytes of elements (with tags and lengths) for each leaf, on average.
pub const LEAF_MEAN: usize = 640;

/// A hash table of short elements.
///
/// Methods that want a hash have a shorter sibling that computes it: a command that looks a key up twice should not.
pub struct PackedTable<S: Shape> {
    pub(super) directory: Directory,
    pub(super) address: Address,
    pub(super) len: usize,
    /// Bytes of elements in leaves, with tags and lengths.
    pub(super) load: usize,
    /// Bytes of leaves, and of what lies outside.
    pub(super) allocated: usize,
    pub(super) fullest: Fullest,
    /// Nothing in the table is older.
    pub(super) origin: Epoch,
    pub(super) seed: HashSeed,
    shape: PhantomData<S>,
}

// SAFETY: the table owns its nodes, which are plain bytes; its pointers are used through &self for reading alone.
unsafe impl<S: Shape> Send for PackedTable<S> {}
// SAFETY: through &self nothing is written.
unsafe impl<S: Shape> Sync for PackedTable<S> {}

impl<S: Shape> PackedTable<S> {
    /// An empty table. Allocates nothing.
    pub fn new(seed: HashSeed, now: Epoch) -> PackedTable<S> {
        PackedTable {
            directory: Directory::EMPTY,
            address: Address::default(),
            len: 0,
            load: 0,
            allocated: 0,
            fullest: Fullest::default(),
            origin: now,
            seed,
            shape: PhantomData,
        }
    }

    /// A table with the same fields, over the same nodes.
    pub(super) fn alias(&self) -> PackedTable<S> {
        PackedTable { shape: PhantomData, ..*self }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The seed of the table's hashes.
    #[inline]
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    /// The hash of a key, for all the methods that want one.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash(key)
    }

    /// Asks for the first lines of the leaf of a hash, to be looked into soon.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if self.directory.leaves() > 0 {
            // SAFETY: the nodes of a table live as long as it does.
            unsafe { self.directory.leaf(self.address.of(hash)).prefetch() }
        }
    }

    /// Asks for all of the leaf of a hash: an element will be taken out of it soon.
    #[inline]
    pub fn prefetch_all(&self, hash: u64) {
        if self.directory.leaves() > 0 {
            // SAFETY: the nodes of a table live as long as it does.
            unsafe { self.directory.leaf(self.address.of(hash)).prefetch_all(LEAF_MEAN) }
        }
    }

    /// Asks for what leads to the leaf of a hash: so that [`PackedTable::prefetch_all`] need not wait for it.
    #[inline]
    pub fn prefetch_way(&self, hash: u64) {
        if self.directory.leaves() > 0 {
            // SAFETY: the nodes of a table live as long as it does.
            unsafe { self.directory.prefetch_slot(self.address.of(hash)) }
        }
    }

    #[inline(always)]
    pub(super) fn locate(&self, hash: u64, key: &[u8]) -> Option<(usize, Leaf, Place)> {
        if self.len == 0 {
            return None;
        }
        let at = self.address.of(hash);
        // SAFETY: the nodes of a table live as long as it does.
        unsafe {
            let leaf = self.directory.leaf(at);
            let place = leaf.find::<S>(tag_of(hash), key)?;
            Some((at, leaf, place))
        }
    }

    /// The element of a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Element<'_>> {
        let (_, leaf, place) = self.locate(hash, key)?;
        // SAFETY: the leaf lives as long as self is borrowed.
        Some(unsafe { leaf.element::<S>(place) })
    }

    /// The element of a key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Element<'_>> {
        self.find(self.hash(key), key)
    }

    /// Whether there is such a key.
    #[inline]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.locate(self.hash(key), key).is_some()
    }

    /// Stores a key with its value (empty where the shape has none, whole where it is fixed); true if it is new.
    ///
    /// # Panics
    ///
    /// When the value does not have the length that the shape wants.
    #[inline]
    pub fn insert(&mut self, heap: &mut Heap, key: &[u8], value: &[u8], marked: bool) -> bool {
        self.insert_hashed(heap, self.hash(key), key, value, marked)
    }

    /// As [`PackedTable::insert`].
    #[inline]
    pub fn insert_hashed<'t, 'v>(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        key: impl Text<'t>,
        value: impl Text<'v>,
        marked: bool,
    ) -> bool {
        self.put(heap, hash, key, value, marked, true)
    }

    /// Stores a key that is not there with its value; false (and nothing changes) if it is there.
    #[inline]
    pub fn insert_new<'t>(&mut self, heap: &mut Heap, key: impl Text<'t>, value: &[u8], marked: bool) -> bool {
        let hash = self.hash(key.as_ref());
        self.put(heap, hash, key, value, marked, false)
    }

    /// Stores a key that is not there, or one that is there if it `replaces`; true if it is new.
    #[inline(always)]
    fn put<'t, 'v>(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        key: impl Text<'t>,
        value: impl Text<'v>,
        marked: bool,
        replaces: bool,
    ) -> bool {
        let found = self.locate(hash, key.as_ref());
        match found {
            Some(_) if !replaces || S::VALUE == ValueShape::None => return false,
            Some((at, _, place)) if let ValueShape::Fixed(size) = S::VALUE => {
                // SAFETY: the leaf is the writer's own before it is changed. A copy has the same places.
                unsafe { self.own_leaf(heap, at, 0).fixed_value(place, size).copy_from_slice(value.as_ref()) };
                return false;
            }
            _ => {}
        }
        let body = if fits_inside::<S>(key.text_len(), value.text_len()) {
            Body::Inside { key: key.as_ref(), value: value.as_ref(), marked }
        } else if S::VALUE == ValueShape::Any {
            let node = self.outside(heap, key.into_source(), value.into_source());
            Body::OutOfLine { node, value: &MARKS[usize::from(marked)] }
        } else {
            let node = self.outside(heap, key.into_source(), Source::Lent(&[]));
            Body::OutOfLine { node, value: value.as_ref() }
        };
        match found {
            None => self.add(heap, hash, &body),
            Some((at, leaf, place)) => self.replace(heap, at, leaf, place, &body),
        }
        found.is_none()
    }

    /// Gives the element of a key its mark, or takes it away; nothing if there is none. For shapes that keep it.
    pub fn mark(&mut self, heap: &mut Heap, hash: u64, key: &[u8], marked: bool) {
        debug_assert!(S::VALUE == ValueShape::Any, "elements that have marks");
        if let Some((at, _, place)) = self.locate(hash, key) {
            // SAFETY: the nodes live; the leaf is the writer's own before it is changed. A copy has the same places.
            unsafe { self.own_leaf(heap, at, 0).mark(place, marked) }
        }
    }

    /// Removes a key; true if it was there.
    #[inline]
    pub fn remove(&mut self, heap: &mut Heap, key: &[u8]) -> bool {
        self.take(heap, key, |_| ()).is_some()
    }

    /// Removes a key, and shows its element before that.
    #[inline]
    pub fn take<R>(&mut self, heap: &mut Heap, key: &[u8], seen: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let (at, leaf, place) = self.locate(self.hash(key), key)?;
        // SAFETY: the leaf lives, and is not changed before `seen` is done.
        let answer = seen(unsafe { leaf.element::<S>(place) });
        self.take_out(heap, at, leaf, place);
        Some(answer)
    }

    /// The node of an element that does not fit into a leaf.
    fn outside(&mut self, heap: &Heap, key: Source<'_>, value: Source<'_>) -> OutOfLine {
        let node = OutOfLine::new(heap.epoch(), key, value);
        // SAFETY: the node is new.
        self.allocated += unsafe { node.size() };
        node
    }

    #[inline]
    fn add(&mut self, heap: &mut Heap, hash: u64, body: &Body<'_>) {
        // SAFETY: the nodes live; the leaf is the writer's own before it is changed.
        unsafe {
            if self.directory.leaves() == 0 {
                self.push_leaf(heap, Leaf::new(heap.epoch(), 0, 0));
            }
            let at = self.address.of(hash);
            let leaf = self.own_leaf(heap, at, INSIDE_MAX);
            let (size, used) = (leaf.size(), leaf.used());
            let new = leaf.push::<S>(tag_of(hash), body);
            if new != leaf {
                self.directory.set(at, new);
            }
            self.allocated += new.size() - size;
            self.load += new.used() - used + 2;
            self.fullest.note(self.address, at, new.count());
        }
        self.len += 1;
        self.spread(heap);
    }

    #[inline]
    fn replace(&mut self, heap: &mut Heap, at: usize, leaf: Leaf, place: Place, body: &Body<'_>) {
        // SAFETY: the nodes live; the leaf is the writer's own before it is changed. A copy has the same places.
        unsafe {
            let old = leaf.outside(place);
            let leaf = self.own_leaf(heap, at, INSIDE_MAX);
            let (size, used) = (leaf.size(), leaf.used());
            let new = leaf.replace::<S>(place, body);
            if new != leaf {
                self.directory.set(at, new);
            }
            self.allocated = self.allocated + new.size() - size;
            self.load = self.load + new.used() - used;
            if let Some(old) = old {
                self.allocated -= old.size();
                old.release(heap);
            }
        }
        self.spread(heap);
    }

    /// As many leaves as the data wants.
    #[inline(always)]
    pub(super) fn spread(&mut self, heap: &mut Heap) {
        let leaves = self.directory.leaves();
        if self.load > leaves * LEAF_MEAN {
            self.split(heap);
        } else if self.load < leaves * (LEAF_MEAN / 2) && leaves > 1 {
            self.merge(heap);
        }
    }

    pub(super) fn take_out(&mut self, heap: &mut Heap, at: usize, leaf: Leaf, place: Place) {
        // SAFETY: the nodes live; the leaf is the writer's own before it is changed. A copy has the same places.
        unsafe {
            let outside = leaf.outside(place);
            let leaf = self.own_leaf(heap, at, 0);
            let size = leaf.size();
            let new = leaf.remove(place);
            if new != leaf {
                self.directory.set(at, new);
            }
            self.allocated -= size - new.size();
            if let Some(node) = outside {
                self.allocated -= node.size();
                node.release(heap);
            }
        }
        self.load -= place.bytes() + 2;
        self.len -= 1;
        self.spread(heap);
    }

    /// The leaf of this number, made the writer's own, and the path to it.
    #[inline(always)]
    pub(super) unsafe fn own_leaf(&mut self, heap: &mut Heap, at: usize, more: usize) -> Leaf {
        // SAFETY: the nodes of a table live as long as it does; rule R.
        unsafe {
            self.directory.own_path(heap, at);
            let leaf = self.directory.leaf(at);
            if !heap.is_shared(leaf.birth()) {
                return leaf;
            }
            self.copy_leaf(heap, at, leaf, more)
        }
    }

    #[inline(never)]
    unsafe fn copy_leaf(&mut self, heap: &mut Heap, at: usize, leaf: Leaf, more: usize) -> Leaf {
        // SAFETY: the leaf lives; the path is the writer's own; the copy takes the leaf's place.
        unsafe {
            let copy = leaf.copy(heap.epoch(), more);
            heap.note_cloned(copy.size());
            self.allocated = self.allocated + copy.size() - leaf.size();
            self.directory.set(at, copy);
            leaf.release(heap);
            copy
        }
    }
}

/// Whether an element of a key and a value of these lengths lies in its leaf.
#[inline(always)]
fn fits_inside<S: Shape>(key: usize, value: usize) -> bool {
    let (prefix, fits) = match S::VALUE {
        ValueShape::None => (0, value == 0),
        ValueShape::Fixed(size) => (0, value == size),
        ValueShape::Any => (1, true),
    };
    assert!(fits, "a value has the length that its shape says");
    prefix + key + value <= INSIDE_MAX
}

impl<S: Shape> std::fmt::Debug for PackedTable<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedTable of {} in {} leaves, {} bytes", self.len, self.directory.leaves(), self.memory())
    }
}
