//! The segment: up to 31 buckets of one cache line each, in one allocation of at most 2 KiB.
//!
//! ```text
//! Segment  | header 64 | bucket 64 | bucket 64 | ...            aligned to 64
//! header   | birth u32 | count u16 | depth u8 | buckets u8 | next link, mostly null |
//! bucket   | 7 tags, overflow | 7 pointers |
//! ```
//!
//! All elements of a segment have the same first `depth` bits of their hash. Within the segment the *home* bucket
//! comes from the next bits, by a multiplication instead of a mask, so that any number of buckets will do and the
//! order of buckets is the order of hashes. A full bucket sends an element to the next one, around the end of the
//! segment, and every bucket that it passes counts it (see `tags`); deleting takes the counts back, so there are no
//! tombstones.
//!
//! # The tagged pointer
//!
//! A directory slot holds the segment's address with the depth in its low six bits. With it the bucket's address is
//! known before the segment is touched: a lookup never reads the header line.
//!
//! # Links
//!
//! A segment that may not be split any more (see `grow`: the depth is capped, so that keys chosen to collide can not
//! blow the directory up) gets further segments behind it when it is full. All buckets of such a chain count as
//! overflowing, so a lookup searches each link fully and goes on: slow, correct, and it does not happen by chance.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::element::Element;
use super::prefetch::prefetch;
use super::tags::{self, SLOTS};
use crate::cow::{Defrag, Epoch, Heap, Retired, free_memory};
use crate::util::hash::HashSeed;

/// Buckets of a segment in a table that has more than one.
pub(super) const BUCKETS: usize = 31;
/// Elements that fit in the largest segment.
pub(super) const CAPACITY: usize = BUCKETS * SLOTS;
pub(super) const LINE: usize = 64;

/// The bucket counts through which a small table grows.
pub(super) const SMALL: [u8; 9] = [1, 2, 3, 5, 7, 11, 15, 23, 31];

/// A segment grows or is split at 7/8.
#[inline(always)]
pub(super) const fn max_count(buckets: usize) -> usize {
    buckets * SLOTS * 7 / 8
}

#[repr(C, align(64))]
pub(super) struct Bucket {
    pub word: u64,
    pub slots: [*mut u8; SLOTS],
}

#[repr(C, align(64))]
struct Header {
    birth: u32,
    count: u16,
    depth: u8,
    buckets: u8,
    /// The next link of a chain.
    next: Segment,
}

const _: () = assert!(size_of::<Bucket>() == LINE && size_of::<Header>() == LINE);

/// A pointer to a segment with its depth in the low bits, or null.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment(*mut u8);

/// Where an element is: a bucket (of a segment or of a link) and a slot.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub bucket: *mut Bucket,
    pub slot: usize,
}

impl Place {
    /// # Safety
    /// The place is one that a search or an insertion gave, and the segment has not changed since.
    #[inline(always)]
    pub unsafe fn element(self) -> NonNull<u8> {
        // SAFETY: the caller's promise; occupied slots are never null.
        unsafe { NonNull::new_unchecked((*self.bucket).slots[self.slot]) }
    }
}

/// The home bucket of a hash: monotone in the 48 bits that count, so that buckets are in hash order.
#[inline(always)]
pub(super) fn home(hash: u64, depth: u32, buckets: usize) -> usize {
    ((((hash & !0xffff) << depth) >> 32).wrapping_mul(buckets as u64) >> 32) as usize
}

fn layout(buckets: usize) -> Layout {
    Layout::from_size_align((buckets + 1) * LINE, LINE).expect("at most 2 KiB")
}

/// All methods but `NULL`, `is_null` and `depth` are unsafe for one reason: the segment must live, and for those that
/// change it, it must be the writer's own (rule R). `buckets` is the table's bucket count, passed so that the header
/// stays untouched.
impl Segment {
    pub const NULL: Segment = Segment(ptr::null_mut());

    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    #[inline(always)]
    pub fn depth(self) -> u32 {
        (self.0.addr() & (LINE - 1)) as u32
    }

    #[inline(always)]
    fn base(self) -> *mut u8 {
        self.0.map_addr(|address| address & !(LINE - 1))
    }

    #[inline(always)]
    fn header(self) -> *mut Header {
        self.base().cast()
    }

    /// A segment without elements.
    pub fn new(buckets: usize, depth: u32, birth: Epoch) -> Segment {
        let layout = layout(buckets);
        debug_assert!(depth < LINE as u32 && buckets <= BUCKETS);
        // SAFETY: the size is not zero. All zeros is a valid header and valid empty buckets.
        let raw = unsafe { alloc_zeroed(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        let segment = Segment(raw.map_addr(|address| address | depth as usize));
        // SAFETY: just allocated.
        unsafe {
            let header = segment.header();
            (*header).birth = birth.0;
            (*header).depth = depth as u8;
            (*header).buckets = buckets as u8;
        }
        segment
    }

    #[inline(always)]
    pub unsafe fn bucket(self, at: usize) -> *mut Bucket {
        debug_assert!(!self.is_null() && at < BUCKETS);
        // SAFETY: the header is one line, and `at` is a bucket of this segment.
        unsafe { self.base().cast::<Bucket>().add(1 + at) }
    }

    #[inline(always)]
    pub unsafe fn birth(self) -> Epoch {
        // SAFETY: the segment lives.
        Epoch(unsafe { (*self.header()).birth })
    }

    #[inline(always)]
    pub unsafe fn count(self) -> usize {
        // SAFETY: the segment lives.
        unsafe { (*self.header()).count as usize }
    }

    /// The depth that the header records; the tag of the pointer must agree.
    pub unsafe fn recorded_depth(self) -> u32 {
        // SAFETY: the segment lives.
        unsafe { (*self.header()).depth as u32 }
    }

    #[inline(always)]
    pub unsafe fn next(self) -> Segment {
        // SAFETY: the segment lives.
        unsafe { (*self.header()).next }
    }

    #[inline(always)]
    pub fn prefetch_header(self) {
        prefetch(self.base());
    }

    #[inline(always)]
    pub fn prefetch_home(self, hash: u64, buckets: usize) {
        prefetch(self.base().wrapping_add(LINE * (1 + home(hash, self.depth(), buckets))));
    }

    /// Finds the element for which `is_it` says yes, among those with this hash's tag.
    #[inline(always)]
    pub unsafe fn find(self, buckets: usize, hash: u64, mut is_it: impl FnMut(NonNull<u8>) -> bool) -> Option<Place> {
        let tag = tags::tag_of(hash);
        let mut at = home(hash, self.depth(), buckets);
        for _ in 0..buckets {
            // SAFETY: the segment lives; occupied slots are not null.
            unsafe {
                let bucket = self.bucket(at);
                let word = (*bucket).word;
                for slot in tags::slots_with(word, tag) {
                    if is_it(NonNull::new_unchecked(*(&raw const (*bucket).slots).cast::<*mut u8>().add(slot))) {
                        return Some(Place { bucket, slot });
                    }
                }
                if tags::overflow(word) == 0 {
                    return None;
                }
            }
            at += 1;
            if at == buckets {
                at = 0;
            }
        }
        // SAFETY: the segment lives, so do its links.
        unsafe { self.find_in_links(buckets, hash, &mut is_it) }
    }

    #[cold]
    #[inline(never)]
    unsafe fn find_in_links(
        self,
        buckets: usize,
        hash: u64,
        is_it: &mut dyn FnMut(NonNull<u8>) -> bool,
    ) -> Option<Place> {
        // SAFETY: links live as long as their head.
        unsafe {
            let next = self.next();
            if next.is_null() {
                return None;
            }
            next.find(buckets, hash, is_it)
        }
    }

    /// Puts an element in; there must be an empty slot.
    #[inline(always)]
    pub unsafe fn place(self, buckets: usize, hash: u64, element: NonNull<u8>) -> Place {
        let mut at = home(hash, self.depth(), buckets);
        // SAFETY: the segment lives and is the writer's.
        unsafe {
            debug_assert!(self.count() < buckets * SLOTS);
            (*self.header()).count += 1;
            loop {
                let bucket = self.bucket(at);
                let word = (*bucket).word;
                if let Some(slot) = tags::first_empty(word) {
                    *(&raw mut (*bucket).slots).cast::<*mut u8>().add(slot) = element.as_ptr();
                    (*bucket).word = tags::with_tag(word, slot, tags::tag_of(hash));
                    return Place { bucket, slot };
                }
                (*bucket).word = tags::overflow_up(word);
                at += 1;
                if at == buckets {
                    at = 0;
                }
            }
        }
    }

    /// Takes an element out: clears its tag and gives the counts back that its insertion left.
    #[inline(always)]
    pub unsafe fn erase(self, buckets: usize, hash: u64, place: Place) {
        // SAFETY: the segment lives and is the writer's; the place is in it or in one of its links.
        unsafe {
            let link = self.link_of(buckets, place);
            (*place.bucket).word = tags::without_tag((*place.bucket).word, place.slot);
            (*link.header()).count -= 1;
            let mut at = home(hash, self.depth(), buckets);
            loop {
                let bucket = link.bucket(at);
                if bucket == place.bucket {
                    return;
                }
                (*bucket).word = tags::overflow_down((*bucket).word);
                at += 1;
                if at == buckets {
                    at = 0;
                }
            }
        }
    }

    /// The link of the chain that the place is in; nearly always the segment itself.
    #[inline(always)]
    unsafe fn link_of(self, buckets: usize, place: Place) -> Segment {
        // SAFETY: the segment and its links live.
        unsafe {
            let mut link = self;
            while !link.next().is_null() && !link.holds(buckets, place) {
                link = link.next();
            }
            debug_assert!(link.holds(buckets, place));
            link
        }
    }

    unsafe fn holds(self, buckets: usize, place: Place) -> bool {
        let offset = place.bucket.addr().wrapping_sub(self.base().addr());
        offset < (buckets + 1) * LINE
    }

    /// The first link that has an empty slot; makes one behind the head if all are full.
    #[cold]
    pub unsafe fn roomy_link(self, buckets: usize, birth: Epoch) -> Segment {
        // SAFETY: the segment and its links live and are the writer's.
        unsafe {
            let mut link = self;
            while !link.is_null() {
                if link.count() < buckets * SLOTS {
                    return link;
                }
                link = link.next();
            }
            let link = Segment::new(buckets, self.depth(), birth);
            (*link.header()).next = self.next();
            (*self.header()).next = link;
            for at in 0..buckets {
                for segment in [self, link] {
                    let bucket = segment.bucket(at);
                    (*bucket).word = tags::overflow_stuck((*bucket).word);
                }
            }
            link
        }
    }

    /// Unlinks and frees the empty links behind the head.
    #[cold]
    pub unsafe fn drop_empty_links(self, buckets: usize) {
        // SAFETY: the segment and its links live and are the writer's.
        unsafe {
            let mut link = self;
            while !link.next().is_null() {
                let next = link.next();
                if next.count() == 0 {
                    (*link.header()).next = next.next();
                    next.free(buckets);
                } else {
                    link = next;
                }
            }
        }
    }

    /// A copy of the segment and of its links, born now.
    pub unsafe fn copy(self, buckets: usize, birth: Epoch) -> Segment {
        // SAFETY: both segments live and have this size; the new one is nobody else's.
        unsafe {
            let copy = Segment::uninitialised(buckets, self.depth());
            ptr::copy_nonoverlapping(self.base(), copy.base(), (buckets + 1) * LINE);
            (*copy.header()).birth = birth.0;
            if !self.next().is_null() {
                (*copy.header()).next = self.next().copy(buckets, birth);
            }
            copy
        }
    }

    fn uninitialised(buckets: usize, depth: u32) -> Segment {
        let layout = layout(buckets);
        // SAFETY: the size is not zero.
        let raw = unsafe { std::alloc::alloc(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        Segment(raw.map_addr(|address| address | depth as usize))
    }

    /// The segment where it lies better, and its links with it.
    pub unsafe fn settled(self, buckets: usize, defrag: &mut Defrag<'_>) -> Segment {
        // SAFETY: the segment and its links live and were allocated with this layout; the caller points to the result.
        unsafe {
            let node = defrag.settle(NonNull::new_unchecked(self.base()), layout(buckets)).as_ptr();
            let settled = Segment(node.map_addr(|address| address | self.depth() as usize));
            if !settled.next().is_null() {
                (*settled.header()).next = settled.next().settled(buckets, defrag);
            }
            settled
        }
    }

    /// Ends the life of the nodes of this segment (not of its elements): frees or retires them.
    pub unsafe fn release(self, buckets: usize, heap: &mut Heap) {
        let mut link = self;
        while !link.is_null() {
            // SAFETY: the segment was unlinked by the caller, the links go with it; the next is read before.
            unsafe {
                let next = link.next();
                let node = NonNull::new_unchecked(link.base());
                let bytes = (buckets + 1) * LINE;
                heap.release(Retired { node, birth: link.birth(), bytes, free: free_memory::<LINE> });
                link = next;
            }
        }
    }

    /// Frees one link.
    pub unsafe fn free(self, buckets: usize) {
        // SAFETY: allocated with this layout; the caller is its last owner.
        unsafe { dealloc(self.base(), layout(buckets)) }
    }

    /// Collects (and prefetches) the elements of this link, in the order of its buckets.
    #[inline]
    pub unsafe fn collect(self, buckets: usize, into: &mut Collected) {
        into.len = 0;
        for at in 0..buckets {
            // SAFETY: the segment lives; no link has more elements than the buffer has room for.
            unsafe {
                let bucket = self.bucket(at);
                for slot in tags::occupied((*bucket).word) {
                    let element = (*bucket).slots[slot];
                    prefetch(element);
                    *into.elements.get_unchecked_mut(into.len) = element;
                    into.len += 1;
                }
            }
        }
    }

    /// Calls `f` for every element whose home is bucket `at`, wherever it was displaced to.
    pub unsafe fn for_each_at_home<E: Element>(
        self,
        buckets: usize,
        at: usize,
        seed: HashSeed,
        mut f: impl FnMut(NonNull<u8>, u64),
    ) {
        let mut link = self;
        while !link.is_null() {
            let mut bucket_at = at;
            for _ in 0..buckets {
                // SAFETY: the segment and its links live.
                unsafe {
                    let bucket = link.bucket(bucket_at);
                    let word = (*bucket).word;
                    for slot in tags::occupied(word) {
                        prefetch((*bucket).slots[slot]);
                    }
                    for slot in tags::occupied(word) {
                        let element = NonNull::new_unchecked((*bucket).slots[slot]);
                        let hash = E::hash(element, seed);
                        if home(hash, self.depth(), buckets) == at {
                            f(element, hash);
                        }
                    }
                    if tags::overflow(word) == 0 {
                        break;
                    }
                }
                bucket_at += 1;
                if bucket_at == buckets {
                    bucket_at = 0;
                }
            }
            // SAFETY: as above. A link that has a next never stops a search early, but one may stop within the last.
            link = unsafe { link.next() };
        }
    }
}

/// The elements of one link.
pub(super) struct Collected {
    elements: [*mut u8; CAPACITY],
    len: usize,
}

impl Collected {
    #[inline]
    pub fn new() -> Collected {
        Collected { elements: [ptr::null_mut(); CAPACITY], len: 0 }
    }

    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = NonNull<u8>> {
        // SAFETY: `collect` stores what occupied slots hold, never null.
        self.elements[..self.len].iter().map(|&element| unsafe { NonNull::new_unchecked(element) })
    }

    #[inline]
    pub fn get(&self, at: usize) -> Option<NonNull<u8>> {
        self.elements[..self.len].get(at).and_then(|&element| NonNull::new(element))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds one, and asks for its line.
    pub fn push(&mut self, element: *mut u8) {
        prefetch(element);
        self.elements[self.len] = element;
        self.len += 1;
    }
}
