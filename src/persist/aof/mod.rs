//! The append-only file: every write as a command, in files that are read from the first to the last.
//!
//! # What this is
//!
//! A directory of files in the layout of Redis 7 and 8: a *base* that holds the data as it was at one moment, *increments*
//! with the writes since then, and a *manifest* that names them in order. The files are Redis's; what is added to them
//! are lines that it skips, which tell a group of writes that is whole from one that is torn, damaged or not from here.
//!
//! # What it never does
//!
//! * It knows no socket, and no clock but the one it is given. Only `thread.rs` knows that there are threads.
//! * It believes no length that a file names: memory follows the bytes that are really there.
//! * It executes nothing: what is read are requests, as bytes.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `manifest/` | [`Manifest`]: which files there are, read, written, changed |
//! | `names.rs` | [`Names`]: what the files are called |
//! | `annotation.rs` | [`GroupWriter`]: the lines behind groups |
//! | `cut.rs` | cutting a file off |
//! | `scan/` | [`Scanner`]: a file as batches of commands, and how it ends |
//! | `directory.rs` | [`AofDirectory`]: the files as they are written, the steps from one set of them to the next, backups |
//! | `writer.rs` | what the loop asks for, when to sync, what follows from a failure |
//! | `thread.rs` | [`AofThread`]: the thread around the writer |
//!
//! # Read first
//!
//! [`Manifest`], then `annotation.rs`, then `scan/`.

mod annotation;
mod cut;
mod directory;
mod manifest;
mod names;
mod scan;
mod thread;
mod writer;

pub use annotation::{GROUP_BYTES_MAX, GroupLine, GroupWriter};
pub use cut::cut_off;
pub use directory::{AofDirectory, AofSettings, AofSizes, Tail, read_manifest};
pub use manifest::{Entry, Kind, Manifest, ManifestError, ManifestFault, OldFile};
pub use names::{Names, as_path};
pub use scan::{Batch, Behind, Command, Ending, Fault, FaultKind, Item, Scanner, Stamp, Step, Why, is_open_behind};
pub use thread::{AofThread, Clock, Tell, WriterFacts};
pub use writer::{Job, Position, Report, SyncPolicy, Writer};
