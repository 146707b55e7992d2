//! The keyspace's element: a key, its expiry and its value in one allocation.
//!
//! A lookup that has found an entry has the value too, if that is small: a counter, a short string. Larger strings
//! are a blob, other values a node of their own, behind a pointer at the entry's end.
//!
//! | file | holds |
//! | --- | --- |
//! | `mod` (this) | [`Entry`] and [`EntryRef`]: building and reading |
//! | `payload` | [`Payload`], [`PayloadRef`], [`Leftover`]: values on their way in, seen, and on their way out |
//! | `edit` | what can be done to an entry in its slot |
//! | `layout` | the bytes |

mod edit;
mod layout;
mod payload;

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use layout::{Head, Raw, RawEntry, TYPE_BITS, TYPE_MASK, meta_of};
pub use payload::{Leftover, MovedPayload, Payload, PayloadRef};

use super::element::Element;
use super::prefetch::prefetch;
use super::segment::LINE;
use crate::cow::{Blob, CowValue, Defrag, Epoch, Heap, Progress, Retired};
use crate::util::hash::HashSeed;

/// A key, its expiry and its value. Dropping an entry frees all of it.
pub struct Entry<V: CowValue> {
    raw: NonNull<u8>,
    value: PhantomData<V>,
}

// SAFETY: an entry owns its bytes, its blob and its value, which is Send.
unsafe impl<V: CowValue> Send for Entry<V> {}
// SAFETY: a shared entry is only read, but for an atomic; its value is Sync.
unsafe impl<V: CowValue> Sync for Entry<V> {}

/// What an entry begins with.
#[derive(Clone, Copy, Debug)]
pub struct EntryHead<'a> {
    /// Up to 4 GiB.
    pub key: &'a [u8],
    /// The table's hash of the key.
    pub hash: u64,
    /// Unix time; none lives forever.
    pub expiry_ms: Option<i64>,
    /// 3 bits, the caller's.
    pub type_id: u8,
    /// 4 bits, the caller's.
    pub encoding: u8,
    /// 29 bits, the caller's: when and how often it was used.
    pub clock: u32,
}

impl<V: CowValue> Entry<V> {
    /// A new entry. `birth` is [`Heap::epoch`].
    pub fn build(birth: Epoch, head: &EntryHead<'_>, payload: Payload<'_, V>) -> Entry<V> {
        let EntryHead { key, hash, expiry_ms, type_id, encoding, clock } = *head;
        let head = Head { birth, meta: meta_of(type_id, clock), encoding, key, hash, expiry_ms };
        payload.with_raw(&head, |raw| Entry::own(RawEntry::build(&head, raw)))
    }

    fn own(raw: RawEntry<'_>) -> Entry<V> {
        Entry { raw: raw.pointer(), value: PhantomData }
    }

    /// The entry, to be read.
    pub fn as_ref(&self) -> EntryRef<'_, V> {
        EntryRef::new(self.raw)
    }

    /// How many allocations freeing takes, roughly.
    pub fn free_effort(&self) -> usize {
        match self.as_ref().payload() {
            PayloadRef::Inline(_) | PayloadRef::Int(_) | PayloadRef::Blob(_) => 1,
            PayloadRef::Node(value) => value.free_effort(),
        }
    }
}

impl<V: CowValue> Drop for Entry<V> {
    fn drop(&mut self) {
        // SAFETY: the entry owns its payload, and nobody else can reach it: `release` gives out only such entries.
        unsafe {
            let entry = RawEntry::new(self.raw);
            drop(Leftover::<V>::of(entry.payload()));
            entry.free();
        }
    }
}

// SAFETY: an entry's pointer is valid until the entry is freed; reading reads; key and hash are written once;
// `release` asks the heap about the entry, the blob and the value one by one.
unsafe impl<V: CowValue> Element for Entry<V> {
    type Ref<'a> = EntryRef<'a, V>;

    #[inline]
    fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).raw
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Entry { raw, value: PhantomData }
    }

    #[inline(always)]
    unsafe fn view<'a>(raw: NonNull<u8>) -> EntryRef<'a, V> {
        EntryRef::new(raw)
    }

    #[inline(always)]
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { RawEntry::new(raw).key() }
    }

    #[inline(always)]
    unsafe fn has_key(raw: NonNull<u8>, key: &[u8]) -> bool {
        RawEntry::new(raw).is_key(key)
    }

    #[inline]
    unsafe fn hash(raw: NonNull<u8>, seed: HashSeed) -> u64 {
        let entry = RawEntry::new(raw);
        // SAFETY: the caller's promise.
        unsafe { entry.long_hash().unwrap_or_else(|| seed.hash(entry.key())) }
    }

    #[inline]
    unsafe fn oldest(raw: NonNull<u8>) -> Epoch {
        // SAFETY: the caller's promise.
        unsafe {
            let entry = RawEntry::new(raw);
            payload::oldest::<V>(entry.payload()).map_or(entry.birth(), |oldest| oldest.min(entry.birth()))
        }
    }

    unsafe fn defrag(raw: NonNull<u8>, defrag: &mut Defrag<'_>, elements_max: usize) -> (NonNull<u8>, bool) {
        // SAFETY: the entry lives, and whoever points to what was moved is told at once.
        unsafe {
            let entry = RawEntry::new(raw).settled(defrag);
            let whole = match entry.payload() {
                Raw::Inline(_) | Raw::Int(_) => true,
                Raw::Blob(blob) => {
                    entry.set_pointer(Blob::settle(blob, defrag));
                    true
                }
                Raw::Node(node) => {
                    let node = defrag.settle(node, Layout::new::<V>());
                    entry.set_pointer(node);
                    let value = node.cast::<V>().as_mut();
                    // What the budget is too small for is gone through later, too.
                    value.elements() <= elements_max
                        && defrag.may_go_on()
                        && value.defrag(defrag, &mut Progress::default())
                }
            };
            (entry.pointer(), whole)
        }
    }

    unsafe fn defrag_value(raw: NonNull<u8>, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        // SAFETY: the entry lives, and owns its value.
        match unsafe { RawEntry::new(raw).payload() } {
            Raw::Inline(_) | Raw::Int(_) | Raw::Blob(_) => true,
            // SAFETY: as above.
            Raw::Node(node) => unsafe { node.cast::<V>().as_mut().defrag(defrag, progress) },
        }
    }

    #[inline]
    unsafe fn release(raw: NonNull<u8>, heap: &mut Heap) -> Option<Self> {
        if !heap.has_snapshot() {
            // SAFETY: nothing is shared.
            return Some(unsafe { Entry::from_raw(raw) });
        }
        // SAFETY: the entry is unlinked; each part is retired if it is shared.
        unsafe {
            let entry = RawEntry::new(raw);
            if heap.is_shared(Self::oldest(raw)) {
                let leftover = payload::release::<V>(entry.payload(), heap);
                debug_assert!(
                    leftover.is_none(),
                    "what a shared entry points to is as old, and what is old is retired"
                );
                drop(leftover);
                release_shell(entry, heap);
                return None;
            }
            Some(Entry::from_raw(raw))
        }
    }
}

/// Ends the life of an entry's own allocation.
///
/// # Safety
/// The entry is unlinked, and the payload is somebody else's by now.
unsafe fn release_shell(entry: RawEntry<'_>, heap: &mut Heap) {
    // SAFETY: the caller's promise.
    unsafe {
        heap.release(Retired {
            node: entry.pointer(),
            birth: entry.birth(),
            bytes: entry.size(),
            free: RawEntry::free_shell,
        });
    }
}

/// An entry, to be read. Copied freely.
pub struct EntryRef<'a, V> {
    raw: NonNull<u8>,
    entry: PhantomData<&'a V>,
}

impl<V> Clone for EntryRef<'_, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for EntryRef<'_, V> {}

// SAFETY: reading an entry is fine from any thread; its value is Sync.
unsafe impl<V: Sync> Send for EntryRef<'_, V> {}
// SAFETY: as above.
unsafe impl<V: Sync> Sync for EntryRef<'_, V> {}

impl<'a, V: CowValue> EntryRef<'a, V> {
    #[inline(always)]
    fn new(raw: NonNull<u8>) -> EntryRef<'a, V> {
        EntryRef { raw, entry: PhantomData }
    }

    #[inline(always)]
    fn entry(self) -> RawEntry<'a> {
        RawEntry::new(self.raw)
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        // SAFETY: the entry lives as long as 'a; so in all methods here.
        unsafe { self.entry().key() }
    }

    /// When the key expires, in unix ms.
    #[inline]
    pub fn expiry_ms(self) -> Option<i64> {
        // SAFETY: see `key`.
        unsafe { self.entry().expiry_ms() }
    }

    #[inline(always)]
    fn meta(self) -> u32 {
        // SAFETY: see `key`.
        unsafe { self.entry().meta() }
    }

    /// The 3 bits of the type.
    #[inline]
    pub fn type_id(self) -> u8 {
        (self.meta() & TYPE_MASK) as u8
    }

    /// The 4 bits of the encoding.
    #[inline]
    pub fn encoding(self) -> u8 {
        // SAFETY: see `key`.
        unsafe { self.entry().encoding() }
    }

    /// The 29 access bits.
    #[inline]
    pub fn clock(self) -> u32 {
        self.meta() >> TYPE_BITS
    }

    /// Sets the access bits. It works on shared entries too, and is for the writer alone: a load and a store.
    #[inline]
    pub fn touch(self, clock: u32) {
        // SAFETY: the word is atomic, and the type stays.
        unsafe { self.entry().set_meta(clock << TYPE_BITS | self.meta() & TYPE_MASK) }
    }

    /// Sets the access bits to what `f` makes of them; works on shared entries, as [`Self::touch`] does.
    #[inline(always)]
    pub fn retouch(self, f: impl FnOnce(u32) -> u32) {
        let meta = self.meta();
        let touched = f(meta >> TYPE_BITS) << TYPE_BITS | meta & TYPE_MASK;
        if touched != meta {
            // SAFETY: the word is atomic, and the type stays.
            unsafe { self.entry().set_meta(touched) }
        }
    }

    /// The value.
    #[inline]
    pub fn payload(self) -> PayloadRef<'a, V> {
        // SAFETY: the entry lives as long as 'a, and keeps what it points to alive.
        unsafe { PayloadRef::of(self.entry().payload()) }
    }

    /// The bytes of a string that is kept as bytes.
    #[inline]
    pub fn bytes(self) -> Option<&'a [u8]> {
        self.payload().bytes()
    }

    /// Starts fetching what reading all of the value will read first. The entry's own first line is read for that.
    #[inline]
    pub fn prefetch_payload(self) {
        // SAFETY: see `key`.
        match unsafe { self.entry().payload() } {
            Raw::Inline(bytes) => prefetch(bytes.as_ptr().wrapping_add(bytes.len().saturating_sub(1))),
            Raw::Int(_) => {}
            Raw::Blob(at) | Raw::Node(at) => {
                prefetch(at.as_ptr());
                prefetch(at.as_ptr().wrapping_add(LINE));
                prefetch(at.as_ptr().wrapping_add(2 * LINE));
            }
        }
    }

    /// All bytes of the entry, its blob and its value.
    pub fn memory(self) -> usize {
        // SAFETY: see `key`.
        let (own, payload) = unsafe { (self.entry().size(), self.entry().payload()) };
        own + match payload {
            Raw::Inline(_) | Raw::Int(_) => 0,
            // SAFETY: the entry owns the blob, which is not dropped here.
            Raw::Blob(blob) => unsafe { ManuallyDrop::new(Blob::from_raw(blob)).memory() },
            // SAFETY: the entry owns the value.
            Raw::Node(node) => size_of::<V>() + unsafe { node.cast::<V>().as_ref() }.memory(),
        }
    }
}
