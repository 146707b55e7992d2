//! Moving a table's nodes and elements to where they lie closer together.
//!
//! A pass goes through the table in hash order, a segment with all its elements at a time. Its position is a hash, so
//! whatever splits and merges do between two steps, it neither skips nor repeats more than a segment. Values of many
//! elements would make a step long: their keys are noted, and whoever leads the pass goes through them in parts
//! ([`Table::defrag_value`]).

use std::ptr::NonNull;

use super::directory::{after, prefix};
use super::element::Element;
use super::segment::Place;
use super::table::Table;
use super::tags;
use crate::cow::{Defrag, Progress};

/// What a pass has met since it was last asked.
#[derive(Default, Debug)]
pub struct Visits {
    /// Elements of which something was moved.
    pub moved: u64,
    /// Elements of which nothing was.
    pub left: u64,
    /// Keys of values that are to be gone through in parts, and whether their entry or root was moved.
    pub later: Vec<(Box<[u8]>, bool)>,
}

impl Visits {
    /// Counts an element that was gone through.
    pub fn count(&mut self, moved: bool) {
        if moved { self.moved += 1 } else { self.left += 1 }
    }
}

impl<E: Element> Table<E> {
    /// Goes on with a pass at `position` (0 begins one), until the budget is used up: then it gives the position to go on
    /// at, and none at the end. Values of more than `elements_max` elements are noted, not gone through.
    pub fn defrag(
        &mut self,
        defrag: &mut Defrag<'_>,
        position: u64,
        elements_max: usize,
        visits: &mut Visits,
    ) -> Option<u64> {
        let mut next = (!self.is_empty()).then_some(position);
        while let Some(hash) = next
            && defrag.may_go_on()
        {
            next = self.defrag_segment(defrag, hash, elements_max, visits);
        }
        next
    }

    fn defrag_segment(
        &mut self,
        defrag: &mut Defrag<'_>,
        hash: u64,
        elements_max: usize,
        visits: &mut Visits,
    ) -> Option<u64> {
        let buckets = self.buckets();
        // SAFETY: the nodes and elements of a table live, and belong to the writer, as no snapshot lives; what points to
        // one that was moved is written at once.
        unsafe {
            self.dir.defrag_path(defrag, hash);
            let head = self.dir.locate(hash).settled(buckets, defrag);
            self.dir.set_segment(hash, head);
            let mut link = head;
            while !link.is_null() {
                for at in 0..buckets {
                    let bucket = link.bucket(at);
                    for slot in tags::occupied((*bucket).word) {
                        let before = defrag.moved();
                        let place = Place { bucket, slot };
                        let (element, is_whole) = E::defrag(place.element(), defrag, elements_max);
                        (*bucket).slots[slot] = element.as_ptr();
                        let moved = defrag.moved() > before;
                        if is_whole {
                            visits.count(moved);
                        } else {
                            visits.later.push((E::key(element).into(), moved));
                        }
                    }
                }
                link = link.next();
            }
            debug_assert!(prefix(hash, head.depth()) <= hash);
            after(hash, head.depth())
        }
    }

    /// Goes on with the value of one key; true when it is done, or not there.
    pub fn defrag_value(&mut self, defrag: &mut Defrag<'_>, key: &[u8], progress: &mut Progress) -> bool {
        let hash = self.hash(key);
        match self.place_of(hash, key) {
            // SAFETY: the element lives, and belongs to the writer, as no snapshot lives.
            Some(element) => unsafe { E::defrag_value(element, defrag, progress) },
            None => true,
        }
    }

    fn place_of(&self, hash: u64, key: &[u8]) -> Option<NonNull<u8>> {
        let segment = self.locate(hash);
        if segment.is_null() {
            return None;
        }
        // SAFETY: the segment and its elements live.
        unsafe { segment.find(self.buckets(), hash, |element| E::has_key(element, key)).map(|place| place.element()) }
    }
}
