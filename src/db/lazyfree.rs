//! Freeing in the background.
//!
//! Freeing a large value, a flushed db or what an ended snapshot held back takes as long as it has allocations. None
//! of it is reachable any more, so a thread of its own may do it: it gets owned values through a channel and drops
//! them, and gives way to all other threads meanwhile. Counters say how far it is; who has to know when something is
//! freed sends a [`Notice`] after it.
//!
//! After much was freed the thread gives the pages back to the system, too: the allocator would keep them for ten
//! seconds, in case that they are needed again.
//!
//! The thread starts with the first value it is given, and ends, after freeing all it was given, when this handle is
//! dropped.

use super::Object;
use super::expiry::ExpiryIndex;
use crate::cow;
use crate::dict::{Entry, Leftover, TakenTable};
use crate::sys::{allocator, priority};
use crate::util::output_buffer::OutputBuffer;
use crate::util::piece;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// More allocations than this and freeing is worth the way to another thread (Redis's LAZYFREE_THRESHOLD).
const WORTH_IT: usize = 64;

/// More allocations than this and freeing them here would stall everybody: the thread gets them unasked.
const TOO_MUCH: usize = 1024;

/// So many keys, and as many allocations of their values, are freed at once: it is soon done.
pub(super) const SOON_DONE: usize = TOO_MUCH;

/// Whether a value of this many allocations is freed by the thread: asked to (`lazily`), or too large to be freed by
/// the main loop.
#[inline]
pub fn goes_away(effort: usize, lazily: bool) -> bool {
    effort > if lazily { WORTH_IT } else { TOO_MUCH }
}

/// After so many freed bytes, when nothing else is to be freed, unused pages are given back to the system at once.
const MUCH_BYTES: u64 = 16 << 20;

/// Elements of a table freed between two looks at the clock.
const TABLE_SLICE: usize = 128;

/// Called by whoever frees, when all that was given away before is freed.
pub type Notice = Box<dyn FnOnce() + Send>;

/// What can be freed elsewhere: always unreachable, never shared with a snapshot.
pub enum Garbage {
    Entry(Entry<Object>),
    Value(Leftover<Object>),
    Table(TakenTable<Entry<Object>>),
    Nodes(cow::Garbage),
    Deadlines(ExpiryIndex),
    /// What a client was owed.
    Buffer(OutputBuffer),
    /// What another room has no use for any more.
    Other {
        /// That.
        thing: Box<dyn Send>,
        /// How many objects it is.
        objects: u64,
        /// About what freeing it frees.
        bytes: u64,
    },
    /// Nothing to free, but somebody waits until what came before is.
    Notice(Notice),
    /// Pages in which so many bytes were freed elsewhere: nothing to free any more, but to be given back to the system.
    Pages(u64),
}

impl Garbage {
    /// What lazyfreed_objects counts: values, or the keys of a table. The rest are not objects.
    fn objects(&self) -> u64 {
        match self {
            Garbage::Entry(_) | Garbage::Value(_) => 1,
            Garbage::Table(t) => t.len() as u64,
            Garbage::Other { objects, .. } => *objects,
            Garbage::Nodes(_) | Garbage::Deadlines(_) | Garbage::Buffer(_) => 0,
            Garbage::Notice(_) | Garbage::Pages(_) => 0,
        }
    }

    /// About what freeing it frees. Tables and indexes are too large to be measured: an estimate.
    fn bytes(&self) -> u64 {
        match self {
            Garbage::Entry(entry) => entry.as_ref().memory() as u64,
            Garbage::Value(value) => value.memory() as u64,
            Garbage::Table(table) => table.len() as u64 * 64,
            Garbage::Nodes(nodes) => nodes.bytes(),
            Garbage::Deadlines(index) => index.len() as u64 * 8,
            Garbage::Buffer(buffer) => buffer.buffer_memory() as u64,
            Garbage::Other { bytes, .. } => *bytes,
            Garbage::Notice(_) | Garbage::Pages(_) => 0,
        }
    }

    /// Frees it, with a look at the clock now and then where that takes long.
    fn end(self) {
        match self {
            Garbage::Table(mut table) => {
                while table.free_some(TABLE_SLICE) {
                    priority::pace();
                }
            }
            Garbage::Notice(tell) => tell(),
            other => drop(other),
        }
    }
}

#[derive(Default)]
struct Counters {
    pending: AtomicU64,
    freed: AtomicU64,
    freed_bytes: AtomicU64,
    /// What the thread's pieces of long strings take, less those that it freed: never positive.
    pieces: AtomicI64,
}

struct Worker {
    queue: Sender<Garbage>,
    thread: JoinHandle<()>,
}

/// The way to the lazy-free thread.
#[derive(Default)]
pub struct LazyFree {
    worker: Option<Worker>,
    counters: Arc<Counters>,
    /// Bytes that the thread was given to free.
    given_bytes: u64,
    /// Bytes that were freed elsewhere, and whose pages nobody has given back.
    kept_bytes: u64,
    /// Bytes that it had freed when the allocator was last asked what is in use.
    seen_bytes: u64,
    /// What its pieces took then.
    seen_pieces: i64,
}

impl LazyFree {
    /// Drops `garbage` on the other thread; here, if there can be no other thread.
    #[cold]
    pub fn free(&mut self, garbage: Garbage) {
        if self.worker.is_none() {
            self.worker = start(self.counters.clone());
        }
        let (objects, bytes) = (garbage.objects(), garbage.bytes());
        let Some(worker) = &self.worker else { return garbage.end() };
        self.counters.pending.fetch_add(objects, Relaxed);
        if let Err(returned) = worker.queue.send(garbage) {
            // The thread is gone, which only a panic in a destructor could do. The value came back and dies here.
            self.counters.pending.fetch_sub(objects, Relaxed);
            self.worker = None;
            returned.0.end();
        } else {
            self.given_bytes += bytes;
        }
    }

    /// So many bytes were freed at once by the calling thread: if it is much the other one gives the pages back.
    pub fn give_back(&mut self, bytes: u64) {
        self.kept_bytes += bytes;
        if self.kept_bytes >= MUCH_BYTES {
            let bytes = std::mem::take(&mut self.kept_bytes);
            self.free(Garbage::Pages(bytes));
        }
    }

    /// The other thread gives unused pages back, when all it was given before is freed.
    pub fn give_pages_back(&mut self) {
        self.free(Garbage::Pages(MUCH_BYTES));
    }

    /// lazyfree_pending_objects
    pub fn pending_objects(&self) -> u64 {
        self.counters.pending.load(Relaxed)
    }

    /// lazyfreed_objects
    pub fn freed_objects(&self) -> u64 {
        self.counters.freed.load(Relaxed)
    }

    /// Call it before the allocator is asked what is in use: its answer will be without what is freed by now.
    pub fn see_freed(&mut self) {
        self.seen_bytes = self.counters.freed_bytes.load(Acquire);
        self.seen_pieces = self.counters.pieces.load(Acquire);
    }

    /// Bytes that are, or will soon be, freed, and that the allocator's last answer still has as used.
    #[inline]
    pub fn unseen_bytes(&self) -> u64 {
        self.given_bytes - self.seen_bytes
    }

    /// What the thread has freed of the pieces of long strings, as far as the allocator's last answer knows of it.
    #[inline]
    pub fn seen_pieces(&self) -> i64 {
        self.seen_pieces
    }

    /// CONFIG RESETSTAT.
    pub fn reset_freed_objects(&self) {
        self.counters.freed.store(0, Relaxed);
    }
}

/// Waits for more to free; gives pages back first if that may take long. None at the end.
fn next(arriving: &Receiver<Garbage>, kept_bytes: &mut u64) -> Option<Garbage> {
    if let Ok(garbage) = arriving.try_recv() {
        return Some(garbage);
    }
    if *kept_bytes >= MUCH_BYTES {
        *kept_bytes = 0;
        // Where the allocator refuses, it gives the pages back by and by.
        let _ = allocator::purge();
    }
    arriving.recv().ok()
}

fn start(counters: Arc<Counters>) -> Option<Worker> {
    let (queue, arriving) = channel::<Garbage>();
    let free_all = move || {
        priority::begin_brief();
        let before = counters.pieces.load(Relaxed);
        // About what was freed since pages were last given back.
        let mut kept_bytes = 0;
        while let Some(garbage) = next(&arriving, &mut kept_bytes) {
            priority::pace();
            let (objects, bytes) = (garbage.objects(), garbage.bytes());
            kept_bytes += bytes + if let Garbage::Pages(freed) = garbage { freed } else { 0 };
            garbage.end();
            counters.freed_bytes.fetch_add(bytes, Release);
            counters.pieces.store(piece::balance() + before, Release);
            counters.pending.fetch_sub(objects, Relaxed);
            counters.freed.fetch_add(objects, Relaxed);
        }
    };
    let thread = std::thread::Builder::new().name("lazyfree".into()).spawn(free_all).ok()?;
    Some(Worker { queue, thread })
}

impl Drop for LazyFree {
    fn drop(&mut self) {
        if let Some(Worker { queue, thread }) = self.worker.take() {
            drop(queue);
            // A panic over there has been reported by the panic hook; nothing is left to do about it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;

    #[test]
    fn unlink_sends_large_values_away_and_frees_small_ones_here() {
        let mut w = World::with(&[("small", "v"), ("large", &"z".repeat(10 << 20))]);
        w.on("small", |db, k| db.unlink(k));
        assert_eq!(w.ks.lazyfree().pending_objects() + w.ks.lazyfree().freed_objects(), 0);
        w.on("large", |db, k| db.unlink(k));
        assert_eq!(w.ks.lazyfree().pending_objects() + w.ks.lazyfree().freed_objects(), 1);
        let counters = w.ks.lazyfree().counters.clone();
        drop(w);
        assert_eq!(counters.freed.load(super::Relaxed), 1, "the thread frees all it was given before it ends");
    }

    #[test]
    fn whoever_waits_is_told_after_what_came_before_is_freed() {
        let mut w = World::with(&[("large", &"z".repeat(10 << 20))]);
        w.on("large", |db, k| db.unlink(k));
        let counters = w.ks.lazyfree().counters.clone();
        let (told, seen) = std::sync::mpsc::channel();
        w.ks.when_freed(Box::new(move || told.send(counters.freed.load(super::Relaxed)).unwrap()));
        assert_eq!(seen.recv(), Ok(1));
    }

    #[test]
    fn what_would_stall_everybody_is_freed_elsewhere_without_being_asked_to() {
        let given = |w: &World| w.ks.lazyfree().pending_objects() + w.ks.lazyfree().freed_objects();
        let mut w = World::with(&[("large", &"z".repeat(5 << 20)), ("huge", &"z".repeat(100 << 20))]);
        w.on("large", |db, k| db.remove(k));
        assert_eq!(given(&w), 0, "some hundred allocations are freed here");
        w.on("huge", |db, k| db.remove(k));
        assert_eq!(given(&w), 1);
    }
}
