//! Copy-on-write by epochs: the one mechanism behind every structure that a snapshot may read while it is written.
//!
//! # What this is
//!
//! There is no fork in this server, and there are no reference counts. Every heap node (a piece of the dict's
//! directory, a segment, an entry, a blob, the root of a value) carries the epoch of its *birth*. Opening a snapshot
//! writes the current epoch down, and begins the next one: 20 ns at any size. From then on rule R decides everything:
//!
//! > **Rule R.** A node may be changed in place or freed at once if and only if it was born after the newest live
//! > snapshot. Otherwise this node alone is copied (its children are shared), and the old one is *retired*.
//!
//! A retired node goes on the deadlist of the newest live snapshot. When that snapshot ends, the nodes that the next
//! older one can still see (birth <= its epoch) move to it; the others are freed in slices or by another thread. The
//! scheme is that of ZFS's deadlists.
//!
//! # What it never does
//!
//! * It never counts references, and has no atomic on the writer's path. A snapshot's end is one `Arc` going away.
//! * It never does work in proportion to the data in one call: retiring is a push, ending a snapshot moves a list.
//! * The reader of a snapshot never writes, and never reads a node that was born after its snapshot.
//! * Nothing is dropped behind the writer's back: a structure that shares nodes with a snapshot leaks when it is
//!   dropped carelessly; only a proof ([`Unshared`]) or a retirement frees.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `heap` | [`Heap`]: the epoch, the live snapshots, what waits to be freed |
//! | `snapshot` | [`Opening`], [`SnapshotTicket`]: the life of one snapshot |
//! | `deadlist` | the list of retired nodes, [`Garbage`] |
//! | `value` | [`CowValue`]: what a value must do to live in an entry |
//! | `blob` | [`Blob`]: one buffer with a birth |
//! | `defrag` | [`Defrag`]: moving nodes closer together |
//! | `fresh` | [`Fresh`]: a value that no entry has yet |
//!
//! # Read first
//!
//! `heap`, from `is_shared` to `reclaim`.
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live

mod blob;
mod deadlist;
mod defrag;
mod fresh;
mod heap;
mod snapshot;
mod value;

pub use blob::Blob;
pub use deadlist::Garbage;
pub(crate) use deadlist::{KNOWN_SIZE_MAX, Reclaim, Retired, free_memory};
pub use defrag::{Defrag, Progress};
pub use fresh::Fresh;
pub use heap::{Epoch, Heap, HeapStats};
pub(crate) use snapshot::Pin;
pub use snapshot::{Opening, SnapshotTicket};
pub use value::{CowValue, Unshared};
