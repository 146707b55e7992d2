//! The dict: the hash table behind the keyspace, and behind every large hash and set.
//!
//! # What this is
//!
//! Extendible hashing with cache-line buckets, copied on write one bounded node at a time.
//!
//! ```text
//! root ──> chunk ──> segment ──> element          hash:  | directory: top bits | bucket | ........ | tag |
//!  16 B/slot  2 KiB    2 KiB      one allocation             depth <= 38         of 31                8
//! ```
//!
//! * A lookup is two cache misses: the bucket (seven tags compared as one word), the element. With the keys of a batch
//!   at hand, [`Table::prefetch_bucket`] and [`Table::prefetch_entry`] overlap them.
//! * Growth splits one segment at a time, and shrinking merges two: there is no table-sized pause, and never a second
//!   table.
//! * A snapshot is a copy of five words. The first write to a segment after it copies that segment (2 KiB), its chunk
//!   and the root, once each; see the room `cow` for the rule.
//! * The table is in hash order down to its buckets. So a SCAN cursor is a position in hash order that no split or
//!   merge moves, and an element can be found by a part of its hash.
//!
//! The ideas: extendible hashing (Fagin, Nievergelt, Pippenger, Strong), tags compared in a word (Swiss tables),
//! overflow counts instead of tombstones (F14), buckets of a cache line (Dash, Valkey), epochs and deadlists (ZFS).
//!
//! # What it never does
//!
//! * No operation does work in proportion to the table: not growing, not emptying, not a snapshot, not its end.
//! * It never changes or frees a node that a snapshot can read (rule R of `cow`).
//! * It never resizes by copying elements: an element stays where it was allocated until its own bytes change.
//! * Its cursors and positions mean nothing outside this process: the seed is the process's own.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `table` | [`Table`]: lookup, insertion, owning the path |
//! | `slot` | [`Slot`]: a key's place, occupied or vacant |
//! | `directory` | root and chunks |
//! | `segment`, `tags` | buckets: placing, finding, erasing |
//! | `grow`, `shrink` | splits and merges |
//! | `scan`, `sample` | SCAN, parts of hashes; random elements |
//! | `defrag` | moving nodes and elements closer together |
//! | `view`, `take` | the snapshot's side; emptying at once |
//! | `check` | the numbered invariants |
//! | `element` | [`Element`]: what a table can hold |
//! | `entry` | [`Entry`]: the element of the keyspace |
//!
//! # Read first
//!
//! `segment`, then `table`, then `grow`; `entry/layout` for the bytes of an entry.
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live

mod check;
mod defrag;
mod directory;
mod element;
mod entry;
mod grow;
mod prefetch;
mod sample;
mod scan;
mod segment;
mod shrink;
mod slot;
mod table;
mod tags;
mod take;
mod view;

pub use defrag::Visits;
pub use element::Element;
pub use entry::{Entry, EntryHead, EntryRef, Leftover, MovedPayload, Payload, PayloadRef};
pub use grow::Growth;
pub use scan::Fragment;
pub use slot::{OccupiedSlot, Slot, VacantSlot};
pub use table::{Table, TableStats};
pub use take::TakenTable;
pub use view::{SnapshotView, ViewIter};
