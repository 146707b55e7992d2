//! Copy-on-write by epochs: the one mechanism behind every structure that a snapshot may read while it is written.
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live

use std::marker::PhantomData;

/// When a node was made. Only a heap can name one, so a node never claims to be younger than it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Epoch(pub(crate) u32);

/// The book-keeping of one instance's data: the current epoch, the live snapshots, the nodes that wait for their end.
pub struct Heap {
    _p: (),
}
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct HeapStats {
    pub live_snapshots: usize,
    /// Nodes (and their bytes) that only snapshots still need, or that wait to be freed after one.
    pub retired_nodes: u64,
    pub retired_bytes: u64,
    /// Bytes copied on write since the oldest live snapshot began; 0 when none lives (INFO current_cow_size).
    pub cloned_bytes: u64,
}
/// The moment at which a snapshot is taken: borrows the heap, so nothing can be written until it is closed.
pub struct Opening<'h> {
    _p: PhantomData<&'h mut Heap>,
}
/// Keeps one snapshot alive. Send, not Clone; drop it (and every view) from any thread to end the snapshot.
pub struct SnapshotTicket {
    _p: (),
}
/// Nodes that nobody needs any more. Send; dropping it frees them all.
pub struct Garbage {
    _p: (),
}
/// Witness that no snapshot can read a value that is being freed. Only this room makes one.
pub struct Unshared {
    _p: (),
}

impl Heap {
    pub fn new() -> Heap {
        unimplemented!()
    }
    /// The birth of a node made now.
    pub fn epoch(&self) -> Epoch {
        unimplemented!()
    }
    /// Rule R: a node may be changed in place or freed at once if and only if this says no.
    pub fn is_shared(&self, _birth: Epoch) -> bool {
        unimplemented!()
    }
    pub fn has_snapshot(&self) -> bool {
        unimplemented!()
    }
    /// `let o = heap.open_snapshot(); let views = dbs.iter().map(|d| d.table.view(&o)); let ticket = o.ticket();`
    pub fn open_snapshot(&mut self) -> Opening<'_> {
        unimplemented!()
    }
    /// Notices snapshots that ended; returns how many. Cheap: call it every turn while one lives.
    pub fn reap(&mut self) -> usize {
        unimplemented!()
    }
    /// Frees at most `max_items` nodes of ended snapshots; true if there is more to free.
    pub fn reclaim(&mut self, _max_items: usize) -> bool {
        unimplemented!()
    }
    /// Everything that could be freed now, as one value for the lazy-free thread.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        unimplemented!()
    }
    pub fn stats(&self) -> HeapStats {
        unimplemented!()
    }
}
impl Opening<'_> {
    pub fn ticket(self) -> SnapshotTicket {
        unimplemented!()
    }
}
impl Garbage {
    pub fn items(&self) -> u64 {
        unimplemented!()
    }
}

/// A value that lives in a node of its own and is shared between the writer and snapshots.
pub trait CowValue: Send + Sync + Sized + 'static {
    /// When this node (the value's root) was made: `Heap::epoch` at construction or fork.
    fn birth(&self) -> Epoch;
    /// A lower bound of the births of all nodes inside: the epoch of construction, kept by forks. Values whose inner
    /// nodes have counts of their own (`Arc`) need no more than `birth`.
    fn origin(&self) -> Epoch {
        self.birth()
    }
    /// A copy that may be changed, sharing the nodes below the root.
    fn fork(&self, heap: &mut Heap) -> Self;
    /// Frees the root alone, after `fork` made another owner of what is below.
    fn drop_shell(self) {
        drop(self)
    }
    /// Frees everything.
    fn destroy(self, _proof: &Unshared) {
        drop(self)
    }
    /// How many allocations freeing takes, roughly (lazy free decides by it).
    fn free_effort(&self) -> usize {
        1
    }
    /// Heap bytes, beyond `size_of::<Self>()`.
    fn memory(&self) -> usize;
}

/// One buffer of at most 4 GiB with its birth: medium strings.
pub struct Blob {
    _p: (),
}
impl Blob {
    pub fn with_capacity(_birth: Epoch, _capacity: usize) -> Blob {
        unimplemented!()
    }
    pub fn from_slice(_birth: Epoch, _bytes: &[u8]) -> Blob {
        unimplemented!()
    }
    pub fn as_slice(&self) -> &[u8] {
        unimplemented!()
    }
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    pub fn capacity(&self) -> usize {
        unimplemented!()
    }
    /// Appends, growing as needed (the blob is not yet in an entry, or the slot has checked that it is unshared).
    pub fn append(&mut self, _bytes: &[u8]) {
        unimplemented!()
    }
}
