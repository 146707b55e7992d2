//! The keyspace: every key of the instance, its value, its time.
//!
//! # What this is
//!
//! Databases on top of [`crate::dict`]: lookups that know about time and count themselves, handles that change a key
//! found once, an exact index of deadlines, watched keys, background freeing, snapshots for the threads that write
//! files, and bulk loading.
//!
//! # What it never does
//!
//! It executes no command and writes no reply; it does not propagate, notify or invalidate, it notes what happened for
//! those who do. It reads no clock: the moment comes with the call. A table is never written to except by the handles
//! in [`slot`] and the few functions that delete and move whole entries, which keep the expiry index, the watchers and
//! the change counter in step.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`keyspace`] | [`Keyspace`]: all databases, what they share, options and counters |
//! | [`data`] | [`DbMut`]: one database during one command; lookups and simple writes |
//! | [`slot`] | [`KeySlot`]: one key to be read, changed or made, found by one probe |
//! | [`place`] | collections in their entries, and whole values |
//! | [`entry`] | [`Key`], [`EntryRef`]: a key with its hash; reading one entry |
//! | [`expiry`] | deadlines in order |
//! | [`expired`] | deleting what ran out of time |
//! | [`charge`] | what long strings are charged, whoever shares them |
//! | [`evict`], `density` | which key goes when memory is full; what keys of a class are worth |
//! | [`access`] | when, or how often, a key was used |
//! | [`transfer`] | RENAME, MOVE, COPY |
//! | [`whole`] | FLUSHDB, SWAPDB, and WATCH across databases |
//! | [`watch`] | who watches what |
//! | [`trace`] | what a write leaves behind: commands to propagate, events, changed keys |
//! | [`aside`] | a unit that others interrupt |
//! | [`undo`] | taking back what a unit has changed |
//! | [`blocking_keys`] | which keys blocked clients wait for |
//! | [`defrag`] | moving what lies in sparse memory |
//! | [`lazyfree`] | the thread that frees |
//! | [`snapshot`] | the keyspace at one moment |
//! | [`read`], [`past`] | reading, live or from a snapshot; one database as it was |
//! | [`load`] | filling it wholesale |
//! | `declared` | whether a command keeps to what it has declared (debug builds) |
//! | [`digest`] | DEBUG DIGEST |
//! | [`sizes`] | INFO keysizes |
//!
//! # Read first
//!
//! [`data`], then [`slot`], then [`expiry`].

pub mod access;
pub mod aside;
pub mod blocking_keys;
mod charge;
pub mod data;
mod declared;
pub mod defrag;
mod density;
mod digest;
pub mod entry;
pub mod evict;
mod expired;
pub mod expiry;
pub mod keyspace;
pub mod lazyfree;
pub mod load;
pub mod past;
pub mod place;
pub mod read;
pub mod sizes;
pub mod slot;
pub mod snapshot;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod transfer;
pub mod undo;
#[cfg(test)]
mod undo_tests;
pub mod watch;
pub mod whole;

pub use access::AccessPolicy;
pub use data::{DbMut, IncrError};
#[cfg(debug_assertions)]
pub use declared::Declared;
pub use entry::{EntryRef, Key};
pub use keyspace::{Cause, DbInfo, Keyspace, Options, REPLAYED_MS, Stats};
pub use load::{Loaded, LoadedEntry};
pub use past::{Lookups, PastDb};
pub use place::Reading;
pub use read::Readable;
pub use slot::{ExpiryUpdate, KeySlot, Occupied, Vacant};
pub use snapshot::{DbSnapshot, KeyspaceSnapshot};
pub use trace::{Event, Events, KeyEvent, Op, Target, Touched, TouchedKeys, Trace};
pub use transfer::Transfer;
pub use whole::FlushMode;

pub use crate::types::ValueRef;

use crate::types::Object;
