//! The group `string`: values that are bytes.
//!
//! # What this is
//!
//! One `static` and one function per command. What a string *is* (where it lies, what OBJECT ENCODING says of it, how
//! it grows) is decided in [`crate::types::string`] and done in [`crate::db`]; here arguments become calls, and
//! answers become replies.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no handler searches a key twice. A command that reads in order to write takes the key's
//! place ([`crate::db::DbMut::entry`]) and decides there.
//!
//! **Architecture Invariant:** no handler makes one piece out of a large string, and none copies it to send it.
//!
//! # Map
//!
//! | file | commands |
//! | --- | --- |
//! | `counters.rs` | INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT |
//! | `get.rs` | GET, GETDEL, GETEX, GETSET, STRLEN |
//! | `set.rs` | SET, SETNX, SETEX, PSETEX, DELIFEQ |
//! | `options.rs` | the options of SET, GETEX and MSETEX |
//! | `multi.rs` | MGET, MSET, MSETNX, MSETEX |
//! | `ranges.rs` | APPEND, GETRANGE, SUBSTR, SETRANGE |
//! | `lcs.rs`, `subsequence.rs` | LCS, and its algorithm |
//!
//! # Read first
//!
//! `counters.rs`, which is the file to copy for a new family; then `set.rs`.

mod counters;
mod get;
mod lcs;
mod multi;
mod options;
mod ranges;
mod set;
mod subsequence;

use crate::db::{ExpiryUpdate, KeyEvent, KeySlot};
use crate::exec::spec::CommandSpec;
use crate::resp::{Args, Reply};
use crate::types::string::{Spelling, StringRef};

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &counters::INCR,
    &counters::DECR,
    &counters::INCRBY,
    &counters::DECRBY,
    &counters::INCRBYFLOAT,
    &get::GET,
    &get::GETDEL,
    &get::GETEX,
    &get::GETSET,
    &get::STRLEN,
    &set::SET,
    &set::SETNX,
    &set::SETEX,
    &set::PSETEX,
    &set::DELIFEQ,
    &multi::MGET,
    &multi::MSET,
    &multi::MSETNX,
    &multi::MSETEX,
    &ranges::APPEND,
    &ranges::GETRANGE,
    &ranges::SUBSTR,
    &ranges::SETRANGE,
    &lcs::LCS,
];

/// Replies with a whole value. A large one is shared with the reply buffer.
#[inline]
fn reply_value(reply: &mut Reply, value: StringRef<'_>) {
    match value {
        StringRef::Bytes(bytes) => reply.bulk(bytes),
        StringRef::Int(n) => reply.bulk_int(n),
        StringRef::Rope(rope) => reply.shared_bulk(rope.len(), rope.pieces(0..rope.len())),
    }
}

/// Argument `i` becomes the value. One that was received in pieces is made of them.
#[inline]
fn store(slot: KeySlot<'_>, args: Args<'_>, i: usize, expiry: ExpiryUpdate, event: KeyEvent) {
    match args.pieces(i) {
        None => slot.set_bytes(&args[i], Spelling::Value, expiry, event),
        Some(pieces) => slot.set_rope(pieces.into(), Spelling::Value, expiry, event),
    }
}
