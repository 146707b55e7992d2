//! What a value must do to live in an entry of the keyspace.
//!
//! A value is one node in a box (a rope, later the root of a hash or a list). While a snapshot shares it, the writer
//! changes a *fork*: a new root over the same inner nodes. From then on two roots own what is below, so the older one
//! is freed as a shell. A value that leaves the data altogether is destroyed as a whole, once no snapshot reads it.
//!
//! A value whose inner nodes have counts of their own (the pieces of a rope are `Arc`s) needs none of the three
//! default methods: dropping a fork never frees what another still has.

use super::{Defrag, Epoch, Heap, Progress};

/// Witness that no snapshot can read a value that is being freed. Only this crate's cow structures make one.
pub struct Unshared(());

impl Unshared {
    /// # Safety
    /// Whatever this is shown to belongs to the caller alone: no snapshot and no other thread can reach it.
    pub(crate) unsafe fn proven() -> Unshared {
        Unshared(())
    }
}

/// A value that lives in a node of its own and is shared between the writer and snapshots.
pub trait CowValue: Send + Sync + Sized + 'static {
    /// When this root was made: [`Heap::epoch`] at construction or fork.
    fn birth(&self) -> Epoch;

    /// A lower bound of the births of all nodes inside: the epoch of construction, which forks keep.
    fn origin(&self) -> Epoch {
        self.birth()
    }

    /// A copy that may be changed, born now, sharing the nodes below the root.
    fn fork(&self, heap: &mut Heap) -> Self;

    /// Frees the root alone, after `fork` made another owner of what is below.
    fn drop_shell(self) {
        drop(self);
    }

    /// Frees a part worth `budget` (and lowers it) of a large value; true when the rest is small enough for `destroy`.
    fn destroy_some(&mut self, budget: &mut usize, _proof: &Unshared) -> bool {
        *budget = budget.saturating_sub(self.free_effort());
        true
    }

    /// Frees everything.
    fn destroy(self, _proof: &Unshared) {
        drop(self);
    }

    /// How many allocations freeing takes, roughly: lazy free decides by it.
    fn free_effort(&self) -> usize {
        1
    }

    /// How many elements there are: a value of many is not moved at one go.
    fn elements(&self) -> usize {
        1
    }

    /// Moves nodes below the root to where they lie closer together, from `progress` on, which goes up at each call, until
    /// the end (then it says true) or until the budget is used up.
    fn defrag(&mut self, _defrag: &mut Defrag<'_>, _progress: &mut Progress) -> bool {
        true
    }

    /// Heap bytes beyond `size_of::<Self>()`.
    fn memory(&self) -> usize;
}
