//! Keeping the data: snapshots to files and back.
//!
//! # What this is
//!
//! Saving as a state machine ([`Saver`]) with a thread that turns a snapshot of the keyspace into a file, without fork
//! and without stopping anybody; loading a file into a sink; the checker for files. The format itself is in
//! [`crate::rdb`].
//!
//! # What it never does
//!
//! * It executes no command, writes no reply, owns no socket and writes no log: it returns what happened, in types
//!   whose text is the log line.
//! * The saver reads no clock: `now` comes with the call. (The thread measures its own sleeps, nothing else.)
//! * It never touches a file that it could not load, and the target of a save is a complete file at every moment:
//!   see the steps in `save.rs`.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `saver.rs` | [`Saver`]: save points, BGSAVE, SAVE, abort, what INFO says |
//! | `save.rs` | the stream of records; temporary file, sync, rename, sync |
//! | `control.rs` | what the main thread shares with the snapshot thread: abort, delay, progress |
//! | `source.rs` | [`SnapshotSource`]: what is saved; the keyspace as one |
//! | `rewrite.rs` | a snapshot as commands |
//! | `load.rs` | [`Loader`], [`LoadSink`] |
//! | `incoming.rs` | a file that is loaded as it arrives |
//! | `outgoing.rs` | a file that is sent while it is written |
//! | `receive.rs` | a file that comes over the network |
//! | `spill.rs` | what the write stream keeps on the disk |
//! | `keyspace_sink.rs` | the keyspace as a sink's store |
//! | `aof/` | the append-only file |
//! | `status.rs` | INFO persistence |
//! | `check.rs`, `check_aof/`, `restore.rs` | the tools |
//!
//! # Read first
//!
//! The drawing in `saver.rs`, then the steps in `save.rs`.

pub mod aof;
pub mod check;
pub mod check_aof;
mod control;
mod incoming;
mod keyspace_sink;
mod load;
mod outgoing;
mod receive;
pub mod restore;
mod rewrite;
mod save;
mod saver;
mod source;
mod spill;
mod status;
#[cfg(test)]
mod tests;

pub use control::{KeyDelay, SaveControl};
pub use incoming::{Arrival, IncomingLoad};
pub use keyspace_sink::{load_entry, load_value, prefetch};
pub use load::{LoadEntry, LoadError, LoadNote, LoadSettings, LoadSink, Loaded, Loader, Step, Stored, load_stream};
pub use outgoing::{Outgoing, Taken};
pub use receive::{FileReceiver, Received};
pub use rewrite::write_commands;
pub use save::{
    CommandSettings, SaveError, SaveSettings, Saved, remove_stale_temps, save_file, temp_path, write_snapshot,
};
pub use saver::{Moment, SaveOutcome, Saver, StartError};
pub use source::{DatabaseSize, Item, KeyspaceSource, SnapshotSource};
pub use spill::SpillThread;
pub use status::{LoadCounts, LoadProgress, SaveStatus};
