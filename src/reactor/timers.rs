//! Deadlines with cancellation.
//!
//! A binary heap of (deadline, id), and a slab of what each is for. Cancelling empties the slab's slot and leaves
//! the heap alone; entries whose slot is gone or was given to another are skipped when they come up. When more than
//! half of the heap is such dead weight it is rebuilt, so a client that sets and cancels a timer a million times
//! holds no memory.
//!
//! Times are the caller's nanoseconds from a clock that never goes back. Nothing here reads one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slab::Slab;

/// A timer. Like a `ConnId`, an old one never names a later timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    purpose: T,
}

/// Deadlines, each with what it is for.
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<(u64, TimerId)>>,
    slots: Slab<Slot<T>>,
    next_generation: u32,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Timers<T> {
    /// No timers.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Slab::new(), next_generation: 0 }
    }

    /// Sets a timer.
    pub fn set(&mut self, deadline_ns: u64, purpose: T) -> TimerId {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        let index = self.slots.insert(Slot { generation, purpose }) as u32;
        let id = TimerId { index, generation };
        self.heap.push(Reverse((deadline_ns, id)));
        id
    }

    /// Takes a timer back, with what it was for; `None` if it has gone off or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let purpose = self.take(id)?;
        if self.heap.len() > 64 && self.heap.len() > 2 * self.slots.len() {
            let slots = &self.slots;
            self.heap.retain(|Reverse((_, id))| is_live(slots, *id));
        }
        Some(purpose)
    }

    /// The earliest deadline.
    pub fn next_deadline(&mut self) -> Option<u64> {
        loop {
            let Reverse((deadline_ns, id)) = *self.heap.peek()?;
            if is_live(&self.slots, id) {
                return Some(deadline_ns);
            }
            self.heap.pop();
        }
    }

    /// Takes the earliest timer whose deadline is `now_ns` or before. Call until `None`.
    pub fn pop_due(&mut self, now_ns: u64) -> Option<(TimerId, T)> {
        if self.next_deadline()? > now_ns {
            return None;
        }
        let Reverse((_, id)) = self.heap.pop()?;
        self.take(id).map(|purpose| (id, purpose))
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when no timer is set.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn take(&mut self, id: TimerId) -> Option<T> {
        is_live(&self.slots, id).then(|| self.slots.remove(id.index as usize).purpose)
    }
}

fn is_live<T>(slots: &Slab<Slot<T>>, id: TimerId) -> bool {
    slots.get(id.index as usize).is_some_and(|slot| slot.generation == id.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_go_off_in_order_and_not_before_their_time() {
        let mut timers = Timers::new();
        let b = timers.set(20, 'b');
        timers.set(10, 'a');
        timers.set(30, 'c');
        assert_eq!(timers.next_deadline(), Some(10));
        assert!(timers.pop_due(9).is_none());
        assert_eq!(timers.pop_due(25).map(|t| t.1), Some('a'));
        assert_eq!(timers.pop_due(25), Some((b, 'b')));
        assert!(timers.pop_due(25).is_none());
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.cancel(b), None, "it has gone off");
    }

    #[test]
    fn a_cancelled_timer_is_silent_and_its_slot_is_safe() {
        let mut timers = Timers::new();
        let a = timers.set(10, 'a');
        assert_eq!(timers.cancel(a), Some('a'));
        let b = timers.set(50, 'b');
        assert_eq!(timers.cancel(a), None, "the slot is another's now");
        assert_eq!(timers.next_deadline(), Some(50));
        assert_eq!(timers.pop_due(u64::MAX), Some((b, 'b')));
        assert!(timers.is_empty() && timers.next_deadline().is_none());
    }

    #[test]
    fn set_and_cancel_for_ever_holds_no_memory() {
        let mut timers = Timers::new();
        timers.set(u64::MAX, 0);
        for i in 0..100_000 {
            let id = timers.set(1_000_000 + i, 1);
            timers.cancel(id);
        }
        assert!(timers.heap.len() <= 66 && timers.slots.capacity() < 16, "{}", timers.heap.len());
        assert_eq!(timers.pop_due(u64::MAX).map(|t| t.1), Some(0));
    }
}
