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
//! * It knows no thread, no clock and no socket: bytes and names go in and come out.
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
//! | `scan/` | [`Scanner`]: a file as batches of commands, and how it ends |
//!
//! # Read first
//!
//! [`Manifest`], then `annotation.rs`, then `scan/`.

mod annotation;
mod manifest;
mod names;
mod scan;

pub use annotation::{GROUP_BYTES_MAX, GroupLine, GroupWriter};
pub use manifest::{Entry, Kind, Manifest, ManifestError, ManifestFault, OldFile};
pub use names::Names;
pub use scan::{Batch, Command, Ending, Fault, FaultKind, Scanner, Stamp, Step, Why};
