//! The packed table: keys with small values, packed forty to an allocation; copied on write.
//!
//! # What this is
//!
//! The large encoding of sets and hashes, and the index by member of sorted sets. The keyspace's dict spends an
//! allocation on every element, and must: its elements are of all sizes and live long. Here elements are short, so
//! they lie next to each other in a [`leaf`], and one costs two bytes beyond its own.
//!
//! ```text
//! directory ──> leaf { birth, tags, lengths, data }        hash:  tag (8 bits) ........ number of the leaf (low bits)
//!  radix tree    ~640 bytes
//! ```
//!
//! * **Linear hashing** (Litwin): there are `n` leaves, and the low bits of a hash are the number of its leaf, one bit
//!   more for those leaves that have been split in this round. When the data outgrows `n` times [`LEAF_MEAN`], leaf
//!   `n - 2^k` is split, and its second half becomes leaf `n`. A leaf has no fixed size, so none overflows, and none
//!   needs to be split before its turn. Growth is one leaf at a time, and so is shrinking.
//! * **Copy-on-write**: each leaf and each node of the directory has a birth. Under a snapshot the first write to a leaf
//!   copies it and the two or three nodes above it, 2 KiB at most each. See the room `cow` for the rule.
//! * **Order**: read the bits of hashes backwards, and all hashes of a leaf are one interval, whatever splits and merges
//!   do. So a SCAN cursor is a position in that order, as in `dict`.
//!
//! # What it never does
//!
//! No operation but reading or copying everything does work in proportion to the table. Dropping a table leaks what it
//! holds, because a snapshot might be reading: it is [destroyed](PackedTable::destroy) with a proof that none does, or
//! left to the deadlist with the value it belongs to.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `table` | [`PackedTable`]: lookup, insertion, removal |
//! | `grow` | which leaf a hash belongs to; splits and merges |
//! | `retain` | bulk removal |
//! | `scan` | SCAN, iteration, random elements |
//! | `life` | forks, copies, destruction, memory |
//! | `leaf`, `outside` | the bytes of a leaf; elements too long for one |
//! | `directory` | from a leaf's number to the leaf |
//! | `shape` | what elements are made of |
//!
//! # Read first
//!
//! The picture in `leaf`, then `table`, then `grow`.

mod directory;
mod grow;
mod leaf;
mod life;
mod out_of_line;
mod retain;
mod scan;
mod shape;
mod table;

pub use life::FreshTable;
pub use retain::is_many;
pub use scan::Iter;
pub use shape::{Element, Keys, KeysWithValues, KeysWithWords, Shape, ValueShape};
pub use table::{LEAF_MEAN, PackedTable};
