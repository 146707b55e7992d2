//! The life of one snapshot: opened in a moment when nothing can be written, then held by a ticket and by views that
//! other threads read, and over when the last of them is gone.
//!
//! The end is a reference count reaching the heap's own share, seen by [`Heap::reap`]: dropping the last view has
//! release order, noticing it acquire order, so every read of the snapshot happens before the first free. There is no
//! other edge between the threads.

use std::sync::Arc;

use super::Heap;

/// What the heap, the ticket and the views of one snapshot hold in common. Its count is its content.
pub(crate) struct Pin(());

/// The moment at which a snapshot is taken. It borrows the heap, and writing needs the heap: so all the views taken
/// through it show the same state, and there is no way to take one late.
///
/// ```ignore
/// let opening = heap.open_snapshot();
/// let views: Vec<_> = dbs.iter().map(|db| db.table.view(&opening)).collect();
/// let ticket = opening.ticket();
/// ```
pub struct Opening<'h> {
    heap: &'h mut Heap,
    pin: Arc<Pin>,
}

impl<'h> Opening<'h> {
    pub(super) fn new(heap: &'h mut Heap, pin: Arc<Pin>) -> Opening<'h> {
        Opening { heap, pin }
    }

    /// Writing may go on; the snapshot lives until the ticket and all views are dropped.
    pub fn ticket(self) -> SnapshotTicket {
        SnapshotTicket { pin: self.pin }
    }

    /// The heap the snapshot belongs to.
    pub fn heap(&self) -> &Heap {
        self.heap
    }

    pub(crate) fn pin(&self) -> Arc<Pin> {
        self.pin.clone()
    }
}

/// Keeps one snapshot alive. Goes to the thread that reads; dropping it there (with the views) ends the snapshot.
pub struct SnapshotTicket {
    #[expect(dead_code, reason = "held, never read: its count is what matters")]
    pin: Arc<Pin>,
}

impl Pin {
    pub(super) fn new() -> Arc<Pin> {
        Arc::new(Pin(()))
    }

    /// Whether the heap's share is the last one. Acquires what the readers released.
    pub(super) fn is_last(pin: &mut Arc<Pin>) -> bool {
        Arc::get_mut(pin).is_some()
    }
}
