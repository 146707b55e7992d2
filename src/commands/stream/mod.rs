//! The group `stream`: logs of entries, and groups of consumers that read them.
//!
//! # What this is
//!
//! One `static` and one function per command. What a stream is, and what becomes of its groups when something is
//! delivered, claimed or acknowledged, is decided in [`crate::types::stream`]; here arguments become calls and answers
//! become replies.
//!
//! # What it never does
//!
//! **Architecture Invariant:** a stream that has become empty stays: nothing here removes a key.
//!
//! **Architecture Invariant:** whatever is wrong with the arguments is found before anything is changed.
//!
//! # Map
//!
//! | file | commands |
//! | --- | --- |
//! | `add.rs` | XADD, XTRIM |
//! | `range.rs` | XLEN, XRANGE, XREVRANGE |
//! | `remove.rs` | XDEL, XSETID |
//! | `delete.rs` | XDELEX, XACKDEL |
//! | `read.rs` | XREAD, XREADGROUP |
//! | `pending.rs` | XACK, XPENDING |
//! | `claim.rs` | XCLAIM, XAUTOCLAIM |
//! | `group.rs` | XGROUP |
//! | `info.rs` | XINFO |
//! | `propagation.rs` | what reads and claims become elsewhere |
//! | `ids.rs` | ids among arguments |
//! | `replies.rs` | ids and entries in replies |
//!
//! # Read first
//!
//! `range.rs`, then `add.rs`.

mod add;
mod claim;
mod delete;
mod group;
mod ids;
mod info;
mod pending;
mod propagation;
mod range;
mod read;
mod remove;
mod replies;

use crate::cow::Heap;
use crate::db::{Key, KeyEvent, Occupied};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, until_nul};
use crate::exec::spec::CommandSpec;
use crate::types::Object;
use crate::types::place::Place;
use crate::types::stream::StreamObject;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &add::XADD,
    &add::XTRIM,
    &range::XLEN,
    &range::XRANGE,
    &range::XREVRANGE,
    &remove::XDEL,
    &remove::XSETID,
    &delete::XDELEX,
    &delete::XACKDEL,
    &read::XREAD,
    &read::XREADGROUP,
    &pending::XACK,
    &pending::XPENDING,
    &claim::XCLAIM,
    &claim::XAUTOCLAIM,
    &group::XGROUP,
    &info::XINFO,
];

const CREATE_CONSUMER_EVENT: KeyEvent = KeyEvent::stream("xgroup-createconsumer");

/// The stream in a place that is known to hold one, to be changed.
#[inline]
fn stream_mut<'o>(place: &'o mut Occupied<'_>) -> (&'o mut StreamObject, &'o mut Heap) {
    match place.node_mut() {
        Some((Object::Stream(stream), heap)) => (stream, heap),
        _ => unreachable!("the type was just seen"),
    }
}

/// Counts a lookup as that of a reader: commands that change a group look for their stream as readers do.
#[inline]
fn count_lookup(ctx: &mut DataCtx<'_>, key: Key<'_>) {
    let found = ctx.db.peek(key).is_some();
    ctx.db.count_lookup(key, found);
}

/// An error that names a key and a group of it.
#[cold]
fn refusal(before: &str, first: &[u8], between: &str, second: &[u8], after: &str) -> CommandError {
    let (first, second) = (until_nul(first), until_nul(second));
    CommandError::bytes([before.as_bytes(), first, between.as_bytes(), second, after.as_bytes()].concat())
}

fn no_key_or_group(key: &[u8], group: &[u8]) -> CommandError {
    refusal("NOGROUP No such key '", key, "' or consumer group '", group, "'")
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    refusal("NOGROUP No such consumer group '", group, "' for key name '", key, "'")
}

/// A subcommand whose arguments do not fit.
#[cold]
fn bad_subcommand(container: &str, given: &[u8]) -> CommandError {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, &given[..given.len().min(128)], &format!("'. Try {container} HELP."))
}
