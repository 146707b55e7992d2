//! The bytes of an entry.
//!
//! ```text
//! +0   u32        birth
//! +4   AtomicU32  meta: access bits 29 | type 3
//! +8   u8         flags: bit 0 has an expiry, bits 1-2 the form of the payload, bits 4-7 the encoding
//! +9   u8         key length; 255: the key is longer than 254, and "u32 length, u64 hash" follow
//!      i64        expiry in unix ms, if the flag says so
//!      [u8]       key
//!      payload    Inline: u8 length, bytes | Int: i64 | Blob: pointer | Node: pointer to a boxed value
//! ```
//!
//! Nothing but the first eight bytes is aligned. The allocation is rounded up to 8 bytes, which is the step of the
//! allocator's size classes; so the size can be computed from the content, and a payload may be exchanged in place as
//! long as the rounded size stays the same. A key of 16 bytes and a value of 16 take 43 bytes: 48 allocated.
//!
//! Long keys carry their hash, because a split would have to hash 189 of them.
//!
//! The access bits are the one word that a reader's thread and the writer may touch at the same time; they share their
//! atomic with the type, which never changes on a shared entry.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cow::{Defrag, Epoch, KNOWN_SIZE_MAX};

const META_AT: usize = 4;
const FLAGS_AT: usize = 8;
const KEY_LEN_AT: usize = 9;
const FIXED: usize = 10;
const LONG_KEY: u8 = 255;
const LONG_HEADER: usize = 12;
const EXPIRY: usize = 8;
const HAS_EXPIRY: u8 = 1;
const FORM_SHIFT: u8 = 1;
const FORM_MASK: u8 = 0b110;
const ENCODING_SHIFT: u8 = 4;
/// Bits of the meta word that are the type's.
pub(super) const TYPE_BITS: u32 = 3;
pub(super) const TYPE_MASK: u32 = (1 << TYPE_BITS) - 1;
const ALIGN: usize = 8;

/// A string is kept inside while the entry is at most this large.
const INLINE_TOTAL_MAX: usize = 128;
/// A string this short is kept inside in any case: a pointer and a blob's header would take as much.
const INLINE_ALWAYS: usize = 20;

/// How the payload is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Form {
    Inline = 0,
    Int = 1,
    Blob = 2,
    Node = 3,
}

/// The bytes of a payload, without the ownership of what a pointer points to.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Inline(&'a [u8]),
    Int(i64),
    Blob(NonNull<u8>),
    Node(NonNull<u8>),
}

impl Raw<'_> {
    pub fn form(&self) -> Form {
        match self {
            Raw::Inline(_) => Form::Inline,
            Raw::Int(_) => Form::Int,
            Raw::Blob(_) => Form::Blob,
            Raw::Node(_) => Form::Node,
        }
    }

    #[inline]
    fn size(&self) -> usize {
        match self {
            Raw::Inline(bytes) => 1 + bytes.len(),
            Raw::Int(_) | Raw::Blob(_) | Raw::Node(_) => 8,
        }
    }
}

/// Everything of an entry but its payload.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub birth: Epoch,
    pub meta: u32,
    pub encoding: u8,
    pub key: &'a [u8],
    pub hash: u64,
    pub expiry_ms: Option<i64>,
}

impl Head<'_> {
    /// Where the payload begins.
    #[inline]
    fn payload_at(&self) -> usize {
        let long = if self.key.len() < LONG_KEY as usize { 0 } else { LONG_HEADER };
        FIXED + long + if self.expiry_ms.is_some() { EXPIRY } else { 0 } + self.key.len()
    }

    /// Whether a string of this length is kept inside.
    #[inline]
    pub fn fits_inline(&self, len: usize) -> bool {
        len <= INLINE_ALWAYS || (len < 128 && self.payload_at() + 1 + len <= INLINE_TOTAL_MAX)
    }

    /// The bytes that an entry with this payload takes.
    #[inline]
    pub fn size_with(&self, payload: &Raw<'_>) -> usize {
        (self.payload_at() + payload.size()).next_multiple_of(ALIGN)
    }
}

pub(super) fn meta_of(type_id: u8, clock: u32) -> u32 {
    debug_assert!(u32::from(type_id) <= TYPE_MASK);
    clock << TYPE_BITS | type_id as u32
}

/// A pointer to an entry. Its methods are unsafe for one reason: the entry must live, and for those that write (all
/// but `touch`) it must be the writer's own.
#[derive(Clone, Copy)]
pub(super) struct RawEntry<'a>(NonNull<u8>, PhantomData<&'a [u8]>);

impl<'a> RawEntry<'a> {
    #[inline(always)]
    pub fn new(raw: NonNull<u8>) -> RawEntry<'a> {
        RawEntry(raw, PhantomData)
    }

    #[inline(always)]
    pub fn pointer(self) -> NonNull<u8> {
        self.0
    }

    #[inline(always)]
    unsafe fn at(self, offset: usize) -> *mut u8 {
        // SAFETY: the offset is inside the entry.
        unsafe { self.0.as_ptr().add(offset) }
    }

    /// Allocates and fills an entry.
    pub fn build(head: &Head<'_>, payload: Raw<'_>) -> RawEntry<'static> {
        let size = head.size_with(&payload);
        let layout = Layout::from_size_align(size, ALIGN).expect("a key and a header fit in memory");
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw) else { handle_alloc_error(layout) };
        let entry = RawEntry::new(raw);
        // SAFETY: the entry is new, and `size` counted every field.
        unsafe {
            raw.cast::<u32>().write(head.birth.0);
            raw.add(META_AT).cast::<u32>().write(head.meta);
            entry.write_key(head);
            entry.write_payload(head.payload_at(), payload);
        }
        entry
    }

    unsafe fn write_key(self, head: &Head<'_>) {
        let key = head.key;
        debug_assert!(head.encoding < 16);
        // SAFETY: the entry has room for what `payload_at` counts.
        unsafe {
            let has_expiry = if head.expiry_ms.is_some() { HAS_EXPIRY } else { 0 };
            *self.at(FLAGS_AT) = head.encoding << ENCODING_SHIFT | has_expiry;
            let mut at = FIXED;
            if key.len() < LONG_KEY as usize {
                *self.at(KEY_LEN_AT) = key.len() as u8;
            } else {
                *self.at(KEY_LEN_AT) = LONG_KEY;
                let len = u32::try_from(key.len()).expect("keys are limited to far less than 4 GiB");
                self.at(at).cast::<u32>().write_unaligned(len);
                self.at(at + 4).cast::<u64>().write_unaligned(head.hash);
                at += LONG_HEADER;
            }
            if let Some(expiry_ms) = head.expiry_ms {
                self.at(at).cast::<i64>().write_unaligned(expiry_ms);
                at += EXPIRY;
            }
            ptr::copy_nonoverlapping(key.as_ptr(), self.at(at), key.len());
        }
    }

    /// Writes a payload, for which there must be room, over whatever was there.
    unsafe fn write_payload(self, at: usize, payload: Raw<'_>) {
        // SAFETY: the caller has checked the size; inline bytes come from elsewhere.
        unsafe {
            match payload {
                Raw::Inline(bytes) => {
                    let len = bytes.len();
                    debug_assert!(len < 256);
                    ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(at + 1), len);
                    *self.at(at) = len as u8;
                }
                Raw::Int(value) => self.at(at).cast::<i64>().write_unaligned(value),
                Raw::Blob(pointer) | Raw::Node(pointer) => self.at(at).cast::<NonNull<u8>>().write_unaligned(pointer),
            }
            let flags = self.at(FLAGS_AT);
            *flags = *flags & !FORM_MASK | (payload.form() as u8) << FORM_SHIFT;
        }
    }

    /// Replaces the payload in place, when the allocation stays the same; says whether it could.
    #[inline]
    pub unsafe fn replace_payload(self, payload: Raw<'_>) -> bool {
        // SAFETY: the entry lives and is the writer's.
        unsafe {
            let at = self.payload_at();
            if (at + payload.size()).next_multiple_of(ALIGN) != self.size() {
                return false;
            }
            self.write_payload(at, payload);
            true
        }
    }

    #[inline(always)]
    unsafe fn flags(self) -> u8 {
        // SAFETY: the entry lives.
        unsafe { *self.at(FLAGS_AT) }
    }

    #[inline(always)]
    pub unsafe fn encoding(self) -> u8 {
        // SAFETY: the entry lives.
        unsafe { self.flags() >> ENCODING_SHIFT }
    }

    /// Changes the encoding.
    #[inline(always)]
    pub unsafe fn set_encoding(self, encoding: u8) {
        debug_assert!(encoding < 16);
        // SAFETY: the entry lives and is the writer's.
        unsafe { *self.at(FLAGS_AT) = self.flags() & (HAS_EXPIRY | FORM_MASK) | encoding << ENCODING_SHIFT }
    }

    /// Offset of the expiry, if there is one, else of the key.
    #[inline(always)]
    unsafe fn expiry_at(self) -> usize {
        // SAFETY: the entry lives.
        if unsafe { *self.at(KEY_LEN_AT) } == LONG_KEY { FIXED + LONG_HEADER } else { FIXED }
    }

    #[inline(always)]
    unsafe fn key_at(self) -> usize {
        // SAFETY: the entry lives.
        unsafe { self.expiry_at() + EXPIRY * (self.flags() & HAS_EXPIRY) as usize }
    }

    #[inline(always)]
    unsafe fn key_len(self) -> usize {
        // SAFETY: the entry lives; a long key's length is where its header says.
        unsafe {
            let len = *self.at(KEY_LEN_AT);
            if len == LONG_KEY { self.at(FIXED).cast::<u32>().read_unaligned() as usize } else { len as usize }
        }
    }

    #[inline(always)]
    unsafe fn payload_at(self) -> usize {
        // SAFETY: the entry lives.
        unsafe { self.key_at() + self.key_len() }
    }

    #[inline(always)]
    pub unsafe fn birth(self) -> Epoch {
        // SAFETY: the entry lives.
        Epoch(unsafe { self.0.cast::<u32>().read() })
    }

    #[inline(always)]
    pub unsafe fn key(self) -> &'a [u8] {
        // SAFETY: the entry lives as long as 'a.
        unsafe { std::slice::from_raw_parts(self.at(self.key_at()), self.key_len()) }
    }

    /// The hash, of an entry that has a long key.
    #[inline(always)]
    pub unsafe fn long_hash(self) -> Option<u64> {
        // SAFETY: the entry lives.
        unsafe {
            if *self.at(KEY_LEN_AT) != LONG_KEY {
                return None;
            }
            Some(self.at(FIXED + 4).cast::<u64>().read_unaligned())
        }
    }

    #[inline(always)]
    fn meta_word(self) -> &'a AtomicU32 {
        // SAFETY: the entry lives as long as 'a (both users say so), and the word is aligned: allocations are to 8.
        unsafe { AtomicU32::from_ptr(self.at(META_AT).cast()) }
    }

    #[inline(always)]
    pub unsafe fn meta(self) -> u32 {
        self.meta_word().load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub unsafe fn set_meta(self, meta: u32) {
        self.meta_word().store(meta, Ordering::Relaxed);
    }

    #[inline(always)]
    pub unsafe fn expiry_ms(self) -> Option<i64> {
        // SAFETY: the entry lives, and the flag says whether the field is there.
        unsafe {
            if self.flags() & HAS_EXPIRY == 0 {
                return None;
            }
            Some(self.at(self.expiry_at()).cast::<i64>().read_unaligned())
        }
    }

    /// Changes the expiry of an entry that has one.
    #[inline(always)]
    pub unsafe fn set_expiry_ms(self, expiry_ms: i64) {
        // SAFETY: the entry lives, is the writer's, and has the field.
        unsafe {
            debug_assert!(self.flags() & HAS_EXPIRY != 0);
            self.at(self.expiry_at()).cast::<i64>().write_unaligned(expiry_ms);
        }
    }

    #[inline(always)]
    pub unsafe fn payload(self) -> Raw<'a> {
        // SAFETY: the entry lives as long as 'a, and the form says what is there.
        unsafe {
            let at = self.payload_at();
            match self.flags() & FORM_MASK {
                0b000 => Raw::Inline(std::slice::from_raw_parts(self.at(at + 1), *self.at(at) as usize)),
                0b010 => Raw::Int(self.at(at).cast::<i64>().read_unaligned()),
                0b100 => Raw::Blob(self.at(at).cast::<NonNull<u8>>().read_unaligned()),
                _ => Raw::Node(self.at(at).cast::<NonNull<u8>>().read_unaligned()),
            }
        }
    }

    /// Exchanges the pointer of a payload that is one for another to the same.
    pub unsafe fn set_pointer(self, pointer: NonNull<u8>) {
        // SAFETY: the entry lives, is the writer's, and its payload is a pointer.
        unsafe {
            debug_assert!(matches!(self.payload(), Raw::Blob(_) | Raw::Node(_)));
            self.at(self.payload_at()).cast::<NonNull<u8>>().write_unaligned(pointer);
        }
    }

    /// The entry where it lies better.
    pub unsafe fn settled(self, defrag: &mut Defrag<'_>) -> RawEntry<'a> {
        // SAFETY: the entry lives and was allocated with this layout; the caller points to the result instead.
        unsafe {
            let layout = Layout::from_size_align_unchecked(self.size(), ALIGN);
            RawEntry::new(defrag.settle(self.0, layout))
        }
    }

    /// The inline bytes, to be changed in place.
    pub unsafe fn inline_mut(self) -> &'a mut [u8] {
        // SAFETY: the entry lives, is the writer's, and its payload is inline.
        unsafe {
            let at = self.payload_at();
            debug_assert!(self.flags() & FORM_MASK == 0);
            std::slice::from_raw_parts_mut(self.at(at + 1), *self.at(at) as usize)
        }
    }

    /// Head and payload, to build a similar entry from.
    pub unsafe fn head(self, birth: Epoch) -> Head<'a> {
        // SAFETY: the entry lives as long as 'a.
        unsafe {
            Head {
                birth,
                meta: self.meta(),
                encoding: self.encoding(),
                key: self.key(),
                hash: self.long_hash().unwrap_or(0),
                expiry_ms: self.expiry_ms(),
            }
        }
    }

    /// The size of the allocation.
    #[inline]
    pub unsafe fn size(self) -> usize {
        // SAFETY: the entry lives.
        unsafe { (self.payload_at() + self.payload().size()).next_multiple_of(ALIGN) }
    }

    /// Frees the allocation; what a payload points to is the caller's business.
    pub unsafe fn free(self) {
        // SAFETY: allocated with this layout: the rounded size never changes.
        unsafe { dealloc(self.0.as_ptr(), Layout::from_size_align_unchecked(self.size(), ALIGN)) }
    }

    /// The `FreeFn` of a bare entry.
    pub unsafe fn free_shell(node: NonNull<u8>, bytes: usize, budget: &mut usize) -> bool {
        *budget = budget.saturating_sub(1);
        // SAFETY: the deadlist is the last owner; `bytes` is the size the entry had, and it never changes.
        unsafe {
            if bytes <= KNOWN_SIZE_MAX {
                dealloc(node.as_ptr(), Layout::from_size_align_unchecked(bytes, ALIGN));
            } else {
                RawEntry::new(node).free();
            }
        }
        true
    }

    /// Whether this is the entry of that key.
    #[inline(always)]
    pub fn is_key(self, key: &[u8]) -> bool {
        // SAFETY: the table's elements live.
        unsafe {
            let len = *self.at(KEY_LEN_AT);
            if len as usize != key.len().min(LONG_KEY as usize) {
                return false;
            }
            self.key() == key
        }
    }
}
