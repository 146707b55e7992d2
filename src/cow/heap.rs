//! The epoch, the live snapshots, and what waits to be freed. One per instance, used by the writing thread alone.
//!
//! # Several snapshots
//!
//! BGSAVE, an AOF rewrite and a full resynchronisation may overlap. Say snapshots A (epoch 10) and B (epoch 20) live.
//! A node of birth 5 that is replaced now is seen by both, one of birth 15 by B alone; both go on B's deadlist,
//! because B is the newest. When B ends, its list is *sorted*: birth 5 <= 10 moves to A's list, birth 15 is freed.
//! When A ends first, only A's own list (what was retired before B was opened) is settled; B's list waits for B. The
//! sorting is done by [`Heap::reclaim`] in slices, like the freeing, and looks at the snapshots that live *then*.

use std::collections::VecDeque;
use std::sync::Arc;

use super::deadlist::{Deadlist, FreeFn, Garbage, Item, Kinds, Reclaim, Retired, free_deep};
use super::snapshot::{Opening, Pin};

/// When a node was made. Only a heap can name one, so a node never claims to be younger than it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Epoch(pub(crate) u32);

impl Epoch {
    /// Later than any epoch: the birth of what does not exist.
    pub(crate) const NEVER: Epoch = Epoch(u32::MAX);
}

/// The book-keeping of one instance's data.
pub struct Heap {
    epoch: u32,
    /// The epoch of the newest live snapshot; 0 when none lives. The one word that the hot path reads.
    newest: u32,
    /// Oldest first.
    live: Vec<Live>,
    /// The lists of snapshots that have ended.
    ended: VecDeque<Ended>,
    kinds: Kinds,
    stats: HeapStats,
}

struct Live {
    epoch: u32,
    pin: Arc<Pin>,
    dead: Deadlist,
}

struct Ended {
    epoch: u32,
    dead: Deadlist,
}

/// Older than the epoch of any snapshot.
const BEFORE_ALL: u32 = 0;

/// What snapshots cost at the moment.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct HeapStats {
    /// Snapshots that somebody still reads (as far as [`Heap::reap`] has noticed).
    pub live_snapshots: usize,
    /// Nodes that only snapshots need, or that wait to be freed after one.
    pub retired_nodes: u64,
    /// Bytes of these nodes, and of the lists they are on. A table that was flushed under a snapshot counts by its own
    /// estimate.
    pub retired_bytes: u64,
    /// Bytes copied on write since there was last no live snapshot; 0 when none lives (`current_cow_size`).
    pub cloned_bytes: u64,
}

impl HeapStats {
    /// A node comes to a list.
    #[inline]
    fn put(&mut self, list: &mut Deadlist, item: Item) {
        let before = list.bytes();
        list.push(item);
        self.retired_nodes += 1;
        self.retired_bytes += list.bytes() - before;
    }

    /// A node leaves a list.
    #[inline]
    fn take(&mut self, list: &mut Deadlist) -> Option<Item> {
        let before = list.bytes();
        let item = list.pop();
        self.retired_nodes -= u64::from(item.is_some());
        self.retired_bytes -= before - list.bytes();
        item
    }

    /// A whole list leaves the heap.
    fn leaves(&mut self, list: &Deadlist) {
        self.retired_nodes -= list.items();
        self.retired_bytes -= list.bytes();
    }
}

impl Default for Heap {
    fn default() -> Heap {
        Heap::new()
    }
}

impl Heap {
    /// A heap without data, in its first epoch.
    pub fn new() -> Heap {
        Heap {
            epoch: 1,
            newest: 0,
            live: Vec::new(),
            ended: VecDeque::new(),
            kinds: Kinds::default(),
            stats: HeapStats::default(),
        }
    }

    /// The birth of a node made now.
    #[inline]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Rule R: a node may be changed in place or freed at once if and only if this says no.
    #[inline]
    pub fn is_shared(&self, birth: Epoch) -> bool {
        birth.0 <= self.newest
    }

    /// Whether any snapshot lives (as far as [`Heap::reap`] has noticed).
    #[inline]
    pub fn has_snapshot(&self) -> bool {
        self.newest != 0
    }

    /// Begins a snapshot: everything that exists now is shared from here on. O(1).
    pub fn open_snapshot(&mut self) -> Opening<'_> {
        let pin = Pin::new();
        self.newest = self.epoch;
        self.live.push(Live { epoch: self.epoch, pin: pin.clone(), dead: Deadlist::default() });
        self.epoch = self.epoch.checked_add(1).expect("a snapshot every second lasts for 136 years");
        Opening::new(self, pin)
    }

    /// Notices the snapshots that have ended; returns how many. Cheap: once a turn while one lives.
    pub fn reap(&mut self) -> usize {
        let before = self.live.len();
        for mut snapshot in self.live.extract_if(.., |snapshot| Pin::is_last(&mut snapshot.pin)) {
            if !snapshot.dead.is_empty() {
                self.ended.push_back(Ended { epoch: snapshot.epoch, dead: std::mem::take(&mut snapshot.dead) });
            }
        }
        self.newest = self.live.last().map_or(0, |snapshot| snapshot.epoch);
        if self.live.is_empty() {
            self.stats.cloned_bytes = 0;
        }
        before - self.live.len()
    }

    /// Frees (or moves to an older snapshot) at most about `max_items` nodes; true if there is more to do.
    pub fn reclaim(&mut self, max_items: usize) -> bool {
        let mut budget = max_items;
        while let Some(mut ended) = self.ended.pop_front() {
            let heir = self.live.iter().rposition(|snapshot| snapshot.epoch < ended.epoch);
            while budget > 0
                && let Some(item) = self.stats.take(&mut ended.dead)
            {
                match heir {
                    Some(heir) if item.birth <= self.live[heir].epoch => {
                        self.stats.put(&mut self.live[heir].dead, item);
                        budget -= 1;
                    }
                    _ => self.free(item, &mut ended.dead, &mut budget),
                }
            }
            if !ended.dead.is_empty() {
                self.ended.push_front(ended);
                return true;
            }
            self.stats.leaves(&ended.dead);
        }
        false
    }

    fn free(&mut self, item: Item, list: &mut Deadlist, budget: &mut usize) {
        // SAFETY: every snapshot that could read the node has ended: the one whose list it was on was the newest that
        // saw it, and no older live one has an epoch as high as its birth.
        if !unsafe { self.kinds.free(item, budget) } {
            *budget = 0;
            self.stats.put(list, item);
        }
    }

    /// Everything that can be freed without sorting, for another thread. Call it until it gives nothing.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        let oldest_live = self.live.first().map_or(u32::MAX, |snapshot| snapshot.epoch);
        let at = self.ended.iter().position(|ended| ended.epoch < oldest_live)?;
        let dead = self.ended.remove(at)?.dead;
        self.stats.leaves(&dead);
        // SAFETY: the list's snapshot has ended, and all live ones are younger: they never saw these nodes.
        Some(unsafe { Garbage::new(dead, self.kinds.clone()) })
    }

    /// Whether [`Heap::reclaim`] or [`Heap::take_garbage`] has something to do.
    pub fn has_garbage(&self) -> bool {
        !self.ended.is_empty()
    }

    /// What snapshots cost at the moment.
    pub fn stats(&self) -> HeapStats {
        HeapStats { live_snapshots: self.live.len(), ..self.stats }
    }

    /// Puts a node that was unlinked from the live data on the newest snapshot's deadlist.
    ///
    /// # Safety
    /// The node is shared ([`Heap::is_shared`]), unreachable from the live data, retired once, of a type that may be
    /// freed by any thread; `free` fits it.
    pub(crate) unsafe fn retire(&mut self, retired: Retired) {
        debug_assert!(self.is_shared(retired.birth), "an unshared node is freed at once");
        let item = self.kinds.item(&retired);
        let newest = self.live.last_mut().expect("a node is shared only while a snapshot lives");
        self.stats.put(&mut newest.dead, item);
    }

    /// Frees a node that was unlinked from the live data, or retires it if a snapshot may read it.
    ///
    /// # Safety
    /// As for [`Heap::retire`], but for being shared.
    #[inline]
    pub(crate) unsafe fn release(&mut self, retired: Retired) {
        if self.is_shared(retired.birth) {
            // SAFETY: the caller's promise.
            unsafe { self.retire(retired) };
        } else {
            // SAFETY: the caller's promise, and rule R.
            let done = unsafe { (retired.free)(retired.node, retired.bytes, &mut { usize::MAX }) };
            debug_assert!(done, "only a deep item is freed in parts");
        }
    }

    /// Retires something big that owns nodes of all ages, none older than `oldest`, which is shared.
    pub(crate) fn retire_deep<T: Reclaim>(&mut self, value: Box<T>, oldest: Epoch, bytes: usize) {
        let node = std::ptr::NonNull::from(Box::leak(value)).cast();
        // SAFETY: the value came by `Box`, so it is unlinked and owned; it stays on the lists until no snapshot that
        // lives now and is at least as old as its oldest node can read it.
        unsafe { self.retire(Retired { node, birth: oldest, bytes, free: free_deep::<T> as FreeFn }) }
    }

    /// Takes something big that has left the live data and owns nodes of all ages, none older than `oldest`. Nothing is
    /// freed now: [`Heap::reclaim`] does it in slices, or another thread ([`Heap::take_garbage`]), when no snapshot can
    /// read any of it.
    pub(crate) fn free_later<T: Reclaim>(&mut self, value: Box<T>, oldest: Epoch, bytes: usize) {
        if self.is_shared(oldest) {
            return self.retire_deep(value, oldest, bytes);
        }
        let node = std::ptr::NonNull::from(Box::leak(value)).cast();
        let item = self.kinds.item(&Retired { node, birth: oldest, bytes, free: free_deep::<T> as FreeFn });
        // No live snapshot ever saw it: it waits as if in the list of one that ended before all of them began.
        match self.ended.back_mut() {
            Some(ended) if ended.epoch == BEFORE_ALL => self.stats.put(&mut ended.dead, item),
            _ => {
                let mut dead = Deadlist::default();
                self.stats.put(&mut dead, item);
                self.ended.push_back(Ended { epoch: BEFORE_ALL, dead });
            }
        }
    }

    /// Counts bytes that were copied because a snapshot shared them.
    #[inline]
    pub(crate) fn note_cloned(&mut self, bytes: usize) {
        self.stats.cloned_bytes += bytes as u64;
    }
}

impl Drop for Heap {
    /// Frees what has ended. What a live snapshot may read is leaked, the one thing that is safe.
    fn drop(&mut self) {
        self.reap();
        while self.reclaim(usize::MAX) {}
        for snapshot in &mut self.live {
            std::mem::forget(std::mem::take(&mut snapshot.dead));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts the values that live.
    struct Counted(Arc<AtomicUsize>);
    impl Counted {
        fn new(live: &Arc<AtomicUsize>) -> Box<Counted> {
            live.fetch_add(1, Ordering::Relaxed);
            Box::new(Counted(live.clone()))
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    impl Reclaim for Counted {
        fn free_some(&mut self, budget: &mut usize) -> bool {
            *budget = budget.saturating_sub(1);
            true
        }
    }

    fn alive(live: &Arc<AtomicUsize>) -> usize {
        live.load(Ordering::Relaxed)
    }

    #[test]
    fn sharing_begins_with_a_snapshot_and_ends_with_it() {
        let mut heap = Heap::new();
        let born = heap.epoch();
        assert!(!heap.is_shared(born));
        let ticket = heap.open_snapshot().ticket();
        assert!(heap.is_shared(born) && !heap.is_shared(heap.epoch()));
        assert_eq!(heap.reap(), 0);
        std::thread::spawn(move || drop(ticket)).join().expect("no panic");
        assert_eq!(heap.reap(), 1);
        assert!(!heap.is_shared(born));
    }

    #[test]
    fn a_retired_node_outlives_its_snapshot_only() {
        let live = Arc::new(AtomicUsize::new(0));
        let mut heap = Heap::new();
        let born = heap.epoch();
        let ticket = heap.open_snapshot().ticket();
        for _ in 0..10 {
            heap.retire_deep(Counted::new(&live), born, 100);
        }
        assert_eq!(heap.stats().retired_nodes, 10);
        assert_eq!(heap.stats().retired_bytes, 10 * 112 + 32 * 16, "what they take, and a list for them");
        assert!(!heap.reclaim(100));
        drop(ticket);
        heap.reap();
        assert!(heap.reclaim(4));
        assert_eq!(alive(&live), 6);
        assert!(!heap.reclaim(100));
        assert_eq!(alive(&live), 0);
        assert_eq!(heap.stats(), HeapStats::default());
    }

    #[test]
    fn lists_count_and_begin_small() {
        let live = Arc::new(AtomicUsize::new(0));
        let mut heap = Heap::new();
        let born = heap.epoch();
        let tickets = [heap.open_snapshot().ticket(), heap.open_snapshot().ticket()];
        let lists = [(1, 32), (1000, 32 + 256 + 2048), (10_000, 32 + 256 + 2048 + 2 * 4096)];
        let mut retired = 0;
        for (nodes, room) in lists {
            (retired..nodes).for_each(|_| heap.retire_deep(Counted::new(&live), born, 8));
            retired = nodes;
            assert_eq!(heap.stats().retired_bytes, (nodes * 8 + room * 16) as u64);
        }
        let [older, newer] = tickets;
        drop(newer);
        heap.reap();
        assert!(!heap.reclaim(usize::MAX), "all go to the other list");
        assert_eq!((heap.stats().retired_nodes, alive(&live)), (retired as u64, retired));
        drop(older);
        heap.reap();
        while heap.reclaim(100) {}
        assert_eq!(heap.stats(), HeapStats::default());
    }

    #[test]
    fn several_snapshots_pass_nodes_down() {
        let live = Arc::new(AtomicUsize::new(0));
        let mut heap = Heap::new();
        let old = heap.epoch();
        let first = heap.open_snapshot().ticket();
        let middle = heap.epoch();
        let second = heap.open_snapshot().ticket();
        heap.retire_deep(Counted::new(&live), old, 8); // both see it
        heap.retire_deep(Counted::new(&live), middle, 8); // only the second does
        drop(second);
        assert_eq!(heap.reap(), 1);
        assert!(heap.take_garbage().is_none(), "a list with an heir must be sorted first");
        assert!(!heap.reclaim(100));
        assert_eq!(alive(&live), 1);
        drop(first);
        heap.reap();
        let garbage = heap.take_garbage().expect("nobody reads it");
        assert_eq!((garbage.items(), heap.stats().retired_nodes), (1, 0));
        std::thread::spawn(move || drop(garbage)).join().expect("no panic");
        assert_eq!(alive(&live), 0);
    }

    #[test]
    fn what_no_snapshot_saw_is_freed_later_all_the_same() {
        let live = Arc::new(AtomicUsize::new(0));
        let mut heap = Heap::new();
        let old = heap.epoch();
        heap.free_later(Counted::new(&live), old, 8);
        assert_eq!((alive(&live), heap.stats().retired_nodes), (1, 1), "not now");
        let ticket = heap.open_snapshot().ticket();
        let young = heap.epoch();
        heap.free_later(Counted::new(&live), old, 8); // the snapshot sees it
        heap.free_later(Counted::new(&live), young, 8);
        assert!(heap.has_garbage());
        let garbage = heap.take_garbage().expect("two are nobody's");
        assert_eq!(garbage.items(), 2);
        std::thread::spawn(move || drop(garbage)).join().expect("no panic");
        assert_eq!(alive(&live), 1);
        assert!(!heap.reclaim(100));
        drop(ticket);
        heap.reap();
        assert!(!heap.reclaim(100));
        assert_eq!((alive(&live), heap.stats()), (0, HeapStats::default()));
    }

    #[test]
    fn the_older_may_end_first() {
        let live = Arc::new(AtomicUsize::new(0));
        let mut heap = Heap::new();
        let old = heap.epoch();
        let first = heap.open_snapshot().ticket();
        heap.retire_deep(Counted::new(&live), old, 8); // the second never sees it
        let second = heap.open_snapshot().ticket();
        heap.retire_deep(Counted::new(&live), old, 8);
        drop(first);
        heap.reap();
        assert!(!heap.reclaim(100));
        assert_eq!(alive(&live), 1);
        drop(second);
        heap.reap();
        assert!(!heap.reclaim(100));
        assert_eq!(alive(&live), 0);
    }
}
