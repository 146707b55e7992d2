//! What a table holds: heap objects with a key and a birth, behind one pointer each.

use std::ptr::NonNull;

use crate::cow::{Defrag, Epoch, Heap, Progress};
use crate::util::hash::HashSeed;

/// One element of a table. A value of the type owns its object and frees all of it when dropped; inside a table it is
/// a raw pointer, and rule R decides what may be freed.
///
/// # Safety
///
/// * `into_raw` gives a pointer that stays valid until `from_raw` (and the drop of what that gives) or `release`.
/// * `view`, `key`, `hash`, `birth` and `oldest` only read, so that any thread may call them on a shared element.
/// * `key` and `hash` never change while the element is in a table, and `hash` is what the caller of the table used.
/// * `release` frees at once only what rule R allows, and retires the rest.
pub unsafe trait Element: Sized + Send + Sync + 'static {
    /// How readers see an element.
    type Ref<'a>: Copy;

    /// Gives the object to the table.
    fn into_raw(self) -> NonNull<u8>;

    /// # Safety
    /// The pointer came from `into_raw`; nobody else owns it, and no snapshot can read it.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;

    /// # Safety
    /// The object lives, unchanged but for atomics, as long as `'a`.
    unsafe fn view<'a>(raw: NonNull<u8>) -> Self::Ref<'a>;

    /// # Safety
    /// The object lives as long as `'a`.
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8];

    /// Whether this is the element of that key: the comparison of the hot path.
    ///
    /// # Safety
    /// The object lives.
    #[inline]
    unsafe fn has_key(raw: NonNull<u8>, key: &[u8]) -> bool {
        // SAFETY: the caller's promise.
        unsafe { Self::key(raw) == key }
    }

    /// The hash of the key, for moving the element to another segment.
    ///
    /// # Safety
    /// The object lives.
    #[inline]
    unsafe fn hash(raw: NonNull<u8>, seed: HashSeed) -> u64 {
        // SAFETY: the caller's promise.
        seed.hash(unsafe { Self::key(raw) })
    }

    /// A lower bound of the births of the object and of everything it owns.
    ///
    /// # Safety
    /// The object lives.
    unsafe fn oldest(raw: NonNull<u8>) -> Epoch;

    /// Moves the object, and what it owns, to where they lie better: where the object is now, and whether all of it was
    /// gone through. A value of more than `elements_max` elements is not, but for its root.
    ///
    /// # Safety
    /// The object lives, and the caller puts what this returns in its place.
    unsafe fn defrag(raw: NonNull<u8>, _defrag: &mut Defrag<'_>, _elements_max: usize) -> (NonNull<u8>, bool) {
        (raw, true)
    }

    /// Goes on with such a value; true when it is done.
    ///
    /// # Safety
    /// The object lives.
    unsafe fn defrag_value(_raw: NonNull<u8>, _defrag: &mut Defrag<'_>, _progress: &mut Progress) -> bool {
        true
    }

    /// Ends the life of an element that has just left the live data: gives it back as a value if nothing of it is
    /// shared, else retires what is (and frees what is not).
    ///
    /// # Safety
    /// The element is in no table any more.
    unsafe fn release(raw: NonNull<u8>, heap: &mut Heap) -> Option<Self>;
}
