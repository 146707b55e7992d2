//! A table as it was when a snapshot was opened, for the thread that writes it down.
//!
//! A view is a copy of the directory's pointers. The writer copies every node before changing it, so the view's nodes
//! stay as they are; it retires them instead of freeing, so they stay as long as the view holds the snapshot's pin.

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::sync::Arc;

use super::directory::{Directory, after};
use super::element::Element;
use super::segment::{Collected, Segment};
use super::table::Table;
use crate::cow::{Opening, Pin};

/// Reads a table as it was when the snapshot was opened. Goes to another thread; keeps the snapshot alive.
pub struct SnapshotView<E: Element> {
    dir: Directory,
    len: usize,
    _pin: Arc<Pin>,
    elements: PhantomData<E>,
}

// SAFETY: a view only reads nodes that rule R keeps unchanged and alive while the pin is held; elements are Sync.
unsafe impl<E: Element> Send for SnapshotView<E> {}
// SAFETY: as above.
unsafe impl<E: Element> Sync for SnapshotView<E> {}

impl<E: Element> Table<E> {
    /// The table as it is now, for another thread. O(1).
    pub fn view(&self, opening: &Opening<'_>) -> SnapshotView<E> {
        SnapshotView { dir: self.dir, len: self.len, _pin: opening.pin(), elements: PhantomData }
    }
}

impl<E: Element> SnapshotView<E> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element of a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<E::Ref<'_>> {
        // SAFETY: the nodes and elements of a view live as long as it does.
        unsafe { self.dir.find::<E>(hash, key).map(|place| E::view(place.element())) }
    }

    /// As [`Table::prefetch_bucket`].
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        // SAFETY: the nodes of a view live as long as it does.
        unsafe { self.dir.prefetch_bucket(hash) }
    }

    /// As [`Table::prefetch_entry`].
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        // SAFETY: the nodes of a view live as long as it does.
        unsafe { self.dir.prefetch_entry(hash) }
    }

    /// All elements, in hash order of their segments. The iterator knows how many are left.
    pub fn iter(&self) -> ViewIter<'_, E> {
        ViewIter {
            dir: self.dir,
            position: (self.len > 0).then_some(0),
            link: Segment::NULL,
            elements: Box::new(Collected::new()),
            next: 0,
            left: self.len,
            view: PhantomData,
        }
    }
}

impl<'a, E: Element> IntoIterator for &'a SnapshotView<E> {
    type Item = E::Ref<'a>;
    type IntoIter = ViewIter<'a, E>;

    fn into_iter(self) -> ViewIter<'a, E> {
        self.iter()
    }
}

/// The elements of a view. A segment's elements are asked for together, so that reading one waits for none.
pub struct ViewIter<'a, E: Element> {
    dir: Directory,
    /// The first hash of the next segment.
    position: Option<u64>,
    /// The next link of the segment that is being read; mostly null.
    link: Segment,
    elements: Box<Collected>,
    next: usize,
    left: usize,
    view: PhantomData<&'a E>,
}

// SAFETY: an iterator is a reference to its view, which is Sync, and a buffer.
unsafe impl<E: Element> Send for ViewIter<'_, E> {}

impl<'a, E: Element> ViewIter<'a, E> {
    /// Reads the next link that has elements.
    #[cold]
    fn refill(&mut self) -> bool {
        self.next = 0;
        loop {
            // SAFETY: the nodes of a view live as long as it does.
            unsafe {
                if self.link.is_null() {
                    let Some(hash) = self.position else { return false };
                    self.link = self.dir.locate(hash);
                    self.position = after(hash, self.link.depth());
                }
                self.link.collect(self.dir.buckets as usize, &mut self.elements);
                self.link = self.link.next();
            }
            if self.elements.len() > 0 {
                return true;
            }
        }
    }
}

impl<'a, E: Element> Iterator for ViewIter<'a, E> {
    type Item = E::Ref<'a>;

    #[inline]
    fn next(&mut self) -> Option<E::Ref<'a>> {
        // Once at its end it stays there.
        if self.left == 0 || (self.next >= self.elements.len() && !self.refill()) {
            return None;
        }
        let element = self.elements.get(self.next)?;
        self.next += 1;
        self.left -= 1;
        // SAFETY: the elements of a view live as long as it does.
        Some(unsafe { E::view(element) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<E: Element> ExactSizeIterator for ViewIter<'_, E> {}
impl<E: Element> FusedIterator for ViewIter<'_, E> {}
