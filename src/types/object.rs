//! A value that is too large for its entry: a root of its own, shared copy-on-write between the writer and snapshots.
//!
//! This enum is, beside [`super::value`], the only place that names every type; it hands each question on to the
//! type's folder.

use super::hash::HashObject;
use super::list::ListObject;
use super::set::SetObject;
use super::stream::StreamObject;
use super::string::LargeString;
use super::zset::ZsetObject;
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};

/// The value behind an entry's pointer.
pub enum Object {
    /// A string above [`super::string::BLOB_MAX`].
    Rope(LargeString),
    List(ListObject),
    Set(SetObject),
    Hash(HashObject),
    Zset(ZsetObject),
    Stream(StreamObject),
}

/// The same expression for whichever type it is.
macro_rules! each {
    ($object:expr, $value:ident => $expression:expr) => {
        match $object {
            Object::Rope($value) => $expression,
            Object::List($value) => $expression,
            Object::Set($value) => $expression,
            Object::Hash($value) => $expression,
            Object::Zset($value) => $expression,
            Object::Stream($value) => $expression,
        }
    };
}

impl Object {
    /// Starts fetching what looking for an element with this hash will read.
    #[inline]
    pub fn prefetch(&self, element: u64) {
        match self {
            Object::Set(set) => set.prefetch(element),
            Object::Hash(hash) => hash.prefetch(element),
            Object::Zset(set) => set.prefetch(element),
            Object::Rope(_) | Object::List(_) | Object::Stream(_) => {}
        }
    }

    /// A second, independent value with the same contents (COPY).
    pub fn duplicate(&self, heap: &Heap) -> Object {
        match self {
            Object::Rope(s) => Object::Rope(s.duplicate(heap.epoch())),
            Object::List(list) => Object::List(list.duplicate(heap)),
            Object::Set(set) => Object::Set(set.duplicate(heap)),
            Object::Hash(hash) => Object::Hash(hash.duplicate(heap)),
            Object::Zset(zset) => Object::Zset(zset.duplicate(heap)),
            Object::Stream(stream) => Object::Stream(stream.duplicate(heap)),
        }
    }
}

impl CowValue for Object {
    fn birth(&self) -> Epoch {
        each!(self, value => value.birth())
    }

    fn origin(&self) -> Epoch {
        each!(self, value => value.origin())
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        match self {
            Object::Rope(s) => Object::Rope(s.fork(heap)),
            Object::List(list) => Object::List(list.fork(heap)),
            Object::Set(set) => Object::Set(set.fork(heap)),
            Object::Hash(hash) => Object::Hash(hash.fork(heap)),
            Object::Zset(zset) => Object::Zset(zset.fork(heap)),
            Object::Stream(stream) => Object::Stream(stream.fork(heap)),
        }
    }

    fn drop_shell(self) {
        each!(self, value => value.drop_shell())
    }

    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        each!(self, value => value.destroy_some(budget, proof))
    }

    fn destroy(self, proof: &Unshared) {
        each!(self, value => value.destroy(proof))
    }

    fn free_effort(&self) -> usize {
        each!(self, value => value.free_effort())
    }

    fn memory(&self) -> usize {
        each!(self, value => value.memory())
    }

    fn elements(&self) -> usize {
        each!(self, value => value.elements())
    }

    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        each!(self, value => value.defrag(defrag, progress))
    }
}
