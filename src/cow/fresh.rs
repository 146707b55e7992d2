//! A value on its way to its entry.
//!
//! A value with nodes leaks when it is dropped, because a snapshot might be reading them. One that was made a moment
//! ago, by a load that may still fail, is read by nobody: here it is freed when it is dropped.

use super::{CowValue, Heap, Unshared};

/// A value that no entry has yet. Dropping it destroys it.
pub struct Fresh<V: CowValue>(Option<Box<V>>);

impl<V: CowValue> Fresh<V> {
    /// Takes charge of a value.
    ///
    /// # Panics
    ///
    /// When the value has nodes that a live snapshot may read: then it is not new.
    pub fn new(value: V, heap: &Heap) -> Fresh<V> {
        assert!(!heap.is_shared(value.origin()), "a new value has no old nodes");
        Fresh(Some(Box::new(value)))
    }

    /// The value, to be read.
    pub fn value(&self) -> &V {
        self.0.as_deref().expect("only `into_box` takes the value")
    }

    /// The value, to be filled.
    pub fn value_mut(&mut self) -> &mut V {
        self.0.as_deref_mut().expect("only `into_box` takes the value")
    }

    /// Gives the value to its entry.
    pub fn into_box(mut self) -> Box<V> {
        self.0.take().expect("only `into_box` takes the value")
    }
}

impl<V: CowValue> Drop for Fresh<V> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            // SAFETY: no snapshot that lived when this was made can read the value, by rule R; later ones show what
            // entries have, and no entry has it.
            value.destroy(&unsafe { Unshared::proven() });
        }
    }
}

impl<V: CowValue> std::fmt::Debug for Fresh<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a new value of {} bytes", self.0.as_ref().map_or(0, |value| value.memory()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::Epoch;
    use std::sync::Arc;

    struct Noted(Epoch, Arc<()>);

    impl CowValue for Noted {
        fn birth(&self) -> Epoch {
            self.0
        }
        fn fork(&self, heap: &mut Heap) -> Noted {
            Noted(heap.epoch(), self.1.clone())
        }
        fn memory(&self) -> usize {
            0
        }
    }

    #[test]
    fn what_no_entry_took_is_freed() {
        let (heap, note) = (Heap::new(), Arc::new(()));
        let value = || Fresh::new(Noted(heap.epoch(), note.clone()), &heap);
        drop(value());
        assert_eq!(Arc::strong_count(&note), 1);
        let boxed = value().into_box();
        assert_eq!(Arc::strong_count(&note), 2);
        drop(boxed);
    }

    #[test]
    #[should_panic(expected = "a new value has no old nodes")]
    fn what_a_snapshot_may_read_is_not_new() {
        let mut heap = Heap::new();
        let value = Noted(heap.epoch(), Arc::new(()));
        let _ticket = heap.open_snapshot().ticket();
        drop(Fresh::new(value, &heap));
    }
}
