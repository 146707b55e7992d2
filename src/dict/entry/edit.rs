//! What can be done to an entry in its slot.
//!
//! Every change asks rule R first. An entry that a snapshot shares is copied (its pointer goes into an owned segment,
//! the old allocation is retired as a bare shell: what it points to now belongs to the copy); then its blob or value
//! is copied or forked, if that is shared too. An entry that is not shared is changed in place as long as its rounded
//! size stays the same, and the segment is not touched at all: a pointer that young can only sit in an owned segment.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::layout::{Head, Raw, RawEntry, TYPE_BITS, meta_of};
use super::payload::{self, Leftover, MovedPayload, Payload};
use super::{Entry, Epoch, release_shell};
use crate::cow::{Blob, CowValue, Heap, Retired};
use crate::dict::slot::OccupiedSlot;

/// Bytes that a string which shrinks has to have to spare before it is put into its entry again: a few more or less
/// do not make it come and go.
const INLINE_AGAIN: usize = 16;

impl<'a, V: CowValue> OccupiedSlot<'a, Entry<V>> {
    #[inline(always)]
    fn entry<'e>(&self) -> RawEntry<'e> {
        RawEntry::new(self.raw())
    }

    #[inline(always)]
    fn is_entry_shared(&self) -> bool {
        // SAFETY: the entry lives; so in all methods here.
        self.heap.is_shared(unsafe { self.entry().birth() })
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.get().key()
    }

    /// Puts another allocation in the entry's place, with the same payload or one that was dealt with.
    fn exchange(&mut self, new: RawEntry<'_>) {
        let old = RawEntry::new(self.swap(new.pointer()));
        // SAFETY: the old allocation is unlinked, and its payload has another owner.
        unsafe { release_shell(old, self.heap) }
    }

    /// Makes the entry's allocation the writer's own.
    #[inline(always)]
    fn own_entry(&mut self) {
        if self.is_entry_shared() {
            self.copy_entry();
        }
    }

    #[cold]
    fn copy_entry(&mut self) {
        let entry = self.entry();
        // SAFETY: the entry lives until `exchange` has linked the copy.
        unsafe {
            let copy = RawEntry::build(&entry.head(self.heap.epoch()), entry.payload());
            self.heap.note_cloned(copy.size());
            self.exchange(copy);
        }
    }

    /// Replaces the value; key, expiry and access clock stay. What was replaced comes back if nobody shares it and it
    /// is more than bytes.
    pub fn set_payload(&mut self, type_id: u8, encoding: u8, payload: Payload<'_, V>) -> Option<Leftover<V>> {
        self.set(self.get().expiry_ms(), type_id, encoding, payload)
    }

    /// Replaces value and expiry; key and access clock stay. What was replaced comes back if nobody shares it and it
    /// is more than bytes.
    pub fn set(
        &mut self,
        expiry_ms: Option<i64>,
        type_id: u8,
        encoding: u8,
        payload: Payload<'_, V>,
    ) -> Option<Leftover<V>> {
        let (entry, shared) = (self.entry(), self.is_entry_shared());
        let came_from_elsewhere = matches!(payload, Payload::Moved(_));
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared. The old payload is
        // released after the entry has the new one.
        unsafe {
            let mut head = entry.head(self.heap.epoch());
            let same_shape = head.expiry_ms.is_some() == expiry_ms.is_some();
            head.expiry_ms = expiry_ms;
            head.meta = meta_of(type_id, head.meta >> TYPE_BITS);
            head.encoding = encoding;
            let old = forget_inline(entry.payload());
            payload.with_raw(&head, |new| {
                if came_from_elsewhere && let Some(oldest) = payload::oldest::<V>(new) {
                    self.table.note_age(self.heap, oldest);
                }
                if !shared && same_shape && entry.replace_payload(new) {
                    entry.set_meta(head.meta);
                    entry.set_encoding(encoding);
                    if let Some(expiry_ms) = expiry_ms {
                        entry.set_expiry_ms(expiry_ms);
                    }
                } else {
                    self.exchange(RawEntry::build(&head, new));
                }
            });
            payload::release(old, self.heap)
        }
    }

    /// Sets or clears the expiry.
    pub fn set_expiry(&mut self, expiry_ms: Option<i64>) {
        let entry = self.entry();
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared.
        unsafe {
            let had = entry.expiry_ms();
            match expiry_ms {
                _ if had == expiry_ms => {}
                Some(at) if had.is_some() && !self.is_entry_shared() => entry.set_expiry_ms(at),
                _ => {
                    let head = Head { expiry_ms, ..entry.head(self.heap.epoch()) };
                    self.exchange(RawEntry::build(&head, entry.payload()));
                }
            }
        }
    }

    /// Changes the 4 bits of the encoding.
    pub fn set_encoding(&mut self, encoding: u8) {
        if self.get().encoding() != encoding {
            self.own_entry();
            // SAFETY: the entry is the writer's.
            unsafe { self.entry().set_encoding(encoding) }
        }
    }

    /// Changes an integer in place; the payload must be one.
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        self.own_entry();
        // SAFETY: the entry is the writer's.
        unsafe {
            debug_assert!(matches!(self.entry().payload(), Raw::Int(_)));
            let done = self.entry().replace_payload(Raw::Int(value));
            assert!(done, "set_int is for integers: they all have the same size");
        }
    }

    /// The bytes of a string that is kept as bytes, to be changed in place.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the entry (and then the blob) is the writer's before bytes are given out.
        unsafe {
            match self.entry().payload() {
                Raw::Int(_) | Raw::Node(_) => None,
                Raw::Inline(_) => {
                    self.own_entry();
                    Some(self.entry().inline_mut())
                }
                Raw::Blob(_) => {
                    let mut blob = self.own_blob(0);
                    let bytes = blob.as_mut_slice();
                    Some(std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()))
                }
            }
        }
    }

    /// Appends to a string that is kept as bytes: in place if there is room and nobody shares it. The caller changes
    /// to a rope when the string becomes long.
    pub fn append(&mut self, bytes: &[u8]) {
        // SAFETY: the entry (and then the blob) is the writer's before it is written.
        unsafe {
            match self.entry().payload() {
                Raw::Inline(_) => self.append_inline(bytes),
                Raw::Blob(_) => {
                    let mut blob = self.own_blob(bytes.len());
                    blob.append(bytes);
                    let done = self.entry().replace_payload(Raw::Blob(ManuallyDrop::into_inner(blob).into_raw()));
                    debug_assert!(done, "a pointer for a pointer");
                }
                Raw::Int(_) | Raw::Node(_) => panic!("append is for strings that are kept as bytes"),
            }
        }
    }

    fn append_inline(&mut self, bytes: &[u8]) {
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared.
        unsafe {
            let entry = self.entry();
            let Raw::Inline(old) = entry.payload() else { unreachable!("the caller has seen inline bytes") };
            let len = old.len() + bytes.len();
            let head = entry.head(self.heap.epoch());
            if head.fits_inline(len) {
                let mut joined = [0; 256];
                joined[..old.len()].copy_from_slice(old);
                joined[old.len()..len].copy_from_slice(bytes);
                let joined = Raw::Inline(&joined[..len]);
                if self.is_entry_shared() || !entry.replace_payload(joined) {
                    self.exchange(RawEntry::build(&head, joined));
                }
            } else {
                // A string that is appended to once will be again.
                let mut blob = Blob::with_capacity(self.heap.epoch(), len + len / 2);
                blob.append(old);
                blob.append(bytes);
                self.exchange(RawEntry::build(&head, Raw::Blob(blob.into_raw())));
            }
        }
    }

    /// Makes the `removed` bytes at `at` of the payload into `added` bytes with any content; what lies behind them
    /// moves. Returns all the bytes.
    ///
    /// # Panics
    /// When the payload is an integer or a node, or has no such bytes.
    pub fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        // SAFETY: the entry (and then the blob) is the writer's before it is written.
        unsafe {
            match self.entry().payload() {
                Raw::Inline(_) => self.reshape_inline(at, removed, added),
                Raw::Blob(_) => {
                    let mut blob = self.own_blob(added.saturating_sub(removed));
                    let bytes: *mut [u8] = blob.reshape(at, removed, added);
                    let fits = |len| self.entry().head(self.heap.epoch()).fits_inline(len);
                    if removed > added && fits(blob.len() + INLINE_AGAIN) {
                        return self.come_inside(blob);
                    }
                    let done = self.entry().replace_payload(Raw::Blob(ManuallyDrop::into_inner(blob).into_raw()));
                    debug_assert!(done, "a pointer for a pointer");
                    &mut *bytes
                }
                Raw::Int(_) | Raw::Node(_) => panic!("only bytes have a shape"),
            }
        }
    }

    fn reshape_inline(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared.
        unsafe {
            let entry = self.entry();
            let Raw::Inline(old) = entry.payload() else { unreachable!("the caller has seen inline bytes") };
            let (head, tail) = (&old[..at], &old[at + removed..]);
            let len = old.len() - removed + added;
            let facts = entry.head(self.heap.epoch());
            if facts.fits_inline(len) {
                let mut joined = [0; 256];
                joined[..at].copy_from_slice(head);
                joined[at + added..len].copy_from_slice(tail);
                let joined = Raw::Inline(&joined[..len]);
                if self.is_entry_shared() || !entry.replace_payload(joined) {
                    self.exchange(RawEntry::build(&facts, joined));
                }
                return self.entry().inline_mut();
            }
            let mut blob = Blob::with_capacity(self.heap.epoch(), len + len / 8);
            blob.append(head);
            blob.append(tail);
            let bytes: *mut [u8] = blob.reshape(at, 0, added);
            self.exchange(RawEntry::build(&facts, Raw::Blob(blob.into_raw())));
            &mut *bytes
        }
    }

    /// Puts the bytes of a blob into the entry, and frees it.
    ///
    /// # Safety
    /// The entry and its blob are the writer's, and the bytes fit.
    unsafe fn come_inside(&mut self, blob: ManuallyDrop<Blob>) -> &mut [u8] {
        let blob = ManuallyDrop::into_inner(blob);
        // SAFETY: the entry lives until `exchange`, and has no blob any more from then on.
        unsafe {
            let (entry, inline) = (self.entry(), Raw::Inline(blob.as_slice()));
            if !entry.replace_payload(inline) {
                self.exchange(RawEntry::build(&entry.head(self.heap.epoch()), inline));
            }
            self.entry().inline_mut()
        }
    }

    /// Makes entry and blob the writer's own, with room for `extra` more bytes if it has to be copied. The handle is
    /// the entry's.
    unsafe fn own_blob(&mut self, extra: usize) -> ManuallyDrop<Blob> {
        self.own_entry();
        // SAFETY: the entry is the writer's, and has a blob; a blob that is replaced is retired.
        unsafe {
            let Raw::Blob(node) = self.entry().payload() else { unreachable!("the caller has seen a blob") };
            let old = ManuallyDrop::new(Blob::from_raw(node));
            if !self.heap.is_shared(old.birth()) {
                return old;
            }
            let room = if extra == 0 { 0 } else { extra + old.len() / 8 };
            let mut blob = Blob::with_capacity(self.heap.epoch(), old.len() + room);
            blob.append(old.as_slice());
            let blob = blob.into_raw();
            let done = self.entry().replace_payload(Raw::Blob(blob));
            debug_assert!(done, "a pointer for a pointer");
            self.heap.note_cloned(old.memory());
            self.heap.retire(Retired { node, birth: old.birth(), bytes: old.memory(), free: Blob::free });
            ManuallyDrop::new(Blob::from_raw(blob))
        }
    }

    /// The value, to be changed; forked first if a snapshot shares it. None if the payload is not a node.
    pub fn node_mut(&mut self) -> Option<&mut V> {
        self.node_and_heap().map(|(value, _)| value)
    }

    /// The value, to be changed, with the heap that nested structures need.
    pub fn node_and_heap(&mut self) -> Option<(&mut V, &mut Heap)> {
        // SAFETY: the entry, and then the value, is the writer's before it is given out.
        unsafe {
            let Raw::Node(_) = self.entry().payload() else { return None };
            self.own_entry();
            let Raw::Node(mut node) = self.entry().payload() else { return None };
            let birth = node.cast::<V>().as_ref().birth();
            if self.heap.is_shared(birth) {
                node = self.fork_node(node, birth);
            }
            Some((node.cast::<V>().as_mut(), self.heap))
        }
    }

    /// # Safety
    /// The entry is the writer's, and this is its value.
    #[cold]
    unsafe fn fork_node(&mut self, old: NonNull<u8>, birth: Epoch) -> NonNull<u8> {
        // SAFETY: the old root lives until it is retired, replaced by then.
        unsafe {
            let fork = Box::new(old.cast::<V>().as_ref().fork(self.heap));
            debug_assert!(!self.heap.is_shared(fork.birth()), "a fork is born now");
            let new = payload::node_pointer(fork);
            let done = self.entry().replace_payload(Raw::Node(new));
            debug_assert!(done, "a pointer for a pointer");
            self.heap.note_cloned(size_of::<V>());
            self.heap.retire(Retired { node: old, birth, bytes: size_of::<V>(), free: payload::free_shell::<V> });
            new
        }
    }

    /// Takes the entry out of the table, but keeps its value, to be put into another entry (RENAME, MOVE).
    pub fn take_payload(self) -> MovedPayload<V> {
        let (heap, raw) = self.unlink();
        // SAFETY: the entry is unlinked; its payload changes hands before its shell is released.
        unsafe {
            let entry = RawEntry::new(raw);
            let moved = MovedPayload::of(entry.payload());
            release_shell(entry, heap);
            moved
        }
    }
}

/// The part of a payload that outlives the entry's bytes.
fn forget_inline(raw: Raw<'_>) -> Raw<'static> {
    match raw {
        Raw::Inline(_) | Raw::Int(_) => Raw::Int(0),
        Raw::Blob(node) => Raw::Blob(node),
        Raw::Node(node) => Raw::Node(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::SnapshotTicket;
    use crate::dict::{EntryHead, EntryRef, PayloadRef, Slot, SnapshotView, Table};
    use crate::util::hash::HashSeed;

    /// A value with some text.
    struct Note {
        birth: Epoch,
        text: String,
    }

    impl CowValue for Note {
        fn birth(&self) -> Epoch {
            self.birth
        }
        fn fork(&self, heap: &mut Heap) -> Note {
            Note { birth: heap.epoch(), text: self.text.clone() }
        }
        fn memory(&self) -> usize {
            self.text.len()
        }
    }

    struct World {
        heap: Heap,
        table: Table<Entry<Note>>,
    }

    fn show(entry: EntryRef<'_, Note>) -> String {
        let value = match entry.payload() {
            PayloadRef::Inline(bytes) => format!("inline {}", String::from_utf8_lossy(bytes)),
            PayloadRef::Blob(bytes) => format!("blob {}", String::from_utf8_lossy(bytes)),
            PayloadRef::Int(n) => format!("int {n}"),
            PayloadRef::Node(note) => format!("note {}", note.text),
        };
        match entry.expiry_ms() {
            Some(at) => format!("{value} until {at}"),
            None => value,
        }
    }

    impl World {
        fn with(payload: impl FnOnce(Epoch) -> Payload<'static, Note>) -> World {
            let mut world = World { heap: Heap::new(), table: Table::new(HashSeed::fixed(1)) };
            world.put(b"k", payload);
            world
        }

        fn put(&mut self, key: &[u8], payload: impl FnOnce(Epoch) -> Payload<'static, Note>) {
            let (hash, birth) = (self.table.hash(key), self.heap.epoch());
            let head = EntryHead { key, hash, expiry_ms: None, type_id: 1, encoding: 2, clock: 3 };
            match self.table.entry_mut(&mut self.heap, hash, key) {
                Slot::Vacant(slot) => drop(slot.insert(Entry::build(birth, &head, payload(birth)))),
                Slot::Occupied(_) => panic!("put is for new keys"),
            }
        }

        fn slot(&mut self, key: &[u8]) -> OccupiedSlot<'_, Entry<Note>> {
            let hash = self.table.hash(key);
            match self.table.entry_mut(&mut self.heap, hash, key) {
                Slot::Occupied(slot) => slot,
                Slot::Vacant(_) => panic!("{key:?} is not there"),
            }
        }

        fn now(&self, key: &[u8]) -> String {
            show(self.table.find(self.table.hash(key), key).expect("the key is there"))
        }

        fn snapshot(&mut self) -> (SnapshotView<Entry<Note>>, SnapshotTicket) {
            let opening = self.heap.open_snapshot();
            (self.table.view(&opening), opening.ticket())
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.heap.reap();
            drop(self.table.take_all(&mut self.heap));
        }
    }

    /// Makes the same edit without a snapshot and under one, and compares what the table and the snapshot show.
    fn check(payload: fn(Epoch) -> Payload<'static, Note>, edit: fn(&mut OccupiedSlot<'_, Entry<Note>>), expect: &str) {
        let mut world = World::with(payload);
        edit(&mut world.slot(b"k"));
        assert_eq!(world.now(b"k"), expect);

        let mut world = World::with(payload);
        let before = world.now(b"k");
        let (view, ticket) = world.snapshot();
        edit(&mut world.slot(b"k"));
        assert_eq!(world.now(b"k"), expect);
        edit(&mut world.slot(b"k")); // the copy is changed in place now
        let seen = std::thread::spawn(move || view.iter().map(show).collect::<Vec<_>>()).join().expect("no panic");
        assert_eq!(seen, [before]);
        world.table.check_invariants();
        drop(ticket);
        assert_eq!(world.heap.reap(), 1);
        assert!(!world.heap.reclaim(100));
        assert_eq!(world.heap.stats(), Default::default());
    }

    const LONG: &str = "a string that is far too long to be kept inside an entry of one hundred and twenty-eight bytes, \
                        because it alone has more of them than that";

    fn bytes(_: Epoch) -> Payload<'static, Note> {
        Payload::Bytes(b"short")
    }
    fn blob(_: Epoch) -> Payload<'static, Note> {
        Payload::Bytes(LONG.as_bytes())
    }
    fn int(_: Epoch) -> Payload<'static, Note> {
        Payload::Int(41)
    }
    fn note(birth: Epoch) -> Payload<'static, Note> {
        Payload::Node(Box::new(Note { birth, text: "dear".into() }))
    }

    #[test]
    fn payloads_replace_each_other() {
        for old in [bytes, blob, int, note] {
            check(old, |slot| drop(slot.set_payload(1, 1, Payload::Bytes(b"other"))), "inline other");
            check(old, |slot| drop(slot.set_payload(1, 1, Payload::Int(7))), "int 7");
            check(old, |slot| drop(slot.set(Some(9), 1, 1, Payload::Int(7))), "int 7 until 9");
            check(old, |slot| drop(slot.set(None, 1, 1, Payload::Bytes(LONG.as_bytes()))), &format!("blob {LONG}"));
        }
    }

    #[test]
    fn expiry_comes_and_goes() {
        check(bytes, |slot| slot.set_expiry(Some(5)), "inline short until 5");
        check(blob, |slot| slot.set_expiry(None), &format!("blob {LONG}"));
        check(note, |slot| (1..4).for_each(|at| slot.set_expiry(Some(at))), "note dear until 3");
        check(int, |slot| [Some(1), None].map(|at| slot.set_expiry(at)).into_iter().collect(), "int 41");
    }

    #[test]
    fn values_change_in_place() {
        check(int, |slot| slot.set_int(42), "int 42");
        check(bytes, |slot| slot.bytes_mut().expect("bytes")[0] = b'S', "inline Short");
        check(blob, |slot| slot.bytes_mut().expect("bytes")[0] = b'A', &format!("blob {}", LONG.replacen('a', "A", 1)));
        check(note, |slot| slot.node_mut().expect("a node").text = "Dear".into(), "note Dear");
        check(note, |slot| slot.set_encoding(9), "note dear");
        assert!(World::with(int).slot(b"k").bytes_mut().is_none());
        assert!(World::with(int).slot(b"k").node_mut().is_none());
    }

    #[test]
    fn strings_grow() {
        let mut world = World::with(bytes);
        let mut expected = b"short".to_vec();
        for round in 0..60 {
            let snapshot = (round % 7 == 3).then(|| world.snapshot());
            world.slot(b"k").append(b" and longer");
            expected.extend_from_slice(b" and longer");
            assert_eq!(world.slot(b"k").get().bytes(), Some(&expected[..]));
            drop(snapshot);
            world.heap.reap();
        }
        while world.heap.reclaim(5) {}
        assert!(world.slot(b"k").get().memory() > expected.len());
    }

    #[test]
    fn bytes_are_reshaped_wherever_they_lie() {
        let mut world = World::with(bytes);
        let mut expected = b"short".to_vec();
        for round in 0..300usize {
            let snapshot = (round % 7 == 3).then(|| world.snapshot());
            let (at, added) = (round * 5 % (expected.len() + 1), round % 9);
            let removed = (expected.len() - at).min(if round / 100 == 1 { 20 } else { round % 4 });
            let fill = vec![round as u8; added];
            let mut slot = world.slot(b"k");
            let all = slot.reshape(at, removed, added);
            all[at..at + added].copy_from_slice(&fill);
            expected.splice(at..at + removed, fill);
            assert_eq!(all, expected);
            assert_eq!(slot.get().bytes(), Some(&expected[..]));
            drop(snapshot);
            world.heap.reap();
        }
        while world.heap.reclaim(5) {}
        assert_eq!(world.heap.stats(), Default::default());
    }

    #[test]
    fn what_shrinks_gives_its_memory_back() {
        let mut world = World::with(bytes);
        for shared in [false, true] {
            let mut slot = world.slot(b"k");
            let len = slot.get().bytes().expect("bytes").len();
            slot.reshape(len, 0, 3000 - len);
            for len in (10..3000).rev().step_by(10) {
                let snapshot = (shared && len % 500 == 9).then(|| world.snapshot());
                let mut slot = world.slot(b"k");
                let before = slot.get().bytes().expect("bytes").len();
                slot.reshape(len / 2, before - len, 0);
                let takes = slot.get().memory();
                assert!(takes <= len + len / 3 + 64, "{takes} for {len}");
                assert_eq!(matches!(slot.get().payload(), PayloadRef::Inline(_)), len < 100, "{len}");
                drop(snapshot);
                world.heap.reap();
            }
        }
        while world.heap.reclaim(5) {}
    }

    #[test]
    fn a_value_moves_to_another_key() {
        for payload in [bytes, blob, int, note] {
            for shared in [false, true] {
                let mut world = World::with(payload);
                let before = world.now(b"k");
                let snapshot = shared.then(|| world.snapshot());
                let moved = world.slot(b"k").take_payload();
                world.put(b"another", |_| Payload::Moved(moved));
                assert_eq!((world.table.len(), world.now(b"another")), (1, before.clone()));
                let moved = world.slot(b"another").take_payload();
                world.put(b"target", |_| Payload::Int(0));
                drop(world.slot(b"target").set_payload(1, 1, Payload::Moved(moved)));
                drop(world.slot(b"target").remove());
                if let Some((view, ticket)) = snapshot {
                    assert_eq!(view.iter().map(show).collect::<Vec<_>>(), [before]);
                    drop((view, ticket));
                }
                world.heap.reap();
                assert!(!world.heap.reclaim(100));
            }
        }
    }

    #[test]
    fn a_flushed_table_stays_for_its_snapshot() {
        let mut world = World::with(note);
        let (view, ticket) = world.snapshot();
        assert!(world.table.take_all(&mut world.heap).is_none(), "it went to the heap");
        world.put(b"new", int);
        assert!(world.table.take_all(&mut world.heap).is_some(), "nothing of this one is shared");
        assert_eq!(view.iter().map(show).collect::<Vec<_>>(), ["note dear"]);
        drop((view, ticket));
        world.heap.reap();
        let garbage = world.heap.take_garbage().expect("the flushed table");
        std::thread::spawn(move || drop(garbage)).join().expect("no panic");
    }

    #[test]
    fn sizes_are_as_designed() {
        let sizes = |key: usize, value: usize, expiry_ms| {
            let key = vec![b'k'; key];
            let value = vec![b'v'; value];
            let head = EntryHead { key: &key, hash: 5, expiry_ms, type_id: 0, encoding: 0, clock: 0 };
            let entry = Entry::<Note>::build(Heap::new().epoch(), &head, Payload::Bytes(&value));
            assert_eq!((entry.as_ref().key(), entry.as_ref().bytes()), (&key[..], Some(&value[..])));
            assert_eq!(entry.as_ref().expiry_ms(), expiry_ms);
            entry.as_ref().memory()
        };
        assert_eq!(sizes(10, 16, None), 40);
        assert_eq!(sizes(16, 16, None), 48);
        assert_eq!(sizes(16, 32, None), 64);
        assert_eq!(sizes(16, 32, Some(1)), 72);
        assert!(sizes(300, 10, Some(1)) < 352);
        assert!(sizes(254, 10, None) <= sizes(255, 10, None));
        assert!(sizes(16, 1000, None) < 1064);
    }
}
