//! A counted B+ tree whose leaves are bounded runs of bytes: the order behind sorted sets, lists and streams.
//!
//! # What this is
//!
//! [`CowTree`] keeps a sequence of *leaves*, each a `Vec<u8>` whose content means something to the tree's user alone
//! (items of a sorted set, a listpack, records of a pending list). The user tells the tree two facts about a leaf, by
//! [`Items`]: how many items it has, and a small summary of its first one, the *bound*. In return the tree finds a leaf
//! by the number of an item ([`CowTree::seek_index`]) or by comparison ([`CowTree::seek`]), says how many items come
//! before it ([`Cursor::rank`]), walks both ways, and changes it in O(log n), copy-on-write by the epochs of
//! [`crate::cow`].
//!
//! ```text
//! CowTree | root | height | count | bytes |
//! branch  <= 1 KiB: birth, up to 63 of { node 8, count 8 }, bound                   (levels 2 and up)
//! bottom    <= 1 KiB: birth, up to 42 of { data 8, len, capacity, birth, count }, bound     (level 1)
//! leaf    the bytes, allocated as a Vec<u8> is: no header, so a user edits a real Vec in place
//! ```
//!
//! # How to use it
//!
//! ```ignore
//! let at = tree.seek(|edge| edge.bound() <= wanted).expect("not empty");   // a cursor: read, walk, rank
//! let path = at.path();                                                    // where it is, as plain numbers
//! let tail = tree.edit(heap, path, |leaf: &mut Vec<u8>| ... );             // change the bytes (split off a tail)
//! tree.insert(heap, Place::After(path), tail);                             // a new leaf beside it
//! tree.mend(heap, path);                                                   // after removals: join with a neighbour
//! ```
//!
//! * A leaf that has no items after an edit is removed by the tree.
//! * How large a leaf may be is the user's affair: bounded (so that a snapshot costs one bounded copy), but for one
//!   item that is larger than any bound, alone in its leaf, replaced or removed but never edited.
//! * A [`Path`] is good until a leaf is inserted, removed or joined. A stale one panics or finds another leaf; it
//!   never breaks the tree.
//! * The tree goes into a value as a field. The value's `fork` forks it, `destroy` destroys it, a value that replaces
//!   one of its trees gives the old one to [`CowTree::discard`]. Dropping it leaks.
//!
//! # What it never does
//!
//! * It never looks into a leaf, and never compares: users do, in their closures.
//! * A write never copies more than one bounded node a level (rule R, top-down), and frees nothing that a snapshot may
//!   read.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `node` | bottoms and branches: one allocation with two columns |
//! | `leaf` | the bytes of a leaf, and their way to a deadlist |
//! | `read` | [`Path`], [`Cursor`], seeking |
//! | `edit` | changing one leaf |
//! | `splice` | leaves that come and go; splits and merges of nodes |
//! | `cut` | many neighbouring leaves that go at once |
//! | `whole` | making, copying, freeing whole trees |
//! | `check` | the invariants |
//!
//! # Read first
//!
//! `node`, then `edit`.

mod check;
mod cut;
mod edit;
mod leaf;
mod node;
mod read;
mod splice;
mod whole;

use std::fmt::Debug;
use std::marker::PhantomData;

use crate::cow::Epoch;
use leaf::Leaf;
pub use leaf::reserve_step;
use node::Subtree;
pub use read::{Cursor, Edge, Path};

/// What a tree's leaves hold.
pub trait Items: 'static {
    /// A summary of an item, kept in the nodes above; at most 8 bytes aligned. `()` for what is found by number only.
    type Bound: Copy + PartialEq + Debug + Send + Sync + 'static;

    /// The summary of the first item of a leaf that has one.
    fn bound(leaf: &[u8]) -> Self::Bound;

    /// How many items a leaf has; called after every edit.
    fn count(leaf: &[u8]) -> usize;

    /// Whether two neighbouring leaves should be one: asked by [`CowTree::mend`], when one may have become small.
    fn joinable(_left: &[u8], _right: &[u8]) -> bool {
        false
    }

    /// Appends the items of the next leaf to this one, after `joinable` said yes.
    fn join(_left: &mut Vec<u8>, _right: &[u8]) {
        unreachable!("leaves that are not joinable are not joined")
    }
}

/// Where a new leaf goes.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Directly before this one.
    Before(Path),
    /// Directly after this one.
    After(Path),
}

/// Bottom nodes and branches between the root and a leaf, at most. A node is a quarter full, but for those at the two edges.
const HEIGHT_MAX: usize = 14;

/// The tree. See the module's header.
pub struct CowTree<I: Items> {
    /// The uppermost node, when `height` is not 0; its count is that of the tree.
    root: Subtree,
    /// The only leaf, when `height` is 0; without capacity and items in an empty tree.
    sole: Leaf,
    height: u8,
    origin: Epoch,
    leaves: usize,
    /// Bytes of all nodes and leaves.
    bytes: usize,
    items: PhantomData<fn(I)>,
}

// SAFETY: a tree owns its nodes (together with its forks, that is, with readers), and bounds are Send.
unsafe impl<I: Items> Send for CowTree<I> {}
// SAFETY: a shared tree is only read, and bounds are Sync.
unsafe impl<I: Items> Sync for CowTree<I> {}

impl<I: Items> CowTree<I> {
    /// A tree without leaves; it allocates nothing.
    pub fn new(now: Epoch) -> CowTree<I> {
        CowTree {
            root: Subtree::NONE,
            sole: Leaf::NONE,
            height: 0,
            origin: now,
            leaves: 0,
            bytes: 0,
            items: PhantomData,
        }
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        if self.height == 0 { self.sole.count as usize } else { self.root.count as usize }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many leaves there are.
    #[inline]
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    /// Bytes allocated for leaves and nodes.
    #[inline]
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// No node is older than this.
    #[inline]
    pub fn origin(&self) -> Epoch {
        self.origin
    }
}
