//! The leaf: some forty elements in one allocation.
//!
//! ```text
//! | birth u32 | size u32 | used u32 | count u32 | tags | lengths | data ...        | room |
//!                                               | slots |  slots  |
//!
//! slots   = count, rounded up to a multiple of 8; what is beyond `count` is zero
//! tag     = eight bits of the hash, never 0
//! length  = bytes of the element in `data`, up to 127; or 128 + that, for an element whose key lies outside
//!
//! data    Keys             key
//!         KeysWithWords    key, 8 bytes             outside: pointer, 8 bytes
//!         KeysWithValues   length of the key and the mark (1 byte), key, value
//!                                                   outside: pointer, the mark (1 byte)
//! ```
//!
//! A lookup compares eight tags at once, and adds up lengths only when one matches: then the element's place is the
//! sum of those before it, eight at a time. A member of 13 bytes so takes 15 bytes, its share of the header half a
//! byte, and its share of the allocator's rounding about one.
//!
//! An allocation has the exact size of one of the allocator's classes, so its rounding is ours to use: the room is
//! filled by insertions before the leaf moves to the next class.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::{self, NonNull};

use super::out_of_line::OutOfLine;
use super::shape::{Element, Shape, ValueShape};
use crate::cow::{Defrag, Epoch, Heap, Retired, free_memory};
use crate::util::size_class;

const HEADER: usize = 16;
const ALIGN: usize = 8;
/// Elements that come to more than this lie outside, behind a pointer.
pub(super) const INSIDE_MAX: usize = 127;
const OUTSIDE: u8 = 0x80;
const LENGTHS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const MARK: u8 = 0x80;
const POINTER: usize = size_of::<OutOfLine>();

#[repr(C)]
struct Header {
    birth: Epoch,
    size: u32,
    used: u32,
    count: u32,
}

const _: () = assert!(size_of::<Header>() == HEADER && POINTER == 8);

/// A pointer to a leaf. Whoever follows it must know that the leaf lives; whoever changes it, that it is the writer's
/// own (rule R): all the methods are unsafe for these two reasons.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Leaf(NonNull<u8>);

/// Where an element is in its leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub index: usize,
    /// Of its first byte in the data.
    pub offset: usize,
    length: u8,
}

impl Place {
    /// Bytes of the element in the data.
    #[inline(always)]
    pub fn bytes(self) -> usize {
        (self.length & !OUTSIDE) as usize
    }

    fn is_outside(self) -> bool {
        self.length & OUTSIDE != 0
    }
}

/// The tag of a hash: its top bits, because the low ones choose the leaf. Zero means nobody.
#[inline(always)]
pub(super) fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

#[inline(always)]
fn slots(count: usize) -> usize {
    count.next_multiple_of(8)
}

/// What is in front of the data.
#[inline(always)]
fn front(count: usize) -> usize {
    HEADER + 2 * slots(count)
}

/// 0x80 in each byte of `word` that equals `tag`, exactly.
#[inline(always)]
fn matches(word: u64, tag: u8) -> u64 {
    let y = word ^ (u64::from(tag) * 0x0101_0101_0101_0101);
    !(((y & LENGTHS) + LENGTHS) | y | LENGTHS)
}

/// The sum of the eight lengths of a word.
#[inline(always)]
fn sum(lengths: u64) -> usize {
    let x = lengths & LENGTHS;
    let pairs = (x & 0x00ff_00ff_00ff_00ff) + ((x >> 8) & 0x00ff_00ff_00ff_00ff);
    (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize
}

/// The byte that has the mark alone: of an element without it, and of one with it.
pub(super) static MARKS: [[u8; 1]; 2] = [[0], [MARK]];

#[inline(always)]
fn mark_of(marked: bool) -> u8 {
    u8::from(marked) << 7
}

/// What an element's bytes in the leaf will be.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Inside { key: &'a [u8], value: &'a [u8], marked: bool },
    OutOfLine { node: OutOfLine, value: &'a [u8] },
}

impl Body<'_> {
    #[inline(always)]
    pub fn length<S: Shape>(&self) -> u8 {
        match self {
            Body::Inside { key, value, .. } => {
                (usize::from(S::VALUE == ValueShape::Any) + key.len() + value.len()) as u8
            }
            Body::OutOfLine { value, .. } => OUTSIDE | (POINTER + value.len()) as u8,
        }
    }

    #[inline(always)]
    fn bytes<S: Shape>(&self) -> usize {
        (self.length::<S>() & !OUTSIDE) as usize
    }

    /// Writes [`Body::bytes`] bytes.
    #[inline(always)]
    unsafe fn write<S: Shape>(&self, mut to: *mut u8) {
        // SAFETY: the caller has made room for so many bytes.
        unsafe {
            let value = match *self {
                Body::Inside { key, value, marked } => {
                    if S::VALUE == ValueShape::Any {
                        to.write(key.len() as u8 | mark_of(marked));
                        to = to.add(1);
                    }
                    ptr::copy_nonoverlapping(key.as_ptr(), to, key.len());
                    to = to.add(key.len());
                    value
                }
                Body::OutOfLine { node, value } => {
                    to.cast::<OutOfLine>().write_unaligned(node);
                    to = to.add(POINTER);
                    value
                }
            };
            ptr::copy_nonoverlapping(value.as_ptr(), to, value.len());
        }
    }
}

impl Leaf {
    #[inline(always)]
    pub fn from_raw(raw: NonNull<u8>) -> Leaf {
        Leaf(raw)
    }

    #[inline(always)]
    pub fn raw(self) -> NonNull<u8> {
        self.0
    }

    /// An empty leaf with room for data of `bytes` bytes of `count` elements.
    pub fn new(birth: Epoch, count: usize, bytes: usize) -> Leaf {
        let size = size_class(front(count) + bytes);
        let layout = Leaf::layout(size);
        // SAFETY: the size is not zero.
        let Some(raw) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let size = u32::try_from(size).expect("a leaf is far below 4 GiB");
        // SAFETY: the allocation has room for the header, aligned.
        unsafe { raw.cast::<Header>().write(Header { birth, size, used: 0, count: 0 }) };
        Leaf(raw)
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, ALIGN).expect("a size below 4 GiB")
    }

    #[inline(always)]
    unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the leaf lives.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    #[inline(always)]
    pub unsafe fn birth(self) -> Epoch {
        // SAFETY: the leaf lives.
        unsafe { self.header().birth }
    }

    /// The size of the allocation.
    #[inline(always)]
    pub unsafe fn size(self) -> usize {
        // SAFETY: the leaf lives.
        unsafe { self.header().size as usize }
    }

    /// Elements.
    #[inline(always)]
    pub unsafe fn count(self) -> usize {
        // SAFETY: the leaf lives.
        unsafe { self.header().count as usize }
    }

    /// Bytes of the data.
    #[inline(always)]
    pub unsafe fn used(self) -> usize {
        // SAFETY: the leaf lives.
        unsafe { self.header().used as usize }
    }

    #[inline(always)]
    fn at(self, offset: usize) -> *mut u8 {
        self.0.as_ptr().wrapping_add(offset)
    }

    #[inline(always)]
    unsafe fn tags(self) -> *mut u8 {
        self.at(HEADER)
    }

    #[inline(always)]
    unsafe fn lengths(self) -> *mut u8 {
        // SAFETY: the leaf lives.
        unsafe { self.at(HEADER + slots(self.count())) }
    }

    #[inline(always)]
    unsafe fn data(self) -> *mut u8 {
        // SAFETY: the leaf lives.
        unsafe { self.at(front(self.count())) }
    }

    #[inline(always)]
    unsafe fn length_of(self, index: usize) -> u8 {
        // SAFETY: the leaf lives, and has such an element.
        unsafe { *self.lengths().add(index) }
    }

    /// The sum of the lengths before `index`.
    #[inline(always)]
    unsafe fn offset_of(self, index: usize) -> usize {
        let mut offset = 0;
        // SAFETY: the leaf lives; the words of lengths are whole, and aligned.
        unsafe {
            let words = self.lengths().cast::<u64>();
            for word in 0..index / 8 {
                offset += sum(u64::from_le(*words.add(word)));
            }
            if !index.is_multiple_of(8) {
                let before = (1u64 << (index % 8 * 8)) - 1;
                offset += sum(u64::from_le(*words.add(index / 8)) & before);
            }
        }
        offset
    }

    #[inline]
    pub unsafe fn place(self, index: usize) -> Place {
        // SAFETY: the leaf lives, and has such an element.
        unsafe { Place { index, offset: self.offset_of(index), length: self.length_of(index) } }
    }

    /// The place of a key.
    #[inline]
    pub unsafe fn find<S: Shape>(self, tag: u8, key: &[u8]) -> Option<Place> {
        // SAFETY: the leaf lives; the words of tags are whole, aligned, and have no tag beyond the count.
        unsafe {
            let words = self.tags().cast::<u64>();
            for word in 0..slots(self.count()) / 8 {
                let mut hits = matches(u64::from_le(*words.add(word)), tag);
                while hits != 0 {
                    let index = word * 8 + (hits.trailing_zeros() / 8) as usize;
                    let length = self.length_of(index);
                    if Leaf::may_have::<S>(length, key.len()) {
                        let place = Place { index, offset: self.offset_of(index), length };
                        if self.has_key::<S>(place, key) {
                            return Some(place);
                        }
                    }
                    hits &= hits - 1;
                }
            }
        }
        None
    }

    /// Whether an element of this length can have a key of that one.
    #[inline(always)]
    fn may_have<S: Shape>(length: u8, key: usize) -> bool {
        let inside = length as usize;
        length & OUTSIDE != 0
            || match S::VALUE {
                ValueShape::None => inside == key,
                ValueShape::Fixed(value) => inside == key + value,
                ValueShape::Any => inside > key,
            }
    }

    #[inline(always)]
    unsafe fn has_key<S: Shape>(self, place: Place, key: &[u8]) -> bool {
        // SAFETY: the leaf lives, and the element is in it.
        unsafe {
            if place.is_outside() {
                return self.outside(place).expect("it is outside").key() == key;
            }
            let start = self.data().add(place.offset);
            let (start, len) = match S::VALUE {
                ValueShape::Any => (start.add(1), (*start & !MARK) as usize),
                ValueShape::None | ValueShape::Fixed(_) => (start, key.len()),
            };
            len == key.len() && std::slice::from_raw_parts(start, len) == key
        }
    }

    /// The node of an element that lies outside.
    #[inline]
    pub unsafe fn outside(self, place: Place) -> Option<OutOfLine> {
        if !place.is_outside() {
            return None;
        }
        // SAFETY: the leaf lives, and such an element's bytes begin with the pointer.
        Some(unsafe { self.data().add(place.offset).cast::<OutOfLine>().read_unaligned() })
    }

    /// Points an element that lies outside to another node.
    pub unsafe fn set_outside(self, place: Place, node: OutOfLine) {
        debug_assert!(place.is_outside());
        // SAFETY: the leaf lives, is the writer's own, and such an element's bytes begin with the pointer.
        unsafe { self.data().add(place.offset).cast::<OutOfLine>().write_unaligned(node) }
    }

    /// The leaf where it lies better, and with it what lies outside.
    pub unsafe fn settled(self, defrag: &mut Defrag<'_>) -> Leaf {
        // SAFETY: the leaf lives and was allocated with its size; the caller points to the result instead.
        unsafe {
            let leaf = Leaf(defrag.settle(self.0, Leaf::layout(self.size())));
            let words = leaf.lengths().cast::<u64>();
            let any = (0..slots(leaf.count()) / 8).any(|word| u64::from_le(*words.add(word)) & !LENGTHS != 0);
            if any {
                for place in leaf.places() {
                    if let Some(node) = leaf.outside(place) {
                        leaf.set_outside(place, node.settled(defrag));
                    }
                }
            }
            leaf
        }
    }

    /// The element to be read, for as long as the caller can vouch for the leaf.
    #[inline]
    pub unsafe fn element<'a, S: Shape>(self, place: Place) -> Element<'a> {
        // SAFETY: the leaf lives, and the element is in it: its parts lie in its bytes, or in a node that lives too.
        unsafe {
            let bytes = std::slice::from_raw_parts(self.data().add(place.offset), place.bytes());
            if let Some(node) = self.outside(place) {
                let inner = &bytes[POINTER..];
                return match S::VALUE {
                    ValueShape::Any => Element { key: node.key(), value: node.value(), marked: inner[0] & MARK != 0 },
                    ValueShape::None | ValueShape::Fixed(_) => Element { key: node.key(), value: inner, marked: false },
                };
            }
            match S::VALUE {
                ValueShape::None => Element { key: bytes, value: &[], marked: false },
                ValueShape::Fixed(value) => {
                    let (key, value) = bytes.split_at(bytes.len() - value);
                    Element { key, value, marked: false }
                }
                ValueShape::Any => {
                    let (key, value) = bytes[1..].split_at((bytes[0] & !MARK) as usize);
                    Element { key, value, marked: bytes[0] & MARK != 0 }
                }
            }
        }
    }

    /// All elements' places, in order.
    pub unsafe fn places(self) -> Places {
        // SAFETY: the leaf lives.
        Places { leaf: self, index: 0, offset: 0, count: unsafe { self.count() } }
    }

    /// Gives an element its mark, or takes it away, where the shape has one.
    pub unsafe fn mark(self, place: Place, marked: bool) {
        let at = place.offset + if place.is_outside() { POINTER } else { 0 };
        // SAFETY: the leaf lives, is the writer's, and the element's mark is in its first byte or behind its pointer.
        unsafe {
            let byte = self.data().add(at);
            *byte = *byte & !MARK | mark_of(marked);
        }
    }

    /// The fixed value of an element, to be written.
    #[inline]
    pub unsafe fn fixed_value<'a>(self, place: Place, value: usize) -> &'a mut [u8] {
        // SAFETY: the leaf lives, is the writer's, and the element ends with its value.
        unsafe {
            let end = self.data().add(place.offset + place.bytes());
            std::slice::from_raw_parts_mut(end.sub(value), value)
        }
    }

    /// Makes room for data of `more` bytes in `more_slots` more slots (a multiple of 8): the leaf may move.
    #[inline]
    unsafe fn reserve(self, more_slots: usize, more: usize) -> Leaf {
        // SAFETY: the leaf lives, and is the writer's own.
        unsafe {
            let need = front(self.count()) + 2 * more_slots + self.used() + more;
            if need <= self.size() { self } else { self.resize(size_class(need)) }
        }
    }

    #[inline(never)]
    unsafe fn resize(self, size: usize) -> Leaf {
        let layout = Leaf::layout(size);
        // SAFETY: allocated with its size; the new one is not zero.
        unsafe {
            let raw = realloc(self.0.as_ptr(), Leaf::layout(self.size()), size);
            let Some(raw) = NonNull::new(raw) else { handle_alloc_error(layout) };
            (*raw.cast::<Header>().as_ptr()).size = size as u32;
            Leaf(raw)
        }
    }

    /// Adds an element; the leaf may move.
    #[inline]
    pub unsafe fn push<S: Shape>(self, tag: u8, body: &Body<'_>) -> Leaf {
        // SAFETY: the leaf lives, and is the writer's own; `reserve` made room for all that is written.
        unsafe {
            let (count, used, bytes) = (self.count(), self.used(), body.bytes::<S>());
            let opens = if count.is_multiple_of(8) { 8 } else { 0 };
            let leaf = self.reserve(opens, bytes);
            if opens > 0 {
                leaf.open_slots(count, used);
            }
            let header = leaf.0.cast::<Header>().as_ptr();
            (*header).count += 1;
            (*header).used += bytes as u32;
            *leaf.tags().add(count) = tag;
            *leaf.lengths().add(count) = body.length::<S>();
            body.write::<S>(leaf.data().add(used));
            leaf
        }
    }

    /// Eight more slots behind `count`, which fill theirs: lengths move by eight bytes, data by sixteen.
    unsafe fn open_slots(self, count: usize, used: usize) {
        let (old_lengths, old_data) = (HEADER + count, HEADER + 2 * count);
        // SAFETY: the leaf lives, is the writer's own, and has room.
        unsafe {
            ptr::copy(self.at(old_data), self.at(old_data + 16), used);
            ptr::copy(self.at(old_lengths), self.at(old_lengths + 8), count);
            self.at(HEADER + count).cast::<u64>().write(0);
            self.at(HEADER + count + 8 + count).cast::<u64>().write(0);
        }
    }

    /// Takes an element out (what lies outside is the caller's affair). The leaf may move.
    pub unsafe fn remove(self, place: Place) -> Leaf {
        // SAFETY: the leaf lives, is the writer's own, and the element is in it; every move stays inside.
        unsafe {
            let (count, used) = (self.count(), self.used());
            let (index, behind) = (place.index, count - place.index - 1);
            let (tags, lengths, data) = (self.tags(), self.lengths(), self.data());
            ptr::copy(tags.add(index + 1), tags.add(index), behind);
            *tags.add(count - 1) = 0;
            ptr::copy(lengths.add(index + 1), lengths.add(index), behind);
            *lengths.add(count - 1) = 0;
            let from = data.add(place.offset + place.bytes());
            if slots(count - 1) < slots(count) {
                // One group of slots closes: lengths move by eight bytes, data by sixteen.
                ptr::copy(lengths, lengths.sub(8), slots(count - 1));
                ptr::copy(data, data.sub(16), place.offset);
                ptr::copy(from, data.sub(16).add(place.offset), used - place.offset - place.bytes());
            } else {
                ptr::copy(from, data.add(place.offset), used - place.offset - place.bytes());
            }
            let header = self.0.cast::<Header>().as_ptr();
            (*header).count -= 1;
            (*header).used -= place.bytes() as u32;
            self.trim()
        }
    }

    /// Gives memory back when a quarter is of no use.
    unsafe fn trim(self) -> Leaf {
        // SAFETY: the leaf lives, and is the writer's own.
        unsafe {
            let size = size_class(front(self.count()) + self.used());
            if size <= self.size() / 4 * 3 { self.resize(size) } else { self }
        }
    }

    /// Replaces the bytes of an element; the leaf may move.
    pub unsafe fn replace<S: Shape>(self, place: Place, body: &Body<'_>) -> Leaf {
        let (old, new) = (place.bytes(), body.bytes::<S>());
        // SAFETY: the leaf lives, is the writer's own, and the element is in it; `reserve` makes room.
        unsafe {
            let mut leaf = if new > old { self.reserve(0, new - old) } else { self };
            let start = leaf.data().add(place.offset);
            if new != old {
                ptr::copy(start.add(old), start.add(new), leaf.used() - place.offset - old);
                let header = leaf.0.cast::<Header>().as_ptr();
                (*header).used = (leaf.used() - old + new) as u32;
            }
            *leaf.lengths().add(place.index) = body.length::<S>();
            body.write::<S>(start);
            if new < old {
                leaf = leaf.trim();
            }
            leaf
        }
    }

    /// A copy that is the writer's own, with room for `more` bytes.
    pub unsafe fn copy(self, birth: Epoch, more: usize) -> Leaf {
        // SAFETY: the leaf lives; the copy has room for all of it.
        unsafe {
            let (count, used) = (self.count(), self.used());
            let copy = Leaf::new(birth, count, used + more);
            ptr::copy_nonoverlapping(self.tags(), copy.tags(), front(count) - HEADER + used);
            let header = copy.0.cast::<Header>().as_ptr();
            (*header).count = count as u32;
            (*header).used = used as u32;
            copy
        }
    }

    /// A leaf with those elements of `sources` that `wanted` accepts (by source and index). They are copied, what lies
    /// outside is shared.
    pub unsafe fn gather(birth: Epoch, sources: &[Leaf], wanted: impl Fn(usize, usize) -> bool) -> Leaf {
        let (mut count, mut used) = (0, 0);
        // SAFETY: the sources live; the new leaf has as many slots and bytes as are counted first.
        unsafe {
            for (at, source) in sources.iter().enumerate() {
                for place in source.places().filter(|place| wanted(at, place.index)) {
                    count += 1;
                    used += place.bytes();
                }
            }
            let leaf = Leaf::new(birth, count, used);
            let header = leaf.0.cast::<Header>().as_ptr();
            (*header).count = count as u32;
            (*header).used = used as u32;
            ptr::write_bytes(leaf.tags(), 0, front(count) - HEADER);
            let (mut tag, mut length, mut data) = (leaf.tags(), leaf.lengths(), leaf.data());
            for (at, source) in sources.iter().enumerate() {
                for place in source.places().filter(|place| wanted(at, place.index)) {
                    *tag = *source.tags().add(place.index);
                    *length = place.length;
                    ptr::copy_nonoverlapping(source.data().add(place.offset), data, place.bytes());
                    (tag, length, data) = (tag.add(1), length.add(1), data.add(place.bytes()));
                }
            }
            leaf
        }
    }

    /// Ends the life of the leaf (not of what lies outside).
    pub unsafe fn release(self, heap: &mut Heap) {
        // SAFETY: the caller has unlinked it.
        unsafe {
            let (birth, bytes) = (self.birth(), self.size());
            heap.release(Retired { node: self.0, birth, bytes, free: free_memory::<ALIGN> });
        }
    }

    /// Frees the leaf.
    pub unsafe fn free(self) {
        // SAFETY: allocated with this layout; the caller is its last owner.
        unsafe { dealloc(self.0.as_ptr(), Leaf::layout(self.size())) }
    }

    /// Asks for the lines that a lookup reads first.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.0.as_ptr());
        prefetch(self.at(64));
    }

    /// Asks for the lines of a whole leaf of the usual size: something will be taken out of it soon.
    #[inline]
    pub fn prefetch_all(self, usual: usize) {
        (0..usual).step_by(64).for_each(|offset| prefetch(self.at(offset)));
    }

    /// Panics if the leaf contradicts itself; `tag` is asked for the tag of every key.
    pub unsafe fn check<S: Shape>(self, tag: impl Fn(&[u8]) -> u8) {
        // SAFETY: the leaf lives.
        unsafe {
            let (count, used) = (self.count(), self.used());
            assert!(front(count) + used <= self.size(), "the elements lie inside");
            assert!(size_class(self.size()) == self.size(), "the size is a class");
            for slot in 0..slots(count) {
                assert_eq!(*self.tags().add(slot) != 0, slot < count, "a tag for each element and no more");
                assert!(slot < count || *self.lengths().add(slot) == 0, "no length beyond the count");
            }
            let mut end = 0;
            for place in self.places() {
                let again = self.place(place.index);
                assert_eq!((again.offset, again.length), (place.offset, place.length), "sums of lengths");
                assert_eq!(*self.tags().add(place.index), tag(self.element::<S>(place).key), "tags");
                end = place.offset + place.bytes();
            }
            assert_eq!(end, used, "the lengths add up");
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address is harmless.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast()) }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline(always)]
pub(super) fn prefetch(_address: *const u8) {}

/// A leaf that is being put together out of elements of others.
#[derive(Default)]
pub(super) struct Parts {
    tags: Vec<u8>,
    lengths: Vec<u8>,
    data: Vec<u8>,
}

impl Parts {
    pub fn clear(&mut self) {
        self.tags.clear();
        self.lengths.clear();
        self.data.clear();
    }

    /// Copies an element; what lies outside is shared.
    ///
    /// # Safety
    /// The leaf lives, and has an element in that place.
    #[inline]
    pub unsafe fn push(&mut self, from: Leaf, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            self.tags.push(*from.tags().add(place.index));
            self.lengths.push(place.length);
            self.data.extend_from_slice(std::slice::from_raw_parts(from.data().add(place.offset), place.bytes()));
        }
    }

    /// The leaf.
    pub fn leaf(&self, birth: Epoch) -> Leaf {
        let (count, used) = (self.tags.len(), self.data.len());
        let leaf = Leaf::new(birth, count, used);
        // SAFETY: the leaf is new, and has room for so many slots and bytes.
        unsafe {
            let header = leaf.0.cast::<Header>().as_ptr();
            (*header).count = u32::try_from(count).expect("a leaf is far below 4 GiB");
            (*header).used = u32::try_from(used).expect("a leaf is far below 4 GiB");
            ptr::write_bytes(leaf.tags(), 0, front(count) - HEADER);
            ptr::copy_nonoverlapping(self.tags.as_ptr(), leaf.tags(), count);
            ptr::copy_nonoverlapping(self.lengths.as_ptr(), leaf.lengths(), count);
            ptr::copy_nonoverlapping(self.data.as_ptr(), leaf.data(), used);
        }
        leaf
    }
}

/// The places of a leaf's elements. Its maker vouches for the leaf.
pub(super) struct Places {
    leaf: Leaf,
    index: usize,
    offset: usize,
    count: usize,
}

impl Iterator for Places {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.index == self.count {
            return None;
        }
        // SAFETY: the leaf lives as long as it is gone through, and is not changed meanwhile.
        let length = unsafe { self.leaf.length_of(self.index) };
        let place = Place { index: self.index, offset: self.offset, length };
        self.index += 1;
        self.offset += place.bytes();
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::packed::shape::{Keys, KeysWithValues};

    #[test]
    fn words_are_matched_and_summed() {
        assert_eq!(matches(0x0102_0300_0001_ff01, 1), 0x8000_0000_0080_0080);
        assert_eq!(matches(0x8000_0000_0000_0000, 0x80), 0x8000_0000_0000_0000);
        assert_eq!(sum(u64::MAX), 8 * 127, "the highest bit is no part of a length");
        assert_eq!(sum(0x0102_0304_0506_0708), 36);
    }

    fn keys<S: Shape>(leaf: Leaf) -> Vec<Vec<u8>> {
        // SAFETY: the tests' leaves live.
        unsafe { leaf.places().map(|place| leaf.element::<S>(place).key.to_vec()).collect() }
    }

    #[test]
    fn elements_come_and_go() {
        let heap = Heap::new();
        let name = |n: usize| vec![b'a' + (n % 26) as u8; n % 7];
        let tag = |key: &[u8]| key.len() as u8 + 1;
        let mut leaf = Leaf::new(heap.epoch(), 0, 0);
        let mut model: Vec<Vec<u8>> = vec![];
        // SAFETY: the leaf is this test's own.
        unsafe {
            for n in 0..40 {
                let key = name(n);
                leaf = leaf.push::<Keys>(tag(&key), &Body::Inside { key: &key, value: &[], marked: false });
                model.push(key);
                leaf.check::<Keys>(tag);
            }
            assert_eq!(keys::<Keys>(leaf), model);
            for n in [39, 0, 15, 15, 20, 30, 1, 2, 3, 4] {
                leaf = leaf.remove(leaf.place(n));
                model.remove(n);
                leaf.check::<Keys>(tag);
                assert_eq!(keys::<Keys>(leaf), model);
            }
            while !model.is_empty() {
                let n = model.len() / 2;
                leaf = leaf.remove(leaf.place(n));
                model.remove(n);
                assert_eq!(keys::<Keys>(leaf), model);
            }
            assert_eq!(leaf.size(), HEADER);
            leaf.free();
        }
    }

    #[test]
    fn values_are_replaced_by_longer_and_shorter_ones() {
        let heap = Heap::new();
        let tag = |key: &[u8]| key[0];
        let mut leaf = Leaf::new(heap.epoch(), 0, 0);
        // SAFETY: the leaf is this test's own.
        unsafe {
            for n in 1..20u8 {
                leaf = leaf.push::<KeysWithValues>(n, &Body::Inside { key: &[n], value: b"value", marked: false });
            }
            for (n, len) in (1..20u8).zip([100, 0, 5, 3, 50].into_iter().cycle()) {
                let place = leaf.find::<KeysWithValues>(n, &[n]).expect("it is there");
                let (key, value) = ([n], vec![n; len]);
                let body = Body::Inside { key: &key, value: &value, marked: n % 2 == 0 };
                leaf = leaf.replace::<KeysWithValues>(place, &body);
                leaf.check::<KeysWithValues>(tag);
                let place = leaf.find::<KeysWithValues>(n, &[n]).expect("it is there");
                let element = leaf.element::<KeysWithValues>(place);
                assert_eq!((element.value, element.marked), (&vec![n; len][..], n % 2 == 0));
            }
            assert!(leaf.find::<KeysWithValues>(1, &[2]).is_none());
            leaf.free();
        }
    }
}
