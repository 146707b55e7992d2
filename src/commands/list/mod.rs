//! The group `list`: elements in an order.
//!
//! # What this is
//!
//! One `static` and one function per command. What a list *is*, and when it changes its encoding, is decided in
//! [`crate::types::list`].
//!
//! # What it never does
//!
//! **Architecture Invariant:** no handler asks for a list's encoding.
//!
//! # Map
//!
//! | file | commands |
//! | --- | --- |
//! | `ends.rs` | LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LMPOP |
//! | `inside.rs` | LLEN, LINDEX, LRANGE, LPOS, LSET, LINSERT, LREM, LTRIM |
//! | `moves.rs` | LMOVE, RPOPLPUSH |
//! | `blocking.rs` | BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH |
//!
//! # Read first
//!
//! `ends.rs`.

mod blocking;
mod ends;
mod inside;
mod moves;

use crate::db::KeyEvent;
use crate::exec::error::{self, CommandError};
use crate::exec::spec::CommandSpec;
use crate::resp::Reply;
use crate::types::list::{Item, Side};

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &ends::LPUSH,
    &ends::LPUSHX,
    &ends::RPUSH,
    &ends::RPUSHX,
    &ends::LPOP,
    &ends::RPOP,
    &ends::LMPOP,
    &inside::LLEN,
    &inside::LINDEX,
    &inside::LRANGE,
    &inside::LPOS,
    &inside::LSET,
    &inside::LINSERT,
    &inside::LREM,
    &inside::LTRIM,
    &moves::LMOVE,
    &moves::RPOPLPUSH,
    &blocking::BLPOP,
    &blocking::BRPOP,
    &blocking::BLMPOP,
    &blocking::BLMOVE,
    &blocking::BRPOPLPUSH,
];

/// LEFT or RIGHT.
fn side_of(word: &[u8]) -> Result<Side, CommandError> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(Side::Head)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(Side::Tail)
    } else {
        Err(error::SYNTAX)
    }
}

#[inline]
fn reply_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_int(n),
        Item::Bytes(text) => reply.bulk(text),
    }
}

/// The event of elements that came to one end.
fn pushed(side: Side) -> KeyEvent {
    KeyEvent::list(if side == Side::Head { "lpush" } else { "rpush" })
}

/// The event of elements that were taken from one end.
fn popped(side: Side) -> KeyEvent {
    KeyEvent::list(if side == Side::Head { "lpop" } else { "rpop" }).first()
}

/// The command that takes elements from one end.
fn pop_name(side: Side) -> &'static [u8] {
    if side == Side::Head { b"LPOP" } else { b"RPOP" }
}
