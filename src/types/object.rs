//! A value that is too large for its entry: a node of its own, shared copy-on-write between the writer and snapshots.
//!
//! This enum is the only place that names every type with such values; it hands each question on to the type's folder.

use super::string::LargeString;
use crate::cow::{CowValue, Epoch, Heap, Unshared};

/// The value behind an entry's pointer.
pub enum Object {
    /// A string above [`super::string::BLOB_MAX`].
    Rope(LargeString),
}

impl Object {
    /// A second, independent value with the same contents (COPY). Costs no more than one node.
    pub fn duplicate(&self, heap: &Heap) -> Object {
        match self {
            Object::Rope(s) => Object::Rope(s.duplicate(heap.epoch())),
        }
    }
}

impl CowValue for Object {
    fn birth(&self) -> Epoch {
        match self {
            Object::Rope(s) => s.birth(),
        }
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        self.duplicate(heap)
    }

    fn destroy_some(&mut self, budget: &mut usize, _proof: &Unshared) -> bool {
        match self {
            Object::Rope(s) => s.shed(budget),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Object::Rope(s) => s.free_effort(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Object::Rope(s) => s.memory(),
        }
    }
}
