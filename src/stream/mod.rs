//! The write stream: every change of the data set as commands, in order, with offsets.
//!
//! # What this is
//!
//! [`Feed`] is the one sequence of bytes that replicas read, [`AppendBuffer`] what the append-only file is to keep: requests
//! in RESP, each encoded once. A position in it is an offset of 64 bits, the replication offset. Its tail, up to
//! `repl-backlog-size`, is the backlog: a replica that comes back within it goes on where it was.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no socket, no file, no clock. Readers are given shared slices of the same memory; nothing
//! is copied for one of them.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `encode.rs` | a unit as bytes: MULTI, SELECT, EXEC around its commands |
//! | `feed.rs` | the bytes, their offsets, who holds them |
//! | `spill.rs` | which of them lie on the disk |
//! | `append_buffer.rs` | what waits for the writer of the append-only file |
//!
//! # Read first
//!
//! [`Feed::emit`]: what a unit of work becomes.

mod append_buffer;
mod encode;
mod feed;
mod spill;

pub use append_buffer::AppendBuffer;
pub use feed::{Feed, Hold, PART_BYTES};
pub use spill::{SpillJob, SpillReport};
