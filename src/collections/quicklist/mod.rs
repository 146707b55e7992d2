//! Quicklist: a long list, as a sequence of listpacks.
//!
//! ```text
//! head            middle: a counted tree of nodes                 tail
//! [ 41 elements ] [ 600 | 602 | 598 | ... | 601 | large | 600 ]   [ 17 elements ]
//! ```
//!
//! # The nodes are Redis's
//!
//! A list is cut into nodes by the rules of Redis's own quicklist: when a node is full, what happens when something is
//! put into a full one, which neighbours are joined. So OBJECT ENCODING, whose answer depends on how many nodes there
//! are, and DUMP say the same as there after the same commands. Two things differ. No node is made larger than 8 KiB
//! even if `list-max-listpack-size` allows 64, because a write to a node that a snapshot shares copies it. And a node
//! that LSET has made far larger than it may be is cut.
//!
//! # The two ends
//!
//! The outermost nodes lie in the root ([`end`]), with room on both sides: LPUSH moves a listpack's header by a few
//! bytes to the left and nothing else, and neither end's traffic touches the tree. Where a node becomes full it goes
//! to the tree, and another begins; where one becomes empty, its neighbour comes out. The head is there as soon as the
//! list has an element, the tail as soon as it has two nodes.
//!
//! # Snapshots
//!
//! A fork of the root shares everything; the first write to a node copies that node ([`crate::cow`]'s rule R), and the
//! tree copies one node a level. `list-compress-depth` keeps the nodes of the middle compressed, but for the first and
//! last few; a change of such a node unpacks it, and packs it again.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `node` | the bytes of a node: packed, plain, compressed; [`Fill`], the limits |
//! | `end` | a node with room on both sides |
//! | `read` | finding and walking |
//! | `edit` | pushing, popping, inserting, replacing, removing |
//! | `nodes` | nodes that come and go, splits, joins, compression |
//! | `whole` | making, sharing, freeing whole lists |

mod edit;
mod end;
mod node;
mod nodes;
mod read;
#[cfg(test)]
mod tests;
mod whole;

use super::tree::{CowTree, Items};
use crate::cow::Epoch;
use end::End;
pub use node::{Fill, NODE_MAX, set_large_from};
pub use read::NodeRef;
pub use whole::SavedNode;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Head,
    Tail,
}

/// How nodes are cut and compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    pub fill: Fill,
    /// `list-compress-depth`: so many nodes at either end are not compressed; 0 compresses none.
    pub depth: u32,
}

/// A list in nodes. Dropping it leaks: it is freed by [`Quicklist::destroy`], after [`Quicklist::fork`] by nobody.
pub struct Quicklist {
    birth: Epoch,
    /// No node is older.
    origin: Epoch,
    shape: Shape,
    head: End,
    middle: CowTree<Nodes>,
    tail: End,
}

/// The leaves of the tree.
enum Nodes {}

impl Items for Nodes {
    type Bound = ();

    fn bound(_leaf: &[u8]) {}

    #[inline]
    fn count(leaf: &[u8]) -> usize {
        node::count(leaf)
    }
}
