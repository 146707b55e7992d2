//! The RDB format: snapshots of a keyspace in a file, and single values in DUMP payloads.
//!
//! # What this is
//!
//! Readers and writers for the format that Redis has used since 2.2, in versions 1 to 12 (written: 10 to 12), over
//! `std::io`. Valkey's version 80 is read, too. They know records, lengths, strings, compression and the checksum; how a list or a hash is laid out
//! is written by its type, with the elements offered here.
//!
//! Version 11 is written unless the data needs 12 (fields with expiries) or a parameter asks for another: 11 is
//! what all of Redis 7.2 to 8 and Valkey read, and no string needs more.
//!
//! # What it never does
//!
//! * It opens no file, starts no thread and reads no clock: `persist` does.
//! * It never trusts a length: see `reader.rs`. Wrong bytes give an [`RdbError`] with offset and section, never a
//!   panic, and never memory in proportion to a number in the file.
//! * It holds no type's value. The one thing it knows about them is how to pass over them (`skip.rs`).
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `opcodes.rs` | the bytes of the format, a drawing of a file, [`TypeOpcode`] |
//! | `writer.rs`, `write_file.rs` | [`RdbWriter`]: elements; records of a file |
//! | `reader.rs`, `read_file.rs` | [`RdbReader`]: elements; [`FileReader`]: records as [`Event`]s |
//! | `ahead.rs` | which keys come soon |
//! | `long.rs` | long strings, part by part |
//! | `skip.rs`, `blobs.rs` | passing over any value, its layout checked |
//! | `payload.rs` | DUMP's footer |
//! | `error.rs` | [`RdbError`] |
//!
//! # Read first
//!
//! The drawing at the head of `opcodes.rs`, then `write_file.rs`, then `read_file.rs`.

mod access;
mod ahead;
mod blobs;
mod error;
mod long;
pub mod opcodes;
pub mod payload;
mod read_file;
mod reader;
mod skip;
mod write_file;
mod writer;

pub use access::Access;
pub use error::{Printable, RdbError, Section, Why};
pub use opcodes::{Dialect, TypeOpcode};
pub use read_file::{Checksum, Event, FileReader, KeyInfo};
pub use reader::{RdbReader, RdbString, ReadOptions};
pub use skip::{ModuleId, SkippedValue};
pub use writer::{RdbWriter, WriteOptions};
