//! What a type sees of the entry whose value it changes.
//!
//! A value lives in one of two forms, and a type moves it between them as it grows and shrinks:
//!
//! * *compact*: the bytes of a listpack or an intset are the entry's payload, inside the entry or in one buffer behind
//!   it. There is no root and nothing to own: the entry copies them when a snapshot shares them.
//! * *large*: an [`Object`] behind the entry, made of nodes that are copied one by one.
//!
//! The keyspace implements [`Place`] for the key it has found; a type never knows which key that is. Counting the
//! change, watchers and deleting a key that has become empty are the caller's affair, once per command.

use super::contract::Encoding;
use super::limits::Limits;
use super::object::Object;
use super::value::ValueRef;
use crate::collections::buffer::Buffer;
use crate::cow::{Epoch, Heap};
use crate::dict::Payload;
use crate::util::hash::HashSeed;

/// What building a value needs.
pub struct Maker<'a> {
    pub heap: &'a mut Heap,
    /// Where a value changes its form.
    pub limits: Limits,
    /// For tables inside values.
    pub seed: HashSeed,
}

impl Maker<'_> {
    /// The birth of nodes made now.
    pub fn epoch(&self) -> Epoch {
        self.heap.epoch()
    }
}

/// Whether values of these sizes are [counted](crate::db::sizes) in different classes.
#[inline(always)]
pub fn sizes_differ(one: usize, other: usize) -> bool {
    one.leading_zeros() != other.leading_zeros()
}

/// An entry whose value is read and changed. Its type, key and expiry stay.
///
/// A compact value is a [`Buffer`]: `ListpackMut::new(place)` and `IntsetMut::new(place)` edit it in the entry, which
/// moves it to where it fits. That panics when the value is large.
pub trait Place: Buffer {
    /// The value as it is.
    fn value(&self) -> ValueRef<'_>;

    /// How the value is kept.
    fn encoding(&self) -> Encoding;

    /// A compact value, to be changed without changing its length. None if the value is large.
    fn bytes_mut(&mut self) -> Option<&mut [u8]>;

    /// Appends to a compact value, which grows with room to spare.
    ///
    /// # Panics
    /// When the value is large.
    fn append(&mut self, bytes: &[u8]);

    /// A large value, to be changed, with the heap its nodes come from. None if the value is compact.
    fn node_mut(&mut self) -> Option<(&mut Object, &mut Heap)>;

    /// Replaces the value by one of the same type. What it was is freed, or kept for the snapshots that read it.
    fn store(&mut self, encoding: Encoding, payload: Payload<'_, Object>);

    /// Changes what OBJECT ENCODING says, and nothing else.
    fn set_encoding(&mut self, encoding: Encoding);

    /// A large value had this size before it was changed, and now [another class of sizes](sizes_differ) may be its own:
    /// said by the type that changes it. Compact ones are looked after by the keyspace.
    fn size_was(&mut self, size: usize);

    /// What it takes to build another form of the value.
    fn maker(&mut self) -> Maker<'_>;
}
