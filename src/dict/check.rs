//! What must hold between any two calls, numbered, for tests and debug commands.
//!
//! 1. A directory slot's run is whole: every slot of it is the same.
//! 2. A segment's pointer and its header agree on the depth.
//! 3. `full` counts the segments that fill one chunk slot, `full_chunks` the chunks that fill one root slot.
//! 4. Every element's hash begins with the bits of its segment.
//! 5. Every tag is that of the element's hash.
//! 6. Overflow counts are exactly what the displaced elements need, or stuck at 255.
//! 7. A segment's count is the number of its elements.
//! 8. The table's length and its numbers of segments per depth are right.
//! 9. Nothing is older than the table's origin: root, chunks, segments.

use super::directory::{after, prefix};
use super::element::Element;
use super::segment::{Segment, home};
use super::table::Table;
use super::tags;

impl<E: Element> Table<E> {
    /// Panics if the table is not as it must be. Reads everything: for tests.
    pub fn check_invariants(&self) {
        let (mut elements, mut segments, mut deepest, mut full_chunks) = (0, 0, 0, 0);
        let mut position = (self.segments > 0).then_some(0);
        while let Some(hash) = position {
            let segment = self.locate(hash);
            assert_eq!(prefix(hash, segment.depth()), hash, "1: segments tile the hash space");
            elements += self.check_segment(segment, hash);
            segments += 1;
            deepest = deepest.max(segment.depth());
            position = after(hash, segment.depth());
            if self.dir.has_root() {
                full_chunks += self.check_chunk(hash);
            }
        }
        assert_eq!(self.full_chunks, full_chunks, "3: chunks that fill one root slot");
        assert_eq!(self.len, elements, "8: length");
        assert_eq!(self.segments, segments, "8: segments");
        assert_eq!(self.depths.max(), deepest, "8: depth");
        assert!(!self.dir.has_root() || self.origin <= self.root_birth, "9: the root's birth");
    }

    /// Checks the chunk of which `hash` is the first; 1 if it fills one root slot alone.
    fn check_chunk(&self, hash: u64) -> u32 {
        // SAFETY: the nodes of a table live.
        unsafe {
            let slot = *self.dir.root_slot(hash);
            if prefix(hash, slot.bits as u32) != hash {
                return 0;
            }
            assert!(slot.bits <= self.dir.root_depth);
            assert!(self.origin <= slot.birth, "9: a chunk's birth");
            let run = 1 << (self.dir.root_depth - slot.bits);
            let start = self.dir.root_slot(hash);
            for at in 0..run {
                let other = *start.add(at);
                assert!(other.chunk == slot.chunk && other.full == slot.full, "1: a chunk's run is whole");
                assert!((other.bits, other.size, other.birth) == (slot.bits, slot.size, slot.birth));
            }
            let full = slot.segments().iter().filter(|segment| segment.depth() == slot.depth()).count();
            assert_eq!(slot.full as usize, full, "3: segments that fill one chunk slot");
            for (at, segment) in slot.segments().iter().enumerate() {
                let run = 1 << (slot.depth() - segment.depth());
                assert!(slot.segments()[at / run * run] == *segment, "1: a segment's run is whole");
            }
            u32::from(run == 1)
        }
    }

    /// Checks a segment of which `start` is the first hash, and its links; the number of elements.
    fn check_segment(&self, segment: Segment, start: u64) -> usize {
        let buckets = self.buckets();
        let mut total = 0;
        let mut link = segment;
        while !link.is_null() {
            let mut displaced = vec![0u32; buckets];
            let mut count = 0;
            // SAFETY: the nodes and elements of a table live.
            unsafe {
                assert_eq!(link.recorded_depth(), link.depth(), "2: depth");
                assert!(self.origin <= link.birth(), "9: a segment's birth");
                for at in 0..buckets {
                    let bucket = link.bucket(at);
                    for slot in tags::occupied((*bucket).word) {
                        let element = std::ptr::NonNull::new((*bucket).slots[slot]).expect("occupied slots are set");
                        let hash = E::hash(element, self.seed);
                        assert_eq!(prefix(hash, segment.depth()), start, "4: hash prefix");
                        assert_eq!(((*bucket).word >> (8 * slot)) as u8, tags::tag_of(hash), "5: tag");
                        let mut passed = home(hash, segment.depth(), buckets);
                        while passed != at {
                            displaced[passed] += 1;
                            passed = (passed + 1) % buckets;
                        }
                        count += 1;
                    }
                }
                for (at, &displaced) in displaced.iter().enumerate() {
                    let overflow = tags::overflow((*link.bucket(at)).word) as u32;
                    assert!(overflow == displaced || overflow == 255, "6: overflow {overflow}, displaced {displaced}");
                    assert!(overflow == 255 || segment.next().is_null(), "6: a search goes through all links");
                }
                assert_eq!(link.count(), count, "7: count");
                link = link.next();
            }
            total += count;
        }
        total
    }
}
