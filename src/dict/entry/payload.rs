//! Values on their way into an entry, seen in it, and on their way out.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::layout::{Head, Raw};
use crate::cow::{Blob, CowValue, Epoch, Heap, Reclaim, Retired, Unshared};

/// What to store.
pub enum Payload<'a, V: CowValue> {
    /// A string: inside the entry if that stays small, else in a blob.
    Bytes(&'a [u8]),
    /// An integer.
    Int(i64),
    /// A string that has its buffer already, made in the current epoch.
    Blob(Blob),
    /// Any other value, made (or forked) in the current epoch.
    Node(Box<V>),
    /// What was taken from another entry.
    Moved(MovedPayload<V>),
}

/// What is stored.
pub enum PayloadRef<'a, V> {
    /// A short string.
    Inline(&'a [u8]),
    /// An integer.
    Int(i64),
    /// A longer string.
    Blob(&'a [u8]),
    /// Any other value.
    Node(&'a V),
}

impl<V> Clone for PayloadRef<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for PayloadRef<'_, V> {}

impl<'a, V: CowValue> PayloadRef<'a, V> {
    /// # Safety
    /// What the payload points to lives as long as 'a.
    #[inline]
    pub(super) unsafe fn of(raw: Raw<'a>) -> PayloadRef<'a, V> {
        match raw {
            Raw::Inline(bytes) => PayloadRef::Inline(bytes),
            Raw::Int(value) => PayloadRef::Int(value),
            // SAFETY: the caller's promise.
            Raw::Blob(blob) => PayloadRef::Blob(unsafe { blob_bytes(blob) }),
            // SAFETY: the caller's promise.
            Raw::Node(node) => PayloadRef::Node(unsafe { node.cast::<V>().as_ref() }),
        }
    }

    /// The bytes of a string that is kept as bytes.
    #[inline]
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            PayloadRef::Inline(bytes) | PayloadRef::Blob(bytes) => Some(bytes),
            PayloadRef::Int(_) | PayloadRef::Node(_) => None,
        }
    }
}

/// # Safety
/// The blob lives as long as 'a.
unsafe fn blob_bytes<'a>(blob: NonNull<u8>) -> &'a [u8] {
    // SAFETY: the caller's promise; the handle is not dropped.
    let blob = ManuallyDrop::new(unsafe { Blob::from_raw(blob) });
    let bytes = blob.as_slice();
    // SAFETY: the bytes belong to the buffer, not to the handle.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
}

/// A value that was taken out of an entry to be put into another one (RENAME). It must reach it: a snapshot may share
/// the value, so dropping this leaks.
pub struct MovedPayload<V: CowValue>(Moved<V>);

enum Moved<V: CowValue> {
    Bytes(Vec<u8>),
    Int(i64),
    Blob(ManuallyDrop<Blob>),
    /// Not a box: a box claims to be alone, and a snapshot may be reading.
    Node(NonNull<V>),
}

// SAFETY: a payload on its way is owned like one in an entry.
unsafe impl<V: CowValue> Send for MovedPayload<V> {}
// SAFETY: nothing can be done through a shared reference.
unsafe impl<V: CowValue> Sync for MovedPayload<V> {}

impl<V: CowValue> MovedPayload<V> {
    /// # Safety
    /// The payload's owner gives it away.
    pub(super) unsafe fn of(raw: Raw<'_>) -> MovedPayload<V> {
        MovedPayload(match raw {
            Raw::Inline(bytes) => Moved::Bytes(bytes.to_vec()),
            Raw::Int(value) => Moved::Int(value),
            // SAFETY: the caller's promise.
            Raw::Blob(blob) => Moved::Blob(ManuallyDrop::new(unsafe { Blob::from_raw(blob) })),
            Raw::Node(node) => Moved::Node(node.cast()),
        })
    }
}

impl<V: CowValue> Payload<'_, V> {
    /// Brings the payload into the form in which an entry with this head keeps it, and gives it away to `f`.
    #[inline]
    pub(super) fn with_raw<R>(self, head: &Head<'_>, f: impl FnOnce(Raw<'_>) -> R) -> R {
        match self {
            Payload::Bytes(bytes) => with_bytes(bytes, head, f),
            Payload::Int(value) => f(Raw::Int(value)),
            Payload::Blob(blob) => f(Raw::Blob(blob.into_raw())),
            Payload::Node(value) => f(Raw::Node(node_pointer(value))),
            Payload::Moved(MovedPayload(moved)) => match moved {
                Moved::Bytes(bytes) => with_bytes(&bytes, head, f),
                Moved::Int(value) => f(Raw::Int(value)),
                Moved::Blob(blob) => f(Raw::Blob(ManuallyDrop::into_inner(blob).into_raw())),
                Moved::Node(node) => f(Raw::Node(node.cast())),
            },
        }
    }
}

#[inline(always)] // a call costs SET more than the choice
fn with_bytes<R>(bytes: &[u8], head: &Head<'_>, f: impl FnOnce(Raw<'_>) -> R) -> R {
    if head.fits_inline(bytes.len()) {
        f(Raw::Inline(bytes))
    } else {
        f(Raw::Blob(Blob::from_slice(head.birth, bytes).into_raw()))
    }
}

pub(super) fn node_pointer<V>(value: Box<V>) -> NonNull<u8> {
    NonNull::from(Box::leak(value)).cast()
}

/// A replaced value that nobody shares: dropping it frees it, here or (if `free_effort` is large) on another thread.
pub enum Leftover<V: CowValue> {
    /// A string's buffer.
    Blob(Blob),
    /// Any other value.
    Node(UnsharedBox<V>),
}

/// A value's node that has left the data, and is destroyed when this is dropped.
///
/// Not a `Box`, because a box claims to be alone from the moment it is made: on a deadlist this waits until the
/// snapshots that read the value have ended, and only then is it dropped.
pub struct UnsharedBox<V: CowValue>(NonNull<V>);

// SAFETY: this owns the value (with readers that never outlive its wait on a deadlist), which is Send.
unsafe impl<V: CowValue> Send for UnsharedBox<V> {}
// SAFETY: a shared reference reads, and the value is Sync.
unsafe impl<V: CowValue> Sync for UnsharedBox<V> {}

impl<V: CowValue> Drop for UnsharedBox<V> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a box, is freed once, here, and nobody shares it any more.
        let (value, proof) = unsafe { (Box::from_raw(self.0.as_ptr()), Unshared::proven()) };
        value.destroy(&proof);
    }
}

impl<V: CowValue> Reclaim for UnsharedBox<V> {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        // SAFETY: only the last owner is asked to free.
        unsafe { self.0.as_mut().destroy_some(budget, &Unshared::proven()) }
    }
}

impl<V: CowValue> Leftover<V> {
    /// # Safety
    /// The payload's owner gives it away, and nobody shares it.
    pub(super) unsafe fn of(raw: Raw<'_>) -> Option<Leftover<V>> {
        match raw {
            Raw::Inline(_) | Raw::Int(_) => None,
            // SAFETY: the caller's promise.
            Raw::Blob(blob) => Some(Leftover::Blob(unsafe { Blob::from_raw(blob) })),
            Raw::Node(node) => Some(Leftover::Node(UnsharedBox(node.cast()))),
        }
    }

    /// How many allocations freeing takes, roughly.
    pub fn free_effort(&self) -> usize {
        match self {
            Leftover::Blob(_) => 1,
            // SAFETY: the value lives until this is dropped.
            Leftover::Node(value) => unsafe { value.0.as_ref() }.free_effort(),
        }
    }

    /// Bytes that freeing gives back.
    pub fn memory(&self) -> usize {
        match self {
            Leftover::Blob(blob) => blob.memory(),
            // SAFETY: the value lives until this is dropped.
            Leftover::Node(value) => size_of::<V>() + unsafe { value.0.as_ref() }.memory(),
        }
    }
}

/// A lower bound of the births of what a payload points to.
///
/// # Safety
/// It lives.
pub(super) unsafe fn oldest<V: CowValue>(raw: Raw<'_>) -> Option<Epoch> {
    match raw {
        Raw::Inline(_) | Raw::Int(_) => None,
        // SAFETY: the caller's promise; the handle is not dropped.
        Raw::Blob(blob) => Some(unsafe { ManuallyDrop::new(Blob::from_raw(blob)).birth() }),
        // SAFETY: the caller's promise.
        Raw::Node(node) => {
            let value = unsafe { node.cast::<V>().as_ref() };
            Some(value.origin().min(value.birth()))
        }
    }
}

/// Ends the life of what a payload points to: retires it if it is shared, else gives it back.
///
/// # Safety
/// The payload's owner gives it away; it is not reachable from the live data any more.
pub(super) unsafe fn release<V: CowValue>(raw: Raw<'_>, heap: &mut Heap) -> Option<Leftover<V>> {
    // SAFETY: the caller's promise.
    unsafe {
        let oldest = oldest::<V>(raw)?;
        if !heap.is_shared(oldest) {
            return Leftover::of(raw);
        }
        match raw {
            Raw::Inline(_) | Raw::Int(_) => {}
            Raw::Blob(node) => {
                let bytes = ManuallyDrop::new(Blob::from_raw(node)).memory();
                heap.retire(Retired { node, birth: oldest, bytes, free: Blob::free });
            }
            Raw::Node(node) => {
                let bytes = size_of::<V>() + node.cast::<V>().as_ref().memory();
                heap.retire_deep(Box::new(UnsharedBox::<V>(node.cast())), oldest, bytes);
            }
        }
        None
    }
}

/// The `FreeFn` of a value's root, after a fork took over what is below.
///
/// # Safety
/// The pointer came from `node_pointer`; nobody else can reach the root.
pub(super) unsafe fn free_shell<V: CowValue>(node: NonNull<u8>, _bytes: usize, budget: &mut usize) -> bool {
    *budget = budget.saturating_sub(1);
    // SAFETY: the caller's promise.
    let value = unsafe { Box::from_raw(node.cast::<V>().as_ptr()) };
    value.drop_shell();
    true
}
